"""How many games a question takes: the power of the test of a mean, and the smallest edge that could be seen. Pure."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from replaylab.analysis.backtests.backtest import Backtest
from replaylab.analysis.price_paths.arguments import number, whole
from replaylab.errors import AnalysisError


def games_needed(spread: Backtest | float, edge: float, *, power: float = 0.8, level: float = 0.05) -> int:
    """Return how many games it takes to see an edge: to find it with a chance of `power`, at a two-sided `level`.

    Parameters
    ----------
    spread : Backtest or float
        Standard deviation of the result of a game, or a backtest to take it from. Of a bet won with a chance p that
        returns 5 for 1 it is ``5 * (p * (1 - p)) ** 0.5``.
    edge : float
        Mean result of a game that is to be distinguished from 0, in the same unit.
    power, level : float
        Chance of seeing it, and of seeing one where there is none.

    Raises
    ------
    AnalysisError
        When an argument is out of bounds, or the results of the backtest do not differ.

    Examples
    --------
    >>> games_needed(1.0, 0.1)
    787
    """
    from statsmodels.stats.power import TTestPower  # type: ignore[import-untyped]

    size = abs(number("edge", edge, above=-math.inf)) / _spread(spread)
    if not size:
        raise AnalysisError("edge=0: no number of games distinguishes an edge of 0 from none")
    chances = {"power": number("power", power, above=0, below=1), "alpha": number("level", level, above=0, below=1)}
    if size > 1:  # a handful of games: the solver needs a bracket, so try them in turn
        chances_of = ((games, TTestPower().power(size, games, chances["alpha"])) for games in range(3, 10_000))
        return next(int(games) for games, chance in chances_of if chance >= power)
    found: float = TTestPower().solve_power(effect_size=size, **chances)
    return math.ceil(found)


def smallest_edge(spread: Backtest | float, games: int, *, power: float = 0.8, level: float = 0.05) -> float:
    """Return the smallest mean result of a game that so many games would show, with a chance of `power`.

    Parameters
    ----------
    spread, power, level
        As for `games_needed`.
    games : int
        At least 3.

    Examples
    --------
    >>> round(smallest_edge(1.0, 787), 3)
    0.1
    """
    from statsmodels.stats.power import TTestPower

    count = whole("games", games, least=3)
    chances: dict[str, Any] = {
        "power": number("power", power, above=0, below=1),
        "alpha": number("level", level, above=0, below=1),
    }
    return float(TTestPower().solve_power(nobs=count, **chances)) * _spread(spread)


def _spread(spread: Backtest | float) -> float:
    if not isinstance(spread, Backtest):
        return number("spread", spread, above=0)
    found = float(np.std(spread.profits[spread.playable], ddof=1)) if spread.playable.sum() > 1 else 0.0
    if not found > 0:
        raise AnalysisError(f"games={spread.n_games}: its results do not differ, so they have no spread")
    return found
