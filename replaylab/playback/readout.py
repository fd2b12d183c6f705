"""Readout: what an engine says about itself, and the game up to its cursor."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Self

import pyarrow as pa

from replaylab.errors import Unplayable
from replaylab.playback.driver import Iteration, Wait, wait_for
from replaylab.playback.event import Mode, Status, Step
from replaylab.playback.pacer import Pacer
from replaylab.playback.stream import Stream
from replaylab.playback.timeline import Timeline
from replaylab.playback.view import View

BATCH_ROWS = 65_536


class Readout(Pacer):
    """The part of an engine that is asked."""

    def __init__(self, ring_ticks: int, now: Callable[[], float] = time.monotonic, wait: Wait = wait_for) -> None:
        super().__init__(ring_ticks, now, wait)
        self._refused = 0

    def __repr__(self) -> str:
        seen = self.status
        return f"ReplayEngine({seen.mode.value}, game {seen.game_id!r}, row {seen.index} of {seen.total})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._shut()

    def __aiter__(self) -> Iteration:
        return Iteration(self)

    @property
    def status(self) -> Status:
        """Everything at one moment, as plain values; waits for nobody."""
        return self._status()

    @property
    def mode(self) -> Mode:
        """What is held: nothing, a stored game, or a live one."""
        return self._transport.mode

    @property
    def game_id(self) -> str | None:
        """The game held."""
        return self._transport.game_id

    @property
    def index(self) -> int:
        """Row shown last, from 0; -1 when there is none yet."""
        return self._transport.cursor

    @property
    def total(self) -> int:
        """Rows of the game; of a live one, received so far."""
        track = self._transport.track
        return 0 if track is None else track.stop

    @property
    def progress(self) -> float:
        """Share of the rows up to the cursor; 0.0 when empty."""
        total = self.total
        return (self._transport.cursor + 1) / total if total else 0.0

    @property
    def playing(self) -> bool:
        """Whether ticks come by themselves."""
        return self._transport.playing

    @property
    def at_start(self) -> bool:
        """Whether there is no earlier row; True when empty."""
        return self._transport.at_start

    @property
    def at_end(self) -> bool:
        """Whether there is no later row; True when empty."""
        return self._transport.at_end

    @property
    def loop(self) -> tuple[int, int] | None:
        """Rows that are repeated, both included."""
        return self._transport.loop

    @property
    def lag(self) -> float:
        """Seconds by which the last tick came late."""
        return self._transport.lag

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._closed

    @property
    def current(self) -> Step | None:
        """The tick at the cursor; None when empty."""
        with self._lock:
            return self._transport.current

    @property
    def timeline(self) -> Timeline | None:
        """The stored game that is held, or None."""
        track = self._transport.track
        return track if isinstance(track, Timeline) else None

    @property
    def stream(self) -> Stream | None:
        """The live game that is held, with its ring, or None; what is read from it disturbs no push."""
        track = self._transport.track
        return track if isinstance(track, Stream) else None

    def view(self) -> View:
        """Give the game up to the cursor, for a strategy or a feature; reading past it raises `LookAhead`.

        It stays what it is when the engine goes on. Of a live game it holds what the ring holds.

        Raises
        ------
        Unplayable
            When nothing is held.
        """
        with self._lock:
            track, seen = self._transport.track, self._transport.seen
            if isinstance(track, Timeline):
                return View(track, seen)
            if not isinstance(track, Stream) or seen <= track.first:
                raise Unplayable("there is nothing to view: load a game, or push a tick, first")
            table = track.ring.to_table(stop=seen)
        return View(Timeline(table), table.num_rows)

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """Go through the rest of a stored game as fast as possible, in Arrow batches that share its memory.

        The cursor moves with it; gaps, the rug and the end are told as when playing, single ticks are not.

        Parameters
        ----------
        rows : int
            Rows of a batch, at least 1.
        """
        if rows < 1:
            raise ValueError(f"rows={rows!r}: must be at least 1")
        self._do(lambda transport, now: transport.pause(now), False)
        while (batch := self._do(lambda transport, now: transport.batch(rows, now), None)) is not None:
            yield batch

    def _status(self) -> Status:
        with self._lock:
            stage = self._transport
            track, step = stage.track, stage.current
            stream = track if isinstance(track, Stream) else None
            total = 0 if track is None else track.stop
            return Status(
                mode=stage.mode,
                game_id=stage.game_id,
                index=stage.cursor,
                total=total,
                tick=None if step is None else step.tick,
                progress=(stage.cursor + 1) / total if total else 0.0,
                playing=stage.playing,
                following=stage.following,
                speed=stage.head.rate,
                at_start=stage.at_start,
                at_end=stage.at_end,
                loop=stage.loop,
                closed=self._closed,
                lag=stage.lag,
                max_lag=stage.max_lag,
                pushed=stage.pushed,
                refused=self._refused,
                waiting=len(stage.outbox),
                missed=stage.missed,
                duplicates=stream.duplicates if stream else 0,
                regressions=stream.regressions if stream else 0,
                gaps=len(track.gaps) if isinstance(track, Timeline) else stream.gaps if stream else 0,
                ring_ticks=len(stream.ring) if stream else 0,
                ring_size=stage.ring_ticks,
                ring_bytes=stream.ring.nbytes if stream else 0,
            )
