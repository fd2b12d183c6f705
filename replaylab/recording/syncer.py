"""Syncer: makes permanent what a recorder has written; after a failed sync that is written again, elsewhere."""

from __future__ import annotations

import time
from typing import Final

from replaylab.recording.event import RecorderEventKind
from replaylab.recording.mender import DISK_FULL, FULL
from replaylab.recording.state import State

_TICK: Final = b'{"type": "tick"'


class Syncer:
    """Syncs the journals of a recorder, on one thread at a time.

    Attributes
    ----------
    ending : bool
        Whether the recording is at its end: a full disk is no longer waited for then.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.ending = False

    def sync(self) -> bool:
        """Make permanent what is waiting; after a failure, write it again to another journal and give False."""
        done = self._sync_one()
        return self._sync_all() if done is None else done

    def _sync_one(self) -> bool | None:
        """Sync the one journal that is written, without the lock; None when there is more to it, or it fails.

        Whoever writes holds the lock in its calls of the operating system: waiting for it would hold both up. It says
        what it has done in an order that allows this: a line is in the file before it is counted, and a journal is
        among the retired ones before another takes its place.
        """
        state = self.state
        state.flush_asked = False
        file, seq = state.file, state.next_seq - 1
        size = file.size
        alone = not (state.retired or state.abandoned) and state.file is file and not file.lost
        if not alone or state.mode != "group" or state.tally.failures:
            return None
        started = time.monotonic()
        try:
            file.make_permanent(size)
        except OSError as error:
            self._failed(error)
            return False
        state.tally.sync.add(time.monotonic() - started)
        state.made_durable(seq)
        return True

    def _sync_all(self) -> bool:
        """Sync every journal that is not permanent yet, in their order."""
        state = self.state
        with state.lock:
            if any(file.lost for file in [*state.retired, state.file]) and not self._write_again():
                return False
            state.flush_asked = False
            marks = [(file, file.next_seq - 1) for file in state.retired]
            marks.append((state.file, state.next_seq - 1))
        for file, seq in marks:
            retired = file is not marks[-1][0]
            if retired and not file.spoilt:
                file.finish(state.run)
            size = file.size
            started = time.monotonic()
            try:
                file.make_permanent(size)
            except OSError as error:
                self._failed(error)
                return False
            state.tally.sync.add(time.monotonic() - started)
            with state.lock:
                state.made_durable(seq)
                state.tally.failures = 0
                if retired and file in state.retired:
                    state.retired.remove(file)
                    state.sealing.append(file)
        if state.abandoned:
            self._retire_abandoned()
        return True

    def _failed(self, error: OSError) -> None:
        """After a failed sync: what was to be permanent is written to another journal."""
        with self.state.lock:
            self._count(error)
            if self.state.problem is None:
                self._write_again()

    def _count(self, error: OSError) -> None:
        """Count a failure; a full disk is waited for as long as the recording goes on."""
        state = self.state
        state.flush_asked = True  # what waits is synced as soon as it stands elsewhere
        if error.errno in FULL and not self.ending:
            state.tally.errors += 1
            state.tally.last_error = str(error)
            state.pause(DISK_FULL)
        else:
            state.fail(error)

    def _write_again(self) -> bool:
        """Write what is not yet permanent to a new journal, in one piece; those that held it are given up."""
        state = self.state
        lines = list(state.pending) or self._read_back()
        first = state.durable_seq + 1 if lines else state.next_seq
        try:
            state.turn(first)
            state.file.put(b"".join(lines))
        except OSError as again:
            state.file.take_back()
            self._count(again)
            return False
        finally:
            state.settle()
        state.abandoned += state.retired
        state.retired = []
        state.tally.retried += len(lines)
        state.tell(RecorderEventKind.RETRIED, reason=state.tally.last_error, journal=state.file.path.name)
        return True

    def _read_back(self) -> list[bytes]:
        """Read the lines that are not permanent: without a bound in force they are not kept in memory."""
        state = self.state
        contents = (file.content()[file.synced :] for file in [*state.retired, state.file])
        return [line for content in contents for line in content.splitlines(keepends=True) if line.startswith(_TICK)]

    def _retire_abandoned(self) -> None:
        """Cut journals given up back to what was permanent in them: the rest stands elsewhere, and is permanent now."""
        state = self.state
        with state.lock:
            given_up, state.abandoned = state.abandoned, []
        for file in given_up:
            file.size = file.synced
            file.take_back()
        with state.lock:
            state.sealing += given_up
            state.sealing.sort(key=lambda file: file.number)
