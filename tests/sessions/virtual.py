"""Virtual time: an event loop that jumps to the next moment at which something is due; feeds that follow a script."""

from __future__ import annotations

import asyncio
import random
import selectors
from collections import Counter
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from replaylab.errors import FeedError, FeedLost
from replaylab.feeds.base import Connection, Frame
from replaylab.sessions.clock import Clock
from replaylab.sessions.event import LiveState
from replaylab.tick import Tick

START = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)
_Result = TypeVar("_Result")


class _Jumps(selectors.DefaultSelector):
    """Does not wait: time goes on by as much as it would have waited."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0 if timeout is not None else None)
        if not found and timeout:
            self.now += timeout
        return found


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in whose time waiting takes none."""

    def __init__(self) -> None:
        self.jumps = _Jumps()
        super().__init__(self.jumps)

    def time(self) -> float:
        """Seconds of its own time."""
        return self.jumps.now


def run_virtually(work: Callable[[Clock], Coroutine[Any, Any, _Result]], seed: int = 1) -> _Result:
    """Run a coroutine in virtual time, with a clock of that time."""
    loop = VirtualLoop()
    chance = random.Random(seed)
    clock = Clock(loop.time, lambda: START + timedelta(seconds=loop.time()), asyncio.sleep, chance.uniform)
    try:
        return loop.run_until_complete(work(clock))
    finally:
        loop.close()


def tick(number: int, game_id: str = "g", **more: Any) -> Tick:
    """A live tick."""
    return Tick(game_id, number, START + timedelta(seconds=number), 1, active=True, **more)  # type: ignore[arg-type]


class ScriptedFeed(Connection):
    """A feed that connects, brings and is lost as functions of the time say.

    Parameters
    ----------
    connects : callable
        Given the time, raises when connecting fails.
    brings : callable
        Given the time since connecting, returns a frame, a number of seconds to wait, None at the end, or raises.
    """

    def __init__(
        self,
        connects: Callable[[float], None],
        brings: Callable[[float], Frame | float | None],
        *,
        probes: Callable[[float], None] = lambda _now: None,
        beats: float | None = None,
    ) -> None:
        super().__init__("ws://scripted.example/feed")
        self.beats = beats
        self.attempts: list[float] = []
        self.connected: list[float] = []
        self.asked: list[str | None] = []
        self.closed = 0
        self._connects, self._brings, self._probes = connects, brings, probes

    async def connect(self, after: str | None = None) -> None:
        """Connect, as the script says."""
        now = asyncio.get_running_loop().time()
        self.attempts.append(now)
        self.asked.append(after)
        await asyncio.sleep(0.01)
        self._connects(now)
        self.connected.append(asyncio.get_running_loop().time())

    async def receive(self) -> Frame | None:
        """Bring something, as the script says."""
        while True:
            found = self._brings(asyncio.get_running_loop().time() - self.connected[-1])
            if not isinstance(found, float):
                await asyncio.sleep(0.001)  # so that time goes on, whatever the script says
                return found
            await asyncio.sleep(found)

    async def probe(self) -> None:
        """Answer, as the script says."""
        self._probes(asyncio.get_running_loop().time())

    async def close(self) -> None:
        """Count."""
        self.closed += 1


class Watcher:
    """An owner of a supervisor that notes all it is told."""

    def __init__(self) -> None:
        self.position: str | None = None
        self.states: list[tuple[float, LiveState]] = []
        self.reasons: list[str | None] = []
        self.causes: Counter[str] = Counter()
        self.frames: list[tuple[float, Frame]] = []

    def changed(self, state: LiveState, reason: str | None) -> None:
        """Note it."""
        self.states.append((asyncio.get_running_loop().time(), state))
        self.reasons.append(reason)

    def connected(self, *, resumed: bool) -> None:
        """Do nothing."""

    def lost(self, cause: str) -> None:
        """Note it."""
        self.causes[cause] += 1

    async def over(self) -> None:
        """Do nothing."""

    async def take(self, frame: Frame) -> None:
        """Note it."""
        self.frames.append((asyncio.get_running_loop().time(), frame))
        if frame.position is not None:
            self.position = frame.position

    def times_of(self, state: LiveState) -> list[float]:
        """When it went into a state."""
        return [at for at, one in self.states if one is state]


def refused(*_: object) -> None:
    """A port where nothing listens."""
    raise FeedLost("refused", "nothing listens")


def closed_at_once(*_: object) -> Frame:
    """A server that accepts and closes."""
    raise FeedLost("closed", "closed at once", answered=True)


def raising(error: FeedError) -> Callable[[float], Any]:
    """What raises an error whenever it is asked."""

    def fail(_now: float) -> Any:
        raise error

    return fail
