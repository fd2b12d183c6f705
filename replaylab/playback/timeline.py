"""Timeline: one game as an immutable track; rows as received, when each is due, and where something happened."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from replaylab.clock import NOMINAL_SECONDS
from replaylab.columns import distinct
from replaylab.continuity import missing_runs
from replaylab.errors import Unplayable
from replaylab.playback.event import Gap, Mode
from replaylab.plural import count_of
from replaylab.storage.game import Game
from replaylab.table import PRICE_TYPE, TIME_TYPE
from replaylab.tick import Phase, Tick, trimmed

Pacing = Literal["recorded", "nominal"]
STALL_SECONDS: Final = 2.0  # eight nominal ticks: one receive interval in three thousand is above 1 s
_NEEDED: Final = ("tick", "timestamp", "price")
_ABSENT: Final = {"game_id": "", "active": True, "rugged": False, "cooldown_timer": 0}


class Timeline:
    """A game that can be played: its rows never change, and every question about a place in it is quick.

    Parameters
    ----------
    table : Table
        Rows in the order to play them, with at least `tick`, `timestamp` and `price`, named as in a store.
    pacing : {"recorded", "nominal"}
        Whether rows are due when they were received, or every 0.25 s. A recorded time that goes backwards, or is
        unknown, is due together with the row before it.
    skip_gaps : bool
        Shorten every stall of 2 s and more to 0.25 s.

    Raises
    ------
    Unplayable
        When there is no row, or a column is missing.

    Examples
    --------
    >>> from replaylab.tick import Tick
    >>> ticks = [Tick(game_id="g", tick=n, timestamp=f"2031-01-02T03:04:05.{n}", price=f"1.{n}", active=True)
    ...          for n in (0, 1, 2, 5)]
    >>> line = Timeline.of(ticks)
    >>> line.due(3), line.index_of_tick(5), line.peak, line.gaps
    (0.5, 3, 3, (Gap(index=3, reason='missing', missing=2, seconds=0.3),))
    """

    mode: Final = Mode.FILE
    first: Final = 0

    def __init__(self, table: pa.Table, *, pacing: Pacing = "recorded", skip_gaps: bool = False) -> None:
        if pacing not in {"recorded", "nominal"}:
            raise ValueError(f"pacing={pacing!r}: must be 'recorded' or 'nominal'")
        lacking = [name for name in _NEEDED if name not in table.column_names]
        if lacking or not table.num_rows:
            raise Unplayable(f"no column {', '.join(lacking)}" if lacking else "the game has no row")
        self.table: Final = table.combine_chunks()
        self.game: Game | None = None  # of a store, that it was made of
        self.stop: Final = int(table.num_rows)
        self.tick: Final = _frozen(self.table.column("tick").to_numpy().astype(np.int64))
        times = self.table.column("timestamp").cast(TIME_TYPE).cast(pa.int64()).combine_chunks()
        self._known = np.asarray(pc.is_valid(times).to_numpy(zero_copy_only=False), np.bool_)
        self.at_us: Final = _frozen(_carried(pc.fill_null(times, 0).to_numpy(), self._known))
        self._due = _frozen(_due_seconds(self.at_us, pacing, skip_gaps=skip_gaps))
        self._due_at = memoryview(self._due)  # type: ignore[arg-type]  # its items are plain floats
        self.marks: Final[dict[int, Gap | None]] = {gap.index: gap for gap in self.gaps}
        if self.rug is not None:
            self.marks.setdefault(self.rug, None)

    @classmethod
    def of(cls, source: object, *, pacing: Pacing = "recorded", skip_gaps: bool = False) -> Timeline:
        """Return the timeline of a game of a store, of a table, or of ticks; raise `Unplayable` for anything else."""
        if isinstance(source, Timeline):
            return source
        try:
            table = _table_of(source)
        except (OSError, pa.ArrowException) as error:
            name = getattr(source, "id", type(source).__name__)
            raise Unplayable(f"game {name!r} cannot be read ({error}); is its store still there?") from error
        line = cls(table, pacing=pacing, skip_gaps=skip_gaps)
        line.game = source if isinstance(source, Game) else None
        return line

    def __len__(self) -> int:
        return self.stop

    def __repr__(self) -> str:
        return f"Timeline({self.game_id!r}, {count_of(self.stop, 'row')})"

    @cached_property
    def game_id(self) -> str:
        """Id of the game; empty where the table does not say."""
        return str(self.value("game_id", 0))

    @cached_property
    def _mark_rows(self) -> list[int]:
        return [*sorted(self.marks), self.stop - 1]

    def plain_until(self, index: int) -> int:
        """Return the first row from `index` on at which something happens: a gap, the rug, the end."""
        return self._mark_rows[min(bisect_left(self._mark_rows, index), len(self._mark_rows) - 1)]

    def due(self, index: int) -> float:
        """When a row is due, in seconds from the first."""
        return float(self._due_at[index])

    def value(self, name: str, index: int) -> Any:
        """Return the value of a column in a row; None where it is null, or where there is no such column."""
        if name not in self.table.column_names:
            return _ABSENT.get(name)
        value = self.table.column(name)[index].as_py()
        return trimmed(value) if isinstance(value, Decimal) else value

    @cached_property
    def live(self) -> NDArray[np.bool_]:
        """Which rows are live: active and not rugged."""
        return _frozen(self._flag("active", absent=True) & ~self._flag("rugged", absent=False))

    @cached_property
    def rug(self) -> int | None:
        """Index of the first row of the rug: rugged, and not its second broadcast."""
        return _first(np.flatnonzero(self._rug_rows()))

    @cached_property
    def peak(self) -> int | None:
        """Index of the highest price among the live rows before the rug; the first of equals, compared exactly."""
        rows = self.priced
        if self.rug is not None:
            rows = rows[rows < self.rug]
        if not len(rows):
            return None
        floats = self.floats[rows]
        near = rows[floats >= floats.max() - abs(floats.max()) * 1e-12]
        return int(max(near.tolist(), key=lambda row: (self.value("price", row), -row)))

    @cached_property
    def gaps(self) -> tuple[Gap, ...]:
        """Places before which live ticks are missing, or nothing came for 2 s; in order.

        A tick that came late is not missing; see `continuity`.
        """
        seconds = np.diff(self.at_us, prepend=self.at_us[0]) / 1e6
        left_out = self._left_out()
        stalls = np.flatnonzero(seconds >= STALL_SECONDS).tolist()
        return tuple(
            Gap(row, "missing" if row in left_out else "stall", left_out.get(row, 0), float(seconds[row]))
            for row in sorted({*left_out, *stalls})
        )

    def _left_out(self) -> dict[int, int]:
        """How many ticks are missing, by the first row with a number above them."""
        counted, rug = self.live, self._rug_rows()
        if rug.any():
            end = self.tick[rug].min()
            counted = counted & (self.tick < end) | rug & (self.tick == end)
        rows = np.flatnonzero(counted)
        runs = missing_runs(distinct(self.tick[rows]))
        highest = np.maximum.accumulate(self.tick[rows])
        found: dict[int, int] = {}
        for row, missing in zip(rows[highest.searchsorted(runs.last, side="right")], runs.missing, strict=True):
            found[int(row)] = found.get(int(row), 0) + int(missing)
        return found

    @cached_property
    def floats(self) -> NDArray[np.float64]:
        """Prices as doubles, NaN where null: for drawing and searching, never for a result."""
        prices = self.table.column("price").cast(pa.float64())
        return _frozen(prices.to_numpy().astype(np.float64))

    @cached_property
    def priced(self) -> NDArray[np.intp]:
        """Live rows that have a price."""
        return np.flatnonzero(self.live & ~np.isnan(self.floats))

    @cached_property
    def _by_tick(self) -> _Numbers:
        return _Numbers(self.tick, np.arange(self.stop))

    @cached_property
    def _live_by_tick(self) -> _Numbers:
        return _Numbers(self.tick, np.flatnonzero(self.live))

    def index_of_tick(self, tick: int, occurrence: int | None = None) -> int | None:
        """Return the row with a tick number, found by bisection; None when there is none.

        Numbers repeat: by default it is the first live row with that number (for 0 the start of play, not of the
        cooldown), or the first row where none is live. `occurrence` counts all rows with it, from 0, as received.
        """
        if occurrence is not None:
            return self._by_tick.row(tick, occurrence) if occurrence >= 0 else None
        alive = self._live_by_tick.row(tick)
        return self._by_tick.row(tick) if alive is None else alive

    @cached_property
    def _latest_us(self) -> NDArray[np.int64]:
        return np.maximum.accumulate(self.at_us)

    def index_at(self, at_us: int) -> int | None:
        """Return the last row received up to a time (microseconds since 1970 UTC); None outside the game."""
        if not self._known.any() or not self._latest_us[0] <= at_us <= self._latest_us[-1]:
            return None
        return int(self._latest_us.searchsorted(at_us, side="right")) - 1

    def next_event(self, kind: str, index: int, direction: int = 1, percent: float | str | Decimal = 5) -> int | None:
        """Return the nearest ``rug``, ``peak``, ``gap`` or ``move`` beyond a row; None when there is none.

        A ``move`` is the first live row whose price differs by at least `percent` from the price at `index`.

        Raises
        ------
        ValueError
            When there is no such kind, or the percentage is not above zero.
        """
        if kind == "move":
            return _next_move(self, index, direction, percent)
        known: dict[str, list[int | None]] = {
            "rug": [self.rug],
            "peak": [self.peak],
            "gap": [gap.index for gap in self.gaps],
        }
        if kind not in known:
            raise ValueError(f"kind={kind!r}: must be 'rug', 'peak', 'gap' or 'move'")
        ahead = [row for row in known[kind] if row is not None and (row - index) * direction > 0]
        return min(ahead, key=lambda row: abs(row - index), default=None)

    def _flag(self, name: str, *, absent: bool) -> NDArray[np.bool_]:
        if name not in self.table.column_names:
            return np.full(self.stop, absent)
        return np.asarray(pc.fill_null(self.table.column(name), False).to_numpy(), np.bool_)

    def _rug_rows(self) -> NDArray[np.bool_]:
        rugged = self._flag("rugged", absent=False)
        if "recorded_phase" not in self.table.column_names:
            return rugged
        again = pc.equal(self.table.column("recorded_phase").cast(pa.string()), Phase.RUG_EVENT_1)
        return rugged & ~np.asarray(pc.fill_null(again, False).to_numpy(), np.bool_)


def _next_move(line: Timeline, index: int, direction: int, percent: float | str | Decimal) -> int | None:
    share = Fraction(str(percent)) / 100 if math.isfinite(float(percent)) else Fraction(0)
    if share <= 0:
        raise ValueError(f"percent={percent!r}: must be above zero")
    before = line.priced[line.priced <= index]
    if not len(before):
        return None
    base = Fraction(line.value("price", int(before[-1])))
    rows = line.priced[line.priced > index] if direction > 0 else before[before < index][::-1]
    near = np.abs(line.floats[rows] - float(base)) >= abs(float(base * share)) * (1 - 1e-9)
    exact = (row for row in rows[near].tolist() if abs(Fraction(line.value("price", row)) - base) >= abs(base * share))
    return next(exact, None)


class _Numbers:
    """Rows sorted by tick number, equal ones in the order received."""

    __slots__ = ("numbers", "rows")

    def __init__(self, tick: NDArray[np.int64], rows: NDArray[np.intp]) -> None:
        order = rows[np.argsort(tick[rows], kind="stable")]
        self.numbers = memoryview(tick[order])  # type: ignore[arg-type]
        self.rows = memoryview(order)  # type: ignore[arg-type]

    def row(self, tick: int, occurrence: int = 0) -> int | None:
        """The row of a tick number, or None."""
        place = bisect_left(self.numbers, tick) + occurrence
        return self.rows[place] if place < len(self.rows) and self.numbers[place] == tick else None


def _frozen(values: NDArray[Any]) -> NDArray[Any]:
    values.flags.writeable = False
    return values


def _carried(at_us: NDArray[np.int64], known: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Fill unknown times with the known one before them; the first ones with the first known."""
    rows = np.where(known, np.arange(len(known)), -1)
    last = np.maximum.accumulate(rows)
    return at_us[np.where(last < 0, int(np.argmax(known)), last)]


