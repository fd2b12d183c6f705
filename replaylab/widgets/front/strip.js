// Strip: a panel below the price, over the same rows: a line or bars, its name and its value at the playhead.

import { axisText } from "./digits.js";
import { line } from "./paint.js";

const TOP = 15; // pixels for the name

export class Strip {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {import("./session.js").Session} session
   * @param {import("./chart.js").Chart} chart
   * @param {number} number
   */
  constructor(canvas, session, chart, number) {
    this.canvas = canvas;
    this.session = session;
    this.chart = chart;
    this.number = number;
    this.under = document.createElement("canvas");
    this.over = document.createElement("canvas");
    this.key = "";
    this.extent = [0, 1];
  }

  resize() {
    const { ratio } = this.chart;
    this.width = this.canvas.clientWidth;
    this.height = this.canvas.clientHeight;
    for (const canvas of [this.canvas, this.under, this.over]) {
      canvas.width = Math.max(1, Math.round(this.width * ratio));
      canvas.height = Math.max(1, Math.round(this.height * ratio));
    }
    this.key = "";
  }

  /** @param {number} value */
  y(value) {
    const [low, high] = this.extent;
    return this.height - 3 - ((value - low) / (high - low)) * (this.height - 3 - TOP);
  }

  rows() {
    const { track, row, shown } = this.session;
    const from = Math.max(track.base, Math.floor(this.chart.start) - 1);
    const to = Math.min(track.last, shown.ahead ? Math.ceil(this.chart.start + this.chart.span) : row);
    return [from, to];
  }

  measure() {
    const { track } = this.session;
    const bars = track.facts.panels[this.number].kind === "bars";
    let [low, high] = bars ? [0, 0] : [Infinity, -Infinity];
    const [from, to] = this.rows();
    for (let row = from; row <= to; row += 1) {
      const value = track.panel(this.number, row);
      if (value < low) low = value;
      if (value > high) high = value;
    }
    if (low > high) return null;
    return low === high ? [low - (Math.abs(low) || 1) * 0.1, high + (Math.abs(high) || 1) * 0.1] : [low, high];
  }

  /**
   * @param {import("./types.js").Theme} theme
   * @param {number | null} hover
   */
  paint(theme, hover) {
    const { chart, session } = this;
    const { track, row } = session;
    if (!this.width || chart.left === undefined || !track.size) return;
    const key = [chart.key, track.last, session.shown.ahead ? 0 : row, this.width].join();
    if (key !== this.key) {
      this.key = key;
      this.paintLayers(theme);
    }
    const context = this.canvas.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.drawImage(this.under, 0, 0);
    const upto = Math.round(Math.max(0, Math.min(chart.right, chart.x(row) + 0.75)) * chart.ratio);
    if (upto > 0) context.drawImage(this.over, 0, 0, upto, this.over.height, 0, 0, upto, this.over.height);
    context.setTransform(chart.ratio, 0, 0, chart.ratio, 0, 0);
    const x = chart.x(row);
    if (x >= chart.left && x <= chart.right) {
      context.strokeStyle = theme.ink;
      context.globalAlpha = 0.55;
      line(context, x, 0, x, this.height);
      context.globalAlpha = 1;
    }
    if (hover !== null) this.paintHover(context, theme, hover);
    context.font = theme.font;
    context.textAlign = "left";
    context.textBaseline = "top";
    context.fillStyle = theme.ink;
    context.fillText(`${track.facts.panels[this.number].name}  ${this.value(hover === null ? row : hover)}`, chart.left + 4, 2);
  }

  /** @param {number} row */
  value(row) {
    const value = this.session.track.panel(this.number, row);
    return Number.isNaN(value) ? "no value" : String(Number(value.toPrecision(7)));
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("./types.js").Theme} theme
   * @param {number} hover
   */
  paintHover(context, theme, hover) {
    const x = this.chart.x(hover);
    const value = this.session.track.panel(this.number, hover);
    context.strokeStyle = theme.faint;
    context.setLineDash([3, 3]);
    line(context, x, 0, x, this.height);
    if (!Number.isNaN(value)) line(context, this.chart.left, this.y(value), this.chart.right, this.y(value));
    context.setLineDash([]);
  }

  /** @param {import("./types.js").Theme} theme */
  paintLayers(theme) {
    const under = this.under.getContext("2d");
    const over = this.over.getContext("2d");
    const { chart, session } = this;
    for (const context of [under, over]) {
      context.setTransform(chart.ratio, 0, 0, chart.ratio, 0, 0);
      context.clearRect(0, 0, this.width, this.height);
      context.font = theme.font;
    }
    under.fillStyle = theme.paper;
    under.fillRect(0, 0, this.width, this.height);
    under.strokeStyle = theme.grid;
    line(under, chart.left, this.height - 1, chart.right, this.height - 1);
    const extent = this.measure();
    if (!extent) return;
    this.extent = extent;
    if (session.track.facts.panels[this.number].kind === "bars") line(under, chart.left, this.y(0), chart.right, this.y(0));
    under.fillStyle = theme.ink;
    under.textAlign = "right";
    under.textBaseline = "middle";
    const [low, high] = extent;
    for (const value of [low, high]) {
      const text = axisText(Number(value.toPrecision(3)), 0);
      chart.widen(Math.ceil(under.measureText(text).width + 12));
      under.fillText(text, chart.left - 6, Math.max(8, this.y(value) - (value === low ? 5 : 0)));
    }
    for (const [context, color] of /** @type {[CanvasRenderingContext2D, string][]} */ ([
      [under, theme.ahead],
      [over, theme.line],
    ])) {
      if (context === under && !session.shown.ahead) continue;
      context.save();
      context.beginPath();
      context.rect(chart.left, 0, chart.right - chart.left + 2, this.height);
      context.clip();
      this.paintValues(context, theme, color);
      context.restore();
    }
  }

  /**
   * @param {CanvasRenderingContext2D} context
   * @param {import("./types.js").Theme} theme
   * @param {string} color
   */
  paintValues(context, theme, color) {
    const { chart, session } = this;
    const { track } = session;
    const [from, to] = this.rows();
    const bars = track.facts.panels[this.number].kind === "bars";
    const width = Math.max(1, ((chart.right - chart.left) / chart.span) * 0.7);
    let joined = false;
    context.strokeStyle = color;
    context.lineWidth = 1.25;
    context.beginPath();
    for (let row = from; row <= to; row += 1) {
      const value = track.panel(this.number, row);
      if (Number.isNaN(value)) {
        joined = false;
        continue;
      }
      const [x, y] = [chart.x(row), this.y(value)];
      if (bars) {
        context.fillStyle = color === theme.ahead ? color : value < 0 ? theme.rug : theme.peak;
        context.fillRect(x - width / 2, Math.min(y, this.y(0)), width, Math.max(1, Math.abs(y - this.y(0))));
      } else if (joined) context.lineTo(x, y);
      else {
        context.moveTo(x, y);
        context.lineTo(x + 0.75, y); // one value alone is seen, too
      }
      joined = true;
    }
    context.stroke();
  }
}
