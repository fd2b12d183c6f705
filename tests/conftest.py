"""What all tests stand on: signals as in a shell, no settings from outside, the same hypothesis examples everywhere."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.crash.scale import SCALE
from tests.postgres.server import Server, server
from tests.unit import starts_something

# Read once by matplotlib and by the child processes that tests start.
os.environ["MPLBACKEND"] = "Agg"

os.umask(0o022)  # rights of files are tested, and other users read some of them

# Under `nohup make test &` SIGINT, SIGQUIT and SIGHUP are ignored, and children inherit that; with a handler here they
# start with the default actions, which their tests rely on. A hangup of the terminal still ends no test run.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
for _ignored in (signal.SIGHUP, signal.SIGQUIT):
    if signal.getsignal(_ignored) is signal.SIG_IGN:
        signal.signal(_ignored, lambda *_: None)

# A shared machine is slow at odd moments, so an example has no deadline; derandomised, a red run is red for everyone.
settings.register_profile(
    "replaylab",
    deadline=None,
    derandomize=True,
    max_examples=50 * SCALE,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("check", settings.get_profile("replaylab"), max_examples=10)  # `make check`
settings.load_profile("replaylab")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what `make check` leaves out."""
    for item in items:
        if starts_something(item):
            item.add_marker("slow")


def pytest_collection_finish() -> None:
    """Keep what collecting has made out of every later look for garbage: a million objects that stay to the end."""
    gc.collect()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Give it back, so that it is cleared away when Python ends."""
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove REPLAYLAB_* variables, so that a developer's own settings cannot turn a test green or red."""
    for name in [name for name in os.environ if name.upper().startswith("REPLAYLAB_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _no_loop_from_outside(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hide the event loop that a browser test in the same process leaves running; the browser tests need it."""
    if "browser" in request.path.parts:
        yield
        return
    running = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(running)


@pytest.fixture(autouse=True)
def _no_log_from_outside() -> Iterator[None]:
    """Put back the loggers of the package: a page of the docs sets up a log, as a program does, and then ends."""
    before = {logger: (logger.level, list(logger.handlers)) for logger in _loggers()}
    yield
    for logger in _loggers():
        level, handlers = before.get(logger, (logging.NOTSET, []))
        logger.handlers[:] = handlers
        if logger.level != level:  # setting it empties a cache of all loggers
            logger.setLevel(level)


def _loggers() -> list[logging.Logger]:
    names = [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "replaylab"]
    return [logging.getLogger(name) for name in ("replaylab", *names)]


@pytest.fixture
def patient_feeds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give servers a minute to answer: on a machine that stalls the usual bounds, of one to ten seconds, are passed."""
    from replaylab.feeds.socketio import SocketIOFeed
    from replaylab.feeds.websocket import WebSocketFeed
    from replaylab.settings import Settings

    for feed in (SocketIOFeed, WebSocketFeed):
        defaults: Any = feed.__init__.__kwdefaults__
        monkeypatch.setitem(defaults, "timeout_seconds", 60.0)
    settings = Settings(network_timeout_seconds=60)
    monkeypatch.setattr("replaylab.settings.current", lambda: settings)
    monkeypatch.setattr("replaylab.sessions.supervisor.STALE_SECONDS", 60.0)


@pytest.fixture(scope="session")
def database_server() -> Iterator[Server]:
    """Give a PostgreSQL server of this test run, started when the first test asks for it."""
    with server() as made:
        yield made
