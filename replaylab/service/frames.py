"""GameFrames: a programme as the events of the game, in the shapes in which its own server sends them. Pure.

What a recording does not know (connected players, leaderboards, averages) is left out rather than made up.
"""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple

from replaylab.feeds.programme import Item, Place, Programme
from replaylab.mark import Mark, MarkKind
from replaylab.tick import PRESALE_MS, Tick, price_text

UPDATE: Final = "gameStateUpdate"
TRADE: Final = "standard/newTrade"
COUNTDOWN_MS: Final = 15_000
_PARTIAL: Final = 5  # prices that each tick repeats
_HISTORY: Final = 10  # games that a snapshot names
_GAMES: Final = 24
_LONGEST: Final = 100_000  # ticks of a game in a history
_FLAGS: Final = {False: "false", True: "true"}
_AGAIN: Final = 2  # ticks after the rug at which it is broadcast a second time
_TRADE_FIELDS: Final = {"side": "type", "quantity": "qty", "amount": "amount", "leverage": "leverage", "price": "price"}


class Event(NamedTuple):
    """One event: its name and its argument as JSON."""

    name: str
    argument: str


class _Game(NamedTuple):
    """A game as events, by item, and as an entry of the history of later games."""

    game_id: str
    events: Sequence[Sequence[Event]]
    ticks: Sequence[Tick | None]  # by item
    first_due_us: int  # of its first live tick


class GameFrames:
    """The games of a programme as events, encoded once for all clients.

    Parameters
    ----------
    programme : Programme
        The games.
    """

    def __init__(self, programme: Programme) -> None:
        self.programme = programme
        self._games: OrderedDict[int, _Game] = OrderedDict()
        self._entries: OrderedDict[int, str] = OrderedDict()

    def of(self, place: Place) -> Sequence[Event]:
        """Return the events of an item: none for marks that the game's own server does not send."""
        return self._game(place.game).events[place.item]

    def snapshot(self, place: Place) -> Event:
        """Return the snapshot of the game before an item: all its prices so far, and the games before it."""
        game = self._game(place.game)
        ticks = [one for one in game.ticks[: place.item] if one is not None]
        newest = next((one for one in reversed(ticks)), None)
        fields: dict[str, Any] = {
            "active": newest is not None and newest.active,
            "price": newest.price if newest is not None else 1,
            "rugged": newest is not None and newest.rugged,
            "tickCount": newest.tick if newest is not None else 0,
            "cooldownTimer": newest.cooldown_timer if newest is not None else COUNTDOWN_MS,
            "cooldownPaused": False,
            "pauseMessage": "",
            "allowPreRoundBuys": False,
            "gameId": game.game_id,
            "gameVersion": "v3",
            "prices": _prices(ticks),
        }
        return Event(UPDATE, _text(fields, gameHistory=self._history(place.game)))

    def countdown(self, number: int, left_ms: int) -> Event:
        """Return the event that is sent each 100 ms before a game."""
        fields = {
            "gameId": self._game(number).game_id,
            "cooldownTimer": max(left_ms, 0),
            "cooldownPaused": False,
            "allowPreRoundBuys": left_ms <= PRESALE_MS,
        }
        return Event(UPDATE, _text(fields))

    def first_due_us(self, place: Place) -> int | None:
        """Return when the first live tick of a game comes, None when it lies before a place."""
        game = self._game(place.game)
        begun = any(one is not None and (one.active or one.rugged) for one in game.ticks[: place.item])
        return None if begun else game.first_due_us

    def tick_before(self, place: Place) -> int | None:
        """Return the item of the newest live tick before a place of a game."""
        ticks = self._game(place.game).ticks
        live = (n for n in range(place.item - 1, -1, -1) if (one := ticks[n]) is not None and one.active)
        return next(live, None)

    def _game(self, number: int) -> _Game:
        known = self._games.get(number)
        if known is not None:
            self._games.move_to_end(number)
            return known
        made = self._games[number] = self._made(number)
        while len(self._games) > _GAMES:
            self._games.popitem(last=False)
        return made

    def _made(self, number: int) -> _Game:
        items = self.programme.items(number)
        first = next((one.message for one in items if one.message is not None), None)
        game_id = (first.game_id if first is not None else None) or json.loads(items[0].line)["game_id"]
        events: list[list[Event]] = []
        prices: dict[int, str] = {}
        over = False
        for item in items:
            message = item.message
            found: list[Event] = []
            if message is None:
                found.append(Event(UPDATE, self._opening(number, game_id)))
            elif isinstance(message, Tick) and not over:
                over = message.rugged
                if (message.active or message.rugged) and message.price is not None:
                    prices[message.tick] = price_text(message.price)
                found.append(Event(UPDATE, _tick_text(message, prices)))
                if over:
                    more = {"gameVersion": '"v3"', "gameHistory": self._history(number, self._entry(number, items))}
                    found.append(Event(UPDATE, _tick_text(message, prices, number=message.tick + _AGAIN, **more)))
            elif isinstance(message, Mark) and message.kind is MarkKind.TRADE:
                found.append(Event(TRADE, _text(_trade_fields(message))))
            events.append(found)
        ticks = [one.message if isinstance(one.message, Tick) else None for one in items]
        live = (n for n, one in enumerate(ticks) if one is not None and one.active and not one.rugged)
        return _Game(game_id, events, ticks, items[next(live, len(items) - 1)].due_us)

    def _opening(self, number: int, game_id: str) -> str:
        fields: dict[str, Any] = {
            "active": False,
            "price": 1,
            "rugged": False,
            "tickCount": 0,
            "cooldownTimer": COUNTDOWN_MS,
            "cooldownPaused": False,
            "pauseMessage": "",
            "allowPreRoundBuys": False,
            "gameId": game_id,
            "gameVersion": "v3",
            "partialPrices": {"startTick": 0, "endTick": 0, "values": {}},
        }
        return _text(fields, gameHistory=self._history(number))

    def _history(self, number: int, newest: str | None = None) -> str:
        """Return the games before one, the newest first, as JSON; `newest` is the game itself, when it is over."""
        entries = [] if newest is None else [newest]
        for before in range(number - 1, max(number - 1 - _HISTORY, -1), -1):
            if before not in self._entries:
                self._keep_entry(before, self._entry(before, self.programme.items(before)))
            entries.append(self._entries[before])
        return f"[{','.join(entries[:_HISTORY])}]"

    def _keep_entry(self, number: int, entry: str) -> None:
        self._entries[number] = entry
        while len(self._entries) > _GAMES:
            self._entries.popitem(last=False)

    def _entry(self, number: int, items: Sequence[Item]) -> str:
        """Return a game as an entry of a history; the seed is there when the recording has it."""
        if number in self._entries:
            return self._entries[number]
        messages = [item.message for item in items if item.message is not None]
        ticks: list[Tick] = []
        for one in messages:
            if isinstance(one, Tick) and (one.active or one.rugged) and not (ticks and ticks[-1].rugged):
                ticks.append(one)
        peak = max((one.price for one in ticks if one.price is not None), default=None)
        fields: dict[str, Any] = {
            "id": messages[0].game_id if messages else json.loads(items[0].line)["game_id"],
            "timestamp": int(messages[-1].timestamp.timestamp() * 1000) if messages else 0,
            "prices": _prices(ticks),
            "peakMultiplier": peak,
            "rugged": any(one.rugged for one in ticks),
            "gameVersion": "v3",
        }
        proofs = (one.detail for one in messages if isinstance(one, Mark) and one.kind is MarkKind.HISTORY)
        proof = next((one for one in proofs if isinstance(one.get("seed"), str)), None)
        if proof is not None:
            fields["gameVersion"] = proof.get("version", "v3")
            fields["provablyFair"] = {"serverSeed": proof["seed"], "serverSeedHash": proof.get("seed_hash")}
        return _text(fields)


