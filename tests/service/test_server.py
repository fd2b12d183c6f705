"""The served feed: every way in brings the same items, resumes exactly, and lets in only who may."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from time import monotonic, sleep, time
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import replaylab as rl
from replaylab.errors import (
    FeedError,
    FeedLost,
    FeedRefused,
    PortTaken,
    ServiceError,
    SpeedError,
    StoreNotFound,
    TokenRefused,
)
from replaylab.feeds.websocket import WebSocketFeed
from replaylab.mark import Mark
from replaylab.service.server import NAME, FeedServer
from replaylab.service.tokens import Tokens
from tests.live.copies import wait_for

SECRET = "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> rl.Store:
    """A store of two games."""
    folder = tmp_path_factory.mktemp("served")
    rl.simulate(folder / "recordings", games=2, seed=3)
    rl.convert(folder / "recordings", folder / "store", progress=False)
    found = rl.open_store(folder / "store")
    assert isinstance(found, rl.Store)
    return found


@pytest.fixture
def server(store: rl.Store) -> Iterator[FeedServer]:
    """The store, served as fast as possible."""
    with rl.serve(store, pacing="none") as server:
        yield server
    assert NAME not in {thread.name for thread in threading.enumerate()}


def get(url: str, headers: dict[str, str] | None = None) -> tuple[int, bytes, Any]:
    """Status, body and headers of a page."""
    request = urllib.request.Request(url, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


def by_websocket(url: str, after: str | None = None, **options: Any) -> tuple[list[Any], list[str | None]]:
    """All messages of a feed, and their ids."""

    async def run() -> tuple[list[Any], list[str | None]]:
        feed = WebSocketFeed(url, **options)
        messages: list[Any] = []
        ids: list[str | None] = []
        try:
            await feed.connect(after)
            while (frame := await asyncio.wait_for(feed.receive(), 120)) is not None:
                messages += frame.messages
                ids += frame.ids
        finally:
            await feed.close()
        return messages, ids

    return asyncio.run(run())


def ends_soon(server: FeedServer, token: str) -> None:
    """Let a token end half a second after it was accepted, however long that has taken."""
    end_of = server.door.end_of

    async def soon(given: str | None) -> float | None:
        ends = await end_of(given)
        return time() + 0.5 if given == token else ends

    server.door.end_of = soon


async def read_out(feed: WebSocketFeed) -> None:
    """Read a feed to its end."""
    while await feed.receive() is not None:
        pass


def test_every_way_in_brings_the_same(server: FeedServer) -> None:
    """WebSocket, JSON lines and server-sent events bring the same lines, from the greeting to the end."""
    messages, _ = by_websocket(server.url + "?from=start")
    status, body, headers = get(server.http + "/feed.jsonl?from=start")
    lines = body.splitlines()
    assert (status, headers["content-type"]) == (200, "application/x-ndjson")
    assert json.loads(lines[0])["type"] == "hello"
    assert json.loads(lines[-1]) == {"type": "end", "reason": "finished"}
    _, events, _ = get(server.http + "/events?from=start")
    data = [line.removeprefix(b"data: ") for line in events.splitlines() if line.startswith(b"data: ")]
    assert data == lines
    told = [json.loads(line) for line in lines]
    ticks = [one["tick"] for one in told if one["type"] == "tick"]
    assert ticks == [one.tick for one in messages if isinstance(one, rl.Tick)]
    assert [one.detail["phase"] for one in messages if isinstance(one, Mark)] == ["cooldown", "presale"] * 2


def test_resuming_is_exclusive_and_exact(server: FeedServer) -> None:
    """After any id, by query or by `Last-Event-ID`, come exactly the items that followed it."""
    messages, ids = by_websocket(server.url + "?from=start")
    for place in (0, len(ids) // 2, len(ids) - 2):
        name = ids[place]
        assert name is not None
        assert by_websocket(server.url, after=name)[0] == messages[place + 1 :]
        _, events, _ = get(server.http + "/events", {"Last-Event-ID": name})
        found = [line.removeprefix(b"id: ").decode() for line in events.splitlines() if line.startswith(b"id: ")]
        assert list(dict.fromkeys(one for one in found if one in ids[place + 1 :])) == ids[place + 1 :]


def test_the_same_content_resumes_after_a_restart(store: rl.Store) -> None:
    """A server that was restarted knows the ids of the one before; one of other content does not: 4410."""
    with rl.serve(store, pacing="none") as first:
        messages, ids = by_websocket(first.url + "?from=start")
    with rl.serve(store, pacing="none") as second:
        assert by_websocket(second.url, after=ids[5])[0] == messages[6:]
    with rl.serve(store, pacing="none", games=store.game_ids()[:1]) as other:
        with pytest.raises(FeedLost) as lost:
            by_websocket(other.url, after=ids[5])
        assert (lost.value.cause, lost.value.answered) == ("server_restart", True)
        assert get(f"{other.http}/feed.jsonl?after={ids[5]}")[0] == 410


def test_who_resumes_at_a_restarted_server_need_not_wait(store: rl.Store) -> None:
    """The clock of a server begins where the first client goes on, not where the server before it began."""
    with rl.serve(store, pacing="none") as first:
        messages, ids = by_websocket(first.url + "?from=start")
    assert ids[-2] is not None
    with rl.serve(store, speed=0.1) as server, rl.serve(store, speed=100) as quick:
        place = by_websocket(quick.url + "?from=start")[1][-2]

        async def run() -> Any:
            feed = WebSocketFeed(server.url)
            try:
                await feed.connect(place)
                while True:
                    frame = await asyncio.wait_for(feed.receive(), 120)
                    assert frame is not None
                    if frame.messages:
                        return list(frame.messages)
            finally:
                await feed.close()

        assert asyncio.run(run()) == messages[-1:]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("from=never", 400),
        ("pacing=slow", 400),
        ("speed=0", 400),
        ("speed=fast", 400),
        ("to=never", 400),
        ("from=2031-01-03&to=2030-01-01", 400),
        ("until=2031-01-03", 400),  # nothing that is asked for is passed over
        ("games=none", 404),
        ("token=secret", 400),
        ("loop=perhaps", 400),
        ("games=" + "%E2%82%AC" * 90, 404),  # longer than the close of a WebSocket can say
        ("%E2%82%AC" * 90 + "=1", 400),
        ("after=nonsense", 410),
    ],
)
def test_bad_questions_are_answered(server: FeedServer, query: str, status: int) -> None:
    """A question that cannot be answered has a status and a sentence, by every way in, and is not asked again."""
    for path in ("/feed.jsonl", "/events"):
        found, body, _ = get(f"{server.http}{path}?{query}")
        assert found == status
        assert json.loads(body)["error"]
    problem = json.loads(body)["error"]
    with pytest.raises(FeedLost) as refused:
        by_websocket(f"{server.url}?{query}")
    assert (refused.value.cause, refused.value.retry) == (f"http_{status}", False)
    assert problem[:35] in str(refused.value)
    assert str(refused.value).startswith(server.url)
    assert "secret" not in problem


@pytest.mark.parametrize("path", ["/", "/fed", "/feed/", "/health", "/feed.jsonl", "/events"])
def test_where_no_websocket_is(server: FeedServer, path: str, caplog: pytest.LogCaptureFixture) -> None:
    """A WebSocket at another path is answered with 404; the client says what it asked for and what there is."""
    caplog.set_level("WARNING")
    address = server.url.replace("/feed", path)
    with pytest.raises(FeedLost) as refused:
        by_websocket(address)
    assert (refused.value.cause, refused.value.retry) == ("http_404", False)
    told = str(refused.value)
    assert told.startswith(f"{address}: ")
    assert "/feed" in told
    assert "/socket.io/" in told or path in {"/feed.jsonl", "/events"}
    socketio = address.replace("ws:", "socketio+http:", 1)
    if path != "/":  # which stands for that of Socket.IO

        async def connect() -> None:
            async with rl.open_feed(socketio):
                pass

        with pytest.raises(FeedLost, match="HTTP 404") as refused:
            asyncio.run(connect())
        assert str(refused.value).startswith(f"{socketio}: asked at {address}: ")
    assert not caplog.records  # the server is well


@pytest.mark.parametrize(("path", "status"), [("/", 404), ("/fed", 404), ("/feed", 426)])
def test_where_no_page_is(server: FeedServer, path: str, status: int) -> None:
    """A page that is not there is answered with the paths that are."""
    found, body, _ = get(server.http + path)
    assert found == status
    assert "/feed.jsonl" in json.loads(body)["error"]


def test_games_and_times_can_be_chosen(server: FeedServer, store: rl.Store) -> None:
    """A client can ask for some games, and begin at a game or at a time."""
    one, two = store.games()["game_id"].tolist()
    only = by_websocket(f"{server.url}?from=start&games={two}")[0]
    assert {message.game_id for message in only} == {two}
    assert by_websocket(f"{server.url}?from={two}")[0] == only
    start = store.games()["start"].iloc[1].isoformat().replace("+", "%2B")
    assert by_websocket(f"{server.url}?from={start}")[0] == only
    assert one != two


def test_a_client_can_say_where_to_end(server: FeedServer, store: rl.Store) -> None:
    """`to` ends behind a game, or before the first item of a time, also after an id."""
    one, two = store.games()["game_id"].tolist()
    whole, _ = by_websocket(server.url + "?from=start")
    first, ids = by_websocket(f"{server.url}?from=start&to={one}")
    assert {message.game_id for message in first} == {one}
    assert first == [message for message in whole if message.game_id == one]
    assert by_websocket(f"{server.url}?to={one}", after=ids[3])[0] == first[4:]
    middle = next(one for one in whole if isinstance(one, rl.Tick) and one.game_id == two and one.tick == 20)
    time = middle.timestamp.isoformat().replace("+00:00", "Z")
    assert by_websocket(f"{server.url}?from=start&to={time}")[0] == whole[: whole.index(middle)]
    for path in ("/feed.jsonl", "/events"):
        body = get(f"{server.http}{path}?from=start&to={one}")[1]
        assert two.encode() not in body
        assert b'"reason": "finished"' in body


def test_clients_share_one_clock(store: rl.Store) -> None:
    """Who asks for nothing joins where the clock is; who begins at the start catches up, and then joins."""
    with rl.serve(store, speed=100) as server:

        async def ticks(query: str, begun: asyncio.Event) -> list[Any]:
            found = []
            async with rl.open_feed(server.url + query) as feed:
                async for one in feed:
                    if isinstance(one, rl.Tick):
                        found.append(one)
                        begun.set()
            return found

        async def run() -> tuple[list[Any], list[Any]]:
            begun = asyncio.Event()
            first = asyncio.ensure_future(ticks("", begun))
            await begun.wait()
            late = asyncio.ensure_future(ticks("", begun))
            whole = asyncio.ensure_future(ticks("?from=start", begun))
            found = await asyncio.wait_for(asyncio.gather(first, late, whole), 60)
            assert found[0] == found[2]
            return found[0], found[1]

        first, late = asyncio.run(run())
    assert late == first[len(first) - len(late) :]


def test_only_who_has_a_token_reads(store: rl.Store) -> None:
    """With a secret every way in wants a token, in a header or a subprotocol; health and metrics do not."""
    tokens = Tokens(SECRET)
    with rl.serve(store, pacing="none", secret=SECRET) as server:
        for token in (None, "nonsense", Tokens(SECRET[::-1]).issue(60), tokens.issue(60, "others")):
            with pytest.raises(FeedRefused):
                by_websocket(server.url, token=token)
            bearer = {} if token is None else {"Authorization": f"Bearer {token}"}
            status, body, _ = get(server.http + "/feed.jsonl", bearer)
            assert (status, json.loads(body)) == (401, {"error": "no valid token"})
        good = tokens.issue(60)
        assert by_websocket(server.url + "?from=start", token=good)[0]
        assert get(server.http + "/events?from=start", {"Authorization": f"Bearer {good}"})[0] == 200
        assert get(server.http + "/health/ready")[0] == 200
        wait_for(lambda: b'reason="401"} 8.0' in get(server.http + "/metrics")[1])
        assert SECRET not in repr(server)


def test_a_token_that_ends_in_the_middle(store: rl.Store) -> None:
    """When a token ends the connection is closed with 4401, and the client asks for a fresh one."""
    with rl.serve(store, speed=1, secret=SECRET) as server:
        ends_soon(server, token := Tokens(SECRET).issue(600))
        with pytest.raises(FeedRefused, match="4401"):
            by_websocket(server.url + "?from=start", token=token)


def test_pages_of_other_origins_are_kept_out(server: FeedServer, store: rl.Store) -> None:
    """A page of another origin may not read a feed of this machine, unless it was named."""
    assert get(server.http + "/feed.jsonl", {"Origin": "https://evil.example"})[0] == 403
    with pytest.raises(FeedRefused):
        by_websocket(server.url, headers={"Origin": "https://evil.example"})
    assert get(server.http + "/feed.jsonl?from=start", {"Origin": server.http})[0] == 200
    with rl.serve(store, pacing="none", origins=["https://good.example"]) as other:
        assert get(other.http + "/feed.jsonl?from=start", {"Origin": "https://good.example"})[0] == 200


STOPPED = {
    "feed": b"GET /feed?%b HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
    "feed.jsonl": b"GET /feed.jsonl?%b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "events": b"GET /events?%b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "socket.io": b"GET /socket.io/?EIO=4&transport=websocket&%b HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
}
CONNECT = b"\x81\x82\x00\x00\x00\x0040"  # of Socket.IO, in a frame of a client


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of one game whose 20,000 lines are long: 20 MB, a millisecond apart."""
    folder = tmp_path_factory.mktemp("wide")
    start = datetime(2031, 1, 2, tzinfo=UTC)
    with rl.Recorder(folder) as recorder:
        recorder.record_many(
            rl.Tick("g", n, start + timedelta(milliseconds=n), 1, phase="P" * 900, active=True)  # type: ignore[arg-type]
            for n in range(20_000)
        )
    return folder


