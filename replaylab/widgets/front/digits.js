// Numbers as text, exactly: a price is a whole number of 10^-24 in 128 bits, four 32-bit words, the lowest first.

const PRICE_SCALE = 24;
export const NO_TIME = -(2n ** 63n);

/**
 * @param {Uint32Array} words
 * @param {number} at
 */
export function wordsToFloat(words, at) {
  return (words[at] + words[at + 1] * 2 ** 32 + words[at + 2] * 2 ** 64 + (words[at + 3] | 0) * 2 ** 96) / 1e24;
}

/**
 * @param {Uint32Array} words
 * @param {number} at
 */
export function exactPrice(words, at) {
  let value = 0n;
  for (let word = 3; word >= 0; word -= 1) value = (value << 32n) | BigInt(words[at + word]);
  value = BigInt.asIntN(128, value);
  const sign = value < 0n ? "-" : "";
  const digits = (value < 0n ? -value : value).toString().padStart(PRICE_SCALE + 1, "0");
  const fraction = digits.slice(-PRICE_SCALE).replace(/0+$/, "");
  return sign + digits.slice(0, -PRICE_SCALE) + (fraction ? `.${fraction}` : "");
}

// Microseconds since 1970 (BigInt) as "2031-01-02 03:04:05.250000 UTC".
/** @param {bigint} micros */
export function timeText(micros) {
  if (micros === NO_TIME) return "no time";
  const rest = ((micros % 1000000n) + 1000000n) % 1000000n;
  const whole = new Date(Number((micros - rest) / 1000n));
  if (Number.isNaN(whole.getTime())) return `${micros} us`;
  return `${whole.toISOString().slice(0, 19).replace("T", " ")}.${rest.toString().padStart(6, "0")} UTC`;
}

// Milliseconds as "4.2 s", "3:05.2", "1:02:03".
/** @param {number} ms */
export function spanText(ms) {
  const tenths = Math.max(0, Math.round(ms / 100));
  const whole = Math.floor(tenths / 10);
  if (whole < 60) return `${whole}.${tenths % 10} s`;
  /** @param {number} value */
  const two = (value) => String(value).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)}:${two(whole % 60)}.${tenths % 10}`;
  return `${Math.floor(whole / 3600)}:${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
}

/** @param {number | string} value */
export function groupText(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, ",");
}

// A price on the axis: plain where that is readable, and all of an axis alike.
/**
 * @param {number} value
 * @param {number} step
 */
export function axisText(value, step) {
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e7 || (step ? step < 1e-5 && size < 1e-3 : size < 1e-4)) {
    return value
      .toExponential(step ? 3 : 0)
      .replace(/\.?0*e/, "e")
      .replace("e+", "e");
  }
  const decimals = step ? Math.max(0, Math.min(20, -Math.floor(Math.log10(step) + 1e-9))) : 0;
  const [whole, fraction] = (step ? value.toFixed(decimals) : String(Number(value.toPrecision(3)))).split(".");
  return groupText(whole) + (fraction ? `.${fraction}` : "");
}

/** @param {import("./types.js").Speed} speed */
export function speedText(speed) {
  return speed === null ? "max" : `${String(Number(speed.toPrecision(4)))}x`;
}
