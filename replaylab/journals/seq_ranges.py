"""SeqRanges: a set of sequence numbers, kept as ranges. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from replaylab.columns import distinct
from replaylab.table import Whole


@dataclass(frozen=True, slots=True)
class SeqRanges:
    """A set of sequence numbers: `runs` of (first, last), sorted, neither touching nor overlapping.

    Examples
    --------
    >>> held = SeqRanges.of([4, 5, 7]) | SeqRanges.of([6])
    >>> held.runs, 6 in held, len(held)
    (((4, 7),), True, 4)
    """

    runs: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, numbers: Iterable[int] | Whole) -> SeqRanges:
        """Return the set of some numbers, in any order, duplicates allowed."""
        values = numbers if isinstance(numbers, np.ndarray) else np.fromiter(numbers, np.int64)
        if (np.diff(values) <= 0).any():
            values = distinct(values)
        if not len(values):
            return cls()
        breaks = np.flatnonzero(np.diff(values) > 1)
        firsts = values[np.concatenate([[0], breaks + 1])].tolist()
        lasts = values[np.concatenate([breaks, [len(values) - 1]])].tolist()
        return cls(tuple(zip(firsts, lasts, strict=True)))

    @classmethod
    def of_ranges(cls, runs: Iterable[Iterable[int]]) -> SeqRanges:
        """Return the union of ranges (first, last), which may touch and overlap."""
        merged: list[tuple[int, int]] = []
        for first, last in sorted((first, last) for first, last in runs):
            if merged and first <= merged[-1][1] + 1:
                merged[-1] = merged[-1][0], max(last, merged[-1][1])
            else:
                merged.append((first, last))
        return cls(tuple(merged))

    def __or__(self, other: SeqRanges) -> SeqRanges:
        return (
            SeqRanges.of_ranges([*self.runs, *other.runs]) if self.runs and other.runs else self if self.runs else other
        )

    def __contains__(self, number: object) -> bool:
        return any(first <= number <= last for first, last in self.runs) if isinstance(number, int) else False

    def __len__(self) -> int:
        return sum(last - first + 1 for first, last in self.runs)

    def __bool__(self) -> bool:
        return bool(self.runs)

    def __iter__(self) -> Iterator[int]:
        return (number for first, last in self.runs for number in range(first, last + 1))

    def holds(self, numbers: Whole) -> NDArray[np.bool_]:
        """Return for each number whether it is in the set."""
        if not self.runs:
            return np.zeros(len(numbers), np.bool_)
        firsts, lasts = np.array(self.runs, np.int64).T
        at = np.searchsorted(firsts, numbers, "right") - 1
        return np.asarray((at >= 0) & (numbers <= lasts[np.maximum(at, 0)]))
