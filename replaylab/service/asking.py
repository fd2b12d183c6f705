"""Asking: what a client of a served feed asks for in its query, and the refusal of what cannot be answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from replaylab.clock import FASTEST, checked_speed
from replaylab.errors import SpeedError, TickError
from replaylab.feeds.answer import ASKED
from replaylab.feeds.programme import PACINGS, Pacing, Place, Programme
from replaylab.feeds.stored import StoredGames
from replaylab.service.pace import Pace
from replaylab.tick import microseconds, parse_time

KNOWN: Final = ASKED
BAD_QUESTION: Final = 4400  # codes of closing: those of HTTP, above 4000
NOT_THERE: Final = 4404
_SESSIONS: Final = 100
_REASON_BYTES: Final = 123  # of a close of a WebSocket
_SHOWN: Final = 24


class Refusal(Exception):
    """A request that is answered with a status, or a code of a WebSocket, and why."""

    def __init__(self, status: int, problem: str, code: int | None = None) -> None:
        self.status = status
        self.code = code
        self.problem = problem
        super().__init__(problem)


class Asked(NamedTuple):
    """What a client asked for.

    Attributes
    ----------
    programme : Programme
        The games, as far apart as was asked for.
    place : Place
        The first item.
    until : Place or None
        The item before which it ends.
    pace : Pace
        Its clock.
    position : str
        The id before the first item.
    shared : bool
        Whether others may have the same clock.
    """

    programme: Programme
    place: Place
    until: Place | None
    pace: Pace
    position: str
    shared: bool = False


class Questions:
    """Reads what clients ask for; programmes and clocks that several share are made once.

    Parameters
    ----------
    source : StoredGames
        The games.
    speed, pacing, loop
        Of clients that ask for nothing else; they share one clock, which begins with the first of them.
    """

    def __init__(self, source: StoredGames, speed: float, pacing: Pacing, *, loop: bool) -> None:
        self.source = source
        self._speed, self._pacing, self._loop = speed, pacing, loop
        self._programmes: dict[tuple[Pacing, bool, tuple[str, ...] | None], Programme] = {}
        self._paces: dict[str, Pace] = {"": Pace(speed)}

    def asked(self, query: Mapping[str, str], last_event_id: str | None = None) -> Asked:
        """Return what a query asks for; raises `Refusal`."""
        unknown = sorted(set(query) - KNOWN)
        if unknown:
            raise Refusal(400, f"no parameter {_short(unknown[0])}; known are {', '.join(sorted(KNOWN))}", BAD_QUESTION)
        pacing: Any = query.get("pacing", self._pacing)
        if pacing not in PACINGS:
            raise Refusal(400, f"pacing must be one of {', '.join(PACINGS)}", BAD_QUESTION)
        loop = query.get("loop", "1" if self._loop else "0")
        if loop not in {"0", "1"}:
            raise Refusal(400, "loop must be 0 or 1", BAD_QUESTION)
        games = tuple(sorted(set(query["games"].split(",")))) if "games" in query else None
        programme = self._programme(pacing, games, loop=loop == "1")
        after = query.get("after") or last_event_id
        place, begins = _first(programme, query.get("from"), after)
        until = _end(programme, query.get("to"))
        if until is not None and after is None and place is not None and until < place:
            raise Refusal(400, "to lies before from: nothing would come", BAD_QUESTION)
        pace = self._pace(query.get("speed"), query.get("session"), pacing)
        if place is None:
            place = programme.of_clock(pace.position_us() or 0)
        elif begins and query.get("speed") is not None and query.get("session") is None:
            pace = Pace(pace.speed, programme.due_us(place) or 0)
        else:
            pace.begin_at(programme.due_us(place) or 0)
        shared = any(pace is one for one in self._paces.values())
        return Asked(programme, place, until, pace, after or programme.id_of(place), shared)

    def _programme(self, pacing: Pacing, games: tuple[str, ...] | None, *, loop: bool) -> Programme:
        key = (pacing, loop, games)
        found = self._programmes.get(key)
        if found is None:
            source = self.source
            if games is not None:
                unknown = sorted(set(games).difference(one.game_id for one in source.games))
                if unknown:
                    raise Refusal(404, f"games: no game {_short(unknown[0])} is served", NOT_THERE)
                source = StoredGames(source.store, games)
            found = Programme(source, pacing, loop=loop)
            if len(self._programmes) < _SESSIONS:
                self._programmes[key] = found
        return found

    def _pace(self, speed: str | None, session: str | None, pacing: Pacing) -> Pace:
        try:
            number = checked_speed(float(speed)) if speed is not None else self._speed
        except (ValueError, SpeedError):
            raise Refusal(400, "speed must be a number from 0.1 to 100", BAD_QUESTION) from None
        if pacing == "none":
            return Pace(FASTEST)
        if speed is None and session is None:
            return self._paces[""]
        if session is None:
            return Pace(number)
        if session not in self._paces and len(self._paces) > _SESSIONS:
            raise Refusal(503, "too many sessions", 1013)
        return self._paces.setdefault(session, Pace(number))


def reason_of(refusal: Refusal) -> str:
    """Return why, in as many bytes as the close of a WebSocket may hold."""
    return refusal.problem.encode()[:_REASON_BYTES].decode(errors="ignore")


def _short(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _first(programme: Programme, begins: str | None, after: str | None) -> tuple[Place | None, bool]:
    """Return where to begin, None for where the clock is, and whether the client chose it."""
    if after is not None:
        place = programme.after(after)
        if place is None and after != programme.id_of(Place(0, 0)):
            raise Refusal(410, "the id is not of this content; begin again with from=start", 4410)
        return place or Place(0, 0), True
    if begins is None:
        return None, False
    if begins == "start":
        return Place(0, 0), True
    found = programme.of_game(begins)
    return found or _of_time(programme, "from", begins), True


def _end(programme: Programme, ends: str | None) -> Place | None:
    """Return the item before which to end: behind the game that was named, or the first of a time."""
    if ends is None:
        return None
    found = programme.of_game(ends)
    return Place(found.game + 1, 0) if found is not None else _of_time(programme, "to", ends)


def _of_time(programme: Programme, name: str, text: str) -> Place:
    try:
        return programme.of_time(microseconds(parse_time(text)))
    except TickError:
        also = "'start', " if name == "from" else ""
        raise Refusal(400, f"{name} must be {also}a game id or a time in ISO 8601", BAD_QUESTION) from None
