"""Fixtures for tests of the engine: a time that stands still, and an engine that lives in it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from replaylab.playback.engine import ReplayEngine
from tests.playing import FakeTime


@pytest.fixture
def clock() -> FakeTime:
    """A time that stands still until somebody waits."""
    return FakeTime()


@pytest.fixture
def engine() -> Iterator[ReplayEngine]:
    """An engine in a time that stands still, with a ring of 100 ticks."""
    with FakeTime().engine(ring_ticks=100) as made:
        yield made
