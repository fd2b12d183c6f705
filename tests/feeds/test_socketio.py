"""SocketIOFeed: the game's own events over Socket.IO v5, with nothing else read."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection

from replaylab.errors import FeedLost, FeedRefused
from replaylab.feeds.base import Message
from replaylab.feeds.socketio import SocketIOFeed
from replaylab.mark import Mark
from replaylab.tick import Tick
from tests.feeds.frames import GAME, snapshot_frame, tick_frame
from tests.feeds.servers import Handler, serving, speaking_socketio


def read(handler: Handler, ticks: int, **options: Any) -> tuple[SocketIOFeed, list[Message]]:
    """What a feed brings from a handler, until so many ticks came."""

    async def run() -> tuple[SocketIOFeed, list[Message]]:
        found: list[Message] = []
        async with serving(handler) as port:
            feed = SocketIOFeed(f"socketio+http://127.0.0.1:{port}", **options)
            try:
                await feed.connect()
                async with asyncio.timeout(60):
                    while sum(isinstance(one, Tick) for one in found) < ticks:
                        frame = await feed.receive()
                        assert frame is not None
                        found += frame.messages
            finally:
                await feed.close()
        return feed, found

    return asyncio.run(run())


def updates(*frames: bytes) -> list[tuple[str, str]]:
    """Events of frames."""
    return [("gameStateUpdate", frame.decode()) for frame in frames]


def test_the_snapshot_puts_ticks_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection in the middle of a game brings all of it, though the snapshot comes a frame late."""
    monkeypatch.setattr("replaylab.feeds.rugs.SETTLE_SECONDS", 60.0)  # a slow machine brings it later
    feed, found = read(speaking_socketio(updates(tick_frame(9), snapshot_frame(8), tick_frame(10))), 11)
    assert [one.tick for one in found if isinstance(one, Tick)] == list(range(11))
    assert (feed.resumes, feed.beats, feed.position) == (False, 25, None)


def test_without_a_snapshot_ticks_wait_a_second() -> None:
    """When no snapshot comes, the ticks held are brought after a second, without another frame."""
    _, found = read(speaking_socketio(updates(tick_frame(9))), 5)
    assert [one.tick for one in found if isinstance(one, Tick)] == [5, 6, 7, 8, 9]


def test_pings_are_answered_and_other_things_counted() -> None:
    """A ping is answered; other events, binary ones and noise are counted, and the next good tick comes."""
    answers: list[bytes] = []

    async def then(connection: ServerConnection) -> None:
        opening = {"sid": "s", "upgrades": [], "pingInterval": 1000, "pingTimeout": 500, "maxPayload": 1_000_000}
        await connection.send("0" + json.dumps(opening))
        await connection.recv()
        await connection.send("2")
        answers.append(await connection.recv(decode=False))
        await connection.send('40{"sid":"t"}')
        await connection.send("2")
        await connection.send('451-["picture",{"_placeholder":true,"num":0}]')
        await connection.send(b"\xff\x00picture")
        for text in ("noise", "42nonsense", "42[]", '42["gameStateUpdate",7]', '42["chat",{"username":"anna"}]', "4"):
            await connection.send(text)
        await connection.send('42["gameStateUpdate",{"trace":1},' + tick_frame(3).decode() + "]")
        await connection.send('42/other,["gameStateUpdate",' + tick_frame(4).decode() + "]")
        answers.append(await connection.recv(decode=False))
        await connection.wait_closed()

    feed, found = read(then, 4)
    assert answers == [b"3", b"3"]
    assert [(one.game_id, one.tick) for one in found if isinstance(one, Tick)] == [(GAME, n) for n in range(4)]
    assert feed.refused == {
        "binary_event": 1,
        "no_packet": 2,
        "not_json": 1,
        "no_event": 1,
        "no_object": 1,
        "event:chat": 1,
    }