def ask(stopped: socket.socket, way: str, query: bytes) -> None:
    """Ask for a feed, and read no more than it takes to be answered."""
    stopped.settimeout(120)
    stopped.sendall(STOPPED[way] % query)
    if way == "socket.io":
        stopped.recv(12)
        stopped.sendall(CONNECT)


def until_closed(server: FeedServer, reason: str) -> None:
    """Wait until a client was refused for a reason."""
    deadline = monotonic() + 240
    while not server.door.refused[reason] or server.door.clients:
        assert monotonic() < deadline, "it was not closed"
        sleep(0.02)


def ended(stopped: socket.socket) -> bool:
    """Whether a connection comes to an end when all that was sent is read."""
    stopped.settimeout(120)
    try:
        while stopped.recv(1 << 16):
            pass
    except ConnectionResetError:
        return True
    return True


@pytest.mark.parametrize("way", STOPPED)
def test_a_reader_that_does_not_read_is_closed(wide: Path, way: str) -> None:
    """A client that takes nothing is closed after a while, and the others get everything meanwhile."""
    with rl.serve(wide, pacing="none") as server:
        server.door.readers.slow_seconds = 600.0  # the other one may be slow, where the machine is
        with socket.create_connection(("127.0.0.1", server.port)) as stopped:
            ask(stopped, way, b"from=start")
            assert len(by_websocket(server.url + "?from=start")[0]) == 20_000
            server.door.readers.slow_seconds = 1.0
            until_closed(server, "slow_reader")
            assert ended(stopped)
        assert server.door.refused == {"slow_reader": 1}


