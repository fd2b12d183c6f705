// View: one display of a session. It owns the elements, the size, the pointer and the keys.

import { Chart } from "./chart.js";
import { groupText } from "./digits.js";
import { control, make, put } from "./elements.js";
import { FeedLine } from "./feedline.js";
import { GoToForm } from "./gotoform.js";
import { KeyList } from "./keylist.js";
import { pressed } from "./keys.js";
import { MarkForm } from "./markform.js";
import { HEAD } from "./paint.js";
import { Panel } from "./panel.js";
import { Strip } from "./strip.js";
import { STYLE } from "./style.js";
import { readTheme, watchTheme } from "./theme.js";
import { TickTable } from "./ticktable.js";
import { fillTexts, profitText } from "./trades.js";
import { hearing, weakly } from "./weak.js";

const CANDLE_ROWS = 20; // five seconds of the game

export class View {
  /**
   * @param {import("./session.js").Session} session
   * @param {HTMLElement} host
   */
  constructor(session, host) {
    this.session = session;
    this.hover = null;
    this.rows = 0; // of a candle, when there are some
    this.root = make("div", "rlab", { role: "group" });
    if (session.player) this.root.dataset.player = session.player;
    this.title = make("span", "rlab-title");
    this.readout = make("span", "rlab-readout");
    const head = make("div", "rlab-head");
    this.profit = make("span", "rlab-profit");
    head.append(this.title, this.profit, this.readout);
    this.stage = control("div", "rlab-stage", { tabindex: "0", role: "group", "aria-label": "Price chart" });
    this.canvas = make("canvas", "rlab-canvas", { "aria-hidden": "true" });
    this.tip = make("div", "rlab-tip", { "aria-hidden": "true" });
    this.blank = make("div", "rlab-blank");
    this.stage.append(this.canvas, this.tip, this.blank);
    this.chart = new Chart(this.canvas, session);
    this.panel = new Panel(session, this);
    this.feed = new FeedLine(session);
    this.table = new TickTable(session);
    this.strips = make("div", "rlab-strips");
    /** @type {Strip[]} */
    this.panels = [];
    this.form = new MarkForm(session, this);
    this.goto = new GoToForm(this);
    this.keys = new KeyList(this);
    const forms = [this.form.root, this.goto.root];
    this.root.append(
      head,
      this.feed.root,
      this.stage,
      this.strips,
      this.panel.bar,
      ...forms,
      this.panel.options,
      this.table.root,
      this.keys.root,
    );
    host.append(this.root);
    addStyleSheet(host.getRootNode());
    this.theme = readTheme(this.root);
    this.listen();
    session.views.add(this);
    this.changed("open");
    session.schedule();
  }

