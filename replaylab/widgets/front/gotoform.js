// Go-to form: the number of a tick; Enter goes to its row, or to the last one before it, Escape closes the form.

import { control, make } from "./elements.js";

export class GoToForm {
  /** @param {import("./view.js").View} view */
  constructor(view) {
    this.view = view;
    this.root = make("div", "rlab-bar rlab-form", { role: "group", "aria-label": "Go to a tick" });
    this.number = control("input", "rlab-text-input", {
      type: "text",
      inputmode: "numeric",
      maxlength: "12",
      "aria-label": "Number of the tick",
      placeholder: "tick",
    });
    const go = control("button", "rlab-button rlab-text", { type: "button" }, "Go to tick");
    go.addEventListener("click", () => this.go());
    this.root.append(this.number, go);
    this.root.hidden = true;
    this.root.addEventListener("keydown", (event) => this.pressed(event));
  }

  toggle() {
    if (!this.root.hidden) return this.close();
    this.root.hidden = false;
    this.number.value = "";
    return this.number.focus();
  }

  close() {
    this.root.hidden = true;
    this.view.stage.focus();
  }

  go() {
    const wanted = Number(this.number.value.replace(/[\s,_]/g, ""));
    const { session } = this.view;
    if (this.number.value.trim() === "" || !Number.isInteger(wanted) || !session.track.size) {
      this.number.setAttribute("aria-invalid", "true");
      return;
    }
    this.number.removeAttribute("aria-invalid");
    session.seek(session.track.rowOf(wanted));
    this.close();
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    if (event.key === "Escape") this.close();
    else if (event.key === "Enter" && event.target === this.number) this.go();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }
}
