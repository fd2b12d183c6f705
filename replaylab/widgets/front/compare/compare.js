// Compare: games over each other, aligned at a tick, with one playhead; drawn once, then shown up to the playhead.

import { choice, control, icon, make, put } from "../elements.js";
import { taken, unpack } from "../offline.js";
import { STYLE } from "../style.js";
import { logSteps, readTheme, roundSteps, watchTheme } from "../theme.js";
import { weakly } from "../weak.js";

// Okabe and Ito's colours, darkened or lightened to 3:1 on the paper; dashes and labels differ, too.
const ON_LIGHT = ["#0072B2", "#C04F00", "#00795A", "#A8477F", "#8A6D00", "#2E6F9E", "#5A5A5A", "#7A3E9D"];
const ON_DARK = ["#56B4E9", "#F0803C", "#2BC79A", "#E79BC6", "#F0E442", "#9AD0F5", "#C8C8C8", "#C7A0E8"];
const DASHES = [[], [7, 3], [2, 3], [9, 3, 2, 3], [], [7, 3], [2, 3], [9, 3, 2, 3]];
const TICKS_PER_SECOND = 4;
/** @type {[string, string][]} */
const SPEEDS = ["0.5", "1", "2", "5", "10", "25", "100"].map((speed) => [speed, `${speed}x`]);
/** @type {[string, string][]} */
const ALIGNMENTS = [
  ["tick", "at tick 0"],
  ["start", "at their first tick"],
  ["peak", "at their peak"],
];
const EDGE = { left: 56, right: 12, top: 22, bottom: 22 };
/** @type {Record<string, string>} */
const COUNTED = { tick: "tick", start: "from start", peak: "from peak" };

/** @typedef {{ id: string, origins: Record<string, number>, tick: Int32Array, price: Float64Array, rugged: boolean, shown: boolean, trades: [number, number, string, boolean][], profit: string }} Track */

class Comparison {
  /**
   * @param {HTMLElement} host
   * @param {number} height
   * @param {string} player names the comparison in its page, for what stands in for it
   */
  constructor(host, height, player) {
    /** @type {Track[]} */
    this.tracks = [];
    this.align = "tick";
    this.at = 0;
    this.low = 0;
    this.high = 1;
    this.playing = false;
    this.speed = 1;
    this.log = false;
    this.last = 0;
    this.frame = 0;
    this.frames = 0;
    this.build(height);
    if (player) this.root.dataset.player = player;
    host.append(this.root);
    const owner = host.getRootNode();
    const place = owner instanceof ShadowRoot ? owner : document.head;
    if (!place.querySelector("style.rlab-compare-style")) place.append(make("style", "rlab-compare-style", {}, STYLE));
    this.unwatch = weakly(this, this.redraw, watchTheme);
    this.sizes = new ResizeObserver(() => this.redraw());
    this.sizes.observe(this.stage);
  }

  /** @param {number} height */
  build(height) {
    this.root = make("section", "rlab rlab-compare", { "aria-label": "Games compared" });
    this.legend = make("div", "rlab-legend", { role: "group", "aria-label": "Games" });
    this.stage = control("div", "rlab-stage", {
      tabindex: "0",
      role: "application",
      "aria-label": "Prices of the games: space plays, arrows step",
    });
    this.stage.style.height = `${height}px`;
    this.canvas = /** @type {HTMLCanvasElement} */ (make("canvas", "rlab-canvas", { "aria-hidden": "true" }));
    this.stage.append(this.canvas);
    this.play = control("button", "rlab-button", { type: "button", "aria-label": "Play" });
    icon(this.play, "play");
    this.slider = /** @type {HTMLInputElement} */ (control("input", "rlab-line", { type: "range", "aria-label": "Tick", step: "1" }));
    this.place = make("span", "rlab-place");
    const speeds = choice("Speed", SPEEDS, (value) => {
      this.speed = Number(value);
    });
    speeds.value = "1";
    this.aligned = choice("Align", ALIGNMENTS, (value) => this.setAlign(value));
    this.scale = control("button", "rlab-button", { type: "button", "aria-pressed": "false" }, "Log");
    this.scale.addEventListener("click", () => {
      this.log = !this.log;
      this.scale.setAttribute("aria-pressed", String(this.log));
      this.redraw();
    });
    this.play.addEventListener("click", () => this.toggle());
    this.slider.addEventListener("input", () => this.seek(Number(this.slider.value)));
    this.stage.addEventListener("keydown", (event) => this.key(event));
    this.stage.addEventListener("pointerdown", (event) => this.point(event));
    const bar = make("div", "rlab-bar");
    bar.append(this.play, this.slider, this.place);
    const more = make("div", "rlab-bar");
    more.append(speeds, this.aligned, this.scale);
    this.root.append(this.legend, this.stage, bar, more);
  }

