"""LiveSession: one feed kept alive, recorded if wanted, and what is known of it; runs on the thread of the feeds."""

from __future__ import annotations

import asyncio
import logging
import os
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias
from urllib.parse import urlsplit
from weakref import WeakValueDictionary

from replaylab.errors import FeedLost, RecordingFailed
from replaylab.feeds.base import Feed, Frame, Message
from replaylab.mark import Mark, MarkKind
from replaylab.plural import count_of
from replaylab.recording.lane import Lane
from replaylab.recording.recorder import Recorder
from replaylab.sessions.breaker import Breaker
from replaylab.sessions.clock import Clock, Skew
from replaylab.sessions.event import (
    EVENT_KINDS,
    OVER,
    UNWELL,
    LiveEvent,
    LiveState,
    LiveStatus,
    feed_state,
    verdict_of,
)
from replaylab.sessions.gaps import GapLedger
from replaylab.sessions.lanes import lane_for
from replaylab.sessions.loop import FEEDS
from replaylab.sessions.recent import AGAIN_SECONDS, PASSING, Recent, span_of, write_all
from replaylab.sessions.subscribers import Subscribers, Unsubscribe
from replaylab.sessions.supervisor import Supervisor
from replaylab.tick import Tick

if TYPE_CHECKING:
    import pandas as pd

    from replaylab.recording.receipt import RecordingReport
    from replaylab.settings import Settings
    from replaylab.storage.store import Store

_log = logging.getLogger(__name__)
_PIECE: Final = 100  # ticks handed to the recorder at a time: all of them, or none
_Moment: TypeAlias = tuple[LiveState, datetime, str | None]  # a state, since when, and the last error by then
_GAPS: Final = 10_000  # kept for `gaps()`; the store keeps all
_BREAKERS: Final[WeakValueDictionary[str, Breaker]] = WeakValueDictionary()


