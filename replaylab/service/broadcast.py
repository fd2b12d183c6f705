"""Broadcast: the clients that are where a shared clock is: each batch is encoded once, and written to all of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from websockets.frames import Frame, Opcode

from replaylab.feeds.programme import Item, Place, Programme
from replaylab.service.delivery import HEARTBEAT_SECONDS, LEAST_WAIT_SECONDS
from replaylab.service.pace import Pace
from replaylab.service.readers import Reader

_BATCH_BYTES: Final = 1 << 16
_BATCH_ITEMS: Final = 1_000
Write: TypeAlias = Callable[[bytes], bool]  # a frame; False when the connection would have to wait


class _Member(NamedTuple):
    reader: Reader
    write: Write
    left: asyncio.Future[None]


class Broadcast:
    """The clients of one programme on one clock that have all that is due; one task serves all of them.

    A client whose connection does not take a frame at once leaves, and goes on by itself from where it is: nothing is
    dropped, and nobody waits for it.

    Parameters
    ----------
    programme : Programme
        The games.
    pace : Pace
        The clock.
    count : callable
        Called with the number of lines and bytes that were sent.
    is_over : callable
        Whether the server stops: then everybody leaves.
    """

    def __init__(
        self, programme: Programme, pace: Pace, count: Callable[[int, int], None], is_over: Callable[[], bool]
    ) -> None:
        self._programme, self._pace = programme, pace
        self._count, self._is_over = count, is_over
        self._members: dict[Reader, _Member] = {}
        self._place = Place(0, 0)
        self._position = ""
        self._holds: Sequence[Item] = ()  # the game it is in
        self._spoke_at = 0.0
        self._task: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._members)

    async def follow(
        self, reader: Reader, write: Write, gone: asyncio.Task[None], seconds: float | None = None
    ) -> bool:
        """Serve a client until it has to go on by itself, has gone, or so many seconds are over.

        Returns False, at once, when the client is not where the others are.
        """
        self._send_due()
        if not self._members:
            self._place, self._position = reader.place, reader.position
        elif reader.place != self._place:
            return False
        loop = asyncio.get_running_loop()
        reader.holds = ()  # where it is now, the broadcast holds
        member = self._members[reader] = _Member(reader, write, loop.create_future())
        if self._task is None or self._task.done():
            self._spoke_at = loop.time()
            self._task = asyncio.ensure_future(self._run())
        try:
            await asyncio.wait({member.left, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._members.pop(reader, None)
        return True

    async def _run(self) -> None:
        programme, loop = self._programme, asyncio.get_running_loop()
        while self._members and not self._is_over():
            self._send_due()
            due = programme.due_us(self._place)
            if due is None:
                break
            quiet = loop.time() - self._spoke_at
            if quiet >= HEARTBEAT_SECONDS:
                self._write([json.dumps({"type": "heartbeat", "id": self._position}).encode()])
                continue
            await asyncio.sleep(max(min(self._pace.seconds_until(due), HEARTBEAT_SECONDS - quiet), LEAST_WAIT_SECONDS))
        for member in list(self._members.values()):  # the end, and its reason, each hears by itself
            self._leave(member)

    def _send_due(self) -> None:
        """Write all that is due to all that are here."""
        while self._members:
            items, place = self._programme.next_items(self._place, self._pace.position_us(), _BATCH_ITEMS, _BATCH_BYTES)
            if not items:
                return
            self._place, self._position, self._holds = place, items[-1].id, self._programme.items(place.game)
            self._write([item.line for item in items])

    def _write(self, lines: list[bytes]) -> None:
        data = b"\n".join(lines)
        frame = text_frame(data)
        sent = 0
        for member in list(self._members.values()):
            if not member.write(frame):
                self._leave(member)
                continue
            member.reader.place, member.reader.position = self._place, self._position
            sent += 1
        self._spoke_at = asyncio.get_running_loop().time()
        self._count(sent * len(lines), sent * (len(data) + 1))

    def _leave(self, member: _Member) -> None:
        del self._members[member.reader]
        if not member.left.done():
            member.left.set_result(None)


def text_frame(data: bytes) -> bytes:
    """Return lines as one frame of a server, of text."""
    return Frame(Opcode.TEXT, data).serialize(mask=False)