  /**
   * @param {string} align
   * @param {Track[]} tracks
   */
  show(align, tracks) {
    this.tracks = tracks;
    this.legend.replaceChildren();
    this.values = tracks.map((track, at) => {
      const button = control("button", "rlab-key", { type: "button", "aria-pressed": "true", title: track.id.slice(0, 300) });
      const swatch = make("canvas", "rlab-swatch", { "aria-hidden": "true", width: "28", height: "8" });
      const value = make("span", "rlab-value");
      const name = track.id.length > 28 ? `${track.id.slice(0, 18)}\u2026${track.id.slice(-8)}` : track.id;
      button.append(swatch, make("span", "", {}, track.profit ? `${name} profit ${track.profit}` : name), value);
      button.addEventListener("click", () => {
        track.shown = !track.shown;
        button.setAttribute("aria-pressed", String(track.shown));
        this.redraw();
      });
      this.legend.append(button);
      return { swatch: /** @type {HTMLCanvasElement} */ (swatch), value, at };
    });
    this.setAlign(align);
    this.root.dataset.row = "0";
  }

  /** @param {string} align */
  setAlign(align) {
    this.align = align;
    this.aligned.value = align;
    const used = this.tracks.filter((track) => track.tick.length);
    this.low = Math.min(...used.map((track) => track.tick[0] - track.origins[align]), 0);
    this.high = Math.max(...used.map((track) => track.tick[track.tick.length - 1] - track.origins[align]), this.low + 1);
    this.slider.min = String(this.low);
    this.slider.max = String(this.high);
    this.seek(this.low);
    this.redraw();
  }

  /** @param {number} at */
  seek(at) {
    this.at = Math.max(this.low, Math.min(at, this.high));
    this.soon();
  }

  toggle() {
    this.playing = !this.playing;
    if (this.playing && this.at >= this.high) this.at = this.low;
    this.last = performance.now();
    icon(this.play, this.playing ? "pause" : "play");
    this.play.setAttribute("aria-label", this.playing ? "Pause" : "Play");
    this.soon();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const step = event.shiftKey ? 20 : 1;
    /** @type {Record<string, () => void>} */
    const keys = {
      " ": () => this.toggle(),
      ArrowLeft: () => this.seek(Math.ceil(this.at) - step),
      ArrowRight: () => this.seek(Math.floor(this.at) + step),
      ",": () => this.seek(Math.ceil(this.at) - 1),
      ".": () => this.seek(Math.floor(this.at) + 1),
      Home: () => this.seek(this.low),
      End: () => this.seek(this.high),
    };
    const tenth = /^[0-9]$/.test(event.key) ? Number(event.key) / 10 : -1;
    if (!keys[event.key] && tenth < 0) return;
    event.preventDefault();
    event.stopPropagation();
    if (tenth < 0) keys[event.key]();
    else this.seek(Math.round(this.low + tenth * (this.high - this.low)));
  }

  /** @param {PointerEvent} event */
  point(event) {
    const box = this.stage.getBoundingClientRect();
    const share = (event.clientX - box.left - EDGE.left) / (box.width - EDGE.left - EDGE.right);
    this.seek(Math.round(this.low + share * (this.high - this.low)));
  }

  soon() {
    if (!this.frame) this.frame = requestAnimationFrame((now) => this.tick(now));
  }

  /** @param {number} now */
  tick(now) {
    this.frame = 0;
    if (this.playing) {
      this.at = Math.min(this.high, this.at + ((now - this.last) / 1000) * TICKS_PER_SECOND * this.speed);
      this.last = now;
      if (this.at >= this.high) this.toggle();
      else if (this.root.isConnected) this.soon(); // frames would keep what was dropped with its cell
    }
    this.paint();
  }

  /** The prices between which the axis goes. */
  bounds() {
    let least = Number.POSITIVE_INFINITY;
    let most = Number.NEGATIVE_INFINITY;
    for (const track of this.tracks) {
      if (!track.shown) continue;
      for (const price of track.price) {
        if (price < least && (!this.log || price > 0)) least = price;
        if (price > most) most = price;
      }
    }
    if (!(most > Number.NEGATIVE_INFINITY)) return [0, 1];
    if (!this.log) least = Math.min(least, 0);
    return most > least ? [least, most] : [least / 2, most * 2 || 1];
  }

