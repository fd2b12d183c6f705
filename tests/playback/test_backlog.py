"""Live ticks and slow callbacks: what waits is bounded, told in order, and counted where it is left out."""

from __future__ import annotations

import gc
import threading
import tracemalloc
from typing import Any

from replaylab.playback.engine import ReplayEngine
from tests.playing import Log, tick, until


def test_a_blocked_callback_bounds_what_waits_for_it() -> None:
    """While a callback blocks, pushes go on at once; what does not fit is counted, told, and order is kept."""
    engine = ReplayEngine(ring_ticks=10)
    free, entered = threading.Event(), threading.Event()
    shown: list[int] = []
    errors: list[Any] = []

    def block(step: Any) -> None:
        entered.set()
        assert free.wait(10)
        shown.append(step.index)

    engine.on("tick", block)
    engine.on("error", errors.append)
    blocked = threading.Thread(target=lambda: engine.push(tick(0)))
    blocked.start()
    assert entered.wait(10)
    for number in range(1, 3000):
        assert engine.push(tick(number))
    assert (engine.status.missed, engine.status.waiting) == (2999 - 999, 1000)
    free.set()
    blocked.join(10)
    engine.push(tick(3000))
    assert shown == [*range(1000), 3000]
    assert "800 events wait for it" in errors[0].reason
    assert "2000 live ticks were left out" in errors[1].reason
    assert (len(errors), engine.status.waiting) == (2, 0)
    engine.close()


def test_a_warning_comes_once_until_it_is_better() -> None:
    """From 80 % of what may wait a warning is told, once; when callbacks kept up in between, once more."""
    engine = ReplayEngine(ring_ticks=100)
    errors: list[Any] = []
    engine.on("error", errors.append)
    for turn in (1, 2):
        free, entered = threading.Event(), threading.Event()

        def block(_step: Any, free: threading.Event = free, entered: threading.Event = entered) -> None:
            entered.set()
            assert free.wait(10)

        with engine.on("tick", block):
            blocked = threading.Thread(target=engine.push, args=(tick(1000 * turn, 0),))
            blocked.start()
            assert entered.wait(10)
            for number in range(1, 900):
                engine.push(tick(1000 * turn + number, 0))
            free.set()
            blocked.join(10)
        engine.push(tick(1000 * turn + 900, 0))
        assert [event.reason[:18] for event in errors] == ["a callback is slow"] * turn
    assert engine.status.missed == 0
    engine.close()


def test_close_tells_what_still_waits() -> None:
    """Ticks that were taken before a close are told before it, though a callback was slow; none is told after."""
    engine = ReplayEngine()
    log = Log(engine, "tick", "state")
    free, entered = threading.Event(), threading.Event()

    def slow(_step: Any) -> None:
        entered.set()
        assert free.wait(10)

    engine.on("tick", slow)
    blocked = threading.Thread(target=lambda: engine.push(tick(0)))
    blocked.start()
    assert entered.wait(10)
    for number in range(1, 50):
        engine.push(tick(number))
    engine.close()
    assert not engine.push(tick(50))
    free.set()
    blocked.join(10)
    assert log.rows == list(range(50))
    assert log.told[-1][1].reason == "closed"


def test_a_callback_may_push(engine: ReplayEngine) -> None:
    """What a callback pushes is told after what it was told, once, in order, to everybody."""
    log = Log(engine, "tick")
    engine.on("tick", lambda step: step.tick < 5 and engine.push(tick(step.tick + 1)))
    log_after = Log(engine, "tick")
    engine.push(tick(0))
    assert log.rows == log_after.rows == [0, 1, 2, 3, 4, 5]


def test_many_pushes_hold_no_more_than_the_ring() -> None:
    """After 25,000 pushes and after 100,000 an engine with callbacks holds the same, at most its ring."""
    engine = ReplayEngine(ring_ticks=5000)
    engine.on("tick", lambda step: step.price)
    engine.on("push", lambda _step: None)
    held = []
    for stop in (25_000, 100_000):
        for number in range(stop - 25_000, stop):
            engine.push(tick(number, number * 0.25))
        gc.collect()
        tracemalloc.start()
        for number in range(stop, stop + 2_000):
            engine.push(tick(number, number * 0.25))
        gc.collect()
        held.append(tracemalloc.get_traced_memory()[0])
        tracemalloc.stop()
        seen = engine.status
        assert (seen.ring_ticks, seen.waiting) == (5000, 0)
        assert seen.ring_bytes <= 1_000_000
    assert max(held) < 200_000  # ids and phases of new ticks take the place of old ones
    engine.close()


def test_pause_takes_back_what_was_not_shown() -> None:
    """Ticks that still wait for a slow callback are not shown after a pause; playing shows them, once."""
    engine = ReplayEngine()
    free, entered = threading.Event(), threading.Event()
    shown: list[int] = []

    def slow(step: Any) -> None:
        shown.append(step.index)
        entered.set()
        assert free.wait(10)

    engine.on("tick", slow)
    blocked = threading.Thread(target=lambda: engine.push(tick(0, 0)))
    blocked.start()
    assert entered.wait(10)
    for number in range(1, 5):
        engine.push(tick(number, 0))
    engine.pause()
    free.set()
    blocked.join(10)
    assert (shown, engine.index) == ([0], 0)
    engine.play()
    assert until(lambda: engine.status.following)
    assert shown == [0, 1, 2, 3, 4]
    engine.close()


def test_many_writers_lose_nothing() -> None:
    """Pushed from four threads, every tick is shown once, and rows are shown in the order of their rows."""
    engine = ReplayEngine(ring_ticks=50_000)
    shown: list[tuple[int, int]] = []
    engine.on("tick", lambda step: shown.append((step.index, step.tick)))

    def push(writer: int) -> None:
        for number in range(1000):
            engine.push(tick(writer * 1000 + number, 0))

    writers = [threading.Thread(target=push, args=(number,)) for number in range(4)]
    for one in writers:
        one.start()
    for one in writers:
        one.join(30)
    assert [index for index, _ in shown] == list(range(4000))
    assert sorted(number for _, number in shown) == list(range(4000))
    engine.close()
