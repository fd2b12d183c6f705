// What anywidget asks for: a session a model, a view a display.

export default () => {
  let session = null;
  return {
    initialize({ model }) {
      session = new Session(model);
      return () => session.close();
    },
    render({ el }) {
      const view = new View(session, el);
      return () => view.close();
    },
  };
};
