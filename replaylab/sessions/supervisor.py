"""Supervisor: keeps one feed connected: connects, reads, notices silence, waits, and connects again, without end."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Final, Protocol

from replaylab.errors import FeedError, FeedLost, FeedRefused
from replaylab.feeds.base import Feed, Frame
from replaylab.sessions.backoff import BASE_SECONDS, Backoff
from replaylab.sessions.breaker import Breaker, Circuit
from replaylab.sessions.clock import Clock
from replaylab.sessions.event import LiveState

STALE_SECONDS: Final = 10.0
RESET_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.5
_MISSED_BEATS: Final = 2.0
_TWICE: Final = 2
_MOMENT_SECONDS: Final = 0.01
_RENEWAL: Final = FeedLost("renewal", "a fresh token is due")  # no loss: the session connects again at once
_ANEW: Final = FeedLost("server_restart", "the place is not known any more")  # without it, it connects at once
_FATAL_TWICE: Final = frozenset({"too_big", "protocol"})


class Owner(Protocol):
    """What a supervisor reports a feed's changes and frames to."""

    position: str | None

    def changed(self, state: LiveState, reason: str | None) -> None:
        """Note a change of state."""

    def connected(self, *, resumed: bool) -> None:
        """Note that a connection was made, and whether it goes on exactly after the position."""

    def lost(self, cause: str) -> None:
        """Note that nothing can come any more."""

    async def over(self) -> None:
        """Complete what is told of a feed that is over, before it is called closed."""

    async def take(self, frame: Frame) -> None:
        """Take what came; the feed is not read meanwhile."""