def _tick_text(tick: Tick, prices: Mapping[int, str], *, number: int | None = None, **raw: str) -> str:
    """Return the frame of a tick as JSON, with the prices of the last ticks; `number` may stand for its own."""
    numbers = [n for n in range(max(0, tick.tick - _PARTIAL + 1), tick.tick + 1) if n in prices]
    values = ",".join(f'"{n}":{prices[n]}' for n in numbers)
    price = "null" if tick.price is None else price_text(tick.price)
    first = numbers[0] if numbers else 0
    more = "".join(f',"{name}":{text}' for name, text in raw.items())
    return (
        f'{{"active":{_FLAGS[tick.active]},"price":{price},"partialPrices":{{"startTick":{first},'
        f'"endTick":{tick.tick},"values":{{{values}}}}},"tradeCount":{tick.trade_count},'
        f'"rugged":{_FLAGS[tick.rugged]},"tickCount":{tick.tick if number is None else number},'
        f'"cooldownTimer":{tick.cooldown_timer},"cooldownPaused":false,"pauseMessage":"","allowPreRoundBuys":false,'
        f'"gameId":{json.dumps(tick.game_id)}{more}}}'
    )


def _trade_fields(mark: Mark) -> dict[str, Any]:
    found: dict[str, Any] = {"gameId": mark.game_id}
    found |= {theirs: mark.detail[ours] for ours, theirs in _TRADE_FIELDS.items() if ours in mark.detail}
    if "tick" in mark.detail:
        found["tickIndex"] = mark.detail["tick"]
    return found


def _prices(ticks: Iterable[Tick]) -> list[Decimal | None]:
    """Return prices by tick; null where a recording lacks one, and beyond what a game can be long."""
    known = {one.tick: one.price for one in ticks if one.tick < _LONGEST}
    return [known.get(n) for n in range(max(known, default=-1) + 1)]


def _text(fields: Mapping[str, Any], **raw: str) -> str:
    """Return JSON with exact numbers; `raw` holds members that are JSON already."""
    parts = [f'"{name}":{_value(value)}' for name, value in fields.items()]
    parts += [f'"{name}":{text}' for name, text in raw.items()]
    return f"{{{','.join(parts)}}}"


def _value(value: Any) -> str:
    match value:
        case Decimal():
            return price_text(value)
        case dict():
            return _text(value)
        case list():
            return f"[{','.join(map(_value, value))}]"
        case _:
            return json.dumps(value)
