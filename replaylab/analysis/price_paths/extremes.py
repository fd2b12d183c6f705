"""Extremes: the highest and lowest price of any stretch of a path, and the first price outside two bounds. Pure.

Highest and lowest prices of every stretch of 1, 2, 4, ... rows are kept, so that a stretch of n rows is answered in
log2(n) steps, for all stretches at once.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Extremes:
    """Highest and lowest prices of stretches of rows.

    Parameters
    ----------
    price : float64 array
    longest : int
        Rows of the longest stretch that will be asked for.

    Examples
    --------
    >>> seen = Extremes(np.array([1.0, 1.2, 0.9, 1.5]), 4)
    >>> first, last = np.array([0, 1]), np.array([3, 2])
    >>> seen.highest(first, last).tolist(), seen.lowest(first, last).tolist()
    ([1.5, 1.2], [0.9, 0.9])
    >>> seen.first_outside(first, last, np.array([0.95, 0.0]), np.array([2.0, 2.0])).tolist()
    [2, 3]
    """

    def __init__(self, price: Floats, longest: int) -> None:
        levels = max(1, int(longest).bit_length())
        self._levels: Final = levels
        self._highest = np.full((levels, len(price)), np.inf)
        self._lowest = np.full((levels, len(price)), -np.inf)
        self._highest[0] = self._lowest[0] = price
        for level in range(1, levels):
            half, size = 1 << (level - 1), max(0, len(price) - (1 << level) + 1)
            for kept, better in ((self._highest, np.maximum), (self._lowest, np.minimum)):
                better(kept[level - 1, :size], kept[level - 1, half : half + size], out=kept[level, :size])

    def first_outside(self, first: Ints, last: Ints, low: Floats, high: Floats) -> Ints:
        """Return the first row whose price is at most `low` or at least `high`; `last` + 1 where there is none."""
        row = first.copy()
        for level in range(self._levels - 1, -1, -1):
            inside = np.flatnonzero(row + (1 << level) - 1 <= last)
            there = row[inside]
            quiet = (self._highest[level, there] < high[inside]) & (self._lowest[level, there] > low[inside])
            row[inside[quiet]] += 1 << level
        return row

    def highest(self, first: Ints, last: Ints) -> Floats:
        """Return the highest price from `first` to `last`; -inf for a stretch without rows."""
        return self._over(self._highest, np.maximum, first, last, -np.inf)

    def lowest(self, first: Ints, last: Ints) -> Floats:
        """Return the lowest price from `first` to `last`; inf for a stretch without rows."""
        return self._over(self._lowest, np.minimum, first, last, np.inf)

    @staticmethod
    def _over(kept: Floats, better: np.ufunc, first: Ints, last: Ints, nothing: float) -> Floats:
        found = np.full(len(first), nothing)
        some = np.flatnonzero(last >= first)
        begin, end = first[some], last[some]
        level = np.frexp((end - begin + 1).astype(np.float64))[1].astype(np.int64) - 1
        found[some] = better(kept[level, begin], kept[level, end - (1 << level) + 1])
        return found