class LiveSession:
    """One feed that is kept alive: reconnects by itself, and marks every gap.

    Every tick that comes is recorded, and nothing is thinned; while the recorder has no room the feed is not read.

    Parameters
    ----------
    feed : Feed
        Where ticks come from; see `replaylab.feeds`.
    to : path, Store or Recorder, optional
        Where to record. A recorder may be shared by any number of sessions, and is not stopped with them.
    settings : Settings, optional
        Those of this process unless given: `ring_ticks` are kept in memory.
    clock : Clock, optional
        Time, sleep and chance, for tests.

    Examples
    --------
    >>> import tempfile
    >>> import replaylab as rl
    >>> from replaylab.feeds.simulated import simulated_feed
    >>> folder = tempfile.mkdtemp()
    >>> with LiveSession(simulated_feed(games=1, pacing="none"), to=folder) as session:
    ...     session.wait("closed", timeout=30)
    >>> session.status().gaps, session.status().ticks == rl.open_store(folder).rows
    (0, True)
    """

    def __init__(
        self,
        feed: Feed,
        to: str | os.PathLike[str] | Store | Recorder | None = None,
        *,
        settings: Settings | None = None,
        clock: Clock | None = None,
    ) -> None:
        from replaylab.settings import current  # pydantic loads late

        chosen = settings or current()
        self.feed = feed
        self.position: str | None = None
        self.refused_ticks = 0
        self._clock = clock or Clock()
        self._own = to is not None and not isinstance(to, Recorder)
        self._recorder: Recorder | None = None
        self._lane: Lane | None = None
        self._ledger = GapLedger()
        self._recent = Recent(chosen.ring_ticks)
        self._gaps: deque[Mark] = deque(maxlen=_GAPS)
        self._subscribers = Subscribers(feed.name)
        breaker = _BREAKERS.setdefault(urlsplit(feed.name).netloc or feed.name, Breaker())
        self._supervisor = Supervisor(feed, self, breaker, self._clock, chosen.retry_delay_seconds)
        self._moment: _Moment = (LiveState.IDLE, self._clock.wall(), None)
        self._note_change: Callable[[], None] | None = None
        self._changed: asyncio.Event | None = None
        self._task: asyncio.Task[None] | None = None
        self._entered = False
        self._resumed = False
        self._ticks = self._recorded = 0
        self._newest: Tick | None = None
        self._lag_ms: float | None = None
        self._report: RecordingReport | None = None
        self._skew = Skew()
        if to is not None:
            self._attach(to if isinstance(to, Recorder) else Recorder(to, overflow="refuse", settings=settings))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.feed.name!r}, {self._state}, {count_of(self._ticks, 'tick')})"

    @property
    def _state(self) -> LiveState:
        return self._moment[0]

    # What a caller does

    def start(self) -> Self:
        """Connect in the background; does nothing when it runs. After ``failed`` it tries again."""
        if not self._entered:
            FEEDS.enter()
            self._entered = True
        FEEDS.submit(self._started()).result()
        return self

    def stop(self, timeout: float | None = 30.0) -> RecordingReport | None:
        """Close the feed; all that was accepted is permanent then. Return the report of a recorder of its own.

        Called again it returns the same; called on the thread of the feeds, by a callback, it does not wait.
        """
        if not self._entered:
            return self._finish_recorder()
        if FEEDS.is_here:
            self._task = asyncio.ensure_future(self._stopped())
            return None
        FEEDS.submit(self._stopped()).result(timeout)
        self._entered = False
        FEEDS.leave()
        return self._finish_recorder()

    async def close(self) -> RecordingReport | None:
        """Close the feed, as `stop` does, without blocking the event loop of the caller."""
        return await asyncio.to_thread(self.stop)

    def __enter__(self) -> Self:
        return self if self._entered else self.start()  # one that has failed meanwhile is not tried again

    def __exit__(self, *raised: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        return await asyncio.to_thread(self.__enter__)

    async def __aexit__(self, *raised: object) -> None:
        await self.close()

    def wait(self, state: str | Iterable[str] = "live", timeout: float | None = None) -> None:
        """Wait until the session is in a state, or in one of several.

        Raises
        ------
        TimeoutError
            When that takes longer than `timeout` seconds.
        FeedLost
            When the session is over without it; the message says why.
        """
        wanted = _states(state)
        if self._state in wanted:
            return
        if not self._entered:
            raise FeedLost("closed", self._why_over(), retry=False)
        FEEDS.submit(self._reached(wanted, timeout)).result()

    async def until(  # the same words as `wait`
        self,
        state: str | Iterable[str] = "live",
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> None:
        """Wait until the session is in a state, as `wait` does, without blocking the event loop of the caller."""
        wanted = _states(state)
        if self._state in wanted:
            return
        if not self._entered:
            raise FeedLost("closed", self._why_over(), retry=False)
        await asyncio.wrap_future(FEEDS.submit(self._reached(wanted, timeout)))

    def on(self, kind: str, callback: Callable[[Any], object]) -> Unsubscribe:
        """Call back at every event of a kind; return a function that ends it.

        Parameters
        ----------
        kind : {"state", "gap", "heal", "phase", "history", "trade", "feed", "tick", "error"}
            ``tick`` brings a `Tick`, the others a `LiveEvent`.
        callback : callable
            Runs in the event loop of the caller when there is one, else on the thread of the feeds. One that raises
            becomes an ``error`` event, and is called again next time.

        Raises
        ------
        ValueError
            When there is no such kind.
        """
        if kind not in EVENT_KINDS:
            raise ValueError(f"kind={kind!r}: must be one of {', '.join(EVENT_KINDS)}")
        return self._subscribers.add(kind, callback)

    def status(self) -> LiveStatus:
        """Return the state and the counters now, without waiting."""
        recorder = self._recorder.status() if self._recorder is not None else None
        problem = None
        state, since, last_error = self._moment
        if recorder is not None and recorder.verdict != "healthy" and state not in OVER:
            problem = "; ".join(recorder.reasons) or str(recorder.verdict)
        verdict, reasons = verdict_of(state, last_error, problem)
        newest = self._newest
        return LiveStatus(
            self.feed.name,
            state,
            since,
            attempts=self._supervisor.attempts,
            connections=self._supervisor.connections,
            ticks=self._ticks,
            recorded=self._recorded,
            gaps=self._ledger.gaps,
            missing=self._ledger.missing,
            healed=self._ledger.healed,
            whole=self._ledger.whole,
            unknown=self._ledger.unknown,
            lag_ms=self._lag_ms,
            seq=recorder.seq if recorder else None,
            durable_seq=recorder.durable_seq if recorder else None,
            game_id=newest.game_id if newest else None,
            tick=newest.tick if newest else None,
            position=self.position,
            refused=dict(self.feed.refused),
            last_error=last_error,
            verdict=verdict,
            reasons=reasons,
        )

    def gaps(self) -> pd.DataFrame:
        """Return one row a gap since the start.

        Returns
        -------
        DataFrame
            `game_id`, `after`, `before` (ticks), `missing`, `start`, `end` (UTC), `cause`, `healed`.
        """
        from replaylab.storage.gaps import gaps_frame

        return gaps_frame(list(self._gaps))

    @property
    def kept(self) -> list[Message]:
        """The newest ticks and marks, `ring_ticks` of them, oldest first."""
        return self._recent.messages()

    @property
    def capacity(self) -> int:
        """Messages that `kept` holds at most."""
        return self._recent.capacity

    @property
    def recorder(self) -> Recorder | None:
        """What records, when something does."""
        return self._recorder

    def save(self, store: str | os.PathLike[str] | Store, last: str | timedelta | None = None) -> RecordingReport:
        """Write what is kept in memory into a store: what came before something happened.

        Parameters
        ----------
        store : path or Store
            Made when it is not there.
        last : str or timedelta, optional
            Only that much: ``"5min"``, ``"90s"``, ``"1h"``; all that is kept unless given.
        """
        kept = self._recent.messages(span_of(last), self._clock.wall())
        with Recorder(store) as recorder:
            write_all(recorder.lane(self.feed.name), kept)
        return recorder.stop()

    def record(self, store: str | os.PathLike[str] | Store) -> None:
        """Record into a store from now on, and what is kept in memory before: without a hole between the two.

        Raises
        ------
        RecordingFailed
            When the session records already, or what is kept cannot be written.
        """
        if self._recorder is not None:
            raise RecordingFailed(f"{self.feed.name} is recorded into {self._recorder.path} already")
        recorder = Recorder(store, overflow="refuse")
        if not self._entered or FEEDS.is_here:
            self._go_on_in(recorder)
        else:
            FEEDS.submit(self._recorded_from_here(recorder)).result()

    # What happens on the thread of the feeds

    async def _started(self) -> None:
        if self._task is not None and not self._task.done():
            return
        self._changed = asyncio.Event()
        self._moment = (LiveState.IDLE, *self._moment[1:])
        self._task = asyncio.ensure_future(self._main())

    async def _main(self) -> None:
        try:
            await self._supervisor.run()
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 a defect must not end a recording in silence
            _log.exception("%s: the session ended", self.feed.name)
            self.changed(LiveState.FAILED, f"{type(error).__name__}: {error}")

    async def _stopped(self) -> None:
        task, self._task = self._task, None
        over = self._state in OVER
        if not over:
            self.changed(LiveState.CLOSING, None)
        if task is not None and not task.done() and task is not asyncio.current_task():
            if not over:  # else it is closing its connection
                task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await self._write(self._ledger.close(self._clock.wall()))
        if self._state is not LiveState.CLOSED:
            self.changed(LiveState.CLOSED, None)

    async def _reached(self, wanted: frozenset[LiveState], seconds: float | None) -> None:
        async with asyncio.timeout(seconds):
            while self._state not in wanted:
                if self._state in OVER:
                    raise FeedLost("closed", self._why_over(), retry=False)
                changed = self._changed = self._changed or asyncio.Event()
                changed.clear()
                await changed.wait()

    async def _recorded_from_here(self, recorder: Recorder) -> None:
        self._go_on_in(recorder)

    def _go_on_in(self, recorder: Recorder) -> None:
        self._own = True
        self._attach(recorder)
        if self._lane is not None:
            write_all(self._lane, self.kept)

    def _attach(self, recorder: Recorder) -> None:
        """Record from now on; go on where an earlier process ended, when the feed was recorded there before."""
        self._recorder = recorder
        session = weakref.ref(self)
        self._note_change = recorder.show_feed(lambda: None if (one := session()) is None else feed_state(one.status()))
        self._lane = lane_for(recorder, self.feed.name, self)
        self.feed.name, cursor = self._lane.name, self._lane.cursor
        if cursor is not None and self._newest is None:
            self.position = cursor.id
            self._ledger.resumes_after(cursor.game_id, cursor.tick, cursor.at, "recorder_down")

    # What the supervisor calls

    def changed(self, state: LiveState, reason: str | None) -> None:
        """Note a change of state: an event, a line in the log, and a mark where a connection begins or ends."""
        if state is self._state and reason is None:
            return
        before, _, last_error = self._moment
        since = self._clock.wall()
        self._moment = (state, since, reason if state in {LiveState.LOST, LiveState.FAILED} else last_error)
        (_log.warning if state in UNWELL else _log.info)(
            "%s: %s%s", self.feed.name, state, f" ({reason})" if reason else ""
        )
        self._subscribers.tell("state", self._event("state", reason))
        told = {LiveState.CATCHING_UP: "opened", LiveState.LOST: "lost", LiveState.CLOSED: "closed"}.get(state)
        if told is not None and not (told == "opened" and before is LiveState.STALE):
            detail = {"state": told, "feed": self.feed.name, **({"reason": reason} if reason else {})}
            mark = Mark(MarkKind.FEED, since, detail=detail)
            self._tell(mark)
            if self._lane is not None:
                self._lane.mark(mark)
        if self._changed is not None:
            self._changed.set()
        if self._note_change is not None:
            self._note_change()

    def connected(self, *, resumed: bool) -> None:
        """Note that a connection was made, and whether it goes on exactly after the position."""
        self._resumed = resumed

    def lost(self, cause: str) -> None:
        """Note that nothing can come any more."""
        self._ledger.lost(cause, self._clock.wall())

    async def over(self) -> None:
        """Write the gap of an outage after which nothing came any more."""
        resumed = self._resumed and self.feed.resumes
        await self._write(self._ledger.close(self._clock.wall(), resumed=resumed))

    async def take(self, frame: Frame) -> None:
        """Record what came, then show it."""
        began = self._clock.now()
        at = self._clock.wall()
        self._look_at_clocks(began, at)
        ledger, piece, ids = self._ledger, list[Tick](), list[str | None]()
        known: Sequence[str | None] = frame.ids or (None,) * len(frame.messages)
        for message, name in zip(frame.messages, known, strict=True):
            marks: list[Mark] = []
            if type(message) is Tick:
                if not ledger.follows(message):
                    marks = ledger.take(message, at, resumed=self._resumed and self.feed.resumes)
            else:
                marks = [message]  # type: ignore[list-item] # what is no tick is a mark
            if marks or (piece and (len(piece) >= _PIECE or message.game_id != piece[0].game_id)):
                await self._record(piece, ids, at)
                piece, ids = [], []
                await self._write(marks)
            if type(message) is Tick:
                piece.append(message)
                ids.append(name)
        if piece:
            await self._record(piece, ids, at)
        if frame.position is not None:
            self.position = frame.position
        self._lag_ms = (self._clock.now() - began) * 1000

    async def _record(self, piece: list[Tick], ids: list[str | None], at: datetime) -> None:
        """Hand ticks of one game to the recorder, as often as it takes; show them when it has them."""
        if not piece:
            return
        if self._lane is not None:
            done = 0
            while True:
                receipt = self._lane.record_many(piece[done:], ids[done:], offered_again=True)
                done += receipt.accepted
                self._recorded += receipt.accepted
                if done == len(piece):
                    break
                if receipt.reason not in PASSING:
                    self.refused_ticks += len(piece) - done
                    raise RecordingFailed(f"the recorder takes no more ticks ({receipt.reason})")
                await self._clock.sleep(AGAIN_SECONDS)
        self._recent.add(at, piece)
        self._newest = piece[-1]
        self._ticks += len(piece)  # last: who waits for a number finds all that it counts
        if self._subscribers.wants("tick"):
            for tick in piece:
                self._subscribers.tell("tick", tick)

    async def _write(self, marks: Iterable[Mark]) -> None:
        for mark in marks:
            if self._lane is not None:
                while self._lane.mark(mark) in PASSING:
                    await self._clock.sleep(AGAIN_SECONDS)
            self._recent.add(mark.timestamp, [mark])
            if mark.kind is MarkKind.GAP:
                self._gaps.append(mark)
                _log.warning("%s: gap in %s: %s", self.feed.name, mark.game_id, dict(mark.detail))
            elif mark.kind is MarkKind.HEAL and mark.detail.get("by") != "late":
                count = mark.detail.get("count")
                self._ledger.healed += count if isinstance(count, int) else 0
            self._tell(mark)

    def _look_at_clocks(self, began: float, wall: datetime) -> None:
        """Note when the wall clock has jumped against the one that never does."""
        step = self._skew.step(began, wall, self._clock.now())
        if step is not None and self._lane is not None:
            detail = {"state": "clock_step", "feed": self.feed.name, "seconds": round(step, 3)}
            self._lane.mark(Mark(MarkKind.FEED, wall, detail=detail))

    def _tell(self, mark: Mark) -> None:
        kind = str(mark.kind)
        if self._subscribers.wants(kind):
            self._subscribers.tell(kind, self._event(kind, None, mark))

    def _event(self, kind: str, reason: str | None, mark: Mark | None = None) -> LiveEvent:
        at = mark.timestamp if mark else self._moment[1]
        detail = mark.detail if mark else {}
        return LiveEvent(kind, self.feed.name, at, self._state, reason, mark.game_id if mark else None, detail)

    def _why_over(self) -> str:
        name = f"{self.feed.name}: "
        return name + (self._moment[2] or f"the session is {self._state}").removeprefix(name)

    def _finish_recorder(self) -> RecordingReport | None:
        if self._recorder is None:
            return None
        if self._own:
            self._report = self._recorder.stop()
        else:
            self._recorder.flush()
        return self._report


def _states(state: str | Iterable[str]) -> frozenset[LiveState]:
    names = [state] if isinstance(state, str) else list(state)
    try:
        return frozenset(LiveState(name) for name in names)
    except ValueError:
        raise ValueError(f"state={state!r}: must be of {', '.join(LiveState)}") from None
