"""Subscribers: who is called back, and where: in the event loop of the caller, or on the thread of the feeds."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, TypeAlias

Unsubscribe: TypeAlias = Callable[[], None]
_log = logging.getLogger(__name__)


class Subscribers:
    """Callbacks by kind; one that raises never harms the others, nor the feed.

    Examples
    --------
    >>> seen = []
    >>> subscribers = Subscribers("feed")
    >>> end = subscribers.add("gap", seen.append)
    >>> subscribers.tell("gap", 7)
    >>> end()
    >>> subscribers.tell("gap", 8)
    >>> seen
    [7]
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._of: dict[str, tuple[tuple[Callable[[Any], object], asyncio.AbstractEventLoop | None], ...]] = {}

    def add(self, kind: str, callback: Callable[[Any], object]) -> Unsubscribe:
        """Call back at a kind, in the loop that runs here now, if one does."""
        try:
            loop: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            loop = None
        one = (callback, loop)
        self._of[kind] = (*self._of.get(kind, ()), one)

        def end() -> None:
            self._of[kind] = tuple(other for other in self._of.get(kind, ()) if other is not one)

        return end

    def wants(self, kind: str) -> bool:
        """Whether a callback is registered for a kind."""
        return bool(self._of.get(kind))

    def tell(self, kind: str, what: object) -> None:
        """Call back."""
        for callback, loop in self._of.get(kind, ()):
            if loop is None:
                self._call(kind, callback, what)
            elif not loop.is_closed():
                try:
                    loop.call_soon_threadsafe(self._call, kind, callback, what)
                except RuntimeError:
                    continue  # closed meanwhile

    def _call(self, kind: str, callback: Callable[[Any], object], what: object) -> None:
        try:
            callback(what)
        except Exception as error:  # noqa: BLE001 whatever a callback raises
            _log.exception("%s: a callback of %r raised", self._name, kind)
            if kind != "error":
                self.tell("error", error)
