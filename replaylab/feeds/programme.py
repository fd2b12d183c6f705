"""Programme: games one after another as a live feed would bring them, each item with its place, its time and its line.

A place is the number of a game and of an item in it; its `id` names the content too, so that a client that resumes
after it either goes on exactly there, or learns that the content has changed.
"""

from __future__ import annotations

import bisect
import hashlib
import json
import re
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias
from weakref import WeakValueDictionary

from replaylab.clock import NOMINAL_SECONDS
from replaylab.feeds.base import Message
from replaylab.mark import Mark
from replaylab.tick import Tick, microseconds

Pacing: TypeAlias = Literal["recorded", "nominal", "none"]
PACINGS: Final = ("recorded", "nominal", "none")
_NOMINAL_US: Final = int(NOMINAL_SECONDS * 1_000_000)
_BREAK_US: Final = 5_000_000  # longest pause between two games
_PARTS: Final = 16  # games kept encoded, beside those that a reader holds
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ID: Final = re.compile(r"([0-9a-f]{12})-(\d{1,9})\.(\d{1,9})\Z", re.ASCII)


class Listed(NamedTuple):
    """What is known of a game before it is read; times are microseconds since 1970, UTC."""

    game_id: str
    start_us: int
    end_us: int
    content: str


class Source(Protocol):
    """Where the games of a programme come from."""

    @property
    def games(self) -> Sequence[Listed]:
        """The games in the order in which they are played."""

    def read(self, number: int) -> Sequence[Message]:
        """Return the ticks and marks of a game in order."""


class Item(NamedTuple):
    """One thing that a feed brings: its message (None for the line that begins a game), its line, and when."""

    message: Message | None
    line: bytes
    id: str
    due_us: int


class Part(list[Item]):
    """The items of one game; it is kept while a reader holds it."""


class Place(NamedTuple):
    """The place of an item: the number of the game, and of the item in it."""

    game: int
    item: int


