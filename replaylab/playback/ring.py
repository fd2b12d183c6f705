"""RingBuffer: the last N ticks of a live game, in preallocated columns; prices exact, as words of 128 bits.

One thread writes, any number read, and none of them waits. A row that is about to be overwritten is announced first, so
that a reader knows which of the rows that it copied may be torn, and leaves them out.
"""

from __future__ import annotations

import sys
from array import array
from datetime import UTC, datetime, timedelta
from decimal import Context, Decimal
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replaylab.columns import column
from replaylab.errors import SettingsError
from replaylab.table import PRICE_TYPE, TIME_TYPE
from replaylab.tick import PRICE_SCALE, Tick, trimmed

RING_TICKS: Final = 5_000
_SPARE: Final = 256  # rows beyond the size, so that a reader of all of them is not overtaken at once
_ATTEMPTS: Final = 8
_WORD: Final = 64
_LOW: Final = (1 << _WORD) - 1
_ACTIVE: Final = 1
_RUGGED: Final = 2
_NO_PRICE: Final = 4
_DAY_US: Final = 86_400_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_EXACT: Final = Context(prec=60)  # more digits than a price can have: nothing is ever rounded


class _Rows(NamedTuple):
    """Copied rows, oldest first; `first` is the position of the first of them."""

    first: int
    tick: NDArray[np.int32]
    at_us: NDArray[np.int64]
    words: NDArray[np.uint64]
    flags: NDArray[np.uint8]
    timer: NDArray[np.int32]
    trades: NDArray[np.int32]
    game: list[str]
    phase: list[str]


