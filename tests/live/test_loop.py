"""The closed loop: a store is served, recorded again, and the copy is the store, whatever the network does."""

from __future__ import annotations

import os
import pty
import random
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

import replaylab as rl
from replaylab.feeds.websocket import WebSocketFeed
from replaylab.plural import count_of
from replaylab.service.server import FeedServer
from replaylab.sessions.session import LiveSession
from replaylab.testing import FaultProxy
from tests.live.copies import QUICK, REPOSITORY, lacking, rows_of, wait_for, whole_games
from tests.playing import until

GAMES = int(os.environ.get("REPLAYLAB_TEST_GAMES", "6"))  # by hand 20
KILLS = int(os.environ.get("REPLAYLAB_TEST_KILLS", "2"))  # by hand 200


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> rl.Store:
    """A store of games with damage: doubled and missing ticks, late starts, swapped rows."""
    folder = tmp_path_factory.mktemp("source")
    damage = ["double_tick", "missing_ticks", "late_start", "swapped_rows", "two_writers"]
    rl.simulate(folder / "recordings", games=GAMES, seed=11, damage=damage)
    rl.convert(folder / "recordings", folder / "store", progress=False)
    found = rl.open_store(folder / "store")
    assert isinstance(found, rl.Store)
    return found


@pytest.fixture
def server(store: rl.Store) -> Iterator[FeedServer]:
    """The store, served as fast as possible."""
    with rl.serve(store, pacing="none") as server:
        yield server


def test_by_websocket(server: FeedServer, store: rl.Store, tmp_path: Path) -> None:
    """Recorded by WebSocket the copy equals the source in every row, and lacks what the source lacks."""
    session = rl.live(server.url + "?from=start", to=tmp_path / "copy")
    session.wait("closed", timeout=60)
    session.stop()
    copy = rl.open_store(tmp_path / "copy")
    assert rows_of(copy) == rows_of(store)
    assert lacking(copy) == lacking(store)
    assert copy.verify().ok


def test_by_json_lines(server: FeedServer, store: rl.Store, tmp_path: Path) -> None:
    """Piped from `/feed.jsonl` into `replaylab record` the copy equals the source in every row."""
    with urllib.request.urlopen(server.http + "/feed.jsonl?from=start", timeout=60) as answer:
        command = [sys.executable, "-m", "replaylab", "record", str(tmp_path / "copy")]
        done = subprocess.run(
            command, input=answer.read(), cwd=REPOSITORY, capture_output=True, check=False, timeout=60
        )
    assert done.returncode == 0, done.stderr
    assert rows_of(rl.open_store(tmp_path / "copy")) == rows_of(store)


@pytest.mark.parametrize("seed", [1, 2])
def test_through_a_network_that_cuts(server: FeedServer, store: rl.Store, tmp_path: Path, seed: int) -> None:
    """Cut again and again in the middle of frames, the copy is the source: nothing missing, nothing doubled."""
    chance = random.Random(seed)
    with FaultProxy(server.port) as proxy:
        proxy.cut_after = 80_000
        feed = WebSocketFeed(f"ws://127.0.0.1:{proxy.port}/feed?from=start")
        session = LiveSession(feed, to=tmp_path / "copy", clock=QUICK).start()
        deadline = time.monotonic() + 90
        while str(session.status().state) != "closed" and time.monotonic() < deadline:
            time.sleep(0.02)
            proxy.cut_after = chance.randrange(70_000, 200_000)  # more than one frame of the server
        session.stop()
        assert proxy.cuts >= 1
    copy = rl.open_store(tmp_path / "copy")
    assert rows_of(copy) == rows_of(store)
    outages = [row for row in copy.gaps().itertuples() if row.cause == "disconnect"]
    assert outages
    assert all(row.healed or row.missing for row in outages)


def test_a_server_that_was_killed_and_comes_back(store: rl.Store, tmp_path: Path) -> None:
    """A server that goes and comes back at the same port is resumed by id; the outage is one gap, and nothing lacks."""
    first = rl.serve(store, speed=5)
    session = LiveSession(WebSocketFeed(first.url), to=tmp_path / "copy", clock=QUICK).start()
    session.wait("live", timeout=60)
    wait_for(lambda: session.status().ticks >= 20)
    first.stop()
    with rl.serve(store, pacing="none", port=first.port) as other:  # other pacing, other content of the programme
        wait_for(lambda: session.status().connections >= 2)
        assert other.port == first.port
        session.wait("closed", timeout=60)
    session.stop()
    causes = set(session.gaps()["cause"])
    assert "server_restart" in causes


