"""Orders of a strategy: buy, sell, side bet, at once or when a price comes. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from replaylab.errors import OrderRefused

Amount = Decimal | int | float | str
DECIMALS: Final = 40  # of an amount; with `WHOLES` digits before them, all sums of them are exact
WHOLES: Final = 15


@dataclass(frozen=True, slots=True, repr=False)
class Buy:
    """An order to buy for an amount at the price of the tick just seen; buying again adds to the position.

    Parameters
    ----------
    amount : Decimal, int, float or str
        What is paid, commission apart. A float counts as the shortest text that it prints as.
    position : str
        Name of the position, when there are several in a game.

    Examples
    --------
    >>> Buy("0.1"), Buy(0.1, position="second").position
    (Buy(amount='0.1'), 'second')
    """

    amount: Amount
    position: str = ""

    def __repr__(self) -> str:
        return f"Buy(amount={self.amount!r}{_named(self.position)})"


@dataclass(frozen=True, slots=True, repr=False)
class Sell:
    """An order to sell a share of the position at the price of the tick just seen.

    Parameters
    ----------
    share : Decimal, int, float or str
        Above 0, up to 1, which sells all.
    position : str
        Name of the position, when there are several in a game.

    Examples
    --------
    >>> Sell().share, Sell("0.5").share
    (1, '0.5')
    """

    share: Amount = 1
    position: str = ""

    def __repr__(self) -> str:
        return f"Sell(share={self.share!r}{_named(self.position)})"


def _named(position: str) -> str:
    return f", position={position!r}" if position else ""


@dataclass(frozen=True, slots=True)
class Bet:
    """An order to stake an amount on a rug within the window that begins with the tick just seen.

    Parameters
    ----------
    amount : Decimal, int, float or str
        The stake, gone unless the bet wins.

    Examples
    --------
    >>> Bet("0.01").amount
    '0.01'
    """

    amount: Amount


Order = Buy | Sell | Bet


@dataclass(frozen=True, slots=True)
class When:
    """An order that waits for a price: it is executed at the first later tick whose price meets it, at that price.

    See `limit`, `stop` and `trailing`, which make the usual ones. It waits to the end of the game, unless a `Cancel`
    comes, or it is a sale and its position is closed by another order.

    Parameters
    ----------
    order : Buy, Sell or Bet
        What to do.
    below, above : Decimal, int, float or str, optional
        Met by a price at or below, or at or above it.
    falls : Decimal, int, float or str, optional
        Met by a price that lies this share or more below the highest since the order arrived.

    Raises
    ------
    OrderRefused
        When it waits for nothing, or for what is no price.

    Examples
    --------
    >>> When(Sell(), above=2).above
    2
    """

    order: Order
    below: Amount | None = None
    above: Amount | None = None
    falls: Amount | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.order, Buy | Sell | Bet):
            raise OrderRefused(f"{self.order!r} cannot wait for a price: pass Buy, Sell or Bet")
        given = {name: getattr(self, name) for name in ("below", "above", "falls") if getattr(self, name) is not None}
        if not given:
            raise OrderRefused("When() waits for nothing: pass below, above or falls")
        for name, value in given.items():
            if not 0 < exact(name, value) < (1 if name == "falls" else Decimal("1e15")):
                raise OrderRefused(
                    f"{name}={value!r}: pass {'a share between 0 and 1' if name == 'falls' else 'a price'}"
                )


@dataclass(frozen=True, slots=True)
class Cancel:
    """Drops all orders of this game that wait for a price.

    Examples
    --------
    >>> Cancel()
    Cancel()
    """


Placed = Order | When | Cancel


def limit(order: Buy | Sell, price: Amount) -> When:
    """Return an order that waits for a price as good as this: a buy at or below it, a sale at or above.

    Examples
    --------
    >>> limit(Sell(), 2)
    When(order=Sell(share=1), below=None, above=2, falls=None)
    """
    return When(order, above=price) if isinstance(order, Sell) else When(order, below=price)


def stop(order: Buy | Sell, price: Amount) -> When:
    """Return an order that waits for a price as bad as this: a sale at or below it, a buy at or above.

    It is executed at the price of the tick that meets it, which in a fall is below the stop.

    Examples
    --------
    >>> stop(Sell(), "0.9").below
    '0.9'
    """
    return When(order, below=price) if isinstance(order, Sell) else When(order, above=price)


def trailing(share: Amount, order: Sell | None = None) -> When:
    """Return a sale that waits for a fall by a share from the highest price since it was placed.

    Examples
    --------
    >>> trailing("0.1").falls
    '0.1'
    """
    return When(Sell() if order is None else order, falls=share)


def exact(what: str, value: Amount) -> Decimal:
    """Return an amount exactly; raises `OrderRefused` for what is not finite or has too many digits for exact sums.

    Examples
    --------
    >>> exact("amount", 0.1)
    Decimal('0.1')
    """
    if type(value) is Decimal:
        found = value
    else:
        try:
            found = Decimal("NaN" if isinstance(value, bool) else str(value))
        except InvalidOperation:
            found = Decimal("NaN")
    if not found.is_finite():
        raise OrderRefused(f"{what}={value!r} is no finite number")
    exponent = found.as_tuple().exponent
    if found.adjusted() >= WHOLES or not isinstance(exponent, int) or exponent < -DECIMALS:
        raise OrderRefused(f"{what}={value!r} has more than {WHOLES} digits or {DECIMALS} decimals: round it")
    return found
