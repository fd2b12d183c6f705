"""Sealer: makes segments of journals that are complete, off the threads that write and sync."""

from __future__ import annotations

import logging
import math
import threading
import time
from itertools import accumulate
from typing import Final

from replaylab.encryption.parquet import load_encryption
from replaylab.errors import ReplayLabError
from replaylab.recording.event import RecorderEventKind
from replaylab.recording.journal_file import JournalFile
from replaylab.recording.state import State
from replaylab.storage.recovery import MOST_BYTES_TOGETHER, MOST_TOGETHER, recorded_extents, seal_together
from replaylab.storage.store import Store

_AGAIN_SECONDS: Final = 1.0  # after a failure, doubled with each one in a row
_LONGEST_SECONDS: Final = 60.0
_log = logging.getLogger("replaylab.recorder")


class Sealer:
    """Seals the journals of a recorder in their order, neighbours together; its thread ends with the last of them.

    Parameters
    ----------
    state : State
        Shared with the writer.

    Attributes
    ----------
    current : list of JournalFile
        The journals that are being sealed.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        self.current: list[JournalFile] = []
        self._store: Store | None = None
        self._most = MOST_TOGETHER
        self._thread: threading.Thread | None = None
        self._failures = 0
        self._has_failed = False
        self._not_before = 0.0
        self._stop_at = math.inf
        if state.keys is not None:
            load_encryption()  # here, so that no fork meets it half-loaded: its child would wait for it for ever

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
        while time.monotonic() < self._stop_at and self._take():
            try:
                self._seal(self.current)
            except (ReplayLabError, OSError) as error:
                self._has_failed = True  # a segment may be there, and only its journals not removed
                if len(self.current) > 1:
                    self._most = 1  # it may be the fault of one of them
                    continue
                self._failures += 1
                self._not_before = time.monotonic() + min(_LONGEST_SECONDS, _AGAIN_SECONDS * 2**self._failures)
                _log.warning("recorder %s: %s is sealed later: %s", self.state.run, self.current[0].path.name, error)
                break
            self._failures = 0
        with self.state.lock:
            self.current = []

    def _take(self) -> bool:
        """Take the next journals that are sealed as one segment; return whether there are any."""
        with self.state.lock:
            waiting = self.state.journals.sealing
            if not waiting:
                self._most = MOST_TOGETHER
            sizes = accumulate(file.size for file in waiting)
            fitting = sum(size <= MOST_BYTES_TOGETHER for size in sizes)
            self.current = waiting[: max(1, min(fitting, self._most))]
        return bool(self.current)

    def _seal(self, files: list[JournalFile]) -> None:
        state = self.state
        # without errors and lines written again no segment can hold anything of these journals
        troubled = bool(self._has_failed or state.health.errors or state.counters.retried)
        if troubled and self._store is None:
            self._store = Store(state.root, kms=None if state.keys is None else state.keys.kms)
        recorded = recorded_extents(self._store) if troubled and self._store is not None else []
        found = seal_together(state.root, [file.path for file in files], recorded, keys=state.keys)
        with state.lock:
            for file in files:
                state.journals.mark_sealed(file)
        made = [sealed for sealed in found if sealed is not None]
        if made:
            state.counters.add_segment(sum(sealed.quarantined_bytes for sealed in made))
        for sealed in made:
            state.events.emit(
                RecorderEventKind.SEALED, journal=sealed.journal, ticks=sealed.ticks, recording_state=sealed.state
            )
