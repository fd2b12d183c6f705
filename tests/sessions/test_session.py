"""LiveSession: a feed kept alive and recorded, seen from outside; on the thread of the feeds."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import replaylab as rl
from replaylab.errors import FeedLost, RecordingFailed
from replaylab.feeds.base import Frame
from replaylab.feeds.simulated import simulated_feed
from replaylab.mark import Mark
from replaylab.sessions.clock import Clock
from replaylab.sessions.event import LiveEvent, LiveState
from replaylab.sessions.loop import NAME
from replaylab.sessions.opening import LiveSessions, open_sessions
from replaylab.sessions.session import LiveSession
from replaylab.tick import Tick
from tests.sessions.virtual import ScriptedFeed, raising, refused, tick


def feeds_threads() -> list[threading.Thread]:
    """Threads of feeds."""
    return [thread for thread in threading.enumerate() if thread.name == NAME]


def in_turn(*what: Frame | float | FeedLost | threading.Event | None) -> Callable[[float], Frame | float | None]:
    """Brings one after another; an error is raised, and an event waited for. After the last nothing comes."""
    left = list(what)

    def brings(_since: float) -> Frame | float | None:
        while left and isinstance(event := left[0], threading.Event):
            if not event.is_set():
                return 0.01
            del left[0]
        found = left.pop(0) if left else 1000.0
        if isinstance(found, FeedLost):
            raise found
        assert not isinstance(found, threading.Event)
        return found

    return brings


def cut() -> FeedLost:
    """A connection that breaks off."""
    return FeedLost("disconnect", "cut")


Scripts = dict[str, list[Frame | float | FeedLost | None]]
QUICK = Clock(uniform=lambda low, _high: low)


def frames(*numbers: int, game_id: str = "g") -> Frame:
    """A frame of live ticks with ids."""
    names = [f"{game_id}-{n}" for n in numbers]
    return Frame([tick(n, game_id) for n in numbers], names, names[-1])


def test_everything_is_recorded(tmp_path: Path) -> None:
    """Every tick of three games is in the store, equal to the source, and no gap is told."""
    with LiveSession(simulated_feed(games=3, seed=2, pacing="none"), to=tmp_path / "store") as session:
        session.wait("closed", timeout=60)
        status = session.status()
    assert (status.gaps, status.missing, status.ticks) == (0, 0, status.recorded)
    store = rl.open_store(tmp_path / "store")
    programme = simulated_feed(games=3, seed=2, pacing="none").programme
    for number, listed in enumerate(programme.source.games):
        rows = store.game(listed.game_id).ticks().to_pylist()
        assert [(row["tick"], row["price"], row["timestamp"]) for row in rows] == [
            (one.tick, one.price, one.timestamp) for one in programme.source.read(number) if isinstance(one, rl.Tick)
        ]
    assert feeds_threads() == []


def test_an_outage_is_one_gap_everywhere(tmp_path: Path) -> None:
    """A cut is one gap with its cause: as an event, in `gaps()`, and in the store; the ticks go on after it."""
    told: list[LiveEvent] = []
    feed = ScriptedFeed(lambda _now: None, in_turn(frames(0, 1, 2), cut(), frames(6, 7), frames(9), None))
    session = LiveSession(feed, to=tmp_path, clock=QUICK)
    session.on("gap", told.append)
    with session:
        session.wait("closed", timeout=60)
    assert [(one.cause, one.missing, one.game_id) for one in told] == [("disconnect", 3, "g"), ("skipped", 1, "g")]
    for frame in (session.gaps(), rl.open_store(tmp_path).gaps()):
        shown = [(row.after, row.before, row.missing, row.cause, row.healed) for row in frame.itertuples()]
        assert shown == [(2, 6, 3, "disconnect", False), (7, 9, 1, "skipped", False)]
    feeds = [mark.detail["state"] for mark in rl.open_store(tmp_path).marks("feed")]
    assert feeds == ["opened", "lost", "opened", "closed"]
    assert feed.asked == [None, "g-2"]


def test_a_session_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    """A new session resumes after the last id that is in the store, and its absence is a gap of its own."""
    first = ScriptedFeed(lambda _now: None, in_turn(frames(0, 1), None))
    with LiveSession(first, to=tmp_path) as session:
        session.wait("closed", timeout=60)
    second = ScriptedFeed(lambda _now: None, in_turn(frames(2, 3), None))
    second.resumes = True
    with LiveSession(second, to=tmp_path) as session:
        session.wait("closed", timeout=60)
    assert second.asked == ["g-1"]
    store = rl.open_store(tmp_path)
    assert store.game("g").ticks()["tick"].to_pylist() == [0, 1, 2, 3]
    assert [(row.cause, row.missing, row.healed) for row in store.gaps().itertuples()] == [("recorder_down", 0, True)]


def test_a_recorder_that_was_down_at_the_end(tmp_path: Path) -> None:
    """Everything was recorded before the recorder died: the store has a healed gap, and nothing is missing."""
    for script in (in_turn(frames(0, 1, 2), 1000.0), in_turn(None)):
        feed = ScriptedFeed(lambda _now: None, script)
        feed.resumes = True
        session = LiveSession(feed, to=tmp_path)
        with session:
            session.wait(["live", "closed"], timeout=60)
    gaps = rl.open_store(tmp_path).gaps()
    assert gaps["cause"].tolist() == ["recorder_down"]
    assert gaps["healed"].tolist() == [True]
    assert gaps["missing"].tolist() == [0]


def test_many_sessions_share_recorder_and_thread(tmp_path: Path) -> None:
    """Twelve feeds on one recorder: one thread, each game whole and by itself, and the recorder goes on."""
    with rl.Recorder(tmp_path) as recorder:
        sessions = [LiveSession(simulated_feed(games=1, seed=n, pacing="none"), to=recorder) for n in range(12)]
        for session in sessions:
            session.start()
        assert len(feeds_threads()) == 1
        for session in sessions:
            session.wait("closed", timeout=60)
            session.stop()
        assert recorder.status().games == 12
    assert feeds_threads() == []
    store = rl.open_store(tmp_path)
    assert len(store) == 12
    assert len(store.gaps()) == 0


def test_with_does_not_start_what_has_been_started() -> None:
    """`with rl.live(...)` enters a session that runs: one that has failed meanwhile is not tried again."""
    hopeless = raising(FeedLost("http_404", "not there", retry=False, answered=True))
    sessions = [LiveSession(ScriptedFeed(hopeless, in_turn())) for _ in range(2)]
    for session in sessions:
        with pytest.raises(FeedLost, match="not there"):
            session.start().wait(timeout=60)
    with sessions[0], LiveSessions(sessions):
        assert [session.status().attempts for session in sessions] == [1, 1]
    with sessions[0], pytest.raises(FeedLost, match="not there"):
        sessions[0].wait(timeout=60)
    assert sessions[0].status().attempts == 2  # it was stopped, and is started again


def test_waiting_has_an_end() -> None:
    """Waiting for a state raises TimeoutError in time, and FeedLost when the session is over without it."""
    with LiveSession(ScriptedFeed(refused, in_turn()), clock=QUICK) as session:
        with pytest.raises(TimeoutError):
            session.wait("live", timeout=0.05)
        assert session.status().verdict == "degraded"
    failing = ScriptedFeed(raising(FeedLost("tls", "not trusted", retry=False)), in_turn())
    with LiveSession(failing) as session:
        with pytest.raises(FeedLost, match="not trusted"):
            session.wait("live", timeout=60)
        assert session.status().verdict == "failed"
        assert session.status().reasons == ("failed: not trusted",)
        failing._connects = lambda _now: None
        failing._brings = in_turn(frames(1))
        session.start().wait("live", timeout=60)
    with pytest.raises(FeedLost):
        session.wait("live", timeout=60)
    with pytest.raises(ValueError, match="state='lively'"):
        session.wait("lively")


def test_callbacks_run_in_the_loop_of_the_caller() -> None:
    """In an event loop callbacks run in it, else on the thread of the feeds; one that raises harms nobody."""
    seen: list[tuple[str, str]] = []

    def note(kind: str) -> Callable[[Any], None]:
        return lambda _what: seen.append((kind, threading.current_thread().name))

    async def run() -> None:
        go_on = threading.Event()
        session = LiveSession(ScriptedFeed(lambda _now: None, in_turn(frames(0), go_on, frames(1), None)))
        session.on("tick", note("tick"))
        session.on("tick", lambda what: 1 / (what.tick - 0))
        end = session.on("state", note("state"))
        end()
        async with session:
            await session.until("live", timeout=60)
            go_on.set()
            await session.until("closed", timeout=60)
            await asyncio.sleep(0)

    asyncio.run(run())
    assert seen == [("tick", threading.current_thread().name)] * 2
    session = LiveSession(ScriptedFeed(lambda _now: None, in_turn(frames(0))))
    session.on("tick", note("there"))
    with pytest.raises(ValueError, match="must be one of"):
        session.on("ticks", note("x"))
    with session:
        session.wait("live", timeout=60)
        deadline = time.monotonic() + 60
        while len(seen) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert seen[2] == ("there", NAME)


def test_what_is_kept_can_be_saved_and_gone_on_from(tmp_path: Path) -> None:
    """Without a store the newest ticks are kept; they can be saved, and recording goes on from them without a hole."""
    go_on = threading.Event()
    feed = ScriptedFeed(lambda _now: None, in_turn(frames(0, 1, 2), go_on, frames(3, 4), None))
    session = LiveSession(feed)
    with session:
        session.wait("live", timeout=60)
        session.record(tmp_path / "on")
        with pytest.raises(RecordingFailed, match="already"):
            session.record(tmp_path / "other")
        go_on.set()
        session.wait("closed", timeout=60)
        assert session.save(tmp_path / "saved", last="5min").ticks == 5
    assert rl.open_store(tmp_path / "on").game("g").ticks()["tick"].to_pylist() == [0, 1, 2, 3, 4]
    assert rl.open_store(tmp_path / "saved").rows == 5
    for bad in ("soon", "-5s", ""):
        with pytest.raises(ValueError, match="must be a duration"):
            session.save(tmp_path / "bad", last=bad)
    assert not (tmp_path / "bad").exists()


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    """Memory is bounded by `ring_ticks`, and what is older than asked for is not saved."""
    times = iter(datetime(2031, 1, 2, tzinfo=UTC) + timedelta(seconds=30 * n) for n in range(10_000))
    feed = ScriptedFeed(lambda _now: None, in_turn(*(frames(n) for n in range(300)), None))
    settings = rl.Settings(ring_ticks=100)
    with LiveSession(feed, settings=settings, clock=Clock(wall=lambda: next(times))) as session:
        session.wait("closed", timeout=60)
    assert len(session.kept) == 100
    ticks = [one for one in session.kept if isinstance(one, rl.Tick)]
    assert ticks[-1].tick == 299
    assert 0 < session.save(tmp_path, last=timedelta(minutes=5)).ticks < 20


def test_a_recorder_without_room_stops_the_reading(tmp_path: Path) -> None:
    """While the recorder has no room the feed is not read, and nothing is lost; one that stopped ends the session."""
    chosen = rl.Settings(max_unsynced_ticks=10, buffer_ticks=10)
    feed = simulated_feed(games=2, seed=5, pacing="none")
    with LiveSession(feed, to=tmp_path, settings=chosen) as session:
        session.wait("closed", timeout=60)
    assert session.status().recorded == session.status().ticks == rl.open_store(tmp_path).rows

    recorder, go_on = rl.Recorder(tmp_path / "stopped"), threading.Event()
    with LiveSession(ScriptedFeed(lambda _now: None, in_turn(frames(0), go_on, frames(1))), to=recorder) as session:
        session.wait("live", timeout=60)
        recorder.stop()
        go_on.set()
        session.wait("failed", timeout=60)
        assert "closed" in str(session.status().last_error)


def test_stopping_is_done_once_and_from_anywhere(tmp_path: Path) -> None:
    """Stopping twice gives the same report, also when a callback has begun it; what was accepted is on disk."""
    session = LiveSession(ScriptedFeed(lambda _now: None, in_turn(frames(0, 1))), to=tmp_path)
    session.on("tick", lambda _tick: session.stop())
    session.start().wait("closed", timeout=60)
    report = session.stop()
    assert report is session.stop()
    assert report is not None
    assert report.ticks == rl.open_store(tmp_path).rows >= 1
    assert session.status().state is LiveState.CLOSED
    assert feeds_threads() == []


def test_a_jump_of_the_clock_is_marked(tmp_path: Path) -> None:
    """When the wall clock jumps against the other one, that is a mark in the store, and no tick is lost."""
    start, jumped = time.monotonic(), [0.0]
    clock = Clock(
        wall=lambda: datetime(2031, 1, 2, tzinfo=UTC) + timedelta(seconds=time.monotonic() - start + jumped[0])
    )
    feed = ScriptedFeed(lambda _now: None, in_turn(*(frames(n) for n in range(8)), None))
    session = LiveSession(feed, to=tmp_path, clock=clock)
    session.on("tick", lambda one: jumped.insert(0, 3600.0 if one.tick >= 4 else 0.0))
    with session:
        session.wait("closed", timeout=60)
    steps = [m for m in rl.open_store(tmp_path).marks("feed") if m.detail["state"] == "clock_step"]
    assert len(steps) == 1
    assert abs(steps[0].detail["seconds"] - 3600) < 60


def test_marks_of_a_feed_are_kept_beside_the_ticks(tmp_path: Path) -> None:
    """Phases, trades and histories of a feed are marks in the store, under the name of the feed."""
    trade = Mark("trade", "2031-01-02T03:04:05", "g", detail={"side": "buy", "price": 1, "tick": 0})  # type: ignore[arg-type]
    feed = ScriptedFeed(lambda _now: None, in_turn(Frame([tick(0), trade]), None))
    with LiveSession(feed, to=tmp_path) as session:
        session.wait("closed", timeout=60)
    marks = rl.open_store(tmp_path).marks("trade")
    assert [(mark.lane, mark.game_id) for mark in marks] == [(feed.name, "g")]
    assert len(rl.open_store(tmp_path).game("g").trades()) == 1


def test_the_place_to_resume_is_the_newest_whatever_the_times_of_ticks(tmp_path: Path) -> None:
    """Ticks whose times go back, from one recorder to the next, do not send a lane back to where it had been."""
    for number, second in enumerate((30, 20, 25)):
        at = datetime(2031, 1, 2, 0, 0, second, tzinfo=UTC)
        with rl.Recorder(tmp_path) as recorder:
            cursor = recorder.lane("feed").cursor
            assert (None if cursor is None else cursor.id) == (f"e-{number - 1}" if number else None)
            assert recorder.lane("feed").record(Tick(f"g{number}", 1, at, Decimal(1)), f"e-{number}")


def test_a_feed_that_is_over_has_closed_its_connection_when_stop_returns() -> None:
    """A connection whose closing takes a while, as that of a socket does, is not left open by an early stop."""

    class Leisurely(ScriptedFeed):
        """A feed whose closing takes a while."""

        async def close(self) -> None:
            """Take a while."""
            await asyncio.sleep(0.2)
            await super().close()

    feed = Leisurely(lambda _now: None, in_turn(frames(0), None))
    session = LiveSession(feed).start()
    session.wait("closed", timeout=60)
    session.stop()
    assert feed.closed == 1


def test_feeds_of_one_address_are_kept_apart(tmp_path: Path) -> None:
    """Two feeds whose addresses differ in their query alone have a game open each, and go on each at its own place."""

    def both(script: Scripts) -> list[ScriptedFeed]:
        feeds = []
        for game in sorted(script):
            feed = ScriptedFeed(lambda _now: None, in_turn(*script[game]))
            feed.resumes = True
            feeds.append(feed)
        return feeds

    def followed(script: Scripts) -> tuple[list[list[str | None]], int]:
        feeds = both(script)
        with rl.Recorder(tmp_path) as recorder:
            sessions = [LiveSession(feed, to=recorder).start() for feed in feeds]
            assert len({session.status().feed for session in sessions}) == 2
            for session in sessions:
                session.wait("closed", timeout=60)
                session.stop()
            return [feed.asked for feed in feeds], recorder.status().games

    first: Scripts = {
        game: [frame for n in range(5) for frame in (frames(n, game_id=game), 0.01)] + [None] for game in "ab"
    }
    assert followed(first) == ([[None], [None]], 2)
    again: Scripts = {game: [frames(5, game_id=game), None] for game in "ab"}
    assert followed(again)[0] == [["a-4"], ["b-4"]]
    store = rl.open_store(tmp_path)
    assert {game.id: game.ticks()["tick"].to_pylist() for game in store} == {"a": [*range(6)], "b": [*range(6)]}
    assert set(store.gaps()["cause"]) == {"recorder_down"}
    assert store.gaps()["healed"].all()


def test_a_feed_that_is_followed_again_has_its_lane_again(tmp_path: Path) -> None:
    """A second session of the same address and recorder, after the first has stopped, goes on in its lane."""
    with rl.Recorder(tmp_path) as recorder:
        asked = []
        for script in (in_turn(frames(0, 1), None), in_turn(frames(2), None)):
            feed = ScriptedFeed(lambda _now: None, script)
            with LiveSession(feed, to=recorder) as session:
                session.wait("closed", timeout=60)
            asked += feed.asked
    assert asked == [None, "g-1"]


def test_addresses_that_are_given_twice_have_names_of_their_own() -> None:
    """In one table no two feeds have the same name."""
    many = open_sessions(LiveSession, ["simulated:1", "simulated:2", "simulated:1"])
    assert many.table()["feed"].tolist() == ["simulated:1", "simulated:2", "simulated:1#2"]
