// Pace: what was achieved in the last second or so.

import { groupText, speedText } from "./digits.js";

export class Pace {
  constructor() {
    this.clear();
  }

  clear() {
    /** @type {[number, number, number][]} */
    this.frames = []; // time, place in the game, rows so far
    this.rows = 0;
    this.looped = 0; // milliseconds of the game that loops went back
    this.text = "";
    this.fps = 0;
    this.since = 0;
  }

  /** @param {number} rows */
  passed(rows) {
    this.rows += rows;
  }

  /**
   * @param {number} now
   * @param {number} at
   */
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
    this.text = `${speedText(speed)}, ${rateText} ticks/s`;
    this.fps = Math.round((this.frames.length - 1) / seconds);
    this.since = now;
  }
}
