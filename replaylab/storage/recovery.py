"""Recovery: what journals hold becomes segments; sealing is converting, and may be killed or run again at any moment.

A journal belongs to whoever holds its lock: a recorder while it writes, else whoever seals it. It is removed only when
the segment that holds its ticks is permanent; a reader that finds both reads the segment.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import nullcontext, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from replaylab.durable import (
    PATIENCE_SECONDS,
    leads_to,
    make_folders,
    remove,
    sole_writer,
    sweep,
    try_lock,
    written_aside,
)
from replaylab.errors import ReplayLabError, StoreBusy, StoreError, StoreTooNew
from replaylab.journals.format import place_of
from replaylab.journals.reader import OPEN, JournalReader
from replaylab.journals.unsealed import elsewhere, journal_names
from replaylab.progress import bar
from replaylab.segments.extent import Extent
from replaylab.segments.remarks import Placed, RemarkWriter, publish_remarks
from replaylab.segments.segment import write_segment
from replaylab.storage.objectstore import refuse_uri
from replaylab.storage.store import JOURNALS, REMARKS, SEGMENTS, Store

RESERVE: Final = ".reserve"  # ending of the room that a recorder keeps for closing
LIVE: Final = "somebody else has it open"  # its recorder, or another recovery
LATER: Final = "the journal before it comes first"
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
        lines = [f"{len(done)} journal{'s' * (len(done) != 1)} sealed, {self.ticks:,} ticks"]
        for one in self.journals:
            aside = f", {one.quarantined_bytes:,} bytes set aside" if one.quarantined_bytes else ""
            lines.append(f"- {one.journal}: {one.state}, " + (one.problem or f"{one.ticks:,} ticks{aside}"))
        return "\n".join(lines)


def recover(store: str | os.PathLike[str] | Store, *, progress: bool = False) -> RecoveryReport:
    """Seal the journals that recorders have left behind; those that are being written stay as they are.

    Safe beside recorders, readers, conversions and other recoveries, and safe to kill: what is not sealed can be read
    as it is, and is sealed by the next one. `open_store` does this by itself.

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
    opened = store if isinstance(store, Store) else Store(store)
    folder = opened.path / JOURNALS
    names = journal_names(folder)
    found: list[Sealed] = []
    waiting: set[str] = set()
    with bar(len(names), "recover", "journal", show=progress) as shown:
        for name in names:
            run, _ = place_of(name)
            sealed = _recover_one(opened, folder / name) if run not in waiting else Sealed(name, OPEN, problem=LATER)
            if sealed is not None:
                found.append(sealed)
                _log_sealed(sealed)
                if sealed.problem:
                    waiting.add(run)  # what the next one holds, or cuts, of this one is settled in their order
            shown.update()
    if names or folder.is_dir():
        _sweep_reserves(folder)
        with suppress(StoreError):  # a store that may only be read
            sweep(opened.path / SEGMENTS)
            sweep(opened.path / REMARKS)
    report = RecoveryReport(str(opened.path), tuple(found))
    fields = {"event": "recovered", "store": report.store, "journals": len(found), "ticks": report.ticks}
    _log.info("%s recovered: %d ticks", report.store, report.ticks, extra=fields) if found else None
    return report


def _log_sealed(sealed: Sealed) -> None:
    """Log what became of a journal; a warning when it is left though no recorder is writing it."""
    level = logging.INFO if sealed.problem in {None, LIVE, LATER} else logging.WARNING
    event = "unsealed" if sealed.problem else "sealed"
    said = sealed.problem or f"{sealed.state}, {sealed.ticks:,} ticks"
    _log.log(level, "%s %s: %s", sealed.journal, event, said, extra={"event": event, **asdict(sealed)})


def _recover_one(store: Store, path: Path) -> Sealed | None:  # noqa: PLR0911 one way out for each thing that may be
    """Seal one journal, if nobody holds it; None when it is gone, or nothing was in it."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        return Sealed(path.name, OPEN, problem=f"it cannot be opened for writing ({error.strerror})")
    try:
        if not try_lock(lock):
            return Sealed(path.name, OPEN, problem=LIVE)
        if not leads_to(path, lock):
            return None  # sealed by somebody else since it was listed
        return seal(store.path, path, recorded_extents(store))
    except StoreBusy:
        return Sealed(path.name, OPEN, problem="a conversion or compaction is running; recover again when it has ended")
    except StoreTooNew:
        raise
    except (ReplayLabError, OSError) as error:
        return Sealed(path.name, OPEN, problem=str(error))
    finally:
        os.close(lock)


def recorded_extents(store: Store) -> list[Extent]:
    """Give what the segments of a store hold of journals."""
    return [extent for segment in store.sealed() for extent in segment.footer.extents if extent.recording]


def seal(
    root: Path, path: Path, recorded: Sequence[Extent], patience_seconds: float = PATIENCE_SECONDS
) -> Sealed | None:
    """Make a segment of a journal whose lock the caller holds, then remove it; None when there was nothing in it.

    Parameters
    ----------
    root, path : Path
        The store and the journal.
    recorded : sequence of Extent
        What segments hold of journals; those of the same run are enough.
    patience_seconds : float
        How long to wait for a conversion or compaction, when damage is to be set aside.

    Raises
    ------
    StoreBusy, StoreFull, StoreUnwritable
        The journal stays as it is.
    """
    if any(extent.source == path.name for extent in recorded):
        remove([path])  # sealed by somebody who was killed before this last step
        return None
    contents = JournalReader(path.name, *elsewhere(path, recorded))
    with path.open("rb") as file:
        contents.read(file, os.fstat(file.fileno()).st_size, final=True)
    table, remarks, extent = contents.table(), contents.remarks(), contents.extent()
    if table.num_rows or remarks:
        segments = root / SEGMENTS
        make_folders(segments, root / REMARKS)
        with sole_writer(root, patience_seconds) if remarks else nullcontext():
            named = _write_remarks(root / REMARKS, path.name, remarks)
            write_segment(segments, [table], origin=path.stem, extents=[extent], remarks=named)
    remove([path])
    if not table.num_rows and not remarks:
        return None
    quarantined = extent.bytes.get("quarantined", 0)
    return Sealed(path.name, contents.state, table.num_rows, quarantined)


def _write_remarks(folder: Path, name: str, remarks: list[Placed]) -> tuple[str | None, int]:
    with written_aside(folder, f"remarks-{name}") as aside:
        with RemarkWriter(aside) as writer:
            writer.write(remarks)
        return publish_remarks(aside, folder, len(remarks)), len(remarks)


def _sweep_reserves(folder: Path) -> None:
    """Give back the room of recorders that are gone: one that is there has a journal."""
    left = list(folder.glob(f"*{RESERVE}"))
    runs = {place_of(name)[0] for name in journal_names(folder)}
    with suppress(StoreError):  # a store that may only be read
        remove([path for path in left if path.name.removesuffix(RESERVE) not in runs])
