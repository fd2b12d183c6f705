"""Order: what a strategy asks for at a tick: buy, sell, or a side bet. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from replaylab.errors import OrderRefused

Amount = Decimal | int | float | str


@dataclass(frozen=True, slots=True)
class Buy:
    """An order to buy for an amount at the price of the tick just seen; buying again adds to the position.

    Parameters
    ----------
    amount : Decimal, int, float or str
        What is paid, commission apart. A float counts as the shortest text that it prints as.
    """

    amount: Amount


@dataclass(frozen=True, slots=True)
class Sell:
    """An order to sell a share of the position at the price of the tick just seen.

    Parameters
    ----------
    share : Decimal, int, float or str
        Above 0, up to 1, which sells all.
    """

    share: Amount = 1


@dataclass(frozen=True, slots=True)
class Bet:
    """An order to stake an amount on a rug within the window that begins with the tick just seen.

    Parameters
    ----------
    amount : Decimal, int, float or str
        The stake, gone unless the bet wins.
    """

    amount: Amount


Order = Buy | Sell | Bet


def exact(what: str, value: Amount) -> Decimal:
    """Give an amount exactly; raises `OrderRefused` for what is no finite number.

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
    return found
