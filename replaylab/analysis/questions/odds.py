"""Odds: expected value, break-even and Kelly share of a bet that pays a total return. Pure.

A payout is a **total return**: a bet of 1 that pays 5 gives back 5 and the stake is among them, so that the profit is 4
and a bet breaks even when one in five is won (20 %). Reading 5 as a profit gives 16.67 %: a losing bet looks good.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replaylab.analysis.price_paths.arguments import money

Chance = TypeVar("Chance", float, NDArray[np.float64])


def payout(pays: object) -> Decimal:
    """Payout of a bet as an exact total return for a stake of 1; raises `AnalysisError` unless it is above 1.

    Examples
    --------
    >>> payout(5)
    Decimal('5')
    """
    return money("pays", pays, above=1)


def break_even(pays: object = 5) -> float:
    """Chance of winning from which on a bet does not lose money on average: 1 / pays.

    Examples
    --------
    >>> break_even(5)
    0.2
    """
    return float(1 / payout(pays))


def expected_value(chance: Chance, pays: object = 5) -> Chance:
    """Mean profit a bet, in stakes: chance x pays - 1; -0.09 means that 9 % of what is staked is lost.

    It is as uncertain as the chance is: an interval of the one gives an interval of the other.

    Examples
    --------
    >>> round(expected_value(1 - 0.995**40), 4)
    -0.0916
    """
    return chance * float(payout(pays)) - 1


def kelly(chance: ArrayLike, pays: object = 5) -> NDArray[np.float64]:
    """Share of a bankroll whose repeated staking makes it grow fastest: (chance x pays - 1) / (pays - 1), at least 0.

    It holds for a chance that is known. With an estimated one it is too large on average, the more so when the best of
    many estimates was picked; 0 says that the bet is not worth making.

    Examples
    --------
    >>> float(kelly(0.2)), kelly([0.2, 0.6]).tolist()
    (0.0, [0.0, 0.5])
    """
    return_on_stake = float(payout(pays))
    return np.maximum((np.asarray(chance, np.float64) * return_on_stake - 1) / (return_on_stake - 1), 0.0)


def theory_rate(window: int, hazard: float = 0.005) -> float:
    """Chance that a game rugs within `window` ticks when the rug comes with the same chance at every tick.

    Examples
    --------
    >>> round(theory_rate(40), 4)
    0.1817
    """
    return float(-np.expm1(window * np.log1p(-hazard)))
