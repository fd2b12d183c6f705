// Trades: what a strategy did, as it is drawn: fills at their price, side bets as spans, the profit at the playhead.

import { HEAD, hatch, line, shape } from "./paint.js";

// Of a list sorted by row, the last entry at or before a row.
/**
 * @template {{ row: number }} One
 * @param {One[]} sorted
 * @param {number} row
 * @returns {One | undefined}
 */
function lastAt(sorted, row) {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle].row <= row) low = middle + 1;
    else high = middle;
  }
  return sorted[low - 1];
}

// What was won or lost up to a row: exact when nothing is held, else with what is held at its price.
/**
 * @param {import("./session.js").Session} session
 * @param {number} row
 */
export function profitText(session, row) {
  if (!session.trades || !session.track?.size) return "";
  const { note } = session.trades;
  return note ? `${profitAt(session, row)} (${note})` : profitAt(session, row);
}

/**
 * @param {import("./session.js").Session} session
 * @param {number} row
 */
function profitAt(session, row) {
  const step = lastAt(session.trades.profit, row);
  if (!step) return "profit 0";
  if (!step.held) return `profit ${step.cash.startsWith("-") || step.cash === "0" ? "" : "+"}${step.cash}`;
  const price = session.track.price(row);
  if (Number.isNaN(price)) return "profit unknown, no price";
  const worth = Number(step.cash) + step.held * price;
  return `profit ${worth > 0 ? "+" : ""}${Number(worth.toPrecision(6))} (open)`;
}

/**
 * @param {import("./session.js").Session} session
 * @param {number} row
 */
export function fillTexts(session, row) {
  const { trades } = session;
  if (!trades) return [];
  const found = trades.fills.filter((fill) => fill.row === row).map((fill) => fill.text);
  for (const bet of trades.trades) {
    if (bet.kind !== "bet" || bet.open > row || (bet.close !== null && bet.close < row)) continue;
    const over = bet.close === row && bet.profit !== null;
    found.push(over ? `side bet ${bet.ending || "over"}, ${bet.profit}` : "side bet open");
  }
  return found;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./chart.js").Chart} chart
 * @param {number} strength
 */
export function paintTrades(context, chart, strength) {
  const { trades, track } = chart.session;
  if (!trades) return;
  context.save();
  context.globalAlpha = strength;
  for (const trade of trades.trades) {
    const [from, to] = [chart.x(trade.open), chart.x(trade.close === null ? track.last : trade.close)];
    if (to < chart.left - 4 || from > chart.right + 4) continue;
    if (trade.kind === "bet") paintBet(context, chart, trade, from, to);
    else if (trade.close !== null) {
      const [open, close] = [track.price(trade.open), track.price(trade.close)];
      if (Number.isNaN(open) || Number.isNaN(close) || (chart.log && (open <= 0 || close <= 0))) continue;
      context.strokeStyle = tradeColour(chart.theme, trade.profit);
      context.setLineDash([5, 3]);
      context.lineWidth = 1.5;
      context.beginPath();
      context.moveTo(from, chart.y(open));
      context.lineTo(to, chart.y(close));
      context.stroke();
      context.setLineDash([]);
    }
  }
  for (const fill of trades.fills) paintFill(context, chart, fill);
  context.restore();
  paintProfits(context, chart, strength);
}

/**
 * @param {import("./types.js").Theme} theme
 * @param {string | null} profit
 */
function tradeColour(theme, profit) {
  if (profit === null) return theme.line;
  return profit.startsWith("-") ? theme.rug : theme.peak;
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./chart.js").Chart} chart
 * @param {import("./types.js").Dealt} bet
 * @param {number} from
 * @param {number} to
 */
function paintBet(context, chart, bet, from, to) {
  const color = tradeColour(chart.theme, bet.profit);
  const width = Math.max(3, to - from);
  context.strokeStyle = context.fillStyle = color;
  if (bet.profit?.startsWith("-")) hatch(context, from, HEAD + 2, width, 7, color);
  else if (bet.profit !== null) context.fillRect(from, HEAD + 2, width, 7);
  context.lineWidth = 1;
  context.strokeRect(Math.round(from) + 0.5, HEAD + 2.5, Math.round(width), 6);
}

/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./chart.js").Chart} chart
 * @param {import("./types.js").Fill} fill
 */
function paintFill(context, chart, fill) {
  const x = chart.x(fill.row);
  if (x < chart.left - 6 || x > chart.right + 6) return;
  const price = chart.session.track.price(fill.row);
  const y = Number.isNaN(price) || (chart.log && price <= 0) ? chart.bottom - 8 : chart.y(price);
  if (fill.side === "in") shape(context, "up", x, Math.min(chart.bottom - 5, y + 9), chart.theme.line, chart.theme.paper);
  else shape(context, "down", x, Math.max(HEAD + 16, y - 9), fill.won ? chart.theme.peak : chart.theme.rug, chart.theme.paper);
}

// The profit of each trade, from when the playhead is at its end, whole and over everything else; where there is room.
/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./chart.js").Chart} chart
 * @param {number} strength
 */
function paintProfits(context, chart, strength) {
  if (strength < 1) return;
  const { trades, track } = chart.session;
  context.textAlign = "center";
  context.textBaseline = "bottom";
  for (const trade of trades.trades) {
    if (trade.close === null) continue;
    const text = `${trade.profit.startsWith("-") ? "" : "+"}${shortText(trade.profit)}`;
    const { width } = context.measureText(text);
    const end = chart.x(trade.close);
    const middle = end - width / 2 - 8;
    if (end < chart.left || middle > chart.right) continue;
    const price = track.price(trade.close);
    const level = Number.isNaN(price) ? chart.bottom - 12 : Math.max(HEAD + 40, chart.y(price) - 12);
    const wanted = trade.kind === "bet" ? HEAD + 24 : Math.min(chart.bottom - 4, level);
    const place = chart.labels.place(width, middle, wanted, trade.kind === "bet" ? [0, 16] : [0, -16, 16, 32]);
    if (place) chart.labels.words.push({ text, x: place[0], y: place[1], row: trade.close });
  }
}

/** @param {string} amount */
function shortText(amount) {
  return amount.length > 10 ? String(Number(Number(amount).toPrecision(4))) : amount;
}

// On the seek bar, a short line below it for each fill.
/**
 * @param {CanvasRenderingContext2D} context
 * @param {import("./seekbar.js").SeekBar} bar
 * @param {import("./types.js").Theme} theme
 * @param {number} top
 */
export function paintFillsOnBar(context, bar, theme, top) {
  for (const fill of bar.session.trades?.fills || []) {
    context.strokeStyle = fill.side === "in" ? theme.line : fill.won ? theme.peak : theme.rug;
    const x = bar.x(fill.row);
    line(context, x, top + 8, x, top + 13);
  }
}
