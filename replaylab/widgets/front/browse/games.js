// Games: what is known of each game, in columns; which of them are shown, and in which order.

export const POINTS = 32; // of a thumbnail
export const FLAGS = ["rug", "late", "cut", "gaps", "never live", "double rug", "won", "lost"];
/** @type {Record<string, string>} */
export const FLAG_HELP = {
  rug: "the rug was seen",
  late: "recorded from a later tick on",
  cut: "the end was not seen",
  gaps: "ticks are missing",
  "never live": "no live tick was recorded",
  "double rug": "came back after the rug",
  won: "the strategy made a profit, or lost nothing",
  lost: "the strategy made a loss",
};
const FIELD = /^(peak|ticks|length|rug|start)(>=|<=|>|<|=)(.+)$/;
const KEY = { start: "start", length: "seconds", ticks: "ticks", peak: "peak", rug: "rug" };

/** @typedef {"start" | "length" | "ticks" | "peak" | "rug" | "game" | "flags"} Order */

export class Games {
  /** @param {DataView[]} buffers ids, their ends, start in ms, length in s, live ticks, peak, rug tick, flags */
  constructor([ids, ends, start, seconds, ticks, peak, rug, flags]) {
    this.names = new Uint8Array(ids.buffer, ids.byteOffset, ids.byteLength);
    this.ends = numbers(Uint32Array, ends);
    this.start = numbers(Float64Array, start);
    this.seconds = numbers(Float32Array, seconds);
    this.ticks = numbers(Int32Array, ticks);
    this.peak = numbers(Float64Array, peak);
    this.rug = numbers(Int32Array, rug);
    this.flags = numbers(Uint8Array, flags);
    this.count = this.ends.length;
    this.shown = Int32Array.from({ length: this.count }, (_none, number) => number);
    /** @type {Order} */
    this.order = "start";
    this.rising = true;
    this.filter = "";
    this.complaint = "";
    /** @type {Map<number, Uint8Array>} */
    this.thumbnails = new Map();
    this.decoder = new TextDecoder();
    /** @type {string[] | null} */
    this.texts = null;
  }

  /** @param {number} number */
  name(number) {
    return this.decoder.decode(this.names.subarray(number ? this.ends[number - 1] : 0, this.ends[number]));
  }

  all() {
    this.texts ??= Array.from({ length: this.count }, (_none, number) => this.name(number));
    return this.texts;
  }

  /** @param {number} number */
  flagged(number) {
    return FLAGS.filter((_name, bit) => this.flags[number] & (1 << bit));
  }

  /**
   * Sort by a column, the other way round when it is the one already.
   * @param {Order} order
   */
  sort(order) {
    this.rising = this.order === order ? !this.rising : order === "start" || order === "game";
    this.order = order;
    this.arrange();
  }

  /** @param {string} text words of an id, flags, and bounds such as peak>10 */
  search(text) {
    this.filter = text;
    this.arrange();
  }

  arrange() {
    const tests = this.tests();
    const kept = [];
    for (let number = 0; number < this.count; number += 1) {
      if (tests.every((test) => test(number))) kept.push(number);
    }
    const sign = this.rising ? 1 : -1;
    if (this.order === "game") {
      const texts = this.all();
      kept.sort((one, other) => (texts[one] < texts[other] ? -sign : texts[one] > texts[other] ? sign : one - other));
    } else if (this.order !== "start" || !this.rising) {
      const values = this.column(this.order);
      // what is not known stays last, whichever way the rest is sorted
      const known = kept.filter((number) => !Number.isNaN(values[number]));
      const unknown = kept.filter((number) => Number.isNaN(values[number]));
      known.sort((one, other) => sign * (values[one] - values[other]) || one - other);
      kept.length = 0;
      for (const number of known) kept.push(number);
      for (const number of unknown) kept.push(number);
    }
    this.shown = Int32Array.from(kept);
  }

  /** @param {Order} order */
  column(order) {
    if (order === "flags") return this.flags;
    if (order === "rug") return Float64Array.from(this.rug, (tick) => (tick < 0 ? Number.NaN : tick));
    return this[/** @type {"start" | "seconds" | "ticks" | "peak"} */ (KEY[/** @type {"start"} */ (order)])];
  }

  /** @returns {((number: number) => boolean)[]} */
  tests() {
    this.complaint = "";
    const words = this.filter.trim().toLowerCase();
    if (!words) return [];
    return words.split(/\s+/).map((word) => this.test(word));
  }

  /**
   * @param {string} word
   * @returns {(number: number) => boolean}
   */
  test(word) {
    const bit = FLAGS.findIndex((name) => name === word || name.replace(" ", "-") === word);
    if (bit >= 0) return (number) => (this.flags[number] & (1 << bit)) !== 0;
    const bound = FIELD.exec(word);
    if (!bound) {
      const texts = this.all();
      return (number) => texts[number].toLowerCase().includes(word);
    }
    const [, field, sign, text] = bound;
    const limit = field === "start" ? Date.parse(text.length === 10 ? `${text}T00:00Z` : `${text}Z`) : Number(text);
    if (Number.isNaN(limit)) {
      this.complaint = `${word}: ${field === "start" ? "a time such as 2031-01-02 or 2031-01-02T03:04" : "a number"} is needed`;
      return () => true;
    }
    const values = this.column(/** @type {Order} */ (field));
    return (number) => compare(values[number], sign, limit);
  }

  /**
   * @param {number[]} which
   * @param {DataView} points
   */
  learn(which, points) {
    which.forEach((number, at) => {
      this.thumbnails.set(number, new Uint8Array(points.buffer, points.byteOffset + at * POINTS, POINTS));
    });
  }
}

/**
 * @param {number} value
 * @param {string} sign
 * @param {number} limit
 */
function compare(value, sign, limit) {
  if (sign === ">") return value > limit;
  if (sign === "<") return value < limit;
  if (sign === ">=") return value >= limit;
  return sign === "<=" ? value <= limit : value === limit;
}

/**
 * Return the numbers in a buffer, copied where they do not lie at a place that the machine reads.
 * @template T
 * @param {{ new (buffer: ArrayBufferLike, offset: number, length: number): T, BYTES_PER_ELEMENT: number }} Kind
 * @param {DataView} view
 * @returns {T}
 */
export function numbers(Kind, view) {
  const width = Kind.BYTES_PER_ELEMENT;
  const fits = view.byteOffset % width === 0;
  const buffer = fits ? view.buffer : view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
  return new Kind(buffer, fits ? view.byteOffset : 0, view.byteLength / width);
}
