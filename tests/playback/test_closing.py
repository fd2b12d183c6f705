"""What an engine leaves behind: no thread, no task, no open file, no object, however it ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

import replaylab as rl
from replaylab.clock import FASTEST
from replaylab.playback.engine import ReplayEngine
from replaylab.playback.event import Mode
from replaylab.playback.playlist import Playlist
from tests.playing import FakeTime, Log, game, tick, until
from tests.resources import Held, leaves_nothing_open
from tests.stores import quiet, simulated


@pytest.fixture
def store(tmp_path: Path) -> rl.Store:
    """A store of three games."""
    quiet(simulated(tmp_path), tmp_path / "store")
    return rl.open_store(tmp_path / "store")


@pytest.fixture
def before(store: rl.Store, caplog: pytest.LogCaptureFixture) -> Iterator[Held]:
    """What is held before the test, once everything that is imported late was imported; the same after it."""
    caplog.set_level(logging.CRITICAL, logger="replaylab")  # pytest would keep what is logged, and all that it knows
    with ReplayEngine(Playlist(store), speed=FASTEST) as warm:
        warm.run()
    del warm
    with leaves_nothing_open():
        held = Held.now()
        yield held
        gc.collect()


def is_gone(engine: weakref.ref[ReplayEngine]) -> bool:
    """Whether an engine has been collected."""
    return engine() is None


async def become(true: Callable[[], bool]) -> None:
    """Wait until something is so; what is garbage is collected meanwhile."""
    async with asyncio.timeout(60):
        while not true():
            gc.collect()
            await asyncio.sleep(0.01)


def close(engine: ReplayEngine) -> None:
    """Close it as it stands."""
    engine.close()


def close_while_playing(engine: ReplayEngine) -> None:
    """Close it in the middle of a game that plays in a thread."""
    engine.speed = 0.1
    engine.play()
    engine.close()


def close_in_a_callback(engine: ReplayEngine) -> None:
    """Let a callback close it, in the thread that plays."""
    closed = threading.Event()

    def end(_step: object) -> None:
        ref.close()
        closed.set()

    ref = weakref.proxy(engine)
    engine.on("tick", end)
    engine.play()
    assert closed.wait(60)


def close_beside_a_callback(engine: ReplayEngine) -> None:
    """Close it from another thread while a callback runs."""
    entered, free = threading.Event(), threading.Event()

    def block(_step: object) -> None:
        entered.set()
        assert free.wait(60)

    engine.on("tick", block)
    engine.play()
    assert entered.wait(60)
    engine.close()
    free.set()


def close_after_an_error(engine: ReplayEngine) -> None:
    """Let every callback raise, then close."""
    engine.on("tick", lambda _step: 1 / 0)
    engine.on("error", lambda _event: 1 / 0)
    engine.run(FASTEST)
    engine.close()


def leave_a_block(engine: ReplayEngine) -> None:
    """Leave its `with` block by an exception while it plays."""
    with contextlib.suppress(ZeroDivisionError), engine:
        engine.play()
        _ = 1 / 0
    assert engine.closed


def drop(engine: ReplayEngine) -> None:
    """Drop it, neither paused nor closed, while it plays."""
    engine.speed = 0.1
    engine.play()


def drop_after_live(engine: ReplayEngine) -> None:
    """Push a live game into it, look back, play, and drop it."""
    for number in range(300):
        engine.push(tick(number))
    engine.seek(engine.total // 2)
    engine.speed = 0.1
    engine.play()


WAYS = [
    close,
    close_while_playing,
    close_in_a_callback,
    close_beside_a_callback,
    close_after_an_error,
    leave_a_block,
    drop,
    drop_after_live,
]
IN_A_LOOP = [way for way in WAYS if way not in {close_in_a_callback, close_beside_a_callback}]  # they wait for a thread


@pytest.mark.parametrize("end", WAYS, ids=lambda end: end.__name__)
def test_nothing_is_left(end: Callable[[ReplayEngine], None], store: rl.Store, before: Held) -> None:
    """Of twenty engines with a stored game each, no thread, no file and no object stays."""
    gone = []
    for _ in range(20):
        engine = ReplayEngine(store.game(store.game_ids()[0]))
        end(engine)
        gone.append(weakref.ref(engine))
        del engine
    gc.collect()
    assert until(lambda: not [ref for ref in gone if ref() is not None])
    assert until(lambda: Held.now().threads <= before.threads)


@pytest.mark.parametrize("end", IN_A_LOOP, ids=lambda end: end.__name__)
def test_nothing_is_left_in_a_loop(end: Callable[[ReplayEngine], None], before: Held) -> None:
    """The same in a running event loop: no task, no timer, no thread."""

    async def watch() -> None:
        others = asyncio.all_tasks()
        gone = []
        for _ in range(20):
            engine = ReplayEngine(game(50))
            end(engine)
            gone.append(weakref.ref(engine))
            del engine
        await become(lambda: not [ref for ref in gone if ref() is not None])
        await become(lambda: asyncio.all_tasks() == others)
        await become(lambda: Held.now().threads <= before.threads)

    asyncio.run(watch())


def test_a_callback_that_closes_in_a_loop_leaves_no_task(before: Held) -> None:
    """Closed by its own callback, in a task of the loop, the task ends and the engine goes."""

    async def watch() -> None:
        others = asyncio.all_tasks()
        engine = ReplayEngine(game(50), speed=100)
        ref = weakref.proxy(engine)
        closed = asyncio.Event()
        engine.on("tick", lambda step: step.index == 5 and ref.close())
        engine.on("state", lambda event: closed.set() if event.reason == "closed" else None)
        engine.play()
        gone = weakref.ref(engine)
        await closed.wait()
        del engine
        await become(lambda: gone() is None)
        await become(lambda: asyncio.all_tasks() == others)

    asyncio.run(watch())
    assert until(lambda: Held.now().threads <= before.threads)


def test_iterations_leave_nothing(before: Held) -> None:
    """An `async for` to the end, one that is left, and one whose engine is closed in its body, leave no task."""

    async def watch() -> None:
        others = asyncio.all_tasks()
        for leave in ("end", "break", "close"):
            engine = ReplayEngine(game(50), speed=FASTEST)
            async for step in engine:
                if step.index == 5 and leave == "break":
                    break
                if step.index == 5 and leave == "close":
                    engine.close()
            gone = weakref.ref(engine)
            del engine, step
            await become(partial(is_gone, gone))
        await become(lambda: asyncio.all_tasks() == others)

    asyncio.run(watch())
    assert until(lambda: Held.now().threads <= before.threads)


def test_a_process_with_a_playing_engine_ends(tmp_path: Path) -> None:
    """A script that ends while an engine plays is not held up, and says nothing on its way out."""
    script = tmp_path / "script.py"
    script.write_text(
        "import replaylab as rl\n"
        "ticks = [rl.Tick(game_id='g', tick=n, timestamp='2031-01-02T03:04:05', price=1) for n in range(2)]\n"
        "engine = rl.ReplayEngine([*ticks, rl.Tick(game_id='g', tick=2, timestamp='2031-01-02T09:00:00', price=1)])\n"
        "engine.play()\nprint('over')\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=240, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "over\n", "")


def test_a_closed_engine_refuses_everything(clock: FakeTime) -> None:
    """After close nothing is held, nothing is taken and nothing is told; closing again changes nothing."""
    engine = clock.engine(game(9))
    log = Log(engine, "tick", "state", "push", "game_end")
    with engine:
        engine.step_forward()
    engine.close()
    told = len(log.told)
    assert log.told[-1][1].reason == "closed"
    assert not engine.push(tick(1))
    assert not any([engine.play(), engine.seek(1), engine.stop(), engine.reset(), engine.load(game(2))])
    assert (engine.run(), engine.closed, engine.total, engine.status.refused) == (0, True, 0, 1)
    assert len(log.told) == told


def test_dropped_engines_are_collected() -> None:
    """Fifty engines that nobody holds any more are gone, with their games, though none was closed."""
    kept = []
    for _ in range(50):
        engine = ReplayEngine(game(5))
        engine.on("tick", print)
        engine.push(tick(1))
        kept.append(weakref.ref(engine))
    del engine
    gc.collect()
    assert not [ref for ref in kept if ref() is not None]


def test_the_status_is_plain_and_true(clock: FakeTime) -> None:
    """One call gives numbers, flags and names that agree with what can be asked one by one."""
    engine = clock.engine(game(10))
    engine.seek(4)
    seen = engine.status
    assert (seen.mode, seen.game_id, seen.index, seen.total, seen.tick) == (Mode.FILE, "g", 4, 10, 4)
    assert (seen.progress, seen.playing, seen.speed, seen.closed) == (0.5, False, 1.0, False)
    assert repr(engine) == "ReplayEngine(file, game 'g', row 4 of 10)"
