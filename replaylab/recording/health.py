"""Health: whether a recorder accepts ticks, and if not, why; the verdict that its status carries."""

from __future__ import annotations

import time
from collections.abc import Callable
from enum import StrEnum
from typing import Final

_FIRST_RETRY_SECONDS: Final = 0.02  # after a failure; doubled with each one in a row
_LONGEST_RETRY_SECONDS: Final = 2.0
_FIRST_PAUSE_SECONDS: Final = 0.25  # doubled while no tick is accepted between two pauses
_LONGEST_PAUSE_SECONDS: Final = 16.0


class Phase(StrEnum):
    """What a recorder does with ticks: it accepts them only in `RECORDING`."""

    RECORDING = "recording"
    PAUSED = "paused"
    FAILED = "failed"
    CLOSED = "closed"
    FORKED = "forked"


class Health:
    """The phase of a recorder, and the failures that led to it. Callers hold the recorder's lock.

    Parameters
    ----------
    max_failures, max_failure_seconds : int, float
        Failures in a row after which the recording is given up, and how long the row must have lasted.

    Attributes
    ----------
    phase : Phase
        Whether ticks are accepted.
    pause_reason : str, optional
        Why the recorder is, or was last, paused.
    problem : str, optional
        Why the recording was given up.
    damage : str, optional
        What another process has done to a journal.
    errors, failures : int
        Calls that failed, and failures in a row.
    last_error : str, optional
        The last of them.
    sync_fails : bool
        Whether the last sync failed.
    free_bytes : int
        Free space when last looked at; -1 when the folder is gone.
    on_change : callable
        Called after each change of what a status says first, by the one who made it.
    """

    def __init__(self, max_failures: int, max_failure_seconds: float) -> None:
        self.phase = Phase.RECORDING
        self.pause_reason: str | None = None
        self.problem: str | None = None
        self.damage: str | None = None
        self.errors = self.failures = 0
        self.last_error: str | None = None
        self.free_bytes = 0
        self.sync_fails = False
        self._max_failures = max_failures
        self._max_failure_seconds = max_failure_seconds
        self._row = 0  # failures of any kind since the last success
        self._failing_since = self._retry_at = 0.0
        self._pauses = 0  # since a tick was accepted
        self._paused_at_seq = -1
        self._resume_at = 0.0
        self.on_change: Callable[[], None] = _nothing

    def report_changes(self, on_change: Callable[[], None]) -> None:
        """Call a function at each change from now on."""
        self.on_change = on_change

    def note(self, error: BaseException | str) -> None:
        """Remember an error that has no consequence yet."""
        self.last_error = str(error)

    def count_error(self, error: BaseException | str) -> None:
        """Count a call that failed."""
        self.errors += 1
        self.last_error = str(error)

    def fail(self, error: BaseException | str) -> bool:
        """Count a failure; return whether it was the one after which the recording is given up."""
        self.back_off(error)
        if not self.failures:
            self._failing_since = time.monotonic()
        self.failures += 1
        lasted = time.monotonic() - self._failing_since
        if self.failures < self._max_failures or lasted < self._max_failure_seconds:
            self.on_change()
            return False
        return self.give_up(f"given up after {self.failures} failures in a row, the last one: {error}")

    def give_up(self, problem: str) -> bool:
        """End the recording for a reason; return whether it is the first one."""
        if self.problem is not None:
            return False
        self.problem = problem  # before the phase: who reads the phase first finds a reason for it
        if self.phase is not Phase.CLOSED:
            self.phase = Phase.FAILED
        self.on_change()
        return True

    def back_off(self, error: BaseException | str) -> None:
        """Count a call that failed and is made again after a while, longer with each one in a row."""
        self.count_error(error)
        self._retry_at = time.monotonic() + min(
            _LONGEST_RETRY_SECONDS, _FIRST_RETRY_SECONDS * 2.0 ** min(self._row, 20)
        )
        self._row += 1

    def fail_sync(self) -> None:
        """Record that a sync failed: only a sync that succeeds ends the row."""
        self.sync_fails = True

    def succeed_sync(self) -> None:
        """Record that a sync has ended the row of failures."""
        self.sync_fails = False
        self.succeed()

    def succeed(self) -> None:
        """Record a success, which ends a row of failures unless syncs still fail."""
        if not self.sync_fails:
            failed, self.failures = self.failures, 0
            self._row, self._retry_at = 0, 0.0
            if failed:
                self.on_change()

    @property
    def retry_seconds(self) -> float:
        """Seconds until a call that failed is made again."""
        return max(0.0, self._retry_at - time.monotonic())

    def pause(self, reason: str, next_seq: int) -> bool:
        """Stop accepting ticks until `resume`; return whether that is new."""
        if self.phase is not Phase.RECORDING:
            return False
        self.pause_reason = reason  # before the phase
        self.phase = Phase.PAUSED
        self._pauses = 0 if next_seq > self._paused_at_seq else self._pauses + 1
        self._paused_at_seq = next_seq
        seconds = min(_LONGEST_PAUSE_SECONDS, _FIRST_PAUSE_SECONDS * 2 ** min(self._pauses, 9))
        self._resume_at = time.monotonic() + seconds
        self.on_change()
        return True

    @property
    def may_resume(self) -> bool:
        """Whether a pause has lasted long enough, and syncs succeed."""
        return self.phase is Phase.PAUSED and not self.sync_fails and time.monotonic() >= self._resume_at

    def resume(self) -> None:
        """Accept ticks again after a pause."""
        self.phase = Phase.RECORDING
        self.on_change()

    def close(self) -> None:
        """Accept no more ticks: the recording ends."""
        self.phase = Phase.CLOSED
        self.on_change()

    def fork(self) -> None:
        """Accept no ticks: this process was forked off the one that records."""
        self.phase = Phase.FORKED

    def report_damage(self, damage: str) -> None:
        """Remember what another process has done to a journal."""
        self.count_error(damage)
        self.damage = damage
        self.on_change()

    def look_at(self, free_bytes: int) -> None:
        """Remember the free space of the disk."""
        self.free_bytes = free_bytes

    @property
    def now(self) -> tuple[Phase, str | None]:
        """The phase and the problem of one moment, read without the lock: a phase is set after all that led to it."""
        phase, problem = self.phase, self.problem
        is_failing = problem is not None and phase in {Phase.RECORDING, Phase.PAUSED}
        return Phase.FAILED if is_failing else phase, problem

    def reasons(self, phase: Phase, problem: str | None) -> list[str]:
        """Return what is wrong at a moment, in the order of weight."""
        found = [problem] if problem else []
        if phase is Phase.PAUSED:
            free = f", {self.free_bytes:,} bytes free" if self.free_bytes >= 0 else ""
            found.append(f"refusing ticks: {self.pause_reason}{free}")
        if self.damage:
            found.append(self.damage)
        if self.failures:
            found.append(f"{self.failures} failures in a row, the last one: {self.last_error}")
        if phase is Phase.FORKED:
            found.append("this process was forked off the one that records; make a new Recorder here")
        return found


def _nothing() -> None:
    """Do nothing: no alert has a target."""
