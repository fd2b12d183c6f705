"""Recovery: what journals hold becomes segments; sealing is converting, and may be killed or run again at any moment.

A journal belongs to the process that holds its lock: a recorder while it writes, else the one that seals it. It is
removed only when the segment that holds its ticks is permanent; a reader that finds both reads the segment.
"""

from __future__ import annotations

import logging
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

import pyarrow as pa

from replaylab.durable import (
    NO_WAITING,
    OPENED,
    PATIENCE_SECONDS,
    leads_to,
    make_folders,
    remove,
    sole_writer,
    sweep,
    try_lock,
    written_aside,
)
from replaylab.encryption.keys import StoreKeys
from replaylab.encryption.kms import Kms
from replaylab.encryption.parquet import FileSeal, new_seal
from replaylab.errors import ReplayLabError, SegmentDamaged, StoreBusy, StoreError, StoreTooNew
from replaylab.journals.format import Header, place_of
from replaylab.journals.reader import OPEN, JournalReader, read_waiting
from replaylab.journals.seq_ranges import SeqRanges
from replaylab.journals.unsealed import durable_sizes, elsewhere, journal_names, later_headers
from replaylab.keywords import options_of
from replaylab.parsing.kernel_layout import Known
from replaylab.plural import count_of
from replaylab.progress import bar
from replaylab.segments.extent import Extent
from replaylab.segments.order import sorted_by_game
from replaylab.segments.remarks import Placed, RemarkWriter, publish_remarks
from replaylab.segments.segment import write_segment
from replaylab.storage.compact import remove_leftovers
from replaylab.storage.files import reread
from replaylab.storage.objectstore import refuse_uri
from replaylab.storage.store import JOURNALS, REMARKS, SEGMENTS, Store
from replaylab.table import SCHEMA

RESERVE: Final = ".reserve"  # ending of the room that a recorder keeps for closing
LIVE: Final = "another process has it open"  # its recorder, or another recovery
LATER: Final = "the journal before it comes first"
MOST_TOGETHER: Final = 64  # journals that are sealed as one segment
MOST_BYTES_TOGETHER: Final = 32 << 20
_log = logging.getLogger("replaylab.recovery")


@dataclass(frozen=True, slots=True)
class Sealed:
    """What became of one journal.

    Attributes
    ----------
    journal : str
        Its name.
    state : str
        ``clean``, ``recovered`` or ``quarantined``; ``open`` when it stays as it is, and `problem` says why.
    ticks : int
        Ticks that are now in a segment.
    quarantined_bytes : int
        Bytes that were set aside as remarks.
    problem : str, optional
        Why it was not sealed; its ticks can be read all the same.
    """

    journal: str
    state: str
    ticks: int = 0
    quarantined_bytes: int = 0
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """What a recovery did, journal by journal.

    Examples
    --------
    >>> report = RecoveryReport("store", (Sealed("a.journal", "recovered", ticks=7),))
    >>> report.ok, report.ticks
    (True, 7)
    >>> print(report)
    1 journal sealed, 7 ticks
    - a.journal: recovered, 7 ticks
    """

    store: str
    journals: tuple[Sealed, ...] = ()

    @property
    def ticks(self) -> int:
        """Ticks that are now in segments."""
        return sum(one.ticks for one in self.journals)

    @property
    def ok(self) -> bool:
        """Whether no journal is left but those that a recorder is writing."""
        return all(one.problem in {None, LIVE, LATER} for one in self.journals)

    def __str__(self) -> str:
        done = [one for one in self.journals if one.problem is None]
        lines = [f"{count_of(len(done), 'journal')} sealed, {count_of(self.ticks, 'tick')}"]
        for one in self.journals:
            aside = f", {one.quarantined_bytes:,} bytes set aside" if one.quarantined_bytes else ""
            lines.append(f"- {one.journal}: {one.state}, " + (one.problem or f"{count_of(one.ticks, 'tick')}{aside}"))
        return "\n".join(lines)


@options_of("rl.recover")
def recover(store: str | os.PathLike[str] | Store, *, progress: bool = False, kms: Kms | None = None) -> RecoveryReport:
    """Seal the journals that recorders have left behind; those that are being written stay as they are.

    Safe beside recorders, readers, conversions and other recoveries, and safe to kill: what is not sealed can be read
    as it is, and is sealed by the next one. `open_store` does this by itself. `kms` is the master key of an encrypted
    store that is named by its path.

    Raises
    ------
    StoreNotFound
        When there is no store at the path.
    StoreUnwritable
        When it names an object store, which holds no journals.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with rl.Recorder(folder) as recorder:
    ...     _ = recorder.record(rl.Tick("g", 1, "2031-01-02T03:04:05", "1.02"))
    >>> rl.recover(folder)
    RecoveryReport(store=..., journals=())
    """
    refuse_uri(store)
    opened = store if isinstance(store, Store) else Store(store, kms=kms)
    folder = opened.path / JOURNALS
    names = journal_names(folder)
    found: list[Sealed] = []
    recorded = _Recorded(opened)
    with bar(len(names), "recover", "journal", show=progress) as shown:
        for _, run in groupby(names, key=lambda name: place_of(name)[0]):
            for one in _recover_run(recorded, [folder / name for name in run], shown.update):
                found.append(one)
                _log_sealed(one)
    if names or folder.is_dir():
        _sweep_reserves(folder)
        with suppress(StoreError):  # a store that may only be read
            sweep(opened.path / SEGMENTS)
            sweep(opened.path / REMARKS)
            if opened.encrypted and any(one.quarantined_bytes for one in found):
                with sole_writer(opened.path):
                    remove_leftovers(opened)  # remarks of a recovery that was killed: these ones have another salt
    report = RecoveryReport(str(opened.path), tuple(found))
    fields = {"event": "recovered", "store": report.store, "journals": len(found), "ticks": report.ticks}
    _log.info("%s recovered: %d ticks", report.store, report.ticks, extra=fields) if found else None
    return report


