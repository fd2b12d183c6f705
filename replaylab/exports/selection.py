"""Selection: rows of a store by game, time and column, whole games at a time, in bounded memory."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from typing import Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from replaylab.errors import SettingsError, StoreError, TickError
from replaylab.segments.footer import GameRange
from replaylab.segments.order import in_order_received
from replaylab.segments.segment import ROW_GROUP_ROWS, Segment, by_start
from replaylab.storage.game import Game
from replaylab.storage.store import Store
from replaylab.table import SCHEMA
from replaylab.tick import parse_time

What = Literal["ticks", "live", "prices"]

_SCHEMAS: Final = {
    "ticks": SCHEMA,
    "live": SCHEMA,
    "prices": pa.schema([SCHEMA.field(name) for name in ("game_id", "tick", "timestamp", "price")]),
}
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


class CompactedAwayError(StoreError):
    """A segment went away while it was being read, as a compaction had replaced it."""


class Selection:
    """Rows of a store that were asked for; see `export` for the arguments, which are checked here.

    Raises
    ------
    SettingsError
        About what, columns, start and end.
    GameNotFound
        For a game that is not in the store.
    """

    def __init__(
        self,
        store: Store,
        *,
        games: str | Iterable[str] | None,
        start: datetime | str | None,
        end: datetime | str | None,
        columns: Sequence[str] | None,
        what: str,
    ) -> None:
        self.store = store
        self.what = what
        self.schema = _chosen(what, columns)
        self.start, self.end = moment("start", start), moment("end", end)
        self.games = known_games(store, games)

    def tables(self) -> Iterator[pa.Table]:
        """Return the rows, whole games at a time, in the order received, with all columns.

        Raises
        ------
        CompactedAwayError
            When a compaction has removed a segment in between; begin again.
        """
        try:
            for table in _read(self.store.segments(), self.games):
                yield _within(table if self.what == "ticks" else _per_game(table, self.what), self.start, self.end)
        except FileNotFoundError as error:
            raise CompactedAwayError(str(error)) from error


def _read(segments: list[Segment], wanted: AbstractSet[str] | None) -> Iterator[pa.Table]:
    """Return the rows of whole games, about a row group at a time; those that several segments hold come last."""
    holders: dict[str, list[Segment]] = {}
    for segment in segments:
        for game in segment.rows_of:
            holders.setdefault(game, []).append(segment)
    for segment in segments:
        ranges = [
            one
            for one in segment.footer.games
            if len(holders[one.game]) == 1 and (wanted is None or one.game in wanted)
        ]
        for run in _runs(ranges):
            yield in_order_received(segment.read_rows(run[0].first_row, sum(one.rows for one in run)))
    spread = {game for game, those in holders.items() if len(those) > 1 and (wanted is None or game in wanted)}
    yield from (_merged(game, holders[game]) for game in by_start(segments) if game in spread)


def _runs(ranges: list[GameRange]) -> Iterator[list[GameRange]]:
    """Return games that lie next to each other in a segment, about a row group of rows together."""
    run: list[GameRange] = []
    rows = 0
    for one in ranges:
        if run and (one.first_row != run[-1].first_row + run[-1].rows or rows + one.rows > ROW_GROUP_ROWS):
            yield run
            run, rows = [], 0
        run.append(one)
        rows += one.rows
    if run:
        yield run


def _merged(game: str, holders: list[Segment]) -> pa.Table:
    """Return the rows of a game that several segments hold."""
    return in_order_received(pa.concat_tables([segment.read_game(game) for segment in holders]))


def _per_game(table: pa.Table, what: str) -> pa.Table:
    """Return the canonical rows of each game: live ticks, or prices with the id of their game."""
    names = pc.run_end_encode(table.column("game_id").combine_chunks().cast(pa.string()))
    parts = []
    first = 0
    for game, end in zip(names.values.to_pylist(), names.run_ends.to_pylist(), strict=True):
        one = Game(game, lambda first=first, end=end: table.slice(first, end - first))  # type: ignore[misc]
        rows = one.live() if what == "live" else one.prices()
        if what == "prices":
            rows = rows.add_column(0, "game_id", pa.repeat(pa.scalar(game, pa.string()), rows.num_rows))
        parts.append(rows)
        first = end
    return pa.concat_tables(parts)


def _within(table: pa.Table, start: datetime | None, end: datetime | None) -> pa.Table:
    """Return the rows from `start` on and before `end`."""
    times = table.column("timestamp")
    kind = times.type
    if start is not None:
        table = table.filter(pc.greater_equal(times, pa.scalar(start, kind)))
    if end is not None:
        table = table.filter(pc.less(table.column("timestamp"), pa.scalar(end, kind)))
    return table


def _chosen(what: str, columns: Sequence[str] | None) -> pa.Schema:
    """Return the schema of the columns asked for."""
    schema = _SCHEMAS.get(what)
    if schema is None:
        raise SettingsError(f"what={what!r} is not known; take one of {', '.join(_SCHEMAS)}")
    unknown = [name for name in columns or () if name not in schema.names]
    if unknown:
        raise SettingsError(f"columns={unknown}: not there; {what} have the columns {', '.join(schema.names)}")
    if columns is not None and len(set(columns)) != max(1, len(columns)):
        raise SettingsError(f"columns={list(columns)}: name at least one column, and each once")
    return schema if columns is None else pa.schema([schema.field(name) for name in columns])


def moment(name: str, value: datetime | str | None) -> datetime | None:
    """Return a time in UTC; a date alone is its midnight. Raise `SettingsError`, which names it."""
    if value is None:
        return None
    try:
        return parse_time(f"{value}T00:00" if isinstance(value, str) and _DATE.fullmatch(value) else value, name)
    except TickError as error:
        raise SettingsError(f"{error}; write a date or a time such as 2031-01-02T03:04:05") from None


def known_games(store: Store, games: str | Iterable[str] | None) -> frozenset[str] | None:
    """Return the ids asked for; raise `GameNotFound` for one that is not in the store."""
    if games is None:
        return None
    wanted = frozenset([games] if isinstance(games, str) else games)
    for game in sorted(wanted.difference(store.game_ids())):
        store.game(game)  # says what is close to it
    return wanted
