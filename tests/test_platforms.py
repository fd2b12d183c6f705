"""Platforms: what macOS and Windows do not have is not needed to import, convert, read, analyse and play."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import replaylab as rl
from tests.recordings import crash, small, ticks
from tests.stores import run_child, simulated

WITHOUT = """
import os
os.supports_dir_fd = set()  # looked at by shutil when it is loaded
import asyncio, multiprocessing, subprocess, sys, types  # these ask the real platform
sys.modules["fcntl"] = None
held = types.ModuleType("msvcrt")
held.LK_NBLCK = 2
held.locking = lambda descriptor, mode, size: None
sys.modules["msvcrt"] = held
del os.posix_fallocate, os.sched_getaffinity, os.O_CLOEXEC, os.O_NONBLOCK
"""
USE = """
import replaylab as rl
report = rl.convert(sys.argv[1], sys.argv[2], progress=False)
store = rl.open_store(sys.argv[2])
assert store.verify().ok
rl.compact(store, progress=False)
rl.analysis.survival(store)
rl.play(next(iter(store)))
from replaylab.durable import keep_room
from pathlib import Path
keep_room(Path(sys.argv[2], "room"), 3_000_000)
assert Path(sys.argv[2], "room").stat().st_size == 3_000_000
print(report.ticks_stored > 0)
"""
LEFT = """
import replaylab as rl
print(sum(len(game) for game in rl.open_store(sys.argv[1])), rl.open_store(sys.argv[1]).verify().ok)
"""
ALONE = """
sys.modules["msvcrt"] = None
import replaylab as rl
try:
    rl.convert(sys.argv[1], sys.argv[2], progress=False)
except rl.errors.StoreUnwritable as error:
    print(error)
"""


def test_nothing_of_linux_alone_is_needed(tmp_path: Path) -> None:
    """Without what Linux alone has, and with locks like those of Windows, stores are made, read and played."""
    done = run_child(WITHOUT + USE, simulated(tmp_path / "r"), tmp_path / "store")
    assert done.stdout.endswith("True\n"), done.stderr


def test_what_a_crash_left_is_read_and_sealed(tmp_path: Path) -> None:
    """Journals of a recorder that was killed are read, and sealed, without what Linux alone has."""
    recorder = rl.Recorder(tmp_path, settings=small())
    assert recorder.record_many(ticks(5))
    crash(recorder)
    done = run_child(WITHOUT + LEFT, tmp_path)
    assert done.stdout == "5 True\n", done.stderr


@pytest.mark.parametrize("name", ["O_CLOEXEC", "O_NONBLOCK", "O_DIRECTORY", "O_NOFOLLOW", "sched_getaffinity", "fork"])
def test_what_linux_has_is_never_taken_for_granted(name: str) -> None:
    """No module asks `os` for what not every platform has, but by `getattr` or behind `hasattr`."""
    package = Path(rl.__file__).parent
    found = [path.name for path in package.rglob("*.py") if re.search(rf"\bos\.{name}\b", path.read_text("utf-8"))]
    assert found == []


def test_a_platform_without_locks_is_named(tmp_path: Path) -> None:
    """Where there are no file locks at all, the first write says so, and names the platform."""
    done = run_child(WITHOUT + ALONE, simulated(tmp_path / "r"), tmp_path / "store")
    assert "no file locks on this platform (linux)" in done.stdout, done.stderr
