// Track: the rows that the player shows. Row numbers are absolute: a live track drops its oldest rows and keeps counting.
// A long game comes as an overview first (least and greatest price a bucket), then in chunks, those in sight first.

import { exactPrice, groupText, NO_TIME, spanText, timeText, wordsToFloat } from "./digits.js";
import { PHASE_NAMES } from "./theme.js";

const FOLD = 64; // rows whose least and greatest price are kept, so that a wide view need not look at every row
const NO_PRICE = 8;
export const LIVE = 16;
export const GAP = 32; // rows are missing, or nothing was received, before this one
export const PHASE = 7;

export class Track {
  /** @param {import("./types.js").Facts} facts */
  constructor(facts) {
    this.facts = facts;
    this.live = facts.mode !== "stored"; // rows come while it plays
    this.blind = facts.mode === "blind"; // a stored game, of which the kernel sends each row at its time
    this.base = facts.base;
    this.size = this.live ? 0 : facts.n;
    this.room = this.live ? Math.ceil(Math.max(facts.capacity * 1.25, facts.n, 1024) / FOLD) * FOLD : facts.n;
    this.words = new Uint32Array(this.room * 4);
    this.times = new BigInt64Array(this.room);
    this.dues = new Float64Array(this.room);
    this.ticks = new Int32Array(this.room);
    this.bits = new Uint8Array(this.room);
    this.prices = new Float64Array(this.room);
    this.counts = new Int32Array(this.room); // trades so far; below 0 is unknown
    this.panels = (facts.panels || []).map(() => new Float64Array(this.room));
    this.lows = new Float64Array(Math.ceil(this.room / FOLD));
    this.highs = new Float64Array(Math.ceil(this.room / FOLD));
    this.chunk = facts.chunk;
    this.chunks = new Uint8Array(Math.ceil(this.room / this.chunk)); // 0 missing, 1 asked for, 2 here
    this.coarse = null;
  }

  get last() {
    return this.base + this.size - 1;
  }

  /** @param {number} row */
  clamp(row) {
    return Math.max(this.base, Math.min(this.last, row));
  }

  /** @param {import("./types.js").Buffers} buffers */
  overview(buffers) {
    const [low, high, due, tick, flags] = buffers;
    this.coarse = {
      low: typed(Float64Array, low),
      high: typed(Float64Array, high),
      due: typed(Float64Array, due), // one more than the buckets: the end
      tick: typed(Int32Array, tick),
      flags: typed(Uint8Array, flags),
      stride: this.facts.stride,
    };
  }

  // Put rows in their place; `at` is absolute.
  /**
   * @param {number} at
   * @param {import("./types.js").Buffers} buffers
   */
  put(at, buffers) {
    const [words, times, dues, ticks, flags, counts, ...panels] = buffers;
    const place = at - this.base;
    this.words.set(typed(Uint32Array, words), place * 4);
    this.times.set(typed(BigInt64Array, times), place);
    if (dues.byteLength) this.dues.set(typed(Float64Array, dues), place);
    else this.time();
    this.ticks.set(typed(Int32Array, ticks), place);
    this.counts.set(typed(Int32Array, counts), place);
    panels.forEach((values, number) => {
      this.panels[number].set(typed(Float64Array, values), place);
    });
    const bits = typed(Uint8Array, flags);
    this.bits.set(bits, place);
    for (let row = place; row < place + bits.length; row += 1) {
      this.prices[row] = this.bits[row] & NO_PRICE ? NaN : wordsToFloat(this.words, row * 4);
    }
    this.fold(place, place + bits.length);
    if (!this.live) this.chunks[Math.floor(place / this.chunk)] = 2;
  }

  // When rows are due, from the times when they were received: one that goes back, or is unknown, with the one before.
  time() {
    const known = this.times.findIndex((micros) => micros !== NO_TIME);
    if (known < 0) return;
    const first = this.times[known];
    this.times.forEach((micros, row) => {
      const due = micros === NO_TIME ? 0 : Number(micros - first) / 1000;
      this.dues[row] = Math.max(due, row ? this.dues[row - 1] : 0);
    });
  }

