"""FaultProxy: a TCP proxy that does what networks do: cuts, stalls, delays, halves, doubles and swaps what passes."""

from __future__ import annotations

import asyncio
import random
import threading
from contextlib import suppress
from typing import Final, Self

_PIECE: Final = 1 << 14
_LOOK_SECONDS: Final = 0.02
_START_SECONDS: Final = 30.0
_CLOSE_SECONDS: Final = 30.0
_LENGTHS: Final = {126: 2, 127: 8}  # in place of a length: so many bytes with it follow
_TEXT: Final = 1


class FaultProxy:
    """Passes connections on to a port of this machine, from a thread of its own, and harms them on request.

    Everything can be changed while it runs, from any thread.

    Parameters
    ----------
    to : int
        The port of the server.
    seed : int
        Of what happens by chance.

    Attributes
    ----------
    port : int
        Where it listens, on 127.0.0.1.
    down : bool
        Whether new connections are closed at once.
    stalled : bool
        Whether it swallows what comes, and closes nothing: a connection that is half open.
    delay_seconds : float
        How long everything that the server sends is held back.
    cut_after : int or None
        Bytes to a client after which its connection is cut, in the middle of whatever it is.
    double, swap : float
        How often a message of a WebSocket passes twice, or after the one that follows it: from 0 to 1.
    cuts, doubled, swapped : int
        What it has done.
    doubled_frames : list of bytes
        The messages that passed twice.

    Examples
    --------
    >>> import socket
    >>> with socket.create_server(("127.0.0.1", 0)) as server, FaultProxy(server.getsockname()[1]) as proxy:
    ...     with socket.create_connection(("127.0.0.1", proxy.port)) as client:
    ...         accepted, _ = server.accept()
    ...         _ = accepted.send(b"whole")
    ...         client.recv(5)
    ...         proxy.cut()
    ...         accepted.close()
    b'whole'
    """

    def __init__(self, to: int, *, seed: int = 0) -> None:
        self.to = to
        self.port = 0
        self.down = self.stalled = False
        self.delay_seconds = 0.0
        self.cut_after: int | None = None
        self.double = self.swap = 0.0
        self.cuts = self.doubled = self.swapped = 0
        self.doubled_frames: list[bytes] = []
        self._chance = random.Random(seed)  # noqa: S311 what happens is to be repeatable, not secret
        self._open: set[asyncio.StreamWriter] = set()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fault-proxy", daemon=True)

    def __repr__(self) -> str:
        return f"FaultProxy({self.port} to {self.to}, {self.cuts} cuts)"

    def __enter__(self) -> Self:
        self._thread.start()
        if not self._ready.wait(_START_SECONDS):
            raise TimeoutError("the proxy did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_SECONDS)

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
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.run_until_complete(asyncio.sleep(0))
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
        except asyncio.CancelledError:
            writer.transport.abort()
            raise
        self._open.add(writer)
        try:
            up = asyncio.ensure_future(self._copy(reader, onward))
            harmed = self._messages if self.double or self.swap else self._copy
            down = asyncio.ensure_future(harmed(onward_reader, writer, self.cut_after))
            await asyncio.wait({up, down}, return_when=asyncio.FIRST_COMPLETED)
            for task in (up, down):
                task.cancel()
            ended = await asyncio.gather(up, down, return_exceptions=True)
            if ended[1] is None:  # the server has closed: the client gets all of it, and then the end
                writer.close()
                await asyncio.wait_for(writer.wait_closed(), _CLOSE_SECONDS)
        except (OSError, TimeoutError):
            pass
        finally:
            self._open.discard(writer)
            writer.transport.abort()
            onward.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, limit: int | None = None) -> None:
        """Pass bytes on as they come, up to a limit."""
        sent = 0
        while data := await reader.read(_PIECE):
            await self._hold()
            if limit is not None and sent + len(data) > limit:
                writer.write(data[: limit - sent])
                await writer.drain()
                self.cuts += 1
                raise ConnectionAbortedError
            sent += len(data)
            writer.write(data)
            await writer.drain()

    async def _messages(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, _limit: int | None = None
    ) -> None:
        """Pass messages of a WebSocket on, some of them twice, some after the one that follows."""
        held = b""
        with suppress(asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.write(await reader.readuntil(b"\r\n\r\n"))
            while True:
                frame = await _frame(reader)
                await self._hold()
                is_text = frame[0] & 15 == _TEXT
                if is_text and not held and self._chance.random() < self.swap:
                    held = frame
                    continue
                writer.write(frame)
                if is_text and self._chance.random() < self.double:
                    self.doubled += 1
                    self.doubled_frames.append(frame)
                    writer.write(frame)
                if held:
                    self.swapped += is_text
                    writer.write(held)
                    held = b""
                await writer.drain()
        writer.write(held)

    async def _hold(self) -> None:
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        while self.stalled:  # noqa: ASYNC110 another thread changes it
            await asyncio.sleep(_LOOK_SECONDS)


async def _frame(reader: asyncio.StreamReader) -> bytes:
    """Read one frame of a server, which masks none."""
    head = await reader.readexactly(2)
    size = head[1] & 127
    more = await reader.readexactly(_LENGTHS.get(size, 0))
    return head + more + await reader.readexactly(int.from_bytes(more) if more else size)
