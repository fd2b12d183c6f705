"""Stream: a live game as a track; its ring, and what is odd about the order of its ticks."""

from __future__ import annotations

from typing import Final

from replaylab.continuity import Change, Continuity
from replaylab.playback.event import Gap, Mode, Received, Step
from replaylab.playback.ring import RING_TICKS, RingBuffer
from replaylab.playback.timeline import STALL_SECONDS
from replaylab.tick import Phase, Tick

_STALL_US: Final = int(STALL_SECONDS * 1_000_000)
_MAX_GAPS: Final = 10_000  # gaps that a late tick is looked for in; older ones stay as they are


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
    >>> index, stream.mark[1].missing, stream.duplicates, stream.regressions, stream.gaps
    (3, 2, 1, 0, 1)
    """

    mode: Final = Mode.LIVE

    def __init__(self, game_id: str, size: int = RING_TICKS) -> None:
        self.game_id = game_id
        self.ring = RingBuffer(size)
        self.order = Continuity()
        self.rug: int | None = None
        self.mark: tuple[int, Gap | None, bool] | None = None  # the last row at which something happened
        self._gaps: dict[int, Gap] = {}
        self._earlier: Gap | None = None  # what the tick in hand shows to be missing before an earlier row
        self._older_gaps = 0
        self._at_us = 0

    @property
    def first(self) -> int:
        """Oldest row that can still be shown."""
        return self.ring.first

    @property
    def stop(self) -> int:
        """Rows received."""
        return self.ring.stop

    @property
    def duplicates(self) -> int:
        """Live ticks whose number had come before."""
        return self.order.duplicates

    @property
    def regressions(self) -> int:
        """Live ticks that came after one of a higher number."""
        return self.order.late

    @property
    def gaps(self) -> int:
        """Gaps there are; one that late ticks have filled is none."""
        return self._older_gaps + len(self._gaps)

    def gaps_from(self, row: int) -> tuple[Gap, ...]:
        """Return the gaps before the rows from `row` on, as far as they are remembered; from any thread."""
        return tuple(gap for gap in sorted(self._gaps.copy().values(), key=lambda gap: gap.index) if gap.index >= row)

    def due(self, index: int) -> float:
        """When a row that is still there is due, in seconds since 1970."""
        return self.ring.seconds(index)

    def step(self, index: int) -> Step | None:
        """Return a row, or None when it is not there any more."""
        tick = self.ring.at(index)
        return None if tick is None else Step(index, Received(tick, self.stop))

    def push(self, tick: Tick) -> int:
        """Keep a tick and return its row; `mark` says whether it is the rug (once a game) or has a gap before it."""
        ring = self.ring
        index = ring.push(tick)
        pause = ring.newest_us - self._at_us
        self._at_us = ring.newest_us
        number = tick.tick
        missing, rug = 0, False
        if tick.rugged:
            if tick.phase != Phase.RUG_EVENT_1:
                rug = self.rug is None
                missing = self._change(self.order.end(number, index), index)
        elif tick.active:  # cooldown rows all carry number 0
            if number == self.order.next:
                self.order.next = number + 1
            else:
                missing = self._change(self.order.add(number, index), index)
        if rug or missing or pause >= _STALL_US or self._earlier is not None:
            self._note(index, missing, pause / 1e6 if index else 0.0, rug=rug)
        return index

    def _change(self, changes: tuple[Change, ...], index: int) -> int:
        """Bring the gaps of earlier rows up to date; return how many ticks are missing before row `index`.

        A tick below the lowest shows that others are missing before the first row: `_earlier` is that gap.
        """
        here, self._earlier = 0, None
        for row, missing in changes:
            if row == index:
                here += missing
                continue
            if missing > 0:
                self._earlier = Gap(row, "missing", missing, 0.0)
            gap = self._gaps.pop(row, None) or Gap(row, "stall", 0, self.ring.pause_us(row) / 1e6)
            left = gap.missing + missing
            if left > 0 or gap.seconds >= STALL_SECONDS:
                self._gaps[row] = Gap(row, "missing" if left > 0 else "stall", max(left, 0), gap.seconds)
        return here

    def _note(self, index: int, missing: int, pause: float, *, rug: bool) -> None:
        if rug:
            self.rug = index
        gap = None
        if missing or pause >= STALL_SECONDS:
            gap = self._gaps[index] = Gap(index, "missing" if missing else "stall", missing, pause)
            if len(self._gaps) > _MAX_GAPS:
                del self._gaps[next(iter(self._gaps))]
                self._older_gaps += 1
        gap, self._earlier = self._earlier or gap, None
        if rug or gap is not None:
            self.mark = (index, gap, rug)
