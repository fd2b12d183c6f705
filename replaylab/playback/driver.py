"""Drivers: call a pacer when its next tick is due; one thread in a script, one task in a running event loop.

Both run the same loop: the pacer shows what is due and returns how long to wait. They hold the pacer weakly while they
wait, so that an engine without references is collected, and its driver ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Any, Final, Protocol, Self

_LONGEST_WAIT: Final = 3600.0
_SLICE: Final = 0.005  # seconds that a turn may keep the lock, or an event loop
_BREATH: Final = 0.0002  # seconds between two turns in which another thread can take the lock
_MOST: Final = 1024  # steps that an iteration takes at once
_numbers = itertools.count(1)
Wait = Callable[[threading.Event, float], object]


class Driven(Protocol):
    """What a driver drives: a `Pacer`."""

    def turn(self, driver: Driver, most: int = ...) -> float | None:
        """Show what is due, at most some ticks; return seconds to wait, None when the driver has nothing left to do."""

    def lose(self, driver: Driver) -> None:
        """Pause: the driver was stopped from outside, or died."""


class Driver(Protocol):
    """Calls a pacer's `turn`, again and again."""

    @property
    def slice(self) -> float:
        """Seconds that one turn may take."""

    @property
    def stays(self) -> bool:
        """Whether it goes on while playback is paused."""

    @property
    def alone(self) -> bool:
        """Whether its thread has nothing else to do, so that callbacks may take as long as they like."""

    def wake(self) -> None:
        """Look again at once: something changed."""


def wait_for(event: threading.Event, seconds: float) -> None:
    """Sleep until an event, at most for some seconds."""
    event.wait(min(seconds, _LONGEST_WAIT))


class Caller:
    """Drives an engine in the thread that calls `run`, until there is nothing left to play."""

    slice = _SLICE
    stays = False
    alone = True

    def __init__(self, wait: Wait = wait_for) -> None:
        self._changed = threading.Event()
        self._wait = wait

    def wake(self) -> None:
        """Look again at once."""
        self._changed.set()

    def run(self, engine: Driven) -> None:
        """Drive until the engine says that it is over."""
        try:
            while (seconds := engine.turn(self)) is not None:
                self._pass(seconds)
        finally:
            engine.lose(self)

    def _pass(self, seconds: float) -> None:
        if seconds > 0:
            self._wait(self._changed, seconds)
        else:
            time.sleep(_BREATH)
        self._changed.clear()


class ThreadDriver(Caller):
    """Drives an engine in one daemon thread, which ends when there is nothing left to play."""

    def __init__(self, wait: Wait = wait_for) -> None:
        super().__init__(wait)
        self.thread: threading.Thread | None = None

    def start(self, engine: Driven) -> None:
        """Begin; `engine` is held weakly."""
        changed = self._changed
        ref = weakref.ref(engine, lambda _: changed.set())
        name = f"ReplayEngine-{next(_numbers)}"
        self.thread = threading.Thread(target=self._drive, args=(ref,), name=name, daemon=True)
        self.thread.start()

    def _drive(self, ref: weakref.ref[Driven]) -> None:
        try:
            while (engine := ref()) is not None:
                seconds = engine.turn(self)
                del engine
                if seconds is None:
                    return
                self._pass(seconds)
        finally:
            if (left := ref()) is not None:
                left.lose(self)


class _LoopWaiter:
    """Waits in an event loop, and can be woken from any thread."""

    slice = _SLICE
    stays = False
    alone = False

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._thread = threading.get_ident()

    def wake(self) -> None:
        """Look again at once; a closed loop has nothing to wake."""
        if threading.get_ident() == self._thread:
            self._changed.set()
            return
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._changed.set)

    async def wait(self, seconds: float) -> None:
        """Let the loop do other things for some seconds, or until woken."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        timer = self.loop.call_later(min(seconds, _LONGEST_WAIT), self._changed.set)
        try:
            await self._changed.wait()
        finally:
            timer.cancel()
        self._changed.clear()


class TaskDriver(_LoopWaiter):
    """Drives an engine in a task of the running event loop."""

    def __init__(self) -> None:
        super().__init__()
        self.task: asyncio.Task[None] | None = None

    def start(self, engine: Driven) -> None:
        """Begin; `engine` is held weakly."""
        ref = weakref.ref(engine, lambda _: self.wake())
        self.task = self.loop.create_task(self._drive(ref), name=f"ReplayEngine-{next(_numbers)}")

    async def _drive(self, ref: weakref.ref[Driven]) -> None:
        try:
            while (engine := ref()) is not None:
                seconds = engine.turn(self)
                del engine
                if seconds is None:
                    return
                await self.wait(seconds)
        finally:
            if (left := ref()) is not None:
                left.lose(self)


class _Feed(_LoopWaiter):
    """What an iteration drives an engine with: it keeps the steps that came and were not asked for yet."""

    stays = True

    def __init__(self, engine: Any) -> None:
        super().__init__()
        self.steps: deque[Any] = deque()
        self.subscription = engine.on("tick", self._keep)

    def _keep(self, step: Any) -> None:
        self.steps.append(step)
        self.wake()


class Iteration:
    """Drives an engine from an ``async for``: each tick comes to the loop body after it came to the callbacks.

    When the loop is left early, the engine pauses.

    Parameters
    ----------
    engine : ReplayEngine
        Kept alive as long as the iteration.
    pacer : Pacer
        Its pacer.
    """

    def __init__(self, engine: Any, pacer: Any) -> None:
        self._engine = engine
        self._pacer = pacer
        self._feed = _Feed(engine)
        self._ahead: deque[Any] = deque()
        self._most = 1  # steps to take at once: few where the loop body is slow
        self._since = time.monotonic()
        pacer.drive(self._feed)
        left = weakref.finalize(self, _abandon, pacer, self._feed)
        left.atexit = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        ahead, feed = self._ahead, self._feed
        if ahead:
            try:  # a third of the time of contextlib.suppress
                return ahead.popleft()
            except IndexError:
                pass
        if time.monotonic() - self._since > feed.slice:  # as fast as possible must not starve the event loop
            self._most = 1
            await asyncio.sleep(0)
            self._since = time.monotonic()
        elif self._most < _MOST:
            self._most *= 2
        while not feed.steps:
            if self._pacer.take_ahead(feed, ahead, self._most):
                with contextlib.suppress(IndexError):  # another thread may have put them back at once
                    return ahead.popleft()
            seconds = self._pacer.turn(feed, 1)
            if not feed.steps:
                if seconds is None:
                    feed.subscription.cancel()
                    raise StopAsyncIteration
                await feed.wait(seconds)
        return feed.steps.popleft()

    async def aclose(self) -> None:
        """Stop driving; the engine pauses."""
        self._feed.subscription.cancel()
        self._pacer.lose(self._feed)


def _abandon(pacer: Any, feed: _Feed) -> None:
    """An iteration was dropped: let the loop stop what it drove, as a finaliser may run while any lock is held."""
    feed.subscription.cancel()
    with contextlib.suppress(RuntimeError):
        feed.loop.call_soon_threadsafe(pacer.lose, feed)