def test_trades_are_brought_when_asked_for() -> None:
    """With `trades` a trade is a mark without who made it; its event may have a trace before it."""
    trade = {"gameId": GAME, "type": "buy", "qty": 2, "price": 1.5, "tickIndex": 3, "username": "anna", "leverage": 4}
    events = [("standard/newTrade", '{"__trace":true},' + json.dumps(trade)), *updates(tick_frame(9))]
    _, found = read(speaking_socketio(events), 5, trades=True)
    marks = [one for one in found if isinstance(one, Mark) and one.kind == "trade"]
    assert [(mark.detail["side"], mark.detail["leverage"], mark.detail["tick"]) for mark in marks] == [("buy", 4, 3)]
    assert "anna" not in repr(found)


def test_refused() -> None:
    """A server that refuses CONNECT wants a token."""
    with pytest.raises(FeedRefused):
        read(speaking_socketio([], refuse=True), 1)


def test_the_token_is_sent_as_auth() -> None:
    """The token stands in the CONNECT packet, and in nothing that can be seen."""
    asked: list[str] = []

    async def handle(connection: ServerConnection) -> None:
        await connection.send('0{"sid":"s"}')
        asked.append(str(await connection.recv()))
        await connection.send("41")
        await connection.wait_closed()

    async def run() -> None:
        async with serving(handle) as port:
            feed = SocketIOFeed(f"socketio+http://127.0.0.1:{port}", token=lambda: "planted-77", timeout_seconds=2.0)
            while not asked:  # on a slow machine the time may be over before
                with pytest.raises(FeedLost) as raised:
                    await asyncio.wait_for(feed.connect(), 60)
                await feed.close()
            assert "planted-77" not in repr(feed) + repr(raised.value) + str(vars(raised.value))

    asyncio.run(run())
    assert asked == ['40{"token":"planted-77"}']


def test_what_was_missed_comes_before_the_answer() -> None:
    """With connection state recovery missed events come before the answer to CONNECT, and ids go on."""
    asked: list[str] = []

    async def handle(connection: ServerConnection) -> None:
        await connection.send('0{"sid":"s"}')
        asked.append(str(await connection.recv()))
        if len(asked) > 1:
            await connection.send('42["gameStateUpdate",' + tick_frame(2, last=1).decode() + ',"o2"]')
        await connection.send('40{"sid":"t","pid":"p"}')
        if len(asked) == 1:
            await connection.send('42["gameStateUpdate",' + snapshot_frame(1).decode() + ',"o1"]')
        else:
            await connection.send('42["gameStateUpdate",' + tick_frame(3, last=1).decode() + ',"o3"]')
        await connection.wait_closed()

    async def run() -> None:
        found: list[Message] = []
        async with serving(handle) as port, asyncio.timeout(60):
            feed = SocketIOFeed(f"socketio+http://127.0.0.1:{port}")
            await feed.connect()
            ids: list[str | None] = []
            while len(found) < 3:
                frame = await feed.receive()
                assert frame is not None
                found += frame.messages
                ids += frame.ids
            assert (feed.resumes, feed.position, ids[-1]) == (True, "p o1", "p o1")
            await feed.connect(feed.position)
            while sum(isinstance(one, Tick) for one in found) < 4:
                frame = await feed.receive()
                assert frame is not None
                found += frame.messages
            assert feed.position == "p o3"
            await feed.close()
        assert [one.tick for one in found if isinstance(one, Tick)] == [0, 1, 2, 3]

    asyncio.run(run())
    assert json.loads(asked[1][2:]) == {"pid": "p", "offset": "o1"}


@pytest.mark.parametrize("first", ["hello", "0", "0[1]", "2", '40{"sid":"x"}'])
def test_no_socketio_there(first: str) -> None:
    """A WebSocket that speaks something else is named as that."""

    async def handle(connection: ServerConnection) -> None:
        await connection.send(first)
        await connection.wait_closed()

    with pytest.raises(FeedLost) as raised:
        read(handle, 1)
    assert (raised.value.cause, raised.value.answered) == ("protocol", True)


def test_a_failure_names_the_address_that_was_given() -> None:
    """What goes wrong while connecting is said of the address that the user typed, not of the WebSocket behind it."""

    async def run() -> str:
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))  # and does not listen
            url = f"socketio+http://127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(FeedLost) as raised:
                await SocketIOFeed(url).connect()
        return str(raised.value).replace(url, "URL")

    assert asyncio.run(run()) == "URL: cannot connect (Connection refused)"
