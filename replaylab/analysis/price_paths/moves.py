"""Moves: steps between two live ticks that follow each other, weighted for those that records do not show. Pure.

A record that ends early, begins late or has a gap shows a game's early and late ticks unequally often, so a mean over
the moves that were seen leans to the ages that were watched. Each move is therefore weighted by the inverse chance that
a game which is alive at its tick is watched there: the share of games that live so long (Kaplan-Meier, over the steps
that were watched) over the number of moves that were seen at that tick. Without cuts every weight is 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.price_paths.paths import Paths
from replaylab.analysis.price_paths.rolling import lagged
from replaylab.analysis.price_paths.runs import Runs

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Moves:
    """The moves of many games, with the weight of each.

    Attributes
    ----------
    games : int
        Number of games.
    game, tick : int64 arrays, one a move
        Its game, and the tick at which it ends.
    before, size : float64 arrays, one a move
        The price before it, and its size relative to that price.
    weight : float64 array, one a move
        Inverse chance of being watched, up to a factor.
    rug_game, rug_tick : int64 arrays, one a rug that was watched
        Its game and tick.

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
    rug_game: Ints
    rug_tick: Ints

    @classmethod
    def of(cls, known: Paths) -> Moves:
        """Return the moves of paths."""
        runs = Runs.of(known)
        before = lagged(known.price, 1, np.arange(known.n_ticks) - runs.first)
        rows = np.flatnonzero(before > 0)
        ends = np.flatnonzero((runs.last == np.arange(known.n_ticks)) & runs.rugged & (known.price > 0))
        game, tick = known.game_of_tick[rows], known.tick[rows].astype(np.int64)
        rug_game, rug_tick = known.game_of_tick[ends], known.tick[ends].astype(np.int64) + 1
        moves, _, alive = _table(tick, rug_tick)
        weight = np.ones(len(rows))
        share = np.divide(alive, moves, out=np.zeros(len(alive)), where=moves > 0)
        if len(rows) and np.ptp(share[moves > 0]) > 1e-9 * share.max():  # else every tick was watched alike
            weight = share[tick] * len(rows) / alive[moves > 0].sum()
        size = np.abs(known.price[rows] / before[rows] - 1)
        return cls(known.n_games, game, tick, before[rows], size, weight, rug_game, rug_tick)

    def sums(self, here: NDArray[np.bool_]) -> tuple[Floats, Floats]:
        """Return, one value a game, the weighted sum of the sizes of some moves and the sum of their weights.

        The first includes a term of mean zero, by which the error of the estimated weights counts too: the spread of
        the ratio over games is that of the estimate, to first order.
        """
        weight = self.weight[here]
        above: Floats = np.bincount(self.game[here], weight * self.size[here], self.games).astype(np.float64)
        below: Floats = np.bincount(self.game[here], weight, self.games).astype(np.float64)
        total = below.sum()
        if not total or (self.weight == 1).all():
            return above, below
        moves, hazard, _ = _table(self.tick, self.rug_tick)
        apart = np.bincount(self.tick[here], weight * (self.size[here] - above.sum() / total), len(moves))
        behind = np.cumsum(apart[::-1])[::-1]  # what all moves from a tick on add
        each = np.divide(apart, moves, out=np.zeros(len(moves)), where=moves > 0)
        pull = np.divide(behind, moves, out=np.zeros(len(moves)), where=moves > 0)
        above += np.bincount(self.game, (pull * hazard - each)[self.tick], self.games)
        above -= np.bincount(self.rug_game, (pull * (1 - hazard))[self.rug_tick], self.games)
        return above, below


def _table(tick: Ints, rug_tick: Ints) -> tuple[Floats, Floats, Floats]:
    """Return by tick the moves to it, the chance of a rug at it, and the share of games that are alive at it."""
    size = int(max(tick.max(initial=0), rug_tick.max(initial=0))) + 1
    moves = np.bincount(tick, minlength=size).astype(np.float64)
    rugs = np.bincount(rug_tick, minlength=size)
    watched = moves + rugs
    hazard = np.divide(rugs, watched, out=np.zeros(size), where=watched > 0)
    return moves, hazard, np.cumprod(1 - hazard)
