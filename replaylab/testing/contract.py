"""FeedContract: what every feed has to promise, as a test class to inherit from.

::

    class TestMyFeed(FeedContract):
        @asynccontextmanager
        async def opened(self):
            async with my_server() as url:
                yield MyFeed(url)
"""

from __future__ import annotations

import asyncio
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, TypeVar

from replaylab.errors import FeedLost
from replaylab.feeds.base import Feed, Message
from replaylab.mark import Mark
from replaylab.tick import Tick

_Result = TypeVar("_Result")
_SECONDS: Final = 30.0
_CANCELLED_AT: Final = 25


class FeedContract:
    """What every feed promises: order, one end, and that it can be cancelled and closed at any moment.

    Inherit from it in a test file, and give `opened`. Every test makes a server and a feed of its own.

    Attributes
    ----------
    ticks : int
        How many ticks the source brings at least.
    ends : bool
        Whether the source comes to an end by itself.

    Examples
    --------
    >>> from contextlib import asynccontextmanager
    >>> from replaylab.feeds.simulated import simulated_feed
    >>> class OfSimulated(FeedContract):
    ...     @asynccontextmanager
    ...     async def opened(self):
    ...         yield simulated_feed(games=1, pacing="none")
    >>> OfSimulated().test_messages_come_in_order()
    """

    ticks = 1
    ends = True

    def opened(self) -> AbstractAsyncContextManager[Feed]:
        """Return the feed to test, not yet connected; what serves it stops when the context is left."""
        raise NotImplementedError

    def test_it_is_a_feed(self) -> None:
        """It has the attributes and methods of a feed, and a name that holds neither a password nor a query."""

        async def run(feed: Feed) -> None:
            _hold(isinstance(feed, Feed), f"{type(feed).__name__} is no Feed: see replaylab.feeds.base.Feed")
            _hold("?" not in feed.name and "@" not in feed.name, f"its name holds a secret or a query: {feed.name!r}")

        self._run(run)

    def test_messages_come_in_order(self) -> None:
        """Ticks of a game never go back, and every message is a tick or a mark."""

        async def run(feed: Feed) -> None:
            messages = await self._some(feed)
            _hold(all(isinstance(one, Tick | Mark) for one in messages), "a message is neither a Tick nor a Mark")
            ticks = [one for one in messages if isinstance(one, Tick)]
            _hold(len(ticks) >= self.ticks, f"{len(ticks)} ticks came, {self.ticks} were expected")
            latest: dict[str, int] = {}
            for tick in ticks:
                before = latest.get(tick.game_id, -1)
                _hold(tick.tick >= before, f"game {tick.game_id}: tick {tick.tick} came after {before}")
                latest[tick.game_id] = tick.tick

        self._run(run)

    def test_ids_stand_beside_messages(self) -> None:
        """A frame has one id a message, or none at all, and a feed that resumes has a position."""

        async def run(feed: Feed) -> None:
            await feed.connect()
            count = 0
            while count < self.ticks and (frame := await feed.receive()) is not None:
                _hold(len(frame.ids) in {0, len(frame.messages)}, "ids and messages differ in number")
                count += len(frame.messages)
            _hold(not feed.resumes or feed.position is not None, "it resumes, and has no position")

        self._run(run)

    def test_it_resumes(self) -> None:
        """A feed that resumes brings after an id exactly what came after it the first time."""

        async def run(feed: Feed) -> None:
            await feed.connect()
            first: list[tuple[Message, str | None]] = []
            while len(first) < self.ticks and (frame := await feed.receive()) is not None:
                first += zip(frame.messages, frame.ids or [None] * len(frame.messages), strict=True)
            if not feed.resumes:
                return
            middle = next(n for n, (_, name) in enumerate(first) if name is not None)
            await feed.close()
            await feed.connect(first[middle][1])
            again: list[Message] = []
            while len(again) < len(first) - middle - 1 and (frame := await feed.receive()) is not None:
                again += frame.messages
            expected = [message for message, _ in first[middle + 1 :]]
            _hold(again[: len(expected)] == expected, "after resuming other messages came than before")

        self._run(run)

    def test_it_can_be_cancelled_anywhere(self) -> None:
        """Cancelling at any await leaves a feed that can be closed, and no task behind."""

        async def run(feed: Feed) -> None:
            for turns in range(_CANCELLED_AT):
                reading = asyncio.ensure_future(self._some(feed))
                for _ in range(turns):
                    await asyncio.sleep(0)
                reading.cancel()
                await asyncio.gather(reading, return_exceptions=True)
                await feed.close()

        self._run(run)

    def test_receiving_can_be_cancelled_without_loss(self) -> None:
        """Reading with a `receive` that is cancelled again and again brings what reading in peace brings."""
        found: list[list[tuple[str, int, object]]] = []

        async def run(feed: Feed) -> None:
            await feed.connect()
            ticks: list[tuple[str, int, object]] = []
            while len(ticks) < self.ticks:
                try:
                    frame = await asyncio.wait_for(feed.receive(), 0.002 if found else None)
                except TimeoutError:
                    continue
                if frame is None:
                    break
                ticks += [(one.game_id, one.tick, one.price) for one in frame.messages if isinstance(one, Tick)]
            found.append(ticks[: self.ticks])

        self._run(run)
        self._run(run)
        _hold(found[0] == found[1], "cancelling `receive` has lost or doubled ticks")

    def test_closing_twice_and_before(self) -> None:
        """Closing a feed that is closed, or was never connected, does nothing; reading it then is a `FeedLost`."""

        async def run(feed: Feed) -> None:
            await feed.close()
            await feed.connect()
            await feed.close()
            await feed.close()
            try:
                await feed.receive()
            except FeedLost:
                return
            raise AssertionError("a closed feed brought something")

        self._run(run)

    def test_closing_while_connecting(self) -> None:
        """A feed can be closed while it connects, and connects again afterwards."""

        async def run(feed: Feed) -> None:
            connecting = asyncio.ensure_future(feed.connect())
            await asyncio.sleep(0)
            connecting.cancel()
            await asyncio.gather(connecting, return_exceptions=True)
            await feed.close()
            await feed.connect()

        self._run(run)

    def test_it_ends_once(self) -> None:
        """A source that is over ends the iteration, and goes on saying so."""

        async def run(feed: Feed) -> None:
            if not self.ends:
                return
            await feed.connect()
            while await feed.receive() is not None:
                pass
            _hold(await feed.receive() is None, "something came after the end")

        self._run(run)

    async def _some(self, feed: Feed) -> list[Message]:
        """Connect and read until enough ticks have come."""
        await feed.connect()
        found: list[Message] = []
        ticks = 0
        while ticks < self.ticks and (frame := await feed.receive()) is not None:
            found += frame.messages
            ticks += sum(isinstance(one, Tick) for one in frame.messages)
        return found

    def _run(self, run: Callable[[Feed], Awaitable[_Result]]) -> None:
        """Run one test in a loop of its own; no warning may come up, and no task may be left."""

        async def whole() -> None:
            async with asyncio.timeout(_SECONDS), self.opened() as feed:
                before = asyncio.all_tasks()
                try:
                    await run(feed)
                finally:
                    await feed.close()
                await _settled(before)

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            asyncio.run(whole())


async def _settled(before: set[asyncio.Task[object]]) -> None:
    """Wait a moment for what ends by itself; raise when a task is left."""
    left: set[asyncio.Task[object]] = set()
    for _ in range(200):
        left = {task for task in asyncio.all_tasks() - before if not task.done()}
        if not left:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"tasks are left behind: {sorted(task.get_name() for task in left)}")


def _hold(condition: bool, message: str) -> None:  # noqa: FBT001 it reads as an assertion
    """Raise `AssertionError` unless a promise is kept."""
    if not condition:
        raise AssertionError(message)


async def collected(feed: Feed) -> AsyncIterator[Message]:
    """Yield every message of a feed until it is over, and close it.

    Examples
    --------
    >>> from replaylab.feeds.simulated import simulated_feed
    >>> async def count():
    ...     return sum([1 async for _ in collected(simulated_feed(games=1, seed=4, pacing="none"))])
    >>> asyncio.run(count()) > 10
    True
    """
    try:
        await feed.connect()
        while (frame := await feed.receive()) is not None:
            for message in frame.messages:
                yield message
    finally:
        await feed.close()
