"""Engine: ticks a second, seeks, pauses and drift of a replay, against a player that walks a list and sleeps.

The claims: as fast as possible at least 1 million ticks a second to a callback, 2 million in `async for` and 50 million
in Arrow batches; a seek takes at most 5 us anywhere in 1,000,000 ticks; over 200 ticks the end is at most 5 ms off its
ideal time, at 1x and 5x, and with a callback of 20 ms at 5x; a pause takes at most 50 ms at 0.1x; an idle engine has no
thread, a playing one has one. Batches share the game's memory, so the figure that counts is the one of those whose tick
numbers are summed.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable
from statistics import median

import numpy as np
import pyarrow as pa

from benchmarks.measure import Ratio, alternate, arguments, print_ratio, print_table
from replaylab.clock import FASTEST
from replaylab.playback.engine import ReplayEngine
from replaylab.table import PRICE_TYPE, TIME_TYPE

STEP = 0.25


def game(rows: int) -> pa.Table:
    """A game of some rows, 0.25 s apart."""
    words = np.zeros((rows, 2), np.uint64)
    words[:, 0] = np.arange(rows) + 10**18
    times = pa.array(np.arange(rows, dtype=np.int64) * 250_000).cast(TIME_TYPE)
    prices = pa.Array.from_buffers(PRICE_TYPE, rows, [None, pa.py_buffer(words)])
    return pa.table({"tick": np.arange(rows, dtype=np.int32), "timestamp": times, "price": prices})


class ListPlayer:
    """The peer: a list of ticks, a thread, a sleep of one step after each tick, a scan to find a number."""

    def __init__(self, rows: list[tuple[int, float]], callback: Callable[[object], object], speed: float) -> None:
        self.rows = rows
        self.callback = callback
        self.step = STEP / speed
        self.playing = True

    def run(self) -> None:
        """Play to the end."""
        for row in self.rows:
            if not self.playing:
                return
            self.callback(row)
            if self.step:
                time.sleep(self.step)

    def find(self, number: int) -> int:
        """Row of a tick number."""
        return next(place for place, row in enumerate(self.rows) if row[0] == number)


def nothing(_step: object) -> None:
    """A callback that does nothing."""


async def each(rows: list[tuple[int, float]]) -> AsyncIterator[tuple[int, float]]:
    """The peer of an iteration: an asynchronous generator that waits for nothing."""
    for row in rows:
        yield row


def throughput(rows: int, rounds: int) -> None:
    """As fast as possible."""
    table = game(rows)
    peer = ListPlayer(
        list(zip(range(rows), table.column("price").cast(pa.float64()).to_pylist(), strict=True)), nothing, 1
    )
    peer.step = 0.0
    engine = ReplayEngine(table, speed=FASTEST)
    engine.on("tick", nothing)
    shown: list[int] = []

    def run() -> None:
        engine.reset()
        shown.append(engine.run())

    def batches() -> None:
        engine.reset()
        engine.seek(0)
        assert sum(batch.num_rows for batch in engine.batches()) == rows - 1

    def summed() -> None:
        engine.reset()
        assert sum(int(batch.column("tick").to_numpy().sum()) for batch in engine.batches()) == rows * (rows - 1) // 2

    alone = ReplayEngine(table, speed=FASTEST)

    async def walk(walked: ReplayEngine) -> None:
        walked.reset()
        async for _step in walked:
            pass
        assert walked.at_end

    async def bare() -> None:
        async for _row in each(peer.rows):
            pass

    async def play() -> None:
        engine.reset()
        ended = asyncio.Event()
        with engine.on("game_end", lambda _event: ended.set()):
            engine.play()
            await ended.wait()
        assert engine.at_end

    runs = {
        "engine, in a script": run,
        "engine, playing in an event loop": lambda: asyncio.run(play()),
        "engine, in `async for`": lambda: asyncio.run(walk(alone)),
        "engine, in `async for`, with a callback": lambda: asyncio.run(walk(engine)),
        "bare `async for` over a list": lambda: asyncio.run(bare()),
        "batches": batches,
        "batches, summed": summed,
        "bare loop over a list": peer.run,
    }
    found = alternate(runs, rounds)
    assert set(shown) == {rows - 1}, "a reset shows the first row, a run all others"
    rates = [(name, rows / median(taken), rows / max(taken)) for name, taken in found.items()]
    print_table(f"ticks a second, {rows:,} ticks, a callback that does nothing", ["", "median", "least"], rates)
    loop = Ratio.of(found["bare loop over a list"], found["engine, playing in an event loop"])
    print_ratio("engine: event loop", loop, "seconds of a bare loop over ours, in an event loop")
    print_ratio(
        "engine: callbacks",
        Ratio.of(found["bare loop over a list"], found["engine, in a script"]),
        "seconds of a bare loop over ours",
    )
    print_ratio(
        "engine: async for",
        Ratio.of(found["bare `async for` over a list"], found["engine, in `async for`"]),
        "seconds of a bare async for over ours",
    )
    print_ratio(
        "engine: batches",
        Ratio.of(found["engine, in a script"], found["batches, summed"]),
        "seconds of callbacks over batches, summed",
    )


def seeks(rows: int, rounds: int) -> None:
    """Seek by row and by number at the start, in the middle and at the end."""
    engine = ReplayEngine(game(rows))
    peer = ListPlayer([(number, 1.0) for number in range(rows)], nothing, 1)
    engine.seek_tick(0)
    many = 2000
    table = []
    for name, number in (("start", 1), ("middle", rows // 2), ("end", rows - 2)):
        found = alternate(
            {
                "row": lambda number=number: [engine.seek(number) for _ in range(many)],  # type: ignore[misc]
                "tick": lambda number=number: [engine.seek_tick(number) for _ in range(many)],  # type: ignore[misc]
                "scan": lambda number=number: peer.find(number),  # type: ignore[misc]
            },
            rounds,
        )
        by_row, by_tick = (median(found[way]) / many * 1e6 for way in ("row", "tick"))
        table.append((name, by_row, by_tick, median(found["scan"]) * 1e6))
    print_table(f"microseconds a seek, {rows:,} ticks", ["", "by row", "by number", "list scan"], table)
    print_ratio("engine: seek at the end", table[-1][3] / table[-1][2], "list scan over seek by number")


def drift(ticks: int, speed: float, work: float) -> tuple[float, float]:
    """Milliseconds by which the last tick is late: engine and peer, at the same time in two threads."""
    last = [0.0, 0.0]

    def work_at(place: int) -> Callable[[object], None]:
        def callback(_step: object) -> None:
            last[place] = time.perf_counter()
            if work:
                time.sleep(work)

        return callback

    engine = ReplayEngine(game(ticks), speed=speed)
    engine.on("tick", work_at(0))
    peer = ListPlayer([(number, 1.0) for number in range(ticks)], work_at(1), speed)
    other = threading.Thread(target=peer.run)
    begin = time.perf_counter()
    other.start()
    engine.run()
    other.join()
    ideal = (ticks - 1) * STEP / speed
    return (last[0] - begin - ideal) * 1e3, (last[1] - begin - ideal) * 1e3


def drifts(*, quick: bool) -> None:
    """End error over 200 ticks."""
    ticks, speeds = (20, (50.0, 100.0)) if quick else (200, (1.0, 5.0))
    rows = [(f"{speed:g}x", *drift(ticks, speed, 0.0)) for speed in speeds]
    rows.append(
        (
            f"{speeds[1]:g}x, callback of {STEP / speeds[1] * 400:.0f} ms",
            *drift(ticks, speeds[1], STEP / speeds[1] * 0.4),
        )
    )
    print_table(f"milliseconds late at the end of {ticks} ticks", ["", "engine", "list and sleep"], rows)
    print_ratio("engine: drift", rows[-1][2] / max(abs(rows[-1][1]), 0.01), "list and sleep over ours, slow callback")


def pauses(rounds: int) -> None:
    """A pause at 0.1x: the engine's, and that of a player that sleeps out its step."""
    engine = ReplayEngine(game(1000), speed=0.1)
    ours, peers, threads = [], [], []
    for _ in range(max(rounds, 3)):
        before = threading.active_count()
        engine.play()
        time.sleep(0.05)
        threads.append(threading.active_count() - before)
        begin = time.perf_counter()
        engine.pause()
        ours.append(time.perf_counter() - begin)
        peer = ListPlayer([(0, 1.0)] * 3, nothing, 1.0)
        thread = threading.Thread(target=peer.run)
        thread.start()
        time.sleep(0.05)
        begin = time.perf_counter()
        peer.playing = False
        thread.join()
        peers.append(time.perf_counter() - begin)
        threads.append(threading.active_count() - before)
    rows = [
        ("engine, at 0.1x", median(ours) * 1e3, max(ours) * 1e3),
        ("list and sleep, at 1x", median(peers) * 1e3, max(peers) * 1e3),
    ]
    print_table("milliseconds until a pause is obeyed", ["", "median", "greatest"], rows)
    print(f"threads: {max(threads[::2])} playing, {max(threads[1::2])} paused")
    print_ratio("engine: pause", Ratio.of(peers, ours), "list and sleep over ours")


def main() -> None:
    """Measure, and print."""
    options = arguments(__doc__)
    rows = 20_000 if options.quick else 1_000_000
    throughput(rows, options.rounds)
    seeks(rows, options.rounds)
    pauses(options.rounds)
    drifts(quick=options.quick)


if __name__ == "__main__":
    main()
