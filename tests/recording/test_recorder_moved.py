"""A store that is deleted or moved while a recorder writes into it, and a clock that goes back."""

from __future__ import annotations

import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path

import replaylab as rl
from replaylab.recording.state import Environment
from tests.recordings import START, Heard, small, stored, ticks


def test_a_deleted_store_is_made_again(tmp_path: Path) -> None:
    """When the store is deleted, what had not become a segment is written again where it was, and nothing is lost."""
    heard = Heard()
    store = tmp_path / "store"
    with rl.Recorder(store, settings=small(), on_event=heard) as recorder:
        recorder.record_many(ticks(25))
        recorder.flush()
        shutil.rmtree(store)
        recorder.record_many(ticks(25, first=25))
        assert heard.wait_for("moved")
        recorder.record_many(ticks(25, first=50))
    assert stored(store) == ticks(75)
    assert rl.Store(store).verify().ok


def test_a_moved_store_keeps_its_ticks(tmp_path: Path) -> None:
    """When the store is moved, its ticks are readable where it went, and the recording goes on where it was."""
    heard = Heard()
    store = tmp_path / "store"
    with rl.Recorder(store, settings=small(), on_event=heard) as recorder:
        recorder.record_many(ticks(25))
        recorder.flush()
        store.rename(tmp_path / "elsewhere")
        assert heard.wait_for("moved")
        recorder.record_many(ticks(25, first=25))
    assert stored(store) == ticks(50)
    assert stored(rl.open_store(tmp_path / "elsewhere")) == ticks(25)


def test_a_clock_that_goes_back(tmp_path: Path) -> None:
    """Runs that begin at one instant, or before the last, and ticks whose time goes back: all are kept, in order."""
    given = list(reversed(ticks(150)))
    for number in range(3):
        environment = Environment(now=lambda number=number: START - timedelta(days=number // 2))  # type: ignore[misc]
        with rl.Recorder(tmp_path, environment=environment, settings=small(seal_ticks=100)) as recorder:
            recorder.record_many(given)
    store = rl.Store(tmp_path)
    assert store.rows == 450
    table = store.game(given[0].game_id).ticks()
    runs = [name.rpartition("-")[0] for name in table["source"].to_pylist()]
    for run in set(runs):
        rows = [row for row, one in zip(table.to_pylist(), runs, strict=True) if one == run]
        assert [row["seq"] for row in rows] == list(range(150))
        assert [row["tick"] for row in rows] == [one.tick for one in given]


def test_a_clock_that_jumps_does_not_stop_the_timer(tmp_path: Path) -> None:
    """The bound of time is kept by a clock that nobody can set."""
    moments = iter([START, *(START - timedelta(days=day) for day in range(1, 10_000))])

    def now() -> datetime:
        return next(moments)

    with rl.Recorder(tmp_path, environment=Environment(now=now), settings=small(sync_seconds=0.05)) as recorder:
        recorder.record_many(ticks(3))
        assert recorder.flush(timeout_seconds=20).durable


def test_importing_does_nothing() -> None:
    """Importing the recorder makes no thread, no file and no output."""
    code = "import replaylab.recording.recorder, threading; assert threading.active_count() == 1"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""
