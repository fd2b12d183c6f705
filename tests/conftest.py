"""What every test stands on: no settings from outside, no window, and the same hypothesis examples on every machine."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

# Read once by matplotlib and by the child processes that tests start.
os.environ["MPLBACKEND"] = "Agg"

# A shared machine is slow at odd moments, so an example has no deadline; derandomised, a red run is red for everyone.
settings.register_profile(
    "replaylab",
    deadline=None,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("replaylab")


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
