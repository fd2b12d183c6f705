"""A proxy of TCP that does what networks do: cuts, stalls, delays, halves; on a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from typing import Self


class FaultProxy:
    """Passes connections on to a port, until it is told otherwise.

    Attributes
    ----------
    port : int
        Where it listens.
    down : bool
        Whether new connections are closed at once.
    stalled : bool
        Whether it swallows what comes, and closes nothing.
    cut_after : int or None
        Bytes to a client after which its connection is cut, in the middle of whatever it is.
    """

    def __init__(self, to: int) -> None:
        self.to = to
        self.port = 0
        self.down = self.stalled = False
        self.cut_after: int | None = None
        self.cuts = 0
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def cut(self) -> None:
        """Break off every connection, with a reset."""
        self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for writer in list(self._open):
            writer.transport.abort()
            self.cuts += 1

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._pass, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        self._cut()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        with suppress(asyncio.CancelledError):
            self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.down:
            writer.transport.abort()
            return
        try:
            onward_reader, onward = await asyncio.open_connection("127.0.0.1", self.to)
        except OSError:
            writer.transport.abort()
            return
        self._open.add(writer)
        try:
            up = asyncio.ensure_future(self._copy(reader, onward, None))
            down = asyncio.ensure_future(self._copy(onward_reader, writer, self.cut_after))
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)
        finally:
            self._open.discard(writer)
            writer.transport.abort()
            onward.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None) -> None:
        sent = 0
        with suppress(OSError):
            while data := await reader.read(4096):
                while self.stalled:  # noqa: ASYNC110 another thread changes it
                    await asyncio.sleep(0.02)
                if limit is not None and sent + len(data) > limit:
                    writer.write(data[: limit - sent])
                    await writer.drain()
                    self.cuts += 1
                    return
                sent += len(data)
                writer.write(data)
                await writer.drain()
