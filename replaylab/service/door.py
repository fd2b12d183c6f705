"""Door: who may read a served feed, and what is counted of those that do."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection
from starlette.types import Scope, Send

from replaylab.errors import TokenRefused
from replaylab.service.asking import Asked, Questions, Refusal
from replaylab.service.broadcast import Broadcast, Write
from replaylab.service.pace import Alarm
from replaylab.service.readers import Readers
from replaylab.service.tokens import Tokens

MAX_CLIENTS: Final = 500
_LOOK_SECONDS: Final = 0.5
_BEARER: Final = "bearer."


class Door:
    """What every way into a served feed shares.

    Parameters
    ----------
    questions : Questions
        What clients may ask for.
    tokens : Tokens, optional
        Who may read; everybody on this machine unless given.
    origins : iterable of str
        Pages that may read the feed in a browser, beside those of its own address.

    Attributes
    ----------
    counts, refused : Counter
        What was sent, by way, and who was refused, by reason.
    clients : int
        That are connected.
    closing : bool
        Whether the server stops.
    readers : Readers
        The clients, watched for those that read too slowly.
    alarm : Alarm
        Wakes the clients of `/feed`.
    hang_up : callable
        Breaks off the connection of a client, by its address: what it has not taken is dropped.
    line_to : callable
        Returns what writes frames to a client, by its address; None where that is not known.
    """

    def __init__(self, questions: Questions, tokens: Tokens | None = None, origins: Iterable[str] = ()) -> None:
        self.questions = questions
        self.counts: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.clients = 0
        self.closing = False
        self.readers = Readers()
        self.alarm = Alarm()
        self.hang_up: Callable[[object], None] = lambda _client: None
        self.line_to: Callable[[object], Write | None] = lambda _client: None
        self._broadcasts: dict[tuple[int, int], Broadcast] = {}
        self._tokens = tokens
        self._origins = frozenset(origins)

    def admit(self, request: HTTPConnection) -> None:
        """Raise `Refusal` for a page of another origin, and when no more clients are let in."""
        origin = request.headers.get("origin")
        own = origin is None or origin in self._origins or urlsplit(origin).netloc == request.headers.get("host")
        if not own:
            raise Refusal(403, "pages of another origin may not read this feed", 4403)
        if self.clients >= MAX_CLIENTS:
            raise Refusal(503, f"{MAX_CLIENTS} clients are connected", 1013)
        if self.closing:
            raise Refusal(503, "the server shuts down", 1001)

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
            return 1001, "the server shuts down"
        if ends is not None and time.time() >= ends:
            return 4401, "the token has expired"
        return None

    async def pause(self, seconds: float) -> None:
        """Wait so long; raise `Refusal` when the server stops meanwhile."""
        ends = time.monotonic() + seconds
        while (left := ends - time.monotonic()) > 0:
            await asyncio.sleep(min(left, _LOOK_SECONDS))
            if self.closing:
                raise Refusal(503, "the server shuts down", 1001)

    def broadcast_of(self, asked: Asked) -> Broadcast | None:
        """Return the broadcast of a clock that is shared; None for a client that has its own, or an end of its own."""
        if not asked.shared or asked.until is not None:
            return None
        self._broadcasts = {key: one for key, one in self._broadcasts.items() if len(one)}
        key = id(asked.programme), id(asked.pace)
        found = self._broadcasts.get(key)
        if found is None:
            found = Broadcast(asked.programme, asked.pace, partial(self.count, "feed"), lambda: self.closing)
            self._broadcasts[key] = found
        return found

    def count(self, way: str, lines: int, size: int) -> None:
        """Count what was sent."""
        self.counts[f"lines:{way}"] += lines
        self.counts[f"bytes:{way}"] += size


def token_of(request: HTTPConnection) -> str | None:
    """Return the token of a header, or of a subprotocol; never of a query."""
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer" and token:
        return token
    offered = request.headers.get("sec-websocket-protocol", "")
    names = [name.strip() for name in offered.split(",")]
    return next((name.removeprefix(_BEARER) for name in names if name.startswith(_BEARER)), None)


async def refuse(scope: Scope, send: Send, refusal: Refusal) -> None:
    """Answer a request, or the handshake of a WebSocket, with a status and why."""
    start = "websocket.http.response.start" if scope["type"] == "websocket" else "http.response.start"
    body = start.replace("start", "body")
    text = json.dumps({"error": refusal.problem}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(text)).encode())]
    await send({"type": start, "status": refusal.status, "headers": headers})
    await send({"type": body, "body": text})
