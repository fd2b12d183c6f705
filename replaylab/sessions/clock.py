"""Clock: time, sleep and chance, as a session asks for them; tests put others in their place."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

from replaylab.feeds.base import utc_now


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
    uniform: Callable[[float, float], float] = random.uniform
