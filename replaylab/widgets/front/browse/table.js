// Table: the rows in sight, however many games there are; sorting, filter, keyboard, and thumbnails drawn when they are seen.

import { control, make, put } from "../elements.js";
import { STYLE } from "../style.js";
import { readTheme, watchTheme } from "../theme.js";
import { weakly } from "../weak.js";
import { FLAG_HELP, FLAGS, POINTS } from "./games.js";

const ROW = 34;
const END = 8; // characters of an id that are always seen
const SPARE = 4; // rows above and below those in sight
/** @type {[string, string, string][]} */
const COLUMNS = [
  ["", "price", "spark"],
  ["game", "game", "name"],
  ["start", "start (UTC)", "start"],
  ["length", "length", "length"],
  ["ticks", "ticks", "ticks"],
  ["peak", "peak", "peak"],
  ["rug", "rug tick", "rug"],
  ["flags", "flags", "flags"],
];
const WHOLE = new Intl.NumberFormat("en");
const PRICE = new Intl.NumberFormat("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
let tables = 0;

/**
 * @typedef {object} Source what a table asks for
 * @property {import("./games.js").Games} games
 * @property {string} title
 * @property {string} note
 * @property {(which: number[]) => void} want asks for thumbnails
 * @property {(number: number) => void} open plays a game
 * @property {(() => void) | null} refresh reads the store again
 * @property {(() => void) | null} look asks whether it has changed
 */

export class Table {
  /**
   * @param {HTMLElement} host
   * @param {number} height
   * @param {string} player
   */
  constructor(host, height, player) {
    tables += 1;
    this.id = `rlab-table-${tables}`;
    /** @type {Source | null} */
    this.source = null;
    this.cursor = 0; // place in `shown`
    /** @type {number} */
    this.playing = -1;
    /** @type {Set<number>} */
    this.asked = new Set();
    this.said = "";
    this.frame = 0;
    this.top = 0;
    this.settled = 0;
    this.root = make("section", "rlab rlab-browse", { "aria-label": "Games" });
    if (player) this.root.dataset.player = player;
    this.title = make("span", "rlab-title");
    this.count = make("span", "rlab-count", { role: "status" });
    this.note = make("div", "rlab-note", { role: "status" });
    this.input = /** @type {HTMLInputElement} */ (
      control("input", "rlab-filter", {
        type: "search",
        "aria-label": "Filter games",
        placeholder: "id, rug, late, cut, gaps, peak>10, length<60, start>2031-01-02",
        spellcheck: "false",
      })
    );
    this.previous = control(
      "button",
      "rlab-button",
      { type: "button", "aria-label": "Previous game", title: "Previous game (P)" },
      "\u2039",
    );
    this.next = control("button", "rlab-button", { type: "button", "aria-label": "Next game", title: "Next game (N)" }, "\u203a");
    this.again = control("button", "rlab-button", { type: "button" }, "Refresh");
    const head = make("div", "rlab-head");
    head.append(this.title, this.count);
    const bar = make("div", "rlab-bar");
    bar.append(this.input, this.previous, this.next, this.again);
    this.scroller = make("div", "rlab-rows", { "data-lm-suppress-shortcuts": "true" });
    this.scroller.style.height = `${height}px`;
    this.grid = make("div", "rlab-grid", { role: "grid", "aria-label": "Games", tabindex: "0", "data-lm-suppress-shortcuts": "true" });
    this.header = make("div", "rlab-row rlab-columns", { role: "row", "aria-rowindex": "1" });
    this.heads = COLUMNS.map(([order, text, name]) => this.heading(order, text, name));
    this.header.append(...this.heads);
    this.body = make("div", "rlab-body", { role: "rowgroup" });
    const top = make("div", "", { role: "rowgroup" });
    top.append(this.header);
    this.grid.append(top, this.body);
    this.scroller.append(this.grid);
    this.root.append(head, bar, this.scroller, this.note);
    /** @type {Line[]} */
    this.lines = [];
    this.listen();
    this.attach(host);
  }

  /** @param {HTMLElement} host */
  attach(host) {
    host.append(this.root);
    const owner = host.getRootNode();
    const place = owner instanceof ShadowRoot ? owner : document.head;
    if (!place.querySelector("style.rlab-browse-style")) place.append(make("style", "rlab-browse-style", {}, STYLE));
    this.unwatch = weakly(this, this.recolour, watchTheme);
    this.sizes = new ResizeObserver(() => this.paint());
    this.sizes.observe(this.root);
  }

  listen() {
    this.scroller.addEventListener("scroll", () => this.soon(), { passive: true });
    this.input.addEventListener("input", () => this.filter());
    this.input.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" || event.key === "Enter") {
        event.preventDefault();
        this.grid.focus();
      }
      event.stopPropagation();
    });
    this.grid.addEventListener("keydown", (event) => this.key(event));
    this.grid.addEventListener("focus", () => this.soon());
    this.root.addEventListener("focusin", () => this.source?.look?.());
    this.root.addEventListener("pointerenter", () => this.source?.look?.());
    this.previous.addEventListener("click", () => this.step(-1));
    this.next.addEventListener("click", () => this.step(1));
    this.again.addEventListener("click", () => this.source?.refresh?.());
    this.body.addEventListener("click", (event) => {
      const row = /** @type {HTMLElement} */ (event.target).closest("[data-place]");
      if (row) this.open(Number(/** @type {HTMLElement} */ (row).dataset.place));
    });
  }

  /**
   * @param {string} order
   * @param {string} text
   * @param {string} name
   */
  heading(order, text, name) {
    const cell = make("div", `rlab-cell rlab-${name}`, { role: "columnheader" });
    if (!order) {
      cell.append(make("span", "", {}, text));
      return cell;
    }
    const button = control("button", "rlab-sort", { type: "button", tabindex: "-1", title: `Sort by ${text}` }, text);
    button.addEventListener("click", () => this.sort(/** @type {import("./games.js").Order} */ (order)));
    cell.dataset.order = order;
    cell.append(button);
    return cell;
  }

  /** @param {Source} source */
  show(source) {
    const before = this.source?.games;
    const chosen = before?.shown.length ? before.name(before.shown[this.cursor]) : "";
    this.source = source;
    this.asked.clear();
    if (before) {
      source.games.order = before.order;
      source.games.rising = before.rising;
      source.games.filter = before.filter;
      source.games.arrange();
    }
    this.cursor = Math.max(0, chosen ? Array.from(source.games.shown).findIndex((number) => source.games.name(number) === chosen) : 0);
    this.playing = -1;
    put(this.title, source.title);
    this.again.hidden = !source.refresh;
    this.say(source.note);
    this.changed();
    this.root.dataset.row = "0"; // what stands in for the table in a saved notebook is hidden from now on
  }

  /** @param {string} text */
  say(text) {
    this.said = text;
    const { games } = this.source || {};
    const empty = games && !games.shown.length ? (games.count ? "no game matches the filter" : "there is no game here") : "";
    put(this.note, text || empty);
    this.note.hidden = !this.note.textContent;
  }

  /** @param {import("./games.js").Order} order */
  sort(order) {
    const { games } = this.source;
    const number = games.shown[this.cursor];
    games.sort(order);
    this.cursor = Math.max(0, games.shown.indexOf(number));
    this.scroller.scrollTop = 0;
    this.cursor = 0;
    this.changed();
  }

  filter() {
    const { games } = this.source;
    games.search(this.input.value);
    this.cursor = 0;
    this.scroller.scrollTop = 0;
    this.say(games.complaint || this.source.note);
    this.changed();
  }

  changed() {
    const { games } = this.source;
    const shown = games.shown.length;
    const all = `${games.count.toLocaleString("en")} game${games.count === 1 ? "" : "s"}`;
    put(this.count, shown === games.count ? all : `${shown.toLocaleString("en")} of ${all}`);
    this.body.style.height = `${shown * ROW}px`;
    this.grid.setAttribute("aria-rowcount", String(shown + 1));
    this.say(this.said);
    for (const cell of this.heads) {
      const { order } = cell.dataset;
      if (!order) continue;
      const sorted = order === games.order ? (games.rising ? "ascending" : "descending") : "none";
      cell.setAttribute("aria-sort", sorted);
    }
    this.paint();
  }

  soon() {
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.paint();
    });
  }

  recolour() {
    this.theme = null;
    for (const line of this.lines) line.thumbnail = -1;
    this.soon();
  }

  paint() {
    if (!this.source || !this.scroller.clientHeight) return; // hidden: its size changes when it is shown
    const { games } = this.source;
    this.theme ??= readTheme(this.root);
    const { theme } = this;
    // thumbnails of rows that fly past are drawn when the scrolling has settled
    const top = this.scroller.scrollTop;
    const flying = Math.abs(top - this.top) > 3 * ROW;
    this.top = top;
    if (flying) {
      clearTimeout(this.settled);
      this.settled = setTimeout(() => this.soon(), 60);
    }
    const first = Math.max(0, Math.floor(this.scroller.scrollTop / ROW) - SPARE);
    const seen = Math.ceil(this.scroller.clientHeight / ROW) + 2 * SPARE;
    const rows = Math.min(games.shown.length - first, seen);
    while (this.lines.length < rows) {
      const line = new Line(this);
      this.lines.push(line);
      this.body.append(line.row);
    }
    const wanted = [];
    for (const line of this.lines) {
      if (line.place < first || line.place >= first + rows) line.hide();
    }
    // a place keeps the line that shows it, so that scrolling changes only the rows that come into sight
    for (let place = first; place < first + rows; place += 1) {
      const line = this.lines[place % this.lines.length];
      line.put(place, games.shown[place], this.cursor, this.playing, flying ? null : theme);
      if (!games.thumbnails.has(games.shown[place]) && !this.asked.has(games.shown[place])) wanted.push(games.shown[place]);
    }
    this.grid.setAttribute("aria-activedescendant", games.shown.length ? `${this.id}-${this.cursor}` : "");
    if (!games.shown.length) this.grid.removeAttribute("aria-activedescendant");
    if (wanted.length) {
      for (const number of wanted) this.asked.add(number);
      this.source.want(wanted);
    }
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || !this.source) return;
    const page = Math.max(1, Math.floor(this.scroller.clientHeight / ROW) - 2);
    const last = this.source.games.shown.length - 1;
    /** @type {Record<string, () => void>} */
    const keys = {
      ArrowDown: () => this.move(this.cursor + 1),
      ArrowUp: () => this.move(this.cursor - 1),
      PageDown: () => this.move(this.cursor + page),
      PageUp: () => this.move(this.cursor - page),
      Home: () => this.move(0),
      End: () => this.move(last),
      Enter: () => this.open(this.cursor),
      " ": () => this.open(this.cursor),
      n: () => this.step(1),
      p: () => this.step(-1),
      "/": () => this.input.focus(),
    };
    const action = keys[event.key] || keys[event.key.toLowerCase()];
    if (!action) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  }

  /** @param {number} place */
  move(place) {
    this.cursor = Math.max(0, Math.min(place, this.source.games.shown.length - 1));
    const top = this.cursor * ROW;
    const room = this.scroller.clientHeight - ROW - this.header.offsetHeight;
    if (top < this.scroller.scrollTop) this.scroller.scrollTop = top;
    else if (top > this.scroller.scrollTop + room) this.scroller.scrollTop = top - room;
    this.paint();
  }

  /**
   * Play the game before or after the one that plays.
   * @param {number} by
   */
  step(by) {
    const at = this.source.games.shown.indexOf(this.playing);
    this.open(Math.max(0, Math.min(at < 0 ? this.cursor : at + by, this.source.games.shown.length - 1)));
  }

  /** @param {number} place */
  open(place) {
    const number = this.source.games.shown[place];
    if (number === undefined) return;
    this.playing = number;
    this.move(place);
    this.source.open(number);
  }

  close() {
    cancelAnimationFrame(this.frame);
    clearTimeout(this.settled);
    this.unwatch();
    this.sizes.disconnect();
    this.root.remove();
  }
}

