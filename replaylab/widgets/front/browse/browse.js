// Browse: the games of a store in a table that the kernel fills, or that a page without a kernel holds whole.

import { make } from "../elements.js";
import { taken, unpack } from "../offline.js";
import { Games } from "./games.js";
import { Table } from "./table.js";

const BETWEEN_LOOKS = 2500; // ms, a little more than the kernel lets pass
const PATIENCE = 8000; // ms until a kernel that does not answer is named

/** What the kernel said last, for every view of the model. */
class Session {
  /** @param {import("../types.js").Model} model */
  constructor(model) {
    this.model = model;
    /** @type {Set<Table>} */
    this.tables = new Set();
    /** @type {import("./table.js").Source | null} */
    this.source = null;
    /** @type {number[]} */
    this.queue = [];
    this.waiting = 0;
    this.timer = 0;
    this.looked = 0;
    this.hear = (/** @type {any} */ content, /** @type {DataView[]} */ buffers) => this.receive(content, buffers || []);
    model.on("msg:custom", this.hear);
    this.send({ kind: "ready" });
  }

  /** @param {object} content */
  send(content) {
    const silent = () => this.say("the kernel does not answer: it is busy, or gone; run the cell again to play games");
    clearTimeout(this.timer);
    this.timer = setTimeout(silent, PATIENCE);
    try {
      Promise.resolve(this.model.send(content)).catch(silent);
    } catch {
      silent(); // its comm was closed
    }
  }

  // Ask whether the store has changed. A kernel that is busy answers later, and one that is gone says so when a game is asked for.
  look() {
    if (performance.now() - this.looked < BETWEEN_LOOKS) return;
    this.looked = performance.now();
    try {
      Promise.resolve(this.model.send({ kind: "look" })).catch(() => {});
    } catch {
      // its comm was closed
    }
  }

  /** @param {string} text */
  say(text) {
    for (const table of this.tables) table.say(text || (this.source ? this.source.note : ""));
  }

  /**
   * @param {any} content
   * @param {DataView[]} buffers
   */
  receive(content, buffers) {
    clearTimeout(this.timer);
    if (content.kind === "games") {
      this.queue = [];
      this.waiting = 0;
      this.source = {
        games: new Games(buffers),
        title: content.title,
        note: content.note,
        want: (which) => this.want(which),
        open: (number) => this.send({ kind: "open", number, version: content.version }),
        refresh: () => this.send({ kind: "refresh" }),
        look: () => this.look(),
      };
      this.version = content.version;
      for (const table of this.tables) table.show(this.source);
    } else if (content.kind === "thumbnails") {
      this.waiting = 0;
      if (content.version === this.version) this.source.games.learn(content.numbers, buffers[0]);
      for (const table of this.tables) table.soon();
      this.ask();
    } else if (content.kind === "say") this.say(content.text);
  }

  /** @param {number[]} which */
  want(which) {
    this.queue.push(...which);
    this.ask();
  }

  // One question at a time, what came into sight last first: rows that were scrolled past can wait.
  ask() {
    if (this.waiting || !this.queue.length) return;
    const numbers = this.queue.splice(-48);
    this.waiting = numbers.length;
    this.send({ kind: "want", numbers, version: this.version });
  }

  close() {
    clearTimeout(this.timer);
    this.model.off("msg:custom", this.hear);
  }
}

const create = () => {
  /** @type {Session | null} */
  let session = null;
  return {
    /** @param {{ model: import("../types.js").Model }} given */
    initialize({ model }) {
      session = new Session(model);
      return () => session.close();
    },
    /** @param {{ model: import("../types.js").Model, el: HTMLElement }} given */
    render({ model, el }) {
      const table = new Table(el, Number(model.get("height")) || 420, model.get("player_id"));
      session.tables.add(table);
      if (session.source) table.show(session.source);
      return () => {
        session.tables.delete(table);
        table.close();
      };
    },
  };
};

/**
 * Show a table that has no kernel.
 * @param {string} name of the element
 * @param {{ title: string, note: string, height: number, pages: string[] | null }} facts `pages` are the addresses of the games
 * @param {[number, string][]} columns packed; the last one holds thumbnails
 */
create.offline = async (name, facts, columns) => {
  const host = await taken(name);
  if (!host) return;
  const buffers = await Promise.all(columns.map(unpack));
  const games = new Games(buffers.slice(0, -1));
  games.learn(
    Array.from({ length: games.count }, (_none, number) => number),
    buffers[buffers.length - 1],
  );
  host.querySelector(".rlab-still")?.remove();
  const table = new Table(host, facts.height, "");
  const beside = facts.pages ? frame(host, table) : null;
  const say = () => table.say("run the cell again to play games: this table has no kernel");
  table.show({
    games,
    title: facts.title,
    note: facts.note,
    want: () => {},
    open: (number) => (beside ? beside(facts.pages[number], games.name(number)) : say()),
    refresh: null,
    look: null,
  });
  if (beside) followAddress(table, facts.pages);
};

/**
 * @param {HTMLElement} host
 * @param {Table} table
 */
function frame(host, table) {
  host.classList.add("rlab-pair");
  const holder = make("div", "rlab-beside");
  host.append(holder);
  /** @type {HTMLIFrameElement | null} */
  let shown = null;
  return (/** @type {string} */ address, /** @type {string} */ title) => {
    if (!shown) {
      shown = make("iframe", "rlab-frame");
      holder.append(shown);
    }
    shown.title = `Player of ${title.slice(0, 80)}`;
    shown.src = address;
    history.replaceState(null, "", `#${address}`);
    if (table.root.clientWidth < 500) holder.scrollIntoView({ block: "nearest" });
  };
}

/**
 * Open the game that the address of the page names.
 * @param {Table} table
 * @param {string[]} pages
 */
function followAddress(table, pages) {
  const number = pages.indexOf(location.hash.slice(1));
  if (number >= 0) table.open(table.source.games.shown.indexOf(number));
}

export default create;
