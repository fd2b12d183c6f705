"""WebSocketFeed: lines of JSON over a WebSocket; whatever goes wrong has a name, and no secret is told."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Awaitable, Callable
from decimal import Decimal
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Request, Response

import replaylab as rl
from replaylab.errors import FeedError, FeedLost, FeedRefused
from replaylab.feeds.base import Message
from replaylab.feeds.opening import open_feed
from replaylab.feeds.websocket import WebSocketFeed
from replaylab.mark import Mark
from replaylab.tick import Tick
from tests.feeds.certificates import certificates_in
from tests.feeds.frames import GAME, tick_frame
from tests.feeds.servers import sending, serving

LINE = (
    '{"type": "tick", "timestamp": "2031-01-02T03:04:05.000000+00:00", "game_id": "g", "tick": %d, '
    '"price": 1.0123456789012345678901, "phase": "ACTIVE_GAMEPLAY", "active": true, "rugged": false, '
    '"cooldown_timer": 0, "trade_count": 4}'
)
TOKEN = "planted-token-77"


async def read(feed: WebSocketFeed, ticks: int) -> list[Message]:
    """Connect and read until so many ticks came."""
    found: list[Message] = []
    await feed.connect()
    try:
        while sum(isinstance(one, Tick) for one in found) < ticks and (frame := await feed.receive()) is not None:
            found += frame.messages
    finally:
        await feed.close()
    return found


def served(messages: list[str | bytes], ticks: int, **options: Any) -> tuple[WebSocketFeed, list[Message]]:
    """What a feed brings from a server that sends these messages."""

    async def run() -> tuple[WebSocketFeed, list[Message]]:
        async with serving(sending(messages), max_size=None) as port:
            feed = WebSocketFeed(f"ws://127.0.0.1:{port}/feed", **options)
            return feed, await asyncio.wait_for(read(feed, ticks), 60)

    return asyncio.run(run())


def lost(handler: Callable[[ServerConnection], Awaitable[None]], **options: Any) -> FeedError:
    """How a feed is lost with a handler."""

    async def run() -> FeedError:
        async with serving(handler, **options) as port:
            feed = WebSocketFeed(f"ws://127.0.0.1:{port}/feed?key={TOKEN}", token=TOKEN)
            with pytest.raises(FeedError) as raised:
                await asyncio.wait_for(read(feed, 9), 60)
            return raised.value

    return asyncio.run(run())


def test_lines_are_read_as_convert_reads_them() -> None:
    """One line or many in a message, ticks and marks: every digit is kept, and marks are marks."""
    gap = '{"type": "gap", "timestamp": "2031-01-02T03:04:05", "game_id": "g", "cause": "stall", "missing": 3}'
    start = '{"type": "game_start", "timestamp": "2031-01-02T03:04:05", "game_id": "g"}'
    feed, found = served([start, LINE % 1, f"{LINE % 2}\n{gap}\n{LINE % 3}\n"], 3)
    ticks = [one for one in found if isinstance(one, Tick)]
    assert [tick.tick for tick in ticks] == [1, 2, 3]
    assert {tick.price for tick in ticks} == {Decimal("1.0123456789012345678901")}
    assert [one.detail["missing"] for one in found if isinstance(one, Mark)] == [3]
    assert feed.refused == {}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("no json", "not_json"),
        ("[1, 2]", "not_object"),
        (b"\x00\x01binary\xff", "not_utf8"),
        ("[" * 100_000, "too_deep"),
        (LINE.replace("1.0123456789012345678901", "NaN") % 1, "not_finite"),
        (LINE.replace("1.0123456789012345678901", '"dear"') % 1, "wrong_type"),
        (LINE.replace("1.0123456789012345678901", "null") % 1, "wrong_type"),
        (LINE.replace("1.0123456789012345678901", "1e-30") % 1, "price_too_fine"),
        (LINE.replace('"price": 1.0123456789012345678901, ', "") % 1, "missing_field"),
        (LINE.replace("true", '"yes"') % 1, "wrong_type"),
        (LINE.replace("2031-01-02T03", "2031-01-02T33") % 1, "bad_time"),
        ('{"type": "gap", "game_id": "g"}', "wrong_type"),
        ('{"type": "hello", "heartbeat_seconds": "often"}', "wrong_type"),
        ('{"odd": 1}', "unknown_object"),
        ('{"type": "tick", "pad": "' + "x" * (1 << 20) + '"}', "line_too_long"),
    ],
    ids=str,
)
def test_bad_messages_are_counted(message: str | bytes, reason: str) -> None:
    """A message that cannot be used is counted by reason, and the next good tick comes."""
    feed, found = served([message, LINE % 7], 1)
    assert [one.tick for one in found if isinstance(one, Tick)] == [7]
    assert feed.refused == {reason: 1}


def test_events_of_a_relay() -> None:
    """The `raw_event` lines of a relay, and raw captures, are read as the game's own events."""
    relay = (
        '{"type":"raw_event","event_type":"gameStateUpdate","data":%s,"timestamp":"2031-01-02T03:04:05","game_id":"g"}'
    )
    capture = '{"seq":1,"ts":"2031-01-02T03:04:05","event":"gameStateUpdate","data":%s}'
    chat = (
        '{"type":"raw_event","event_type":"newChatMessage","data":{"username":"anna"},"timestamp":null,"game_id":null}'
    )
    feed, found = served([relay % tick_frame(7).decode(), chat, capture % tick_frame(8).decode()], 6)
    assert [(one.game_id, one.tick) for one in found if isinstance(one, Tick)] == [(GAME, n) for n in range(3, 9)]
    assert feed.refused == {"event:newChatMessage": 1}


