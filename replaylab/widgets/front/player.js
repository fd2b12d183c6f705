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
 */
create.offline = (name, opening, pieces) => showOffline(create, name, opening, pieces);

export default create;
