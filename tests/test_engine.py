"""The engine with a stored game: controls, seeking, events, and bad input; time moves only when a test says so."""

from __future__ import annotations

import gc
import math
import shutil
import weakref
from decimal import Decimal
from functools import partial
from pathlib import Path
from timeit import repeat
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import replaylab as rl
from replaylab.clock import FASTEST, MAX_SPEED, MIN_SPEED
from replaylab.engine import ReplayEngine
from replaylab.errors import SettingsError, SpeedError, Unplayable
from replaylab.playback.event import Mode
from replaylab.playback.playlist import Playlist
from replaylab.settings import Settings
from tests.playing import FakeTime, Log, game, tick


@pytest.fixture
def clock() -> FakeTime:
    """A time that stands still until somebody waits."""
    return FakeTime()


# -- playing and pacing ---------------------------------------------------------------------------------------------


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


# -- controls -------------------------------------------------------------------------------------------------------


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


def test_seek_out_of_range_changes_nothing(clock: FakeTime) -> None:
    """A row, number, time or fraction that is not there is refused, and nothing is told."""
    engine = clock.engine(game(10))
    engine.seek(4)
    log = Log(engine)
    assert not any(engine.seek(row) for row in (-1, 10, 10**12))
    assert not any(engine.seek_tick(number) for number in (-1, 10, 10**12))
    assert not any(engine.seek_fraction(share) for share in (-0.01, 1.01, math.nan, math.inf))
    assert not any(engine.seek_time(moment) for moment in ("2031-01-02T03:04:04", "2031-01-02T03:04:08"))
    assert (engine.index, log.told) == (4, [])
    with pytest.raises(TypeError):
        engine.seek(2.5)  # type: ignore[arg-type]


def test_seek_by_every_measure(clock: FakeTime) -> None:
    """Row, tick number, time and fraction lead to the row they name, which is shown once."""
    engine = clock.engine(game(11))
    log = Log(engine)
    assert all(
        [engine.seek(3), engine.seek_tick(7), engine.seek_time("2031-01-02T03:04:06.1"), engine.seek_fraction(1)]
    )
    assert log.rows == [3, 7, 4, 10]
    assert [event.step.index for event in log.of("seek")] == [3, 7, 4, 10]
    assert engine.seek(np.int64(2))  # type: ignore[arg-type]
    assert engine.index == 2


def test_repeated_tick_numbers_can_all_be_reached(clock: FakeTime) -> None:
    """A number leads to its first live row; every row with it can be reached by its occurrence."""
    cooldown = [tick(0, n, active=False, phase="COOLDOWN", cooldown_timer=9000) for n in range(4)]
    engine = clock.engine([*cooldown, tick(0, 5), tick(1, 6), tick(1, 7), tick(0, 8, active=False)])
    assert engine.seek_tick(0)
    assert engine.index == 4
    assert [(engine.seek_tick(0, n), engine.index) for n in range(5)] == [(True, n) for n in range(5)]
    assert engine.seek_tick(0, 5)
    assert engine.index == 7
    assert not engine.seek_tick(0, 6)
    assert not engine.seek_tick(0, -1)
    assert engine.seek_tick(1, 1)
    assert engine.index == 6


def test_seek_while_playing_goes_on_from_there(clock: FakeTime) -> None:
    """After a seek while playing the next rows follow, each at its time from then."""
    engine = clock.engine(game(100), speed=1)
    log, begin = Log(engine), clock.at
    engine.on("tick", lambda step: step.index == 4 and engine.seek(90))
    engine.run()
    assert log.rows == [0, 1, 2, 3, 4, *range(90, 100)]
    assert clock.at - begin == pytest.approx(4 * 0.25 + 9 * 0.25)


