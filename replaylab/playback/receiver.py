"""Receiver: a stage that takes live ticks, follows the newest, and returns to it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from replaylab.playback.event import Callback, Event, Gap, Step, received_step
from replaylab.playback.ring import RING_TICKS, checked_size
from replaylab.playback.stage import NOBODY, Stage
from replaylab.playback.stream import Stream
from replaylab.tick import Tick

_LEAST_BACKLOG: Final = 1_000  # live ticks that wait for a slow callback, at least
_CROWDED: Final = 0.8  # share of the backlog from which on a warning is told


class Receiver(Stage):
    """A stage that live ticks are pushed into.

    Parameters
    ----------
    ring_ticks : int
        Ticks kept of a live game.
    heard : mapping, optional
        The listeners of each kind.
    """

    def __init__(self, ring_ticks: int = RING_TICKS, heard: Mapping[str, tuple[Callback, ...]] = NOBODY) -> None:
        super().__init__(heard)
        self.ring_ticks = checked_size(ring_ticks)
        self.pushed = self.missed = 0
        self._backlog: Final = max(_LEAST_BACKLOG, ring_ticks)
        self._crowded = int(_CROWDED * self._backlog)
        self._untold = 0
        self._warned = False

    def push(self, tick: Tick, clock: Callable[[], float]) -> None:
        """Take a live tick: a stored game, or a live one of another id, ends before it."""
        stream = self.track
        if type(stream) is not Stream or stream.game_id != tick.game_id:
            stream = self._begin_live(tick.game_id, clock())
        index = stream.push(tick)
        self.pushed += 1
        heard = self._heard
        if self.following:
            self.cursor = index
            if heard["tick"]:
                self._offer("tick", received_step(tick, index))
        elif self.cursor < stream.first:
            self.cursor = stream.first
        if heard["push"]:
            self._offer("push", received_step(tick, index))
        odd = stream.odd
        if odd is not None and odd[0] == index:
            self._tell_odd(stream, received_step(tick, index), *odd[1:])

    def _tell_odd(self, stream: Stream, step: Step, gap: Gap | None, rug: bool) -> None:  # noqa: FBT001
        if gap is not None:
            self._offer("gap", Event("gap", stream.game_id, step, gap.reason, gap))
        if rug:
            self.outbox.append(("rug", Event("rug", stream.game_id, step)))

    def _begin_live(self, game_id: str, now: float) -> Stream:
        """End what was held and follow a new live game, unless somebody paused the one before it."""
        follow = self.playing or not isinstance(self.track, Stream)
        self._leave("superseded" if isinstance(self.track, Stream) else "replaced", now)
        stream = Stream(game_id, self.ring_ticks)
        self._enter(stream, now)
        self.following = follow
        self._start()
        self._tell("live")
        return stream

    def _offer(self, kind: str, value: Step | Event) -> None:
        """Let it wait for a callback; where too many do it is left out and counted, and told later how many were."""
        waiting = len(self.outbox)
        if waiting >= self._crowded:
            if waiting >= self._backlog:
                self.missed += 1
                self._untold += 1
                return
            self._warn()
        elif self._untold or self._warned:
            self._recover()
        self.outbox.append((kind, value))

    def _warn(self) -> None:
        """Tell, once until it is better, that a callback is so slow that ticks will be left out."""
        if not self._warned:
            self._warned = True
            reason = (
                f"a callback is slow: {self._crowded} events wait for it; from {self._backlog} on ticks are not told"
            )
            self.outbox.append(("error", Event("error", self.game_id, reason=reason)))

    def _recover(self) -> None:
        """Tell how many ticks were left out, now that callbacks keep up."""
        self._warned = False
        if self._untold:
            reason = f"{self._untold} live ticks were not told: a callback is too slow; the ring still has the newest"
            self.outbox.append(("error", Event("error", self.game_id, reason=reason)))
            self._untold = 0

    def go_live(self, now: float) -> bool:
        """Return to the newest tick of a live game and follow it; False when there is no live game."""
        if not isinstance(self.track, Stream):
            return False
        if not self.following:
            self._halt(now)
            if not self.at_end:
                self._jump(self.track.stop - 1, now, "live")
            self.following = True
            self._tell("live")
        return True
