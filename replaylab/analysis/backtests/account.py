"""Account: one bankroll that plays game after game by the rules of the house; orders are checked, never clipped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal, NamedTuple

from replaylab.analysis.backtests.ledger import MONEY, Ending, EntryKind, Ledger, Refusal, money
from replaylab.analysis.backtests.orders import Amount, Bet, Buy, Order, Placed, Sell, exact
from replaylab.analysis.price_paths.arguments import money as positive
from replaylab.analysis.price_paths.arguments import whole
from replaylab.errors import AnalysisError, OrderRefused

WINDOW: Final = 40
PAYS: Final = 5
TICK_MS: Final = 250  # from one tick to the next, as the game announces it
_ZERO: Final = Decimal(0)
_ONE: Final = Decimal(1)


def _limit(name: str) -> Callable[[], Decimal]:
    def found() -> Decimal:
        from replaylab.settings import current  # pydantic is only loaded when a limit is asked for

        value: Decimal = getattr(current(), name)
        return value

    return found


@dataclass(frozen=True, slots=True)
class Rules:
    """What the house allows, and what it pays; amounts are taken exactly.

    Parameters
    ----------
    balance : Decimal, int, float or str
        The bankroll to begin with.
    min_bet, max_bet : Decimal, int, float or str
        Least and greatest amount of one buy or one side bet; by default those of the settings.
    commission : Decimal, int, float or str
        Share of the amount that a buy costs besides, and of the proceeds that a sale does; below 1. A side bet and the
        rug cost none.
    window : int
        A side bet at tick s wins if and only if the rug tick R is at most s + window.
    pays : Decimal, int, float or str
        What a won bet returns, as a multiple of the stake, the stake included: at 5 a bet breaks even at 20 %.
    cooldown : int
        Ticks from the end of a bet's window to the next bet. The server asks for 0; another simulator had 5.
    bets : int
        Side bets that may be open at once; each has a cooldown of its own.
    slippage : Decimal, int, float or str
        Share by which a buy is dearer than the tick's price, and a sale cheaper; below 1. The rug has none.
    latency_ticks, latency_ms : int
        From an order to its execution: it is executed at the first tick with a price that is at least so much later,
        at that tick's price. Milliseconds count as ticks of 250 ms, rounded up; both add up.

    Raises
    ------
    AnalysisError
        When a value is out of bounds.

    Examples
    --------
    >>> Rules(balance="2.5", min_bet="0.001", max_bet=1).commission
    Decimal('0')
    """

    balance: Amount = Decimal(1)
    min_bet: Amount = field(default_factory=_limit("min_bet"))
    max_bet: Amount = field(default_factory=_limit("max_bet"))
    commission: Amount = _ZERO
    window: int = WINDOW
    pays: Amount = Decimal(PAYS)
    cooldown: int = 0
    bets: int = 1
    slippage: Amount = _ZERO
    latency_ticks: int = 0
    latency_ms: int = 0

    @property
    def latency(self) -> int:
        """Ticks from an order to its execution."""
        return self.latency_ticks - (-self.latency_ms // TICK_MS)

    def __post_init__(self) -> None:
        for name in ("balance", "min_bet", "max_bet", "pays"):
            object.__setattr__(self, name, positive(name, getattr(self, name)))
        names = ("commission", "slippage", "min_bet", "max_bet", "balance", "pays")
        try:
            share, slippage, least, most, *_ = (exact(name, getattr(self, name)) for name in names)
        except OrderRefused as error:
            raise AnalysisError(str(error)) from None
        for name, one in (("commission", share), ("slippage", slippage)):
            if not 0 <= one < 1:
                raise AnalysisError(f"{name}={getattr(self, name)!r}: pass a share from 0 to below 1")
            object.__setattr__(self, name, one)
        if most < least:
            raise AnalysisError(f"max_bet={self.max_bet} lies below min_bet={self.min_bet}")
        whole("window", self.window, least=1)
        whole("bets", self.bets, least=1, most=1_000)
        for name in ("cooldown", "latency_ticks", "latency_ms"):
            whole(name, getattr(self, name), least=0)


def _checked(rules: object) -> Rules:
    if not isinstance(rules, Rules):
        raise AnalysisError(f"rules={rules!r}: pass `Rules`, as in Rules(balance=1)")
    return rules


class _Unaffordable(OrderRefused):
    """An order that the balance does not cover."""


class OpenBet(NamedTuple):
    """A side bet that is neither won nor lost yet."""

    tick: int
    amount: Decimal


class Position(NamedTuple):
    """What is held of a position: its quantity, what was paid for it (commission apart), and cost over quantity."""

    quantity: Decimal
    cost: Decimal
    entry_price: Decimal


class _Lot(NamedTuple):
    """A named position, aside: what the account holds in its own fields of the one that has no name."""

    quantity: Decimal = _ZERO
    cost: Decimal = _ZERO
    paid: Decimal = _ZERO
    returned: Decimal = _ZERO
    opened: int = -1
    entry_price: Decimal | None = None


class Account:
    """What a strategy owns: a balance, a position, more of them by name, and side bets; read it, order to change it.

    A position is a quantity: buying for an amount A at price p adds A / p, so the entry price is what was paid over
    what is held, and selling all at price q returns A q / p.

    Parameters
    ----------
    rules : Rules
        What is allowed; `AnalysisError` for what is none.
    strict : bool
        Raise `OrderRefused` where an order is not allowed, instead of noting it.

    Attributes
    ----------
    balance : Decimal
        Money that can be spent.
    quantity : Decimal
        What is held; 0 without a position.
    cost : Decimal
        What was paid for what is held, commission apart.
    entry_price : Decimal, optional
        Cost over quantity; None without a position.
    bet : OpenBet, optional
        The side bet that is open; the first of them where the rules allow several, see `open_bets`.

    Examples
    --------
    >>> account = Account(Rules(balance=1, min_bet="0.001", max_bet=1))
    >>> account.open("g")
    >>> account.execute(Buy("0.1"), 0, Decimal("1.25")), account.entry_price
    (None, Decimal('1.25'))
    >>> account.rug(7, Decimal("0.02"))
    >>> account.balance
    Decimal('0.901600000000000000')
    """

    __slots__ = (
        "_bets", "_fee", "_free", "_game_id", "_least", "_lots", "_most", "_name", "_opened", "_paid", "_pays",
        "_returned", "_slip", "_strict", "_tick", "bet", "cost", "entry_price", "ledger", "quantity", "rules",
    )  # fmt: skip

    def __init__(self, rules: Rules, *, strict: bool = False) -> None:
        self.rules: Final = _checked(rules)
        self.ledger: Final = Ledger(exact("balance", rules.balance))
        self._least, self._most = exact("min_bet", rules.min_bet), exact("max_bet", rules.max_bet)
        self._fee, self._pays = exact("commission", rules.commission), exact("pays", rules.pays)
        self._slip = exact("slippage", rules.slippage)
        self._strict = strict
        self.open("")

    @property
    def balance(self) -> Decimal:
        """Money that can be spent."""
        return self.ledger.balance

    def open(self, game_id: str) -> None:
        """Begin a game with nothing held and nothing staked."""
        self._game_id = game_id
        self._tick = -1
        self._bets: list[OpenBet] = []
        self._free = [0] * self.rules.bets  # ticks from which each bet that is not open may be placed
        self.bet: OpenBet | None = None
        self._lots: dict[str, _Lot] = {}
        self._name = ""  # of the position that the fields hold
        self._flat()

    def _flat(self) -> None:
        self.quantity = self.cost = self._paid = self._returned = _ZERO
        self.entry_price: Decimal | None = None
        self._opened = -1

    @property
    def positions(self) -> dict[str, Position]:
        """What is held, by the name of the position; `""` is the one without a name."""
        lots = {"": self._lot(), **self._lots}
        return {
            name: Position(one.quantity, one.cost, one.entry_price) for name, one in lots.items() if one.entry_price
        }

    @property
    def open_bets(self) -> list[OpenBet]:
        """Side bets that are neither won nor lost, in the order placed."""
        return list(self._bets)

    def held(self, position: str = "") -> bool:
        """Whether anything is held of a position."""
        return bool(self._lots.get(position, _Lot()).quantity if position else self.quantity)

    def _lot(self) -> _Lot:
        return _Lot(self.quantity, self.cost, self._paid, self._returned, self._opened, self.entry_price)

    def _take(self, lot: _Lot) -> None:
        self.quantity, self.cost, self._paid, self._returned, self._opened, self.entry_price = lot

    def may_bet(self, tick: int) -> bool:
        """Whether a side bet may be placed at a tick: no more are open than the rules allow, and a cooldown is over."""
        return bool(self._free) and tick >= min(self._free)

    def live(self, tick: int) -> None:
        """Note that the game lives at a tick: a bet whose window ends there is lost."""
        self._tick = tick
        while self.bet is not None and tick >= self.bet.tick + self.rules.window:
            self._close_bet("lost", self.bet.tick + self.rules.window)

    def refuse(self, order: Placed, tick: int, reason: str) -> None:
        """Note an order that was not executed."""
        self.ledger.refused.append(Refusal(self._game_id, tick, repr(order), reason))

    def execute(self, order: Order, tick: int, price: Decimal) -> str | None:
        """Execute an order at a price; returns the reason where it was refused, None when it was executed.

        Raises
        ------
        OrderRefused
            When it is not allowed, and the account is strict.
        TypeError
            When it is no order.
        """
        self._tick = tick
        try:
            match order:
                case Buy() | Sell() if order.position:
                    self._of_lot(order, price)
                case Buy():
                    self._buy(order, price)
                case Sell():
                    self._sell(order, price)
                case Bet():
                    self._bet(order)
                case _:
                    raise TypeError(f"{order!r} is no order: return Buy, Sell or Bet, several of them, or None")
        except OrderRefused as refusal:
            if self._strict:
                raise OrderRefused(f"game {self._game_id!r}, tick {tick}: {refusal}") from None
            short = isinstance(refusal, _Unaffordable)
            self.ledger.refused.append(Refusal(self._game_id, tick, repr(order), str(refusal), short))
            return str(refusal)
        return None

    def _of_lot(self, order: Buy | Sell, price: Decimal) -> None:
        """Buy or sell of a named position, which stands in for the one without a name meanwhile."""
        own, lot = self._lot(), self._lots.get(order.position, _Lot())
        self._take(lot)
        self._name = order.position
        try:
            if isinstance(order, Buy):
                self._buy(order, price)
            else:
                self._sell(order, price)
        finally:
            lot = self._lot()
            self._take(own)
            self._name = ""
            self._lots[order.position] = lot
            if not lot.quantity:
                del self._lots[order.position]

    def _stake(self, value: Amount, fee: Decimal = _ZERO) -> Decimal:
        """Return an amount that may be staked, and can be paid together with a share of it."""
        amount = exact("amount", value)
        if not self._least <= amount <= self._most:
            raise OrderRefused(f"amount={amount} lies outside the limits {self._least} to {self._most}")
        if (MONEY.add(amount, money(MONEY.multiply(amount, fee))) if fee else amount) > self.ledger.balance:
            more = f" and a commission of {fee} of it" if fee else ""
            raise _Unaffordable(f"amount={amount}{more} is more than the balance of {self.balance}")
        return amount

    def _buy(self, order: Buy, price: Decimal) -> None:
        fee = self._fee
        amount = self._stake(order.amount, fee)
        if price <= 0:
            raise OrderRefused(f"nothing can be bought at a price of {price}")
        if self._slip:
            price = MONEY.multiply(price, MONEY.add(_ONE, self._slip))
        if not self.quantity:
            self._opened = self._tick
        self._pay("buy", amount)
        if fee:
            self._pay("commission", money(MONEY.multiply(amount, fee)))
        self.quantity = MONEY.add(self.quantity, MONEY.divide(amount, price))
        self.cost = MONEY.add(self.cost, amount)
        self.entry_price = price if self.cost == amount else MONEY.divide(self.cost, self.quantity)

    def _sell(self, order: Sell, price: Decimal) -> None:
        share = exact("share", order.share)
        if not 0 < share <= 1:
            raise OrderRefused(f"share={share}: pass more than 0, up to 1")
        if not self.quantity:
            raise OrderRefused("nothing is held that could be sold")
        if self._slip:
            price = MONEY.multiply(price, MONEY.subtract(_ONE, self._slip))
        sold, cost = (self.quantity, self.cost) if share == 1 else (
            MONEY.multiply(self.quantity, share), money(MONEY.multiply(self.cost, share)))  # fmt: skip
        proceeds = money(MONEY.multiply(sold, price))
        self._receive("sell", proceeds)
        if self._fee:
            self._pay("commission", money(MONEY.multiply(proceeds, self._fee)))
        self.quantity, self.cost = MONEY.subtract(self.quantity, sold), MONEY.subtract(self.cost, cost)
        if share == 1:
            self._close("sold", self._tick)

    def _bet(self, order: Bet) -> None:
        if not self._free:
            which = (
                f"a side bet of tick {self._bets[0].tick} is"
                if self.rules.bets == 1
                else f"{self.rules.bets} side bets are"
            )
            raise OrderRefused(f"{which} still open")
        free = min(self._free)
        if self._tick < free:
            raise OrderRefused(f"the next side bet may be placed at tick {free}")
        amount = self._stake(order.amount)
        self.ledger.move(self._game_id, self._tick, "bet", MONEY.minus(amount))
        self._free.remove(free)
        self._bets.append(OpenBet(self._tick, amount))
        self.bet = self._bets[0]

    def rug(self, tick: int, price: Decimal | None) -> None:
        """End the game with its rug: a position goes at the rug price (at 0 without one), a bet wins or has lost."""
        while self.bet is not None and tick - self.bet.tick > self.rules.window:  # its end came first
            self._close_bet("lost", self.bet.tick + self.rules.window)
        self._tick = tick
        for name, lot in {"": self._lot(), **self._lots}.items():
            if lot.quantity:
                self._take(lot)
                self._name = name
                self._receive("rug", money(MONEY.multiply(self.quantity, _ZERO if price is None else price)))
                self._close("rug", tick)
        self._lots.clear()
        self._name = ""
        while self.bet is not None:
            self._close_bet("won", tick)

    def void(self, price: Decimal | None = None) -> None:
        """End the game without a rug, as its record does: a bet comes back at cost, a position at a price or at cost.

        Parameters
        ----------
        price : Decimal, optional
            At which the position is marked; without one it comes back at cost.
        """
        for name, lot in {"": self._lot(), **self._lots}.items():
            if lot.quantity:
                self._take(lot)
                self._name = name
                ending: Literal["mark", "void"] = "void" if price is None else "mark"
                self._receive(ending, self.cost if price is None else money(MONEY.multiply(self.quantity, price)))
                self._close(ending, self._tick)
        self._lots.clear()
        self._name = ""
        while self.bet is not None:
            self._close_bet("void", self._tick)

    def _pay(self, kind: EntryKind, amount: Decimal) -> None:
        self._paid = MONEY.add(self._paid, amount)
        self.ledger.move(self._game_id, self._tick, kind, MONEY.minus(amount))

    def _receive(self, kind: EntryKind, amount: Decimal) -> None:
        self._returned = MONEY.add(self._returned, amount)
        self.ledger.move(self._game_id, self._tick, kind, amount)

    def _close(self, ending: Ending, tick: int) -> None:
        paid, returned = self._paid, self._returned
        self.ledger.close(self._game_id, "position", self._opened, tick, paid, returned, ending, self._name)
        self._flat()

    def _close_bet(self, ending: Ending, tick: int) -> None:
        bet = self._bets.pop(0)
        returned = _ZERO
        if ending == "won":
            returned = MONEY.multiply(bet.amount, self._pays)
            self.ledger.move(self._game_id, tick, "won", returned)
        elif ending == "void":
            returned = bet.amount
            self.ledger.move(self._game_id, tick, "void", returned)
        self.ledger.close(self._game_id, "bet", bet.tick, tick, bet.amount, returned, ending)
        self._free.append(bet.tick + self.rules.window + self.rules.cooldown)
        self.bet = self._bets[0] if self._bets else None
