"""Trader: runs a strategy over games, tick by tick; the same in a backtest, in a replay and on a live feed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, Final, NamedTuple, Protocol, Self

from replaylab.analysis.backtests.account import Account, Rules
from replaylab.analysis.backtests.orders import Bet, Buy, Cancel, Placed, Sell, When
from replaylab.analysis.backtests.strategy import decider
from replaylab.analysis.backtests.tape import Tape, Word, exact_price
from replaylab.analysis.backtests.waiting import Waiting
from replaylab.errors import LookAhead, OrderRefused, StrategyError
from replaylab.playback.event import Event, Mode, Step
from replaylab.tick import Phase

_ORDERS: Final = (Buy, Sell, Bet, When, Cancel)
_AT_ONCE: Final = (Buy, Sell, Bet)
_log = logging.getLogger("replaylab.backtest")


class Failure(NamedTuple):
    """One game in which a strategy raised: it gave no order from there on, what was open ran to the end."""

    game_id: str
    tick: int
    reason: str


class Played(NamedTuple):
    """Games that were played, one entry each: their live ticks, the balance after them, whether a rug ended them."""

    game_id: list[str]
    ticks: list[int]
    balance: list[Decimal]
    rugged: list[bool]

    def copy(self) -> Played:
        """Return the same games in lists of their own."""
        return Played(list(self.game_id), list(self.ticks), list(self.balance), list(self.rugged))


class Engine(Protocol):
    """Source of ticks: a `ReplayEngine`, with a stored game or a live one."""

    def on(self, kind: str, callback: Callable[[Any], object], /) -> Any:
        """Subscribe a callback to events of a kind; returns an object with `cancel`."""


class Trader:
    """A strategy with its account, led through games one tick at a time.

    Parameters
    ----------
    strategy : function or class
        See `replaylab.analysis.backtests.strategy`.
    rules : Rules, optional
        What is allowed, and the bankroll.
    strict : bool
        Raise `StrategyError` where the strategy raises, and `OrderRefused` where an order is refused.

    Examples
    --------
    >>> trader = Trader(lambda tape, account: Buy("0.1") if tape.now == 0 else None, Rules(min_bet="0.01", max_bet=1))
    >>> trader.begin("g")
    >>> trader.see(0, 1.0)
    >>> trader.see(1, 1.5)
    >>> trader.rug(2, Decimal("0.02"))
    >>> trader.account.balance, trader.played.ticks
    (Decimal('0.902000000000000000'), [2])
    """

    def __init__(self, strategy: Any, rules: Rules | None = None, *, strict: bool = False) -> None:
        self.strategy, self._decide = decider(strategy)
        self._begin = getattr(self.strategy, "begin", None)
        self.account = Account(Rules() if rules is None else rules, strict=strict)
        self.tape = Tape("")
        self._waiting = Waiting(self.account)
        self.failures: list[Failure] = []
        self.played = Played([], [], [], [])
        self._strict = strict
        self._open = self._alive = False
        self._now, self._ticks = -1, 0  # kept here too: the strategy can modify the tape

    def so_far(self) -> tuple[int, int]:
        """Return the games that are played and the newest tick: what changes as long as the strategy returns."""
        return len(self.played.game_id), self._now

    def begin(self, game_id: str) -> None:
        """Begin a game; one that is still open ends as a record without a rug does."""
        self.end()
        self.tape = Tape(game_id)
        self.account.open(game_id)
        self._waiting = Waiting(self.account)
        self._open = self._alive = True
        self._now, self._ticks = -1, 0
        if self._begin is not None:
            try:
                self._begin(game_id)
            except Exception as error:  # noqa: BLE001  user code may raise anything
                self._fail(error)

    def see(self, tick: int, value: float, word: Word = None) -> None:
        """Process the next live tick and execute the strategy's orders; without a price (NaN) only time advances."""
        tape, account = self.tape, self.account
        self._now = tick
        self._ticks += 1
        if account.bet is not None:
            account.live(tick)
        if value != value:  # noqa: PLR0124  NaN test, faster than isnan
            return
        waiting = self._waiting
        if waiting:
            waiting.see(tick, exact_price(value, word))
        tape.push(tick, value, word)
        if not self._alive:
            return
        try:
            answer = self._decide(tape, account)
            if answer is None:
                return
            price = exact_price(value, word)
            for order in (answer,) if isinstance(answer, _ORDERS) else _several(answer):
                if isinstance(order, _AT_ONCE) and not account.rules.latency and not waiting:
                    account.execute(order, tick, price)
                else:
                    waiting.place(_placed(order), tick, price)
        except Exception as error:  # noqa: BLE001  user code may raise anything
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        """Record that the strategy raised: it is not called again in this game."""
        self._alive = False
        if isinstance(error, LookAhead) or (self._strict and isinstance(error, OrderRefused)):
            raise error
        reason = f"{type(error).__name__}: {error}"
        if self._strict:
            raise StrategyError(self.tape.game_id, self._now, reason) from error
        _log.debug("strategy raised in game %s at tick %d", self.tape.game_id, self._now, exc_info=error)
        self.failures.append(Failure(self.tape.game_id, self._now, reason))

    def rug(self, tick: int, price: Decimal | None) -> None:
        """End the game with its rug."""
        if self._open:
            self._waiting.end(self._now)
            self.account.rug(tick, price)
            self._done(rugged=True)

    def end(self, price: Decimal | None = None) -> None:
        """End the game without a rug, when one is open; see `Account.void` for what is held or staked."""
        if self._open:
            self.account.live(self._now)
            self._waiting.end(self._now)
            self.account.void(price)
            self._done(rugged=False)

    def _done(self, *, rugged: bool) -> None:
        self._open = self._alive = False
        played = self.played
        played.game_id.append(self.tape.game_id)
        played.ticks.append(self._ticks)
        played.balance.append(self.account.balance)
        played.rugged.append(rugged)

    def follow(self, engine: Engine) -> Following:
        """Trade what an engine shows: every live tick of a stored game as it is played, or of a live one as it comes.

        A tick that was seen, or that comes after a later one, is skipped, as the past cannot be traded; so in a
        recording whose ticks are not in order a replay sees fewer of them than a backtest.

        Returns
        -------
        Following
            Its `cancel` ends it; what is open then stays open until `end` is called.

        Examples
        --------
        >>> from replaylab.playback.engine import ReplayEngine
        >>> from replaylab.tick import Tick
        >>> game = [Tick(game_id="g", tick=n, timestamp=f"2031-01-02T03:04:0{n}", price=1 + n, active=True)
        ...         for n in range(3)]
        >>> rules = Rules(min_bet="0.01", max_bet=1)
        >>> trader = Trader(lambda tape, account: Buy("0.1") if tape.now == 1 else None, rules)
        >>> with ReplayEngine(game) as engine, trader.follow(engine):
        ...     shown = engine.run()
        >>> [(entry.kind, entry.tick) for entry in trader.account.ledger.entries]
        [('buy', 1), ('void', 2)]
        """
        return Following(
            [
                engine.on("game_start", self._on_start),
                engine.on("tick", self._on_tick),
                engine.on("push", self._on_step),
                engine.on("game_end", self._on_end),
            ]
        )

    def _on_start(self, event: Event) -> None:
        if event.game_id is not None:
            self.begin(event.game_id)

    def _on_end(self, event: Event) -> None:
        del event
        self.end()

    def _on_tick(self, step: Step) -> None:
        if step.mode is not Mode.LIVE:  # a live tick arrives by `push`, shown or not
            self._on_step(step)

    def _on_step(self, step: Step) -> None:
        if step.game_id != self.tape.game_id:
            self.begin(step.game_id)
        if not self._open:
            return
        price = step.price
        if step.rugged:
            if step.recorded_phase != Phase.RUG_EVENT_1:
                self.rug(step.tick, price)
        elif step.active and step.tick > self._now:
            self.see(step.tick, float("nan") if price is None else float(price), price)


def _several(answer: object) -> Iterable[Placed]:
    """Return the orders of an answer of several; texts and mappings are none, not even empty ones."""
    if isinstance(answer, str | bytes | Mapping) or not isinstance(answer, Iterable):
        raise TypeError(f"{answer!r} is no order: return Buy, Sell or Bet, several of them, or None")
    return answer


def _placed(order: object) -> Placed:
    if not isinstance(order, _ORDERS):
        raise TypeError(f"{order!r} is no order: return Buy, Sell or Bet, several of them, or None")
    return order


class Following:
    """The handle of a trader that follows an engine: call `cancel`, or leave its ``with`` block, to end it."""

    def __init__(self, subscriptions: list[Any]) -> None:
        self._subscriptions = subscriptions

    def cancel(self) -> None:
        """End it; more than once changes nothing."""
        for one in self._subscriptions:
            one.cancel()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.cancel()
