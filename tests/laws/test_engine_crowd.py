"""Laws of the engine among threads: 500 random calls from each of four, and what must hold whatever they were."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from replaylab.clock import FASTEST
from replaylab.playback.driver import TaskDriver
from replaylab.playback.engine import ReplayEngine
from replaylab.playback.event import Mode
from replaylab.playback.pacer import Pacer
from replaylab.playback.transport import Transport
from tests.playing import Log, engine_threads, game, tick, until


class Crowd(RuleBasedStateMachine):
    """Four threads with 500 calls each, drawn from one seed, on one engine in real time."""

    @rule(seed=st.integers(0, 2**32 - 1))
    def call_at_random(self, seed: int) -> None:
        """No exception, no deadlock, no stray thread; every tick told is whole, and what was told is in order."""
        crowd(seed)


TestCrowd = Crowd.TestCase
TestCrowd.settings = settings(max_examples=3, stateful_step_count=2, deadline=None)


def crowd(seed: int, end_seconds: float = 60.0) -> None:
    """Let four threads call 500 controls each, with a close near the end, and check what must hold.

    The threads of the engine are given `end_seconds` to end.
    """
    before = engine_threads()
    engine = ReplayEngine(game(200, rug=True), ring_ticks=50, speed=100)
    log = Log(engine, "tick", "seek", "game_start", "game_end", "rug", "error")
    failures: list[BaseException] = []
    inside = threading.Lock()
    overlaps: list[int] = []

    def alone(step: Any) -> None:
        if not inside.acquire(blocking=False):
            overlaps.append(step.index)
            return
        time.sleep(0)  # let the other threads come in between
        inside.release()

    engine.on("tick", alone)

    def work(number: int) -> None:
        chance = random.Random(seed * 4 + number)
        try:
            for call in range(500):
                act(engine, chance, last=call == 490)
        except BaseException as error:  # noqa: BLE001  whatever it is, the test must show it
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(60)
        assert not one.is_alive(), "a call never came back"
    engine.close()
    assert not failures
    assert not overlaps, "two callbacks ran at once"
    assert not log.of("error")
    assert until(lambda: not engine_threads(before), end_seconds), "a thread stayed"
    assert not engine.push(tick(1))
    in_order(log)


def in_order(log: Log) -> None:
    """Check that what was told makes sense: games start and end in turn, one rug each, ticks are neighbours or sought.

    In a live game a pause takes back what still waits for its callback, so there the cursor may stand a row before.
    """
    game_id, ended, rugged, at = None, True, False, -1
    for kind, value in log.told:
        if kind == "game_start":
            assert ended, "a game began before the one before it ended"
            game_id, ended, rugged, at = value.game_id, False, False, -1
        elif kind == "game_end":
            assert (value.game_id, ended) == (game_id, False), "a game ended twice, or another one"
            ended = True
        elif kind == "rug":
            assert not rugged, "a rug was told twice"
            rugged = True
        elif kind == "seek":
            at = value.step.index
        else:
            assert value.game_id == game_id, "a tick of a game that does not play"
            assert abs(value.index - at) <= 1 + (value.mode is Mode.LIVE), "a tick was left out"
            assert value.index < value.total
            assert value.mode is Mode.LIVE or value.tick == value.index, "a tick of another row"
            at = value.index


def act(engine: ReplayEngine, chance: random.Random, *, last: bool) -> None:
    """Call one control, drawn at random."""
    calls: list[Callable[[], object]] = [
        engine.play,
        engine.pause,
        engine.stop,
        engine.reset,
        engine.step_forward,
        engine.step_backward,
        engine.go_live,
        engine.clear_loop,
        lambda: engine.seek(chance.randrange(-5, 210)),
        lambda: engine.seek_tick(chance.randrange(-5, 210)),
        lambda: engine.seek_fraction(chance.random()),
        lambda: engine.set_loop(chance.randrange(100), chance.randrange(200)),
        lambda: setattr(engine, "speed", chance.choice([0.1, 1, 100, FASTEST])),
        lambda: engine.push(tick(chance.randrange(500), 0, game=f"live-{chance.randrange(3)}")),
        lambda: engine.load(game(50)),
        lambda: engine.status,
        lambda: engine.close() if last else None,
    ]
    chance.choice(calls)()


def _crowds(seeds: range, end_seconds: float) -> None:
    for seed in seeds:
        crowd(seed, end_seconds)


def _no_single_deliverer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let two threads deliver at once."""

    def drain(pacer: Pacer) -> None:
        pacer._deliverer = None
        whole(pacer)

    whole = Pacer._drain
    monkeypatch.setattr(Pacer, "_drain", drain)


def _rows_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the rows that can be divided by seven."""

    def arrive(stage: Transport, row: int, now: float | None, **how: Any) -> None:
        step_over = row % 7 == 0 and stage.track is not None and row + 3 < stage.track.stop
        whole(stage, row + 3 if step_over else row, now, **how)

    whole = Transport._arrive
    monkeypatch.setattr(Transport, "_arrive", arrive)


def _ends_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell the end of a game as often as it is reached."""

    def end(stage: Transport, reason: str) -> None:
        stage._ended = False
        whole(stage, reason)

    whole = Transport._end
    monkeypatch.setattr(Transport, "_end", end)


def _threads_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a thread that is not needed any more wait for ever."""
    whole = Pacer.turn

    def turn(pacer: Pacer, driver: Any, *most: int) -> float | None:
        seconds = whole(pacer, driver, *most)
        return 0.05 if seconds is None and not isinstance(driver, TaskDriver) else seconds

    monkeypatch.setattr(Pacer, "turn", turn)


@pytest.mark.parametrize(
    ("fault", "end_seconds", "noticed"),
    [
        (_no_single_deliverer, 60.0, None),
        (_rows_left_out, 60.0, None),
        (_ends_again, 60.0, None),
        (_threads_stay, 0.5, "a thread stayed"),  # it never ends, however long it is given
    ],
)
def test_a_broken_engine_is_noticed(
    fault: Callable[[pytest.MonkeyPatch], None], end_seconds: float, noticed: str | None
) -> None:
    """Each fault, put into the engine on purpose, breaks an invariant of the crowd: mostly of the first seeds."""
    with pytest.MonkeyPatch.context() as patch:
        fault(patch)
        with pytest.raises(AssertionError, match=noticed):
            _crowds(range(200), end_seconds)  # which threads meet is the scheduler's; a seed that notices ends it


@pytest.mark.parametrize("seed", range(3))
def test_four_threads_call_500_controls_each(seed: int) -> None:
    """Seeded, so that a failure can be repeated: whatever four threads call, nothing breaks and nothing stays."""
    crowd(seed)
