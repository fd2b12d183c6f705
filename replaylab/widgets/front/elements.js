// Elements: how the parts of the page are made. Every control has a name and keeps JupyterLab's shortcuts away.

const SVG = "http://www.w3.org/2000/svg";
/** @type {Record<string, string>} */
const ICONS = {
  play: "M4 2.5v11l9.5-5.5z",
  pause: "M3.5 2.5h3v11h-3zM9.5 2.5h3v11h-3z",
  stop: "M3 3h10v10H3z",
  back: "M11 3v10L4.5 8zM3 3h1.6v10H3z",
  forward: "M5 3v10l6.5-5zM11.4 3H13v10h-1.6z",
  previous: "M10 3.5 5.5 8l4.5 4.5",
  next: "M6 3.5 10.5 8 6 12.5",
};

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} name
 * @param {Record<string, string>} [attributes]
 * @param {string} [text]
 */
export function make(tag, name, attributes = {}, text = "") {
  const element = document.createElement(tag);
  element.className = name;
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text) element.textContent = text;
  return element;
}

/**
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {string} name
 * @param {Record<string, string>} attributes
 * @param {string} [text]
 */
export function control(tag, name, attributes, text = "") {
  return make(tag, name, { "data-lm-suppress-shortcuts": "true", ...attributes }, text);
}

/**
 * @param {HTMLElement} button
 * @param {string} name
 */
export function icon(button, name) {
  if (button.dataset.icon === name) return;
  button.dataset.icon = name;
  const picture = document.createElementNS(SVG, "svg");
  picture.setAttribute("viewBox", "0 0 16 16");
  picture.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  if (name === "previous" || name === "next") path.setAttribute("class", "rlab-open");
  picture.append(path);
  button.replaceChildren(picture);
}

/**
 * @param {string} name
 * @param {[string, string][]} values
 * @param {(value: string) => void} chosen
 */
export function choice(name, values, chosen) {
  const select = control("select", "rlab-choice", { "aria-label": name, title: name });
  for (const [value, text] of values) select.append(make("option", "", { value }, text));
  select.addEventListener("change", () => chosen(select.value));
  return select;
}

/**
 * @param {HTMLElement} element
 * @param {string} text
 */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
