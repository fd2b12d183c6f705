"""Incoming: all messages come, each once and in order, however they arrive and however their reader is cancelled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosedOK

from replaylab.feeds.incoming import MAX_HELD, Incoming
from tests.feeds.servers import Handler, serving


async def dialled(port: int) -> Incoming:
    """An open connection."""
    found = await connect(
        f"ws://127.0.0.1:{port}", create_connection=Incoming, compression=None, ping_interval=None, open_timeout=240
    )
    assert isinstance(found, Incoming)
    return found


def sending(count: int) -> Handler:
    """A handler that sends numbers, some of them in several frames, and closes."""

    async def handle(connection: ServerConnection) -> None:
        for number in range(count):
            text = str(number)
            await connection.send([text[:1], text[1:], ""] if number % 7 == 3 else text)

    return handle


async def read(take: Callable[[], Awaitable[list[bytes]]]) -> list[list[bytes]]:
    """All that is taken until the server has closed."""
    found: list[list[bytes]] = []
    async with asyncio.timeout(240):
        while True:
            try:
                found.append(await take())
            except ConnectionClosedOK:
                return found


@pytest.mark.parametrize("way", ["one", "all"])
def test_every_message_comes_once_and_in_order(way: str) -> None:
    """One by one or all at once, a message in several frames among them; behind the last comes the end."""
    count = 3 * MAX_HELD

    async def run() -> list[bytes]:
        async with serving(sending(count)) as port:
            socket = await dialled(port)

            async def one() -> list[bytes]:
                return [await socket.take()]

            found = await read(one if way == "one" else socket.take_all)
            with pytest.raises(ConnectionClosedOK):
                await socket.take()
            await socket.close()
        return [message for piece in found for message in piece]

    assert asyncio.run(run()) == [str(number).encode() for number in range(count)]


def test_a_reader_that_waits_holds_only_so_many() -> None:
    """A socket that nobody reads is not read further than the bound, and goes on when it is."""
    count = 200 * MAX_HELD

    async def run() -> None:
        async with serving(sending(count)) as port:
            socket = await dialled(port)

            async def slowly() -> list[bytes]:
                for _ in range(50):
                    await asyncio.sleep(0)
                return await socket.take_all()

            sizes = [len(piece) for piece in await read(slowly)]
            await socket.close()
        assert sum(sizes) == count
        assert max(sizes) < count  # what one read of the socket may bring beyond the bound is no more than it holds

    asyncio.run(run())


def test_cancelling_loses_nothing() -> None:
    """A reader that is cancelled while it waits takes all of it the next time."""

    async def run() -> list[bytes]:
        go = asyncio.Event()

        async def handle(connection: ServerConnection) -> None:
            await go.wait()
            await connection.send("1")
            await connection.send("2")
            await connection.wait_closed()

        async with serving(handle) as port:
            socket = await dialled(port)
            for _ in range(5):
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(socket.take(), 0.01)
            go.set()
            found = [await socket.take(), await socket.take()]
            await socket.close()
        return found

    assert asyncio.run(run()) == [b"1", b"2"]
