"""Feed cost: CPU a tick from the socket to the journal, against `Recorder.record` alone, in the same process.

The claims: one feed, one tick a frame, at most 2.3 times the CPU of `Recorder.record` alone; ten lines a frame at most
1.5 times; at least 30,000 ticks a second. The server is another process and is not counted.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import replaylab as rl
from benchmarks.measure import Ratio, arguments, print_ratio, print_table, workshop
from replaylab.feeds.websocket import WebSocketFeed
from replaylab.sessions.session import LiveSession
from replaylab.settings import Settings
from replaylab.tick import Tick

SENDER = """
import asyncio, sys
from websockets.asyncio.server import serve
from websockets.frames import Frame, Opcode

lines = open(sys.argv[1]).read().splitlines()
size = int(sys.argv[2])
texts = ["\\n".join(lines[n : n + size]) for n in range(0, len(lines), size)]
frames = [Frame(Opcode.TEXT, text.encode()).serialize(mask=False) for text in texts]

async def send(connection):  # encoded before, so that the server is never the slower of the two
    for n in range(0, len(frames), 50):
        connection.transport.write(b"".join(frames[n : n + 50]))
        await connection.drain()
    await connection.send('{"type": "end", "reason": "finished"}')
    await connection.close()

async def main():
    async with serve(send, "127.0.0.1", 0, compression=None) as server:
        print(server.sockets[0].getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


def ticks(count: int) -> list[Tick]:
    """Ticks of games, four a second, with prices of 17 digits."""
    start = datetime(2031, 1, 2, tzinfo=UTC)
    return [
        Tick(
            game_id=f"20310102-{number // 250:016x}",
            tick=number % 250,
            timestamp=start + timedelta(milliseconds=250 * number),
            price=Decimal(10**16 + number * 7919).scaleb(-16),
            phase="ACTIVE_GAMEPLAY",
            active=True,
            trade_count=number % 250,
        )
        for number in range(count)
    ]


@contextmanager
def sender(lines: Path, size: int) -> Iterator[int]:
    """A server in a process of its own that sends lines, so many a frame; yields its port."""
    command = [sys.executable, "-c", SENDER, str(lines), str(size)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        yield int(child.stdout.readline())
        child.stdin.close()
        child.wait(20)


def settings() -> Settings:
    """The numbers of a recorder, whatever is free on this disk."""
    return Settings(min_free_start_bytes=0, min_free_bytes=0)


def recorded(folder: Path, given: list[Tick]) -> float:
    """CPU seconds of `Recorder.record` alone."""
    with rl.Recorder(folder, settings=settings()) as recorder:
        begin = time.process_time()
        for tick in given:
            recorder.record(tick)
        return time.process_time() - begin


def followed(folder: Path, lines: Path, size: int, count: int) -> tuple[float, float]:
    """CPU and wall seconds of a session, from its connection to its end."""
    with sender(lines, size) as port, rl.Recorder(folder, overflow="refuse", settings=settings()) as recorder:
        session = LiveSession(WebSocketFeed(f"ws://127.0.0.1:{port}/feed"), to=recorder)
        cpu, wall = time.process_time(), time.perf_counter()
        session.start().wait("closed", timeout=300)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        session.stop()
        assert session.status().recorded == count
    return cpu, wall


def main() -> None:
    """Measure in turn, and print."""
    found = arguments(__doc__)
    count = 2_000 if found.quick else 100_000
    given = ticks(count)
    alone: list[float] = []
    feeds: dict[int, list[tuple[float, float]]] = {1: [], 10: []}
    with workshop() as folder:
        lines = folder / "lines.jsonl"
        lines.write_bytes(b"\n".join(tick.to_line() for tick in given))
        for number in range(found.rounds + 1):
            alone.append(recorded(folder / f"alone{number}", given))
            for size, taken in feeds.items():
                taken.append(followed(folder / f"feed{size}-{number}", lines, size, count))
    alone = alone[1:]
    rows = [["Recorder.record alone", 1e6 * min(alone) / count, "-"]]
    for size, pairs in feeds.items():
        measured = pairs[1:]
        rate = count / min(wall for _, wall in measured)
        rows.append([f"feed, {size} a frame", 1e6 * min(cpu for cpu, _ in measured) / count, f"{rate:,.0f}"])
        ratio = Ratio.of(alone, [cpu for cpu, _ in measured])
        print_ratio(
            f"feed_cost {size} a frame", ratio, "CPU of Recorder.record alone against the feed; claims: 0.43, 0.67"
        )
    print_table("CPU a tick", ["way", "us", "ticks/s"], rows)


if __name__ == "__main__":
    main()
