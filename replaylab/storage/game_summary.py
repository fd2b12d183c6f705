"""One row a game: rug, peak, what is missing. Computed from ticks, whole columns at once, prices exact. Pure.

Definitions, the same everywhere: a live tick is active and not rugged; the rug tick R is the tick of the rugged row
whose recorded phase is not ``RUG_EVENT_1`` (the second broadcast repeats the price under a later number); a game is
complete when every live tick 0..R-1 is there, a rug row stands at R, and there is one R only.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replaylab.columns import as_numpy, column, distinct, present
from replaylab.columns import texts as as_texts
from replaylab.continuity import NO_END, missing_runs
from replaylab.table import PRICE_TYPE, TIME_TYPE
from replaylab.tick import Phase

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
_LEAST: Final = int(np.iinfo(np.int64).min)
_GREATEST: Final = int(np.iinfo(np.int64).max)

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
    tick = as_numpy(table.column("tick"))
    prices = table.column("price").combine_chunks()
    high, low = _price_words(prices)
    known = present(prices)
    rug = _Rug(games, tick, high, low, known)
    live = _LiveTicks(games, tick, rug.tick)
    peak_row = live.row_of_greatest(high, low, known)
    start, end = games.span("timestamp")
    started = live.count > 0
    double = rug.seen & (live.after_rug | rug.differs)
    complete = rug.seen & (live.below_rug > 0) & (live.below_rug == rug.tick) & ~double
    return pa.Table.from_arrays(
        [
            games.names(),
            column(games.rows),
            column(live.count),
            column(rug.tick, ~rug.seen),
            prices.take(column(rug.row, ~rug.seen)),
            prices.take(column(peak_row, peak_row < 0)),
            column(tick[peak_row].astype(np.int64), peak_row < 0),
            start,
            end,
            column(live.first, ~started),
            column(live.last, ~started),
            column(complete),
            column(started & (live.first > 0)),
            column(started & ~rug.seen),
            column(live.gaps),
            column(live.missing),
            column(double),
            column(games.count(np.flatnonzero(games.flag("repaired")))),
            games.sources(),
        ],
        schema=SCHEMA,
    )


class _Games:
    """Rows grouped by game; each game's rows stand together."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table
        ids = table.column("game_id").unify_dictionaries().combine_chunks()
        codes = as_numpy(ids.indices)
        self.starts = np.concatenate([[0], np.flatnonzero(codes[1:] != codes[:-1]) + 1])
        self.rows = np.diff(self.starts, append=len(codes))
        self.of_row = np.repeat(np.arange(len(self.starts), dtype=np.int32), self.rows)
        self._ids = ids

    def names(self) -> pa.Array:
        """Game ids."""
        return self._ids.take(column(self.starts)).dictionary_decode()

    def flag(self, name: str) -> Flags:
        """A column of flags."""
        return np.asarray(as_numpy(self.table.column(name)), np.bool_)

    def count(self, rows: Whole) -> Whole:
        """How many of the rows given each game has."""
        return np.bincount(self.of_row[rows], minlength=len(self.starts)).astype(np.int64)

    def first(self, rows: Whole) -> Whole:
        """The first of the rows given, in order, of each game; -1 where it has none."""
        found = np.full(len(self.starts), np.int64(-1))
        found[self.of_row[rows[::-1]]] = rows[::-1]
        return found

    def not_named(self, name: str, text: str, rows: Whole) -> Whole:
        """Those of the rows given that do not hold a text in a column of names."""
        names = self.table.column(name).unify_dictionaries().combine_chunks()
        texts = names.dictionary.to_pylist()
        if text not in texts:
            return rows
        other = as_numpy(names.indices, null=-1)[rows] != texts.index(text)
        kept: Whole = rows[other]
        return kept

    def span(self, name: str) -> tuple[pa.Array, pa.Array]:
        """Earliest and latest known time a game."""
        times = self.table.column(name).cast(pa.int64()).combine_chunks()
        first = np.minimum.reduceat(as_numpy(times, null=_GREATEST), self.starts)
        last = np.maximum.reduceat(as_numpy(times, null=_LEAST), self.starts)
        unknown = (last == _LEAST) if times.null_count else None
        return column(first, unknown).cast(TIME_TYPE), column(last, unknown).cast(TIME_TYPE)

    def sources(self) -> pa.Array:
        """Names of the sources a game came from, in the order received."""
        names = self.table.column("source").unify_dictionaries().combine_chunks()
        texts = names.dictionary.to_pylist()
        codes = as_numpy(names.indices)
        changed = codes[1:] != codes[:-1]
        changed[self.starts[1:] - 1] = True
        changes = np.concatenate([[0], np.flatnonzero(changed) + 1])
        found: list[list[str]] = [[] for _ in self.starts]
        for row, game in zip(changes.tolist(), self.of_row[changes].tolist(), strict=True):
            text = texts[codes[row]]
            if text not in found[game]:
                found[game].append(text)
        ends = np.cumsum([0, *map(len, found)], dtype=np.int32)
        flat = as_texts([text for one in found for text in one], pa.string())
        return pa.Array.from_buffers(pa.list_(pa.string()), len(found), [None, pa.py_buffer(ends)], children=[flat])


