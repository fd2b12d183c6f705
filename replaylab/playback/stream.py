"""Stream: a live game as a track; its ring, and what is odd about the order of its ticks."""

from __future__ import annotations

from typing import Final

from replaylab.playback.event import Gap, Mode, Received, Step
from replaylab.playback.ring import RING_TICKS, RingBuffer
from replaylab.playback.timeline import STALL_SECONDS
from replaylab.tick import Phase, Tick

_STALL_US: Final = int(STALL_SECONDS * 1_000_000)


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
    ...     index = stream.push(tick)
    >>> index, stream.odd[1].missing, stream.duplicates, stream.regressions, stream.gaps
    (3, 2, 1, 0, 1)
    """

    mode: Final = Mode.LIVE

    def __init__(self, game_id: str, size: int = RING_TICKS) -> None:
        self.game_id = game_id
        self.ring = RingBuffer(size)
        self.duplicates = self.regressions = self.gaps = 0
        self.rug: int | None = None
        self.odd: tuple[int, Gap | None, bool] | None = None  # the last row at which something happened
        self._number = -1
        self._at_us = 0

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

    def push(self, tick: Tick) -> int:
        """Keep a tick and give its row; `odd` says whether it is the rug (once a game) or has a gap before it."""
        ring = self.ring
        index = ring.push(tick)
        pause = ring.newest_us - self._at_us
        self._at_us = ring.newest_us
        number = tick.tick
        rug = tick.rugged and self.rug is None and tick.phase != Phase.RUG_EVENT_1
        odd_number = tick.active and self.rug is None and number != self._number + 1
        if tick.active and self.rug is None:  # cooldown rows all carry number 0, those after a rug any
            before, self._number = self._number, number
        if rug or odd_number or pause >= _STALL_US:
            missing = self._count(number - before) if odd_number and before >= 0 else 0
            self._note(index, missing, pause / 1e6 if index else 0.0, rug=rug)
        return index

    def _note(self, index: int, missing: int, pause: float, *, rug: bool) -> None:
        if rug:
            self.rug = index
        gap = None
        if missing or pause >= STALL_SECONDS:
            self.gaps += 1
            gap = Gap(index, "missing" if missing else "stall", missing, pause)
        if rug or gap is not None:
            self.odd = (index, gap, rug)

    def _count(self, ahead: int) -> int:
        self.duplicates += ahead == 0
        self.regressions += ahead < 0
        return max(0, ahead - 1)
