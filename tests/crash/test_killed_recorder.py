"""SIGKILL at every call that writes, syncs, renames or removes, and at random: no acknowledged tick is lost."""

from __future__ import annotations

import json
import random
import shutil
import time
from pathlib import Path

import pytest

import replaylab as rl
from replaylab.errors import StoreNotFound
from tests.crash.recordings import games, lawful, made, stored
from tests.crash.scale import SCALE
from tests.crash.works import TICKS
from tests.stores import leftovers, run_child, start_child

EVERY_POINT = """
import json, shutil, sys
from pathlib import Path
import pyarrow.parquet
import replaylab as rl
from tests.crash.works import killed_at_every_point
work, folder, template = sys.argv[1], Path(sys.argv[2]), sys.argv[3]
rl.Recorder, rl.open_store, rl.compact

def store_of(point):
    store = folder / str(point)
    if template:
        shutil.copytree(template, store)
    return store

print(json.dumps(killed_at_every_point(work, store_of)))
"""
ABANDON = """
import sys
from pathlib import Path
from tests.crash.works import abandon
abandon(Path(sys.argv[1]))
"""
RANDOM = """
import json, os, random, signal, sys, threading, time
from pathlib import Path
import pyarrow.parquet
import replaylab as rl
from tests.crash.recordings import Said, made, small
ticks, answers = made(20_000), []
os.fsync = lambda _: time.sleep(0.001)  # what the disk has is of no matter here
rl.Recorder(Path(sys.argv[1], "first"), settings=small()).stop()  # loads all there is to load
for turn in range(int(sys.argv[2])):
    said = Said()
    child = os.fork()
    if child == 0:
        recorder = rl.Recorder(Path(sys.argv[1], str(turn)), settings=small())
        for offered, tick in enumerate(ticks, 1):
            said.put(offered, *said.get()[1:])
            receipt = recorder.record(tick)
            said.put(offered, receipt.seq + 1, receipt.durable_seq + 1)
            if offered % 64 == 0:
                time.sleep(0.001)
        os._exit(0)
    give_up_at = time.monotonic() + 60
    while turn % 5 and not said.get()[1] and time.monotonic() < give_up_at:  # in every fifth turn it may be starting
        time.sleep(0.001)
    time.sleep(random.Random(turn).uniform(0, 0.1))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    answers.append(said.get())
print(json.dumps(answers))
"""
LIVE = """
import sys, time
from pathlib import Path
import replaylab as rl
from tests.crash.recordings import made
recorder = rl.Recorder(sys.argv[1])
accepted = sum(bool(recorder.record(tick)) for tick in made(50, "live"))
print(accepted, flush=True)
while not Path(sys.argv[2]).exists():
    time.sleep(0.01)
accepted += sum(bool(recorder.record(tick)) for tick in made(50, "live", first=50))
recorder.stop()
print(accepted, flush=True)
"""
KILLED_ONCE = """
import sys
from pathlib import Path
import replaylab as rl
from tests.crash.works import WORKS, Killer
from tests.crash.recordings import Said
rl.Recorder, rl.open_store, rl.compact
with Killer(int(sys.argv[3])).watching():
    WORKS[sys.argv[1]](Path(sys.argv[2]), Said())
"""
TURN = """
import sys, time
import replaylab as rl
from tests.crash.recordings import made
recorder = rl.Recorder(sys.argv[1])
print(sum(bool(recorder.record(tick)) for tick in made(500, first=int(sys.argv[2]))), flush=True)
time.sleep(60)
"""


def unneeded(store: Path) -> list[str]:
    """List the files of a store that nothing needs; a folder may not be there yet."""
    for name in ("segments", "remarks"):
        (store / name).mkdir(exist_ok=True)
    return [name for name in leftovers(store) if not name.endswith(".aside")]


def settled(store: Path) -> None:
    """Hold that another opening changes nothing, and that nothing is left over."""
    before = sorted((path.name, path.stat().st_size) for path in store.rglob("*") if path.is_file())
    rl.open_store(store)
    assert sorted((path.name, path.stat().st_size) for path in store.rglob("*") if path.is_file()) == before
    assert list((store / "journals").glob("*")) == []
    assert unneeded(store) == []
    assert rl.open_store(store).verify().ok


