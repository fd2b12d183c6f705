"""LivePayload: the rows of a live game and the batches of new ones that a page gets, at most twenty a second."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

import numpy as np
import pyarrow as pa

from replaylab.clock import NOMINAL_SECONDS
from replaylab.playback.event import Gap
from replaylab.playback.stream import Stream
from replaylab.table import PHASES
from replaylab.tick import short_id
from replaylab.widgets.channel import Channel
from replaylab.widgets.live_notes import LiveNotes
from replaylab.widgets.panels import Panels
from replaylab.widgets.payload import CHUNK, Columns, gap_text, one

EVERY_SECONDS: Final = 0.05
_LATE: Final = 256  # rows back at which a trade is still drawn; it comes a row or two behind its tick


class LivePayload:
    """What a page knows of a live game, and how it gets the rest.

    Parameters
    ----------
    stream : Stream
        The live game.
    channel : Channel
        Sends to the pages.
    notes : LiveNotes, optional
        Gaps whose cause is known.
    panels : Panels, optional
        What is drawn below the price.
    """

    def __init__(
        self, stream: Stream, channel: Channel, notes: LiveNotes | None = None, panels: Panels | None = None
    ) -> None:
        self.track = stream
        self._notes = notes or LiveNotes()
        self._panels = panels or Panels()
        self._said: set[tuple[int, str]] = set()  # gaps that the pages know
        self._shown_trades: dict[int, float] = {}  # by tick, as the pages know them
        self.id = f"live-{stream.game_id}"
        self._channel = channel
        self._sent = -1  # next row to send; below 0 while no page is open
        self._latest_us = 0
        self._planned = False
        self._heals = 0  # of the notes, that the pages know

    def opening(self) -> tuple[dict[str, Any], list[memoryview]]:
        """Return the facts and the rows that open the game in a page."""
        self._latest_us = 0
        self._shown_trades = {}
        first, columns = self._rows(self.track.ring.first)
        facts = {
            "id": self.id,
            "mode": "live",
            "title": f"{short_id(self.track.game_id)} (live)",
            "base": first,
            "n": len(columns),
            "capacity": self.track.ring.size,
            "chunk": CHUNK,
            "stride": 1,
            "overview": False,
            "nominal_ms": NOMINAL_SECONDS * 1e3,
            "phases": [str(phase) for phase in PHASES],
            "panels": [
                {"name": panel.name, "kind": panel.kind} for panel in self._panels.of_rows(self.track.ring.to_table(0))
            ],
            "gaps": self._gap_words(first, new=False),
            "events": [],
        }
        return facts, columns.buffers(0, len(columns))

    def close(self) -> None:
        """Send nothing any more: another payload has opened the game in the pages, and what was planned is in it."""
        self._sent = -1

    def nudge(self) -> None:
        """Schedule sending what is new; cheap, and may be called from any thread."""
        if not self._planned and self._sent >= 0:
            self._planned = True
            self._channel.delivery.later(EVERY_SECONDS, self.flush)

    def flush(self) -> None:
        """Send what is new."""
        self._planned = False
        if self._sent < 0 or self._sent >= self.track.stop:
            return
        at, columns = self._rows(self._sent)
        if len(columns):
            gaps = self._gap_words(at if self._heals == self._notes.heals else self.track.ring.first)
            self._channel.post("append", columns.buffers(0, len(columns)), id=self.id, at=at, n=len(columns), gaps=gaps)

    def flush_notes(self) -> None:
        """Send gaps that no row has followed yet, and trades of rows that the pages have."""
        if self._sent < 0 or self._sent < self.track.stop:
            return
        gaps, values = self._gap_words(self.track.ring.first), self._new_trades()
        if gaps or values:
            self._channel.post("append", id=self.id, at=self._sent, n=0, gaps=gaps, values=values)

    def _new_trades(self) -> list[list[float]]:
        """Return row, panel and value of what was traded at rows that were sent before."""
        places, trades = self._panels.trades, self._notes.trades(self.track.game_id)
        new = {tick for tick, amount in trades.items() if self._shown_trades.get(tick) != amount} if places else set()
        if not new:
            return []
        self._shown_trades = dict(trades)
        first, ticks = self._sent, one(self.track.ring.to_table(_LATE, stop=self._sent), "tick").to_pylist()
        rows = {tick: first - len(ticks) + row for row, tick in reversed(list(enumerate(ticks))) if tick in new}
        return [[row, place, trades[tick]] for tick, row in sorted(rows.items()) for place in places]

    def _gap_words(self, start: int, *, new: bool = True) -> list[dict[str, Any]]:
        """Return the gaps before the rows from `start` on, in words; only those that no page knows, when `new`."""
        found = {gap.index: gap_text(gap) for gap in self.track.gaps_from(start) if gap.index < self._sent}
        found |= {row: text for row, text in self._notes.gaps(self.track.game_id).items() if start <= row <= self._sent}
        gaps = [(row, text) for row, text in sorted(found.items()) if not new or (row, text) not in self._said]
        self._heals = self._notes.heals
        self._said = {one for one in self._said if one[0] >= self.track.ring.first} | set(gaps)
        return [{"row": row, "label": text} for row, text in gaps]

    def _rows(self, start: int) -> tuple[int, Columns]:
        """Return the rows from `start` (or the oldest kept) to the newest; the next call goes on from there."""
        ring = self.track.ring
        stop = ring.stop
        table = ring.to_table(stop - max(start, ring.first), stop=stop)
        at_us = one(table, "timestamp").cast(pa.int64()).to_numpy()
        trades = self._notes.trades(self.track.game_id)
        latest = np.maximum.accumulate(np.maximum(at_us, self._latest_us)) if len(at_us) else at_us
        columns = Columns.of(
            table,
            latest / 1e3,
            self._gaps(stop - len(latest), stop),
            tuple(panel.values for panel in self._panels.of_rows(table, trades)),
        )
        self._sent = stop
        if len(latest):
            self._latest_us = int(latest[-1])
        return stop - len(columns), columns

    def _gaps(self, start: int, stop: int) -> tuple[Gap, ...]:
        """Return the gaps before some rows of the game, counted from the first of these rows."""
        return tuple(replace(gap, index=gap.index - start) for gap in self.track.gaps_from(start) if gap.index < stop)
