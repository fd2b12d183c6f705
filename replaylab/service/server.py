"""FeedServer: a store served as a live feed by a thread of this process."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final

from replaylab.clock import checked_speed
from replaylab.errors import ServiceError, StoreNotFound, TokenRefused
from replaylab.feeds.programme import PACINGS, Pacing
from replaylab.feeds.stored import StoredGames
from replaylab.keywords import options_of
from replaylab.service.public_keys import PublicKeys
from replaylab.service.tokens import Tokens
from replaylab.service.web_server import WebServer, is_here, listening, needed
from replaylab.storage.open import open_store
from replaylab.storage.store import Store

NAME: Final = "replaylab-serve"
_STOP_SECONDS: Final = 5
_START_SECONDS: Final = 30.0


class FeedServer(WebServer):
    """A store that is served as a live feed; `serve` makes it.

    Attributes
    ----------
    url : str
        Of the WebSocket, for `rl.live`; the same port has `/feed.jsonl`, `/events`, `/health/ready` and `/metrics`.
    port : int
        Where it listens.
    left_out : tuple of str
        Ids of games that are not served, as none of their rows has a time.
    """

    def __init__(self, app: Any, listener: socket.socket, host: str, left_out: tuple[str, ...] = ()) -> None:
        self.door = app.door
        self.left_out = left_out
        self.port: int = listener.getsockname()[1]
        self.host = host
        self.door.hang_up = self._hang_up
        self.door.line_to = self._line_to
        super().__init__(app, app.door, listener, NAME)

    @property
    def url(self) -> str:
        """Address of the WebSocket."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"ws://{host}:{self.port}/feed"

    @property
    def http(self) -> str:
        """Address of the other ways in, without the path."""
        return self.url.replace("ws://", "http://", 1).removesuffix("/feed")

    def __repr__(self) -> str:
        state = "serving" if self.is_serving else "stopped"
        return f"FeedServer({self.url!r}, {state}, {self.door.clients} clients)"

    def _line_to(self, client: object) -> Callable[[bytes], bool] | None:
        """Return what writes a frame to a client if it can be written at once; None for a client that is not known."""
        for connection in list(self._server.server_state.connections):
            if client is not None and getattr(connection, "client", None) == client:
                transport, writable = connection.transport, getattr(connection, "writable", None)
                return None if writable is None else partial(_written, transport, writable)
        return None

    def _hang_up(self, client: object) -> None:
        """Break off a connection; closing it would wait until the client has taken all that was sent."""
        for connection in list(self._server.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None and client is not None and getattr(connection, "client", None) == client:
                transport.abort()


def _written(transport: asyncio.Transport, writable: asyncio.Event, frame: bytes) -> bool:
    """Write a frame, and return True, unless what was written before still waits."""
    if not writable.is_set() or transport.is_closing():
        return False
    transport.write(frame)
    return True


@options_of("rl.serve")
def serve(  # noqa: PLR0913 each is a word of its own, and only the first is needed
    store: str | os.PathLike[str] | Store,
    *,
    speed: float = 1.0,
    pacing: Pacing = "recorded",
    games: Sequence[str] | None = None,
    loop: bool = False,
    host: str = "127.0.0.1",
    port: int = 0,
    secret: str | bytes | None = None,
    keys: str | os.PathLike[str] | None = None,
    origins: Sequence[str] = (),
) -> FeedServer:
    """Serve the games of a store as a live feed, from a thread of this process, until it is stopped.

    Clients that ask for nothing share one clock, which begins with the first of them.

    Parameters
    ----------
    store : path or Store
        What to serve.
    speed : float
        Seconds of the recording a second.
    pacing : {"recorded", "nominal", "none"}
        As far apart as received, a quarter of a second apart, or at once.
    games : sequence of str, optional
        Only these.
    loop : bool
        Begin again at the end, with games of new ids.
    host, port : str, int
        Where to listen: this machine alone unless given; port 0 is any that is free.
    secret : str or bytes, optional
        Of the tokens that clients must bring, 32 bytes or more; this or `keys` is needed on any other host than this
        machine.
    keys : path or str, optional
        Public keys that tokens are signed for: a PEM, a file of JSON Web Keys, or an ``https://`` address of such.
    origins : sequence of str
        Pages that may read the feed in a browser.

    Raises
    ------
    StoreNotFound, GameNotFound, SpeedError
        When there is no such store, game or speed.
    PortTaken
        When something else listens there.
    TokenRefused
        When other machines could read the feed without a token, the secret is too short, or there are keys beside it.
    ServiceError
        When nothing can listen there, or the keys cannot be read.
    MissingExtra
        When the packages of the server are not installed.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with rl.Recorder(folder) as recorder:
    ...     _ = recorder.record(rl.Tick("g", 1, "2031-01-02T03:04:05", "1.02", active=True))
    >>> with rl.serve(folder) as server:
    ...     server.url.startswith("ws://127.0.0.1:")
    True
    """
    checked_speed(speed)
    if pacing not in PACINGS:
        raise ServiceError(f"pacing={pacing!r}: must be one of {', '.join(PACINGS)}")
    if secret is None and keys is None and not is_here(host):
        raise TokenRefused(
            f"host={host!r} lets other machines in, and their clients bring tokens: give a secret (secret=) or public "
            "keys (keys=)"
        )
    tokens = _tokens(secret, keys)
    opened = store if isinstance(store, Store) else open_store(store)
    if not isinstance(opened, Store):
        raise StoreNotFound(f"{store}: only a store of this machine can be served")
    source = StoredGames(opened, games)
    if not source.games:
        raise StoreNotFound(f"{opened.path}: no game that could be served")
    needed("serving", "starlette", "uvicorn", "websockets", "socketio", "prometheus_client")
    from replaylab.service.app import FeedApp
    from replaylab.service.asking import Questions
    from replaylab.service.door import Door

    door = Door(Questions(source, speed, pacing, loop=loop), tokens, origins)
    return FeedServer(FeedApp(door), listening(host, port), host, source.left_out)


def _tokens(secret: str | bytes | None, keys: str | os.PathLike[str] | None) -> Tokens | None:
    if secret is None and keys is None:
        return None
    return Tokens(secret, keys=None if keys is None else PublicKeys(os.fspath(keys)))
