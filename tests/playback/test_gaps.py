"""Gaps are the same wherever they are counted: in a live game, in its replay, in the summary of a store."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import replaylab as rl
from replaylab.clock import FASTEST
from replaylab.parsing.scan import scan
from replaylab.playback.engine import ReplayEngine
from replaylab.playback.event import Event
from replaylab.playback.stream import Stream
from replaylab.playback.timeline import Timeline
from replaylab.segments.order import sorted_by_game
from replaylab.storage.game_summary import summarise
from replaylab.table import Names, to_table
from replaylab.tick import Tick
from tests.playing import tick
from tests.stores import quiet

SERIES = [
    ([4, 5, 3, 10], [(3, 4)], 4),
    ([0, 1, 5, 2, 3, 4, 6], [(2, 3)], 0),
    ([0, 1, 5, 2, 4, 6], [(2, 3)], 1),
    ([0, 1, 2, 1, 2, 3], [], 0),
    ([0, 4, 9, 2], [(1, 3), (2, 4)], 6),
    ([5, 3, 10], [(0, 1), (2, 4)], 5),
    ([10, 7, 5], [(0, 2), (0, 1)], 3),
]

KINDS: list[dict[str, Any]] = [
    *({} for _ in range(6)),
    {"active": False, "phase": "COOLDOWN", "cooldown_timer": 100},
    {"rugged": True, "price": "0.01"},
    {"rugged": True, "phase": "RUG_EVENT_1", "price": "0.01"},
]
TICKS = st.lists(
    st.builds(
        lambda number, seconds, kind: tick(number, seconds, **kind),
        st.integers(0, 25),
        st.sampled_from([0.0, 0.25, 5.0]),
        st.sampled_from(KINDS),
    ),
    min_size=1,
    max_size=40,
)


def live(ticks: list[Tick]) -> Stream:
    """A live game after some pushes."""
    stream = Stream("g", 100)
    for one in ticks:
        stream.push(one)
    return stream


def summary(ticks: list[Tick]) -> dict[str, Any]:
    """The summary that a store makes of some ticks of one game."""
    batch = scan(b"".join(one.to_line() + b"\n" for one in ticks)).batch
    places = np.arange(len(batch), dtype=np.int64)
    table = to_table(batch, source=Names.of(["s"] * len(batch)), seq=places, line=places, zone="UTC")
    found = summarise(sorted_by_game(table)).to_pylist()
    assert len(found) == 1
    return dict(found[0])


@given(TICKS)
def test_live_game_replay_and_summary_agree(ticks: list[Tick]) -> None:
    """Of any ticks in any order the same number is missing, live, replayed and summarised."""
    stream, line = live(ticks), Timeline.of(ticks)
    missing = summary(ticks)["missing_ticks"]
    assert stream.order.missing == missing
    assert sum(gap.missing for gap in line.gaps) == missing
    assert sum(gap.missing for gap in stream.gaps_from(0)) == missing


@given(st.permutations(range(30)), st.integers(1, 30))
def test_gap_events_of_a_live_game_are_what_is_missing_and_what_came_late(order: list[int], count: int) -> None:
    """Each tick that is missing was in one gap event when it was first missed, also one below the first tick."""
    stream, told = Stream("g", 100), 0
    for number in order[:count]:
        index = stream.push(tick(number, 0))
        mark = stream.mark
        told += mark[1].missing if mark is not None and mark[0] == index and mark[1] is not None else 0
    filled = sum(min(order[:at]) < number < max(order[:at]) for at, number in enumerate(order[:count]) if at)
    assert told - filled == stream.order.missing
    assert stream.order.missing == max(order[:count]) - min(order[:count]) + 1 - count


@given(TICKS, st.integers(20, 40))
@example([tick(0, 0.25, active=False), tick(2, 0.0), tick(0, 0.0)], 20)  # the gap before a row comes to light later
def test_live_game_and_replay_agree_on_each_gap(ticks: list[Tick], rug: int) -> None:
    """Where no number lies beyond the rug, a live game has in the end the very gaps of its replay."""
    ticks = [one for one in ticks if not one.rugged and one.tick < rug] + [tick(rug, 0, "0.01", rugged=True)]
    assert live(ticks).gaps_from(0) == Timeline.of(ticks).gaps
    assert live(ticks).gaps == len(Timeline.of(ticks).gaps)


@pytest.mark.parametrize(("numbers", "told", "missing"), SERIES)
def test_known_series_live_replayed_and_stored(
    tmp_path: Path, numbers: list[int], told: list[tuple[int, int]], missing: int
) -> None:
    """Late ticks are counted against the highest number: no false gap is told, and what came late is not missing."""
    ticks = [tick(number, 0) for number in numbers]
    source = tmp_path / "r.jsonl"
    source.write_bytes(b"".join(one.to_line() + b"\n" for one in ticks))
    quiet(source, tmp_path / "store")
    store = rl.open_store(tmp_path / "store")
    assert store.games()["missing_ticks"].tolist() == [missing]

    events: list[Event] = []
    with ReplayEngine() as pushed:
        pushed.on("gap", events.append)
        for one in ticks:
            pushed.push(one)
        assert [(event.gap.index, event.gap.missing) for event in events if event.gap is not None] == told
        assert pushed.stream is not None
        assert pushed.stream.order.missing == missing
    events.clear()
    with ReplayEngine(store.game("g"), speed=FASTEST) as replayed:
        replayed.on("gap", events.append)
        replayed.run()
    assert sum(event.gap.missing for event in events if event.gap is not None) == missing


def test_a_late_tick_fills_its_gap() -> None:
    """A gap shrinks as its ticks come late, and is gone with the last; a stall stays one."""
    stream = live([tick(0, 0), tick(3, 5)])
    sizes = [(gap.reason, gap.missing) for gap in stream.gaps_from(0)]
    for number in (2, 1):
        stream.push(tick(number, 5))
        sizes += [(gap.reason, gap.missing) for gap in stream.gaps_from(0)]
    assert sizes == [("missing", 2), ("missing", 1), ("stall", 0)]
    assert (stream.gaps, stream.regressions) == (1, 2)


def test_many_gaps_are_all_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many gaps are remembered, all are counted."""
    monkeypatch.setattr("replaylab.playback.stream._MAX_GAPS", 3)
    stream = live([tick(number, 0) for number in range(0, 20, 2)])
    assert (stream.gaps, len(stream.gaps_from(0))) == (9, 3)


def test_rows_at_one_place_share_a_gap() -> None:
    """Several runs that end before the same row are one gap with all that is missing."""
    line = Timeline.of([tick(number, 0) for number in (0, 9, 5)])
    assert [(gap.index, gap.missing) for gap in line.gaps] == [(1, 7)]
    assert Counter(gap.reason for gap in line.gaps) == {"missing": 1}


def test_a_table_without_flags_counts_every_row() -> None:
    """Where a table does not say what is live, all rows are."""
    table = pa.table({"tick": [1, 4], "timestamp": [0, 0], "price": pa.array([1, 2], pa.decimal128(38, 24))})
    table = table.set_column(1, "timestamp", table.column("timestamp").cast(pa.timestamp("us", "UTC")))
    assert [(gap.index, gap.missing) for gap in Timeline(table).gaps] == [(1, 2)]
