"""State: what the threads of one recorder share, under a lock that is never held while a disk syncs or a user runs."""

from __future__ import annotations

import logging
import shutil
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from replaylab.durable import remove
from replaylab.errors import ReplayLabError
from replaylab.journals.encoder import Encoder
from replaylab.journals.format import Header
from replaylab.recording.event import RecorderEvent, RecorderEventKind
from replaylab.recording.journal_file import JournalFile
from replaylab.recording.status import Durations
from replaylab.storage.recovery import RESERVE
from replaylab.storage.store import JOURNALS

if TYPE_CHECKING:
    from replaylab.settings import Settings

RESERVE_BYTES: Final = 256 << 10
RECORDING: Final = "recording"
PAUSED: Final = "paused"
FAILED: Final = "failed"
CLOSED: Final = "closed"
FORKED: Final = "forked"
_LEVELS: Final = {
    RecorderEventKind.PAUSED: logging.WARNING,
    RecorderEventKind.RETRIED: logging.WARNING,
    RecorderEventKind.MOVED: logging.WARNING,
    RecorderEventKind.FAILED: logging.ERROR,
    RecorderEventKind.GAME_STARTED: logging.DEBUG,
    RecorderEventKind.GAME_ENDED: logging.DEBUG,
}
_log = logging.getLogger("replaylab.recorder")


