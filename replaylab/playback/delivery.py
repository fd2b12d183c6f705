"""Delivery: the one lock, and the one who delivers. Events reach callbacks in the order in which things happened.

A change is made under the lock and puts what there is to tell into the transport's outbox. Whoever finds nobody
delivering does so, one event after another, holding no lock; who finds somebody leaves it to him. So a callback may
call anything from any thread, and a slow one delays events but nobody's call.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from replaylab.playback.driver import Wait, wait_for
from replaylab.playback.event import Callback, Event, Status
from replaylab.playback.listeners import Listeners, Subscription
from replaylab.playback.transport import Transport

Result = TypeVar("Result")
PATIENCE: Final = 0.04  # seconds that pause and close wait for a callback that is running
_NOTED: Final = frozenset({"closed", "end"})  # changes of state that the engine itself reacts to
_log = logging.getLogger("replaylab.engine")


class Delivery:
    """A transport that several threads may use, and those who listen to it.

    Parameters
    ----------
    ring_ticks : int
        Ticks kept of a live game.
    now : callable
        The time in seconds, of a clock that does not jump.
    wait : callable
        ``wait(event, seconds)`` sleeps until the `threading.Event` is set, at most that long.
    """

    def __init__(self, ring_ticks: int, now: Callable[[], float] = time.monotonic, wait: Wait = wait_for) -> None:
        self._now = now
        self._wait = wait
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._listeners = Listeners()
        self._transport = Transport(ring_ticks, self._listeners.of)
        self._deliverer: int | None = None
        self._waiters = 0
        self._closed = False
        self._failing: set[int] = set()

    def on(self, kind: str, callback: Callback, *, weak: bool = False) -> Subscription:
        """Call back at every event of a kind.

        Callbacks run one after another, in order, with no lock held, in the thread or event loop that plays, pushes or
        calls. One that raises is reported as an ``error`` event and called again next time; the others never notice.

        Parameters
        ----------
        kind : {"tick", "push", "seek", "state", "game_start", "game_end", "rug", "gap", "error"}
            ``tick`` and ``push`` bring a `Step`, the others an `Event`.
        callback : callable
            Takes one argument. Adding the same one twice changes nothing.
        weak : bool
            Do not keep the callback, or the object that it is a method of, alive.

        Returns
        -------
        Subscription
            Its `cancel` ends it; it can also be used as a context manager.
        """
        return self._listeners.add(kind, callback, weak=weak)

    def _do(self, act: Callable[[Transport, float], Result], refusal: Result) -> Result:
        """Change the transport, then deliver and play; a closed one refuses."""
        with self._lock:
            if self._closed:
                return refusal
            result = act(self._transport, self._now())
            self._deliver_locked()
        self._go_on()
        return result

    def _deliver(self) -> None:
        """Deliver all there is, unless somebody does; that may be this thread, inside a callback."""
        with self._lock:
            self._deliver_locked()

    def _deliver_locked(self) -> None:
        """The same; called, and left, with the lock held, which nobody holds while callbacks run."""
        if self._deliverer is not None or not self._transport.outbox:
            return
        self._deliverer = threading.get_ident()
        try:
            self._drain()
        finally:
            self._finish_delivery()

    def _drain(self) -> None:
        """Deliver until nothing is left. Called, and left, with the lock held; callbacks run without it."""
        outbox, lock, listeners = self._transport.outbox, self._lock, self._listeners.of
        while outbox:
            kind, value = outbox.popleft()
            callbacks = listeners[kind]
            is_state = kind == "state"
            if not callbacks and not (is_state and value in _NOTED):
                continue
            lock.release()
            try:
                if is_state:
                    value = Event("state", self._transport.game_id, None, value, status=self._status())
                for callback in callbacks:
                    try:
                        callback(value)
                    except Exception as error:  # noqa: BLE001  a callback is anybody's code, and never stops playback
                        self._report(kind, callback, error)
                if is_state:
                    self._changed(value.reason)
            finally:
                lock.acquire()

    def _finish_delivery(self) -> None:
        self._deliverer = None
        if self._waiters:
            self._wake_waiters()

    def _wake_waiters(self) -> None:
        """Nobody delivers any more: let those look again who wait for that."""
        self._idle.notify_all()

    def _settle(self) -> None:
        """Wait until no callback runs, but not long, and not for oneself."""
        me = threading.get_ident()
        with self._idle:
            if self._deliverer is None or self._deliverer == me:
                return
            self._waiters += 1
            try:
                self._idle.wait_for(lambda: self._deliverer is None, PATIENCE)
            finally:
                self._waiters -= 1

    def _report(self, kind: str, callback: Callback, error: Exception) -> None:
        """Tell that a callback raised; when a callback of ``error`` does, only the log tells."""
        level = logging.DEBUG if id(callback) in self._failing else logging.WARNING
        self._failing.add(id(callback))
        _log.log(level, "a callback of %r raised: %r", kind, callback, exc_info=error)
        if kind != "error":
            reason = f"a callback of {kind!r} raised {type(error).__name__}: {error}"
            with self._lock:
                game_id = self._transport.game_id
                self._transport.outbox.append(("error", Event("error", game_id, reason=reason, error=error)))

    def _status(self) -> Status:
        raise NotImplementedError

    def _go_on(self) -> None:
        """Something was changed: whoever plays may have to look again."""

    def _changed(self, reason: str) -> None:
        """The state changed, and everybody was told."""
