"""Ring: pushes a second at several sizes, memory, and copies of the newest, against a deque and a ring that is copied.

The claims: a push costs the same from 1,000 to 100,000 ticks, at least 500,000 a second; 5,000 ticks take at most 1 MB.
"""

from __future__ import annotations

import tracemalloc
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from statistics import median
from typing import Any

from benchmarks.measure import Ratio, alternate, arguments, print_ratio, print_table
from replaylab.playback.engine import ReplayEngine
from replaylab.playback.ring import RingBuffer
from replaylab.tick import Tick


def ticks(count: int) -> list[Tick]:
    """Ticks with prices of 17 digits, as recorded."""
    return [
        Tick(
            game_id="20310102-0123456789ab4cde",
            tick=number,
            timestamp=f"2031-01-02T03:04:05.{number % 1_000_000:06}",
            price=Decimal(10**16 + number * 7919).scaleb(-16),
            phase="ACTIVE_GAMEPLAY",
            active=True,
            trade_count=number,
        )
        for number in range(count)
    ]


def pushing(push: Callable[[Tick], object], given: list[Tick], times: int) -> Callable[[], None]:
    """A run that pushes all ticks some times."""

    def run() -> None:
        for _ in range(times):
            for tick in given:
                push(tick)

    return run


def rates(given: list[Tick], rounds: int, times: int) -> None:
    """Pushes a second at several sizes."""
    table = []
    ours: dict[int, list[float]] = {}
    peers: dict[int, list[float]] = {}
    many = len(given) * times
    for size in (1_000, 5_000, 20_000, 100_000):
        ring, plain = RingBuffer(size), deque[Tick](maxlen=size)
        engine, heard = ReplayEngine(ring_ticks=size), ReplayEngine(ring_ticks=size)
        heard.on("tick", lambda _step: None)
        copied = deque[Tick](maxlen=size)
        few = given[: max(2, 200_000 // size)]

        def copy(tick: Tick, copied: deque[Tick] = copied) -> list[Tick]:
            copied.append(tick)
            return list(copied)

        for one in (ring.push, plain.append, copied.append, engine.push):
            pushing(one, given, size // len(given) + 1)()
        found = alternate(
            {
                "ring": pushing(ring.push, given, times),
                "engine": pushing(engine.push, given, times),
                "heard": pushing(heard.push, given, times),
                "deque": pushing(plain.append, given, times),
                "copied": pushing(copy, few, 1),
            },
            rounds,
        )
        ours[size], peers[size] = found["engine"], found["deque"]
        speeds = [many / median(found[name]) for name in ("ring", "engine", "heard", "deque")]
        table.append((f"{size:,}", *speeds, len(few) / median(found["copied"])))
    columns = ["size", "ring", "engine", "engine, one callback", "deque of ticks", "copied at each push"]
    print_table("pushes a second, ring full", columns, table)
    flat = Ratio.of(ours[1_000], ours[100_000])
    print_ratio("ring: push at 100,000", flat, "rate over that at 1,000")
    print_ratio("ring: push against copying", table[-1][2] / table[-1][5], "rate over copying, at 100,000")
    print_ratio(
        "ring: push against a deque", Ratio.of(peers[5_000], ours[5_000]), "a deque's seconds over ours, at 5,000"
    )


def held(fill: Callable[[], Any]) -> tuple[int, Any]:
    """Bytes that a filled thing holds, as Python measures them."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        thing = fill()
        return tracemalloc.get_traced_memory()[0] - before, thing
    finally:
        tracemalloc.stop()


def memory() -> None:
    """Bytes of 5,000 ticks."""

    def ring() -> RingBuffer:
        made = RingBuffer(5_000)
        for tick in ticks(6_000):
            made.push(tick)
        return made

    ours, made = held(ring)
    peer, _ = held(lambda: deque(ticks(6_000), maxlen=5_000))
    print_table(
        "bytes of 5,000 ticks", ["", "measured", "own account"], [("ring", ours, made.nbytes), ("deque", peer, None)]
    )
    print_ratio("ring: memory", peer / ours, "bytes of a deque over ours")


def main() -> None:
    """Measure, and print."""
    options = arguments(__doc__)
    given = ticks(500 if options.quick else 5_000)
    rates(given, options.rounds, 1 if options.quick else 10)
    memory()


if __name__ == "__main__":
    main()
