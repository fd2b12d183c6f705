"""GameFrames: a recording in the shapes of the game's own server; read again it is the recording."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from replaylab.feeds.base import Message
from replaylab.feeds.programme import Listed, Place, Programme
from replaylab.feeds.rugs import RugsReader
from replaylab.mark import Mark, MarkKind
from replaylab.service.frames import GameFrames
from replaylab.tick import Tick

AT = datetime(2031, 1, 2, tzinfo=UTC)


def played(game_id: str, length: int, *, start: datetime = AT) -> list[Tick]:
    """A game of live ticks, and its rug."""
    return [
        Tick(
            game_id,
            n,
            start + n * timedelta(milliseconds=250),
            Decimal(1) + Decimal(n * 7919).scaleb(-16),
            active=True,
            rugged=n == length - 1,
            trade_count=n * 2,
        )
        for n in range(length)
    ]


class Games:
    """Games as the source of a programme."""

    def __init__(self, *games: Sequence[Message]) -> None:
        self._of = games
        self.games = [
            Listed(
                str(game[0].game_id),
                int(game[0].timestamp.timestamp() * 1e6),
                int(game[-1].timestamp.timestamp() * 1e6),
                str(len(game)),
            )
            for game in games
        ]

    def read(self, number: int) -> Sequence[Message]:
        """The messages of a game."""
        return self._of[number]


def frames_of(*games: Sequence[Message]) -> GameFrames:
    """Frames of games one after another."""
    return GameFrames(Programme(Games(*games)))


def told(text: str) -> dict[str, Any]:
    """An event's argument, numbers exact."""
    found: dict[str, Any] = json.loads(text, parse_float=Decimal)
    return found


def test_a_tick_repeats_the_last_five_prices() -> None:
    """A tick has the fields of the game's own frame, and all digits of its price."""
    game = played("g", 9)
    (event,) = frames_of(game).of(Place(0, 8))
    frame = told(event.argument)
    assert event.name == "gameStateUpdate"
    assert (frame["tickCount"], frame["price"], frame["active"], frame["rugged"]) == (7, game[7].price, True, False)
    assert list(frame["partialPrices"]["values"]) == ["3", "4", "5", "6", "7"]
    assert (frame["tradeCount"], frame["gameId"], frame["cooldownTimer"]) == (14, "g", 0)


def test_the_rug_is_broadcast_twice() -> None:
    """The second broadcast counts on, keeps the price, and brings the history, the game itself first."""
    first, second = frames_of(played("a", 4), played("b", 5)).of(Place(1, 5))
    rug, again = told(first.argument), told(second.argument)
    assert (rug["tickCount"], again["tickCount"], again["price"] == rug["price"]) == (4, 6, True)
    assert "gameHistory" not in rug
    assert [game["id"] for game in again["gameHistory"]] == ["b", "a"]
    assert [len(game["prices"]) for game in again["gameHistory"]] == [5, 4]
    assert again["gameHistory"][0]["peakMultiplier"] == max(tick.price for tick in played("b", 5) if tick.price)


def test_the_next_game_opens_with_the_history() -> None:
    """The first frame of a game has no tick, and names the games before it."""
    (event,) = frames_of(played("a", 4), played("b", 5)).of(Place(1, 0))
    frame = told(event.argument)
    assert (frame["active"], frame["gameId"], [game["id"] for game in frame["gameHistory"]]) == (False, "b", ["a"])


def test_before_a_game_it_counts_down() -> None:
    """A countdown has no price; in its last ten seconds buying ahead is open."""
    frames = frames_of(played("a", 4))
    early, late = told(frames.countdown(0, 14_900).argument), told(frames.countdown(0, 9_900).argument)
    assert set(early) == {"gameId", "cooldownTimer", "cooldownPaused", "allowPreRoundBuys"}
    assert (early["cooldownTimer"], early["allowPreRoundBuys"], late["allowPreRoundBuys"]) == (14_900, False, True)


def test_a_snapshot_holds_all_prices_so_far_and_nothing_that_a_recording_lacks() -> None:
    """What was not recorded is null in the list of prices, at its place."""
    game = [tick for tick in played("a", 9) if tick.tick != 3]
    frame = told(frames_of(game).snapshot(Place(0, 7)).argument)
    assert [price is None for price in frame["prices"]] == [False] * 3 + [True] + [False] * 3
    assert (frame["tickCount"], frame["rugged"], frame["gameVersion"]) == (6, False, "v3")


def test_a_trade_has_no_person() -> None:
    """A trade is sent with what was recorded of it."""
    detail = {"side": "buy", "quantity": Decimal("0.030389477"), "leverage": 4, "price": Decimal("1.5"), "tick": 2}
    game: list[Message] = [*played("a", 3)[:2], Mark(MarkKind.TRADE, AT, "a", detail=detail), *played("a", 3)[2:]]
    (event,) = frames_of(game).of(Place(0, 3))
    assert event.name == "standard/newTrade"
    assert told(event.argument) == {
        "gameId": "a",
        "type": "buy",
        "qty": Decimal("0.030389477"),
        "leverage": 4,
        "price": Decimal("1.5"),
        "tickIndex": 2,
    }


def test_a_seed_that_was_recorded_is_sent_again() -> None:
    """A history mark with a seed makes the entry of the game provable."""
    game: list[Message] = [*played("a", 3)]
    game.append(Mark(MarkKind.HISTORY, AT, "a", detail={"seed": "s" * 64, "seed_hash": "h" * 64, "version": "v3"}))
    (event,) = frames_of(game, played("b", 3)).of(Place(1, 0))
    assert told(event.argument)["gameHistory"][0]["provablyFair"] == {
        "serverSeed": "s" * 64,
        "serverSeedHash": "h" * 64,
    }


def test_what_is_sent_is_read_as_it_was_recorded() -> None:
    """Every game comes back: each tick once, in order, its price and its flags equal, the histories equal."""
    games = [played(f"game-{n}", 20 + n) for n in range(14)]
    frames = frames_of(*games)
    reader = RugsReader()
    found: list[Message] = []
    for number, game in enumerate(games):
        for item in range(len(game) + 1):
            for event in frames.of(Place(number, item)):
                found += reader.take(event.name, event.argument.encode(), AT)
    ticks = [one for one in found if isinstance(one, Tick)]
    expected = [tick for game in games for tick in game]
    same = ("game_id", "tick", "price", "active", "rugged", "cooldown_timer", "trade_count")
    assert [[getattr(one, name) for name in same] for one in ticks] == [
        [getattr(one, name) for name in same] for one in expected
    ]
    histories = [one for one in found if isinstance(one, Mark) and one.kind == "history"]
    assert [one.detail["equal"] for one in histories] == [True] * len(games)
    assert not reader.refused
