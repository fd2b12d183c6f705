// What the widget state of a saved notebook holds of the player: it asks the kernel for the script, once a page.

/** @typedef {{ default: () => any }} Loaded */

/**
 * @param {string} name of the script: pages that have it share it
 */
// biome-ignore lint/correctness/noUnusedVariables: called by the script that it is put into
function playerLoader(name) {
  const key = Symbol.for(`replaylab/player/${name}`);
  /** @type {Record<symbol, Promise<Loaded>>} */
  const shared = /** @type {any} */ (globalThis);

  /**
   * @param {DataView} packed
   * @returns {Promise<Loaded>}
   */
  const unpacked = async (packed) => {
    const bytes = new Uint8Array(packed.byteLength);
    bytes.set(new Uint8Array(packed.buffer, packed.byteOffset, packed.byteLength));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const source = await new Response(stream).text();
    const address = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    const found = await import(address);
    URL.revokeObjectURL(address);
    return found;
  };

  /**
   * @param {any} model
   * @returns {Promise<Loaded>}
   */
  const asked = (model) =>
    new Promise((resolve) => {
      /**
       * @param {{ kind: string }} content
       * @param {DataView[]} buffers
       */
      const heard = (content, buffers) => {
        if (content.kind !== "script") return;
        model.off("msg:custom", heard);
        shared[key] ??= unpacked(buffers[0]);
        resolve(shared[key]);
      };
      model.on("msg:custom", heard);
      model.send({ kind: "script", client: "loader" });
    });

  return () => {
    /** @type {Promise<any>} */
    let player;
    let closed = false;
    return {
      /** @param {{ model: any }} given */
      initialize({ model }) {
        /** @type {(() => void) | undefined} */
        let close;
        player = (shared[key] ?? asked(model)).then((found) => {
          const made = found.default();
          if (!closed) close = made.initialize({ model });
          return made;
        });
        return () => {
          closed = true;
          close?.();
        };
      },
      /** @param {{ model: any, el: HTMLElement }} given */
      async render({ model, el }) {
        const waits = document.createElement("div");
        waits.dataset.player = model.get("player_id");
        el.append(waits); // at once, so that what stands in for it knows that a player comes
        const timer = setTimeout(() => {
          waits.className = "rlab";
          waits.textContent = "waits for the kernel";
        }, 300);
        const made = await player;
        clearTimeout(timer);
        waits.remove();
        return closed ? undefined : made.render({ model, el });
      },
    };
  };
}
