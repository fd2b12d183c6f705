"""Ticks and Arrow: the one SCHEMA of a stored tick, and the columnar batch that becomes it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replaylab.columns import column, decimals, taken_from, texts
from replaylab.compute import pc
from replaylab.tick import PRESALE_MS, PRICE_PRECISION, PRICE_SCALE, Phase, Row

PRICE_TYPE: Final = pa.decimal128(PRICE_PRECISION, PRICE_SCALE)
TIME_TYPE: Final = pa.timestamp("us", "UTC")
NAME_TYPE: Final = pa.dictionary(pa.int32(), pa.string())


class Column(NamedTuple):
    """One column of a stored tick: its name and type, how a segment writes it, and the schema version that added it.

    `stated` columns are what a line says and nothing more: `parsing.json_line.FURTHER_FIELDS` names each of them as the
    dialects do, and that entry and this one are all that a new column needs. They are nullable, as older segments and
    other dialects lack them.
    """

    name: str
    type: pa.DataType
    nullable: bool = False
    encoding: Literal["plain", "delta", "dictionary"] = "plain"
    since: int = 1
    stated: bool = False


COLUMNS: Final = (
    Column("game_id", NAME_TYPE, encoding="dictionary"),
    Column("seq", pa.int64(), encoding="delta"),
    Column("tick", pa.int32(), encoding="delta"),
    Column("timestamp", TIME_TYPE, nullable=True, encoding="delta"),
    Column("price", PRICE_TYPE, nullable=True),  # plain: DuckDB and Polars read no other encoding of decimals
    Column("price_filled", pa.bool_()),
    Column("phase", NAME_TYPE, encoding="dictionary"),
    Column("recorded_phase", NAME_TYPE, nullable=True, encoding="dictionary"),
    Column("active", pa.bool_()),
    Column("rugged", pa.bool_()),
    Column("cooldown_timer", pa.int32(), nullable=True, encoding="dictionary"),
    Column("trade_count", pa.int32(), nullable=True, encoding="delta"),
    Column("source", NAME_TYPE, encoding="dictionary"),
    Column("line", pa.int64(), encoding="delta"),
    Column("repaired", pa.bool_()),
)
SCHEMA_VERSION: Final = max(one.since for one in COLUMNS)
SCHEMA: Final = pa.schema([pa.field(one.name, one.type, nullable=one.nullable) for one in COLUMNS])
FURTHER: Final = tuple(one for one in COLUMNS if one.stated)
PHASES: Final = (
    Phase.UNKNOWN,
    Phase.COOLDOWN,
    Phase.PRESALE,
    Phase.GAME_ACTIVATION,
    Phase.ACTIVE_GAMEPLAY,
    Phase.RUGGED,
)
"""The phases that `phase_codes` codes, in the order of the codes."""
MISSING: Final = np.iinfo(np.int64).min
_BEFORE_A_GAP_US: Final = 25 * 3_600_000_000  # longer than any that a clock skipped
Whole = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Names:
    """A column of few distinct texts: `codes` (int32, -1 for null) into `texts`."""

    codes: NDArray[np.int32]
    texts: tuple[str, ...]

    @classmethod
    def of(cls, values: Iterable[str | None]) -> Names:
        """Return the names of a sequence of texts."""
        known: dict[str, int] = {}
        codes = [-1 if value is None else known.setdefault(value, len(known)) for value in values]
        return cls(np.array(codes, np.int32), tuple(known))

    @classmethod
    def join(cls, parts: Sequence[Names]) -> Names:
        """Put several columns end to end, with one list of texts."""
        known: dict[str, int] = {}
        codes = np.empty(sum(len(part.codes) for part in parts), np.int32)
        first = 0
        for part in parts:
            renumbered = np.array([*(known.setdefault(text, len(known)) for text in part.texts), -1], np.int32)
            last = first + len(part.codes)
            np.take(renumbered, part.codes, out=codes[first:last], mode="wrap")  # -1 is the last
            first = last
        return cls(codes, tuple(known))

    def take(self, rows: NDArray[np.int64]) -> Names:
        """Return the rows asked for."""
        return Names(self.codes[rows], self.texts)

    def to_arrow(self) -> pa.DictionaryArray:
        """Return the column as an Arrow dictionary."""
        return pa.DictionaryArray.from_arrays(column(self.codes, self.codes < 0), texts(self.texts))


@dataclass(frozen=True, slots=True)
class Batch:
    """Ticks in columns, as the lines have them; every array has one entry a tick.

    `line` counts from 0 within what was scanned; `wall_us`, `cooldown_timer` and `trade_count` are int64 with the
    least value for null; `further` holds columns of FURTHER by name, those that are not there are null.
    """

    line: NDArray[np.int64]
    game: Names
    tick: NDArray[np.int32]
    wall_us: NDArray[np.int64]
    zoned: NDArray[np.bool_]
    price: pa.Array
    price_filled: NDArray[np.bool_]
    recorded_phase: Names
    active: NDArray[np.bool_]
    rugged: NDArray[np.bool_]
    cooldown_timer: NDArray[np.int64]
    trade_count: NDArray[np.int64]
    repaired: NDArray[np.bool_]
    further: Mapping[str, pa.Array] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.tick)

    @classmethod
    def of(cls, rows: Sequence[Row], lines: Sequence[int]) -> Batch:
        """Return the batch of rows read one by one."""
        return cls(
            line=np.array(lines, np.int64),
            game=Names.of(row.game_id for row in rows),
            tick=np.array([row.tick for row in rows], np.int32),
            wall_us=_whole(row.wall_us for row in rows),
            zoned=np.array([row.zoned for row in rows], np.bool_),
            price=decimals([row.price for row in rows], PRICE_TYPE),
            price_filled=np.array([row.price_filled for row in rows], np.bool_),
            recorded_phase=Names.of(row.recorded_phase for row in rows),
            active=np.array([row.active for row in rows], np.bool_),
            rugged=np.array([row.rugged for row in rows], np.bool_),
            cooldown_timer=_whole(row.cooldown_timer for row in rows),
            trade_count=_whole(row.trade_count for row in rows),
            repaired=np.array([row.repaired for row in rows], np.bool_),
            further={
                one.name: _further([row.further[at] if row.further else None for row in rows], one)
                for at, one in enumerate(FURTHER)
            },
        )

    @classmethod
    def join(cls, parts: Sequence[Batch]) -> Batch:
        """Put batches end to end."""
        if len(parts) == 1:
            return parts[0]
        if not parts:
            return cls.of((), ())
        columns: dict[str, Any] = {}
        for name in cls.__slots__:
            pieces = [getattr(part, name) for part in parts]
            if isinstance(pieces[0], Names):
                columns[name] = Names.join(pieces)
            elif name == "price":
                columns[name] = pa.concat_arrays(pieces)
            elif name == "further":
                columns[name] = {one.name: _joined([part.stated(one) for part in parts]) for one in FURTHER}
            else:
                columns[name] = np.concatenate(pieces)
        return cls(**columns)

    def stated(self, one: Column) -> pa.Array:
        """Return a column of FURTHER; nulls where no line states it."""
        return self.further[one.name] if one.name in self.further else nulls(len(self), one.type)

    def moved(self, lines: Whole) -> Batch:
        """Return the batch with `lines` added to the line of every tick."""
        return replace(self, line=self.line + lines)

    def in_line_order(self) -> Batch:
        """Return the batch sorted by line; ticks of one line keep their order."""
        if len(self) < 2 or (self.line[1:] >= self.line[:-1]).all():
            return self
        rows = np.argsort(self.line, kind="stable")
        columns = {name: getattr(self, name) for name in self.__slots__ if name not in {"price", "further"}}
        taken = {name: values.take(rows) for name, values in columns.items()}
        further = {name: taken_from(values, rows) for name, values in self.further.items()}
        return Batch(**taken, price=taken_from(self.price, rows), further=further)


def _whole(values: Iterable[int | None]) -> NDArray[np.int64]:
    return np.array([MISSING if value is None else value for value in values], np.int64)


def to_table(batch: Batch, *, source: Names, seq: NDArray[np.int64], line: NDArray[np.int64], zone: str) -> pa.Table:
    """Return the batch as a table of SCHEMA.

    Parameters
    ----------
    batch : Batch
        The ticks.
    source, seq, line : Names, int64 array, int64 array
        Where each tick came from: name of the source, its place among the source's ticks, its line from 1.
    zone : str
        Zone of times that carry none.
    """
    phases = phase_codes(batch.active, batch.rugged, batch.tick, batch.cooldown_timer)
    columns = {
        "game_id": batch.game.to_arrow(),
        "seq": column(seq),
        "tick": column(batch.tick),
        "timestamp": to_utc(batch.wall_us, batch.zoned, zone),
        "price": batch.price,
        "price_filled": column(batch.price_filled),
        "phase": Names(phases, tuple(str(phase) for phase in PHASES)).to_arrow(),
        "recorded_phase": batch.recorded_phase.to_arrow(),
        "active": column(batch.active),
        "rugged": column(batch.rugged),
        "cooldown_timer": _nullable(batch.cooldown_timer),
        "trade_count": _nullable(batch.trade_count),
        "source": source.to_arrow(),
        "line": column(line),
        "repaired": column(batch.repaired),
        **{one.name: batch.stated(one) for one in FURTHER},
    }
    return pa.Table.from_arrays([columns[one.name] for one in COLUMNS], schema=SCHEMA)


def widened(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return a table with the columns `names` in that order; those that a later schema added are null in it."""
    there = set(table.column_names)
    columns = [
        table.column(name) if name in there else nulls(table.num_rows, SCHEMA.field(name).type) for name in names
    ]
    return pa.Table.from_arrays(columns, schema=pa.schema([SCHEMA.field(name) for name in names]))


