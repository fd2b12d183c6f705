"""The engine inside a running event loop: a task instead of a thread, and the loop is never blocked."""

from __future__ import annotations

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from replaylab.clock import FASTEST
from replaylab.playback.engine import ReplayEngine
from replaylab.playback.event import Step
from replaylab.playback.pacer import Pacer
from replaylab.playback.playlist import Playlist
from replaylab.playback.transport import Transport
from tests.playing import FakeTime, Log, engine_threads, game, tick


def play(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine, with an end to it."""
    return asyncio.run(asyncio.wait_for(coroutine, 300))


def playing_tasks() -> list[str]:
    """Names of the tasks of engines in this loop."""
    return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("ReplayEngine")]


@pytest.mark.parametrize("speed", [100, FASTEST])
def test_async_for_gives_every_tick_once(speed: float) -> None:
    """The loop body gets every tick in order, after the callbacks, and ends with the game."""

    async def watch() -> tuple[list[int], list[int]]:
        engine = ReplayEngine(game(60), speed=speed)
        log = Log(engine, "tick")
        seen = []
        async for step in engine:
            assert log.rows[-1] == step.index
            seen.append(step.index)
        return seen, log.rows

    seen, told = play(watch())
    assert seen == told == list(range(60))


def test_play_uses_a_task_and_no_thread() -> None:
    """In a loop, play starts no thread; callbacks run in the loop's thread, and the task ends with the game."""

    async def watch() -> None:
        before = engine_threads()
        engine = ReplayEngine(game(200), speed=100)
        threads: set[int] = set()
        ended = asyncio.Event()
        engine.on("tick", lambda _: threads.add(threading.get_ident()))
        engine.on("game_end", lambda _: ended.set())
        assert engine.play()
        assert not engine_threads(before)
        await ended.wait()
        assert threads == {threading.get_ident()}
        await asyncio.sleep(0.05)
        assert not playing_tasks()

    play(watch())


def test_the_loop_is_not_blocked() -> None:
    """While one engine plays as fast as possible and one in time, the rest of the loop goes on and can push."""

    async def watch() -> tuple[int, int, int]:
        fast = ReplayEngine(game(300), speed=FASTEST)
        slow = ReplayEngine(game(30_000), speed=20)
        live = ReplayEngine()
        fast.on("tick", lambda _step: time.sleep(0.002))
        fast.play()
        slow.play()
        number = 0
        while fast.playing:
            live.push(tick(number, number * 0.25))
            number += 1
            await asyncio.sleep(0)
        found = fast.index, number, live.index
        for one in (fast, slow, live):
            one.close()
        return found

    last, turns, newest = play(watch())
    assert last == 299
    assert turns >= 300 / 10
    assert newest == turns - 1


def test_as_fast_as_possible_leaves_the_loop_its_turns() -> None:
    """At no speed limit the rest of the loop has its turn every few ticks when callbacks take their time."""

    async def scene() -> tuple[int, int]:
        engine = ReplayEngine(game(300), speed=FASTEST)
        turns = 0
        with engine.on("tick", lambda _step: time.sleep(0.002)):
            engine.play()
            while engine.playing:
                await asyncio.sleep(0)
                turns += 1
        return turns, engine.index

    turns, index = play(scene())
    assert index == 299
    assert turns >= 300 / 10


def test_pause_inside_the_loop_body_and_from_a_thread() -> None:
    """A body that pauses gets no further tick until somebody plays on; nothing is lost or doubled."""

    async def watch() -> tuple[list[int], int]:
        engine = ReplayEngine(game(40), speed=FASTEST)
        seen: list[int] = []
        paused_at = -1
        async for step in engine:
            seen.append(step.index)
            if step.index == 10:
                engine.pause()
                await asyncio.sleep(0.05)
                paused_at = engine.index
                threading.Timer(0.05, engine.play).start()
        return seen, paused_at

    seen, paused_at = play(watch())
    assert seen == list(range(40))
    assert paused_at == 10


def test_a_live_game_can_be_iterated() -> None:
    """Pushed from a thread, every tick reaches the loop body in order, until the engine is closed."""

    async def watch() -> list[int]:
        engine = ReplayEngine()
        seen: list[int] = []

        def feed() -> None:
            for number in range(200):
                engine.push(tick(number))
                time.sleep(0.0005)
            while len(seen) < 200:
                time.sleep(0.001)
            engine.close()

        feeder = threading.Thread(target=feed)
        steps = aiter(engine)
        feeder.start()
        async for step in steps:  # the feeder looks at what has come so far
            seen.append(step.tick)  # noqa: PERF401
        feeder.join()
        return seen

    assert play(watch()) == list(range(200))


def test_a_playlist_is_iterated_through() -> None:
    """An iteration goes from one game to the next, and ends after the last."""

    async def watch() -> list[str]:
        engine = ReplayEngine(Playlist([game(2, name="A"), "broken", game(2, name="B")]), speed=FASTEST)
        return [step.game_id async for step in engine]

    assert play(watch()) == ["A", "A", "B", "B"]


def test_leaving_the_loop_body_leaves_no_task() -> None:
    """Breaking out, then closing, leaves no task and no timer that would keep the loop or the engine."""

    async def watch() -> weakref.ref[ReplayEngine]:
        engine = ReplayEngine(game(40), speed=100)
        async for step in engine:
            if step.index == 5:
                break
        engine.close()
        await asyncio.sleep(0)
        assert not playing_tasks()
        return weakref.ref(engine)

    gone = play(watch())
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("closing", [True, False])
def test_a_loop_body_left_early_pauses_the_engine(closing: bool) -> None:  # noqa: FBT001
    """After a break, or aclose, nobody drives: the engine is paused, and goes on with the next row when asked."""

    async def watch() -> ReplayEngine:
        engine = ReplayEngine(game(40), speed=FASTEST)
        steps = aiter(engine)
        async for step in steps:
            if step.index == 5:
                break
        if closing:
            await steps.aclose()
        del steps
        await asyncio.sleep(0.01)
        assert not engine.playing
        return engine

    engine = play(watch())
    log = Log(engine, "tick")
    engine.run()
    assert log.rows == list(range(6, 40))


def test_a_loop_that_ends_pauses_what_it_played() -> None:
    """When the loop is over, its engine is paused, and plays on in a thread."""
    engine = ReplayEngine(game(2000), speed=10)

    async def begin() -> None:
        engine.play()
        await asyncio.sleep(0.05)

    play(begin())
    assert not engine.playing
    shown = engine.index
    engine.run(FASTEST)
    assert engine.index == 1999 > shown
    engine.close()


def test_a_dropped_engine_ends_its_task() -> None:
    """An engine that plays in a task and that nobody holds is collected, and the task ends."""

    async def watch() -> None:
        engine = ReplayEngine(game(2000), speed=0.1)
        engine.play()
        await asyncio.sleep(0.02)
        gone = weakref.ref(engine)
        del engine
        gc.collect()
        await asyncio.sleep(0.05)
        assert gone() is None
        assert not playing_tasks()

    play(watch())


def test_async_for_takes_steps_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """At no speed limit, rows at which nothing happens are not fetched one by one: 5,000 rows take under 100 turns."""
    turns: list[int] = []
    whole = Pacer.turn

    def turn(pacer: Pacer, *how: Any) -> float | None:
        turns.append(1)
        return whole(pacer, *how)

    monkeypatch.setattr(Pacer, "turn", turn)

    async def watch() -> list[int]:
        return [step.index async for step in ReplayEngine(game(5_000), speed=FASTEST)]

    assert play(watch()) == list(range(5_000))
    assert len(turns) < 100


def test_the_engine_stands_where_the_loop_body_is() -> None:
    """In the loop body index, status, view, current and progress are those of its step, batches or not."""

    async def watch() -> None:
        engine = ReplayEngine(game(300), speed=FASTEST)
        async for step in engine:
            if step.index % 7 == 0:
                row = step.index
                assert (engine.index, engine.status.index, len(engine.view())) == (row, row, row + 1)
                assert engine.current == step
                assert engine.progress == pytest.approx(step.progress)
                assert (engine.at_start, engine.at_end) == (row == 0, row == 299)

    play(watch())


def test_the_index_read_from_a_thread_while_steps_are_taken_ahead_is_that_of_the_loop_body(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between the moment the cursor has moved and that in which the steps taken are known, nothing else is read."""
    take, read, shown = Transport.take_ahead, list[tuple[int, int]](), [0]
    engine = ReplayEngine(game(300), speed=FASTEST)
    threads: list[threading.Thread] = []

    def taking(transport: Transport, most: int) -> list[Step]:
        before = shown[0]
        taken = list(take(transport, most))
        threads.append(threading.Thread(target=lambda: read.append((before, engine.index))))
        threads[-1].start()
        threads[-1].join(0.05)  # it waits for the lock; without one it would have read by then
        return taken

    monkeypatch.setattr(Transport, "take_ahead", taking)

    async def loop() -> None:
        async for step in engine:
            shown[0] = step.index
            if threads:
                threads.pop().join(60)

    asyncio.run(loop())
    engine.close()
    assert len(read) > 1
    assert all(index <= before + 2 for before, index in read), read


def test_a_callback_added_in_the_loop_body_gets_every_later_tick() -> None:
    """A subscription made in the middle of a batch begins with the next row, and still comes before the body."""

    async def watch() -> list[int]:
        engine = ReplayEngine(game(300), speed=FASTEST)
        told: list[int] = []
        async for step in engine:
            if step.index == 100:
                engine.on("tick", lambda step: told.append(step.index))
            if step.index > 100:
                assert told[-1] == step.index
        return told

    assert play(watch()) == list(range(101, 300))


CONTROLS: dict[str, tuple[Callable[[Any], object], list[int]]] = {
    "seek": (lambda engine: engine.seek(250), [*range(101), *range(250, 300)]),
    "step back": (lambda engine: engine.step_backward(), [*range(101), 99, *range(100, 300)]),
    "step on": (lambda engine: engine.step_forward(), list(range(300))),
    "speed": (lambda engine: setattr(engine, "speed", 100), list(range(300))),
    "load": (lambda engine: engine.load(game(5)) and engine.play(), [*range(101), *range(5)]),
    "pause and play": (lambda engine: engine.pause() and engine.play(), list(range(300))),
    "close": (lambda engine: engine.close(), list(range(101))),
    "another iteration": (aiter, list(range(101))),
    "loop": (
        lambda engine: engine.set_loop(98, 100) and engine.on("seek", lambda _: engine.clear_loop()),
        [*range(101), *range(98, 300)],
    ),
}


@pytest.mark.parametrize("control", CONTROLS)
def test_a_control_in_the_loop_body_holds_from_the_next_step_on(control: str) -> None:
    """Whatever the body does in the middle of a batch, the next step is the one that follows from it."""
    call, expected = CONTROLS[control]

    async def watch() -> list[int]:
        engine = ReplayEngine(game(300), speed=FASTEST)
        seen: list[int] = []
        kept: list[object] = []
        async for step in engine:
            seen.append(step.index)
            if step.index == 100 and not kept:
                kept.append(call(engine))
        return seen

    assert play(watch()) == expected


def test_a_live_tick_in_the_middle_of_a_batch_ends_the_stored_game() -> None:
    """What was taken ahead of a stored game is not shown after a live tick has replaced that."""

    async def watch() -> list[tuple[str, int]]:
        engine = ReplayEngine(game(300), speed=FASTEST)
        seen = []
        async for step in engine:
            seen.append((step.game_id, step.index))
            if step.game_id == "g" and step.index == 100:
                engine.push(tick(0, game="live"))
            if step.game_id == "live":
                engine.close()
        return seen

    assert play(watch()) == [*(("g", row) for row in range(101)), ("live", 0)]


def test_pausing_and_playing_from_a_thread_loses_and_doubles_nothing() -> None:
    """While a loop body runs, a thread pauses, plays, and subscribes: every row comes once and in order."""

    async def watch() -> list[int]:
        engine = ReplayEngine(game(30_000), speed=FASTEST)
        seen: list[int] = []
        over = threading.Event()

        def disturb() -> None:
            while not over.is_set():
                engine.pause()
                with engine.on("tick", lambda _step: None):
                    engine.play()
                assert engine.index >= -1

        other = threading.Thread(target=disturb)
        steps = aiter(engine)
        other.start()
        try:
            seen.extend([step.index async for step in steps])
        finally:
            over.set()
            other.join()
        return seen

    assert play(watch()) == list(range(30_000))


def test_a_slow_loop_body_leaves_the_loop_its_turns() -> None:
    """Steps are taken in small batches where the body is slow, so that the rest of the loop has its turn."""

    async def watch() -> tuple[int, int]:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        beside = asyncio.create_task(others())
        rows = 0
        async for _step in ReplayEngine(game(200), speed=FASTEST):
            rows += 1
            time.sleep(0.003)  # noqa: ASYNC251  it is the slow body
        beside.cancel()
        return rows, turns

    rows, turns = play(watch())
    assert rows == 200
    assert turns >= rows / 10


def test_time_goes_on_from_the_row_where_a_loop_body_was_left(clock: FakeTime) -> None:
    """After a break in the middle of a batch the rest takes its time, counted from the row that was shown last."""

    async def watch() -> ReplayEngine:
        engine = clock.engine(game(40), speed=FASTEST)
        steps = aiter(engine)
        async for step in steps:
            if step.index == 20:
                break
        await steps.aclose()
        return engine

    engine = play(watch())
    engine.speed = 1
    begin = clock.at
    assert engine.run() == 19
    assert clock.at - begin == pytest.approx(19 * 0.25)
