"""What a session tells belongs to one moment, whichever thread asks, and however long its own is kept from running."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from replaylab.errors import FeedLost
from replaylab.sessions.clock import Clock, Skew
from replaylab.sessions.event import LiveState, LiveStatus
from replaylab.sessions.session import LiveSession
from tests.live.copies import wait_for
from tests.sessions.test_session import QUICK, cut, frames, in_turn
from tests.sessions.virtual import ScriptedFeed, raising

NOON = datetime(2031, 1, 2, 12, tzinfo=UTC)


def test_a_state_comes_with_its_reason() -> None:
    """A session that is said to have failed, or to be lost, says why, whenever it is asked."""
    seen: list[LiveStatus] = []

    def wall() -> datetime:
        if sessions:
            seen.append(sessions[0].status())
        return datetime.now(UTC)

    sessions: list[LiveSession] = []
    feed = ScriptedFeed(raising(FeedLost("tls", "not trusted", retry=False)), in_turn())
    sessions.append(LiveSession(feed, clock=Clock(wall=wall)))
    with sessions[0] as session, pytest.raises(FeedLost):
        session.wait("live", timeout=60)
    seen.append(sessions[0].status())
    assert [one.state for one in seen if one.state in {LiveState.LOST, LiveState.FAILED} and not one.last_error] == []
    assert LiveState.FAILED in {one.state for one in seen}


def test_a_closed_session_has_told_all_its_gaps(tmp_path: Path) -> None:
    """When a feed is called closed, the outage after which nothing came is a gap already."""
    seen: list[tuple[LiveState, int, int]] = []

    class Asked(ScriptedFeed):
        """A feed that asks its session, whenever its connection is closed."""

        async def close(self) -> None:
            """Ask."""
            await super().close()
            seen.append((session.status().state, session.status().gaps, len(session.gaps())))

    session = LiveSession(Asked(lambda _now: None, in_turn(frames(0, 1), cut(), None)), to=tmp_path, clock=QUICK)
    with session:
        session.wait("closed", timeout=60)
        assert (session.status().gaps, len(session.gaps())) == (1, 1)
    assert (LiveState.CLOSED, 1, 1) in seen
    assert [one for one in seen if one[0] is LiveState.CLOSED and one[1:] != (1, 1)] == []


def test_what_is_counted_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ticks that the status counts are in `kept`, and the newest of them is the one it tells."""
    session = LiveSession(ScriptedFeed(lambda _now: None, in_turn(frames(0, 1), frames(2), None)))
    add, seen = session._recent.add, list[tuple[int, int]]()

    def asked(at: datetime, messages: Any) -> None:
        add(at, messages)
        seen.append((session.status().ticks, len(session.kept)))

    monkeypatch.setattr(session._recent, "add", asked)
    with session:
        session.wait("closed", timeout=60)
    assert seen == [(0, 2), (2, 3)]
    assert (session.status().ticks, session.status().tick, len(session.kept)) == (3, 2, 3)


def test_a_thread_that_was_kept_from_running_is_no_jump_of_the_clock() -> None:
    """Two clocks that were read at different moments say nothing of each other."""
    skew = Skew()
    assert skew.step(0.0, NOON, 0.0) is None
    assert skew.step(1.0, NOON + timedelta(seconds=6), 6.0) is None
    assert skew.step(7.0, NOON + timedelta(seconds=7), 7.0) is None
    assert skew.step(8.0, NOON + timedelta(seconds=18), 8.0) == 10.0


def test_what_a_user_has_seeded_is_not_drawn_from() -> None:
    """A session that waits at random on its own thread leaves the caller's random numbers as they would be."""
    feed = ScriptedFeed(raising(FeedLost("refused", "nobody there")), in_turn())
    before = random.getstate()
    with LiveSession(feed, clock=Clock(sleep=lambda _seconds: asyncio.sleep(0.001))) as session:
        wait_for(lambda: session.status().attempts > 3)
    assert random.getstate() == before
