"""FeedServer: a store served as a live feed by a thread of this process."""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, Self

from replaylab.clock import checked_speed
from replaylab.errors import MissingExtra, PortTaken, ServiceError, StoreNotFound, TokenRefused
from replaylab.feeds.programme import PACINGS, Pacing
from replaylab.feeds.stored import StoredGames
from replaylab.service.public_keys import PublicKeys
from replaylab.service.tokens import Tokens
from replaylab.storage.open import open_store
from replaylab.storage.store import Store

if TYPE_CHECKING:
    import uvicorn

NAME: Final = "replaylab-serve"
_STOP_SECONDS: Final = 5
_START_SECONDS: Final = 30.0


class FeedServer:
    """A store that is served as a live feed; `serve` makes it.

    Attributes
    ----------
    url : str
        Of the WebSocket, for `rl.live`; the same port has `/feed.jsonl`, `/events`, `/health/ready` and `/metrics`.
    port : int
        Where it listens.
    """

    def __init__(self, app: Any, listener: socket.socket, host: str) -> None:
        import uvicorn

        self.door = app.door
        self.port: int = listener.getsockname()[1]
        self.host = host
        config = uvicorn.Config(
            app,
            ws="websockets-sansio",
            access_log=False,  # an address may hold what is secret
            log_level="warning",
            lifespan="off",
            server_header=False,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=_STOP_SECONDS,
            log_config=None,
        )
        self._server: uvicorn.Server = uvicorn.Server(config)
        self.door.hang_up = self._hang_up
        self._listener = listener
        self._thread = threading.Thread(target=self._run, name=NAME, daemon=True)
        self._thread.start()
        self._wait_until_it_runs()

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
        state = "serving" if self._thread.is_alive() else "stopped"
        return f"FeedServer({self.url!r}, {state}, {self.door.clients} clients)"

    def _hang_up(self, client: object) -> None:
        """Break off a connection; closing it would wait until the client has taken all that was sent."""
        for connection in list(self._server.server_state.connections):
            transport = getattr(connection, "transport", None)
            if transport is not None and client is not None and getattr(connection, "client", None) == client:
                transport.abort()

    def _run(self) -> None:
        self._server.run(sockets=[self._listener])

    def _wait_until_it_runs(self) -> None:
        waited = threading.Event()
        for _ in range(int(_START_SECONDS / 0.01)):
            if self._server.started:
                return
            if not self._thread.is_alive():
                break
            waited.wait(0.01)
        self._listener.close()
        raise ServiceError("the server did not start; the log says why")

    @property
    def is_serving(self) -> bool:
        """Whether it still runs."""
        return self._thread.is_alive()

    def stop(self) -> None:
        """Close every connection, telling clients to come back later, and stop; does nothing when it has stopped."""
        self.door.closing = True
        self._server.should_exit = True
        self._thread.join(_STOP_SECONDS + 5)
        self._listener.close()

    def wait(self) -> None:
        """Wait until it stops."""
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()


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
        Where to listen: this machine alone unless told otherwise; port 0 is any that is free.
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
    if secret is None and keys is None and not _is_here(host):
        raise TokenRefused(f"host={host!r} lets other machines in: give a secret, and clients bring tokens (secret=)")
    tokens = _tokens(secret, keys)
    opened = store if isinstance(store, Store) else open_store(store)
    if not isinstance(opened, Store):
        raise StoreNotFound(f"{store}: only a store of this machine can be served")
    source = StoredGames(opened, games)
    if not source.games:
        raise StoreNotFound(f"{opened.path}: no game that could be served")
    try:
        from replaylab.service.app import FeedApp
        from replaylab.service.asking import Questions
        from replaylab.service.door import Door
    except ImportError as error:
        raise MissingExtra(f"serving needs {error.name}: pip install 'replaylab[serve]'") from None
    door = Door(Questions(source, speed, pacing, loop=loop), tokens, origins)
    return FeedServer(FeedApp(door), _listener(host, port), host)


def _tokens(secret: str | bytes | None, keys: str | os.PathLike[str] | None) -> Tokens | None:
    if secret is None and keys is None:
        return None
    return Tokens(secret, keys=None if keys is None else PublicKeys(os.fspath(keys)))


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listener(host: str, port: int) -> socket.socket:
    """Return a listening socket: uvicorn would end the process when the port is taken."""
    if not 0 <= port <= 65_535:
        raise ServiceError(f"port={port}: must lie between 0 and 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"port {port} of {host} is taken; choose another one, or 0 for any that is free") from None
        raise ServiceError(f"cannot listen on port {port} of {host}: {error.strerror or error}") from None
