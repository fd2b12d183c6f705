"""Pacer: a delivery that goes on by itself: it shows what is due, and has at most one thread or task to do so."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from typing import Final

from replaylab.clock import FASTEST
from replaylab.playback.delivery import PATIENCE, Delivery
from replaylab.playback.driver import Driver, TaskDriver, ThreadDriver, Wait, wait_for
from replaylab.playback.event import Step, new_step
from replaylab.playback.timeline import Timeline

_BUSY: Final = 0.05  # seconds until a driver looks again whether somebody still delivers
_ENDLESS: Final = 1 << 62
_PLENTY: Final = 1 << 61  # as good as endless, however many ticks of it were taken


class Pacer(Delivery):
    """The part of an engine that plays; see `Delivery` for the arguments."""

    def __init__(self, ring_ticks: int, now: Callable[[], float] = time.monotonic, wait: Wait = wait_for) -> None:
        super().__init__(ring_ticks, now, wait)
        self._driver: Driver | None = None
        self._last_thread: threading.Thread | None = None
        self._blocked = False

    def turn(self, driver: Driver, most: int = _ENDLESS) -> float | None:
        """Show what is due, at most some ticks; seconds until the next, or None when `driver` is needed no more."""
        me = threading.get_ident()
        until = time.monotonic() + driver.slice
        with self._lock:
            if self._deliverer is not None:
                if self._deliverer == me or self._driver is not driver:
                    return None
                self._waiters += not self._blocked
                self._blocked = True
                return _BUSY
            self._deliverer = me
            try:
                while True:
                    self._drain()
                    if self._driver is not driver:
                        return None
                    if most <= 0 or (until < math.inf and time.monotonic() > until):
                        return 0.0
                    if self._transport.head.rate == FASTEST and most >= _PLENTY and self._sprint(driver, until):
                        continue
                    seconds = self._transport.take(self._now)
                    if seconds is None:
                        return self._rest(driver)
                    if seconds > 0:
                        return seconds
                    most -= 1
            finally:
                self._finish_delivery()

    def _wake_waiters(self) -> None:
        super()._wake_waiters()
        if self._blocked:
            self._blocked = False
            self._waiters -= 1
            if self._driver is not None:
                self._driver.wake()

    def _sprint(self, driver: Driver, until: float) -> bool:
        """Show rows at which nothing else happens, at no speed limit: what `take` and `_drain` do, in one loop.

        Ends at the time `until`, as an event loop has other things to do.
        Called, and left, with the lock held, which is taken once a tick: a pause in between is obeyed at once.
        """
        stage, lock, listeners = self._transport, self._lock, self._listeners.of
        track, head, outbox = stage.track, stage.head, stage.outbox
        if not head.playing or not isinstance(track, Timeline):
            return False
        first = row = stage.cursor + 1
        stop = track.plain_until(row)
        endless = until == math.inf
        while row < stop and stage.head is head and stage.loop is None and not outbox and self._driver is driver:
            if not endless and time.monotonic() > until:
                break
            stage.cursor = row
            stage.shown += 1
            lock.release()
            try:
                step = new_step(Step, (row, track))
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

    def _go_on(self) -> None:
        """Wake the one that drives, or start one: a task where an event loop runs, else a thread; never two."""
        driver = self._driver
        if driver is not None:
            if self._deliverer != threading.get_ident():
                driver.wake()
            return
        if not self._transport.head.playing:
            return
        with self._lock:
            if self._driver is not None or self._closed or not self._transport.head.playing:
                return
            started = self._driver = TaskDriver() if _in_event_loop() else ThreadDriver(self._wait)
            former, self._last_thread = self._last_thread, None
        if former is not None and former is not threading.current_thread():
            former.join(PATIENCE)  # it has nothing left to do
        started.start(self)
        if isinstance(started, ThreadDriver):
            self._last_thread = started.thread

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

    def _changed(self, reason: str) -> None:
        if reason == "closed":
            self._listeners.clear()


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
