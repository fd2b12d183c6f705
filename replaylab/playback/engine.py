"""ReplayEngine: plays a stored game, or follows a live one, with an exact transport."""

from __future__ import annotations

import logging
import operator
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar, overload

import pyarrow as pa

from replaylab.clock import checked_speed
from replaylab.errors import TickError, Unplayable
from replaylab.keywords import options_of
from replaylab.playback.driver import Iteration, Wait, wait_for
from replaylab.playback.event import Callback, Event, Status
from replaylab.playback.listeners import Listeners, Subscription
from replaylab.playback.pacer import Pacer
from replaylab.playback.playlist import Playlist
from replaylab.playback.timeline import Pacing, Timeline
from replaylab.playback.transport import Transport
from replaylab.playback.view import View
from replaylab.tick import Tick, microseconds, parse_time, short_id, tick_of

if TYPE_CHECKING:
    from replaylab.settings import Settings

BATCH_ROWS = 65_536
_log = logging.getLogger("replaylab.engine")
Value = TypeVar("Value")


class _Reading(Generic[Value]):
    """A read-only attribute of an engine, read from its transport; with `still`, while no thread changes that."""

    def __init__(self, look: Callable[[Transport], Value], doc: str, *, still: bool = False) -> None:
        self._look = look
        self._still = still
        self.__doc__ = doc

    @overload
    def __get__(self, engine: None, owner: type[ReplayEngine]) -> Self: ...
    @overload
    def __get__(self, engine: ReplayEngine, owner: type[ReplayEngine]) -> Value: ...
    def __get__(self, engine: ReplayEngine | None, owner: type[ReplayEngine]) -> Self | Value:
        if engine is None:
            return self
        if self._still:
            return engine._pacer.read(self._look)  # noqa: SLF001  a part of it
        return self._look(engine._transport)  # noqa: SLF001

    def __set__(self, engine: ReplayEngine, value: object) -> None:
        raise AttributeError(f"this attribute of a {type(engine).__name__} cannot be set")


