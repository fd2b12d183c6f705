"""What the crash kit shares: a disk whose syncs cost nothing, as they are simulated; and more time for more tries."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.crash.scale import SCALE

_SECONDS = 120  # for one test, as for every other one


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give tests that try harder as much more time."""
    for item in items:
        if SCALE > 1 and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(_SECONDS * SCALE))


@pytest.fixture
def no_real_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the real disk."""
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda _: None)


@pytest.fixture(autouse=True)
def encrypted_stores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Encrypt every store of the kit when CRASH_KEY holds a key: `CRASH_KEY=$(openssl rand -base64 32) pytest ...`."""
    key = os.environ.get("CRASH_KEY")
    if key:
        monkeypatch.setenv("REPLAYLAB_KEY", key)
