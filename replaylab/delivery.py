"""Delivery: the one lock, and the one who delivers. Events reach callbacks in the order in which things happened.

A change is made under the lock and puts what there is to tell into the transport's outbox. Whoever finds nobody
delivering does so, one event after another, holding no lock; who finds somebody leaves it to him. So a callback may
call anything from any thread, and a slow one delays events but nobody's call.
"""

from __future__ import annotations

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from replaylab.clock import FASTEST
from replaylab.driver import Driver, TaskDriver, ThreadDriver, Wait, wait_for
from replaylab.event import Callback, Event, Status, Step
from replaylab.listeners import Listeners, Subscription
from replaylab.timeline import Timeline
from replaylab.transport import Transport

Result = TypeVar("Result")
_PATIENCE: Final = 0.04  # seconds that pause and close wait for a callback that is running
_BUSY: Final = 0.05
_ENDLESS: Final = 1 << 62
_NOTED: Final = frozenset({"closed", "end"})  # changes of state that the engine itself reacts to
_new: Final[Callable[..., Step]] = tuple.__new__  # a third of the time that Step(...) takes
_log = logging.getLogger(__name__)


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
        self._driver: Driver | None = None
        self._last_thread: threading.Thread | None = None
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
        if self._transport.head.playing:
            self._ensure_driver()
        elif (driver := self._driver) is not None:
            driver.wake()
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
        outbox, lock = self._transport.outbox, self._lock
        while outbox:
            kind, value = outbox.popleft()
            callbacks = self._listeners.of[kind]
            if not callbacks and not (kind == "state" and value in _NOTED):
                continue
            lock.release()
            try:
                if kind == "state":
                    value = Event("state", self._transport.game_id, None, value, status=self._status())
                for callback in callbacks:
                    try:
                        callback(value)
                    except Exception as error:  # noqa: BLE001  a callback is anybody's code, and never stops playback
                        self._report(kind, callback, error)
                if kind == "state":
                    self._changed(value.reason)
            finally:
                lock.acquire()

    def _finish_delivery(self) -> None:
        self._deliverer = None
        if self._waiters:
            self._idle.notify_all()

    def turn(self, driver: Driver, most: int = _ENDLESS) -> float | None:
        """Show what is due, at most some ticks; seconds until the next, or None when `driver` is needed no more."""
        me = threading.get_ident()
        begun = time.monotonic()
        sliced = driver.slice < math.inf
        with self._lock:
            if self._deliverer is not None:
                return None if self._deliverer == me or self._driver is not driver else _BUSY
            self._deliverer = me
            try:
                while True:
                    self._drain()
                    if self._driver is not driver:
                        return None
                    if most <= 0 or (sliced and time.monotonic() - begun > driver.slice):
                        return 0.0
                    if self._transport.head.rate == FASTEST and not sliced and self._sprint(driver):
                        continue
                    seconds = self._transport.take(self._now)
                    if seconds is None:
                        return self._rest(driver)
                    if seconds > 0:
                        return seconds
                    most -= 1
            finally:
                self._finish_delivery()

    def _sprint(self, driver: Driver) -> bool:
        """Show rows at which nothing else happens, at no speed limit: what `take` and `_drain` do, in one loop.

        Called, and left, with the lock held, which is taken once a tick: a pause in between is obeyed at once.
        """
        stage, lock, listeners = self._transport, self._lock, self._listeners.of
        track, head, outbox = stage.track, stage.head, stage.outbox
        if not head.playing or not isinstance(track, Timeline):
            return False
        first = row = stage.cursor + 1
        stop = track.plain_until(row)
        while row < stop and stage.head is head and stage.loop is None and not outbox and self._driver is driver:
            stage.cursor = row
            stage.shown += 1
            lock.release()
            try:
                step = _new(Step, (row, track))
                for callback in listeners["tick"]:
                    try:
                        callback(step)
                    except Exception as error:  # noqa: BLE001  as in _drain
                        self._report("tick", callback, error)
            finally:
                lock.acquire()
            row += 1
        return row > first

    def _rest(self, driver: Driver) -> float | None:
        """What a driver does when nothing plays: one that stays waits, unless a stored game is over."""
        stage = self._transport
        if driver.stays and not (isinstance(stage.track, Timeline) and stage.at_end):
            return math.inf
        self._driver = None
        return None

    def lose(self, driver: Driver) -> None:
        """A driver was stopped from outside: what it drove is paused."""
        with self._lock:
            if self._driver is not driver:
                return
            self._driver = None
            self._transport.pause(self._now(), "driver lost")
        self._deliver()

    def drive(self, driver: Driver) -> None:
        """Let another one drive from now on, and play."""
        with self._lock:
            former, self._driver = self._driver, driver
        if former is not None:
            former.wake()
        self._do(lambda transport, now: transport.play(now), False)

    def _ensure_driver(self) -> None:
        """Wake the one that drives, or start one: a task where an event loop runs, else a thread; never two."""
        with self._lock:
            if (driver := self._driver) is None and self._transport.head.playing and not self._closed:
                started = self._driver = TaskDriver() if _in_event_loop() else ThreadDriver(self._wait)
            else:
                if driver is not None and self._deliverer != threading.get_ident():
                    driver.wake()
                return
            former = self._last_thread
        if former is not None and former is not threading.current_thread():
            former.join(_PATIENCE)  # it has nothing left to do
        started.start(self)
        self._last_thread = started.thread if isinstance(started, ThreadDriver) else None

    def _settle(self) -> None:
        """Wait until no callback runs, but not long, and not for oneself."""
        me = threading.get_ident()
        with self._idle:
            if self._deliverer is None or self._deliverer == me:
                return
            self._waiters += 1
            try:
                self._idle.wait_for(lambda: self._deliverer is None, _PATIENCE)
            finally:
                self._waiters -= 1

    def _shut(self) -> None:
        """Stop for good: nothing is told after the last change of state."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            driver, self._driver = self._driver, None
            self._transport.close(self._now())
        if driver is not None:
            driver.wake()
        self._deliver()
        self._settle()

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

    def _changed(self, reason: str) -> None:
        if reason == "closed":
            self._listeners.clear()


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
