"""Recorder and its place on disk: folders that change, journals that others touch, file systems without locks."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from pathlib import Path

import pytest

import replaylab as rl
from replaylab.errors import StoreUnwritable
from tests.recordings import Heard, small, stored, tick, ticks
from tests.resources import leaves_nothing_open


def test_a_relative_path_and_a_process_that_moves_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store given by a relative path stays where it was when the process changes its folder."""
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    heard = Heard()
    with rl.Recorder("store", settings=small(seal_ticks=100), on_event=heard) as recorder:
        recorder.record_many(ticks(50))
        monkeypatch.chdir(tmp_path / "elsewhere")
        recorder.record_many(ticks(250, first=50))
        assert heard.wait_for("sealed")
        time.sleep(0.6)  # longer than between two looks at the store
    assert recorder.path == tmp_path / "store"
    assert stored(tmp_path / "store") == ticks(300)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert "moved" not in heard.kinds


@pytest.mark.parametrize("name", ["a b", "new\nline", "ünïcode", "quote\"'", "%s{}"])
def test_odd_names(tmp_path: Path, name: str) -> None:
    """Any name of a folder will do."""
    with rl.Recorder(tmp_path / name, settings=small()) as recorder:
        recorder.record_many(ticks(15))
    assert stored(rl.open_store(tmp_path / name)) == ticks(15)


def test_a_link_to_a_store(tmp_path: Path) -> None:
    """A store may be reached through a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with rl.Recorder(tmp_path / "link", settings=small()) as recorder:
        recorder.record_many(ticks(15))
    assert stored(tmp_path / "real") == ticks(15)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_a_file_system_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Where there are no locks a recorder is not made; the error says so, and nothing is left open or behind."""

    def refused(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    rl.Recorder(tmp_path, settings=small()).stop()
    with leaves_nothing_open():
        monkeypatch.setattr(fcntl, "flock", refused)
        with pytest.raises(StoreUnwritable, match="no file locks"):
            rl.Recorder(tmp_path, settings=small())
    assert list((tmp_path / "journals").iterdir()) == []


def test_a_journal_made_shorter(tmp_path: Path) -> None:
    """When somebody truncates the journal, what was not yet permanent is written again, and the status tells."""
    heard = Heard()
    with rl.Recorder(tmp_path, settings=small(buffer_ticks=100, sync_seconds=3_600), on_event=heard) as recorder:
        recorder.record_many(ticks(30))
        os.truncate(recorder.status().journal, 500)
        assert heard.wait_for("retried")
        recorder.record_many(ticks(5, first=30))
        status = recorder.status()
        assert status.verdict == "degraded"
        assert any("shorter" in reason for reason in status.reasons)
    assert stored(tmp_path) == ticks(35)


def test_a_journal_made_shorter_loses_only_what_was_permanent(tmp_path: Path) -> None:
    """What had been synced cannot be written again: the recording is quarantined and the store says so."""
    heard = Heard()
    with rl.Recorder(tmp_path, settings=small(buffer_ticks=100, sync_seconds=3_600), on_event=heard) as recorder:
        recorder.record_many(ticks(30))
        recorder.flush()
        recorder.record_many(ticks(5, first=30))
        os.truncate(recorder.status().journal, 500)
        assert heard.wait_for("retried")
    found = stored(tmp_path)
    assert found[-5:] == ticks(5, first=30)
    assert "quarantined" in {one.state for one in rl.Store(tmp_path).recordings()}


def test_a_journal_replaced(tmp_path: Path) -> None:
    """When a copy takes the place of the journal, the recording goes on in another, and each tick is there once."""
    heard = Heard()
    with rl.Recorder(tmp_path, settings=small(), on_event=heard) as recorder:
        recorder.record_many(ticks(30))
        journal = recorder.status().journal
        shutil.copy(journal, tmp_path / "copy")
        (tmp_path / "copy").replace(journal)
        assert heard.wait_for("moved")
        assert recorder.record(tick(30))
        assert recorder.flush().durable
    assert stored(rl.open_store(tmp_path)) == ticks(31)
    assert list((tmp_path / "journals").glob("*.journal")) == []


def test_removed_folders_of_journals(tmp_path: Path) -> None:
    """When the folder of journals is removed it is made again, with all that was in it."""
    heard = Heard()
    with rl.Recorder(tmp_path, settings=small(), on_event=heard) as recorder:
        recorder.record_many(ticks(15))
        (tmp_path / "journals").rename(tmp_path / "gone")
        recorder.record_many(ticks(15, first=15))
        assert heard.wait_for("moved")
        recorder.record_many(ticks(15, first=30))
    assert stored(tmp_path) == ticks(45)
