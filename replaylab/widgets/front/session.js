// Session: one a model. It keeps the reel, the playhead and the marks; views only paint.

class Session {
  constructor(model) {
    this.model = model;
    this.views = new Set();
    this.reel = null;
    this.head = null;
    this.row = 0;
    this.loop = [null, null];
    this.notes = [];
    this.games = [];
    this.following = false; // live: stay with the newest row
    this.lockstep = false;
    this.trouble = "";
    this.gone = false;
    this.raf = 0;
    this.pace = new Pace();
    this.client = Math.random().toString(36).slice(2, 10);
    this.report = new Report((content) => this.post(content));
    this.heard = (content, buffers) => this.hear(content, buffers || []);
    this.frame = (now) => this.run(now);
    model.on("msg:custom", this.heard);
    this.beat = setInterval(() => document.hidden && this.playing && this.advance(performance.now()), 250);
    this.post({ kind: "ready" });
  }

  close() {
    clearInterval(this.beat);
    cancelAnimationFrame(this.raf);
    this.model.off("msg:custom", this.heard);
    this.views.clear();
    this.reel = this.head = null;
  }

  get playing() {
    return Boolean(this.head && this.head.playing);
  }

  post(content) {
    try {
      const sent = this.model.send({ ...content, client: this.client });
      if (sent && sent.catch) sent.catch(() => { this.gone = true; });
    } catch {
      this.gone = true; // the kernel was restarted: everything that is here still plays
    }
  }

  hear(content, buffers) {
    if (content.to && content.to !== this.client) return;
    const now = performance.now();
    const heard = {
      open: () => this.open(content, buffers, now),
      chunk: () => this.chunk(content, buffers),
      append: () => this.append(content, buffers, now),
      ack: () => this.report.taken(content.number),
      play: () => this.play(),
      pause: () => this.pause(),
      seek: () => this.seek(content.row, "told", content.gen),
      speed: () => this.setSpeed(content.speed, false),
      pacing: () => this.setPacing(content.pacing, false),
      loop: () => this.setLoop(content.loop, false),
      notes: () => { this.notes = content.notes; },
      trouble: () => { this.trouble = content.text; },
    }[content.kind];
    if (!heard || (!this.reel && content.kind !== "open" && content.kind !== "trouble")) return;
    heard();
    this.changed(content.kind);
  }

  open(content, buffers, now) {
    const state = content.state;
    this.trouble = "";
    this.reel = new Reel(content.reel);
    this.head = new Playhead(this.reel, now);
    this.head.pacing = state.pacing;
    this.head.speed = state.speed;
    this.loop = state.loop;
    this.notes = content.notes;
    this.games = content.games;
    this.lockstep = state.lockstep;
    this.shown = { log: state.log, ahead: state.ahead };
    this.offline = Boolean(content.offline);
    if (content.reel.overview) this.reel.overview(buffers);
    else if (this.reel.live) this.reel.append(this.reel.base, content.reel.n, buffers);
    else if (this.reel.size) this.reel.put(0, buffers);
    this.following = this.reel.live && state.playing;
    this.row = this.reel.size ? this.reel.clamp(this.following ? this.reel.last : state.row) : -1;
    this.report.gen = state.gen;
    this.report.told = this.row;
    this.report.waiting = [];
    this.report.flying = 0;
    this.head.moveTo(Math.max(0, this.row), now);
    this.pace.clear();
    if (state.playing) this.head.play(now);
    this.want();
  }

  chunk(content, buffers) {
    if (content.id !== this.reel.facts.id) return;
    this.reel.put(content.number * this.reel.chunk, buffers);
    this.want();
  }

  // Ask for what is missing, two pieces at a time, the one at the playhead first.
  want(row = this.row) {
    if (!this.reel.coarse) return;
    for (let asked = this.reel.chunks.filter((state) => state === 1).length; asked < 2; asked += 1) {
      const number = this.reel.missing(row);
      if (number < 0) return;
      this.reel.chunks[number] = 1;
      this.post({ kind: "want", id: this.reel.facts.id, number });
    }
  }

  append(content, buffers, now) {
    if (content.id !== this.reel.facts.id) return;
    this.reel.append(content.at, content.n, buffers);
    if (this.row < this.reel.base) {
      this.row = this.reel.base;
      this.head.moveTo(this.row, now);
    }
    if (this.following) this.show(this.reel.last, now);
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

  pick(number) {
    this.post({ kind: "pick", number });
  }

  ends() {
    const [a, b] = this.loop;
    return a === null || b === null ? [this.reel.base, this.reel.last] : [this.reel.clamp(a), this.reel.clamp(b)];
  }

  tell(now) {
    this.report.urgent = true;
    if (!this.offline) {
      this.post({ kind: "state", ...this.state() });
      this.report.flush(now, this.state());
    }
    this.changed("state");
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

  run(now) {
    this.raf = 0;
    if (!this.reel) return;
    // The time of the frame may lie before a command that was given since.
    const moment = Math.max(now, this.head.since);
    this.advance(moment);
    if (this.playing) this.pace.frame(moment, this.head.at(moment));
    if (!this.offline) this.report.flush(moment, this.state());
    for (const view of this.views) view.paint(moment);
    if (this.playing || (this.report.waiting.length && !this.gone && !this.offline)) this.schedule();
  }

  schedule() {
    if (!this.raf) this.raf = requestAnimationFrame(this.frame);
  }

  changed(what) {
    for (const view of this.views) view.changed(what);
    this.schedule();
  }
}
