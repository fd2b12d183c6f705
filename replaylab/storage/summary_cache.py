"""Summaries: one row a game over many segments, kept as long as the segments that a game lies in stay the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import numpy as np
import pyarrow as pa

from replaylab.columns import column
from replaylab.errors import SegmentDamaged
from replaylab.journals.unsealed import UnsealedJournal
from replaylab.segments.order import in_order_received
from replaylab.segments.segment import Segment
from replaylab.storage.game_summary import COLUMNS, SCHEMA, summarise
from replaylab.storage.kept_summaries import LEAST_ROWS, LEAST_SEGMENTS, Kept, KeptSummaries, Stamp, stamps_of

LeaveOut: TypeAlias = Callable[[Segment, SegmentDamaged], None]
_Key: TypeAlias = tuple[str, ...]
_ROWS_AT_ONCE: Final = 200_000
_COLUMNS: Final = [*COLUMNS, "seq"]
_FEW: Final = 8  # one game in so many of a journal is read by itself, more are read with all of it
_NEW_IN: Final = 100  # the file is written again when more than one summary in so many is new


class Summaries:
    """The games table of a store, of which only what is new is computed again.

    A segment is summed up without the games that lie elsewhere too; those are summed up one by one. All rows stand in
    one table: thousands of small ones would take a hundred times the memory of what they hold.

    Parameters
    ----------
    kept : KeptSummaries, optional
        Where they are looked for first, and kept for the next one who opens the store.
    """

    def __init__(self, kept: KeptSummaries | None = None) -> None:
        self._kept = kept
        self._is_loaded = kept is None
        self._rows = pa.Table.from_batches([], SCHEMA)  # `empty_table` loads pandas
        self._place: dict[_Key, tuple[int, int]] = {}  # first row and number of rows

    def table(self, segments: Sequence[Segment], leave_out: LeaveOut) -> pa.Table:
        """Return one row a game in order of their start; `leave_out` is called with each segment that fails."""
        wanted = _wanted(segments)
        stamps: dict[str, Stamp] = {} if self._kept is None else stamps_of(segments)
        if not self._is_loaded and self._kept is not None:
            self._is_loaded = True
            self._rows, self._place = self._kept.load(wanted, stamps)
        kept = [key for key in self._place if key in wanted]  # in the order of their rows
        found = _Found()
        for key in kept:
            found.place[key] = found.rows, self._place[key][1]
            found.rows += self._place[key][1]
        if len(kept) < len(self._place):
            spans = [np.arange(first, first + rows) for first, rows in map(self._place.__getitem__, kept)]
            found.tables.append(self._rows.take(column(np.concatenate([np.zeros(0, np.int64), *spans]))))
        else:
            found.tables.append(self._rows)
        new = {key: parts for key, parts in wanted.items() if key not in self._place}
        alone: dict[str, list[_Key]] = {}
        for key, parts in new.items():
            if len(parts) == 1 and isinstance(parts[0], UnsealedJournal):
                alone.setdefault(parts[0].name, []).append(key)
            else:
                found.read(key, parts, leave_out)
        for keys in alone.values():
            found.read_games(keys, new[keys[0]][0])
        found.summarise()
        self._rows, self._place = pa.concat_tables(found.tables).combine_chunks(), found.place
        self._keep(sum(all(one.name in stamps for one in parts) for parts in new.values()), wanted, segments, stamps)
        return self._rows.sort_by([("start", "ascending"), ("game_id", "ascending")])

    def known(self, segments: Sequence[Segment]) -> pa.Table:
        """Return the rows of `table` that are at hand without reading ticks, of games that lie in segments alone."""
        wanted = _wanted(segments)
        if not self._is_loaded and self._kept is not None:
            self._is_loaded = True
            self._rows, self._place = self._kept.load(wanted, stamps_of(segments))
        sealed = (key for key, parts in wanted.items() if not any(isinstance(one, UnsealedJournal) for one in parts))
        spans = [self._rows.slice(*self._place[key]) for key in sealed if key in self._place]
        return pa.concat_tables([self._rows.slice(0, 0), *spans]).combine_chunks()

    def _keep(
        self,
        new: int,
        wanted: dict[_Key, list[Segment]],
        segments: Sequence[Segment],
        stamps: dict[str, Stamp],
    ) -> None:
        """Write what is new to the file, once it is enough that writing all of it again is worth it."""
        if self._kept is None or new <= len(self._place) // _NEW_IN:
            return
        large = len(stamps) >= LEAST_SEGMENTS or sum(one.footer.rows for one in segments) >= LEAST_ROWS
        if large and not stamps.keys().isdisjoint(one.name for parts in wanted.values() for one in parts):
            self._kept.save(Kept(self._rows, self._place), wanted, stamps)


def _wanted(segments: Sequence[Segment]) -> dict[_Key, list[Segment]]:
    """Return the segments of each summary: of a segment without a few games, or of one game of several segments.

    The games of a journal are summed up one by one, so that only those that grow are again.
    """
    holders = Counter(game for segment in segments for game in segment.rows_of)
    growing = {game for one in segments if isinstance(one, UnsealedJournal) for game in one.rows_of}
    spread: dict[str, list[Segment]] = {game: [] for game in sorted(holders) if holders[game] > 1 or game in growing}
    wanted: dict[_Key, list[Segment]] = {}
    for segment in segments:
        elsewhere = sorted(spread.keys() & segment.rows_of.keys())
        for game in elsewhere:
            spread[game].append(segment)
        if not isinstance(segment, UnsealedJournal):
            wanted[segment.name, *elsewhere] = [segment]
    return wanted | {(game, *(one.part_of(game) for one in parts)): parts for game, parts in spread.items()}


class _Found:
    """Summaries that are made, of many segments at once: of small ones that takes a fraction of the time."""

    def __init__(self) -> None:
        self.tables: list[pa.Table] = []
        self.place: dict[_Key, tuple[int, int]] = {}
        self.rows = 0
        self._waiting: list[_Key] = []
        self._tables: list[pa.Table] = []  # their rows
        self._key_of: dict[str, int] = {}  # by game, the place of its key among those that wait
        self._waiting_rows = 0

    def read(self, key: _Key, parts: list[Segment], leave_out: LeaveOut) -> None:
        """Read what a summary is made of."""
        tables = []
        for segment in parts:
            try:
                if segment.name == key[0]:
                    tables.append(_without(segment.read(_COLUMNS), segment, key[1:]))
                else:
                    tables.append(segment.read_game(key[0], _COLUMNS))
            except SegmentDamaged as error:
                leave_out(segment, error)
        if not tables:
            return
        table = pa.concat_tables(tables)
        games = table.column("game_id").unique().to_pylist()
        self._make_room(games, table.num_rows)
        self._key_of |= dict.fromkeys(games, len(self._waiting))
        self._waiting.append(key)
        self._add(table)

    def read_games(self, keys: list[_Key], journal: Segment) -> None:
        """Read games of a journal, which are nowhere else, each of them for a summary of its own."""
        games = [game for game, _ in keys]
        if len(games) * _FEW < len(journal.rows_of):
            table = pa.concat_tables([journal.read_game(game, _COLUMNS) for game in games])
        else:
            table = _without(journal.read(_COLUMNS), journal, sorted(journal.rows_of.keys() - set(games)))
        self._make_room(games, table.num_rows)
        self._key_of |= {game: number for number, game in enumerate(games, len(self._waiting))}
        self._waiting += keys
        self._add(table)

    def _make_room(self, games: Sequence[str], rows: int) -> None:
        if not self._key_of.keys().isdisjoint(games) or self._waiting_rows + rows > _ROWS_AT_ONCE:
            self.summarise()

    def _add(self, table: pa.Table) -> None:
        self._tables.append(table)
        self._waiting_rows += table.num_rows

    def summarise(self) -> None:
        """Make the summaries of what was read; those of a key stand together."""
        waiting, key_of, tables = self._waiting, self._key_of, self._tables
        self._waiting, self._key_of, self._tables, self._waiting_rows = [], {}, [], 0
        if not waiting:
            return
        made = summarise(in_order_received(pa.concat_tables(tables)))
        numbers = np.array([key_of[game] for game in made.column("game_id").to_pylist()], np.int64)
        counts = np.bincount(numbers, minlength=len(waiting)).tolist()
        self.tables.append(made.take(column(np.argsort(numbers, kind="stable"))))
        for key, count in zip(waiting, counts, strict=True):
            self.place[key] = self.rows, count
            self.rows += count


def _without(table: pa.Table, segment: Segment, games: Sequence[str]) -> pa.Table:
    """Return the rows of a segment without those of a few games."""
    if not games:
        return table
    keep = np.ones(table.num_rows, np.bool_)
    for game in games:
        first, rows = segment.rows_of[game]
        keep[first : first + rows] = False
    return table.filter(column(keep))
