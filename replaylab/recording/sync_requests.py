"""SyncRequests: syncs that a writer asks for, done by the kernel for a moment, without the interpreter's lock.

A thread that takes the interpreter's lock before and after each sync stops the writer twice a sync: measured, that was
more than the sync itself. The kernel syncs as it is asked through a pipe, and returns every few milliseconds.
"""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from datetime import UTC, datetime
from struct import Struct
from typing import Final, NamedTuple

from replaylab.durable import is_fsync_plain
from replaylab.kernel.library import SyncRunStruct, load

STAY_NS: Final = 10_000_000  # how long the kernel waits for requests: meanwhile nothing else is done on that thread
MOST_BYTES: Final = 2 << 20  # of lines that are permanent and still kept, until the kernel returns
SLOW_NS: Final = 1_000_000  # a sync that takes longer costs more than what is saved
_REQUEST: Final = Struct("=qqq")
_INTERRUPT: Final = _REQUEST.pack(-1, -1, 0)
_write: Final = os.write  # a pipe is no disk


class Syncs(NamedTuple):
    """What the kernel has synced.

    Attributes
    ----------
    seq, size : int
        The last tick that is permanent, and bytes of the journal up to it.
    seconds : list of float
        How long each sync took; empty when the first failed.
    error : int
        The errno of the sync that failed, or 0.
    """

    seq: int
    size: int
    seconds: list[float]
    error: int


class SyncRequests:
    """The requests of one recorder's writer; `is_served` says whether the kernel is reading them.

    Any thread may call `ask` and `interrupt` and read `synced_seq`; the rest is for the thread that syncs, or after
    its end.
    """

    def __init__(self) -> None:
        self.is_served = False
        self._reads = self._writes = -1
        self._is_slow = False
        self._kernel = None if os.name != "posix" else load()
        self._sync = ctypes.c_void_p()  # that of the C library
        self._run = SyncRunStruct(seq=-1)

    def can_serve(self) -> bool:
        """Whether the kernel may sync now: it is there, and os.fsync has not been replaced by one who watches it."""
        if self._kernel is None or self._is_slow or not is_fsync_plain():
            self._is_slow = False
            return False
        return self._writes >= 0 or self._open()

    @property
    def synced_seq(self) -> int:
        """The last tick that the kernel has synced and that is not yet called durable; -1 when there is none."""
        return int(self._run.seq)

    @property
    def synced(self) -> tuple[int, datetime | None]:
        """The same tick, and when it was synced (UTC); None when there is none."""
        run = self._run  # once: the thread that syncs puts another in its place
        seq = int(run.seq)
        return seq, None if seq < 0 else datetime.fromtimestamp(run.synced_at_ns / 1e9, UTC)

    def forget(self) -> None:
        """Forget what was synced: it is called durable now, or will not be."""
        self._run = SyncRunStruct(seq=-1)

    def _open(self) -> bool:
        try:
            self._reads, self._writes = os.pipe()
        except OSError:  # no more handles: as without the kernel
            return False
        os.set_blocking(self._reads, False)
        os.set_blocking(self._writes, False)
        return True

    def ask(self, journal: int, seq: int, size: int) -> bool:
        """Ask for a sync of a journal up to a tick; return False when the request was not taken."""
        try:
            _write(self._writes, _REQUEST.pack(journal, seq, size))
        except OSError:  # the pipe is full, or closed
            return False
        return True

    def interrupt(self) -> None:
        """Let the kernel return now."""
        with suppress(OSError):  # full: it returns soon
            _write(self._writes, _INTERRUPT)

    def serve(self, descriptor: int, journal: int, seq: int, size: int, most: int) -> Syncs:
        """Sync an open journal up to a tick, and again as is asked for, `most` ticks at most and for a moment.

        Only when `can_serve` has just returned True.
        """
        run = self._run = SyncRunStruct(journal, seq, size, seq + most, size + MOST_BYTES, STAY_NS, -1)
        descriptor = os.dup(descriptor)  # another thread may close it, and its number may be used again
        try:
            self.is_served = True
            if self._kernel is not None:
                self._kernel.replaylab_sync_as_asked(descriptor, self._reads, self._sync, ctypes.byref(run))
        finally:
            self.is_served = False
            os.close(descriptor)
        took = [one / 1e9 for one in run.took_ns[: run.syncs]]
        self._is_slow = bool(took) and max(took) > SLOW_NS / 1e9
        return Syncs(run.seq, run.size, took, run.error)

    def close(self) -> None:
        """Close the pipe."""
        ends, self._reads, self._writes = (self._reads, self._writes), -1, -1
        for end in ends:
            if end >= 0:
                os.close(end)
