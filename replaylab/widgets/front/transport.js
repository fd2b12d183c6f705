// Transport: what is shown and how it moves; play, pause, seek, step, loop. It draws nothing and sends nothing: `announce`,
// `want` and `changed` are what its session does about a change.

import { Pace } from "./pace.js";

export class Transport {
  /** @param {import("./report.js").Report} report */
  constructor(report) {
    /** @type {import("./track.js").Track | null} */
    this.track = null;
    /** @type {import("./playhead.js").Playhead | null} */
    this.head = null;
    this.row = 0;
    /** @type {import("./types.js").Loop} */
    this.loop = [null, null];
    /** @type {import("./types.js").Loop} */
    this.selection = [null, null]; // what was chosen in the chart, or by A and B
    this.following = false; // live: stay with the newest row
    this.lockstep = false;
    this.gone = false; // no kernel answers
    this.pace = new Pace();
    this.report = report;
  }

  /** @param {number} _now */
  announce(_now) {}

  want() {}

  ended() {}

  /** @param {number} _rows that only the kernel has */
  advanceBy(_rows) {}

  /** @param {string} _what */
  changed(_what) {}

  get playing() {
    return Boolean(this.head?.playing);
  }

  /**
   * @param {number} row
   * @param {number} now
   */
  show(row, now) {
    this.row = row;
    this.head.moveTo(row, now);
  }

  // Commands; each says at once what it did, so that the kernel need not guess.

  play() {
    if (!this.track?.size || this.playing) return;
    const now = performance.now();
    const [from, to] = this.ends();
    if (this.track.live) this.following = this.row >= this.track.last;
    else if (this.row >= to) this.jump(from, "seek", now);
    this.skipWaiting(now);
    this.head.play(now);
    this.announce(now);
  }

  // What comes before the start of play is shown in one go: nobody waits for a price.
  /** @param {number} now */
  skipWaiting(now) {
    const { base, facts, live } = this.track;
    if (live || this.row !== base || this.loop[0] !== null || !(facts.live_row > base)) return;
    this.report.played(facts.live_row, "play");
    this.show(facts.live_row, now);
    this.want();
  }

  pause() {
    if (!this.playing) return;
    const now = performance.now();
    this.advance(now);
    this.stand(now);
    this.announce(now);
  }

  /** @param {number} now */
  stand(now) {
    this.head.pause(now);
    if (this.following) this.report.reported = this.row;
    this.following = false;
    this.pace.clear();
  }

  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  stop() {
    if (!this.track?.size) return;
    const now = performance.now();
    this.stand(now);
    this.jump(this.track.base, "stop", now);
    this.announce(now);
  }

  /**
   * @param {number} row
   * @param {import("./types.js").Reason} [reason]
   * @param {number} [gen]
   */
  seek(row, reason = "seek", gen = undefined) {
    if (!this.track?.size) return;
    const now = performance.now();
    if (this.playing) this.advance(now);
    this.jump(this.track.clamp(row), reason, now, gen);
    this.announce(now);
  }

  /**
   * @param {number} row
   * @param {import("./types.js").Reason} reason
   * @param {number} now
   * @param {number} [gen]
   */
  jump(row, reason, now, gen) {
    this.following = this.track.live && this.playing && row >= this.track.last;
    this.report.jump(row, reason, gen);
    this.show(row, now);
    this.want();
    this.pace.clear();
  }

  /** @param {number} count */
  step(count) {
    if (!this.track?.size) return;
    const now = performance.now();
    if (this.playing) {
      this.advance(now);
      this.stand(now);
    }
    const row = this.track.clamp(this.row + count);
    if (this.track.blind && this.row + count > this.track.last) this.advanceBy(this.row + count - this.track.last);
    else if (count > 0) {
      this.report.played(row, "step");
      this.show(row, now);
    } else if (row < this.row) this.jump(row, "seek", now);
    this.announce(now);
  }

  /**
   * @param {import("./types.js").Speed} speed
   * @param {boolean} [own]
   */
  setSpeed(speed, own = true) {
    if (!this.track) return;
    const now = performance.now();
    if (this.playing) this.advance(now);
    this.head.setSpeed(speed, now);
    this.pace.clear();
    if (own) this.announce(now);
    else this.changed("speed");
  }

  /**
   * @param {import("./types.js").Pacing} pacing
   * @param {boolean} [own]
   */
  setPacing(pacing, own = true) {
    if (!this.track) return;
    const now = performance.now();
    if (this.playing) this.advance(now);
    this.head.setPacing(pacing, Math.max(0, this.row), now);
    if (own) this.announce(now);
  }

  /**
   * @param {import("./types.js").Loop} loop
   * @param {boolean} [own]
   */
  setLoop(loop, own = true) {
    if (!this.track?.size) return;
    let [a, b] = loop;
    if (a !== null) a = this.track.clamp(a);
    if (b !== null) b = this.track.clamp(b);
    if (a !== null && b !== null && a > b) [a, b] = [b, a];
    this.loop = [a, b];
    if (own && a !== null && b !== null) this.selection = [a, b];
    if (own) this.announce(performance.now());
  }

  /** @returns {[number, number]} */
  ends() {
    const [a, b] = this.loop;
    return a === null || b === null ? [this.track.base, this.track.last] : [this.track.clamp(a), this.track.clamp(b)];
  }

  state() {
    const { playing, speed, pacing } = this.head;
    return {
      playing,
      row: this.row,
      speed,
      pacing,
      loop: this.loop,
      selection: this.selection,
      gen: this.report.gen,
      following: this.following,
    };
  }

  // Move to where the clock says; loops, ends and the newest live row are met here.
  /** @param {number} now */
  advance(now) {
    if (!this.playing) return;
    if (this.following) return this.show(this.track.last, now);
    if (this.held(now)) return this.head.moveTo(this.row, now);
    const [from, end] = this.ends();
    const to = this.row > end ? this.track.last : end;
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

  /** @param {number} now */
  next(now) {
    if (this.head.speed !== null) return Math.max(this.row, this.head.rowAt(this.head.at(now)));
    const row = this.row + Math.max(1, Math.ceil(this.track.size / 120)); // all of it in about two seconds
    this.head.moveTo(this.track.clamp(row), now);
    return row;
  }

  // Whether playing waits for the kernel: always in lockstep, for a while when as fast as possible.
  /** @param {number} now */
  held(now) {
    if (!this.report.flying || this.gone) return false;
    return this.lockstep || (this.head.speed === null && !this.report.slow(now));
  }

  /**
   * @param {number} from
   * @param {number} to
   */
  loops(from, to) {
    return !this.track.live && this.loop[0] !== null && to === this.loop[1] && from < to;
  }

  // How long the last row of a loop is shown, in milliseconds of the game.
  /** @param {number} row */
  length(row) {
    const length = row < this.track.last ? this.head.due(row + 1) - this.head.due(row) : 0;
    return length > 0 ? length : this.track.facts.nominal_ms;
  }

  /**
   * @param {number} from
   * @param {number} to
   * @param {number} over
   * @param {number} now
   */
  atEnd(from, to, over, now) {
    if (this.track.live) {
      this.following = true;
      if (this.track.blind) this.announce(now); // from here on the kernel keeps the time
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
      this.announce(now);
      this.ended();
    }
  }
}
