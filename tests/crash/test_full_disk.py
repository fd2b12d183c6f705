"""A full disk, a limit, a failing sync: a clear error, nothing half-written, and a rerun that completes."""

from __future__ import annotations

import errno
import gc
import os
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

import replaylab as rl
from replaylab import errors
from replaylab.conversion import plan as planning
from replaylab.simulation.simulate import tick_lines
from tests.stores import leftovers, names, quiet, run_child, simulated, state

LIMITED = """
import importlib, resource, signal, sys
import replaylab as rl
importlib.import_module("replaylab.conversion.plan").JOB_BYTES = int(sys.argv[4])
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), -1))
try:
    rl.convert(sys.argv[1], sys.argv[2], progress=False) if sys.argv[1] else rl.compact(sys.argv[2], progress=False)
except OSError as error:
    print(type(error).__name__, error)
"""


class _NoMount(UserWarning):
    """Said in the summary of the run, where every warning is."""


pytestmark = pytest.mark.filterwarnings("default::UserWarning")


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Give a recording of 20,000 ticks and some damage."""
    path = tmp_path / "r" / "big.jsonl"
    path.parent.mkdir()
    path.write_bytes(b"".join(tick_lines(20_000)) + b"[1]\n" * 99)
    return path


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path | None]:
    """Give a disk of 128 kB; None, said aloud, where no disk can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", folder], capture_output=True, check=False
    )
    if made.returncode:
        warnings.warn_explicit(_NoMount(f"no small disk can be mounted here: {made.stderr!r}"), None, "", 0)
        yield None
        return
    yield folder
    gc.collect()  # what an error still holds, its traceback in pytest's hands
    subprocess.run(["umount", folder], check=True)


def enlarge(disk: Path) -> None:
    """Make room."""
    subprocess.run(["mount", "-o", "remount,size=16m", disk], check=True)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk(
    tmp_path: Path, recording: Path, disk: Path | None, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """A conversion that fills the disk says so; what is stored is whole; with room again it is finished by a rerun."""
    if disk is None:
        return
    quiet(recording, tmp_path / "whole")
    monkeypatch.setattr(planning, "JOB_BYTES", 400_000)
    monkeypatch.setattr("replaylab.conversion.convert.HELPED_BYTES", 1)
    monkeypatch.setattr("replaylab.conversion.convert.load", lambda: None)  # processes work where there is no kernel
    with pytest.raises(errors.StoreFull, match="Free some space and run again") as caught:
        quiet(recording, disk / "store", workers=workers)
    assert caught.value.errno == errno.ENOSPC
    assert str(disk / "store") in str(caught.value)
    assert leftovers(disk / "store") == []
    stored = rl.open_store(disk / "store")
    assert stored.verify().problems == []
    assert "a conversion was broken off" in str(stored.verify().missing)
    assert 0 < stored.rows < 20_000
    with pytest.raises(errors.StoreFull):
        quiet(recording, disk / "store", workers=workers)
    assert stored.verify().problems == []
    enlarge(disk)
    assert quiet(recording, disk / "store").balanced
    assert state(disk / "store") == state(tmp_path / "whole")


def test_no_room_to_compact(
    tmp_path: Path, recording: Path, disk: Path | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A compaction without room for its copy leaves the store as it was."""
    if disk is None:
        return
    monkeypatch.setattr(planning, "JOB_BYTES", 400_000)
    recording.write_bytes(recording.read_bytes()[:1_300_000])
    quiet(recording, disk / "store")
    before, files = state(disk / "store"), names(disk / "store" / "segments")
    assert len(files) > 2
    with pytest.raises(errors.StoreFull):
        rl.compact(disk / "store", progress=False)
    assert state(disk / "store") == before
    assert leftovers(disk / "store") == []
    assert names(disk / "store" / "segments") == files
    enlarge(disk)
    assert rl.compact(disk / "store", progress=False).segments_after == 1
    assert state(disk / "store") == before


@pytest.mark.parametrize("limit", [100, 5_000, 40_000])
def test_a_limit_on_the_size_of_files(tmp_path: Path, recording: Path, limit: int) -> None:
    """A file that may not grow on, wherever the limit strikes, is a full disk: nothing half, and a rerun completes."""
    store = tmp_path / "store"
    child = run_child(LIMITED, recording, store, limit, 10_000_000)
    assert child.stdout.startswith("StoreFull"), child.stdout + child.stderr
    assert "no space left" in child.stdout
    if (store / "segments").is_dir():
        assert leftovers(store) == []
        assert rl.open_store(store).rows == 0
    else:
        assert list(store.rglob("*")) == []  # with a key, where not even keys.json has room: there is no store yet
    quiet(recording, store)
    quiet(recording, tmp_path / "whole")
    assert state(store) == state(tmp_path / "whole")


def test_a_limit_met_by_a_compaction(tmp_path: Path, recording: Path) -> None:
    """A compaction that may not write a larger file leaves every segment in place."""
    store = tmp_path / "store"
    assert run_child(LIMITED, recording, store, 10_000_000, 400_000).stdout == ""
    before = state(store)
    assert run_child(LIMITED, "", store, 50_000, 1).stdout.startswith("StoreFull")
    assert state(store) == before
    assert leftovers(store) == []


@pytest.mark.parametrize("work", ["convert", "compact"])
def test_a_sync_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, work: str) -> None:
    """When a sync fails, at whichever point, it is an error, the store is whole, and a rerun completes it."""
    folders = [simulated(tmp_path / f"r{number}", games=1, seed=number, damage="two_writers") for number in range(2)]
    quiet(folders, tmp_path / "whole")
    whole, sync = state(tmp_path / "whole"), os.fsync
    for point in range(1, 40):
        store = tmp_path / f"store{point}"
        if work == "compact":
            for folder in folders:
                quiet(folder, store)
        left = [point]

        def fail_once(descriptor: int, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            sync(descriptor)

        with monkeypatch.context() as patched:
            patched.setattr(os, "fsync", fail_once)
            said = ""
            try:
                rl.compact(store, progress=False) if work == "compact" else quiet(folders, store)
            except errors.StoreUnwritable as error:
                said = str(error)
        if not said:
            assert left[0] > 0
            assert point > 5
            return
        assert "Input/output error" in said
        assert str(tmp_path) in said
        if (store / "segments").is_dir():
            assert rl.open_store(store).verify().problems == []
            assert list(store.rglob("*.aside")) == []
        quiet(folders, store)
        assert state(store) == whole
        assert leftovers(store) == []
    raise AssertionError("a sync failed at forty points")


def test_a_disk_that_may_only_be_read(tmp_path: Path, recording: Path, disk: Path | None) -> None:
    """A store on a disk that may only be read is read, checked and not written; the error names it."""
    if disk is None:
        return
    enlarge(disk)
    quiet(recording, disk / "store")
    before = state(disk / "store")
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    (tmp_path / "more.jsonl").write_bytes(b"".join(tick_lines(100, seed=9)))
    for do in (lambda: quiet(tmp_path / "more.jsonl", disk / "store"), lambda: rl.compact(disk / "store")):
        with pytest.raises(errors.StoreUnwritable, match="Read-only file system"):
            do()
    assert state(disk / "store") == before
