"""Orders of a strategy: buy, sell, side bet. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from replaylab.errors import OrderRefused

Amount = Decimal | int | float | str
DECIMALS: Final = 40  # of an amount; with `WHOLES` digits before them, all sums of them are exact
WHOLES: Final = 15


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
