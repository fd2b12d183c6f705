// Seek bar: the browser's own range input, so that mouse, touch and screen readers work, over a painted track that
// shows phases, gaps, events, marks and the loop.

const THUMB = 14;

class SeekBar {
  constructor(session) {
    this.session = session;
    this.root = make("div", "rlab-seek");
    this.canvas = make("canvas", "rlab-track", { "aria-hidden": "true" });
    this.input = control("input", "rlab-range", { type: "range", step: "1", min: "0", max: "0", "aria-label": "Position in the game" });
    this.root.append(this.canvas, this.input);
    this.input.addEventListener("input", () => session.seek(Number(this.input.value)));
    this.key = "";
    this.said = 0;
  }

  resize() {
    const ratio = window.devicePixelRatio || 1;
    this.width = this.root.clientWidth;
    this.height = this.root.clientHeight;
    this.canvas.width = Math.max(1, Math.round(this.width * ratio));
    this.canvas.height = Math.max(1, Math.round(this.height * ratio));
    this.ratio = ratio;
    this.key = "";
  }

  x(row) {
    const { reel } = this.session;
    const part = reel.size > 1 ? (row - reel.base) / (reel.size - 1) : 0.5;
    return THUMB / 2 + Math.max(0, Math.min(1, part)) * (this.width - THUMB);
  }

  paint(theme, now) {
    const { reel, row, loop, notes } = this.session;
    if (!reel || !this.width) return;
    const max = String(Math.max(reel.base, reel.last));
    if (this.input.max !== max || this.input.min !== String(reel.base)) {
      this.input.min = String(reel.base);
      this.input.max = max;
      this.key = "";
    }
    this.input.disabled = reel.size < 2;
    if (this.input.value !== String(row)) this.input.value = String(row);
    if (!this.session.playing || now - this.said > 1000) {
      this.said = now;
      this.input.setAttribute("aria-valuetext", positionText(this.session));
    }
    const key = [theme.ink, theme.paper, ...loop, notes.length, this.loaded()].join();
    if (key === this.key) return;
    this.key = key;
    this.paintTrack(theme);
  }

  loaded() {
    return this.session.reel.chunks.reduce((sum, state) => sum + (state === 2), 0);
  }

  paintTrack(theme) {
    const { reel, loop, notes } = this.session;
    const context = this.canvas.getContext("2d");
    context.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    context.clearRect(0, 0, this.width, this.height);
    const top = this.height / 2 - 4;
    context.fillStyle = theme.grid;
    context.fillRect(THUMB / 2, top, this.width - THUMB, 8);
    if (!reel.size) return;
    this.paintBands(context, top);
    for (const gap of reel.facts.gaps) {
      const x = this.x(gap.row - 0.5);
      context.fillStyle = theme.paper;
      context.fillRect(x - 2.5, top - 1, 5, 10);
      hatch(context, x - 2.5, top - 1, 5, 10, theme.ink);
    }
    const [a, b] = loop;
    context.fillStyle = theme.note;
    if (a !== null && b !== null) context.fillRect(this.x(a), top - 5, this.x(b) - this.x(a), 3);
    for (const [place, toward] of [[a, 1], [b, -1]]) {
      if (place === null) continue;
      context.fillRect(this.x(place) - 1, top - 5, 2, 18);
      context.fillRect(this.x(place), top - 5, 5 * toward, 3);
    }
    const events = [...reel.facts.events, ...notes.map((note) => ({ ...note, kind: "note" }))];
    for (const event of events) {
      const level = event.kind === "note" ? top - 5 : top + 13;
      context.save();
      context.translate(this.x(event.row), level);
      context.scale(0.75, 0.75);
      shape(context, SHAPES[event.kind], 0, 0, event.colour || theme[event.kind] || theme.ink, theme.paper);
      context.restore();
    }
  }

  paintBands(context, top) {
    const { reel } = this.session;
    for (let x = Math.floor(THUMB / 2); x < this.width - THUMB / 2; x += 1) {
      const part = (x - THUMB / 2) / (this.width - THUMB);
      const phase = reel.facts.phases[reel.flags(reel.clamp(reel.base + Math.round(part * (reel.size - 1)))) & PHASE];
      if (!TINTS[phase]) continue;
      context.fillStyle = TINTS[phase];
      context.fillRect(x, top, 1, 8);
      context.fillRect(x, top, 1, 8); // twice: a narrow band needs a stronger tint
    }
  }
}

function positionText(session) {
  const { reel, row, head } = session;
  if (!reel.size) return "no row";
  const said = reel.words_of(row);
  const past = spanText(head.due(row) - head.due(reel.base));
  return said.tick + ", price " + said.price + ", " + said.phase + ", " + past + " of " + spanText(head.due(reel.last) - head.due(reel.base));
}
