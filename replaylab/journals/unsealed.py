"""Tail: what a journal holds, readable like a segment before it has become one; sealing writes exactly this."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Sequence as Listed
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from replaylab.journals.format import Header, place_of, scan
from replaylab.journals.reader import EXPECTED, Contents
from replaylab.journals.seq_ranges import Sequence
from replaylab.segments.extent import Extent
from replaylab.segments.footer import Footer
from replaylab.segments.remarks import SCHEMA as REMARKS_SCHEMA
from replaylab.segments.remarks import to_table as remarks_table
from replaylab.segments.segment import Segment, game_ranges


class Tail(Segment):
    """A journal that has not been sealed, readable like a segment.

    Its name tells how much of the journal it shows, so that what is remembered of it is never mistaken for more.
    """

    def __init__(self, path: Path, contents: Contents) -> None:
        super().__init__(path)
        self._table = contents.table()
        self._extent = contents.extent()
        self._rows_digest = contents.rows_digest()
        self._remarks = contents.remarks()
        self.seqs = contents.seqs

    @property
    def name(self) -> str:
        """Name of the journal and how many bytes of it are shown."""
        return f"{self.path.name}:{self._extent.end}"

    @property
    def row_count(self) -> int:
        """Number of rows."""
        return int(self._table.num_rows)

    @cached_property
    def footer(self) -> Footer:
        """What its segment would say of itself, were it sealed now."""
        games = game_ranges(self._table)
        return Footer(self.path.stem, self._table.num_rows, self._rows_digest, games, [self._extent])

    def read_rows(self, first: int, rows: int, columns: Listed[str] | None = None) -> pa.Table:
        """Give `rows` rows from row `first` on."""
        return self._read(None, columns).slice(first, rows)

    def _read(self, groups: list[int] | None, columns: Listed[str] | None) -> pa.Table:
        del groups  # there is one, in memory
        return self._table if columns is None else self._table.select(list(columns))

    def problem(self) -> str | None:
        """None when every byte read is what was written, else what is wrong."""
        damaged = Counter(one.reason for one in self._remarks if one.reason not in EXPECTED)
        if not damaged:
            return None
        told = ", ".join(f"{count} x {reason}" for reason, count in sorted(damaged.items()))
        return f"{self.path.name}: damaged ({told}); its good ticks are read, `replaylab recover` sets the rest aside"

    def remarks_table(self) -> pa.Table:
        """Give the damage in it as remarks."""
        return remarks_table(self._remarks) if self._remarks else REMARKS_SCHEMA.empty_table()


@dataclass(slots=True)
class _Known:
    identity: tuple[int, Sequence, int | None]
    contents: Contents
    size: int
    tail: Tail


class Tails:
    """The journals of a store, each read on from where it was left; one that has not grown costs a look at its size."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}

    def names(self) -> list[str]:
        """Give the names of the journals that are there, sorted: runs by their instant, journals by their number."""
        return journal_names(self.folder)

    def read(self, names: Listed[str], sealed: Listed[Extent]) -> list[Tail]:
        """Give the tails of journals, without those that segments hold, and each tick of a run once.

        Raises `FileNotFoundError` when one of them has been sealed since it was listed.
        """
        with self._lock:
            return self._read_all(names, sealed)

    def _read_all(self, names: Listed[str], sealed: Listed[Extent]) -> list[Tail]:
        recorded = [extent for extent in sealed if extent.recording]
        done = {extent.source for extent in recorded}
        earlier, self._known = self._known, {}
        before: dict[str, Sequence] = {}
        tails = []
        for name in names:
            if name in done:
                continue
            run, _ = place_of(name)
            held, cut = elsewhere(self.folder / name, recorded, names)
            known = self._read(name, held | before.get(run, Sequence()), cut, earlier.get(name))
            before[run] = before.get(run, Sequence()) | known.tail.seqs
            self._known[name] = known
            if known.size:
                tails.append(known.tail)
        return tails

    def _read(self, name: str, held: Sequence, cut: int | None, earlier: _Known | None) -> _Known:
        path = self.folder / name
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            held = held if held and self._overlaps(held, file) else Sequence()
            identity = (status.st_ino, held, cut)
            if earlier and earlier.identity == identity and earlier.size == status.st_size:
                return earlier
            grown = earlier and earlier.identity == identity and earlier.contents.end <= status.st_size
            contents = earlier.contents if earlier and grown else Contents(name, held, cut)
            contents.read(file, status.st_size, final=False)
        return _Known(identity, contents, status.st_size, Tail(path, contents))

    @staticmethod
    def _overlaps(held: Sequence, file: BinaryIO) -> bool:
        """Whether a journal may tell ticks that are held: one that begins behind them does not."""
        header = scan(file.readline(), final=False).headers
        return not header or header[0].first_seq <= held.runs[-1][1]


def elsewhere(path: Path, recorded: Listed[Extent], names: Listed[str] | None = None) -> tuple[Sequence, int | None]:
    """Give what segments hold of a journal's run, and how many bytes of the journal count when a later one tells."""
    run, number = place_of(path.name)
    told = [extent.recording for extent in recorded if extent.recording["run"] == run]
    later = [name for name in names or journal_names(path.parent) if place_of(name)[0] == run and name > path.name]
    headers = [first_header(path.with_name(name)) for name in later]
    cuts = [one["cuts"] for one in told] + [header.cuts for header in headers if header]
    limits = [one[str(number)] for one in cuts if str(number) in one]
    return Sequence.told(pair for one in told for pair in one["seqs"]), min(limits, default=None)


def first_header(path: Path) -> Header | None:
    """Give what the first line of a journal says; None when it says nothing."""
    try:
        with path.open("rb") as file:
            found = scan(file.readline(1 << 16), final=False).headers
    except FileNotFoundError:
        return None
    return found[0] if found else None


def journal_names(folder: Path) -> list[str]:
    """Give the names of the journals in a folder, sorted; none when there is no folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.name.endswith(".journal"))
    except FileNotFoundError:
        return []
