"""Health: whether a recorder accepts ticks, and if not, why; the verdict that its status carries."""

from __future__ import annotations

from enum import StrEnum


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
    max_failures : int
        Failures in a row after which the recording is given up.

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
    free_bytes : int
        Free space when last looked at; -1 when the folder is gone.
    """

    def __init__(self, max_failures: int) -> None:
        self.phase = Phase.RECORDING
        self.pause_reason: str | None = None
        self.problem: str | None = None
        self.damage: str | None = None
        self.errors = self.failures = 0
        self.last_error: str | None = None
        self.free_bytes = 0
        self._max_failures = max_failures

    def note(self, error: BaseException | str) -> None:
        """Remember an error that has no consequence yet."""
        self.last_error = str(error)

    def count_error(self, error: BaseException | str) -> None:
        """Count a call that failed."""
        self.errors += 1
        self.last_error = str(error)

    def fail(self, error: BaseException | str) -> bool:
        """Count a failure; return whether it was the one after which the recording is given up."""
        self.count_error(error)
        self.failures += 1
        if self.failures < self._max_failures or self.problem is not None:
            return False
        if self.phase is not Phase.CLOSED:
            self.phase = Phase.FAILED
        self.problem = f"given up after {self.failures} failures in a row, the last one: {error}"
        return True

    def succeed(self) -> None:
        """Record that a row of failures has ended."""
        self.failures = 0

    def pause(self, reason: str) -> bool:
        """Stop accepting ticks until `resume`; return whether that is new."""
        if self.phase is not Phase.RECORDING:
            return False
        self.phase, self.pause_reason = Phase.PAUSED, reason
        return True

    def resume(self) -> None:
        """Accept ticks again after a pause."""
        self.phase, self.pause_reason = Phase.RECORDING, None

    def close(self) -> None:
        """Accept no more ticks: the recording ends."""
        self.phase = Phase.CLOSED

    def fork(self) -> None:
        """Accept no ticks: this process was forked off the one that records."""
        self.phase = Phase.FORKED

    def report_damage(self, damage: str) -> None:
        """Remember what another process has done to a journal."""
        self.count_error(damage)
        self.damage = damage

    def look_at(self, free_bytes: int) -> None:
        """Remember the free space of the disk."""
        self.free_bytes = free_bytes

    def reasons(self) -> list[str]:
        """Return what is wrong, in the order of weight."""
        found = [self.problem] if self.problem else []
        if self.phase is Phase.PAUSED:
            found.append(f"refusing ticks: {self.pause_reason}, {self.free_bytes:,} bytes free")
        if self.damage:
            found.append(self.damage)
        if self.failures:
            found.append(f"{self.failures} failures in a row, the last one: {self.last_error}")
        if self.phase is Phase.FORKED:
            found.append("this process was forked off the one that records; make a new Recorder here")
        return found
