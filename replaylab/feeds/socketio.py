"""SocketIOFeed: the game's own events over Socket.IO, by a WebSocket alone; resumes where the server offers it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

import msgspec

from replaylab.errors import FeedError, FeedLost, FeedMalformed, FeedRefused
from replaylab.feeds.answer import secrets_of, words_of
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
from replaylab.feeds.dial import PING_SECONDS, dial, of_close, of_status
from replaylab.feeds.engineio import PONG, PROTOCOL, Packet, PacketKind, connect_text, packet_of
from replaylab.feeds.rugs import RugsReader
from replaylab.feeds.rugs_wire import event_of

if TYPE_CHECKING:
    from replaylab.feeds.incoming import Incoming

_SCHEMES: Final = {"socketio+https": "wss", "socketio+http": "ws", "socketio+wss": "wss", "socketio+ws": "ws"}
_PATH: Final = "/socket.io/"
_MAX_OFFSET: Final = 200
_NO_TOKEN: Final = 401


class _Open(msgspec.Struct):
    """What the server says when the connection is open."""

    sid: str
    pingInterval: float = 25_000  # noqa: N815 the name on the wire
    pingTimeout: float = 20_000  # noqa: N815


class _Connected(msgspec.Struct):
    """The answer to CONNECT; `pid` is there when the server keeps what a client misses."""

    sid: str | None = None
    pid: str | None = None


_OPENS: Final = msgspec.json.Decoder(_Open)
_ANSWERS: Final = msgspec.json.Decoder(_Connected)


class SocketIOFeed(Connection):
    """The events of the game over Socket.IO v5: `gameStateUpdate`, and trades when asked for; nothing else is read.

    Parameters
    ----------
    url : str
        ``socketio+https://host`` (or ``socketio+http://``); a path other than ``/`` stands for ``/socket.io/``.
    token : str or callable, optional
        Sent as `auth.token`; a function is asked at each connection and may be a coroutine.
    namespace : str
        Of Socket.IO.
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
    >>> SocketIOFeed("socketio+https://game.example")
    SocketIOFeed('socketio+https://game.example')
    """

    def __init__(  # noqa: PLR0913 only the first is needed
        self,
        url: str,
        *,
        token: Token = None,
        namespace: str = "/",
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
        self._url = _address(url, {"EIO": PROTOCOL, "transport": "websocket", **(query or {})})
        self._token = token
        self._namespace = namespace
        self._headers = headers
        self._ca = ca
        self._now = now
        self.reader = RugsReader(trades=trades, count=self.count)
        self._socket: Incoming | None = None
        self._pid: str | None = None
        self._offset: str | None = None
        self._early: list[Packet] = []
        self._expected = 0  # binary frames that belong to an event
        self._got_data = False
        self._secrets: tuple[str, ...] = ()

    async def connect(self, after: str | None = None) -> None:
        """Connect, and resume after an id that this feed has given; raises `FeedLost` or `FeedRefused`."""
        await self.close()
        token = await fresh_token(self._token)
        self._early, self._expected, self._got_data = [], 0, False
        self._secrets = secrets_of(self._url, self._headers, token)
        socket = self._socket = await dial(
            self._url, name=self.name, headers=self._headers, ca=self._ca, timeout_seconds=self._timeout_seconds
        )
        problem: FeedError
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._open(socket, token, after)
        except TimeoutError:
            problem = FeedLost("timeout", f"{self.name}: no answer to CONNECT within {self._timeout_seconds:g} s")
        except FeedMalformed as error:
            problem = FeedLost("protocol", f"{self.name}: {error}", answered=True)
        except FeedError as error:
            problem = error
        except Exception as error:  # noqa: BLE001 every way in which a connection can end
            problem = of_close(self.name, error, self._secrets)
        else:
            self.reader.connected(self._now())
            self.renews_at = renewal_of(self._token, self._now().timestamp(), token)
            return
        await self.close()
        raise problem  # outside, so that no traceback shows what was sent

    async def _open(self, socket: Incoming, token: str | None, after: str | None) -> None:
        first = packet_of(await socket.take())
        if first.kind is not PacketKind.OPEN:
            raise FeedMalformed("no_packet", "no Engine.IO v4 there")
        told = _told(_OPENS, first.payload)
        self.beats = max(told.pingInterval, 1.0) / 1000
        auth: dict[str, str] = {} if token is None else {"token": token}
        if after is not None and " " in after:
            self._pid, self._offset = after.split(" ", 1)
        else:
            self._pid = self._offset = None
        if self._pid and self._offset:
            auth |= {"pid": self._pid, "offset": self._offset}
        await socket.send(connect_text(self._namespace, auth))
        while True:
            packet = packet_of(await socket.take())
            if packet.kind is PacketKind.PING:
                await socket.send(PONG)
            elif packet.kind is PacketKind.REFUSED:
                raise _refusal(self.name, packet.payload, self._secrets)
            elif packet.kind is PacketKind.CONNECT and packet.namespace == self._namespace:
                answer = _told(_ANSWERS, packet.payload or b"{}")
                if answer.pid != self._pid:
                    self._offset = None  # a new session of the server: nothing was kept for us
                self._pid = answer.pid
                self.resumes = answer.pid is not None
                return
            else:
                self._early.append(packet)  # what was missed comes before the answer

    async def receive(self) -> Frame | None:
        """Return the next frame, None when the feed is over; raises `FeedLost`. Safe to cancel."""
        socket = self._socket
        if socket is None:
            raise FeedLost("closed", f"{self.name}: not connected")
        if self._early:
            return self._frame(self._early.pop(0))
        try:
            async with asyncio.timeout(self._wait_seconds()):
                raw = await socket.take()
        except TimeoutError:
            return self._of(self.reader.settled(self._now()))
        except Exception as error:  # noqa: BLE001 every way in which a connection can end
            problem = of_close(self.name, error, self._secrets)
        else:
            return await self._answered(socket, raw)
        if isinstance(problem, FeedLost) and self._got_data and problem.cause == "closed":
            raise FeedLost("disconnect", str(problem))
        raise problem

    def _wait_seconds(self) -> float | None:
        until = self.reader.holds_until
        return None if until is None else max((until - self._now()).total_seconds(), 0.001)

    async def _answered(self, socket: Incoming, raw: bytes) -> Frame:
        """Read one frame, and answer a ping."""
        if self._expected and raw[:1] not in b"0123456":
            self._expected -= 1  # belongs to an event that is not read
            return Frame((), (), self.position)
        try:
            packet = packet_of(raw)
        except FeedMalformed as error:
            self.count(error.reason)
            return Frame((), (), self.position)
        if packet.kind is PacketKind.PING:
            try:
                await socket.send(PONG)
            except Exception as error:  # noqa: BLE001 every way in which a connection can end
                problem: FeedError = of_close(self.name, error, self._secrets)
            else:
                return Frame((), (), self.position)
            raise problem
        if packet.kind in {PacketKind.CLOSED, PacketKind.DISCONNECT}:
            cause = "disconnect" if self._got_data else "closed"
            raise FeedLost(cause, f"{self.name}: the server ended the connection", answered=not self._got_data)
        return self._frame(packet)

    def _frame(self, packet: Packet) -> Frame:
        if packet.kind is PacketKind.BINARY:
            self._expected += packet.attachments
            self.count("binary_event")
        if packet.kind is not PacketKind.EVENT or packet.namespace != self._namespace:
            return Frame((), (), self.position)
        try:
            name, arguments = event_of(packet.payload)
        except FeedMalformed as error:
            self.count(error.reason)
            return Frame((), (), self.position)
        if self._pid is not None and arguments and bytes(arguments[-1])[:1] == b'"':
            self._keep_offset(bytes(arguments[-1]))
        self._got_data = True
        data = next((one for one in reversed(arguments) if bytes(memoryview(one)[:1]) == b"{"), None)
        if data is None:  # arguments of other shapes are nothing that is read here
            self.count("no_object")
            return Frame((), (), self.position)
        return self._of(self.reader.take(name, data, self._now()))

    def _keep_offset(self, raw: bytes) -> None:
        try:
            offset = json.loads(raw)
        except ValueError:
            return
        if 0 < len(offset) <= _MAX_OFFSET and offset.isprintable() and offset.isascii():
            self._offset = offset
            if self.reader.holds_until is None:  # while ticks are held, the place before them is the one to resume at
                self.position = f"{self._pid} {offset}"

    def _of(self, messages: list[Message]) -> Frame:
        if self._pid and self._offset and self.reader.holds_until is None:
            self.position = f"{self._pid} {self._offset}"
        if not messages:
            return Frame((), (), self.position)
        return Frame(messages, [*[None] * (len(messages) - 1), self.position], self.position)

    async def probe(self) -> None:
        """Ask the server whether it is still there; raises `FeedLost` when it does not answer."""
        if self._socket is None:
            raise FeedLost("closed", f"{self.name}: not connected")
        try:
            await asyncio.wait_for(await self._socket.ping(), self._ping_seconds)
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


def _refusal(name: str, payload: bytes, secrets: Sequence[str]) -> FeedError:
    """Return what a refusal of CONNECT means: of what was asked for when it has a status, else of the token."""
    try:
        told = json.loads(payload)
        status = told["data"]["status"]
    except (ValueError, RecursionError, KeyError, TypeError):
        status = None
    words = words_of(bytes(payload), secrets)
    if type(status) is int and 400 <= status < 600 and status != _NO_TOKEN:
        return of_status(name, status, words)
    said = f": {words}" if words else ""
    return FeedRefused(f"{name}: the server refuses to connect{said}; it wants a token, or another one")


def _told(decoder: msgspec.json.Decoder[Any], raw: bytes) -> Any:
    try:
        return decoder.decode(raw)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        problem = "no Socket.IO v5 there"
    raise FeedMalformed("not_json", problem)


def _address(url: str, query: Mapping[str, str]) -> str:
    parts = urlsplit(url)
    path = _PATH if parts.path in {"", "/"} else parts.path
    return with_query(
        urlunsplit((_SCHEMES.get(parts.scheme, parts.scheme), parts.netloc, path, parts.query, "")), query
    )