@pytest.mark.parametrize("way", STOPPED)
def test_a_reader_that_lags_is_closed(wide: Path, way: str) -> None:
    """A client that had joined the clock and lags by 4 MiB is closed at once; one that catches up does not lag."""
    with rl.serve(wide, speed=100) as server:
        server.door.readers.slow_seconds = 600.0
        with socket.create_connection(("127.0.0.1", server.port)) as stopped:
            stopped.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            ask(stopped, way, b"speed=2&from=start")
            until_closed(server, "slow_reader")
        assert len(by_websocket(server.url + "?from=start&pacing=none")[0]) == 20_000
        assert server.door.refused == {"slow_reader": 1}


def test_metrics_are_what_was_sent(server: FeedServer) -> None:
    """The metrics can be read by a parser, and count every line that was sent."""
    lines = get(server.http + "/feed.jsonl?from=start")[1].splitlines()
    wait_for(lambda: not server.door.clients)  # it is counted when it has left, a moment after it has read all
    found = {
        (sample.name, sample.labels.get("way")): sample.value
        for family in text_string_to_metric_families(get(server.http + "/metrics")[1].decode())
        for sample in family.samples
    }
    assert found["replaylab_feed_lines_total", "feed.jsonl"] == len(lines)
    assert found["replaylab_feed_bytes_total", "feed.jsonl"] == sum(len(line) + 1 for line in lines)
    assert found["replaylab_feed_clients", None] == 0
    assert get(server.http + "/health/live")[0] == 200


