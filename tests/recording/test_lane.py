"""Lanes and marks: many feeds in one recorder, each with its own game; marks outlive the journal."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import replaylab as rl
from replaylab.errors import TickError
from replaylab.mark import Mark, MarkKind
from replaylab.recording.event import RecorderEvent
from replaylab.tick import parse_time

AT = parse_time("2031-01-02T03:04:05")


def tick(game_id: str, number: int, **more: Any) -> rl.Tick:
    """A live tick."""
    return rl.Tick(game_id, number, AT + timedelta(seconds=number), Decimal("1.02"), active=True, **more)


def gap(number: int) -> Mark:
    """A mark of a gap."""
    return Mark(MarkKind.GAP, AT, "g", detail={"cause": "stall", "after": number, "before": number + 2, "missing": 1})


def test_interleaved_games_begin_once(tmp_path: Path) -> None:
    """400 ticks of two games that take turns are two games, begun and ended once each."""
    events: list[RecorderEvent] = []
    with rl.Recorder(tmp_path, on_event=events.append) as recorder:
        lanes = [recorder.lane(name) for name in ("one", "two")]
        for number in range(200):
            for lane in lanes:
                assert lane.record(tick(lane.name, number))
        assert recorder.status().games == 2
    assert Counter(str(event.kind) for event in events)["game_started"] == 2
    store = rl.open_store(tmp_path)
    assert {game: len(store.game(game)) for game in store.game_ids()} == {"one": 200, "two": 200}
    assert store.verify().ok


class _Synced(list[bytes]):
    """Lines that wait for a sync, which ends as soon as one of them is looked at."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        self.clear()
        return found


def test_a_mark_meets_a_sync(tmp_path: Path) -> None:
    """A sync that ends while a mark is written takes the tick before it away: the mark is there all the same."""
    with rl.Recorder(tmp_path, settings=rl.Settings(sync_seconds=3_600)) as recorder:
        positions = recorder._state.positions
        assert recorder.record(tick("one", 0))
        positions.unsynced = _Synced(positions.unsynced)
        assert recorder.mark(gap(1)) is None
        assert recorder.record(tick("one", 1))
    store = rl.open_store(tmp_path)
    assert [mark.detail["after"] for mark in store.marks("gap")] == [1]
    assert store.verify().ok


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 5), st.booleans()), max_size=30))
def test_every_tick_of_every_lane_once(tmp_path_factory: pytest.TempPathFactory, work: list[Any]) -> None:
    """However lanes take turns, with ids or without: each tick is stored once, in its lane's order, marks between."""
    folder = tmp_path_factory.mktemp("lanes")
    sent: dict[str, int] = dict.fromkeys("abc", 0)
    with rl.Recorder(folder) as recorder:
        for name, count, with_ids in work:
            ticks = [tick(name, sent[name] + n) for n in range(count)]
            ids = [f'e"\\-{one.tick}' for one in ticks] if with_ids else []
            assert recorder.lane(name).record_many(ticks, ids).accepted == count
            sent[name] += count
            assert recorder.lane(name).mark(gap(sent[name])) is None
    store = rl.open_store(folder)
    for name, count in sent.items():
        if count:
            assert store.game(name).ticks()["tick"].to_pylist() == list(range(count))
    assert len(store.marks("gap")) == len({(name, total) for name, total in _totals(work)})
    assert store.verify().ok


def _totals(work: list[Any]) -> list[tuple[str, int]]:
    sent: dict[str, int] = dict.fromkeys("abc", 0)
    found = []
    for name, count, _ in work:
        sent[name] += count
        found.append((name, sent[name]))
    return found


