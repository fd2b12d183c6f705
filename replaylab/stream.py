"""Stream: a live game as a track; its ring, and what is odd about the order of its ticks."""

from __future__ import annotations

from typing import Final

from replaylab.event import Gap, Mode, Received, Step
from replaylab.ring import RING_TICKS, RingBuffer
from replaylab.tick import Phase, Tick
from replaylab.timeline import STALL_SECONDS


class Stream:
    """The ticks of one live game, stored as they come; what is odd about their order is counted, never mended.

    Parameters
    ----------
    game_id : str
        The game.
    size : int
        Ticks kept.

    Examples
    --------
    >>> stream = Stream("g", 100)
    >>> for number in (0, 1, 1, 4):
    ...     tick = Tick(game_id="g", tick=number, timestamp="2031-01-02T03:04:05", price=1, active=True)
    ...     index, gap, rug = stream.push(tick)
    >>> index, gap.missing, stream.duplicates, stream.regressions, stream.gaps
    (3, 2, 1, 0, 1)
    """

    mode: Final = Mode.LIVE

    def __init__(self, game_id: str, size: int = RING_TICKS) -> None:
        self.game_id = game_id
        self.ring = RingBuffer(size)
        self.duplicates = self.regressions = self.gaps = 0
        self.rug: int | None = None
        self._number = -1
        self._at = 0.0

    @property
    def first(self) -> int:
        """Oldest row that can still be shown."""
        return self.ring.first

    @property
    def stop(self) -> int:
        """Rows received."""
        return self.ring.stop

    def due(self, index: int) -> float:
        """When a row that is still there is due, in seconds since 1970."""
        return self.ring.seconds(index)

    def step(self, index: int) -> Step | None:
        """Give a row, or None when it is not there any more."""
        tick = self.ring.at(index)
        return None if tick is None else Step(index, Received(tick, self.stop))

    def push(self, tick: Tick) -> tuple[int, Gap | None, bool]:
        """Keep a tick; gives its row, the gap before it, and whether it is the rug (once a game)."""
        index = self.ring.push(tick)
        at = self.ring.seconds(index)
        pause, self._at = (at - self._at if index else 0.0), at
        missing = 0
        if tick.active and self.rug is None:  # cooldown rows all carry number 0, those after a rug any
            if self._number >= 0 and tick.tick != self._number + 1:
                missing = self._count(tick.tick - self._number)
            self._number = tick.tick
        rug = tick.rugged and self.rug is None and tick.phase != Phase.RUG_EVENT_1
        if rug:
            self.rug = index
        if not missing and pause < STALL_SECONDS:
            return index, None, rug
        self.gaps += 1
        return index, Gap(index, "missing" if missing else "stall", missing, pause), rug

    def _count(self, ahead: int) -> int:
        self.duplicates += ahead == 0
        self.regressions += ahead < 0
        return max(0, ahead - 1)
