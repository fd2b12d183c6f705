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
from replaylab.playback import pacer
from replaylab.playback.engine import ReplayEngine
from tests.playing import Log, engine_threads, game, tick, until

LONG = 60  # seconds that nothing here takes: what is over before was not waited out


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
    assert until(lambda: not engine_threads(before))


def test_idle_engines_have_no_thread_and_playing_ones_one(before: list[threading.Thread]) -> None:
    """Ten engines start no thread; playing, each has one, a named daemon; paused, none."""
    engines = [ReplayEngine(game(100), speed=0.1) for _ in range(10)]
    assert not engine_threads(before)
    for one in engines:
        assert one.play()
        assert one.play()
    alive = engine_threads(before)
    assert len(alive) == 10
    assert all(thread.daemon for thread in alive)
    for one in engines:
        assert one.pause()
    assert until(lambda: not engine_threads(before))


def test_a_live_engine_has_no_thread(before: list[threading.Thread]) -> None:
    """Following a live game needs none: ticks are shown by the thread that pushes them."""
    with ReplayEngine() as live:
        for number in range(100):
            live.push(tick(number))
        assert not engine_threads(before)


@pytest.mark.parametrize("speed", [0.1, 1, 100, FASTEST])
def test_pause_is_final_at_any_speed(engine: ReplayEngine, speed: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a pause no tick comes, at any speed."""
    monkeypatch.setattr(pacer, "_PATIENCE", LONG)  # under load a short callback may outlast the patience of pause
    rows: list[int] = []
    engine.speed = speed
    engine.set_loop(0, 9_999)  # it would play for ever
    engine.on("tick", lambda step: rows.append(step.index))
    for _ in range(5):
        engine.seek(0)
        engine.play()
        time.sleep(0.01)
        engine.pause()
        shown = len(rows)
        time.sleep(0.03)
        assert len(rows) == shown


@pytest.mark.parametrize("control", ["pause", "stop", "close"])
def test_a_thread_that_waits_for_the_next_tick_is_woken(before: list[threading.Thread], control: str) -> None:
    """However long the step, pause, stop and close end the thread at once: it does not wait the step out."""
    waits, woken = threading.Event(), threading.Event()

    def wait(changed: threading.Event, _seconds: float) -> None:
        waits.set()
        if changed.wait(LONG):
            woken.set()

    engine = ReplayEngine(game(100), speed=0.1, wait=wait)
    engine.play()
    assert waits.wait(LONG)
    getattr(engine, control)()
    assert woken.wait(LONG / 2)
    assert until(lambda: not engine_threads(before), LONG / 2)
    engine.close()


def test_pause_waits_for_the_callback_that_runs(engine: ReplayEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A callback that has begun has ended when pause returns, so that nothing is appended after it."""
    monkeypatch.setattr(pacer, "_PATIENCE", LONG)  # under load a short callback may outlast the patience of pause
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
        assert entered.wait(LONG)
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
    """A callback that pauses, stops or closes ends the thread that called it, without a deadlock."""
    called = threading.Event()

    def end(step: Any) -> None:
        if step.index == 3:
            getattr(engine, control)()
            called.set()

    engine.speed = 100
    engine.on("tick", end)
    engine.play()
    assert called.wait(LONG)
    assert until(lambda: not engine_threads(before))


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
    """No lock is held in callbacks: another thread's call returns while the callback waits for it."""
    engine.seek(5)
    returned: list[bool] = []

    def wait_for_another(_step: Any) -> None:
        if returned:
            return
        returned.append(False)
        other = threading.Thread(target=CALLS[inner], args=(engine,), daemon=True)
        other.start()
        other.join(LONG)
        returned[0] = not other.is_alive()

    engine.on("tick", wait_for_another)
    CALLS[outer](engine)
    assert returned == [True]


def test_a_callback_that_blocks_stalls_nobody(engine: ReplayEngine) -> None:
    """While a callback blocks, every control of another thread returns and takes effect."""
    entered, free, left = threading.Event(), threading.Event(), threading.Event()

    def block(_step: Any) -> None:
        entered.set()
        free.wait(LONG)
        left.set()

    engine.speed = 100
    handle = engine.on("tick", block)
    engine.play()
    assert entered.wait(LONG)
    for call in (engine.pause, lambda: engine.seek(70), engine.play, engine.stop, lambda: engine.status):
        call()
        assert not left.is_set()
    assert (engine.playing, engine.index) == (False, 0)
    handle.cancel()
    free.set()


def test_a_loop_without_callbacks_leaves_the_lock_to_others() -> None:
    """An A-B loop at no speed limit that nothing listens to plays for ever, and every control still returns."""
    engine = ReplayEngine(game(50), speed=FASTEST)
    engine.set_loop(3, 9)
    engine.play()
    calls = [lambda: engine.index, lambda: engine.status, lambda: engine.seek(5), engine.pause]
    other = threading.Thread(target=lambda: [call() for call in calls], daemon=True)
    other.start()
    other.join(LONG)
    assert not other.is_alive()
    assert not engine.playing
    engine.close()


def test_a_dropped_engine_stops_playing_and_is_collected(before: list[threading.Thread]) -> None:
    """Nobody holds it: its thread ends and its memory goes, though it was never paused or closed."""
    engine = ReplayEngine(game(1000), speed=0.1)
    engine.play()
    gone = weakref.ref(engine)
    del engine
    gc.collect()
    assert until(lambda: gone() is None)
    assert until(lambda: not engine_threads(before))


def test_real_time_is_waited_for() -> None:
    """By the clock of the machine no tick is early: the tick that is due after n steps comes then, or later."""
    engine = ReplayEngine(game(51), speed=50)
    begin = time.monotonic()
    came: list[float] = []
    engine.on("tick", lambda _step: came.append(time.monotonic() - begin))
    assert engine.run() == 51
    assert all(seconds >= row * 0.25 / 50 for row, seconds in enumerate(came))


def test_run_takes_over_from_a_playing_thread(engine: ReplayEngine, before: list[threading.Thread]) -> None:
    """A run while a thread plays goes on in the caller's thread; every row is still shown once, in order."""
    log = Log(engine, "tick")
    engine.speed = 100
    engine.play()
    time.sleep(0.02)
    engine.run(FASTEST)
    assert log.rows == list(range(10_000))
    assert until(lambda: not engine_threads(before))


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
