// Pace: what was achieved in the last second or so.
class Pace {
  constructor() {
    this.clear();
  }

  clear() {
    this.frames = [];
    this.rows = 0;
    this.looped = 0; // milliseconds of the game that loops went back
    this.text = "";
    this.since = 0;
  }

  passed(rows) {
    this.rows += rows;
  }

  frame(now, at) {
    this.frames.push([now, at + this.looped, this.rows]);
    if (this.frames.length < 3 || now - this.since < 500) return;
    while (this.frames.length > 3 && now - this.frames[0][0] > 1500) this.frames.shift();
    const [first, from, before] = this.frames[0];
    const seconds = (now - first) / 1000;
    if (seconds < 0.3) return;
    const speed = (at + this.looped - from) / 1000 / seconds;
    const rate = (this.rows - before) / seconds;
    const rateText = rate < 100 ? rate.toFixed(1) : groupText(Math.round(rate));
    this.speed = speed;
    this.text = speedText(speed) + ", " + rateText + " ticks/s, " + Math.round((this.frames.length - 1) / seconds) + " fps";
    this.since = now;
  }
}
