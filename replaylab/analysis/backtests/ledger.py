"""Ledger: every movement of money, exactly; its amounts add up to the change of the balance. Pure."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Context, Decimal
from typing import Final, Literal, NamedTuple

MONEY: Final = Context(prec=120, rounding=ROUND_HALF_EVEN)  # holds every sum and payout of what `order.exact` takes
QUANTUM: Final = Decimal("1E-18")  # proceeds are rounded to it, once; all else is exact

_add: Final = MONEY.add
EntryKind = Literal["buy", "sell", "commission", "bet", "won", "rug", "void", "mark"]
TradeKind = Literal["position", "bet"]
Ending = Literal["sold", "rug", "won", "lost", "void", "mark"]


class Entry(NamedTuple):
    """One movement of money: `amount` was added to the balance (below 0: taken), which then was `balance`.

    ``rug`` is what a position fetched at the rug price, ``won`` the whole payout of a bet, ``void`` what came back of
    positions and bets when a recording ended without a rug, ``mark`` what a position was worth there. A lost bet moves
    nothing: its stake is gone already.
    """

    game_id: str
    tick: int
    kind: EntryKind
    amount: Decimal
    balance: Decimal


class Trade(NamedTuple):
    """One position from its first buy until nothing is left of it, or one side bet.

    `paid` is all that was paid for it and `returned` all that came back, commission included in both; the profit is
    their difference. `closed` is the last tick that it took part in, `position` the name of a position that has one.
    """

    game_id: str
    kind: TradeKind
    opened: int
    closed: int
    paid: Decimal
    returned: Decimal
    ending: Ending
    position: str = ""

    @property
    def profit(self) -> Decimal:
        """What came back less what was paid, exactly."""
        return MONEY.subtract(self.returned, self.paid)


class Refusal(NamedTuple):
    """One order that was not executed, and why; `unaffordable` where the balance did not cover it."""

    game_id: str
    tick: int
    order: str
    reason: str
    unaffordable: bool = False


class Ledger:
    """A balance and all that ever changed it.

    Parameters
    ----------
    balance : Decimal
        To begin with.

    Examples
    --------
    >>> ledger = Ledger(Decimal(1))
    >>> ledger.move("g", 3, "buy", Decimal("-0.25"))
    >>> ledger.balance, ledger.total() == ledger.balance - ledger.start
    (Decimal('0.75'), True)
    """

    __slots__ = ("_entries", "_trades", "balance", "refused", "start")

    def __init__(self, balance: Decimal) -> None:
        self.start: Final = balance
        self.balance = balance
        self.refused: list[Refusal] = []
        self._entries: list[tuple[str, int, EntryKind, Decimal, Decimal]] = []  # plain tuples: quicker to make
        self._trades: list[tuple[str, TradeKind, int, int, Decimal, Decimal, Ending, str]] = []

    @property
    def entries(self) -> list[Entry]:
        """Every movement of money, in order."""
        return list(map(Entry._make, self._entries))

    @property
    def trades(self) -> list[Trade]:
        """Every position and side bet that is closed, in the order closed."""
        return list(map(Trade._make, self._trades))

    def move(self, game_id: str, tick: int, kind: EntryKind, amount: Decimal) -> None:
        """Add an amount to the balance, and note it."""
        self.balance = balance = _add(self.balance, amount)
        self._entries.append((game_id, tick, kind, amount, balance))

    def close(
        self,
        game_id: str,
        kind: TradeKind,
        opened: int,
        closed: int,
        paid: Decimal,
        returned: Decimal,
        ending: Ending,
        position: str = "",
    ) -> None:
        """Note a position or side bet that has ended; no money moves."""
        self._trades.append((game_id, kind, opened, closed, paid, returned, ending, position))

    def __len__(self) -> int:
        return len(self._trades)

    def copy(self) -> Ledger:
        """Return a ledger of the same content that does not change with this one."""
        made = Ledger(self.start)
        made.balance, made.refused = self.balance, list(self.refused)
        made._entries, made._trades = list(self._entries), list(self._trades)
        return made

    def total(self) -> Decimal:
        """Sum of all amounts, exactly."""
        found = Decimal(0)
        for _, _, _, amount, _ in self._entries:
            found = _add(found, amount)
        return found


def money(amount: Decimal) -> Decimal:
    """Return an amount rounded to the quantum, half to even.

    Examples
    --------
    >>> money(Decimal("0.1") / 3)
    Decimal('0.033333333333333333')
    """
    return MONEY.quantize(amount, QUANTUM)
