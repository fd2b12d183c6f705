"""Broadcast: clients of one clock are written to together, each gets every line once, and none waits for another."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosedOK

import replaylab as rl
from replaylab.errors import FeedRefused
from replaylab.service.broadcast import Broadcast
from replaylab.service.server import FeedServer
from replaylab.service.tokens import Tokens
from tests.live.copies import wait_for
from tests.service.test_server import ends_soon

BEAT = b'"type": "heartbeat"'
ROWS = 8_000


def made(folder: Path, rows: int, milliseconds: int, phase: Any = "ACTIVE_GAMEPLAY") -> Path:
    """A store of one game whose ticks are so far apart."""
    start = datetime(2031, 1, 2, tzinfo=UTC)
    with rl.Recorder(folder) as recorder:
        recorder.record_many(
            rl.Tick("g", n, start + timedelta(milliseconds=milliseconds * n), Decimal(1), phase=phase, active=True)
            for n in range(rows)
        )
    return folder


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A game of long lines, a millisecond apart: 8 MB."""
    return made(tmp_path_factory.mktemp("wide"), ROWS, 1, "P" * 900)


async def lines_of(socket: ClientConnection, found: list[bytes]) -> None:
    """Read all lines to the end."""
    while True:
        try:
            found += (await socket.recv(decode=False)).split(b"\n")
        except ConnectionClosedOK:
            return


async def become(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    while not condition():  # noqa: ASYNC110 the server runs on another thread
        await asyncio.sleep(0.01)


def together(server: FeedServer) -> int:
    """How many clients are written to together now."""
    return sum(map(len, server.door._broadcasts.values()))


def numbers(lines: list[bytes]) -> list[int]:
    """The ticks of lines."""
    return [int(line.split(b'"tick": ')[1].split(b",")[0]) for line in lines if b'"type": "tick"' in line]


def test_every_client_gets_every_line_once(tmp_path: Path) -> None:
    """Whenever they come, and from wherever: each has all lines from its first on, in order, and they were together."""

    async def run(server: FeedServer) -> tuple[list[list[bytes]], int]:
        found: list[list[bytes]] = [[] for _ in range(6)]
        readers, most = [], 0
        for number, lines in enumerate(found):
            query = "?from=start" if number % 2 else ""
            reader = await connect(server.url + query, compression=None, max_size=None)
            readers.append(asyncio.ensure_future(lines_of(reader, lines)))
            await asyncio.sleep(0.05)
        while not all(reader.done() for reader in readers):
            most = max(most, together(server))
            await asyncio.sleep(0.01)
        return found, most

    with rl.serve(made(tmp_path, 300, 8), speed=0.25) as server:
        found, most = asyncio.run(asyncio.wait_for(run(server), 120))
        wait_for(lambda: not server.door.clients)  # all is counted then
        assert server.door.counts["lines:feed"] == sum(map(len, found))
        assert server.door.counts["bytes:feed"] == sum(len(line) + 1 for lines in found for line in lines)
    assert most > 1
    for number, lines in enumerate(found):
        ticks = numbers(lines)
        assert ticks == list(range(0 if number % 2 else ticks[0], 300))
        assert b'"end"' in lines[-1]


def test_one_that_does_not_read_harms_nobody(wide: Path) -> None:
    """A client that reads nothing is left behind and closed; one that only pauses gets all it missed."""

    async def run(server: FeedServer) -> tuple[list[bytes], list[bytes]]:
        small: Any = socket.create_connection(("127.0.0.1", server.port))
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stopped = await connect(server.url + "?from=start", sock=small, compression=None, max_queue=1)
        paused = await connect(server.url + "?from=start", compression=None, max_queue=1)
        good = await connect(server.url + "?from=start", compression=None)
        steady: list[bytes] = []
        late: list[bytes] = []
        reading = asyncio.ensure_future(lines_of(good, steady))
        await asyncio.sleep(1.0)
        await asyncio.gather(lines_of(paused, late), reading)
        server.door.readers.slow_seconds = 1.0
        await become(lambda: server.door.refused["slow_reader"])
        stopped.transport.abort()
        return steady, late

    with rl.serve(wide, speed=3.0) as server:
        readers = server.door.readers  # the other two may be slow, where the machine is
        readers.slow_seconds, readers.behind_bytes = 600.0, 1 << 30
        steady, late = asyncio.run(asyncio.wait_for(run(server), 120))
        assert server.door.refused == {"slow_reader": 1}
    assert numbers(steady) == numbers(late) == list(range(ROWS))


def test_a_token_ends_for_its_client_alone(wide: Path) -> None:
    """Of clients that are served together, the one whose token ends is closed, and the other reads on."""
    secret = "0123456789abcdef" * 2
    tokens = Tokens(secret)

    async def ticks(server: FeedServer, token: str) -> int:
        async with rl.open_feed(server.url + "?from=start", token=token) as feed:
            return len([one async for one in feed if isinstance(one, rl.Tick)])

    async def run(server: FeedServer) -> int:
        ends_soon(server, token := tokens.issue(500))
        short = asyncio.ensure_future(ticks(server, token))
        found = await ticks(server, tokens.issue(600))
        with pytest.raises(FeedRefused, match="4401"):
            await short
        return found

    with rl.serve(wide, speed=1.5, secret=secret) as server:
        assert asyncio.run(asyncio.wait_for(run(server), 120)) == ROWS


def test_in_silence_it_beats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between two games everybody gets heartbeats, with the id of the last line."""
    monkeypatch.setattr("replaylab.service.broadcast.HEARTBEAT_SECONDS", 0.2)

    async def run(server: FeedServer) -> list[list[bytes]]:
        found: list[list[bytes]] = [[], []]
        sockets = [await connect(server.url + "?from=start", compression=None) for _ in found]
        await asyncio.gather(*(lines_of(one, lines) for one, lines in zip(sockets, found, strict=True)))
        return found

    with rl.serve(made(tmp_path, 3, 1000), speed=1.0) as server:
        found = asyncio.run(asyncio.wait_for(run(server), 60))
    for lines in found:
        assert numbers(lines) == [0, 1, 2]
        beats = [n for n, line in enumerate(lines) if BEAT in line]
        assert beats
        place = beats[0]
        while BEAT in lines[place]:
            place -= 1
        assert lines[place].rpartition(b'"id": ')[2] == lines[beats[0]].rpartition(b'"id": ')[2]


def test_it_is_empty_afterwards(wide: Path) -> None:
    """Clients that go leave it, and nothing of them is kept."""

    async def run(server: FeedServer) -> Broadcast:
        sockets = [await connect(server.url, compression=None) for _ in range(3)]
        await become(lambda: together(server) == 3)
        broadcast: Broadcast = next(iter(server.door._broadcasts.values()))
        for one in sockets:
            await one.close()
        await become(lambda: not server.door.clients)
        return broadcast

    with rl.serve(wide, speed=0.2) as server:
        assert len(asyncio.run(asyncio.wait_for(run(server), 60))) == 0
        assert len(server.door.readers) == 0
