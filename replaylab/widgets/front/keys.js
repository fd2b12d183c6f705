// Keys: what each does, wherever in the player the focus is; a list keeps its own.

/** @type {Record<string, (view: import("./view.js").View, event: KeyboardEvent) => void>} */
const KEYS = {
  " ": (view) => view.session.toggle(),
  ArrowLeft: (view, event) => view.session.step(event.shiftKey ? -10 : -1),
  ArrowRight: (view, event) => view.session.step(event.shiftKey ? 10 : 1),
  ArrowDown: (view, event) => view.session.step(event.shiftKey ? -10 : -1),
  ArrowUp: (view, event) => view.session.step(event.shiftKey ? 10 : 1),
  PageDown: (view) => view.session.seek(view.session.row - page(view)),
  PageUp: (view) => view.session.seek(view.session.row + page(view)),
  Home: (view) => view.session.seek(view.session.track.base),
  End: (view) => (view.session.track.live && !view.session.track.blind ? view.newest() : view.session.seek(view.session.track.last)),
  "[": (view) => view.session.setLoop([view.session.row, view.session.loop[1]]),
  "]": (view) => view.session.setLoop([view.session.loop[0], view.session.row]),
  l: (view) => view.flip("log"),
  c: (view) => view.candles(),
  h: (view) => view.flip("ahead"),
  b: (view) => view.hide(),
  t: (view) => view.jump("live"),
  k: (view) => view.jump("peak"),
  r: (view) => view.jump("rug"),
  g: (view, event) => view.jump(event.shiftKey ? "gap_before" : "gap"),
  m: (view, event) => view.jump(event.shiftKey ? "mark_before" : "mark"),
  d: (view, event) => view.jump(event.shiftKey ? "trade_before" : "trade"),
  w: (view) => view.fit(),
  i: (view) => view.table.toggle(),
  a: (view) => view.form.toggle(),
  j: (view) => view.goto.toggle(),
  "?": (view) => view.keys.open(),
  Escape: (view) => view.free(),
  "<": (view) => view.panel.turnSpeed(-1),
  ">": (view) => view.panel.turnSpeed(1),
  ",": (view) => view.session.step(-1),
  ".": (view) => view.session.step(1),
  o: (view) => view.flip("play_on"),
  f: (view, event) => (event.shiftKey ? view.fill() : view.follow()),
  s: (view) => view.skip(),
  n: (view) => step_game(view, 1),
  p: (view) => step_game(view, -1),
  "+": (view) => view.zoom(0.7),
  "=": (view) => view.zoom(0.7),
  "-": (view) => view.zoom(1 / 0.7),
};

/** @param {import("./view.js").View} view */
function page(view) {
  return Math.max(1, Math.round(view.session.track.size / 20));
}

/**
 * @param {import("./view.js").View} view
 * @param {number} step
 */
function step_game(view, step) {
  const { games, track } = view.session;
  if (games.length > 1) view.session.pick((track.facts.game + step + games.length) % games.length);
}

/**
 * @param {KeyboardEvent} event
 * @param {import("./view.js").View} view
 */
export function pressed(event, view) {
  if (!view.session.track || event.ctrlKey || event.metaKey || event.altKey) return;
  const focused = /** @type {HTMLElement} */ (event.target).tagName;
  if (focused === "SELECT") return; // its keys choose
  if (focused === "INPUT" && /** @type {HTMLInputElement} */ (event.target).type === "text") return; // they are written
  if (event.key === " " && focused === "BUTTON") return; // Space presses it
  if (/^[0-9]$/.test(event.key)) {
    event.preventDefault();
    event.stopPropagation();
    view.tenth(Number(event.key));
    return;
  }
  const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!act) return;
  event.preventDefault();
  event.stopPropagation();
  act(view, event);
}
