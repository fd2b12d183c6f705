"""Incoming: a WebSocket whose reader takes at once all messages that have come, instead of waking for each."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

from websockets.asyncio.client import ClientConnection
from websockets.frames import Frame, Opcode

MAX_HELD: Final = 1_000  # messages; then the socket is not read, and the server has to wait
MAX_HELD_BYTES: Final = 4 << 20
_DATA: Final = frozenset({Opcode.CONT, Opcode.TEXT, Opcode.BINARY})


class Incoming(ClientConnection):
    """The client's end of a WebSocket; messages are bytes, in order, and wait here until they are taken."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._parts: list[bytes] = []  # of a message in several frames
        self._waiter: asyncio.Future[None] | None = None
        self._is_paused = False

    def process_event(self, event: Any) -> None:
        """Keep a message until it is taken; all else is handled as ever."""
        if self.response is None or not isinstance(event, Frame) or event.opcode not in _DATA:
            super().process_event(event)
            return
        data = bytes(event.data)
        if self._parts or not event.fin:
            self._parts.append(data)
            if not event.fin:
                return
            data = b"".join(self._parts)
            self._parts.clear()
        self._held.append(data)
        self._held_bytes += len(data)
        if self._waiter is not None:
            self._wake()
        if (len(self._held) >= MAX_HELD or self._held_bytes >= MAX_HELD_BYTES) and not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wake the reader, which takes what has come before it hears of the end."""
        super().connection_lost(exc)
        self._wake()

    async def take_all(self) -> list[bytes]:
        """Return all that have come, or the next; raises `ConnectionClosed` behind the last. Safe to cancel."""
        await self._arrived()
        found = list(self._held)
        self._held.clear()
        self._held_bytes = 0
        self._resume()
        return found

    async def take(self) -> bytes:
        """Return the next message; raises `ConnectionClosed` behind the last. Safe to cancel."""
        await self._arrived()
        found = self._held.popleft()
        self._held_bytes -= len(found)
        if not self._held:
            self._resume()
        return found

    async def _arrived(self) -> None:
        while not self._held:
            if self.connection_lost_waiter.done():
                await self.recv()  # raises what the end of the connection means
            waiter = self._waiter = asyncio.get_running_loop().create_future()
            try:
                await waiter
            finally:
                self._waiter = None

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _resume(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self.transport.resume_reading()