  listen() {
    this.ends = [weakly(this, this.retheme, watchTheme)];
    const observer = new ResizeObserver(() => this.resize());
    for (const element of [this.root, this.stage, this.panel.seek.root]) observer.observe(element);
    this.ends.push(() => observer.disconnect());
    this.ends.push(weakly(this, this.filled, hearing(document, "fullscreenchange")));
    this.root.addEventListener("keydown", (event) => pressed(event, this));
    this.stage.addEventListener("pointermove", (event) => this.pointer(event));
    this.strips.addEventListener("pointermove", (event) => this.pointer(event));
    this.strips.addEventListener("pointerleave", () => this.point(null));
    this.stage.addEventListener("pointerleave", () => this.point(null));
    this.stage.addEventListener("pointerdown", (event) => this.grab(event));
    this.stage.addEventListener("pointerup", (event) => this.release(event));
    this.stage.addEventListener("pointercancel", () => {
      this.grabbed = null;
    });
    this.stage.addEventListener("dblclick", () => this.fit());
    this.stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  close() {
    for (const end of this.ends) end();
    this.session.views.delete(this);
    this.root.remove();
  }

  filled() {
    this.panel.changed();
  }

  retheme() {
    this.theme = readTheme(this.root);
    this.chart.stale();
    this.session.schedule();
  }

  resize() {
    const width = this.root.clientWidth;
    if (!width) return;
    this.root.classList.toggle("rlab-narrow", width < 520);
    this.theme = readTheme(this.root);
    this.chart.resize(this.stage.clientWidth, this.stage.clientHeight);
    for (const strip of this.panels) strip.resize();
    this.panel.seek.resize();
    this.session.schedule();
  }

  /** @param {string} what */
  changed(what) {
    const { session } = this;
    this.feed.changed();
    this.panel.options.hidden = !session.track;
    this.blank.hidden = Boolean(session.track) || !session.feed;
    this.panel.bar.hidden = !this.blank.hidden;
    put(this.blank, ["ended", "failed"].includes(session.feed?.state ?? "") ? "no tick came" : "no tick yet");
    if (!session.track) {
      this.tip.hidden = true;
      for (const button of this.panel.bar.querySelectorAll("button")) button.disabled = true;
      put(this.title, session.feed ? session.feed.feed : session.trouble || "waits for the kernel");
      return;
    }
    if (what === "open") {
      this.chart.fit();
      this.hover = null;
      const { facts } = session.track;
      this.addStrips(facts.panels || []);
      put(this.title, facts.title);
      this.root.setAttribute("aria-label", `Player of ${facts.title}`);
      this.stage.setAttribute("aria-label", `Price chart of ${facts.title}. Space plays, arrows step, plus and minus zoom`);
    }
    this.stage.style.height = `${session.track.facts.height}px`;
    if (what !== "ack") this.chart.stale();
    this.panel.changed();
  }

  /** @param {{ name: string }[]} panels */
  addStrips(panels) {
    this.chart.margin = 0;
    this.panels = panels.map(({ name }, number) => {
      const canvas = make("canvas", "rlab-strip", { role: "img", "aria-label": `Panel: ${name}` });
      return new Strip(canvas, this.session, this.chart, number);
    });
    this.strips.replaceChildren(...this.panels.map((strip) => strip.canvas));
    if (this.chart.ratio) for (const strip of this.panels) strip.resize();
  }

  /** @param {number} now */
  paint(now) {
    const { session } = this;
    if (!session.track || !this.root.isConnected) return;
    if (!this.chart.width || this.chart.ratio !== (window.devicePixelRatio || 1)) this.resize();
    this.chart.paint(this.theme, this.hover);
    for (const strip of this.panels) strip.paint(this.theme, this.hover);
    this.table.paint(now);
    this.panel.paint(this.theme, now, this.chart);
    if (session.track.size) {
      const said = session.track.describe(session.row);
      put(this.readout, [said.tick, said.price, said.time, said.phase].join("   "));
      put(this.profit, profitText(session, session.row));
      this.root.dataset.tick = String(session.track.tick(session.row));
    } else put(this.readout, "no row was recorded");
    this.root.dataset.row = String(session.row);
    this.root.dataset.playing = String(session.playing);
    this.showTip();
  }

  showTip() {
    const { track } = this.session;
    this.tip.hidden = this.hover === null || !track.size;
    if (this.tip.hidden) return;
    const said = track.describe(this.hover);
    if (!said.exact) this.session.want(this.hover);
    const count = track.count(this.hover);
    const more = [track.since(this.hover), count < 0 ? "" : `${groupText(count)} trades`].filter(Boolean);
    put(this.tip, [said.tick, said.price, said.time, said.phase, ...more, ...fillTexts(this.session, this.hover)].join("\n"));
    const x = this.chart.x(this.hover);
    const left = x + 14 + this.tip.offsetWidth < this.chart.width ? x + 14 : Math.max(0, x - 14 - this.tip.offsetWidth);
    const top = this.tipTop(left);
    this.tip.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }

  // Where the tip covers no line: above or below all prices that lie beside it, else where there is more room.
  /** @param {number} left */
  tipTop(left) {
    const { chart, tip } = this;
    const [from, to] = [chart.row(left), chart.row(left + tip.offsetWidth)];
    const pair = [0, 0];
    const [top, bottom] = [HEAD + 6, chart.bottom - 6 - tip.offsetHeight];
    if (!this.session.track.range(from, to + 1, pair)) return bottom;
    const [highest, lowest] = [chart.y(pair[1]), chart.y(chart.log ? Math.max(pair[0], chart.extent[0]) : pair[0])];
    const high = Math.max(2, Math.min(top, highest - tip.offsetHeight - 4));
    const low = Math.max(bottom, Math.min(lowest + 4, chart.height - tip.offsetHeight));
    const found = highest - HEAD > chart.bottom - lowest ? [high, low] : [low, high];
    const clear = found.find((at) => chart.labels.free(left, at, left + tip.offsetWidth, at + tip.offsetHeight));
    const fits = highest - HEAD > tip.offsetHeight && chart.bottom - lowest > tip.offsetHeight; // no line either way
    return fits && clear !== undefined ? clear : found[0];
  }

  /** @param {number} row */
  point(row) {
    this.hover = row;
    this.session.schedule();
  }

  /** @param {PointerEvent} event */
  pointer(event) {
    const { track } = this.session;
    if (!track?.size) return;
    if (this.grabbed) {
      const moved = event.clientX - this.grabbed.x;
      if (Math.abs(event.clientX - this.grabbed.from) > 4) this.grabbed.moved = true;
      if (this.grabbed.moved && !this.grabbed.select) {
        this.chart.pan(moved);
        this.grabbed.x = event.clientX;
      }
    }
    const row = this.chart.row(event.clientX - this.stage.getBoundingClientRect().left);
    if (this.grabbed?.moved && this.grabbed.select) {
      this.session.select([Math.min(row, this.grabbed.row), Math.max(row, this.grabbed.row)], false);
    }
    this.point(row);
  }

  /** @param {PointerEvent} event */
  grab(event) {
    if (event.button !== 0) return;
    this.stage.setPointerCapture(event.pointerId);
    if (!this.session.track?.size) return;
    const row = this.chart.row(event.clientX - this.stage.getBoundingClientRect().left);
    // A drag pans what is larger than its view; of what is seen whole, or with Shift, it selects.
    this.grabbed = { x: event.clientX, from: event.clientX, moved: false, row, select: event.shiftKey || this.chart.whole };
  }

  /** @param {PointerEvent} event */
  release(event) {
    const { grabbed } = this;
    this.grabbed = null;
    const { track } = this.session;
    if (grabbed?.moved && grabbed.select) this.session.select(this.session.selection, true);
    if (!grabbed || grabbed.moved || !track || !track.size) return;
    const x = event.clientX - this.stage.getBoundingClientRect().left;
    if (x >= this.chart.left - 4) this.session.seek(this.chart.row(x));
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    if (!this.session.track?.size) return;
    const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY) || event.shiftKey;
    // A page scrolls over the chart unless the chart was clicked, or a key says otherwise.
    if (!sideways && !event.ctrlKey && !event.metaKey && document.activeElement !== this.stage) return;
    event.preventDefault();
    if (sideways) this.chart.pan(-(event.deltaX || event.deltaY));
    else this.chart.zoom(1.0015 ** event.deltaY, event.clientX - this.stage.getBoundingClientRect().left);
    this.point(this.hover);
  }

