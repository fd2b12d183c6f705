// Candles: open, close, least and greatest price of some rows; up is hollow, down is filled, so that no colour is needed.

import { line } from "./paint.js";

const LEAST_WIDTH = 4; // pixels: narrower ones are joined

// Rows of a candle in sight; 0 when the price is a line.
/** @param {import("./chart.js").Chart} chart */
function rowsOf(chart) {
  const { candles } = chart.session.shown;
  if (!candles) return 0;
  const width = (candles * (chart.right - chart.left)) / chart.span;
  return candles * Math.max(1, Math.ceil(LEAST_WIDTH / width));
}

// The first row of the candle that holds a row; null when the price is a line.
/**
 * @param {import("./chart.js").Chart} chart
 * @param {number} row
 */
export function candleStart(chart, row) {
  const rows = rowsOf(chart);
  const { track } = chart.session;
  if (!rows || !track.size) return null;
  const origin = track.facts.live_row ?? track.base;
  return Math.max(track.base, origin + Math.floor((row - origin) / rows) * rows);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./chart.js").Chart} chart
 */
export function paintCandles(context, chart) {
  const { track } = chart.session;
  const last = Math.min(track.last, Math.ceil(chart.start + chart.span));
  const rows = rowsOf(chart);
  let row = candleStart(chart, Math.max(track.base, Math.floor(chart.start)));
  while (row <= last) {
    const next = candleStart(chart, row + rows);
    paintCandle(context, chart, row, Math.min(track.last, next - 1));
    row = next;
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./chart.js").Chart} chart
 * @param {number} first
 * @param {number} last the last row that it may tell of
 */
export function paintCandle(context, chart, first, last) {
  let [open, close, low, high] = [Number.NaN, Number.NaN, Infinity, -Infinity];
  for (let row = first; row <= last; row += 1) {
    const price = chart.session.track.price(row);
    if (Number.isNaN(price) || (chart.log && price <= 0)) continue;
    if (Number.isNaN(open)) open = price;
    close = price;
    if (price < low) low = price;
    if (price > high) high = price;
  }
  if (Number.isNaN(open)) return;
  const left = chart.x(first - 0.5);
  const whole = chart.x(first + rowsOf(chart) - 0.5) - left;
  const width = Math.max(2, Math.min(28, whole * 0.7));
  const from = left + (whole - width) / 2;
  const [top, foot] = [chart.y(Math.max(open, close)), chart.y(Math.min(open, close))];
  context.strokeStyle = context.fillStyle = close >= open ? chart.theme.peak : chart.theme.rug;
  context.lineWidth = 1.25;
  line(context, left + whole / 2, chart.y(high), left + whole / 2, chart.y(low));
  const height = Math.max(1, foot - top);
  if (close < open) {
    context.fillRect(from, top, width, height);
    return;
  }
  context.fillStyle = chart.theme.paper;
  context.fillRect(from, top, width, height);
  context.strokeRect(from, top, width, height);
}
