"""The everyday questions of the analysis page: the same answer from games that were cut off as from whole ones."""

from __future__ import annotations

import pytest

from replaylab import analysis as a
from replaylab.analysis.simulated.watching import watched
from tests.analysis.made import drawn

WHOLE = drawn(4_000, 3)
CUT = watched(WHOLE, seed=1)


def test_the_median_life_of_cut_games_is_that_of_whole_ones() -> None:
    """Its interval holds the median of the whole games; the median of what was seen lies far below."""
    row = a.survival(CUT).quantiles().set_index("share").loc[0.5]
    true = a.survival(WHOLE).median
    assert a.survival(CUT).median == row["tick"]
    assert row["low"] <= true <= row["high"]
    assert float(CUT.lengths.mean()) < 0.9 * float(WHOLE.lengths.mean())


def test_how_often_cut_games_reach_2x_is_how_often_whole_ones_do() -> None:
    """The interval holds the share of the whole games."""
    (row,) = a.peak_table(CUT, at=2).to_dict("records")
    assert row["low"] <= a.peak_table(WHOLE, at=2)["reached"].item() <= row["high"]
    assert row["n_games"] < CUT.n_games


def test_what_selling_at_2x_earns_in_cut_games_is_what_it_earns_in_whole_ones() -> None:
    """The interval holds the mean of the whole games, which is that of one trade a game at twice its first price."""
    plan = a.EntryPlan(at_tick=0, target=1)
    true = a.entry_study(WHOLE, plan, resamples=0).summary["mean_result"].item()
    summary = a.entry_study(CUT, plan, resamples=200).summary
    assert summary["mean_low"].item() <= true <= summary["mean_high"].item()
    assert summary["cut"].item() > 0
    trades = a.entry_trades(WHOLE, plan)
    assert (trades.loc[trades["outcome"] == "target", "result"] >= 1).all()
    assert true == pytest.approx(trades["result"].mean())
