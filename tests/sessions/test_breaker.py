"""Backoff and breaker against plain models: delays within bounds, and no attempt while the circuit is open."""

from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from replaylab.sessions.backoff import Backoff, longest_delay
from replaylab.sessions.breaker import Breaker, Circuit


@given(st.integers(1, 10**9), st.floats(0.001, 100), st.floats(0.001, 1000))
def test_delays_stay_within_their_bounds(failures: int, base: float, cap: float) -> None:
    """The longest delay doubles up to the cap, however often it failed."""
    assert 0 < longest_delay(failures, base, cap) <= cap
    assert longest_delay(failures, base, cap) <= longest_delay(failures + 1, base, cap)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=50))
def test_every_delay_is_anywhere_below_the_longest(chances: list[float]) -> None:
    """Full jitter: each delay is a share of the longest of its turn, from nothing to all of it."""
    shares = iter(chances)
    backoff = Backoff(lambda low, high: low + next(shares) * (high - low))
    for number, share in enumerate(chances, start=1):
        assert backoff.next_delay() == share * longest_delay(number)
    backoff.reset()
    assert backoff.failures == 0


@settings(max_examples=200)
@given(st.lists(st.tuples(st.sampled_from(["ill", "well", "ask"]), st.floats(0, 40)), max_size=60))
def test_the_breaker_is_its_model(history: list[tuple[str, float]]) -> None:
    """Closed to open after five ill answers in a row, one trial after 30 s, closed by data: whatever the history."""
    compare(history)


def test_ten_thousand_histories() -> None:
    """The same over ten thousand histories by chance: no connection while the circuit is open."""
    chance = random.Random(17)
    for _ in range(10_000):
        length = chance.randrange(40)
        compare([(chance.choice(("ill", "ill", "well", "ask")), chance.uniform(0, 20)) for _ in range(length)])


def compare(history: list[tuple[str, float]]) -> None:
    """Assert that a breaker does what a plain model of it does."""
    breaker = Breaker()
    now, row, opened, trial = 0.0, 0, None, False
    for what, pause in history:
        now += pause
        if what == "well":
            breaker.well()
            row, opened, trial = 0, None, False
        elif what == "ill":
            row += 1
            opens = trial or row >= 5
            assert breaker.ill(now) is (opens or opened is not None)
            if opens:
                opened, trial = now, False
        else:
            due = opened is None or now >= opened + 30
            assert breaker.allow(now) is due
            if opened is not None and due:
                opened, trial = now, True
    assert breaker.state is (Circuit.CLOSED if opened is None else Circuit.HALF_OPEN if trial else Circuit.OPEN)
