// Session: one a model. It speaks with the kernel, keeps the marks, and counts the frames; views only paint.

import { Playhead } from "./playhead.js";
import { Report } from "./report.js";
import { Track } from "./track.js";
import { Transport } from "./transport.js";
import { every, hearing, weakly } from "./weak.js";

export class Session extends Transport {
  /** @param {import("./types.js").Model} model */
  constructor(model) {
    super(new Report((content) => this.post(content)));
    this.model = model;
    /** @type {Set<import("./view.js").View>} */
    this.views = new Set();
    /** @type {import("./types.js").Mark[]} */
    this.marks = [];
    /** @type {string[]} */
    this.games = [];
    this.shown = { log: false, ahead: true, play_on: false, candles: 0 }; // rows of a candle; 0 is a line
    this.offline = false;
    this.page = false; // a whole page plays the game: its address says where
    /** @type {number | null} */
    this.nextGame = null; // the game that follows when this one has been reported
    this.trouble = "";
    /** @type {import("./types.js").Feed | null} */
    this.feed = null; // how the feed of a live game is
    /** @type {import("./types.js").Trades | null} */
    this.trades = null;
    this.raf = 0;
    this.player = model.get("player_id"); // names the player in the page, for what stands in for it
    this.client = Math.random().toString(36).slice(2, 10);
    /** @type {(content: import("./types.js").Content, buffers?: import("./types.js").Buffers) => void} */
    this.listener = (content, buffers) => this.receive(content, buffers || []);
    /** @param {number} now */
    this.frame = (now) => this.run(now);
    model.on("msg:custom", this.listener);
    this.calls = [weakly(this, this.followLink, hearing(window, "hashchange")), weakly(this, this.beat, every(250))];
    this.post({ kind: "ready" });
  }

  close() {
    for (const end of this.calls) end();
    cancelAnimationFrame(this.raf);
    this.model.off("msg:custom", this.listener);
    this.views.clear();
    this.track = this.head = null;
  }

  /** @param {object} content */
  post(content) {
    try {
      const sent = this.model.send({ ...content, client: this.client });
      if (sent?.catch)
        sent.catch(() => {
          this.gone = true;
        });
    } catch {
      this.gone = true; // the kernel was restarted: everything that is here still plays
    }
  }

  /**
   * @param {import("./types.js").Content} content
   * @param {import("./types.js").Buffers} buffers
   */
  receive(content, buffers) {
    if (content.to && content.to !== this.client) return;
    const now = performance.now();
    /** @type {Record<string, () => void>} */
    const acts = {
      open: () => this.open(content, buffers, now),
      chunk: () => this.chunk(content, buffers),
      append: () => this.append(content, buffers, now),
      ack: () => this.report.taken(content.number),
      play: () => this.play(),
      pause: () => this.pause(),
      seek: () => this.seek(content.row, "told", content.gen),
      speed: () => this.setSpeed(content.speed, false),
      options: () => this.setOptions(content),
      loop: () => this.setLoop(content.loop, false),
      selection: () => {
        this.selection = content.selection;
      },
      marks: () => {
        this.marks = content.marks;
      },
      trouble: () => {
        this.trouble = content.text;
        if (content.feed) this.feed = content.feed;
      },
      trades: () => {
        this.trades = content.trades;
      },
      feed: () => {
        this.feed = content.feed;
      },
    };
    const act = acts[content.kind];
    if (!act || (!this.track && !["open", "trouble", "feed"].includes(content.kind))) return;
    act();
    this.changed(content.kind);
  }

  /**
   * @param {import("./types.js").Content} content
   * @param {import("./types.js").Buffers} buffers
   * @param {number} now
   */
  open(content, buffers, now) {
    const state = content.state;
    this.trouble = "";
    this.nextGame = null;
    this.track = new Track(content.facts);
    this.head = new Playhead(this.track, now);
    this.head.pacing = state.pacing;
    this.head.speed = state.speed;
    this.loop = state.loop;
    this.selection = state.selection || [null, null];
    this.marks = content.marks;
    this.games = content.games;
    this.trades = content.trades || null;
    this.feed = content.feed || this.feed;
    this.lockstep = state.lockstep;
    this.shown = { log: state.log, ahead: state.ahead, play_on: Boolean(state.play_on), candles: state.candles || 0 };
    this.offline = Boolean(content.offline);
    if (content.facts.overview) this.track.overview(buffers);
    else if (this.track.live) this.track.append(this.track.base, content.facts.n, buffers);
    else if (this.track.size) this.track.put(0, buffers);
    this.page = Boolean(content.page);
    state.row = this.linked() ?? state.row;
    this.following = this.track.live && state.playing;
    this.row = this.track.size ? this.track.clamp(this.following ? this.track.last : state.row) : -1;
    this.report.gen = state.gen;
    this.report.reported = this.row;
    this.report.waiting = [];
    this.report.flying = 0;
    this.head.moveTo(Math.max(0, this.row), now);
    this.pace.clear();
    if (state.playing) this.head.play(now);
    this.want();
  }