def test_a_game_that_changes_and_a_number_that_jumps_back() -> None:
    """What a server sends is brought as it was received, in its order."""
    lines: list[str | bytes] = [LINE % 5, LINE.replace('"g"', '"h"') % 1, LINE % 3]
    _, found = served(lines, 3)
    assert [(one.game_id, one.tick) for one in found if isinstance(one, Tick)] == [("g", 5), ("h", 1), ("g", 3)]


def test_ids_are_kept_and_resumed_after() -> None:
    """The id of each line stands beside its tick, and is asked for when the feed connects again."""
    asked: list[str] = []

    async def handle(connection: ServerConnection) -> None:
        asked.append(connection.request.path if connection.request else "")
        await connection.send(json.dumps({"type": "hello", "next": "e-0", "heartbeat_seconds": 3}))
        await connection.send(
            (LINE % 1).replace("}", ', "id": "e-1"}') + "\n" + (LINE % 2).replace("}", ', "id": "e-2"}')
        )
        await connection.wait_closed()

    async def run() -> None:
        async with serving(handle) as port:
            feed = WebSocketFeed(f"ws://127.0.0.1:{port}/feed?speed=2")
            await feed.connect()
            ids: list[str | None] = []
            while len(ids) < 2:
                frame = await feed.receive()
                assert frame is not None
                ids += frame.ids
            assert (ids, feed.position) == (["e-1", "e-2"], "e-2")
            assert (feed.resumes, feed.beats) == (True, 3)
            await feed.connect(feed.position)
            await feed.close()

    asyncio.run(run())
    assert asked == ["/feed?speed=2", "/feed?speed=2&after=e-2"]


def test_the_end_is_the_end() -> None:
    """A server that says that the feed is over ends it; one that only closes has been lost."""

    async def over(connection: ServerConnection) -> None:
        await connection.send(LINE % 1)
        await connection.send('{"type": "end", "reason": "finished"}')

    async def run() -> list[Message]:
        async with serving(over) as port:
            return await read(WebSocketFeed(f"ws://127.0.0.1:{port}/feed"), 9)

    assert len(asyncio.run(run())) == 1


def closing(code: int, *, after: str | None = None, reason: str = "") -> Callable[[ServerConnection], Awaitable[None]]:
    """A handler that closes with a code, after one message."""

    async def handle(connection: ServerConnection) -> None:
        if after is not None:
            await connection.send(after)
        await connection.close(code, reason)

    return handle


@pytest.mark.parametrize(
    ("code", "after", "cause", "answered"),
    [
        (1000, None, "closed", True),
        (1000, LINE % 1, "disconnect", False),
        (1001, LINE % 1, "server_restart", False),
        (1012, None, "server_restart", False),
        (1013, None, "closed", True),
        (1009, None, "too_big", True),
        (1008, None, "closed", True),  # too many messages, which passes
        (4429, None, "closed", True),
        (4409, LINE % 1, "slow_reader", False),
        (4410, None, "server_restart", True),
    ],
)
def test_closing_has_a_cause(code: int, after: str | None, cause: str, *, answered: bool) -> None:
    """Each way in which a server closes is a cause of its own, and tells whether the endpoint is ill."""
    error = lost(closing(code, after=after))
    assert isinstance(error, FeedLost)
    assert (error.cause, error.answered, error.retry) == (cause, answered, True)


