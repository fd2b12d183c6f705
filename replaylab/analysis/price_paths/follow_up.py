"""Follow-up: weights that make up for outcomes which cut-off records do not show. Pure.

An outcome that comes late is seen less often than one that comes soon, so a mean over the outcomes that were seen leans
to the soon ones: to rugs, to bets that won. Each seen outcome is therefore weighted by the inverse chance that a game
which is watched at the beginning is still watched at the end (inverse probability of censoring weights; Robins and
Rotnitzky 1992). The chance is the Kaplan-Meier estimate of the cuts, by tick of the game. It is right as long as what
cuts a record is independent of what the game does next; without a cut every weight is 1.

What comes later than any record goes has no weight that makes up for it, as when all records end after the same number
of ticks: the weights then add up to less than the number of outcomes, and `too_late` says when that is too little.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.price_paths.paths import Paths
from replaylab.analysis.price_paths.runs import Runs

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
MOST_TOO_LATE: Final = 0.05  # of the outcomes of many games


@dataclass(frozen=True, eq=False)
class FollowUp:
    """Chance of being watched from one tick of a game to a later one.

    Parameters
    ----------
    games : int
        Number of games.
    game, tick : int64 arrays, one a watched tick
        The game, and the tick at which it was watched alive.
    cut : bool array, one a watched tick
        Whether the record ends there, so that the next tick, rug or not, was not seen.

    Examples
    --------
    >>> follow_up = FollowUp(2, np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([False, False, True]))
    >>> follow_up.weight(np.array([0, 1]), np.array([2, 2])).tolist()
    [2.0, 1.0]
    """

    games: int
    game: Ints
    tick: Ints
    cut: NDArray[np.bool_]

    @classmethod
    def of_runs(cls, known: Paths, runs: Runs) -> FollowUp:
        """Return the follow-up where a missing tick ends it as the end of the record does."""
        priced = np.flatnonzero(~np.isnan(known.price))
        cut = (runs.last[priced] == priced) & ~runs.rugged[priced]
        return cls(known.n_games, known.game_of_tick[priced], known.tick[priced].astype(np.int64), cut)

    @classmethod
    def of_ends(cls, known: Paths, ends: Ints) -> FollowUp:
        """Return the follow-up to the ticks of `watched_to`, with or without prices."""
        tick = known.tick.astype(np.int64)
        return cls(known.n_games, known.game_of_tick, tick, ends == tick)

    def __post_init__(self) -> None:
        size = int(self.tick.max(initial=0)) + 1
        watched = np.bincount(self.tick, minlength=size)
        ended = np.bincount(self.tick[self.cut], minlength=size)
        hazard = np.divide(ended, watched, out=np.zeros(size), where=watched > 0)
        stays = np.where(hazard < 1, 1 - hazard, 1.0)  # where all are cut, no outcome behind is seen: any value will do
        object.__setattr__(self, "_watched", watched)
        object.__setattr__(self, "_hazard", hazard)
        object.__setattr__(self, "_stays", stays)
        object.__setattr__(self, "_log", np.concatenate([[0.0], np.cumsum(np.log(stays))]))

    def weight(self, begin: Ints, end: Ints) -> Floats:
        """Return the inverse chance that what is watched at tick `begin` is still watched at tick `end`."""
        if not self.cut.any():
            return np.ones(len(begin))
        log: Floats = self._log  # type: ignore[attr-defined]
        last = len(log) - 1
        found: Floats = np.exp(log[np.minimum(begin, last)] - log[np.minimum(end, last)])
        return found

    def sums(self, game: Ints, begin: Ints, end: Ints, values: Floats) -> tuple[Floats, Floats]:
        """Return, one value a game, the weighted sum of outcomes and the sum of their weights.

        The first includes a term of mean zero, by which the error of the estimated weights counts too: the spread of
        the ratio over games is that of the estimate, to first order.

        Parameters
        ----------
        game, begin, end : int64 arrays, one an outcome that was seen
            Its game, and the ticks between which it had to be watched.
        values : float64 array
            The outcomes.
        """
        if not self.cut.any():
            counts = np.bincount(game, minlength=self.games).astype(np.float64)
            return np.bincount(game, values, self.games).astype(np.float64), counts
        hazard: Floats = self._hazard  # type: ignore[attr-defined]
        weights = self.weight(begin, end)
        above: Floats = np.bincount(game, weights * values, self.games).astype(np.float64)
        below: Floats = np.bincount(game, weights, self.games).astype(np.float64)
        total = below.sum()
        if not total:
            return above, below
        apart = weights * (values - above.sum() / total)
        size = len(hazard)
        edges = np.bincount(begin, apart, size + 1) - np.bincount(np.minimum(end, size), apart, size + 1)
        through = np.cumsum(edges)[:size]
        at_risk: Floats = self._stays * self._watched  # type: ignore[attr-defined]
        pull = np.divide(through, at_risk, out=np.zeros(size), where=(at_risk > 0) & (hazard < 1))
        above += np.bincount(self.game, pull[self.tick] * (self.cut - hazard[self.tick]), self.games)
        return above, below


def too_late(weights: float, begun: int, games: int) -> bool:
    """Return whether so many outcomes come later than any record goes that those seen do not stand for all.

    Their share is what the weights lack of the number of outcomes begun (it is what Kaplan-Meier leaves behind the last
    tick). Up to one over the root of the number of games, twice the standard error of a share, it may be chance, and up
    to 5 % it moves little.

    Parameters
    ----------
    weights : float
        Sum of the weights of the outcomes that were seen.
    begun, games : int
        Outcomes that were seen or cut, and the games that they are from.

    Examples
    --------
    >>> too_late(weights=430.0, begun=1_000, games=1_000), too_late(weights=990.0, begun=1_000, games=1_000)
    (True, False)
    """
    return begun > 0 and 1 - weights / begun > max(1 / max(games, 1) ** 0.5, MOST_TOO_LATE) + 1e-9


def without_figures(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of a table with its counts alone: every other figure is NaN.

    Examples
    --------
    >>> without_figures({"n_games": 3, "share": 0.5})
    {'n_games': 3, 'share': nan}
    """
    return {name: float("nan") if isinstance(value, float) else value for name, value in row.items()}


