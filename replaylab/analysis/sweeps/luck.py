"""Luck: what the best of many strategies is worth, tried on the same games; by drawing whole games. Pure.

White, A Reality Check for Data Snooping, Econometrica 68(5), 2000, with the studentised statistic and the recentring of
Hansen, A Test for Superior Predictive Ability, Journal of Business & Economic Statistics 23(4), 2005. Games are drawn
one by one, as consecutive games do not depend on each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.price_paths.arguments import number, whole
from replaylab.errors import AnalysisError

Floats = NDArray[np.float64]
LEAST_GAMES: Final = 20  # below which the best of many is not judged
LEAST_RESULTS: Final = 10  # games with a result of their own, below which a strategy is not judged
_CELLS: Final = 8_000_000  # numbers held at once
_COLUMNS: Final = 256


@dataclass(frozen=True, eq=False)
class Luck:
    """Means of many strategies on the same games, with what chance alone would make of them.

    Attributes
    ----------
    mean, error, low, high : float64 arrays, one a strategy
        Mean result of a game, its standard error and bootstrap-t interval; NaN ends where too few games have a result.
    p_value : float64 array
        Chance of a mean as good as this without an edge, of this strategy alone.
    p_adjusted : float64 array
        Chance that the best of all of them would look as good as this without an edge: Hansen's test.
    p_white : float64 array
        The same by White's reality check, which counts hopeless strategies as if they had no edge.

    Examples
    --------
    >>> noise = np.random.default_rng(1).normal(size=(200, 50))
    >>> found = best_of_many(noise, resamples=200)
    >>> best = found.mean.argmax()
    >>> bool(found.p_value[best] < 0.05), bool(found.p_adjusted[best] > 0.5)  # chosen among 50, it says nothing
    (True, True)
    """

    mean: Floats
    error: Floats
    low: Floats
    high: Floats
    p_value: Floats
    p_adjusted: Floats
    p_white: Floats


def best_of_many(
    results: Floats, weights: Floats | None = None, *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> Luck:
    """Return what means of many strategies are worth, and how much of the best is choice.

    Parameters
    ----------
    results : float64 array, games x strategies
        Result of each game above that of doing nothing.
    weights : float64 array, one a game, optional
        Of games that were seen to their end, when others were cut off; 0 leaves a game out.
    confidence, resamples, seed
        Of intervals and tests; the same seed draws the same games.

    Raises
    ------
    AnalysisError
        When there are fewer than 20 games: the best of many tries on so few is chance.

    Examples
    --------
    >>> results = np.random.default_rng(1).normal(size=(200, 50))
    >>> found = best_of_many(results, resamples=200)
    >>> bool(found.p_value.min() < 0.05 < found.p_adjusted.min())
    True
    """
    number("confidence", confidence, above=0, below=1)
    count = whole("resamples", resamples, least=1)
    weights = np.ones(len(results)) if weights is None else weights
    results, weights = results[weights > 0], weights[weights > 0]
    games, tried = results.shape
    if games < LEAST_GAMES:
        raise AnalysisError(
            f"games={games}: the best of {tried:,} strategies needs at least {LEAST_GAMES} games with a known end"
        )
    mean, error = _means(results, weights)
    judged = (np.count_nonzero(results, axis=0) >= LEAST_RESULTS) & (error > 1e-12 * np.abs(results).max(axis=0))
    statistic = np.divide(mean, error, out=np.full(tried, -np.inf), where=judged)
    hopeless = statistic < -np.sqrt(2 * np.log(np.log(games)))
    rng = np.random.default_rng(whole("seed", seed, least=0, most=None))
    alone = np.zeros(tried)
    best, best_white = np.full(count, -np.inf), np.full(count, -np.inf)
    ends = np.full((2, tried), np.nan)
    draws = rng.integers(
        2**63, size=-(-count // _rows(games))
    )  # each block of resamples again for each block of columns
    for first in range(0, tried, _COLUMNS):
        block = slice(first, first + _COLUMNS)
        drawn = _students(results[:, block], weights, mean[block], draws, count)
        drawn[:, ~judged[block]] = -np.inf
        alone[block] = (drawn >= statistic[block]).sum(axis=0)
        best_white = np.maximum(best_white, drawn.max(axis=1))
        best = np.maximum(best, np.where(hopeless[block], drawn + statistic[block], drawn).max(axis=1))
        here = np.flatnonzero(judged[block])
        if len(here):
            ends[:, first + here] = np.quantile(drawn[:, here], [(1 + confidence) / 2, (1 - confidence) / 2], axis=0)
    beaten = alone, _reached(best, statistic), _reached(best_white, statistic)
    chances = [np.where(judged, (1 + one) / (1 + count), np.nan) for one in beaten]
    return Luck(mean, np.where(judged, error, np.nan), mean - error * ends[0], mean - error * ends[1], *chances)


def _reached(best: Floats, statistic: Floats) -> Floats:
    return (len(best) - np.searchsorted(np.sort(best), statistic)).astype(np.float64)


def _means(results: Floats, weights: Floats) -> tuple[Floats, Floats]:
    games, total = len(results), weights.sum()
    mean = weights @ results / total
    error = np.sqrt(weights**2 @ (results - mean) ** 2 * games / (games - 1)) / total
    return mean, error


def _rows(games: int) -> int:
    return max(1, _CELLS // games)


def _students(results: Floats, weights: Floats, mean: Floats, draws: NDArray[np.int64], count: int) -> Floats:
    """Return the studentised means of resampled games, resamples x strategies: about 0, whatever the means are."""
    games, step = len(results), _rows(len(results))
    off = results - mean
    above, squares = weights[:, None] * off, (weights[:, None] * off) ** 2
    crossed = above if (weights == 1).all() else weights[:, None] ** 2 * off
    found = np.empty((count, results.shape[1]))
    for place, seed in enumerate(draws.tolist()):
        rows = slice(place * step, min((place + 1) * step, count))
        size = rows.stop - rows.start
        rng = np.random.default_rng(seed)
        picked = rng.integers(games, size=(size, games)) + games * np.arange(size)[:, None]
        times = np.bincount(picked.ravel(), minlength=size * games).reshape(size, games).astype(np.float64)
        total = (times @ weights)[:, None]
        pulled = times @ above
        moved = pulled / total
        spread = (
            times @ squares
            - 2 * moved * (pulled if crossed is above else times @ crossed)
            + moved**2 * (times @ weights**2)[:, None]
        )
        error = np.sqrt(np.maximum(spread, 0) * games / (games - 1)) / total
        found[rows] = np.divide(moved, error, out=np.zeros_like(moved), where=error > 0)
    return found
