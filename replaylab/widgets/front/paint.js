// What a chart is painted of: bands, grid, path, gaps, events. Each takes a context and the chart.

import { groupText } from "./digits.js";
import { PHASE_NAMES, TINTS } from "./theme.js";
import { GAP, LIVE, PHASE } from "./track.js";

export const HEAD = 18; // pixels above the plot that the names of the phases take
export const FOOT = 22;

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} x0
 * @param {number} y0
 * @param {number} x1
 * @param {number} y1
 */
export function line(context, x0, y0, x1, y1) {
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(Math.round(x0) + 0.5, Math.round(y0) + 0.5);
  context.lineTo(Math.round(x1) + 0.5, Math.round(y1) + 0.5);
  context.stroke();
}

// Runs of columns of the same phase, as [phase, from x, to x].
/** @param {import("./chart.js").Chart} chart */
function phaseRuns(chart) {
  const { track } = chart.session;
  /** @type {[string, number, number][]} */
  const runs = [];
  if (!track.size) return runs;
  const from = Math.max(chart.left, Math.floor(chart.x(track.base - 0.5)));
  const to = Math.min(chart.right, Math.ceil(chart.x(track.last + 0.5)));
  for (let x = from; x < to; x += 1) {
    const phase = track.facts.phases[track.flags(chart.row(x + 0.5)) & PHASE];
    const last = runs[runs.length - 1];
    if (last && PHASE_NAMES[last[0]] === PHASE_NAMES[phase]) last[2] = x + 1;
    else runs.push([phase, x, x + 1]);
  }
  return runs;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./chart.js").Chart} chart
 */
export function paintPhases(context, chart) {
  context.textAlign = "left";
  context.textBaseline = "middle";
  for (const [phase, from, to] of phaseRuns(chart)) {
    if (!TINTS[phase]) continue;
    context.fillStyle = TINTS[phase];
    context.fillRect(from, HEAD, to - from, chart.bottom - HEAD);
    context.fillRect(from, 1, to - from, HEAD - 3);
    const name = PHASE_NAMES[phase];
    if (context.measureText(name).width + 8 > to - from) continue;
    context.fillStyle = chart.theme.ink;
    context.fillText(name, from + 4, HEAD / 2);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./chart.js").Chart} chart
 * @param {number[]} marks
 * @param {string[]} texts
 */
export function paintGrid(context, chart, marks, texts) {
  context.textAlign = "right";
  context.textBaseline = "middle";
  marks.forEach((mark, number) => {
    const y = chart.y(mark);
    if (y < HEAD + 4 || y > chart.bottom + 1) return;
    context.strokeStyle = chart.theme.grid;
    line(context, chart.left, y, chart.right, y);
    context.fillStyle = chart.theme.ink;
    context.fillText(texts[number], chart.left - 6, y);
  });
  context.strokeStyle = chart.theme.faint;
  line(context, chart.left, chart.bottom, chart.right, chart.bottom);
  context.textAlign = "left";
  context.textBaseline = "bottom";
  context.fillStyle = chart.theme.ink;
  context.fillText(chart.log ? "log price" : "price", 0, HEAD - 3);
  context.fillText("tick", 0, chart.bottom + 19);
}

// Round tick numbers under the rows that carry them; repeated numbers and gaps put them where they are.
/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./chart.js").Chart} chart
 */
export function paintTicks(context, chart) {
  const { track } = chart.session;
  if (!track.size) return;
  const wanted = Math.max(1, (chart.right - chart.left) / 90);
  const raw = Math.max(1, chart.span / wanted);
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999);
  context.textAlign = "center";
  context.textBaseline = "top";
  context.fillStyle = chart.theme.ink;
  context.strokeStyle = chart.theme.faint;
  let before = null;
  let free = Math.max(chart.left - 12, context.measureText("tick").width + 4);
  const from = Math.max(track.base, Math.floor(chart.start));
  const to = Math.min(track.last, Math.ceil(chart.start + chart.span));
  const stride = Math.max(1, (to - from) / ((chart.right - chart.left) * 2));
  for (let place = from; place <= to; place += stride) {
    const row = Math.floor(place);
    const flags = track.flags(row);
    if (!(flags & LIVE) && track.facts.phases[flags & PHASE] !== "RUGGED") continue;
    const count = Math.floor(track.tick(row) / step);
    if (count === before) continue;
    const start = before === null && track.tick(row) !== count * step;
    before = count;
    if (start) continue;
    const text = groupText(count * step);
    const half = context.measureText(text).width / 2;
    const x = chart.x(row);
    if (x - half < free || x + half > chart.width) continue;
    free = x + half + 14;
    line(context, x, chart.bottom, x, chart.bottom + 3);
    context.fillText(text, x, chart.bottom + 6);
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./chart.js").Chart} chart
 * @param {string} color
 * @param {number} width
 */
export function paintPath(context, chart, color, width) {
  const { track } = chart.session;
  const from = Math.max(track.base, Math.floor(chart.start) - 1);
  const to = Math.min(track.last, Math.ceil(chart.start + chart.span));
  if (to < from) return;
  context.strokeStyle = context.fillStyle = color;
  context.lineWidth = width;
  context.lineJoin = "round";
  if (to - from > (chart.right - chart.left) * 1.5) return paintColumns(context, chart, from, to, width);
  const alone = [];
  let joined = 0;
  context.beginPath();
  for (let row = from; row <= to; row += 1) {
    const price = track.price(row);
    if (Number.isNaN(price) || (chart.log && price <= 0)) {
      if (joined === 1) alone.push(row - 1);
      joined = 0;
      continue;
    }
    if (joined && track.flags(row) & GAP) {
      if (joined === 1) alone.push(row - 1);
      joined = 0;
    }
    if (joined) context.lineTo(chart.x(row), chart.y(price));
    else context.moveTo(chart.x(row), chart.y(price));
    joined += 1;
  }
  if (joined === 1) alone.push(to);
  context.stroke();
  for (const row of alone) {
    context.beginPath();
    context.arc(chart.x(row), chart.y(track.price(row)), width + 1, 0, 7);
    context.fill();
  }
  return undefined;
}

// More rows than pixels: a bar a column, from the least to the greatest price in it, touching its neighbour.
/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./chart.js").Chart} chart
 * @param {number} from
 * @param {number} to
 * @param {number} width
 */
function paintColumns(context, chart, from, to, width) {
  const { track } = chart.session;
  const pair = chart.pair;
  const rows = chart.span / (chart.right - chart.left) / 2;
  let before = null;
  for (let place = from; place <= to; place += rows) {
    const start = Math.floor(place);
    const end = Math.min(to + 1, Math.max(start + 1, Math.floor(place + rows)));
    if (!track.range(start, end, pair) || (chart.log && pair[1] <= 0)) {
      before = null;
      continue;
    }
    let low = chart.y(chart.log ? Math.max(pair[0], chart.extent[0]) : pair[0]);
    let high = chart.y(pair[1]);
    const own = [low, high];
    if (before) {
      if (before[1] > low) low = before[1];
      if (before[0] < high) high = before[0];
    }
    before = own;
    const x = chart.x(start);
    context.fillRect(x - width / 2, high - width / 2, width, Math.max(width, low - high + width));
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {number} x
 * @param {number} y
 * @param {number} width
 * @param {number} height
 * @param {string} color
 */
export function hatch(context, x, y, width, height, color) {
  context.save();
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.strokeStyle = color;
  context.lineWidth = 1;
  context.beginPath();
  for (let at = x - height; at < x + width; at += 4) {
    context.moveTo(at, y + height);
    context.lineTo(at + height, y);
  }
  context.stroke();
  context.restore();
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./chart.js").Chart} chart
 */
export function paintGaps(context, chart) {
  const { track } = chart.session;
  for (const gap of track.facts.gaps) {
    const x = chart.x(gap.row - 0.5);
    if (x < chart.left - 4 || x > chart.right + 4) continue;
    const wide = Math.max(4, Math.min(14, (chart.right - chart.left) / chart.span));
    context.fillStyle = chart.theme.paper;
    context.fillRect(x - wide / 2, HEAD, wide, chart.bottom - HEAD);
    hatch(context, x - wide / 2, HEAD, wide, chart.bottom - HEAD, chart.theme.hatch);
  }
}

// What the gaps are, at the foot of the chart, where there is room.
/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./chart.js").Chart} chart
 */
export function nameGaps(context, chart) {
  for (const gap of chart.session.track.facts.gaps) {
    const x = chart.x(gap.row - 0.5);
    if (x < chart.left - 4 || x > chart.right + 4) continue;
    const place = chart.labels.place(context.measureText(gap.label).width, x, chart.bottom - 4, [0, -16]);
    if (place) chart.labels.words.push({ text: gap.label, x: place[0], y: place[1] });
  }
}

// The words that no line may cross.
/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./chart.js").Chart} chart
 */
export function paintWords(context, chart) {
  context.font = chart.theme.font;
  context.textAlign = "center";
  context.textBaseline = "bottom";
  for (const { text, x, y, row } of chart.labels.words) {
    if (row === undefined || row <= chart.session.row) label(context, chart, text, x, y, chart.theme.ink);
  }
}

// Text on a patch of paper, so that no line crosses it.
/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./chart.js").Chart} chart
 * @param {string} text
 * @param {number} x
 * @param {number} y
 * @param {string} color
 */
export function label(context, chart, text, x, y, color) {
  const half = context.measureText(text).width / 2;
  context.globalAlpha = 0.82;
  context.fillStyle = chart.theme.paper;
  context.fillRect(x - half - 3, y - 13, half * 2 + 6, 15);
  context.globalAlpha = 1;
  context.fillStyle = color;
  context.fillText(text, x, y);
}

// Text that takes at most so many pixels: what is longer ends in dots.
/**
 * @param {CanvasRenderingContext2D} context
 * @param {string} text
 * @param {number} room
 */
function fitted(context, text, room) {
  const { width } = context.measureText(text);
  return width <= room ? text : `${text.slice(0, Math.max(1, Math.floor((text.length * room) / width) - 1))}\u2026`;
}

/** @type {Record<string, string>} */
export const SHAPES = { rug: "cross", peak: "up", mark: "flag" };

/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./chart.js").Chart} chart
 */
export function paintEvents(context, chart) {
  const { track, marks, shown } = chart.session;
  const found = [...track.facts.events, ...marks.map((mark) => ({ ...mark, kind: "mark" }))];
  const labelled = [];
  for (const event of found) {
    const x = chart.x(event.row);
    if (x < chart.left - 4 || x > chart.right + 4 || (!shown.ahead && event.kind !== "mark" && event.row > chart.session.row)) continue;
    const color = event.colour || chart.theme[event.kind] || chart.theme.ink;
    const price = event.price ?? track.price(event.row);
    const y = Number.isNaN(price) || (chart.log && price <= 0) ? chart.bottom - 8 : chart.y(price);
    const flag = event.kind === "mark" && (event.shape || "flag") === "flag" && event.price === undefined;
    context.strokeStyle = color;
    if (event.kind === "rug" || flag) {
      context.setLineDash(event.kind === "rug" ? [2, 3] : [6, 3]);
      line(context, x, HEAD, x, chart.bottom);
      context.setLineDash([]);
    }
    const at = flag ? HEAD + 5 : y;
    shape(context, event.shape || SHAPES[event.kind], x, at, color, chart.theme.paper);
    chart.labels.reserve(x - 6, at - 6, x + 6, at + 6);
    const text = fitted(context, event.label, Math.max(80, (chart.right - chart.left) / 3));
    labelled.push({ text, x, y: flag ? HEAD + 26 : y - 9 });
  }
  for (const { text, x, y } of labelled) {
    const place = chart.labels.place(context.measureText(text).width, x, y);
    if (place) chart.labels.words.push({ text, x: place[0], y: place[1] });
  }
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {string} kind
 * @param {number} x
 * @param {number} y
 * @param {string} color
 * @param {string} paper
 */
export function shape(context, kind, x, y, color, paper) {
  context.fillStyle = color;
  context.strokeStyle = color;
  context.lineWidth = 2.5;
  context.beginPath();
  if (kind === "dot") {
    context.arc(x, y, 4.5, 0, 7);
    context.fill();
    context.lineWidth = 1;
    context.strokeStyle = paper;
    context.stroke();
    return;
  }
  if (kind === "cross") {
    context.moveTo(x - 4.5, y - 4.5);
    context.lineTo(x + 4.5, y + 4.5);
    context.moveTo(x - 4.5, y + 4.5);
    context.lineTo(x + 4.5, y - 4.5);
    context.stroke();
    return;
  }
  if (kind === "up") context.moveTo(x, y - 6);
  else context.moveTo(x, y + 5);
  const [side, level] = kind === "up" ? [5.5, y + 4] : [5, y - 5];
  context.lineTo(x - side, level);
  context.lineTo(x + side, level);
  context.closePath();
  context.fill();
  context.strokeStyle = paper;
  context.lineWidth = 1;
  context.stroke();
}
