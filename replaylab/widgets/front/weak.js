// Weak: window, document and timers outlive a player and call it, but do not keep it. JupyterLab drops what a cell showed
// without telling its scripts, and takes other cells out of the page for a while: a player cannot tell the two apart.

/** @type {FinalizationRegistry<() => void>} */
const dropped = new FinalizationRegistry((end) => end());

/**
 * Call a method of the owner for as long as something else keeps the owner. Returns what ends it before.
 * @template {object} Owner
 * @param {Owner} owner
 * @param {(this: Owner) => void} method a closure would keep the owner
 * @param {(call: () => void) => () => void} start begins to call, and returns what ends that
 */
export function weakly(owner, method, start) {
  const held = new WeakRef(owner);
  const end = start(() => {
    const kept = held.deref();
    if (kept) method.call(kept);
  });
  dropped.register(owner, end, end);
  return () => {
    dropped.unregister(end);
    end();
  };
}

/**
 * @param {EventTarget} target
 * @param {string} name of the event
 * @returns {(call: () => void) => () => void}
 */
export function hearing(target, name) {
  return (call) => {
    target.addEventListener(name, call);
    return () => target.removeEventListener(name, call);
  };
}

/**
 * @param {number} ms
 * @returns {(call: () => void) => () => void}
 */
export function every(ms) {
  return (call) => {
    const timer = setInterval(call, ms);
    return () => clearInterval(timer);
  };
}
