"""Syncer: makes permanent what a recorder has written; after a failed sync it is written again elsewhere."""

from __future__ import annotations

import errno
import os
import time
from typing import Final

from replaylab.recording.journal_file import JournalFile
from replaylab.recording.state import DISK_FULL, FULL, State

_LOOK_SECONDS: Final = 0.01  # between two looks whether the path of a journal still leads to it: each stops the writer
_MOST_TICKS: Final = 10_000  # that are permanent and still kept, until the kernel returns
_TICK: Final = b'{"type": "tick"'


class Syncer:
    """Syncs the journals of a recorder, on one thread at a time.

    Parameters
    ----------
    state : State
        Shared with the writer.

    Attributes
    ----------
    ending : bool
        Whether the recording ends: a full disk is then no longer waited for.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.ending = False
        self._looked_at = 0.0

    def end(self) -> None:
        """Count a full disk as a failure from now on."""
        self.ending = True

    def sync(self) -> bool:
        """Make permanent what is waiting; return False after a failure.

        A journal whose sync failed is never synced again: the next call writes what was waiting to another one first.
        """
        begun = time.monotonic()
        asked = self.state.positions.sync_asked
        done = self._sync_current(by_kernel=not asked and self.state.requests.can_serve())
        if done is None:
            done = self._sync_all()
        if done:
            self.state.counters.flush.add(time.monotonic() - begun)
        return done

    def _sync_current(self, *, by_kernel: bool) -> bool | None:
        """Sync the one journal that is written, without the lock; return None when there is more to do, or it fails.

        The writer holds the lock in its calls of the operating system: waiting for it would hold both up. It makes its
        changes in an order that allows this: a line is in the file before it is counted, and a journal is among the
        retired ones before another takes its place.
        """
        state, journals, positions = self.state, self.state.journals, self.state.positions
        positions.begin_sync()
        file, seq = journals.current, positions.last_seq
        size = file.size
        alone = not (journals.retired or journals.abandoned) and journals.current is file and not file.given_up
        if not alone or state.mode != "group" or state.health.sync_fails:
            return None
        now = time.monotonic()
        looks = now - self._looked_at >= _LOOK_SECONDS
        try:
            if by_kernel and file.named:
                self._serve(file, seq, size, looks=looks)
            else:
                state.sync(file, size, looks=looks)
                state.make_durable(seq)
        except OSError as error:
            self._failed(error)
            return False
        if looks:
            self._looked_at = now
        return True

    def _serve(self, file: JournalFile, seq: int, size: int, *, looks: bool) -> None:
        """Let the kernel sync a journal, as its writer asks for it; raises OSError."""
        state = self.state
        try:
            done = state.requests.serve(file.descriptor, file.number, seq, size, _MOST_TICKS)
            for seconds in done.seconds:
                state.counters.sync.add(seconds)
            if done.seconds:
                if looks:
                    file.check_reachable()
                file.note_synced(done.size)
                state.make_durable(done.seq)
        finally:
            state.requests.forget()
        if done.error:
            file.give_up()
            raise OSError(done.error, os.strerror(done.error), str(file.path))

    def _sync_all(self) -> bool:
        """Sync every journal that is not permanent yet, in their order."""
        state, journals, positions = self.state, self.state.journals, self.state.positions
        with state.lock:
            if any(file.given_up for file in journals.unsynced) and not self.write_again():
                return False
            positions.begin_sync()
            marks = [(file, file.next_seq - 1) for file in journals.retired]
            marks.append((journals.current, positions.last_seq))
        for file, seq in marks:
            retired = file is not marks[-1][0]
            if retired and not file.spoilt:
                file.write_end_line(state.run)
            try:
                state.sync(file, file.size)
            except OSError as error:
                self._failed(error)
                return False
            with state.lock:
                state.make_durable(seq)
                state.health.succeed_sync()
                if retired:
                    journals.release(file)
        if journals.abandoned:
            self._release_abandoned()
        return True

    def _failed(self, error: OSError) -> None:
        """After a failed sync; a journal that is gone is restored at the next look at the disk, and is no failure."""
        with self.state.lock:
            if error.errno == errno.ENOENT and not all(file.is_reachable for file in self.state.journals.unsynced):
                self.state.positions.ask_for_sync()
                return
            self.state.health.fail_sync()
            self._count(error)

    def _count(self, error: OSError) -> None:
        """Count a failure; a full disk is waited for until the recording ends."""
        state = self.state
        state.positions.ask_for_sync()  # as soon as what waits has been written elsewhere
        if error.errno in FULL and not self.ending:
            state.health.back_off(error)
            state.pause(DISK_FULL)
        else:
            state.fail(error)

    def write_again(self) -> bool:
        """Write what is not permanent to a new journal with one write; those that held it are abandoned."""
        state, journals, positions = self.state, self.state.journals, self.state.positions
        lines = list(positions.unsynced) or self._read_back()
        first = positions.synced_seq + 1 if lines else positions.next_seq
        try:
            journals.turn(first, positions.next_seq)
            journals.current.write(b"".join(lines))
        except OSError as again:
            journals.current.remove_rest()
            self._count(again)
            return False
        journals.abandon()
        journals.drop_abandoned()
        state.report_retried(len(lines), state.health.last_error)
        return True

    def _read_back(self) -> list[bytes]:
        """Read the lines that are not permanent: without a bound in force they are not kept in memory."""
        parts = (file.lines(file.synced) for file in self.state.journals.unsynced)
        return [line for part in parts for line in part if line.startswith(_TICK)]

    def _release_abandoned(self) -> None:
        """Cut abandoned journals to what was permanent in them: the rest is permanent elsewhere now."""
        journals = self.state.journals
        with self.state.lock:
            files = journals.take_abandoned()
        for file in files:
            file.cut_to_synced()
        with self.state.lock:
            journals.seal_later(files)
