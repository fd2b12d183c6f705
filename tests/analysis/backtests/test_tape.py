"""The tape: exact, quick to read, and empty of everything that is still to come."""

from __future__ import annotations

from decimal import Context, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replaylab.analysis.backtests.tape import Tape
from replaylab.errors import LookAhead
from tests.strategies import prices

EXACT = Context(prec=60)


def printed(count: int) -> Tape:
    """Return a tape with that many ticks."""
    tape = Tape("g")
    for number in range(count):
        tape.push(number, 1 + number / 8)
    return tape


@given(st.lists(prices(), min_size=1, max_size=8))
def test_prices_are_exact(recorded: list[Decimal]) -> None:
    """A price comes back as the number recorded, whichever way it came: as 24th decimals or as it is."""
    tape = Tape("g")
    for number, price in enumerate(recorded):
        tape.push(2 * number, float(price), int(price.scaleb(24, EXACT)) if number % 2 else price)
        assert tape.price == price
    assert [quote.price for quote in tape] == recorded
    assert [quote.tick for quote in tape] == tape.tick.tolist()
    assert tape.floats.tolist() == [float(price) for price in recorded]


@pytest.mark.parametrize("index", [3, 4, 300, slice(0, 4), slice(9, 12), slice(None, None, -1)])
def test_beyond_is_refused(index: int | slice) -> None:
    """What is not printed yet raises; reversing what is there does not."""
    tape = printed(3)
    if index == slice(None, None, -1):
        assert [quote.tick for quote in tape[index]] == [2, 1, 0]
        return
    with pytest.raises(LookAhead):
        tape[index]
    with pytest.raises(IndexError):
        tape[-4]


@pytest.mark.parametrize("count", [0, 1, 255, 256, 257, 1000])
def test_nothing_lies_behind(count: int) -> None:
    """Not even the arrays underneath hold anything beyond the newest tick, nor tell the length of the game."""
    tape = printed(count)
    for array, empty in ((tape.floats, np.isnan), (tape.tick, lambda rest: rest == -1)):
        assert len(array) == len(tape) == count
        whole = array.base if array.base is not None else array
        assert empty(whole[count:]).all()
        assert len(whole) == 256 * 2 ** max(0, int(np.ceil(np.log2(max(count, 1) / 256))))


def test_arrays_stay_what_they_were() -> None:
    """An array that was handed out does not change when more is printed, and cannot be written to."""
    tape = printed(255)
    before, copy = tape.floats, tape.floats.tolist()
    for number in range(255, 700):
        tape.push(number, 9.0)
    assert before.tolist() == copy
    with pytest.raises(ValueError, match="read-only"):
        before[0] = 5


def test_empty_tape_has_no_price() -> None:
    """Before the first tick there is nothing to see."""
    tape = Tape("g")
    assert (len(tape), tape.now, np.isnan(tape.value), list(tape)) == (0, -1, True, [])
    with pytest.raises(IndexError):
        tape.price  # noqa: B018
