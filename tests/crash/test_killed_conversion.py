"""Killed: at every point where something becomes permanent, and at random moments, a rerun gives the same store."""

from __future__ import annotations

import random
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

import replaylab as rl
from replaylab.durable import is_being_written
from replaylab.errors import SourceDamaged
from replaylab.simulation.simulate import tick_lines
from tests.crash.scale import SCALE
from tests.playing import until
from tests.stores import leftovers, names, quiet, rows, run_child, simulated, start_child, state

# A process that has the package loaded forks one child for every point: the child is killed when it gets there.
KILLER = """
import importlib, os, signal, sys
from pathlib import Path
import pyarrow.parquet, tqdm.auto
import replaylab as rl
rl.convert, rl.compact  # loaded once, not by each child
importlib.import_module("replaylab.conversion.plan").JOB_BYTES = 150_000
importlib.import_module("replaylab.conversion.report"), importlib.import_module("replaylab.settings").current()
work, folder, source = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
if work == "mend":
    importlib.import_module("replaylab.conversion.mending").LEAST_JOB_BYTES = 1

def counted(do):
    def count_down(*arguments, **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return do(*arguments, **options)
    return count_down

os.fsync, Path.replace, Path.unlink, Path.mkdir = map(counted, (os.fsync, Path.replace, Path.unlink, Path.mkdir))
point, status = 0, None
while status != 0:
    point += 1
    child = os.fork()
    if child == 0:
        left = point
        store = folder / str(point)
        rl.compact(store, progress=False) if work == "compact" else rl.convert(source, store, progress=False)
        os._exit(0)
    _, status = os.waitpid(child, 0)
print(point)
"""
CONVERTER = """
import importlib, sys
import replaylab as rl
importlib.import_module("replaylab.conversion.convert").HELPED_BYTES = 1
importlib.import_module("replaylab.conversion.convert").load = lambda: None
importlib.import_module("replaylab.conversion.plan").JOB_BYTES = 300_000
print("started", flush=True)
rl.convert(sys.argv[1], sys.argv[2], progress=False, workers=2)
print("finished", flush=True)
"""
COMPACTER = """
import importlib, sys
import replaylab as rl
importlib.import_module("replaylab.storage.compact").TARGET_ROWS = int(sys.argv[2])
print("started", flush=True)
rl.compact(sys.argv[1], progress=False)
"""


def mixed(folder: Path) -> Path:
    """Make recordings with remarks: small ones, and one large enough to be cut into parts."""
    simulated(folder, games=4, damage=("two_writers", "torn_end"))
    everything = b"".join(path.read_bytes() for path in sorted(folder.glob("*.jsonl")))
    (folder / "large.jsonl").write_bytes(everything.replace(b'"game_id": "20310102-', b'"game_id": "20310102-0'))
    return folder


def test_a_conversion_killed_at_every_point(tmp_path: Path) -> None:
    """Killed before any sync, rename, removal or new folder: what is there is whole, and a rerun finishes it."""
    sources = mixed(tmp_path / "r")
    quiet(sources, tmp_path / "whole")
    whole = state(tmp_path / "whole")
    (tmp_path / "stores").mkdir()
    child = run_child(KILLER, "convert", tmp_path / "stores", sources)
    points = int(child.stdout)
    assert points > 30, child.stderr
    for point in range(1, points + 1):
        store = tmp_path / "stores" / str(point)
        if (store / "segments").is_dir():
            opened = rl.open_store(store)
            assert opened.verify().problems == [], point  # parts may be missing until it is run again
            assert not rows(store) - rows(tmp_path / "whole"), point
        quiet(sources, store)
        assert state(store) == whole, point
        assert leftovers(store) == [], point


def test_a_compaction_killed_at_every_point(tmp_path: Path) -> None:
    """Killed anywhere, a compaction leaves every row to be seen exactly once; a rerun finishes and tidies up."""
    for number in range(3):
        quiet(simulated(tmp_path / f"r{number}", games=2, seed=number, damage="two_writers"), tmp_path / "whole")
    whole = state(tmp_path / "whole")
    for point in range(1, 60):
        shutil.copytree(tmp_path / "whole", tmp_path / "stores" / str(point))
    child = run_child(KILLER, "compact", tmp_path / "stores", "")
    points = int(child.stdout)
    assert 10 < points < 60, child.stderr
    for point in range(1, points + 1):
        store = tmp_path / "stores" / str(point)
        assert state(store) == whole, point
        if point % 2:
            quiet(tmp_path / "r0", store)  # a conversion tidies up as well
            assert leftovers(store) == [], point
        rl.compact(store, progress=False)
        assert state(store) == whole, point
        assert leftovers(store) == [], point
        assert len(rl.open_store(store).segments()) == 1, point


def lines_of(store: Path) -> Counter[tuple[str, int]]:
    """Return how often each line of each source is there as a tick."""
    table = rl.open_store(store).to_arrow(columns=["source", "line"])
    return Counter(zip(table.column("source").to_pylist(), table.column("line").to_pylist(), strict=True))


