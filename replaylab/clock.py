"""Playhead: where playback is at a given time, as four numbers. Pure: times come as arguments.

Positions are seconds of the game, times are seconds of any clock that does not jump (`time.monotonic`, a browser's
`performance.now() / 1000`, a counter in a test).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from replaylab.errors import SpeedError

MIN_SPEED: Final = 0.1
MAX_SPEED: Final = 100.0
FASTEST: Final = math.inf  # the speed that waits for nothing
NOMINAL_SECONDS: Final = 0.25  # from one tick to the next, as the server sends them


def checked_speed(speed: object, least: float = MIN_SPEED, most: float = MAX_SPEED) -> float:
    """Return a speed as a float when it lies within its bounds or is `FASTEST`.

    Parameters
    ----------
    speed : float
        Seconds of the game a second; `FASTEST` (infinity) is as fast as possible.
    least, most : float
        Its bounds.

    Raises
    ------
    SpeedError
        For NaN, zero, anything out of bounds, and anything that is no number.

    Examples
    --------
    >>> checked_speed(2)
    2.0
    >>> checked_speed(float("nan"))
    Traceback (most recent call last):
    ...
    replaylab.errors.SpeedError: speed=nan: must lie between 0.1 and 100.0, or be infinity (as fast as possible)
    """
    if not isinstance(speed, bool) and hasattr(speed, "__float__") and not isinstance(speed, str):
        try:
            number = float(speed)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if least <= number <= most or number == FASTEST:
            return number
    raise SpeedError(f"speed={speed!r}: must lie between {least} and {most}, or be infinity (as fast as possible)")


@dataclass(frozen=True, slots=True)
class Playhead:
    """Where playback is: at position `anchor` at time `since`, moving at `rate` when `playing`.

    Parameters
    ----------
    anchor : float
        Position in the game, in seconds.
    since : float
        Time at which it was there, in seconds of the clock used.
    rate : float
        Seconds of the game a second; `FASTEST` is beyond every tick as soon as it plays.
    playing : bool
        Whether it moves.

    Examples
    --------
    >>> head = Playhead().play(now=100.0)
    >>> head.at(101.5)
    1.5
    >>> head.faster(4.0, now=101.5).at(102.0)
    3.5
    >>> head.pause(now=103.0).at(999.0)
    3.0
    """

    anchor: float = 0.0
    since: float = 0.0
    rate: float = 1.0
    playing: bool = False

    def at(self, now: float) -> float:
        """Position at a time, in seconds of the game; a clock that steps back does not move the playhead back."""
        if not self.playing:
            return self.anchor
        if self.rate == FASTEST:
            return math.inf
        return self.anchor + max(0.0, now - self.since) * self.rate

    def when(self, position: float) -> float:
        """Time at which a position is reached; infinity while it does not move."""
        if not self.playing:
            return math.inf
        return self.since if self.rate == FASTEST else self.since + (position - self.anchor) / self.rate

    def play(self, now: float) -> Playhead:
        """Move from here on."""
        return self if self.playing else Playhead(self.anchor, now, self.rate, playing=True)

    def pause(self, now: float, limit: float = math.inf) -> Playhead:
        """Stay where it is, or at `limit` where that is earlier: the place of a tick that was due but not shown."""
        if not self.playing:
            return self
        place = min(self.at(now), limit)
        return Playhead(self.anchor if place == math.inf else place, now, self.rate, playing=False)

    def seek(self, position: float, now: float) -> Playhead:
        """Go on from another position."""
        return Playhead(position, now, self.rate, self.playing)

    def faster(self, rate: float, now: float, limit: float = math.inf) -> Playhead:
        """Go on at another rate (slower, too) from where it is, or from `limit` where that is earlier."""
        place = min(self.at(now), limit)
        return Playhead(self.anchor if place == math.inf else place, now, checked_rate(rate), self.playing)


def checked_rate(rate: float) -> float:
    """Return a rate above zero, or raise `SpeedError`: no playhead stands still while it plays, or runs backwards."""
    if not rate > 0:
        raise SpeedError(f"speed={rate!r}: must be above zero")
    return rate
