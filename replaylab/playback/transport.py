"""Transport: what is held and where its cursor stands; what play, pause, step, seek, loop and push do to it.

No thread, no lock, no clock and no callback: times come as arguments, and every change puts its events into the
outbox, in order.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from itertools import repeat
from typing import Final

import pyarrow as pa

from replaylab.clock import FASTEST, NOMINAL_SECONDS, Playhead, checked_rate
from replaylab.playback.event import KINDS, Callback, Event, Gap, Mode, Step, new_step, received_step
from replaylab.playback.outbox import Outbox
from replaylab.playback.ring import RING_TICKS, checked_size
from replaylab.playback.stream import Stream
from replaylab.playback.timeline import Timeline
from replaylab.tick import Tick

_NO_LISTENERS: Final[Mapping[str, tuple[Callback, ...]]] = dict.fromkeys(KINDS, ())


class Transport:
    """A stored or a live game with a cursor (the row shown last) and a playhead (which says what is due).

    Methods that need the time take it as `now`, in seconds; controls return whether they did something.

    Parameters
    ----------
    ring_ticks : int
        Ticks kept of a live game.
    listeners : mapping, optional
        The callbacks of each kind; events without a listener are not made.

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

    def __init__(
        self, ring_ticks: int = RING_TICKS, listeners: Mapping[str, tuple[Callback, ...]] = _NO_LISTENERS
    ) -> None:
        self.ring_ticks: Final = checked_size(ring_ticks)
        self.track: Timeline | Stream | None = None
        self.cursor = -1
        self.head = Playhead()
        self.following = False
        self.loop: tuple[int, int] | None = None
        self.outbox: Final = Outbox(ring_ticks)
        self.lag = self.max_lag = 0.0
        self.shown = self.pushed = 0
        self._listeners = listeners
        self._unopened = self._started = self._ended = self._rugged = False

    @property
    def mode(self) -> Mode:
        """What is held."""
        track = self.track
        return Mode.EMPTY if track is None else track.mode

    @property
    def game_id(self) -> str | None:
        """The game held."""
        track = self.track
        return None if track is None else track.game_id

    @property
    def timeline(self) -> Timeline | None:
        """The stored game, or None."""
        track = self.track
        return track if isinstance(track, Timeline) else None

    @property
    def stream(self) -> Stream | None:
        """The live game, or None."""
        track = self.track
        return track if isinstance(track, Stream) else None

    @property
    def total(self) -> int:
        """Rows of the game; of a live one, received so far."""
        track = self.track
        return 0 if track is None else track.stop

    @property
    def progress(self) -> float:
        """Share of the rows up to the cursor; 0.0 when empty."""
        return (self.cursor + 1) / self.total if self.total else 0.0

    @property
    def playing(self) -> bool:
        """Whether ticks come by themselves."""
        return self.head.playing or self.following

    @property
    def at_end(self) -> bool:
        """Whether there is no later row; True when empty."""
        track = self.track
        return track is None or self.cursor >= track.stop - 1

    @property
    def at_start(self) -> bool:
        """Whether there is no earlier row; True when empty."""
        return self.track is None or self.cursor <= self.track.first

    @property
    def seen(self) -> int:
        """Rows up to the cursor that were shown."""
        return 0 if self._unopened else self.cursor + 1

    @property
    def current(self) -> Step | None:
        """The row at the cursor."""
        return None if self.cursor < 0 else self._step(self.cursor)

    def load(self, timeline: Timeline, now: float, *, show: bool = False) -> bool:
        """Hold a stored game, paused at its first row, which is shown now or when something else is; ends another."""
        self._leave("replaced", now)
        self._enter(timeline, now)
        self._announce("load")
        if show:
            self.open(now)
        return True

    def close(self, now: float) -> None:
        """Hold nothing any more."""
        self._halt(now)
        self.following = self._unopened = False
        self.track, self.cursor, self.loop = None, -1, None
        self._announce("closed")

    def play(self, now: float) -> bool:
        """Let it run from the cursor; whether it runs now."""
        if self.track is None or self.playing:
            return self.playing
        if self._unopened:
            self.open(now, show=False)
            self.cursor = -1  # the first row is shown like all others, by the driver
        if self.at_end and isinstance(self.track, Stream):
            return self.go_live(now)
        if self.at_end and self.loop is None:
            self._end("end")
            return False
        self.head = Playhead(self._place(now, shown=True), now, self.head.rate, playing=True)
        self.max_lag = 0.0
        self._announce("play")
        return True

    def pause(self, now: float, reason: str = "pause") -> bool:
        """Stay here; whether it was running. Live ticks not shown yet are left for later."""
        if not self.playing:
            return False
        self._halt(now)
        if self.following:
            self.following = False
            self.cursor = min([self.cursor, *(row - 1 for row in self.outbox.withdraw_ticks())])
        self._announce(reason)
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
            self.outbox.missed += track.first - row
            row = track.first
        if head.rate != FASTEST:
            late = clock() - head.when(track.due(row))
            if late < 0:
                return -late
            self.lag = late
            self.max_lag = max(self.max_lag, late)
        self._arrive(row, None)
        return 0.0

    def take_ahead(self, most: int) -> Iterator[Step]:
        """Go on at once over rows at which nothing else happens, at most some; return their steps.

        Only at no speed limit, outside a loop, and when no event waits; else there are none.
        """
        track, row = self.track, self.cursor + 1
        if type(track) is not Timeline or not self.head.playing or self.head.rate != FASTEST:
            return iter(())
        stop = min(row + most, track.plain_until(row))
        if self.loop is not None or self.outbox or stop <= row:
            return iter(())
        self.cursor = stop - 1
        self.shown += stop - row
        return map(new_step, repeat(Step), zip(range(row, stop), repeat(track)))

    def put_back(self, rows: int) -> None:
        """Undo the last rows of `take_ahead`: they were not shown."""
        self.cursor -= rows
        self.shown -= rows

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
        self._announce("reset")
        self.open(now)
        return True

    def batch(self, rows: int, now: float) -> pa.RecordBatch | None:
        """Go on by some rows and return them; gaps, rug and end are reported, ticks are not. None at the end."""
        track = self.track
        if not isinstance(track, Timeline):
            return None
        first = 0 if self._unopened else self.cursor + 1
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
        self._announce("speed")

    def set_loop(self, first: int, last: int) -> bool:
        """Repeat the rows from `first` to `last`, both included; False when there are none, or the game is live."""
        if not isinstance(self.track, Timeline) or not 0 <= first <= last < self.track.stop:
            return False
        self.loop = (first, last)
        self._announce("loop")
        return True

    def clear_loop(self) -> bool:
        """Play on beyond the loop; whether there was one."""
        found, self.loop = self.loop is not None, None
        if found:
            self._announce("loop")
        return found

    def go_live(self, now: float) -> bool:
        """Return to the newest tick of a live game and follow it; False when there is no live game."""
        if not isinstance(self.track, Stream):
            return False
        if not self.following:
            self._halt(now)
            if not self.at_end:
                self._jump(self.track.stop - 1, now, "live")
            self.following = True
            self._announce("live")
        return True

    def push(self, tick: Tick, clock: Callable[[], float]) -> None:
        """Take a live tick: a stored game, or a live one of another id, ends before it."""
        stream = self.track
        if type(stream) is not Stream or stream.game_id != tick.game_id:
            stream = self._begin_live(tick.game_id, clock())
        index = stream.push(tick)
        self.pushed += 1
        listeners = self._listeners
        if self.following:
            self.cursor = index
            if listeners["tick"]:
                self.outbox.offer("tick", received_step(tick, index), tick.game_id)
        elif self.cursor < stream.first:
            self.cursor = stream.first
        if listeners["push"]:
            self.outbox.offer("push", received_step(tick, index), tick.game_id)
        mark = stream.mark
        if mark is not None and mark[0] == index:
            self._report_mark(stream, received_step(tick, index), *mark[1:])

    def _report_mark(self, stream: Stream, step: Step, gap: Gap | None, rug: bool) -> None:  # noqa: FBT001
        if gap is not None:
            self.outbox.offer("gap", Event("gap", stream.game_id, step, gap.reason, gap), stream.game_id)
        if rug:
            self.outbox.append(("rug", Event("rug", stream.game_id, step)))

    def _begin_live(self, game_id: str, now: float) -> Stream:
        """End what was held and follow a new live game, unless the one before it is paused."""
        follow = self.playing or not isinstance(self.track, Stream)
        self._leave("superseded" if isinstance(self.track, Stream) else "replaced", now)
        stream = Stream(game_id, self.ring_ticks)
        self._enter(stream, now)
        self.following = follow
        self._start()
        self._announce("live")
        return stream

    def open(self, now: float, *, show: bool = True) -> None:
        """Announce a game that was loaded, and show its first row; later calls change nothing."""
        if not self._unopened:
            return
        self._unopened = False
        self._start()
        if show:
            self._arrive(self.cursor, now)

    def _enter(self, track: Timeline | Stream, now: float) -> None:
        self.track, self.cursor, self.loop = track, -1, None
        self.head = Playhead(0.0, now, self.head.rate, playing=False)
        self.lag = self.max_lag = 0.0
        self._unopened = self._started = self._ended = self._rugged = False
        if isinstance(track, Timeline):
            self.cursor, self._unopened = 0, True

    def _leave(self, reason: str, now: float) -> None:
        self._halt(now)
        self.following = False
        if self._started:
            self._end(reason)

    def _start(self) -> None:
        self._started = True
        self.outbox.append(("game_start", Event("game_start", self.game_id)))

    def _end(self, reason: str) -> None:
        """Report the end of a game, once."""
        if not self._ended:
            self._ended = True
            self.outbox.append(("game_end", Event("game_end", self.game_id, reason=reason)))

    def _announce(self, reason: str) -> None:
        """Report a change of state; the status is taken when it is delivered."""
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
        self._announce("end")

    def _jump(self, row: int, now: float | None, reason: str) -> None:
        """Arrive at a row from somewhere else."""
        if self._listeners["seek"]:
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
        """Report what happened at a row: a gap each time it is passed, the rug once a game."""
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


def _length(track: Timeline | Stream, row: int) -> float:
    """Seconds that a row is shown for in a loop; never none, or a loop of equal times would not rest."""
    length = track.due(row + 1) - track.due(row) if row + 1 < track.stop else 0.0
    return length if length > 0 else NOMINAL_SECONDS
