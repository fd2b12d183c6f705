"""`/socket.io/`: a programme as the game's own server sends it, over WebSocket and polling, by python-socketio.

It offers no resume (connection state recovery): a client that comes back joins where the clock is, as with the game.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import socketio
from socketio.packet import Packet
from starlette.requests import HTTPConnection

from replaylab.feeds.programme import Place, Programme
from replaylab.service.asking import KNOWN, Asked, Refusal
from replaylab.service.door import Door, refuse, token_of
from replaylab.service.frames import Event, GameFrames
from replaylab.service.readers import Reader, SlowReader

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


PING_SECONDS: Final = 5.0
SNAPSHOT_SECONDS: Final = 0.01  # between the first tick of a client and the snapshot that belongs before it
_COUNTDOWN_SECONDS: Final = 0.1
_AT_ONCE: Final = 64
_BYTES_AT_ONCE: Final = 1 << 16
_ROOM_SECONDS: Final = 0.01
_LEAST_WAIT_SECONDS: Final = 0.002
_MAX_MESSAGE_BYTES: Final = 1 << 16  # of a client, which has nothing to say


class Encoded(str):
    """JSON that goes out as it is."""

    __slots__ = ()


class Exact:
    """What python-socketio encodes with: numbers keep their text, and are read without one either."""

    @staticmethod
    def dumps(value: Any, **_options: Any) -> str:
        """Return JSON; the argument of an event is JSON already."""
        if isinstance(value, list) and value and isinstance(value[-1], Encoded):
            return f"[{json.dumps(value[0])},{value[-1]}]"
        return json.dumps(value, separators=(",", ":"))

    @staticmethod
    def loads(text: str, **_options: Any) -> Any:
        """Return what a client says."""
        return json.loads(text)


class ExactPacket(Packet):  # type: ignore[misc] # python-socketio has no types
    """A packet whose events are encoded already: for this server alone, not for every one of the process."""

    json = Exact
    uses_binary_events = False


class Players:
    """The clients of `/socket.io/`, each with a task that plays what it asked for."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._frames: dict[int, GameFrames] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        silent = logging.Logger("socketio", logging.CRITICAL + 1)  # noqa: LOG001 of no tree: it would write down tokens
        self.server = socketio.AsyncServer(
            async_mode="asgi",
            serializer=ExactPacket,
            cors_allowed_origins=[],  # `Door.admit` looks at origins
            ping_interval=PING_SECONDS,
            max_http_buffer_size=_MAX_MESSAGE_BYTES,
            logger=silent,
            engineio_logger=silent,
        )
        self.server.on("connect", self._connect)
        self.server.on("disconnect", self._disconnect)

    async def _connect(self, sid: str, environ: dict[str, Any], auth: object = None) -> None:
        door, request = self._door, HTTPConnection(environ["asgi.scope"])
        token = auth.get("token") if isinstance(auth, dict) else None
        try:
            door.admit(request)
            ends = await door.end_of(token if isinstance(token, str) else token_of(request))
            query = {name: value for name, value in request.query_params.items() if name in KNOWN}
            if "after" in query:
                raise Refusal(400, "Socket.IO does not resume after an id here; /feed does")  # noqa: TRY301
            asked = door.questions.asked(query)
        except Refusal as refusal:
            door.refused[str(refusal.status)] += 1
            status = {"status": refusal.status}
            raise socketio.exceptions.ConnectionRefusedError(refusal.problem, status) from None
        self._tasks[sid] = asyncio.ensure_future(self._played(sid, asked, ends, environ["asgi.scope"].get("client")))

    async def _disconnect(self, sid: str, _reason: object = None) -> None:
        task = self._tasks.pop(sid, None)
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    async def _played(self, sid: str, asked: Asked, ends: float | None, client: object) -> None:
        door, reader = self._door, Reader(asked)
        door.readers.add(reader)
        door.clients += 1
        try:
            await self._play(sid, reader, ends)
        except SlowReader:
            door.refused["slow_reader"] += 1
            await self._leave(sid)
            door.hang_up(client)
        finally:
            door.readers.remove(reader)
            door.clients -= 1

    async def _play(self, sid: str, reader: Reader, ends: float | None) -> None:
        """Send what is due until the token has ended, or the server stops; at the end of the programme be silent."""
        programme, _, until, pace, _, _ = reader.asked
        frames = self._of(programme)
        await self._greet(sid, reader, frames)
        while True:
            if self._door.why_over(ends) is not None:
                await self._leave(sid)
                return
            position = pace.position_us()
            items, place = programme.next_items(reader.place, position, _AT_ONCE, _BYTES_AT_ONCE, until)
            reader.holds = programme.items(place.game)
            if items:
                at = reader.place
                for _ in items:
                    events = frames.of(at) if at.item < len(programme.items(at.game)) else ()
                    for event in events:
                        await self._send(sid, reader, event)
                    at = _next(programme, at)
                reader.place = place
                continue
            due = programme.due_us(reader.place)
            if due is None or (until is not None and reader.place >= until):
                await asyncio.sleep(PING_SECONDS)  # the game's own server does not end either
                continue
            reader.joined = True
            await self._wait(sid, reader, frames, due)

    async def _wait(self, sid: str, reader: Reader, frames: GameFrames, due_us: int) -> None:
        """Wait for the next item; before a game, count down."""
        pace = reader.asked.pace
        wait = max(pace.seconds_until(due_us), _LEAST_WAIT_SECONDS)
        begins = frames.first_due_us(reader.place)
        position = pace.position_us()
        if begins is not None and position is not None and math.isfinite(pace.speed):
            left_ms = (begins - position) // 100_000 * 100
            if left_ms > 0:
                await self._send(sid, reader, frames.countdown(reader.place.game, left_ms))
            wait = min(wait, _COUNTDOWN_SECONDS)
        await asyncio.sleep(min(wait, PING_SECONDS))

    async def _greet(self, sid: str, reader: Reader, frames: GameFrames) -> None:
        """Send the newest tick, and a moment later the snapshot of all before it: in this order, as the game does."""
        place = reader.place
        newest = frames.tick_before(place) if place.item and reader.asked.programme.items(place.game) else None
        if newest is None:
            return
        at = place._replace(item=newest)
        for event in frames.of(at):
            await self._send(sid, reader, event)
        await asyncio.sleep(SNAPSHOT_SECONDS)
        await self._send(sid, reader, frames.snapshot(at))

    async def _send(self, sid: str, reader: Reader, event: Event) -> None:
        await self.server.emit(event.name, Encoded(event.argument), to=sid)
        self._door.count("socket.io", 1, len(event.argument))
        queue = self._queue(sid)
        if queue is not None and queue.qsize() > _AT_ONCE:
            await reader.take(self._room(queue))

    def _queue(self, sid: str) -> asyncio.Queue[Any] | None:
        """Return what waits to be sent to a client."""
        with suppress(KeyError, AttributeError):
            found: asyncio.Queue[Any] = self.server.eio.sockets[self.server.manager.eio_sid_from_sid(sid, "/")].queue
            return found
        return None

    @staticmethod
    async def _room(queue: asyncio.Queue[Any]) -> None:
        while queue.qsize() > _AT_ONCE // 2:  # noqa: ASYNC110 the queue has no event for it
            await asyncio.sleep(_ROOM_SECONDS)

    async def _leave(self, sid: str) -> None:
        with suppress(KeyError):
            await self.server.disconnect(sid)

    def _of(self, programme: Programme) -> GameFrames:
        found = self._frames.get(id(programme))
        if found is None:
            found = self._frames[id(programme)] = GameFrames(programme)
        return found


def _next(programme: Programme, place: Place) -> Place:
    """Return the place of the next item; of games without one there is none to skip."""
    more = Place(place.game, place.item + 1)
    return more if more.item < len(programme.items(place.game)) else Place(place.game + 1, 0)


def events_app(door: Door) -> ASGIApp:
    """Return the web face of `/socket.io/`; a page of another origin is refused before anything is opened."""
    players = Players(door)
    inner = socketio.ASGIApp(players.server, socketio_path="socket.io")

    async def web(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["type"] in {"http", "websocket"}:
                door.admit(HTTPConnection(scope))
        except Refusal as refusal:
            door.refused[str(refusal.status)] += 1
            await refuse(scope, send, refusal)
            return
        await inner(scope, receive, send)

    return web
