"""Orders that wait: on their way to the house, or for a price; they see each tick as it comes, and no later one."""

from __future__ import annotations

from collections import deque
from decimal import Decimal
from typing import Final, NamedTuple

from replaylab.analysis.backtests.account import Account
from replaylab.analysis.backtests.ledger import MONEY
from replaylab.analysis.backtests.orders import Cancel, Order, Placed, Sell, When, exact

_ONE: Final = Decimal(1)
LAPSED: Final = "the game ended before it was executed"


class _Resting(NamedTuple):
    """An order that waits for a price, and the highest price since it arrived."""

    when: When
    highest: Decimal


class Waiting:
    """What is between a strategy and its account: orders on their way, and orders that wait for a price.

    An order arrives at the first tick with a price that is at least the latency after its own, and is executed at that
    tick's price. One that waits for a price is looked at from the tick after its arrival on, and executed at the price
    of the tick that meets it, which is what the house pays. A sale that waits lapses when its position is closed. All
    that waits when the game ends lapses, and is noted among the refused orders.

    Parameters
    ----------
    account : Account

    Examples
    --------
    >>> from replaylab.analysis.backtests.account import Rules
    >>> from replaylab.analysis.backtests.orders import Buy, stop
    >>> account = Account(Rules(min_bet="0.01", max_bet=1))
    >>> account.open("g")
    >>> waiting = Waiting(account)
    >>> waiting.place(Buy("0.1"), 0, Decimal(1)), waiting.place(stop(Sell(), "0.9"), 0, Decimal(1))
    (None, None)
    >>> waiting.see(1, Decimal("0.95")), account.quantity
    (None, Decimal('0.1'))
    >>> waiting.see(2, Decimal("0.8")), account.balance
    (None, Decimal('0.980000000000000000'))
    """

    __slots__ = ("_account", "_coming", "_latency", "_resting")

    def __init__(self, account: Account) -> None:
        self._account = account
        self._latency = account.rules.latency
        self._coming: deque[tuple[int, Placed]] = deque()
        self._resting: list[_Resting] = []

    def __bool__(self) -> bool:
        return bool(self._coming or self._resting)

    def place(self, order: Placed, tick: int, price: Decimal) -> None:
        """Place an order at a tick: it arrives now, or after the latency."""
        if self._latency:
            self._coming.append((tick + self._latency, order))
        else:
            self._arrive(order, tick, price)

    def see(self, tick: int, price: Decimal) -> None:
        """Execute what a tick with a price brings: orders that wait for a price first, then those that arrive."""
        if self._resting:
            self._look(tick, price)
        while self._coming and self._coming[0][0] <= tick:
            self._arrive(self._coming.popleft()[1], tick, price)

    def end(self, tick: int) -> None:
        """End the game: what still waits lapses."""
        for order in (*(one.when for one in self._resting), *(order for _, order in self._coming)):
            self._account.refuse(order, tick, LAPSED)
        self._resting.clear()
        self._coming.clear()

    def _arrive(self, order: Placed, tick: int, price: Decimal) -> None:
        if isinstance(order, When):
            self._resting.append(_Resting(order, price))
        elif isinstance(order, Cancel):
            self._resting.clear()
        else:
            self._execute(order, tick, price)

    def _execute(self, order: Order, tick: int, price: Decimal) -> None:
        closes = isinstance(order, Sell) and self._account.held(order.position)
        self._account.execute(order, tick, price)
        if isinstance(order, Sell) and closes and not self._account.held(order.position):
            self._resting = [
                one for one in self._resting
                if not (isinstance(one.when.order, Sell) and one.when.order.position == order.position)
            ]  # fmt: skip

    def _look(self, tick: int, price: Decimal) -> None:
        """Execute the orders whose price has come, in the order placed; each is looked at once."""
        before, self._resting = self._resting, []
        met = []
        for one in before:
            highest = max(one.highest, price)
            if _is_met(one.when, price, highest):
                met.append(one.when.order)
            else:
                self._resting.append(_Resting(one.when, highest))
        for order in met:
            self._execute(order, tick, price)


def _is_met(when: When, price: Decimal, highest: Decimal) -> bool:
    if when.below is not None and price <= exact("below", when.below):
        return True
    if when.above is not None and price >= exact("above", when.above):
        return True
    return when.falls is not None and price <= MONEY.multiply(highest, MONEY.subtract(_ONE, exact("falls", when.falls)))