  redraw() {
    const ratio = window.devicePixelRatio || 1;
    this.width = this.stage.clientWidth;
    this.height = this.stage.clientHeight;
    if (!this.width || !this.tracks.length) return;
    this.theme = readTheme(this.root);
    const colours = this.theme.line === "#56B4E9" ? ON_DARK : ON_LIGHT;
    this.colours = colours;
    this.paper = layer(this.width, this.height, ratio);
    this.lines = layer(this.width, this.height, ratio);
    const [least, most] = this.bounds();
    const room = this.height - EDGE.top - EDGE.bottom;
    const scaled = (/** @type {number} */ price) =>
      this.log ? Math.log(price / least) / Math.log(most / least) : (price - least) / (most - least);
    this.x = (/** @type {number} */ tick) =>
      EDGE.left + ((tick - this.low) / (this.high - this.low)) * (this.width - EDGE.left - EDGE.right);
    this.y = (/** @type {number} */ price) => EDGE.top + (1 - scaled(price)) * room;
    this.axes(this.paper.context, least, most);
    if (!this.tracks.some((track) => track.tick.length)) this.blank(this.paper.context);
    this.tracks.forEach((track, at) => {
      if (track.shown) this.curve(this.lines.context, track, colours[at], DASHES[at]);
      if (track.shown) this.trades(this.lines.context, track, colours[at]);
      const swatch = this.values[at].swatch.getContext("2d");
      swatch.clearRect(0, 0, 28, 8);
      stroke(swatch, colours[at], DASHES[at], 2.4);
      swatch.beginPath();
      swatch.moveTo(0, 4);
      swatch.lineTo(28, 4);
      swatch.stroke();
    });
    this.canvas.width = Math.round(this.width * ratio);
    this.canvas.height = Math.round(this.height * ratio);
    this.ratio = ratio;
    this.paint();
    if (this.playing) this.soon(); // its cell is back in the page
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} least
   * @param {number} most
   */
  axes(context, least, most) {
    context.font = this.theme.font;
    context.fillStyle = this.theme.faint;
    context.strokeStyle = this.theme.grid;
    context.textBaseline = "middle";
    context.textAlign = "right";
    const prices = this.log ? logSteps(least, most, 6) : roundSteps(least, most, 5);
    for (const price of prices.found) {
      const y = this.y(price);
      context.beginPath();
      context.moveTo(EDGE.left, y);
      context.lineTo(this.width - EDGE.right, y);
      context.stroke();
      context.fillText(Number(price.toPrecision(6)).toLocaleString("en"), EDGE.left - 6, y);
    }
    context.textBaseline = "alphabetic";
    context.fillText("price", EDGE.left - 6, 11);
    context.fillText(COUNTED[this.align], EDGE.left - 6, this.height - 6, EDGE.left - 8);
    context.textAlign = "center";
    for (const tick of roundSteps(this.low, this.high, Math.max(3, this.width / 110)).found) {
      if (this.x(tick) < EDGE.left) continue;
      context.fillText((tick || 0).toLocaleString("en"), this.x(tick), this.height - 6);
    }
  }

  /** @param {CanvasRenderingContext2D} context */
  blank(context) {
    context.fillStyle = this.theme.ink;
    context.textAlign = "center";
    context.fillText("no live tick was recorded: there is no price to draw", this.width / 2, this.height / 2, this.width - 20);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Track} track
   * @param {string} colour
   * @param {number[]} dash
   */
  curve(context, track, colour, dash) {
    const origin = track.origins[this.align];
    stroke(context, colour, dash, 1.8);
    context.beginPath();
    let before = Number.NaN;
    track.tick.forEach((tick, at) => {
      const price = track.price[at];
      if (Number.isNaN(price) || (this.log && price <= 0)) {
        before = Number.NaN;
        return;
      }
      if (tick - before === 1) context.lineTo(this.x(tick - origin), this.y(price));
      else context.moveTo(this.x(tick - origin), this.y(price));
      before = tick;
    });
    context.stroke();
  }

