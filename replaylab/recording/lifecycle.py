"""Lifecycle: how a recorder begins, flushes and ends, and what a fork does to it; it outlives the Recorder object."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from replaylab.durable import keep_room, remove, storing
from replaylab.errors import DiskLow, RecordingFailed, ReplayLabError
from replaylab.recording.alerts import Alerts
from replaylab.recording.background import Background, Listener
from replaylab.recording.event import RecorderEventKind
from replaylab.recording.health import Phase
from replaylab.recording.journal_set import discard
from replaylab.recording.receipt import RecordingReport
from replaylab.recording.sealer import Sealer
from replaylab.recording.state import RESERVE_BYTES, State
from replaylab.recording.status_file import StatusFile
from replaylab.recording.writer import Writer
from replaylab.watching.alert import Target

_SEALING_SECONDS: Final = 1.0  # after a fault, no journal is begun to be sealed later than this
_live: Final[weakref.WeakSet[State]] = weakref.WeakSet()


class Lifecycle:
    """The background threads of a recorder, and its end.

    Parameters
    ----------
    state : State
        Of a recording that has begun.
    writer : Writer
        Its writer.
    listener : callable, optional
        Called with each event.
    targets : sequence of callable or Webhook
        Called with each change of state.
    """

    def __init__(self, state: State, writer: Writer, listener: Listener | None, targets: Sequence[Target] = ()) -> None:
        self.state = state
        self.writer = writer
        self.sealer = Sealer(state)
        self.alerts = Alerts(state, targets)
        self.status_file = StatusFile(state, lambda: writer.game_id, self.alerts.counts)
        self.background = Background(state, self.sealer, listener, self.status_file, self._stop_later)
        self._stopping = threading.RLock()
        self._is_stopping = False
        self._later: threading.Thread | None = None
        self._report: RecordingReport | None = None
        _live.add(state)
        state.events.emit(RecorderEventKind.STARTED, path=str(state.root), durability=state.durability)
        self.background.start()
        writer.serve(self.background.thread.ident or 0, self.background.watch.restore)

    def flush(self, timeout_seconds: float) -> None:
        """Wait until all that was accepted so far is permanent, and its events are delivered."""
        state, positions, health = self.state, self.state.positions, self.state.health
        deadline = time.monotonic() + timeout_seconds
        with state.lock:
            wanted, inside = positions.last_seq, self.writer.is_inside
            if threading.current_thread() is self.background.thread:
                self.background.sync()
            elif self._report is None and not inside and not self._is_durable(wanted):
                positions.ask_for_sync()
                state.wake()
                state.wait(lambda: self._is_durable(wanted) or health.problem or self._report, timeout_seconds)
            missing = max(0, wanted - positions.durable_seq)  # other threads may have recorded meanwhile
            if not (missing or inside or self._report or state.journals.current.is_reachable):
                missing = wanted + 1 - state.journals.current.first_seq  # its name is gone, which nobody has seen yet
        if not inside:
            self.background.catch_up(deadline - time.monotonic())
        if missing or health.problem:
            raise RecordingFailed(
                f"{missing} ticks of {state.root} are written and not yet permanent: "
                f"{health.problem or f'not done within {timeout_seconds} s'}"
            )

    def _is_durable(self, seq: int) -> bool:
        """Whether every tick up to `seq` is permanent, in files that have their names."""
        return self.state.positions.durable_seq >= seq and self.state.journals.current.is_reachable

    def stop(self) -> RecordingReport:
        """End the recording."""
        state = self.state
        if state.health.phase is Phase.FORKED:
            return self._reported()
        if state.is_held:  # a signal handler, in the middle of a tick of the same thread
            return self._stop_later()
        if not self._stopping.acquire(blocking=threading.current_thread() is not self.background.thread):
            return self._reported()  # from a callback, while another thread waits for it
        again, self._is_stopping = self._is_stopping, True
        try:
            if self._report is None and not again:
                with state.lock:
                    state.health.close()
                    if self.writer.game_id is not None:
                        state.events.emit(RecorderEventKind.GAME_ENDED, game_id=self.writer.game_id)
                    state.changed.notify_all()
                self.background.end()
                self.background.pruning.end()
                self._seal_all()
                self._close()
                self.alerts.end()
                self.status_file.end()
                self._report = self._reported()
                ticks, durable = self._report.ticks, self._report.durable
                state.events.emit(RecorderEventKind.STOPPED, ticks=ticks, durable=durable)
                self.background.deliver_all()
            return self._report or self._reported()
        finally:
            self._is_stopping = again
            self._stopping.release()

    def _seal_all(self) -> None:
        """Seal every journal; those that lost their names meanwhile are copied from their open files, and sealed."""
        state = self.state
        self.sealer.finish(_SEALING_SECONDS if state.health.errors else None)
        with state.lock:
            restored = self.background.watch.restore_waiting()
        if restored:
            self.sealer.finish(_SEALING_SECONDS)

    def drop(self) -> None:
        """End the recording of a recorder that was garbage-collected, on whatever thread that happens."""
        if threading.current_thread() is self.background.thread:
            self._stop_later()
        else:
            self.stop()

    def _stop_later(self) -> RecordingReport:
        """Accept no more ticks, and end as soon as this thread has done what it was doing."""
        with self.state.lock:
            self.state.health.close()
        if self._later is None:
            self._later = threading.Thread(target=self.stop, name=f"replaylab-stop-{self.state.run[-12:]}")
            with suppress(RuntimeError):  # the interpreter is ending, which stops all recorders
                self._later.start()
        return self._reported()

    def _close(self) -> None:
        state = self.state
        state.journals.discard_spare()
        try:
            remove([state.reserve])
        except ReplayLabError as error:
            state.health.note(error)
        state.journals.close()
        state.requests.close()
        _live.discard(state)

    def _reported(self) -> RecordingReport:
        state, positions, counters = self.state, self.state.positions, self.state.counters
        return RecordingReport(
            path=state.root,
            run=state.run,
            ticks=positions.next_seq,
            bytes=state.journals.retired_bytes + state.journals.current.size,
            segments=counters.segments,
            journals_left=len(state.journals.sealing),
            refused=dict(counters.refused),
            errors=state.health.errors,
            retried=counters.retried,
            durable=positions.durable_seq >= positions.last_seq,
            problem=state.health.problem,
        )


def begin(state: State) -> None:
    """Make the store and the first journal; raises when there is no room."""
    state.make_folders()
    with storing(state.folder):
        free_bytes = state.environment.free_bytes(state.folder)
        state.health.look_at(free_bytes)
        least = state.settings.min_free_start_bytes
        if free_bytes < least:
            raise DiskLow(
                f"{free_bytes:,} bytes are free on the disk of {state.root}, {least:,} are needed to begin a "
                "recording; free some space or lower the setting min_free_start_bytes"
            )
        state.journals.open_first()
        try:
            keep_room(state.reserve, RESERVE_BYTES)
            state.journals.current.make_name_permanent()
        except BaseException:
            discard(state.journals.current)
            state.journals.current.close()
            state.reserve.unlink(missing_ok=True)
            raise


def _forget() -> None:
    """After a fork, in the child: the journals are the parent's; none of them is written, locked or removed here."""
    for state in list(_live):
        state.renew_lock()
        state.health.fork()
        state.journals.close()
        state.requests.close()


os.register_at_fork(after_in_child=_forget)
