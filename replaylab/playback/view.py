"""View: the game up to the cursor, and nothing else. Reading past it raises."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replaylab.errors import LookAhead
from replaylab.playback.event import Mode, Step
from replaylab.playback.timeline import Timeline
from replaylab.plural import count_of


class _Seen(NamedTuple):
    """The track of the rows seen: it ends where they do, so that not even the length of the game shows."""

    timeline: Timeline
    stop: int

    @property
    def mode(self) -> Mode:
        return self.timeline.mode

    def value(self, name: str, index: int) -> Any:
        if not 0 <= index < self.stop:
            raise LookAhead(f"row {index} lies beyond the cursor: {self.stop} rows have been seen")
        return self.timeline.value(name, index)


class View(Sequence[Step]):
    """The rows of a game up to a cursor, as a sequence of steps; it stays what it was when the cursor moves on.

    Parameters
    ----------
    timeline : Timeline
        The game.
    stop : int
        Rows that can be seen.

    Raises
    ------
    LookAhead
        When a row beyond is asked for, by index or by the end of a slice (it is an `IndexError`).

    Examples
    --------
    >>> from replaylab.tick import Tick
    >>> ticks = [Tick(game_id="g", tick=n, timestamp="2031-01-02T03:04:05", price=1 + n) for n in range(3)]
    >>> seen = View(Timeline.of(ticks), 2)
    >>> [str(step.price) for step in seen], seen[-1].tick
    (['1', '2'], 1)
    >>> seen[2]
    Traceback (most recent call last):
    ...
    replaylab.errors.LookAhead: row 2 lies beyond the cursor: 2 rows have been seen
    """

    __slots__ = ("_stop", "_timeline")

    def __init__(self, timeline: Timeline, stop: int) -> None:
        if not 0 <= stop <= timeline.stop:
            raise LookAhead(f"row {stop - 1} lies beyond the game: it has {timeline.stop} rows")
        self._timeline = timeline
        self._stop = stop

    def __len__(self) -> int:
        return self._stop

    def __repr__(self) -> str:
        return f"View({self._timeline.game_id!r}, {count_of(self._stop, 'row')})"

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> list[Step]: ...
    def __getitem__(self, index: int | slice) -> Step | list[Step]:
        if isinstance(index, slice):
            for edge in (index.start, index.stop):
                if edge is not None and edge > self._stop:
                    raise LookAhead(f"row {edge - 1} lies beyond the cursor: {self._stop} rows have been seen")
            return [Step(row, self._seen) for row in range(*index.indices(self._stop))]
        row = index + self._stop if index < 0 else index
        if row >= self._stop:
            raise LookAhead(f"row {index} lies beyond the cursor: {self._stop} rows have been seen")
        if row < 0:
            raise IndexError(f"row {index} lies before the game: {self._stop} rows have been seen")
        return Step(row, self._seen)

    def __iter__(self) -> Iterator[Step]:
        return (Step(row, self._seen) for row in range(self._stop))

    @property
    def _seen(self) -> _Seen:
        return _Seen(self._timeline, self._stop)

    @property
    def tick(self) -> NDArray[np.int64]:
        """Tick numbers seen so far; a copy, behind which nothing lies."""
        return self._timeline.tick[: self._stop].copy()

    @property
    def floats(self) -> NDArray[np.float64]:
        """Prices seen so far as doubles, NaN where null; a copy."""
        return self._timeline.floats[: self._stop].copy()

    def to_table(self) -> pa.Table:
        """Return the rows seen so far as a table of its own, exact prices included; a copy."""
        return self._timeline.table.take(pa.array(np.arange(self._stop)))