class _Rug:
    """The rug of each game: whether it was `seen`, its `tick` (else larger than any), its `row` (else -1).

    `differs` where another row has a rug at another price.
    """

    def __init__(
        self, games: _Games, tick: NDArray[np.int32], high: Whole, low: NDArray[np.uint64], known: Flags
    ) -> None:
        rows = games.not_named("recorded_phase", Phase.RUG_EVENT_1, np.flatnonzero(games.flag("rugged")))
        game, number = games.of_row[rows], tick[rows].astype(np.int64)
        self.tick = np.full(len(games.starts), NO_END)
        np.minimum.at(self.tick, game, number)
        self.seen = self.tick < NO_END
        self.row = games.first(rows[number == self.tick[game]])
        at_rug = self.row[game]
        other = (high[rows] != high[at_rug]) | (low[rows] != low[at_rug])
        other = np.where(known[rows] & known[at_rug], other, known[rows] != known[at_rug])
        self.differs = np.zeros(len(games.starts), np.bool_)
        self.differs[game[other]] = True


class _LiveTicks:
    """The distinct live ticks of each game: how many, from where to where, and what is missing up to the rug."""

    def __init__(self, games: _Games, tick: NDArray[np.int32], rug_tick: Whole) -> None:
        self._games = games
        total = len(games.starts)
        self._counted = np.flatnonzero(games.flag("active") & ~games.flag("rugged"))
        game, number = games.of_row[self._counted], tick[self._counted]
        every = game, number
        if ((np.diff(number) <= 0) & (game[1:] == game[:-1])).any():  # out of order, or a tick twice
            keys = distinct(game.astype(np.int64) << 32 | number)
            game, number = (keys >> 32).astype(np.int32), (keys & 0xFFFFFFFF).astype(np.int32)
        self.count, self.first, self.last = _ends(game, number, total)
        self.after_rug = self.last > rug_tick
        if (self.last >= rug_tick).any():
            self._counted = self._counted[every[1] < rug_tick[every[0]]]
            kept = number < rug_tick[game]
            game, number = game[kept], number[kept]
        self.below_rug, _, _ = _ends(game, number, total)
        lacking = missing_runs(number, game, rug_tick)
        self.gaps = np.bincount(lacking.series, minlength=total).astype(np.int64)
        self.missing = np.zeros(total, np.int64)
        np.add.at(self.missing, lacking.series, lacking.missing)

    def row_of_greatest(self, high: Whole, low: NDArray[np.uint64], known: Flags) -> Whole:
        """First live row before the rug of each game with the greatest price, compared exactly; -1 for none."""
        priced = known[self._counted]
        rows = self._counted if priced.all() else self._counted[priced]
        game, upper = self._games.of_row[rows], high[rows]
        count = np.bincount(game, minlength=len(self._games.starts))
        some = count > 0
        begins = np.cumsum(count) - count
        best = np.full(len(count), _LEAST)
        if len(rows):
            best[some] = np.maximum.reduceat(upper, begins[some])
        tied = upper == best[game]
        rows, game = rows[tied], game[tied]
        lower = np.zeros(len(count), np.uint64)
        np.maximum.at(lower, game, low[rows])
        return self._games.first(rows[low[rows] == lower[game]])


def _ends(game: NDArray[np.int32], number: NDArray[np.int32], total: int) -> tuple[Whole, Whole, Whole]:
    """Return count, first and last of sorted numbers a game; larger than any number, and -1, where there is none."""
    count = np.bincount(game, minlength=total).astype(np.int64)
    end = np.cumsum(count)
    some = count > 0
    first, last = np.full(total, NO_END), np.full(total, np.int64(-1))
    first[some], last[some] = number[(end - count)[some]], number[end[some] - 1]
    return count, first, last


def _price_words(prices: pa.Array) -> tuple[Whole, NDArray[np.uint64]]:
    """Return prices as (signed high, unsigned low) halves of 128 bits; what stands for null says nothing."""
    words = np.frombuffer(prices.buffers()[1], np.uint64)[2 * prices.offset : 2 * (prices.offset + len(prices))]
    return words[1::2].view(np.int64), words[0::2]
