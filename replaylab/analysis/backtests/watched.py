"""How games were watched in a backtest: weights that make up for trades and games whose end was not recorded. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.backtests.ledger import Trade
from replaylab.analysis.price_paths.follow_up import FollowUp
from replaylab.analysis.price_paths.paths import Paths

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Watched:
    """First ticks and rugs of the games of a backtest, and the chance of being watched from one tick to another.

    Parameters
    ----------
    follow_up : FollowUp
    first_tick, rug_tick : int64 arrays, one a game
        First live tick of the record; R, or -1 where the record ends before.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> Watched.of(Paths.of_arrays(*price_arrays(3, seed=1))).of_games().tolist()
    [1.0, 1.0, 1.0]
    """

    follow_up: FollowUp
    first_tick: Ints
    rug_tick: Ints

    @classmethod
    def of(cls, known: Paths) -> Self:
        """Return how the games of some paths were watched; each has a live tick."""
        return cls(FollowUp.of_records(known), known.tick[known.start[:-1]].astype(np.int64), known.rug_tick)

    def of_games(self) -> Floats:
        """Return the weight of each game: 0 where its rug was not seen."""
        seen = self.rug_tick >= 0
        weights = self.follow_up.weight(self.first_tick, np.where(seen, self.rug_tick, self.first_tick))
        return np.where(seen, weights, 0.0)

    def of_trades(self, trades: Sequence[Trade]) -> Floats:
        """Return the weight of each trade: 0 where the record ended before it did."""
        opened, closed = (np.array(ticks, np.int64) for ticks in (
            [trade.opened for trade in trades], [trade.closed for trade in trades]))  # fmt: skip
        ended = np.array([trade.ending != "void" for trade in trades], np.bool_)
        return np.where(ended, self.follow_up.weight(opened, closed), 0.0)
