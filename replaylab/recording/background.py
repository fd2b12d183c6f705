"""Keeper: the one thread of a recorder; it syncs, makes the next journal, watches the disk, and tells events."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty
from typing import Final

from replaylab.durable import sync_folder
from replaylab.recording.disk_watch import Watch
from replaylab.recording.event import RecorderEvent
from replaylab.recording.sealer import Sealer
from replaylab.recording.state import PAUSED, RECORDING, State
from replaylab.recording.syncer import Syncer

LOOK_SECONDS: Final = 0.5  # between two looks at the disk
_AGAIN_SECONDS: Final = 0.02  # after a failed sync, and longer with each of them
_log = logging.getLogger("replaylab.recorder")

Listener = Callable[[RecorderEvent], object]


class Keeper:
    """Looks after the journals of a recorder.

    Parameters
    ----------
    state : State
        Shared with the writer.
    sealer : Sealer
        Makes segments of journals that are complete.
    listener : callable, optional
        Told every event, one after the other, with no lock held.
    """

    def __init__(self, state: State, sealer: Sealer, listener: Listener | None) -> None:
        self.state = state
        self.sealer = sealer
        self.syncer = Syncer(state)
        self.watch = Watch(state, sealer)
        self.listener = listener
        self._synced_at = time.monotonic()
        self._looked_at = 0.0
        self._ending = False
        self._finished = False
        self.thread = threading.Thread(target=self._run, name=f"replaylab-recorder-{state.run[-12:]}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self.thread.start()
        self.state.keeper = self.thread.ident or 0

    def end(self) -> None:
        """Sync what is left, and wait for the thread; from the thread itself, after what it is doing now."""
        self._ending = self.syncer.ending = True
        self.state.queue.put(None)
        if self.thread is not threading.current_thread():
            self.thread.join()
        self._finish()

    def _run(self) -> None:
        while not self._ending:
            try:
                event = self.state.queue.get(timeout=self._patience())
            except Empty:
                event = None
            try:
                if event is not None:
                    self._tell(event)
                    self.tell_all()
                if not self._ending:
                    self._tend()
            except Exception as error:  # noqa: BLE001 whatever it is, somebody must hear of it, and the next tick be kept
                _log.exception("recorder %s: unexpected", self.state.run)
                with self.state.lock:
                    self.state.fail(error)
                time.sleep(_AGAIN_SECONDS)

    def _patience(self) -> float:
        """Seconds until something is due; while it cannot be done, until the next look."""
        if self.state.phase != RECORDING:
            return LOOK_SECONDS
        due = self._synced_at + self.state.settings.sync_seconds - time.monotonic()
        return max(0.0, min(due, LOOK_SECONDS))

    def tell_all(self) -> None:
        """Tell the events that wait."""
        with suppress(Empty):
            while True:
                self._tell(self.state.queue.get_nowait())

    def catch_up(self, seconds: float) -> None:
        """Wait until the events of this moment have been told."""
        if self.listener is not None and self.thread.is_alive() and self.thread is not threading.current_thread():
            told = threading.Event()
            self.state.queue.put(told)
            told.wait(max(0.0, seconds))

    def _tell(self, event: RecorderEvent | threading.Event | None) -> None:
        if isinstance(event, threading.Event):
            event.set()
            return
        if event is None or self.listener is None:
            return
        try:
            self.listener(event)
        except Exception:  # noqa: BLE001 whatever a listener does, the recording goes on
            self.state.tally.callback_errors += 1
            _log.exception("recorder %s: on_event raised at %s", self.state.run, event.kind.value)

    def _tend(self) -> None:
        state = self.state
        while self._is_due() and not self._ending and state.problem is None:
            if not self.sync():
                if state.phase == PAUSED:
                    break  # until the next look
                time.sleep(_AGAIN_SECONDS * state.tally.failures)
            self._look()
        self._look()
        if state.phase == RECORDING:
            self._prepare()
            self._roll()
        self.sealer.wake()

    def _look(self) -> None:
        """See from time to time how the disk and the store are."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self.watch.look()

    def _is_due(self) -> bool:
        state = self.state
        if len(state.pending) >= state.settings.buffer_ticks or state.flush_asked or state.retired or state.abandoned:
            return True
        if not state.pending:
            self._synced_at = time.monotonic()
            return False
        return time.monotonic() - self._synced_at >= state.settings.sync_seconds

    def sync(self) -> bool:
        """Make permanent what is waiting; False when that failed, and what was waiting stands elsewhere."""
        begun = time.monotonic()
        done = self.syncer.sync()
        if done:
            self.state.tally.flush.add(time.monotonic() - begun)
            self._synced_at = time.monotonic()
        return done

    def _prepare(self) -> None:
        """Make the next journal before it is needed, and keep room for closing."""
        state = self.state
        if state.spare is None:
            with suppress(OSError):  # the one in use goes on; made when needed
                spare = state.create()
                with state.lock:
                    if spare.number < state.file.number:  # a failed write has gone on in a later one meanwhile
                        state.discard(spare)  # numbers tell the order, and what a later journal says of this one
                        return
                    state.spare = spare
                sync_folder(state.folder)
                spare.named = True

    def _roll(self) -> None:
        """End a journal that is long, large or old enough."""
        state, settings = self.state, self.state.settings
        file = state.file
        ticks = state.next_seq - file.first_seq
        old = time.monotonic() - file.since >= settings.seal_seconds
        many = ticks >= settings.seal_ticks and not state.is_behind
        if not (ticks and (many or file.size >= settings.max_file_bytes or old)):
            return
        with state.lock:
            if file is state.file:
                with suppress(OSError):  # it goes on
                    state.turn()
                    state.queue.put(None)

    def _finish(self) -> None:
        """Sync all that is left, as often as it takes or failures allow, and close the last journal in order."""
        state = self.state
        if self._finished:
            return  # by a `stop` that was interrupted
        state.flush_asked = True
        while state.problem is None and not self.sync():
            time.sleep(_AGAIN_SECONDS * state.tally.failures)
        with state.lock:
            file = state.file
            file.next_seq = state.next_seq
            if not file.spoilt:
                file.finish(state.run)
        with suppress(OSError):  # its ticks are permanent, or given up, already
            file.make_permanent(file.size)
        with state.lock:
            state.sealing += [*state.abandoned, *state.retired, file]
            state.sealing.sort(key=lambda one: one.number)
            state.abandoned, state.retired = [], []
            self._finished = True
            state.changed.notify_all()
