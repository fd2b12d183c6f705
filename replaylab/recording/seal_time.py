"""SealTime: when complete journals are sealed; it holds up the writer, so a burst of ticks goes first. Pure."""

from __future__ import annotations

from typing import Final

LONGEST_SECONDS: Final = 1.0  # that a journal waits, however many ticks come
FAST: Final = 10_000  # ticks a second


class SealTime:
    """Says whether complete journals are to be sealed now: when ticks come slowly, or when the first has waited long.

    Examples
    --------
    >>> time = SealTime()
    >>> time.has_come(5.00, 0, waits=False)
    False
    >>> time.has_come(5.01, 2_000, waits=True), time.has_come(5.02, 2_001, waits=True)
    (False, True)
    """

    def __init__(self) -> None:
        self._seq = 0
        self._seen_at = self._latest_at = 0.0

    def has_come(self, now: float, seq: int, *, waits: bool) -> bool:
        """Look at the number of the next tick; `waits` says whether there are complete journals."""
        came, lasted = seq - self._seq, now - self._seen_at
        self._seq, self._seen_at = seq, now
        if not waits:
            self._latest_at = now + LONGEST_SECONDS
            return False
        return came <= FAST * lasted or now >= self._latest_at
