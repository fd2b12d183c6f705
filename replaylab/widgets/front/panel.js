// Panel: the buttons and choices. Every one has a name, a tooltip with its key, and keeps JupyterLab's shortcuts away.

import { groupText, spanText, speedText } from "./digits.js";
import { choice, control, icon, make, put } from "./elements.js";
import { SeekBar } from "./seekbar.js";

const SPEEDS = [0.1, 0.25, 0.5, 1, 2, 5, 10, 25, 50, 100, null];

/** @type {[string, string, string, string][]} */
const JUMPS = [
  ["live", "Go to the start of play", "T", "Start"],
  ["peak", "Go to the peak", "K", "Peak"],
  ["rug", "Go to the rug", "R", "Rug"],
  ["gap", "Go to the next gap", "G", "Next gap"],
  ["mark", "Go to the next mark", "M", "Next mark"],
  ["trade_before", "Go to the trade before", "Shift+D", "Trade before"],
  ["trade", "Go to the next trade", "D", "Next trade"],
];

export class Panel {
  /**
   * @param {import("./session.js").Session} session
   * @param {import("./view.js").View} view
   */
  constructor(session, view) {
    this.session = session;
    this.view = view;
    this.bar = make("div", "rlab-bar", { role: "group", "aria-label": "Transport" });
    this.options = make("div", "rlab-bar rlab-options", { role: "group", "aria-label": "Options" });
    this.place = make("span", "rlab-place");
    this.pace = make("span", "rlab-pace");
    this.seek = new SeekBar(session);
    this.buildBar();
    this.buildOptions();
    this.games = "";
  }

  /**
   * @param {string} name
   * @param {string} key
   * @param {() => void} act
   * @param {string} picture
   * @param {string} text
   */
  button(name, key, act, picture = "", text = "") {
    const title = key ? `${name} (${key})` : name;
    const button = control(
      "button",
      picture ? "rlab-button" : "rlab-button rlab-text",
      { type: "button", title, "aria-label": name },
      text,
    );
    if (picture) icon(button, picture);
    button.addEventListener("click", act);
    return button;
  }

  buildBar() {
    const { session } = this;
    this.toggle = this.button("Play", "Space", () => session.toggle(), "play");
    this.bar.append(
      this.toggle,
      this.button("Stop", "Home goes to the start", () => session.stop(), "stop"),
      this.button("Step back", "Left", () => session.step(-1), "back"),
      this.button("Step forward", "Right", () => session.step(1), "forward"),
      this.seek.root,
      this.place,
    );
  }

  buildOptions() {
    const { session, view } = this;
    this.speed = choice(
      "Speed",
      SPEEDS.map((speed) => [String(speed), speedText(speed)]),
      (value) => session.setSpeed(value === "null" ? null : Number(value)),
    );
    this.pacing = choice(
      "Pacing",
      [
        ["recorded", "recorded times"],
        ["nominal", "even ticks"],
      ],
      (value) => session.setPacing(/** @type {import("./types.js").Pacing} */ (value)),
    );
    this.a = this.button("Loop from here", "[", () => session.setLoop([session.row, session.loop[1]]), "", "A");
    this.b = this.button("Loop to here", "]", () => session.setLoop([session.loop[0], session.row]), "", "B");
    this.off = this.button("No loop", "Escape", () => view.free(), "", "No loop");
    this.goto = this.button("Go to a tick", "J", () => view.goto.toggle(), "", "Go to");
    this.full = this.button("Full screen", "Shift+F", () => view.fill(), "", "Full screen");
    this.full.hidden = !document.fullscreenEnabled;
    this.keys = this.button("Keys", "?", () => view.keys.open(), "", "?");
    this.list = this.button("Table of ticks", "I", () => view.table.toggle(), "", "Table");
    this.write = this.button("Mark here", "A", () => view.form.toggle(), "", "Mark here");
    this.skip = this.button("Skip to the next tick", "S", () => view.skip(), "", "Skip gap");
    this.log = this.button("Log price", "L", () => view.flip("log"), "", "Log");
    this.candles = this.button("Candles", "C", () => view.candles(), "", "Candles");
    this.ahead = this.button("Show what lies ahead", "H", () => view.flip("ahead"), "", "Ahead");
    this.blind = this.button("Hide the future", "B", () => view.hide(), "", "Blind");
    this.follow = this.button("Follow the playhead", "F", () => view.follow(), "", "Follow");
    this.fit = this.button("Show the whole game", "W", () => view.fit(), "", "Whole");
    this.now = this.button("Go to the newest tick", "End", () => view.newest(), "", "Now");
    this.jumps = JUMPS.map(([name, title, key, text]) => ({ name, button: this.button(title, key, () => view.jump(name), "", text) }));
    this.on = this.button("Play on with the next game", "O", () => view.flip("play_on"), "", "Play on");
    this.picker = make("span", "rlab-picker");
    this.options.append(
      this.speed,
      this.pacing,
      this.a,
      this.b,
      this.off,
      this.write,
      this.list,
      this.goto,
      this.skip,
      this.log,
      this.candles,
      this.ahead,
      this.blind,
      this.follow,
      this.fit,
      this.now,
      ...this.jumps.map((jump) => jump.button),
      this.full,
      this.keys,
      this.pace,
      this.picker,
    );
  }