class RingBuffer:
    """The last `size` ticks pushed; a push costs the same whatever the size.

    A tick's *position* counts pushes from 0 and never changes; the ring holds positions `first` to `stop - 1`.

    Parameters
    ----------
    size : int
        Ticks kept; at least 1.

    Raises
    ------
    SettingsError
        When the size is below 1 (it is a `ValueError`).

    Examples
    --------
    >>> from replaylab.tick import Tick
    >>> ring = RingBuffer(2)
    >>> for number, price in enumerate(["1", "1.02", "1.0123456789012345"]):
    ...     _ = ring.push(Tick(game_id="g", tick=number, timestamp="2031-01-02T03:04:05", price=price, active=True))
    >>> [tick.tick for tick in ring.latest()], ring.newest.price, ring.is_full
    ([1, 2], Decimal('1.0123456789012345'), True)
    """

    def __init__(self, size: int = RING_TICKS) -> None:
        self.size: Final = checked_size(size)
        rows = self._rows = size + _SPARE
        self._tick = memoryview(array("i", bytes(4 * rows)))
        self._at = memoryview(array("q", bytes(8 * rows)))
        self._low = memoryview(array("Q", bytes(8 * rows)))
        self._high = memoryview(array("q", bytes(8 * rows)))
        self._flags = memoryview(bytearray(rows))
        self._timer = memoryview(array("i", bytes(4 * rows)))
        self._trades = memoryview(array("i", bytes(4 * rows)))
        self._game = [""] * rows
        self._phase = [""] * rows
        self.newest_us = self._cleared = 0  # time of the newest tick in microseconds since 1970; rows forgotten
        self._claimed = 0  # positions below this, less the rows, may be torn
        self._count = 0  # positions below this are whole

    def push(self, tick: Tick) -> int:
        """Keep a tick, evicting the oldest when full; return its position. Only one thread may push."""
        position = self._count
        slot = position % self._rows
        price = tick.price
        value = 0 if price is None else int(_EXACT.scaleb(price, PRICE_SCALE))
        flags = (_ACTIVE if tick.active else 0) | (_RUGGED if tick.rugged else 0)
        since = tick.timestamp - _EPOCH
        self._claimed = position + 1
        self._tick[slot] = tick.tick
        self._at[slot] = self.newest_us = since.days * _DAY_US + since.seconds * 1_000_000 + since.microseconds
        self._low[slot] = value & _LOW
        self._high[slot] = value >> _WORD
        self._flags[slot] = flags if price is not None else flags | _NO_PRICE
        self._timer[slot] = tick.cooldown_timer
        self._trades[slot] = tick.trade_count
        self._game[slot] = tick.game_id
        self._phase[slot] = tick.phase
        self._count = position + 1
        return position

    def clear(self) -> None:
        """Forget every tick; positions go on counting. Only the thread that pushes may clear."""
        self._cleared = self._count
        self._game[:] = self._phase[:] = [""] * self._rows

    @property
    def first(self) -> int:
        """Position of the oldest tick kept (of the next one, when empty)."""
        return max(self._cleared, self._count - self.size)

    @property
    def stop(self) -> int:
        """Position of the next tick to be pushed."""
        return self._count

    def __len__(self) -> int:
        return min(self._count - self._cleared, self.size)

    @property
    def is_full(self) -> bool:
        """Whether the next push evicts a tick."""
        return len(self) == self.size

    @property
    def oldest(self) -> Tick | None:
        """The oldest tick kept; None when empty."""
        while len(self):
            found = self.at(self.first)
            if found is not None:
                return found
        return None

    @property
    def newest(self) -> Tick | None:
        """The newest tick; None when empty."""
        found = self.latest(1)
        return found[0] if found else None

    def at(self, position: int) -> Tick | None:
        """Return the tick at a position; None when it is not there any more, or not yet."""
        if not self.first <= position < self._count:
            return None
        rows = self._copy(position, position + 1)
        return _ticks(rows)[0] if rows.first == position and len(rows.tick) else None

    def seconds(self, position: int) -> float:
        """Time of a tick that the ring holds, in seconds since 1970-01-01 UTC."""
        return self._at[position % self._rows] / 1e6

    def pause_us(self, position: int) -> int:
        """Microseconds from the tick before to a tick that the ring holds; 0 where there is none before it."""
        if position <= self.first:
            return 0
        return self._at[position % self._rows] - self._at[(position - 1) % self._rows]

    def latest(self, n: int | None = None) -> list[Tick]:
        """Return the newest `n` ticks (None: all), oldest first; a new list each time, in time proportional to `n`."""
        return _ticks(self._newest(n))

    def between(self, first_tick: int, last_tick: int) -> list[Tick]:
        """Return the ticks whose number lies from `first_tick` to `last_tick`, both included, in the order received."""
        rows = self._newest(None)
        keep = np.flatnonzero((rows.tick >= first_tick) & (rows.tick <= last_tick))
        return _ticks(_taken(rows, keep))

    def to_table(self, n: int | None = None, *, stop: int | None = None) -> pa.Table:
        """Return the newest `n` ticks (None: all) as Arrow columns named as in a store, prices exact.

        Parameters
        ----------
        n : int, optional
            How many.
        stop : int, optional
            Position before which to end, for the ring as it was seen a moment ago.
        """
        rows = self._newest(n, stop)
        return pa.table(
            {
                "game_id": pa.array(rows.game, pa.string()),
                "tick": column(rows.tick),
                "timestamp": column(rows.at_us).cast(TIME_TYPE),
                "price": _prices(rows),
                "recorded_phase": pa.array(rows.phase, pa.string()),
                "active": column((rows.flags & _ACTIVE) > 0),
                "rugged": column((rows.flags & _RUGGED) > 0),
                "cooldown_timer": column(rows.timer),
                "trade_count": column(rows.trades),
            }
        )

    @property
    def nbytes(self) -> int:
        """Bytes held, measured: columns, lists and the texts in them."""
        columns = (self._tick, self._at, self._low, self._high, self._flags, self._timer, self._trades)
        texts = {id(text): sys.getsizeof(text) for names in (self._game, self._phase) for text in names}
        lists = sys.getsizeof(self._game) + sys.getsizeof(self._phase)
        return sum(view.nbytes for view in columns) + lists + sum(texts.values())

    def _newest(self, n: int | None, stop: int | None = None) -> _Rows:
        """Copy the newest rows; a reader that the writer overtook looks for the newest again."""
        for _ in range(_ATTEMPTS):
            count = self._count
            end = count if stop is None else min(stop, count)
            first = min(max(self._cleared, count - self.size), end)
            start = first if n is None else max(first, end - max(n, 0))
            rows = self._copy(start, end)
            if rows.first == start or stop is not None:
                break
        return rows

    def _copy(self, start: int, stop: int) -> _Rows:
        """Copy rows; those that the writer reached meanwhile are copied again, and left out when it is faster."""
        for _ in range(_ATTEMPTS):
            rows = self._copy_once(start, stop)
            whole = max(self._claimed - self._rows, self._cleared)
            if whole <= start:
                return rows
            start = min(max(start, self.first), stop)
        return _taken(rows, np.arange(min(max(whole - rows.first, 0), len(rows.tick)), len(rows.tick)))

    def _copy_once(self, start: int, stop: int) -> _Rows:
        low = start % self._rows
        rest = max(0, low + max(0, stop - start) - self._rows)
        high = low + max(0, stop - start) - rest

        def part(view: memoryview, kind: Any) -> NDArray[Any]:
            values = np.frombuffer(view, kind)
            return np.concatenate([values[low:high], values[:rest]])

        words = np.stack([part(self._low, np.uint64), part(self._high, np.uint64)], axis=1)
        return _Rows(
            start,
            part(self._tick, np.int32),
            part(self._at, np.int64),
            words,
            part(self._flags, np.uint8),
            part(self._timer, np.int32),
            part(self._trades, np.int32),
            self._game[low:high] + self._game[:rest],
            self._phase[low:high] + self._phase[:rest],
        )


