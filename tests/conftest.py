"""What every test stands on: no settings from outside, no window, and the same hypothesis examples on every machine."""

from __future__ import annotations

import os

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