def test_a_seek_costs_the_same_everywhere() -> None:
    """By number and by row, the last of 300,000 rows costs at most ten times the first; a scan 100,000 times."""
    rows = 300_000
    times = pa.array(np.arange(rows, dtype=np.int64)).cast(pa.timestamp("us", "UTC"))
    prices = pa.array([Decimal(1)], pa.decimal128(38, 24)).take(pa.array(np.zeros(rows, np.int64)))
    engine = ReplayEngine(pa.table({"tick": np.arange(rows, dtype=np.int32), "timestamp": times, "price": prices}))
    for seek in (engine.seek, engine.seek_tick):
        assert seek(1)  # what is made at the first call is made
        far, near = (min(repeat(partial(seek, row), number=200)) for row in (rows - 1, 1))
        assert far < 10 * near


def test_seek_to_events(clock: FakeTime) -> None:
    """Rug, peak, gap and move lead to the nearest beyond the cursor, both ways; none is a no."""
    prices = ["1", "1.01", "1.049999999999999999999999", "1.05", "3", "3.0000000000000000000001", "2", "0.01"]
    rows = [tick(n + (5 if n > 5 else 0), price=price, rugged=n == 7) for n, price in enumerate(prices)]
    engine = clock.engine(rows)
    assert engine.seek_event("move", percent=5)
    assert engine.index == 3
    assert engine.seek_event("peak")
    assert engine.index == 5
    assert engine.seek_event("gap")
    assert engine.index == 6
    assert not engine.seek_event("gap")
    assert engine.seek_event("rug")
    assert engine.index == 7
    assert engine.seek_event("peak", -1)
    assert engine.index == 5
    assert engine.seek_event("move", -1, percent="66")
    assert engine.index == 1
    with pytest.raises(ValueError, match="kind='boom'"):
        engine.seek_event("boom")
    for percent in (0, -1, math.nan):
        with pytest.raises(ValueError, match="percent"):
            engine.seek_event("move", percent=percent)


def test_a_loop_repeats_without_drift(clock: FakeTime) -> None:
    """An A-B loop shows its rows again and again, each round as long as its rows, and can be left."""
    engine = clock.engine(game(20), speed=1)
    log, begin = Log(engine), clock.at
    assert engine.set_loop(2, 5)
    engine.on("seek", lambda _: clock.at - begin > 100 and engine.clear_loop())
    engine.run()
    rounds = (len(log.rows) - 20) // 4
    assert log.rows == [0, 1, *([2, 3, 4, 5] * (rounds + 1)), *range(6, 20)]
    assert rounds > 90
    assert clock.at - begin == pytest.approx((19 + 4 * rounds) * 0.25)


def test_a_late_loop_catches_up(clock: FakeTime) -> None:
    """A callback that is late once, at the end of a round, does not make the rounds after it late."""
    engine = clock.engine(game(20), speed=1)
    log, begin = Log(engine), clock.at
    engine.set_loop(0, 3)
    came: list[float] = []

    def once(_step: Any) -> None:
        came.append(clock.at - begin)
        if len(came) == 4:
            clock.at += 0.4
        if len(came) == 12:
            engine.pause()

    engine.on("tick", once)
    engine.run()
    assert log.rows == [0, 1, 2, 3] * 3
    assert came[4] == pytest.approx(0.75 + 0.4)
    assert came[5:] == pytest.approx([n * 0.25 for n in range(5, 12)])


@pytest.mark.parametrize("bounds", [(-1, 3), (3, 2), (0, 20), (20, 21)])
def test_a_loop_outside_the_game_is_refused(clock: FakeTime, bounds: tuple[int, int]) -> None:
    """Bounds that are not rows of the game, or in the wrong order, set no loop."""
    engine = clock.engine(game(20))
    assert not engine.set_loop(*bounds)
    assert engine.loop is None


def test_a_loop_over_the_last_row_and_over_one_row(clock: FakeTime) -> None:
    """A loop that holds the last row never ends the game; one of a single row, or of equal times, rests a tick long."""
    engine = clock.engine([tick(n, 0) for n in range(3)], speed=1)
    log, begin = Log(engine), clock.at
    engine.set_loop(2, 2)
    engine.on("tick", lambda _: len(log.rows) >= 13 and engine.pause())
    engine.run()
    assert log.rows == [0, 1, *[2] * 11]
    assert clock.at - begin == pytest.approx(10 * 0.25)
    assert not log.of("game_end")


