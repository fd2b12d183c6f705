// Report: tells the kernel which rows were played. Ranges, at most eight a second, one batch in flight, nothing lost:
// what the kernel has not taken yet is kept and merged.

const EVERY_MS = 125; // eight a second: each costs the kernel three messages
const SLOW_MS = 2500;

export class Report {
  /** @param {(content: object) => void} post */
  constructor(post) {
    this.post = post;
    this.gen = 0;
    this.reported = -1; // last row that was reported to the kernel, or will be
    /** @type {import("./types.js").Range[]} */
    this.waiting = [];
    this.number = 0;
    this.flying = 0; // number of the batch that the kernel has not taken yet
    this.sent = 0;
    this.urgent = false;
  }

  // The playhead jumped: what was played before is kept,
  // and the place that it jumped to is reported.
  /**
   * @param {number} row
   * @param {import("./types.js").Reason} reason
   * @param {number} [gen]
   */
  jump(row, reason, gen) {
    this.gen = gen === undefined ? this.gen + 1 : Math.max(gen, this.gen);
    this.waiting.push({ gen: this.gen, lo: row, hi: row, reason, times: 1 });
    this.shorten();
    this.reported = row;
    this.urgent = true;
  }

  // Rows up to `row` were shown, one after another.
  /**
   * @param {number} row
   * @param {import("./types.js").Reason} reason
   */
  played(row, reason) {
    if (row <= this.reported) return;
    const last = this.waiting[this.waiting.length - 1];
    if (last && last.reason === reason && last.gen === this.gen && last.hi === this.reported) last.hi = row;
    else this.waiting.push({ gen: this.gen, lo: this.reported + 1, hi: row, reason, times: 1 });
    this.reported = row;
  }

  // A short loop beside a busy kernel would pile up: passes that are alike become one with a count.
  shorten() {
    const items = this.waiting;
    if (items.length < 5) return;
    /** @type {(one: import("./types.js").Range, other: import("./types.js").Range) => boolean} */
    const alike = (one, other) => one.lo === other.lo && one.hi === other.hi && one.reason === other.reason;
    const [a, b, c, d] = items.slice(-5, -1);
    if (!alike(a, c) || !alike(b, d) || c.times !== 1) return;
    a.times += 1;
    b.times += 1;
    a.gen = b.gen = d.gen;
    items.splice(-3, 2);
  }

  /**
   * @param {number} now
   * @param {object} state
   */
  flush(now, state) {
    if (this.flying || (!this.urgent && (!this.waiting.length || now - this.sent < EVERY_MS))) return;
    this.number += 1;
    this.flying = this.number;
    this.sent = now;
    this.urgent = false;
    this.post({ kind: "pos", number: this.number, items: this.waiting.splice(0), ...state });
  }

  /** @param {number} number */
  taken(number) {
    if (number === this.flying) this.flying = 0;
  }

  /** @param {number} now */
  slow(now) {
    return this.flying !== 0 && now - this.sent > SLOW_MS;
  }
}
