"""WebSocketFeed: a WebSocket whose messages are JSON lines that `convert` reads, `replaylab.v1` among them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from replaylab.errors import FeedError, FeedLost, FeedMalformed, TickError
from replaylab.feeds.answer import secrets_of
from replaylab.feeds.base import (
    HANDSHAKE_SECONDS,
    Connection,
    Frame,
    Message,
    Token,
    bare_url,
    fresh_token,
    renewal_of,
    utc_now,
    with_query,
)
from replaylab.feeds.dial import PING_SECONDS, dial, of_close
from replaylab.feeds.rugs import RugsReader
from replaylab.feeds.rugs_wire import captured_of
from replaylab.mark import KINDS, Mark
from replaylab.parsing.json_line import Kind, Line
from replaylab.parsing.line_reader import LineReader
from replaylab.tick import MAX_TICK_BYTES, Tick

if TYPE_CHECKING:
    from replaylab.feeds.incoming import Incoming

PROTOCOL: Final = "replaylab.v1"
_ID: Final = re.compile(rb'"id":\s?"([^"\\\x00-\x1f]{1,200})"\s*\}\s*\Z')
_CAPTURE: Final = re.compile(rb'\{\s*"(?:type"\s*:\s*"raw_event|event_type|event|seq|ts|timestamp")')


class _Control(msgspec.Struct):
    """What a line of `replaylab.v1` that is no tick says of the feed."""

    type: str | None = None
    heartbeat_seconds: float | None = None
    next: str | None = None
    id: str | None = None


_CONTROLS: Final = msgspec.json.Decoder(_Control)


class Lines:
    """Reads the lines of a feed: ticks, marks, and what the server says of the feed itself. Knows no socket.

    Attributes
    ----------
    position : str or None
        The last id.
    beats : float or None
        Seconds between heartbeats, as promised.
    over : bool
        Whether the server has said that the feed is over.
    """

    def __init__(self, count: Callable[[str], object], rugs: RugsReader | None = None) -> None:
        self.position: str | None = None
        self.beats: float | None = None
        self.resumes = False
        self.over = False
        self.rugs = rugs or RugsReader(count=count)
        self._count = count
        self._reader = LineReader()

    def read(self, data: Iterable[bytes], at: datetime) -> Frame:
        """Return what messages brought: each one line, or several."""
        messages: list[Message] = []
        ids: list[str | None] = []
        read_fast = self._reader.read_fast
        for one in data:
            for raw in one.split(b"\n") if b"\n" in one else (one,):
                tick = read_fast(raw)  # what fits a learnt form is a tick, and nothing else
                if tick is not None:
                    if raw[-2:] == b'"}':
                        self._take_id(raw)
                    messages.append(tick)
                    ids.append(self.position if self.resumes else None)
                    continue
                found = self._line(raw, at)
                if found:
                    messages += found
                    ids += [None] * (len(found) - 1)
                    ids.append(self.position if self.resumes else None)
        return Frame(messages, ids, self.position)

    def _line(self, raw: bytes, at: datetime) -> list[Message]:
        if len(raw) > MAX_TICK_BYTES:
            self._count("line_too_long")
            return []
        if _CAPTURE.match(raw) and b'"data"' in raw:
            return self._captured(raw, at)
        found = self._reader.read(raw)
        if type(found) is Tick:
            self._take_id(raw)
            return [found]
        return self._other(found, raw) if isinstance(found, Line) else []

    def _take_id(self, raw: bytes) -> None:
        match = _ID.search(raw, max(0, len(raw) - 240))
        if match:
            self.position = match[1].decode("utf-8", "replace")
            self.resumes = True

    def _other(self, line: Line, raw: bytes) -> list[Message]:
        if line.kind is Kind.DAMAGED:
            self._count(line.label)
        elif line.kind is Kind.CONTROL:
            self._take_id(raw)
            if line.label in KINDS:
                try:
                    return [Mark.of_line(raw)]
                except TickError as error:
                    self._count(error.reason)
            elif line.label in {"hello", "heartbeat", "end"}:
                self._control(raw)
        return []

    def _control(self, raw: bytes) -> None:
        try:
            told = _CONTROLS.decode(raw)
        except (msgspec.MsgspecError, RecursionError, ValueError):
            self._count("wrong_type")
            return
        if told.type == "end":
            self.over = True
        if told.type == "hello":
            self.resumes = told.next is not None
            self.position = told.next or self.position
            if told.heartbeat_seconds is not None and 0 < told.heartbeat_seconds < 3600:
                self.beats = told.heartbeat_seconds

    def _captured(self, raw: bytes, at: datetime) -> list[Message]:
        """Read an event that a relay has written down, without personal data."""
        try:
            found = captured_of(raw)
        except FeedMalformed as error:
            self._count(error.reason)
            return []
        return self.rugs.take(found.event_type or found.event or "other", found.data, at)


class WebSocketFeed(Connection):
    """A WebSocket whose messages are lines of JSON: of `replaylab serve`, of a relay, or any that `convert` reads.

    Parameters
    ----------
    url : str
        ``ws://`` or ``wss://``.
    token : str or callable, optional
        Sent as a bearer; a function is asked at each connection and may be a coroutine.
    headers, query : mapping, optional
        Sent with the handshake.
    ca : path, optional
        Certificates that are trusted beside those of the system.
    trades : bool
        Whether trades become marks; never who made them.
    timeout_seconds, ping_seconds : float
        Longest wait for a connection, and for the answer to a probe.
    now : callable, optional
        The time, for tests.

    Examples
    --------
    >>> WebSocketFeed("wss://me:secret@game.example/feed?key=1")
    WebSocketFeed('wss://game.example/feed')
    """

    def __init__(  # noqa: PLR0913 only the first is needed
        self,
        url: str,
        *,
        token: Token = None,
        headers: Mapping[str, str] | None = None,
        query: Mapping[str, str] | None = None,
        ca: str | Path | None = None,
        trades: bool = False,
        timeout_seconds: float = HANDSHAKE_SECONDS,
        ping_seconds: float = PING_SECONDS,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        super().__init__(bare_url(url))
        self._timeout_seconds = timeout_seconds
        self._ping_seconds = ping_seconds
        self._url = url
        self._token = token
        self._headers = headers
        self._query = dict(query or {})
        self._ca = ca
        self._now = now
        self._rugs = RugsReader(trades=trades, count=self.count)
        self._lines = Lines(self.count, self._rugs)
        self._socket: Incoming | None = None
        self._got_data = False
        self._secrets: tuple[str, ...] = ()
        self._place_is_given = False  # by the address

    async def connect(self, after: str | None = None) -> None:
        """Connect, and resume after an id; raises `FeedLost` or `FeedRefused`."""
        await self.close()
        token = await fresh_token(self._token)
        query = {**self._query, "after": after} if after is not None else self._query
        self._lines = Lines(self.count, self._rugs)
        self._got_data = False
        url = with_query(self._url, query)
        self._secrets = secrets_of(url, self._headers, token)
        self._place_is_given = after is None and "after" in parse_qs(urlsplit(url).query)
        try:
            self._socket = await dial(
                url,
                headers=self._headers,
                token=token,
                ca=self._ca,
                subprotocols=[PROTOCOL],
                timeout_seconds=self._timeout_seconds,
            )
        except FeedError as error:
            raise self._meant(error) from None
        self._lines.position = self.position = after
        self.renews_at = renewal_of(self._token, self._now().timestamp(), token)
        self._rugs.connected(self._now())

    async def receive(self) -> Frame | None:
        """Return the next frame, None when the feed is over; raises `FeedLost`. Safe to cancel."""
        socket = self._socket
        if socket is None:
            raise FeedLost("closed", f"{self.name}: not connected")
        if self._lines.over:  # the server need not close the connection
            return None
        lines = self._lines
        try:
            if self._rugs.holds_until is None:
                data = await socket.take_all()
            else:
                left = (self._rugs.holds_until - self._now()).total_seconds()
                async with asyncio.timeout(max(left, 0.001)):
                    data = await socket.take_all()
        except TimeoutError:
            held = self._rugs.settled(self._now())
            return Frame(held, [None] * len(held), self.position)
        except Exception as error:  # noqa: BLE001 every way in which a connection can end
            if lines.over:
                return None
            problem = self._ended(error)
        else:
            frame = lines.read(data, self._now())
            self.position, self.resumes = lines.position, lines.resumes
            self.beats = lines.beats
            self._got_data = self._got_data or bool(frame.messages)
            if lines.over and not frame.messages:
                return None
            return frame
        raise problem

    def _ended(self, error: Exception) -> FeedError:
        problem = self._meant(of_close(self.name, error, self._secrets))
        if isinstance(problem, FeedLost) and self._got_data and problem.cause == "closed":
            return FeedLost("disconnect", str(problem))  # it has worked: the endpoint is not ill
        return problem

    def _meant(self, problem: FeedError) -> FeedError:
        """Return a problem; a place that only the address names is not known later either."""
        unknown = isinstance(problem, FeedLost) and problem.cause == "server_restart" and problem.answered
        if unknown and self._place_is_given:
            return FeedLost("http_410", str(problem), retry=False, answered=True)
        return problem

    async def probe(self) -> None:
        """Ask the server whether it is still there; raises `FeedLost` when it does not answer."""
        if self._socket is None:
            raise FeedLost("closed", f"{self.name}: not connected")
        try:
            answer = await self._socket.ping()
            await asyncio.wait_for(answer, self._ping_seconds)
        except Exception as error:  # noqa: BLE001 every way in which a connection can end
            problem = FeedLost("stall", f"{self.name}: no answer to a ping ({type(error).__name__})")
        else:
            return
        raise problem

    async def close(self) -> None:
        """Close the connection; does nothing when there is none."""
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()
