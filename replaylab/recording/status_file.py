"""StatusFile: what the recorder says of itself, written once a second by its own thread, for other processes."""

from __future__ import annotations

import logging
import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields
from typing import Any, Final

from replaylab.durable import sweep
from replaylab.errors import ReplayLabError
from replaylab.journals.format import place_of
from replaylab.journals.unsealed import journal_names
from replaylab.recording.state import State
from replaylab.recording.status import RecorderStatus, state_and_verdict, status_of
from replaylab.watching.snapshot import STATUS, Snapshot, publish_snapshot, sweep_snapshots

WRITE_SECONDS: Final = 1.0  # between two snapshots
_log = logging.getLogger("replaylab.recorder")
_SAME: Final = frozenset(one.name for one in fields(Snapshot)) & frozenset(one.name for one in fields(RecorderStatus))


class StatusFile:
    """The status file of one recorder. A file that cannot be written is logged once, and never stops a recording.

    Parameters
    ----------
    state : State
        Shared with the writer.
    game_id : callable
        Returns the game that is being recorded.
    alerts : callable
        Returns how many alerts were sent, wait and have failed.
    """

    def __init__(self, state: State, game_id: Callable[[], str | None], alerts: Callable[[], dict[str, int]]) -> None:
        self.state = state
        self.alerts = alerts
        self.game_id = game_id
        self._started_at = state.environment.now()
        self._written_at = 0.0
        self._accepted = 0
        self._said: tuple[str, str] | None = None  # state and verdict of the last snapshot
        self._failed = False

    def tend(self) -> bool:
        """Write a snapshot when a second is over, or the state has changed; return whether that was so."""
        due = time.monotonic() - self._written_at >= WRITE_SECONDS
        if not due and state_and_verdict(self.state) == self._said:
            return False
        self._write(status_of(self.state, self.game_id()))
        return True

    def end(self) -> None:
        """Write the last snapshot, that of a recording that was closed."""
        self._write(status_of(self.state, None))

    def _write(self, status: RecorderStatus) -> None:
        first, now = not self._written_at, time.monotonic()
        rate = 0.0 if first else (status.accepted - self._accepted) / max(now - self._written_at, 1e-3)
        self._written_at, self._accepted, self._said = now, status.accepted, (status.state, status.verdict)
        try:
            publish_snapshot(self.state.root, self._snapshot(status, rate), self.state.keys)
            if first:
                self._sweep()
        except OSError as error:
            level = logging.DEBUG if self._failed else logging.WARNING
            _log.log(level, "recorder %s: no status file: %s", self.state.run, error, extra={"event": "no_status_file"})
            self._failed = True
        else:
            self._failed = False

    def _snapshot(self, status: RecorderStatus, rate: float) -> Snapshot:
        said: dict[str, Any] = {name: getattr(status, name) for name in _SAME}
        said |= {"journal": status.journal.name, "ticks_a_second": round(rate, 1)}
        return Snapshot(
            **said,
            machine=platform.node(),
            process=os.getpid(),
            started_at=self._started_at,
            written_at=self.state.environment.now(),
            alerts=self.alerts(),
            feeds=tuple(dict(feed) for feed in self.state.feed_states()),
        )

    def _sweep(self) -> None:
        """Remove what earlier runs have left and nothing needs."""
        unsealed = {place_of(name)[0] for name in journal_names(self.state.folder)}
        sweep_snapshots(self.state.root, self.state.environment.now(), unsealed)
        with suppress(ReplayLabError, OSError):
            sweep(self.state.root / STATUS)
