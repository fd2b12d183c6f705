"""Games table of complete simulated games, which are arrays and never stored. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from replaylab.columns import column
from replaylab.storage.game_summary import SCHEMA
from replaylab.table import PRICE_TYPE, TIME_TYPE

_FIRST_US: Final = 1_924_916_645_000_000  # 2030-12-31T03:04:05 UTC
_TICK_US: Final = 250_000
_IDLE_US: Final = 15_000_000


def games_of_arrays(live: NDArray[np.float64], start: NDArray[np.int64], rug_price: NDArray[np.float64]) -> pa.Table:
    """Return one row a game: every tick from 0 to R-1 is there, and R is the number of them.

    Parameters
    ----------
    live : float64 array
        Prices of the live ticks of all games, one after another.
    start : int64 array, one more than games
        Where each game begins in it; a game has at least one tick.
    rug_price : float64 array, one a game

    Returns
    -------
    Table
        The columns of `replaylab.storage.game_summary.SCHEMA`; games are called ``simulated-0000000`` and
        so on, and follow each other 15 s apart at 250 ms a tick. Prices are drawn as doubles, so their decimals are
        rounded to 24 places.

    Examples
    --------
    >>> table = games_of_arrays(np.array([1.0, 1.5, 1.0]), np.array([0, 2, 3]), np.array([0.02, 0.01]))
    >>> table.column("rug_tick").to_pylist(), table.column("peak_tick").to_pylist()
    ([2, 1], [1, 0])
    """
    count = len(rug_price)
    rug_tick = np.diff(start)
    game = np.repeat(np.arange(count), rug_tick)
    peak = np.maximum.reduceat(live, start[:-1]) if count else np.zeros(0)
    highest = np.flatnonzero(live == peak[game])
    _, first = np.unique(game[highest], return_index=True)
    began = _FIRST_US + np.concatenate([[0], np.cumsum(rug_tick * _TICK_US + _IDLE_US)])[:-1].astype(np.int64)
    found = {
        "game_id": pa.array([f"simulated-{number:07}" for number in range(count)], pa.string()),
        "rows": column(rug_tick + 1),
        "ticks": column(rug_tick),
        "rug_tick": column(rug_tick),
        "rug_price": _decimals(rug_price),
        "peak": _decimals(peak),
        "peak_tick": column(highest[first] - start[:-1]),
        "start": column(began).cast(TIME_TYPE),
        "end": column(began + rug_tick * _TICK_US).cast(TIME_TYPE),
        "first_tick": column(np.zeros(count, np.int64)),
        "last_tick": column(rug_tick - 1),
        "sources": pa.array([[]] * count, pa.list_(pa.string())),
    }
    none, no = column(np.zeros(count, np.int64)), column(np.zeros(count, np.bool_))
    found |= dict.fromkeys(("gaps", "missing_ticks", "repaired"), none)
    found |= dict.fromkeys(("late_start", "censored", "double_rug"), no) | {"complete": pc.invert(no)}
    return pa.Table.from_arrays([found[name] for name in SCHEMA.names], schema=SCHEMA)


def _decimals(values: NDArray[np.float64]) -> pa.Array:
    return column(np.ascontiguousarray(values)).cast(PRICE_TYPE)
