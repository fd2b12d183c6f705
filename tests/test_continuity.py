"""Continuity: what is missing from a series of numbers is the set difference, in whatever order they come."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replaylab import continuity
from replaylab.continuity import NO_END, Continuity, missing_runs

NUMBERS = st.lists(st.integers(0, 40), max_size=60)


def lacking(numbers: list[int], end: int | None = None) -> set[int]:
    """The set difference: numbers between the lowest and the highest (or the end) that are not there."""
    counted = {number for number in numbers if end is None or number < end}
    if not counted:
        return set()
    return set(range(min(counted), max(counted) + 1 if end is None else end)) - counted


@pytest.mark.parametrize(
    ("numbers", "missing", "late", "duplicates"),
    [
        ([4, 5, 3, 10], 4, 1, 0),
        ([0, 1, 5, 2, 3, 4, 6], 0, 3, 0),
        ([5, 10], 4, 0, 0),
        ([0, 1, 1, 4], 2, 0, 1),
        ([0, 1, 2, 1, 2, 3], 0, 0, 2),
        ([], 0, 0, 0),
        ([7], 0, 0, 0),
    ],
)
def test_known_series(numbers: list[int], missing: int, late: int, duplicates: int) -> None:
    """Series made by hand have the counts that a reader would give them."""
    series = Continuity()
    for number in numbers:
        series.add(number)
    assert (series.missing, series.late, series.duplicates) == (missing, late, duplicates)


def test_a_gap_is_counted_from_the_highest_number() -> None:
    """After 5, 3 the number 10 leaves out four numbers, not six."""
    series = Continuity()
    changes = [series.add(number, place) for place, number in enumerate((5, 3, 10))]
    assert changes[2] == ((2, 4),)


@given(NUMBERS)
def test_missing_is_the_set_difference_at_every_moment(numbers: list[int]) -> None:
    """After each number the count is that of the set difference, and so is the sum of all changes."""
    series, at_places = Continuity(), Counter[int]()
    for place, number in enumerate(numbers):
        for change in series.add(number, place):
            at_places[change.place] += change.missing
        assert series.missing == len(lacking(numbers[: place + 1])) == at_places.total()
    assert series.duplicates == len(numbers) - len(set(numbers))
    late = [one for place, one in enumerate(numbers) if one not in numbers[:place] and one < max(numbers[: place + 1])]
    assert series.late == len(late)


@given(NUMBERS, st.lists(st.integers(0, 40), min_size=1, max_size=3), NUMBERS)
def test_numbers_from_the_end_on_do_not_count(before: list[int], ends: list[int], after: list[int]) -> None:
    """A series that ends lacks what is below its lowest end only, whether it came before or after that end."""
    series, at_places = Continuity(), Counter[int]()
    for number in before:
        at_places.update({change.place: change.missing for change in series.add(number)})
    for place, end in enumerate(ends):
        for change in series.end(end, place):
            at_places[change.place] += change.missing
    for number in after:
        for change in series.add(number):
            at_places[change.place] += change.missing
    assert series.missing == len(lacking(before + after, min(ends))) == at_places.total()


@given(st.dictionaries(st.integers(0, 4), NUMBERS, max_size=4), st.lists(st.integers(0, 45), min_size=5, max_size=5))
def test_columns_of_several_series_give_the_same(series: dict[int, list[int]], ends: list[int]) -> None:
    """Read as columns, each series lacks what it lacks read number by number, run by run."""
    ended = {name: end if end <= 40 else None for name, end in enumerate(ends)}
    pairs = sorted(
        {
            (name, one)
            for name, numbers in series.items()
            for one in numbers
            if (stop := ended[name]) is None or one < stop
        }
    )
    names, numbers = (np.array([pair[place] for pair in pairs], np.int32) for place in (0, 1))
    end = np.array([NO_END if stop is None else stop for stop in ended.values()], np.int64)
    runs = missing_runs(numbers, names, end)
    found = {(name, one) for name, first, last in zip(*runs, strict=True) for one in range(first, last + 1)}
    assert found == {(name, one) for name in series for one in lacking(series[name], ended[name])}
    assert runs.missing.sum() == len(found)
    assert len(runs) == sum((name, one - 1) not in found for name, one in found)


def test_runs_that_are_too_many_stay_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: of more runs than the limit the lowest are counted but no more filled."""
    monkeypatch.setattr(continuity, "MAX_RUNS", 3)
    series = Continuity()
    for number in range(0, 12, 2):
        series.add(number)
    assert series.missing == 5
    assert series.add(1) == ()
    assert series.add(9, 0) == ((0, -1),)
    assert (series.missing, series.late, series.duplicates) == (4, 1, 1)


