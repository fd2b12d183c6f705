"""Confidence intervals: Wilson's for shares of games, the bootstrap by game for all else. Pure."""

from __future__ import annotations

from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replaylab.analysis.price_paths.arguments import number, whole
from replaylab.errors import AnalysisError

Floats = NDArray[np.float64]
_CELLS: Final = 4_000_000  # random numbers drawn at once


def wilson(share: ArrayLike, n: ArrayLike, *, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Wilson score interval of shares out of `n` independent trials each; NaN where there is none.

    Trials are independent when each is another game; ticks of one game are not.

    Parameters
    ----------
    share : array of float
        Observed shares, from 0 to 1.
    n : array of float
        Trials behind each; need not be whole, see `sidebets.sidebet_table`.
    confidence : float
        Of 0.95, one interval in twenty misses the true value.

    Examples
    --------
    >>> low, high = wilson(146 / 845, 845)
    >>> round(float(low), 3), round(float(high), 3)
    (0.149, 0.2)
    """
    z = normal_quantile(confidence)
    p, size = np.asarray(share, np.float64), np.asarray(n, np.float64)
    size = np.where(size > 0, size, np.nan)
    middle = (p + z**2 / (2 * size)) / (1 + z**2 / size)
    half = z / (1 + z**2 / size) * np.sqrt(p * (1 - p) / size + z**2 / (4 * size**2))
    return np.asarray(np.maximum(middle - half, 0.0)), np.asarray(np.minimum(middle + half, 1.0))


def normal_quantile(confidence: float) -> float:
    """Number of standard errors either side that hold the true value with that confidence.

    Examples
    --------
    >>> round(normal_quantile(0.95), 2)
    1.96
    """
    return NormalDist().inv_cdf((1 + number("confidence", confidence, above=0, below=1)) / 2)


def ratio_by_game(
    above: Floats, below: Floats, *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> tuple[Floats, Floats]:
    """Interval of sums over games divided by sums over games, by drawing whole games with replacement.

    Ticks of one game share its rug and its path, so a tick is not a trial: an interval that took each for one would be
    several times too narrow. Percentile method; NaN without resamples, and where no game has anything below.

    Parameters
    ----------
    above, below : float64 arrays, games x columns
        What each game adds to the sum above and below the line.
    confidence, resamples, seed
        Of the interval; 0 resamples give none. The same seed draws the same games.

    Raises
    ------
    AnalysisError
        When there are fewer than two games to draw from.

    Examples
    --------
    >>> won, bets = np.array([[1.0], [0.0], [1.0], [1.0]]), np.ones((4, 1))
    >>> low, high = ratio_by_game(won, bets, resamples=200)
    >>> bool(low[0] < 0.75 < high[0])
    True
    """
    normal_quantile(confidence)
    games, columns = above.shape
    if whole("resamples", resamples, least=0) == 0:
        return np.full(columns, np.nan), np.full(columns, np.nan)
    if games < 2:
        raise AnalysisError(f"games={games}: an interval by drawing games needs two; pass resamples=0 for none")
    rng = np.random.default_rng(whole("seed", seed, least=0, most=None))
    both = np.concatenate([above, below], axis=1)
    sums = np.empty((resamples, 2 * columns))
    step = max(1, _CELLS // games)
    for first in range(0, resamples, step):
        count = min(step, resamples - first)
        drawn = rng.integers(games, size=(count, games)) + games * np.arange(count)[:, None]
        weight = np.bincount(drawn.ravel(), minlength=count * games).reshape(count, games)
        sums[first : first + count] = weight @ both
    known = (below != 0).any(axis=0)
    ratio = np.divide(sums[:, :columns], sums[:, columns:], out=np.full_like(sums[:, :columns], np.nan),
                      where=sums[:, columns:] != 0)  # fmt: skip
    low, high = np.full(columns, np.nan), np.full(columns, np.nan)
    edges = [(1 - confidence) / 2, (1 + confidence) / 2]
    if known.any():
        low[known], high[known] = np.nanquantile(ratio[:, known], edges, axis=0)
    return low, high
