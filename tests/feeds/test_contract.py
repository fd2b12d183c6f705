"""Every feed of the package keeps the promises of a feed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest

import replaylab as rl
from replaylab.feeds.base import Connection, Feed, Frame
from replaylab.feeds.paced import PacedFeed
from replaylab.feeds.programme import Programme
from replaylab.feeds.simulated import SimulatedGames, simulated_feed
from replaylab.feeds.socketio import SocketIOFeed
from replaylab.feeds.stored import stored_feed
from replaylab.feeds.websocket import WebSocketFeed
from replaylab.testing import FeedContract
from replaylab.tick import Tick
from tests.feeds.frames import AT, snapshot_frame, tick_frame
from tests.feeds.servers import serving, serving_programme, speaking_socketio


class TestSimulated(FeedContract):
    """Made-up games."""

    ticks = 150

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Feed]:
        """Serve nothing: the games are made."""
        yield simulated_feed(games=3, seed=4, speed=100.0)


class TestStored(FeedContract):
    """The games of a store."""

    ticks = 60

    @pytest.fixture(autouse=True)
    def _store(self, tmp_path: Path) -> None:
        rl.simulate(tmp_path / "recordings", games=2, seed=3)
        rl.convert(tmp_path / "recordings", tmp_path / "store", progress=False)
        self.path = tmp_path / "store"

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Feed]:
        """Serve nothing: the games are stored."""
        yield stored_feed(self.path, pacing="none")


class TestWebSocket(FeedContract):
    """A WebSocket that speaks `replaylab.v1`."""

    ticks = 100

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Feed]:
        """Serve made-up games."""
        programme = Programme(SimulatedGames(2, 5), "none")
        async with serving(serving_programme(programme)) as port:
            yield WebSocketFeed(f"ws://127.0.0.1:{port}/feed")


class TestSocketIO(FeedContract):
    """The game's own events, by a server that does not resume and does not end."""

    ticks = 60
    ends = False

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Feed]:
        """Serve made-up frames, the snapshot one tick late."""
        frames = [tick_frame(9), snapshot_frame(8), *(tick_frame(n) for n in range(10, 90))]
        async with serving(speaking_socketio([("gameStateUpdate", one.decode()) for one in frames])) as port:
            yield SocketIOFeed(f"socketio+http://127.0.0.1:{port}")


class TestBrokenFeeds:
    """The contract notices feeds that break it."""

    @pytest.mark.parametrize("breaks", ["order", "close", "ids"])
    def test_a_broken_feed_is_noticed(self, breaks: str) -> None:
        """Ticks out of order, reading after closing, ids that do not match: each fails a test of the contract."""

        class Broken(PacedFeed):
            async def receive(self) -> Frame | None:
                if breaks == "close":
                    return Frame([Tick("g", 1, AT, Decimal(1))])
                frame = await super().receive()
                if frame is None or breaks == "ids":
                    return None if frame is None else frame._replace(ids=["1"] * (len(frame.messages) + 1))
                return frame._replace(messages=list(reversed(frame.messages)))

        class Contract(FeedContract):
            ticks = 50

            @asynccontextmanager
            async def opened(self) -> AsyncIterator[Feed]:
                yield Broken(Programme(SimulatedGames(1, 1), "none"), "broken")

        test = {
            "order": Contract().test_messages_come_in_order,
            "close": Contract().test_closing_twice_and_before,
            "ids": Contract().test_ids_stand_beside_messages,
        }[breaks]
        with pytest.raises(AssertionError):
            test()

    def test_what_is_no_feed_is_noticed(self) -> None:
        """An object without the methods of a feed, or with a password in its name, fails."""

        class Contract(FeedContract):
            @asynccontextmanager
            async def opened(self) -> AsyncIterator[Feed]:
                yield Connection("ws://me:secret@host/feed?token=1")

        with pytest.raises(AssertionError, match="holds a secret"):
            Contract().test_it_is_a_feed()
