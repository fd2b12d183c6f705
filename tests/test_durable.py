"""Durable: whole files or none, permanent in the right order, one writer at a time, errors that say what to do."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from replaylab import durable
from replaylab.durable import make_folders, publish, remove, sole_writer, storing, sweep, written_aside
from replaylab.errors import ReplayLabError, SourceUnreadable, StoreBusy, StoreFull, StoreUnwritable
from tests.stores import names, run_child, start_child

HOLD = """
import sys, time
from pathlib import Path
from typing import Any
from replaylab.durable import sole_writer
with sole_writer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_published_file_is_whole_under_its_final_name(tmp_path: Path) -> None:
    """Until it is published nobody sees a file under its name; then it is whole, and nothing else is left."""
    final = tmp_path / "final"
    with written_aside(tmp_path, "label") as aside:
        aside.write_bytes(b"half")
        assert not final.exists()
        aside.write_bytes(b"whole")
        publish(aside, final)
        assert final.read_bytes() == b"whole"
    assert names(tmp_path) == ["final"]


@pytest.mark.parametrize("error", [ValueError("x"), OSError(errno.EIO, "x"), KeyboardInterrupt()])
def test_what_is_not_published_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    """Whatever breaks off the writing, the half-written file is gone."""

    def break_off() -> None:
        with written_aside(tmp_path, "label") as aside:
            aside.write_bytes(b"half")
            raise error

    with pytest.raises((ValueError, StoreUnwritable, KeyboardInterrupt)):
        break_off()
    assert names(tmp_path) == []


def test_bytes_then_name_then_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut at any moment leaves the file whole or absent: its bytes are permanent before its name is."""
    seen: list[str] = []
    sync, replace = os.fsync, Path.replace

    def watched_sync(descriptor: int) -> None:
        seen.append("sync " + Path(f"/proc/self/fd/{descriptor}").readlink().name)
        sync(descriptor)

    def watched_replace(path: Path, target: Path) -> Path:
        seen.append(f"name {target.name}")
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", watched_sync)
    monkeypatch.setattr(Path, "replace", watched_replace)
    with written_aside(tmp_path, "label") as aside:
        aside.write_bytes(b"whole")
        publish(aside, tmp_path / "final")
    assert seen == [f"sync {aside.name}", "name final", f"sync {tmp_path.name}"]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_has_an_error_of_its_own(tmp_path: Path, code: int) -> None:
    """No space, no quota and too large a file are `StoreFull`, with place and remedy."""
    with pytest.raises(StoreFull, match="Free some space and run again") as caught, storing(tmp_path):
        raise OSError(code, "x")
    assert str(tmp_path) in str(caught.value)
    assert caught.value.errno == code


def test_other_system_errors_name_the_place(tmp_path: Path) -> None:
    """Any other refusal of the system is `StoreUnwritable` with its reason, and still an OSError."""
    with pytest.raises(StoreUnwritable, match="Input/output error") as caught, storing(tmp_path):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    assert str(caught.value).startswith(f"cannot write in {tmp_path}")
    assert isinstance(caught.value, OSError)


@pytest.mark.parametrize("error", [SourceUnreadable(13, "a recording"), StoreBusy("busy"), StoreFull(28, "full")])
def test_an_error_that_is_understood_already_stays_what_it_is(tmp_path: Path, error: ReplayLabError) -> None:
    """A recording that cannot be read while a file is being written is not blamed on the store."""
    with pytest.raises(type(error)) as caught, storing(tmp_path):
        raise error
    assert caught.value is error


def test_a_failing_sync_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the bytes cannot be made permanent, the final name never appears."""

    def fail(descriptor: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fsync", fail)
    with written_aside(tmp_path, "label") as aside:
        aside.write_bytes(b"whole")
        with pytest.raises(StoreUnwritable):
            publish(aside, tmp_path / "final")
    assert names(tmp_path) == []


def test_new_folders_are_permanent_with_all_above_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every folder that is made has its name synced in the folder above it; those that are there are left alone."""
    synced: list[Path] = []
    monkeypatch.setattr(durable, "sync_folder", synced.append)
    make_folders(tmp_path / "a" / "b" / "c", tmp_path / "a" / "d")
    assert synced == [tmp_path, tmp_path / "a", tmp_path / "a" / "b", tmp_path / "a"]
    make_folders(tmp_path / "a" / "b" / "c")
    assert len(synced) == 4


def test_a_file_in_the_way_of_a_folder(tmp_path: Path) -> None:
    """A store cannot be made where a file stands, and the error says so."""
    (tmp_path / "taken").write_bytes(b"")
    with pytest.raises(StoreUnwritable, match="taken"):
        make_folders(tmp_path / "taken" / "segments")


def test_sweep_removes_what_dead_writers_left(tmp_path: Path) -> None:
    """Half-written files of processes that have ended go; those of running ones, and all other files, stay."""
    ended = run_child("import os; print(os.getpid())").stdout.strip()
    kept = [f"a.{os.getpid()}.aside", "segment.parquet"]
    for name in [*kept, f"b.{ended}.aside", "c.nonsense.aside"]:
        (tmp_path / name).write_bytes(b"x")
    sweep(tmp_path)
    assert names(tmp_path) == kept


def test_sweep_leaves_other_machines_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a disk that machines share, none takes away what another one is writing; its own dead leave nothing."""
    ended = run_child(
        "import sys; from pathlib import Path; from replaylab.durable import written_aside\n"
        "aside = written_aside(Path(sys.argv[1]), 'a').__enter__(); aside.write_bytes(b'x'); import os; os._exit(0)",
        tmp_path,
    )
    assert ended.returncode == 0, ended.stderr
    (left,) = names(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr("replaylab.durable._host", lambda: "0badc0de")
        sweep(tmp_path)
        assert names(tmp_path) == [left]
    sweep(tmp_path)
    assert names(tmp_path) == []


def test_a_process_nobody_waited_for_is_over(tmp_path: Path) -> None:
    """What a killed writer left goes also while its parent has not heard of its end."""
    child = start_child("import time; print(1, flush=True); time.sleep(600)")
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        left = tmp_path / f"a.{child.pid}.aside"
        left.write_bytes(b"x")
        sweep(tmp_path)
        assert left.exists()
        os.kill(child.pid, signal.SIGKILL)
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        sweep(tmp_path)
        assert not left.exists()


def test_removing_twice_is_no_error(tmp_path: Path) -> None:
    """A file that is already gone counts as removed."""
    (tmp_path / "one").write_bytes(b"")
    remove([tmp_path / "one", tmp_path / "two"])
    assert names(tmp_path) == []


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    """A second writer, of this process or of another, is told that the store is busy; a killed one lets go."""
    with sole_writer(tmp_path), pytest.raises(StoreBusy, match="run this again"), sole_writer(tmp_path):
        pass
    holder = start_child(HOLD, tmp_path)
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StoreBusy), sole_writer(tmp_path):
            pass
        holder.kill()
    with sole_writer(tmp_path):
        assert names(tmp_path) == [".lock"]


def test_folders_that_another_makes_at_the_same_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that another thread makes between the look and the making is there: that is no error."""
    plain = Path.mkdir

    def late(path: Path, *arguments: Any, **options: Any) -> None:
        plain(path)
        plain(path, *arguments, **options)

    monkeypatch.setattr(Path, "mkdir", late)
    durable.make_folders(tmp_path / "a" / "b")
    assert (tmp_path / "a" / "b").is_dir()
