"""Distance: a kernel that is far away, behind a proxy on 127.0.0.1 that holds every piece back, in both directions."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from tests.browser.lab import Lab


@dataclass
class Wire:
    """What a proxy has carried: pieces held back, and connections."""

    held: int = 0
    connections: int = 0


@contextmanager
def far_away(lab: Lab, seconds: float) -> Iterator[tuple[Lab, Wire]]:
    """Give the same JupyterLab behind a proxy whose round trip takes some seconds longer; nothing is throttled."""
    wire = Wire()
    loop = asyncio.new_event_loop()
    target = urlsplit(lab.url)
    proxy = _Proxy(str(target.hostname), int(target.port or 80), seconds / 2, wire)
    thread = threading.Thread(target=loop.run_forever, name="far-away", daemon=True)
    thread.start()
    server = asyncio.run_coroutine_threadsafe(asyncio.start_server(proxy.serve, "127.0.0.1", 0), loop).result(10)
    try:
        port = server.sockets[0].getsockname()[1]
        yield replace(lab, url=f"http://127.0.0.1:{port}"), wire
    finally:
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _end(server: asyncio.Server) -> None:
    server.close()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


class _Proxy:
    def __init__(self, host: str, port: int, seconds: float, wire: Wire) -> None:
        self._host = host
        self._port = port
        self._seconds = seconds  # one way
        self._wire = wire

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either side ends it."""
        self._wire.connections += 1
        there, back = await asyncio.open_connection(self._host, self._port)
        ways = [asyncio.create_task(way) for way in (self._carry(reader, back), self._carry(there, writer))]
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait(ways, return_when=asyncio.ALL_COMPLETED)
        for way in ways:
            way.cancel()
        for end in (writer, back):
            end.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read on while what was read is held back, so that the way is long, but not narrow."""
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        arriving = asyncio.create_task(self._arrive(under_way, writer))
        with contextlib.suppress(ConnectionError):
            while piece := await reader.read(65_536):
                under_way.put_nowait((asyncio.get_running_loop().time() + self._seconds, piece))
        under_way.put_nowait((asyncio.get_running_loop().time() + self._seconds, b""))
        await arriving

    async def _arrive(self, under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(ConnectionError):
            while True:
                due, piece = await under_way.get()
                await asyncio.sleep(max(0.0, due - loop.time()))
                if not piece:
                    break
                self._wire.held += 1
                writer.write(piece)
                await writer.drain()
        if writer.can_write_eof():
            with contextlib.suppress(OSError):
                writer.write_eof()
