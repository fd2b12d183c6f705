"""Peaks: how high games go before they rug, from all games that were watched from tick 0."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.price_paths.arguments import numbers, some_games
from replaylab.analysis.price_paths.follow_up import too_late
from replaylab.analysis.price_paths.live import Floats, Ints
from replaylab.analysis.price_paths.paths import Paths, Source, paths
from replaylab.analysis.price_paths.selection import Selection
from replaylab.analysis.price_paths.spells import Spells
from replaylab.analysis.questions.hazard import result_attrs
from replaylab.analysis.questions.interval import wilson
from replaylab.columns import as_numpy

if TYPE_CHECKING:
    import pandas as pd

MULTIPLES: Final = (1.5, 2, 3, 5, 10, 20, 50, 100)
SHARES: Final = (0.1, 0.25, 0.5, 0.75, 0.9)
_HIGH: Final = 2
_NEVER: Final = np.iinfo(np.int64).max


def peak_table(
    source: Source,
    *,
    at: float | Iterable[float] = MULTIPLES,
    beside: Source | None = None,
    confidence: float = 0.95,
    where: Selection | None = None,
) -> pd.DataFrame:
    """Share of games whose price reaches given multiples of its start before the rug.

    `reached` is the chance to be there before the rug (Aalen-Johansen, with rugs as the other way to end), from the
    games watched from tick 0 for as long as they were watched without a gap. A game that is cut off is neither a
    success nor a failure. The share among complete games, beside it, is too low: long games go higher and are cut more
    often. That a game reaches 2x says nothing about whether one could have sold there with a profit from 1.5x: it is
    counted from the start.

    Parameters
    ----------
    source : Store, path, Paths, or list of Segment
        The games.
    at : float or iterable of float
        Multiples of the starting price, above 0.
    beside : Store, path, or Paths, optional
        Other games to compare with, such as simulated ones: their `reached` is the column `beside`.
    confidence, where
        See `replaylab.analysis.survival`.

    Returns
    -------
    DataFrame
        One row a multiple: `at`, `reached` (NaN where too many games were still alive and below it when their records
        ended, so that only bounds are known), `low`, `high`, `n_games` (watched from tick 0), `games` (of these, seen
        there), `complete_games`, `complete_reached` (a count), and `beside` where asked for.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> found = peak_table(Paths.of_arrays(*price_arrays(2000, seed=1)), at=[2], confidence=0.99)
    >>> bool(found["low"].iloc[0] < 0.438 < found["high"].iloc[0])
    True
    """
    import pandas as pd

    multiples = sorted(set(numbers("at", at, above=0)))
    found = some_games(paths(source, where=where))
    whole = found.select(as_numpy(found.games.column("complete")))
    highest = _highest(whole)
    watched = _Watched.of(found)
    rows = []
    for multiple in multiples:
        reached, trials, rest = watched.share(multiple)
        counts = {"n_games": len(watched.exit), "games": watched.seen(multiple)}
        own = {"complete_games": len(highest), "complete_reached": int((highest >= multiple).sum())}
        rows.append({"at": multiple, "reached": reached, "most": reached + rest, "trials": trials, **counts, **own})
    frame = pd.DataFrame(rows)
    most, behind = frame.pop("most"), frame.pop("trials")
    low, _ = wilson(frame["reached"], behind, confidence=confidence)
    _, high = wilson(most, behind, confidence=confidence)
    frame.loc[most > frame["reached"], "reached"] = np.nan
    frame.insert(2, "low", low)
    frame.insert(3, "high", high)
    if beside is not None:
        frame["beside"] = peak_table(beside, at=multiples, where=where)["reached"]
    frame.attrs = result_attrs(found, confidence)
    return frame


def peak_quantiles(
    source: Source,
    *,
    shares: float | Iterable[float] = SHARES,
    confidence: float = 0.95,
    where: Selection | None = None,
) -> pd.DataFrame:
    """Peaks that given shares of the games stay below: the percentiles of the highest price before the rug.

    Parameters
    ----------
    source : Store, path, Paths, or list of Segment
        The games.
    shares : float or iterable of float
        Between 0 and 1.
    confidence, where
        See `replaylab.analysis.survival`.

    Returns
    -------
    DataFrame
        `share`, `peak` (highest multiple that at least 1 - share of the games reach), `low`, `high`, `n_games`
        (watched from tick 0). NaN where it is not known: no game was watched, or, of `high` and in cut-off games of
        `peak`, it may lie above the highest price that was seen, or too many records end before it is decided.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> found = peak_quantiles(Paths.of_arrays(*price_arrays(2000, seed=1)), shares=[0.5], confidence=0.99)
    >>> bool(found["low"].iloc[0] < 1.771 < found["high"].iloc[0])
    True
    """
    import pandas as pd

    asked = numbers("shares", shares, above=0, below=1)
    found = some_games(paths(source, where=where))
    watched = _Watched.of(found)
    prices = np.unique(watched.peaks[watched.peaks > 0])
    rows = []
    for share in asked:
        row = {"share": share}
        for name, bound in (("peak", 0), ("low", 1), ("high", _HIGH)):
            row[name] = _highest_reached(watched, prices, 1 - share, bound, confidence)
        rows.append({**row, "n_games": len(watched.exit)})
    frame = pd.DataFrame(rows)
    frame.attrs = result_attrs(found, confidence)
    return frame


def _highest_reached(watched: _Watched, prices: Floats, share: float, bound: int, confidence: float) -> float:
    """Return the highest price that at least `share` of the games reach; by bisection, as fewer reach a higher one."""
    place = _last_reached(watched, prices, share, bound, confidence, most=bound == _HIGH)
    if not place or (bound == 0 and _last_reached(watched, prices, share, bound, confidence, most=True) != place):
        return float("nan")
    beyond = bound == _HIGH or not watched.rugged.all()  # no price above was seen, but there may be one
    return float("nan") if place == len(prices) and beyond else float(prices[place - 1])


def _last_reached(watched: _Watched, prices: Floats, share: float, bound: int, confidence: float, *, most: bool) -> int:
    """Return how many of the prices at least `share` of the games reach, or as far as is known at `most`."""
    first, last = 0, len(prices)
    while first < last:
        middle = (first + last) // 2
        reached, trials, rest = watched.share(float(prices[middle]))
        reached += rest if most else 0.0
        low, high = wilson(reached, trials, confidence=confidence)
        if (reached, float(low), float(high))[bound] >= share:
            first = middle + 1
        else:
            last = middle
    return first


def _highest(found: Paths) -> Floats:
    """Return the highest live price of each game that has a tick."""
    starts = found.start[:-1][found.lengths > 0]
    return np.asarray(np.fmax.reduceat(found.price, starts)) if len(starts) else np.zeros(0)


class _Watched(NamedTuple):
    """Games watched from tick 0: to which tick without a gap, whether that was the rug, and each new high on the way.

    `start` is where the highs of each game begin; `tick` and `price` are those of all games, one after another.
    """

    exit: Ints
    rugged: NDArray[np.bool_]
    start: Ints
    tick: Ints
    price: Floats

    @classmethod
    def of(cls, found: Paths) -> _Watched:
        spells = Spells.of(found)
        begun = spells.entry == 0
        kept = found.take(spells.game[begun])
        ends = spells.exit[begun]
        highest = np.where(np.isnan(kept.price), -np.inf, kept.price)
        for first, last in pairwise(kept.start.tolist()):
            np.maximum.accumulate(highest[first:last], out=highest[first:last])
        new = np.ones(kept.n_ticks, np.bool_)
        new[1:] = highest[1:] > highest[:-1]
        new[kept.start[:-1]] = True
        new &= kept.tick <= np.repeat(ends, kept.lengths)
        counts = np.bincount(kept.game_of_tick[new], minlength=len(ends))
        start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return cls(ends, spells.rugged[begun], start, kept.tick[new].astype(np.int64), highest[new])

    @property
    def peaks(self) -> Floats:
        """The highest price of each game while it was watched."""
        return self.price[self.start[1:] - 1]

    def _touch(self, multiple: float) -> Ints:
        """Return the tick at which each game first has a price, `_NEVER` where it has not while watched."""
        places = np.flatnonzero(self.price >= multiple)
        first = np.append(places, len(self.price))[np.searchsorted(places, self.start[:-1])]
        return np.where(first < self.start[1:], np.append(self.tick, 0)[first], _NEVER)

    def seen(self, multiple: float) -> int:
        """Number of games seen to reach a multiple."""
        return int((self._touch(multiple) < _NEVER).sum())

    def share(self, multiple: float) -> tuple[float, float, float]:
        """Return the chance to reach a multiple before the rug, the trials behind it, and what is not known of it.

        By Aalen-Johansen. The last is the share of games neither there nor rugged when their records end; 0 where it is
        no more than chance leaves, see `too_late`.
        """
        if not len(self.exit):
            return float("nan"), 0.0, 0.0
        touch = self._touch(multiple)
        touched = touch < _NEVER
        end = np.where(touched, touch, self.exit)
        size = int(end.max()) + 1
        reached = np.bincount(end[touched], minlength=size)
        rugs = np.bincount(end[~touched & self.rugged], minlength=size)
        at_risk = len(end) - np.concatenate([[0], np.cumsum(np.bincount(end, minlength=size))[:-1]])
        share, trials, alive = _incidence(at_risk, reached, rugs)
        games = len(end)
        return share, trials, alive if too_late(games * (1 - alive), games, games) else 0.0


def _incidence(at_risk: Ints, reached: Ints, rugs: Ints) -> tuple[float, float, float]:
    """Return the Aalen-Johansen estimate of one of two ways to end, its trials, and the share that has not ended."""
    out = reached + rugs
    alive = np.cumprod(1 - out / at_risk)
    before = np.concatenate([[1.0], alive[:-1]])
    incidence = np.cumsum(before * reached / at_risk)
    share = float(incidence[-1])
    ahead = share - incidence
    left = at_risk - out
    spread = np.divide(out, at_risk * left, out=np.zeros(len(out)), where=left > 0)
    variance = (
        (ahead**2 * spread).sum()
        + (before**2 * reached * (at_risk - reached) / at_risk**3).sum()
        - 2 * (ahead * before * reached / at_risk**2).sum()
    )
    settled = float(reached.sum() + rugs.sum())  # games of which it is known whether they went so high
    trials = share * (1 - share) / variance if variance > 0 and 0 < share < 1 else settled
    return share, float(trials), float(alive[-1])
