"""Mender: what a recorder does after a write that failed or was interrupted, so that no tick is there half or twice."""

from __future__ import annotations

import errno
import os
from typing import Final

from replaylab.recording.event import RecorderEventKind
from replaylab.recording.journal_file import JournalFile
from replaylab.recording.state import State

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
DISK_FULL: Final = "disk_full"


class Mender:
    """Counts lines as acknowledged, and puts failures straight; the caller holds the lock.

    Parameters
    ----------
    state : State
        Shared with the keeper.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self._keeps = state.mode == "group"
        self._syncs = state.mode == "tick"
        self._due = state.settings.buffer_ticks

    def keep(self, lines: list[bytes]) -> None:
        """Count lines as acknowledged."""
        state = self.state
        if self._keeps:
            state.pending.extend(lines)  # first: the keeper takes away as many as are counted
            if len(state.pending) >= self._due:
                state.queue.put(None)
        state.next_seq += len(lines)

    def write_again(self, lines: list[bytes], error: OSError) -> bool:
        """Write lines to the next journal after a failure, of which nothing counts; False when that fails too."""
        state, old = self.state, self.state.file
        state.tally.errors += 1
        state.tally.last_error = str(error)
        old.take_back()
        old.spoilt = old.spoilt or old.lost  # nothing more is written to it, also when there is no other yet
        size = old.size
        try:
            state.turn()
            size = state.file.size
            if self._syncs:  # a file whose sync has failed is never synced again
                state.abandoned.append(old)
                state.retired.remove(old)
            state.file.put(b"".join(lines))
            if self._syncs:
                state.file.make_permanent(state.file.size)
                state.made_durable(state.next_seq + len(lines) - 1)
        except OSError as again:
            state.file.size = size
            state.file.take_back()
            self.failed(again)
            return False
        self.keep(lines)
        state.tally.retried += len(lines)
        state.tell(RecorderEventKind.RETRIED, reason=str(error), journal=state.file.path.name)
        return True

    def failed(self, error: OSError) -> None:
        """A full disk is waited for; any other failure counts."""
        if error.errno in FULL:
            self.state.tally.last_error = str(error)
            self.state.pause(DISK_FULL)
        else:
            self.state.fail(error)
        self.state.queue.put(None)

    def interrupted(
        self, file: JournalFile, before: int, line: bytes, seq: int, lines: list[bytes] | None = None
    ) -> None:
        """Put straight what an exception from outside, such as Ctrl-C, left in the middle: written or not at all."""
        state = self.state
        if state.file is file:
            written = bool(line) and os.fstat(file.descriptor).st_size == before + len(line)
            file.size = before + len(line) * written
            if written and state.next_seq == seq:
                fresh = lines or [line]
                if state.pending[-len(fresh) :] == fresh:
                    del state.pending[-len(fresh) :]
                self.keep(fresh)
        state.file.take_back()
        state.settle()
