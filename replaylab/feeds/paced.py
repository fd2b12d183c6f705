"""PacedFeed: a programme as a feed of this process, as fast as its clock goes; resumes anywhere."""

from __future__ import annotations

import asyncio
import math
from typing import Final

from replaylab.clock import checked_speed
from replaylab.errors import FeedLost
from replaylab.feeds.base import Connection, Frame
from replaylab.feeds.programme import Place, Programme

_AT_ONCE: Final = 100
_AT_ONCE_BYTES: Final = 1 << 16
_LONGEST_SLEEP_SECONDS: Final = 1.0  # then a heartbeat


class PacedFeed(Connection):
    """A programme as a feed: its items come when they are due.

    Parameters
    ----------
    programme : Programme
        The games.
    name : str
        Of the feed.
    speed : float
        Seconds of the programme a second; infinity waits for nothing.
    """

    def __init__(self, programme: Programme, name: str, speed: float = 1.0) -> None:
        super().__init__(name)
        self.programme = programme
        self.speed = checked_speed(speed, 1e-3, 1e6)
        self.resumes = True
        self.beats = _LONGEST_SLEEP_SECONDS
        self._place = Place(0, 0)
        self._connected = False
        self._since = 0.0
        self._anchor_us = 0

    async def connect(self, after: str | None = None) -> None:
        """Begin, or go on after an id; raises `FeedLost` when the content is not that of the id any more."""
        place = Place(0, 0) if after is None else self.programme.after(after)
        if place is None:
            raise FeedLost("server_restart", f"{self.name}: the content has changed since the id to resume after")
        self._place, self.position, self._connected = place, after, True
        self._since = asyncio.get_running_loop().time()
        self._anchor_us = self.programme.due_us(place) or 0

    async def receive(self) -> Frame | None:
        """Return the items that are due; None when the programme is over."""
        if not self._connected:
            raise FeedLost("closed", f"{self.name}: not connected")
        due = self.programme.due_us(self._place)
        if due is None:
            return None
        wait = self._seconds_until(due)
        if wait > 0:
            await asyncio.sleep(min(wait, _LONGEST_SLEEP_SECONDS))
            if wait > _LONGEST_SLEEP_SECONDS:
                return Frame((), (), self.position)
        else:
            await asyncio.sleep(0)  # others of the same loop go on
        until = max(due, self._now_us()) if math.isfinite(self.speed) else None
        items, self._place = self.programme.next_items(self._place, until, _AT_ONCE, _AT_ONCE_BYTES)
        if items:
            self.position = items[-1].id
        told = [(one.message, one.id) for one in items if one.message is not None]
        return Frame([one for one, _ in told], [name for _, name in told], self.position)

    def _seconds_until(self, due_us: int) -> float:
        if not math.isfinite(self.speed):
            return 0.0
        return (due_us - self._now_us()) / 1_000_000 / self.speed

    def _now_us(self) -> int:
        gone = asyncio.get_running_loop().time() - self._since
        return self._anchor_us + int(gone * self.speed * 1_000_000)

    async def close(self) -> None:
        """Stop."""
        self._connected = False
