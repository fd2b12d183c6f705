"""The web face of a served feed: `/feed`, `/feed.jsonl`, `/events`, health and metrics."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from replaylab.clock import FASTEST, checked_speed
from replaylab.errors import SpeedError, TickError, TokenRefused
from replaylab.feeds.programme import PACINGS, Pacing, Place, Programme
from replaylab.feeds.stored import StoredGames
from replaylab.service.delivery import PROTOCOL, Batch, Pace, deliver
from replaylab.service.metrics import exposition
from replaylab.service.tokens import Tokens
from replaylab.tick import microseconds, parse_time

MAX_CLIENTS: Final = 500
SLOW_SECONDS: Final = 10.0
_BEARER: Final = "bearer."
_KNOWN: Final = frozenset({"after", "from", "games", "loop", "pacing", "session", "speed"})
_SESSIONS: Final = 100


class Refusal(Exception):
    """A request that is answered with a status, or a code of a WebSocket, and why."""

    def __init__(self, status: int, problem: str, code: int | None = None) -> None:
        self.status = status
        self.code = code
        self.problem = problem
        super().__init__(problem)


class Asked(NamedTuple):
    """What a client asked for: a programme, from where, at which pace, and the position before the first item."""

    programme: Programme
    place: Place
    pace: Pace
    position: str


class FeedApp:
    """The routes of a served feed, and what is counted of them.

    Parameters
    ----------
    source : StoredGames
        The games.
    speed, pacing, loop
        Of clients that ask for nothing else; they share one clock, which begins with the first of them.
    tokens : Tokens, optional
        Who may read; everybody on this machine unless given.
    origins : sequence of str
        Pages that may read the feed in a browser, beside those of its own address.
    """

    def __init__(
        self,
        source: StoredGames,
        speed: float,
        pacing: Pacing,
        *,
        loop: bool,
        tokens: Tokens | None,
        origins: tuple[str, ...] = (),
        slow_seconds: float = SLOW_SECONDS,
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.clients = 0
        self.closing = False
        self._source = source
        self._speed, self._pacing, self._loop = speed, pacing, loop
        self._tokens = tokens
        self._origins = frozenset(origins)
        self._slow_seconds = slow_seconds
        self._programmes: dict[tuple[Pacing, bool, tuple[str, ...] | None], Programme] = {}
        self._paces: dict[str, Pace] = {"": Pace(speed)}
        self.web = Starlette(
            routes=[
                WebSocketRoute("/feed", self._websocket),
                Route("/feed.jsonl", self._json_lines),
                Route("/events", self._events),
                Route("/health/live", self._alive),
                Route("/health/ready", self._ready),
                Route("/metrics", self._metrics),
            ]
        )

    # What a client asks for

    def _allowed(self, request: HTTPConnection) -> float | None:
        """Return when the token of a client ends; raise `Refusal` for one that may not read."""
        origin = request.headers.get("origin")
        own = origin is None or origin in self._origins or urlsplit(origin).netloc == request.headers.get("host")
        if not own:
            raise Refusal(403, "pages of another origin may not read this feed", 4403)
        if self.clients >= MAX_CLIENTS:
            raise Refusal(503, f"{MAX_CLIENTS} clients are connected", 1013)
        if self.closing:
            raise Refusal(503, "the server shuts down", 1012)
        if self._tokens is None:
            return None
        try:
            return self._tokens.check(_token_of(request))
        except TokenRefused:
            raise Refusal(401, "no valid token", 4401) from None

    def _asked(self, request: HTTPConnection) -> Asked:
        query = request.query_params
        unknown = sorted(set(query) - _KNOWN)
        if unknown:
            raise Refusal(400, f"unknown parameter {unknown[0]!r}; known are {', '.join(sorted(_KNOWN))}", 1008)
        pacing: Any = query.get("pacing", self._pacing)
        if pacing not in PACINGS:
            raise Refusal(400, f"pacing must be one of {', '.join(PACINGS)}", 1008)
        loop = query.get("loop", "1" if self._loop else "0") == "1"
        games = tuple(sorted(set(query["games"].split(",")))) if "games" in query else None
        programme = self._programme(pacing, games, loop=loop)
        after = query.get("after") or request.headers.get("last-event-id")
        place, begins = self._place(programme, query.get("from"), after)
        pace = self._pace(query.get("speed"), query.get("session"), pacing)
        if place is None:
            place = programme.of_clock(pace.position_us() or 0)
        elif begins and query.get("speed") is not None and query.get("session") is None:
            pace = Pace(pace.speed, programme.due_us(place) or 0)
        return Asked(programme, place, pace, after or programme.id_of(place))

    def _programme(self, pacing: Pacing, games: tuple[str, ...] | None, *, loop: bool) -> Programme:
        key = (pacing, loop, games)
        found = self._programmes.get(key)
        if found is None:
            source = self._source
            if games is not None:
                try:
                    source = StoredGames(source.store, games)
                except KeyError as error:
                    raise Refusal(404, str(error), 1008) from None
            found = Programme(source, pacing, loop=loop)
            if len(self._programmes) < _SESSIONS:
                self._programmes[key] = found
        return found

    def _place(self, programme: Programme, begins: str | None, after: str | None) -> tuple[Place | None, bool]:
        """Return where to begin, None for where the clock is, and whether the client chose it."""
        if after is not None:
            place = programme.after(after)
            if place is None and after != programme.id_of(Place(0, 0)):
                raise Refusal(410, "the id is not of this content; begin again with from=start", 4410)
            return place or Place(0, 0), True
        if begins is None:
            return None, False
        if begins == "start":
            return Place(0, 0), True
        found = programme.of_game(begins)
        if found is None:
            try:
                found = programme.of_time(microseconds(parse_time(begins)))
            except TickError:
                raise Refusal(400, "from must be 'start', a game id or a time in ISO 8601", 1008) from None
        return found, True

    def _pace(self, speed: str | None, session: str | None, pacing: Pacing) -> Pace:
        try:
            number = checked_speed(float(speed)) if speed is not None else self._speed
        except (ValueError, SpeedError):
            raise Refusal(400, "speed must be a number from 0.1 to 100", 1008) from None
        if pacing == "none":
            return Pace(FASTEST)
        if speed is None and session is None:
            return self._paces[""]
        if session is None:
            return Pace(number)
        if session not in self._paces and len(self._paces) > _SESSIONS:
            raise Refusal(503, "too many sessions", 1013)
        return self._paces.setdefault(session, Pace(number))

    # How it is sent

    async def _websocket(self, socket: WebSocket) -> None:
        try:
            ends = self._allowed(socket)
        except Refusal as refusal:
            self.refused[str(refusal.status)] += 1
            await socket.send_denial_response(Response(refusal.problem, refusal.status))
            return
        offered = socket.scope.get("subprotocols", [])
        await socket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
        self.clients += 1
        listening = asyncio.ensure_future(_listen(socket))
        try:
            code, reason = await self._sent(socket, ends, listening)
            if not listening.done():
                with suppress(RuntimeError, WebSocketDisconnect):
                    await asyncio.wait_for(socket.close(code, reason), 1.0)
        except (WebSocketDisconnect, TimeoutError):
            self.counts["gone"] += 1
        finally:
            self.clients -= 1
            listening.cancel()

    async def _sent(self, socket: WebSocket, ends: float | None, listening: asyncio.Task[None]) -> tuple[int, str]:
        """Send until the end; return the code to close with."""
        try:
            asked = self._asked(socket)
        except Refusal as refusal:
            self.refused[str(refusal.status)] += 1
            return refusal.code or 1008, refusal.problem[:100]
        async for batch in deliver(*asked, asyncio.sleep):
            if self.closing:
                return 1012, "the server shuts down"
            if ends is not None and time.time() >= ends:
                return 4401, "the token has expired"
            if listening.done():
                raise WebSocketDisconnect
            text = b"\n".join(batch.lines).decode()
            try:
                await asyncio.wait_for(socket.send_text(text), self._slow_seconds)
            except TimeoutError:
                self.refused["slow_reader"] += 1
                return 4409, "read too slowly"
            self._count("feed", batch)
        return 1000, "finished"

    async def _json_lines(self, request: Request) -> Response:
        def encode(batch: Batch) -> bytes:
            return b"\n".join(batch.lines) + b"\n"

        return await self._stream(request, "application/x-ndjson", encode)

    async def _events(self, request: Request) -> Response:
        def encode(batch: Batch) -> bytes:
            pairs = zip(batch.lines, batch.ids, strict=True)
            return b"".join(b"id: " + name.encode() + b"\ndata: " + line + b"\n\n" for line, name in pairs)

        return await self._stream(request, "text/event-stream", encode)

    async def _stream(self, request: Request, media: str, encode: Callable[[Batch], bytes]) -> Response:
        try:
            ends = self._allowed(request)
            asked = self._asked(request)
        except Refusal as refusal:
            self.refused[str(refusal.status)] += 1
            return JSONResponse({"error": refusal.problem}, refusal.status)

        async def body() -> AsyncIterator[bytes]:
            self.clients += 1
            try:
                async for batch in deliver(*asked, asyncio.sleep):
                    if self.closing or (ends is not None and time.time() >= ends):
                        return
                    yield encode(batch)
                    self._count(request.url.path.strip("/"), batch)
            finally:
                self.clients -= 1

        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(body(), media_type=media, headers=headers)

    def _count(self, way: str, batch: Batch) -> None:
        self.counts[f"lines:{way}"] += len(batch.lines)
        self.counts[f"bytes:{way}"] += sum(map(len, batch.lines)) + len(batch.lines)

    # How it is doing

    async def _alive(self, _request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def _ready(self, _request: Request) -> Response:
        ready = not self.closing and bool(self._source.games)
        told = {"status": "ready" if ready else "not ready", "games": len(self._source.games), "clients": self.clients}
        return JSONResponse(told, 200 if ready else 503)

    async def _metrics(self, _request: Request) -> Response:
        text, media = exposition(self.clients, self.counts, self.refused)
        return Response(text, media_type=media)


def _token_of(request: HTTPConnection) -> str | None:
    """Return the token of a header, or of a subprotocol; never of a query."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and token:
        return token
    offered = request.headers.get("sec-websocket-protocol", "")
    names = [name.strip() for name in offered.split(",")]
    return next((name.removeprefix(_BEARER) for name in names if name.startswith(_BEARER)), None)


async def _listen(socket: WebSocket) -> None:
    """Read what a client says, which is nothing, until it goes."""
    with suppress(WebSocketDisconnect, RuntimeError, json.JSONDecodeError):
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
