"""One row a game: rug, peak, what is missing. Computed from ticks, whole columns at once, prices exact. Pure.

Definitions, the same everywhere: a live tick is active and not rugged; the rug tick R is the tick of the rugged row
whose recorded phase is not ``RUG_EVENT_1`` (the second broadcast repeats the price under a later number); a game is
complete when every live tick 0..R-1 is there, a rug row stands at R, and there is one R only.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from replaylab.table import PRICE_TYPE, TIME_TYPE
from replaylab.tick import INT32_MAX, Phase

COLUMNS: Final = [
    "game_id",
    "tick",
    "timestamp",
    "price",
    "recorded_phase",
    "active",
    "rugged",
    "source",
    "repaired",
]
SCHEMA: Final = pa.schema(
    [
        ("game_id", pa.string()),
        ("rows", pa.int64()),
        ("ticks", pa.int64()),
        ("rug_tick", pa.int64()),
        ("rug_price", PRICE_TYPE),
        ("peak", PRICE_TYPE),
        ("peak_tick", pa.int64()),
        ("start", TIME_TYPE),
        ("end", TIME_TYPE),
        ("first_tick", pa.int64()),
        ("last_tick", pa.int64()),
        ("complete", pa.bool_()),
        ("late_start", pa.bool_()),
        ("censored", pa.bool_()),
        ("gaps", pa.int64()),
        ("missing_ticks", pa.int64()),
        ("double_rug", pa.bool_()),
        ("repaired", pa.int64()),
        ("sources", pa.list_(pa.string())),
    ]
)
_NONE: Final = np.int64(INT32_MAX + 1)  # larger than any tick
_LEAST: Final = np.iinfo(np.int64).min

Flags = NDArray[np.bool_]
Whole = NDArray[np.int64]


def summarise(table: pa.Table) -> pa.Table:
    """Summarise games whose rows stand together, every row of each of them, in the order received.

    Parameters
    ----------
    table : Table
        At least the columns in `COLUMNS`.

    Returns
    -------
    Table
        One row a game, with the columns of `SCHEMA`; `rug_tick`, `peak` and the like are null where there is none.
        `ticks` counts distinct live ticks, `gaps` runs of missing live ticks between the first live one and the rug
        (or the last one), `missing_ticks` the ticks in them, `repaired` rows taken from damaged lines.
    """
    if not table.num_rows:
        return SCHEMA.empty_table()
    games = _Games(table)
    live = games.flag("active") & ~games.flag("rugged")
    rug_row = games.flag("rugged") & ~games.named("recorded_phase", Phase.RUG_EVENT_1)
    tick = table.column("tick").to_numpy().astype(np.int64)
    rug_tick = games.least(np.where(rug_row, tick, _NONE))
    has_rug = rug_tick < _NONE
    high, low = _price_words(table.column("price"))
    at_rug = games.first(rug_row & (tick == rug_tick[games.of_row]))
    counted = live & (tick < rug_tick[games.of_row])
    peak_row = games.first_greatest(counted & (high > _LEAST), high, low)
    ticks = _LiveTicks(games, tick, live, rug_tick)
    again = rug_row & ((high != high[at_rug[games.of_row]]) | (low != low[at_rug[games.of_row]]))
    double = has_rug & (games.any(live & (tick > rug_tick[games.of_row])) | games.any(again))
    prices = table.column("price").combine_chunks()
    start, end = games.span("timestamp")
    started = ticks.count > 0
    complete = has_rug & (ticks.below_rug > 0) & (ticks.below_rug == rug_tick) & ~double
    return pa.Table.from_arrays(
        [
            games.names(),
            pa.array(games.rows),
            pa.array(ticks.count),
            pa.array(rug_tick, mask=~has_rug),
            prices.take(pa.array(at_rug, mask=~has_rug)),
            prices.take(pa.array(peak_row, mask=peak_row < 0)),
            pa.array(tick[peak_row], mask=peak_row < 0),
            start,
            end,
            pa.array(ticks.first, mask=~started),
            pa.array(ticks.last, mask=~started),
            pa.array(complete),
            pa.array(started & (ticks.first > 0)),
            pa.array(started & ~has_rug),
            pa.array(ticks.gaps),
            pa.array(ticks.missing),
            pa.array(double),
            pa.array(games.total(games.flag("repaired"))),
            games.sources(),
        ],
        schema=SCHEMA,
    )


class _Games:
    """Rows grouped by game, and sums over the groups; each game's rows stand together."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        column = table.column("game_id").unify_dictionaries().combine_chunks()
        codes = column.indices.to_numpy()
        self.starts = np.concatenate([[0], np.flatnonzero(codes[1:] != codes[:-1]) + 1])
        self.rows = np.diff(self.starts, append=len(codes))
        self.of_row = np.repeat(np.arange(len(self.starts)), self.rows)
        self._column = column

    def names(self) -> pa.Array:
        """Game ids."""
        return self._column.take(pa.array(self.starts)).dictionary_decode()

    def flag(self, name: str) -> Flags:
        """A column of flags."""
        return np.asarray(self.table.column(name).to_numpy(), np.bool_)

    def named(self, name: str, text: str) -> Flags:
        """Which rows hold a text in a column of names."""
        column = self.table.column(name).unify_dictionaries().combine_chunks()
        texts = column.dictionary.to_pylist()
        wanted = texts.index(text) if text in texts else -2
        return np.asarray(pc.fill_null(column.indices, -1).to_numpy() == wanted)

    def least(self, values: Whole) -> Whole:
        """Least value a game."""
        return np.asarray(np.minimum.reduceat(values, self.starts))

    def greatest(self, values: Whole) -> Whole:
        """Greatest value a game."""
        return np.asarray(np.maximum.reduceat(values, self.starts))

    def total(self, flags: Flags) -> Whole:
        """Number of true rows a game."""
        return np.asarray(np.add.reduceat(flags, self.starts, dtype=np.int64))

    def any(self, flags: Flags) -> Flags:
        """Whether a game has a true row."""
        return np.asarray(np.logical_or.reduceat(flags, self.starts))

    def first(self, flags: Flags) -> Whole:
        """First true row a game, -1 where there is none."""
        rows = np.where(flags, np.arange(len(flags)), len(flags))
        found = self.least(rows)
        return np.where(found < len(flags), found, -1)

    def first_greatest(self, flags: Flags, high: Whole, low: NDArray[np.uint64]) -> Whole:
        """First true row a game with the greatest price, compared exactly; -1 where there is none."""
        best_high = self.greatest(np.where(flags, high, _LEAST))
        tied = flags & (high == best_high[self.of_row])
        best_low = np.maximum.reduceat(np.where(tied, low, np.uint64(0)), self.starts)
        return self.first(tied & (low == best_low[self.of_row]))

    def span(self, name: str) -> tuple[pa.Array, pa.Array]:
        """Earliest and latest known time a game."""
        times = self.table.column(name).cast(pa.int64()).combine_chunks()
        if not times.null_count:
            known = times.to_numpy()
            return (
                pa.array(self.least(known)).cast(TIME_TYPE),
                pa.array(self.greatest(known)).cast(TIME_TYPE),
            )
        first = self.least(pc.fill_null(times, np.iinfo(np.int64).max).to_numpy())
        last = self.greatest(pc.fill_null(times, _LEAST).to_numpy())
        unknown = last == _LEAST
        return pa.array(first, mask=unknown).cast(TIME_TYPE), pa.array(last, mask=unknown).cast(TIME_TYPE)

    def sources(self) -> pa.Array:
        """Names of the sources a game came from, in the order received."""
        column = self.table.column("source").unify_dictionaries().combine_chunks()
        texts = column.dictionary.to_pylist()
        codes = column.indices.to_numpy()
        changes = np.concatenate([[0], np.flatnonzero((codes[1:] != codes[:-1]) | (np.diff(self.of_row) > 0)) + 1])
        found: list[list[str]] = [[] for _ in self.starts]
        for row, game in zip(changes.tolist(), self.of_row[changes].tolist(), strict=True):
            text = texts[codes[row]]
            if text not in found[game]:
                found[game].append(text)
        return pa.array(found, pa.list_(pa.string()))