class Supervisor:
    """Keeps one feed connected.

    Parameters
    ----------
    feed : Feed
        The feed; the same one connects again and again.
    owner : Owner
        Gets every change of state and every frame.
    breaker : Breaker
        Of the endpoint; shared.
    clock : Clock
        Time, sleep and chance.
    base_seconds : float
        Longest first delay between two attempts.
    """

    def __init__(
        self, feed: Feed, owner: Owner, breaker: Breaker, clock: Clock, base_seconds: float = BASE_SECONDS
    ) -> None:
        self.attempts = 0
        self.connections = 0
        self.state = LiveState.IDLE
        self._feed = feed
        self._owner = owner
        self._breaker = breaker
        self._clock = clock
        self._backoff = Backoff(clock.uniform, base_seconds)
        self._in_a_row: dict[str, int] = {}
        self._life = 0.0  # when something came last
        self._data_since: float | None = None
        self._taking = False

    async def run(self) -> None:
        """Run until the feed is over, is hopeless, or the task is cancelled."""
        try:
            while True:
                await self._wait_for_circuit()
                problem = await self._connection()
                if problem is None:
                    await self._owner.over()
                    self._change(LiveState.CLOSED, "the feed is over")
                    return
                if problem is _RENEWAL or problem is _ANEW:
                    continue
                if self._hopeless(problem):
                    self._change(LiveState.FAILED, str(problem))
                    return
                delay = self._backoff.next_delay()
                if self._breaker.state is not Circuit.CLOSED:
                    continue  # its pause is the longer one
                self._change(LiveState.BACKING_OFF, f"connects again in {delay:.1f} s: {problem}")
                await self._clock.sleep(delay)
        finally:
            with suppress(Exception):
                await asyncio.shield(self._feed.close())

    async def _wait_for_circuit(self) -> None:
        while not self._breaker.allow(self._clock.now()):
            if self.state is not LiveState.CIRCUIT_OPEN:
                self._change(LiveState.CIRCUIT_OPEN, "the server answers, but is ill; it is left in peace")
            await self._clock.sleep(max(self._breaker.until - self._clock.now(), 0.01))

    async def _connection(self) -> FeedError | None:
        """Make one connection and read it to its end; return how it was lost, None when the feed is over."""
        self.attempts += 1
        self._data_since = None
        after = self._owner.position
        self._change(LiveState.CONNECTING, None)
        problem: FeedError | None
        try:
            await self._feed.connect(after)
            self.connections += 1
            self._life = self._clock.now()
            self._owner.connected(resumed=after is not None)
            self._change(LiveState.CATCHING_UP, None)
            problem = await self._watched()
        except FeedError as error:
            problem = error
        if problem is None:
            return None
        if problem is _RENEWAL:
            if not self._feed.resumes:
                self._owner.lost(_RENEWAL.cause)
            with suppress(Exception):
                await self._feed.close()
            return problem
        cause = problem.cause if isinstance(problem, FeedLost) else "refused"
        self._owner.lost(cause)
        self._change(LiveState.LOST, str(problem))
        unknown = cause == "server_restart" and isinstance(problem, FeedLost) and problem.answered
        if unknown and after is not None and self._data_since is None:
            self._owner.position = None  # the server knows the place no more: begin again where it begins
            problem = _ANEW
        else:
            self._count(problem, cause)
        with suppress(Exception):
            await self._feed.close()
        return problem

    def _count(self, problem: FeedError, cause: str) -> None:
        """Count a loss for the circuit, the delays, and what may happen only so often."""
        now = self._clock.now()
        if self._data_since is not None:
            if now - self._data_since >= RESET_SECONDS:
                self._backoff.reset()
            if cause != "too_big":  # a token that has expired after all went well is renewed, as often as that happens
                self._in_a_row.clear()
                return
        elif isinstance(problem, FeedLost) and problem.answered and problem.retry:
            self._breaker.ill(now)  # one that refuses what is asked for is well, and others may ask for other things
        self._in_a_row = {cause: self._in_a_row.get(cause, 0) + 1}

    def _hopeless(self, problem: FeedError) -> bool:
        if isinstance(problem, FeedRefused):
            return self._in_a_row.get("refused", 0) >= _TWICE
        if not problem.retry:
            return True
        return any(self._in_a_row.get(cause, 0) >= _TWICE for cause in _FATAL_TWICE)

    async def _watched(self) -> FeedError | None:
        """Read until the connection ends or is silent for too long."""
        reading = asyncio.ensure_future(self._read())
        watching = asyncio.ensure_future(self._watch())
        renewing = asyncio.ensure_future(self._renew())
        tasks = (reading, watching, renewing)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            while self._taking and not reading.done() and renewing.done():
                await self._clock.sleep(_MOMENT_SECONDS)  # what is being recorded is recorded whole
            return next(task for task in tasks if task.done()).result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _renew(self) -> FeedError:
        """Return when a fresh token is due; a feed without such a token never is."""
        while True:
            at: float | None = getattr(self._feed, "renews_at", None)
            if at is None:
                await asyncio.get_running_loop().create_future()
                continue
            left = at - self._clock.wall().timestamp()
            if left <= 0:
                return _RENEWAL
            await self._clock.sleep(min(left, STALE_SECONDS))

    async def _read(self) -> FeedError | None:
        feed, owner, clock = self._feed, self._owner, self._clock
        try:
            while True:
                frame = await feed.receive()
                if frame is None:
                    return None
                self._life = now = clock.now()
                if frame.messages:
                    if self._data_since is None:
                        self._data_since = now
                        self._breaker.well()
                    if self.state is not LiveState.LIVE:
                        self._change(LiveState.LIVE, None)
                    self._taking = True
                    try:
                        await owner.take(frame)
                    finally:
                        self._taking = False
                    self._life = clock.now()
                elif self.state is LiveState.STALE:
                    self._change(LiveState.LIVE if self._data_since is not None else LiveState.CATCHING_UP, None)
        except FeedError as error:
            return error

    async def _watch(self) -> FeedError:
        """Notice silence; return how the feed is lost."""
        clock, feed = self._clock, self._feed
        probed = -STALE_SECONDS
        while True:
            life = self._life
            quiet = 0.0 if self._taking else clock.now() - life  # a feed that is not read cannot be silent
            if quiet < STALE_SECONDS:
                await clock.sleep(min(max(STALE_SECONDS - quiet, 0.01), STALE_SECONDS))
                continue
            if self.state is not LiveState.STALE:
                self._change(LiveState.STALE, f"nothing came for {STALE_SECONDS:g} s")
            beats = feed.beats
            if beats is not None and quiet >= max(beats * _MISSED_BEATS, STALE_SECONDS) + 1.0:
                return FeedLost("stall", f"{feed.name}: {_MISSED_BEATS:g} heartbeats did not come")
            if clock.now() - probed >= STALE_SECONDS:
                probed = clock.now()
                try:
                    await feed.probe()
                except FeedError as error:
                    if self._life == life and not self._taking:
                        return FeedLost("stall", f"{feed.name}: silent, and {error}")
            await clock.sleep(_LOOK_SECONDS)

    def _change(self, state: LiveState, reason: str | None) -> None:
        self.state = state
        self._owner.changed(state, reason)
