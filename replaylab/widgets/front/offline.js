// Offline: a page, or a cell of a saved notebook, that plays a game with no kernel: the rows are in the page itself.

/** @typedef {[number, string]} Packed bytes of a value, and the column: base64 of gzip of its bytes, those of a place side by side */

/**
 * @param {Packed} column
 * @returns {Promise<DataView>}
 */
export async function unpack([width, packed]) {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const turned = new Uint8Array(await new Response(stream).arrayBuffer());
  const rows = turned.length / width;
  const plain = new Uint8Array(turned.length);
  for (let byte = 0; byte < width; byte += 1) {
    for (let row = 0; row < rows; row += 1) plain[row * width + byte] = turned[byte * rows + row];
  }
  return new DataView(plain.buffer);
}

/**
 * Return the element that carries a name, once it is to be seen; nothing when there is none that is still free.
 * @param {string} name
 */
export async function taken(name) {
  // The same game may stand in a page more than once.
  const hosts = /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll(`[data-rlab="${name}"]`));
  const host = Array.from(hosts).find((one) => !one.dataset.taken);
  if (!host) return null;
  host.dataset.taken = "yes";
  const seen = () => new Promise((resolve) => host.addEventListener("rlab-show", resolve, { once: true }));
  if (host.style.display === "none" && !host.dataset.shown) await seen();
  return host;
}

/**
 * Show a player in the element that carries its name, when that is to be seen. An event "rlab-pick" on the element, with
 * the number of a game, shows that game.
 * @param {() => any} create makes a player, as anywidget asks for it
 * @param {string} name
 * @param {import("./types.js").Content} opening the message that a kernel would send
 * @param {Packed[][]} pieces its rows: an overview and chunks, or all of them
 * @param {[import("./types.js").Content, Packed[][]][]} others games that can be picked: what differs, and their rows
 */
export async function showOffline(create, name, opening, pieces, others = []) {
  const host = await taken(name);
  if (!host) return;
  const games = [{ opening, pieces }, ...others.map(([own, rows]) => ({ opening: { ...opening, ...own }, pieces: rows }))];
  /** @type {Promise<DataView>[][]} */
  let chunks = [];
  let shown = -1;
  /** @type {Set<(content: import("./types.js").Content, buffers: import("./types.js").Buffers) => void>} */
  const listeners = new Set();
  /**
   * @param {import("./types.js").Content} content
   * @param {Promise<DataView>[]} columns
   */
  const answer = async (content, columns) => {
    const game = shown;
    const buffers = await Promise.all(columns || []);
    if (game !== shown) return; // another one was picked meanwhile
    for (const callback of listeners) callback(content, buffers);
  };
  /**
   * @param {number} number
   * @param {import("./types.js").Content} [asked] with the state to keep
   */
  const open = (number, asked) => {
    const game = games[number];
    if (!game) return;
    shown = number;
    chunks = game.pieces.map((columns) => columns.map(unpack));
    const row = asked?.play ? 0 : opening.state.row;
    /** @type {import("./types.js").Loop} */
    const none = [null, null];
    const kept = asked && { ...asked.state, row, playing: Boolean(asked.play), loop: none, selection: none };
    answer({ ...game.opening, state: { ...opening.state, ...kept } }, chunks[0]);
  };
  /** @type {import("./types.js").Model} */
  const model = {
    on: (_name, callback) => listeners.add(callback),
    off: (_name, callback) => listeners.delete(callback),
    get: () => "",
    send: (content) => {
      const asked = /** @type {import("./types.js").Content} */ (content);
      if (asked.kind === "ready") open(0);
      if (asked.kind === "pick") open(asked.number, asked);
      if (asked.kind === "want") answer({ kind: "chunk", id: asked.id, number: asked.number }, chunks[asked.number + 1]);
      return undefined;
    },
  };
  const player = create();
  const close = player.initialize({ model });
  host.addEventListener("rlab-pick", (event) => player.pick(/** @type {CustomEvent} */ (event).detail));
  const still = host.querySelector(".rlab-still");
  const leave = player.render({ model, el: host });
  if (still) still.remove();
  const end = () => {
    leave();
    close();
  };
  host.addEventListener("rlab-hide", end, { once: true });
}
