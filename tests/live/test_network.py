"""The closed loop through a network that fails: what comes is recorded, what does not is a gap with its cause."""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

import replaylab as rl
from replaylab.feeds.websocket import WebSocketFeed
from replaylab.service.tokens import Tokens
from replaylab.sessions.clock import Clock
from replaylab.sessions.session import LiveSession
from replaylab.testing import FaultProxy
from tests.live.copies import QUICK, REPOSITORY, is_beginning, lacking, rows_of, wait_for, whole_games
from tests.resources import leaves_nothing_open
from tests.stores import RECORDINGS

CUTS = int(os.environ.get("REPLAYLAB_TEST_CUTS", "10"))  # by hand 50
HARMS = int(os.environ.get("REPLAYLAB_TEST_HARMS", "15"))  # by hand 100
SEED = int(os.environ.get("REPLAYLAB_TEST_SEED", "1"))
HELD_OUT = int(os.environ.get("REPLAYLAB_TEST_HELD_OUT", "0"))  # by hand 20
STALE = float(os.environ.get("REPLAYLAB_TEST_STALE", "1"))  # by hand 10, as it is
HURRY = 80  # seconds of the clock of a client in one of its server's
SECRET = "0123456789abcdef" * 2


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> rl.Store:
    """Ten whole games."""
    return whole_games(tmp_path_factory.mktemp("games") / "store", 10)


def recorded(session: LiveSession, copy: Path) -> rl.Store:
    """The copy, when the feed is over."""
    session.wait("closed", timeout=90)
    session.stop()
    found = rl.open_store(copy)
    assert isinstance(found, rl.Store)
    return found


def recorded_so_far(session: LiveSession, copy: Path) -> rl.Store:
    """The copy, when more has come after the last harm; the feed goes on for so long that no machine is too slow."""
    wait_for_more(session, "ticks", session.status().ticks)
    assert str(session.status().state) != "closed", "it was over too soon"
    session.stop()
    found = rl.open_store(copy)
    assert isinstance(found, rl.Store)
    return found


def wait_for_more(session: LiveSession, name: str, than: int) -> None:
    """Wait until a number of the status has grown, or the feed is over."""
    wait_for(lambda: getattr(session.status(), name) > than or str(session.status().state) == "closed")


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> rl.Store:
    """Real recordings with their damage and gaps; by hand so many more of those that are not in the repository."""
    folder = tmp_path_factory.mktemp("samples") / "store"
    others = sorted(RECORDINGS.glob("*.jsonl")) if HELD_OUT else []
    assert len(others) >= HELD_OUT, f"fewer than {HELD_OUT} recordings in {RECORDINGS}"
    sources = [REPOSITORY / "data" / "samples", *random.Random(SEED).sample(others, HELD_OUT)]
    rl.convert(sources, folder, progress=False)
    found = rl.open_store(folder)
    assert isinstance(found, rl.Store)
    return found


@pytest.mark.parametrize("way", ["/feed", "/feed.jsonl"])
def test_real_recordings_come_back(samples: rl.Store, tmp_path: Path, way: str) -> None:
    """Real recordings, served and recorded again: every row equal, and every gap of the source a gap of the copy."""
    with rl.serve(samples, pacing="none") as server:
        if way == "/feed":
            session = rl.live(server.url + "?from=start", to=tmp_path / "copy")
            copy = recorded(session, tmp_path / "copy")
        else:
            import urllib.request

            from replaylab.parsing.line_reader import LineReader

            reader = LineReader()
            with (
                urllib.request.urlopen(server.http + "/feed.jsonl?from=start", timeout=60) as answer,
                rl.Recorder(tmp_path / "copy") as recorder,
            ):
                ticks = [one for line in answer if isinstance(one := reader.read(line.rstrip(b"\n")), rl.Tick)]
                assert recorder.record_many(ticks)
            opened = rl.open_store(tmp_path / "copy")
            assert isinstance(opened, rl.Store)
            copy = opened
    timed = {game: [row for row in rows if row[1] is not None] for game, rows in rows_of(samples).items()}
    assert rows_of(copy) == {game: rows for game, rows in timed.items() if rows}
    served = rows_of(copy)  # rows without a time cannot be sent again: the server says how many
    assert lacking(copy) == {game: count for game, count in lacking(samples).items() if game in served}
    assert lacking(copy)


