"""Recorder: ticks to journals to segments; an acknowledged tick is not lost.

A tick is written to the operating system before it is acknowledged, so a process that is killed loses nothing. It is
synced with its neighbours, after 100 ticks or 10 s, so a power cut loses at most what came since; ``durability="tick"``
syncs before it acknowledges. Syncing and sealing happen on a thread of the recorder's own.
"""

from __future__ import annotations

import asyncio
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Literal, Self, TypeAlias

import pyarrow as pa

from replaylab.durable import of_user
from replaylab.encryption.keys import StoreKeys, keys_for_writing
from replaylab.encryption.kms import Kms
from replaylab.errors import RecordingFailed
from replaylab.journals.cursor import Cursor
from replaylab.journals.format import run_name
from replaylab.keywords import options_of
from replaylab.mark import Mark
from replaylab.plural import count_of
from replaylab.recording.event import RecorderEvent
from replaylab.recording.lane import Lane
from replaylab.recording.lifecycle import Lifecycle, begin
from replaylab.recording.receipt import Receipt, RecordingReport
from replaylab.recording.state import Environment, State
from replaylab.recording.status import RecorderStatus, status_of
from replaylab.recording.tick_block import TickPiece
from replaylab.recording.writer import Writer
from replaylab.storage.game import Game
from replaylab.storage.marks import cursors_of
from replaylab.storage.objectstore import refuse_uri
from replaylab.storage.store import SEGMENTS, Store
from replaylab.tick import Tick, checked_text
from replaylab.watching.alert import Target

if TYPE_CHECKING:
    from replaylab.settings import Settings

Ticks: TypeAlias = Iterable[Tick | Mapping[str, Any]] | pa.Table | pa.RecordBatch | Game | TickPiece
_ROWS_AT_ONCE: Final = 1_000


