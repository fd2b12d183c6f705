"""Stall: from the socket to the recorder beside a bare receive, and how late the loop of the feeds is meanwhile.

The claims: accepted within 10 ms of being sent for 99 of 100, beside what a bare receive takes in the same run; a timer
of the loop at most 50 ms late while the recorder flushes, seals, and waits 1 s for the disk at each sync. `--rate` is
ticks a second.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import threading
import time
from contextlib import suppress
from pathlib import Path

import replaylab as rl
from benchmarks.live.many_feeds import lag_ms, received, servers
from benchmarks.measure import arguments, print_ratio, print_table, workshop
from replaylab.feeds.websocket import WebSocketFeed
from replaylab.sessions.loop import FEEDS
from replaylab.sessions.session import LiveSession
from replaylab.settings import Settings

BEAT_SECONDS = 0.01
KINDS = ("calm", "flushing", "sealing", "1 s a sync")


class Heart:
    """A timer on the loop of the feeds that notes how late it was."""

    def __init__(self) -> None:
        self.late_ms: list[float] = []
        self._beating = FEEDS.submit(self._beat())

    async def _beat(self) -> None:
        while True:
            due = time.perf_counter() + BEAT_SECONDS
            await asyncio.sleep(BEAT_SECONDS)
            self.late_ms.append(1000 * (time.perf_counter() - due))

    def stop(self) -> None:
        """Beat no more."""
        self._beating.cancel()


def followed(folder: Path, port: int, kind: str, seconds: float) -> tuple[list[float], list[float]]:
    """Milliseconds from the socket to the recorder, and how late the loop was."""
    seals = {"seal_ticks": 1_000} if kind == "sealing" else {}
    settings = Settings(min_free_start_bytes=0, min_free_bytes=0, **seals)  # type: ignore[arg-type]
    sync, ended, lags = os.fsync, threading.Event(), list[float]()

    def slow(descriptor: int) -> None:
        if not ended.is_set():
            time.sleep(1.0)
        sync(descriptor)

    with rl.Recorder(folder, overflow="refuse", settings=settings) as recorder:
        with LiveSession(WebSocketFeed(f"ws://127.0.0.1:{port}/feed?n=1"), to=recorder) as session:
            session.wait("live", timeout=30)
            time.sleep(min(1.0, seconds))
            session.on("tick", lambda tick: lags.append(lag_ms(tick.timestamp)))
            if kind == "1 s a sync":
                os.fsync = slow
            heart, end = Heart(), time.monotonic() + seconds
            while time.monotonic() < end:
                if kind == "flushing":
                    with suppress(TimeoutError):
                        recorder.flush()
                time.sleep(0.05)
            heart.stop()
            ended.set()
        os.fsync = sync
    return lags, heart.late_ms


def main() -> None:
    """Measure in turn, and print."""
    found = arguments(__doc__, rate=500, seconds=10)
    seconds = 0.3 if found.quick else float(found.seconds)
    rows = []
    worst_ms = 0.0
    with workshop() as folder, servers("lines", folder, float(found.rate)) as port:
        for number, kind in enumerate(KINDS):
            bare: list[float] = []
            received(port, "lines", 1, seconds, bare)
            lags, late = followed(folder / str(number), port, kind, seconds)
            p99 = [statistics.quantiles(values, n=100)[98] for values in (bare, lags, late)]
            worst_ms = max(worst_ms, p99[1])
            rows.append([kind, *(f"{value:.1f}" for value in p99), f"{max(late):.1f}", len(lags)])
    print_table(
        "milliseconds", ["recorder", "bare receive p99", "accepted p99", "loop late p99", "most", "ticks"], rows
    )
    print_ratio("stall", 10 / worst_ms, "10 ms over the slowest p99 from the socket to accepted")


if __name__ == "__main__":
    main()
