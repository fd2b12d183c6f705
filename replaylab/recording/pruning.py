"""Pruning: removes old games on a schedule, on a thread of its own that ends with each round."""

from __future__ import annotations

import logging
import os
import threading
import time
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Final

import pyarrow as pa

from replaylab.errors import ReplayLabError
from replaylab.recording.event import RecorderEventKind
from replaylab.recording.state import State

if TYPE_CHECKING:
    from replaylab.retention.prune import PruneReport

_log = logging.getLogger("replaylab.recorder")
_END_SECONDS: Final = 30.0
_libraries = threading.RLock()  # held while they load, and by a fork


@cache
def load_libraries() -> None:
    """Load what pruning needs, so that no fork meets a half-loaded library: its child would wait for it for ever.

    pyarrow imports pandas at the first list that it makes an array of, as pruning does. Sealing makes none.
    """
    with _libraries:
        pa.array([])


os.register_at_fork(before=_libraries.acquire, after_in_parent=_libraries.release, after_in_child=_libraries.release)


class Pruning:
    """The schedule of one recorder: first when it begins, then each `prune_seconds`; nothing when no rule is set.

    Parameters
    ----------
    state : State
        Shared with the writer; its settings say what is to stay.
    """

    def __init__(self, state: State) -> None:
        self.state = state
        settings = state.settings
        days = settings.prune_older_than_days
        self._older_than = None if days is None else timedelta(days=days)
        self._is_set = any(one is not None for one in (days, settings.prune_keep_games, settings.prune_max_bytes))
        self._due = 0.0
        self._thread: threading.Thread | None = None

    def tend(self) -> None:
        """Begin a round when one is due and none is at work."""
        busy = self._thread is not None and self._thread.is_alive()
        if not self._is_set or busy or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + self.state.settings.prune_seconds
        name = f"replaylab-prune-{self.state.run[-12:]}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter is ending
            self._thread = None

    def end(self) -> None:
        """Wait for a round that is at work; it may be killed as well."""
        if self._thread is not None:
            self._thread.join(_END_SECONDS)

    def _run(self) -> None:
        try:
            load_libraries()
            report = self._prune()
        except (ReplayLabError, OSError) as error:  # a conversion is running, or the disk is full: the next round
            _log.warning("recorder %s: not pruned: %s", self.state.run, error, extra={"event": "not_pruned"})
            return
        if report.games:
            self.state.events.emit(RecorderEventKind.PRUNED, games=len(report.games), rows=report.rows)

    def _prune(self) -> PruneReport:
        from replaylab.retention.prune import prune

        settings, keys = self.state.settings, self.state.keys
        return prune(
            self.state.root,
            older_than=self._older_than,
            keep_games=settings.prune_keep_games,
            max_bytes=settings.prune_max_bytes,
            yes=True,
            now=self.state.environment.now(),
            kms=None if keys is None else keys.kms,
        )
