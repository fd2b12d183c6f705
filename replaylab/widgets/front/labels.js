// Labels: where words stand on a chart, so that no two lie on each other; words that find no room are left out.

const [ABOVE, BELOW] = [13, 2]; // pixels that a line of words takes from its baseline
const NEAR = [0, 16, -16, 32, -32, 48, 64, 80, 96];

export class Labels {
  constructor() {
    /** @type {[number, number, number, number][]} */
    this.taken = [];
    /** @type {{ text: string, x: number, y: number, row?: number }[]} */
    this.words = []; // those that are painted over everything else, some from a row on
    this.begin(0, 0, 0, 0);
  }

  /**
   * @param {number} left
   * @param {number} top
   * @param {number} right
   * @param {number} bottom
   */
  begin(left, top, right, bottom) {
    this.taken = [];
    this.words = [];
    this.edges = [left, top, right, bottom];
  }

  /**
   * @param {number} left
   * @param {number} top
   * @param {number} right
   * @param {number} bottom
   */
  reserve(left, top, right, bottom) {
    this.taken.push([left, top, right, bottom]);
  }

  /**
   * @param {number} left
   * @param {number} top
   * @param {number} right
   * @param {number} bottom
   */
  free(left, top, right, bottom) {
    return this.taken.every((one) => right <= one[0] || left >= one[2] || bottom <= one[1] || top >= one[3]);
  }

  // Take the place nearest to the wanted one, as the middle and the baseline of the words; null where there is none.
  /**
   * @param {number} width
   * @param {number} x
   * @param {number} y
   * @param {number[]} [shifts]
   * @returns {[number, number] | null}
   */
  place(width, x, y, shifts = NEAR) {
    const [left, top, right, bottom] = this.edges;
    const half = width / 2 + 3;
    for (const shift of shifts) {
      for (const wanted of [x, x - half - 9, x + half + 9]) {
        const middle = Math.max(left + half, Math.min(right - half, wanted));
        const level = y + shift;
        if (level - ABOVE < top || level + BELOW > bottom) continue;
        if (!this.free(middle - half, level - ABOVE, middle + half, level + BELOW)) continue;
        this.reserve(middle - half, level - ABOVE, middle + half, level + BELOW);
        return [middle, level];
      }
    }
    return null;
  }
}
