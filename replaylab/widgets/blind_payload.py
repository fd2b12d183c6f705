"""BlindPayload: a stored game of which a page gets each row at its time, and nothing that tells of a later one."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Final

from replaylab.clock import NOMINAL_SECONDS
from replaylab.playback.timeline import Timeline
from replaylab.table import PHASES
from replaylab.tick import short_id
from replaylab.widgets.channel import Channel
from replaylab.widgets.panels import Panels
from replaylab.widgets.payload import CHUNK, StoredPayload

EVERY_SECONDS: Final = 0.03  # between two messages while the engine plays


class BlindPayload:
    """The rows that the engine has shown, and the batches of those that it shows next.

    Length, end, peak, rug and gaps of the game stay in the kernel until the playhead is there; the peak, which only the
    end can tell, until the last row.

    Parameters
    ----------
    timeline : Timeline
        The game.
    channel : Channel
        Sends to the pages.
    cursor : callable
        Returns the row that the engine shows.
    panels : Panels, optional
        What is drawn below the price.

    Attributes
    ----------
    seen : int
        Rows that the page may know: one more than the furthest row that was shown.
    """

    def __init__(
        self, timeline: Timeline, channel: Channel, cursor: Callable[[], int], panels: Panels | None = None
    ) -> None:
        self.track = timeline
        self.id = "blind-" + hashlib.blake2b(timeline.game_id.encode(), digest_size=6).hexdigest()
        self._whole = StoredPayload(timeline, panels)
        self._channel = channel
        self._cursor = cursor
        self._planned = False
        self.seen = 0
        self._advance()

    def opening(self) -> tuple[dict[str, Any], list[memoryview]]:
        """Return the facts and the rows that open the game in a page."""
        self._advance()
        facts = {
            "id": self.id,
            "mode": "blind",
            "title": short_id(self.track.game_id) or "game",
            "base": 0,
            "n": self.seen,
            "capacity": 0,
            "chunk": CHUNK,
            "stride": 1,
            "overview": False,
            "nominal_ms": NOMINAL_SECONDS * 1e3,
            "phases": [str(phase) for phase in PHASES],
            "panels": self._whole.facts["panels"],
            **self._happened(0),
        }
        return facts, self._whole.columns.buffers(0, self.seen)

    def nudge(self) -> None:
        """Schedule sending what is new; cheap, and may be called from any thread."""
        if not self._planned:
            self._planned = True
            self._channel.delivery.later(EVERY_SECONDS, self.flush)

    def flush(self) -> None:
        """Send the rows that were shown since the last time."""
        self._planned = False
        start = self.seen
        self._advance()
        if self.seen > start:
            buffers = self._whole.columns.buffers(start, self.seen)
            self._channel.post("append", buffers, id=self.id, at=start, n=self.seen - start, **self._happened(start))

    def _advance(self) -> None:
        self.seen = max(self.seen, self._cursor() + 1)

    def _happened(self, start: int) -> dict[str, Any]:
        """Return what happened in the rows from `start` on that were shown."""
        facts = self._whole.facts
        over = self.seen == len(self._whole)
        events = [event for event in facts["events"] if start <= event["row"] < self.seen and event["kind"] != "peak"]
        if over:
            events += [event for event in facts["events"] if event["kind"] == "peak"]
        return {"events": events, "gaps": [gap for gap in facts["gaps"] if start <= gap["row"] < self.seen]}
