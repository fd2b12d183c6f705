"""LiveNotes: what is known of live games beside their ticks: gaps with their causes; and how the feed is, in words."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from replaylab.errors import TickError
from replaylab.plural import count_of
from replaylab.sessions.event import LiveState, LiveStatus
from replaylab.sessions.supervisor import STALE_SECONDS
from replaylab.tick import parse_time

_GAMES: Final = 2  # the one that is shown, and the one before it
_GAPS: Final = 2_000  # of one game; the oldest go
_TRADES: Final = 20_000  # ticks of one game that were traded at
_WORDS: Final = {
    LiveState.IDLE: "connecting",
    LiveState.CONNECTING: "connecting",
    LiveState.CATCHING_UP: "connecting",
    LiveState.LIVE: "live",
    LiveState.STALE: "stale",
    LiveState.LOST: "reconnecting",
    LiveState.BACKING_OFF: "reconnecting",
    LiveState.CIRCUIT_OPEN: "reconnecting",
    LiveState.FAILED: "failed",
    LiveState.CLOSING: "ended",
    LiveState.CLOSED: "ended",
}


class LiveNotes:
    """Of the newest live games: gaps by the row that follows them, in words, and what was traded, by tick.

    Examples
    --------
    >>> notes = LiveNotes()
    >>> notes.gap("g", 7, {"cause": "disconnect", "missing": 3})
    >>> notes.gaps("g")
    {7: 'disconnect: 3 missing'}
    >>> notes.trade("g", 7, 1.5)
    >>> notes.trade("g", 7, -1.0)
    >>> notes.trades("g")
    {7: 0.5}
    """

    def __init__(self) -> None:
        self._gaps: OrderedDict[str, dict[int, str]] = OrderedDict()
        self._details: dict[str, dict[int, Mapping[str, Any]]] = {}  # of those gaps, as long as ticks can heal them
        self.heals = 0  # gaps whose words have changed
        self._trades: OrderedDict[str, dict[int, float]] = OrderedDict()

    def gap(self, game_id: str, row: int, detail: Mapping[str, Any]) -> None:
        """Note a gap before a row."""
        known = self._gaps.setdefault(game_id, {})
        known[row] = cause_text(detail)
        if _can_heal(detail):
            self._details.setdefault(game_id, {})[row] = detail
        if len(known) > _GAPS:
            oldest = next(iter(known))
            del known[oldest]
            self._details.get(game_id, {}).pop(oldest, None)
        if len(self._gaps) > _GAMES:
            old, _ = self._gaps.popitem(last=False)
            self._details.pop(old, None)

    def heal(self, game_id: str, detail: Mapping[str, Any]) -> bool:
        """Note that ticks came after all; return whether they were missing in a gap that is noted."""
        first, last, count = (detail.get(name) for name in ("first_tick", "last_tick", "count"))
        if not (isinstance(first, int) and isinstance(last, int) and isinstance(count, int)):
            return False
        open_gaps = self._details.get(game_id, {})
        for row, gap in open_gaps.items():
            if gap["after"] < first and last < gap["before"]:
                left = gap["missing"] - count
                healed = {**gap, "missing": max(left, 0), "healed": left <= 0}
                open_gaps[row] = healed
                if left <= 0:
                    del open_gaps[row]
                self._gaps[game_id][row] = cause_text(healed)
                self.heals += 1
                return True
        return False

    def gaps(self, game_id: str) -> dict[int, str]:
        """Return the gaps of a game, by row."""
        return self._gaps.get(game_id, {})

    def trade(self, game_id: str, tick: int, amount: float) -> None:
        """Note what was bought at a tick, or sold, which is below zero."""
        known = self._trades.setdefault(game_id, {})
        known[tick] = known.get(tick, 0.0) + amount
        if len(known) > _TRADES:
            del known[next(iter(known))]
        if len(self._trades) > _GAMES:
            self._trades.popitem(last=False)

    def trades(self, game_id: str) -> dict[int, float]:
        """Return what was bought less what was sold in a game, by tick."""
        return self._trades.get(game_id, {})


def _can_heal(detail: Mapping[str, Any]) -> bool:
    numbers = all(isinstance(detail.get(name), int) for name in ("after", "before", "missing"))
    return numbers and detail.get("healed") is not True


def cause_text(detail: Mapping[str, Any]) -> str:
    """Return why something is missing, how much and for how long, in words.

    Examples
    --------
    >>> cause_text({"cause": "disconnect", "missing": 0, "healed": True})
    'disconnect: healed'
    >>> cause_text({"cause": "stall", "missing": 2, "start": "2031-01-02T00:00:00", "end": "2031-01-02T00:00:05.5"})
    'stall: 2 missing, 5.5 s'
    """
    missing, start, end = (detail.get(name) for name in ("missing", "start", "end"))
    healed = detail.get("healed") is True
    words = [
        "healed" if healed else f"{missing:,} missing" if isinstance(missing, int) else "missing, how much is unknown"
    ]
    try:
        seconds = (parse_time(end) - parse_time(start)).total_seconds()
    except TickError:  # a mark of a server need not say when
        seconds = 0.0
    if seconds >= 0.05:
        words.append(f"{seconds:,.1f} s")
    return f"{detail.get('cause') or 'gap'}: {', '.join(words)}"


def status_words(status: LiveStatus, kept: int) -> dict[str, Any]:
    """Return what a player says of its feed: state, feed, recorder and gaps, each in words.

    Parameters
    ----------
    status : LiveStatus
        How the session is.
    kept : int
        Ticks that are kept in memory at most.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> status = LiveStatus("ws://here", LiveState.LIVE, datetime(2031, 1, 2, tzinfo=UTC), ticks=7)
    >>> status_words(status, 5000)["recorder"]
    'not recorded, the newest 5,000 ticks are in memory'
    """
    state = _WORDS[status.state]
    waits = "" if status.seq is None or status.durable_seq is None else _durable(status.seq - status.durable_seq)
    recorded = f"{status.recorded:,} recorded, {waits}"
    return {
        "state": state,
        "feed": status.feed,
        "why": _why(status, state),
        "recorder": f"not recorded, the newest {kept:,} ticks are in memory" if status.seq is None else recorded,
        "gaps": gaps_text(status),
        "verdict": status.verdict,
    }


def gaps_text(status: LiveStatus) -> str:
    """Return how many gaps there were, and what is missing now, in words.

    Examples
    --------
    >>> from datetime import UTC, datetime
    >>> status = LiveStatus("ws://here", LiveState.LIVE, datetime(2031, 1, 2, tzinfo=UTC), gaps=2, whole=1, missing=3)
    >>> gaps_text(status)
    '2 gaps, 1 healed: 3 ticks missing'
    """
    if not status.gaps and not status.missing:
        return "nothing missing"
    count = count_of(status.gaps, "gap")
    if not status.missing and not status.unknown:
        return f"{count}, healed: nothing missing"
    said = [f"{count_of(status.missing, 'tick')} missing"] if status.missing else []
    if status.healed:
        said.append(f"{status.healed:,} came after all")
    if status.unknown:
        said.append(f"how much is unknown of {status.unknown:,}")
    return f"{count}{f', {status.whole:,} healed' if status.whole else ''}: {', '.join(said)}"


def _why(status: LiveStatus, state: str) -> str:
    if state == "stale":
        return f"nothing has come since {status.since - timedelta(seconds=STALE_SECONDS):%H:%M:%S} UTC"
    shown = state == "reconnecting" or status.state is LiveState.FAILED
    return (status.last_error or "").removeprefix(f"{status.feed}: ") if shown else ""


def _durable(waiting: int) -> str:
    return f"{waiting:,} not yet durable" if waiting > 0 else "all durable"