# -- games ----------------------------------------------------------------------------------------------------------


def test_a_game_of_one_tick(clock: FakeTime) -> None:
    """It starts, shows its tick and ends, once each."""
    engine = clock.engine(game(1))
    log = Log(engine)
    assert engine.run() == 1
    assert log.kinds == ["game_start", "tick", "game_end"]
    assert (engine.play(), engine.step_forward(), engine.step_backward()) == (False, False, False)


def test_a_game_that_is_only_a_rug(clock: FakeTime) -> None:
    """The rug is told once, between its tick and the end."""
    engine = clock.engine([tick(0, price="0.01", rugged=True)])
    log = Log(engine)
    engine.run()
    assert log.kinds == ["game_start", "tick", "rug", "game_end"]


def test_a_double_rug_is_told_once(clock: FakeTime) -> None:
    """A game that came back after its rug tells the first one, however often it is passed."""
    rows = [*game(5, rug=True), *(tick(n, price="0.01") for n in range(5, 8)), tick(8, price="0.001", rugged=True)]
    engine = clock.engine(rows, speed=FASTEST)
    log = Log(engine)
    engine.run()
    engine.seek(0)
    engine.run()
    assert [event.step.index for event in log.of("rug")] == [4]


def test_a_game_without_a_live_tick(clock: FakeTime) -> None:
    """A cooldown alone plays; it has no rug, no peak, no move, and a tick number leads to its first row."""
    rows = [tick(0, n * 0.1, active=False, phase="COOLDOWN", cooldown_timer=12_000 - n) for n in range(6)]
    engine = clock.engine(rows)
    log = Log(engine)
    assert engine.run() == 6
    assert not log.of("rug")
    assert not any(engine.seek_event(kind) for kind in ("rug", "peak", "gap", "move"))
    assert engine.seek_tick(0)
    assert engine.index == 0
    assert str(log.of("tick")[0].phase) == "COOLDOWN"


def test_prices_from_the_least_to_the_greatest(clock: FakeTime) -> None:
    """Prices from 1e-24 to 1e13 arrive exactly, and the peak is found among them."""
    prices = [Decimal("1E-24"), Decimal("1.1"), Decimal("1E+13"), Decimal("9999999999999.999999999999999999999999")]
    engine = clock.engine([tick(n, price=price) for n, price in enumerate(prices)])
    log = Log(engine)
    engine.run()
    assert [step.price for step in log.of("tick")] == prices
    engine.seek(0)
    assert engine.seek_event("peak")
    assert engine.current is not None
    assert engine.current.price == Decimal("1E+13")


@pytest.mark.parametrize("source", ["no/such/file", 5, [], [1, 2], {}, pa.table({"tick": [1]}), object()])
def test_what_is_no_game_is_refused_and_the_former_stays(clock: FakeTime, source: Any) -> None:
    """A failed load raises one error, and the game before it is still there, where it was."""
    engine = clock.engine(game(9))
    engine.seek(4)
    with pytest.raises(Unplayable) as caught:
        engine.load(source)
    assert isinstance(caught.value, ValueError)
    assert (engine.index, engine.total, engine.game_id) == (4, 9, "g")


def test_a_load_ends_what_was_held(clock: FakeTime) -> None:
    """Another game ends the one that was begun, then starts, in that order."""
    engine = clock.engine(game(9, name="A"))
    log = Log(engine, "game_start", "game_end")
    engine.seek(3)
    engine.load(game(5, name="B"))
    told = [(kind, event.game_id, event.reason) for kind, event in log.told]
    assert told == [("game_start", "A", ""), ("game_end", "A", "replaced"), ("game_start", "B", "")]
    assert (engine.index, engine.total, engine.mode) == (0, 5, Mode.FILE)


def test_the_callers_list_is_not_aliased(clock: FakeTime) -> None:
    """Changing the list that was loaded changes nothing here."""
    rows = game(9)
    engine = clock.engine(rows)
    rows.clear()
    assert engine.run() == 9


