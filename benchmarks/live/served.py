"""Served: what 200 readers of 20 ticks a second cost the server, on clocks of their own and on one they share.

The claims: at most 20 % of a core with clocks of their own and 8 % on a shared one; from due to received at most 50 ms
for 99 of 100. The peer sends the same lines to as many clients with the WebSocket library alone, encoded before. The
server and the clients are processes of their own; only the server is counted.
"""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import replaylab as rl
from benchmarks.live.feed_cost import settings
from benchmarks.measure import Ratio, arguments, print_ratio, print_table, process_seconds, workshop

SERVER = """
import sys
import replaylab as rl
server = rl.serve(sys.argv[1], speed=1)
print(server.port, flush=True)
sys.stdin.read()
server.stop()
"""
BARE = """
import asyncio, sys, time
from websockets.asyncio.server import serve, broadcast
lines = open(sys.argv[1]).read().splitlines()
clients = set()

async def handle(connection):
    clients.add(connection)
    await connection.wait_closed()
    clients.discard(connection)

async def main():
    async with serve(handle, "127.0.0.1", 0, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        begin = time.monotonic()
        for number, line in enumerate(lines):
            await asyncio.sleep(max(0, begin + number / 20 - time.monotonic()))
            broadcast(clients, line)

asyncio.run(main())
"""
CLIENTS = """
import asyncio, sys, time, json
from websockets.asyncio.client import connect
port, count, query, seconds = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
lags = []

async def one(number):
    base = None
    async with connect(f"ws://127.0.0.1:{port}/feed{query}", compression=None, ping_interval=None) as socket:
        while True:
            data = await socket.recv(decode=False)
            now = time.monotonic()
            for line in data.split(b"\\n"):
                place = line.find(b'"tick": ')
                if line.startswith(b'{"type": "tick"') and place > 0:
                    tick = int(line[place + 8 : line.index(b",", place)])
                    lag = now - tick / 20
                    base = lag if base is None else min(base, lag)
                    lags.append((number, lag - base))

async def main():
    tasks = []
    for n in range(count):
        tasks.append(asyncio.ensure_future(one(n)))
        await asyncio.sleep(0.005)
    await asyncio.sleep(min(3.0, seconds))
    print("ready", flush=True)
    lags.clear()
    await asyncio.sleep(seconds)
    found = sorted(lag for _, lag in lags)
    print(len(found), found[int(len(found) * 0.99)] * 1000, flush=True)
    for task in tasks: task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

asyncio.run(main())
"""


def ticks_of(count: int) -> list[rl.Tick]:
    """One long game of 20 ticks a second."""
    start = datetime(2031, 1, 2, tzinfo=UTC)
    return [
        rl.Tick("game", n, start + timedelta(milliseconds=50 * n), f"1.{n:06d}17", active=True, trade_count=n)
        for n in range(count)
    ]


def measured(code: str, source: Path, query: str, clients: int, seconds: float) -> tuple[float, float]:
    """Share of a core of the server, and the 99th percentile of milliseconds, in which each client's best is 0."""
    with subprocess.Popen(
        [sys.executable, "-c", code, str(source)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdout is not None
        port = server.stdout.readline().decode().strip()
        readers = [sys.executable, "-c", CLIENTS, port, str(clients), query, str(seconds)]
        with subprocess.Popen(readers, stdout=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            before, wall = process_seconds(server.pid), time.perf_counter()
            _, lag = child.stdout.readline().split()
            share = (process_seconds(server.pid) - before) / (time.perf_counter() - wall)
        server.kill()
    return share, float(lag)


def main() -> None:
    """Measure in turn, and print."""
    found = arguments(__doc__, clients=200, seconds=15)
    clients, seconds = (10, 1.0) if found.quick else (found.clients, float(found.seconds))
    with workshop() as folder:
        given, store, lines = ticks_of(6_000), folder / "store", folder / "lines"
        with rl.Recorder(store, settings=settings()) as recorder:
            recorder.record_many(given)
        lines.write_bytes(b"\n".join(tick.to_line() for tick in given))
        bare = measured(BARE, lines, "", clients, seconds)
        own = measured(SERVER, store, "?speed=1&from=start", clients, seconds)
        shared = measured(SERVER, store, "", clients, seconds)
    rows = [
        [name, 100 * share, lag]
        for name, (share, lag) in (("library alone, broadcast", bare), ("clocks of their own", own), ("shared", shared))
    ]
    print_ratio("served own", Ratio.of([bare[0]], [own[0]]), "CPU of a broadcast alone against clocks of their own")
    print_ratio("served shared", Ratio.of([bare[0]], [shared[0]]), "CPU of a broadcast alone against a shared clock")
    print_table(f"{clients} readers, 20 ticks a second each", ["way", "% of a core", "p99, ms"], rows)


if __name__ == "__main__":
    main()
