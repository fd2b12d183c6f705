"""Work: what of a recorder goes on when nobody holds it any more; its beginning and end, and what a fork does to it."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from replaylab.durable import keep_room, make_folders, remove, storing, sync_folder
from replaylab.errors import DiskLow, RecordingFailed, ReplayLabError
from replaylab.journals.format import Header
from replaylab.recording.background import Keeper
from replaylab.recording.event import RecorderEvent, RecorderEventKind
from replaylab.recording.receipt import RecordingReport
from replaylab.recording.sealer import Sealer
from replaylab.recording.state import CLOSED, FORKED, RESERVE_BYTES, State
from replaylab.storage.store import JOURNALS, REMARKS, SEGMENTS

_live: Final[weakref.WeakSet[State]] = weakref.WeakSet()


class Work:
    """What goes on while nobody holds the recorder any more: its threads and its end."""

    def __init__(self, state: State, listener: Callable[[RecorderEvent], object] | None) -> None:
        self.state = state
        self.sealer = Sealer(state)
        self.keeper = Keeper(state, self.sealer, listener)
        self._stopping = threading.RLock()
        self._stops = False  # in the middle of it
        self._later: threading.Thread | None = None
        self._report: RecordingReport | None = None
        _live.add(state)
        state.tell(RecorderEventKind.STARTED, path=str(state.root), durability=state.durability)
        self.keeper.start()

    def flush(self, timeout_seconds: float) -> None:
        """Wait until all that was accepted so far is permanent, and what happened until then is told."""
        state = self.state
        deadline = time.monotonic() + timeout_seconds
        with state.lock:
            wanted = state.next_seq - 1
            if threading.current_thread() is self.keeper.thread:
                self.keeper.sync()
            elif state.durable_seq < wanted and self._report is None and state.clear is not None:
                state.flush_asked = True
                state.queue.put(None)
                state.wait(lambda: state.durable_seq >= wanted or state.problem or self._report, timeout_seconds)
            missing = max(0, wanted - state.durable_seq)  # others may have recorded meanwhile
        if state.clear is not None:
            self.keeper.catch_up(deadline - time.monotonic())
        if missing or state.problem:
            raise RecordingFailed(
                f"{missing} ticks of {state.root} are written and not yet permanent: "
                f"{state.problem or f'not done within {timeout_seconds} s'}"
            )

    def stop(self) -> RecordingReport:
        """End the recording."""
        state = self.state
        if state.phase == FORKED:
            return self._reported()
        if state.is_held:  # a signal handler, in the middle of a tick of the same thread
            return self._stop_later()
        if not self._stopping.acquire(blocking=threading.current_thread() is not self.keeper.thread):
            return self._reported()  # from a callback, while another thread waits for it
        again, self._stops = self._stops, True
        try:
            if self._report is None and not again:
                with state.lock:
                    state.phase = CLOSED
                    state.settle()
                    if state.game_id is not None:
                        state.tell(RecorderEventKind.GAME_ENDED, game_id=state.game_id)
                    state.changed.notify_all()
                self.keeper.end()
                self.sealer.finish()
                self._close()
                self._report = self._reported()
                state.tell(RecorderEventKind.STOPPED, ticks=state.next_seq, durable=self._report.durable)
                self.keeper.tell_all()
            return self._report or self._reported()
        finally:
            self._stops = again
            self._stopping.release()

    def drop(self) -> None:
        """End the recording of a recorder that is gone, on whatever thread that shows."""
        if threading.current_thread() is self.keeper.thread:
            self._stop_later()
        else:
            self.stop()

    def _stop_later(self) -> RecordingReport:
        """Take no more ticks, and end as soon as this thread has done what it was doing."""
        with self.state.lock:
            self.state.phase = CLOSED
            self.state.clear = self.state.clear and False  # None says that a tick is in hand
        if self._later is None:
            self._later = threading.Thread(target=self.stop, name=f"replaylab-stop-{self.state.run[-12:]}")
            with suppress(RuntimeError):  # the interpreter is ending; it stops all that is left
                self._later.start()
        return self._reported()

    def _close(self) -> None:
        state = self.state
        if state.spare is not None:
            state.discard(state.spare)
            state.spare = None
        try:
            remove([state.reserve])
        except ReplayLabError as error:
            state.tally.last_error = str(error)
        for file in state.files:
            file.close()
        _live.discard(state)

    def _reported(self) -> RecordingReport:
        state = self.state
        tally = state.tally
        return RecordingReport(
            path=state.root,
            run=state.run,
            ticks=state.next_seq,
            bytes=tally.bytes + state.file.size,
            segments=tally.segments,
            journals_left=len(state.sealing),
            refused=dict(tally.refused),
            errors=tally.errors,
            retried=tally.retried,
            durable=state.durable_seq >= state.next_seq - 1,
            problem=state.problem,
        )


def begin(state: State) -> None:
    """Make the store and the first journal; raises when there is no room."""
    make_folders(state.root, *(state.root / name for name in (SEGMENTS, REMARKS, JOURNALS)))
    with storing(state.folder):
        state.free_bytes = state.world.free_bytes(state.folder)
        least = state.settings.min_free_start_bytes
        if state.free_bytes < least:
            raise DiskLow(
                f"{state.free_bytes:,} bytes are free on the disk of {state.root}, {least:,} are needed to begin a "
                "recording; free some space or lower the setting min_free_start_bytes"
            )
        state.file = state.create()
        try:
            state.file.put(Header(state.run, state.file.number, 0, state.durability).to_line())
            keep_room(state.reserve, RESERVE_BYTES)
            sync_folder(state.folder)
            state.file.named = True
        except BaseException:
            state.discard(state.file)
            state.reserve.unlink(missing_ok=True)
            raise


def _forget() -> None:
    """After a fork, in the child: the journals are the parent's; nothing of them is written, locked or removed here."""
    for state in list(_live):
        state.renew_lock()
        state.phase = FORKED
        state.clear = False
        for file in state.files:
            file.close()


os.register_at_fork(after_in_child=_forget)