def test_a_store_deleted_underneath(tmp_path: Path, clock: FakeTime) -> None:
    """A game that was loaded plays on; one that was not is refused, and in a playlist skipped and reported."""
    rl.simulate(tmp_path / "recordings", games=3, seed=5)
    rl.convert(tmp_path / "recordings", tmp_path / "store", progress=False)
    store = rl.open_store(tmp_path / "store")
    first, second = (store.game(game_id) for game_id in store.game_ids()[:2])
    engine = clock.engine(first, speed=FASTEST)
    games = Playlist(store)
    shutil.rmtree(tmp_path / "store")
    assert engine.run() == len(first)
    log = Log(engine)
    with pytest.raises(Unplayable):
        engine.load(second)
    with pytest.raises(Unplayable):
        engine.load(games)
    assert len(games.skipped) == 3
    assert len(log.of("error")) == 3
    assert engine.game_id == first.id


def test_a_stored_game_plays_as_received(tmp_path: Path, clock: FakeTime) -> None:
    """Every row of a stored game is shown with the values that the store has."""
    rl.simulate(tmp_path / "recordings", games=1, seed=5)
    rl.convert(tmp_path / "recordings", tmp_path / "store", progress=False)
    [stored] = rl.open_store(tmp_path / "store")
    engine = clock.engine(stored, speed=FASTEST)
    log = Log(engine)
    engine.run()
    names = [
        "tick",
        "timestamp",
        "price",
        "phase",
        "recorded_phase",
        "active",
        "rugged",
        "cooldown_timer",
        "trade_count",
    ]
    expected = stored.ticks().select(names).to_pylist()
    assert [{name: getattr(step, name) for name in names} for step in log.of("tick")] == expected
    assert log.of("rug")[0].step.tick == stored.summary["rug_tick"]
    engine.seek(0)
    assert engine.seek_event("peak")
    assert engine.current is not None
    assert engine.current.tick == stored.summary["peak_tick"]


# -- playlists ------------------------------------------------------------------------------------------------------


def test_a_playlist_plays_on_and_skips_the_broken(clock: FakeTime) -> None:
    """Games follow one another; a broken one is skipped with an error, and the queue goes on to its end."""
    games = Playlist([game(3, name="A"), "broken", game(2, name="B")])
    engine = clock.engine(games, speed=FASTEST)
    log = Log(engine)
    assert engine.run() == 5
    assert [(kind, event.game_id) for kind, event in log.told if kind in {"game_start", "game_end"}] == [
        ("game_start", "A"),
        ("game_end", "A"),
        ("game_start", "B"),
        ("game_end", "B"),
    ]
    assert len(log.of("error")) == 1
    assert list(games.skipped) == [1]
    assert (games.has_next, games.peek(), games.progress) == (False, None, 1.0)


def test_next_and_previous_game(clock: FakeTime) -> None:
    """The picker goes on and back; at the last one it says no."""
    engine = clock.engine(Playlist([game(3, name=name) for name in "ABC"]))
    assert [(engine.next_game(), engine.game_id) for _ in range(3)] == [(True, "B"), (True, "C"), (False, "C")]
    assert [(engine.previous_game(), engine.game_id) for _ in range(3)] == [(True, "B"), (True, "A"), (True, "A")]


def test_shuffling_is_seeded() -> None:
    """The same seed gives the same order, all games once; another seed another order; a reset starts again."""
    games = [game(1, name=str(n)) for n in range(30)]
    one, same, other = (Playlist(games, shuffle=True, seed=seed) for seed in (1, 1, 2))
    assert one.order == same.order != other.order
    assert sorted(one.order) == list(range(30)) == Playlist(games).order
    first = one.next()
    assert first is not None
    one.reset()
    again = one.next()
    assert again is not None
    assert first.game_id == again.game_id


# -- as fast as possible --------------------------------------------------------------------------------------------


