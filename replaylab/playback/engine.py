"""ReplayEngine: plays a stored game, or follows a live one, with an exact transport."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from replaylab.clock import checked_speed
from replaylab.errors import TickError, Unplayable
from replaylab.playback.driver import Caller, Wait, wait_for
from replaylab.playback.event import Event
from replaylab.playback.playlist import Playlist
from replaylab.playback.seeking import Seeking
from replaylab.playback.timeline import Pacing, Timeline
from replaylab.tick import Tick

if TYPE_CHECKING:
    from replaylab.settings import Settings


class ReplayEngine(Seeking):
    """Plays a stored game, a playlist, or a live stream; every tick reaches callbacks once and in order.

    Every control says whether it did something; none raises because of the state that the engine is in, and a closed
    engine refuses everything. Ticks are shown at their time: what a slow callback delays is reported as `lag` and
    caught up with, never dropped, never added up.

    Parameters
    ----------
    source : Game, Table, list of Tick, Timeline or Playlist, optional
        What to play.
    pacing : {"recorded", "nominal"}
        Play at the times recorded, or one tick every 0.25 s.
    skip_gaps : bool
        Shorten stalls of 2 s and more to 0.25 s.
    speed : float, optional
        Seconds of the game a second, within the bounds of the settings (0.1 to 100), or `FASTEST`; by default that of
        the settings.
    ring_ticks : int, optional
        Ticks kept of a live game; by default that of the settings.
    settings : Settings, optional
        By default those of the process. Their `min_speed` and `max_speed` are the bounds of the speed.
    now, wait : callable, optional
        Where time comes from and how to sleep, for tests and simulations; see `Delivery`.

    Examples
    --------
    >>> from replaylab.clock import FASTEST
    >>> ticks = [Tick(game_id="g", tick=n, timestamp=f"2031-01-02T03:04:0{n}", price=f"1.{n}") for n in range(4)]
    >>> engine = ReplayEngine(ticks, speed=FASTEST)
    >>> _ = engine.on("tick", lambda step: print(step.tick, step.price))
    >>> engine.run()
    0 1
    1 1.1
    2 1.2
    3 1.3
    4
    >>> engine.seek_tick(2), engine.seek_tick(9), engine.index
    2 1.2
    (True, False, 2)
    """

    def __init__(
        self,
        source: object = None,
        *,
        pacing: Pacing = "recorded",
        skip_gaps: bool = False,
        speed: float | None = None,
        ring_ticks: int | None = None,
        settings: Settings | None = None,
        now: Callable[[], float] = time.monotonic,
        wait: Wait = wait_for,
    ) -> None:
        chosen = settings if settings is not None else _current_settings()
        super().__init__(chosen.ring_ticks if ring_ticks is None else ring_ticks, now, wait)
        self.speed_bounds = (chosen.min_speed, chosen.max_speed)
        self.playlist: Playlist | None = None
        self._pacing: Pacing = pacing
        self._skip_gaps = skip_gaps
        self.speed = chosen.speed if speed is None else speed
        if source is not None:
            self.load(source, show=False)
        self._transport.outbox.clear()  # nobody can have been listening yet

    def load(self, source: object, *, show: bool = True) -> bool:
        """Hold another game, paused at its first tick, and show that; what was held before ends.

        Raises
        ------
        Unplayable
            When it is no game, or cannot be read; what was held before is still there.
        """
        if isinstance(source, Playlist):
            self.playlist = source
            if not self.next_game(show=show):
                raise Unplayable(f"none of the {len(source)} games of the playlist can be played: {source.skipped}")
            return True
        line = Timeline.of(source, pacing=self._pacing, skip_gaps=self._skip_gaps)
        return self._do(lambda transport, now: transport.load(line, now, show=show), False)

    def next_game(self, *, show: bool = True) -> bool:
        """Load the next game of the playlist that can be played, and play it if the one before was playing.

        Those that cannot be played are skipped: an ``error`` event each, and an entry in ``playlist.skipped``.
        """
        if self.playlist is None or self._closed:
            return False
        playing = self._transport.playing
        known = len(self.playlist.errors)
        line = self.playlist.next(pacing=self._pacing, skip_gaps=self._skip_gaps)
        for error in self.playlist.errors[known:]:
            told = Event("error", reason=f"a game was skipped: {error}", error=error)
            self._do(lambda transport, _now, told=told: transport.outbox.append(("error", told)), None)  # type: ignore[misc]
        if line is None:
            return False
        self._do(lambda transport, now: transport.load(line, now, show=show), False)
        return self.play() if playing else True

    def previous_game(self) -> bool:
        """Load the game of the playlist before this one; at the first, that one again."""
        if self.playlist is None:
            return False
        self.playlist.back()
        return self.next_game()

    def push(self, tick: Tick | Mapping[str, Any]) -> bool:
        """Take a live tick (or its nine fields); False, and nothing changes, when it is no tick or the engine closed.

        The first one ends a stored game; one of another game ends the live game before it.
        """
        if not isinstance(tick, Tick):
            try:
                tick = Tick(**tick)
            except (TickError, TypeError):
                self._refused += 1
                return False
        with self._lock:
            if self._closed:
                self._refused += 1
                return False
            self._transport.push(tick, self._now)
            if self._transport.outbox:
                self._deliver_locked()
        return True

    def play(self) -> bool:
        """Play from here: in the running event loop where there is one, else in one thread. Whether it plays now."""
        return self._do(lambda transport, now: transport.play(now), False)

    def pause(self) -> bool:
        """Stay here. After it returns no tick is shown, at any speed; whether it was playing."""
        done = self._do(lambda transport, now: transport.pause(now), False)
        self._settle()
        return done

    def stop(self) -> bool:
        """Pause, and show the first tick again."""
        done = self._do(lambda transport, now: transport.stop(now), False)
        self._settle()
        return done

    def reset(self) -> bool:
        """Start the game anew: as `stop`, and its start, rug and end will be told again. False when live."""
        done = self._do(lambda transport, now: transport.reset(now), False)
        self._settle()
        return done

    def run(self, speed: float | None = None) -> int:
        """Play in this thread until the end, or until somebody pauses; gives the number of ticks shown."""
        if self._deliverer == threading.get_ident():
            return 0  # inside a callback: the playback that called it goes on
        if speed is not None:
            self.speed = speed
        caller = Caller(self._wait)
        before = self._transport.shown
        self.drive(caller)
        caller.run(self)
        return self._transport.shown - before

    def close(self) -> None:
        """Stop for good and let go of everything; may be called from anywhere, also from a callback, and again."""
        self._shut()

    @property
    def speed(self) -> float:
        """Seconds of the game a second; setting it takes effect at once, also while playing."""
        return self._transport.head.rate

    @speed.setter
    def speed(self, speed: float) -> None:
        rate = checked_speed(speed, *self.speed_bounds)
        self._do(lambda transport, now: transport.set_speed(rate, now), None)

    def _changed(self, reason: str) -> None:
        super()._changed(reason)
        if reason == "end" and self.playlist is not None and self.next_game():
            self.play()


def _current_settings() -> Settings:
    from replaylab.settings import current

    return current()