def rows_in(copy: Path) -> int:
    """How many rows a store holds now; 0 where there is none yet."""
    try:
        return rl.Store(copy).rows
    except rl.errors.StoreNotFound:
        return 0


def test_a_recorder_that_is_killed(tmp_path: Path) -> None:
    """`record --feed` killed at random moments and started again: the copy is the source, each time a healed gap."""
    store = whole_games(tmp_path / "source", 6 * KILLS - 2)
    chance = random.Random(KILLS)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    waited = kills = 0
    with rl.serve(store, speed=2) as server:
        command = [sys.executable, "-m", "replaylab", "record", str(tmp_path / "copy"), "--no-progress"]
        command += ["--feed", server.url + "?from=start"]
        for number in range(KILLS):
            before = rows_in(tmp_path / "copy")
            child = subprocess.Popen(command, env=environment, cwd=REPOSITORY, stdout=subprocess.DEVNULL)
            if number % 2 == 0:  # the others are killed while they start
                assert until(lambda: child.poll() is not None or rows_in(tmp_path / "copy") > before, 100)  # noqa: B023
                waited += child.poll() is None
            time.sleep(chance.uniform(0.0, 1.0))
            assert child.poll() is None, "it ended by itself"
            kills += 1
            child.send_signal(signal.SIGKILL)
            child.wait()
    with rl.serve(store, speed=100, port=server.port):  # the same content, and sooner over
        done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    copy = rl.open_store(tmp_path / "copy")
    assert rows_of(copy) == rows_of(store)
    assert copy.verify().ok
    gaps = copy.gaps()
    assert set(gaps["cause"]) == {"recorder_down"}
    assert gaps["healed"].all()
    assert waited <= len(gaps) <= kills


def closed_with(url: str, begun: threading.Event) -> int | None:
    """Follow a feed until it is closed; return the code."""
    with connect(url, compression=None) as socket:
        try:
            while True:
                socket.recv(timeout=60)
                begun.set()
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd is not None else None


@pytest.mark.parametrize(
    ("to_record", "to_serve", "codes"),
    [(signal.SIGINT, signal.SIGTERM, (130, 143)), (signal.SIGTERM, signal.SIGINT, (143, 130))],
)
def test_signals_end_both_in_order(
    store: rl.Store, tmp_path: Path, to_record: int, to_serve: int, codes: tuple[int, int]
) -> None:
    """Both commands end at SIGINT and SIGTERM, twice: all acknowledged is on disk, and clients hear 1001."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    base = [sys.executable, "-m", "replaylab"]
    serving = subprocess.Popen(
        [*base, "serve", str(store.path), "--port", "0", "--speed", "1"],
        env=environment,
        cwd=REPOSITORY,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert serving.stderr is not None
    line = serving.stderr.readline()
    url = next(word for word in line.split() if word.startswith("ws://"))
    recording = subprocess.Popen(
        [*base, "record", str(tmp_path / "copy"), "--feed", url],
        env=environment,
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert recording.stderr is not None
    while " live, " not in (seen := recording.stderr.readline()):
        assert seen, "it ended before it was live"
    with ThreadPoolExecutor() as pool:
        begun = threading.Event()
        code = pool.submit(closed_with, url + "?from=start", begun)
        assert begun.wait(60)
        for child, number in ((recording, to_record), (serving, to_serve)):
            child.send_signal(number)
            child.send_signal(number)
        told, said = recording.communicate(timeout=60)
        _, served = serving.communicate(timeout=60)
        assert code.result(60) == 1001
    assert (recording.returncode, serving.returncode) == codes
    assert count_of(rl.open_store(tmp_path / "copy").rows, "tick") in told
    assert said.endswith("replaylab: interrupted\n")
    assert "Traceback" not in said + served


def test_a_terminal_shows_a_table(store: rl.Store, tmp_path: Path) -> None:
    """In a terminal `record --feed` redraws one table, a row a feed; Ctrl-C leaves it, and the terminal, in order."""
    leader, follower = pty.openpty()
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "COLUMNS": "160"}
    with rl.serve(store, speed=20) as server:
        command = [sys.executable, "-m", "replaylab", "record", str(tmp_path / "copy"), "--feed", server.url]
        with subprocess.Popen(
            [*command, "--feed", "simulated:1"],
            env=environment,
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=follower,
        ) as child:
            os.close(follower)
            seen = b""
            while seen.count(b" live ") < 2:
                seen += os.read(leader, 4096)
            child.send_signal(signal.SIGINT)
            told, _ = child.communicate(timeout=60)
    os.close(leader)
    assert child.returncode == 130
    assert [word in seen for word in (b"missing", b"simulated:1", server.url.encode())] == [True] * 3
    assert b"ticks, 0 gaps, 0 missing" in told
