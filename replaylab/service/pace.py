"""Pace: the clock of a programme that is served, and the alarm that wakes those that wait for it."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final

_GRAIN_SECONDS: Final = 0.005


class Pace:
    """The clock of a programme: where it is now; it begins when it is first asked.

    Parameters
    ----------
    speed : float
        Seconds of the programme a second; infinity is as fast as possible.
    start_us : int
        Where it begins.
    now : callable
        Seconds of a clock that does not jump.
    """

    def __init__(self, speed: float, start_us: int = 0, now: Callable[[], float] = time.monotonic) -> None:
        self.speed = speed
        self._start_us = start_us
        self._now = now
        self._since: float | None = None

    def position_us(self) -> int | None:
        """Return where it is; None when everything is due."""
        now = self._now()
        if self._since is None:
            self._since = now
        if not math.isfinite(self.speed):
            return None
        return self._start_us + int((now - self._since) * self.speed * 1_000_000)

    def begin_at(self, position_us: int) -> None:
        """Let it begin at a position, unless it runs: a client that resumes at a restarted server need not wait."""
        if self._since is None:
            self._start_us = position_us

    def seconds_until(self, due_us: int) -> float:
        """Return how long until a position is reached."""
        at = self.position_us()
        return 0.0 if at is None else (due_us - at) / 1_000_000 / self.speed


class Alarm:
    """Wakes together those that wait until nearly the same moment, by one timer of the loop.

    They wake never too early, and up to 5 ms late: hundreds of clients on clocks of their own are then served in a few
    rounds of the loop, where a timer for each would be a round for each. It belongs to one event loop.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, list[asyncio.Future[None]]] = {}

    async def sleep(self, seconds: float) -> None:
        """Wait so long."""
        loop = asyncio.get_running_loop()
        moment = math.ceil((loop.time() + seconds) / _GRAIN_SECONDS)
        waiting = self._waiting.get(moment)
        if waiting is None:
            waiting = self._waiting[moment] = []
            loop.call_at(moment * _GRAIN_SECONDS, self._wake, moment)
        woken = loop.create_future()
        waiting.append(woken)
        await woken

    def _wake(self, moment: int) -> None:
        for woken in self._waiting.pop(moment):
            if not woken.done():  # a task that was cancelled waits no more
                woken.set_result(None)