  /**
   * @param {number} from
   * @param {number} to
   */
  fold(from, to) {
    for (let block = Math.floor(from / FOLD); block * FOLD < to; block += 1) {
      let low = Infinity;
      let high = -Infinity;
      const end = Math.min((block + 1) * FOLD, Math.max(to, this.size));
      for (let row = block * FOLD; row < end; row += 1) {
        const price = this.prices[row];
        if (price < low) low = price;
        if (price > high) high = price;
      }
      this.lows[block] = low;
      this.highs[block] = high;
    }
  }

  /**
   * @param {number} at
   * @param {number} count
   * @param {import("./types.js").Buffers} buffers
   */
  append(at, count, buffers) {
    if (at !== this.base + this.size) {
      this.base = at; // rows were lost on the way: begin anew
      this.size = 0;
    }
    if (this.blind) this.grow(this.size + count);
    if (this.size + count > this.room) this.drop(Math.max(count, Math.ceil(this.room / 4)));
    this.size += count;
    this.put(at, buffers);
  }

  /** @param {number} rows */
  grow(rows) {
    if (rows <= this.room) return;
    this.room = Math.ceil((rows * 2) / FOLD) * FOLD;
    /**
     * @template {Uint32Array | BigInt64Array | Float64Array | Int32Array | Uint8Array} Column
     * @param {Column} column
     * @param {number} length
     * @returns {Column}
     */
    const longer = (column, length) => {
      const made = /** @type {any} */ (new /** @type {any} */ (column.constructor)(length));
      made.set(column);
      return made;
    };
    this.words = longer(this.words, this.room * 4);
    this.times = longer(this.times, this.room);
    this.dues = longer(this.dues, this.room);
    this.ticks = longer(this.ticks, this.room);
    this.bits = longer(this.bits, this.room);
    this.prices = longer(this.prices, this.room);
    this.counts = longer(this.counts, this.room);
    this.panels = this.panels.map((values) => longer(values, this.room));
    this.lows = longer(this.lows, this.room / FOLD);
    this.highs = longer(this.highs, this.room / FOLD);
  }

  // Gaps that have become known; one that is known already may say more now.
  /** @param {import("./types.js").Mark[]} gaps */
  addGaps(gaps) {
    if (!gaps.length) return;
    const kept = this.facts.gaps.filter((gap) => !gaps.some((other) => other.row === gap.row));
    this.facts.gaps = [...kept, ...gaps].sort((one, other) => one.row - other.row);
  }

  /** @param {number} count */
  drop(count) {
    const gone = Math.min(this.size, Math.ceil(count / FOLD) * FOLD);
    for (const column of [this.times, this.dues, this.ticks, this.bits, this.prices, this.counts, ...this.panels])
      column.copyWithin(0, gone, this.size);
    this.words.copyWithin(0, gone * 4, this.size * 4);
    this.base += gone;
    this.size -= gone;
    this.facts.gaps = this.facts.gaps.filter((gap) => gap.row >= this.base);
    this.facts.events = this.facts.events.filter((event) => event.row >= this.base);
    this.fold(0, this.size);
  }

  /** @param {number} row */
  here(row) {
    return this.live || this.chunks[Math.floor((row - this.base) / this.chunk)] === 2;
  }

  // The chunk to ask for next: the one in sight, else the first that is missing; -1 when none is.
  /** @param {number} row */
  missing(row) {
    if (this.live) return -1;
    const near = Math.floor((this.clamp(row) - this.base) / this.chunk);
    return this.chunks[near] === 0 ? near : this.chunks.indexOf(0);
  }

  /** @param {number} row */
  bucket(row) {
    return Math.min(this.coarse.low.length - 1, Math.floor((row - this.base) / this.coarse.stride));
  }

  /** @param {number} row */
  price(row) {
    if (this.here(row)) return this.prices[row - this.base];
    return this.coarse ? this.coarse.high[this.bucket(row)] : NaN;
  }

  /** @param {number} row */
  tick(row) {
    if (this.here(row)) return this.ticks[row - this.base];
    if (!this.coarse) return 0;
    const bucket = this.bucket(row);
    return this.coarse.tick[bucket] + (row - this.base - bucket * this.coarse.stride);
  }

  // Trades so far at a row; below 0 where that is unknown.
  /** @param {number} row */
  count(row) {
    return this.here(row) ? this.counts[row - this.base] : -1;
  }

