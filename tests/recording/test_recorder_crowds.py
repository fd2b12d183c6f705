"""Recorders in crowds: many threads, many recorders in one store, many processes; nothing is lost or mixed up."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import replaylab as rl
from tests.recordings import small, stored, tick, ticks
from tests.resources import leaves_nothing_open

PROCESS = """
import sys, threading
import replaylab as rl
from tests.recordings import ticks
barrier = threading.Barrier(3)
def feed(number):
    given = ticks(1000, f"{sys.argv[2]}-{number}")
    barrier.wait()
    with rl.Recorder(sys.argv[1]) as recorder:
        assert all(recorder.record(one) for one in given)
threads = [threading.Thread(target=feed, args=(number,)) for number in range(3)]
sys.stdin.readline()
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def crowd(count: int, work: Callable[[int], Any]) -> None:
    """Run a number of threads at once; raise what any of them raised."""
    barrier = threading.Barrier(count)
    failures: list[BaseException] = []

    def run(number: int) -> None:
        barrier.wait()
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 raised again below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_sixteen_threads(tmp_path: Path) -> None:
    """Sixteen threads with 5,000 ticks each: what is on disk is what was accepted, and each thread's are in order."""
    given = [[tick(number, trade_count=thread) for number in range(5_000)] for thread in range(16)]

    with rl.Recorder(tmp_path) as recorder:

        def work(thread: int) -> None:
            assert all(bool(recorder.record(one)) for one in given[thread])

        crowd(16, work)
    table = rl.Store(tmp_path).game(given[0][0].game_id).ticks()
    assert table.num_rows == 80_000
    seen: dict[int, list[int]] = {}
    for thread, number in zip(table["trade_count"].to_pylist(), table["tick"].to_pylist(), strict=True):
        seen.setdefault(thread, []).append(number)
    assert all(seen[thread] == list(range(5_000)) for thread in range(16))


def test_twelve_recorders_in_one_process(tmp_path: Path) -> None:
    """Twelve recorders that start together in one store hold 12,000 of 12,000 ticks, each its own game."""
    with leaves_nothing_open():

        def work(number: int) -> None:
            with rl.Recorder(tmp_path / "store") as recorder:
                assert all(bool(recorder.record(one)) for one in ticks(1_000, f"game-{number}"))

        crowd(12, work)
        store = rl.Store(tmp_path / "store")
        assert store.rows == 12_000
        assert {game.id: len(game) for game in store} == {f"game-{number}": 1_000 for number in range(12)}
        assert len({one.run for one in store.recordings()}) == 12
        assert store.verify().ok


def test_twelve_recorders_in_four_processes(tmp_path: Path) -> None:
    """Four processes with three recorders each, started together: 12,000 of 12,000."""
    root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    children = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(tmp_path / "store"), str(number)],
            stdin=subprocess.PIPE,
            env=environment,
        )
        for number in range(4)
    ]
    for child in children:
        assert child.stdin is not None
        child.stdin.write(b"go\n")
        child.stdin.close()
    assert [child.wait(120) for child in children] == [0] * 4
    store = rl.Store(tmp_path / "store")
    assert (store.rows, len(store), store.verify().ok) == (12_000, 12, True)


@pytest.mark.parametrize("seal_ticks", [100, 100_000])
def test_reading_and_recovering_meanwhile(tmp_path: Path, seal_ticks: int) -> None:
    """Readers, recoveries and compactions beside a recorder see every acknowledged tick once, at every moment."""
    done = threading.Event()
    failures: list[str] = []
    recorder = rl.Recorder(tmp_path, settings=small(seal_ticks=seal_ticks))

    def read() -> None:
        store = rl.Store(tmp_path)
        while not done.is_set():
            least = recorder.status().accepted
            seqs = sorted(row for game in store.game_ids() for row in store.game(game).ticks()["seq"].to_pylist())
            most = recorder.status().accepted
            if seqs != list(range(len(seqs))) or not least <= len(seqs) <= most + 1:
                failures.append(f"{len(seqs)} of {least} to {most}")

    def tend() -> None:
        while not done.is_set():
            rl.open_store(tmp_path)
            rl.compact(tmp_path, progress=False)

    others = [threading.Thread(target=read), threading.Thread(target=tend)]
    for thread in others:
        thread.start()
    given = ticks(1_500)
    with recorder:
        assert all(bool(recorder.record(one)) for one in given)
        recorder.flush()
    done.set()
    for thread in others:
        thread.join()
    assert not failures
    assert stored(tmp_path) == given