class ReplayEngine:
    """A player of a stored game, a playlist, or a live stream; every tick reaches callbacks once and in order.

    Every control returns whether it did something; none raises because of the state that the engine is in, and a closed
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
        Where time comes from and how to sleep, for tests and simulations; see `Pacer`.

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

    @options_of("rl.ReplayEngine")
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
        self.speed_bounds = (chosen.min_speed, chosen.max_speed)
        self.playlist: Playlist | None = None
        self._pacing: Pacing = pacing
        self._skip_gaps = skip_gaps
        self._listeners = Listeners()
        self._transport = Transport(chosen.ring_ticks if ring_ticks is None else ring_ticks, self._listeners.of)
        on_end = weakref.WeakMethod(self._play_on)  # a playing thread must not keep an engine that was dropped
        self._pacer = Pacer(
            self._transport, self._listeners, now=now, wait=wait, on_end=lambda: (call := on_end()) and call()
        )
        self.speed = chosen.speed if speed is None else speed
        if source is not None:
            self.load(source, show=False)
        self._transport.outbox.clear()  # no callback can be there yet

    def __repr__(self) -> str:
        seen = self.status
        return f"ReplayEngine({seen.mode.value}, game {short_id(seen.game_id)!r}, row {seen.index} of {seen.total})"

    def _repr_html_(self) -> str:
        from replaylab.charts.html import engine_card

        return engine_card(self.status)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def __aiter__(self) -> Iteration:
        return Iteration(self, self._pacer)

    def load(self, source: object, *, show: bool = True) -> bool:
        """Load another game, paused at its first tick, and show that; the game before it ends.

        Raises
        ------
        Unplayable
            When it is no game, or cannot be read; the game before it stays loaded.
        """
        if isinstance(source, Playlist):
            self.playlist = source
            if not self.next_game(show=show):
                raise Unplayable(f"none of the {len(source)} games of the playlist can be played: {source.skipped}")
            return True
        line = Timeline.of(source, pacing=self._pacing, skip_gaps=self._skip_gaps)
        return self._pacer.change(lambda transport, now: transport.load(line, now, show=show), False)

    def next_game(self, *, show: bool = True) -> bool:
        """Load the next game of the playlist that can be played, and play it if the one before was playing.

        Those that cannot be played are skipped: an ``error`` event each, and an entry in ``playlist.skipped``.
        """
        if self.playlist is None or self.closed:
            return False
        playing = self.playing
        known = len(self.playlist.errors)
        line = self.playlist.next(pacing=self._pacing, skip_gaps=self._skip_gaps)
        for error in self.playlist.errors[known:]:
            event = Event("error", reason=f"a game was skipped: {error}", error=error)
            self._pacer.change(lambda transport, _now, event=event: transport.outbox.append(("error", event)), None)  # type: ignore[misc]
        if line is None:
            return False
        self._pacer.change(lambda transport, now: transport.load(line, now, show=show), False)
        return self.play() if playing else True

    def previous_game(self) -> bool:
        """Load the game of the playlist before this one; at the first, that one again."""
        if self.playlist is None:
            return False
        self.playlist.back()
        return self.next_game()

    def push(self, tick: Tick | Mapping[str, Any]) -> bool:
        """Take a live tick, or a mapping of its fields such as a row of a store; other fields are dropped.

        False, and nothing changes, when it is no tick or the engine is closed. The price may be None.

        The first one ends a stored game; one of another game ends the live game before it.
        """
        if not isinstance(tick, Tick):
            try:
                tick = tick_of(tick)
            except (TickError, TypeError, AttributeError):  # whatever it is, a push must not stop a feed
                self._pacer.refuse()
                return False
        return self._pacer.push(tick)

    def on(self, kind: str, callback: Callback, *, weak: bool = False) -> Subscription:
        """Subscribe a callback to a kind of event.

        Callbacks run one after another, in order, with no lock held, in the thread or event loop that plays, pushes or
        calls. One that raises is reported as an ``error`` event and called again next time; others are not affected.

        Parameters
        ----------
        kind : {"tick", "push", "seek", "state", "game_start", "game_end", "rug", "gap", "error"}
            ``tick`` and ``push`` bring a `Step`, the others an `Event`.
        callback : callable
            Takes one argument. Adding the same one twice changes nothing.
        weak : bool
            Do not keep the callback, or the object that it is a method of, alive.

        Returns
        -------
        Subscription
            Its `cancel` ends it; it can also be used as a context manager.
        """
        subscription = self._listeners.add(kind, callback, weak=weak)
        if kind == "tick":
            self._pacer.put_back()
        return subscription

    def play(self) -> bool:
        """Play from here, in the running event loop where there is one, else in one thread; return whether it plays."""
        playing = self.playing
        plays = self._pacer.change(lambda transport, now: transport.play(now), False)
        if plays and not playing:
            self._log_change("playing")
        return plays

    def pause(self) -> bool:
        """Pause; after it returns no tick is shown, at any speed. Return whether it was playing."""
        done = self._pacer.change(lambda transport, now: transport.pause(now), False)
        self._pacer.settle()
        if done:
            self._log_change("paused")
        return done

    def stop(self) -> bool:
        """Pause, and show the first tick again."""
        done = self._pacer.change(lambda transport, now: transport.stop(now), False)
        self._pacer.settle()
        return done

    def reset(self) -> bool:
        """Start the game anew: as `stop`, and its start, rug and end are reported again. False when live."""
        done = self._pacer.change(lambda transport, now: transport.reset(now), False)
        self._pacer.settle()
        return done

    def run(self, speed: float | None = None) -> int:
        """Play in this thread until the end or a pause; return the number of ticks shown, 0 inside a callback."""
        if self._pacer.delivering:
            return 0
        if speed is not None:
            self.speed = speed
        self._log_change("playing")
        shown = self._pacer.run()
        self._log_change("paused")
        return shown

    def _log_change(self, event: str) -> None:
        """Log that the engine plays or has paused; no lock is held, as a log handler is the caller's code."""
        fields = {"event": event, "game_id": self.game_id, "row": self.index, "speed": self.speed}
        _log.info("%s: game %s, row %s, speed %g", event, self.game_id, self.index, self.speed, extra=fields)

    def close(self) -> None:
        """Stop for good and let go of everything; may be called from anywhere, also from a callback, and again."""
        self._pacer.close()

    @property
    def speed(self) -> float:
        """Seconds of the game a second; setting it takes effect at once, also while playing."""
        return self._transport.head.rate

    @speed.setter
    def speed(self, speed: float) -> None:
        rate = checked_speed(speed, *self.speed_bounds)
        self._pacer.change(lambda transport, now: transport.set_speed(rate, now), None)

    def step_forward(self) -> bool:
        """Show the next tick; False at the end, where the game's end is reported once."""
        return self._pacer.change(lambda transport, now: transport.step(1, now), False)

    def step_backward(self) -> bool:
        """Show the tick before; False at the first one, and while a live game is followed."""
        return self._pacer.change(lambda transport, now: transport.step(-1, now), False)

    def go_live(self) -> bool:
        """Return to the newest tick of a live game and follow it again; False when none is held."""
        return self._pacer.change(lambda transport, now: transport.go_live(now), False)

    def seek(self, index: int) -> bool:
        """Go to a row, from 0; False, and nothing changes, when there is no such row.

        In a live game this looks back into the ring: pushes go on, `play` plays from there, `go_live` returns.
        """
        row = operator.index(index)
        return self._pacer.change(lambda transport, now: transport.seek(row, now), False)

    def seek_tick(self, tick: int, occurrence: int | None = None) -> bool:
        """Go to a tick number: the first live row with it, else the first row; False when there is none.

        Numbers repeat; `occurrence` (from 0) counts all rows with that number, as received. False when live.
        """
        return self._seek_line(lambda line: line.index_of_tick(tick, occurrence))

    def seek_time(self, moment: datetime | str) -> bool:
        """Go to the last row received up to a moment; False outside the game. False when live."""
        at_us = microseconds(parse_time(moment))
        return self._seek_line(lambda line: line.index_at(at_us))

    def seek_fraction(self, fraction: float) -> bool:
        """Go to a place between 0.0 (first row) and 1.0 (last row); False for anything else."""
        if not 0.0 <= fraction <= 1.0:
            return False
        return self._pacer.change(lambda transport, now: transport.seek(transport.row_at(fraction), now), False)

    def seek_event(self, kind: str, direction: int = 1, percent: float | str | Decimal = 5) -> bool:
        """Go to the next (1) or former (-1) ``rug``, ``peak``, ``gap`` or ``move`` of that many percent."""
        cursor = self.index
        return self._seek_line(lambda line: line.next_event(kind, cursor, direction, percent))

    def _seek_line(self, find: Callable[[Timeline], int | None]) -> bool:
        line = self._transport.track
        row = find(line) if isinstance(line, Timeline) else None
        if row is None:
            return False
        return self._pacer.change(lambda transport, now: transport.track is line and transport.seek(row, now), False)

    def set_loop(self, first: int, last: int) -> bool:
        """Repeat the rows from `first` to `last`, both included; False when they are not there."""
        return self._pacer.change(lambda transport, _now: transport.set_loop(first, last), False)

    def clear_loop(self) -> bool:
        """Remove the loop and play on beyond it; return whether there was one."""
        return self._pacer.change(lambda transport, _now: transport.clear_loop(), False)

    @property
    def status(self) -> Status:
        """Everything at one moment, as plain values."""
        return self._pacer.status()

    @property
    def index(self) -> int:
        """Row shown last, from 0; -1 when there is none yet."""
        return self._pacer.cursor

    mode = _Reading(lambda transport: transport.mode, "What is held: nothing, a stored game, or a live one.")
    game_id = _Reading(lambda transport: transport.game_id, "The game held; None when empty.")
    total = _Reading(lambda transport: transport.total, "Rows of the game; of a live one, received so far.")
    progress = _Reading(
        lambda transport: transport.progress, "Share of the rows up to the cursor; 0.0 when empty.", still=True
    )
    playing = _Reading(lambda transport: transport.playing, "Whether ticks come by themselves.")
    at_start = _Reading(
        lambda transport: transport.at_start, "Whether there is no earlier row; True when empty.", still=True
    )
    at_end = _Reading(lambda transport: transport.at_end, "Whether there is no later row; True when empty.")
    loop = _Reading(lambda transport: transport.loop, "Rows that are repeated, both included; None without a loop.")
    lag = _Reading(lambda transport: transport.lag, "Seconds by which the last tick came late.")
    current = _Reading(
        lambda transport: transport.current, "The tick at the cursor, as a `Step`; None when empty.", still=True
    )
    timeline = _Reading(lambda transport: transport.timeline, "The stored game that is held, or None.")
    stream = _Reading(lambda transport: transport.stream, "The live game that is held, with its ring, or None.")

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._pacer.closed

    def view(self) -> View:
        """Return the game up to the cursor, for a strategy or a feature; reading past it raises `LookAhead`.

        It stays what it is when the engine goes on. Of a live game it holds what the ring holds.

        Raises
        ------
        Unplayable
            When nothing is held.
        """
        track, seen = self._pacer.read(lambda transport: (transport.track, transport.seen))
        if isinstance(track, Timeline):
            return View(track, seen)
        if track is None or seen <= track.first:
            raise Unplayable("there is nothing to view: load a game, or push a tick, first")
        table = track.ring.to_table(stop=seen)
        return View(Timeline(table), table.num_rows)

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Yield the rest of a stored game as fast as possible, in Arrow batches that share its memory.

        The cursor moves with it; gaps, the rug and the end are reported as when playing, single ticks are not.

        Parameters
        ----------
        rows : int
            Rows of a batch, at least 1.
        """
        if rows < 1:
            raise ValueError(f"rows={rows!r}: must be at least 1")
        self._pacer.change(lambda transport, now: transport.pause(now), False)
        while (batch := self._pacer.change(lambda transport, now: transport.batch(rows, now), None)) is not None:
            yield batch

    def _play_on(self) -> None:
        """Go on with the next game of the playlist when one is over."""
        if self.playlist is not None and self.next_game():
            self.play()


def _current_settings() -> Settings:
    from replaylab.settings import current

    return current()
