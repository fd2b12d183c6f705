"""Isolation of tests: what one test sets up, as a log or a setting, does not reach the next."""

from __future__ import annotations

import logging

import pytest

LOGGER = logging.getLogger("replaylab.recorder")


@pytest.mark.parametrize("turn", ["first", "second"])
def test_a_log_ends_with_its_test(turn: str) -> None:
    """Whichever of the two runs first, neither sees the level and the handler of the other."""
    assert LOGGER.level == logging.NOTSET, turn
    assert LOGGER.handlers == []
    LOGGER.setLevel(logging.INFO)
    LOGGER.addHandler(logging.NullHandler())