def test_what_is_doubled_and_swapped_is_counted(store: rl.Store, tmp_path: Path) -> None:
    """Messages that pass twice or late: nothing is missing, and what is too much is exactly what the network made."""
    with rl.serve(store, speed=100) as server, FaultProxy(server.port, seed=3) as proxy:
        proxy.double = proxy.swap = 0.05
        session = rl.live(f"ws://127.0.0.1:{proxy.port}/feed?from=start&pacing=nominal&speed=60", to=tmp_path / "copy")
        copy = recorded(session, tmp_path / "copy")
        assert proxy.doubled
        assert proxy.swapped
        lines = ticks_doubled(proxy.doubled_frames)
    assert session.status().missing == 0
    assert copy.games()["missing_ticks"].sum() == 0
    source, found = rows_of(store), rows_of(copy)
    again = {game: Counter(rows) - Counter(source[game]) for game, rows in found.items()}
    assert {game: Counter(rows) - again[game] for game, rows in found.items()} == {
        game: Counter(rows) for game, rows in source.items()
    }
    assert sum(count.total() for count in again.values()) == lines


def ticks_doubled(frames: list[bytes]) -> int:
    """How many ticks stand in frames."""
    return sum(frame.count(b'"type": "tick"') for frame in frames)


def test_what_is_late_comes_all_the_same(store: rl.Store, tmp_path: Path) -> None:
    """A network that holds everything back for a while loses nothing, and makes no gap."""
    with rl.serve(store, pacing="none") as server, FaultProxy(server.port) as proxy:
        proxy.delay_seconds = 0.2
        session = rl.live(f"ws://127.0.0.1:{proxy.port}/feed?from=start", to=tmp_path / "copy")
        copy = recorded(session, tmp_path / "copy")
    assert rows_of(copy) == rows_of(store)
    assert not len(copy.gaps())


def test_every_cut_is_one_gap(store: rl.Store, tmp_path: Path) -> None:
    """Cuts at any moment: nothing missing, nothing doubled, and each outage one gap that is healed."""
    with rl.serve(store, speed=4) as server, FaultProxy(server.port) as proxy:
        feed = WebSocketFeed(f"ws://127.0.0.1:{proxy.port}/feed?from=start")
        session = LiveSession(feed, to=tmp_path / "copy", clock=QUICK).start()
        for number in range(CUTS):
            wait_for(lambda: str(session.status().state) in {"live", "closed"})
            wait_for_more(session, "ticks", session.status().ticks)
            connections = session.status().connections
            proxy.cut()
            wait_for_more(session, "connections", connections)
            assert str(session.status().state) != "closed", f"it was over after {number} cuts"
        copy = recorded_so_far(session, tmp_path / "copy")
    assert is_beginning(rows_of(copy), rows_of(store))
    gaps = copy.gaps()
    assert set(gaps["cause"]) == {"disconnect"}
    assert gaps["healed"].all()
    assert len(gaps) == session.status().connections - 1


