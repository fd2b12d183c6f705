"""Feeds of these tests have real servers, and no test depends on how fast a machine is."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _patient(patient_feeds: None) -> None:
    """Give every server its time."""
