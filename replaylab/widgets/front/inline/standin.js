// What stands in for a player in its cell (picture, text, a player without a kernel) is seen only where the player
// itself does not show: in a notebook that was opened again, or a page made of one. Runs as a script of its own.

/**
 * @param {HTMLElement} host what is hidden, or shown
 * @param {string} id of the player that it stands in for
 */
// biome-ignore lint/correctness/noUnusedVariables: called by the script that it is put into
function standIn(host, id) {
  const panel = host.closest(".jp-NotebookPanel");
  const since = performance.now();
  const patience = panel ? 10000 : 3000; // ms, for a player that waits for a busy kernel, or for one that never comes
  const grace = 600; // ms until a player that was just made stands in the page
  let shown = false;

  const players = () => Array.from((panel || document).querySelectorAll(`[data-player="${id}"]`));
  const cell = () => host.closest(".jp-OutputArea, .output_area, .output");
  const errors = () => {
    const area = cell();
    if (!area) return [];
    const found = Array.from(area.querySelectorAll(".jupyter-widgets, .jp-OutputArea-output"));
    return found.filter((one) => !one.contains(host) && (one.textContent || "").startsWith("Error displaying widget"));
  };
  /** @param {boolean} on */
  const show = (on) => {
    shown = on;
    host.style.display = on ? "" : "none";
    if (on && !host.dataset.shown) {
      host.dataset.shown = "yes";
      host.dispatchEvent(new Event("rlab-show"));
    }
  };
  const hideErrors = () => {
    const failed = errors();
    for (const error of failed) {
      const line = error.closest(".jp-OutputArea-child") || error;
      /** @type {HTMLElement} */ (line).style.display = "none";
    }
    return failed;
  };
  // An error, or a player, comes when a kernel was started, at any time: what must not be seen is never painted.
  const watch = new MutationObserver((changes) => {
    if (changes.some((change) => !host.contains(change.target))) look();
  });
  /** @type {Element | null} */
  let watched = null;
  const end = () => {
    clearInterval(timer);
    watch.disconnect();
  };
  const look = () => {
    if (performance.now() - since > 300000) clearInterval(timer);
    if (!host.isConnected) {
      // not in the page yet, or no longer: a player shown there would never be seen, nor closed
      return performance.now() - since > 5000 ? end() : undefined;
    }
    const found = players();
    if (found.some((one) => one.hasAttribute("data-row"))) {
      show(false);
      host.dispatchEvent(new Event("rlab-hide"));
      return end();
    }
    const area = cell();
    if (area && area !== watched) {
      watched = area;
      watch.observe(area, { childList: true, characterData: true, subtree: true });
    }
    const failed = hideErrors();
    const waited = performance.now() - since;
    if (!shown && (failed.length || waited > (found.length ? patience : grace))) show(true);
  };
  const timer = setInterval(look, 50);
  show(false);
}
