// Session: one a model. It speaks with the kernel, keeps the marks, and counts the frames; views only paint.

class Session extends Transport {
  constructor(model) {
    super(new Report((content) => this.post(content)));
    this.model = model;
    this.views = new Set();
    this.notes = [];
    this.games = [];
    this.trouble = "";
    this.raf = 0;
    this.client = Math.random().toString(36).slice(2, 10);
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

  pick(number) {
    this.post({ kind: "pick", number });
  }

  tell(now) {
    this.report.urgent = true;
    if (!this.offline) {
      this.post({ kind: "state", ...this.state() });
      this.report.flush(now, this.state());
    }
    this.changed("state");
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
