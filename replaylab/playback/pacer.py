"""Pacer: lets several threads use one transport, calls back what happened, and shows ticks when they are due.

A change is made under the one lock and puts its events into the transport's outbox. The first thread to find events
waiting delivers them, one after another, without the lock; others leave them to it and return. So a callback may call
anything from any thread, and a slow one delays events but no other caller.

At most one driver (a thread, a task of an event loop, or the caller of `run`) calls `turn` when the next tick is due.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from replaylab.clock import FASTEST
from replaylab.playback.driver import Caller, Driver, TaskDriver, ThreadDriver, Wait, wait_for
from replaylab.playback.event import Callback, Event, Status, Step, new_step
from replaylab.playback.listeners import Listeners
from replaylab.playback.stream import Stream
from replaylab.playback.timeline import Timeline
from replaylab.playback.transport import Transport
from replaylab.tick import Tick

Result = TypeVar("Result")
_PATIENCE: Final = 0.04  # seconds that pause and close wait for a callback that is running
_BUSY: Final = 0.05  # seconds until a driver looks again whether another thread still delivers
_ENDLESS: Final = 1 << 62
_PLENTY: Final = 1 << 61  # as good as endless, however many ticks of it were taken
_NOTED: Final = frozenset({"closed", "end"})  # changes of state that are acted on here, without a listener
_log = logging.getLogger("replaylab.engine")


class Pacer:
    """Delivers the events of a transport in order, and plays it.

    Parameters
    ----------
    transport : Transport
        What is played; from now on it is changed through the pacer only.
    listeners : Listeners
        Whom to call back.
    now : callable
        The time in seconds, of a clock that does not jump.
    wait : callable
        ``wait(event, seconds)`` sleeps until the `threading.Event` is set, at most that long.
    on_end : callable
        Called after the end of a stored game was delivered.
    """

    def __init__(
        self,
        transport: Transport,
        listeners: Listeners,
        *,
        now: Callable[[], float] = time.monotonic,
        wait: Wait = wait_for,
        on_end: Callable[[], object] = lambda: None,
    ) -> None:
        self.closed = False
        self._transport = transport
        self._listeners = listeners
        self._now = now
        self._wait = wait
        self._on_end = on_end
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._deliverer: int | None = None  # the thread that delivers
        self._waiters = 0
        self._blocked = False
        self._driver: Driver | None = None
        self._last_thread: threading.Thread | None = None
        self._ahead: deque[Step] = deque()  # steps that an iteration has taken and not yet shown
        self._moves = 0  # how often steps were taken ahead, or taken back; `_moving` while that goes on
        self._moving = False
        self._failing: set[int] = set()
        self._refused = 0

    def change(self, act: Callable[[Transport, float], Result], refusal: Result) -> Result:
        """Change the transport, then deliver and play; return `refusal` when closed."""
        with self._lock:
            if self.closed:
                return refusal
            if self._ahead:
                self._put_back()
            result = act(self._transport, self._now())
            self._deliver()
        self._go_on()
        return result

    def read(self, look: Callable[[Transport], Result]) -> Result:
        """Return what a function sees of the transport while nothing changes."""
        with self._lock:
            if not self._ahead:
                return look(self._transport)
            ahead = len(self._ahead)
            self._transport.cursor -= ahead
            try:
                return look(self._transport)
            finally:
                self._transport.cursor += ahead

    @property
    def cursor(self) -> int:
        """The row shown last. Read without the lock, unless steps are ahead or moved while it is looked at."""
        moves = self._moves
        if not self._moving and not self._ahead:
            cursor = self._transport.cursor
            if moves == self._moves:
                return cursor
        return self.read(lambda transport: transport.cursor)

    def push(self, tick: Tick) -> bool:
        """Take a live tick; False, and counted as refused, when closed."""
        with self._lock:
            if self.closed:
                self._refused += 1
                return False
            if self._ahead:
                self._put_back()
            transport = self._transport
            transport.push(tick, self._now)
            if transport.outbox:
                self._deliver()
        return True

    def refuse(self) -> None:
        """Count what was pushed and is no tick."""
        with self._lock:
            self._refused += 1

    def settle(self) -> None:
        """Wait until no callback runs, but not long, and not for this thread's own."""
        me = threading.get_ident()
        with self._idle:
            if self._deliverer is None or self._deliverer == me:
                return
            self._waiters += 1
            try:
                self._idle.wait_for(lambda: self._deliverer is None, _PATIENCE)
            finally:
                self._waiters -= 1

    @property
    def delivering(self) -> bool:
        """Whether this thread runs a callback now."""
        return self._deliverer == threading.get_ident()

    def run(self) -> int:
        """Play in this thread until the end or a pause; return the number of ticks shown."""
        caller = Caller(self._wait)
        before = self._transport.shown
        self.drive(caller)
        caller.run(self)
        return self._transport.shown - before

    def turn(self, driver: Driver, most: int = _ENDLESS) -> float | None:
        """Show what is due, at most some ticks; return seconds until the next, None when `driver` may end."""
        me = threading.get_ident()
        until = time.monotonic() + driver.slice
        with self._lock:
            if self._deliverer is not None:
                if self._deliverer == me or self._driver is not driver:
                    return None
                self._waiters += not self._blocked
                self._blocked = True
                return _BUSY
            self._put_back()
            self._deliverer = me
            try:
                while True:
                    self._drain()
                    if self._driver is not driver:
                        return None
                    if most <= 0 or time.monotonic() > until:
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

    def take_ahead(self, driver: Driver, steps: deque[Step], most: int) -> bool:
        """Add steps at which nothing else happens to an iteration's own, at most some; return whether there are any.

        A step that is taken out of `steps` counts as shown; any change of the transport takes back the others. None is
        added where other callbacks want the ticks: then they come to the iteration one by one.
        """
        listeners = self._listeners.of
        if len(listeners["tick"]) > 1:
            return False
        with self._lock:
            if self._driver is driver and self._deliverer is None and len(listeners["tick"]) == 1:
                with self._move():
                    self._ahead = steps
                    steps.extend(self._transport.take_ahead(most))
            return bool(steps)

    def put_back(self) -> None:
        """Take back what an iteration has not shown yet, as it must be shown in another way."""
        with self._lock:
            self._put_back()

    def _put_back(self) -> None:
        ahead, rows = self._ahead, 0
        with self._move():
            while ahead:
                with contextlib.suppress(IndexError):  # the iteration may take one at this moment
                    ahead.pop()
                    rows += 1
            if rows:
                self._transport.put_back(rows)

    @contextlib.contextmanager
    def _move(self) -> Iterator[None]:
        """Move the cursor and `_ahead`, which belong together, while `cursor` sees neither; the lock is held."""
        self._moving = True  # first: who sees the number sees this too
        self._moves += 1
        try:
            yield
        finally:
            self._moving = False

    def drive(self, driver: Driver) -> None:
        """Let another driver take over, and play."""
        with self._lock:
            former, self._driver = self._driver, driver
        if former is not None:
            former.wake()
        self.change(lambda transport, now: transport.play(now), False)

    def lose(self, driver: Driver) -> None:
        """A driver was stopped from outside: what it drove is paused."""
        with self._lock:
            if self._driver is not driver:
                return
            self._put_back()
            self._driver = None
            self._transport.pause(self._now(), "driver lost")
            self._deliver()

    def close(self) -> None:
        """Stop for good: after the change of state to ``closed`` nothing is delivered."""
        with self._lock:
            if self.closed:
                return
            self._put_back()
            self.closed = True
            driver, self._driver = self._driver, None
            self._transport.close(self._now())
        if driver is not None:
            driver.wake()
        with self._lock:
            self._deliver()
        self.settle()

    def status(self) -> Status:
        """Return everything at one moment."""
        return self.read(self._status)

    def _status(self, transport: Transport) -> Status:
        track, step = transport.track, transport.current
        stream = track if isinstance(track, Stream) else None
        total = 0 if track is None else track.stop
        return Status(
            mode=transport.mode,
            game_id=transport.game_id,
            index=transport.cursor,
            total=total,
            tick=None if step is None else step.tick,
            progress=(transport.cursor + 1) / total if total else 0.0,
            playing=transport.playing,
            following=transport.following,
            speed=transport.head.rate,
            at_start=transport.at_start,
            at_end=transport.at_end,
            loop=transport.loop,
            closed=self.closed,
            lag=transport.lag,
            max_lag=transport.max_lag,
            pushed=transport.pushed,
            refused=self._refused,
            waiting=len(transport.outbox),
            missed=transport.outbox.missed,
            duplicates=stream.duplicates if stream else 0,
            regressions=stream.regressions if stream else 0,
            gaps=len(track.gaps) if isinstance(track, Timeline) else stream.gaps if stream else 0,
            ring_ticks=len(stream.ring) if stream else 0,
            ring_size=transport.ring_ticks,
            ring_bytes=stream.ring.nbytes if stream else 0,
        )

    def _deliver(self) -> None:
        """Deliver all events, unless a thread does so already, which may be this one, inside a callback.

        Called, and left, with the lock held, which is not held while callbacks run.
        """
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
                    value = Event("state", self._transport.game_id, None, value, status=self.status())
                for callback in callbacks:
                    try:
                        callback(value)
                    except Exception as error:  # noqa: BLE001  a callback is anybody's code, and never stops playback
                        self._report(kind, callback, error)
                if is_state:
                    self._react(value.reason)
            finally:
                lock.acquire()

    def _finish_delivery(self) -> None:
        """Let those look again who wait for the end of a delivery."""
        self._deliverer = None
        if self._waiters:
            self._idle.notify_all()
            if self._blocked:
                self._blocked = False
                self._waiters -= 1
                if self._driver is not None:
                    self._driver.wake()

    def _react(self, reason: str) -> None:
        """Act on a change of state, after its callbacks."""
        if reason == "closed":
            self._listeners.clear()
        elif reason == "end":
            self._on_end()

    def _report(self, kind: str, callback: Callback, error: Exception) -> None:
        """Report a callback that raised, in the log and as an ``error`` event, unless it is a callback of that."""
        level = logging.DEBUG if id(callback) in self._failing else logging.WARNING
        self._failing.add(id(callback))
        _log.log(level, "a callback of %r raised: %r", kind, callback, exc_info=error)
        if kind != "error":
            reason = f"a callback of {kind!r} raised {type(error).__name__}: {error}"
            with self._lock:
                game_id = self._transport.game_id
                self._transport.outbox.append(("error", Event("error", game_id, reason=reason, error=error)))

    def _sprint(self, driver: Driver, until: float) -> bool:
        """Show rows at which nothing else happens, at no speed limit: what `take` and `_drain` do, in one loop.

        Ends at the time `until` where the thread of the driver has other things to do, as an event loop has.
        Called, and left, with the lock held, which is taken once a tick: a pause in between is obeyed at once.
        """
        transport, lock, listeners = self._transport, self._lock, self._listeners.of
        track, head, outbox = transport.track, transport.head, transport.outbox
        if not head.playing or not isinstance(track, Timeline):
            return False
        first = row = transport.cursor + 1
        stop = track.plain_until(row)
        endless = driver.alone
        while (
            row < stop and transport.head is head and transport.loop is None and not outbox and self._driver is driver
        ):
            if not endless and time.monotonic() > until:
                break
            transport.cursor = row
            transport.shown += 1
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
        transport = self._transport
        if driver.stays and not (isinstance(transport.track, Timeline) and transport.at_end):
            return math.inf
        self._driver = None
        return None

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
            if self._driver is not None or self.closed or not self._transport.head.playing:
                return
            started = self._driver = TaskDriver() if _in_event_loop() else ThreadDriver(self._wait)
            former, self._last_thread = self._last_thread, None
        if former is not None and former is not threading.current_thread():
            former.join(_PATIENCE)  # it has nothing left to do
        started.start(self)
        if isinstance(started, ThreadDriver):
            self._last_thread = started.thread


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
