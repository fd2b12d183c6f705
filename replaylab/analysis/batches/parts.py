"""Parts: groups of whole games that one worker reads together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import Final

import pyarrow as pa
import xxhash

from replaylab.segments.digest import ENDING, name_digest
from replaylab.segments.order import in_order_received
from replaylab.segments.segment import ROW_GROUP_ROWS, Segment

Range = tuple[int, int]  # first row, rows
LEAST_ROWS: Final = ROW_GROUP_ROWS // 8
_PARTS: Final = 32  # of a store, or more: what one worker has too much, another can take


@dataclass(frozen=True)
class JournalRows:
    """Rows of a journal that is not sealed yet, held in memory: the journal may be gone when they are asked for."""

    name: str
    table: pa.Table

    def __getstate__(self) -> tuple[str, bytes]:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, self.table.schema) as stream:
            stream.write_table(self.table)  # a slice, and not all that it was cut from
        return self.name, sink.getvalue().to_pybytes()

    def __setstate__(self, state: tuple[str, bytes]) -> None:
        object.__setattr__(self, "name", state[0])
        object.__setattr__(self, "table", pa.ipc.open_stream(state[1]).read_all())

    def read_rows(self, first: int, rows: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return `rows` rows from row `first` on."""
        return (self.table if columns is None else self.table.select(list(columns))).slice(first, rows)


