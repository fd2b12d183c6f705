// Playhead: anchor, since, speed, playing - the arithmetic of the kernel's clock, in milliseconds of the game.
// It never counts frames: where it is follows from when it started, so nothing drifts.

class Playhead {
  constructor(reel, now) {
    this.reel = reel;
    this.pacing = "recorded";
    this.speed = 1; // null is as fast as possible
    this.playing = false;
    this.anchor = 0;
    this.since = now;
  }

  due(row) {
    return this.pacing === "recorded" ? this.reel.due(row) : row * this.reel.facts.nominal_ms;
  }

  rowAt(ms) {
    if (this.pacing === "recorded") return this.reel.rowAt(ms);
    return this.reel.clamp(Math.floor(ms / this.reel.facts.nominal_ms + 1e-9));
  }

  // Where the playhead is at `now`, in milliseconds of the game.
  at(now) {
    return this.playing && this.speed !== null ? this.anchor + (now - this.since) * this.speed : this.anchor;
  }

  moveTo(row, now) {
    this.anchor = this.due(row);
    this.since = now;
  }

  hold(now) {
    this.anchor = this.at(now);
    this.since = now;
  }

  play(now) {
    this.since = now;
    this.playing = true;
  }

  pause(now) {
    this.hold(now);
    this.playing = false;
  }

  setSpeed(speed, now) {
    this.hold(now);
    this.speed = speed;
  }

  setPacing(pacing, row, now) {
    this.pacing = pacing;
    this.moveTo(row, now);
  }
}