def _log_sealed(sealed: Sealed) -> None:
    """Log what became of a journal; a warning when it is left though no recorder is writing it."""
    level = logging.INFO if sealed.problem in {None, LIVE, LATER} else logging.WARNING
    event = "unsealed" if sealed.problem else "sealed"
    said = sealed.problem or f"{sealed.state}, {count_of(sealed.ticks, 'tick')}"
    _log.log(level, "%s %s: %s", sealed.journal, event, said, extra={"event": event, **asdict(sealed)})


def _recover_run(recorded: _Recorded, paths: list[Path], step: Callable[[int], object]) -> Iterator[Sealed]:
    """Seal the journals of a run in their order, neighbours together, up to the first that must stay as it is.

    What the next one holds, or cuts, of that one is settled in their order, so those behind it wait.
    """
    left = list(paths)
    waits = False
    headers: dict[str, Header] = {}
    while left and not waits:
        with ExitStack() as locks:
            taken, size, stays = 0, 0, None
            group: list[Path] = []
            for path in left[:MOST_TOGETHER]:
                lock = _locked(path)
                if isinstance(lock, Sealed):
                    stays = lock
                    break
                taken += 1
                if lock is None:
                    continue  # sealed by another process since it was listed
                locks.callback(os.close, lock)
                group.append(path)
                size += os.fstat(lock).st_size
                if size > MOST_BYTES_TOGETHER:
                    break
            for one in _seal_group(recorded, group, headers):
                waits = waits or one.problem is not None
                yield one
        if stays is not None and not waits:
            taken, waits = taken + 1, True
            yield stays
        step(taken)
        left = left[taken:]
    for path in left:
        yield Sealed(path.name, OPEN, problem=LATER)
    step(len(left))


def _locked(path: Path) -> int | Sealed | None:
    """Return the descriptor of a journal whose lock is held from now on; why it stays as it is; or None: it is gone."""
    try:
        lock = os.open(path, os.O_RDWR | OPENED | NO_WAITING)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Sealed(path.name, OPEN, problem=f"it cannot be opened for writing ({error.strerror})")
    problem: str | None = LIVE
    try:
        if not stat.S_ISREG(os.fstat(lock).st_mode):
            problem = "it is not a file"
        elif try_lock(lock):
            if leads_to(path, lock):
                return lock
            problem = None  # sealed by another process since it was listed
    except OSError as error:
        problem = str(error)
    os.close(lock)
    return None if problem is None else Sealed(path.name, OPEN, problem=problem)


def _seal_group(recorded: _Recorded, group: list[Path], headers: dict[str, Header]) -> list[Sealed]:
    """Seal journals whose locks are held, together; one by one where that fails, up to the first that cannot be."""
    if not group:
        return []
    store = recorded.store
    try:
        found = seal_together(store.path, group, recorded.of_run_of(group[0]), headers, keys=store.files.keys)
    except StoreBusy:
        problem = "a conversion or compaction is running; recover again when it has ended"
    except StoreTooNew:
        raise
    except (ReplayLabError, OSError) as error:
        if len(group) > 1:
            done: list[Sealed] = []
            for path in group:
                done += _seal_group(recorded, [path], headers)
                if done and done[-1].problem:
                    break
            return [*done, *(Sealed(path.name, OPEN, problem=LATER) for path in group[len(done) :])]
        problem = str(error)
    else:
        return [one for one in found if one is not None]
    return [Sealed(path.name, OPEN, problem=problem if not at else LATER) for at, path in enumerate(group)]


