"""GamesTable: the games of a store as a page's table reads them: columns of bytes, and thumbnails of their prices."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from replaylab.columns import as_numpy
from replaylab.errors import GameNotFound, SegmentDamaged
from replaylab.segments.segment import ROW_GROUP_ROWS, Segment
from replaylab.storage.store import Store
from replaylab.widgets.payload import as_bytes

POINTS: Final = 32  # of a thumbnail; as front/browse/games.js has it
NO_POINT: Final = 255
_FLAGS: Final = ("rug", "late", "cut", "gaps", "never_live", "double_rug", "won", "lost")  # the bits, from the lowest
_READ: Final = ["game_id", "tick", "price", "active", "rugged"]


class GamesTable:
    """The games of a store at one moment, in the order of their start.

    Parameters
    ----------
    store : Store
        Where the games are.
    games : sequence of str, optional
        Only these, in the same order.
    profits : mapping of str to Decimal, optional
        What a strategy won or lost in games in which it traded, by their ids.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=3, seed=1)
    >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> table = GamesTable(rl.open_store(folder + "/store"))
    >>> len(table), [len(column) for column in table.buffers()], table.thumbnails([0, 2]).shape
    (3, [75, 12, 24, 12, 12, 24, 12, 3], (2, 32))
    """

    def __init__(
        self, store: Store, games: Sequence[str] | None = None, profits: Mapping[str, Decimal] | None = None
    ) -> None:
        self.store = store
        self.profits = {} if profits is None else profits
        table = store.games_table()
        if games is not None:
            table = table.filter(pc.is_in(table.column("game_id"), pa.array(list(games), pa.string())))
        self.table = table.combine_chunks()
        self.ids: list[str] = self.table.column("game_id").to_pylist()
        self._points = np.full((len(self.ids), POINTS), NO_POINT, np.uint8)
        self._drawn = np.zeros(len(self.ids), np.bool_)

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The place of each game, by its id."""
        return {game: number for number, game in enumerate(self.ids)}

    def buffers(self) -> list[memoryview]:
        """Return ids (UTF-8), where each ends, start in ms, length in s, live ticks, peak, rug tick, flags."""
        names = [game.encode() for game in self.ids]
        columns: list[NDArray[Any]] = [
            np.frombuffer(b"".join(names), np.uint8),
            np.cumsum([len(name) for name in names], dtype=np.uint32),
            self._start_ms(),
            self._seconds(),
            self._whole("ticks", 0),
            np.asarray(self.table.column("peak").cast(pa.float64()).fill_null(float("nan")).to_numpy(), np.float64),
            self._whole("rug_tick", -1),
            self._flags(),
        ]
        return [as_bytes(column) for column in columns]

    def _start_ms(self) -> NDArray[np.float64]:
        us = self.table.column("start").cast(pa.int64())
        return np.asarray(us.cast(pa.float64()).fill_null(float("nan")).to_numpy(), np.float64) / 1e3

    def _seconds(self) -> NDArray[np.float32]:
        spent = pc.subtract(self.table.column("end").cast(pa.int64()), self.table.column("start").cast(pa.int64()))
        return (np.asarray(spent.cast(pa.float64()).fill_null(float("nan")).to_numpy()) / 1e6).astype(np.float32)

    def _whole(self, name: str, null: int) -> NDArray[np.int32]:
        return as_numpy(self.table.column(name), null=null).astype(np.int32)

    def _flags(self) -> NDArray[np.uint8]:
        held = {
            "rug": self._whole("rug_tick", -1) >= 0,
            "late": _true(self.table.column("late_start")),
            "cut": _true(self.table.column("censored")),
            "gaps": self._whole("gaps", 0) > 0,
            "never_live": self._whole("ticks", 0) == 0,
            "double_rug": _true(self.table.column("double_rug")),
            "won": np.array([game in self.profits and self.profits[game] >= 0 for game in self.ids], np.bool_),
            "lost": np.array([game in self.profits and self.profits[game] < 0 for game in self.ids], np.bool_),
        }
        bits = [np.where(held[name], 1 << bit, 0) for bit, name in enumerate(_FLAGS)]
        return np.asarray(np.bitwise_or.reduce(np.array(bits), axis=0), np.uint8)

    def thumbnails(self, numbers: Iterable[int]) -> NDArray[np.uint8]:
        """Return the prices of games from their lowest (0) to their highest (254), `POINTS` a game; 255 for none.

        Games that lie near each other are drawn together, and kept. A game that is gone, or damaged, has no points.
        """
        wanted = np.array(list(numbers), np.int64)
        missing = [int(number) for number in wanted if not self._drawn[number]]
        if missing:
            self._draw(missing)
        return np.asarray(self._points[wanted])

    def _draw(self, missing: list[int]) -> None:
        segments = self.store.segments()
        counts = Counter(game for segment in segments for game in segment.rows_of)
        holders: dict[str, list[Segment]] = {}
        names = {self.ids[number] for number in missing}
        for segment in segments:
            for game in names & segment.rows_of.keys():
                holders.setdefault(game, []).append(segment)
        for number in missing:
            game = self.ids[number]
            try:
                if self._drawn[number]:
                    continue
                held = holders.get(game, [])
                if len(held) == 1:
                    self._draw_near(held[0], game, counts)
                elif held:
                    self._keep(number, self.store.game(game).ticks())
            except (SegmentDamaged, GameNotFound, OSError):
                pass  # what is wrong with it is said where it is opened; here is nothing to see
            self._drawn[number] = True

    def _draw_near(self, segment: Segment, game: str, counts: Mapping[str, int]) -> None:
        """Draw a game and those of its segment that lie near it, of which no other segment holds rows."""
        at = segment.rows_of[game][0]
        near = [
            one for one in segment.footer.games if abs(one.first_row - at) < ROW_GROUP_ROWS // 2 or one.game == game
        ]
        first, last = near[0].first_row, near[-1].first_row + near[-1].rows
        table = segment.read_rows(first, last - first, _READ)
        for one in near:
            number = self.numbers.get(one.game)
            if number is not None and not self._drawn[number] and counts[one.game] == 1:
                self._keep(number, table.slice(one.first_row - first, one.rows))
                self._drawn[number] = True

    def _keep(self, number: int, rows: pa.Table) -> None:
        rug = self.table.column("rug_tick")[number].as_py()
        self._points[number] = thumbnail(rows, rug)

    def packed_columns(self, count: int) -> list[tuple[int, NDArray[Any]]]:
        """Return the columns of the last `count` games and their thumbnails, each with the bytes of a value."""
        part = GamesTable.__new__(GamesTable)
        part.store, part.profits = self.store, self.profits
        first = max(0, len(self) - count)
        part.table, part.ids = self.table.slice(first), self.ids[first:]
        widths = (1, 4, 8, 4, 4, 8, 4, 1)
        found = [(width, np.frombuffer(data, np.uint8)) for width, data in zip(widths, part.buffers(), strict=True)]
        points = self.thumbnails(range(first, len(self)))
        return [*found, (POINTS, points.reshape(-1))]


