"""UnsealedJournal: a journal that can be read like a segment; sealing writes exactly what it shows."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Self

import pyarrow as pa

from replaylab.durable import NO_WAITING, OPENED
from replaylab.encryption.keys import StoreKeys
from replaylab.errors import KeyMissing, Tampered
from replaylab.journals.format import Header, place_of, scan
from replaylab.journals.game_rows import GameRows, ShownRows
from replaylab.journals.reader import EXPECTED, JournalReader
from replaylab.journals.sealed import opened_header
from replaylab.journals.seq_ranges import SeqRanges
from replaylab.parsing.kernel_layout import Known
from replaylab.segments.extent import Extent
from replaylab.segments.footer import Footer
from replaylab.segments.remarks import SCHEMA as REMARKS_SCHEMA
from replaylab.segments.remarks import to_table as remarks_table
from replaylab.segments.segment import Segment

MOST_OPEN: Final = 64  # journals that a reader holds open at once


class UnsealedJournal(Segment):
    """A journal that has not been sealed, readable like a segment.

    Its name contains the number of bytes read, so that a cached result is never taken for a longer journal.
    """

    def __init__(self, path: Path, contents: JournalReader, rows: ShownRows) -> None:
        super().__init__(path)
        self._rows = rows
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
        return self._rows.rows

    def part_of(self, game_id: str) -> str:
        """Return a name for the rows of a game in it that stays the same while other games grow."""
        return f"{self.path.name}:{self._rows.number}:{self.rows_of[game_id][1]}"

    @cached_property
    def footer(self) -> Footer:
        """The footer that its segment would have if it were sealed now."""
        return Footer(self.path.stem, self._rows.rows, self._rows_digest, list(self._rows.games), [self._extent])

    @cached_property
    def _table(self) -> pa.Table:
        return self._rows.table()

    def read_game(self, game_id: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read the rows of one game."""
        table = self._rows.of_game(game_id)
        return table if columns is None else table.select(list(columns))

    def read_rows(self, first: int, rows: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return `rows` rows from row `first` on."""
        return self._read(None, columns).slice(first, rows)

    def _read(self, groups: list[int] | None, columns: Sequence[str] | None, metadata: Any = None) -> pa.Table:
        del groups, metadata  # there is one, in memory
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
    rows: GameRows
    size: int
    journal: UnsealedJournal


@dataclass(slots=True)
class _Opened:
    """One journal that is about to be read: its descriptor (-1: opened again when it is read), inode and size."""

    path: Path
    descriptor: int = -1
    inode: int = 0
    size: int = 0

    def open(self) -> None:
        """Open it; raises OSError."""
        self.descriptor = os.open(self.path, os.O_RDONLY | OPENED | NO_WAITING)
        status = os.fstat(self.descriptor)
        if not stat.S_ISREG(status.st_mode):
            self.close()
            raise OSError(errno.EINVAL, "not a file")
        self.inode = status.st_ino

    def close(self) -> None:
        """Close it."""
        if self.descriptor >= 0:
            descriptor, self.descriptor = self.descriptor, -1
            os.close(descriptor)


class OpenedJournals:
    """The journals of a store that were there at one moment; as they are open, they stay when they are sealed.

    `problems` names those that cannot be read, with the reason.
    """

    def __init__(self, folder: Path) -> None:
        self.problems: dict[str, str] = {}
        self.journals: dict[str, _Opened] = {}
        names = journal_names(folder)
        for place, name in enumerate(names):
            opened = _Opened(folder / name)
            try:
                opened.open()
            except OSError as error:
                if not isinstance(error, FileNotFoundError) or opened.path.is_symlink():  # else sealed since
                    self.problems[name] = _unreadable(name, error)
                continue
            self.journals[name] = opened
            if len(names) - place > MOST_OPEN:
                opened.close()  # the newest are those that may be sealed meanwhile
        for opened in reversed(self.journals.values()):
            # A journal is written before the one behind it: its size is taken after that of the one behind, so that it
            # lacks nothing of what comes before what is read of that one.
            opened.size = os.fstat(opened.descriptor).st_size if opened.descriptor >= 0 else _size(opened.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for opened in self.journals.values():
            opened.close()


class UnsealedJournals:
    """The journals of a store, read incrementally: one that has not grown costs one `fstat`."""

    def __init__(self, folder: Path, keys: StoreKeys | None = None) -> None:
        self.folder = folder
        self.keys = keys
        self._lock = threading.Lock()
        self._known: dict[str, _Known] = {}
        self._headers: dict[str, tuple[int, Header]] = {}
        self._layouts: list[Known] = []

    def names(self) -> list[str]:
        """Return the names of the journals, sorted: runs by their start, journals by their number."""
        return journal_names(self.folder)

    def opened(self) -> OpenedJournals:
        """Return the journals as they are now, to be closed; list the segments before they are read."""
        return OpenedJournals(self.folder)

    def read(self, opened: OpenedJournals, sealed: Sequence[Extent]) -> list[UnsealedJournal]:
        """Return journals that no segment holds, each tick of a run once.

        Parameters
        ----------
        opened : OpenedJournals
            The journals that were there before `sealed` was read; one that cannot be read is added to its `problems`.
        sealed : sequence of Extent
            What segments hold.

        Raises
        ------
        FileNotFoundError
            When one of the older of more than `MOST_OPEN` journals was sealed since it was listed.
        """
        with self._lock:
            return self._read_all(opened, sealed)

    def _read_all(self, opened: OpenedJournals, sealed: Sequence[Extent]) -> list[UnsealedJournal]:
        recorded: dict[str, list[Extent]] = defaultdict(list)
        for extent in sealed:
            if extent.recording:
                recorded[extent.recording["run"]].append(extent)
        done = {extent.source for extents in recorded.values() for extent in extents}
        earlier, self._known = self._known, {}
        found = []
        for run, journals in _by_run(opened.journals).items():
            headers = self._headers_of(journals)
            held, cuts = elsewhere(recorded[run], headers.values())
            sizes = durable_sizes(header for name, header in headers.items() if journals[name].size)
            for name, one in journals.items():
                if name in done:
                    continue
                try:
                    number = place_of(name)[1]
                    known = self._read(one, held, cuts.get(number), headers.get(name), earlier.get(name))
                    if known.contents.lacks(sizes.get(number, 0)):
                        known = _lacking(known, sizes[number])
                except (FileNotFoundError, KeyMissing):
                    raise
                except (OSError, Tampered) as error:
                    opened.problems[name] = _unreadable(name, error)
                    continue
                held |= known.journal.seqs
                self._known[name] = known
                if known.size:
                    found.append(known.journal)
        return found

    def _headers_of(self, journals: Mapping[str, _Opened]) -> dict[str, Header]:
        """Return the headers of journals, each read once: a header never changes."""
        found = {}
        for name, one in journals.items():
            known = self._headers.get(name)
            header = known[1] if known and known[0] == one.inode else first_header(one.path, one.descriptor, self.keys)
            if header is not None:
                found[name] = header
                self._headers[name] = one.inode, header
        return found

    def _read(
        self, one: _Opened, held: SeqRanges, cut: int | None, header: Header | None, earlier: _Known | None
    ) -> _Known:
        if header is not None and held and header.first_seq > held.runs[-1][1]:
            held = SeqRanges()  # it begins behind them
        identity = (one.inode, held, cut)
        if earlier and earlier.identity == identity and earlier.size == one.size:
            return earlier
        grown = earlier and earlier.identity == identity and earlier.contents.end <= one.size
        contents, rows = (
            (earlier.contents, earlier.rows)
            if earlier and grown
            else (self._reader(one.path.name, held, cut), GameRows())
        )
        with one.path.open("rb") if one.descriptor < 0 else os.fdopen(os.dup(one.descriptor), "rb") as file:
            contents.read(file, one.size, final=False)
        rows.add(contents.take_tables())
        return _Known(identity, contents, rows, one.size, UnsealedJournal(one.path, contents, rows.shown()))

    def _reader(self, name: str, held: SeqRanges, cut: int | None) -> JournalReader:
        return JournalReader(name, held, cut, self._layouts, self.keys)


def _by_run(journals: Mapping[str, _Opened]) -> dict[str, dict[str, _Opened]]:
    """Return journals by run, in the order of their names."""
    found: dict[str, dict[str, _Opened]] = {}
    for name, one in journals.items():
        found.setdefault(place_of(name)[0], {})[name] = one
    return found


def _cuts(told: Iterable[Mapping[str, int]]) -> dict[int, int]:
    """Return by the number of a journal how many of its bytes count: the least that a later one says."""
    least: dict[int, int] = {}
    for cuts in told:
        for number, size in cuts.items():
            least[int(number)] = min(size, least.get(int(number), size))
    return least


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0  # sealed since; reading it says so


def _unreadable(name: str, error: OSError | Tampered) -> str:
    if isinstance(error, Tampered):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return f"{name}: a link that leads nowhere"
    return f"{name}: the journal cannot be read ({error.strerror or error})"


def durable_sizes(headers: Iterable[Header | None]) -> dict[int, int]:
    """Return by the number of a journal how many of its bytes were permanent, as the later ones of its run say."""
    most: dict[int, int] = {}
    for header in headers:
        for number, size in header.durable.items() if header else ():
            most[int(number)] = max(size, most.get(int(number), size))
    return most


def _lacking(known: _Known, size: int) -> _Known:
    """Return a journal with the remark that permanent bytes of it are gone; what was read of it is used no further."""
    known.contents.report_lacking(size)
    journal = UnsealedJournal(known.journal.path, known.contents, known.rows.shown())
    return _Known((-1, SeqRanges(), None), known.contents, known.rows, known.size, journal)


def elsewhere(recorded: Iterable[Extent], headers: Iterable[Header | None]) -> tuple[SeqRanges, dict[int, int]]:
    """Return what segments hold of a run, and by the number of a journal how many of its bytes count if that is known.

    Parameters
    ----------
    recorded : iterable of Extent
        What segments hold of the run.
    headers : iterable of Header
        Headers of its journals.
    """
    recordings = [extent.recording for extent in recorded]
    cuts = _cuts([*(one["cuts"] for one in recordings), *(header.cuts for header in headers if header)])
    return SeqRanges.of_ranges(pair for one in recordings for pair in one["seqs"]), cuts


def later_headers(path: Path, known: dict[str, Header], keys: StoreKeys | None = None) -> list[Header]:
    """Return the headers of the journals of the same run behind a journal; raises OSError when one cannot be read.

    Those `known` by the names of their journals are not read again, for a header never changes; the others are added.
    """
    run, _ = place_of(path.name)
    behind = (name for name in journal_names(path.parent) if name.startswith(run) and name > path.name)
    names = [name for name in behind if place_of(name)[0] == run]
    for name in names:
        if name not in known and (header := first_header(path.with_name(name), keys=keys)) is not None:
            known[name] = header
    return [known[name] for name in names if name in known]


def first_header(path: Path, descriptor: int = -1, keys: StoreKeys | None = None) -> Header | None:
    """Return the header of a journal, by its descriptor if it is open; None when its first line is not one.

    In an encrypted store it is authentic, and may stand in the second line.
    """
    try:
        with path.open("rb") if descriptor < 0 else os.fdopen(os.dup(descriptor), "rb") as file:
            file.seek(0)
            first = [file.readline(1 << 16) for _ in range(1 if keys is None else 2)]
    except FileNotFoundError:
        return None
    if keys is None:
        found = scan(first[0], final=False).headers
        return found[0] if found else None
    opened = opened_header(first, keys)
    return opened[0] if opened else None


def journal_names(folder: Path) -> list[str]:
    """Return the names of the journals in a folder, sorted; none when there is no folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name for entry in entries if entry.name.endswith(".journal"))
    except FileNotFoundError:
        return []
