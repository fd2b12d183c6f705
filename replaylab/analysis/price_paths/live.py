"""Live ticks of whole games as arrays. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replaylab.columns import as_numpy, column, nearest_doubles

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Ticks = tuple[Ints, NDArray[np.int32], Floats]
_NO_RUG: Final = np.iinfo(np.int64).max


def live_ticks(table: pa.Table, rug_tick: Ints) -> Ticks:
    """Return where each game starts, and ticks and prices of its live rows before the rug: each tick once, in order.

    Parameters
    ----------
    table : Table
        Stored rows in the order received; the rows of each game stand together. Of a tick received twice the first
        counts.
    rug_tick : int64 array, one a game
        R, or -1 where there is no rug.
    """
    if not table.num_rows:
        return no_ticks()
    codes = as_numpy(table.column("game_id").unify_dictionaries().combine_chunks().indices)
    of_row = np.concatenate([[0], np.cumsum(codes[1:] != codes[:-1])]).astype(np.int64)
    tick = as_numpy(table.column("tick"))
    before = np.where(rug_tick < 0, _NO_RUG, rug_tick)[of_row]
    live = as_numpy(table.column("active")) & ~as_numpy(table.column("rugged")) & (tick < before)
    rows = np.flatnonzero(live)
    keys = of_row[rows] << 32 | tick[rows]
    if len(keys) > 1 and not (np.diff(keys) > 0).all():  # out of order, or a tick twice
        keys, first = np.unique(keys, return_index=True)
        rows = rows[first]
    counts = np.bincount(of_row[rows], minlength=len(rug_tick))
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    price = nearest_doubles(table.column("price").combine_chunks().take(column(rows)))
    return start, tick[rows].astype(np.int32), price


def no_ticks() -> Ticks:
    """Return the result of `live_ticks` for no game."""
    return np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0)
