"""The web face of a served feed: `/feed`, `/feed.jsonl`, `/events`, `/socket.io/`, health and metrics."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from replaylab.errors import TokenRefused
from replaylab.feeds.programme import Pacing
from replaylab.feeds.stored import StoredGames
from replaylab.service.asking import Questions, Refusal
from replaylab.service.delivery import PROTOCOL, Batch, deliver
from replaylab.service.metrics import exposition
from replaylab.service.readers import Reader, Readers, SlowReader
from replaylab.service.tokens import Tokens

MAX_CLIENTS: Final = 500
_BEARER: Final = "bearer."
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


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

    Attributes
    ----------
    hang_up : callable
        Breaks off the connection of a client, by its address: what it has not taken is dropped.
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
    ) -> None:
        self.counts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.clients = 0
        self.closing = False
        self.readers = Readers()
        self.questions = Questions(source, speed, pacing, loop=loop)
        self.hang_up: Callable[[object], None] = lambda _client: None
        self._tokens = tokens
        self._origins = frozenset(origins)
        self._events_app: ASGIApp | None = None
        self._web = Starlette(
            routes=[
                WebSocketRoute("/feed", self._websocket),
                Route("/feed.jsonl", self._json_lines),
                Route("/events", self._events),
                Route("/health/live", self._alive),
                Route("/health/ready", self._ready),
                Route("/metrics", self._metrics),
            ]
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; Socket.IO is loaded when the first client speaks it."""
        if not scope.get("path", "").startswith("/socket.io"):
            await self._web(scope, receive, send)
            return
        if self._events_app is None:
            from replaylab.service.socketio import events_app

            self._events_app = events_app(self)
        await self._events_app(scope, receive, send)

    # Who may read

    def admit(self, request: HTTPConnection) -> None:
        """Raise `Refusal` for a page of another origin, and when no more clients are let in."""
        origin = request.headers.get("origin")
        own = origin is None or origin in self._origins or urlsplit(origin).netloc == request.headers.get("host")
        if not own:
            raise Refusal(403, "pages of another origin may not read this feed", 4403)
        if self.clients >= MAX_CLIENTS:
            raise Refusal(503, f"{MAX_CLIENTS} clients are connected", 1013)
        if self.closing:
            raise Refusal(503, "the server shuts down", 1012)

    async def end_of(self, token: str | None) -> float | None:
        """Return when a token ends, None where none is needed; raise `Refusal` for one that is not valid."""
        if self._tokens is None:
            return None
        try:
            return await self._tokens.checked(token)
        except TokenRefused:
            raise Refusal(401, "no valid token", 4401) from None

    def why_over(self, ends: float | None) -> tuple[int, str] | None:
        """Return why a client is to be closed now; None when it is not."""
        if self.closing:
            return 1012, "the server shuts down"
        if ends is not None and time.time() >= ends:
            return 4401, "the token has expired"
        return None

    # How it is sent

    async def _websocket(self, socket: WebSocket) -> None:
        try:
            self.admit(socket)
            ends = await self.end_of(token_of(socket))
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
        except SlowReader:
            self.refused["slow_reader"] += 1
            with suppress(RuntimeError, WebSocketDisconnect, TimeoutError):  # it hears why, if it listens after all
                await asyncio.wait_for(socket.close(4409, "read too slowly"), 1.0)
            self.hang_up(socket.scope.get("client"))
        except (WebSocketDisconnect, TimeoutError):
            self.counts["gone"] += 1
        finally:
            self.clients -= 1
            listening.cancel()

    async def _sent(self, socket: WebSocket, ends: float | None, listening: asyncio.Task[None]) -> tuple[int, str]:
        """Send until the end; return the code to close with."""
        try:
            asked = self.questions.asked(socket.query_params, socket.headers.get("last-event-id"))
        except Refusal as refusal:
            self.refused[str(refusal.status)] += 1
            return refusal.code or 1008, refusal.problem[:100]
        reader = Reader(asked)
        self.readers.add(reader)
        try:
            async for batch in deliver(reader, asyncio.sleep):
                over = self.why_over(ends)
                if over is not None:
                    return over
                if listening.done():
                    raise WebSocketDisconnect
                await reader.take(socket.send_text(b"\n".join(batch.lines).decode()))
                self._count("feed", batch)
        finally:
            self.readers.remove(reader)
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
            self.admit(request)
            ends = await self.end_of(token_of(request))
            asked = self.questions.asked(request.query_params, request.headers.get("last-event-id"))
        except Refusal as refusal:
            self.refused[str(refusal.status)] += 1
            return JSONResponse({"error": refusal.problem}, refusal.status)

        async def body(reader: Reader) -> AsyncIterator[bytes]:
            async for batch in deliver(reader, asyncio.sleep):
                if self.why_over(ends) is not None:
                    return
                yield encode(batch)
                self._count(request.url.path.strip("/"), batch)

        async def answer(send: Send) -> None:
            reader = Reader(asked)
            self.readers.add(reader)
            self.clients += 1
            try:
                async for part in body(reader):
                    await reader.take(send({"type": "http.response.body", "body": part, "more_body": True}))
            except SlowReader:
                self.refused["slow_reader"] += 1
                self.hang_up(request.scope.get("client"))
            finally:
                self.readers.remove(reader)
                self.clients -= 1

        return Streamed(answer, media)

    def _count(self, way: str, batch: Batch) -> None:
        self.count(way, len(batch.lines), sum(map(len, batch.lines)) + len(batch.lines))

    def count(self, way: str, lines: int, size: int) -> None:
        """Count what was sent."""
        self.counts[f"lines:{way}"] += lines
        self.counts[f"bytes:{way}"] += size

    # How it is doing

    async def _alive(self, _request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def _ready(self, _request: Request) -> Response:
        games = len(self.questions.source.games)
        ready = not self.closing and bool(games)
        told = {"status": "ready" if ready else "not ready", "games": games, "clients": self.clients}
        return JSONResponse(told, 200 if ready else 503)

    async def _metrics(self, _request: Request) -> Response:
        text, media = exposition(self.clients, self.counts, self.refused)
        return Response(text, media_type=media)


class Streamed(Response):
    """An answer of unknown length; it ends when the client goes."""

    def __init__(self, answer: Callable[[Send], Awaitable[None]], media: str) -> None:
        super().__init__(media_type=media, headers=_HEADERS)
        del self.headers["content-length"]
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 of ASGI
        """Send until the end, or until the client has gone."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        answering = asyncio.ensure_future(self._whole(send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            answering.cancel()
            leaving.cancel()
            await asyncio.gather(answering, leaving, return_exceptions=True)
        if not answering.cancelled():
            answering.result()

    async def _whole(self, send: Send) -> None:
        await self._answer(send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def token_of(request: HTTPConnection) -> str | None:
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
