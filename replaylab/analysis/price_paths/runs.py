"""Runs: how far a path can be followed from each tick before one is missing, and whether a rug ends it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.price_paths.paths import Paths

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Runs:
    """For each live tick, where the unbroken run of ticks around it begins and ends; inside it, rows are ticks.

    A run breaks where a tick is missing or has no price: what happened there is not known.

    Parameters
    ----------
    first, last : int64 arrays, one a tick
        First and last row of its run.
    rugged : bool array, one a tick
        Whether the tick after the last of its run is the rug.
    rug_price : float64 array, one a tick
        Price at the rug of its game; 0 where a rug has no price, NaN where no rug was recorded.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> runs = Runs.of(Paths.of_arrays(*price_arrays(1, seed=1)))
    >>> int(runs.first[-1]), bool(runs.last[0] == len(runs.last) - 1), bool(runs.rugged.all())
    (0, True, True)
    """

    first: Ints
    last: Ints
    rugged: NDArray[np.bool_]
    rug_price: Floats

    @classmethod
    def of(cls, known: Paths, *, priced: bool = True) -> Runs:
        """Return the runs of paths; with `priced=False` a tick without a price breaks none."""
        rows = np.arange(known.n_ticks)
        broken = np.ones(known.n_ticks, np.bool_)
        unpriced = np.isnan(known.price) if priced else np.zeros(known.n_ticks, np.bool_)
        broken[1:] = (np.diff(known.tick) != 1) | unpriced[1:] | unpriced[:-1]
        broken[known.start[:-1][known.lengths > 0]] = True
        begins = np.flatnonzero(broken)
        lengths = np.diff(begins, append=known.n_ticks)
        first, last = np.repeat(begins, lengths), np.repeat(begins + lengths - 1, lengths)
        rug_tick = np.repeat(known.rug_tick, known.lengths)
        price = np.where((known.rug_tick >= 0) & np.isnan(known.rug_price), 0.0, known.rug_price)
        last_of_game = np.repeat(known.start[1:] - 1, known.lengths)
        rugged = (last == last_of_game) & (known.tick[last] + 1 == rug_tick) & ~unpriced[rows]
        return cls(first, last, rugged, np.repeat(price, known.lengths))
