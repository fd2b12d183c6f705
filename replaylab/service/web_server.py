"""WebServer: an application that one thread of this process serves, on a port or on a Unix socket."""

from __future__ import annotations

import errno
import importlib.util
import ipaddress
import os
import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from replaylab.errors import MissingExtra, PortTaken, ServiceError
from replaylab.urls import without_secrets

if TYPE_CHECKING:
    import uvicorn

STOP_SECONDS: Final = 5
_LEAVE_SECONDS: Final = 1.0  # for clients to take what was sent, and the end
_START_SECONDS: Final = 30.0


def needed(act: str, *packages: str) -> None:
    """Raise `MissingExtra` unless the packages of a server are there, those of the first request included."""
    missing = [name for name in packages if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingExtra(f"{act} needs {', '.join(missing)}: pip install 'replaylab[serve]'")


class WebServer:
    """An application that a thread serves.

    Parameters
    ----------
    app : callable
        The ASGI application.
    door : object
        Has `closing`, which is set when the server stops, so that streams end.
    listener : socket
        A listening socket, whose owner this becomes.
    name : str
        Of the thread.
    """

    def __init__(self, app: Any, door: Any, listener: socket.socket, name: str) -> None:
        import uvicorn

        from replaylab.service.closing import GoingAway

        self._door = door
        config = uvicorn.Config(
            app,
            ws=GoingAway,
            access_log=False,  # an address may hold what is secret
            log_level="warning",
            lifespan="off",
            server_header=False,
            ws_per_message_deflate=False,
            timeout_graceful_shutdown=STOP_SECONDS,
            log_config=None,
        )
        self._server: uvicorn.Server = uvicorn.Server(config)
        self._listener = listener
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()
        self._wait_until_it_runs()

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
        """Close every connection and stop; does nothing when it has stopped.

        A client that does not take what was sent is broken off after a second.
        """
        self._door.closing = True
        self._server.should_exit = True
        self._thread.join(_LEAVE_SECONDS)
        if self._thread.is_alive():
            self._break_off()
        self._thread.join(STOP_SECONDS + 5)
        self._listener.close()

    def _break_off(self) -> None:
        for connection in list(self._server.server_state.connections):
            with suppress(RuntimeError):  # the loop has ended meanwhile
                connection.loop.call_soon_threadsafe(connection.transport.abort)

    def wait(self) -> None:
        """Wait until it stops."""
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.stop()


def is_here(host: str) -> bool:
    """Whether only this machine reaches a host.

    Examples
    --------
    >>> is_here("127.0.0.1"), is_here("0.0.0.0")
    (True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listening(host: str, port: int) -> socket.socket:
    """Return a listening socket: uvicorn would end the process when the port is taken.

    Raises
    ------
    PortTaken
        When something else listens there.
    ServiceError
        When there is no such port or host.
    """
    if not 0 <= port <= 65_535:
        raise ServiceError(f"port={port}: must lie between 0 and 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"port {port} of {host} is taken; choose another one, or 0 for any that is free") from None
        why = (error.strerror or str(error)).partition(" (while")[0]  # behind it Python says the whole address
        raise ServiceError(f"cannot listen on port {port} of {without_secrets(host)}: {why}") from None


def listening_on(path: Path) -> socket.socket:
    """Return a socket that listens on a path, which only its owner reaches; a path left by a dead server is replaced.

    Raises
    ------
    PortTaken
        When a server listens there.
    ServiceError
        When there can be no socket.
    """
    listener = socket.socket(socket.AF_UNIX)
    try:
        with suppress(FileNotFoundError), socket.socket(socket.AF_UNIX) as other:
            try:
                other.connect(str(path))
            except ConnectionRefusedError:
                path.unlink()
            else:
                raise PortTaken(f"{path}: a server listens there")
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        finally:
            os.umask(before)
        listener.listen(128)
    except OSError as error:
        listener.close()
        if isinstance(error, PortTaken):
            raise
        raise ServiceError(f"{path}: cannot listen there ({error.strerror or error})") from None
    return listener
