// Types that several modules share, and those of the messages between kernel and page (see replaylab/widgets/messages.py).

export type Speed = number | null; // null is as fast as possible
export type Pacing = "recorded" | "nominal";
export type Loop = [number | null, number | null];
export type Reason = "play" | "step" | "seek" | "stop" | "loop" | "told";
export type Range = { gen: number; lo: number; hi: number; reason: Reason; times: number };
export type Mark = { row: number; label: string; kind?: string; colour?: string; shape?: string; price?: number };

export type Facts = {
  id: string;
  mode: "stored" | "live" | "blind";
  title: string;
  base: number;
  n: number;
  capacity?: number;
  chunk: number;
  stride: number;
  overview: boolean;
  nominal_ms: number;
  phases: string[];
  live_row?: number | null;
  gaps: Mark[];
  events: Mark[];
  panels?: { name: string; kind: string }[];
  height: number;
  game: number;
  speeds?: [number, number];
};

export type State = {
  row: number;
  playing: boolean;
  speed: Speed;
  pacing: Pacing;
  loop: Loop;
  gen: number;
  lockstep: boolean;
  log: boolean;
  ahead: boolean;
  candles?: number;
  blind?: boolean;
  play_on?: boolean;
  selection?: Loop;
};

// Whatever the kernel sends: which fields there are follows from its kind.
export type Content = {
  kind: string;
  to?: string;
  facts?: Facts;
  state?: State;
  games?: string[];
  marks?: Mark[];
  offline?: boolean;
  id?: string;
  number?: number;
  at?: number;
  events?: Mark[];
  gaps?: Mark[];
  values?: number[][]; // row, number of the panel, value
  n?: number;
  row?: number;
  gen?: number;
  speed?: Speed;
  pacing?: Pacing;
  loop?: Loop;
  selection?: Loop;
  text?: string;
  height?: number;
  log?: boolean;
  ahead?: boolean;
  candles?: number;
  page?: boolean; // a whole page plays the game: its address says where
  lockstep?: boolean;
  play_on?: boolean;
  play?: boolean; // a game that is picked begins at once
  feed?: Feed | null;
  trades?: Trades | null;
};

// What a strategy did in the game, by row: see replaylab/widgets/trades.py.
export type Dealt = { kind: string; open: number; close: number | null; profit: string | null; ending: string | null };
export type Fill = { row: number; side: string; text: string; won?: boolean };
export type Trades = { trades: Dealt[]; fills: Fill[]; profit: { row: number; cash: string; held: number }[]; note?: string };

// How the feed of a live game is, in words.
export type Feed = { state: string; feed: string; why: string; recorder: string; gaps: string; verdict: string };

export type Buffers = DataView[];

export interface Model {
  on(name: string, callback: (content: Content, buffers?: Buffers) => void): unknown;
  off(name: string, callback: (content: Content, buffers?: Buffers) => void): unknown;
  get(name: string): string;
  send(content: object): Promise<void> | undefined;
}

export type Theme = {
  paper: string;
  ink: string;
  faint: string;
  grid: string;
  line: string;
  ahead: string;
  hatch: string;
  rug: string;
  peak: string;
  mark: string;
  font: string;
  [name: string]: string;
};
