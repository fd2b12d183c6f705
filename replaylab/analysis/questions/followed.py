"""Outcomes of games 1, 2, ... ticks after a tick at which they were seen live; some records end before. Pure."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.price_paths.follow_up import watched_to
from replaylab.analysis.price_paths.paths import Paths
from replaylab.analysis.price_paths.spells import product_limit
from replaylab.analysis.questions.interval import wilson

Ints = NDArray[np.int64]
_CELLS: Final = 1 << 20  # counted at a time


class Followed:
    """Games seen live at each of some ticks, with their rugs and cuts 1, 2, ... ticks later.

    Counts are of all that is known, also over a gap; the rate follows each game as far as `watched_to`. Memory does not
    grow with the number of ticks: they are counted a block at a time.

    Parameters
    ----------
    known : Paths
    at : int64 array
        Ticks from which games are followed, sorted, each once.
    longest : int
        For how many ticks.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> seen = Followed(Paths.of_arrays(*price_arrays(100, seed=1)), np.array([0, 50]), 40)
    >>> seen.columns(np.array([40]), 0.95)["n_games"].tolist()
    [100, 77]
    """

    def __init__(self, known: Paths, at: Ints, longest: int) -> None:
        self.at = at
        self._tick = known.tick.astype(np.int64)
        self._left, self._rugged = ticks_left(known)
        self._until = watched_to(known) - known.tick
        self._longest = min(longest, int(self._left.max(initial=0)) + 1)  # further on no game is followed

    def columns(self, windows: Ints, confidence: float) -> dict[str, Any]:
        """Return counts and rates, tick after tick, each for all windows."""
        reached = int(np.searchsorted(self.at, self._tick.max(initial=-1), side="right"))
        asked = self.at[: reached + 1]  # no game comes to the ticks behind, so that one speaks for all of them
        rows = max(1, _CELLS // (self._longest + 2))
        blocks = [self._block(asked[first : first + rows], windows, confidence) for first in range(0, len(asked), rows)]
        place = np.minimum(np.arange(len(self.at)), reached)
        found = {name: np.concatenate([block[name] for block in blocks])[place] for name in blocks[0]}
        found["tick"] = np.repeat(self.at[:, None], len(windows), axis=1)
        return {name: values.ravel() for name, values in found.items()}

    def _block(self, at: Ints, windows: Ints, confidence: float) -> dict[str, NDArray[Any]]:
        longest = self._longest
        place = np.minimum(np.searchsorted(at, self._tick), len(at) - 1)
        rows = np.flatnonzero(at[place] == self._tick)
        shape = (len(at), longest + 2)

        def counted(after: Ints, which: NDArray[np.bool_]) -> Ints:
            cell = place[rows] * (longest + 2) + np.minimum(after[rows], longest + 1)
            return np.bincount(cell[which[rows]], minlength=shape[0] * shape[1]).reshape(shape)

        rugs, ends = counted(self._left, self._rugged), counted(self._left, ~self._rugged)
        live = rugs.sum(axis=1) + ends.sum(axis=1)
        all_wins = rugs.cumsum(axis=1)[:, :-1]
        all_cut = ends.cumsum(axis=1)[:, :-1]  # ends after exactly d ticks: alive then, so not cut for a window of d
        seen = self._rugged & (self._until == self._left)
        rugs, ends = counted(self._until, seen), counted(self._until, ~seen)
        at_risk = live[:, None] - (rugs + ends).cumsum(axis=1)[:, :-2]
        all_alive, greenwood = product_limit(at_risk, rugs[:, 1:-1])
        asked, windows = windows, np.minimum(windows, all_alive.shape[1])
        wins, cut = all_wins[:, windows], all_cut[:, windows - 1]
        games = np.repeat(live[:, None], len(windows), axis=1)
        losses = games - wins - cut
        settled = wins + losses
        alive = all_alive[:, windows - 1]
        alive = np.where((at_risk > 0)[:, windows - 1] | (alive == 0), alive, np.nan)
        variance = alive**2 * greenwood[:, windows - 1]
        size = np.divide(alive * (1 - alive), variance, out=settled.astype(np.float64), where=variance > 0)
        low, high = wilson(1 - alive, size, confidence=confidence)
        rate = np.divide(wins, settled, out=np.full(wins.shape, np.nan), where=settled > 0)
        return {
            "tick": np.repeat(at[:, None], len(windows), axis=1),
            "window": np.repeat(asked[None, :], len(at), axis=0),
            "n_games": games,
            "wins": wins,
            "losses": losses,
            "cut": cut,
            "win_rate": 1 - alive,
            "low": low,
            "high": high,
            "settled_rate": rate,
        }


def ticks_left(known: Paths) -> tuple[Ints, NDArray[np.bool_]]:
    """Ticks from each live tick to the rug, or to the last live tick where no rug was recorded; and which it is.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> left, rugged = ticks_left(Paths.of_arrays(*price_arrays(1, seed=1)))
    >>> int(left[-1]), bool(rugged.all())
    (1, True)
    """
    last = known.tick[known.start[1:] - 1].astype(np.int64)
    rugged = known.rug_tick >= 0
    end: Ints = np.where(rugged, known.rug_tick, last)
    left = np.repeat(end, known.lengths) - known.tick.astype(np.int64)
    return left, np.repeat(rugged, known.lengths)
