"""DashboardServer: the dashboard of a store, served by a thread of this process."""

from __future__ import annotations

import os
import socket
from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final

from replaylab.durable import of_user
from replaylab.errors import ServiceError, StoreNotFound, TokenRefused
from replaylab.service.web_server import WebServer, is_here, listening, listening_on, needed
from replaylab.storage.open import open_store
from replaylab.storage.store import Store
from replaylab.urls import without_secrets

if TYPE_CHECKING:
    from replaylab.service.tokens import Tokens

NAME: Final = "replaylab-dashboard"
ANY: Final = "*"


class DashboardServer(WebServer):
    """A dashboard that is served; `serve_dashboard` makes it.

    Attributes
    ----------
    url : str
        Its address, or the path of its socket.
    port : int
        Where it listens; 0 on a Unix socket.
    """

    def __init__(self, app: Any, listener: socket.socket, host: str) -> None:
        on_port = listener.family != socket.AF_UNIX
        self.port: int = listener.getsockname()[1] if on_port else 0
        name = f"[{host}]" if ":" in host else host
        self.url = f"http://{name}:{self.port}/" if on_port else host
        self.app = app
        super().__init__(app.web, app, listener, NAME)

    def __repr__(self) -> str:
        state = "serving" if self.is_serving else "stopped"
        return f"DashboardServer({self.url!r}, {state}, {self.app.clients} pages)"


def serve_dashboard(
    store: str | os.PathLike[str] | Store,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    path: str | os.PathLike[str] | None = None,
    tokens: Tokens | None = None,
    allow_hosts: Collection[str] = (),
    role_claim: str = "role",
) -> DashboardServer:
    """Serve the dashboard of a store from a thread of this process, until it is stopped.

    Parameters
    ----------
    store : path or Store
        A store of this machine.
    host, port : str, int
        Where to listen: this machine alone unless given; port 0 is any that is free.
    path : path, optional
        A Unix socket in place of a port, which only the user who made it reaches.
    tokens : Tokens, optional
        What checks the tokens of its users; needed on any other host than this machine.
    allow_hosts : collection of str
        Further names under which the page may be asked for, as behind a proxy; ``*`` is every name.
    role_claim : str
        The claim of a token that holds its role: ``view``, ``record`` or ``admin``.

    Raises
    ------
    StoreNotFound
        When there is no such store.
    PortTaken
        When something else listens there.
    TokenRefused
        When other machines could reach it without a token.
    MissingExtra
        When the packages of the server are not installed.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with rl.Recorder(folder) as recorder:
    ...     _ = recorder.record(rl.Tick("g", 1, "2031-01-02T03:04:05", "1.02", active=True))
    >>> with serve_dashboard(folder) as server:
    ...     server.url.startswith("http://127.0.0.1:")
    True
    """
    if tokens is None and path is None and not is_here(host):
        raise TokenRefused(
            f"host={without_secrets(host)!r} lets other machines in: its users bring tokens then; give a secret or keys"
        )
    opened = store if isinstance(store, Store) else open_store(store)
    if not opened.is_local:
        raise StoreNotFound(f"{store}: only a store of this machine has a dashboard")
    needed("a dashboard", "starlette", "uvicorn", "prometheus_client")
    from replaylab.dashboards.access import HERE, Access
    from replaylab.dashboards.app import DashboardApp

    hosts = None if path is not None or ANY in allow_hosts else {*HERE, host, *(one.lower() for one in allow_hosts)}
    app = DashboardApp(opened, Access(tokens, hosts, role_claim))
    listener = listening(host, port) if path is None else listening_on(of_user(path, ServiceError))
    return DashboardServer(app, listener, host if path is None else str(path))
