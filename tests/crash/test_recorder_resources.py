"""What recorders cost: files, threads and memory stay flat; many at once, or one frozen beside others, lose nothing."""

from __future__ import annotations

import gc
import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Final

import replaylab as rl
from tests.crash.recordings import lawful, made, small, stored, until
from tests.crash.scale import SCALE
from tests.resources import Held
from tests.stores import run_child, start_child

CYCLES: Final = 200
RECORDERS: Final = 12
EACH: Final = 250 * min(SCALE, 4)
DAY: Final = """
import gc, json, os, sys, threading, time
from pathlib import Path
import psutil
import replaylab as rl
from replaylab.settings import Settings
from tests.crash.recordings import made
process = psutil.Process()
total, step = int(sys.argv[2]), 2_000
looks, accepted = [], 0
with rl.Recorder(sys.argv[1], settings=Settings(seal_ticks=25_000)) as recorder:
    for first in range(0, total, step):
        accepted += recorder.record_many(made(step, f"20310102-{first // 20_000:012x}4cde", first % 20_000)).accepted
        if first % (total // 8) < step:
            recorder.flush()
            while recorder.status().journals > 1:  # each that is full is open until it is sealed
                time.sleep(0.01)
            gc.collect()
            looks.append((process.memory_info().rss, len(os.listdir("/proc/self/fd")), threading.active_count()))
report = recorder.stop()
files = [path for folder in ("segments", "journals") for path in Path(sys.argv[1], folder).glob("*")]
print(json.dumps([accepted, report.ticks, len(files), looks]))
"""
MANY = """
import json, sys, threading, time
from pathlib import Path
import replaylab as rl
from tests.crash.recordings import made
store, process, recorders, each = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
start = threading.Barrier(recorders)
counts = [0] * recorders
given = [made(each, f"game-{process}-{number}") for number in range(recorders)]
rl.Recorder
Path(sys.argv[5], str(process)).touch()
while len(list(Path(sys.argv[5]).iterdir())) < int(sys.argv[6]):
    time.sleep(0.001)

def run(number):
    start.wait()
    with rl.Recorder(store) as recorder:
        counts[number] = sum(bool(recorder.record(tick)) for tick in given[number])

threads = [threading.Thread(target=run, args=(number,)) for number in range(recorders)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(counts))
"""
FROZEN = """
import sys
import replaylab as rl
from tests.crash.recordings import made
recorder = rl.Recorder(sys.argv[1])
print(sum(bool(recorder.record(tick)) for tick in made(50, "frozen")), flush=True)
more = made(40_000, "frozen", first=50)
accepted = 50 + sum(bool(recorder.record(tick)) for tick in more)
recorder.stop()
print(accepted, flush=True)
"""


def test_two_hundred_recordings(tmp_path: Path) -> None:
    """Recorders stopped, left by an exception, or just dropped leave no open file, no thread and no lost tick."""
    store = tmp_path / "store"
    rl.Recorder(store, settings=small()).stop()
    gc.collect()
    before = Held.now()
    for cycle in range(CYCLES):
        ticks = made(3, f"game{cycle}")
        if cycle % 3 == 0:
            recorder = rl.Recorder(store, settings=small())
            assert all(recorder.record(tick) for tick in ticks)
            recorder.stop()
        elif cycle % 3 == 1:
            with suppress(ZeroDivisionError), rl.Recorder(store, settings=small()) as recorder:
                assert all(recorder.record(tick) for tick in ticks)
                raise ZeroDivisionError
        else:
            recorder = rl.Recorder(store, settings=small())
            assert all(recorder.record(tick) for tick in ticks)
        del recorder
        if cycle % 50 == 49:
            gc.collect()
            until(lambda: len(before.new()) <= 3)
    found = stored(store)
    assert len(found) == 3 * CYCLES
    assert set(found) == {tick for cycle in range(CYCLES) for tick in made(3, f"game{cycle}")}


def test_a_day_of_one_feed(tmp_path: Path) -> None:
    """350,000 ticks, a day at four a second: memory, files and threads are flat, few files are left, all is there."""
    total = 352_000
    child = run_child(DAY, tmp_path / "store", total, timeout=240)
    assert child.returncode == 0, child.stderr
    accepted, reported, files, looks = json.loads(child.stdout)
    assert accepted == reported == total
    assert rl.open_store(tmp_path / "store").rows == total
    assert files <= 5 * (total // 100_000 + 1)
    memory, handles, threads = zip(*looks, strict=True)
    assert max(memory[4:]) - max(memory[1:4]) < 48 << 20, memory
    assert max(handles) - min(handles) <= 3, handles
    assert max(threads) - min(threads) <= 1, threads


def test_many_started_together(tmp_path: Path) -> None:
    """Twelve recorders in each of five processes, started together in one store: all ticks of all, none twice."""
    (tmp_path / "ready").mkdir()
    processes = 5
    children = [
        start_child(MANY, tmp_path / "store", process, RECORDERS if process == 0 else 3, EACH, tmp_path / "ready", 5)
        for process in range(processes)
    ]
    answers = [child.communicate(timeout=240) for child in children]
    assert all(child.returncode == 0 for child in children), answers
    found = stored(tmp_path / "store")
    by_game: dict[str, list[rl.Tick]] = {}
    for tick in found:
        by_game.setdefault(tick.game_id, []).append(tick)
    assert len(by_game) == RECORDERS + 3 * (processes - 1)
    for process, (output, _) in enumerate(answers):
        for number, count in enumerate(json.loads(output)):
            assert count == EACH
            game = f"game-{process}-{number}"
            lawful(by_game[game], made(EACH, game), safe=EACH)
            assert len(by_game[game]) == EACH
    assert rl.open_store(tmp_path / "store").verify().ok


def test_a_stopped_process_beside_another(tmp_path: Path) -> None:
    """A recorder whose process is stopped (SIGSTOP) keeps its journal; others record, recover and compact beside it."""
    store = tmp_path / "store"
    child = start_child(FROZEN, store)
    with child:
        assert child.stdout is not None
        assert int(child.stdout.readline()) == 50
        os.kill(child.pid, signal.SIGSTOP)
        with rl.Recorder(store, settings=small()) as recorder:
            assert all(recorder.record(tick) for tick in made(100, "awake"))
        rl.compact(store, progress=False)
        found = stored(store)
        lawful([tick for tick in found if tick.game_id == "awake"], made(100, "awake"), safe=100)
        lawful([tick for tick in found if tick.game_id == "frozen"], made(40_050, "frozen"), safe=50)
        os.kill(child.pid, signal.SIGCONT)
        output, errors = child.communicate(timeout=240)
    assert int(output) == 40_050, errors
    found = stored(store)
    lawful([tick for tick in found if tick.game_id == "frozen"], made(40_050, "frozen"), safe=40_050)
    lawful([tick for tick in found if tick.game_id == "awake"], made(100, "awake"), safe=100)
