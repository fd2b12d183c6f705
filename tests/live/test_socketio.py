"""The closed loop over Socket.IO: our server and our feed, and each against those that the world uses."""

from __future__ import annotations

import asyncio
import json
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import socketio

import replaylab as rl
from replaylab.errors import FeedError
from replaylab.feeds.socketio import SocketIOFeed
from replaylab.mark import Mark
from replaylab.service.tokens import Tokens
from replaylab.sessions.session import LiveSession
from replaylab.testing import FaultProxy
from replaylab.tick import Tick
from tests.feeds.frames import GAME, price, tick_frame
from tests.live.copies import QUICK, REPOSITORY, rows_of, untimed_rows_of, wait_for, whole_games

SCRIPTS = Path(__file__).with_name("js")
SECRET = "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> rl.Store:
    """Twenty whole games."""
    return whole_games(tmp_path_factory.mktemp("games") / "store", 20)


@pytest.fixture(scope="session")
def node() -> Path:
    """The packages of npm, installed by make where they are not there."""
    made = REPOSITORY / "build" / "socketio"
    if not (made / ".installed").exists():
        subprocess.run(["make", "build/socketio/.installed"], cwd=REPOSITORY, check=True, timeout=300)
    return made / "node_modules"


@contextmanager
def running(node: Path, script: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A script of node, which ends when its input does."""
    command = ["node", str(SCRIPTS / script), *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={"NODE_PATH": str(node), "PATH": PATH}
    ) as child:
        assert child.stdin is not None
        try:
            yield child
        finally:
            child.stdin.close()
            child.wait(60)


PATH = "/usr/local/bin:/usr/bin:/bin"


def line_of(child: subprocess.Popen[str]) -> str:
    """The next line that a script prints."""
    assert child.stdout is not None
    found = child.stdout.readline()
    assert found, "the script ended"
    return found.rstrip("\n")


def test_recorded_by_socketio(store: rl.Store, tmp_path: Path) -> None:
    """Twenty games served as the game's own events and recorded are the source: every tick, price and flag, once."""
    with rl.serve(store, pacing="none") as server:
        url = server.http.replace("http", "socketio+http", 1)
        session = LiveSession(SocketIOFeed(url, query={"from": "start"}), to=tmp_path / "copy").start()
        wait_for(lambda: session.status().ticks >= store.rows)
        session.stop()
    copy = rl.open_store(tmp_path / "copy")
    assert untimed_rows_of(copy) == untimed_rows_of(store)
    assert not len(copy.gaps())
    assert session.status().missing == 0
    assert session.status().refused == {}


def test_a_late_joiner_has_the_whole_game(store: rl.Store) -> None:
    """Who joins in the middle of a game gets the newest tick, the snapshot, and from there on every tick."""
    game_id = store.game_ids()[3]
    with rl.serve(store, speed=20) as server:
        begins = (rows_of(store)[game_id][0][1] + timedelta(seconds=5)).isoformat()

        async def run() -> list[Any]:
            feed = SocketIOFeed(
                server.http.replace("http", "socketio+http", 1), query={"from": begins, "to": game_id, "speed": "20"}
            )
            found: list[Any] = []
            async with asyncio.timeout(60), feed:
                async for message in feed:
                    found.append(message)
                    if isinstance(message, Tick) and message.rugged:
                        break
            return found

        messages = asyncio.run(run())
    ticks = [one for one in messages if isinstance(one, Tick)]
    assert [one.tick for one in ticks] == list(range(60))
    assert {one.game_id for one in ticks} == {game_id}


def test_before_a_game_there_are_phases(store: rl.Store) -> None:
    """Between two games the server counts down, and the feed tells the phases of it."""
    first, second = store.game_ids()[:2]
    with rl.serve(store, speed=10, games=[first, second]) as server:

        async def run() -> list[Any]:
            feed = SocketIOFeed(server.http.replace("http", "socketio+http", 1), query={"from": "start"})
            found: list[Any] = []
            async with asyncio.timeout(60), feed:
                async for message in feed:
                    found.append(message)
                    if isinstance(message, Tick) and message.game_id == second:
                        break
            return found

        messages = asyncio.run(run())
    phases = [(one.game_id, one.detail["phase"]) for one in messages if isinstance(one, Mark) and one.kind == "phase"]
    assert (first, "rug_event_1") in phases
    assert (second, "presale") in phases


@pytest.mark.parametrize("transport", ["websocket", "polling", "polling,websocket"])
def test_the_client_of_npm_reads_our_server(node: Path, store: rl.Store, transport: str) -> None:
    """The client of npm gets every event of a game in order, by WebSocket, by polling, and when it upgrades."""
    game_id = store.game_ids()[0]
    with rl.serve(store, pacing="none", secret=SECRET) as server:
        url = f"{server.http}/?from=start&to={game_id}"
        with running(node, "client.js", url, transport, Tokens(SECRET).issue(600)) as child:
            assert line_of(child).startswith("connect ")
            frames: list[Any] = []
            while not (frames and frames[-1][1].get("tickCount") == 61):
                frames.append(json.loads(line_of(child)))
        with running(node, "client.js", url, transport, "nonsense") as child:
            assert line_of(child) == "refused no valid token"
    assert {name for name, _ in frames} == {"gameStateUpdate"}
    told = [(one["tickCount"], one["price"]) for _, one in frames if one.get("active") and "gameHistory" not in one]
    assert told == [(tick, float(price)) for tick, price, *_ in untimed_rows_of(store)[game_id]]


def test_the_client_of_python_reads_our_server(store: rl.Store) -> None:
    """python-socketio's client, which others use, gets every tick of a game; it hands each to a thread of its own."""
    game_id = store.game_ids()[0]
    found: list[int] = []

    def take(frame: dict[str, Any]) -> None:
        if "tradeCount" in frame:
            found.append(frame["tickCount"])

    with rl.serve(store, pacing="none") as server:
        client = socketio.Client(reconnection=False, handle_sigint=False)
        client.on("gameStateUpdate", take)
        client.connect(f"{server.http}/?from=start&to={game_id}", transports=["websocket"])
        try:
            wait_for(lambda: len(found) >= 61)
        finally:
            client.disconnect()
    assert sorted(found) == [*range(60), 61]


def test_our_feed_reads_the_server_of_npm(node: Path, tmp_path: Path) -> None:
    """Two outages of a server that keeps what a client misses: nothing missing, nothing doubled, one gap each."""
    with running(node, "server.js") as child, FaultProxy(int(line_of(child).split()[1])) as proxy:
        url = f"socketio+http://127.0.0.1:{proxy.port}"
        session = LiveSession(SocketIOFeed(url, token="a-token"), to=tmp_path / "copy", clock=QUICK).start()
        assert line_of(child) == "connected false a-token"
        sent = 0

        def send(count: int) -> None:
            nonlocal sent
            assert child.stdin is not None
            for number in range(sent, sent + count):
                frame = tick_frame(number, last=1).decode()
                child.stdin.write(f'["gameStateUpdate",{frame}]\n')
            child.stdin.flush()
            sent += count

        send(20)
        wait_for(lambda: session.status().ticks == 20)
        for _ in range(2):
            proxy.down = True
            proxy.cut()
            wait_for(lambda: str(session.status().state) not in {"live", "stale"})
            send(20)
            proxy.down = False
            assert line_of(child) == "connected true a-token"
            wait_for(lambda: session.status().ticks == sent)
            send(20)
            wait_for(lambda: session.status().ticks == sent)
        session.stop()
    copy = rl.open_store(tmp_path / "copy")
    assert [(row[0], float(row[1])) for row in untimed_rows_of(copy)[GAME]] == [
        (n, float(price(n))) for n in range(sent)
    ]
    gaps = copy.gaps()
    assert gaps["healed"].tolist() == [True, True]
    assert set(gaps["cause"]) == {"disconnect"}


def test_our_feed_reads_the_server_of_python(tmp_path: Path) -> None:
    """python-socketio's server is read, too; it keeps nothing, so the snapshot heals what was missed."""
    with rl.serve(whole_games(tmp_path / "store", 1), speed=4) as server, FaultProxy(server.port) as proxy:
        url = f"socketio+http://127.0.0.1:{proxy.port}"
        session = LiveSession(SocketIOFeed(url), to=tmp_path / "copy", clock=QUICK).start()
        wait_for(lambda: session.status().ticks > 10)
        proxy.cut()
        wait_for(lambda: session.status().connections == 2)
        wait_for(lambda: session.status().ticks == 60)
        session.stop()
    assert untimed_rows_of(rl.open_store(tmp_path / "copy")) == untimed_rows_of(rl.open_store(tmp_path / "store"))


def test_what_is_asked_for_is_checked(store: rl.Store) -> None:
    """A question that cannot be answered, and a page of another origin, are refused before anything is played."""
    with rl.serve(store) as server:

        async def refusal(query: dict[str, str], headers: dict[str, str] | None = None) -> FeedError:
            url = server.http.replace("http", "socketio+http", 1)
            feed = SocketIOFeed(url, query=query, headers=headers)
            with pytest.raises(FeedError) as refused:
                await feed.connect()
            return refused.value

        speed, after = asyncio.run(refusal({"speed": "fast"})), asyncio.run(refusal({"after": "9f2c-0"}))
        assert "speed must be a number" in str(speed)
        assert "does not resume" in str(after)
        assert [one.retry for one in (speed, after)] == [False, False]
        assert "403" in str(asyncio.run(refusal({}, {"Origin": "https://evil.example"})))
        request = urllib.request.Request(
            f"{server.http}/socket.io/?EIO=4&transport=polling", headers={"Origin": "https://evil.example"}
        )
        with pytest.raises(urllib.error.HTTPError, match="403") as forbidden:
            urllib.request.urlopen(request, timeout=60)
        forbidden.value.close()
        assert server.door.refused["400"] == 2
