// Playhead: anchor, since, speed, playing - the arithmetic of the kernel's clock, in milliseconds of the game.
// It never counts frames: where it is follows from when it started, so nothing drifts.

export class Playhead {
  /**
   * @param {import("./track.js").Track} track
   * @param {number} now
   */
  constructor(track, now) {
    this.track = track;
    this.pacing = "recorded";
    this.speed = 1; // null is as fast as possible
    this.playing = false;
    this.anchor = 0;
    this.since = now;
  }

  /** @param {number} row */
  due(row) {
    return this.pacing === "recorded" ? this.track.due(row) : row * this.track.facts.nominal_ms;
  }

  /** @param {number} ms */
  rowAt(ms) {
    if (this.pacing === "recorded") return this.track.rowAt(ms);
    return this.track.clamp(Math.floor(ms / this.track.facts.nominal_ms + 1e-9));
  }

  // Where the playhead is at `now`, in milliseconds of the game.
  /** @param {number} now */
  at(now) {
    return this.playing && this.speed !== null ? this.anchor + (now - this.since) * this.speed : this.anchor;
  }

  /**
   * @param {number} row
   * @param {number} now
   */
  moveTo(row, now) {
    this.anchor = this.due(row);
    this.since = now;
  }

  /** @param {number} now */
  hold(now) {
    this.anchor = this.at(now);
    this.since = now;
  }

  /** @param {number} now */
  play(now) {
    this.since = now;
    this.playing = true;
  }

  /** @param {number} now */
  pause(now) {
    this.hold(now);
    this.playing = false;
  }

  /**
   * @param {import("./types.js").Speed} speed
   * @param {number} now
   */
  setSpeed(speed, now) {
    this.hold(now);
    this.speed = speed;
  }

  /**
   * @param {import("./types.js").Pacing} pacing
   * @param {number} row
   * @param {number} now
   */
  setPacing(pacing, row, now) {
    this.pacing = pacing;
    this.moveTo(row, now);
  }
}