def nulls(rows: int, kind: pa.DataType) -> pa.Array:
    """Return a column of nulls."""
    if kind == NAME_TYPE:
        return Names(np.full(rows, -1, np.int32), ()).to_arrow()
    return pa.nulls(rows, kind)


def whole_column(values: NDArray[np.int64], kind: pa.DataType) -> pa.Array:
    """Return whole numbers as a column of the schema."""
    return column(values.astype(kind.to_pandas_dtype()))


def _further(values: Sequence[Any], one: Column) -> pa.Array:
    """Return the column of a field that lines state."""
    if one.type == NAME_TYPE:
        return Names.of(values).to_arrow()
    if one.type == PRICE_TYPE:
        return decimals(values, PRICE_TYPE)
    known = [0 if value is None else value for value in values]
    return column(np.array(known, one.type.to_pandas_dtype()), np.array([value is None for value in values], np.bool_))


def _joined(parts: Sequence[pa.Array]) -> pa.Array:
    return pa.chunked_array(parts).unify_dictionaries().combine_chunks() if len(parts) > 1 else parts[0]


def _nullable(values: NDArray[np.int64]) -> pa.Array:
    return column(values.astype(np.int32), values == MISSING)


def phase_codes(
    active: NDArray[np.bool_], rugged: NDArray[np.bool_], tick: NDArray[np.int32], timer: NDArray[np.int64]
) -> NDArray[np.int32]:
    """Derive the phases of many ticks at once: the same rule as `Phase.of`, as codes into its first six members."""
    codes = 2 * (timer > 0).view(np.int8) - (timer > PRESALE_MS).view(np.int8)
    np.copyto(codes, 3 + (tick > 0).view(np.int8), where=active)
    codes[rugged] = 5
    return codes.astype(np.int32)


