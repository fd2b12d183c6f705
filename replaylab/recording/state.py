"""State: what the threads of one recorder share, under a lock that is not held while a disk syncs or a callback runs.

It consists of parts, each of which alone writes its own fields: `Positions` (how far), `JournalSet` (which files),
`Health` (whether ticks are accepted), `Counters` and `EventQueue`.
"""

from __future__ import annotations

import errno
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from replaylab.durable import make_folders, remove
from replaylab.encryption.keys import StoreKeys
from replaylab.errors import ReplayLabError
from replaylab.recording.counters import Counters
from replaylab.recording.event import EventQueue, RecorderEventKind
from replaylab.recording.health import Health
from replaylab.recording.journal_file import JournalFile
from replaylab.recording.journal_set import JournalSet
from replaylab.recording.positions import Positions
from replaylab.recording.sync_requests import SyncRequests
from replaylab.storage.recovery import RESERVE
from replaylab.storage.store import JOURNALS, REMARKS, SEGMENTS

if TYPE_CHECKING:
    from replaylab.settings import Settings

RESERVE_BYTES: Final = 256 << 10
DISK_FULL: Final = "disk_full"
STORE_GONE: Final = "store_gone"
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def utc_now() -> datetime:
    """Return the time of this machine."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Environment:
    """What a recorder asks of the machine: the time, and the free space of a folder. Tests replace both."""

    now: Callable[[], datetime] = utc_now
    free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free


Feed: TypeAlias = Callable[[], Mapping[str, Any] | None]  # what a live session says of itself


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
    environment : Environment
        The machine.
    keys : StoreKeys, optional
        Of the store, when it is encrypted.
    """

    def __init__(
        self,
        root: Path,
        run: str,
        settings: Settings,
        mode: str,
        environment: Environment,
        keys: StoreKeys | None = None,
    ) -> None:
        self.root = root
        self.keys = keys
        self.folder = root / JOURNALS
        self.run = run
        self.settings = settings
        self.mode = mode
        self.environment = environment
        self.durability = durability_of(mode, settings)
        self.positions = Positions(settings.buffer_ticks)
        self.journals = JournalSet(self.folder, run, self.durability, keys)
        self.health = Health(settings.max_failures, settings.max_failure_seconds)
        self.counters = Counters()
        self.events = EventQueue(run, environment.now)
        self.requests = SyncRequests()
        self.feeds: list[Feed] = []
        self.on_feed_change: Callable[[Feed], None] | None = None
        self.renew_lock()

    def renew_lock(self) -> None:
        """Make a new lock: in a forked child the old one may be held by a thread that is not there."""
        self.lock = threading.RLock()
        self.changed = threading.Condition(self.lock)
        self._waiting = 0

    def make_folders(self) -> None:
        """Make the folders of the store; raises when they cannot be made, or are those of another encrypted store."""
        keys = self.keys
        if keys is not None:
            make_folders(self.root, private=True)
            keys.restore_file(self.root)
        folders = (self.root / name for name in (SEGMENTS, REMARKS, JOURNALS))
        make_folders(self.root, *folders, private=keys is not None)

    @property
    def reserve(self) -> Path:
        """File that keeps room for closing."""
        return self.folder / (self.run + RESERVE)

    @property
    def is_held(self) -> bool:
        """Whether this thread holds the lock."""
        return bool(self.lock._is_owned())  # type: ignore[attr-defined]  # noqa: SLF001 as Condition does

    def report_changes(self, on_change: Callable[[], None], on_feed_change: Callable[[Feed], None]) -> None:
        """Call a function when what the recorder is doing changes, and another with each feed that changes."""
        self.health.report_changes(on_change)
        self.on_feed_change = on_feed_change

    def add_feed(self, feed: Feed) -> Callable[[], None]:
        """Show what a live session that records here says of itself; return what it calls when that has changed."""
        self.feeds.append(feed)
        return lambda: None if self.on_feed_change is None else self.on_feed_change(feed)

    def feed_states(self) -> list[Mapping[str, Any]]:
        """Return what the live sessions that record here say of themselves."""
        return [said for feed in self.feeds if (said := feed()) is not None]

    def wait(self, reached: Callable[[], object], seconds: float) -> None:
        """Wait for a change, with the lock held."""
        self._waiting += 1  # before the first check: `make_durable` looks at it after its change
        try:
            self.changed.wait_for(reached, seconds)
        finally:
            self._waiting -= 1

    def sync(self, file: JournalFile, size: int, *, looks: bool = True) -> None:
        """Make the first `size` bytes of a journal permanent, and measure how long that takes; raises OSError.

        `looks` says whether it is made sure that its path still leads to it.
        """
        started = time.monotonic()
        file.make_permanent(size, looks=looks)
        self.counters.sync.add(time.monotonic() - started)

    @property
    def durable(self) -> tuple[int, datetime | None]:
        """The last tick that survives a power cut, with those that the kernel has synced meanwhile; and since when."""
        synced_seq, synced_at = self.requests.synced  # first: what it is emptied of is durable by then
        durable_seq, durable_at = self.positions.durable_seq, self.positions.durable_at
        is_ahead = synced_seq > durable_seq and not self.positions.lost
        return (synced_seq, synced_at) if is_ahead else (durable_seq, durable_at)

    @property
    def synced_seq(self) -> int:
        """The last tick that has been synced, by the thread or meanwhile by the kernel."""
        return max(self.positions.synced_seq, self.requests.synced_seq)

    @property
    def waiting_ticks(self) -> int:
        """Ticks that are kept until they are synced, without those that the kernel has synced meanwhile."""
        kept, synced_seq = len(self.positions.unsynced), self.requests.synced_seq
        return kept if synced_seq < 0 else min(kept, self.positions.last_seq - synced_seq)

    def ask_for_sync(self, file: JournalFile, seq: int) -> None:
        """Ask for a sync of a journal up to a tick that is in it."""
        self.positions.raise_due(seq)
        if not (self.requests.is_served and self.requests.ask(file.number, seq, file.size)):
            self.events.wake()

    def wake(self) -> None:
        """Wake the background thread, also out of the kernel."""
        self.events.wake()
        if self.requests.is_served:
            self.requests.interrupt()

    def make_durable(self, seq: int) -> None:
        """Record that every tick up to `seq` is permanent; needs no lock."""
        self.positions.make_durable(seq, self.environment.now())
        if self._waiting:
            with self.lock:
                self.changed.notify_all()

    def turn(self) -> JournalFile:
        """Go on in the next journal; return the one before. Raises OSError."""
        return self.journals.turn(self.positions.next_seq, self.positions.next_seq)

    def fail(self, error: BaseException | str) -> None:
        """Count a failure; the one too many ends the recording."""
        if self.health.fail(error):
            self._report_failed()

    def give_up(self, problem: str) -> None:
        """End the recording for a reason."""
        if self.health.give_up(problem):
            self._report_failed()

    def _report_failed(self) -> None:
        self.events.emit(RecorderEventKind.FAILED, reason=self.health.problem)
        self.changed.notify_all()

    def pause(self, reason: str) -> None:
        """Refuse ticks until the recorder can go on."""
        if self.health.pause(reason, self.positions.next_seq):
            with suppress(OSError, ReplayLabError):
                remove([self.reserve])
            self.events.emit(RecorderEventKind.PAUSED, reason=reason, free_bytes=self.health.free_bytes)
            self.changed.notify_all()

    def report_retried(self, lines: int, reason: str | None) -> None:
        """Count lines that were written again, and emit the event."""
        self.counters.add_retried(lines)
        self.events.emit(RecorderEventKind.RETRIED, reason=reason, journal=self.journals.current.path.name)


def durability_of(mode: str, settings: Settings) -> dict[str, Any]:
    """Return the bound in force, as the status and the headers of journals show it."""
    if mode != "group":
        return {"mode": mode}
    return {"mode": "group", "ticks": settings.buffer_ticks, "seconds": settings.sync_seconds}
