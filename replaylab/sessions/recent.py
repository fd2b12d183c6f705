"""Recent: the newest ticks and marks of a feed, which can be written to a recorder afterwards."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from replaylab.errors import RecordingFailed
from replaylab.feeds.base import Message
from replaylab.recording.lane import Lane
from replaylab.tick import Tick

AGAIN_SECONDS: Final = 0.005
PASSING: Final = frozenset(
    {"overflow", "disk_full", "write_failed", "reentrant"}
)  # reasons of a recorder that may pass


class Recent:
    """The newest messages of a feed, at most `capacity` of them, each with the time at which it came.

    One thread adds; any thread may look.

    Examples
    --------
    >>> recent = Recent(2)
    >>> recent.messages()
    []
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._held: deque[tuple[datetime, Message]] = deque(maxlen=capacity)

    def add(self, at: datetime, messages: Iterable[Message]) -> None:
        """Add messages that came at one time."""
        self._held.extend((at, message) for message in messages)

    def messages(self, last: timedelta | None = None, now: datetime | None = None) -> list[Message]:
        """Return what is held, oldest first; with `last` only what came in that time before `now`."""
        since = now - last if last is not None and now is not None else None
        return [message for at, message in self._held.copy() if since is None or at >= since]


def span_of(last: str | timedelta | None) -> timedelta | None:
    """Return a duration that is given as such or as text, such as `5min`; raises ValueError for any other text."""
    if last is None or isinstance(last, timedelta):
        return last
    import numpy as np
    import pandas as pd

    try:
        nanoseconds = int(pd.to_timedelta([last]).as_unit("ns").to_numpy().astype(np.int64)[0])
    except ValueError:
        nanoseconds = 0
    if nanoseconds <= 0:  # no time at all is the least number there is
        raise ValueError(f"last={last!r}: must be a duration such as '5min', '90s' or '1h'")
    return timedelta(microseconds=nanoseconds // 1000)


def write_all(lane: Lane, kept: Iterable[Message]) -> None:
    """Write what was kept, waiting for room; raises `RecordingFailed`."""
    for message in kept:
        while True:
            if isinstance(message, Tick):
                receipt = lane.record_many([message])
                reason = None if receipt.accepted else receipt.reason
            else:
                reason = lane.mark(message)
            if reason is None:
                break
            if reason not in PASSING:
                raise RecordingFailed(f"what was kept cannot be written ({reason})")
            time.sleep(AGAIN_SECONDS)