class Line {
  /** @param {Table} table */
  constructor(table) {
    this.table = table;
    this.row = make("div", "rlab-row", { role: "row" });
    this.canvas = /** @type {HTMLCanvasElement} */ (make("canvas", "rlab-thumbnail", { "aria-hidden": "true" }));
    this.cells = COLUMNS.map(([, , name]) => make("div", `rlab-cell rlab-${name}`, { role: "gridcell" }));
    this.cells[0].append(this.canvas);
    // the end of an id tells games of a day apart: what has no room is left out before it
    this.begin = make("span", "rlab-begin");
    this.end = make("span", "rlab-end");
    this.cells[1].append(this.begin, this.end);
    this.row.append(...this.cells);
    this.number = -1;
    this.place = -1;
    this.thumbnail = -1;
    this.flags = -1;
  }

  hide() {
    this.row.hidden = true;
    this.place = -1;
    this.row.removeAttribute("id");
  }

  /**
   * @param {number} place
   * @param {number} number
   * @param {number} cursor
   * @param {number} playing
   * @param {import("../types.js").Theme | null} theme none while the thumbnail is not to be drawn
   */
  put(place, number, cursor, playing, theme) {
    const { games } = this.table.source;
    if (this.place !== place) {
      this.place = place;
      this.row.hidden = false;
      this.row.id = `${this.table.id}-${place}`;
      this.row.style.transform = `translateY(${place * ROW}px)`;
      this.row.dataset.place = String(place);
      this.row.setAttribute("aria-rowindex", String(place + 2));
    }
    if (this.number !== number || this.games !== games) {
      this.number = number;
      this.games = games;
      this.thumbnail = -1;
      const name = games.name(number);
      const shown = name.length > 80 ? `${name.slice(0, 60)}\u2026${name.slice(-16)}` : name;
      put(this.begin, shown.slice(0, -END));
      put(this.end, shown.slice(-END));
      const texts = [
        moment(games.start[number]),
        span(games.seconds[number]),
        WHOLE.format(games.ticks[number]),
        price(games.peak[number]),
      ];
      texts.push(games.rug[number] < 0 ? "" : WHOLE.format(games.rug[number]));
      for (const [at, text] of texts.entries()) put(this.cells[at + 2], text);
      this.cells[1].title = name.length > 300 ? `${name.slice(0, 300)}\u2026` : name;
      if (this.flags !== games.flags[number]) {
        this.flags = games.flags[number];
        this.cells[7].replaceChildren(...games.flagged(number).map(badge));
      }
    }
    this.row.setAttribute("aria-selected", String(place === cursor));
    this.row.classList.toggle("rlab-playing", number === playing);
    if (!theme) {
      if (this.thumbnail < 0) this.canvas.width = 0;
      return;
    }
    if (this.thumbnail !== number && games.thumbnails.has(number)) {
      this.thumbnail = number;
      draw(this.canvas, games.thumbnails.get(number), theme, (games.flags[number] & 1) !== 0);
    } else if (this.thumbnail === -1) draw(this.canvas, null, theme, false);
  }
}