def test_a_taken_port_is_named(server: FeedServer, store: rl.Store) -> None:
    """A port that is taken is an error of its own, never the end of the process."""
    with pytest.raises(PortTaken, match=str(server.port)):
        rl.serve(store, port=server.port)
    with pytest.raises(ServiceError):
        rl.serve(store, port=70_000)


def test_what_cannot_be_served_is_refused(tmp_path: Path, store: rl.Store) -> None:
    """Other machines without a token, a short secret, no store, no such speed: each is named."""
    with pytest.raises(TokenRefused, match="other machines"):
        rl.serve(store, host="0.0.0.0")
    with pytest.raises(TokenRefused, match="32 or more"):
        rl.serve(store, host="0.0.0.0", secret="x" * 31)
    with pytest.raises(StoreNotFound):
        rl.serve(tmp_path)
    with pytest.raises(SpeedError):
        rl.serve(store, speed=0)
    with pytest.raises(ServiceError, match="pacing"):
        rl.serve(store, pacing="slow")  # type: ignore[arg-type]


def test_stopping_tells_clients_to_come_back(store: rl.Store) -> None:
    """A server that stops closes with 1001: a feed is lost then, not over; stopping twice does nothing."""
    server = rl.serve(store, speed=1)

    async def run() -> FeedError:
        feed = WebSocketFeed(server.url)
        await feed.connect()
        await feed.receive()
        stopping = asyncio.ensure_future(asyncio.to_thread(server.stop))
        with pytest.raises(FeedLost) as lost:
            await asyncio.wait_for(read_out(feed), 60)
        await stopping
        await feed.close()
        return lost.value

    error = asyncio.run(run())
    assert isinstance(error, FeedLost)
    assert error.cause == "server_restart"
    assert "(1001)" in str(error)
    server.stop()
    assert "stopped" in repr(server)


