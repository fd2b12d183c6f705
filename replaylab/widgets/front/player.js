// What anywidget asks for: a session a model, a view a display; and how a page without a kernel makes a player.

import { showOffline } from "./offline.js";
import { Session } from "./session.js";
import { View } from "./view.js";

const create = () => {
  /** @type {Session | null} */
  let session = null;
  return {
    /** @param {{ model: import("./types.js").Model }} given */
    initialize({ model }) {
      session = new Session(model);
      return () => session.close();
    },
    /** @param {number} number */
    pick(number) {
      session.pick(number);
    },
    /** @param {{ el: HTMLElement }} given */
    render({ el }) {
      const view = new View(session, el);
      return () => view.close();
    },
  };
};

/**
 * @param {string} name
 * @param {import("./types.js").Content} opening
 * @param {import("./offline.js").Packed[][]} pieces
 * @param {[import("./types.js").Content, import("./offline.js").Packed[][]][]} [others]
 */
create.offline = (name, opening, pieces, others) => showOffline(create, name, opening, pieces, others);

export default create;
