"""A store that is deleted or moved while a recorder writes into it, and a clock that goes back."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest

import replaylab as rl
from replaylab.recording import sealer
from replaylab.recording.state import Environment
from replaylab.storage import recovery
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


@pytest.mark.parametrize("blocked", [False, True])
@pytest.mark.parametrize("what", ["store", "store/journals"])
def test_a_store_that_goes_while_its_last_journals_are_sealed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str, *, blocked: bool
) -> None:
    """A journal that is being sealed loses its name as the recorder stops: it is written again, or not durable."""
    seal, store = recovery.seal_together, tmp_path / "store"

    def going(*given: Any, **options: Any) -> Any:
        if not (tmp_path / "gone").exists():
            (tmp_path / what).rename(tmp_path / "gone")
            if blocked:
                (tmp_path / what).write_text("a file in its place")
        return seal(*given, **options)

    monkeypatch.setattr(sealer, "seal_together", going)
    recorder = rl.Recorder(store, settings=small())
    recorder.record_many(ticks(25))
    assert recorder.flush().durable
    report = recorder.stop()
    assert (tmp_path / "gone").exists()
    if blocked:
        assert (report.durable, recorder.status().durable_seq) == (False, -1)
        assert "is gone and could not be made again" in str(report.problem)
        return
    assert (report.durable, report.problem, report.journals_left) == (True, None, 0)
    assert stored(store) == ticks(25)
    assert rl.Store(store).verify().ok


@pytest.mark.parametrize("gone", ["deleted", "moved"])
@pytest.mark.parametrize("mode", ["group", "tick", "none"])
def test_a_store_that_goes_just_after_a_failed_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gone: str, mode: Literal["group", "tick", "none"]
) -> None:
    """What was durable in a journal given up by a failed sync is durable when the store has gone as well."""
    store, real, failing = tmp_path / "store", os.fsync, [0]

    def fsync(descriptor: int) -> None:
        if failing[0] and str(Path(f"/proc/self/fd/{descriptor}").readlink()).endswith(".journal"):
            failing[0] -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with rl.Recorder(store, durability=mode, settings=small()) as recorder:
        recorder.record_many(ticks(20))
        assert recorder.flush().durable
        syncer, watch = recorder._lifecycle.background.syncer, recorder._lifecycle.background.watch
        write_again = syncer.write_again

        def write_again_and_lose_the_store() -> bool:
            done = write_again()
            if store.exists() and not failing[0]:  # while its journal is abandoned and not yet cut
                monkeypatch.setattr(syncer, "write_again", write_again)
                shutil.rmtree(store) if gone == "deleted" else store.rename(tmp_path / "elsewhere")
                watch.look()
            return done

        monkeypatch.setattr(syncer, "write_again", write_again_and_lose_the_store)
        failing[0] = 1
        recorder.record_many(ticks(15, first=20))
        assert recorder.flush().durable
        assert stored(store) == ticks(35)
    report = recorder.stop()
    assert (report.durable, report.problem) == (True, None)
    assert stored(rl.open_store(store)) == ticks(35)
    assert rl.Store(store).verify().ok


@pytest.mark.parametrize("failures", [1, 2, 3])
def test_a_sync_that_fails_while_a_store_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """A copy counts only once it is synced: until then the file it was made from is kept, and copied again."""
    store, real, failing, heard = tmp_path / "store", os.fsync, [0], Heard()

    def fsync(descriptor: int) -> None:
        if failing[0] and str(Path(f"/proc/self/fd/{descriptor}").readlink()).endswith(".journal"):
            failing[0] -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with rl.Recorder(store, settings=small(max_failures=50), on_event=heard) as recorder:
        recorder.record_many(ticks(20))
        recorder.flush()
        shutil.rmtree(store)
        failing[0] = failures
        recorder.record_many(ticks(5, first=20))
        assert heard.wait_for("moved")
        recorder.record_many(ticks(5, first=25))
        assert recorder.flush().durable
    assert stored(rl.open_store(store)) == ticks(30)


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
        assert recorder.flush(timeout_seconds=60).durable


def test_importing_does_nothing() -> None:
    """Importing the recorder makes no thread, no file and no output."""
    code = "import replaylab.recording.recorder, threading; assert threading.active_count() == 1"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""
