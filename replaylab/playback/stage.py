"""Stage: what is held and shown: the track, the cursor, the playhead, and what there is to tell about them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from typing import Any, Final

from replaylab.clock import FASTEST, Playhead
from replaylab.playback.event import KINDS, Callback, Event, Mode, Step
from replaylab.playback.stream import Stream
from replaylab.playback.timeline import Timeline

NOBODY: Final[Mapping[str, tuple[Callback, ...]]] = dict.fromkeys(KINDS, ())


class Stage:
    """A track with a cursor (the row shown last) and a playhead (which says what is due).

    Every change puts what there is to tell into `outbox`, in order; whoever owns the stage delivers it.

    Parameters
    ----------
    heard : mapping, optional
        The listeners of each kind; what nobody listens to is not made.
    """

    def __init__(self, heard: Mapping[str, tuple[Callback, ...]] = NOBODY) -> None:
        self.track: Timeline | Stream | None = None
        self.cursor = -1
        self.head = Playhead()
        self.following = False
        self.loop: tuple[int, int] | None = None
        self.outbox: deque[tuple[str, Any]] = deque()
        self.lag = self.max_lag = 0.0
        self.shown = 0
        self._heard = heard
        self._fresh = self._started = self._ended = self._rugged = False

    @property
    def mode(self) -> Mode:
        """What is held."""
        return Mode.EMPTY if self.track is None else self.track.mode

    @property
    def game_id(self) -> str | None:
        """The game held."""
        return None if self.track is None else self.track.game_id

    @property
    def playing(self) -> bool:
        """Whether ticks come by themselves."""
        return self.head.playing or self.following

    @property
    def at_end(self) -> bool:
        """Whether there is no later row; True when empty."""
        return self.track is None or self.cursor >= self.track.stop - 1

    @property
    def at_start(self) -> bool:
        """Whether there is no earlier row; True when empty."""
        return self.track is None or self.cursor <= self.track.first

    @property
    def seen(self) -> int:
        """Rows up to the cursor that were shown."""
        return 0 if self._fresh else self.cursor + 1

    @property
    def current(self) -> Step | None:
        """The row at the cursor."""
        return None if self.cursor < 0 else self._step(self.cursor)

    def open(self, now: float, *, show: bool = True) -> None:
        """Announce a game that was loaded, and show its first row; later calls change nothing."""
        if not self._fresh:
            return
        self._fresh = False
        self._start()
        if show:
            self._arrive(self.cursor, now)

    def _enter(self, track: Timeline | Stream, now: float) -> None:
        self.track, self.cursor, self.loop = track, -1, None
        self.head = Playhead(0.0, now, self.head.rate, playing=False)
        self.lag = self.max_lag = 0.0
        self._fresh = self._started = self._ended = self._rugged = False
        if isinstance(track, Timeline):
            self.cursor, self._fresh = 0, True

    def _leave(self, reason: str, now: float) -> None:
        self._halt(now)
        self.following = False
        if self._started:
            self._end(reason)

    def _start(self) -> None:
        self._started = True
        self.outbox.append(("game_start", Event("game_start", self.game_id)))

    def _end(self, reason: str) -> None:
        """Tell the end of a game, once."""
        if not self._ended:
            self._ended = True
            self.outbox.append(("game_end", Event("game_end", self.game_id, reason=reason)))

    def _tell(self, reason: str) -> None:
        """Tell a change of state; the status is taken when it is delivered."""
        self.outbox.append(("state", reason))

    def _place(self, now: float, *, shown: bool) -> float:
        """Position of the playhead; with `shown`, not beyond the next row to show."""
        track, row = self.track, self.cursor
        if track is None or not track.first <= row < track.stop:
            return 0.0
        place = self.head.at(now)
        if place == math.inf:
            return track.due(row)
        if shown:
            place = min(place, track.due(row + 1) if row + 1 < track.stop else track.due(row))
        return max(place, track.due(row))

    def _halt(self, now: float) -> None:
        """Stop the playhead before the next row: what was due and not shown stays to be shown."""
        if self.head.playing:
            self.head = Playhead(self._place(now, shown=True), now, self.head.rate, playing=False)

    def _finish(self, now: float) -> None:
        """The last row of a stored game was shown."""
        self._halt(now)
        self._end("end")
        self._tell("end")

    def _jump(self, row: int, now: float | None, reason: str) -> None:
        """Arrive at a row from somewhere else."""
        if self._heard["seek"]:
            self.outbox.append(("seek", Event("seek", self.game_id, self._step(row), reason)))
        self._arrive(row, now, passing=False)

    def _arrive(self, row: int, now: float | None, *, passing: bool = True) -> None:
        """Put the cursor on a row and show it; with a time, the playhead goes there too."""
        track = self.track
        self.cursor = row
        self.shown += 1
        if now is not None and track is not None:
            self.head = Playhead(track.due(row), now, self.head.rate, self.head.playing)
        step = Step(row, track) if type(track) is Timeline else self._step(row)
        if step is not None:
            self.outbox.append(("tick", step))
        if passing and type(track) is Timeline and step is not None:
            if row in track.marks:
                self._mark(track, row, step)
            if row == track.stop - 1 and self.loop is None:
                self._last(track, row, now)

    def _last(self, track: Timeline, row: int, now: float | None) -> None:
        if self.head.playing:
            when = self.head.when(track.due(row)) if self.head.rate != FASTEST else self.head.since
            self._finish(when if now is None else now)
        else:
            self._end("end")

    def _mark(self, track: Timeline, row: int, step: Step) -> None:
        """Tell what happened at a row: a gap each time it is passed, the rug once a game."""
        gap = track.marks[row]
        if gap is not None:
            self.outbox.append(("gap", Event("gap", track.game_id, step, gap.reason, gap)))
        if row == track.rug and not self._rugged:
            self._rugged = True
            self.outbox.append(("rug", Event("rug", track.game_id, step)))

    def _step(self, row: int) -> Step | None:
        if isinstance(self.track, Stream):
            return self.track.step(row)
        return None if self.track is None else Step(row, self.track)