@pytest.mark.parametrize(("code", "status"), [(4400, 400), (4404, 404), (4422, 422)])
def test_a_question_that_is_refused(code: int, status: int) -> None:
    """A server that closes because of what was asked for is not asked again, and its words are told."""
    error = lost(closing(code, reason="speed must be a number"))
    assert isinstance(error, FeedLost)
    assert (error.cause, error.answered, error.retry) == (f"http_{status}", True, False)
    assert f"HTTP {status}: speed must be a number" in str(error)


@pytest.mark.parametrize("code", [1000, 1008, 1011, 1013, 4400, 4410])
def test_what_a_server_says_when_it_closes(code: int) -> None:
    """Its reason is told in one line, without what was sent to it, also where that was cut off."""
    error = lost(closing(code, reason=f"not now,\n{TOKEN[:-3]}"))
    assert "not now, ***" in str(error)
    assert TOKEN[:-3] not in repr(error) + repr(error.__cause__) + repr(error.__context__)


@pytest.mark.parametrize("status", [400, 404, 410, 422, 503])
def test_what_a_server_says_when_it_refuses(status: int) -> None:
    """The text of an answer, or the error in its JSON, is told in one line; of a page there is nothing to tell."""
    for said, told in (
        ("no such\nthing", "no such thing"),
        ('{"error": "no such thing"}', "no such thing"),
        ('{"detail": {"code": 7}}', None),
        ("<!doctype html><p>no such thing", None),
        ("", None),
    ):

        def answer(connection: ServerConnection, _request: Request, said: str = said) -> Response:
            return connection.respond(HTTPStatus(status), said)

        error = lost(sending([]), process_request=answer)
        assert "\n" not in str(error)
        assert str(error).endswith(f": {told}") if told else "no such thing" not in str(error)


def test_a_place_that_only_the_address_names() -> None:
    """An id in the address that the server does not know is not known later; one of the session is begun again."""

    async def run() -> list[FeedError]:
        found = []
        async with serving(closing(4410)) as port:
            for url, after in (("/feed?after=e-1", None), ("/feed?after=e-1", "e-2"), ("/feed", "e-2")):
                feed = WebSocketFeed(f"ws://127.0.0.1:{port}{url}")
                await feed.connect(after)
                with pytest.raises(FeedError) as raised:
                    await feed.receive()
                await feed.close()
                found.append(raised.value)
        return found

    errors = asyncio.run(run())
    assert [error.retry for error in errors] == [False, True, True]
    assert [getattr(error, "cause", None) for error in errors] == ["http_410", "server_restart", "server_restart"]


def test_a_token_that_has_expired() -> None:
    """Closing with 4401 is a refusal, whose text holds no token."""
    error = lost(closing(4401))
    assert isinstance(error, FeedRefused)
    assert TOKEN not in str(error)


@pytest.mark.parametrize(
    ("status", "kind", "retry"),
    [
        (401, FeedRefused, True),
        (403, FeedRefused, True),
        (400, FeedLost, False),
        (404, FeedLost, False),
        (408, FeedLost, True),
        (422, FeedLost, False),
        (429, FeedLost, True),
        (503, FeedLost, True),
    ],
)
def test_answers_of_http(status: int, kind: type[FeedError], *, retry: bool) -> None:
    """An endpoint that answers with an error is told from one that cannot be reached, and no text holds a token."""

    def answer(connection: ServerConnection, request: Request) -> Response:
        return connection.respond(HTTPStatus(status), f"no {request.headers['Authorization']}")

    error = lost(sending([]), process_request=answer)
    assert type(error) is kind
    assert error.retry is retry
    seen = repr(error) + str(error) + repr(error.__cause__) + repr(error.__context__)
    assert TOKEN not in seen
    if isinstance(error, FeedLost):
        assert (error.cause, error.answered) == (f"http_{status}", True)
    assert ("nothing at this path" in str(error)) == (status == 403)  # as servers answer what they do not know


def test_a_frame_above_8_mib() -> None:
    """A frame that is too big ends the connection with a cause of its own."""
    error = lost(sending([b"x" * (9 << 20)]))
    assert isinstance(error, FeedLost)
    assert error.cause == "too_big"


def unreachable(url: str, **options: Any) -> FeedLost:
    """How connecting to an address fails."""

    async def run() -> FeedLost:
        with pytest.raises(FeedLost) as raised:
            async with open_feed(url, **options):
                pass
        return raised.value

    return asyncio.run(asyncio.wait_for(run(), 60))


