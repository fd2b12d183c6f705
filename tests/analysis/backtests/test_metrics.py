"""Metrics: each is what its formula says, on numbers worked out by hand and against slow definitions."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replaylab.analysis.backtests.metrics import expected_shortfall, metrics_table, value_at_risk
from replaylab.errors import AnalysisError

BY_HAND = np.array([1.0, -2.0, 3.0, 0.0, -0.5])  # balances 10, 11, 9, 12, 12, 11.5


def test_figures_by_hand() -> None:
    """The figures of five games and five trades are those worked out by hand."""
    table = metrics_table(BY_HAND, start=10, trades=BY_HAND, ticks=700)
    found = table["value"].to_dict()
    returns = np.array([0.1, -2 / 11, 1 / 3, 0, -0.5 / 12])
    downside = math.sqrt((4 / 121 + 0.25 / 144) / 5)
    assert found == pytest.approx(
        {
            "games": 5,
            "ticks": 700,
            "trades": 5,
            "profit": 1.5,
            "return": 0.15,
            "mean_return": returns.mean(),
            "volatility": returns.std(ddof=1),
            "max_drawdown": 2 / 11,
            "drawdown_games": 1,
            "sharpe": returns.mean() / returns.std(ddof=1),
            "sortino": returns.mean() / downside,
            "calmar": 0.15 / (2 / 11),
            "var": 2.0,
            "cvar": 2.0,
            "win_rate": 0.4,
            "profit_factor": 4 / 2.5,
            "mean_trade": 0.3,
            "longest_wins": 1,
            "longest_losses": 1,
        }
    )
    assert table.loc["win_rate", "n"] == 5


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=30), st.lists(st.sampled_from([-1.0, 0.0, 1.0]), max_size=30))
def test_agree_with_slow_definitions(profits: list[float], trades: list[float]) -> None:
    """Drawdown and streaks are those of a plain loop over every pair and every run."""
    found = metrics_table(np.array(profits), start=50, trades=np.array(trades))["value"]
    curve = [50.0]
    for profit in profits:
        curve.append(curve[-1] + profit)
    deepest = max(1 - curve[j] / curve[i] for i in range(len(curve)) for j in range(i, len(curve)))
    assert found["max_drawdown"] == pytest.approx(deepest, abs=1e-12)
    for name, wins in (("longest_wins", True), ("longest_losses", False)):
        longest = run = 0
        for trade in trades:
            run = run + 1 if (trade > 0 if wins else trade < 0) else 0
            longest = max(longest, run)
        assert found[name] == longest


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=60), st.floats(0.5, 0.99))
def test_losses_beyond_are_no_smaller(profits: list[float], level: float) -> None:
    """At most a share 1 - level of the games lost more than the value at risk, and those beyond lost no less."""
    values = np.array(profits)
    risk = value_at_risk(values, level)
    assert (-values > risk).mean() <= 1 - level + 1e-9
    assert expected_shortfall(values, level) >= risk - 1e-9


def test_shortfall_counts_the_border_in_part() -> None:
    """Of ten games, the worst 15 % are the worst one and half of the next."""
    values = -np.arange(1.0, 11.0)
    assert expected_shortfall(values, 0.85) == pytest.approx((10 + 0.5 * 9) / 1.5)


@pytest.mark.parametrize("games", [0, 1])
def test_too_few_games_give_nan(games: int) -> None:
    """What cannot be said of no game, or of one, is NaN and not 0; counts stay counts."""
    found = metrics_table(np.ones(games), start=1, trades=np.zeros(0))["value"]
    assert found["games"] == games
    assert math.isnan(found["sharpe"])
    assert math.isnan(found["win_rate"])
    assert math.isnan(found["calmar"])
    assert math.isnan(found["mean_return"]) == (games == 0)


def test_lost_bankroll_has_no_returns() -> None:
    """After a balance of 0 a return means nothing: NaN, without a warning."""
    found = metrics_table(np.array([-1.0, 0.0]), start=1, trades=np.array([-1.0]))["value"]
    assert math.isnan(found["sharpe"])
    assert found["max_drawdown"] == 1


@pytest.mark.parametrize("wrong", [{"start": 0}, {"start": float("nan")}, {"level": 0}, {"level": 1}])
def test_bounds_are_checked(wrong: dict[str, float]) -> None:
    """A start of nothing, or a level that is none, is an error."""
    with pytest.raises(AnalysisError):
        metrics_table(np.ones(3), trades=np.ones(3), start=wrong.get("start", 1.0), level=wrong.get("level", 0.95))


def test_equal_returns_have_no_ratio() -> None:
    """Returns that are all alike have no spread, so no Sharpe ratio, though their doubles differ in the last bits."""
    profits = np.array([0.1 * 1.1**game for game in range(10)])
    table = metrics_table(profits, start=1, trades=profits)["value"]
    assert table["volatility"] == 0
    assert math.isnan(table["sharpe"])


def test_rounding_is_no_drawdown() -> None:
    """A balance that comes back to its peak is no longer below it, though the sum of doubles says so."""
    profits = np.array([0.1, 0.2, -0.3, 0.3, 0.0, 0.0])
    table = metrics_table(profits, start=1, trades=profits)["value"]
    assert table["drawdown_games"] == 1
    assert math.isclose(table["max_drawdown"], 0.3 / 1.3)
