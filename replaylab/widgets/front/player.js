// What anywidget asks for: a session a model, a view a display.

import { Session } from "./session.js";
import { View } from "./view.js";

export default () => {
  /** @type {Session | null} */
  let session = null;
  return {
    /** @param {{ model: import("./types.js").Model }} given */
    initialize({ model }) {
      session = new Session(model);
      return () => session.close();
    },
    /** @param {{ el: HTMLElement }} given */
    render({ el }) {
      const view = new View(session, el);
      return () => view.close();
    },
  };
};
