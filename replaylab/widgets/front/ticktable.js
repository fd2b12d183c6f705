// Tick table: the rows around the playhead, in numbers; it follows, ten times a second at most.

import { exactPrice, groupText } from "./digits.js";
import { control, make, put } from "./elements.js";

const AROUND = 4;
const TABLE_MS = 100;

export class TickTable {
  /** @param {import("./session.js").Session} session */
  constructor(session) {
    this.session = session;
    this.root = control("div", "rlab-table", { tabindex: "0", role: "region", "aria-label": "Table of ticks" });
    this.root.hidden = true;
    this.table = make("table", "", { "aria-label": "Ticks around the playhead" });
    this.root.append(this.table);
    this.painted = 0;
    this.key = "";
  }

  toggle() {
    this.root.hidden = !this.root.hidden;
    this.key = "";
    this.session.schedule();
  }

  /** @param {number} now */
  paint(now) {
    const { track, row, playing } = this.session;
    if (this.root.hidden || !track.size || (playing && now - this.painted < TABLE_MS)) return;
    const key = `${track.facts.id},${row},${track.last},${track.here(row)}`;
    if (key === this.key) return;
    this.key = key;
    this.painted = now;
    const names = ["tick", "price", "time (UTC)", "phase", "trades so far", ...(track.facts.panels || []).map((panel) => panel.name)];
    this.fill(names);
    const first = Math.max(track.base, Math.min(row - AROUND, track.last - 2 * AROUND));
    for (let place = 0; place <= 2 * AROUND; place += 1) {
      const line = /** @type {HTMLElement} */ (this.table.tBodies[0].rows[place]);
      const shown = first + place;
      line.hidden = shown > track.last;
      if (line.hidden) continue;
      if (shown === row) line.setAttribute("aria-current", "true");
      else line.removeAttribute("aria-current");
      const texts = this.texts(shown);
      texts.forEach((text, column) => {
        put(/** @type {HTMLElement} */ (line.children[column]), text);
      });
    }
  }

  /** @param {number} row */
  texts(row) {
    const { track } = this.session;
    const said = track.describe(row);
    const price = said.exact ? (Number.isNaN(track.price(row)) ? "" : exactPrice(track.words, (row - track.base) * 4)) : "loading";
    const count = track.count(row);
    const values = (track.facts.panels || []).map((_panel, number) => {
      const value = track.panel(number, row);
      return Number.isNaN(value) ? "" : String(Number(value.toPrecision(7)));
    });
    const time = said.time.slice(11).replace(" UTC", "");
    return [groupText(track.tick(row)), price, time, said.phase, count < 0 ? "" : groupText(count), ...values];
  }

  /** @param {string[]} names */
  fill(names) {
    if (this.table.rows[0]?.cells.length === names.length) return;
    const head = make("thead", "");
    const top = make("tr", "");
    top.append(...names.map((name) => make("th", "", { scope: "col" }, name)));
    head.append(top);
    const body = make("tbody", "");
    for (let place = 0; place <= 2 * AROUND; place += 1) {
      const line = make("tr", "");
      line.append(...names.map(() => make("td", "")));
      body.append(line);
    }
    this.table.replaceChildren(head, body);
  }
}
