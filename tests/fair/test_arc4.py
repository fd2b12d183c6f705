"""The generator, against numbers known from elsewhere and against a slow one written from the description."""

from __future__ import annotations

from itertools import islice

from hypothesis import example, given
from hypothesis import strategies as st

from replaylab.fair.arc4 import numbers
from tests.fair.slow import slow_numbers


def test_known_numbers() -> None:
    """The published example: the seed `hello.` gives these two numbers first."""
    assert list(islice(numbers("hello."), 2)) == [0.9282578795792454, 0.3752569768646784]


@given(st.text(max_size=12))
@example("")
@example("a" * 600)
@example("\U0001f680" * 200)
@example("\ud800")
def test_agrees_with_the_slow_one(text: str) -> None:
    """Any text, also one beyond 256 UTF-16 units, draws the numbers that the description makes, bit by bit."""
    assert list(islice(numbers(text), 150)) == list(islice(slow_numbers(text), 150))


def test_numbers_of_more_bytes() -> None:
    """Numbers whose first byte begins with zeros take an eighth byte and more; a long draw meets them."""
    drawn = list(islice(numbers("long"), 20_000))
    assert drawn == list(islice(slow_numbers("long"), 20_000))
    assert min(drawn) < 2**-13  # nine bytes
    assert all(0 <= one < 1 for one in drawn)


def test_runs_are_alike() -> None:
    """Two streams of one text draw the same; of two texts, not."""
    assert list(islice(numbers("a"), 9)) == list(islice(numbers("a"), 9)) != list(islice(numbers("b"), 9))
