"""Many feeds: what 50 feeds of four ticks a second cost, recorded by one recorder, beside 50 bare receives.

The claims: at most 4 % of a core, with the game's own frames over Socket.IO at most 8 %; at most two threads and 55
handles more than before; stopped within 2 s; from the socket to the recorder at most 10 ms for 99 of 100. The servers
run in a process of their own and are not counted.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from websockets.asyncio.client import connect

import replaylab as rl
from benchmarks.live.feed_cost import settings
from benchmarks.measure import ROOT, Ratio, arguments, print_ratio, print_table, workshop
from replaylab.sessions.opening import open_sessions
from replaylab.sessions.session import LiveSession

SOCKET = ROOT.parent / "shared" / "socket" / "gameStateUpdate.jsonl"
SENDER = """
import asyncio, json, logging, sys
from datetime import UTC, datetime
from websockets.asyncio.server import serve

logging.disable()  # that clients close their connections

kind, path, rate = sys.argv[1], sys.argv[2], float(sys.argv[3])
events = [json.dumps(one) for one in json.load(open(path))] if kind == "socketio" else []

async def lines(connection):
    number = int(connection.request.path.rpartition("=")[2] or 0)
    tick = 0
    while True:
        at = datetime.now(UTC).isoformat()
        await connection.send(
            f'{{"type": "tick", "timestamp": "{at}", "game_id": "game-{number}", "tick": {tick}, '
            f'"price": 1.{tick:06d}17, "phase": "ACTIVE_GAMEPLAY", "active": true, "rugged": false, '
            f'"cooldown_timer": 0, "trade_count": {tick}}}'
        )
        tick += 1
        await asyncio.sleep(1 / rate)

async def game(connection):
    await connection.send('0{"sid":"s","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1000000}')
    await connection.recv()
    await connection.send('40{"sid":"t"}')
    while True:
        for one in events:
            await connection.send('42["gameStateUpdate",' + one + "]")
            await asyncio.sleep(1 / rate)

async def main():
    async with serve(game if kind == "socketio" else lines, "127.0.0.1", 0, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


@contextmanager
def servers(kind: str, path: Path, rate: float) -> Iterator[int]:
    """A server in a process of its own; yields its port."""
    command = [sys.executable, "-c", SENDER, kind, str(path), str(rate)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        yield int(child.stdout.readline())
        child.terminate()
        child.wait(20)


def handles() -> int:
    """Open handles of this process."""
    return len(list(Path("/proc/self/fd").iterdir()))


def lag_ms(sent: datetime) -> float:
    """Milliseconds since something was sent."""
    return (datetime.now(UTC) - sent).total_seconds() * 1000


def received(port: int, kind: str, feeds: int, seconds: float, lags: list[float]) -> float:
    """Share of a core that receiving alone takes, with the same library: nothing is read of what comes."""
    path = "/socket.io/" if kind == "socketio" else "/feed?n="

    async def one(number: int) -> None:
        async with connect(f"ws://127.0.0.1:{port}{path}{number}", compression=None, ping_interval=None) as socket:
            if kind == "socketio":
                await socket.recv()
                await socket.send("40")
            while True:
                data = await socket.recv(decode=False)
                if kind == "lines":
                    lags.append(lag_ms(datetime.fromisoformat(data[31:63].decode())))

    async def run() -> float:
        tasks = [asyncio.ensure_future(one(number)) for number in range(feeds)]
        await asyncio.sleep(min(2.0, seconds))  # they connect
        cpu, wall = time.process_time(), time.perf_counter()
        await asyncio.sleep(seconds)
        share = (time.process_time() - cpu) / (time.perf_counter() - wall)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return share

    return asyncio.run(run())


def followed(folder: Path, port: int, kind: str, feeds: int, seconds: float) -> dict[str, float]:
    """What sessions take that record."""
    threads, open_before = threading.active_count(), handles()
    scheme = "socketio+ws" if kind == "socketio" else "ws"
    urls = [f"{scheme}://127.0.0.1:{port}/{'socket.io/' if kind == 'socketio' else 'feed'}?n={n}" for n in range(feeds)]
    recorder = rl.Recorder(folder, overflow="refuse", settings=settings())
    sessions = open_sessions(LiveSession, urls, recorder)
    sessions.start()
    sessions.wait(["live", "stale"], timeout=60)  # type: ignore[arg-type]
    time.sleep(min(2.0, seconds))
    lags: list[float] = []
    ends = (
        []
        if kind == "socketio"
        else [one.on("tick", lambda tick: lags.append(lag_ms(tick.timestamp))) for one in sessions]
    )
    cpu, wall = time.process_time(), time.perf_counter()
    time.sleep(seconds)
    share = (time.process_time() - cpu) / (time.perf_counter() - wall)
    found = {
        "share": share,
        "threads": threading.active_count() - threads,
        "handles": handles() - open_before,
        "lag_ms": statistics.quantiles(lags, n=100)[98] if lags else float("nan"),
    }
    for end in ends:
        end()
    begin = time.perf_counter()
    sessions.stop()
    recorder.stop()
    return found | {"stop_s": time.perf_counter() - begin}


def main() -> None:
    """Measure in turn, and print."""
    found = arguments(__doc__, feeds=50, seconds=20)
    feeds, seconds = (5, 1.0) if found.quick else (found.feeds, float(found.seconds))
    kinds = ["lines"]
    with workshop() as folder:
        path = folder / "frames.json"
        if SOCKET.is_file():
            kinds.append("socketio")
            told = [json.loads(line)["data"] for line in SOCKET.read_text().splitlines()]
            path.write_text(json.dumps(told))
        rows = []
        for kind in kinds:
            bare, shares = [], []
            lags: list[float] = []
            with servers(kind, path, 4.0) as port:
                for number in range(1 if found.quick else 2):
                    bare.append(received(port, kind, feeds, seconds, lags))
                    made = followed(folder / f"{kind}{number}", port, kind, feeds, seconds)
                    shares.append(made["share"])
            rows.append(
                [
                    f"{feeds} feeds, {kind}",
                    100 * min(bare),
                    100 * min(shares),
                    made["threads"],
                    made["handles"],
                    statistics.quantiles(lags, n=100)[98] if lags else float("nan"),
                    made["lag_ms"],
                    made["stop_s"],
                ]
            )
            ratio = Ratio.of(bare, shares)
            print_ratio(f"many_feeds {kind}", ratio, "CPU of receiving alone against following and recording")
    names = [
        "feeds",
        "receive alone, % of a core",
        "% of a core",
        "threads",
        "handles",
        "p99 to bare, ms",
        "p99 to recorder, ms",
        "stop, s",
    ]
    print_table("Many feeds, four ticks a second each", names, rows)


if __name__ == "__main__":
    main()
