"""The web face of a served feed: `/feed`, `/feed.jsonl`, `/events`, `/socket.io/`, health and metrics."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from replaylab.service.asking import BAD_QUESTION, Asked, Refusal, reason_of
from replaylab.service.broadcast import Write, text_frame
from replaylab.service.delivery import PROTOCOL, Batch, Follow, deliver
from replaylab.service.door import Door, refuse, token_of
from replaylab.service.metrics import exposition
from replaylab.service.readers import Reader, SlowReader

_PATHS: Final = "/feed (WebSocket), /feed.jsonl, /events, /socket.io/, /health/live, /health/ready and /metrics"
_HEADERS: Final = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class FeedApp:
    """The routes of a served feed.

    Parameters
    ----------
    door : Door
        Who may read, what clients ask for, and what is counted of them.
    """

    def __init__(self, door: Door) -> None:
        self.door = door
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
        self._web.router.default = self._nowhere

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; Socket.IO is loaded when the first client speaks it."""
        if not scope.get("path", "").startswith("/socket.io"):
            await self._web(scope, receive, send)
            return
        if self._events_app is None:
            from replaylab.service.socketio import events_app

            self._events_app = events_app(self.door)
        await self._events_app(scope, receive, send)

    async def _nowhere(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer who asks for a path that is not there, or in another way than it is served."""
        path, websocket = scope["path"], scope["type"] == "websocket"
        refusal = Refusal(404, f"nothing is served at {path[:64]}; there are {_PATHS}")
        if path == "/feed":
            refusal = Refusal(426, "/feed is a WebSocket (ws://); /feed.jsonl brings the same lines by HTTP")
        elif websocket and any(isinstance(one, Route) and one.path == path for one in self._web.routes):
            refusal = Refusal(404, f"{path} is no WebSocket, and is asked for by HTTP; the WebSocket is /feed")
        self.door.refused[str(refusal.status)] += 1
        await refuse(scope, send, refusal)

    # How it is sent

    async def _websocket(self, socket: WebSocket) -> None:
        try:
            self.door.admit(socket)
            ends = await self.door.end_of(token_of(socket))
        except Refusal as refusal:
            self.door.refused[str(refusal.status)] += 1
            await socket.send_denial_response(Response(refusal.problem, refusal.status))
            return
        offered = socket.scope.get("subprotocols", [])
        await socket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
        self.door.clients += 1
        listening = asyncio.ensure_future(_listen(socket))
        try:
            code, reason = await self._sent(socket, ends, listening)
            if not listening.done():
                with suppress(RuntimeError, WebSocketDisconnect):
                    await asyncio.wait_for(socket.close(code, reason), 1.0)
        except SlowReader:
            self.door.refused["slow_reader"] += 1
            with suppress(RuntimeError, WebSocketDisconnect, TimeoutError):  # it hears why, if it listens after all
                await asyncio.wait_for(socket.close(4409, "read too slowly"), 1.0)
            self.door.hang_up(socket.scope.get("client"))
        except (WebSocketDisconnect, TimeoutError):
            self.door.counts["gone"] += 1
        finally:
            self.door.clients -= 1
            listening.cancel()

    async def _sent(self, socket: WebSocket, ends: float | None, listening: asyncio.Task[None]) -> tuple[int, str]:
        """Send until the end; return the code to close with."""
        try:
            asked = self.door.questions.asked(socket.query_params, socket.headers.get("last-event-id"))
        except Refusal as refusal:
            self.door.refused[str(refusal.status)] += 1
            return refusal.code or BAD_QUESTION, reason_of(refusal)
        reader = Reader(asked)
        write = self.door.line_to(socket.scope.get("client"))
        self.door.readers.add(reader)
        try:
            follow = self._follow(asked, ends, listening, write)
            async for batch in deliver(reader, self.door.alarm.sleep, follow):
                over = self.door.why_over(ends)
                if over is not None:
                    return over
                if listening.done():
                    raise WebSocketDisconnect
                if batch.lines:
                    data = b"\n".join(batch.lines)
                    if write is None or not write(text_frame(data)):
                        await reader.take(socket.send_text(data.decode()))
                    self.door.count("feed", len(batch.lines), len(data) + 1)
        finally:
            self.door.readers.remove(reader)
        return 1000, "finished"

    def _follow(
        self, asked: Asked, ends: float | None, listening: asyncio.Task[None], write: Write | None
    ) -> Follow | None:
        """Return how a client is served together with others that share its clock; None when it is not."""

        async def follow(reader: Reader) -> bool:
            broadcast = self.door.broadcast_of(asked)
            left = None if ends is None else max(ends - time.time(), 0.0)
            return (
                broadcast is not None and write is not None and await broadcast.follow(reader, write, listening, left)
            )

        return follow if asked.shared and write is not None else None

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
            self.door.admit(request)
            ends = await self.door.end_of(token_of(request))
            asked = self.door.questions.asked(request.query_params, request.headers.get("last-event-id"))
        except Refusal as refusal:
            self.door.refused[str(refusal.status)] += 1
            return JSONResponse({"error": refusal.problem}, refusal.status)

        async def body(reader: Reader) -> AsyncIterator[bytes]:
            with suppress(Refusal):  # the server stops, and the body ends in order
                async for batch in deliver(reader, self.door.pause):
                    if self.door.why_over(ends) is not None:
                        return
                    yield encode(batch)
                    self._count(request.url.path.strip("/"), batch)

        async def answer(send: Send) -> None:
            reader = Reader(asked)
            self.door.readers.add(reader)
            self.door.clients += 1
            try:
                async for part in body(reader):
                    await reader.take(send({"type": "http.response.body", "body": part, "more_body": True}))
            except SlowReader:
                self.door.refused["slow_reader"] += 1
                self.door.hang_up(request.scope.get("client"))
            finally:
                self.door.readers.remove(reader)
                self.door.clients -= 1

        return Streamed(answer, media)

    def _count(self, way: str, batch: Batch) -> None:
        self.door.count(way, len(batch.lines), sum(map(len, batch.lines)) + len(batch.lines))

    # How it is doing

    async def _alive(self, _request: Request) -> Response:
        return JSONResponse({"status": "alive"})

    async def _ready(self, _request: Request) -> Response:
        games = len(self.door.questions.source.games)
        ready = not self.door.closing and bool(games)
        found = {"status": "ready" if ready else "not ready", "games": games, "clients": self.door.clients}
        return JSONResponse(found, 200 if ready else 503)

    async def _metrics(self, _request: Request) -> Response:
        text, media = exposition(self.door.clients, self.door.counts, self.door.refused)
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


async def _listen(socket: WebSocket) -> None:
    """Read what a client says, which is nothing, until it goes."""
    with suppress(WebSocketDisconnect, RuntimeError, json.JSONDecodeError):
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
