"""Metrics: the figures by which strategies are compared, each with its formula and where it comes from. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.price_paths.arguments import number

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
_ROUNDING: Final = 1e-12  # relative; what doubles differ by although they mean the same


def metrics_table(  # noqa: PLR0913 each is a fact of the run
    profits: Floats,
    *,
    start: float,
    trades: Floats,
    ticks: int = 0,
    level: float = 0.95,
    target: float = 0.0,
    weights: Floats | None = None,
    trade_weights: Floats | None = None,
    paid: Floats | None = None,
) -> pd.DataFrame:
    """One table of the figures of a strategy, from the profit of each game and of each trade.

    With B(0) the start, B(i) the balance after game i of n, and r(i) = B(i) / B(i-1) - 1 the return of a game:

    ==================  ================================================================================================
    profit              B(n) - B(0)
    return              B(n) / B(0) - 1
    mean_return         mean of r
    volatility          standard deviation of r, with n - 1
    max_drawdown        greatest of 1 - B(i) / max of B(0..i)
    drawdown_games      most games in a row below an earlier balance
    sharpe              mean of r over its standard deviation (n - 1), for one game, riskless return 0; Sharpe, The
                        Sharpe Ratio, Journal of Portfolio Management 21(1), 1994
    sortino             (mean of r - target) / sqrt(mean of min(0, r - target) squared), for one game; Sortino and
                        Price, Performance Measurement in a Downside Risk Framework, Journal of Investing 3(3), 1994
    calmar              return over max_drawdown, both of the whole run, as games have no year; after Young, Calmar
                        Ratio: A Smoother Tool, Futures 20(1), 1991
    var                 least loss x of a game such that a share `level` of the games lost no more: the empirical
                        quantile; Jorion, Value at Risk, 2006. Below 0 it is a gain
    cvar                mean loss of the worst share 1 - `level` of the games, the one on its border in part;
                        Rockafellar and Uryasev, Optimization of Conditional Value-at-Risk, Journal of Risk 2(3), 2000
    win_rate            share of the trades with a profit above 0
    profit_factor       sum of the profits of winning trades over that of the losses of the others
    mean_trade          mean profit of a trade
    longest_wins        most trades in a row with a profit above 0
    longest_losses      most trades in a row with a profit below 0
    return_on_stake     sum of the profits of trades over what was paid for them; only where `paid` is passed
    ==================  ================================================================================================

    Returns per game are not returns per year: a ratio here compares strategies on the same games and nothing else. The
    chance of ruin, which needs resampling, is given by `replaylab.analysis.backtests.ruin.ruin`.

    Parameters
    ----------
    profits : float64 array, one a game
        What each game added to the balance, in the order played.
    start : float
        Balance before the first.
    trades : float64 array, one a trade
        Profit of each position and side bet, in the order closed.
    ticks : int
        Live ticks behind it.
    level : float
        Confidence of `var` and `cvar`, between 0 and 1.
    target : float
        Return of a game that `sortino` asks for.
    weights, trade_weights : float64 arrays, optional
        Weights of games in `mean_return`, `volatility`, `sharpe`, `sortino`, `var` and `cvar`, and of trades in
        `win_rate`, `profit_factor`, `mean_trade` and `return_on_stake`; each counts 1 unless passed.
    paid : float64 array, one a trade, optional
        What was paid for each.

    Returns
    -------
    DataFrame
        Index `metric`; `value` (float, NaN where it has none: too few games, nothing lost, nothing at stake), `unit`,
        `n` (games or trades behind it). The first rows count games, ticks and trades.

    Raises
    ------
    AnalysisError
        When `start` is not above 0 or `level` is out of bounds.

    Examples
    --------
    >>> import numpy as np
    >>> table = metrics_table(np.array([1.0, -0.5, 0.5]), start=10, trades=np.array([1.0, -0.5, 0.5]))
    >>> table.loc[["return", "max_drawdown"], "value"].round(4).tolist()
    [0.1, 0.0455]
    """
    import pandas as pd

    number("start", start, above=0)
    number("level", level, above=0, below=1)
    curve = start + np.concatenate([[0.0], np.cumsum(profits)])
    peaks = np.maximum.accumulate(curve)
    with np.errstate(all="ignore"):  # a balance of 0 has no return: NaN says so
        returns = np.where(curve[:-1] > 0, profits / curve[:-1], np.nan)
    games, count = len(profits), len(trades)
    under = curve < peaks * (1 - _ROUNDING)
    deepest = float(np.where(under, 1 - curve / peaks, 0.0).max())
    whole = float(curve[-1] / start - 1)
    below = np.minimum(0.0, returns - target)
    weights = np.ones(games) if weights is None else weights
    counted = np.ones(count) if trade_weights is None else trade_weights
    mean = _mean(returns, weights)
    spread = _spread(returns, weights)
    won, lost = trades > 0, trades < 0
    gains = counted * trades
    rows = [
        ("games", games, "games", games),
        ("ticks", ticks, "ticks", games),
        ("trades", count, "trades", count),
        ("profit", float(curve[-1] - start), "money", games),
        ("return", whole, "share", games),
        ("mean_return", mean, "share a game", games),
        ("volatility", spread, "share a game", games),
        ("max_drawdown", deepest, "share", games),
        ("drawdown_games", _longest(under), "games", games),
        ("sharpe", _ratio(mean, spread), "a game", games),
        ("sortino", _ratio(mean - target, float(np.sqrt(_mean(below**2, weights)))), "a game", games),
        ("calmar", _ratio(whole, deepest), "", games),
        ("var", value_at_risk(profits, level, weights), "money a game", games),
        ("cvar", expected_shortfall(profits, level, weights), "money a game", games),
        ("win_rate", _mean(won.astype(np.float64), counted), "share", count),
        ("profit_factor", _ratio(float(gains[won].sum()), float(-gains[lost].sum())), "", count),
        ("mean_trade", _mean(trades, counted), "money", count),
        ("longest_wins", _longest(won), "trades", count),
        ("longest_losses", _longest(lost), "trades", count),
    ]
    if paid is not None:
        rows.append(("return_on_stake", _ratio(float(gains.sum()), float((counted * paid).sum())), "share", count))
    frame = pd.DataFrame(rows, columns=["metric", "value", "unit", "n"])
    frame["value"] = frame["value"].astype(float)
    return frame.set_index("metric")


def value_at_risk(profits: Floats, level: float = 0.95, weights: Floats | None = None) -> float:
    """Least loss that a share `level` of the games did not exceed; NaN without games.

    Examples
    --------
    >>> value_at_risk(np.arange(-10.0, 10.0), 0.95)
    9.0
    """
    losses, counted = _sorted(-profits, weights)
    if not len(losses):
        return float("nan")
    reached = np.cumsum(counted) >= (level - 1e-12) * counted.sum()
    return float(losses[int(reached.argmax()) if reached.any() else -1])


def expected_shortfall(profits: Floats, level: float = 0.95, weights: Floats | None = None) -> float:
    """Mean loss of the worst share 1 - `level` of the games, the one on the border counted in part; NaN without games.

    Examples
    --------
    >>> expected_shortfall(np.arange(-10.0, 10.0), 0.9)
    9.5
    """
    losses, counted = (one[::-1] for one in _sorted(-profits, weights))
    if not len(losses):
        return float("nan")
    tail = (1 - level) * float(counted.sum())
    inside = np.clip(tail - (np.cumsum(counted) - counted), 0, counted)
    return float((losses * inside).sum() / tail)


def _sorted(losses: Floats, weights: Floats | None) -> tuple[Floats, Floats]:
    """Return losses in rising order with their weights, without those that weigh nothing."""
    counted = np.ones(len(losses)) if weights is None else weights
    order = np.argsort(losses, kind="stable")
    order = order[counted[order] > 0]
    return losses[order], counted[order]


def _mean(values: Floats, weights: Floats) -> float:
    return float(np.average(values, weights=weights)) if weights.any() else float("nan")


def _spread(values: Floats, weights: Floats) -> float:
    """Standard deviation with n - 1; 0 where values differ by no more than doubles do that mean the same."""
    some = weights > 0
    count, values = int(some.sum()), values[some]
    if count < 2:
        return float("nan")
    if np.ptp(values) <= _ROUNDING * np.abs(values).max():
        return 0.0
    middle = _mean(values, weights[some])
    return float(np.sqrt(_mean((values - middle) ** 2, weights[some]) * count / (count - 1)))


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else float("nan")


def _longest(flags: NDArray[np.bool_]) -> int:
    """Length of the longest run of true ones."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], flags, [False]]).astype(np.int8)))
    return int((edges[1::2] - edges[::2]).max()) if len(edges) else 0
