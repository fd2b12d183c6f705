"""Durations: how long calls took, as a histogram."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Final

BOUNDS_US: Final = (100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)


@dataclass(frozen=True, slots=True)
class Histogram:
    """How long a kind of call took, in microseconds.

    Attributes
    ----------
    counts : tuple of int
        How many took at most each of `BOUNDS_US`, then how many took longer.
    sum_us, max_us : int
        Total and longest.

    Examples
    --------
    >>> Histogram((0, 3) + (0,) * 12, sum_us=420, max_us=190).mean_us
    140.0
    """

    counts: tuple[int, ...] = (0,) * (len(BOUNDS_US) + 1)
    sum_us: int = 0
    max_us: int = 0

    @property
    def count(self) -> int:
        """Number of calls."""
        return sum(self.counts)

    @property
    def mean_us(self) -> float:
        """Mean; 0 when there were none."""
        return self.sum_us / self.count if self.count else 0.0


class Durations:
    """Count how long a kind of call takes; `histogram` is the result so far.

    Examples
    --------
    >>> found = Durations()
    >>> found.add(0.00015)
    >>> found.histogram.counts[:3], found.histogram.max_us
    ((0, 1, 0), 150)
    """

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_US) + 1)
        self._sum_us = self._max_us = 0

    def add(self, seconds: float) -> None:
        """Count one more call."""
        took = max(0, round(seconds * 1e6))
        self._counts[bisect_left(BOUNDS_US, took)] += 1
        self._sum_us += took
        self._max_us = max(self._max_us, took)

    @property
    def histogram(self) -> Histogram:
        """The counts so far."""
        return Histogram(tuple(self._counts), self._sum_us, self._max_us)
