"""Dial: open one WebSocket, and name what went wrong in the words of this package."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from replaylab.errors import FeedError, FeedLost, FeedRefused, MissingExtra
from replaylab.feeds.answer import secrets_of, words_of
from replaylab.feeds.base import HANDSHAKE_SECONDS, MAX_FRAME_BYTES, bare_url

if TYPE_CHECKING:
    from replaylab.feeds.incoming import Incoming

PING_SECONDS: Final = 5.0
_PASSING: Final = frozenset({408, 425, 429})  # waiting helps, as with all from 500 on
_REFUSING: Final = {4400: 400, 4403: 403, 4404: 404, 4422: 422}  # codes of closing that say what HTTP says
_TOKEN: Final = 4401
_UNKNOWN_ID: Final = 4410
_SLOW: Final = 4409
_TOO_BIG: Final = 1009
_FORBIDDEN: Final = 403
_NOT_FOUND: Final = 404
_GONE: Final = 410
_RESTARTS: Final = frozenset({1001, 1012})
_WIRE: Final = logging.getLogger("replaylab.feeds.wire")
_WIRE.setLevel(logging.INFO)  # at DEBUG the library writes every header and frame: tokens, and names of players
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def needed(*packages: str) -> None:
    """Raise `MissingExtra` unless the packages of live feeds are installed."""
    import importlib.util

    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtra(f"live feeds need {', '.join(missing)}: pip install 'replaylab[live]'")


async def dial(
    url: str,
    *,
    name: str | None = None,
    headers: Mapping[str, str] | None = None,
    token: str | None = None,
    ca: str | Path | None = None,
    subprotocols: Sequence[str] = (),
    timeout_seconds: float = HANDSHAKE_SECONDS,
) -> Incoming:
    """Return an open WebSocket; raises `FeedLost` or `FeedRefused`, whose messages hold no token.

    Parameters
    ----------
    url : str
        ``ws://`` or ``wss://``.
    name : str, optional
        What messages call it; else the address without its query.
    headers : mapping, optional
        Sent with the handshake.
    token : str, optional
        Sent as ``Authorization: Bearer``.
    ca : path, optional
        Certificates (PEM) that are trusted beside those of the system.
    subprotocols : sequence of str
        Offered; a server need not choose one.
    timeout_seconds : float
        Longest wait for the handshake.
    """
    needed("websockets")
    from websockets.asyncio.client import connect
    from websockets.typing import Subprotocol

    from replaylab.feeds.incoming import Incoming

    name = bare_url(url) if name is None else name
    sent = dict(headers or {})
    if token is not None:
        sent["Authorization"] = f"Bearer {token}"
    loopback = (urlsplit(url).hostname or "") in _LOOPBACK
    options: dict[str, Any] = {"proxy": None if loopback else True}
    try:
        if url.startswith("wss://"):
            options["ssl"] = _trust(ca)
        async with asyncio.timeout(timeout_seconds):
            made = await connect(
                url,
                create_connection=Incoming,
                additional_headers=sent,
                subprotocols=[Subprotocol(one) for one in subprotocols] or None,
                compression=None,
                max_size=MAX_FRAME_BYTES,
                open_timeout=None,
                ping_interval=None,  # its answer would not be read while a recorder has no room: the session probes
                close_timeout=1.0,
                user_agent_header="replaylab",
                logger=_WIRE,
                process_exception=lambda error: error,  # redirects and retries are not for a feed to decide
                **options,
            )
            return cast("Incoming", made)
    except Exception as error:  # noqa: BLE001 every way in which a handshake can fail
        problem = _of_handshake(name, error, timeout_seconds, url, secrets_of(url, sent, token))
    raise problem  # outside, so that no traceback shows the headers that were sent


def _trust(ca: str | Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca is not None:
        context.load_verify_locations(str(ca))
    return context


def _of_handshake(  # noqa: C901, PLR0911 one way out for each cause
    name: str, error: Exception, seconds: float, url: str, secrets: Sequence[str]
) -> FeedError:
    from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI, WebSocketException

    match error:
        case TimeoutError():
            return FeedLost("timeout", f"{name}: no answer within {seconds:g} s")
        case ssl.SSLCertVerificationError():
            trust = f"{name}: the certificate is not trusted ({error.verify_message}); see ca="
            return FeedLost("tls", trust, retry=False)
        case ssl.SSLError():
            return FeedLost("tls", f"{name}: no TLS connection ({error.reason})", answered=True)
        case socket.gaierror():
            return FeedLost("dns", f"{name}: no such host")
        case InvalidStatus():
            asked = bare_url(url)
            name = name if asked == name else f"{name}: asked at {asked}"
            return of_status(name, error.response.status_code, words_of(bytes(error.response.body or b""), secrets))
        case InvalidURI():
            return FeedLost("address", f"{name}: not an address of a WebSocket", retry=False)
        case InvalidMessage() if isinstance(error.__cause__, EOFError | OSError):
            return FeedLost("disconnect", f"{name}: the connection was closed before the handshake was over")
        case InvalidHandshake() | WebSocketException():
            return FeedLost("protocol", f"{name}: no WebSocket there ({type(error).__name__})", answered=True)
        case FileNotFoundError() | IsADirectoryError() | PermissionError():
            return FeedLost("ca", f"the certificates of ca= cannot be read: {error.strerror}", retry=False)
        case OSError():
            return FeedLost("refused", f"{name}: cannot connect ({_system_text(error)})")
        case _:
            return FeedLost("address", f"{name}: cannot connect ({type(error).__name__})", retry=False)


def _system_text(error: OSError) -> str:
    """Return what the system says of a connection that failed; asyncio's own text repeats address and number.

    Examples
    --------
    >>> _system_text(OSError("Multiple exceptions: [Errno 111] Connect call failed, [Errno 111] Connect call failed"))
    'Connection refused'
    """
    numbers = [error.errno] if error.errno else map(int, re.findall(r"\[Errno (\d+)\]", str(error)))
    return ", ".join(dict.fromkeys(map(os.strerror, numbers))) or type(error).__name__


def of_status(name: str, status: int, words: str) -> FeedError:
    """Return what a status of HTTP means, with what the server said; 400, 404 and 422 are not right later either."""
    said = f": {words}" if words else ""
    if status in {401, _FORBIDDEN}:
        path = ", or serves nothing at this path" if status == _FORBIDDEN else ""
        return FeedRefused(f"{name}: refused with HTTP {status}{said}; it wants a token, or another one (token=){path}")
    if status == _GONE:
        return _unknown_place(name, said)
    if status == _NOT_FOUND and not said:
        said = ": nothing is served at this path"
    passing = status in _PASSING or status >= 500
    return FeedLost(f"http_{status}", f"{name}: answered with HTTP {status}{said}", retry=passing, answered=True)


def _unknown_place(name: str, said: str) -> FeedLost:
    problem = f"{name}: the server does not know the place to resume from{said}"
    return FeedLost("server_restart", problem, answered=True)


def of_close(name: str, error: Exception, secrets: Sequence[str] = ()) -> FeedError:  # noqa: PLR0911 one way out for each cause
    """Return what the end of a WebSocket means, from the exception that `recv` raised."""
    received = getattr(error, "rcvd", None)
    sent = getattr(error, "sent", None)
    code = received.code if received is not None else None
    words = words_of(received.reason, secrets) if received is not None else ""
    said = f": {words}" if words else ""
    if code == _TOKEN:
        return FeedRefused(f"{name}: closed with {_TOKEN}: the token is not accepted, or has expired")
    if code == _UNKNOWN_ID:
        return _unknown_place(name, said)
    if code in _REFUSING:
        return of_status(name, _REFUSING[code], words)
    if _TOO_BIG in {code, sent.code if sent is not None else None}:
        return FeedLost("too_big", f"{name}: a frame above {MAX_FRAME_BYTES} bytes", answered=True)
    if code == _SLOW:
        return FeedLost("slow_reader", f"{name}: closed because it was read too slowly")
    if code in _RESTARTS:
        return FeedLost("server_restart", f"{name}: the server shuts down ({code})")
    if code is not None:
        return FeedLost("closed", f"{name}: the server closed the connection ({code}{said})", answered=True)
    return FeedLost("disconnect", f"{name}: the connection broke off")