def thumbnail(rows: pa.Table, rug_tick: int | None) -> NDArray[np.uint8]:
    """Return the live prices of a game, up to its rug, as `POINTS` bytes.

    Examples
    --------
    >>> rows = pa.table({"tick": [0, 1, 2], "price": [1.0, 3.0, 2.0], "active": [True] * 3, "rugged": [False] * 3})
    >>> thumbnail(rows, None)[[0, 16, 31]].tolist(), set(thumbnail(rows.slice(3), None).tolist())
    ([0, 254, 129], {255})
    """
    price = np.asarray(rows.column("price").cast(pa.float64()).to_numpy(), np.float64)
    tick = as_numpy(rows.column("tick")).astype(np.int64)
    live = as_numpy(rows.column("active")) | as_numpy(rows.column("rugged"))
    use = live & np.isfinite(price) & (tick <= (np.iinfo(np.int64).max if rug_tick is None else rug_tick))
    tick, price = tick[use], price[use]
    if not len(price):
        return np.full(POINTS, NO_POINT, np.uint8)
    if (np.diff(tick) <= 0).any():
        tick, first = np.unique(tick, return_index=True)
        price = price[first]
    # thousands of prices in 32 points: each point is the greatest of its stretch, so that no peak is lost
    places = np.linspace(tick[0], tick[-1], POINTS)
    shown = np.interp(places, tick, price)
    if len(tick) > POINTS:
        starts = np.searchsorted(tick, places[:-1])
        shown[:-1] = np.maximum.reduceat(price, np.minimum(starts, len(price) - 1))
        shown[-1] = price[-1]
    low, high = shown.min(), shown.max()
    return np.asarray(np.round((shown - low) / ((high - low) or 1.0) * 254), np.uint8)


def _true(column: pa.ChunkedArray) -> NDArray[np.bool_]:
    return np.asarray(as_numpy(column.fill_null(False)), np.bool_)
