// A page opened from a disk cannot fetch another one: what the search shows of a page then comes from excerpts.js.
if (location.protocol === "file:") {
  const here = document.currentScript.src;
  const excerpts = new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.onload = () => resolve(window.EXCERPTS);
    script.onerror = () => reject(new Error("excerpts.js of this site cannot be read; build the site again"));
    script.src = new URL("excerpts.js", here).href;
    document.head.append(script);
  });
  const root = new URL("../", here).href;
  window.fetch = async (address) => {
    const page = decodeURI(new URL(address, location.href).href.slice(root.length)).replace(/\.html$/, "");
    return new Response(`<div role="main">${(await excerpts)[page] ?? ""}</div>`);
  };
}
