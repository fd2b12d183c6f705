"""Moves: steps between two live ticks that follow each other, weighted for those that records do not show. Pure.

A record that ends early, begins late or has a gap shows a game's early and late ticks unequally often, so a mean over
the moves that were seen leans to the ages that were watched. Each move is therefore weighted by the inverse chance that
a game which is alive at its tick is watched there: the share of games that live so long (Kaplan-Meier, over the steps
that were watched) over the number of moves that were seen at that tick. Without cuts every weight is 1.

Behind the last tick that five games were watched at, a few games would stand for all that live so long, and an interval
that counts games knows nothing of it: such moves do not count, and `to_tick` says up to which tick they do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.price_paths.paths import Paths
from replaylab.analysis.price_paths.rolling import lagged
from replaylab.analysis.price_paths.runs import Runs

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
LEAST_WATCHED: Final = 5  # games at a tick, as for the interval of a mean


@dataclass(frozen=True, eq=False)
class Moves:
    """The moves of many games, with the weight of each.

    Attributes
    ----------
    games : int
        Number of games.
    game : int64 array, one a move
        Its game.
    tick : int64 array, one a move
        The tick at which it ends.
    before, size : float64 arrays, one a move
        The price before it, and its size relative to that price.
    weight : float64 array, one a move
        Inverse chance of being watched, up to a factor.
    to_tick : int
        The last tick at which a move may end; that of the last move where none is weighted, -1 without one.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> found = Moves.of(Paths.of_arrays(*price_arrays(100, seed=1)))
    >>> bool((found.weight == 1).all())
    True
    """

    games: int
    game: Ints
    tick: Ints
    before: Floats
    size: Floats
    weight: Floats
    to_tick: int

    @classmethod
    def of(cls, known: Paths) -> Moves:
        """Return the moves of paths."""
        runs = Runs.of(known)
        before = lagged(known.price, 1, np.arange(known.n_ticks) - runs.first)
        rows = np.flatnonzero(before > 0)
        ends = np.flatnonzero((runs.last == np.arange(known.n_ticks)) & runs.rugged & (known.price > 0))
        tick, rug_tick = known.tick[rows].astype(np.int64), known.tick[ends].astype(np.int64) + 1
        weights, to_tick = _weights(tick, rug_tick)
        kept = tick <= to_tick
        rows, tick = rows[kept], tick[kept]
        size = np.abs(known.price[rows] / before[rows] - 1)
        return cls(known.n_games, known.game_of_tick[rows], tick, before[rows], size, weights[tick], to_tick)

    def sums(self, here: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """Return, one value a game, the weighted sum of the sizes of some moves and the sum of their weights.

        An interval of their ratio takes the weights as known. Those of late ticks rest on few games, so what the error
        of the weights would take off the spread is less than what it is too small by.
        """
        game, weight = self.game[here], self.weight[here]
        above: Floats = np.bincount(game, weight * self.size[here], self.games).astype(np.float64)
        return above, np.bincount(game, weight, self.games).astype(np.float64)


def _weights(tick: Ints, rug_tick: Ints) -> tuple[Floats, int]:
    """Return the weight of a move by the tick at which it ends, all 1 where all were watched alike, and `to_tick`."""
    size = int(max(tick.max(initial=0), rug_tick.max(initial=0))) + 1
    moves, rugs = np.bincount(tick, minlength=size), np.bincount(rug_tick, minlength=size)
    watched = moves + rugs
    alive = np.cumprod(1 - np.divide(rugs, watched, out=np.zeros(size), where=watched > 0))
    share = np.divide(alive, moves, out=np.zeros(size), where=moves > 0)
    last = int(tick.max(initial=-1))
    if not len(tick) or np.ptp(share[moves > 0]) <= 1e-9 * share.max():
        return np.ones(size), last
    enough = np.flatnonzero(watched >= LEAST_WATCHED)
    if len(enough):
        last = min(last, int(enough[-1]))
    counts = (moves > 0) & (np.arange(size) <= last)
    found: Floats = share * moves[counts].sum() / alive[counts].sum()
    return found, last
