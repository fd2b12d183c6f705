// Chart: price over rows on a canvas. What changes seldom is painted on layers; a frame copies them and adds the cursor.

import { candleStart, paintCandle, paintCandles } from "./candles.js";
import { axisText } from "./digits.js";
import { Labels } from "./labels.js";
import { FOOT, HEAD, line, nameGaps, paintEvents, paintGaps, paintGrid, paintPath, paintPhases, paintTicks, paintWords } from "./paint.js";
import { logSteps, roundSteps } from "./theme.js";
import { paintTrades } from "./trades.js";

const LEAST_ROWS = 8;

export class Chart {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {import("./session.js").Session} session
   */
  constructor(canvas, session) {
    this.canvas = canvas;
    this.session = session;
    this.under = document.createElement("canvas");
    this.over = document.createElement("canvas");
    this.labels = new Labels();
    this.start = 0;
    this.span = 1;
    this.whole = true; // shows every row
    this.follow = true; // the view moves along with the playhead
    this.key = "";
    this.edition = 0;
    this.pair = [0, 0];
    this.extent = [0, 1];
    this.margin = 0; // pixels that the axes of panels below need
  }

  /**
   * @param {number} width
   * @param {number} height
   */
  resize(width, height) {
    const ratio = window.devicePixelRatio || 1;
    for (const canvas of [this.canvas, this.under, this.over]) {
      canvas.width = Math.max(1, Math.round(width * ratio));
      canvas.height = Math.max(1, Math.round(height * ratio));
    }
    this.ratio = ratio;
    this.width = width;
    this.height = height;
    this.stale();
  }

  stale() {
    this.edition += 1;
  }

  // Leave at least so much room for the axis, so that those of the panels are seen whole.
  /** @param {number} pixels */
  widen(pixels) {
    if (pixels <= this.margin) return;
    this.margin = pixels;
    this.stale();
    this.session.schedule();
  }

  // Rows and pixels. A row's middle is half a row from its edge, so that one row stands in the middle of its plot.
  /** @param {number} row */
  x(row) {
    return this.left + ((row + 0.5 - this.start) / this.span) * (this.right - this.left);
  }

  /** @param {number} x */
  row(x) {
    return this.session.track.clamp(Math.floor(this.start + ((x - this.left) / (this.right - this.left)) * this.span));
  }

  /** @param {number} price */
  y(price) {
    const [low, high] = this.extent;
    const part = this.log ? Math.log(price / low) / Math.log(high / low) : (price - low) / (high - low);
    return this.bottom - Math.max(-1, Math.min(2, part)) * (this.bottom - HEAD);
  }

  // First row of the whole view: the live part gets the width, unless somebody looks at what came before.
  fold() {
    const { track, row } = this.session;
    const from = track.facts.live_row;
    if (track.live || !(from > track.base) || (row > track.base && row < from)) return track.base;
    return Math.max(track.base, from - Math.ceil((track.last - from) * 0.03) - 1);
  }

  // Which rows are in sight.
  frame_rows() {
    const { track, row } = this.session;
    if (this.whole) {
      this.start = this.fold();
      const rows = track.last + 1 - this.start;
      this.span = track.blind ? Math.max(60, rows / 0.85) : Math.max(1, rows); // blind: room that says nothing
      return;
    }
    if (this.follow) {
      const edge = this.start + this.span * 0.85;
      if (row > edge) this.start += row - edge;
      else if (row < this.start + this.span * 0.05) this.start = row - this.span * 0.3;
    }
    this.start = Math.max(track.base - this.span * 0.1, Math.min(track.last + 1 - this.span * 0.15, this.start));
  }

  /**
   * @param {number} factor
   * @param {number} x
   */
  zoom(factor, x) {
    const { track } = this.session;
    const middle = this.start + ((x - this.left) / (this.right - this.left)) * this.span;
    const span = Math.max(Math.min(LEAST_ROWS, track.size), Math.min(track.size, this.span * factor));
    this.whole = span >= track.size;
    this.start = middle - ((middle - this.start) * span) / this.span;
    this.span = span;
    const { row } = this.session;
    if (row + 1 <= this.start || row >= this.start + span) this.follow = false; // the playhead is out of sight, by a row at least
  }

