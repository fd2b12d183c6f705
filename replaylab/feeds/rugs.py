"""RugsReader: the events of the game to ticks and marks. Driven by frames, it knows no socket and no clock.

A frame holds only what changed, so the flags of a game are carried forward. Ticks that were missed come from three
places: the last five prices that each tick repeats (`partialPrices`), all prices so far in the snapshot that follows a
connection (`prices`), and the prices of a finished game (`gameHistory`). The snapshot arrives after the first tick, so
ticks are held for a moment after connecting, to keep their order.
"""

from __future__ import annotations

import re
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import msgspec

from replaylab.errors import FeedMalformed, SeedError, TickError
from replaylab.feeds.base import Message
from replaylab.feeds.rugs_wire import (
    TRADE,
    UPDATE,
    Fair,
    Finished,
    Update,
    history_of,
    plain,
    trade_of,
    update_of,
)
from replaylab.mark import Mark, MarkKind
from replaylab.tick import PRESALE_MS, Phase, Tick, checked_int, checked_price, checked_text

SETTLE_SECONDS: Final = 1.0
_GAMES: Final = 12  # kept: more than a history names
_SHOWN: Final = 20  # ticks that a mark names
_NAME: Final = re.compile(r"[\w:/.-]{1,64}\Z", re.ASCII)  # of an event; anything else might be text that a person wrote
_SIDES: Final = frozenset({"buy", "sell", "short_open", "short_close"})


class _Seen:
    """What is known of one game."""

    __slots__ = (
        "active",
        "again",
        "cooldown",
        "game_id",
        "hash",
        "highest",
        "phase",
        "prices",
        "proven",
        "rug_tick",
        "rugged",
        "trades",
    )

    def __init__(self, game_id: str) -> None:
        self.game_id = game_id
        self.prices: dict[int, Decimal] = {}
        self.highest = -1
        self.active = self.rugged = self.again = self.proven = False
        self.cooldown = self.trades = 0
        self.rug_tick: int | None = None
        self.phase: str | None = None
        self.hash: str | None = None