  // The row that the address of a page names: a moment in seconds of the game.
  linked() {
    const found = this.offline && /[#&]t=(\d+(?:\.\d+)?)/.exec(location.hash);
    return found ? this.track.rowAt(this.track.due(this.track.base) + Number(found[1]) * 1000) : undefined;
  }

  // Let the address of a page name the moment that is shown, to the millisecond.
  writeLink() {
    if (!this.page || this.playing || !this.track?.size) return;
    const seconds = (this.track.due(this.row) - this.track.due(this.track.base)) / 1000;
    const link = `#t=${Number(seconds.toFixed(3))}`;
    if (location.hash !== link) history.replaceState(history.state, "", link);
  }

  followLink() {
    const row = this.page && this.track?.size ? this.linked() : undefined;
    if (row !== undefined && row !== this.row) this.seek(row);
  }

  /**
   * @param {import("./types.js").Content} content
   * @param {import("./types.js").Buffers} buffers
   */
  chunk(content, buffers) {
    if (content.id !== this.track.facts.id) return;
    this.track.put(content.number * this.track.chunk, buffers);
    this.want();
  }

  // Ask for what is missing, two pieces at a time, the one at the playhead first.
  /** @param {number} [row] */
  want(row = this.row) {
    if (!this.track.coarse) return;
    for (let asked = this.track.chunks.filter((known) => known === 1).length; asked < 2; asked += 1) {
      const number = this.track.missing(row);
      if (number < 0) return;
      this.track.chunks[number] = 1;
      this.post({ kind: "want", id: this.track.facts.id, number });
    }
  }

  /**
   * @param {import("./types.js").Content} content
   * @param {import("./types.js").Buffers} buffers
   * @param {number} now
   */
  append(content, buffers, now) {
    if (content.id !== this.track.facts.id) return;
    if (content.n) this.track.append(content.at, content.n, buffers);
    this.track.facts.events.push(...(content.events || []));
    this.track.addGaps(content.gaps || []);
    this.track.setPanels(content.values || []);
    if (this.row < this.track.base) {
      this.row = this.track.base;
      this.head.moveTo(this.row, now);
    }
    if (this.following) this.show(this.track.last, now);
  }

  /** @param {import("./types.js").Content} content */
  setOptions(content) {
    if (content.pacing !== undefined) this.setPacing(content.pacing, false);
    if (content.height !== undefined) this.track.facts.height = content.height;
    if (content.log !== undefined) this.shown.log = content.log;
    if (content.ahead !== undefined) this.shown.ahead = content.ahead;
    if (content.candles !== undefined) this.shown.candles = content.candles;
    if (content.play_on !== undefined) this.shown.play_on = content.play_on;
    if (content.lockstep !== undefined) this.lockstep = content.lockstep;
  }

  state() {
    return { ...super.state(), ...this.shown };
  }

  // Choose rows; with `done` the kernel hears of it.
  /**
   * @param {import("./types.js").Loop} rows
   * @param {boolean} done
   */
  select(rows, done) {
    this.selection = rows;
    if (done) this.announce(performance.now());
    else this.schedule();
  }

  /** @param {import("./types.js").Mark} mark */
  addMark(mark) {
    this.marks = [...this.marks, mark];
    if (!this.offline) this.post({ kind: "mark", ...mark });
    this.changed("marks");
  }

  /** @param {number} row */
  removeMarks(row) {
    this.marks = this.marks.filter((mark) => mark.row !== row);
    if (!this.offline) this.post({ kind: "unmark", row });
    this.changed("marks");
  }

  /** @param {number} rows */
  advanceBy(rows) {
    this.post({ kind: "advance", rows: Math.min(rows, 1000) });
  }

  ended() {
    const next = this.track.facts.game + 1;
    if (this.shown.play_on && next < this.games.length) this.nextGame = next;
  }

  // Ask for the game that follows, once the kernel has taken every row of this one.
  askForNext() {
    if (this.nextGame === null || (!this.offline && (this.report.flying || this.report.waiting.length))) return;
    if (!this.playing && this.row === this.track.last) this.pick(this.nextGame, true);
    this.nextGame = null;
  }

  hide() {
    this.post({ kind: "blind", on: !this.track.blind });
  }

  // Show another game; the page of several games, which has no kernel to remember, is told how this one is shown.
  /**
   * @param {number} number
   * @param {boolean} [play]
   */
  pick(number, play) {
    this.post({ kind: "pick", number, ...(play && { play }), ...(this.offline && { state: this.state() }) });
  }

  /** @param {number} now */
  announce(now) {
    this.report.urgent = true;
    if (!this.offline) {
      this.post({ kind: "state", ...this.state() });
      this.report.flush(now, this.state());
    }
    this.writeLink();
    this.changed("state");
  }

  /** @param {number} now */
  run(now) {
    this.raf = 0;
    if (!this.track) return;
    // The time of the frame may lie before a command that was given since.
    const moment = Math.max(now, this.head.since);
    this.advance(moment);
    if (this.playing) this.pace.frame(moment, this.head.at(moment));
    if (!this.offline) this.report.flush(moment, this.state());
    this.askForNext();
    for (const view of this.views) view.paint(moment);
    // Frames would keep a player whose cell was dropped; nobody tells one without a kernel.
    if (this.offline ? this.playing && this.attached : this.playing || (this.report.waiting.length && !this.gone)) this.schedule();
  }

  // Time goes on where no frame is drawn: in a page behind another one, in a cell that is not in the page.
  beat() {
    if (!this.playing) return;
    if (document.hidden || !this.attached) this.advance(performance.now());
    else this.schedule();
  }

  get attached() {
    return Array.from(this.views).some((view) => view.root.isConnected);
  }

  schedule() {
    if (!this.raf) this.raf = requestAnimationFrame(this.frame);
  }

  /** @param {string} what */
  changed(what) {
    for (const view of this.views) view.changed(what);
    this.schedule();
  }
}
