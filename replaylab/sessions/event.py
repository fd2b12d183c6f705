"""State, events and status of a session, all of them small frozen values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final


class LiveState(StrEnum):
    """What a session is doing.

    `connecting`, `catching_up` (connected, nothing in order has come yet), `live`, `stale` (connected, silent), `lost`,
    `backing_off` (waits before it connects again), `circuit_open` (leaves an ill endpoint in peace), `failed` (has
    given up; `start` tries again), `closing` and `closed`.
    """

    IDLE = "idle"
    CONNECTING = "connecting"
    CATCHING_UP = "catching_up"
    LIVE = "live"
    STALE = "stale"
    LOST = "lost"
    BACKING_OFF = "backing_off"
    CIRCUIT_OPEN = "circuit_open"
    FAILED = "failed"
    CLOSING = "closing"
    CLOSED = "closed"


OVER: Final = frozenset({LiveState.FAILED, LiveState.CLOSED})
ALIVE: Final = frozenset({LiveState.LIVE, LiveState.CATCHING_UP})
UNWELL: Final = frozenset(
    {LiveState.STALE, LiveState.LOST, LiveState.BACKING_OFF, LiveState.CIRCUIT_OPEN, LiveState.FAILED}
)
EVENT_KINDS: Final = ("state", "gap", "heal", "phase", "history", "trade", "feed", "tick", "error")


@dataclass(frozen=True, slots=True)
class LiveEvent:
    """One thing that happened to a session.

    Attributes
    ----------
    kind : str
        ``state``, or the kind of a mark.
    feed : str
        Name of the feed.
    at : datetime
        When, UTC.
    state : LiveState
        What the session was doing.
    reason : str or None
        Why, in words.
    game_id : str or None
        The game that it concerns.
    detail : mapping
        Of a mark; of a gap: `cause`, `after`, `before`, `missing`, `start`, `end`, `healed`. Its members can be read
        as attributes.

    Examples
    --------
    >>> from datetime import UTC
    >>> at = datetime(2031, 1, 2, tzinfo=UTC)
    >>> event = LiveEvent("gap", "f", at, LiveState.LIVE, detail={"cause": "stall", "missing": 3})
    >>> event.cause, event.missing
    ('stall', 3)
    """

    kind: str
    feed: str
    at: datetime
    state: LiveState
    reason: str | None = None
    game_id: str | None = None
    detail: Any = field(default_factory=lambda: MappingProxyType({}))

    def __getattr__(self, name: str) -> Any:
        if name != "detail" and not name.startswith("__") and name in self.detail:
            return self.detail[name]
        raise AttributeError(f"{type(self).__name__!r} has no attribute {name!r}")


@dataclass(frozen=True, slots=True)
class LiveStatus:
    """What a session knows of itself now.

    Attributes
    ----------
    feed : str
        Name of the feed, without what may be secret.
    state : LiveState
        What it is doing.
    since : datetime
        Since when, UTC.
    attempts : int
        Connections tried, the first included.
    connections : int
        Of those, that were made.
    ticks : int
        Received.
    recorded : int
        Of those, accepted by the recorder.
    gaps, missing, healed : int
        Gaps there were, ticks that are missing now as far as their numbers tell, ticks that came after all.
    whole, unknown : int
        Of those gaps, those at whose end nothing was missing, and those of which no number tells what is missing, as
        they end in another game.
    lag_ms : float or None
        From the socket to the recorder, of the newest frame.
    seq, durable_seq : int or None
        How far the recorder has accepted, and up to where a power cut loses nothing.
    game_id, tick : str, int or None
        The newest tick.
    position : str or None
        The id after which the feed is resumed.
    refused : dict
        What could not be read, by reason.
    last_error : str or None
        Why the last connection was lost or not made.
    verdict : {"ok", "degraded", "failed", "closed"}
        The whole in a word.
    reasons : tuple of str
        Why it is not ``ok``.
    """

    feed: str
    state: LiveState
    since: datetime
    attempts: int = 0
    connections: int = 0
    ticks: int = 0
    recorded: int = 0
    gaps: int = 0
    missing: int = 0
    healed: int = 0
    whole: int = 0
    unknown: int = 0
    lag_ms: float | None = None
    seq: int | None = None
    durable_seq: int | None = None
    game_id: str | None = None
    tick: int | None = None
    position: str | None = None
    refused: dict[str, int] = field(default_factory=dict)
    last_error: str | None = None
    verdict: str = "ok"
    reasons: tuple[str, ...] = ()


def verdict_of(state: LiveState, last_error: str | None, recorder_problem: str | None) -> tuple[str, tuple[str, ...]]:
    """Return the whole in a word, and why it is not ``ok``."""
    reasons: list[str] = []
    if state not in ALIVE:
        reasons.append(f"{state}: {last_error}" if last_error and state is not LiveState.CLOSED else str(state))
    if recorder_problem:
        reasons.append(f"recorder: {recorder_problem}")
    if state is LiveState.CLOSED:
        return "closed", tuple(reasons)
    if state is LiveState.FAILED:
        return "failed", tuple(reasons)
    return ("degraded" if reasons else "ok"), tuple(reasons)


def feed_state(status: LiveStatus) -> dict[str, Any]:
    """Return what the status file of a recorder says of a session: no price, no position and no game."""
    names = ("feed", "verdict", "attempts", "connections", "ticks", "recorded", "gaps", "missing", "lag_ms")
    found: dict[str, Any] = {name: getattr(status, name) for name in names}
    reasons = list(status.reasons)
    return {**found, "state": str(status.state), "since": status.since.isoformat(), "reasons": reasons}
