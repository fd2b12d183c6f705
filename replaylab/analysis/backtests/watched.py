"""How games were watched in a backtest: weights that make up for trades and games whose end was not recorded. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.backtests.ledger import Trade
from replaylab.analysis.price_paths.follow_up import FollowUp, too_late, watched_to
from replaylab.analysis.price_paths.paths import Paths
from replaylab.columns import distinct

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Watched:
    """First ticks and rugs of the games of a backtest, and the chance of being watched from one tick to another.

    Parameters
    ----------
    follow_up : FollowUp
    known : Paths
        The games; each has a live tick.
    until : int64 array, one a live tick
        See `watched_to`.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> Watched.of(Paths.of_arrays(*price_arrays(3, seed=1))).of_games().tolist()
    [1.0, 1.0, 1.0]
    """

    follow_up: FollowUp
    known: Paths
    until: Ints

    @classmethod
    def of(cls, known: Paths) -> Self:
        """Return how the games of some paths were watched; each has a live tick."""
        until = watched_to(known)
        return cls(FollowUp.of_ends(known, until), known, until)

    def of_games(self) -> Floats:
        """Return the weight of each game: 0 where its rug was not seen, or a gap may have hidden one.

        All are 0 where too many games live longer than any record goes; trades likewise.
        """
        rows = self.known.start[:-1]
        first, rug = self.known.tick[rows].astype(np.int64), self.known.rug_tick
        seen = (rug >= 0) & (self.until[rows] == rug)
        weights = np.where(seen, self.follow_up.weight(first, np.where(seen, rug, first)), 0.0)
        return self._enough(weights, len(first))

    def of_trades(self, trades: Sequence[Trade]) -> Floats:
        """Return the weight of each trade: 0 where the record, or a gap in it, ended before it did."""
        opened, closed = (np.array(ticks, np.int64) for ticks in (
            [trade.opened for trade in trades], [trade.closed for trade in trades]))  # fmt: skip
        ended = np.array([trade.ending != "void" for trade in trades], np.bool_)
        number = {game_id: place for place, game_id in enumerate(self.known.game_ids)}
        game = np.array([number[trade.game_id] for trade in trades], np.int64)
        step = int(self.known.tick.max(initial=0)) + 1
        rows = np.searchsorted(self.known.game_of_tick * step + self.known.tick, game * step + opened)
        ended &= closed <= self.until[rows]
        return self._enough(np.where(ended, self.follow_up.weight(opened, closed), 0.0), len(distinct(game)))

    @staticmethod
    def _enough(weights: Floats, games: int) -> Floats:
        return np.zeros(len(weights)) if too_late(float(weights.sum()), len(weights), games) else weights
