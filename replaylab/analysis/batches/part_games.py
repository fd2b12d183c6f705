"""PartGames: the games of a part, whose summaries, price paths and rows are read when one of them is asked for."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial
from itertools import accumulate
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa

from replaylab.analysis.batches.parts import Part
from replaylab.analysis.price_paths.live import Ticks, live_ticks
from replaylab.columns import as_numpy
from replaylab.errors import SegmentDamaged, StoreUnreachable
from replaylab.storage.game import Game, TickPath
from replaylab.storage.game_summary import COLUMNS, summarise

SUMMED: list[str] = [*COLUMNS, "seq"]  # what summaries and price paths are made of
UNREADABLE = (FileNotFoundError, SegmentDamaged, StoreUnreachable)
_T = TypeVar("_T")


class PartGames:
    """The games of a part; what many of them need is made once, of whole columns.

    Parameters
    ----------
    part : Part
        Where they lie.
    summed : Table, optional
        Its rows in the columns `SUMMED`, when they were read.

    Attributes
    ----------
    trouble : Exception or None
        Why something could not be read that a function asked for, whatever the function made of it.
    """

    def __init__(self, part: Part, summed: pa.Table | None) -> None:
        self.part = part
        self.trouble: Exception | None = None
        self._given = summed
        self._starts = [0, *accumulate(part.counts)]

    def game(self, number: int) -> Game:
        """Return a game of the part, by its number from 0."""
        return Game(
            self.part.games[number],
            partial(self._rows_of, number),
            summary=partial(self._summary, number),
            path=partial(self._path, number),
        )

    def _read(self, read: Callable[[], _T]) -> _T:
        try:
            return read()
        except UNREADABLE as error:
            self.trouble = error
            raise

    @cached_property
    def _summed(self) -> pa.Table:
        return self._read(lambda: self.part.read(SUMMED)) if self._given is None else self._given

    @cached_property
    def _table(self) -> pa.Table:
        return self._read(self.part.read)

    @cached_property
    def _summaries(self) -> pa.Table:
        return summarise(self._summed) if self.part.summaries is None else self.part.summaries

    @cached_property
    def _ticks(self) -> Ticks:
        rug_tick = np.array(as_numpy(self._summaries.column("rug_tick"), null=-1), np.int64)
        start, tick, price = live_ticks(self._summed, rug_tick)
        tick.flags.writeable = price.flags.writeable = False
        return start, tick, price

    @cached_property
    def _facts(self) -> list[dict[str, Any]]:
        columns = [column.to_pylist() for column in self._summaries.columns]  # rows of a table are slower
        return [dict(zip(self._summaries.column_names, row, strict=True)) for row in zip(*columns, strict=True)]

    def _summary(self, number: int) -> dict[str, Any]:
        return self._facts[number]  # each game of a part is made once

    def _path(self, number: int) -> TickPath:
        start, tick, price = self._ticks
        here = slice(int(start[number]), int(start[number + 1]))
        return TickPath(tick[here], price[here])

    def _rows_of(self, number: int) -> pa.Table:
        return self._table.slice(self._starts[number], self.part.counts[number])
