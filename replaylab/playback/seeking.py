"""Seeking: every way to get to a place in a game: by steps, row, number, time, fraction, event, and in a loop."""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal

from replaylab.playback.readout import Readout
from replaylab.playback.timeline import Timeline
from replaylab.tick import microseconds, parse_time


class Seeking(Readout):
    """The part of an engine that moves the cursor; a move says whether it happened."""

    def step_forward(self) -> bool:
        """Show the next tick; False at the end, where the game's end is told once."""
        return self._do(lambda transport, now: transport.step(1, now), False)

    def step_backward(self) -> bool:
        """Show the tick before; False at the first one, and while a live game is followed."""
        return self._do(lambda transport, now: transport.step(-1, now), False)

    def go_live(self) -> bool:
        """Return to the newest tick of a live game and follow it again; False when none is held."""
        return self._do(lambda transport, now: transport.go_live(now), False)

    def seek(self, index: int) -> bool:
        """Go to a row, from 0; False, and nothing changes, when there is no such row.

        In a live game this looks back into the ring: pushes go on, `play` plays from there, `go_live` returns.
        """
        row = operator.index(index)
        return self._do(lambda transport, now: transport.seek(row, now), False)

    def seek_tick(self, tick: int, occurrence: int | None = None) -> bool:
        """Go to a tick number: the first live row with it, else the first row; False when there is none.

        Numbers repeat; `occurrence` (from 0) counts all rows with that number, as received. False when live.
        """
        return self._seek_line(lambda line, _cursor: line.index_of_tick(tick, occurrence))

    def seek_time(self, moment: datetime | str) -> bool:
        """Go to the last row received up to a moment; False outside the game. False when live."""
        at_us = microseconds(parse_time(moment))
        return self._seek_line(lambda line, _cursor: line.index_at(at_us))

    def seek_fraction(self, fraction: float) -> bool:
        """Go to a place between 0.0 (first row) and 1.0 (last row); False for anything else."""
        if not 0.0 <= fraction <= 1.0:
            return False
        return self._do(lambda transport, now: transport.seek(transport.row_at(fraction), now), False)

    def seek_event(self, kind: str, direction: int = 1, percent: float | str | Decimal = 5) -> bool:
        """Go to the next (1) or former (-1) ``rug``, ``peak``, ``gap`` or ``move`` of that many percent."""
        return self._seek_line(lambda line, cursor: line.next_event(kind, cursor, direction, percent))

    def _seek_line(self, find: Callable[[Timeline, int], int | None]) -> bool:
        line = self._transport.track
        row = find(line, self._transport.cursor) if isinstance(line, Timeline) else None
        if row is None:
            return False
        return self._do(lambda transport, now: transport.track is line and transport.seek(row, now), False)

    def set_loop(self, first: int, last: int) -> bool:
        """Repeat the rows from `first` to `last`, both included; False when they are not there."""
        return self._do(lambda transport, _now: transport.set_loop(first, last), False)

    def clear_loop(self) -> bool:
        """Play on beyond the loop; whether there was one."""
        return self._do(lambda transport, _now: transport.clear_loop(), False)
