"""What the crash kit shares: a disk whose syncs cost nothing, where what they do is simulated."""

from __future__ import annotations

import os

import pytest


@pytest.fixture
def no_real_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare the real disk."""
    for name in ("fsync", "fdatasync"):
        monkeypatch.setattr(os, name, lambda _: None)