  // Choose the speed that is so many places further on in the list.
  /** @param {number} step */
  turnSpeed(step) {
    const shown = [...this.speed.options].filter((option) => !option.hidden);
    const values = shown.map((option) => (option.value === "null" ? Infinity : Number(option.value))).sort((a, b) => a - b);
    const { speed } = this.session.head;
    const wanted = values[values.indexOf(speed ?? Infinity) + step];
    if (wanted !== undefined) this.session.setSpeed(wanted === Infinity ? null : wanted);
  }

  changed() {
    const { session, view } = this;
    const { track, head, loop } = session;
    if (!track) return;
    icon(this.toggle, session.playing ? "pause" : "play");
    this.toggle.setAttribute("aria-label", session.playing ? "Pause" : "Play");
    this.toggle.title = `${session.playing ? "Pause" : "Play"} (Space)`;
    for (const button of this.bar.querySelectorAll("button")) button.disabled = !track.size;
    const speed = String(head.speed);
    const [least, most] = track.facts.speeds || [0, Infinity];
    for (const option of this.speed.options)
      option.hidden = option.value !== "null" && (Number(option.value) < least || Number(option.value) > most);
    if (![...this.speed.options].some((option) => option.value === speed)) {
      this.speed.append(make("option", "", { value: speed }, speedText(head.speed)));
    }
    this.speed.value = speed;
    this.pacing.value = head.pacing;
    this.press(this.a, loop[0] !== null);
    this.press(this.b, loop[1] !== null);
    this.off.hidden = [...loop, ...session.selection].every((row) => row === null);
    this.press(this.full, document.fullscreenElement === view.root);
    this.press(this.log, session.shown.log);
    this.press(this.candles, session.shown.candles > 0);
    this.press(this.ahead, session.shown.ahead);
    this.ahead.hidden = track.live;
    this.blind.hidden = session.offline || (track.live && !track.blind);
    this.press(this.blind, track.blind);
    this.pacing.hidden = track.blind; // the kernel keeps the time
    this.now.hidden = !track.live;
    this.press(this.now, session.following);
    for (const { name, button } of this.jumps) button.hidden = !this.offers(name);
    this.press(this.on, session.shown.play_on);
    this.pickGames();
  }

  // Whether there is such a place, before the playhead or behind it.
  /** @param {string} name */
  offers(name) {
    const { track, marks } = this.session;
    if (name === "live") return track.facts.live_row > track.base;
    if (name === "gap") return track.facts.gaps.length > 0;
    if (name === "mark") return marks.length > 0;
    if (name.startsWith("trade")) return Boolean(this.session.trades?.trades.length);
    return track.facts.events.some((event) => event.kind === name);
  }

  /**
   * @param {HTMLElement} button
   * @param {boolean} on
   */
  press(button, on) {
    button.setAttribute("aria-pressed", String(on));
  }

  pickGames() {
    const { games, track } = this.session;
    const key = games.join() + track.facts.game;
    if (key === this.games) return;
    this.games = key;
    this.picker.replaceChildren();
    if (games.length < 2) return;
    /** @param {number} step */
    const pick = (step) => this.session.pick((track.facts.game + step + games.length) % games.length);
    const select = choice(
      "Game",
      games.map((name, number) => [String(number), name]),
      (value) => this.session.pick(Number(value)),
    );
    select.value = String(track.facts.game);
    this.picker.append(
      this.button("Previous game", "P", () => pick(-1), "previous"),
      select,
      this.button("Next game", "N", () => pick(1), "next"),
      this.on,
    );
  }

  /**
   * @param {import("./types.js").Theme} theme
   * @param {number} now
   * @param {import("./chart.js").Chart} chart
   */
  paint(theme, now, chart) {
    const { session } = this;
    this.seek.paint(theme, now);
    const { track, head, row } = session;
    if (!track.size) {
      this.place.textContent = "no row";
      return;
    }
    const passed = spanText(head.due(row) - head.due(track.base));
    put(this.place, track.blind ? passed : `${passed} / ${spanText(head.due(track.last) - head.due(track.base))}`);
    put(this.pace, this.status(now));
    this.pace.title = session.playing ? `${session.pace.text}, ${session.pace.fps} fps` : ""; // for those who ask
    this.press(this.follow, chart.follow && !chart.whole);
    this.follow.hidden = chart.whole;
    this.fit.hidden = chart.whole;
    const waits = session.playing && !session.following && head.speed !== null && row < track.last;
    this.skip.hidden = !(waits && (head.due(row + 1) - head.at(now)) / head.speed > 1500);
  }

  /** @param {number} now */
  status(now) {
    const { session } = this;
    const { track, head, row } = session;
    if (session.playing && !session.following && head.speed !== null && row < track.last) {
      const wait = (head.due(row + 1) - head.at(now)) / head.speed;
      if (wait > 1500) return `next tick in ${spanText(wait)}`;
    }
    if (session.trouble) return session.trouble;
    if (session.gone) return "no kernel: plays on by itself";
    if (session.report.slow(now)) return `kernel busy, ${session.pace.text}`;
    const [from, to] = session.selection;
    if (from !== null && !session.playing) {
      const change = (track.price(to) / track.price(from) - 1) * 100;
      const grown = Number.isFinite(change) ? `, ${change > 0 ? "+" : ""}${change.toFixed(2)} %` : "";
      return `${groupText(to - from + 1)} rows, ${spanText(head.due(to) - head.due(from))}${grown}`;
    }
    if (session.following) return track.blind || session.feed ? "" : "live";
    if (track.live && !track.blind && row < track.last) return `${groupText(track.last - row)} rows behind`;
    return "";
  }
}
