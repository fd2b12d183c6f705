"""Gap mask: the rows of `features`, with what is missing before each, and the cause that a recorder has noted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import replaylab as rl
from replaylab.analysis import features, gap_mask
from replaylab.mark import Mark

START = datetime(2031, 1, 2, tzinfo=UTC)


def recorded(folder: Path, games: dict[str, list[int]], *marks: tuple[str, dict[str, Any]]) -> rl.Store:
    """A store of games with these ticks, and marks of gaps."""
    with rl.Recorder(folder) as recorder:
        for number, (game, ticks) in enumerate(games.items()):
            at = START + timedelta(hours=number)
            recorder.record_many(
                rl.Tick(game, n, at + timedelta(seconds=n), Decimal(1) + Decimal(n) / 100, active=True) for n in ticks
            )
            for name, detail in marks:
                if name == game:
                    recorder.mark(Mark("gap", at, game, detail=detail))  # type: ignore[arg-type] # its name will do
    found = rl.open_store(folder)
    assert isinstance(found, rl.Store)
    return found


def test_causes_stand_at_their_ticks(tmp_path: Path) -> None:
    """A gap with a cause, one of the numbers alone, and an outage that was filled in: each at its ticks."""
    store = recorded(
        tmp_path,
        {"a": [0, 1, 4, 5, 7, 8, 9], "b": [3, 4]},
        ("a", {"cause": "disconnect", "after": 1, "before": 4, "missing": 2}),
        ("a", {"cause": "stall", "after": 7, "before": 9, "missing": 0, "healed": True}),
    )
    found = gap_mask(store)
    rows = list(zip(found["tick"], found["missing"], found["healed"], found["gap"], found["cause"], strict=True))
    assert [(*row[:4], None if row[4] != row[4] else row[4]) for row in rows] == [
        (0, 0, False, False, None),
        (1, 0, False, False, None),
        (4, 2, False, True, "disconnect"),
        (5, 0, False, False, None),
        (7, 1, False, True, "unknown"),
        (8, 0, True, True, "stall"),
        (9, 0, False, False, None),
        (3, 0, False, False, None),
        (4, 0, False, False, None),
    ]
    whole = gap_mask(str(tmp_path), where=None)
    assert whole.equals(found)


def test_it_is_a_mask_of_features(tmp_path: Path) -> None:
    """Its rows are those of `features`; after compaction it is the same, and what is missing is what the store says."""
    store = recorded(
        tmp_path,
        {"a": list(range(30)), "b": [*range(10), *range(15, 40)]},
        ("b", {"cause": "recorder_down", "after": 9, "before": 15, "missing": 5}),
    )
    found, table = gap_mask(store), features(store)
    assert found["game_id"].astype(str).tolist() == table["game_id"].astype(str).tolist()
    assert found["tick"].tolist() == table["tick"].tolist()
    assert len(table[~found["gap"]]) == 64
    assert int(found["missing"].sum()) == int(store.gaps()["missing"].sum())
    assert found.loc[found["gap"], "cause"].tolist() == store.gaps()["cause"].tolist() == ["recorder_down"]
    rl.compact(store)
    assert gap_mask(tmp_path).equals(found)


def test_what_has_no_marks_is_refused(tmp_path: Path) -> None:
    """Paths have no marks, and a store without a game has no row: both are said."""
    store = recorded(tmp_path / "s", {"a": [0, 1]})
    with pytest.raises(rl.errors.AnalysisError, match="has no marks of gaps"):
        gap_mask(rl.analysis.paths(store))  # type: ignore[arg-type]
    with pytest.raises(rl.errors.StoreNotFound):
        gap_mask(tmp_path / "none")