def grown(folder: Path) -> tuple[Path, Path]:
    """Make a store of recordings that end within a line, behind one, and whole; let them grow; return both."""
    sources = simulated(folder / "r", games=4, damage=("two_writers", "torn_end"))
    names = sorted(sources.glob("*.jsonl"))
    whole = [path.read_bytes().rstrip(b"\n") + b"\n" for path in names]
    lines = [data.count(b"\n") for data in whole]
    for data, path, cut, count in zip(whole, names, (60, 0, -1, 1), lines, strict=True):
        at = len(b"\n".join(data.split(b"\n", count // 2 + 1)[:-1]))
        path.write_bytes(data[: at + cut + (cut > 0)])  # within a line, behind its brace, before it, at one byte
    quiet(sources, folder / "before")
    for data, path in zip(whole[:3], names, strict=False):
        path.write_bytes(data)
    return sources, folder / "before"


@pytest.mark.parametrize("work", ["mend", "convert"] if SCALE > 1 else ["mend"])
def test_growth_killed_at_every_point(tmp_path: Path, work: str) -> None:
    """Last lines change places with their new reading at one moment: none is out of the store, or in it twice.

    Whether the lines that are read again have a segment of their own ("mend") or stand before what follows them.
    """
    sources, before = grown(tmp_path)
    assert any(one.unended and one.tick_count for one in rl.open_store(before).extents())
    shutil.copytree(before, tmp_path / "whole")
    quiet(sources, tmp_path / "whole")
    whole, first, last = state(tmp_path / "whole"), lines_of(before), lines_of(tmp_path / "whole")
    old, new = rows(before), rows(tmp_path / "whole")
    for point in range(1, 60):
        shutil.copytree(before, tmp_path / "stores" / str(point))
    child = run_child(KILLER, work, tmp_path / "stores", sources)
    points = int(child.stdout)
    assert 10 < points < 60, child.stderr
    for point in range(1, points + 1):
        store = tmp_path / "stores" / str(point)
        found = lines_of(store)
        assert first <= found <= first | last, point
        assert rows(store) <= old | new, point
        assert rl.open_store(store).verify().problems == [], point
        if SCALE == 1 and point % 4:
            continue
        if point % 8 == 0:
            rl.compact(store, progress=False)
            assert lines_of(store) == found, point
        quiet(sources, store)
        assert state(store) == whole, point
        assert leftovers(store) == [], point


def test_a_refused_conversion_leaves_a_grown_recording_as_it_was(tmp_path: Path) -> None:
    """With `strict`, damage behind the line that would be read again changes nothing in the store."""
    sources, store = grown(tmp_path)
    path = sorted(sources.glob("*.jsonl"))[1]
    data = path.read_bytes()
    before = [state(store), rows(store), names(store / "segments"), names(store / "remarks")]
    path.write_bytes(data + b"{broken\n")
    with pytest.raises(SourceDamaged):
        rl.convert(path, store, strict=True, progress=False)
    assert [state(store), rows(store), names(store / "segments"), names(store / "remarks")] == before
    path.write_bytes(data)
    rl.convert(sources, store, strict=False, progress=False)
    assert leftovers(store) == []


def test_killed_killed_and_killed_again(tmp_path: Path) -> None:
    """Conversions and compactions killed at random moments, one after the other, lose and double nothing."""
    source = tmp_path / "big.jsonl"
    with source.open("wb") as file:
        file.writelines(tick_lines(60_000))
    quiet(source, tmp_path / "whole")
    whole = state(tmp_path / "whole")
    store, rng = tmp_path / "store", random.Random(7)
    for turn in range(6):
        work = (CONVERTER, source, store) if turn % 3 != 2 else (COMPACTER, store, rng.choice([20_000, 40_000]))
        child = start_child(*work)
        with child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(rng.uniform(0.05, 0.6))
            child.kill()
        assert until(lambda: not is_being_written(store))  # its helpers die a moment after it
        if (store / "segments").is_dir():
            assert rl.open_store(store).verify().problems == []
    quiet(source, store)
    assert state(store) == whole
    assert leftovers(store) == []


def test_two_converters_at_once(tmp_path: Path) -> None:
    """Of processes that convert into one store at once, each finishes or is told that it is busy; no row is doubled."""
    sources = mixed(tmp_path / "r")
    quiet(sources, tmp_path / "whole")
    store = tmp_path / "store"
    children = [start_child(CONVERTER, sources, store) for _ in range(3)]
    answers = [child.communicate(timeout=240) for child in children]
    for child, (_, errors) in zip(children, answers, strict=True):
        assert child.returncode == 0 or "StoreBusy" in errors, errors
    assert any(child.returncode == 0 for child in children)
    assert state(store) == state(tmp_path / "whole")
    assert leftovers(store) == []


@pytest.mark.parametrize("part", ["segments", "remarks"])
def test_half_a_file_is_no_file(tmp_path: Path, part: str) -> None:
    """A half-written file that a power cut left, under a name that is not final, is neither read nor kept."""
    sources = mixed(tmp_path / "r")
    quiet(sources, tmp_path / "store")
    before = state(tmp_path / "store")
    (tmp_path / "store" / part / "convert-0.999999999.aside").write_bytes(b"PAR1 half")
    assert state(tmp_path / "store") == before
    quiet(sources, tmp_path / "store")
    assert leftovers(tmp_path / "store") == []
