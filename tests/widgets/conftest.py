"""Fixtures for tests of the player without a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from replaylab.widgets.player import ReplayPlayer
from tests.widgets.pages import FakePage


@pytest.fixture
def make() -> Iterator[Callable[..., tuple[ReplayPlayer, FakePage]]]:
    """Make a player with a page that is open; all are closed at the end."""
    made: list[ReplayPlayer] = []

    def _make(source: object, **options: Any) -> tuple[ReplayPlayer, FakePage]:
        player = ReplayPlayer(source, **options)
        made.append(player)
        return player, FakePage(player)

    yield _make
    for player in made:
        player.close()
