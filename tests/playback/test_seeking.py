"""Seeking in a stored game, by every measure, and loops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from replaylab.playback.engine import ReplayEngine
from tests.playing import FakeTime, Log, game, tick


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


class Counted(Sequence[Any]):
    """A column that counts how often it is read."""

    def __init__(self, values: Any) -> None:
        self.values = values
        self.reads = 0

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, place: Any) -> Any:
        self.reads += 1
        return self.values[place]


@pytest.mark.parametrize("row", [1, 150_000, 299_998])
def test_a_seek_costs_the_same_everywhere(row: int) -> None:
    """In 300,000 rows a seek by row reads a handful of times, one by number as often as a bisection; no scan."""
    rows = 300_000
    times = pa.array(np.arange(rows, dtype=np.int64)).cast(pa.timestamp("us", "UTC"))
    prices = pa.array([Decimal(1)], pa.decimal128(38, 24)).take(pa.array(np.zeros(rows, np.int64)))
    engine = ReplayEngine(pa.table({"tick": np.arange(rows, dtype=np.int32), "timestamp": times, "price": prices}))
    line = engine.timeline
    assert line is not None
    engine.seek_tick(0)  # what is made at the first call is made
    due = line._due_at = Counted(line._due_at)  # type: ignore[assignment]
    numbers = line._live_by_tick.numbers = Counted(line._live_by_tick.numbers)  # type: ignore[assignment]
    assert engine.seek(row)
    assert (due.reads <= 4, numbers.reads) == (True, 0)
    assert engine.seek_tick(row + 1)
    assert due.reads <= 8
    assert numbers.reads <= 2 + rows.bit_length()


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