  /** @param {number} pixels */
  pan(pixels) {
    if (this.whole) return;
    this.follow = false;
    this.start -= (pixels / (this.right - this.left)) * this.span;
  }

  fit() {
    this.whole = true;
    this.follow = true;
  }

  // Least and greatest price shown, with room; what lies ahead counts only when it is drawn.
  measure() {
    const { track, row, shown } = this.session;
    const from = Math.max(track.base, Math.floor(this.start));
    const to = Math.min(track.last, shown.ahead ? Math.ceil(this.start + this.span) : row);
    this.log = shown.log;
    let [low, high] = [Infinity, -Infinity];
    if (to >= from && track.range(from, to + 1, this.pair)) [low, high] = this.pair;
    if (this.log && low <= 0) low = this.least(from, to);
    if (low > high) {
      this.blank = track.size ? "no price here" : "no row";
      return [this.log ? 0.5 : 0, 1.5];
    }
    this.blank = "";
    if (this.log) {
      const room = Math.max(high / low, 1.2) ** 0.06;
      return [low / room, high * room * room];
    }
    const spread = high - low || Math.abs(high) * 0.2 || 1;
    const near = low >= 0 && low < spread * 1.5; // near zero: show zero
    return [near ? -spread * 0.02 : low - spread * 0.08, high + spread * 0.14];
  }

  /**
   * @param {number} from
   * @param {number} to
   */
  least(from, to) {
    let low = Infinity;
    for (let row = from; row <= to; row += 1) {
      const price = this.session.track.price(row);
      if (price > 0 && price < low) low = price;
    }
    return low;
  }

  /**
   * @param {import("./types.js").Theme} theme
   * @param {number} hover
   */
  paint(theme, hover) {
    const { track, row } = this.session;
    const context = this.canvas.getContext("2d");
    if (!this.width || this.width < 40) return;
    this.theme = theme;
    if (!track) return;
    this.right = this.width - 10;
    this.bottom = this.height - FOOT;
    if (this.left === undefined) this.left = 48;
    this.frame_rows();
    const extent = this.measure();
    const { ahead } = this.session.shown;
    const passed = ahead ? -1 : track.facts.events.filter((event) => event.row <= row).length;
    const side = row < this.start - 1 ? -1 : Number(row >= this.start + this.span);
    const key = [
      this.edition,
      this.start,
      this.span,
      extent[0],
      extent[1],
      this.log,
      ahead,
      this.session.shown.candles,
      passed,
      side,
      ...this.session.loop,
      ...this.session.selection,
      theme.ink,
      theme.paper,
    ].join();
    if (key !== this.key) {
      this.extent = extent;
      this.key = key;
      this.paintLayers();
    }
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(this.under, 0, 0);
    const begun = candleStart(this, row); // of a candle that is not complete nothing is shown but what was
    const edge = begun === null ? this.x(row) + (track.size < 3 ? 6 : 0.75) : this.x(begun - 0.5);
    const upto = Math.round(Math.max(0, Math.min(this.right, edge)) * this.ratio);
    if (track.size && upto > 0) context.drawImage(this.over, 0, 0, upto, this.over.height, 0, 0, upto, this.over.height);
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    if (begun !== null) {
      context.save();
      context.beginPath();
      context.rect(this.left, 0, this.right - this.left + 4, this.bottom + 1);
      context.clip();
      paintCandle(context, this, begun, row);
      context.restore();
    }
    paintWords(context, this);
    this.paintCursor(context, row);
    if (hover !== null) this.paintHover(context, hover);
  }