def test_each_change_has_its_place() -> None:
    """A run has the place of the first number above it, also below the first number, in pieces, and cut by an end."""
    series = Continuity()
    assert (series.next, series.add(5, 7), series.next) == (-1, (), 6)
    assert series.add(3, 8) == ((7, 1),)
    assert series.add(15, 9) == ((9, 9),)
    assert series.add(10, 10) == ((9, -1),)
    assert series.add(8, 11) == ((9, -1),)
    assert series.add(12, 12) == ((9, -1),)
    assert series.end(14, 13) == ((9, -2), (13, 1))
    assert (series.next, series.missing) == (-1, 1 + 2 + 1 + 1 + 1)


def test_an_end_has_a_place_and_counts_as_received() -> None:
    """The end closes what lacks before it; at it and above it nothing counts, and below it all goes on."""
    series = Continuity()
    series.add(0, 4)
    assert series.end(5, 6) == ((6, 4),)
    assert (series.end(5, 7), series.add(5, 8), series.add(9, 9)) == ((), (), ())
    assert series.add(2, 10) == ((6, -1),)
    assert (series.missing, series.late, series.duplicates) == (3, 1, 0)


def test_a_series_that_ends_at_once_lacks_nothing() -> None:
    """An end at zero is an end."""
    series = Continuity()
    assert (series.end(0), series.end(0), series.add(0), series.add(5)) == ((), (), (), ())
    assert (series.missing, series.late, series.duplicates) == (0, 0, 0)


def test_exactly_as_many_runs_as_are_looked_into_are_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound itself is still within; one more, and the lowest run alone is out."""
    assert continuity.MAX_RUNS == 10_000
    monkeypatch.setattr(continuity, "MAX_RUNS", 3)
    series = Continuity()
    for place, number in enumerate(range(0, 8, 2)):
        series.add(number, place)
    assert series.add(1) == ((1, -1),)
    for place, number in ((4, 8), (5, 10)):
        series.add(number, place)
    assert (series.add(3), series.add(5), series.add(7), series.add(9)) == ((), ((3, -1),), ((4, -1),), ((5, -1),))


def test_columns_are_one_series_unless_said() -> None:
    """Without names and ends all numbers are of the series 0; an end just behind the last number leaves nothing out."""
    numbers = np.array([3, 4, 8, 10], np.int32)
    assert [one.tolist() for one in missing_runs(numbers)] == [[0, 0], [5, 9], [7, 9]]
    assert len(missing_runs(numbers[:0])) == 0
    assert [one.tolist() for one in missing_runs(numbers, None, np.array([11]))] == [[0, 0], [5, 9], [7, 9]]
    assert [one.tolist() for one in missing_runs(numbers, None, np.array([12]))] == [[0, 0, 0], [5, 9, 11], [7, 9, 11]]


def test_the_place_of_an_end_is_zero_unless_said() -> None:
    """As that of a number is."""
    series = Continuity()
    series.add(1)
    assert series.end(5) == ((0, 3),)


def test_an_end_at_zero_holds_against_later_ones() -> None:
    """Of several ends the lowest holds, and zero is the lowest of all."""
    series = Continuity()
    assert (series.end(0, 1), series.end(5, 2), series.add(3, 3), series.missing) == ((), (), (), 0)
    assert series.next == -1