def watched_to(known: Paths) -> Ints:
    """Return, for each live tick, the tick to which its game was watched from there: the rug, or the last before a gap.

    A gap that hides a rug ends the record, and one that hides none does not: had a game that goes on behind its gap
    counted as watched, only games that live on would have been, and rugs would be too few. So a gap ends what is known
    of every game. Only where the rugs of all games were seen no gap has hidden one, and games go on over gaps.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> known = Paths.of_arrays(*price_arrays(3, seed=1))
    >>> bool((watched_to(known) == known.rug_tick[known.game_of_tick]).all())
    True
    """
    if (known.rug_tick >= 0).all():
        return known.rug_tick[known.game_of_tick].astype(np.int64)
    runs = Runs.of(known, priced=False)
    return known.tick[runs.last].astype(np.int64) + runs.rugged


def weighted_mean(values: Floats, weights: Floats) -> float:
    """Return the weighted mean; NaN without a value.

    Examples
    --------
    >>> weighted_mean(np.array([1.0, 4.0]), np.array([2.0, 1.0]))
    2.0
    """
    total = float(weights.sum()) if len(values) else 0.0
    return float(values @ weights) / total if total else float("nan")


def weighted_quantiles(values: Floats, weights: Floats, shares: tuple[float, ...]) -> list[float]:
    """Return weighted quantiles; NaN without a value. Between two values where all weights are 1, else one of them.

    Examples
    --------
    >>> weighted_quantiles(np.array([1.0, 2.0]), np.ones(2), (0.5,))
    [1.5]
    >>> weighted_quantiles(np.array([1.0, 2.0]), np.array([3.0, 1.0]), (0.5,))
    [1.0]
    """
    if not len(values):
        return [float("nan")] * len(shares)
    if (weights == 1).all():
        return [float(one) for one in np.quantile(values, shares)]
    return [float(one) for one in np.quantile(values, shares, weights=weights, method="inverted_cdf")]
