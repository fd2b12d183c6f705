// Key list: a dialog that says what each key does; ? opens it, Escape closes it.

import { control, make } from "./elements.js";

/** @type {[string, string][]} */
const LISTED = [
  ["Space", "play, pause"],
  ["\u2190 \u2192 or , .", "one tick back, on; Shift with an arrow ten"],
  ["Page Up, Page Down", "a twentieth of the game on, back"],
  ["Home, End", "the first tick, the last one"],
  ["0 to 9", "so many tenths into the game"],
  ["J", "go to a tick by its number"],
  ["T, K, R", "the start of play, the peak, the rug"],
  ["G, M, D", "the next gap, mark, trade; with Shift the one before"],
  ["S", "skip to the next tick"],
  ["< >", "slower, faster"],
  ["[ ]", "loop from here, to here"],
  ["Escape", "no loop, nothing selected"],
  ["A", "a mark here"],
  ["I", "table of ticks"],
  ["L, C", "logarithmic price, candles"],
  ["H, B", "what lies ahead, the future hidden wholly"],
  ["+ \u2212 W", "zoom in, out, the whole game"],
  ["F, Shift+F", "follow the playhead, full screen"],
  ["N, P, O", "the next game, the one before, play on"],
  ["?", "this list"],
];

export class KeyList {
  /** @param {import("./view.js").View} view */
  constructor(view) {
    this.view = view;
    this.root = make("dialog", "rlab-keys", { "aria-label": "Keys of the player" });
    const table = make("table", "rlab-keys-table");
    for (const [keys, act] of LISTED) {
      const row = make("tr", "");
      row.append(make("th", "", { scope: "row" }, keys), make("td", "", {}, act));
      table.append(row);
    }
    const close = control("button", "rlab-button rlab-text", { type: "button" }, "Close");
    close.addEventListener("click", () => this.root.close());
    this.root.append(make("h2", "", {}, "Keys"), table, close);
    this.root.addEventListener("keydown", (event) => this.pressed(event));
    this.root.addEventListener("close", () => view.stage.focus());
  }

  open() {
    if (!this.root.open) this.root.showModal();
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    event.stopPropagation(); // no key of the list plays the game
    if (event.key === "?" || event.key === "Escape") {
      event.preventDefault();
      this.root.close();
    }
  }
}
