// Mark form: a line with the text, shape and colour of a mark at the playhead; Enter adds it, Escape closes the form.

import { choice, control, make } from "./elements.js";

const COLOURS = [
  ["#a8477f", "purple"],
  ["#0072b2", "blue"],
  ["#007a59", "green"],
  ["#d55e00", "orange"],
];

export class MarkForm {
  /**
   * @param {import("./session.js").Session} session
   * @param {import("./view.js").View} view
   */
  constructor(session, view) {
    this.session = session;
    this.view = view;
    this.root = make("div", "rlab-bar rlab-form", { role: "group", "aria-label": "Mark at the playhead" });
    this.text = control("input", "rlab-text-input", {
      type: "text",
      maxlength: "200",
      "aria-label": "Text of the mark",
      placeholder: "text",
    });
    this.shape = choice(
      "Shape of the mark",
      ["flag", "up", "down", "cross", "dot"].map((name) => [name, name]),
      () => {},
    );
    this.colour = choice(
      "Colour of the mark",
      COLOURS.map(([value, name]) => [value, name]),
      () => {},
    );
    this.root.append(
      this.text,
      this.shape,
      this.colour,
      this.button("Add", "Add the mark", () => this.add()),
      this.button("Remove", "Remove the marks at this row", () => this.remove()),
      this.button("Cancel", "Close without a mark", () => this.close()),
    );
    this.root.hidden = true;
    this.root.addEventListener("keydown", (event) => this.pressed(event));
  }

  /**
   * @param {string} text
   * @param {string} name
   * @param {() => void} act
   */
  button(text, name, act) {
    const button = control("button", "rlab-button rlab-text", { type: "button", title: name, "aria-label": name }, text);
    button.addEventListener("click", act);
    return button;
  }

  toggle() {
    if (!this.root.hidden) return this.close();
    this.root.hidden = false;
    this.text.value = "";
    return this.text.focus();
  }

  close() {
    this.root.hidden = true;
    this.view.stage.focus();
  }

  add() {
    const { session } = this;
    const price = session.track.price(session.row);
    const shape = this.shape.value;
    const at = shape === "flag" || Number.isNaN(price) ? {} : { price };
    session.addMark({ row: session.row, label: this.text.value, colour: this.colour.value, shape, ...at });
    this.close();
  }

  remove() {
    this.session.removeMarks(this.session.row);
    this.close();
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    if (event.key === "Escape") this.close();
    else if (event.key === "Enter" && event.target === this.text) this.add();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