@pytest.mark.parametrize("way", STOPPED)
def test_stopping_does_not_wait_for_who_does_not_read(wide: Path, way: str, caplog: pytest.LogCaptureFixture) -> None:
    """A client that takes nothing of what was sent is broken off when the server stops, and nothing is said of it."""
    server = rl.serve(wide, pacing="none")
    with socket.create_connection(("127.0.0.1", server.port)) as stopped:
        ask(stopped, way, b"from=start")
        wait_for(lambda: any(one.blocked_since is not None for one in list(server.door.readers._of)))
        server.stop()
        assert not server.is_serving
        assert ended(stopped)
    assert [record.getMessage() for record in caplog.records if record.levelname in {"ERROR", "CRITICAL"}] == []


@pytest.mark.parametrize("way", ["/feed.jsonl", "/events"])
def test_stopping_ends_what_waits(tmp_path: Path, way: str) -> None:
    """An answer that waits for its next line, long after the last, ends in order when the server stops."""
    start = datetime(2031, 1, 2, tzinfo=UTC)
    with rl.Recorder(tmp_path) as recorder:
        recorder.record_many(rl.Tick("g", n, start + timedelta(hours=n), Decimal(1), active=True) for n in range(2))
    server = rl.serve(tmp_path)
    with urllib.request.urlopen(server.http + way + "?from=start", timeout=120) as answer:
        while b'"type": "tick"' not in answer.readline():
            pass
        server.stop()
        assert not server.is_serving
        rest = answer.read()  # raises where the answer was cut off
    assert b'"type": "tick"' not in rest