@pytest.mark.parametrize("durability", ["group", "tick", "none"])
def test_marks_outlive_their_journal(tmp_path: Path, durability: Any) -> None:
    """A mark is read while the journal is written, when it is sealed, and after a compaction: once each time."""
    with rl.Recorder(tmp_path, durability=durability) as recorder:
        lane = recorder.lane("ws://host/feed")
        lane.mark(gap(1))
        lane.record(tick("g", 0), "e-0")
        lane.mark(gap(2))
        assert [mark.detail["after"] for mark in rl.Store(tmp_path).marks("gap")] == [1, 2]
    with rl.Recorder(tmp_path) as recorder:
        recorder.record(tick("h", 0))
        recorder.mark(gap(3))
    store = rl.open_store(tmp_path)
    assert [mark.detail["after"] for mark in store.marks("gap")] == [1, 2, 3]
    rl.compact(store, progress=False)
    marks = rl.open_store(tmp_path).marks("gap")
    assert [(mark.detail["after"], mark.lane) for mark in marks] == [
        (1, "ws://host/feed"),
        (2, "ws://host/feed"),
        (3, None),
    ]
    assert rl.open_store(tmp_path).verify().ok


def test_a_lane_knows_where_to_resume(tmp_path: Path) -> None:
    """After a process that died, after sealing and after a compaction, the last id of each lane is known."""
    recorder = rl.Recorder(tmp_path)
    lane = recorder.lane("a")
    lane.record_many([tick("g", 0), tick("g", 1), tick("g", 2)], ["e-0", "e-1", None])
    recorder.lane("b").record(tick("h", 7), 'odd "id" \\ é')
    recorder.lane("c").record(tick("i", 7))
    with rl.Recorder(tmp_path) as other:  # the first one has not sealed anything
        assert [getattr(other.lane(name).cursor, "id", None) for name in "abcd"] == ["e-1", 'odd "id" \\ é', None, None]
    assert lane.cursor is not None
    assert (lane.cursor.game_id, lane.cursor.tick) == ("g", 1)
    recorder.stop()
    rl.compact(rl.open_store(tmp_path), progress=False)
    with rl.Recorder(tmp_path) as other:
        cursor = other.lane("a").cursor
        assert cursor is not None
        assert (cursor.game_id, cursor.tick, cursor.at, cursor.id) == ("g", 1, AT + timedelta(seconds=1), "e-1")
        assert other.lane("a").record(tick("g", 3), "e-3")
    with rl.Recorder(tmp_path) as other:
        assert getattr(other.lane("a").cursor, "id", None) == "e-3"


def test_after_a_refusal_nothing_that_follows_is_taken(tmp_path: Path) -> None:
    """While there is no room ticks are refused in order: what is offered again comes after what was taken."""
    chosen = rl.Settings(max_unsynced_ticks=10, buffer_ticks=10)
    with rl.Recorder(tmp_path, overflow="refuse", settings=chosen) as recorder:
        lane = recorder.lane("a")
        left = [tick("g" if n < 500 else "h", n) for n in range(1000)]
        while left:
            left = left[lane.record_many(left, [f"e-{one.tick}" for one in left]).accepted :]
    numbers = [row["tick"] for game in rl.open_store(tmp_path) for row in game.ticks().to_pylist()]
    assert numbers == list(range(1000))


def test_refusals_have_reasons(tmp_path: Path) -> None:
    """A bad tick is counted and the others are taken; a recorder that has stopped refuses ticks and marks by name."""
    recorder = rl.Recorder(tmp_path)
    lane = recorder.lane("a")
    receipt = lane.record_many([tick("g", 0), {"tick": 1}, rl.Tick("g", 1, AT, None), tick("g", 2)])
    assert (receipt.accepted, receipt.refused, receipt.reason) == (2, 2, "wrong_type")
    with pytest.raises(ValueError, match=r"shorter|longer"):
        lane.record_many([tick("g", 3)], ["e-1", "e-2"])
    with pytest.raises(TickError):
        recorder.lane("")
    assert recorder.lane("a") is lane
    recorder.stop()
    assert lane.record(tick("g", 3)).reason == "closed"
    assert lane.mark(gap(1)) == "closed"


def test_marks_alone_are_kept(tmp_path: Path) -> None:
    """A recording of marks without a tick is a store with these marks."""
    with rl.Recorder(tmp_path) as recorder:
        recorder.mark(gap(1))
    store = rl.open_store(tmp_path)
    assert (store.rows, len(store.marks())) == (0, 1)
    assert store.verify().ok
