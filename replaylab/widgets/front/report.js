// Report: tells the kernel which rows were played. Ranges, at most ten a second, one batch in flight, nothing lost:
// what the kernel has not taken yet is kept and merged.

const EVERY_MS = 100;
const SLOW_MS = 2500;

class Report {
  constructor(post) {
    this.post = post;
    this.gen = 0;
    this.told = -1; // last row that the kernel was told, or will be
    this.waiting = [];
    this.number = 0;
    this.flying = 0; // number of the batch that the kernel has not taken yet
    this.sent = 0;
    this.urgent = false;
  }

  // The playhead jumped: what was played before is kept, the place it jumped to is told.
  jump(row, reason, gen) {
    this.gen = gen === undefined ? this.gen + 1 : Math.max(gen, this.gen);
    this.waiting.push({ gen: this.gen, lo: row, hi: row, reason, times: 1 });
    this.shorten();
    this.told = row;
    this.urgent = true;
  }

  // Rows up to `row` were shown, one after another.
  played(row, reason) {
    if (row <= this.told) return;
    const last = this.waiting[this.waiting.length - 1];
    if (last && last.reason === reason && last.gen === this.gen && last.hi === this.told) last.hi = row;
    else this.waiting.push({ gen: this.gen, lo: this.told + 1, hi: row, reason, times: 1 });
    this.told = row;
  }

  // A short loop beside a busy kernel would pile up: passes that are alike become one with a count.
  shorten() {
    const items = this.waiting;
    if (items.length < 5) return;
    const alike = (one, other) => one.lo === other.lo && one.hi === other.hi && one.reason === other.reason;
    const [a, b, c, d] = items.slice(-5, -1);
    if (!alike(a, c) || !alike(b, d) || c.times !== 1) return;
    a.times += 1;
    b.times += 1;
    a.gen = b.gen = d.gen;
    items.splice(-3, 2);
  }

  flush(now, state) {
    if (this.flying || (!this.urgent && (!this.waiting.length || now - this.sent < EVERY_MS))) return;
    this.number += 1;
    this.flying = this.number;
    this.sent = now;
    this.urgent = false;
    this.post({ kind: "pos", number: this.number, items: this.waiting.splice(0), ...state });
  }

  taken(number) {
    if (number === this.flying) this.flying = 0;
  }

  slow(now) {
    return this.flying !== 0 && now - this.sent > SLOW_MS;
  }
}
