"""Outbox: events that wait for their callbacks, in the order in which things happened; bounded for live ticks."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from replaylab.playback.event import Event

_LEAST_BACKLOG: Final = 1_000  # live ticks that wait for a slow callback, at least
_CROWDED: Final = 0.8  # share of the backlog from which on a warning is sent


class Outbox(deque[tuple[str, Any]]):
    """A queue of pairs: the kind of an event, and the step or event that its callbacks take.

    Parameters
    ----------
    ring_ticks : int
        Ticks kept of a live game; as many may wait for a slow callback, and never less than 1,000.

    Attributes
    ----------
    missed : int
        Live ticks that were left out, because callbacks are too slow or the ring has evicted them.

    Examples
    --------
    >>> outbox = Outbox(100)
    >>> for number in range(1_200):
    ...     outbox.offer("push", number, "g")
    >>> len(outbox), outbox.missed  # a warning is among those that wait
    (1000, 201)
    """

    def __init__(self, ring_ticks: int) -> None:
        super().__init__()
        self.missed = 0
        self._backlog: Final = max(_LEAST_BACKLOG, ring_ticks)
        self._crowded: Final = int(_CROWDED * self._backlog)
        self._unreported = 0
        self._warned = False

    def offer(self, kind: str, value: Any, game_id: str) -> None:
        """Add what a live tick causes; where too much waits it is left out and counted, and reported later."""
        waiting = len(self)
        if waiting >= self._crowded:
            if waiting >= self._backlog:
                self.missed += 1
                self._unreported += 1
                return
            self._warn(game_id)
        elif self._unreported or self._warned:
            self._report(game_id)
        self.append((kind, value))

    def withdraw_ticks(self) -> list[int]:
        """Take back the ticks that still wait; return their rows."""
        rows = [value.index for kind, value in self if kind == "tick"]
        kept = [item for item in self if item[0] != "tick"]
        self.clear()
        self.extend(kept)
        return rows

    def _warn(self, game_id: str) -> None:
        """Warn, once until it is better, that a callback is so slow that ticks will be left out."""
        if not self._warned:
            self._warned = True
            reason = (
                f"a callback is slow: {self._crowded} events wait for it; from {self._backlog} on ticks are left out"
            )
            self.append(("error", Event("error", game_id, reason=reason)))

    def _report(self, game_id: str) -> None:
        """Report how many ticks were left out, now that callbacks keep up."""
        self._warned = False
        if self._unreported:
            reason = (
                f"{self._unreported} live ticks were left out: a callback is too slow; the ring still has the newest"
            )
            self.append(("error", Event("error", game_id, reason=reason)))
            self._unreported = 0
