"""GameRows: the rows of a journal that grows, game after game; what was read before is not looked at again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Final

import pyarrow as pa

from replaylab.segments.footer import GameRange
from replaylab.segments.order import sorted_by_game
from replaylab.segments.segment import game_ranges
from replaylab.table import SCHEMA

_NUMBERS: Final = count()


@dataclass(frozen=True, slots=True)
class _Part:
    """A stretch of a journal, sorted by game, and where the rows of each game are in it."""

    table: pa.Table
    place: Mapping[str, tuple[int, int]]  # first row and number of rows


@dataclass(frozen=True, slots=True)
class ShownRows:
    """The rows of a journal at one moment.

    Attributes
    ----------
    number : int
        The same for all moments of one `GameRows`, and for no other of this process: with the number of rows of a game
        it says which rows these are, as rows are only ever added.
    games : list of GameRange
        The games in the order of their first time and then of their ids, and where their rows are in `table`.
    """

    number: int
    games: Sequence[GameRange]
    parts: Sequence[_Part]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return sum(part.table.num_rows for part in self.parts)

    def table(self) -> pa.Table:
        """Return all rows, game after game."""
        return _joined(part.table for part in self.parts)

    def of_game(self, game_id: str) -> pa.Table:
        """Return the rows of one game in the order read."""
        places = [(part.table, part.place[game_id]) for part in self.parts if game_id in part.place]
        return pa.concat_tables([table.slice(*place) for table, place in places])


class GameRows:
    """The rows of a journal that grows, in parts whose sizes double: each row is sorted a few times, however often
    rows are added.
    """

    def __init__(self) -> None:
        self._number = next(_NUMBERS)
        self._parts: list[_Part] = []
        self._games: dict[str, GameRange] = {}

    def add(self, tables: Iterable[pa.Table]) -> None:
        """Add rows that were read behind those that are there."""
        table = _joined(tables)
        if not table.num_rows:
            return
        ranges = game_ranges(table)
        for one in ranges:
            self._games[one.game] = _with(self._games.get(one.game), one)
        small, rows = [table], table.num_rows
        while self._parts and self._parts[-1].table.num_rows <= rows:
            small.append(self._parts.pop().table)
            rows += small[-1].num_rows
        if len(small) > 1:
            table = _joined(reversed(small))
            ranges = game_ranges(table)
        self._parts.append(_Part(table, {one.game: (one.first_row, one.rows) for one in ranges}))

    def shown(self) -> ShownRows:
        """Return the rows as they are now."""
        games, first = [], 0
        for one in sorted(self._games.values(), key=lambda one: (one.start_us, one.game)):
            games.append(one._replace(first_row=first))
            first += one.rows
        return ShownRows(self._number, games, tuple(self._parts))


def _joined(tables: Iterable[pa.Table]) -> pa.Table:
    """Return rows game after game."""
    return sorted_by_game(pa.concat_tables([pa.Table.from_batches([], SCHEMA), *tables]))


def _with(earlier: GameRange | None, more: GameRange) -> GameRange:
    """Return the range of a game with more rows; where it begins is said once all are known."""
    if earlier is None:
        return more
    return GameRange(
        more.game,
        0,
        earlier.rows + more.rows,
        min(earlier.least_seq, more.least_seq),
        max(earlier.greatest_seq, more.greatest_seq),
        min(earlier.start_us, more.start_us),
    )
