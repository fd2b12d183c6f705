"""Event: a change of a recorder's state, told to whoever listens."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any


class RecorderEventKind(StrEnum):
    """What has happened to a recording."""

    STARTED = "started"
    GAME_STARTED = "game_started"
    GAME_ENDED = "game_ended"
    SEALED = "sealed"
    PAUSED = "paused"
    RESUMED = "resumed"
    RETRIED = "retried"
    MOVED = "moved"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class RecorderEvent:
    """What happened to a recording, when (UTC), and the details: the game, the journal, the reason.

    Examples
    --------
    >>> from datetime import UTC
    >>> event = RecorderEvent(RecorderEventKind.PAUSED, datetime(2031, 1, 2, tzinfo=UTC), {"reason": "disk_full"})
    >>> event.kind == "paused"
    True
    """

    kind: RecorderEventKind
    at: datetime
    details: dict[str, Any] = field(default_factory=dict)
