"""Outage: how soon feeds are live again after the network, the server or its content was away, in real time.

The claims: live again within 12 s of the return, half of them within 8 s (of 20); a connection on which nothing comes
is stale after 10 +- 0.5 s and lost after 16 at most; a source that resumes lacks nothing. All feeds run side by side;
the server is a process of its own, stopped and killed as such. `--outage` is in seconds.
"""

from __future__ import annotations

import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import replaylab as rl
from benchmarks.live.feed_cost import settings
from benchmarks.measure import arguments, print_ratio, print_table, workshop
from replaylab.sessions.event import LiveEvent
from replaylab.sessions.opening import LiveSessions, open_sessions
from replaylab.sessions.session import LiveSession
from replaylab.testing import FaultProxy

LENGTH = 2_000  # ticks of a game
CHANGED = 10_000  # the first tick of the content that is served instead
SERVER = """
import sys
import replaylab as rl
server = rl.serve(sys.argv[1], port=int(sys.argv[2]))
print(server.port, flush=True)
sys.stdin.read()
server.stop()
"""


def made(folder: Path, feeds: int, first: int) -> Path:
    """A store of long games that run at the same time."""
    start = datetime(2031, 1, 2, tzinfo=UTC)
    with rl.Recorder(folder, settings=settings()) as recorder:
        for game in range(feeds):
            recorder.record_many(
                rl.Tick(
                    f"20310102-{game:016x}",
                    first + n,
                    start + timedelta(milliseconds=250 * n),
                    Decimal(10**16 + (game * LENGTH + n) * 7919).scaleb(-16),
                    active=True,
                )
                for n in range(LENGTH)
            )
    return folder


@contextmanager
def serving(store: Path, port: int = 0) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A server in a process of its own that is killed at the end; yields its port when it listens."""
    command = [sys.executable, "-c", SERVER, str(store), str(port)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        try:
            yield int(child.stdout.readline()), child
        finally:
            child.kill()


class Times:
    """When each session went into which state, and got its last tick."""

    def __init__(self, sessions: LiveSessions) -> None:
        self.states: list[list[tuple[float, str]]] = [[] for _ in sessions]
        self.ticks = [0.0 for _ in sessions]
        for number, session in enumerate(sessions):
            session.on("state", lambda event, number=number: self._state(number, event))
            session.on("tick", lambda _tick, number=number: self._tick(number))

    def _state(self, number: int, event: LiveEvent) -> None:
        self.states[number].append((time.monotonic(), str(event.state)))

    def _tick(self, number: int) -> None:
        self.ticks[number] = time.monotonic()

    def first(self, state: str, since: float) -> list[float] | None:
        """Seconds from a time to the first state of each session; None unless each has come to it."""
        found = [next((at - since for at, one in of if one == state and at >= since), None) for of in self.states]
        return None if None in found else [one for one in found if one is not None]


def wait(found: Callable[[], list[float] | None], seconds: float = 90) -> list[float]:
    """What comes at last; fails when it does not come."""
    end = time.monotonic() + seconds
    while (answer := found()) is None:
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)
    return answer


def row(name: str, seconds: list[float]) -> list[object]:
    """The least, the middle and the most."""
    return [name, min(seconds), statistics.median(seconds), max(seconds)]


def main() -> None:
    """Take away network and server in turn, and print how long each feed was away after their return."""
    found = arguments(__doc__, feeds=20, outage=5.0)
    feeds, outage = (3, 0.5) if found.quick else (found.feeds, found.outage)
    rows: list[list[object]] = []
    with workshop() as folder:
        source, changed = made(folder / "source", feeds, 0), made(folder / "changed", feeds, CHANGED)
        copy = folder / "copy"
        with serving(source) as (port, first), FaultProxy(port) as proxy:
            urls = [f"ws://127.0.0.1:{proxy.port}/feed?from=start&games=20310102-{n:016x}" for n in range(feeds)]
            recorder = rl.Recorder(copy, overflow="refuse", settings=settings())
            sessions = open_sessions(LiveSession, urls, recorder)
            times = Times(sessions)
            begin = time.monotonic()
            sessions.start()
            wait(lambda: times.first("live", begin))

            proxy.down = True
            proxy.cut()
            time.sleep(outage)
            proxy.down, back = False, time.monotonic()
            rows.append(
                row(f"network away for {outage:g} s: live again after", wait(lambda: times.first("live", back)))
            )

            if not found.quick:
                time.sleep(2)
                stopped = time.monotonic()
                first.send_signal(signal.SIGSTOP)
                wait(lambda: times.first("lost", stopped))
                for state in ("stale", "lost"):
                    seen = times.first(state, stopped) or []
                    since = [at + stopped - tick for at, tick in zip(seen, times.ticks, strict=True)]
                    rows.append(row(f"server stands still: {state} after the last tick", since))
                first.send_signal(signal.SIGCONT)
                back = time.monotonic()
                rows.append(row("server goes on: live again after", wait(lambda: times.first("live", back))))

            first.kill()
            first.wait()
            time.sleep(outage)
            with serving(source, port) as (_, second):
                back = time.monotonic()
                away = f"server killed, back after {outage:g} s: live again after"
                rows.append(row(away, wait(lambda: times.first("live", back))))
                time.sleep(1)
                second.kill()
            with serving(changed, port):
                back = time.monotonic()
                rows.append(row("changed content: live again after", wait(lambda: times.first("live", back))))
                time.sleep(1)
                sessions.stop()
                recorder.stop()
        ratio = compared(source, copy, rows, feeds)
    print_table(f"{feeds} feeds side by side, seconds", ["what", "least", "median", "most"], rows)
    print_ratio("outage kept", ratio, "ticks of the copy against those of the source up to its last; claim: 1")


def compared(source: Path, copy: Path, rows: list[list[object]], feeds: int) -> float:
    """Compare game by game up to the change of content; add what was missing, and the gaps by cause."""
    kept = expected = 0
    store = rl.open_store(copy)
    for game in rl.open_store(source):
        found = [one for one in store.game(game.id).ticks()["tick"].to_pylist() if one < CHANGED]
        assert len(set(found)) == len(found), "ticks are doubled"
        prices = game.ticks()["price"].to_pylist()[: len(found)]
        assert store.game(game.id).ticks()["price"].to_pylist()[: len(found)] == prices
        kept, expected = kept + len(found), expected + max(found) + 1
    gaps = store.gaps()
    for cause, of in gaps.groupby("cause"):
        rows.append([f"gaps a feed, {cause}: all, healed", len(of) / feeds, None, float(of["healed"].sum()) / feeds])
    return kept / expected


if __name__ == "__main__":
    main()
