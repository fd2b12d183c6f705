"""StoredPayload: the rows of a stored game as the player's page reads them: columns of bytes, an overview, facts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from replaylab.clock import NOMINAL_SECONDS
from replaylab.playback.event import Gap
from replaylab.playback.timeline import Timeline
from replaylab.plural import count_of
from replaylab.table import PHASES, PRICE_TYPE, TIME_TYPE, phase_codes
from replaylab.tick import price_text, short_id
from replaylab.widgets.panels import Panels

CHUNK: Final = 65_536  # rows in one message; 37 bytes a row make 2.4 MB
BUCKETS: Final = 8_192  # of an overview
MARKS: Final = 2_000  # gaps drawn at most, the longest
NO_PRICE: Final = 8
LIVE: Final = 16
GAP: Final = 32
_NO_TIME: Final = np.iinfo(np.int64).min
_NO_TIMER: Final = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Columns:
    """Rows as columns of numbers; prices are the 16 bytes of a decimal128, so that no digit is lost.

    Examples
    --------
    >>> from replaylab.tick import Tick
    >>> tick = Tick(game_id="g", tick=7, timestamp="2031-01-02T03:04:05", price="1.02", active=True)
    >>> columns = Columns.of(Timeline.of([tick]).table, np.zeros(1))
    >>> int.from_bytes(columns.words[0].tobytes(), "little")
    1020000000000000000000000
    """

    words: NDArray[np.uint8]
    at_us: NDArray[np.int64]
    due_ms: NDArray[np.float64]
    tick: NDArray[np.int32]
    flags: NDArray[np.uint8]
    trades: NDArray[np.int32]  # trade_count; below 0 where it is unknown
    panels: tuple[NDArray[np.float64], ...] = ()

    @classmethod
    def of(
        cls,
        table: pa.Table,
        due_ms: NDArray[np.float64],
        gaps: tuple[Gap, ...] = (),
        panels: tuple[NDArray[np.float64], ...] = (),
    ) -> Columns:
        """Return the columns of a table that names its columns as a store does, and those of panels below the price."""
        price = one(table, "price").cast(PRICE_TYPE)
        time = one(table, "timestamp").cast(TIME_TYPE).cast(pa.int64())
        tick = one(table, "tick").cast(pa.int32()).to_numpy()
        active, rugged = (flag(table, name, absent=name == "active") for name in ("active", "rugged"))
        codes = phase_codes(active, rugged, tick, _timer(table)).astype(np.uint8)
        flags = codes | np.where(active & ~rugged, LIVE, 0).astype(np.uint8)
        flags |= np.where(price.is_null().to_numpy(zero_copy_only=False), NO_PRICE, 0).astype(np.uint8)
        flags[[gap.index for gap in gaps]] |= GAP
        start = price.offset * 16
        words = np.frombuffer(price.buffers()[1] or b"", np.uint8)[start : start + 16 * len(price)]
        known = pc.fill_null(time, _NO_TIME).to_numpy()
        return cls(words.reshape(-1, 16), np.asarray(known, np.int64), due_ms, tick, flags, _trade_count(table), panels)

    def __len__(self) -> int:
        return len(self.tick)

    def buffers(self, start: int, stop: int) -> list[memoryview]:
        """Return the bytes of some rows, as the page reads them."""
        columns: list[NDArray[Any]] = [self.words, self.at_us, self.due_ms, self.tick, self.flags, self.trades]
        columns += self.panels
        return [as_bytes(column[start:stop]) for column in columns]


def as_bytes(values: NDArray[Any]) -> memoryview:
    """Return the bytes of an array; they are shared, not copied, where that is possible."""
    return np.ascontiguousarray(values).view(np.uint8).reshape(-1).data


def one(table: pa.Table, name: str) -> pa.Array:
    """Return a column in one piece."""
    column = table.column(name).combine_chunks()
    return column.chunk(0) if isinstance(column, pa.ChunkedArray) else column


def flag(table: pa.Table, name: str, *, absent: bool) -> NDArray[np.bool_]:
    """Return a column of flags; where there is none, every row is `absent`."""
    if name not in table.column_names:
        return np.full(table.num_rows, absent)
    return np.asarray(pc.fill_null(table.column(name), False).to_numpy(), np.bool_)


def _trade_count(table: pa.Table) -> NDArray[np.int32]:
    if "trade_count" not in table.column_names:
        return np.full(table.num_rows, -1, np.int32)
    count = pc.fill_null(table.column("trade_count").cast(pa.int64()), -1).to_numpy()
    return np.asarray(np.clip(count, -1, np.iinfo(np.int32).max), np.int32)


def _timer(table: pa.Table) -> NDArray[np.int64]:
    if "cooldown_timer" not in table.column_names:
        return np.full(table.num_rows, _NO_TIMER)
    return np.asarray(pc.fill_null(table.column("cooldown_timer").cast(pa.int64()), _NO_TIMER).to_numpy(), np.int64)


class StoredPayload:
    """A stored game as the player's page reads it.

    Parameters
    ----------
    timeline : Timeline
        The game.
    panels : Panels, optional
        What is drawn below the price.

    Examples
    --------
    >>> from replaylab.tick import Tick
    >>> ticks = [Tick(game_id="g", tick=n, timestamp=f"2031-01-02T03:04:05.{n}", price=f"1.{n}", active=True)
    ...          for n in (0, 1, 2, 5)]
    >>> payload = StoredPayload(Timeline.of(ticks))
    >>> payload.facts["gaps"], payload.summary
    ([{'row': 3, 'label': '2 missing'}], 'g: 4 rows, 0.5 s, peak 1.5 at tick 5, no rug')
    """

    def __init__(self, timeline: Timeline, panels: Panels | None = None) -> None:
        self.timeline = self.track = timeline
        self.panels = () if panels is None else panels.of_game(timeline)
        latest = np.maximum.accumulate(timeline.at_us)  # a time that goes back is due with the row before it
        self.columns = Columns.of(
            timeline.table, (latest - latest[0]) / 1e3, timeline.gaps, tuple(panel.values for panel in self.panels)
        )

    def __len__(self) -> int:
        return len(self.columns)

    @cached_property
    def id(self) -> str:
        """Digest of the rows: the same rows always have the same id."""
        digest = hashlib.blake2b(self.timeline.game_id.encode(), digest_size=6)
        for buffer in self.columns.buffers(0, len(self)):
            digest.update(buffer)
        return digest.hexdigest()

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What the page gets beside the rows."""
        rows = len(self)
        return {
            "id": self.id,
            "mode": "stored",
            "title": short_id(self.timeline.game_id) or "game",
            "base": 0,
            "n": rows,
            "chunk": CHUNK,
            "stride": -(-rows // BUCKETS),
            "overview": self.pieces > 1,
            "nominal_ms": NOMINAL_SECONDS * 1e3,
            "phases": [str(phase) for phase in PHASES],
            "panels": [{"name": panel.name, "kind": panel.kind} for panel in self.panels],
            "live_row": self._live_row(),
            "gaps": _marks(self.timeline.gaps),
            "events": self._events(),
        }

    def _live_row(self) -> int | None:
        """Return the first live row; None when there is none."""
        rows = np.flatnonzero(self.columns.flags & LIVE)
        return int(rows[0]) if len(rows) else None

    def _events(self) -> list[dict[str, Any]]:
        found = []
        for kind, row in (("peak", self.timeline.peak), ("rug", self.timeline.rug)):
            if row is not None:
                found.append({"row": row, "kind": kind, "label": f"{kind} {self.price(row)}"})
        return found

    def price(self, row: int) -> str:
        """Return the exact price of a row in words."""
        price = self.timeline.value("price", row)
        return "without a price" if price is None else price_text(price)

    @cached_property
    def summary(self) -> str:
        """The game in one line."""
        words = [f"{self.timeline.game_id or 'game'}: {count_of(len(self), 'row')}"]
        words.append(f"{self.columns.due_ms[-1] / 1e3:,.1f} s")
        for kind, row in (("peak", self.timeline.peak), ("rug", self.timeline.rug)):
            at = f"{kind} {self.price(row)} at tick {self.columns.tick[row]:,}" if row is not None else f"no {kind}"
            words.append(at)
        return ", ".join(words)

    @property
    def pieces(self) -> int:
        """Number of chunks; with more than one, the overview is sent first."""
        return -(-len(self) // CHUNK)

    def opening(self) -> tuple[dict[str, Any], list[memoryview]]:
        """Return the facts and the bytes that open the game: all rows of a short one, the overview of a long one."""
        return self.facts, self.columns.buffers(0, len(self)) if self.pieces <= 1 else self.overview()

    def chunk(self, number: int) -> list[memoryview]:
        """Return the bytes of one chunk."""
        return self.columns.buffers(number * CHUNK, (number + 1) * CHUNK)

    def overview(self) -> list[memoryview]:
        """Return least and greatest price, time due, first tick and flags of each bucket."""
        starts = np.arange(0, len(self), self.facts["stride"])
        prices = self.timeline.floats
        none = np.isnan(prices)
        low = np.minimum.reduceat(np.where(none, np.inf, prices), starts)
        high = np.maximum.reduceat(np.where(none, -np.inf, prices), starts)
        due = np.append(self.columns.due_ms[starts], self.columns.due_ms[-1])
        flags = self.columns.flags[starts] | (np.bitwise_or.reduceat(self.columns.flags, starts) & GAP)
        return [as_bytes(column) for column in (low, high, due, self.columns.tick[starts], flags)]


def _marks(gaps: tuple[Gap, ...]) -> list[dict[str, Any]]:
    """Return the longest gaps in order, in words."""
    longest = sorted(gaps, key=lambda gap: (-gap.missing, -gap.seconds, gap.index))[:MARKS]
    return [{"row": gap.index, "label": gap_text(gap)} for gap in sorted(longest, key=lambda gap: gap.index)]


def gap_text(gap: Gap) -> str:
    """Return what is missing, in words.

    Examples
    --------
    >>> gap_text(Gap(index=3, reason="stall", missing=0, seconds=95.0)), gap_text(Gap(7, "missing", 12, 3.0))
    ('nothing for 1 min 35 s', '12 missing')
    """
    if gap.missing:
        return f"{gap.missing:,} missing"
    minutes, seconds = divmod(round(gap.seconds), 60)
    return f"nothing for {minutes:,} min {seconds} s" if minutes else f"nothing for {gap.seconds:.1f} s"
