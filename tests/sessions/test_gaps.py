"""GapLedger: every outage is one gap, every jump of the numbers is told, and what is missing is the set difference."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replaylab.mark import Mark
from replaylab.sessions.gaps import GapLedger
from replaylab.tick import Tick
from tests.sessions.virtual import START, tick


def told(ledger: GapLedger, ticks: list[Tick], **options: Any) -> list[Mark]:
    """What a ledger tells of ticks that come one after another."""
    marks: list[Mark] = []
    for one in ticks:
        if not ledger.follows(one):
            marks += ledger.take(one, START, **options)
    return marks


def test_ten_thousand_histories() -> None:
    """By chance: cuts, late, doubled and lost ticks, resumed or not; missing is the set difference, always."""
    chance = random.Random(23)
    ticks = [tick(number) for number in range(80)]
    for _ in range(10_000):
        ledger, seen = GapLedger(), set[int]()
        number = chance.randrange(5)
        for _ in range(chance.randrange(1, 8)):
            if seen and chance.random() < 0.2:
                ledger.lost("disconnect", START)
            number = max(0, number + chance.choice((1, 1, 1, 1, 2, 5, 0, -1, -3)))
            told(ledger, [ticks[number]], resumed=chance.random() < 0.3)
            seen.add(number)
            assert ledger.missing == len(set(range(min(seen), max(seen) + 1)) - seen)


@given(st.lists(st.integers(0, 40), min_size=1, max_size=80))
def test_missing_is_the_set_difference(numbers: list[int]) -> None:
    """Whatever the order, the ticks missing are those between the lowest and the highest that did not come."""
    ledger = GapLedger()
    marks = told(ledger, [tick(n) for n in numbers])
    assert ledger.missing == len(set(range(min(numbers), max(numbers) + 1)) - set(numbers))
    gaps = sum(mark.detail["missing"] for mark in marks if mark.kind == "gap")
    heals = sum(mark.detail["count"] for mark in marks if mark.kind == "heal")
    assert gaps - heals == ledger.missing


def test_a_jump_is_a_gap_against_the_highest() -> None:
    """5, 3, 10 lacks 4, 6, 7, 8, 9: one between 3 and 5, and four above the highest number before the jump."""
    gaps = [m for m in told(GapLedger(), [tick(5), tick(3), tick(10)]) if m.kind == "gap"]
    assert [(m.detail["after"], m.detail["before"], m.detail["missing"]) for m in gaps] == [(3, 5, 1), (5, 10, 4)]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.none() | st.integers(0, 45))
def test_gaps_less_heals_are_what_is_missing_and_each_gap_is_between_its_numbers(
    numbers: list[int], rug: int | None
) -> None:
    """With a rug or without; the numbers of a gap were not received, and all of them lie between its two numbers."""
    ledger, seen = GapLedger(), set[int]()
    given_ticks = [tick(n) for n in numbers] + ([] if rug is None else [tick(rug, rugged=True)])
    told_missing = 0
    for one in given_ticks:
        for mark in told(ledger, [one]):
            if mark.kind == "gap":
                between = set(range(mark.detail["after"] + 1, mark.detail["before"])) - seen
                assert len(between) == mark.detail["missing"] > 0
                told_missing += mark.detail["missing"]
            else:
                told_missing -= mark.detail["count"]
        seen.add(one.tick)
    least = min(seen)
    most = max(numbers) + 1 if rug is None else rug
    assert told_missing == ledger.missing == len(set(range(least, most)) - seen)


@pytest.mark.parametrize(
    ("after", "resumed", "missing", "healed"), [(5, False, 0, True), (9, False, 4, False), (5, True, 0, True)]
)
def test_an_outage_is_one_gap(after: int, missing: int, *, resumed: bool, healed: bool) -> None:
    """An outage is one gap with its cause and interval, whether or not ticks were missed in it."""
    ledger = GapLedger()
    told(ledger, [tick(n) for n in range(5)])
    ledger.lost("disconnect", START)
    ledger.lost("refused", START + timedelta(seconds=1))
    marks = told(ledger, [tick(n) for n in range(after, after + 3)], resumed=resumed)
    assert len(marks) == 1
    detail = marks[0].detail
    assert (detail["cause"], detail["after"], detail["before"]) == ("disconnect", 4, after)
    assert (detail["missing"], detail["healed"], detail["start"]) == (missing, healed, START)
    assert (ledger.gaps, ledger.missing) == (1, missing)


def test_an_outage_over_the_end_of_a_game() -> None:
    """When another game comes after it, how much the first one lacks is not known, unless its rug had come."""
    ledger = GapLedger()
    told(ledger, [tick(0), tick(1)])
    ledger.lost("stall", START)
    detail = told(ledger, [tick(7, "h")])[0].detail
    assert (detail["missing"], detail["before"], detail["next_game_id"], detail["next_tick"]) == (None, None, "h", 7)

    ledger = GapLedger()
    told(ledger, [tick(0), tick(1, rugged=True)])
    ledger.lost("stall", START)
    detail = told(ledger, [tick(0, "h")])[0].detail
    assert (detail["missing"], detail["healed"]) == (0, True)


def test_an_outage_before_anything_came_is_no_gap() -> None:
    """Nothing is known to be missing before the first tick."""
    ledger = GapLedger()
    ledger.lost("refused", START)
    assert told(ledger, [tick(9)]) == []
    assert ledger.gaps == 0


def test_an_outage_that_never_ends_is_told_at_the_end() -> None:
    """A session that is closed during an outage tells the gap, once."""
    ledger = GapLedger()
    told(ledger, [tick(0)])
    ledger.lost("disconnect", START)
    marks = ledger.close(START + timedelta(seconds=9))
    assert [(m.detail["cause"], m.detail["after"], m.detail["missing"], m.detail["healed"]) for m in marks] == [
        ("disconnect", 0, None, False)
    ]
    assert ledger.close(START) == []


@pytest.mark.parametrize("resumed", [True, False])
def test_a_feed_that_was_over_when_it_came_back(*, resumed: bool) -> None:
    """A recorder that was down at the end of a feed: one that resumes says that nothing followed, another does not."""
    ledger = GapLedger()
    ledger.resumes_after("g", 7, START, "recorder_down")
    (gap,) = ledger.close(START, resumed=resumed)
    assert (gap.detail["after"], gap.detail["healed"]) == (7, resumed)
    assert gap.detail["missing"] == (0 if resumed else None)


def test_a_restart_goes_on_from_what_is_stored() -> None:
    """What an earlier process had received last stands before the gap of its absence."""
    ledger = GapLedger()
    ledger.resumes_after("g", 7, START, "recorder_down")
    detail = told(ledger, [tick(8), tick(9)], resumed=True)[0].detail
    assert (detail["cause"], detail["after"], detail["before"], detail["healed"]) == ("recorder_down", 7, 8, True)


def test_the_rug_closes_a_game() -> None:
    """Ticks that lack before the rug are a gap; the second broadcast of the rug is none."""
    ledger = GapLedger()
    marks = told(ledger, [tick(0), tick(1), tick(5, rugged=True), tick(7, rugged=True, phase="RUG_EVENT_1")])
    assert [mark.detail["missing"] for mark in marks] == [3]
    assert ledger.missing == 3
