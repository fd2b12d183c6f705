"""Readers: the clients of a served feed, and the watch that closes those that read too slowly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from replaylab.feeds.programme import Item
from replaylab.service.asking import Asked

MAX_BEHIND_BYTES: Final = 4 << 20
SLOW_SECONDS: Final = 10.0
_LOOK_SECONDS: Final = 0.25
_AT_ONCE: Final = 10_000
_Result = TypeVar("_Result")


class SlowReader(Exception):
    """A client is too far behind, or reads nothing at all."""


class Reader:
    """One client: where it is, and since when it has not taken what is sent.

    It runs in one task, which alone changes it; the watch cancels that task and says why by `slow`.

    Parameters
    ----------
    asked : Asked
        What it asked for.
    now : callable
        Seconds of a clock that does not jump.
    """

    def __init__(self, asked: Asked, now: Callable[[], float] = time.monotonic) -> None:
        self.asked = asked
        self.place = asked.place
        self.position = asked.position  # the id of the last item it was sent
        self.holds: Sequence[Item] = ()  # the game it is in, so that it is made once however many others are elsewhere
        self.joined = False  # has been where its clock is: until then it catches up, as fast as it can
        self.slow = False
        self.now = now
        self.blocked_since: float | None = None
        self._task = asyncio.current_task()

    async def take(self, sending: Awaitable[_Result]) -> _Result:
        """Wait until something is sent; raises `SlowReader` when the client does not take it."""
        self.blocked_since = self.now()
        try:
            return await sending
        except asyncio.CancelledError:
            if not self.slow:
                raise
            task = asyncio.current_task()
            if task is not None:
                task.uncancel()
        finally:
            self.blocked_since = None
        raise SlowReader

    def behind_bytes(self, most: int) -> int:
        """Return the bytes that are due and not sent, counted up to a number; 0 while it catches up."""
        position = self.asked.pace.position_us()
        if not self.joined or position is None:
            return 0
        found, place = 0, self.place
        while found < most:
            items, place = self.asked.programme.next_items(place, position, _AT_ONCE, most, self.asked.until)
            if not items:
                break
            found += sum(len(one.line) + 1 for one in items)
        return found

    def close_if_slow(self, seconds: float, most: int) -> None:
        """Close when it has taken nothing for so long, or lags by so many bytes."""
        since = self.blocked_since
        if since is None or self.slow or self._task is None:
            return
        if self.now() - since >= seconds or self.behind_bytes(most) >= most:
            self.slow = True
            self._task.cancel()


class Readers:
    """The clients that are connected; while there are any, one task looks after them.

    Attributes
    ----------
    slow_seconds : float
        After which a client that takes nothing is closed.
    behind_bytes : int
        By which a client may lag behind its clock.
    """

    def __init__(self, slow_seconds: float = SLOW_SECONDS, behind_bytes: int = MAX_BEHIND_BYTES) -> None:
        self.slow_seconds = slow_seconds
        self.behind_bytes = behind_bytes
        self._of: set[Reader] = set()
        self._watch: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._of)

    def add(self, reader: Reader) -> None:
        """Look after a client."""
        self._of.add(reader)
        if self._watch is None or self._watch.done():
            self._watch = asyncio.ensure_future(self._look())

    def remove(self, reader: Reader) -> None:
        """Forget a client."""
        self._of.discard(reader)

    async def _look(self) -> None:
        while self._of:
            await asyncio.sleep(min(_LOOK_SECONDS, self.slow_seconds / 4))
            for reader in list(self._of):
                reader.close_if_slow(self.slow_seconds, self.behind_bytes)
