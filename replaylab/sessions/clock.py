"""Clock: time, sleep and chance, as a session asks for them; tests put others in their place."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from replaylab.feeds.base import utc_now

_CHANCE: Final = random.Random()  # noqa: S311 to spread attempts; of its own: users seed the common one
STEP_SECONDS: Final = 1.0  # a jump of the wall clock against the monotonic one that is marked


@dataclass(frozen=True, slots=True)
class Clock:
    """What a session asks of the machine.

    Attributes
    ----------
    now : callable
        Seconds of a clock that never jumps.
    wall : callable
        The time of day, aware.
    sleep : callable
        A coroutine that waits so many seconds.
    uniform : callable
        A random number between two bounds.
    """

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], datetime] = utc_now
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    uniform: Callable[[float, float], float] = _CHANCE.uniform


class Skew:
    """How far the wall clock is from the one that never jumps."""

    def __init__(self) -> None:
        self._seconds: float | None = None

    def step(self, before: float, wall: datetime, after: float) -> float | None:
        """Return by how much the wall clock has jumped since the last look, or None; it was read between two moments.

        Where these are far apart this thread did not run meanwhile, and nothing is known of a jump.

        Examples
        --------
        >>> from datetime import timedelta
        >>> skew, noon = Skew(), datetime.fromisoformat("2031-01-02T12:00:00+00:00")
        >>> skew.step(10.0, noon, 10.0), skew.step(11.0, noon + timedelta(hours=1, seconds=1), 11.0)
        (None, 3600.0)
        """
        if after - before > STEP_SECONDS / 2:
            return None
        seconds = wall.timestamp() - before
        last, self._seconds = self._seconds, seconds
        return seconds - last if last is not None and abs(seconds - last) > STEP_SECONDS else None
