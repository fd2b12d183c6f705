"""Background: the one thread of a recorder; it syncs, makes the next journal, watches the disk, and delivers events."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from queue import Empty
from typing import Final

from replaylab.recording.disk_watch import DiskWatch
from replaylab.recording.event import RecorderEvent
from replaylab.recording.health import Phase
from replaylab.recording.pruning import Pruning
from replaylab.recording.seal_time import SealTime
from replaylab.recording.sealer import Sealer
from replaylab.recording.state import State
from replaylab.recording.status_file import StatusFile
from replaylab.recording.syncer import Syncer
from replaylab.watching.request import take_request

LOOK_SECONDS: Final = 0.5  # between two looks at the disk
_TEND_SECONDS: Final = 0.01  # between two rounds of all else: the writer waits while this thread runs Python
_ENDING_SECONDS: Final = 3.0  # for which syncs that fail are tried again at the end of a recording
_ENDING_TRIES: Final = 8  # at least, also when this process does not run for a while
_LONGEST_WAIT_SECONDS: Final = 0.25  # between two of them
_log = logging.getLogger("replaylab.recorder")

Listener = Callable[[RecorderEvent], object]


class Background:
    """The thread that looks after the journals of a recorder.

    Parameters
    ----------
    state : State
        Shared with the writer.
    sealer : Sealer
        Makes segments of journals that are complete.
    listener : callable, optional
        Called with each event in turn, with no lock held.
    status_file : StatusFile
        Is written once a second.
    stop : callable
        Ends the recording, soon, off this thread.
    """

    def __init__(
        self,
        state: State,
        sealer: Sealer,
        listener: Listener | None,
        status_file: StatusFile,
        stop: Callable[[], object],
    ) -> None:
        self.state = state
        self.sealer = sealer
        self.syncer = Syncer(state)
        self.watch = DiskWatch(state, sealer, self.syncer)
        self.listener = listener
        if listener is not None:
            state.events.listen()
        self.status_file = status_file
        self.pruning = Pruning(state)
        self._stop = stop
        self._synced_at = time.monotonic()
        self._looked_at = self._tended_at = 0.0
        self._is_tended = True
        self._seal_time = SealTime()
        self._ending = False
        self._finished = False
        self.thread = threading.Thread(target=self._run, name=f"replaylab-recorder-{state.run[-12:]}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self.thread.start()

    def quit(self) -> None:
        """End the thread as a killed process would: nothing more is synced."""
        self._ending = True
        self.state.wake()
        self.thread.join()

    def end(self) -> None:
        """Sync what is left, and wait for the thread; on the thread itself, after what it is doing now."""
        self.syncer.end()
        self._ending = True
        self.state.wake()
        if self.thread is not threading.current_thread():
            self.thread.join()
        self._finish()

    def _run(self) -> None:
        while not self._ending:
            try:
                event = self.state.events.get(timeout=self._patience())
            except Empty:
                event = None
            try:
                if event is not None:
                    self._deliver(event)
                self.deliver_all()
                if not self._ending:
                    self._tend()
            except Exception as error:  # noqa: BLE001 whatever it is, it is reported, and the next tick is kept
                _log.exception("recorder %s: unexpected", self.state.run)
                with self.state.lock:
                    self.state.fail(error)
                time.sleep(self.state.health.retry_seconds)

    def _patience(self) -> float:
        """Return the seconds until something is due; while nothing can be done, until the next look."""
        if self.state.health.retry_seconds:
            return min(self.state.health.retry_seconds, LOOK_SECONDS)
        if self.state.health.phase is not Phase.RECORDING:
            return LOOK_SECONDS
        now = time.monotonic()
        due = self._synced_at + self.state.settings.sync_seconds - now
        tend = self._tended_at + (LOOK_SECONDS if self._is_tended else _TEND_SECONDS) - now
        return max(0.0, min(due, tend))

    def deliver_all(self) -> None:
        """Deliver the events that wait."""
        events = self.state.events
        with suppress(Empty):  # `stop` on another thread may take the last ones
            while not events.is_empty():  # an exception for each sync would cost more
                self._deliver(events.get_nowait())

    def catch_up(self, seconds: float) -> None:
        """Wait until every event so far has been delivered."""
        if self.listener is not None and self.thread.is_alive() and self.thread is not threading.current_thread():
            self.state.events.barrier().wait(max(0.0, seconds))

    def _deliver(self, event: RecorderEvent | threading.Event | None) -> None:
        if isinstance(event, threading.Event):
            event.set()
            return
        if event is None or self.listener is None:
            return
        try:
            self.listener(event)
        except Exception:  # noqa: BLE001 whatever a listener does, the recording goes on
            self.state.counters.add_callback_error()
            _log.exception("recorder %s: on_event raised at %s", self.state.run, event.kind.value)

    def _tend(self) -> None:
        health = self.state.health
        while self._is_due() and not self._ending and health.problem is None:
            if not self.sync():
                break  # until it is time to try again
            self._look()
        now = time.monotonic()
        self._is_tended = now - self._tended_at >= _TEND_SECONDS or health.phase is not Phase.RECORDING
        if not self._is_tended:
            return
        self._tended_at = now
        self._seal(now)
        self._look()
        if health.phase is Phase.RECORDING:
            self._prepare()
            self._roll()
        if not self._ending:
            self.pruning.tend()
        if not self._ending and self.status_file.tend():
            self._answer()

    def _seal(self, now: float) -> None:
        """Have complete journals sealed, at once or soon."""
        state = self.state
        waits = bool(state.journals.sealing)
        has_come = self._seal_time.has_come(now, state.positions.next_seq, waits=waits)
        if has_come or (waits and state.health.phase is not Phase.RECORDING):
            self.sealer.wake()
        elif waits:
            self._is_tended = False  # looked at again soon

    def _answer(self) -> None:
        """Do what an operator in another process has asked for."""
        act = take_request(self.state.root, self.state.run)
        if act is None:
            return
        _log.warning("recorder %s: asked to %s", self.state.run, act, extra={"event": "asked", "act": act})
        if act == "flush":
            self.state.positions.ask_for_sync()
            self.state.wake()
        else:
            self._stop()

    def _look(self) -> None:
        """Look at the disk and the store, unless that was just done."""
        now = time.monotonic()
        if now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            self.watch.look()
            self.state.journals.renew_spare(self.state.lock)

    def _is_due(self) -> bool:
        state, positions = self.state, self.state.positions
        if state.health.retry_seconds or positions.lost:
            return False
        if len(positions.unsynced) >= state.settings.buffer_ticks or positions.sync_asked:
            return True
        if state.journals.retired or state.journals.abandoned:
            return True
        positions.expect_sync()
        if not positions.unsynced:
            self._synced_at = time.monotonic()
            return False
        return time.monotonic() - self._synced_at >= state.settings.sync_seconds

    def sync(self) -> bool:
        """Make permanent what is waiting; return False when that failed. Journals that are gone are restored first."""
        done = self.syncer.sync()
        if not done:
            with self.state.lock:
                self.watch.restore()
        if done:
            self._synced_at = time.monotonic()
        return done

    def _prepare(self) -> None:
        """Make the next journal before it is needed."""
        state = self.state
        if state.journals.spare is None and not state.health.sync_fails:
            with suppress(OSError):  # the one in use goes on; the next is made when it is needed
                spare = state.journals.create()
                with state.lock:
                    if not state.journals.keep_spare(spare):
                        return
                spare.make_name_permanent()

    def _roll(self) -> None:
        """End a journal that is long, large or old enough."""
        state, settings = self.state, self.state.settings
        file = state.journals.current
        ticks = state.positions.next_seq - file.first_seq
        old = time.monotonic() - file.since >= settings.seal_seconds
        many = ticks >= settings.seal_ticks and not state.journals.is_behind
        if not (ticks and (many or file.size >= settings.max_file_bytes or old)):
            return
        with state.lock:
            if file is state.journals.current:
                with suppress(OSError):  # it goes on
                    state.turn()
                    state.wake()

    def _finish(self) -> None:
        """Sync all that is left, as often as failures allow, and close the last journal."""
        state, journals = self.state, self.state.journals
        if self._finished:
            return  # by a `stop` that was interrupted
        state.positions.ask_for_sync()
        with state.lock:
            self.watch.restore(at_once=True)
        give_up_at, tries = time.monotonic() + _ENDING_SECONDS, 1
        while state.health.problem is None and not self.sync():
            if tries >= _ENDING_TRIES and time.monotonic() > give_up_at:
                with state.lock:
                    state.give_up(f"given up at its end, the last failure: {state.health.last_error}")
            tries += 1
            time.sleep(max(0.005, min(state.health.retry_seconds, _LONGEST_WAIT_SECONDS)))
        with state.lock:
            if not self.watch.restore(at_once=True):
                state.give_up(f"the store {state.root} is gone and could not be made again")
            file = journals.current
            file.end(state.positions.next_seq)
            if not file.spoilt:
                file.write_end_line(state.run)
        with suppress(OSError):  # its ticks are permanent, or given up, already
            file.make_permanent(file.size)
        with state.lock:
            journals.end()
            self._finished = True
            state.changed.notify_all()
