"""A live feed in a cell: the player is there before the first tick, and says how the feed and the recorder are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import replaylab as rl
from replaylab.sessions.event import LiveState, LiveStatus
from replaylab.widgets.live_notes import LiveNotes, status_words
from tests.widgets.pages import FakePage
from tests.widgets.test_inbox import until

AT = datetime(2031, 1, 2, tzinfo=UTC)


@pytest.fixture
def store(tmp_path: Path) -> rl.Store:
    """Two games."""
    rl.simulate(tmp_path / "recordings", games=2, seed=7)
    rl.convert(tmp_path / "recordings", tmp_path / "store", progress=False)
    found = rl.open_store(tmp_path / "store")
    assert isinstance(found, rl.Store)
    return found


def run(scene: Callable[[], Any]) -> Any:
    """Run a scene on a loop, as a notebook does."""
    return asyncio.run(scene())


def said(page: FakePage) -> dict[str, Any]:
    """What the page was told last of the feed."""
    told = [content["feed"] for content, _ in page.heard if content.get("feed")]
    return told[-1] if told else {"state": ""}


def told(page: FakePage) -> list[dict[str, Any]]:
    """Return the restarts of a server that the page was told of."""
    gaps = [gap for content, _ in page.heard if content["kind"] == "append" for gap in content["gaps"]]
    return [gap for gap in gaps if "restart" in gap["label"]]


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ("idle", "connecting"), ("connecting", "connecting"), ("catching_up", "connecting"), ("live", "live"),
        ("stale", "stale"), ("lost", "reconnecting"), ("backing_off", "reconnecting"),
        ("circuit_open", "reconnecting"), ("failed", "failed"), ("closing", "ended"), ("closed", "ended"),
    ],
)  # fmt: skip
def test_every_state_has_one_of_five_words(state: str, words: str) -> None:
    """A page says connecting, live, stale, reconnecting or ended."""
    assert status_words(LiveStatus("f", LiveState(state), AT), 100)["state"] == words


def test_the_recorder_in_words() -> None:
    """What is recorded, what is not durable yet, and what is missing are said with their numbers."""
    status = LiveStatus("f", LiveState.LIVE, AT, recorded=1_234, seq=1_300, durable_seq=1_290, gaps=2, missing=3)
    words = status_words(status, 100)
    assert (words["recorder"], words["gaps"]) == ("1,234 recorded, 10 not yet durable", "2 gaps: 3 ticks missing")
    again = LiveStatus("f", LiveState.LOST, AT, recorded=1, seq=5, durable_seq=5, gaps=1, last_error="refused")
    words = status_words(again, 100)
    assert (words["recorder"], words["why"]) == ("1 recorded, all durable", "refused")


@pytest.mark.parametrize(
    ("counts", "words"),
    [
        ({}, "nothing missing"),
        ({"gaps": 1}, "1 gap, healed: nothing missing"),
        ({"gaps": 3}, "3 gaps, healed: nothing missing"),
        ({"gaps": 2, "missing": 1, "healed": 16}, "2 gaps: 1 tick missing, 16 came after all"),
        ({"gaps": 2, "whole": 1, "unknown": 1}, "2 gaps, 1 healed: how much is unknown of 1"),
        ({"gaps": 4, "missing": 1_200, "unknown": 2}, "4 gaps: 1,200 ticks missing, how much is unknown of 2"),
    ],
)
def test_gaps_in_words(counts: dict[str, int], words: str) -> None:
    """Gaps that were healed are said to be, and where no number tells what is missing that is said, too."""
    assert status_words(LiveStatus("f", LiveState.LIVE, AT, **counts), 100)["gaps"] == words  # type: ignore[arg-type]


def test_a_stale_feed_says_since_when() -> None:
    """Silence is said with the time of what came last, not with why an earlier connection was lost."""
    status = LiveStatus("f", LiveState.STALE, AT, last_error="an old reason")
    assert status_words(status, 100)["why"] == "nothing has come since 23:59:50 UTC"


def test_a_gap_that_is_filled_later_is_healed_in_its_words() -> None:
    """What comes after all leaves less missing; the last of it heals the gap, and no other gap changes."""
    notes = LiveNotes()
    notes.gap("g", 4, {"cause": "disconnect", "after": 3, "before": 7, "missing": 3})
    notes.gap("g", 9, {"cause": "stall", "after": 11, "before": 14, "missing": 2})
    assert notes.heal("g", {"first_tick": 4, "last_tick": 4, "count": 1})
    assert notes.gaps("g") == {4: "disconnect: 2 missing", 9: "stall: 2 missing"}
    assert notes.heal("g", {"first_tick": 5, "last_tick": 6, "count": 2})
    assert notes.gaps("g") == {4: "disconnect: healed", 9: "stall: 2 missing"}
    for nothing in ({"first_tick": 20, "last_tick": 21, "count": 2}, {"first_tick": "x"}, {}):
        assert not notes.heal("g", nothing)
    assert not notes.heal("other", {"first_tick": 12, "last_tick": 12, "count": 1})


def test_notes_are_bounded() -> None:
    """Of a game that is cut without end the newest gaps are kept, and of games the newest two."""
    notes = LiveNotes()
    for game in ("a", "b", "c"):
        for row in range(3_000):
            notes.gap(game, row, {"cause": "stall"})
    assert not notes.gaps("a")
    assert len(notes.gaps("c")) == 2_000
    assert 2_999 in notes.gaps("c")


def test_the_player_is_there_before_the_first_tick(store: rl.Store, tmp_path: Path) -> None:
    """With no tick yet the page says that it connects; then it shows the game, and what is recorded."""

    async def scene() -> tuple[list[str], str, dict[str, Any], int]:
        with rl.serve(store, pacing="none") as server:
            feed = rl.live(f"{server.url}?from=start", to=tmp_path / "copy")
            page = FakePage(feed.player)
            await until(lambda: "open" in page.kinds())
            await feed.until("closed", timeout=60)
            await feed.close()
            await until(lambda: said(page)["state"] == "ended" and "all durable" in said(page)["recorder"])
            states = [content["feed"]["state"] for content, _ in page.heard if content.get("feed")]
            words, rows = said(page), feed.engine.total
            text = repr(feed.player)
            feed.player.close()
            return states, text, words, rows

    states, text, words, rows = run(scene)
    assert states[-1] == "ended"
    assert "live" in text
    assert words["recorder"] == f"{rl.open_store(tmp_path / 'copy').rows:,} recorded, all durable"
    assert words["verdict"] == "closed"
    assert rows > 0


def test_every_tick_reaches_the_engine_once(store: rl.Store, tmp_path: Path) -> None:
    """What came before the player was asked for and what came after it is in the engine, once each."""

    async def scene() -> tuple[int, int]:
        with rl.serve(store, speed=100, pacing="nominal") as server:
            feed = rl.live(f"{server.url}?from=start&games={store.game_ids()[0]}", to=tmp_path / "copy")
            await until(lambda: feed.status().ticks > 5)
            engine = feed.engine
            await feed.until("closed", timeout=60)
            await until(lambda: engine.total == feed.status().ticks)
            await feed.close()
            feed.player.close()
            return engine.total, engine.status.gaps

    total, _gaps = run(scene)
    assert total == rl.open_store(tmp_path / "copy").rows


def test_a_gap_stands_where_it_was_with_its_cause(store: rl.Store, tmp_path: Path) -> None:
    """A server that goes and comes back leaves a mark before the first row after it; a page opened later shows it."""

    async def scene() -> tuple[list[dict[str, Any]], list[dict[str, Any]], int]:
        first = rl.serve(store, speed=4, pacing="nominal")
        feed = rl.live(f"{first.url}?from=start", to=tmp_path / "copy")
        page = FakePage(feed.player)
        await until(lambda: feed.engine.total > 5)
        await asyncio.to_thread(first.stop)
        await until(lambda: said(page)["state"] == "reconnecting")
        with rl.serve(store, speed=4, pacing="nominal", port=first.port):
            await until(lambda: told(page))
            first_told = told(page)
            other = FakePage(feed.player, "b")
            await until(lambda: "open" in other.kinds())
            later = [gap for gap in other.last("open")["facts"]["gaps"] if "restart" in gap["label"]]
            await feed.close()
        feed.player.close()
        return first_told, later, feed.engine.total

    marks, later, total = run(scene)
    assert marks == later
    assert len(marks) == 1
    assert marks[0]["label"].startswith("server_restart: healed")
    assert 5 < marks[0]["row"] <= total


def test_without_a_loop_the_cell_shows_a_line(store: rl.Store) -> None:
    """In a plain script the feed follows on its own thread."""
    with rl.serve(store, pacing="none") as server:
        feed = rl.live(f"{server.url}?from=start")
        feed.wait("closed", timeout=60)
        engine = feed.engine
        feed.stop()
    assert engine.total > 0
    assert "live" in feed._repr_mimebundle_()[0]["text/plain"]
    feed.player.close()
