"""Platforms: what macOS and Windows do not have is not needed to import, convert, read, analyse and play."""

from __future__ import annotations

from pathlib import Path

from tests.stores import run_child, simulated

WITHOUT = """
import asyncio, multiprocessing, os, subprocess, sys, types  # these ask the real platform
sys.modules["fcntl"] = None
held = types.ModuleType("msvcrt")
held.LK_NBLCK = 2
held.locking = lambda descriptor, mode, size: None
sys.modules["msvcrt"] = held
del os.posix_fallocate, os.sched_getaffinity, os.O_CLOEXEC
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


def test_a_platform_without_locks_is_named(tmp_path: Path) -> None:
    """Where there are no file locks at all, the first write says so, and names the platform."""
    done = run_child(WITHOUT + ALONE, simulated(tmp_path / "r"), tmp_path / "store")
    assert "no file locks on this platform (linux)" in done.stdout, done.stderr
