"""Continuity: which numbers of a series are missing, repeated or late. Pure.

A number is missing when it lies between the lowest and the highest number of its series and was not received: the set
difference, whatever the order of arrival. A series may have an end (the rug): the end counts as received, and numbers
from it on do not count. `missing_runs` reads whole columns at once, `Continuity` one number after another; both give
the same answer.

The numbers of a game are those of its live ticks (active, not rugged), and its end is the lowest number of a rug row.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

NO_END: Final = np.int64(1 << 31)  # larger than any number of a tick
MAX_RUNS: Final = 10_000  # missing runs that a late number is looked for in; older ones stay missing

Whole = NDArray[np.int64]


class Runs(NamedTuple):
    """Runs of missing numbers, both ends included: the series that each belongs to, its first and its last number."""

    series: Whole
    first: Whole
    last: Whole

    def __len__(self) -> int:
        return len(self.first)

    @property
    def missing(self) -> Whole:
        """How many numbers each run has."""
        return self.last - self.first + 1


def missing_runs(
    number: NDArray[np.signedinteger], series: NDArray[np.signedinteger] | None = None, end: Whole | None = None
) -> Runs:
    """Return the runs of numbers that are missing from each series.

    Parameters
    ----------
    number : ndarray
        Numbers received, strictly rising within each series; below the end of their series where it has one.
    series : ndarray, optional
        Which series each number belongs to, from 0; those of one series stand together. By default there is one.
    end : ndarray of int64, optional
        The end of each series, `NO_END` where it has none. What lacks before it is missing, too.

    Returns
    -------
    Runs
        In order within each series.

    Examples
    --------
    >>> missing_runs(np.array([3, 4, 5, 10])).first, missing_runs(np.array([3, 4, 5, 10])).missing
    (array([6]), array([4]))
    """
    of = np.zeros(len(number), np.int64) if series is None else series
    same = of[1:] == of[:-1]
    inside = np.flatnonzero((np.diff(number) > 1) & same)
    found = of[inside], number[inside] + 1, number[inside + 1] - 1
    if end is not None and len(number):
        tops = np.flatnonzero(np.append(~same, True))
        ends = end[of[tops]]
        tops = tops[(ends < NO_END) & (ends - number[tops] > 1)]
        tails = of[tops], number[tops] + 1, end[of[tops]] - 1
        found = tuple(np.concatenate(pair) for pair in zip(found, tails, strict=True))  # type: ignore[assignment]
    return Runs(*(values.astype(np.int64) for values in found))


class Change(NamedTuple):
    """What a number changed: at `place`, `missing` more numbers are missing (fewer where it is negative)."""

    place: int
    missing: int


class Continuity:
    """The account of one series, number by number.

    Attributes
    ----------
    next : int
        The number that would follow without a gap; -1 before the first number and after the end. A caller in a hurry
        may compare with it and raise it by one instead of calling `add`.
    missing : int
        Numbers missing now; a late number that fills a gap is missing no more.
    duplicates : int
        Numbers received before.
    late : int
        Numbers below the highest that had not been received before.

    Notes
    -----
    Of more than `MAX_RUNS` runs the lowest are not looked into any more: their numbers stay missing.

    Examples
    --------
    >>> series = Continuity()
    >>> [series.add(number, place) for place, number in enumerate((4, 5, 3, 10))]
    [(), (), (), (Change(place=3, missing=4),)]
    >>> series.add(8, 4), series.missing, series.late
    ((Change(place=3, missing=-1),), 3, 2)
    """

    __slots__ = ("_end", "_first", "_last", "_lowest", "_origin", "_place", "duplicates", "late", "missing", "next")

    def __init__(self) -> None:
        self.next = -1
        self.missing = self.duplicates = self.late = 0
        self._lowest = self._end = -1
        self._origin = 0  # place of the first number
        self._first: list[int] = []  # runs of missing numbers, in order: first number, last number, place
        self._last: list[int] = []
        self._place: list[int] = []

    def add(self, number: int, place: int = 0) -> tuple[Change, ...]:
        """Count a number received at a place; return what it changed.

        A run of missing numbers has the place of the first number above it.
        """
        if number == self.next:
            self.next = number + 1
            return ()
        if 0 <= self._end <= number:
            return ()
        if self._lowest < 0:
            self._lowest, self._origin, self.next = number, place, number + 1
            return ()
        if number > self.next > 0:
            before, self.next = self.next, number + 1
            return self._open(before, number - 1, place)
        if number < self._lowest:
            self.late += 1
            before, self._lowest = self._lowest, number
            return self._open(number + 1, before - 1, self._origin)
        return self._fill(number)

    def end(self, number: int, place: int = 0) -> tuple[Change, ...]:
        """Let the series end at a number, which counts as received; of several ends the lowest holds."""
        if 0 <= self._end <= number:
            return ()
        changes: list[Change] = []
        if 0 < self.next < number:
            changes += self._open(self.next, number - 1, place)
        self.next, self._end = -1, number
        if self._lowest < 0 or number < self._lowest:
            self._lowest, self._origin = number, place
        while self._last and self._last[-1] >= number:
            first, last, at = self._first.pop(), self._last.pop(), self._place.pop()
            self.missing -= last - first + 1
            changes.append(Change(at, first - last - 1))
            changes += self._open(first, number - 1, place)
        return tuple(changes)

    def _open(self, first: int, last: int, place: int) -> tuple[Change, ...]:
        """Note a run of missing numbers, where there is one."""
        if first > last:
            return ()
        at = bisect_right(self._first, first)
        self._first.insert(at, first)
        self._last.insert(at, last)
        self._place.insert(at, place)
        if len(self._first) > MAX_RUNS:
            del self._first[0], self._last[0], self._place[0]
        self.missing += last - first + 1
        return (Change(place, last - first + 1),)

    def _fill(self, number: int) -> tuple[Change, ...]:
        """Take a number out of the run that misses it; one that no run misses was received before."""
        at = bisect_right(self._first, number) - 1 if self._first else -1
        if at < 0 or number > self._last[at]:
            self.duplicates += 1
            return ()
        self.late += 1
        self.missing -= 1
        first, last, place = self._first.pop(at), self._last.pop(at), self._place.pop(at)
        for left, right in ((number + 1, last), (first, number - 1)):
            if left <= right:
                self._first.insert(at, left)
                self._last.insert(at, right)
                self._place.insert(at, place)
        return (Change(place, -1),)