@dataclass(frozen=True)
class Part:
    """Whole games, and where their rows lie.

    Parameters
    ----------
    segments : tuple of Segment or JournalRows
        Those that hold rows of these games; each game has rows in all of them.
    games : tuple of str
        Ids, in the order in which they are read.
    ranges : tuple, one a segment, of tuples, one a game
        First row and number of rows.
    summaries : Table, optional
        Those of its games, in their order, where the store has kept them.
    """

    segments: tuple[Segment | JournalRows, ...]
    games: tuple[str, ...]
    ranges: tuple[tuple[Range, ...], ...]
    summaries: pa.Table | None = field(default=None, compare=False)

    @cached_property
    def counts(self) -> tuple[int, ...]:
        """Rows of each game."""
        return tuple(sum(rows for _, rows in each) for each in zip(*self.ranges, strict=True))

    @property
    def rows(self) -> int:
        """Rows of all its games."""
        return sum(self.counts)

    @property
    def holders(self) -> str:
        """Digest of the files that the games lie in: the same rows, as long as it is the same."""
        return xxhash.xxh3_128_hexdigest("\n".join(sorted(_content(one) for one in self.segments)).encode())

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Read its games, one after another as in `games`, each in the order received.

        Raises
        ------
        SegmentDamaged
            When a page is not what was written.
        FileNotFoundError
            When a compaction has removed a segment since.
        """
        if len(self.segments) == 1 and _is_run(self.ranges[0]):
            first, rows = self.ranges[0][0][0], self.rows
            return in_order_received(self.segments[0].read_rows(first, rows, columns))
        slices: list[list[pa.Table]] = [[] for _ in self.games]
        for segment, ranges in zip(self.segments, self.ranges, strict=True):
            for members in _near(ranges):
                begin = ranges[members[0]][0]
                end = max(sum(ranges[number]) for number in members)
                table = segment.read_rows(begin, end - begin, columns)
                for number in members:
                    first, rows = ranges[number]
                    slices[number].append(table.slice(first - begin, rows))
        return in_order_received(pa.concat_tables([one for each in slices for one in each]))

    def singles(self) -> Iterator[Part]:
        """Return its games each as a part of its own."""
        for number, game in enumerate(self.games):
            kept = None if self.summaries is None else self.summaries.slice(number, 1)
            yield Part(self.segments, (game,), tuple((ranges[number],) for ranges in self.ranges), kept)

    def only(self, games: AbstractSet[str]) -> Part:
        """Return the part of some of its games."""
        kept = [number for number, game in enumerate(self.games) if game in games]
        ranges = tuple(tuple(each[number] for number in kept) for each in self.ranges)
        summaries = None if self.summaries is None else self.summaries.take(pa.array(kept, pa.int64()))
        return Part(self.segments, tuple(self.games[number] for number in kept), ranges, summaries)

    def summed(self, known: pa.Table, place: Mapping[str, int]) -> Part:
        """Return the part with its summaries, taken from those that are known, when all of them are."""
        if not all(game in place for game in self.games):
            return self
        rows = known.take(pa.array([place[game] for game in self.games], pa.int64()))
        return replace(self, summaries=rows)


def _is_run(ranges: Sequence[Range]) -> bool:
    return all(first + rows == after for (first, rows), (after, _) in pairwise(ranges))


def _near(ranges: Sequence[Range]) -> Iterator[list[int]]:
    """Return the numbers of ranges that are read at once, because they lie within a row group of each other."""
    group: list[int] = []
    for number in sorted(range(len(ranges)), key=lambda one: ranges[one]):
        if group and ranges[number][0] - sum(ranges[group[-1]]) > ROW_GROUP_ROWS:
            yield group
            group = []
        group.append(number)
    yield group


def parts_of(segments: Sequence[Segment], wanted: AbstractSet[str] | None, least_rows: int = LEAST_ROWS) -> list[Part]:
    """Cut the games of segments into parts; every game is in exactly one, however many segments hold rows of it.

    Parameters
    ----------
    segments : sequence of Segment
        Those that count, as returned by `Store.segments`.
    wanted : set of str, optional
        Only these games.
    least_rows : int
        Rows below which a part is not ended.
    """
    holders: defaultdict[str, list[int]] = defaultdict(list)
    for number, segment in enumerate(segments):
        for game in segment.rows_of:
            if wanted is None or game in wanted:
                holders[game].append(number)
    together: defaultdict[tuple[int, ...], list[str]] = defaultdict(list)
    for game, numbers in holders.items():
        together[tuple(numbers)].append(game)
    total = sum(segment.footer.rows for segment in segments)
    limit = min(ROW_GROUP_ROWS, max(least_rows, total // _PARTS))
    found: list[Part] = []
    for places, games in together.items():
        those = tuple(segments[place] for place in places)
        found.extend(_cut(those, games, limit))
    return found


def _cut(segments: tuple[Segment, ...], games: Iterable[str], limit: int) -> Iterator[Part]:
    """Return games of the same segments, about `limit` rows together."""
    run: list[tuple[str, tuple[Range, ...]]] = []
    rows = 0
    for game in games:
        ranges = tuple(segment.rows_of[game] for segment in segments)
        if run and rows + sum(count for _, count in ranges) > limit:
            yield _part(segments, run)
            run, rows = [], 0
        run.append((game, ranges))
        rows += sum(count for _, count in ranges)
    if run:
        yield _part(segments, run)


def _part(segments: tuple[Segment, ...], run: Sequence[tuple[str, tuple[Range, ...]]]) -> Part:
    places = [
        _place(segment, ranges)
        for segment, ranges in zip(segments, zip(*(one for _, one in run), strict=True), strict=True)
    ]
    return Part(tuple(where for where, _ in places), tuple(game for game, _ in run), tuple(each for _, each in places))


def _place(segment: Segment, ranges: tuple[Range, ...]) -> tuple[Segment | JournalRows, tuple[Range, ...]]:
    """Return where rows are; rows of a journal are copied, as they are now."""
    if segment.name.endswith(ENDING):
        return segment, ranges
    table = pa.concat_tables([segment.read_rows(*one) for one in ranges])
    firsts = [sum(rows for _, rows in ranges[:number]) for number in range(len(ranges))]
    name = f"{segment.name}:{segment.footer.rows_digest}"
    return JournalRows(name, table), tuple((first, rows) for first, (_, rows) in zip(firsts, ranges, strict=True))


def _content(place: Segment | JournalRows) -> str:
    """Return the digest that identifies the content of a file."""
    return place.name if isinstance(place, JournalRows) else name_digest(place.name)
