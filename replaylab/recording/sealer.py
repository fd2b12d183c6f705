"""Sealer: makes segments of journals that are complete, off the threads that write and sync."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from functools import cache
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq

from replaylab.errors import ReplayLabError
from replaylab.recording.event import RecorderEventKind
from replaylab.recording.journal_file import JournalFile
from replaylab.recording.state import State
from replaylab.storage.recovery import recorded_extents, seal
from replaylab.storage.store import Store
from replaylab.table import SCHEMA

_AGAIN_SECONDS: Final = 1.0  # after a failure, doubled with each one in a row
_LONGEST_SECONDS: Final = 60.0
_libraries = threading.RLock()  # held while they load, and by a fork
_log = logging.getLogger("replaylab.recorder")


@cache
def load_libraries() -> None:
    """Load what sealing needs, so that no fork meets a half-loaded library: its child would wait for it for ever.

    pyarrow imports pandas at the first table that it writes.
    """
    with _libraries:
        pq.write_table(SCHEMA.empty_table(), pa.BufferOutputStream())


os.register_at_fork(before=_libraries.acquire, after_in_parent=_libraries.release, after_in_child=_libraries.release)


class Sealer:
    """Seals the journals of a recorder in their order; a thread is there only while there is something to seal.

    Parameters
    ----------
    state : State
        Shared with the writer.

    Attributes
    ----------
    current : JournalFile, optional
        The journal that is being sealed.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.current: JournalFile | None = None
        self._thread: threading.Thread | None = None
        self._failures = 0
        self._not_before = 0.0
        self._stop_at = math.inf
        self._store: Store | None = None

    def wake(self) -> None:
        """Seal what is waiting, on a thread of its own."""
        busy = self._thread is not None and self._thread.is_alive()
        if not busy and time.monotonic() >= self._not_before:
            name = f"replaylab-sealer-{self.state.run[-12:]}"
            self._thread = threading.Thread(target=self.seal_all, name=name, daemon=True)
            try:
                self._thread.start()
            except RuntimeError:  # the interpreter is ending; `finish` seals
                self._thread = None

    def join(self) -> None:
        """Wait for the thread."""
        if self._thread is not None:
            self._thread.join()

    def finish(self, max_seconds: float | None) -> None:
        """Seal what is left, now; what cannot be sealed, or not within a time, stays a journal."""
        self._stop_at = math.inf if max_seconds is None else time.monotonic() + max_seconds
        self.join()
        self.seal_all()

    def seal_all(self) -> None:
        """Seal what is waiting, until one fails."""
        load_libraries()
        state = self.state
        while time.monotonic() < self._stop_at:
            with state.lock:
                self.current = state.journals.sealing[0] if state.journals.sealing else None
            if self.current is None:
                return
            try:
                self._seal(self.current)
            except (ReplayLabError, OSError) as error:
                self._failures += 1
                self._not_before = time.monotonic() + min(_LONGEST_SECONDS, _AGAIN_SECONDS * 2**self._failures)
                _log.warning("recorder %s: %s is sealed later: %s", state.run, self.current.path.name, error)
                self.current = None
                return
            self._failures = 0

    def _seal(self, file: JournalFile) -> None:
        state = self.state
        troubled = bool(
            self._failures or state.health.errors or state.counters.retried
        )  # else no segment can hold anything of this journal
        if troubled and self._store is None:
            self._store = Store(state.root)  # kept: it reads each segment once
        recorded = recorded_extents(self._store) if troubled and self._store is not None else []
        sealed = seal(state.root, file.path, recorded)
        with state.lock:
            state.journals.mark_sealed(file)
        if sealed is not None:
            state.counters.add_segment(sealed.quarantined_bytes)
            state.events.emit(
                RecorderEventKind.SEALED, journal=sealed.journal, ticks=sealed.ticks, recording_state=sealed.state
            )
