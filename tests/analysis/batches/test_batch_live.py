"""A batch beside a live recorder: rows of a journal count exactly once, before and after it is sealed."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import replaylab as rl
from replaylab.analysis import map_games, summarise
from replaylab.analysis.batches import parts
from tests.stores import quiet

GAME = "20310102-0123456789ab4cde"
OTHER = "20310103-0123456789ab4cde"


def made(count: int, game: str = GAME, first: int = 0) -> list[rl.Tick]:
    """Ticks of a game, a quarter of a second apart."""
    start = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)
    return [
        rl.Tick(
            game_id=game,
            tick=number,
            timestamp=start + timedelta(milliseconds=250 * number),
            price=Decimal(f"1.{number:09}000000000123"),
            phase="ACTIVE_GAMEPLAY",
            active=True,
        )
        for number in range(first, first + count)
    ]


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store of one game, the first thirty ticks of it."""
    lines = b"".join(tick.to_line() for tick in made(30))
    (tmp_path / "one.jsonl").write_bytes(lines)
    quiet(tmp_path / "one.jsonl", tmp_path / "store")
    return tmp_path / "store"


def counts(store: Path, **options: Any) -> dict[str, int]:
    """Rows of each game, as a batch sees them."""
    found = map_games(rl.Store(store), len, progress=False, **options)
    assert found.ok
    return dict(zip(found.table["game_id"].to_pylist(), found.table["value"].to_pylist(), strict=True))


def test_rows_of_a_journal_count_once(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A game that goes on in a journal, and one that is there alone, are whole, whoever reads them."""
    monkeypatch.setattr(parts, "ROW_GROUP_ROWS", 25)
    recorder = rl.Recorder(store)
    recorder.record_many(made(12, GAME, first=30))
    recorder.record_many(made(20, OTHER))
    recorder.flush()
    expected = {GAME: 42, OTHER: 20}
    assert counts(store, workers=1) == counts(store, workers=2) == expected
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        assert counts(store, executor=executor) == expected
    pd.testing.assert_frame_equal(summarise(rl.Store(store)), rl.Store(store).games())
    assert rl.Store(store).dataset().count_rows() == 62
    assert rl.Store(store).sql("SELECT count(*) AS n FROM ticks").to_pylist() == [{"n": 62}]
    recorder.stop()
    assert counts(store) == expected
    pd.testing.assert_frame_equal(summarise(rl.Store(store)), rl.Store(store).games())


def test_the_cache_follows_a_journal(store: Path, tmp_path: Path) -> None:
    """While a journal grows its games are computed again, and found again when nothing was added."""
    with rl.Recorder(store) as recorder:
        for rows in (5, 9):
            recorder.record_many(made(rows, OTHER, first=100 * rows))
            recorder.flush()
            first = map_games(rl.Store(store), len, cache=tmp_path / "cache", progress=False)
            again = map_games(rl.Store(store), len, cache=tmp_path / "cache", progress=False)
            assert again.table.equals(first.table)
            assert again.manifest.cached == 2
            assert first.manifest.computed == (2 if rows == 5 else 1)
    assert first.table["value"].to_pylist() == [30, 14]
