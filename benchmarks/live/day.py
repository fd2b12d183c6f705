"""Day: ten feeds for a day, as fast as they come, through a network that is cut 200 times: what is lost, what grows.

The claims: 0 ticks lost or doubled of 3.46 million, every outage a healed gap; memory of the last quarter within 5 MB
of that of the third, in the median, as a seal that is under way takes some MB for a moment; objects, threads, handles
and tasks constant. The server is a process of its own. `--ticks` is of each feed: 5,000 fill what is kept in memory.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa

import replaylab as rl
from benchmarks.live.feed_cost import settings
from benchmarks.measure import arguments, print_table, workshop
from replaylab.sessions.clock import Clock
from replaylab.sessions.loop import FEEDS
from replaylab.sessions.session import LiveSession
from replaylab.testing import FaultProxy

LENGTH = 240  # ticks of a game: a minute
SERVER = """
import sys
import replaylab as rl
server = rl.serve(sys.argv[1], pacing="none")
print(server.port, flush=True)
sys.stdin.read()
server.stop()
"""


def made(folder: Path, games: int) -> list[str]:
    """A store of so many games of a minute; returns their ids."""
    start = datetime(2031, 1, 2, tzinfo=UTC)
    names = [f"20310102-{game:016x}" for game in range(games)]
    with rl.Recorder(folder, settings=settings()) as recorder:
        for game, name in enumerate(names):
            begins = start + timedelta(seconds=60 * game)
            recorder.record_many(
                rl.Tick(
                    name,
                    n,
                    begins + timedelta(milliseconds=250 * n),
                    Decimal(10**16 + (game * LENGTH + n) * 7919).scaleb(-16),
                    phase="ACTIVE_GAMEPLAY",
                    active=True,
                    trade_count=n,
                )
                for n in range(LENGTH)
            )
    return names


def held_here() -> list[float]:
    """What is held where no cut fell in a live moment."""
    process = psutil.Process()
    return [process.memory_info().rss / 1e6, threading.active_count(), process.num_fds(), 0, sys.getallocatedblocks()]


async def _tasks() -> int:
    return len(asyncio.all_tasks())


def held() -> list[float]:
    """Memory (MB), threads, handles, tasks of the feeds, and blocks of Python's memory, now."""
    process = psutil.Process()
    tasks = FEEDS.submit(_tasks()).result()
    gc.collect()  # a connection that is over is a ring of objects, which waits for the collector
    pa.default_memory_pool().release_unused()  # what is freed and kept for later is no growth
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    memory = process.memory_info().rss / 1e6
    return [memory, threading.active_count(), process.num_fds(), tasks, sys.getallocatedblocks()]


def main() -> None:
    """Follow ten feeds, cut them again and again, and compare."""
    found = arguments(__doc__, feeds=10, ticks=345_600, cuts=200)
    feeds, cuts = (2, 3) if found.quick else (found.feeds, found.cuts)
    games = max(2, (1_000 if found.quick else found.ticks) // LENGTH)
    with workshop() as folder:
        names = made(folder / "source", feeds * games)
        begin = time.perf_counter()
        with subprocess.Popen(
            [sys.executable, "-c", SERVER, str(folder / "source")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as server:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            seen = followed(folder / "copy", port, names, feeds, cuts)
            server.kill()
        took = time.perf_counter() - begin
        copy = rl.open_store(folder / "copy")
        assert isinstance(copy, rl.Store)
        table = copy.games_table()
        gaps = copy.gaps()
        source = rl.Store(folder / "source")
        expected, rows = source.rows, copy.rows
        wrong = sum(
            copy.game(name).prices().equals(source.game(name).prices()) is False
            for name in names[:: max(1, len(names) // 200)]
        )
        late = np.array(seen[len(seen) // 2 :] or [held_here()])
        third, last = (np.median(half, axis=0) for half in np.array_split(np.resize(late, (max(2, len(late)), 5)), 2))
        print_table(
            f"{feeds} feeds of {games * LENGTH:,} ticks, {cuts} times cut, {took:,.0f} s",
            ["what", "found"],
            [
                ["ticks of the source", expected],
                ["rows of the copy", rows],
                ["missing ticks", int(np.sum(table["missing_ticks"].to_numpy()))],
                ["games of a sample that differ", wrong],
                ["outages", len(gaps)],
                ["of them healed", int(gaps["healed"].sum())],
                ["ticks/s", rows / took],
                ["memory, MB, second half", f"{late[:, 0].min():.1f} to {late[:, 0].max():.1f}"],
                ["memory, MB, median of the third and the last quarter", f"{third[0]:.1f}, {last[0]:.1f}"],
                ["blocks of Python, the same", f"{third[4]:,.0f}, {last[4]:,.0f}"],
                ["threads", f"{late[:, 1].min():.0f} to {late[:, 1].max():.0f}"],
                ["handles", f"{late[:, 2].min():.0f} to {late[:, 2].max():.0f}"],
                ["tasks", f"{late[:, 3].min():.0f} to {late[:, 3].max():.0f}"],
            ],
        )
        print(f"ratio day kept: {rows / expected:.3f} (rows of the copy against those of the source; claim: 1)")
        assert rows == expected


def followed(folder: Path, port: int, names: list[str], feeds: int, cuts: int) -> list[list[float]]:
    """Record all games by as many sessions; return what was held, between the cuts."""
    games = len(names) // feeds
    clock = Clock(uniform=lambda _low, high: min(0.02, high))
    seen: list[list[float]] = []
    with FaultProxy(port) as proxy, rl.Recorder(folder, overflow="refuse", settings=settings()) as recorder:
        sessions = []
        for number in range(feeds):
            first, last = names[number * games], names[(number + 1) * games - 1]
            url = f"ws://127.0.0.1:{proxy.port}/feed?from={first}&to={last}&n={number}"
            feed = rl.open_feed(url.rpartition("&")[0])
            feed.name += f"/{number}"  # a lane of its own
            sessions.append(LiveSession(feed, to=recorder, clock=clock).start())
        step = len(names) * LENGTH // (cuts + 1)
        for cut in range(1, cuts + 1):
            while sum(one.status().ticks for one in sessions) < cut * step:
                time.sleep(0.02)
            open_now = [one.status().connections for one in sessions]
            proxy.cut()
            while not all(
                one.status().connections > before or str(one.status().state) == "closed"
                for one, before in zip(sessions, open_now, strict=True)
            ):
                time.sleep(0.02)
            while not all(str(one.status().state) in {"live", "closed"} for one in sessions):
                time.sleep(0.02)
            if all(str(one.status().state) == "live" for one in sessions):
                seen.append(held())
                ticks = sum(one.status().ticks for one in sessions)
                print(f"cut {cut}, {ticks:,} ticks:", *(f"{one:.1f}" for one in seen[-1]), file=sys.stderr, flush=True)
        for one in sessions:
            one.wait("closed", timeout=600)
        for one in sessions:
            one.stop()
    return seen


if __name__ == "__main__":
    main()