class RugsReader:
    """Events of the game in, ticks and marks out, in order.

    Parameters
    ----------
    trades : bool
        Whether trades become marks: side, quantity, amount, leverage, price and tick; never who made them.
    from_history : bool
        Whether ticks that are still missing when a game is over are taken from `gameHistory`, games that were missed
        whole included; they come after the rug then.
    count : callable, optional
        Called with a reason for everything that is not used.

    Examples
    --------
    >>> from datetime import UTC
    >>> reader, at = RugsReader(), datetime(2031, 1, 2, tzinfo=UTC)
    >>> frame = b'{"gameId": "g", "tickCount": 7, "price": 1.02, "active": true, "rugged": false}'
    >>> [str(one.price) for one in reader.take("gameStateUpdate", frame, at) if isinstance(one, Tick)]
    ['1.02']
    """

    def __init__(
        self, *, trades: bool = False, from_history: bool = True, count: Callable[[str], object] | None = None
    ) -> None:
        self.refused: Counter[str] = Counter()
        self.holds_until: datetime | None = None
        self._trades = trades
        self._from_history = from_history
        self._count = count or (lambda reason: self.refused.update((reason,)))
        self._games: OrderedDict[str, _Seen] = OrderedDict()
        self._held: list[Tick] = []

    def connected(self, at: datetime) -> None:
        """Begin to hold ticks: the snapshot that puts them in order comes a frame late."""
        self._held.clear()
        self.holds_until = at + timedelta(seconds=SETTLE_SECONDS)

    def settled(self, at: datetime) -> list[Message]:
        """Return the ticks held, when they have been held long enough."""
        if self.holds_until is None or at < self.holds_until:
            return []
        return self._released()

    def take(self, event: str, raw: bytes | msgspec.Raw, at: datetime) -> list[Message]:
        """Return what one event brought, received at a time; what is wrong with it is counted, never raised."""
        found = self.settled(at)
        try:
            if event == UPDATE:
                found += self._update(update_of(raw), at)
            elif event == TRADE and self._trades:
                found.append(_trade(raw, at))
            else:
                self._count(f"event:{event}" if _NAME.match(event) else "event:other")
        except (FeedMalformed, TickError) as error:
            self._count(error.reason)
        return found

    def _update(self, update: Update, at: datetime) -> list[Message]:
        if update.gameId is None:
            raise FeedMalformed("no_game_id", "an update without a game")
        game = self._game(update.gameId)
        found: list[Message] = []
        if _priced(update):
            ticks, by = self._ticks(game, update, at)
            _carry(game, update)
            self._tell_phase(game, update, at, found)
            found += self._kept_in_order(game, ticks, by, update, at)
        else:
            _carry(game, update)
            self._tell_phase(game, update, at, found)
        if update.gameHistory:
            try:
                found += self._finished(update, game.game_id, at)
            except (FeedMalformed, TickError) as error:  # what is wrong in a history costs no tick
                self._count(error.reason)
        return found

    def _game(self, game_id: str) -> _Seen:
        game = self._games.get(game_id)
        if game is None:
            game = self._games[checked_text("gameId", game_id)] = _Seen(game_id)
            while len(self._games) > _GAMES:
                self._games.popitem(last=False)
        return game

    def _ticks(self, game: _Seen, update: Update, at: datetime) -> tuple[list[Tick], str | None]:
        """Return the new ticks of a frame in order, and what healed some of them."""
        number = checked_int("tickCount", update.tickCount, 0)
        rugged = game.rugged if update.rugged is None else update.rugged
        own: tuple[int, Decimal] | None = None
        if rugged and game.rug_tick is None:
            rug = _rug_tick(update, number)
            if rug is None:
                self._count("rug_tick_unknown")
            else:
                own = rug, plain(update.price)
        elif not rugged:
            own = number, plain(update.price)
        end = own[0] if own else game.highest + 1
        healed = self._missing(game, update, end)
        ticks = [_tick(game, update, n, price, at, rugged=False) for n, price in healed]
        if own is not None:
            known = game.prices.get(own[0])
            if known is not None and known == own[1] and not rugged:
                self._count("duplicate")
            else:
                ticks.append(_tick(game, update, *own, at, rugged=rugged))
                if rugged:
                    game.rug_tick = own[0]
        for tick in ticks:
            game.prices[tick.tick] = checked_price(tick.price)
            game.highest = max(game.highest, tick.tick)
        by = None if not healed else "snapshot" if update.prices else "partial"
        return ticks, by

    def _missing(self, game: _Seen, update: Update, end: int) -> list[tuple[int, Decimal]]:
        """Return ticks before `end` that a frame repeats and that have not been seen, in order."""
        found: dict[int, Decimal] = {}
        if update.prices:
            found = {n: one for n, one in enumerate(update.prices) if one is not None and n < end}
        if update.partialPrices is not None:
            for text, price in update.partialPrices.values.items():
                if text.isdecimal() and len(text) < 10 and int(text) < end:
                    found.setdefault(int(text), price)
        seen = game.prices
        return sorted((n, plain(price)) for n, price in found.items() if n not in seen)

    def _kept_in_order(
        self, game: _Seen, ticks: list[Tick], by: str | None, update: Update, at: datetime
    ) -> list[Message]:
        healed = ticks[: -1 if _own_is_last(ticks, update, game) else len(ticks)] if by else []
        marks: list[Message] = [_heal(game, healed, by, at)] if by and healed else []
        if self.holds_until is None:
            return [*ticks, *marks]
        self._held += ticks
        return [*self._released(), *marks] if update.prices else marks

    def _released(self) -> list[Message]:
        """Return the ticks held, game after game and in order, and hold no more."""
        place = {game_id: number for number, game_id in enumerate(self._games)}
        held = sorted(self._held, key=lambda tick: (place.get(tick.game_id, -1), tick.tick))
        self._held, self.holds_until = [], None
        return list(held)

    def _tell_phase(self, game: _Seen, update: Update, at: datetime, found: list[Message]) -> None:
        """Add a mark when a game has gone on to another phase."""
        phase = _phase(game, update)
        if phase is not None and phase != game.phase:
            game.phase = phase
            found.append(Mark(MarkKind.PHASE, at, game.game_id, detail={"phase": phase, "tick": max(game.highest, 0)}))
        elif game.rugged and not game.again and update.gameHistory:
            game.again = True
            detail = {"phase": "rug_event_1", "tick": update.tickCount}
            found.append(Mark(MarkKind.PHASE, at, game.game_id, detail=detail))

    def _finished(self, update: Update, current: str, at: datetime) -> list[Message]:
        """Compare games that are over with what was received of them, and fill in what is missing."""
        found: list[Message] = []
        after_known = False
        for entry in reversed(history_of(update.gameHistory)):  # the newest game stands first
            known = entry.id in self._games
            after_known = after_known or (known and entry.id != current)
            if not known and not after_known:
                continue
            if entry.id == current and not (update.rugged or self._games[current].rugged):
                continue
            game = self._game(entry.id)
            if not game.proven:
                game.proven = True
                try:
                    found += self._compared(game, entry, at)
                except (FeedMalformed, TickError) as error:
                    self._count(error.reason)
        return found

    def _compared(self, game: _Seen, entry: Finished, at: datetime) -> list[Message]:
        told = [plain(price) for price in entry.prices or ()]
        last = len(told) - 1
        differ = [n for n, price in enumerate(told) if price is not None and game.prices.get(n, price) != price]
        compared = sum(n in game.prices for n in range(len(told)))
        late: list[Tick] = []
        if self._from_history:
            for n, price in enumerate(told):
                if price is not None and n not in game.prices:
                    late.append(_tick(game, Update(active=True), n, price, at, rugged=n == last))
        for tick in late:
            game.prices[tick.tick] = checked_price(tick.price)
            game.highest = max(game.highest, tick.tick)
            game.rug_tick = tick.tick if tick.rugged and game.rug_tick is None else game.rug_tick
        found: list[Message] = list(late)
        if late:
            found.append(_heal(game, late, "history", at))
        detail: dict[str, Any] = {"compared": compared, "equal": not differ if compared else None}
        if differ:
            detail |= {"differ": differ[:_SHOWN], "differ_count": len(differ)}
        detail |= self._proof(game, entry)
        game.prices = {}
        return [*found, Mark(MarkKind.HISTORY, at, game.game_id, detail=detail)]

    def _proof(self, game: _Seen, entry: Finished) -> dict[str, Any]:
        """Return the seed, when it is the one that the game had committed itself to, and whether the prices follow."""
        fair = entry.provablyFair or Fair()
        if fair.serverSeed is None:
            return {}
        from replaylab.fair import Seed, verify  # numpy and the store are loaded when the first game is over

        told = game.hash or fair.serverSeedHash
        version = entry.gameVersion or fair.version or "v3"
        prices = [game.prices.get(n) for n in range(game.highest + 1)] if game.prices else []
        try:
            seed = Seed(game.game_id, fair.serverSeed, told, version)
            proof = verify({"id": game.game_id, "prices": prices}, seed, server_seed_hash=told)
        except SeedError:
            self._count("bad_seed")
            return {"fair": None}
        if not proof.committed:
            self._count("bad_seed")
            return {"fair": False}
        found = {"seed": fair.serverSeed, "seed_hash": proof.commitment, "version": version}
        return {**found, "fair": proof.ok if prices else None}


