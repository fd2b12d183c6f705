"""The engine among threads: one at most, gone soon, no lock held, no stall, whatever callbacks do."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from replaylab.clock import FASTEST
from replaylab.playback.engine import ReplayEngine
from tests.playing import Log, engine_threads, game, tick, until

SOON = 0.05  # seconds, the limit of the contract
NOISE = 0.1  # seconds that a busy machine may add to it


@pytest.fixture
def before() -> list[threading.Thread]:
    """Threads of engines that other tests left."""
    return engine_threads()


@pytest.fixture
def engine(before: list[threading.Thread]) -> Iterator[ReplayEngine]:
    """An engine with a game of 10,000 ticks; after the test its thread must be gone."""
    made = ReplayEngine(game(10_000))
    yield made
    made.close()
    assert until(lambda: not engine_threads(before), SOON + NOISE)


def test_idle_engines_have_no_thread_and_playing_ones_one(before: list[threading.Thread]) -> None:
    """Ten engines start no thread; playing, each has one, a named daemon; paused, none."""
    engines = [ReplayEngine(game(100)) for _ in range(10)]
    assert not engine_threads(before)
    for one in engines:
        assert one.play()
        assert one.play()
    alive = engine_threads(before)
    assert len(alive) == 10
    assert all(thread.daemon for thread in alive)
    for one in engines:
        assert one.pause()
    assert until(lambda: not engine_threads(before), SOON + NOISE)


def test_a_live_engine_has_no_thread(before: list[threading.Thread]) -> None:
    """Following a live game needs none: ticks are shown by the thread that pushes them."""
    with ReplayEngine() as live:
        for number in range(100):
            live.push(tick(number))
        assert not engine_threads(before)


@pytest.mark.parametrize("speed", [0.1, 1, 100, FASTEST])
def test_pause_is_quick_and_final_at_any_speed(engine: ReplayEngine, speed: float) -> None:
    """Pause returns within 50 ms, however long the step, and no tick comes after it."""
    rows: list[int] = []
    engine.speed = speed
    engine.set_loop(0, 9_999)  # it would play for ever
    engine.on("tick", lambda step: rows.append(step.index))
    for _ in range(5):
        engine.seek(0)
        engine.play()
        time.sleep(0.01)
        begin = time.perf_counter()
        engine.pause()
        took = time.perf_counter() - begin
        shown = len(rows)
        time.sleep(0.03)
        assert took < SOON + NOISE
        assert len(rows) == shown


def test_pause_waits_for_the_callback_that_runs(engine: ReplayEngine) -> None:
    """A callback that has begun has ended when pause returns, so that nothing is appended after it."""
    rows: list[int] = []
    entered = threading.Event()

    def slow(step: Any) -> None:
        entered.set()
        time.sleep(0.005)
        rows.append(step.index)

    engine.speed = 100
    engine.on("tick", slow)
    for _ in range(10):
        engine.play()
        assert entered.wait(10)
        engine.pause()
        shown = len(rows)
        time.sleep(0.01)
        assert (len(rows), rows[-1]) == (shown, engine.index)
        entered.clear()


def test_pausing_and_playing_never_leaves_two_threads(engine: ReplayEngine, before: list[threading.Thread]) -> None:
    """At the slowest speed, a hundred times pause and play in a row leave at most one thread at any moment."""
    engine.speed = 0.1
    for _ in range(100):
        engine.play()
        assert len(engine_threads(before)) <= 1
        engine.pause()
        assert len(engine_threads(before)) <= 1


@pytest.mark.parametrize("control", ["pause", "stop", "close"])
def test_the_thread_is_gone_soon_also_from_inside_a_callback(
    engine: ReplayEngine, before: list[threading.Thread], control: str
) -> None:
    """A callback that pauses, stops or closes ends the thread that called it, within 50 ms, without a deadlock."""
    called = threading.Event()

    def end(step: Any) -> None:
        if step.index == 3:
            getattr(engine, control)()
            called.set()

    engine.speed = 100
    engine.on("tick", end)
    engine.play()
    assert called.wait(10)
    assert until(lambda: not engine_threads(before), SOON + NOISE)


CALLS: dict[str, Callable[[ReplayEngine], object]] = {
    "push": lambda engine: engine.push(tick(99_999, game="other")),
    "step": lambda engine: engine.step_forward(),
    "seek": lambda engine: engine.seek(500),
    "seek by tick": lambda engine: engine.seek_tick(700),
    "load": lambda engine: engine.load(game(3, name="other")),
    "stop": lambda engine: engine.stop(),
    "pause": lambda engine: engine.pause(),
    "speed": lambda engine: setattr(engine, "speed", 2),
    "status": lambda engine: engine.status,
    "view": lambda engine: engine.view(),
    "close": lambda engine: engine.close(),
}


@pytest.mark.parametrize("inner", CALLS)
@pytest.mark.parametrize("outer", ["step", "seek by tick", "stop", "push"])
def test_a_callback_may_wait_for_another_thread_that_calls(engine: ReplayEngine, outer: str, inner: str) -> None:
    """No lock is held in callbacks: one that waits for another thread's call waits less than 100 ms for it."""
    engine.seek(5)
    stalls: list[float] = []

    def wait_for_another(_step: Any) -> None:
        if stalls:
            return
        stalls.append(10.0)
        begin = time.perf_counter()
        other = threading.Thread(target=CALLS[inner], args=(engine,))
        other.start()
        other.join(10)
        stalls[0] = time.perf_counter() - begin

    engine.on("tick", wait_for_another)
    CALLS[outer](engine)
    assert stalls[0] < 0.1 + NOISE


