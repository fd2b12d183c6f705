"""The playhead: four numbers, pure arithmetic, and no way around the bounds of the speed."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replaylab.clock import FASTEST, NOMINAL_SECONDS, Playhead, checked_rate, checked_speed
from replaylab.errors import ReplayLabError, SpeedError

seconds = st.floats(0, 1e5)
rates = st.floats(0.1, 100)


@pytest.mark.parametrize(
    "speed", [math.nan, 0, 0.0, -1, -math.inf, 0.0999, 100.01, 1e9, "1", "fast", None, True, 1j, []]
)
def test_speed_out_of_bounds_is_an_error(speed: object) -> None:
    """NaN, zero, negative, out of range and what is no number are refused, by an error that is also a ValueError."""
    with pytest.raises(SpeedError) as caught:
        checked_speed(speed)
    assert isinstance(caught.value, ValueError)
    assert isinstance(caught.value, ReplayLabError)
    assert "0.1" in str(caught.value)
    assert "100" in str(caught.value)


@pytest.mark.parametrize("speed", [0.1, 0.25, 1, 2, 5, 100, np.float32(2), np.int64(3)])
def test_speed_within_bounds_is_taken(speed: float) -> None:
    """Every speed from 0.1 to 100 holds, also as a numpy number."""
    assert checked_speed(speed) == float(speed)


def test_fastest_is_a_speed() -> None:
    """As fast as possible is infinity, whatever the bounds."""
    assert checked_speed(FASTEST, 0.5, 2) == FASTEST


@pytest.mark.parametrize("rate", [math.nan, 0.0, -1.0])
def test_playhead_never_stands_or_runs_back(rate: float) -> None:
    """The playhead itself refuses a rate that is not above zero."""
    with pytest.raises(SpeedError):
        Playhead().faster(rate, 0.0)


@given(anchor=seconds, now=seconds, rate=rates, ahead=seconds)
def test_when_is_the_inverse_of_at(anchor: float, now: float, rate: float, ahead: float) -> None:
    """A position is reached exactly when the playhead says so."""
    head = Playhead(anchor, now, rate, playing=True)
    assert head.at(head.when(anchor + ahead)) == pytest.approx(anchor + ahead, abs=1e-6)


@given(rate=rates, elapsed=seconds, later=seconds)
def test_pause_freezes(rate: float, elapsed: float, later: float) -> None:
    """A paused playhead is where it was, whatever the time."""
    head = Playhead(0.0, 0.0, rate, playing=True).pause(elapsed)
    assert head.at(elapsed + later) == pytest.approx(elapsed * rate)
    assert head.when(1e9) == math.inf


@given(rate=rates, other=rates, elapsed=seconds)
def test_speed_changes_without_a_jump(rate: float, other: float, elapsed: float) -> None:
    """Changing the speed moves nothing at that moment."""
    head = Playhead(3.0, 0.0, rate, playing=True)
    assert head.faster(other, elapsed).at(elapsed) == pytest.approx(head.at(elapsed))


def test_ten_thousand_changes_do_not_drift() -> None:
    """Pausing and playing ten thousand times in equal parts ends where playing once would."""
    head = Playhead()
    now = 0.0
    for _ in range(10_000):
        head = head.play(now)
        now += 0.01
        head = head.pause(now)
        now += 5.0
    assert head.at(now) == pytest.approx(100.0, abs=1e-6)


def test_pause_stays_before_what_was_not_shown() -> None:
    """A limit holds a late playhead back, so that what was due is still to come."""
    assert Playhead(0.0, 0.0, 1.0, playing=True).pause(10.0, limit=2.5).at(99) == 2.5


def test_playing_twice_and_pausing_twice_change_nothing() -> None:
    """A second play does not move the anchor, a second pause neither."""
    head = Playhead().play(1.0)
    assert head.play(5.0) is head
    assert head.pause(2.0).pause(9.0) == head.pause(2.0)


def test_fastest_is_beyond_everything_at_once() -> None:
    """As fast as possible, every position is due; paused, it is where it was."""
    head = Playhead(2.0, 0.0, FASTEST, playing=True)
    assert head.at(0.0) == math.inf
    assert head.when(1e12) == 0.0
    assert head.pause(1.0).at(2.0) == 2.0


def test_clock_that_steps_back_does_not_move_it_back() -> None:
    """A time before the anchor is the anchor."""
    assert Playhead(5.0, 10.0, 1.0, playing=True).at(9.0) == 5.0


def test_playhead_is_frozen() -> None:
    """It is a value: nobody changes it."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Playhead().rate = 0.0  # type: ignore[misc]


def test_every_act_sets_all_four_numbers() -> None:
    """Each act returns the place, the time it was made, the rate and whether it moves: nothing is left as it was."""
    still = Playhead(2.0, 1.0, 3.0, playing=False)
    moving = Playhead(2.0, 1.0, 3.0, playing=True)
    assert still.play(10.0) == Playhead(2.0, 10.0, 3.0, playing=True)
    assert moving.play(10.0) is moving
    assert moving.pause(2.0) == Playhead(5.0, 2.0, 3.0, playing=False)
    assert still.pause(10.0) is still
    assert moving.seek(7.0, 9.0) == Playhead(7.0, 9.0, 3.0, playing=True)
    assert still.seek(7.0, 9.0) == Playhead(7.0, 9.0, 3.0, playing=False)
    assert moving.faster(4.0, 2.0) == Playhead(5.0, 2.0, 4.0, playing=True)
    assert still.faster(4.0, 2.0) == Playhead(2.0, 2.0, 4.0, playing=False)
    assert all(type(one.playing) is bool for one in (moving.pause(2.0), still.seek(1.0, 1.0), still.faster(2.0, 1.0)))


def test_the_fastest_playhead() -> None:
    """As fast as possible it is beyond every tick at once, and reaches each at the moment it began."""
    head = Playhead(2.0, 1.0, math.inf, playing=True)
    assert (head.at(1.0), head.when(99.0), head.when(2.0)) == (math.inf, 1.0, 1.0)
    assert head.pause(5.0) == Playhead(2.0, 5.0, math.inf, playing=False)
    assert head.pause(5.0, limit=4.0) == Playhead(4.0, 5.0, math.inf, playing=False)
    assert head.faster(2.0, 5.0) == Playhead(2.0, 5.0, 2.0, playing=True)
    assert head.faster(2.0, 5.0, limit=4.0) == Playhead(4.0, 5.0, 2.0, playing=True)


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan])
def test_a_playhead_never_stands_still_or_runs_backwards(rate: float) -> None:
    """A rate that is not above zero is refused with its value."""
    with pytest.raises(SpeedError, match=rf"speed={rate!r}: must be above zero"):
        Playhead().faster(rate, now=0.0)
    assert checked_rate(1e-9) == 1e-9
    assert checked_rate(math.inf) == math.inf


def test_a_number_that_cannot_be_one_is_refused() -> None:
    """What says that it is a number and then fails to be one is refused as a speed, not raised as it is."""

    class Odd:
        def __float__(self) -> float:
            raise OverflowError

    with pytest.raises(SpeedError):
        checked_speed(Odd())


def test_a_new_playhead_stands_at_the_start() -> None:
    """What is not said is zero, and nothing moves; ticks are a quarter of a second apart; a head cannot be changed."""
    assert Playhead() == Playhead(0.0, 0.0, 1.0, playing=False)
    assert Playhead().play(1.0).pause(2.0).playing is False
    assert NOMINAL_SECONDS == 0.25
    with pytest.raises(dataclasses.FrozenInstanceError):
        Playhead().rate = 2.0  # type: ignore[misc]
