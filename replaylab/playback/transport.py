"""Transport: what play, pause, step, seek, loop and push do. No thread, no lock, no clock, no callback."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from replaylab.clock import FASTEST, NOMINAL_SECONDS, Playhead, checked_rate
from replaylab.playback.event import Step
from replaylab.playback.receiver import Receiver
from replaylab.playback.stream import Stream
from replaylab.playback.timeline import Timeline


class Transport(Receiver):
    """The controls of a stage. Methods take the time as `now` and say whether they did something.

    Parameters
    ----------
    ring_ticks : int
        Ticks kept of a live game.
    heard : mapping, optional
        The listeners of each kind.

    Examples
    --------
    >>> from replaylab.tick import Tick
    >>> ticks = [Tick(game_id="g", tick=n, timestamp=f"2031-01-02T03:04:0{n}", price=1) for n in range(3)]
    >>> transport = Transport()
    >>> transport.load(Timeline.of(ticks), now=0.0)
    True
    >>> transport.play(now=0.0), transport.take(lambda: 0.0), transport.take(lambda: 0.25), transport.cursor
    (True, 0.0, 0.75, 0)
    """

    def load(self, timeline: Timeline, now: float, *, show: bool = False) -> bool:
        """Hold a stored game, paused at its first row, which is shown now or when something else is; ends another."""
        self._leave("replaced", now)
        self._enter(timeline, now)
        self._tell("load")
        if show:
            self.open(now)
        return True

    def close(self, now: float) -> None:
        """Hold nothing any more."""
        self._halt(now)
        self.following = self._fresh = False
        self.track, self.cursor, self.loop = None, -1, None
        self._tell("closed")

    def play(self, now: float) -> bool:
        """Let it run from the cursor; whether it runs now."""
        if self.track is None or self.playing:
            return self.playing
        if self._fresh:
            self.open(now, show=False)
            self.cursor = -1  # the first row is shown like all others, by whoever plays
        if self.at_end and isinstance(self.track, Stream):
            return self.go_live(now)
        if self.at_end and self.loop is None:
            self._end("end")
            return False
        self.head = Playhead(self._place(now, shown=True), now, self.head.rate, playing=True)
        self.max_lag = 0.0
        self._tell("play")
        return True

    def pause(self, now: float, reason: str = "pause") -> bool:
        """Stay here; whether it was running. Live ticks not shown yet are left for later."""
        if not self.playing:
            return False
        self._halt(now)
        if self.following:
            self.following = False
            waiting = [value.index for kind, value in self.outbox if kind == "tick"]
            kept = [told for told in self.outbox if told[0] != "tick"]
            self.outbox.clear()
            self.outbox.extend(kept)
            self.cursor = min([self.cursor, *(row - 1 for row in waiting)])
        self._tell(reason)
        return True

    def take(self, clock: Callable[[], float]) -> float | None:
        """Show the next row when it is due.

        Returns
        -------
        float or None
            0.0 when something happened, else the seconds until it will; None when it does not play by itself.
        """
        track, head = self.track, self.head
        if not head.playing or track is None:
            return None
        row = self.cursor + 1
        if self.loop is not None and row > self.loop[1]:
            return self._wrap(*self.loop, clock())
        if row >= track.stop:
            if not self.go_live(clock()):  # a seek to the last row while playing
                self._finish(clock())
            return 0.0
        if row < track.first:
            self.missed += track.first - row
            row = track.first
        if head.rate != FASTEST:
            late = clock() - head.when(track.due(row))
            if late < 0:
                return -late
            self.lag = late
            self.max_lag = max(self.max_lag, late)
        self._arrive(row, None)
        return 0.0

    def _wrap(self, first: int, last: int, now: float) -> float:
        """Go back to the start of a loop when its last row has had its time; lateness is carried over, not added."""
        assert self.track is not None  # noqa: S101  there is a loop, so there is a game
        if self.head.rate != FASTEST and self.cursor == last:
            late = now - self.head.when(self.track.due(last) + _length(self.track, last))
            if late < 0:
                return -late
            now -= late
        self._jump(first, now, "loop")
        return 0.0

    def row_at(self, fraction: float) -> int:
        """Row at a fraction of what can be shown; -1 when there is none."""
        if self.track is None or self.track.stop <= self.track.first:
            return -1
        return self.track.first + round(fraction * (self.track.stop - 1 - self.track.first))

    def seek(self, row: int, now: float, reason: str = "seek") -> bool:
        """Go to a row and show it; False, and nothing changes, when there is no such row.

        In a live game it leaves the newest tick and stays there until `play` or `go_live`.
        """
        if self.track is None or not self.track.first <= row < self.track.stop:
            return False
        self.open(now, show=False)
        if isinstance(self.track, Stream):
            self.pause(now)
        self._jump(row, now, reason)
        return True

    def step(self, direction: int, now: float) -> bool:
        """Go one row on (1) or back (-1) and show it; False at either end, and while a live game is followed."""
        self.open(now)
        row = self.cursor + direction
        if self.track is None or self.following or row < self.track.first:
            return False
        if row >= self.track.stop:
            if isinstance(self.track, Timeline):
                self._end("end")
            return False
        self._arrive(row, now)
        return True

    def stop(self, now: float) -> bool:
        """Pause, and go back to the first row."""
        if self.track is None:
            return False
        self.pause(now, "stop")
        return self.seek(self.track.first, now, "stop")

    def reset(self, now: float) -> bool:
        """Go back to how it was when loaded: paused at the first row, its start, rug and end to come again."""
        if not isinstance(self.track, Timeline):
            return False
        track = self.track
        self._leave("reset", now)
        self._enter(track, now)
        self._tell("reset")
        self.open(now)
        return True

    def batch(self, rows: int, now: float) -> pa.RecordBatch | None:
        """Go on by some rows at once and give them; gaps, rug and end are told, ticks are not. None at the end."""
        track = self.track
        if not isinstance(track, Timeline):
            return None
        first = 0 if self._fresh else self.cursor + 1
        self.open(now, show=False)
        stop = min(first + rows, track.stop)
        for row in [row for row in sorted(track.marks) if first <= row < stop]:
            self._mark(track, row, Step(row, track))
        self.cursor = max(stop, 1) - 1
        self.head = Playhead(track.due(self.cursor), now, self.head.rate, playing=False)
        if stop == track.stop:
            self._end("end")
        return track.table.slice(first, stop - first).to_batches()[0] if stop > first else None

    def set_speed(self, rate: float, now: float) -> None:
        """Go on at another speed from where it is; rows that are due stay due."""
        place = self._place(now, shown=False) if self.head.playing else self.head.anchor
        self.head = Playhead(place, now, checked_rate(rate), self.head.playing)
        self._tell("speed")

    def set_loop(self, first: int, last: int) -> bool:
        """Repeat the rows from `first` to `last`, both included; False when there are none, or the game is live."""
        if not isinstance(self.track, Timeline) or not 0 <= first <= last < self.track.stop:
            return False
        self.loop = (first, last)
        self._tell("loop")
        return True

    def clear_loop(self) -> bool:
        """Play on beyond the loop; whether there was one."""
        found, self.loop = self.loop is not None, None
        if found:
            self._tell("loop")
        return found


def _length(track: Timeline | Stream, row: int) -> float:
    """Seconds that a row is shown for in a loop; never none, or a loop of equal times would not rest."""
    length = track.due(row + 1) - track.due(row) if row + 1 < track.stop else 0.0
    return length if length > 0 else NOMINAL_SECONDS