class _Recorded:
    """What the segments of a store hold of journals, run by run; each segment is read once, when it is first there."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._read: set[str] = set()
        self._of_run: dict[str, list[Extent]] = {}

    def of_run_of(self, journal: Path) -> list[Extent]:
        """Return what segments hold, as of now, of the run that a journal is of; one that is damaged holds nothing."""
        reread(self._look)
        return self._of_run.get(place_of(journal.name)[0], [])

    def _look(self) -> None:
        files = self.store.files
        for name in files.segment_names():
            if name in self._read:
                continue
            try:
                extents = self.store.segment(name).footer.extents
            except SegmentDamaged:
                extents = []  # it is named where it is read
            except FileNotFoundError:
                if name not in files.segment_names():
                    raise  # compacted away since the listing
                extents = []  # a link that leads nowhere
            self._read.add(name)
            for extent in extents:
                if extent.recording:
                    for run in {extent.recording["run"], place_of(extent.source)[0]}:  # a file may have been renamed
                        self._of_run.setdefault(run, []).append(extent)


def recorded_extents(store: Store) -> list[Extent]:
    """Return what the segments of a store hold of journals."""
    return [extent for segment in store.sealed() for extent in segment.footer.extents if extent.recording]


def seal_together(
    root: Path,
    paths: Sequence[Path],
    recorded: Sequence[Extent],
    headers: dict[str, Header] | None = None,
    patience_seconds: float = PATIENCE_SECONDS,
    keys: StoreKeys | None = None,
) -> list[Sealed | None]:
    """Make one segment of neighbouring journals of a run whose locks the caller holds, then remove them.

    Parameters
    ----------
    root, paths : Path, sequence of Path
        The store, and the journals.
    recorded : sequence of Extent
        What segments hold of journals; those of the same run are enough.
    headers : dict, optional
        Headers of the run by the name of their journal, read before; those read now are added.
    patience_seconds : float
        How long to wait for a conversion or compaction, when damage is to be set aside.
    keys : StoreKeys, optional
        Of the store, when it is encrypted.

    Returns
    -------
    list of Sealed or None
        What became of each journal; None when there was nothing in it.

    Raises
    ------
    StoreBusy, StoreFull, StoreUnwritable, Tampered
        The journals stay as they are.
    """
    known = {extent.source for extent in recorded}
    left = [path for path in paths if path.name not in known]
    run = place_of(paths[0].name)[0]
    of_run = [extent for extent in recorded if extent.recording["run"] == run]
    later = later_headers(left[0], {} if headers is None else headers, keys) if left else []
    held, cuts = elsewhere(of_run, later)
    sizes = durable_sizes(later)
    read = _contents(left, held, cuts, sizes, keys)
    full = {path: one for path, one in read.items() if one.seqs or one.remarks()}
    remarks = [remark for one in full.values() for remark in one.remarks()]
    if full:
        segments, first = root / SEGMENTS, next(iter(full))
        make_folders(segments, root / REMARKS, private=keys is not None)
        tables = [pa.Table.from_batches([], SCHEMA), *(table for one in full.values() for table in one.tables())]
        table = sorted_by_game(pa.concat_tables(tables))
        extents = [one.extent() for one in full.values()]
        with sole_writer(root, patience_seconds) if remarks else nullcontext():
            named = _write_remarks(root / REMARKS, first.name, remarks, new_seal(keys, "remarks"))
            write_segment(segments, [table], origin=first.stem, extents=extents, remarks=named, keys=keys).publish()
    remove(list(paths))  # those known were sealed by a process that was killed before this last step
    return [_sealed(path.name, full[path]) if path in full else None for path in paths]


def _contents(
    paths: Sequence[Path], held: SeqRanges, cuts: Mapping[int, int], sizes: Mapping[int, int], keys: StoreKeys | None
) -> dict[Path, JournalReader]:
    """Return what journals of a run hold: read at once, unless lines hold no tick, and so do not hold its number."""
    layouts: list[Known] = []
    read: dict[Path, JournalReader] = {}
    for at_once in (True, False):
        taken = held
        for path in paths:
            number = place_of(path.name)[1]
            contents = read[path] = JournalReader(path.name, taken, cuts.get(number), layouts, keys)
            with path.open("rb") as file:
                contents.read(file, os.fstat(file.fileno()).st_size, final=True)
            contents.report_lacking(sizes.get(number, 0))
            taken |= contents.numbers if at_once else contents.seqs
        read_waiting(read.values(), layouts)
        if all(one.seqs == one.numbers for one in read.values()):
            break
    return read


def _sealed(name: str, contents: JournalReader) -> Sealed:
    extent = contents.extent()
    return Sealed(name, contents.state, extent.tick_count, extent.bytes.get("quarantined", 0))


def _write_remarks(folder: Path, name: str, remarks: list[Placed], seal: FileSeal | None) -> tuple[str | None, int]:
    with written_aside(folder, f"remarks-{name}") as aside:
        with RemarkWriter(aside, seal) as writer:
            writer.write(remarks)
        return publish_remarks(aside, folder, len(remarks), seal), len(remarks)


def _sweep_reserves(folder: Path) -> None:
    """Free the room of recorders that are gone: one that is there has a journal."""
    left = list(folder.glob(f"*{RESERVE}"))
    runs = {place_of(name)[0] for name in journal_names(folder)}
    with suppress(StoreError):  # a store that may only be read
        remove([path for path in left if path.name.removesuffix(RESERVE) not in runs])