def to_utc(wall_us: NDArray[np.int64], zoned: NDArray[np.bool_], zone: str) -> pa.Array:
    """Return times in UTC; those without a zone are read in `zone`.

    A time that the clock showed twice is the first of the two, one that it skipped counts from before the gap; see
    `doubtful_times` for how many there were.
    """
    walls = column(wall_us, wall_us == MISSING)
    if zone == "UTC" or zoned.all():
        return walls.view(TIME_TYPE)
    written = walls.cast(pa.timestamp("us"))
    local = pc.assume_timezone(written, zone, ambiguous="earliest", nonexistent="earliest")
    skipped = pc.subtract(written, pc.local_timestamp(local))  # how far into a gap, else nothing
    return pc.if_else(column(zoned), walls.cast(TIME_TYPE), pc.add(local, skipped).cast(TIME_TYPE))


def to_wall(times: pa.Array, zone: str, skipped: NDArray[np.bool_] | None = None) -> pa.Array:
    """Return what the clock of `zone` showed at times in UTC (int64 or `TIME_TYPE`), as microseconds since 1970.

    The inverse of `to_utc`: `skipped` are the rows that `skipped_times` named, whose text the clock never showed.
    """
    if zone == "UTC":
        return times.view(pa.int64())  # a cast would load pyarrow.compute
    moments = times.view(TIME_TYPE)
    walls = pc.local_timestamp(_in_zone(moments, zone)).cast(pa.int64())
    if skipped is None or not skipped.any():
        return walls
    day = pa.scalar(_BEFORE_A_GAP_US, pa.int64())
    earlier = pc.subtract(moments.cast(pa.int64()), day).cast(TIME_TYPE)  # of it the offset from before the gap counts
    moved = pc.add(pc.local_timestamp(_in_zone(earlier, zone)).cast(pa.int64()), day)
    return pc.if_else(column(skipped), moved, walls)


def _in_zone(moments: pa.Array, zone: str) -> pa.Array:
    return moments.cast(pa.timestamp("us", zone))


def skipped_times(wall_us: NDArray[np.int64], zoned: NDArray[np.bool_], zone: str) -> NDArray[np.bool_]:
    """Return which times without a zone the clock of `zone` never showed, because it was put forward over them."""
    if zone == "UTC" or zoned.all():
        return np.zeros(len(wall_us), np.bool_)
    shown = to_wall(to_utc(wall_us, zoned, zone).fill_null(0), zone)
    return np.asarray(~zoned & (wall_us != MISSING) & (shown.to_numpy() != wall_us))


def doubtful_times(wall_us: NDArray[np.int64], zoned: NDArray[np.bool_], zone: str) -> int:
    """Count the times that the clock of `zone` showed twice or never."""
    if zone == "UTC" or zoned.all():
        return 0
    walls = column(wall_us[~zoned & (wall_us != MISSING)]).cast(pa.timestamp("us"))
    first = pc.assume_timezone(walls, zone, ambiguous="earliest", nonexistent="earliest")
    last = pc.assume_timezone(walls, zone, ambiguous="latest", nonexistent="latest")
    return int(pc.sum(pc.not_equal(first, last)).as_py() or 0)
