// Seek bar: the browser's own range input, so that mouse, touch and screen readers work, over a painted track that
// shows phases, gaps, events, marks and the loop.

import { spanText } from "./digits.js";
import { control, make, put } from "./elements.js";
import { hatch, SHAPES, shape } from "./paint.js";
import { TINTS } from "./theme.js";
import { PHASE } from "./track.js";
import { paintFillsOnBar } from "./trades.js";

const THUMB = 14;

export class SeekBar {
  /** @param {import("./session.js").Session} session */
  constructor(session) {
    this.session = session;
    this.root = make("div", "rlab-seek");
    this.canvas = make("canvas", "rlab-track", { "aria-hidden": "true" });
    this.input = control("input", "rlab-range", { type: "range", step: "1", min: "0", max: "0", "aria-label": "Position in the game" });
    this.tip = make("div", "rlab-tip rlab-bar-tip", { "aria-hidden": "true" });
    this.tip.hidden = true;
    this.root.append(this.canvas, this.input, this.tip);
    this.root.addEventListener("pointermove", (event) => this.point(event.clientX - this.root.getBoundingClientRect().left));
    this.root.addEventListener("pointerleave", () => {
      this.tip.hidden = true;
    });
    this.input.addEventListener("input", () => session.seek(Number(this.input.value)));
    this.key = "";
    this.said = 0;
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    this.width = this.root.clientWidth;
    this.height = this.root.clientHeight;
    this.canvas.width = Math.max(1, Math.round(this.width * ratio));
    this.canvas.height = Math.max(1, Math.round(this.height * ratio));
    this.ratio = ratio;
    this.key = "";
  }

  /** @param {number} row */
  x(row) {
    const { track } = this.session;
    const part = track.size > 1 ? (row - track.base) / (track.size - 1) : 0.5;
    return THUMB / 2 + Math.max(0, Math.min(1, part)) * (this.width - THUMB);
  }

  /**
   * @param {import("./types.js").Theme} theme
   * @param {number} now
   */
  paint(theme, now) {
    const { track, row, loop, marks } = this.session;
    if (!track || !this.width) return;
    const max = String(Math.max(track.base, track.last));
    if (this.input.max !== max || this.input.min !== String(track.base)) {
      this.input.min = String(track.base);
      this.input.max = max;
      this.key = "";
    }
    this.input.disabled = track.size < 2;
    if (this.input.value !== String(row)) this.input.value = String(row);
    if (!this.session.playing || now - this.said > 1000) {
      this.said = now;
      this.input.setAttribute("aria-valuetext", positionText(this.session));
    }
    const key = [
      theme.ink,
      theme.paper,
      ...loop,
      marks.length,
      track.facts.gaps.length,
      this.session.trades?.fills.length,
      this.loaded(),
    ].join();
    if (key === this.key) return;
    this.key = key;
    this.paintTrack(theme);
  }

  // Say what lies at the pointer: a gap with its cause, an event or a mark near it, else the tick.
  /** @param {number} at */
  point(at) {
    const { track, marks } = this.session;
    if (!track?.size) return;
    const near = [...track.facts.gaps, ...track.facts.events, ...marks].find((one) => Math.abs(this.x(one.row) - at) < 4);
    const part = Math.max(0, Math.min(1, (at - THUMB / 2) / (this.width - THUMB)));
    const said = track.describe(near ? track.clamp(near.row) : track.clamp(track.base + Math.round(part * (track.size - 1))));
    this.tip.hidden = false;
    put(this.tip, [near?.label, said.tick, said.price, track.since(said.row)].filter(Boolean).join(", "));
    const left = Math.max(0, Math.min(this.width - this.tip.offsetWidth, at - this.tip.offsetWidth / 2));
    this.tip.style.transform = `translate(${Math.round(left)}px, ${-this.tip.offsetHeight - 2}px)`;
  }

  loaded() {
    return this.session.track.chunks.filter((known) => known === 2).length;
  }

  /** @param {import("./types.js").Theme} theme */
  paintTrack(theme) {
    const { track, loop, marks } = this.session;
    const context = this.canvas.getContext("2d");
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    const top = this.height / 2 - 4;
    context.fillStyle = theme.grid;
    context.fillRect(THUMB / 2, top, this.width - THUMB, 8);
    if (!track.size) return;
    this.paintBands(context, top);
    for (const gap of track.facts.gaps) {
      const x = this.x(gap.row - 0.5);
      context.fillStyle = theme.paper;
      context.fillRect(x - 2.5, top - 1, 5, 10);
      hatch(context, x - 2.5, top - 1, 5, 10, theme.ink);
    }
    paintFillsOnBar(context, this, theme, top);
    const [a, b] = loop;
    context.fillStyle = theme.mark;
    if (a !== null && b !== null) context.fillRect(this.x(a), top - 5, this.x(b) - this.x(a), 3);
    for (const [place, toward] of [
      [a, 1],
      [b, -1],
    ]) {
      if (place === null) continue;
      context.fillRect(this.x(place) - 1, top - 5, 2, 18);
      context.fillRect(this.x(place), top - 5, 5 * toward, 3);
    }
    const events = [...track.facts.events, ...marks.map((mark) => ({ ...mark, kind: "mark" }))];
    for (const event of events) {
      const level = event.kind === "mark" ? top - 5 : top + 13;
      context.save();
      context.translate(this.x(event.row), level);
      context.scale(0.75, 0.75);
      shape(context, event.shape || SHAPES[event.kind], 0, 0, event.colour || theme[event.kind] || theme.ink, theme.paper);
      context.restore();
    }
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} top
   */
  paintBands(context, top) {
    const { track } = this.session;
    for (let x = Math.floor(THUMB / 2); x < this.width - THUMB / 2; x += 1) {
      const part = (x - THUMB / 2) / (this.width - THUMB);
      const phase = track.facts.phases[track.flags(track.clamp(track.base + Math.round(part * (track.size - 1)))) & PHASE];
      if (!TINTS[phase]) continue;
      context.fillStyle = TINTS[phase];
      context.fillRect(x, top, 1, 8);
      context.fillRect(x, top, 1, 8); // twice: a narrow band needs a stronger tint
    }
  }
}

/** @param {import("./session.js").Session} session */
function positionText(session) {
  const { track, row, head } = session;
  if (!track.size) return "no row";
  const said = track.describe(row);
  const past = spanText(head.due(row) - head.due(track.base));
  if (track.blind) return `${said.tick}, price ${said.price}, ${said.phase}, ${past}`;
  return `${said.tick}, price ${said.price}, ${said.phase}, ${past} of ${spanText(head.due(track.last) - head.due(track.base))}`;
}