def test_a_callback_that_blocks_stalls_nobody(engine: ReplayEngine) -> None:
    """While a callback blocks, every control of another thread returns within 50 ms and takes effect."""
    entered, free = threading.Event(), threading.Event()

    def block(_step: Any) -> None:
        entered.set()
        assert free.wait(10)

    engine.speed = 100
    handle = engine.on("tick", block)
    engine.play()
    assert entered.wait(10)
    for call in (engine.pause, lambda: engine.seek(70), engine.play, engine.stop, lambda: engine.status):
        begin = time.perf_counter()
        call()
        assert time.perf_counter() - begin < SOON + NOISE
    assert (engine.playing, engine.index) == (False, 0)
    handle.cancel()
    free.set()


def test_a_dropped_engine_stops_playing_and_is_collected(before: list[threading.Thread]) -> None:
    """Nobody holds it: its thread ends and its memory goes, though it was never paused or closed."""
    engine = ReplayEngine(game(1000), speed=0.1)
    engine.play()
    gone = weakref.ref(engine)
    del engine
    gc.collect()
    assert until(lambda: gone() is None, 5)
    assert until(lambda: not engine_threads(before), 5)


def test_ticks_come_at_their_time() -> None:
    """In real time, 100 ticks at 50 times the speed end when they should."""
    engine = ReplayEngine(game(101), speed=50)
    begin = time.perf_counter()
    assert engine.run() == 101
    assert time.perf_counter() - begin == pytest.approx(0.5, abs=NOISE)


def test_run_takes_over_from_a_playing_thread(engine: ReplayEngine, before: list[threading.Thread]) -> None:
    """A run while a thread plays goes on in the caller's thread; every row is still shown once, in order."""
    log = Log(engine, "tick")
    engine.speed = 100
    engine.play()
    time.sleep(0.02)
    engine.run(FASTEST)
    assert log.rows == list(range(10_000))
    assert until(lambda: not engine_threads(before), SOON + NOISE)


def test_run_inside_a_callback_changes_nothing(engine: ReplayEngine) -> None:
    """A callback that calls run does not stop the playback that called it."""
    engine.speed = FASTEST
    log = Log(engine, "tick")
    runs: list[int] = []
    engine.on("tick", lambda step: runs.append(engine.run()) if step.index < 3 else None)
    assert engine.run() == 10_000
    assert runs == [0, 0, 0]
    assert log.rows == list(range(10_000))


def test_an_interrupt_in_a_callback_pauses_and_leaves_no_trace(engine: ReplayEngine) -> None:
    """A KeyboardInterrupt comes out of run; the engine is paused where it was and plays on when asked."""
    log = Log(engine, "tick")

    def interrupt(step: Any) -> None:
        if step.index == 7:
            raise KeyboardInterrupt

    handle = engine.on("tick", interrupt)
    with pytest.raises(KeyboardInterrupt):
        engine.run(FASTEST)
    assert (engine.playing, engine.index) == (False, 7)
    handle.cancel()
    engine.run()
    assert log.rows == list(range(10_000))


def test_a_game_loaded_by_the_end_of_another_is_played_by_the_same_thread(before: list[threading.Thread]) -> None:
    """A callback of the end that loads and plays goes on, with one thread, in order."""
    engine = ReplayEngine(game(50, name="A"), speed=FASTEST)
    log = Log(engine, "game_start", "game_end")
    names = iter("BC")
    most: list[int] = []

    def load_another(_event: Any) -> None:
        most.append(len(engine_threads(before)))
        if name := next(names, None):
            engine.load(game(50, name=name))
            engine.play()

    engine.on("game_end", load_another)
    engine.play()
    assert until(lambda: len(log.told) == 6)
    assert [event.game_id for _, event in log.told] == list("AABBCC")
    assert max(most) <= 1
    engine.close()