  /** @param {number} factor */
  zoom(factor) {
    if (!this.session.track?.size) return;
    this.chart.zoom(factor, this.chart.x(this.session.row));
    this.session.schedule();
  }

  // Rows to go to by name: the start of play, the peak, the rug, the next gap, the next mark.
  /** @param {string} name */
  target(name) {
    const { track, marks, trades, row } = this.session;
    /** @param {{ row: number }[]} found */
    const nearest = (found) => {
      const rows = found.map((one) => one.row);
      return name.endsWith("_before")
        ? rows.filter((one) => one < row).sort(descending)[0]
        : rows.filter((one) => one > row).sort(ascending)[0];
    };
    if (name === "live") return track.facts.live_row;
    if (name.startsWith("gap")) return nearest(track.facts.gaps);
    if (name.startsWith("mark")) return nearest(marks);
    if (name.startsWith("trade")) return nearest((trades?.trades || []).map((one) => ({ row: one.open })));
    return track.facts.events.find((event) => event.kind === name)?.row;
  }

  /** @param {string} name */
  jump(name) {
    const row = this.session.track.size ? this.target(name) : undefined;
    if (row !== undefined && row !== null) this.session.seek(row);
  }

  /** @param {"log" | "ahead" | "play_on"} name */
  flip(name) {
    this.session.shown[name] = !this.session.shown[name];
    this.session.announce(performance.now());
  }

  // Candles of as many rows as were asked for last, or the line.
  candles() {
    const { shown } = this.session;
    this.rows = shown.candles || this.rows || CANDLE_ROWS;
    shown.candles = shown.candles ? 0 : this.rows;
    this.session.announce(performance.now());
  }

  free() {
    const { session } = this;
    session.selection = [null, null];
    session.setLoop([null, null]);
  }

  hide() {
    const { track, offline } = this.session;
    if (!offline && (track.blind || !track.live)) this.session.hide();
  }

  follow() {
    this.chart.follow = !this.chart.follow;
    this.session.schedule();
  }

  // So many tenths into the rows that the page knows.
  /** @param {number} tenths */
  tenth(tenths) {
    const { track } = this.session;
    if (track.size) this.session.seek(track.base + Math.round(((track.last - track.base) * tenths) / 10));
  }

  // The whole screen, and the cell again.
  fill() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.root.requestFullscreen?.().catch(() => this.root.scrollIntoView()); // a frame may forbid it
  }

  fit() {
    this.chart.fit();
    this.session.schedule();
  }

  newest() {
    this.session.seek(this.session.track.last);
    this.session.play();
  }

  // Over a gap: on to the moment of the next tick.
  skip() {
    const { session } = this;
    if (session.playing) {
      session.head.anchor = session.head.due(session.row + 1);
      session.head.since = performance.now();
    }
  }
}

/**
 * @param {number} one
 * @param {number} other
 */
const ascending = (one, other) => one - other;
/**
 * @param {number} one
 * @param {number} other
 */
const descending = (one, other) => other - one;

// The style sheet, once a document (or shadow root).
/** @param {Node} root */
function addStyleSheet(root) {
  const place = root instanceof Document ? root.head : root instanceof ShadowRoot ? root : document.head;
  if (place.querySelector("style.rlab-style")) return;
  place.append(make("style", "rlab-style", {}, STYLE));
}