def utc_now() -> datetime:
    """Give the time of this machine."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class World:
    """What a recorder asks of the machine: the time, and the free space of a folder. Tests put others in its place."""

    now: Callable[[], datetime] = utc_now
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free


@dataclass(slots=True)
class Tally:
    """What is counted."""

    bytes: int = 0  # of journals no longer written
    games: int = 0
    segments: int = 0
    errors: int = 0
    failures: int = 0
    retried: int = 0
    quarantined_bytes: int = 0
    callback_errors: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    sync: Durations = field(default_factory=Durations)
    flush: Durations = field(default_factory=Durations)
    last_error: str | None = None


class State:
    """What the threads of one recorder share.

    Parameters
    ----------
    root, run : Path, str
        The store, and the name of the run.
    settings : Settings
        Every number.
    mode : str
        ``group``, ``tick`` or ``none``.
    world : World
        The machine.
    """

    def __init__(self, root: Path, run: str, settings: Settings, mode: str, world: World) -> None:
        self.root = root
        self.folder = root / JOURNALS
        self.run = run
        self.settings = settings
        self.mode = mode
        self.world = world
        self.encoder = Encoder(run)
        self.queue: SimpleQueue[RecorderEvent | threading.Event | None] = SimpleQueue()
        self.tally = Tally()
        self.phase = RECORDING
        self.pause_reason: str | None = None
        self.problem: str | None = None
        self.damage: str | None = None  # what somebody else has done to a journal
        self.game_id: str | None = None
        self.next_seq = 0
        self.durable_seq = -1
        self.durable_at: datetime | None = None
        self.pending: list[bytes] = []  # lines acknowledged and not yet synced: those behind `durable_seq`
        self.flush_asked = False
        self.numbers = 0
        self.free_bytes = 0
        self.keeper = 0  # the thread that tells events
        self.spare: JournalFile | None = None
        self.retired: list[JournalFile] = []  # no longer written, not yet synced
        self.abandoned: list[JournalFile] = []  # their unsynced lines stand in a later journal
        self.sealing: list[JournalFile] = []  # synced, not yet a segment
        self.renew_lock()
        self.file: JournalFile

    def renew_lock(self) -> None:
        """Make the lock new: that of a forked process may be held by a thread that it does not have."""
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self.waiting = 0  # threads that wait for it
        self.clear: bool | None = True  # a tick may be written; None while one is

    @property
    def durability(self) -> dict[str, Any]:
        """The bound in force."""
        if self.mode != "group":
            return {"mode": self.mode}
        return {"mode": "group", "ticks": self.settings.buffer_ticks, "seconds": self.settings.sync_seconds}

    @property
    def reserve(self) -> Path:
        """Room kept for closing."""
        return self.folder / (self.run + RESERVE)

    @property
    def is_held(self) -> bool:
        """Whether this very thread holds the lock."""
        return bool(self.lock._is_owned())  # type: ignore[attr-defined]  # noqa: SLF001 what a Condition asks, too

    @property
    def is_behind(self) -> bool:
        """Whether journals end faster than they are sealed: they grow longer then, and are no more."""
        return len(self.sealing) > 1

    @property
    def written(self) -> list[JournalFile]:
        """The journals that ticks still depend on, and the next one."""
        spare = [self.spare] if self.spare else []
        return [*self.abandoned, *self.retired, self.file, *spare]

    @property
    def files(self) -> list[JournalFile]:
        """Every journal that is open."""
        return [*self.sealing, *self.written]

    def tell(self, kind: RecorderEventKind, **details: Any) -> None:
        """Log a change of state, and have it told to whoever listens."""
        shown = " ".join(f"{name}={value}" for name, value in details.items())
        extra = {
            "event": kind.value,
            "recorder_run": self.run,
            "recorder_event": kind.value,
            **{f"recorder_{k}": v for k, v in details.items()},
        }
        _log.log(_LEVELS.get(kind, logging.INFO), "recorder %s: %s %s", self.run, kind.value, shown, extra=extra)
        self.queue.put(RecorderEvent(kind, self.world.now(), details))

    def create(self) -> JournalFile:
        """Make the next journal; raises OSError."""
        with self.lock:
            number = self.numbers
            self.numbers += 1
        return JournalFile.create(self.folder, self.run, number)

    def turn(self, first_seq: int | None = None) -> JournalFile:
        """Go on in another journal, the spare one when there is one; give the one before. Raises OSError."""
        new, self.spare = self.spare or self.create(), None
        spoilt = {str(file.number): file.size for file in self.files if file.spoilt}
        new.first_seq = self.next_seq if first_seq is None else first_seq
        header = Header(self.run, new.number, new.first_seq, self.durability, spoilt)
        try:
            new.put(header.to_line())
        except OSError:
            self.discard(new)
            raise
        old = self.file
        old.next_seq = self.next_seq
        self.retired.append(old)  # first: the keeper looks at both without the lock
        self.file = new
        self.tally.bytes += old.size
        return old

    def wait(self, reached: Callable[[], object], seconds: float) -> None:
        """Wait for a change, with the lock held."""
        self.waiting += 1  # before it looks: whoever changes something looks at this afterwards
        try:
            self.changed.wait_for(reached, seconds)
        finally:
            self.waiting -= 1

    def made_durable(self, seq: int) -> None:
        """Say that all up to a place in the run is permanent; needs no lock."""
        count = seq - self.durable_seq
        if count > 0:
            del self.pending[:count]
            self.durable_seq = seq
        self.durable_at = self.world.now()
        if self.waiting:
            with self.lock:
                self.changed.notify_all()

    def settle(self) -> None:
        """Say whether the next tick may be written without a second look."""
        self.clear = self.phase is RECORDING and not self.file.spoilt

    @staticmethod
    def discard(file: JournalFile) -> None:
        """Take away a journal in which nothing was acknowledged."""
        with suppress(OSError):
            file.take_back()
            file.path.unlink(missing_ok=True)
        file.close()

    def fail(self, error: BaseException | str) -> None:
        """Count a failure; the one too many ends the recording."""
        tally = self.tally
        tally.errors += 1
        tally.failures += 1
        tally.last_error = str(error)
        if tally.failures >= self.settings.max_failures and self.problem is None:
            self.phase = FAILED if self.phase != CLOSED else CLOSED
            self.problem = f"given up after {tally.failures} failures in a row, the last one: {error}"
            self.clear = self.clear and False
            self.tell(RecorderEventKind.FAILED, reason=self.problem)
            self.changed.notify_all()

    def pause(self, reason: str) -> None:
        """Refuse ticks until there is room again."""
        if self.phase == RECORDING:
            self.phase, self.pause_reason = PAUSED, reason
            self.clear = self.clear and False
            with suppress(OSError, ReplayLabError):
                remove([self.reserve])
            self.tell(RecorderEventKind.PAUSED, reason=reason, free_bytes=self.free_bytes)
            self.changed.notify_all()
