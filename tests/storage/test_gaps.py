"""Gaps of games and stores: what the numbers lack, with the cause where a recorder knew it."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import replaylab as rl
from replaylab.mark import Mark, MarkKind
from replaylab.storage.gaps import COLUMNS
from replaylab.tick import parse_time

AT = parse_time("2031-01-02T03:04:05")


def recorded(folder: Path, numbers: list[int], marks: dict[int, dict[str, Any]] | None = None) -> rl.Store:
    """A store with a game of these ticks, and marks of gaps before some of them."""
    with rl.Recorder(folder) as recorder:
        for number in numbers:
            if marks and number in marks:
                recorder.mark(Mark(MarkKind.GAP, AT, "g", detail=marks[number]))
            recorder.record(rl.Tick("g", number, AT + timedelta(seconds=number), Decimal(1), active=True))
    return rl.open_store(folder)


def test_a_gap_without_a_mark_is_told_by_its_numbers(tmp_path: Path) -> None:
    """Ticks that lack are a gap of unknown cause, with the times of the ticks around it."""
    frame = recorded(tmp_path, [3, 4, 8]).gaps()
    assert tuple(frame.columns) == COLUMNS
    row = frame.iloc[0]
    assert (row.game_id, row.after, row.before, row.missing, row.cause, row.healed) == ("g", 4, 8, 3, "unknown", False)
    assert (row.start, row.end) == (pd.Timestamp(AT + timedelta(seconds=4)), pd.Timestamp(AT + timedelta(seconds=8)))


def test_a_gap_has_the_cause_of_its_mark(tmp_path: Path) -> None:
    """A mark explains the numbers that lack inside it, and is one gap however many runs they are."""
    told = {"cause": "disconnect", "after": 4, "before": 9, "missing": 4, "start": AT, "end": AT, "healed": False}
    frame = recorded(tmp_path, [3, 4, 9, 7, 12], {9: told}).gaps()
    shown = [(row.after, row.before, row.missing, row.cause) for row in frame.itertuples()]
    assert shown == [(4, 9, 3, "disconnect"), (9, 12, 2, "unknown")]


def test_a_gap_that_was_filled_is_healed(tmp_path: Path) -> None:
    """What is missing is what the numbers say now: ticks that came later heal the gap, in the store as in the game."""
    told = {"cause": "stall", "after": 4, "before": 7, "missing": 2, "healed": False}
    store = recorded(tmp_path, [4, 7, 5, 6], {7: told})
    for frame in (store.gaps(), store.game("g").gaps()):
        assert [(row.missing, row.cause, row.healed) for row in frame.itertuples()] == [(0, "stall", True)]


def test_an_open_gap_stays_open(tmp_path: Path) -> None:
    """An outage over the end of a game is a gap of which nobody knows how much it is."""
    told = {"cause": "disconnect", "after": 5, "before": None, "missing": None, "healed": False}
    row = recorded(tmp_path, [4, 5], {5: told}).gaps().iloc[0]
    assert pd.isna(row.before)
    assert pd.isna(row.missing)
    assert not row.healed


def test_a_whole_game_has_none(tmp_path: Path) -> None:
    """A game without gaps has a frame without rows, of the same columns and types."""
    store = recorded(tmp_path, [0, 1, 2])
    assert len(store.gaps()) == 0
    assert store.gaps().dtypes.equals(recorded(tmp_path / "other", [0, 2]).gaps().dtypes)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 30), min_size=1, max_size=40))
def test_the_sum_is_what_is_missing(tmp_path_factory: Any, numbers: list[int]) -> None:
    """Whatever the order, the gaps of a store lack as many ticks as its games do."""
    store = recorded(tmp_path_factory.mktemp("gaps"), numbers)
    lacking = len(set(range(min(numbers), max(numbers) + 1)) - set(numbers))
    assert int(store.gaps()["missing"].sum()) == lacking == int(store.games()["missing_ticks"].sum())


def test_trades_are_read_back(tmp_path: Path) -> None:
    """Trades that were recorded beside the ticks are a frame of exact numbers."""
    detail = {"side": "buy", "quantity": Decimal("0.030389477"), "leverage": 4, "price": Decimal("1.02"), "tick": 37}
    with rl.Recorder(tmp_path) as recorder:
        recorder.record(rl.Tick("g", 0, AT, Decimal(1), active=True))
        recorder.mark(Mark(MarkKind.TRADE, AT, "g", detail=detail))
    frame = rl.open_store(tmp_path).game("g").trades()
    row = frame.iloc[0]
    assert (row.side, row.quantity, row.price, row.tick) == ("buy", Decimal("0.030389477"), Decimal("1.02"), 37)
    assert list(frame.columns) == ["timestamp", "tick", "side", "quantity", "amount", "leverage", "price"]


def test_marks_are_read_once_for_all_games(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The gaps of a store are those of its games, one by one, and however many these are, its marks are read once."""
    with rl.Recorder(tmp_path) as recorder:
        for game in range(12):
            told = {"cause": "disconnect", "after": 1, "before": 4, "missing": 2, "healed": False}
            recorder.record(rl.Tick(f"g{game:02d}", 1, AT + timedelta(minutes=game), Decimal(1), active=True))
            recorder.mark(Mark(MarkKind.GAP, AT, f"g{game:02d}", detail=told))
            recorder.record(
                rl.Tick(f"g{game:02d}", 4, AT + timedelta(minutes=game, seconds=1), Decimal(1), active=True)
            )
    store = rl.open_store(tmp_path)
    reads: list[str | None] = []
    before = store.remarks

    def counted(kind: str | None = None) -> pa.Table:
        reads.append(kind)
        return before(kind)

    monkeypatch.setattr(store, "remarks", counted)
    frame = store.gaps()
    assert len(reads) == 1
    pd.testing.assert_frame_equal(frame, pd.concat([game.gaps() for game in store], ignore_index=True))
