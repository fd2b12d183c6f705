// Transport: what is shown and how it moves; play, pause, seek, step, loop. It draws nothing and sends nothing: `tell`,
// `want` and `changed` are those of the session.

class Transport {
  constructor(report) {
    this.reel = null;
    this.head = null;
    this.row = 0;
    this.loop = [null, null];
    this.following = false; // live: stay with the newest row
    this.lockstep = false;
    this.gone = false; // no kernel answers
    this.pace = new Pace();
    this.report = report;
  }

  get playing() {
    return Boolean(this.head && this.head.playing);
  }

  show(row, now) {
    this.row = row;
    this.head.moveTo(row, now);
  }

  // Commands; each says at once what it did, so that the kernel need not guess.

  play() {
    if (!this.reel || !this.reel.size || this.playing) return;
    const now = performance.now();
    const [from, to] = this.ends();
    if (this.reel.live) this.following = this.row >= this.reel.last;
    else if (this.row >= to) this.jump(from, "seek", now);
    this.head.play(now);
    this.tell(now);
  }

  pause() {
    if (!this.playing) return;
    const now = performance.now();
    this.advance(now);
    this.stand(now);
    this.tell(now);
  }

  stand(now) {
    this.head.pause(now);
    if (this.following) this.report.told = this.row;
    this.following = false;
    this.pace.clear();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  stop() {
    if (!this.reel || !this.reel.size) return;
    const now = performance.now();
    this.stand(now);
    this.jump(this.reel.base, "stop", now);
    this.tell(now);
  }

  seek(row, reason = "seek", gen = undefined) {
    if (!this.reel || !this.reel.size) return;
    const now = performance.now();
    if (this.playing) this.advance(now);
    this.jump(this.reel.clamp(row), reason, now, gen);
    this.tell(now);
  }

  jump(row, reason, now, gen) {
    this.following = this.reel.live && this.playing && row >= this.reel.last;
    this.report.jump(row, reason, gen);
    this.show(row, now);
    this.want();
    this.pace.clear();
  }

  step(count) {
    if (!this.reel || !this.reel.size) return;
    const now = performance.now();
    if (this.playing) {
      this.advance(now);
      this.stand(now);
    }
    const row = this.reel.clamp(this.row + count);
    if (count > 0) {
      this.report.played(row, "step");
      this.show(row, now);
    } else if (row < this.row) this.jump(row, "seek", now);
    this.tell(now);
  }

  setSpeed(speed, own = true) {
    if (!this.reel) return;
    const now = performance.now();
    if (this.playing) this.advance(now);
    this.head.setSpeed(speed, now);
    this.pace.clear();
    if (own) this.tell(now);
    else this.changed("speed");
  }

  setPacing(pacing, own = true) {
    if (!this.reel) return;
    const now = performance.now();
    if (this.playing) this.advance(now);
    this.head.setPacing(pacing, Math.max(0, this.row), now);
    if (own) this.tell(now);
  }

  setLoop(loop, own = true) {
    if (!this.reel || !this.reel.size) return;
    let [a, b] = loop.map((row) => (row === null ? null : this.reel.clamp(row)));
    if (a !== null && b !== null && a > b) [a, b] = [b, a];
    this.loop = [a, b];
    if (own) this.tell(performance.now());
  }

  ends() {
    const [a, b] = this.loop;
    return a === null || b === null ? [this.reel.base, this.reel.last] : [this.reel.clamp(a), this.reel.clamp(b)];
  }

  state() {
    const { playing, speed, pacing } = this.head;
    return { playing, row: this.row, speed, pacing, loop: this.loop, gen: this.report.gen, following: this.following };
  }

  // Move to where the clock says; loops, ends and the newest live row are met here.
  advance(now) {
    if (!this.playing) return;
    if (this.following) return this.show(this.reel.last, now);
    if (this.held(now)) return this.head.moveTo(this.row, now);
    const [from, end] = this.ends();
    const to = this.row > end ? this.reel.last : end;
    const row = Math.min(to, this.next(now));
    if (row > this.row) {
      this.pace.passed(row - this.row);
      this.row = row;
      this.report.played(row, "play");
    }
    const over = this.head.due(to) + (this.loops(from, to) ? this.length(to) : 0);
    if (this.row < to || (this.head.speed !== null && this.head.at(now) < over)) return undefined;
    return this.atEnd(from, to, over, now);
  }

  next(now) {
    if (this.head.speed !== null) return Math.max(this.row, this.head.rowAt(this.head.at(now)));
    const row = this.row + Math.max(1, Math.ceil(this.reel.size / 120)); // all of it in about two seconds
    this.head.moveTo(this.reel.clamp(row), now);
    return row;
  }

  // Whether playing waits for the kernel: always in lockstep, for a while when as fast as possible.
  held(now) {
    if (!this.report.flying || this.gone) return false;
    return this.lockstep || (this.head.speed === null && !this.report.slow(now));
  }

  loops(from, to) {
    return !this.reel.live && this.loop[0] !== null && to === this.loop[1] && from < to;
  }

  // How long the last row of a loop is shown, in milliseconds of the game.
  length(row) {
    const length = row < this.reel.last ? this.head.due(row + 1) - this.head.due(row) : 0;
    return length > 0 ? length : this.reel.facts.nominal_ms;
  }

  atEnd(from, to, over, now) {
    if (this.reel.live) {
      this.following = true;
    } else if (this.loops(from, to)) {
      const late = this.head.speed === null ? 0 : this.head.at(now) - over;
      this.report.jump(from, "loop");
      this.pace.looped += over - this.head.due(from);
      this.row = from;
      this.head.anchor = this.head.due(from) + (late % (over - this.head.due(from)));
      this.head.since = now;
    } else {
      this.stand(now);
      this.show(to, now);
      this.report.played(to, "play");
      this.tell(now);
    }
  }
}