class Recorder:
    """Record ticks into a store: every tick that it acknowledges is in the store, exactly once.

    Thread-safe; any number of recorders, in any number of processes, may record into one store. A tick of another game
    ends the game before it. `record` blocks only while `max_unsynced_ticks` ticks wait for a sync; in an event
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
        Called with each change of state, a `RecorderEvent`, on the thread of the recorder, with no lock held.
    alerts : sequence of callable or Webhook, optional
        Called with each change of state, an `Alert`, within a second and on threads of their own: see `rl.Webhook`.
    settings : Settings, optional
        Every number; those of this process unless given.
    environment : Environment, optional
        Time and free space; tests replace them.
    kms : Kms, optional
        The master key of an encrypted store; a store that is made is encrypted with it. That of the environment
        unless given.

    Raises
    ------
    DiskLow
        When less than `min_free_start_bytes` are free.
    StoreFull
        When the store cannot be written.
    SettingsError
        For an unknown durability or policy.
    KeyMissing, KeyWrong, Tampered
        About the key of an encrypted store.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with rl.Recorder(folder) as recorder:
    ...     receipt = recorder.record(rl.Tick("g", 1, "2031-01-02T03:04:05", "1.02"))
    >>> receipt.accepted, rl.open_store(folder).rows
    (1, 1)
    """

    @options_of("rl.Recorder")
    def __init__(  # noqa: PLR0913 every one but the first has a default
        self,
        store: str | os.PathLike[str] | Store,
        *,
        durability: Literal["group", "tick", "none"] = "group",
        overflow: Literal["block", "refuse"] = "block",
        overflow_seconds: float = 30.0,
        on_event: Callable[[RecorderEvent], object] | None = None,
        alerts: Sequence[Target] = (),
        settings: Settings | None = None,
        environment: Environment | None = None,
        kms: Kms | None = None,
    ) -> None:
        from replaylab.settings import checked_choice, current  # pydantic loads late

        checked_choice("durability", durability, ("group", "tick", "none"))
        checked_choice("overflow", overflow, ("block", "refuse"))
        environment = environment or Environment()
        refuse_uri(store)
        root = of_user(store.path if isinstance(store, Store) else store).absolute()  # the process may go elsewhere
        run = run_name(environment.now(), os.getpid(), os.urandom(8))
        if kms is None and isinstance(store, Store) and store.files.keys is not None:
            kms = store.files.keys.kms
        keys = keys_for_writing(root, kms, SEGMENTS)
        state = State(root, run, settings or current(), durability, environment, keys)
        begin(state)
        self._state = state
        self._lanes: dict[str, Lane] = {}
        self._cursors: dict[str, Cursor] | None = None
        self._writer = Writer(state, overflow, overflow_seconds)
        self._lifecycle = Lifecycle(state, self._writer, on_event, alerts)
        self._end = weakref.finalize(
            self, self._lifecycle.drop
        )  # also at garbage collection and at the end of the interpreter

    @property
    def run(self) -> str:
        """Name of the run; the names of its journals begin with it."""
        return self._state.run

    @property
    def path(self) -> Path:
        """The store."""
        return self._state.root

    @property
    def keys(self) -> StoreKeys | None:
        """The keys of the store, when it is encrypted."""
        return self._state.keys

    def __repr__(self) -> str:
        state = self._state
        return f"Recorder({str(state.root)!r}, {state.health.phase}, {count_of(state.positions.next_seq, 'tick')})"

    def _repr_html_(self) -> str:
        from replaylab.charts.html import recorder_card

        return recorder_card(self)

    def record(self, tick: Tick | Mapping[str, Any]) -> Receipt:
        """Record one tick, a `Tick` or a mapping of its fields; a bad one is refused and counted, never an error.

        The price of a mapping is a Decimal, an int or text. The receipt says whether the tick was accepted, and up
        to which sequence number a power cut loses nothing.
        """
        return self._writer.record(tick)

    def record_many(self, ticks: Ticks) -> Receipt:
        """Record ticks in their order: an iterable of what `record` takes, a table of the stored schema, or a game.

        A row without a price, such as one that an old recorder filled in, is refused and counted like any other tick
        that cannot be stored. When the iterable raises, what it yielded before is recorded.
        """
        if isinstance(ticks, TickPiece):
            return self._writer.record_lines(ticks)
        if isinstance(ticks, Game):
            ticks = ticks.ticks()
        elif isinstance(ticks, pa.RecordBatch):
            ticks = pa.Table.from_batches([ticks])
        elif isinstance(ticks, Tick | Mapping):
            ticks = [ticks]
        return self._writer.record_many(_rows(ticks) if isinstance(ticks, pa.Table) else ticks)

    def lane(self, name: str) -> Lane:
        """Return the lane of a name: a feed with a game of its own open, beside any number of others.

        A lane that was recorded into this store before knows its `cursor`: the last tick that came with an id.
        """
        lane = self._lanes.get(name)
        if lane is None:
            if self._cursors is None:
                keys = self._state.keys
                self._cursors = cursors_of(Store(self._state.root, kms=None if keys is None else keys.kms))
            lane = self._lanes[name] = Lane(self._writer, checked_text("lane", name), self._cursors.get(name))
        return lane

    def mark(self, mark: Mark) -> str | None:
        """Write a mark beside the ticks: a gap, a phase, a trade; it is kept as a remark when the journal is sealed.

        Returns
        -------
        str or None
            The reason when it was refused, None otherwise.
        """
        return self._writer.mark(mark)

    def show_feed(self, feed: Callable[[], Mapping[str, Any] | None]) -> Callable[[], None]:
        """Show a feed in the status file: `feed` is called once a second and returns what is known, ready for JSON.

        It must not hold the recorder, which would then never be collected; None when there is nothing to show any more.
        What is returned is to be called at each change of its state, which is an alert then, however short it is.
        """
        return self._state.add_feed(feed)

    def flush(self, timeout_seconds: float = 60.0) -> Receipt:
        """Wait until all that was accepted so far is permanent.

        Raises
        ------
        RecordingFailed
            When the recorder has given up, or that took longer than `timeout_seconds`.
        """
        self._lifecycle.flush(timeout_seconds)
        positions = self._state.positions
        return Receipt(0, positions.last_seq, positions.durable_seq)

    def stop(self) -> RecordingReport:
        """Make permanent what was accepted, seal the journals and close; return the same report when called again.

        In a signal handler that interrupts a call of `record` it takes no more ticks and ends when that call has ended;
        the report is that of the moment then.
        """
        return self._lifecycle.stop()

    def close(self) -> RecordingReport:
        """Stop, as `stop` does: what files and sockets call it."""
        return self.stop()

    def status(self) -> RecorderStatus:
        """Return the state of the recorder now; waits for no lock."""
        return status_of(self._state, self._writer.game_id)

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


def _rows(table: pa.Table) -> Iterator[Mapping[str, Any]]:
    """Yield the rows of a table as mappings of the fields of a tick."""
    if "recorded_phase" in table.column_names:
        names = ["phase" if name == "recorded_phase" else name for name in table.column_names if name != "phase"]
        kept = [name for name in table.column_names if name != "phase"]
        table = table.select(kept).rename_columns(names)
    for batch in table.to_batches(max_chunksize=_ROWS_AT_ONCE):
        yield from batch.to_pylist()
