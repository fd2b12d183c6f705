"""A server that is killed, and comes back at the same port: with the same content, and with other content."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import replaylab as rl
from replaylab.feeds.websocket import WebSocketFeed
from replaylab.sessions.session import LiveSession
from tests.live.copies import QUICK, REPOSITORY, rows_of, wait_for, whole_games

SERVER = """
import sys
import replaylab as rl
server = rl.serve(sys.argv[1], port=int(sys.argv[2]), speed=float(sys.argv[3]))
print(server.port, flush=True)
sys.stdin.read()
server.stop()
"""


@contextmanager
def serving(store: Path, speed: float, port: int = 0) -> Iterator[int]:
    """A server in a process of its own, which is killed at the end."""
    command = [sys.executable, "-c", SERVER, str(store), str(port), str(speed)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as child:
        assert child.stdout is not None
        try:
            yield int(child.stdout.readline())
        finally:
            child.kill()


def through_a_kill(source: Path, then: Path, copy: Path) -> LiveSession:
    """Follow a server that is killed in the middle of its first games, and the one after it to its end."""
    with serving(source, 2) as port:
        session = LiveSession(WebSocketFeed(f"ws://127.0.0.1:{port}/feed?from=start"), to=copy, clock=QUICK).start()
        wait_for(lambda: session.status().ticks > 10)
    with serving(then, 100, port):
        session.wait("closed", timeout=90)
        session.stop()
    return session


def test_with_the_same_content_nothing_is_missing(tmp_path: Path) -> None:
    """The server that comes back resumes by id: the copy is the source, and the outage one healed gap."""
    source = whole_games(tmp_path / "source", 6)
    session = through_a_kill(tmp_path / "source", tmp_path / "source", tmp_path / "copy")
    copy = rl.open_store(tmp_path / "copy")
    assert rows_of(copy) == rows_of(source)
    assert copy.gaps()["healed"].tolist() == [True]
    assert copy.gaps()["cause"].tolist() == ["disconnect"]
    assert session.status().missing == 0


def test_other_content_is_one_gap_and_goes_on(tmp_path: Path) -> None:
    """A server of other content does not know the place: one gap `server_restart`, and its games are recorded whole."""
    source = whole_games(tmp_path / "source", 6)
    with rl.Recorder(tmp_path / "other") as recorder:
        for n in range(40):
            at = datetime(2031, 2, 1, 0, 0, n, tzinfo=UTC)
            recorder.record(rl.Tick("other", n, at, Decimal("1.5"), active=True))
    through_a_kill(tmp_path / "source", tmp_path / "other", tmp_path / "copy")
    copy = rl.open_store(tmp_path / "copy")
    gaps = copy.gaps()
    assert gaps["cause"].tolist() == ["server_restart"]
    assert gaps["healed"].tolist() == [False]
    found, expected = rows_of(copy), rows_of(source)
    assert found.pop("other") == rows_of(rl.open_store(tmp_path / "other"))["other"]
    last = max(found)
    assert {game: rows for game, rows in found.items() if game != last} == {
        game: rows for game, rows in expected.items() if game < last
    }
    assert found[last] == expected[last][: len(found[last])]