  // Entries point up, below the line; exits point down, above it, hollow where something was lost.
  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Track} track
   * @param {string} colour
   */
  trades(context, track, colour) {
    context.setLineDash([]);
    for (const [opened, closed, kind, won] of track.trades || []) {
      this.arrow(context, track, opened, 1, colour, true);
      if (kind === "position") this.arrow(context, track, closed, -1, colour, won);
    }
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {Track} track
   * @param {number} tick
   * @param {number} way 1 is up
   * @param {string} colour
   * @param {boolean} filled
   */
  arrow(context, track, tick, way, colour, filled) {
    const price = track.price[index(track.tick, tick)];
    if (price === undefined || Number.isNaN(price) || (this.log && price <= 0)) return;
    const x = this.x(tick - track.origins[this.align]);
    const y = Math.max(EDGE.top + 10, Math.min(this.height - EDGE.bottom - 10, this.y(price) + 3 * way));
    context.beginPath();
    context.moveTo(x, y);
    context.lineTo(x - 5, y + 8 * way);
    context.lineTo(x + 5, y + 8 * way);
    context.closePath();
    context.fillStyle = filled ? colour : this.theme.paper;
    context.strokeStyle = colour;
    context.lineWidth = 1.5;
    context.fill();
    context.stroke();
  }

  paint() {
    if (!this.lines) return;
    const context = this.canvas.getContext("2d");
    const x = this.x(this.at);
    const { ratio } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    context.drawImage(this.paper.canvas, 0, 0);
    context.globalAlpha = 0.28;
    context.drawImage(this.lines.canvas, 0, 0);
    context.globalAlpha = 1;
    const wide = Math.round(x * ratio);
    if (wide > 0) context.drawImage(this.lines.canvas, 0, 0, wide, this.canvas.height, 0, 0, wide, this.canvas.height);
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.strokeStyle = this.theme.ink;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(x, EDGE.top);
    context.lineTo(x, this.height - EDGE.bottom);
    context.stroke();
    const now = Math.floor(this.at + 1e-9);
    this.tracks.forEach((track, at) => {
      const found = index(track.tick, now + track.origins[this.align]);
      const price = found < 0 ? Number.NaN : track.price[found];
      const over = found === track.tick.length - 1 && track.rugged;
      put(
        this.values[at].value,
        !track.tick.length ? "no live tick" : Number.isNaN(price) ? "" : `${price.toFixed(2)}${over ? " rug" : ""}`,
      );
      if (!track.shown || Number.isNaN(price) || (this.log && price <= 0)) return;
      context.fillStyle = this.colours[at];
      context.beginPath();
      context.arc(this.x(track.tick[found] - track.origins[this.align]), this.y(price), 3.5, 0, 7);
      context.fill();
    });
    this.slider.value = String(now);
    put(this.place, `tick ${now.toLocaleString("en")}`);
    this.frames += 1;
    this.root.dataset.frames = String(this.frames);
    this.root.dataset.tick = String(now);
  }

  close() {
    cancelAnimationFrame(this.frame);
    this.unwatch();
    this.sizes.disconnect();
    this.root.remove();
  }
}

/**
 * @param {number} width
 * @param {number} height
 * @param {number} ratio
 */
function layer(width, height, ratio) {
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  return { canvas, context };
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {string} colour
 * @param {number[]} dash
 * @param {number} width
 */
function stroke(context, colour, dash, width) {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.lineJoin = "round";
  context.setLineDash(dash);
}

/**
 * Return the place of the last tick that is not after `tick`; -1 when there is none.
 * @param {Int32Array} ticks
 * @param {number} tick
 */
function index(ticks, tick) {
  let low = 0;
  let high = ticks.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ticks[middle] <= tick) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/**
 * @param {any} content
 * @param {DataView[]} buffers
 * @returns {Track[]}
 */
function read(content, buffers) {
  const copy = (/** @type {DataView} */ view) => view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
  return content.games.map((/** @type {any} */ game, /** @type {number} */ at) => ({
    ...game,
    shown: true,
    tick: new Int32Array(copy(buffers[2 * at])),
    price: new Float64Array(copy(buffers[2 * at + 1])),
  }));
}

const create = () => {
  /** @type {Set<Comparison>} */
  const views = new Set();
  /** @type {{ content: any, buffers: DataView[] } | null} */
  let held = null;
  return {
    /** @param {{ model: import("../types.js").Model }} given */
    initialize({ model }) {
      const hear = (/** @type {any} */ content, /** @type {DataView[]} */ buffers) => {
        if (content.kind === "align") for (const view of views) view.setAlign(content.align);
        if (content.kind !== "compare") return;
        held = { content, buffers };
        for (const view of views) view.show(content.align, read(content, buffers));
      };
      model.on("msg:custom", hear);
      model.send({ kind: "ready" });
      return () => model.off("msg:custom", hear);
    },
    /** @param {{ model: import("../types.js").Model, el: HTMLElement }} given */
    render({ model, el }) {
      const view = new Comparison(el, Number(model.get("height")) || 320, model.get("player_id"));
      views.add(view);
      if (held) view.show(held.content.align, read(held.content, held.buffers));
      return () => {
        views.delete(view);
        view.close();
      };
    },
  };
};

/**
 * Show a comparison that has no kernel.
 * @param {string} name of the element
 * @param {{ align: string, height: number, games: object[] }} content
 * @param {[number, string][]} columns packed: ticks and prices of each game
 */
create.offline = async (name, content, columns) => {
  const host = await taken(name);
  if (!host) return;
  const tracks = read(content, await Promise.all(columns.map(unpack)));
  host.querySelector(".rlab-still")?.remove();
  new Comparison(host, content.height, "").show(content.align, tracks);
};

export default create;
