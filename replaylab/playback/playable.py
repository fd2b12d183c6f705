"""What can be played: a game of a store, a table of ticks, a list of ticks; each becomes a table."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from replaylab.errors import Unplayable
from replaylab.storage.game import Game
from replaylab.table import PRICE_TYPE, TIME_TYPE
from replaylab.tick import Tick


def table_of(source: object) -> pa.Table:
    """Give the rows of a game in the order to play them; raises `Unplayable`.

    Examples
    --------
    >>> tick = Tick(game_id="g", tick=0, timestamp="2031-01-02T03:04:05", price="1.02")
    >>> table_of([tick]).num_rows
    1
    """
    if isinstance(source, Game):
        return source.ticks()
    if isinstance(source, pa.Table):
        return source
    if isinstance(source, Sequence) and source and all(isinstance(one, Tick) for one in source):
        return _table_of_ticks(source)
    raise Unplayable(f"{type(source).__name__} is no game: give a Game, a table of ticks, or a list of Tick")


def _table_of_ticks(ticks: Sequence[Tick]) -> pa.Table:
    names = ("game_id", "tick", "active", "rugged", "cooldown_timer", "trade_count")
    columns = {name: pa.array([getattr(tick, name) for tick in ticks]) for name in names}
    columns["timestamp"] = pa.array([tick.at_us for tick in ticks], pa.int64()).cast(TIME_TYPE)
    columns["price"] = pa.array([tick.price for tick in ticks], PRICE_TYPE)
    columns["recorded_phase"] = pa.array([str(tick.phase) for tick in ticks], pa.string())
    return pa.table(columns)
