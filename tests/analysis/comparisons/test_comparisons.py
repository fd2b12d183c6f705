"""Comparisons find what differs, and call what does not different as seldom as they say."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binom, kstest  # type: ignore[import-untyped]
from statsmodels.duration.survfunc import survdiff  # type: ignore[import-untyped]

from replaylab import analysis as a
from replaylab.analysis.simulated.watching import watched
from replaylab.errors import AnalysisError
from tests.analysis.made import drawn, made, whole

RULES = a.Rules(balance=10, min_bet="0.001", max_bet=1)


def cut(games: int, seed: int) -> a.Paths:
    """Games that are watched each for a geometric number of ticks."""
    lengths = np.random.default_rng([seed, 9]).geometric(1 / 300, games)
    return watched(drawn(games, seed), entries=np.zeros(games, np.int64), lengths=lengths)


def lasting(lengths: list[int], per_day: int) -> a.Paths:
    """Games of given lengths, so many a day."""
    found = made([whole(length) for length in lengths])
    first = datetime(2031, 1, 2, tzinfo=UTC)
    starts = [first + timedelta(days=place // per_day, minutes=place % per_day) for place in range(len(lengths))]
    place = found.games.schema.get_field_index("start")
    column = pa.array(starts, found.games.schema.field("start").type)
    return a.Paths(
        found.games.set_column(place, found.games.schema.field("start"), column),
        found.start, found.tick, found.price, found.rug_tick, found.rug_price,
    )  # fmt: skip


def within(count: int, trials: int, chance: float) -> bool:
    """Whether a count lies where it does with a chance of 99.98 %."""
    low, high = binom.ppf([0.0001, 0.9999], trials, chance)
    return bool(low <= count <= high)


@pytest.mark.parametrize("groups", [2, 3])
def test_log_rank_is_that_of_statsmodels(groups: int) -> None:
    """On games watched from their start, whole or cut off, the statistic is that of an independent computation."""
    games = cut(300, 4)
    games = games.select(games.lengths > 1)  # a lone live tick says nothing of a life
    label = np.arange(len(games)) % groups
    seen = games.rug_tick >= 0
    ends = np.where(seen, games.rug_tick, games.lengths - 1)
    statistic, p_value = survdiff(ends, seen.astype(int), label)
    found = a.log_rank(games, by=label)
    assert found.statistic == pytest.approx(statistic)
    assert found.p_value == pytest.approx(p_value)
    assert found.table["rugs"].sum() == pytest.approx(found.table["expected"].sum())
    assert found.table["games"].sum() == len(games)


def test_log_rank_calls_equal_lives_different_as_seldom_as_it_says() -> None:
    """Its p-values of equal groups, cut off alike, are uniform; of games that live half as long it is sure."""
    chances = [a.log_rank(cut(80, seed), by=np.arange(80) % 2).p_value for seed in range(100)]
    assert kstest(chances, "uniform").pvalue > 0.001
    lengths = np.random.default_rng(2).geometric(np.repeat([1 / 30, 1 / 60], 100))
    found = a.log_rank(lasting(lengths.tolist(), 50), by=np.repeat(["short", "long"], 100))
    assert found.p_value < 1e-3
    assert found.table["mean"]["long"] > found.table["mean"]["short"]


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("nope", "no such column"),
        ([1, 2], "2 labels for 40"),
        (np.zeros(40), "1 group"),
        (np.full(40, np.nan), "0 group"),
    ],
)
def test_groups_that_are_none_are_named(by: Any, words: str) -> None:
    """A column that is not there, too few labels, or one group alone."""
    with pytest.raises(AnalysisError, match=words):
        a.log_rank(drawn(40), by=by)


def test_drift_of_one_process_is_chance() -> None:
    """Of days that live alike few are called different, and few have a change point."""
    alarms = points = 0
    for seed in range(60):
        lengths = np.random.default_rng([seed, 1]).geometric(1 / 20, 120)
        found = a.drift(lasting(lengths.tolist(), 20), permutations=59, seed=seed)
        alarms += found.p_value < 0.05
        points += len(found.changes) > 0
    assert within(alarms, 60, 0.05)
    assert within(points, 60, 0.05)


def test_drift_finds_the_change() -> None:
    """Games that live twice as long from the fifth day on: the change point lies there, with the means beside it."""
    rng = np.random.default_rng(8)
    lengths = np.concatenate([rng.geometric(1 / 20, 200), rng.geometric(1 / 50, 200)])
    found = a.drift(lasting(lengths.tolist(), 50))
    assert len(found.table) == 8
    assert found.p_value < 1e-4
    assert len(found.changes) == 1
    change: Any = found.changes.iloc[0]
    assert abs(change["game"] - 200) < 40
    assert change["mean_before"] < 30 < change["mean_after"]
    assert "1 change point" in repr(found)
    with pytest.raises(AnalysisError, match="per='never'"):
        a.drift(drawn(40), "never")
    with pytest.raises(AnalysisError, match="1 group"):
        a.drift(drawn(40), "Y")


def test_bands_hold_whole_curves() -> None:
    """A simultaneous band of 90 % holds the true curve at every tick in about nine draws of ten, whole and cut."""
    kinds: list[Callable[[int, int], a.Paths]] = [drawn, cut]
    for games in kinds:
        held = 0
        for seed in range(80):
            band = a.survival(games(120, seed)).bands(0.9)
            truth = 0.995 ** band["tick"].to_numpy()
            held += bool(((band["low"] <= truth) & (truth <= band["high"])).all())
        assert within(held, 80, 0.9) or held / 80 > 0.9
        assert held < 80


def test_bands_are_wider_than_intervals() -> None:
    """Wherever both are known, and their ends only fall."""
    found = a.survival(drawn(400))
    band = found.bands()
    curve = found.curve.set_index("tick").loc[band["tick"]]
    inner = (curve["survival"] < 0.9).to_numpy() & (curve["survival"] > 0.1).to_numpy()
    assert (band["low"].to_numpy() <= curve["low"].to_numpy())[inner].all()
    assert (band["high"].to_numpy() >= curve["high"].to_numpy())[inner].all()
    assert (np.diff(band["low"]) <= 1e-12).all()
    assert (np.diff(band["high"]) <= 1e-12).all()


def buys(tick: int, target: float) -> Any:
    """Buy at a tick, sell at a multiple."""

    def decide(tape: a.Tape, account: Any) -> Any:
        if tape.now == tick:
            return a.Buy("0.1")
        return a.Sell() if account.quantity and tape.value >= target * float(account.entry_price) else None

    return decide


def test_pairs_are_compared_game_by_game() -> None:
    """The difference is the mean of the differences; a strategy against itself with a fee is surely worse."""
    games = drawn(150)
    dear = a.Rules(balance=10, min_bet="0.001", max_bet=1, commission="0.01")
    runs = {
        "plain": a.backtest(games, buys(0, 1.5), rules=RULES, progress=False),
        "dear": a.backtest(games, buys(0, 1.5), rules=dear, progress=False),
        "late": a.backtest(games, buys(5, 1.5), rules=RULES, progress=False),
    }
    found = a.compare(runs).set_index(["one", "other"])
    row: Any = found.loc[("plain", "dear")]
    assert row["mean_difference"] == pytest.approx((runs["plain"].profits - runs["dear"].profits).mean())
    assert 0 < row["low"] < row["high"]
    assert row["p_adjusted"] < 0.05
    assert (found["p_adjusted"] >= found["p_value"]).all()
    with pytest.raises(AnalysisError, match="same games"):
        a.compare({"a": runs["plain"], "b": a.backtest(drawn(9), buys(0, 2), progress=False)})
    with pytest.raises(AnalysisError, match="at least two"):
        a.compare({"a": runs["plain"]})


def test_adjusted_p_values_are_those_of_the_books() -> None:
    """Holm's and Benjamini and Hochberg's, by hand; unknown ones do not count."""
    given = [0.01, np.nan, 0.02, 0.9]
    np.testing.assert_allclose(a.adjusted(given), [0.03, np.nan, 0.04, 0.9])
    np.testing.assert_allclose(a.adjusted(given, "bh"), [0.03, np.nan, 0.03, 0.9])
    with pytest.raises(AnalysisError, match="from 0 to 1"):
        a.adjusted([2.0])
    with pytest.raises(AnalysisError, match="method='x'"):
        a.adjusted([0.1], "x")  # type: ignore[arg-type]


def test_power_is_what_simulation_finds() -> None:
    """With as many games as it says, an edge is seen as often as it says."""
    from scipy.stats import ttest_1samp

    games = a.games_needed(2.0, 0.5, power=0.8)
    rng = np.random.default_rng(1)
    seen = (ttest_1samp(rng.normal(0.5, 2.0, (2000, games)), 0, axis=1).pvalue < 0.05).sum()
    assert within(int(seen), 2000, 0.8) or within(int(seen), 2000, 0.805)
    assert a.smallest_edge(2.0, games) == pytest.approx(0.5, rel=0.02)
    assert a.games_needed(1.0, 5.0) <= 5
    one = a.backtest(drawn(80), buys(0, 1.5), rules=RULES, progress=False)
    assert a.games_needed(one, 0.001) == a.games_needed(float(one.profits.std(ddof=1)), 0.001)
    with pytest.raises(AnalysisError, match="edge=0"):
        a.games_needed(1.0, 0)
    with pytest.raises(AnalysisError, match="do not differ"):
        a.games_needed(a.backtest(made([whole(5)] * 3), lambda *_: None, progress=False), 0.1)
