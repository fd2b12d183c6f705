"""Status: the state of a recorder at one moment, read without waiting for a lock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from replaylab.recording.durations import Histogram
from replaylab.recording.health import Phase

if TYPE_CHECKING:
    from replaylab.recording.state import State


@dataclass(frozen=True, slots=True)
class RecorderStatus:
    """The state of a recorder at one moment.

    Attributes
    ----------
    state : str
        ``recording``, ``paused`` (refusing ticks until it can go on), ``failed``, ``closed`` or ``forked``.
    verdict, reasons : str, tuple of str
        ``healthy``, ``degraded`` or ``failed``, and why.
    run, path, journal, game_id : str, Path, Path, str or None
        The run, the store, the journal now written and the game now recorded.
    durability : dict
        The bound in force: `mode`, and for ``group`` the `ticks` and `seconds` between two syncs.
    accepted, unsynced, seq, durable_seq : int
        Ticks accepted, those of them not yet synced, and the sequence numbers of the last accepted and last synced.
    durable_at : datetime, optional
        When something was last made permanent (UTC).
    refused : dict
        Ticks refused, by reason.
    errors, failures, retried, quarantined_bytes : int
        Calls that failed, failures in a row, ticks written again, bytes set aside while sealing.
    games, segments, journals, bytes : int
        Games begun, segments made, journals not yet sealed, bytes written to journals.
    free_bytes : int
        Free space when last looked at.
    sync_us, flush_us : Histogram
        How long one sync took, and making permanent all that was waiting.
    callback_errors : int
        Exceptions of the `on_event` callback.
    last_error : str, optional
        The last error of the operating system.
    """

    state: str
    verdict: str
    reasons: tuple[str, ...]
    run: str
    path: Path
    journal: Path
    game_id: str | None
    durability: dict[str, Any]
    accepted: int
    unsynced: int
    seq: int
    durable_seq: int
    durable_at: datetime | None
    refused: dict[str, int] = field(default_factory=dict)
    errors: int = 0
    failures: int = 0
    retried: int = 0
    quarantined_bytes: int = 0
    games: int = 0
    segments: int = 0
    journals: int = 0
    bytes: int = 0
    free_bytes: int = 0
    sync_us: Histogram = field(default_factory=Histogram)
    flush_us: Histogram = field(default_factory=Histogram)
    callback_errors: int = 0
    last_error: str | None = None


def state_and_verdict(state: State) -> tuple[str, str]:
    """Return the two words of a status that say most; looked at after each sync, so without all the rest."""
    phase, problem = state.health.now
    return phase.value, _verdict(phase, problem, _reasons(state, phase, problem))


def _reasons(state: State, phase: Phase, problem: str | None) -> list[str]:
    reasons, waiting = state.health.reasons(phase, problem), state.waiting_ticks
    if waiting >= state.settings.max_unsynced_ticks:
        reasons.append(f"{waiting} ticks wait for a sync")
    return reasons


def _verdict(phase: Phase, problem: str | None, reasons: list[str]) -> str:
    failed = problem or phase is Phase.FORKED
    return "failed" if failed else "degraded" if reasons else "healthy"


def status_of(state: State, game_id: str | None) -> RecorderStatus:
    """Return the state of a recorder now; waits for no lock."""
    positions, journals, health, counters = state.positions, state.journals, state.health, state.counters
    phase, problem = health.now  # once: both words and the reasons tell of one moment
    reasons = _reasons(state, phase, problem)
    durable_seq, durable_at = state.durable  # before the last tick is looked at, which it must not pass
    last_seq = positions.last_seq
    return RecorderStatus(
        state=phase.value,
        verdict=_verdict(phase, problem, reasons),
        reasons=tuple(reasons),
        run=state.run,
        path=state.root,
        journal=journals.current.path,
        game_id=game_id,
        durability=state.durability,
        accepted=positions.next_seq,
        unsynced=last_seq - durable_seq,
        seq=last_seq,
        durable_seq=durable_seq,
        durable_at=durable_at,
        refused=dict(counters.refused.copy()),
        errors=health.errors,
        failures=health.failures,
        retried=counters.retried,
        quarantined_bytes=counters.quarantined_bytes,
        games=counters.games,
        segments=counters.segments,
        journals=len(journals.sealing) + len(journals.retired) + len(journals.abandoned) + (phase is not Phase.CLOSED),
        bytes=journals.retired_bytes + journals.current.size,
        free_bytes=health.free_bytes,
        sync_us=counters.sync.histogram,
        flush_us=counters.flush.histogram,
        callback_errors=counters.callback_errors,
        last_error=health.last_error,
    )
