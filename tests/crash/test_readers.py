"""Readers beside a recorder that seals, a compaction and recoveries: each sees a beginning of the recording, once."""

from __future__ import annotations

import threading
from pathlib import Path

import replaylab as rl
from replaylab.errors import StoreNotFound
from tests.crash.recordings import games, lawful, small, stored
from tests.crash.scale import SCALE
from tests.stores import start_child

GAMES, EACH = 40, 50
RECORD = """
import sys, time
from pathlib import Path
import replaylab as rl
from tests.crash.recordings import games, small
given = games(int(sys.argv[2]), int(sys.argv[3]))
with rl.Recorder(sys.argv[1], settings=small()) as recorder:
    accepted = 0
    for number, tick in enumerate(given):
        accepted += bool(recorder.record(tick))
        if number % 25 == 0:
            Path(sys.argv[4]).write_text(str(accepted))
            time.sleep(0.01)
print(accepted)
"""
COMPACT = """
import sys
from pathlib import Path
import replaylab as rl
from replaylab.errors import StoreBusy, StoreNotFound
times = 0
while not (times and Path(sys.argv[2]).exists()):
    try:
        if sys.argv[3] == "compact":
            rl.compact(sys.argv[1], progress=False)
        else:
            rl.open_store(sys.argv[1])
        times += 1
    except (StoreNotFound, StoreBusy):
        pass
print(times)
"""


def test_readers_beside_a_recorder(tmp_path: Path) -> None:
    """Whatever is sealed, compacted or recovered meanwhile: what was accepted before a look is seen by it, once."""
    store, said, end = tmp_path / "store", tmp_path / "said", tmp_path / "end"
    given = games(GAMES, EACH * SCALE)
    said.write_text("0")
    recorder = start_child(RECORD, store, GAMES, EACH * SCALE, said)
    others = [start_child(COMPACT, store, end, work) for work in ("compact", "recover")]
    looks = 0
    kept: rl.Store | None = None
    try:
        while recorder.poll() is None or looks <= 3:  # a slow machine may look first when all is recorded
            safe = int(said.read_text() or 0)
            try:
                kept = kept or rl.Store(store)
            except StoreNotFound:
                continue
            lawful(stored(kept if looks % 2 else rl.Store(store)), given, safe=safe)
            looks += 1
    finally:
        end.touch()
        answers = [child.communicate(timeout=240) for child in (recorder, *others)]
    assert int(answers[0][0]) == len(given), answers
    assert all(int(output) > 0 for output, _ in answers), answers
    lawful(stored(store), given, safe=len(given))
    assert rl.open_store(store).verify().ok


def test_readers_on_threads_of_the_recorder(tmp_path: Path) -> None:
    """Reading on other threads of the process that records sees all that was accepted before, once."""
    given = games(20, EACH)
    problems: list[BaseException] = []
    accepted = [0]
    with rl.Recorder(tmp_path / "store", settings=small()) as recorder:
        done = threading.Event()

        def read() -> None:
            try:
                while not done.is_set():
                    safe = accepted[0]
                    lawful(stored(rl.Store(tmp_path / "store")), given, safe=safe)
            except BaseException as error:  # noqa: BLE001 told below
                problems.append(error)

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for tick in given:
            assert recorder.record(tick)
            accepted[0] += 1
        done.set()
        for reader in readers:
            reader.join()
    assert problems == []
    lawful(stored(tmp_path / "store"), given, safe=len(given))