  /**
   * @param {number} number
   * @param {number} row
   */
  panel(number, row) {
    return this.here(row) ? this.panels[number][row - this.base] : NaN;
  }

  // Values of panels that came after their rows.
  /** @param {number[][]} values */
  setPanels(values) {
    for (const [row, number, value] of values) if (this.here(row)) this.panels[number][row - this.base] = value;
  }

  /** @param {number} row */
  flags(row) {
    if (this.here(row)) return this.bits[row - this.base];
    return this.coarse ? this.coarse.flags[this.bucket(row)] : NO_PRICE;
  }

  /** @param {number} row */
  due(row) {
    if (this.here(row)) return this.dues[row - this.base];
    if (!this.coarse) return 0;
    const bucket = this.bucket(row);
    const start = this.coarse.due[bucket];
    const part = (row - this.base - bucket * this.coarse.stride) / this.coarse.stride;
    return start + (this.coarse.due[bucket + 1] - start) * part;
  }

  // Last row that is due at `ms`; the first row when none is.
  /** @param {number} ms */
  rowAt(ms) {
    let low = this.base;
    let high = this.last;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.due(middle) <= ms) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  // The last row whose tick is at most `tick`, or the first one.
  /** @param {number} tick */
  rowOf(tick) {
    let low = this.base;
    let high = this.last;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.tick(middle) <= tick) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  // Put the least and greatest price of rows [from, to) into `out`; false when there is no price.
  /**
   * @param {number} from
   * @param {number} to
   * @param {number[]} out
   */
  range(from, to, out) {
    out[0] = Infinity;
    out[1] = -Infinity;
    let row = from - this.base;
    const end = to - this.base;
    while (row < end) {
      const stop = this.live ? end : Math.min(end, (Math.floor(row / this.chunk) + 1) * this.chunk);
      if (this.here(row + this.base)) this.scan(row, stop, out);
      else if (this.coarse) this.guess(row, stop, out);
      row = stop;
    }
    return out[0] <= out[1];
  }

  /**
   * @param {number} from
   * @param {number} to
   * @param {number[]} out
   */
  scan(from, to, out) {
    const { prices, lows, highs } = this;
    let [low, high] = out;
    let row = from;
    while (row < to) {
      if (row % FOLD === 0 && row + FOLD <= to) {
        const block = row / FOLD;
        if (lows[block] < low) low = lows[block];
        if (highs[block] > high) high = highs[block];
        row += FOLD;
      } else {
        const price = prices[row];
        if (price < low) low = price;
        if (price > high) high = price;
        row += 1;
      }
    }
    out[0] = low;
    out[1] = high;
  }

  /**
   * @param {number} from
   * @param {number} to
   * @param {number[]} out
   */
  guess(from, to, out) {
    const { low, high, stride } = this.coarse;
    for (let bucket = Math.floor(from / stride); bucket * stride < to; bucket += 1) {
      if (low[bucket] < out[0]) out[0] = low[bucket];
      if (high[bucket] > out[1]) out[1] = high[bucket];
    }
  }

  // Since the start of play: the time and the change of the price, in words; empty where they are not known.
  /** @param {number} row */
  since(row) {
    const start = this.facts.live_row ?? this.base;
    if (row < start || !this.here(row) || !this.here(start)) return "";
    const change = (this.price(row) / this.price(start) - 1) * 100;
    const grown = Number.isFinite(change) ? `, ${change > 0 ? "+" : ""}${change.toFixed(2)} %` : "";
    return `${spanText(this.due(row) - this.due(start))} since start${grown}`;
  }

  // What a row says, in words; `price` is exact.
  /** @param {number} row */
  describe(row) {
    const code = this.facts.phases[this.flags(row) & PHASE];
    const phase = PHASE_NAMES[code] || code.toLowerCase();
    const tick = `tick ${groupText(this.tick(row))}`;
    if (!this.here(row)) return { row, tick, price: "loading", time: "", phase, exact: false };
    const at = row - this.base;
    const price = this.bits[at] & NO_PRICE ? "no price" : exactPrice(this.words, at * 4);
    return { row, tick, price, time: timeText(this.times[at]), phase, exact: true };
  }
}

/**
 * @param {any} Kind
 * @param {DataView | ArrayBufferView} view
 */
function typed(Kind, view) {
  if (view instanceof Kind) return view;
  return new Kind(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
}