def test_a_stall_is_one_gap(store: rl.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network that swallows everything: noticed without an end of the connection, one gap `stall`, all of it back."""
    monkeypatch.setattr("replaylab.sessions.supervisor.STALE_SECONDS", STALE)
    with rl.serve(store, speed=4) as server, FaultProxy(server.port) as proxy:
        feed = WebSocketFeed(f"ws://127.0.0.1:{proxy.port}/feed?from=start", ping_seconds=0.5)
        session = LiveSession(feed, to=tmp_path / "copy", clock=QUICK)
        seen: list[str] = []
        session.on("state", lambda event: seen.append(str(event.state)))
        session.start()
        wait_for(lambda: session.status().ticks > 10)
        proxy.stalled = True
        wait_for(lambda: "lost" in seen)
        proxy.stalled = False
        copy = recorded_so_far(session, tmp_path / "copy")
    assert seen[seen.index("lost") - 1] == "stale"  # a slow machine may have been stale before, too
    assert is_beginning(rows_of(copy), rows_of(store))
    gaps = copy.gaps()
    assert gaps["cause"].tolist()[0] == "stall"
    assert gaps["healed"].all()


def test_all_that_can_happen(store: rl.Store, tmp_path: Path) -> None:
    """Resets, cuts in the middle of a frame, delays and refused connections, from one seed: the copy is the source."""
    chance = random.Random(SEED)
    with rl.serve(store, speed=4) as server, FaultProxy(server.port, seed=SEED) as proxy:
        feed = WebSocketFeed(f"ws://127.0.0.1:{proxy.port}/feed?from=start")
        session = LiveSession(feed, to=tmp_path / "copy", clock=QUICK).start()
        for _ in range(HARMS):
            kind = chance.choice(("reset", "half", "delay", "down"))
            proxy.delay_seconds = chance.uniform(0.0, 0.02) if kind == "delay" else 0.0
            proxy.cut_after = chance.randrange(2_000, 20_000) if kind == "half" else None
            proxy.down = kind == "down"
            if kind in {"reset", "down", "half"}:
                proxy.cut()
            attempts, ticks = session.status().attempts, session.status().ticks
            wait_for_more(session, "attempts", attempts) if kind == "down" else wait_for_more(session, "ticks", ticks)
            proxy.down = False
            wait_for_more(session, "ticks", session.status().ticks)
        proxy.delay_seconds, proxy.cut_after = 0.0, None
        connections = session.status().connections
        proxy.cut()  # a connection made before would still be cut after some bytes
        wait_for_more(session, "connections", connections)
        copy = recorded_so_far(session, tmp_path / "copy")
    assert is_beginning(rows_of(copy), rows_of(store))
    gaps = copy.gaps()
    assert len(gaps)
    assert set(gaps["cause"]) <= {"disconnect", "refused"}
    assert gaps["healed"].all()


def test_a_token_is_renewed_before_it_ends(store: rl.Store, tmp_path: Path) -> None:
    """A token that ends in the middle is renewed before: no gap, no refusal, nothing missing, and it stands nowhere."""
    tokens = Tokens(SECRET)
    asked: list[str] = []

    def token() -> str:
        asked.append(tokens.issue(240))
        return asked[-1]

    begun, start = time.monotonic(), datetime.now(UTC)

    def wall() -> datetime:  # runs ahead, so that nothing has ended for the server
        return start + HURRY * timedelta(seconds=time.monotonic() - begun)

    clock = Clock(wall=wall, sleep=lambda seconds: asyncio.sleep(seconds / HURRY))
    with rl.serve(store, speed=4, secret=SECRET) as server:
        feed = WebSocketFeed(server.url + "?from=start", token=token, now=wall)
        session = LiveSession(feed, to=tmp_path / "copy", clock=clock).start()
        wait_for(lambda: len(asked) >= 3)
        copy = recorded_so_far(session, tmp_path / "copy")
        assert not server.door.refused
    assert is_beginning(rows_of(copy), rows_of(store))
    assert not len(copy.gaps())
    assert str(session.status().last_error) == "None"
    kept = b"".join(path.read_bytes() for path in (tmp_path / "copy").rglob("*") if path.is_file())
    shown = kept + repr(session).encode() + repr(session.status()).encode()
    for one in (*asked, SECRET):
        assert one.encode() not in shown


def test_what_was_kept_and_what_comes_are_one_recording(store: rl.Store, tmp_path: Path) -> None:
    """`record` in the middle of a feed goes on from what was kept: no tick missing, none doubled."""
    with rl.serve(store, speed=4) as server:
        session = LiveSession(WebSocketFeed(server.url + "?from=start")).start()
        wait_for(lambda: session.status().ticks > 10)
        session.record(tmp_path / "copy")
        copy = recorded_so_far(session, tmp_path / "copy")
    assert is_beginning(rows_of(copy), rows_of(store))
    assert not len(copy.gaps())


def test_following_opens_no_port(store: rl.Store, tmp_path: Path) -> None:
    """Following and recording listen nowhere; serving listens on this machine alone."""

    def listening() -> set[Any]:
        return {one.laddr for one in psutil.Process().net_connections("inet") if one.status == psutil.CONN_LISTEN}

    before = listening()
    with rl.serve(store) as server:
        served = listening() - before
        assert {one.ip for one in served} == {"127.0.0.1"}
        session = LiveSession(WebSocketFeed(server.url + "?from=start"), to=tmp_path / "copy").start()
        session.wait("live", timeout=60)
        assert listening() - before == served
        session.stop()
    assert not listening() - before  # what others leave may go meanwhile


def test_nothing_is_left_of_many_outages(store: rl.Store) -> None:
    """After many connections threads and handles are as many as before."""
    with rl.serve(store, speed=20) as server, FaultProxy(server.port) as proxy, leaves_nothing_open():
        threads = threading.active_count()
        session = LiveSession(WebSocketFeed(f"ws://127.0.0.1:{proxy.port}/feed?loop=1"), clock=QUICK).start()
        for _ in range(20):
            session.wait("live", timeout=60)
            connections = session.status().connections
            proxy.cut()
            wait_for_more(session, "connections", connections)
        wait_for(lambda: threading.active_count() <= threads + 1)
        session.stop()
