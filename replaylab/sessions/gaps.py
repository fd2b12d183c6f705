"""GapLedger: what is missing of a feed, and why; ticks and outages in, marks out. Pure."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Any, Final, NamedTuple

from replaylab.continuity import Continuity
from replaylab.mark import Mark, MarkKind
from replaylab.tick import Phase, Tick

_GAMES: Final = 8  # whose numbers are followed at a time


class Outage(NamedTuple):
    """A time in which nothing could come."""

    cause: str
    start: datetime


class GapLedger:
    """The account of one feed: every outage is one gap, and so is every jump of the numbers without one.

    Attributes
    ----------
    gaps, missing, healed : int
        Gaps there were, ticks that are missing now as far as numbers tell, and ticks that came after all.
    whole, unknown : int
        Of those gaps, those at whose end nothing was missing, and those of which no number tells what is missing.

    Examples
    --------
    >>> from datetime import UTC
    >>> at = datetime(2031, 1, 2, tzinfo=UTC)
    >>> ledger = GapLedger()
    >>> for number in (0, 1, 5):
    ...     marks = ledger.take(Tick("g", number, at, 1, active=True), at)
    >>> marks[0].detail["cause"], marks[0].detail["missing"], ledger.missing
    ('skipped', 3, 3)
    """

    def __init__(self) -> None:
        self.gaps = self.healed = self.whole = self.unknown = 0
        self.outage: Outage | None = None
        self._games: OrderedDict[str, Continuity] = OrderedDict()
        self._forgotten = 0
        self._series = Continuity()  # of the newest game
        self._game_id: str | None = None
        self._tick = -1
        self._over = False

    @property
    def missing(self) -> int:
        """Ticks that are missing now, as far as their numbers tell."""
        return self._forgotten + sum(series.missing for series in self._games.values())

    def lost(self, cause: str, at: datetime) -> None:
        """Note that nothing can come any more; an outage that goes on stays what it was, unless the server was new."""
        if self.outage is None and self._game_id is not None:
            self.outage = Outage(cause, at)
        elif self.outage is not None and cause == "server_restart":  # learnt when it was back, and the reason of it all
            self.outage = self.outage._replace(cause=cause)

    def resumes_after(self, game_id: str, tick: int, at: datetime, cause: str) -> None:
        """Note what an earlier process had received last, and that nothing came since."""
        self._enter(game_id)
        self._series.add(tick)
        self._tick = tick
        self.outage = Outage(cause, at)

    def follows(self, tick: Tick) -> bool:
        """Whether a tick follows the one before it without a gap; it is counted then."""
        series = self._series
        if (
            tick.tick != series.next
            or tick.game_id != self._game_id
            or self.outage is not None
            or tick.rugged
            or not tick.active
        ):
            return False
        series.next += 1
        self._tick = tick.tick
        return True

    def take(self, tick: Tick, at: datetime, *, resumed: bool = False) -> list[Mark]:
        """Count a tick; return the marks that stand before it. `resumed` says that the feed went on exactly."""
        last = (self._game_id, self._tick, self._over)
        if tick.game_id != self._game_id:
            self._enter(tick.game_id)
        series = self._series
        highest = series.next - 1 if series.next > 0 else self._tick if self._game_id == last[0] else -1
        before = series.missing
        rug = tick.rugged and tick.phase != Phase.RUG_EVENT_1
        if rug:
            series.end(tick.tick)
        elif tick.active and not tick.rugged:
            series.add(tick.tick)
        opened, filled = max(series.missing - before, 0), max(before - series.missing, 0)
        self._tick = tick.tick
        self._over = self._over or rug
        marks: list[Mark] = []
        if self.outage is not None:
            marks.append(self._outage_gap(tick, at, last, highest, opened, resumed=resumed))
        elif opened:
            after, end = _around(tick.tick, highest, opened)
            marks.append(self._gap(tick.game_id, at, cause="skipped", after=after, before=end, missing=opened))
        if filled > 0:
            self.healed += filled
            detail = {"first_tick": tick.tick, "last_tick": tick.tick, "count": filled, "by": "late"}
            marks.append(Mark(MarkKind.HEAL, at, tick.game_id, detail=detail))
        return marks

    def close(self, at: datetime, *, resumed: bool = False) -> list[Mark]:
        """Return the gap of an outage that did not end; `resumed` says that the feed went on exactly, and was over."""
        if self.outage is None or self._game_id is None:
            return []
        outage, self.outage = self.outage, None
        healed = self._over or resumed
        missing = 0 if healed else None
        found: dict[str, Any] = {"after": self._tick, "before": None, "missing": missing, "healed": healed}
        return [self._gap(self._game_id, at, outage, **found)]

    def _enter(self, game_id: str) -> None:
        self._game_id, self._tick, self._over = game_id, -1, False
        found = self._games.get(game_id)
        if found is None:
            found = self._games[game_id] = Continuity()
            if len(self._games) > _GAMES:
                _, old = self._games.popitem(last=False)
                self._forgotten += old.missing
        self._series = found

    def _outage_gap(
        self, tick: Tick, at: datetime, last: tuple[str | None, int, bool], highest: int, opened: int, *, resumed: bool
    ) -> Mark:
        outage, self.outage = self.outage, None
        game_id, number, over = last
        if game_id is None or game_id == tick.game_id:
            whole = resumed or not opened
            after, end = _around(tick.tick, highest, opened)
            return self._gap(tick.game_id, at, outage, after=after, before=end, missing=opened, healed=whole)
        missing = 0 if resumed or (over and tick.tick == 0) else None
        found: dict[str, Any] = {"after": number, "before": None, "missing": missing, "healed": missing == 0}
        return self._gap(game_id, at, outage, **found, next_game_id=tick.game_id, next_tick=tick.tick)

    def _gap(self, game_id: str, at: datetime, outage: Outage | None = None, **detail: Any) -> Mark:
        self.gaps += 1
        self.unknown += detail["missing"] is None
        self.whole += detail.get("healed") is True
        start = outage.start if outage else at
        found = {"cause": outage.cause, **detail} if outage else detail
        return Mark(MarkKind.GAP, at, game_id, detail={"healed": False, **found, "start": start, "end": at})


def _around(number: int, highest: int, opened: int) -> tuple[int, int]:
    """Return the numbers around what a tick shows to be missing: below the lowest before it, or above the highest."""
    return (number, number + opened + 1) if opened and number < highest else (highest, number)