class Programme:
    """Games one after another, on a clock of their own that begins at 0.

    Parameters
    ----------
    source : Source
        The games.
    pacing : {"recorded", "nominal", "none"}
        Whether items come as far apart as they were received, a quarter of a second apart, or at once. Between two
        games pass at most 5 s.
    loop : bool
        Whether it begins again at its end; the ids of the games then say which time it is, and their times go on.

    Attributes
    ----------
    epoch : str
        Digest of the selection and of its content.
    """

    def __init__(self, source: Source, pacing: Pacing = "recorded", *, loop: bool = False) -> None:
        self.source = source
        self.pacing = pacing
        self.loop = loop and bool(source.games)
        self.epoch = _digest(source.games, pacing, loop=self.loop)
        self._starts = [0]
        games = source.games
        self._recorded_us = games[-1].end_us - games[0].start_us + _BREAK_US if games else 0
        self._parts: WeakValueDictionary[int, Part] = WeakValueDictionary()
        self._newest: deque[Part] = deque(maxlen=_PARTS)

    def _break_before(self, number: int) -> int:
        games = self.source.games
        if self.pacing == "none":
            return 0
        if number >= len(games):
            return _BREAK_US
        return min(max(games[number].start_us - games[number - 1].end_us, 0), _BREAK_US)

    def __len__(self) -> int:
        """Number of games of one round."""
        return len(self.source.games)

    def items(self, number: int) -> Part:
        """Return the items of a game, encoded once while it is held, or asked for; empty behind the end.

        A caller that goes on in it holds it: then it is made once, however many others are elsewhere.
        """
        known = self._parts.get(number)
        if known is not None:
            return known
        if not len(self) or number < 0 or (not self.loop and number >= len(self)):
            return Part()
        made = self._parts[number] = self._made(number)
        self._newest.append(made)
        return made

    def _made(self, number: int) -> Part:
        lap, place = divmod(number, len(self))
        listed = self.source.games[place]
        begins = self.begins_us(number)
        shift = timedelta(microseconds=lap * self._recorded_us)
        game_id = listed.game_id if not lap else f"{listed.game_id}~{lap + 1}"
        messages = [_moved(one, game_id, shift) if lap else one for one in self.source.read(place)]
        first = messages[0].timestamp if messages else _EPOCH + timedelta(microseconds=listed.start_us)
        opening = {"type": "game_start", "timestamp": first.isoformat(timespec="microseconds"), "game_id": game_id}
        lines = [json.dumps(opening, ensure_ascii=False).encode(), *(one.to_line() for one in messages)]
        dues = self._dues(messages, listed, begins, shift)
        found = Part()
        for item, (message, line, due) in enumerate(zip([None, *messages], lines, dues, strict=True)):
            name = self.id_of(Place(number, item))
            found.append(Item(message, line[:-1] + b', "id": "' + name.encode() + b'"}', name, due))
        return found

    def _dues(self, messages: Sequence[Message], listed: Listed, begins: int, shift: timedelta) -> list[int]:
        """Return when each item comes; never before the one before it."""
        if self.pacing == "none":
            return [begins] * (len(messages) + 1)
        if self.pacing == "nominal":
            return [begins + max(number - 1, 0) * _NOMINAL_US for number in range(len(messages) + 1)]
        found, latest = [begins], begins
        for one in messages:
            at = begins + microseconds(one.timestamp - shift) - listed.start_us
            latest = max(latest, at)
            found.append(latest)
        return found

    def begins_us(self, number: int) -> int:
        """Return when a game begins on the clock of the programme."""
        lap, place = divmod(number, len(self))
        return lap * (self._start(len(self)) if lap else 0) + self._start(place)

    def _start(self, place: int) -> int:
        """Return when a game of the first round begins; games are measured as far as they are asked for."""
        while len(self._starts) <= place:
            number = len(self._starts) - 1
            game = self.source.games[number]
            lasts = {"recorded": game.end_us - game.start_us, "none": 0}.get(self.pacing)
            if lasts is None:
                lasts = len(self.source.read(number)) * _NOMINAL_US
            self._starts.append(self._starts[-1] + lasts + self._break_before(number + 1))
        return self._starts[place]

    def id_of(self, place: Place) -> str:
        """Return the id of a place."""
        return f"{self.epoch}-{place.game}.{place.item}"

    def after(self, name: str) -> Place | None:
        """Return the place that follows an id; None when the id is of other content, or of no item."""
        found = _ID.match(name)
        if found is None or found[1] != self.epoch:
            return None
        place = Place(int(found[2]), int(found[3]))
        count = len(self.items(place.game))
        if not count or place.item >= count:
            return None
        return Place(place.game, place.item + 1) if place.item + 1 < count else Place(place.game + 1, 0)

    def of_game(self, game_id: str) -> Place | None:
        """Return where a game begins."""
        for number, game in enumerate(self.source.games):
            if game.game_id == game_id:
                return Place(number, 0)
        return None

    def of_time(self, at_us: int) -> Place:
        """Return the first item that was received at a time, in microseconds since 1970, or after it."""
        for number, game in enumerate(self.source.games):
            if game.end_us >= at_us:
                messages = self.source.read(number)
                item = next(
                    (n for n, one in enumerate(messages) if microseconds(one.timestamp) >= at_us), len(messages) - 1
                )
                return Place(number, item + 1 if item else 0)
        return Place(len(self), 0)

    def of_clock(self, position_us: int) -> Place:
        """Return the first item that comes at a position of the clock, or after it."""
        if not len(self):
            return Place(0, 0)
        round_us = self._start(len(self)) if self.loop else 0
        lap = position_us // round_us if round_us else 0
        number = lap * len(self)
        while number + 1 < (lap + 1) * len(self) and self.begins_us(number + 1) <= position_us:
            number += 1
        dues = [one.due_us for one in self.items(number)]
        item = bisect.bisect_left(dues, position_us)
        return Place(number, item) if item < len(dues) else Place(number + 1, 0)

    def due_us(self, place: Place) -> int | None:
        """Return when an item comes; None behind the end."""
        items = self.items(place.game)
        return items[place.item].due_us if place.item < len(items) else None

    def next_items(
        self, place: Place, until_us: int | None, most: int, most_bytes: int, end: Place | None = None
    ) -> tuple[list[Item], Place]:
        """Return the items from a place on that come no later than a position, and the place behind them.

        None of them lies at `end` or behind it.
        """
        found: list[Item] = []
        size = 0
        game, item = place
        while len(found) < most and size < most_bytes and (end is None or (game, item) < end):
            items = self.items(game)
            if item >= len(items):
                if not items:
                    break
                game, item = game + 1, 0
                continue
            one = items[item]
            if until_us is not None and one.due_us > until_us:
                break
            found.append(one)
            size += len(one.line) + 1
            item += 1
        return found, Place(game, item)


def _digest(games: Sequence[Listed], pacing: str, *, loop: bool) -> str:
    text = json.dumps([[*game] for game in games] + [[pacing, loop]])
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()


def _moved(message: Message, game_id: str, shift: timedelta) -> Message:
    """Return a message of a later round: of a game of its own, at a later time."""
    at = message.timestamp + shift
    if isinstance(message, Mark):
        return Mark(message.kind, at, game_id, message.lane, message.detail)
    one = message
    return Tick(
        game_id, one.tick, at, one.price, one.phase, one.active, one.rugged, one.cooldown_timer, one.trade_count
    )
