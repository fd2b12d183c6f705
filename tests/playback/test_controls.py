"""The controls of an engine with a stored game: play, pause, stop, step; time moves only when a test says so."""

from __future__ import annotations

import pytest

from replaylab.clock import FASTEST
from replaylab.errors import Unplayable
from replaylab.playback.event import Mode
from tests.playing import FakeTime, Log, game


def test_an_empty_engine_refuses_politely(clock: FakeTime) -> None:
    """With nothing loaded every control says no, and it is at both its start and its end."""
    engine = clock.engine()
    controls = [engine.play, engine.pause, engine.stop, engine.reset, engine.step_forward, engine.step_backward]
    controls += [engine.go_live, engine.next_game, engine.previous_game, engine.clear_loop]
    assert not any(control() for control in controls)
    assert not any([engine.seek(0), engine.seek_tick(0), engine.seek_fraction(0.5), engine.seek_event("rug")])
    assert (engine.run(), engine.index, engine.total, engine.progress) == (0, -1, 0, 0.0)
    assert (engine.at_start, engine.at_end, engine.mode, engine.current) == (True, True, Mode.EMPTY, None)
    with pytest.raises(Unplayable):
        engine.view()


def test_steps_show_and_stop_at_both_ends(clock: FakeTime) -> None:
    """Stepping shows one row; at the end it says no and the end is told once, at the start it says no."""
    engine = clock.engine(game(3))
    log = Log(engine)
    assert not engine.step_backward()
    assert [engine.step_forward() for _ in range(5)] == [True, True, False, False, False]
    assert [engine.step_backward() for _ in range(3)] == [True, True, False]
    assert log.rows == [0, 1, 2, 1, 0]
    assert len(log.of("game_end")) == 1
    assert (engine.index, engine.at_start) == (0, True)
    assert engine.progress == pytest.approx(1 / 3)


def test_the_end_is_told_once_however_it_is_reached(clock: FakeTime) -> None:
    """Playing to the end, again, and stepping at the end after a seek tell one end; a reset arms it again."""
    engine = clock.engine(game(5), speed=FASTEST)
    log = Log(engine)
    engine.run()
    assert not engine.play()
    engine.seek(0)
    engine.run()
    engine.seek(4)
    assert not engine.step_forward()
    assert [event.reason for event in log.of("game_end")] == ["end"]
    engine.reset()
    engine.run()
    assert len(log.of("game_end")) == 2
    assert len(log.of("game_start")) == 2


def test_a_seek_to_the_end_does_not_end_the_game_by_itself(clock: FakeTime) -> None:
    """Dragging to the last row ends nothing; a step beyond it does, once."""
    engine = clock.engine(game(5))
    log = Log(engine)
    engine.seek(4)
    assert not log.of("game_end")
    assert [engine.step_forward(), engine.step_forward(), engine.play()] == [False, False, False]
    assert len(log.of("game_end")) == 1


def test_stop_shows_the_first_tick(clock: FakeTime) -> None:
    """Stop pauses, goes to the first row and shows it."""
    engine = clock.engine(game(9))
    log = Log(engine)
    engine.seek(5)
    engine.play()
    assert engine.stop()
    assert (engine.index, engine.playing, log.rows[-1]) == (0, False, 0)
    engine.close()


def test_pause_in_a_callback_is_obeyed_at_once(clock: FakeTime) -> None:
    """No tick comes after a pause made in a callback, at any speed, and playing goes on with the next."""
    for speed in (1, FASTEST):
        engine = clock.engine(game(50), speed=speed)
        log = Log(engine)
        handle = engine.on("tick", lambda step, engine=engine: step.index == 20 and engine.pause())  # type: ignore[misc]
        engine.run()
        assert log.rows == list(range(21))
        handle.cancel()
        engine.run()
        assert log.rows == list(range(50))


def test_a_pause_keeps_the_rest_of_the_interval(clock: FakeTime) -> None:
    """Pausing between two ticks loses no time: the next tick comes after what was left of its interval."""
    engine = clock.engine(game(3), speed=1)
    transport = engine._transport
    transport.play(clock.at)
    assert transport.take(clock.now) == 0.0
    clock.at += 0.1
    transport.pause(clock.at)
    clock.at += 99
    transport.play(clock.at)
    assert transport.take(clock.now) == pytest.approx(0.15)


def test_a_pause_while_late_does_not_rush_afterwards(clock: FakeTime) -> None:
    """Paused 2 s late, the tick that was due comes at once when played on, and the one after it in its time."""
    engine = clock.engine(game(20), speed=1)
    transport = engine._transport
    transport.play(clock.at)
    transport.take(clock.now)
    clock.at += 2.0
    transport.pause(clock.at)
    transport.play(clock.at)
    assert [transport.take(clock.now), transport.cursor] == [0.0, 1]
    assert transport.take(clock.now) == pytest.approx(0.25)