@pytest.mark.parametrize("work", ["record", "record_many"])
def test_a_recorder_killed_at_every_point(tmp_path: Path, work: str) -> None:
    """Killed at any call, or in the middle of a write: every acknowledged tick is there, once, after one opening."""
    child = run_child(EVERY_POINT, work, tmp_path, "")
    assert child.returncode == 0, child.stderr
    answers = json.loads(child.stdout)
    assert len(answers) > 25
    given = games(2, TICKS // 2) if work == "record" else made(TICKS)
    assert answers[-1] == [TICKS, TICKS, TICKS]
    for point, (offered, accepted, durable) in enumerate(answers, 1):
        store = tmp_path / str(point)
        assert durable <= accepted <= offered
        try:
            found = stored(store)
        except StoreNotFound:
            assert accepted == 0, point
            continue
        lawful(found, given, safe=accepted, offered=offered)
        settled(store)


@pytest.mark.parametrize("work", ["recover", "compact"])
def test_a_recovery_killed_at_every_point(tmp_path: Path, work: str) -> None:
    """A recovery that is killed itself, at any call, leaves all to the next one; none is lost or doubled."""
    assert run_child(ABANDON, tmp_path / "template").returncode == 0
    assert len(list((tmp_path / "template" / "journals").glob("*.journal"))) >= 2
    child = run_child(EVERY_POINT, work, tmp_path, tmp_path / "template")
    assert child.returncode == 0, child.stderr
    points = len(json.loads(child.stdout))
    assert points > 5
    for point in range(1, points + 1):
        lawful(stored(rl.Store(tmp_path / str(point))), made(TICKS), safe=TICKS)  # before any recovery as well
        lawful(stored(tmp_path / str(point)), made(TICKS), safe=TICKS)
        if work == "compact":
            rl.compact(tmp_path / str(point), progress=False)  # removes what the one before has replaced
        settled(tmp_path / str(point))


def test_a_recorder_killed_at_random(tmp_path: Path) -> None:
    """Killed at random moments while it records and syncs, a recorder loses no acknowledged tick."""
    child = run_child(RANDOM, tmp_path, 25 * SCALE, timeout=240 * SCALE)
    assert child.returncode == 0, child.stderr
    answers = json.loads(child.stdout)
    assert sum(accepted > 0 for _, accepted, _ in answers) >= 20 * SCALE
    for turn, (offered, accepted, durable) in enumerate(answers):
        assert durable <= accepted
        try:
            lawful(stored(tmp_path / str(turn)), made(offered), safe=accepted, offered=offered)
        except StoreNotFound:
            assert accepted == 0
            continue
        settled(tmp_path / str(turn))


@pytest.mark.parametrize("work", ["recover", "compact"])
def test_work_killed_beside_a_live_recorder(tmp_path: Path, work: str) -> None:
    """A recovery or compaction beside a live recorder, killed at every point, does not touch the live recording."""
    assert run_child(ABANDON, tmp_path / "template").returncode == 0
    child = run_child(EVERY_POINT, work, tmp_path / "points", tmp_path / "template")
    points = len(json.loads(child.stdout))
    shutil.rmtree(tmp_path / "points")
    assert points > 5
    for point in sorted(
        {points // 2, points - 1, *range(1, points, max(1, points // SCALE))}
        if SCALE > 1
        else {points // 2, points - 1}
    ):
        store = tmp_path / f"live{point}"
        shutil.copytree(tmp_path / "template", store)
        live = start_child(LIVE, store, tmp_path / f"go{point}")
        with live:
            assert live.stdout is not None
            assert int(live.stdout.readline()) == 50
            killed = run_child(KILLED_ONCE, work, store, point)
            assert killed.returncode in {0, -9}, killed.stderr
            found = stored(store)
            lawful([tick for tick in found if tick.game_id == "live"], made(50, "live"), safe=50)
            lawful([tick for tick in found if tick.game_id != "live"], made(TICKS), safe=TICKS)
            (tmp_path / f"go{point}").touch()
            output, errors = live.communicate(timeout=240)
        assert int(output) == 100, errors
        found = stored(store)
        lawful([tick for tick in found if tick.game_id == "live"], made(100, "live"), safe=100)
        lawful([tick for tick in found if tick.game_id != "live"], made(TICKS), safe=TICKS)
        rl.compact(store, progress=False)
        settled(store)


def test_killed_and_started_again(tmp_path: Path) -> None:
    """One recorder after the other in one store, each killed: the next ones record on and recover those before."""
    store, accepted = tmp_path / "store", 0
    for turn in range(6):
        child = start_child(TURN, store, turn * 500)
        with child:
            assert child.stdout is not None
            said = int(child.stdout.readline())
            time.sleep(random.Random(turn).uniform(0, 0.05))
            child.kill()
        assert said == 500
        accepted += said
        if turn % 2:
            lawful(stored(store), made(accepted), safe=accepted)
    lawful(stored(store), made(accepted), safe=accepted)
    settled(store)
