"""Small servers for tests of feeds: a WebSocket that sends what it is told to, and one that speaks Socket.IO."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

from replaylab.feeds.engineio import PacketKind, packet_of
from replaylab.feeds.programme import Place, Programme

Handler = Callable[[ServerConnection], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler, **options: Any) -> AsyncIterator[int]:
    """Serve a handler on a free port of this machine; yield the port."""
    async with serve(handler, "127.0.0.1", 0, compression=None, **options) as server:
        yield next(iter(server.sockets)).getsockname()[1]


def sending(messages: Sequence[str | bytes], *, then: Handler | None = None) -> Handler:
    """A handler that sends messages, and then waits until the client goes."""

    async def handle(connection: ServerConnection) -> None:
        for message in messages:
            await connection.send(message)
        if then is not None:
            await then(connection)
        else:
            await connection.wait_closed()

    return handle


def serving_programme(programme: Programme) -> Handler:
    """A handler that serves a programme as `replaylab.v1`, resuming after an id, flat out."""

    async def handle(connection: ServerConnection) -> None:
        query = (connection.request.path if connection.request else "").partition("after=")[2]
        place = programme.after(query) if query else Place(0, 0)
        if place is None:
            await connection.close(4410, "unknown id")
            return
        first = programme.id_of(place)
        hello = {"type": "hello", "protocol": "replaylab.v1", "next": query or first, "heartbeat_seconds": 5}
        await connection.send(json.dumps(hello))
        while True:
            items, place = programme.next_items(place, None, 10, 1 << 16)
            if not items:
                break
            await connection.send(b"\n".join(item.line for item in items).decode())
        await connection.send('{"type": "end", "reason": "finished"}')
        await connection.close(1000)

    return handle


def speaking_socketio(
    events: Sequence[tuple[str, str]], *, refuse: bool = False, before: Sequence[str] = (), ping_ms: int = 25_000
) -> Handler:
    """A handler that speaks Socket.IO: opens, answers CONNECT, and sends events (name and JSON)."""

    async def handle(connection: ServerConnection) -> None:
        opening = {"sid": "s", "upgrades": [], "pingInterval": ping_ms, "pingTimeout": 20_000, "maxPayload": 1_000_000}
        await connection.send("0" + json.dumps(opening))
        asked = packet_of(await connection.recv(decode=False))
        assert asked.kind is PacketKind.CONNECT
        for text in before:
            await connection.send(text)
        if refuse:
            await connection.send('44{"message":"not you"}')
            await connection.wait_closed()
            return
        await connection.send('40{"sid":"t"}')
        for name, argument in events:
            await connection.send(f"42[{json.dumps(name)},{argument}]")
            await asyncio.sleep(0)
        await connection.wait_closed()

    return handle


@contextmanager
def in_background(handler: Handler, **options: Any) -> Iterator[int]:
    """Serve a handler from a thread of its own, for what is no coroutine; yield the port."""
    ready: Future[tuple[int, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def run() -> None:
        over = asyncio.Event()
        async with serving(handler, **options) as port:
            ready.set_result((port, asyncio.get_running_loop(), over))
            await over.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()), name="test-server", daemon=True)
    thread.start()
    port, loop, over = ready.result(60)
    try:
        yield port
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(60)