def test_batches_give_every_row_and_tell_what_happened(clock: FakeTime) -> None:
    """Arrow batches hold the rest of the game once; start, gap, rug and end are told, ticks are not."""
    rows = [*game(50), tick(60, price="2"), tick(61, price="0.01", rugged=True)]
    engine = clock.engine(rows)
    log = Log(engine)
    found = pa.Table.from_batches(engine.batches(20))
    assert found.column("tick").to_pylist() == [one.tick for one in rows]
    assert log.kinds == ["game_start", "gap", "rug", "game_end"]
    assert list(engine.batches()) == []
    engine.seek(49)
    assert [batch.num_rows for batch in engine.batches()] == [2]
    with pytest.raises(ValueError, match="rows=0"):
        next(engine.batches(0))


# -- callbacks ------------------------------------------------------------------------------------------------------


def test_a_callback_that_raises_is_isolated(clock: FakeTime, caplog: pytest.LogCaptureFixture) -> None:
    """The others are called, playing goes on, and each failure is an error event, logged loudly once."""
    engine = clock.engine(game(4), speed=FASTEST)
    engine.on("tick", lambda step: 1 // (step.index - 2))
    log = Log(engine)
    engine.run()
    assert log.rows == [0, 1, 2, 3]
    [error] = log.of("error")
    assert isinstance(error.error, ZeroDivisionError)
    assert "tick" in error.reason
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_an_error_callback_that_raises_is_only_logged(clock: FakeTime) -> None:
    """A failing error callback does not tell itself for ever."""
    engine = clock.engine(game(3), speed=FASTEST)
    calls: list[Any] = []

    def fail(value: Any) -> None:
        calls.append(value)
        raise RuntimeError("no")

    engine.on("tick", fail)
    engine.on("error", fail)
    assert engine.run() == 3
    assert len(calls) == 6


def test_what_a_callback_does_is_told_after_what_it_was_told(clock: FakeTime) -> None:
    """Events reach every callback in the order in which things happened, also those that callbacks cause."""
    engine = clock.engine(game(10), speed=FASTEST)
    engine.on("tick", lambda step: step.index == 2 and engine.seek(7))
    log = Log(engine, "tick", "seek")
    engine.run()
    assert [(kind, getattr(value, "index", None)) for kind, value in log.told] == [
        ("tick", 0),
        ("tick", 1),
        ("tick", 2),
        ("seek", None),
        ("tick", 7),
        ("tick", 8),
        ("tick", 9),
    ]


def test_the_same_callback_twice_is_one_subscription(clock: FakeTime) -> None:
    """A bound method added twice is called once, and cancelling ends it for good."""
    engine = clock.engine(game(3), speed=FASTEST)
    rows: list[Any] = []
    handles = [engine.on("tick", rows.append) for _ in range(2)]
    engine.step_forward()
    assert len(rows) == 2  # the first row, and the next
    handles[0].cancel()
    handles[0].cancel()
    engine.step_forward()
    assert len(rows) == 2


def test_a_weak_callback_does_not_keep_its_object(clock: FakeTime) -> None:
    """A weak subscription ends with the object that the method belongs to; a strong one keeps it."""

    class Chart:
        def draw(self, step: Any) -> None:
            seen.append(step.index)

    seen: list[int] = []
    engine = clock.engine(game(9))
    chart = Chart()
    gone = weakref.ref(chart)
    engine.on("tick", chart.draw, weak=True)
    engine.step_forward()
    del chart
    gc.collect()
    assert gone() is None
    engine.step_forward()
    assert seen == [0, 1]
    assert engine._listeners.of["tick"] == ()


@pytest.mark.parametrize("callback", [None, 5, "print"])
def test_what_cannot_be_called_is_refused(clock: FakeTime, callback: Any) -> None:
    """A callback that is none, or a coroutine function, is refused when it is added, and so is an unknown kind."""
    engine = clock.engine(game(3))

    async def later(_step: Any) -> None: ...

    for bad in (callback, later):
        with pytest.raises(TypeError, match="callback"):
            engine.on("tick", bad)
    with pytest.raises(ValueError, match="kind='tock'"):
        engine.on("tock", print)


# -- closing --------------------------------------------------------------------------------------------------------


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