def test_nothing_listens() -> None:
    """A port where nothing listens, and a host that does not exist, are failures of the network."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen: as long as it is held, nothing else can
        error = unreachable(f"ws://127.0.0.1:{taken.getsockname()[1]}/feed")
    assert (error.cause, error.answered, error.retry) == ("refused", False, True)
    error = unreachable("ws://no-such-host.invalid/feed")
    assert (error.cause, error.answered, error.retry) == ("dns", False, True)


def test_a_silent_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that accepts and never speaks is given up after the time of a handshake."""
    monkeypatch.setattr("replaylab.settings.current", lambda: rl.Settings(network_timeout_seconds=0.3))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        error = unreachable(f"ws://127.0.0.1:{silent.getsockname()[1]}/feed")
    assert (error.cause, error.answered) == ("timeout", False)


def test_no_websocket_there() -> None:
    """A server that speaks something else is named as that."""

    async def run() -> FeedLost:
        async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10)
            writer.write(b"220 mail.example ESMTP\r\n\r\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(speak, "127.0.0.1", 0)
        async with server:
            with pytest.raises(FeedLost) as raised:
                await WebSocketFeed(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}").connect()
            return raised.value

    assert asyncio.run(run()).cause == "protocol"


@pytest.mark.parametrize(
    "url", ["ws://", "ws:///feed", "http://host/feed", "", "feed", "simulated:x", "socketio+ftp://h"]
)
def test_addresses_that_are_none(url: str) -> None:
    """An address that no feed has is refused when it is given, in one line that says what is known."""
    with pytest.raises(FeedLost) as raised:
        open_feed(url)
    assert (raised.value.cause, raised.value.retry) == ("address", False)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A good certificate, one of another name, and one that has expired."""
    return certificates_in(tmp_path_factory.mktemp("certificates"))


@pytest.mark.parametrize("name", ["good", "other", "expired"])
@pytest.mark.parametrize("trusted", [True, False])
def test_certificates(certificates: dict[str, Path], name: str, *, trusted: bool) -> None:
    """A certificate that signs itself is trusted with `ca=` alone; one of another name, or that has expired, never."""
    made = certificates[name]
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(made)

    async def run() -> list[Message]:
        async with serving(sending([LINE % 1]), ssl=context) as port:
            feed = WebSocketFeed(f"wss://localhost:{port}/feed", ca=made if trusted else None)
            return await asyncio.wait_for(read(feed, 1), 60)

    if name == "good" and trusted:
        assert len(asyncio.run(run())) == 1
        return
    with pytest.raises(FeedLost, match="certificate is not trusted") as raised:
        asyncio.run(run())
    assert (raised.value.cause, raised.value.retry) == ("tls", False)


def test_a_ca_that_is_not_there(tmp_path: Path) -> None:
    """Certificates that cannot be read are named as that."""
    error = unreachable("wss://localhost:1/feed", ca=tmp_path / "no.pem")
    assert (error.cause, error.retry) == ("ca", False)


@pytest.mark.parametrize("token", ["", "two words", "naïve", 7])
def test_tokens_that_are_none(token: Any) -> None:
    """A token that cannot be sent is refused before anything is sent."""

    async def run() -> None:
        with pytest.raises(FeedRefused):
            await WebSocketFeed("ws://127.0.0.1:1/feed", token=lambda: token).connect()

    asyncio.run(run())


def test_the_token_is_asked_for_at_each_connection() -> None:
    """A token function, plain or a coroutine, is called at every connection, and its error tells no secret."""
    seen: list[str] = []

    def look(connection: ServerConnection, request: Request) -> None:
        seen.append(request.headers["Authorization"])

    async def run() -> None:
        numbers = iter(range(9))

        async def fresh() -> str:
            await asyncio.sleep(0)
            return f"t{next(numbers)}"

        async with serving(sending([]), process_request=look) as port:
            feed = WebSocketFeed(f"ws://127.0.0.1:{port}/feed", token=fresh)
            for _ in range(3):
                await feed.connect()
            await feed.close()

        def failing() -> str:
            raise RuntimeError(TOKEN)

        with pytest.raises(FeedRefused) as refused:
            await WebSocketFeed("ws://127.0.0.1:1/feed", token=failing).connect()
        assert TOKEN not in str(refused.value)

    asyncio.run(run())
    assert seen == ["Bearer t0", "Bearer t1", "Bearer t2"]


def test_a_probe_notices_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe is answered by a server that lives, and is a lost feed when there is none."""

    async def run() -> None:
        async with serving(sending([])) as port:
            feed = WebSocketFeed(f"ws://127.0.0.1:{port}/feed")
            with pytest.raises(FeedLost):
                await feed.probe()
            await feed.connect()
            await feed.probe()
            await feed.close()

    asyncio.run(run())
