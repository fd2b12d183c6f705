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
 * Show a player in the element that carries its name, when that is to be seen.
 * @param {() => any} create makes a player, as anywidget asks for it
 * @param {string} name
 * @param {import("./types.js").Content} opening the message that a kernel would send
 * @param {Packed[][]} pieces its rows: an overview and chunks, or all of them
 */
export async function showOffline(create, name, opening, pieces) {
  const host = await taken(name);
  if (!host) return;
  const chunks = pieces.map((columns) => columns.map(unpack));
  /** @type {Set<(content: import("./types.js").Content, buffers: import("./types.js").Buffers) => void>} */
  const listeners = new Set();
  /**
   * @param {import("./types.js").Content} content
   * @param {Promise<DataView>[]} columns
   */
  const answer = async (content, columns) => {
    const buffers = await Promise.all(columns || []);
    for (const callback of listeners) callback(content, buffers);
  };
  /** @type {import("./types.js").Model} */
  const model = {
    on: (_name, callback) => listeners.add(callback),
    off: (_name, callback) => listeners.delete(callback),
    get: () => "",
    send: (content) => {
      const { kind, id, number } = /** @type {import("./types.js").Content} */ (content);
      if (kind === "ready") answer(opening, chunks[0]);
      if (kind === "want") answer({ kind: "chunk", id, number }, chunks[number + 1]);
      return undefined;
    },
  };
  const player = create();
  player.initialize({ model });
  const still = host.querySelector(".rlab-still");
  player.render({ model, el: host });
  if (still) still.remove();
}
