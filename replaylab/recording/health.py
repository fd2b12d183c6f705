"""Health: the verdict on a recorder, and the status that carries it."""

from __future__ import annotations

from replaylab.recording.state import CLOSED, FORKED, PAUSED, State
from replaylab.recording.status import RecorderStatus


def status_of(state: State) -> RecorderStatus:
    """Give what a recorder knows of itself now; waits for nobody."""
    tally = state.tally
    verdict, reasons = _verdict(state)
    return RecorderStatus(
        state=state.phase,
        verdict=verdict,
        reasons=reasons,
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
        sync_us=tally.sync.histogram,
        flush_us=tally.flush.histogram,
        callback_errors=tally.callback_errors,
        last_error=tally.last_error,
    )


def _verdict(state: State) -> tuple[str, tuple[str, ...]]:
    """Judge a recorder, and give the reasons."""
    tally, reasons = state.tally, []
    if state.problem:
        reasons.append(state.problem)
    if state.phase == PAUSED:
        reasons.append(f"refusing ticks: {state.pause_reason}, {state.free_bytes:,} bytes free")
    if state.damage:
        reasons.append(state.damage)
    if tally.failures:
        reasons.append(f"{tally.failures} failures in a row, the last one: {tally.last_error}")
    if len(state.pending) >= state.settings.max_unsynced_ticks:
        reasons.append(f"{len(state.pending)} ticks wait for a sync")
    if state.phase == FORKED:
        reasons.append("this process was forked off the one that records; make a new Recorder here")
    verdict = "failed" if state.problem or state.phase == FORKED else "degraded" if reasons else "healthy"
    return verdict, tuple(reasons)
