"""Sweeps: the results of `backtest` at every point, in doubles, and words about the best that chance does not earn."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import replaylab as rl
from replaylab import analysis as a
from replaylab.analysis.backtests.orders import Order
from replaylab.analysis.backtests.vectorised import placed_orders
from replaylab.analysis.simulated.watching import watched
from replaylab.analysis.sweeps.per_game import of_orders
from replaylab.errors import AnalysisError, LookAhead, StrategyError, WorkerFailed
from tests.analysis.made import Made, drawn, made, some_game
from tests.crash.scale import SCALE
from tests.stores import quiet, simulated

RULES = a.Rules(balance=10, min_bet="0.001", max_bet=1)


def hold(since: int, ticks: int) -> a.Vectorised:
    """Buy at a tick, sell some ticks later."""
    return a.Vectorised(
        lambda paths: {
            a.Buy("0.1"): np.flatnonzero(paths.tick == since),
            a.Sell(): np.flatnonzero(paths.tick == since + ticks),
        }
    )


def called(tape: a.Tape, account: a.Trader, since: int, ticks: int) -> Any:
    """The same, asked at each tick."""
    del account
    return a.Buy("0.1") if tape.now == since else a.Sell() if tape.now == since + ticks else None


def swept(source: Any, strategy: Any, grid: Any, **options: Any) -> a.Sweep:
    """Sweep without a bar, in this process, with few resamples."""
    return a.sweep(
        source, strategy, grid, **{"rules": RULES, "progress": False, "workers": 1, "resamples": 100, **options}
    )


GRID = {"since": [0, 10], "ticks": [5, 20, 40]}


@pytest.mark.parametrize("strategy", [hold, called])
def test_every_point_is_a_backtest(strategy: Any) -> None:
    """The profits of each point are those of its backtest, and trades and return on stake as well."""
    games = drawn(120)
    found = swept(games, strategy, GRID)
    assert found.table[["since", "ticks"]].to_numpy().tolist() == [[s, t] for s in (0, 10) for t in (5, 20, 40)]
    for row in range(len(found)):
        one = found.backtest(row)
        np.testing.assert_allclose(found.profits[row], one.profits, atol=1e-12)
        assert found.table.loc[row, "trades"] == len(one.trades)
        assert found.table.loc[row, "return_on_stake"] == pytest.approx(one.metrics().loc["return_on_stake", "value"])
        assert found.table.loc[row, "mean_profit"] == pytest.approx(one.profits.mean())
    assert (found.table["low"] < found.table["mean_profit"]).all()
    assert (found.table["mean_profit"] < found.table["high"]).all()


@st.composite
def orders(draw: st.DrawFn) -> tuple[a.Paths, a.Vectorised, a.Rules]:
    """Games, rows of any orders on them, and rules."""
    paths = made(draw(st.lists(some_game(), min_size=1, max_size=4)))
    rows = st.lists(st.integers(0, paths.n_ticks - 1), max_size=8)
    kinds: list[Order] = [
        a.Buy("0.3"),
        a.Buy("0.05"),
        a.Buy(7),
        a.Sell(),
        a.Sell("0.5"),
        a.Sell(2),
        a.Bet("0.2"),
        a.Bet("0.6"),
    ]
    placed = {order: np.array(draw(rows), np.int64) for order in kinds}
    rules = a.Rules(
        balance=draw(st.sampled_from(["1", "0.6", "100"])), min_bet="0.01", max_bet="2",
        commission=draw(st.sampled_from(["0", "0.01"])), window=draw(st.sampled_from([3, 40])),
        cooldown=draw(st.sampled_from([0, 5])), bets=draw(st.sampled_from([1, 1, 2])),
        slippage=draw(st.sampled_from(["0", "0", "0.01"])), latency_ticks=draw(st.sampled_from([0, 0, 2])),
    )  # fmt: skip
    return paths, a.Vectorised(lambda _: placed), rules


def _same(placed: dict[Any, Any], paths: a.Paths) -> dict[Any, Any]:
    del paths
    return placed


@settings(max_examples=30 * SCALE, deadline=None)
@given(orders(), st.booleans())
def test_quick_results_are_those_of_the_exact_account(some: tuple[Any, Any, Any], mark: bool) -> None:  # noqa: FBT001
    """Whatever is ordered, doubles settle as `Account` does, also where a stake is all that is left."""
    paths, strategy, rules = some
    placed = placed_orders(strategy, paths)
    found = of_orders(placed, paths, rules, mark=mark)
    for game in range(len(paths)):
        one = paths.take(np.array([game]))
        rows = (placed.row >= paths.start[game]) & (placed.row < paths.start[game + 1])
        here = {
            order: (placed.row - paths.start[game])[rows & (placed.which == place)]
            for place, order in enumerate(placed.orders)
        }
        ending: Any = "mark" if mark else "void"
        again = a.Vectorised(partial(_same, here))
        alone = a.backtest(one, again, rules=rules, check=False, progress=False, unfinished=ending)
        assert found.profit[game] == pytest.approx(float(alone.profit), rel=1e-9, abs=1e-9)
        assert found.trades[game] == len(alone.trades)
        assert found.paid[game] == pytest.approx(float(sum(trade.paid for trade in alone.trades)), rel=1e-9, abs=1e-9)


def test_every_game_has_the_whole_bankroll() -> None:
    """A strategy that loses all in its first game plays the next with the same money."""
    games = made([Made(range(3), 3, [1, 1, 1], "0")] * 25)
    found = swept(
        games,
        lambda stake: a.Vectorised(lambda p: {a.Buy(stake): np.flatnonzero(p.tick == 0)}),
        {"stake": ["1"]},
        rules=a.Rules(balance=1, min_bet="0.1", max_bet=1),
    )
    assert found.profits.tolist() == [[-1.0] * 25]


def test_workers_executors_and_caches_give_the_same(tmp_path: Path) -> None:
    """Processes, an executor and a cache change no figure; a second run computes nothing."""
    from concurrent.futures import ThreadPoolExecutor

    games = drawn(60)
    plain = swept(games, hold, GRID)
    with ThreadPoolExecutor(2) as pool:
        others = [
            swept(games, hold, GRID, workers=2),
            swept(games, hold, GRID, executor=pool),
            swept(games, hold, GRID, cache=tmp_path),
        ]
    again = swept(games, hold, GRID, cache=tmp_path)
    assert (others[-1].cached, again.cached) == (0, 6)
    assert swept(games, hold, {"since": [0, 3], "ticks": [5]}, cache=tmp_path).cached == 1
    for other in (*others, again):
        assert other.table.equals(plain.table)
        assert np.array_equal(other.profits, plain.profits)


def test_kept_results_belong_to_their_games_and_rules(tmp_path: Path) -> None:
    """Other games, other rules or a damaged file are computed anew."""
    swept(drawn(40), hold, GRID, cache=tmp_path)
    assert swept(drawn(40, 2), hold, GRID, cache=tmp_path).cached == 0
    assert (
        swept(drawn(40), hold, GRID, cache=tmp_path, rules=a.Rules(balance=9, min_bet="0.001", max_bet=1)).cached == 0
    )
    for path in tmp_path.rglob("*.arrow"):
        path.write_bytes(path.read_bytes()[:40])
    assert swept(drawn(40), hold, GRID, cache=tmp_path).cached == 0


def test_a_cache_by_url_is_refused_before_a_folder_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`s3://` is no folder called `s3:`."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AnalysisError, match=r"s3://bucket/cache.*no object store"):
        swept(drawn(40), hold, GRID, cache="s3://bucket/cache")
    assert not list(tmp_path.iterdir())


def test_a_store_is_read_exactly(tmp_path: Path) -> None:
    """A sweep of a store is that of its paths."""
    store = quiet(simulated(tmp_path / "recordings", games=25), tmp_path / "store").store
    one, other = (
        swept(source, called, {"since": [0], "ticks": [5, 9]}) for source in (store, rl.analysis.paths(store))
    )
    assert np.allclose(one.profits, other.profits, atol=1e-12)


@pytest.mark.parametrize(
    ("strategy", "grid", "words"),
    [
        (hold, {}, "no point"),
        (hold, {"since": [], "ticks": [1]}, "no point.*since"),
        (hold, [], "no point"),
        (hold, {"since": range(1000), "ticks": range(1000)}, "1,000,000 points; at most 10,000"),
        (hold, ({"since": 0, "ticks": one} for one in range(10**6)), "at least 10,001 points"),
        (hold, {"since": [0], "tick": [1]}, "does not take since, tick"),
        (hold, [{"since": 0, "ticks": 1}, {"since": 0}], "same names"),
        (hold, 7, "grid=7"),
        (hold(1, 2), {"since": [0]}, "takes no parameters"),
    ],
)
def test_bad_grids_are_named(strategy: Any, grid: Any, words: str) -> None:
    """A grid of nothing, of a million points or of names that the strategy does not take says so."""
    with pytest.raises(AnalysisError, match=words):
        swept(drawn(30), strategy, grid)


def test_a_point_that_raises_is_named_and_the_others_go_on() -> None:
    """One bad point is a row without figures; when all raise the sweep does; look-ahead always does."""

    def fragile(ticks: int) -> a.Vectorised:
        if ticks < 0:
            raise ValueError(ticks)
        return hold(0, ticks)

    found = swept(drawn(40), fragile, {"ticks": [-1, 5]})
    assert found.table["error"].tolist()[0] == "ValueError: -1"
    assert found.table["mean_profit"].isna().tolist() == [True, False]
    assert "5" in found.verdict
    with pytest.raises(StrategyError, match=r"ticks.*every other point"):
        swept(drawn(40), fragile, {"ticks": [-1, -2]})

    def peeking(margin: float) -> a.Vectorised:
        return a.Vectorised(lambda p: {a.Buy("0.1"): np.flatnonzero(np.append(np.diff(p.price), 0) > margin)})

    with pytest.raises(LookAhead, match="margin"):
        swept(drawn(40), peeking, {"margin": [0.01]})


def test_a_worker_that_dies_names_its_points() -> None:
    """A strategy that ends its process is no hang and no silent gap."""

    def deadly(ticks: int) -> Any:
        import os

        if threading.current_thread() is threading.main_thread() and ticks == 9:
            os._exit(3)
        return hold(0, ticks)

    with pytest.raises(WorkerFailed, match=r"ticks.*"):
        swept(drawn(40), deadly, {"ticks": [5, 9, 9, 9]}, workers=2)


def test_few_games_are_not_judged() -> None:
    """With fewer than 20 games there is a mean and no interval or test, and it is said."""
    found = swept(drawn(12), hold, GRID)
    assert found.table["mean_profit"].notna().all()
    assert found.table[["low", "high", "p_value", "p_adjusted"]].isna().all(axis=None)
    assert "too few games" in repr(found)
    with pytest.raises(AnalysisError, match="fewer than two games"):
        found.walk_forward(folds=12)


def test_games_that_were_cut_are_made_up_for() -> None:
    """Weighted, the mean of games that were cut off is near that of the whole ones; left out, it is not."""
    whole = drawn(4_000)
    lengths = np.random.default_rng(5).geometric(1 / 300, 4_000)
    cut = watched(whole, entries=np.zeros(4_000, np.int64), lengths=lengths)
    grid = {"since": [0], "ticks": [200]}
    truth, weighted, left_out = (
        swept(source, hold, grid, unfinished=how).table.loc[0]
        for source, how in ((whole, "weight"), (cut, "weight"), (cut, "skip"))
    )
    assert weighted["low"] < truth["mean_profit"] < weighted["high"]
    assert left_out["high"] < truth["mean_profit"]


def test_walk_forward_chooses_only_on_what_was_before() -> None:
    """A point that is good in the first half alone is chosen there, and what it does later is shown."""
    games = drawn(200)
    late = np.arange(200) >= 100
    found = swept(games, hold, GRID)
    found.profits[:] = -0.01
    found.profits[2] = np.where(late, -0.5, 0.3)
    forward = found.out_of_sample(0.5)
    assert forward[["since", "ticks", "train_games", "test_games"]].to_numpy().tolist() == [[0, 40, 100, 100]]
    assert forward[["train_mean", "test_mean"]].to_numpy().tolist() == [[pytest.approx(0.3), pytest.approx(-0.5)]]
    folds = found.walk_forward(4)
    assert folds.index.tolist() == ["1", "2", "3", "4", "all"]
    assert folds["test_games"].sum() == 2 * 160
    assert folds.loc["1", "train_games"] == 40


def test_heatmap_shows_two_parameters() -> None:
    """Cells are the means over further parameters; one parameter alone is plotted from the table."""
    found = swept(drawn(40), hold, GRID)
    drawing = found.heatmap("ticks", "since")
    assert [text.get_text() for text in drawing.axes[0].get_xticklabels()] == ["5", "20", "40"]
    with pytest.raises(AnalysisError, match="value='nope'"):
        found.heatmap(value="nope")
    with pytest.raises(AnalysisError, match="one parameter"):
        swept(drawn(40), lambda ticks: hold(0, ticks), {"ticks": [5]}).heatmap()
