"""When the ticks of a stored game come: recorded and nominal times, speeds, and what slow callbacks change."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from replaylab.clock import FASTEST, MAX_SPEED, MIN_SPEED
from replaylab.errors import SettingsError, SpeedError
from replaylab.playback.engine import ReplayEngine
from replaylab.settings import Settings
from tests.playing import FakeTime, Log, game, tick


@pytest.mark.parametrize("speed", [0.1, 0.5, 1, 2, 5, 100, FASTEST])
def test_every_tick_once_in_order_at_any_speed(clock: FakeTime, speed: float) -> None:
    """Playing shows every row once and in order, and takes the time of the game divided by the speed."""
    engine = clock.engine(game(40), speed=speed)
    log = Log(engine)
    begin = clock.at
    assert engine.run() == 40
    assert log.rows == list(range(40))
    assert clock.at - begin == pytest.approx(39 * 0.25 / speed if speed < FASTEST else 0)
    assert log.kinds[:2] == ["game_start", "tick"]
    assert log.kinds[-1] == "game_end"


@pytest.mark.parametrize("speed", [1, 5])
def test_no_drift_over_200_ticks_with_a_slow_callback(clock: FakeTime, speed: float) -> None:
    """A callback of 20 ms delays no later tick: the end comes at its ideal time, and lag says what was late."""
    engine = clock.engine(game(200), speed=speed)
    late: list[float] = []

    def slow(step: Any) -> None:
        late.append(clock.at - begin - step.index * 0.25 / speed)
        clock.at += 0.02

    engine.on("tick", slow)
    begin = clock.at
    engine.run()
    assert max(late) < 1e-6
    assert engine.status.max_lag < 1e-6


def test_a_callback_slower_than_the_game_drops_nothing(clock: FakeTime) -> None:
    """When callbacks take longer than the ticks, every tick still comes, in order, and the lag is reported."""
    engine = clock.engine(game(20), speed=1)
    log = Log(engine)
    lags: list[float] = []

    def slow(_step: Any) -> None:
        clock.at += 1.0
        lags.append(engine.lag)

    engine.on("tick", slow)
    engine.run()
    assert log.rows == list(range(20))
    assert lags[-1] == pytest.approx(18 * 0.75 + 0.0, abs=1.0)
    assert engine.status.max_lag >= lags[-1]


def test_one_hiccup_is_caught_up(clock: FakeTime) -> None:
    """After one callback of 2 s the ticks that became due come at once, and the rest at their ideal times."""
    engine = clock.engine(game(40), speed=1)
    begin = clock.at
    came: list[float] = []

    def once(step: Any) -> None:
        came.append(clock.at - begin)
        if step.index == 10:
            clock.at += 2.0

    engine.on("tick", once)
    engine.run()
    ideal = [n * 0.25 for n in range(40)]
    assert came[:11] == pytest.approx(ideal[:11])
    assert came[11:19] == pytest.approx([4.5] * 8)
    assert came[19:] == pytest.approx(ideal[19:])


def test_recorded_times_are_kept(clock: FakeTime) -> None:
    """Pacing by recorded times plays a game as it was received; nominal pacing gives every tick 0.25 s."""
    rows = [tick(0, 0), tick(1, 0.1), tick(2, 0.9), tick(3, 1.0)]
    for pacing, length in (("recorded", 1.0), ("nominal", 0.75)):
        begin = clock.at
        clock.engine(rows, pacing=pacing).run()
        assert clock.at - begin == pytest.approx(length)


def test_equal_and_backward_times_are_due_at_once(clock: FakeTime) -> None:
    """Rows of equal time come together, one that goes back comes with the row before it, and order is kept."""
    rows = [tick(0, 0), tick(1, 0), tick(2, 1.0), tick(3, 0.2), tick(4, 1.5)]
    engine = clock.engine(rows)
    log, begin = Log(engine), clock.at
    engine.run()
    assert log.rows == [0, 1, 2, 3, 4]
    assert clock.at - begin == pytest.approx(1.5)
    assert engine.timeline is not None
    assert [engine.timeline.due(row) for row in range(5)] == [0, 0, 1, 1, 1.5]


def test_null_times_and_null_prices(clock: FakeTime) -> None:
    """A row of unknown time comes with the row before it; a null price is None, not a number."""
    table = pa.table(
        {
            "tick": [0, 1, 2],
            "timestamp": pa.array([None, 1_000_000, None], pa.int64()).cast(pa.timestamp("us", "UTC")),
            "price": pa.array([Decimal("1.5"), None, Decimal(2)], pa.decimal128(38, 24)),
        }
    )
    engine = clock.engine(table)
    log = Log(engine)
    engine.run()
    steps = log.of("tick")
    assert [step.price for step in steps] == [Decimal("1.5"), None, Decimal(2)]
    assert [step.timestamp is None for step in steps] == [True, False, True]
    assert clock.waits == []


def test_gaps_of_minutes_are_kept_or_skipped(clock: FakeTime) -> None:
    """A stall of minutes is played as it was, or shortened to one tick when asked; both tell it."""
    rows = [tick(0, 0), tick(1, 0.25), tick(2, 600), tick(3, 600.25)]
    for skip, length in ((False, 600.25), (True, 0.75)):
        engine = clock.engine(rows, skip_gaps=skip)
        log, begin = Log(engine), clock.at
        engine.run()
        assert clock.at - begin == pytest.approx(length)
        [gap] = log.of("gap")
        assert (gap.gap.index, gap.reason, gap.gap.seconds) == (2, "stall", pytest.approx(599.75))


def test_speed_changes_while_playing(clock: FakeTime) -> None:
    """A new speed holds from the next tick on, without a jump, and is announced."""
    engine = clock.engine(game(21), speed=1)
    log, begin = Log(engine, "state"), clock.at
    engine.on("tick", lambda step: setattr(engine, "speed", 5) if step.index == 10 else None)
    engine.run()
    assert clock.at - begin == pytest.approx(2.5 + 0.5)
    assert [event.status.speed for event in log.of("state") if event.reason == "speed"] == [5.0]


@pytest.mark.parametrize("speed", [math.nan, 0, -1, 0.01, 101, "2", None, True])
def test_bad_speeds_are_refused_through_every_door(clock: FakeTime, speed: Any) -> None:
    """NaN and its kind raise in the constructor, in the attribute and in run, and the speed before still holds."""
    engine = clock.engine(game(3), speed=2)
    with pytest.raises(SpeedError):
        engine.speed = speed
    if speed is not None:  # there it means: the one set
        with pytest.raises(SpeedError):
            engine.run(speed)
        with pytest.raises(SpeedError):
            clock.engine(game(3), speed=speed)
    assert engine.speed == 2
    assert not engine.playing


def test_settings_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ring, speed and bounds that somebody set take effect, from code and from the environment."""
    engine = ReplayEngine(settings=Settings(ring_ticks=777, speed=0.5, min_speed=0.25, max_speed=3))
    assert (engine.status.ring_size, engine.speed) == (777, 0.5)
    with pytest.raises(SpeedError, match=r"0\.25"):
        engine.speed = 3.5
    monkeypatch.setenv("REPLAYLAB_MAX_SPEED", "7")
    assert ReplayEngine(settings=Settings()).speed_bounds == (0.1, 7.0)


def test_engine_and_settings_have_one_bound() -> None:
    """The bounds of the speed that the settings name are those that the engine keeps, untouched and changed."""
    for settings in (Settings(), Settings(max_speed=5), Settings(min_speed=0.5)):
        engine = ReplayEngine(settings=settings)
        assert engine.speed_bounds == (settings.min_speed, settings.max_speed)
        engine.speed = settings.max_speed
        engine.speed = settings.min_speed
        for beyond in (settings.min_speed * 0.99, settings.max_speed * 1.01):
            with pytest.raises(SpeedError):
                engine.speed = beyond
    assert (Settings().min_speed, Settings().max_speed) == (MIN_SPEED, MAX_SPEED)


def test_ring_sizes() -> None:
    """A ring of its own size can be given; one of no size is refused."""
    assert ReplayEngine(ring_ticks=123).status.ring_size == 123
    with pytest.raises(SettingsError):
        ReplayEngine(ring_ticks=0)
