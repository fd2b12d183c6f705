// Colours: strong ones that stay apart for colour-blind eyes and reach 3:1 on white and on JupyterLab's dark paper;
// ink and paper are read from the page, after the element is attached and again when the theme changes.

const BLUE = "#0072B2";
const SKY = "#56B4E9";
const VERMILION = "#D55E00";
const PURPLE = "#CC79A7";
/** @type {Record<string, string>} */
export const TINTS = {
  COOLDOWN: "rgba(127,127,127,0.16)",
  PRESALE: "rgba(86,180,233,0.20)",
  GAME_ACTIVATION: "rgba(0,158,115,0.12)",
  ACTIVE_GAMEPLAY: "rgba(0,158,115,0.12)",
  RUGGED: "rgba(213,94,0,0.18)",
};
/** @type {Record<string, string>} */
export const PHASE_NAMES = {
  COOLDOWN: "cooldown",
  PRESALE: "presale",
  GAME_ACTIVATION: "in play",
  ACTIVE_GAMEPLAY: "in play",
  RUGGED: "rugged",
};

/** @param {HTMLElement} root */
export function readTheme(root) {
  const style = getComputedStyle(root);
  const paper = style.backgroundColor;
  const [red, green, blue] = (paper.match(/[\d.]+/g) || [255, 255, 255]).map(Number);
  const dark = 0.2126 * red + 0.7152 * green + 0.0722 * blue < 110;
  return {
    paper,
    ink: style.color,
    faint: dark ? "#b0b0b0" : "#595959",
    grid: dark ? "rgba(255,255,255,0.12)" : "rgba(0,0,0,0.10)",
    line: dark ? SKY : BLUE,
    ahead: dark ? "rgba(200,200,200,0.38)" : "rgba(90,90,90,0.36)",
    hatch: dark ? "rgba(255,255,255,0.45)" : "rgba(0,0,0,0.38)",
    rug: dark ? "#F0803C" : VERMILION,
    peak: dark ? "#2BC79A" : "#007A59",
    mark: dark ? PURPLE : "#A8477F",
    font: `11px ${style.fontFamily || "sans-serif"}`,
  };
}

/** @param {() => void} changed */
export function watchTheme(changed) {
  const observer = new MutationObserver(changed);
  for (const element of [document.body, document.documentElement]) {
    observer.observe(element, { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light", "data-theme", "class"] });
  }
  const media = window.matchMedia("(prefers-color-scheme: dark)");
  media.addEventListener("change", changed);
  return () => {
    observer.disconnect();
    media.removeEventListener("change", changed);
  };
}

// Round numbers between two prices; on a log axis 1, 2, 5 times powers of ten, or fewer where there are many.
/**
 * @param {number} low
 * @param {number} high
 * @param {number} wanted
 */
export function roundSteps(low, high, wanted) {
  const raw = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= raw * 0.999) || 10);
  const found = [];
  for (let mark = Math.ceil(low / step - 1e-6); mark * step <= high * (1 + 1e-12) && found.length < 60; mark += 1) found.push(mark * step);
  return { found, step };
}

/**
 * @param {number} low
 * @param {number} high
 * @param {number} wanted
 */
export function logSteps(low, high, wanted) {
  const from = Math.floor(Math.log10(low));
  const to = Math.ceil(Math.log10(high));
  const decades = Math.log10(high / low);
  if (decades < 0.5) return roundSteps(low, high, wanted);
  const every = Math.max(1, Math.ceil(decades / wanted));
  const factors = decades < 1.2 ? [1, 1.5, 2, 3, 5, 7] : decades < wanted / 3 ? [1, 2, 5] : decades < wanted / 2 ? [1, 3] : [1];
  const found = [];
  for (let power = from; power <= to; power += every) {
    for (const factor of factors) {
      const mark = factor * 10 ** power;
      if (mark >= low * 0.999 && mark <= high * 1.001) found.push(mark);
    }
  }
  return { found, step: 0 };
}
