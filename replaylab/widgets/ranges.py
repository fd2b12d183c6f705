"""Ranges: rows of a game from one to another, both included: a loop, and what is selected in the chart."""

from __future__ import annotations

import operator
import warnings
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, SupportsIndex

import pyarrow as pa

from replaylab.errors import TickError

if TYPE_CHECKING:
    import pandas as pd


class Rows:
    """Rows from `first` to `last`, both included, of the game that a player shows; none when both are None.

    Parameters
    ----------
    first, last : int or None
        Counted from 0, as `player.index` is.
    player : ReplayPlayer, optional
        Whose game it is.

    Examples
    --------
    >>> rows = Rows(100, 150)
    >>> rows, len(rows), list(rows), bool(Rows()), rows == (100, 150)
    (Rows(100, 150), 51, [100, 150], False, True)
    """

    __slots__ = ("_player", "first", "last")

    def __init__(self, first: int | None = None, last: int | None = None, player: Any = None) -> None:
        self.first, self.last = first, last
        self._player = None if player is None else weakref.ref(player)

    def __bool__(self) -> bool:
        return self.first is not None and self.last is not None

    def __len__(self) -> int:
        return 0 if self.first is None or self.last is None else self.last - self.first + 1

    def __iter__(self) -> Iterator[int | None]:
        return iter((self.first, self.last))

    def __eq__(self, other: object) -> bool:
        if other is None:
            return not self
        return isinstance(other, (Rows, tuple, list)) and list(self) == list(other)

    def __hash__(self) -> int:
        return hash((self.first, self.last))

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}({self.first}, {self.last})" if self else f"{name}()"

    def ticks(self) -> pa.Table:
        """Return these rows of the game that is shown, exactly as a store holds them; none when none are chosen."""
        player = None if self._player is None else self._player()
        engine = None if player is None else player.engine
        if engine is None or (engine.timeline is None and engine.stream is None):
            return pa.table({})
        if engine.timeline is not None:
            return engine.timeline.table.slice(self.first or 0, len(self))
        ring = engine.stream.ring
        table = ring.to_table()
        start = max(self.first or 0, ring.stop - table.num_rows) - (ring.stop - table.num_rows)
        return table.slice(start, max(0, (self.last or 0) + 1 - (ring.stop - table.num_rows) - start) if self else 0)

    def frame(self) -> pd.DataFrame:
        """Return these rows as a pandas frame: prices as the nearest doubles; see `ticks` for exact ones."""
        from replaylab.storage.interchange import pandas_frame

        return pandas_frame(self.ticks(), "float64")

    to_pandas = frame


class Loop(Rows):
    """Rows that are repeated."""

    __slots__ = ()

    def __call__(self, first: int | None = None, last: int | None = None) -> None:
        """Change the loop, as `player.loop(100, 150)` did when it was a method."""
        said = "None" if first is None or last is None else f"({first}, {last})"
        warnings.warn(f"player.loop is a value now: player.loop = {said}", DeprecationWarning, stacklevel=2)
        player = None if self._player is None else self._player()
        if player is not None:
            player.loop = None if first is None or last is None else (first, last)


def checked_rows(name: str, value: object, total: int) -> tuple[int | None, int | None]:
    """Return the first and last of rows that a game of `total` rows has; both are None for no rows.

    Raises
    ------
    TickError
        When it is no pair of rows of the game, the first not after the last (it is a `ValueError`).

    Examples
    --------
    >>> checked_rows("loop", (3, 5), 10), checked_rows("loop", None, 10)
    ((3, 5), (None, None))
    """
    if value is None or (isinstance(value, Rows) and not value):
        return None, None
    pair: list[Any] = list(value) if isinstance(value, (Rows, tuple, list)) else []
    if len(pair) != 2:  # a first and a last
        raise TickError(name, value, "wrong_type", "pass (first, last), two rows counted from 0, or None")
    first, last = pair
    if first is None or last is None:
        return None, None
    if not all(isinstance(row, int) and not isinstance(row, bool) for row in (first, last)):
        raise TickError(name, value, "wrong_type", "rows are whole numbers")
    if not 0 <= first <= last < total:
        raise TickError(name, (first, last), "no_such_row", f"the game has rows 0 to {total - 1}, first before last")
    return first, last


def checked_row(index: object) -> int:
    """Return the number of a row as it was given; raise `TickError` for what is no whole number.

    Examples
    --------
    >>> checked_row(3)
    3
    """
    if not isinstance(index, SupportsIndex):
        hint = "must be the number of a row; player.engine.seek_event('rug') goes to the rug, to 'peak' or a 'gap'"
        raise TickError("index", index, "wrong_type", hint)
    return operator.index(index)


def whole(name: str, value: object) -> int:
    """Return a whole number as it was given; raise `TickError`, which names it, for anything else.

    Examples
    --------
    >>> whole("n", -3)
    -3
    """
    if not isinstance(value, SupportsIndex):
        raise TickError(name, value, "wrong_type", "must be a whole number")
    return operator.index(value)
