"""Backoff: how long to wait before connecting again: doubling, capped, with full jitter. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

BASE_SECONDS: Final = 0.5
CAP_SECONDS: Final = 10.0
_MOST_DOUBLINGS: Final = 30  # beyond, every cap is reached, and a float would overflow at last


def longest_delay(failures: int, base: float = BASE_SECONDS, cap: float = CAP_SECONDS) -> float:
    """Return the longest delay after so many failures in a row: ``min(cap, base * 2**(failures - 1))``.

    Examples
    --------
    >>> [longest_delay(n) for n in (1, 2, 3, 6, 1000)]
    [0.5, 1.0, 2.0, 10.0, 10.0]
    """
    return min(cap, base * 2.0 ** min(max(failures - 1, 0), _MOST_DOUBLINGS))


class Backoff:
    """Delays between attempts; every one of them lies anywhere from 0 to the longest of its turn.

    So many clients that lost the same server at the same time come back one after another.

    Parameters
    ----------
    uniform : callable
        A random number between two bounds.
    base, cap : float
        Longest first delay, and longest of all, in seconds.

    Examples
    --------
    >>> backoff = Backoff(lambda low, high: high)
    >>> [backoff.next_delay() for _ in range(7)]
    [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0]
    >>> backoff.reset()
    >>> backoff.next_delay()
    0.5
    """

    def __init__(
        self, uniform: Callable[[float, float], float], base: float = BASE_SECONDS, cap: float = CAP_SECONDS
    ) -> None:
        self.failures = 0
        self._uniform = uniform
        self._base = base
        self._cap = max(cap, base)

    def next_delay(self) -> float:
        """Count a failure, and return the seconds to wait after it."""
        self.failures += 1
        return self._uniform(0.0, longest_delay(self.failures, self._base, self._cap))

    def reset(self) -> None:
        """Begin again: data has come for long enough."""
        self.failures = 0
