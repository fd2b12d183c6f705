"""Event: a change of a recorder's state, and the queue on which events reach the recorder's thread."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from queue import SimpleQueue
from typing import Any, Final

_log = logging.getLogger("replaylab.recorder")


class RecorderEventKind(StrEnum):
    """What has happened to a recording."""

    STARTED = "started"
    GAME_STARTED = "game_started"
    GAME_ENDED = "game_ended"
    SEALED = "sealed"
    PRUNED = "pruned"
    PAUSED = "paused"
    RESUMED = "resumed"
    RETRIED = "retried"
    MOVED = "moved"
    FAILED = "failed"
    STOPPED = "stopped"


_LEVELS: Final = {
    RecorderEventKind.PAUSED: logging.WARNING,
    RecorderEventKind.RETRIED: logging.WARNING,
    RecorderEventKind.MOVED: logging.WARNING,
    RecorderEventKind.FAILED: logging.ERROR,
    RecorderEventKind.GAME_STARTED: logging.DEBUG,
    RecorderEventKind.GAME_ENDED: logging.DEBUG,
}


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


class EventQueue:
    """Events of one recorder on their way to its background thread, which calls the listener; also wakes that thread.

    Parameters
    ----------
    run : str
        Name of the run, for the log.
    now : callable
        Returns the time, in UTC.
    """

    def __init__(self, run: str, now: Callable[[], datetime]) -> None:
        self._run = run
        self._now = now
        self._is_listened = False
        self._queue: SimpleQueue[RecorderEvent | threading.Event | None] = SimpleQueue()
        self.get = self._queue.get  # raises queue.Empty
        self.get_nowait = self._queue.get_nowait
        self.is_empty = self._queue.empty

    def listen(self) -> None:
        """Queue events from now on: there is a listener."""
        self._is_listened = True

    def emit(self, kind: RecorderEventKind, **details: Any) -> None:
        """Log an event and queue it for the listener, where there is one: to wake the thread for nothing costs."""
        level = _LEVELS.get(kind, logging.INFO)
        if _log.isEnabledFor(level):
            shown = " ".join(f"{name}={value}" for name, value in details.items())
            extra = {
                "event": kind.value,
                "recorder_run": self._run,
                "recorder_event": kind.value,
                **{f"recorder_{name}": value for name, value in details.items()},
            }
            _log.log(level, "recorder %s: %s %s", self._run, kind.value, shown, extra=extra)
        if self._is_listened:
            self._queue.put(RecorderEvent(kind, self._now(), details))

    def wake(self) -> None:
        """Wake the background thread."""
        self._queue.put(None)

    def barrier(self) -> threading.Event:
        """Return a flag that the background thread sets once every earlier event has been delivered."""
        flag = threading.Event()
        self._queue.put(flag)
        return flag