def checked_size(size: int) -> int:
    """Return the size of a ring when it is a whole number above zero, or raise `SettingsError`."""
    if type(size) is not int or size < 1:
        raise SettingsError(f"ring size {size!r}: must be a whole number of ticks, at least 1")
    return size


def _taken(rows: _Rows, keep: NDArray[np.intp]) -> _Rows:
    """Return some of the rows."""
    columns: list[Any] = [values[keep] for values in rows[1:7]]
    texts = [[names[place] for place in keep.tolist()] for names in (rows.game, rows.phase)]
    return _Rows(rows.first + (int(keep[0]) if len(keep) else 0), *columns, *texts)


def _prices(rows: _Rows) -> pa.Array:
    """Return the prices as Arrow, null where there is none."""
    known = (rows.flags & _NO_PRICE) == 0
    valid = None if known.all() else column(known).buffers()[1]
    return pa.Array.from_buffers(PRICE_TYPE, len(known), [valid, pa.py_buffer(rows.words)])


def _ticks(rows: _Rows) -> list[Tick]:
    """Make ticks of rows; they were checked when they were pushed."""
    put = object.__setattr__
    found = []
    columns = [values.tolist() for values in rows[1:7]]
    for number, at_us, (low, high), flags, timer, trades, game, phase in zip(
        *columns, rows.game, rows.phase, strict=True
    ):
        tick = object.__new__(Tick)
        put(tick, "game_id", game)
        put(tick, "tick", number)
        put(tick, "timestamp", _EPOCH + timedelta(microseconds=at_us))
        put(tick, "price", None if flags & _NO_PRICE else price_of(low, high))
        put(tick, "phase", phase)
        put(tick, "active", bool(flags & _ACTIVE))
        put(tick, "rugged", bool(flags & _RUGGED))
        put(tick, "cooldown_timer", timer)
        put(tick, "trade_count", trades)
        found.append(tick)
    return found


def price_of(low: int, high: int) -> Decimal:
    """Return the price that two words of 64 bits (two's complement) stand for, without trailing zeros.

    Examples
    --------
    >>> price_of(1_020_000_000_000_000_000_000_000 & (1 << 64) - 1, 1_020_000_000_000_000_000_000_000 >> 64)
    Decimal('1.02')
    """
    value = (high - (1 << _WORD) if high >> 63 else high) << _WORD | low
    return trimmed(_EXACT.scaleb(Decimal(value), -PRICE_SCALE))