/** @param {string} name */
function badge(name) {
  return make("span", `rlab-badge rlab-badge-${FLAGS.indexOf(name)}`, { title: FLAG_HELP[name] }, name);
}

/** @param {number} ms */
function moment(ms) {
  return Number.isNaN(ms) ? "not recorded" : new Date(ms).toISOString().slice(0, 19).replace("T", " ");
}

/** @param {number} seconds */
function span(seconds) {
  if (Number.isNaN(seconds)) return "";
  const whole = Math.round(seconds);
  return whole < 60
    ? `${seconds.toFixed(1)} s`
    : `${Math.floor(whole / 60).toLocaleString("en")} min ${String(whole % 60).padStart(2, "0")} s`;
}

/** @param {number} value */
function price(value) {
  if (Number.isNaN(value)) return "";
  return Math.abs(value) >= 1e6 || (value && Math.abs(value) < 0.01) ? value.toExponential(2) : PRICE.format(value);
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {Uint8Array | null} points 255 where no price is known
 * @param {import("../types.js").Theme} theme
 * @param {boolean} rugged
 */
function draw(canvas, points, theme, rugged) {
  const ratio = window.devicePixelRatio || 1;
  const width = 92;
  const height = ROW - 10;
  if (canvas.width !== Math.round(width * ratio)) {
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
  }
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  if (!points) return;
  const step = (width - 4) / (POINTS - 1);
  let last = -1;
  context.beginPath();
  for (let at = 0; at < POINTS; at += 1) {
    if (points[at] === 255) continue;
    const y = height - 2 - (points[at] / 254) * (height - 4);
    if (last < 0) context.moveTo(2 + at * step, y);
    else context.lineTo(2 + at * step, y);
    last = at;
  }
  context.strokeStyle = theme.line;
  context.lineWidth = 1.4;
  context.lineJoin = "round";
  context.stroke();
  if (rugged && last >= 0) {
    const y = height - 2 - (points[last] / 254) * (height - 4);
    context.fillStyle = theme.rug;
    context.fillRect(2 + last * step - 2.5, y - 2.5, 5, 5);
  }
}