def _priced(update: Update) -> bool:
    """Whether a frame holds a tick: what a countdown shows, and the price before a game, is none."""
    return update.price is not None and update.tickCount is not None and bool(update.active or update.rugged)


def _carry(game: _Seen, update: Update) -> None:
    """Keep the fields of the game that a frame has, for the frames that lack them."""
    if update.active is not None:
        game.active = update.active
    if update.rugged is not None:
        game.rugged = update.rugged
    if update.cooldownTimer is not None:
        game.cooldown = update.cooldownTimer
    if update.tradeCount is not None:
        game.trades = update.tradeCount
    if update.provablyFair is not None and game.hash is None:
        game.hash = update.provablyFair.serverSeedHash


def _rug_tick(update: Update, number: int) -> int | None:
    """Return R from a rugged frame: its newest price is that of the rug, though a later broadcast counts on."""
    values = update.partialPrices.values if update.partialPrices else {}
    numbers = [int(text) for text in values if text.isdecimal() and len(text) < 10]
    if numbers and update.price == values.get(str(max(numbers))):
        return max(numbers)
    return None if update.gameHistory else number


def _own_is_last(ticks: list[Tick], update: Update, game: _Seen) -> bool:
    return bool(ticks) and ticks[-1].tick in {update.tickCount, game.rug_tick}


def _tick(game: _Seen, update: Update, number: int, price: Decimal, at: datetime, *, rugged: bool) -> Tick:
    active = game.active if update.active is None else update.active
    cooldown = game.cooldown if update.cooldownTimer is None else update.cooldownTimer
    trades = game.trades if update.tradeCount is None else update.tradeCount
    phase = Phase.of(active=active, rugged=rugged, tick=number, cooldown_timer=cooldown)
    return Tick(game.game_id, number, at, price, phase, active, rugged, cooldown, trades)


def _phase(game: _Seen, update: Update) -> str | None:
    if game.rugged:
        return "rugged"
    if game.active:
        return "active"
    if update.cooldownPaused:
        return "paused"
    if game.cooldown <= 0:
        return None
    if update.allowPreRoundBuys is not None:
        return "presale" if update.allowPreRoundBuys else "cooldown"
    return "presale" if game.cooldown <= PRESALE_MS else "cooldown"


def _heal(game: _Seen, ticks: Iterable[Tick], by: str, at: datetime) -> Mark:
    numbers = [tick.tick for tick in ticks]
    detail = {"first_tick": min(numbers), "last_tick": max(numbers), "count": len(numbers), "by": by}
    return Mark(MarkKind.HEAL, at, game.game_id, detail=detail)


def _trade(raw: bytes | msgspec.Raw, at: datetime) -> Mark:
    trade = trade_of(raw)
    if trade.type not in _SIDES:
        raise FeedMalformed("unknown_side", "a trade that neither buys nor sells")
    numbers = {"quantity": trade.qty, "amount": trade.amount, "leverage": trade.leverage, "price": trade.price}
    detail: dict[str, Any] = {"side": trade.type}
    detail |= {name: plain(number) for name, number in numbers.items() if number is not None}
    if trade.tickIndex is not None:
        detail["tick"] = checked_int("tickIndex", trade.tickIndex, 0)
    return Mark(MarkKind.TRADE, at, checked_text("gameId", trade.gameId), detail=detail)