class _LiveTicks:
    """The distinct live ticks of each game: how many, from where to where, and what is missing up to the rug."""

    def __init__(self, games: _Games, tick: Whole, live: Flags, rug_tick: Whole) -> None:
        rows = np.flatnonzero(live)
        game, number = games.of_row[rows], tick[rows]
        step = np.diff(number)
        if ((step <= 0) & (np.diff(game) == 0)).any():  # out of order, or a tick twice
            keys = np.unique(game.astype(np.int64) << 32 | number)
            game, number = keys >> 32, keys & 0xFFFFFFFF
        total = len(games.starts)
        self.count = np.bincount(game, minlength=total).astype(np.int64)
        self.first = np.full(total, _NONE)
        np.minimum.at(self.first, game, number)
        self.last = np.full(total, np.int64(-1))
        np.maximum.at(self.last, game, number)
        kept = number < rug_tick[game]
        game, number = game[kept], number[kept]
        self.below_rug = np.bincount(game, minlength=total).astype(np.int64)
        inside = (np.diff(game) == 0) & (np.diff(number) > 1)
        last_below = np.full(total, np.int64(-1))
        np.maximum.at(last_below, game, number)
        up_to_rug = (rug_tick < _NONE) & (self.below_rug > 0) & (rug_tick - last_below > 1)
        self.gaps = np.bincount(game[1:][inside], minlength=total).astype(np.int64) + up_to_rug
        end = np.where(rug_tick < _NONE, rug_tick, last_below + 1)
        self.missing = np.where(self.below_rug > 0, end - self.first - self.below_rug, 0)


def _price_words(prices: pa.ChunkedArray) -> tuple[Whole, NDArray[np.uint64]]:
    """Give prices as (signed high, unsigned low) halves of 128 bits; null is the least possible price."""
    column = prices.combine_chunks()
    words = np.frombuffer(column.buffers()[1], np.uint64)[2 * column.offset : 2 * (column.offset + len(column))]
    high, low = words[1::2].view(np.int64), words[0::2]
    if not column.null_count:
        return high, low
    present = np.asarray(pc.is_valid(column).to_numpy(zero_copy_only=False), np.bool_)
    return np.where(present, high, _LEAST), np.where(present, low, np.uint64(0))