  paintLayers() {
    const under = this.under.getContext("2d");
    const over = this.over.getContext("2d");
    for (const context of [under, over]) {
      context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
      context.clearRect(0, 0, this.width, this.height);
      context.font = this.theme.font;
    }
    under.fillStyle = this.theme.paper;
    under.fillRect(0, 0, this.width, this.height);
    const [low, high] = this.extent;
    const marks = this.log ? logSteps(low, high, this.height / 42) : roundSteps(low, high, this.height / 52);
    const texts = marks.found.map((mark) => axisText(mark, marks.step));
    const title = under.measureText(this.log ? "log price" : "price").width + 4;
    this.left = Math.ceil(Math.max(30, title, this.margin, ...texts.map((text) => under.measureText(text).width + 12)));
    const bets = this.session.trades?.trades.some((trade) => trade.kind === "bet");
    this.labels.begin(this.left, HEAD + (bets ? 11 : 1), this.right + 4, this.bottom);
    paintPhases(under, this);
    this.paintRange(under, this.session.selection, this.theme.line, 0.16);
    this.paintRange(under, this.session.loop, this.theme.mark, 0.14, "AB");
    paintGrid(under, this, marks.found, texts);
    paintTicks(under, this);
    for (const context of [under, over]) {
      context.save();
      context.beginPath();
      context.rect(this.left, 0, this.right - this.left + 4, this.bottom + 1);
      context.clip();
    }
    const { row } = this.session;
    if (this.session.shown.ahead && row < this.start + this.span) paintPath(under, this, this.theme.ahead, 1);
    if (this.session.shown.candles) paintCandles(over, this);
    else if (row >= this.start - 1) paintPath(over, this, this.theme.line, 1.75);
    paintGaps(under, this);
    paintEvents(under, this);
    nameGaps(under, this);
    if (this.session.shown.ahead) paintTrades(under, this, 0.35);
    paintTrades(over, this, 1);
    under.restore();
    over.restore();
    if (this.blank) {
      under.fillStyle = this.theme.ink;
      under.textAlign = "center";
      under.fillText(this.blank, (this.left + this.right) / 2, (HEAD + this.bottom) / 2);
    }
  }

  // Shade rows from the first to the last, both included.
  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("./types.js").Loop} rows
   * @param {string} color
   * @param {number} strength
   * @param {string} [names]
   */
  paintRange(context, [first, last], color, strength, names = "") {
    if (first === null || last === null) return;
    const from = Math.max(this.left, this.x(first - 0.5));
    const to = Math.min(this.right, this.x(last + 0.5));
    if (to <= from) return;
    context.fillStyle = context.strokeStyle = color;
    context.globalAlpha = strength;
    context.fillRect(from, HEAD, to - from, this.bottom - HEAD);
    context.globalAlpha = 1;
    line(context, from, HEAD, from, this.bottom);
    line(context, to, HEAD, to, this.bottom);
    if (!names || to - from < 26) return;
    this.labels.reserve(from, this.bottom - 17, from + 13, this.bottom);
    this.labels.reserve(to - 13, this.bottom - 17, to, this.bottom);
    context.font = this.theme.font;
    context.textBaseline = "bottom";
    context.textAlign = "left";
    context.fillText(names[0], from + 3, this.bottom - 3);
    context.textAlign = "right";
    context.fillText(names[1], to - 3, this.bottom - 3);
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} row
   */
  paintCursor(context, row) {
    const { track } = this.session;
    const x = this.x(row);
    if (!track.size || x < this.left - 1 || x > this.right + 1) return;
    context.strokeStyle = this.theme.ink;
    context.globalAlpha = 0.55;
    line(context, x, HEAD, x, this.bottom);
    context.globalAlpha = 1;
    if (track.facts.events.some((event) => event.row === row)) return; // its own mark says where it is
    const price = track.price(row);
    if (Number.isNaN(price) || (this.log && price <= 0)) return;
    context.beginPath();
    context.arc(x, this.y(price), 4.5, 0, 7);
    context.fillStyle = this.theme.line;
    context.fill();
    context.lineWidth = 1.5;
    context.strokeStyle = this.theme.paper;
    context.stroke();
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {number} row
   */
  paintHover(context, row) {
    const x = this.x(row);
    context.strokeStyle = this.theme.faint;
    context.setLineDash([3, 3]);
    line(context, x, HEAD, x, this.bottom);
    const price = this.session.track.price(row);
    if (!Number.isNaN(price) && !(this.log && price <= 0)) {
      line(context, this.left, this.y(price), this.right, this.y(price));
      context.setLineDash([]);
      context.strokeStyle = this.theme.ink;
      context.beginPath();
      context.arc(x, this.y(price), 3.5, 0, 7);
      context.stroke();
    }
    context.setLineDash([]);
  }
}
