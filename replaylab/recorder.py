"""Recorder: ticks to journals to segments; what it acknowledges is not lost.

A tick is written to the operating system before it is acknowledged, so a process that is killed loses nothing. It is
synced with its neighbours, after 100 ticks or 10 s, so a power cut loses at most those; ``durability="tick"`` syncs
before it acknowledges. Syncing and sealing happen on a thread of the recorder's own.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

import pyarrow as pa

from replaylab.durable import keep_room, make_folders, remove, storing, sync_folder
from replaylab.errors import DiskLow, RecordingFailed, ReplayLabError
from replaylab.game import Game
from replaylab.journal import Header, run_name
from replaylab.objectstore import refuse_uri
from replaylab.recording.event import RecorderEvent, RecorderEventKind
from replaylab.recording.keeper import Keeper
from replaylab.recording.receipt import Receipt, RecordingReport
from replaylab.recording.sealer import Sealer
from replaylab.recording.state import CLOSED, FORKED, PAUSED, RESERVE_BYTES, State, World
from replaylab.recording.status import RecorderStatus
from replaylab.recording.writer import Writer
from replaylab.store import JOURNALS, REMARKS, SEGMENTS, Store
from replaylab.tick import Tick

if TYPE_CHECKING:
    from replaylab.settings import Settings

Ticks: TypeAlias = Iterable[Tick | Mapping[str, Any]] | pa.Table | Game
_ROWS_AT_ONCE: Final = 1_000
_live: weakref.WeakSet[State] = weakref.WeakSet()


class Recorder:
    """A recording that is being made: every tick that it acknowledges is in the store, exactly once.

    Thread-safe; any number of recorders, in any number of processes, may record into one store. A tick of another game
    ends the game before it. `record` waits for nobody unless `max_unsynced_ticks` ticks wait for a sync; in an event
    loop choose ``overflow="refuse"`` to rule that out, and use ``async with``.

    Parameters
    ----------
    store : path or Store
        Made when it is not there.
    durability : {"group", "tick", "none"}
        When ticks are synced: after `buffer_ticks` of them or `sync_seconds`, each one before it is acknowledged, or
        only when a journal ends.
    overflow : {"block", "refuse"}
        What to do with a tick while `max_unsynced_ticks` wait for a sync.
    overflow_seconds : float
        How long to block at most; the tick is refused then.
    on_event : callable, optional
        Told each change of state as a `RecorderEvent`, on the thread of the recorder, with no lock held.
    settings : Settings, optional
        Every number; those of this process unless given.
    world : World, optional
        Time and free space, for tests.

    Raises
    ------
    DiskLow
        When less than `min_free_start_bytes` are free.
    StoreFull
        When the store cannot be written.
    SettingsError
        For a durability or a policy that there is not.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with rl.Recorder(folder) as recorder:
    ...     receipt = recorder.record(rl.Tick("g", 1, "2031-01-02T03:04:05", "1.02"))
    >>> receipt.accepted, rl.open_store(folder).rows
    (1, 1)
    """

    def __init__(
        self,
        store: str | os.PathLike[str] | Store,
        *,
        durability: Literal["group", "tick", "none"] = "group",
        overflow: Literal["block", "refuse"] = "block",
        overflow_seconds: float = 30.0,
        on_event: Callable[[RecorderEvent], object] | None = None,
        settings: Settings | None = None,
        world: World | None = None,
    ) -> None:
        from replaylab.settings import checked_choice, current  # pydantic loads late

        checked_choice("durability", durability, ("group", "tick", "none"))
        checked_choice("overflow", overflow, ("block", "refuse"))
        world = world or World()
        refuse_uri(store)
        root = store.path if isinstance(store, Store) else Path(store)
        run = run_name(world.now(), os.getpid(), os.urandom(8))
        state = State(root, run, settings or current(), durability, world)
        _begin(state)
        self._state = state
        self._writer = Writer(state, overflow, overflow_seconds)
        self._work = _Work(state, on_event)
        self._end = weakref.finalize(self, self._work.stop)  # also when it is dropped, and when the interpreter ends

    @property
    def run(self) -> str:
        """Name of the run; the names of its journals begin with it."""
        return self._state.run

    @property
    def path(self) -> Path:
        """The store."""
        return self._state.root

    def __repr__(self) -> str:
        state = self._state
        return f"Recorder({str(state.root)!r}, {state.phase}, {state.next_seq} ticks)"

    def record(self, tick: Tick | Mapping[str, Any]) -> Receipt:
        """Record one tick, a `Tick` or a mapping of its fields; a bad one is refused and counted, never an error.

        The price of a mapping is a Decimal, an int or text. The receipt tells whether the tick was accepted, and up
        to where a power cut loses nothing.
        """
        return self._writer.record(tick)

    def record_many(self, ticks: Ticks) -> Receipt:
        """Record ticks in their order: an iterable of what `record` takes, a table of the stored schema, or a game."""
        if isinstance(ticks, Game):
            ticks = ticks.ticks()
        return self._writer.record_many(_rows(ticks) if isinstance(ticks, pa.Table) else ticks)

    def flush(self, timeout_seconds: float = 60.0) -> Receipt:
        """Wait until all that was accepted so far is permanent.

        Raises
        ------
        RecordingFailed
            When the recorder has given up, or that took longer than `timeout_seconds`.
        """
        self._work.flush(timeout_seconds)
        state = self._state
        return Receipt(0, state.next_seq - 1, state.durable_seq)

    def stop(self) -> RecordingReport:
        """Make permanent what was accepted, seal the journals and close; gives the same report when called again."""
        return self._work.stop()

    def status(self) -> RecorderStatus:
        """Give what the recorder knows of itself now; waits for nobody."""
        return _status(self._state)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        report = self.stop()
        if report.problem and error is None:
            raise RecordingFailed(f"recording into {report.path}: {report.problem}")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.__exit__, kind, error, trace)


class _Work:
    """What goes on while nobody holds the recorder any more: its threads and its end."""

    def __init__(self, state: State, listener: Callable[[RecorderEvent], object] | None) -> None:
        self.state = state
        self.sealer = Sealer(state)
        self.keeper = Keeper(state, self.sealer, listener)
        self._stopping = threading.Lock()
        self._report: RecordingReport | None = None
        _live.add(state)
        state.tell(RecorderEventKind.STARTED, path=str(state.root), durability=state.durability)
        self.keeper.start()

    def flush(self, timeout_seconds: float) -> None:
        """Wait until all that was accepted so far is permanent, and what happened until then is told."""
        state = self.state
        deadline = time.monotonic() + timeout_seconds
        with state.lock:
            wanted = state.next_seq - 1
            if threading.current_thread() is self.keeper.thread:
                self.keeper.sync()
            elif state.durable_seq < wanted and self._report is None and state.clear is not None:
                state.flush_asked = True
                state.queue.put(None)
                state.changed.wait_for(
                    lambda: state.durable_seq >= wanted or state.problem or self._report, timeout_seconds
                )
            missing = wanted - state.durable_seq
        if state.clear is not None:
            self.keeper.catch_up(deadline - time.monotonic())
        if missing or state.problem:
            raise RecordingFailed(
                f"{missing} ticks of {state.root} are written and not yet permanent: "
                f"{state.problem or f'not done within {timeout_seconds} s'}"
            )

    def stop(self) -> RecordingReport:
        """End the recording."""
        state = self.state
        if state.phase == FORKED:
            return self._reported()
        inside = threading.current_thread() is self.keeper.thread or state.clear is None
        if not self._stopping.acquire(blocking=not inside):
            return self._reported()  # from a callback, while another thread waits for it
        try:
            if self._report is None:
                with state.lock:
                    state.phase = CLOSED
                    state.settle()
                    if state.game_id is not None:
                        state.tell(RecorderEventKind.GAME_ENDED, game_id=state.game_id)
                    state.changed.notify_all()
                self.keeper.end()
                self.sealer.finish()
                self._close()
                self._report = self._reported()
                state.tell(RecorderEventKind.STOPPED, ticks=state.next_seq, durable=self._report.durable)
                self.keeper.tell_all()
            return self._report
        finally:
            self._stopping.release()

    def _close(self) -> None:
        state = self.state
        if state.spare is not None:
            state.discard(state.spare)
            state.spare = None
        try:
            remove([state.reserve])
        except ReplayLabError as error:
            state.tally.last_error = str(error)
        for file in state.files:
            file.close()
        _live.discard(state)

    def _reported(self) -> RecordingReport:
        state = self.state
        tally = state.tally
        return RecordingReport(
            path=state.root,
            run=state.run,
            ticks=state.next_seq,
            bytes=tally.bytes + state.file.size,
            segments=tally.segments,
            journals_left=len(state.sealing),
            refused=dict(tally.refused),
            errors=tally.errors,
            retried=tally.retried,
            durable=state.durable_seq >= state.next_seq - 1,
            problem=state.problem,
        )


def _begin(state: State) -> None:
    """Make the store and the first journal; raises when there is no room."""
    make_folders(state.root, *(state.root / name for name in (SEGMENTS, REMARKS, JOURNALS)))
    with storing(state.folder):
        state.free_bytes = state.world.free_bytes(state.folder)
        least = state.settings.min_free_start_bytes
        if state.free_bytes < least:
            raise DiskLow(
                f"{state.free_bytes:,} bytes are free on the disk of {state.root}, {least:,} are needed to begin a "
                "recording; free some space or lower the setting min_free_start_bytes"
            )
        state.file = state.create()
        try:
            state.file.put(Header(state.run, state.file.number, 0, state.durability).to_line())
            keep_room(state.reserve, RESERVE_BYTES)
            sync_folder(state.folder)
            state.file.named = True
        except BaseException:
            state.discard(state.file)
            state.reserve.unlink(missing_ok=True)
            raise


def _rows(table: pa.Table) -> Iterator[Mapping[str, Any]]:
    """Give the rows of a table as mappings of the fields of a tick."""
    if "recorded_phase" in table.column_names:
        names = ["phase" if name == "recorded_phase" else name for name in table.column_names if name != "phase"]
        kept = [name for name in table.column_names if name != "phase"]
        table = table.select(kept).rename_columns(names)
    for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
        yield from batch.to_pylist()


def _status(state: State) -> RecorderStatus:
    tally = state.tally
    reasons = []
    if state.problem:
        reasons.append(state.problem)
    if state.phase == PAUSED:
        reasons.append(f"refusing ticks: {state.pause_reason}, {state.free_bytes:,} bytes free")
    if tally.failures:
        reasons.append(f"{tally.failures} failures in a row, the last one: {tally.last_error}")
    if len(state.pending) >= state.settings.max_unsynced_ticks:
        reasons.append(f"{len(state.pending)} ticks wait for a sync")
    if state.phase == FORKED:
        reasons.append("this process was forked off the one that records; make a new Recorder here")
    verdict = "failed" if state.problem or state.phase == FORKED else "degraded" if reasons else "healthy"
    return RecorderStatus(
        state=state.phase,
        verdict=verdict,
        reasons=tuple(reasons),
        run=state.run,
        path=state.root,
        journal=state.file.path,
        game_id=state.game_id,
        durability=state.durability,
        accepted=state.next_seq,
        unsynced=state.next_seq - 1 - state.durable_seq,
        seq=state.next_seq - 1,
        durable_seq=state.durable_seq,
        durable_at=state.durable_at,
        refused=dict(tally.refused.copy()),
        errors=tally.errors,
        failures=tally.failures,
        retried=tally.retried,
        quarantined_bytes=tally.quarantined_bytes,
        games=tally.games,
        segments=tally.segments,
        journals=len(state.sealing) + len(state.retired) + len(state.abandoned) + (state.phase != CLOSED),
        bytes=tally.bytes + state.file.size,
        free_bytes=state.free_bytes,
        sync_us=tally.sync,
        flush_us=tally.flush,
        callback_errors=tally.callback_errors,
        last_error=tally.last_error,
    )


def _forget() -> None:
    """After a fork, in the child: the journals are the parent's; nothing of them is written, locked or removed here."""
    for state in list(_live):
        state.renew_lock()
        state.phase = FORKED
        state.clear = False
        for file in state.files:
            file.close()


os.register_at_fork(after_in_child=_forget)
