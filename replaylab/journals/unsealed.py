"""UnsealedJournal: a journal that can be read like a segment; sealing writes exactly what it shows."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from replaylab.journals.format import Header, place_of, scan
from replaylab.journals.reader import EXPECTED, JournalReader
from replaylab.journals.seq_ranges import SeqRanges
from replaylab.segments.extent import Extent
from replaylab.segments.footer import Footer
from replaylab.segments.remarks import SCHEMA as REMARKS_SCHEMA
from replaylab.segments.remarks import to_table as remarks_table
from replaylab.segments.segment import Segment, game_ranges


class UnsealedJournal(Segment):
    """A journal that has not been sealed, readable like a segment.

    Its name contains the number of bytes read, so that a cached result is never taken for a longer journal.
    """

    def __init__(self, path: Path, contents: JournalReader) -> None:
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
        """The footer that its segment would have if it were sealed now."""
        games = game_ranges(self._table)
        return Footer(self.path.stem, self._table.num_rows, self._rows_digest, games, [self._extent])

    def read_rows(self, first: int, rows: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return `rows` rows from row `first` on."""
        return self._read(None, columns).slice(first, rows)

    def _read(self, groups: list[int] | None, columns: Sequence[str] | None) -> pa.Table:
        del groups  # there is one, in memory
        return self._table if columns is None else self._table.select(list(columns))

    def problem(self) -> str | None:
        """Return None when every byte read is what was written, else what is wrong."""
        damaged = Counter(
            one.reason for one in self._remarks if one.kind == "quarantine" and one.reason not in EXPECTED
        )
        if not damaged:
            return None
        shown = ", ".join(f"{count} x {reason}" for reason, count in sorted(damaged.items()))
        return f"{self.path.name}: damaged ({shown}); its good ticks are read, `replaylab recover` sets the rest aside"

    def remarks_table(self) -> pa.Table:
        """Return damage, and lines of types that are not known, as remarks."""
        return remarks_table(self._remarks) if self._remarks else REMARKS_SCHEMA.empty_table()


@dataclass(slots=True)
class _Known:
    identity: tuple[int, SeqRanges, int | None]
    contents: JournalReader
    size: int
    journal: UnsealedJournal


class UnsealedJournals:
    """The journals of a store, read incrementally: one that has not grown costs one `fstat`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}

    def names(self) -> list[str]:
        """Return the names of the journals, sorted: runs by their start, journals by their number."""
        return journal_names(self.folder)

    def read(self, names: Sequence[str], sealed: Sequence[Extent]) -> list[UnsealedJournal]:
        """Return journals that no segment holds, each tick of a run once.

        Raises `FileNotFoundError` when one of them has been sealed since it was listed.
        """
        with self._lock:
            return self._read_all(names, sealed)

    def _read_all(self, names: Sequence[str], sealed: Sequence[Extent]) -> list[UnsealedJournal]:
        recorded = [extent for extent in sealed if extent.recording]
        done = {extent.source for extent in recorded}
        earlier, self._known = self._known, {}
        before: dict[str, SeqRanges] = {}
        found = []
        for name in names:
            if name in done:
                continue
            run, _ = place_of(name)
            held, cut = elsewhere(self.folder / name, recorded, names)
            known = self._read(name, held | before.get(run, SeqRanges()), cut, earlier.get(name))
            before[run] = before.get(run, SeqRanges()) | known.journal.seqs
            self._known[name] = known
            if known.size:
                found.append(known.journal)
        return found

    def _read(self, name: str, held: SeqRanges, cut: int | None, earlier: _Known | None) -> _Known:
        path = self.folder / name
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            held = held if held and self._overlaps(held, file) else SeqRanges()
            identity = (status.st_ino, held, cut)
            if earlier and earlier.identity == identity and earlier.size == status.st_size:
                return earlier
            grown = earlier and earlier.identity == identity and earlier.contents.end <= status.st_size
            contents = earlier.contents if earlier and grown else JournalReader(name, held, cut)
            contents.read(file, status.st_size, final=False)
        return _Known(identity, contents, status.st_size, UnsealedJournal(path, contents))

    @staticmethod
    def _overlaps(held: SeqRanges, file: BinaryIO) -> bool:
        """Whether a journal may hold ticks that are in `held`: one whose first number is greater does not."""
        header = scan(file.readline(), final=False).headers
        return not header or header[0].first_seq <= held.runs[-1][1]


def elsewhere(
    path: Path, recorded: Sequence[Extent], names: Sequence[str] | None = None
) -> tuple[SeqRanges, int | None]:
    """Return what segments hold of a journal's run, and how many of its bytes count if a later journal limits them."""
    run, number = place_of(path.name)
    recordings = [extent.recording for extent in recorded if extent.recording["run"] == run]
    later = [name for name in names or journal_names(path.parent) if place_of(name)[0] == run and name > path.name]
    headers = [first_header(path.with_name(name)) for name in later]
    cuts = [one["cuts"] for one in recordings] + [header.cuts for header in headers if header]
    limits = [one[str(number)] for one in cuts if str(number) in one]
    return SeqRanges.of_ranges(pair for one in recordings for pair in one["seqs"]), min(limits, default=None)


def first_header(path: Path) -> Header | None:
    """Return the header of a journal; None when its first line is not one."""
    try:
        with path.open("rb") as file:
            found = scan(file.readline(1 << 16), final=False).headers
    except FileNotFoundError:
        return None
    return found[0] if found else None


def journal_names(folder: Path) -> list[str]:
    """Return the names of the journals in a folder, sorted; none when there is no folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.name.endswith(".journal"))
    except FileNotFoundError:
        return []
