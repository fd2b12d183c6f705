"""Confidence intervals: Wilson's for shares, bootstrap-t for means; by whole games, which are independent. Pure."""

from __future__ import annotations

from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replaylab.analysis.price_paths.arguments import number, whole
from replaylab.errors import AnalysisError

Floats = NDArray[np.float64]
_CELLS: Final = 4_000_000  # random numbers drawn at once
LEAST_GAMES: Final = 5  # below which no mean has an interval


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
    return _score(share, n, normal_quantile(confidence))


def _score(share: ArrayLike, n: ArrayLike, z: ArrayLike) -> tuple[Floats, Floats]:
    """Return Wilson's interval for a quantile `z` of the standardised error."""
    p, size, z = np.asarray(share, np.float64), np.asarray(n, np.float64), np.asarray(z, np.float64)
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


def rate_interval(events: ArrayLike, trials: ArrayLike, *, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Interval of the chance of an event at each of many trials, when lives end with it: by chi-squared, after Cox.

    The number of trials depends on the events here, as each game goes on until its rug; 2 x rate x trials is then about
    chi-squared with 2 x events + 1 degrees of freedom (Cox, Biometrika 40, 1953). The lower end is 0 without an event;
    NaN without a trial.

    Examples
    --------
    >>> low, high = rate_interval(6, 1200)
    >>> round(float(low), 4), round(float(high), 4)
    (0.0021, 0.0103)
    """
    from scipy.stats import chi2  # type: ignore[import-untyped]

    number("confidence", confidence, above=0, below=1)
    seen, size = np.asarray(events, np.float64), np.asarray(trials, np.float64)
    size = np.where(size > 0, 2 * size, np.nan)
    low = np.where(seen > 0, chi2.ppf((1 - confidence) / 2, 2 * seen + 1), 0.0) / size
    return np.asarray(low), np.asarray(np.minimum(chi2.ppf((1 + confidence) / 2, 2 * seen + 1) / size, 1.0))


def share_by_game(above: Floats, below: Floats, *, confidence: float = 0.95) -> tuple[Floats, Floats]:
    """Interval of shares that are sums over games divided by sums over games: Wilson's, at the effective sample size.

    Ticks of one game share its rug and its path, so a tick is not a trial. The effective size is the number of
    independent trials that would have the spread that is seen from game to game, and the quantile is Student's for the
    number of games of equal weight. Where that spread is 0, as when all or none succeeded, each game is one trial.

    Parameters
    ----------
    above, below : float64 arrays, games x columns
        What each game adds to the sum above and below the line; see `FollowUp.sums`.
    confidence : float

    Examples
    --------
    >>> won, bets = np.array([[2.0], [0.0], [1.0], [3.0]]), np.array([[2.0], [1.0], [2.0], [3.0]])
    >>> low, high = share_by_game(won, bets)
    >>> bool(0 < low[0] < 0.75 < high[0] < 1)
    True
    """
    from scipy.stats import t as student_t  # scipy loads late, as importing the package must stay cheap

    number("confidence", confidence, above=0, below=1)
    total = below.sum(axis=0)
    share = np.divide(above.sum(axis=0), total, out=np.full(len(total), np.nan), where=total != 0)
    share = np.where(np.abs(share) < 1e-12, 0.0, np.where(np.abs(share - 1) < 1e-12, 1.0, share))  # but for rounding
    here = ((above != 0) | (below != 0)).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = ((above - share * below) ** 2).sum(axis=0) / total**2 * here / np.maximum(here - 1, 1)
        size = np.where(spread > 1e-15, share * (1 - share) / spread, here)
        size = np.where((share > 0) & (share < 1) & (size > 0), size, here)
        equal = total**2 / (below**2).sum(axis=0)
    z = student_t.ppf((1 + confidence) / 2, np.maximum(np.nan_to_num(equal, nan=2.0) - 1, 1.0))
    return _score(np.clip(share, 0, 1), size, z)


def mean_by_game(
    above: Floats, below: Floats, *, confidence: float = 0.95, resamples: int = 1000, seed: int = 0
) -> tuple[Floats, Floats]:
    """Interval of means that are sums over games divided by sums over games: bootstrap-t, by drawing whole games.

    Results are skewed: a few large gains among many small losses. The percentiles of resampled means are then too
    narrow on one side, while those of the studentised mean, (mean - estimate) / its standard error, are right to second
    order (Hall, The Bootstrap and Edgeworth Expansion, 1992). Each end lies halfway between this one and that of
    Student's interval for the number of games of equal weight: the first is too wide for few games of which most have
    nearly the same result, the second too narrow for skewed ones. NaN without resamples and with fewer than 5 games.

    Parameters
    ----------
    above, below : float64 arrays, games x columns
        What each game adds to the sum above and below the line; see `FollowUp.sums`.
    confidence, resamples, seed
        Of the interval; 0 resamples give none. The same seed draws the same games.

    Raises
    ------
    AnalysisError
        When there are fewer than two games to draw from.

    Examples
    --------
    >>> results, trades = np.arange(20.0)[:, None], np.ones((20, 1))
    >>> low, high = mean_by_game(results, trades, resamples=200)
    >>> bool(low[0] < 9.5 < high[0])
    True
    """
    from scipy.stats import t as student_t

    normal_quantile(confidence)
    games, columns = above.shape
    low, high = np.full(columns, np.nan), np.full(columns, np.nan)
    if whole("resamples", resamples, least=0) == 0:
        return low, high
    if games < 2:
        raise AnalysisError(f"games={games}: an interval by drawing games needs two; pass resamples=0 for none")
    rng = np.random.default_rng(whole("seed", seed, least=0, most=None))
    sums = _resampled(np.concatenate([above, below, above**2, above * below, below**2], axis=1), resamples, rng)
    share = games / (games - 1)
    for place in range(columns):
        a, b = above[:, place], below[:, place]
        if ((a != 0) | (b != 0)).sum() < LEAST_GAMES or not b.sum():
            continue
        mean = a.sum() / b.sum()
        error = np.sqrt(((a - mean * b) ** 2).sum() * share) / b.sum()
        drawn = sums[:, place::columns]
        with np.errstate(divide="ignore", invalid="ignore"):
            means = drawn[:, 0] / drawn[:, 1]
            squares = np.maximum(drawn[:, 2] - 2 * means * drawn[:, 3] + means**2 * drawn[:, 4], 0)
            student = (means - mean) / (np.sqrt(squares * share) / np.abs(drawn[:, 1]))
        student = student[np.isfinite(student)]
        if error <= 1e-12 * max(abs(mean), 1e-300) or not len(student):
            low[place] = high[place] = mean  # every game has the same result
            continue
        upper, lower = np.quantile(student, [(1 + confidence) / 2, (1 - confidence) / 2])
        half = student_t.ppf((1 + confidence) / 2, max(b.sum() ** 2 / (b**2).sum() - 1, 1.0))
        low[place], high[place] = mean - error * (upper + half) / 2, mean + error * (half - lower) / 2
    return low, high


def _resampled(values: Floats, resamples: int, rng: np.random.Generator) -> Floats:
    """Return sums of rows drawn with replacement, one row a resample."""
    games = len(values)
    sums = np.empty((resamples, values.shape[1]))
    step = max(1, _CELLS // games)
    for first in range(0, resamples, step):
        count = min(step, resamples - first)
        drawn = rng.integers(games, size=(count, games)) + games * np.arange(count)[:, None]
        weight = np.bincount(drawn.ravel(), minlength=count * games).reshape(count, games)
        sums[first : first + count] = weight @ values
    return sums
