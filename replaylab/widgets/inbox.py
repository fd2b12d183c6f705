"""Inbox: what a feed brings on its way to the screen: bounded, in order, at most twenty deliveries a second."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, Final

EVERY_SECONDS: Final = 0.05


class Inbox:
    """Takes messages from any thread and hands them over on the event loop that it was made on.

    A kernel that computes for an hour does not fill its memory: of what waits, the oldest is left out and counted.
    Without a loop (a plain script) each message is handed over at once.

    Parameters
    ----------
    take : callable
        Takes a list of messages, in order.
    size : int
        Messages that wait at most.

    Attributes
    ----------
    left_out : int
        Messages that were never handed over.

    Examples
    --------
    >>> seen = []
    >>> inbox = Inbox(seen.extend, 100)
    >>> inbox.put("a")
    >>> seen
    ['a']
    """

    def __init__(self, take: Callable[[list[Any]], object], size: int) -> None:
        self._take = take
        self._waiting: deque[Any] = deque(maxlen=size)
        self._lock = threading.Lock()
        self._planned = False
        self.left_out = 0
        try:
            self._loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            self._loop = None

    def put(self, message: object) -> None:
        """Hand a message over soon."""
        if self._loop is None:
            self._take([message])
            return
        with self._lock:
            self.left_out += len(self._waiting) == self._waiting.maxlen
            self._waiting.append(message)
            planned, self._planned = self._planned, True
        if not planned:
            try:
                self._loop.call_soon_threadsafe(self._loop.call_later, EVERY_SECONDS, self._hand_over)
            except RuntimeError:  # the loop was closed: nobody looks any more
                self._waiting.clear()

    def _hand_over(self) -> None:
        with self._lock:
            found = list(self._waiting)
            self._waiting.clear()
            self._planned = False
        self._take(found)