def _due_seconds(at_us: NDArray[np.int64], pacing: Pacing, *, skip_gaps: bool) -> NDArray[np.float64]:
    if pacing == "nominal":
        return np.arange(len(at_us), dtype=np.float64) * NOMINAL_SECONDS
    latest = np.maximum.accumulate(at_us)
    steps = np.diff(latest, prepend=latest[0]) / 1e6
    if skip_gaps:
        steps = np.where(steps >= STALL_SECONDS, NOMINAL_SECONDS, steps)
        return np.asarray(np.cumsum(steps), np.float64)
    since: NDArray[np.float64] = (latest - latest[0]) / 1e6
    return since


def _first(rows: NDArray[np.intp]) -> int | None:
    return int(rows[0]) if len(rows) else None


def _table_of(source: object) -> pa.Table:
    """Return the rows of a game in the order to play them."""
    if isinstance(source, Game):
        return source.ticks()
    if isinstance(source, pa.Table):
        return source
    if isinstance(source, Sequence) and source and all(isinstance(one, Tick) for one in source):
        return _table_of_ticks(source)
    raise Unplayable(f"{type(source).__name__} is no game; a Game, a table of ticks or a list of Tick can be played")


def _table_of_ticks(ticks: Sequence[Tick]) -> pa.Table:
    names = ("game_id", "tick", "active", "rugged", "cooldown_timer", "trade_count")
    columns = {name: pa.array([getattr(tick, name) for tick in ticks]) for name in names}
    columns["timestamp"] = pa.array([tick.at_us for tick in ticks], pa.int64()).cast(TIME_TYPE)
    columns["price"] = pa.array([tick.price for tick in ticks], PRICE_TYPE)
    columns["recorded_phase"] = pa.array([str(tick.phase) for tick in ticks], pa.string())
    return pa.table(columns)
