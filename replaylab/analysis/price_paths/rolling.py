"""Rolling: values over the last n rows, by the same additions in the same order wherever in an array they stand. Pure.

A running sum would be faster, and would make a value depend on all rows before its window: equal games would get
unequal features by their place in a file.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def lagged(values: Floats, rows: int, age: Ints) -> Floats:
    """Value that many rows before; NaN where `age`, the number of usable rows before a row, is smaller.

    Examples
    --------
    >>> lagged(np.array([1.0, 2.0, 3.0]), 1, np.array([0, 1, 0])).tolist()
    [nan, 1.0, nan]
    """
    found = np.full(len(values), np.nan)
    found[rows:] = values[:-rows]
    found[age < rows] = np.nan
    return found


def mean(values: Floats, window: int, age: Ints) -> Floats:
    """Mean of the last `window` values, the row's own included; NaN where there are fewer.

    Examples
    --------
    >>> mean(np.array([1.0, 2.0, 3.0]), 2, np.array([0, 1, 2])).tolist()
    [nan, 1.5, 2.5]
    """
    total = np.full(len(values), np.nan)
    total[window - 1 :] = 0.0
    for lag in range(min(window, len(values))):
        total[window - 1 :] += values[window - 1 - lag : len(values) - lag]
    total /= window
    total[age < window - 1] = np.nan
    return total


def deviation(values: Floats, window: int, age: Ints) -> Floats:
    """Standard deviation of the last `window` values (their squares divided by `window`); NaN where there are fewer.

    Examples
    --------
    >>> deviation(np.array([1.0, 3.0, 3.0]), 2, np.array([0, 1, 2])).tolist()
    [nan, 1.0, 0.0]
    """
    middle = mean(values, window, age)
    total = np.zeros(len(values))
    for lag in range(min(window, len(values))):
        total[window - 1 :] += (values[window - 1 - lag : len(values) - lag] - middle[window - 1 :]) ** 2
    found = np.sqrt(total / window)
    found[np.isnan(middle)] = np.nan
    return found


def running_peak(price: Floats, bounds: Ints) -> tuple[Floats, Ints]:
    """Highest price of a game so far, and the row where it was first seen; rows without a price count for nothing.

    Parameters
    ----------
    price : float64 array
    bounds : int64 array
        Where each game begins, and where the last ends.

    Examples
    --------
    >>> peak, row = running_peak(np.array([1.0, 3.0, 3.0, 2.0]), np.array([0, 3, 4]))
    >>> peak.tolist(), row.tolist()
    ([1.0, 3.0, 3.0, 2.0], [0, 1, 1, 3])
    """
    peak = np.where(np.isnan(price), -np.inf, price)
    for first, last in pairwise(bounds.tolist()):
        np.maximum.accumulate(peak[first:last], out=peak[first:last])
    new = np.ones(len(price), np.bool_)
    new[1:] = peak[1:] > peak[:-1]
    new[bounds[:-1][np.diff(bounds) > 0]] = True
    return peak, np.maximum.accumulate(np.where(new, np.arange(len(price)), 0))
