"""Feeds by their address: `ws://`, `wss://`, `socketio+https://`, `store:PATH`, `simulated:SEED`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from replaylab.errors import FeedLost
from replaylab.feeds.base import Connection, Token
from replaylab.feeds.dial import needed
from replaylab.keywords import options_of
from replaylab.urls import parts_of

_KNOWN: Final = "ws://, wss://, socketio+http://, socketio+https://, store:PATH, simulated:SEED"


@options_of("rl.open_feed")
def open_feed(
    url: str,
    *,
    token: Token = None,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    ca: str | Path | None = None,
    trades: bool = False,
    speed: float = 1.0,
) -> Connection:
    """Return the feed of an address, not yet connected: ``async with`` connects it, ``async for`` reads it.

    It is read in the event loop of the caller: what keeps that loop busy keeps the feed waiting, and a server that
    pings closes the connection of a reader that is busy for longer than it allows. A session reads on a thread of its
    own, and connects again.

    Parameters
    ----------
    url : str
        ``ws://`` or ``wss://`` (lines of JSON), ``socketio+http://`` or ``socketio+https://`` (the game's own events),
        ``store:PATH`` (a recording), ``simulated:SEED`` (made-up games).
    token : str or callable, optional
        What the server asks for; a function is asked at each connection and may be a coroutine.
    headers, query : mapping, optional
        Sent with the handshake.
    ca : path, optional
        Certificates (PEM) that are trusted beside those of the system.
    trades : bool
        Whether trades become marks: side, quantity, leverage, price and tick; never who made them.
    speed : float
        Of a recording or of made-up games.

    Raises
    ------
    FeedLost
        For an address that is none of these.
    MissingExtra
        When the packages of live feeds are not installed.

    Examples
    --------
    >>> import asyncio
    >>> from replaylab.feeds.opening import open_feed
    >>> async def peak():
    ...     async with open_feed("simulated:4", speed=float("inf")) as feed:
    ...         return max([message.price async for message in feed])
    >>> asyncio.run(peak()) > 1
    True
    """
    scheme, _, rest = url.partition(":")
    from replaylab.settings import current

    chosen = current()
    options: dict[str, Any] = {"token": token, "headers": headers, "query": query, "ca": ca, "trades": trades}
    options |= {"timeout_seconds": chosen.network_timeout_seconds, "ping_seconds": chosen.heartbeat_seconds}
    if scheme in {"ws", "wss"} or scheme.startswith("socketio+"):
        needed("websockets", "msgspec")
        parts = parts_of(url)
        if parts is None or not parts.hostname:
            raise FeedLost("address", f"{scheme}://: the address names no host, or cannot be read", retry=False)
    if scheme in {"ws", "wss"}:
        from replaylab.feeds.websocket import WebSocketFeed

        return WebSocketFeed(url, **options)
    if scheme in {"socketio+http", "socketio+https", "socketio+ws", "socketio+wss"}:
        from replaylab.feeds.socketio import SocketIOFeed

        return SocketIOFeed(url, **options)
    if scheme == "store":
        from replaylab.feeds.stored import stored_feed

        return stored_feed(rest, speed=speed)
    if scheme == "simulated" and rest.isdecimal():
        from replaylab.feeds.simulated import simulated_feed

        return simulated_feed(seed=int(rest), speed=speed)
    raise FeedLost("address", f"{scheme}: no feed has such an address; known are {_KNOWN}", retry=False)
