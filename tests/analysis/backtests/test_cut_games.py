"""Backtests over games that were cut off, and bankrolls that are spent: figures that leave nothing out in silence."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
import pytest

from replaylab.analysis.backtests.account import Rules
from replaylab.analysis.backtests.backtest import Backtest, backtest
from replaylab.analysis.backtests.orders import Bet, Buy, Order, Sell
from replaylab.analysis.backtests.ruin import ruin
from replaylab.analysis.backtests.vectorised import Vectorised
from replaylab.analysis.comparisons.paired import compare
from replaylab.analysis.price_paths.paths import Paths
from replaylab.analysis.simulated.watching import watched
from replaylab.analysis.sweeps.sweep import sweep
from replaylab.errors import AnalysisError, LookAhead
from tests.analysis.made import Made, drawn, made, whole, with_gaps

GAMES = 4_000
RULES = Rules(balance=10_000, min_bet="0.001", max_bet=1)


@cache
def cut(mean: int = 300) -> Paths:
    """Return the simulated games, each watched from tick 0 for a geometric number of ticks."""
    lengths = np.random.default_rng(3).geometric(1 / mean, GAMES)
    return watched(drawn(GAMES), entries=np.zeros(GAMES, np.int64), lengths=lengths)


def run(source: Paths, strategy: Any, **options: Any) -> Backtest:
    """Run a backtest without a bar and without the check for look-ahead."""
    return backtest(source, strategy, **{"rules": RULES, "progress": False, "check": False, **options})


@Vectorised
def doubling(paths: Paths) -> dict[Order, Any]:
    """Buy at tick 0, sell at the first price of 2 or more."""
    rows = np.flatnonzero(paths.price >= 2)
    _, first = np.unique(paths.game_of_tick[rows], return_index=True)
    return {Buy("0.1"): np.flatnonzero(paths.tick == 0), Sell(): rows[first]}


@Vectorised
def betting(paths: Paths) -> dict[Order, Any]:
    """Bet at tick 0."""
    return {Bet("0.1"): np.flatnonzero(paths.tick == 0)}


def figures(found: Backtest) -> dict[str, float]:
    """Return the metrics by name."""
    return {str(name): float(value) for name, value in found.metrics()["value"].items()}


@pytest.mark.parametrize(("strategy", "too_high"), [(doubling, False), (betting, True)])
def test_the_default_is_not_biased_by_cut_games(strategy: Vectorised, *, too_high: bool) -> None:
    """Mean result of a trade of cut games is that of the whole ones, while skipping the cut games is far off.

    Skipping favours what is decided soon: losses at the rug of a position, wins of a side bet.
    """
    truth = figures(run(drawn(GAMES), strategy))
    weighted, skipped = (figures(run(cut(), strategy, unfinished=how)) for how in ("weight", "skip"))
    error = 0.06 if strategy is doubling else 0.08  # of the stake
    assert weighted["return_on_stake"] == pytest.approx(truth["return_on_stake"], abs=error)
    assert weighted["win_rate"] == pytest.approx(truth["win_rate"], abs=0.03)
    assert abs(skipped["return_on_stake"] - truth["return_on_stake"]) > 1.5 * error
    assert (skipped["return_on_stake"] > truth["return_on_stake"]) is too_high
    assert figures(run(cut(), strategy)) == pytest.approx(weighted, nan_ok=True)


def test_gaps_that_hide_rugs_bias_nothing() -> None:
    """Where half of the games have a gap in which the rug may hide, trades have the results of whole games."""
    for strategy, error in ((doubling, 0.08), (betting, 0.06)):
        truth, found = (figures(run(source, strategy)) for source in (drawn(6_000), with_gaps(share=0.5)))
        assert found["return_on_stake"] == pytest.approx(truth["return_on_stake"], abs=error)
        assert found["win_rate"] == pytest.approx(truth["win_rate"], abs=0.02)
    assert figures(run(with_gaps(), betting, unfinished="void"))["win_rate"] < truth["win_rate"] - 0.01


def test_whole_games_are_not_changed_by_the_choice() -> None:
    """Where every rug was seen all four choices say the same, and nothing is noted."""
    found = [run(drawn(300), doubling, unfinished=how) for how in ("weight", "mark", "void", "skip")]
    assert all(figures(one) == pytest.approx(figures(found[0]), nan_ok=True) for one in found)
    assert all(one.notes == [] for one in found)


def test_the_text_says_what_was_cut_or_left_out() -> None:
    """The text of a backtest says how many games were cut off or left out, and how many trades were open there."""
    games = made([whole(5), Made(range(3))])
    strategy = Vectorised(lambda paths: {Buy("0.1"): paths.start[:-1]})
    assert "1 game cut off, 1 trade open there, weighted" in repr(run(games, strategy))
    assert "1 game cut off, 1 trade open there, as they stood" in repr(run(games, strategy, unfinished="void"))
    assert "1 game without a rug left out" in repr(run(games, strategy, unfinished="skip"))
    assert "cut off" not in repr(run(made([whole(5)]), strategy))


def test_a_position_is_marked_to_the_last_price() -> None:
    """With `mark` what is open at the end of a record is sold at its last price, exactly; a bet comes back at cost."""
    games = made([Made(range(3), None, ["1", "2", "1.5"])])
    for strategy in (
        Vectorised(lambda _paths: {Buy("0.1"): [0], Bet("0.2"): [1]}),
        lambda tape, _account: {0: Buy("0.1"), 1: Bet("0.2")}.get(tape.now),
    ):
        found = run(games, strategy, unfinished="mark")
        assert [(one.kind, one.amount) for one in found.entries[2:]] == [
            ("mark", Decimal("0.15")),
            ("void", Decimal("0.2")),
        ]
        assert found.profit == Decimal("0.05")


class LosesAlmostAll:
    """Stakes 0.1 in every game, as long as it may."""

    def decide(self, tape: Any, account: Any) -> Order | None:
        """Buy at tick 0."""
        del account
        return Buy("0.1") if tape.now == 0 else None


class Careful(LosesAlmostAll):
    """The same, but asks for nothing that it cannot pay."""

    def decide(self, tape: Any, account: Any) -> Order | None:
        """Buy at tick 0 when the balance allows it."""
        return Buy("0.1") if tape.now == 0 and account.balance >= Decimal("0.1") else None


@pytest.mark.parametrize("strategy", [LosesAlmostAll, Careful])
def test_a_spent_bankroll_is_ruined(strategy: type) -> None:
    """A strategy that loses 98 % of its stake in every game is ruined for sure, however many games follow its end.

    Games that could not be played are no games without a loss: neither ruin nor the means count them.
    """
    games = made([whole(5, ["1"] * 5, "0.02")] * 200)
    found = backtest(games, strategy, rules=Rules(balance=1, min_bet="0.001", max_bet=1), progress=False)
    assert found.playable.tolist() == [True] * 10 + [False] * 190
    assert found.ruin(resamples=300).probability == 1
    before = ruin(found.profits, start=1, level=0.001, resamples=300)  # all games drawn, those without a stake too
    assert before.probability < 0.5
    metrics = figures(found)
    assert metrics["games_not_playable"] == 190
    alone = figures(backtest(games.take(np.arange(10)), strategy, rules=found.rules, progress=False))
    for name in ("mean_return", "volatility", "sharpe", "sortino", "var", "cvar"):
        assert metrics[name] == pytest.approx(alone[name])
    assert "190 games not playable" in repr(found)


def test_a_strategy_that_waits_is_not_ruined() -> None:
    """Games in which nothing was ordered by choice are played games, and a strategy that never orders loses nothing."""
    games = made([whole(5)] * 20)
    found = run(games, lambda tape, _account: Buy("0.1") if tape.game_id == "g3" and tape.now == 0 else None)
    assert found.playable.all()
    assert run(games, lambda _tape, _account: None).playable.all()


def test_a_stake_that_never_fits_has_no_ruin() -> None:
    """When no stake could be placed at all there is nothing to resample, and the error says so."""
    found = backtest(
        made([whole(5)] * 3), LosesAlmostAll, rules=Rules(balance="0.05", min_bet="0.001", max_bet=1), progress=False
    )
    with pytest.raises(AnalysisError, match="none could be played"):
        found.ruin()


def test_stakes_that_are_not_covered_ruin() -> None:
    """A bankroll above the level that does not cover what the next game needs is ruined."""
    profits, needs = np.array([-0.1, -0.1]), np.array([0.5, 0.5])
    assert ruin(profits, start=0.55, games=3, resamples=50).probability == 0
    assert ruin(profits, start=0.55, games=3, needs=needs, resamples=50).probability == 1
    assert ruin(profits, start=0.55, games=1, needs=needs, resamples=50).probability == 0


def test_rare_look_ahead_is_found() -> None:
    """An oracle of rare jumps is found with every seed: games are cut directly behind what it orders.

    One random cut in each of 64 games meets such an order in less than half of the seeds.
    """
    games = drawn(GAMES)

    def oracle(paths: Paths) -> dict[Order, Any]:
        step = np.zeros(paths.n_ticks)
        step[:-1] = paths.price[1:] / paths.price[:-1]
        step[paths.start[1:] - 1] = 0
        rows = np.flatnonzero(step > 1.2499)
        return {Buy("0.1"): rows, Sell(): rows + 1}

    for seed in range(6):
        some = games.take(np.random.default_rng(seed).permutation(GAMES)[:500])
        with pytest.raises(LookAhead):
            backtest(some, Vectorised(oracle), rules=RULES, progress=False)


def test_results_that_no_record_reaches_are_not_known() -> None:
    """Where all records end at one tick and many trades are open there, no mean is told, and no chance of ruin."""
    short = watched(drawn(GAMES), entries=np.zeros(GAMES, np.int64), lengths=np.full(GAMES, 60))
    found = run(short, doubling)
    told = figures(found)
    assert np.isnan([told["mean_return"], told["volatility"], told["sharpe"]]).all()
    assert told["profit"] != 0
    with pytest.raises(AnalysisError, match="too few of the games were watched to their end"):
        found.ruin()
    other = run(short, betting)
    assert compare({"one": found, "other": other})[["mean_difference", "low", "p_value"]].isna().all(axis=None)
    tried = sweep(short, doubling_at, {"at": [1.5, 2.0]}, rules=RULES, progress=False, check=False)
    assert "no mean profit is known" in repr(tried)
    with pytest.raises(AnalysisError, match="no mean profit is known"):
        _ = tried.best


def doubling_at(at: float) -> Vectorised:
    """Buy at tick 0, sell at the first price of `at` or more."""

    def signals(paths: Paths) -> dict[Order, Any]:
        rows = np.flatnonzero(paths.price >= at)
        _, first = np.unique(paths.game_of_tick[rows], return_index=True)
        return {Buy("0.1"): np.flatnonzero(paths.tick == 0), Sell(): rows[first]}

    return Vectorised(signals)
