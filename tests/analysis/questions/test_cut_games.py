"""Games that are cut off alive: every estimate stays true where the outcomes that were seen, alone, are far off."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replaylab.analysis.price_paths.follow_up import FollowUp
from replaylab.analysis.price_paths.paths import Paths
from replaylab.analysis.price_paths.runs import Runs
from replaylab.analysis.price_paths.spells import Spells, influence, kaplan_meier
from replaylab.analysis.questions.entries import entry_study, touch_table
from replaylab.analysis.questions.horizons import excursion_table, horizon_table
from replaylab.analysis.questions.interval import mean_by_game, rate_interval, share_by_game
from replaylab.analysis.questions.odds import theory_rate
from replaylab.analysis.questions.peaks import peak_quantiles, peak_table
from replaylab.analysis.questions.sequences import bet_sequence, martingale
from replaylab.analysis.questions.sidebets import sidebet_pooled, sidebet_table
from replaylab.analysis.questions.survival import survival
from replaylab.analysis.questions.trades import EntryPlan
from replaylab.analysis.simulated.watching import watched
from tests.analysis.made import Made, drawn, made, whole, with_gaps

GAMES = 6_000
RATE = theory_rate(40)


@cache
def cut(mean: int = 300) -> Paths:
    """Return the simulated games, each watched from tick 0 for a geometric number of ticks."""
    lengths = np.random.default_rng(3).geometric(1 / mean, GAMES)
    return watched(drawn(GAMES), entries=np.zeros(GAMES, np.int64), lengths=lengths)


def test_bet_sequence_tells_the_loss_of_cut_games() -> None:
    """A martingale of four bets loses 9.2 % of its stake; the decided games alone show a gain, the estimate the loss.

    Sequences that win are decided sooner, so they are seen more often than those that lose all four bets.
    """
    stakes = martingale("0.01", bets=4)
    (row,) = bet_sequence(cut(), stakes=stakes, confidence=0.99, resamples=300).summary.to_dict("records")
    assert row["cut"] > 0.2 * GAMES
    assert float(row["result"] / row["staked"]) > 0  # what was told before
    assert row["return_low"] < 5 * RATE - 1 < row["return_high"] < 0
    assert row["low"] < 1 - 0.995**160 < row["high"]
    staked = sum(float(stake) * 0.995 ** (40 * place) for place, stake in enumerate(stakes))
    assert row["mean_staked"] == pytest.approx(staked, rel=0.03)
    assert row["mean_low"] < (5 * RATE - 1) * staked < row["mean_high"]


def test_bet_sequence_of_whole_games_is_the_plain_mean() -> None:
    """Without a cut game the estimates are the exact sums divided by the number of games."""
    found = bet_sequence(drawn(GAMES), stakes=martingale("0.01", bets=4), resamples=0)
    row = found.summary.iloc[0]
    assert row["mean_result"] == pytest.approx(float(row["result"]) / GAMES, rel=1e-9)
    assert row["return_on_stake"] == pytest.approx(float(row["result"] / row["staked"]), rel=1e-9)
    assert row["win_rate"] == pytest.approx(row["wins"] / GAMES, rel=1e-12)


def test_bets_beyond_every_record_are_not_known() -> None:
    """Where no game was followed to the end of the last bet there is no estimate; the decided games are still exact."""
    found = bet_sequence(made([whole(30), *[Made(range(60))] * 9]), stakes=["1", "1"], resamples=0)
    assert found.summary[["win_rate", "mean_result", "return_on_stake"]].isna().all(axis=None)
    assert found.summary["n_games"][0] == 1


def test_pooled_rate_of_cut_games() -> None:
    """The pooled rate stays 18.17 % at every age, while that of the settled bets lies above its whole interval."""
    table = sidebet_pooled(cut(), edges=[0, 100], confidence=0.99)
    assert ((table["low"] < RATE) & (table["high"] > RATE)).all()
    assert table["settled_rate"][0] > table["high"][0]
    held = horizon_table(cut(), holds=[40], confidence=0.99, resamples=0).iloc[0]
    assert held["survived_low"] < 1 - RATE < held["survived_high"]


def test_gaps_that_hide_rugs_bias_nothing() -> None:
    """Where each game has a gap in which its rug may hide, rates and means are those of the whole games.

    A game that goes on behind its gap has not rugged in it: had only such games counted there, rugs would be too few.
    """
    table = sidebet_table(with_gaps(), ticks=[0, 100], confidence=0.99)
    truth = sidebet_table(drawn(GAMES), ticks=[0, 100])
    assert (table["settled_rate"] < truth["win_rate"] - 0.006).all()  # what it was before
    for found in (table, sidebet_pooled(with_gaps(), edges=[0, 100], confidence=0.99)):
        assert ((found["low"] < RATE) & (found["high"] > RATE)).all()
        assert found["win_rate"].to_numpy() == pytest.approx(RATE, abs=0.012)
    (row,) = bet_sequence(with_gaps(), stakes=martingale("0.01", bets=4), resamples=0).summary.to_dict("records")
    assert row["win_rate"] == pytest.approx(1 - 0.995**160, abs=0.02)
    assert survival(with_gaps()).rugged_by([40])["rugged"][0] == pytest.approx(RATE, abs=0.012)
    held, whole_held = (
        horizon_table(source, holds=[40], resamples=0).iloc[0] for source in (with_gaps(), drawn(GAMES))
    )
    assert held["survived"] == pytest.approx(1 - RATE, abs=0.012)
    assert held["mean_result"] == pytest.approx(whole_held["mean_result"], abs=0.02)


def test_gaps_that_hide_nothing_cost_nothing() -> None:
    """Where every rug was seen a bet over a gap is settled, and the rate is that of the counts."""
    games = [Made([0, 1, 5, 6], 7), whole(30), Made([0, 9, 12], 13)]
    for found in (sidebet_table(made(games), ticks=[0], window=10), sidebet_pooled(made(games), edges=[0], window=10)):
        assert found["cut"][0] == 0
        assert found["win_rate"][0] == pytest.approx(found["settled_rate"][0])
    seen = sidebet_table(made([*games, Made(range(3))]), ticks=[0], window=10)
    assert seen[["wins", "losses", "cut"]].to_numpy().tolist() == [[1, 2, 1]]


def test_entries_of_cut_games() -> None:
    """Shares and means of entries are those of the whole games, which the known outcomes alone are far from."""
    plan = EntryPlan(at_tick=0, target=0.5, stop=0.5)
    truth = entry_study(drawn(GAMES), plan, resamples=0)
    found = entry_study(cut(150), plan, confidence=0.99, resamples=300)
    (row,) = found.summary.to_dict("records")
    assert row["cut"] > 0.2 * GAMES
    assert row["success_low"] < truth.summary["success"][0] < row["success_high"]
    assert row["mean_low"] < truth.summary["mean_result"][0] < row["mean_high"]
    assert row["mean_held"] == pytest.approx(truth.summary["mean_held"][0], rel=0.1)
    cell = touch_table(cut(150), prices=[1], targets=[0.5], plan=plan, confidence=0.99, resamples=300).iloc[0]
    whole_cell = touch_table(drawn(GAMES), prices=[1], targets=[0.5], plan=plan, resamples=0).iloc[0]
    assert cell["low"] < whole_cell["target_first"] < cell["high"]
    assert cell["mean_low"] < whole_cell["mean_result"] < cell["mean_high"]


def test_excursions_of_cut_games() -> None:
    """Mean excursions are those of the whole games within a twentieth."""
    plan = EntryPlan(at_tick=0, hold=1)
    one, other = (excursion_table(source, holds=[100], plan=plan).iloc[0] for source in (drawn(GAMES), cut()))
    for name in ("mae_mean", "mfe_mean"):
        assert other[name] == pytest.approx(one[name], rel=0.08)


def test_highest_peaks_are_not_known_beyond_what_was_seen() -> None:
    """The upper end of a peak that may lie above every price seen is NaN, as is the peak itself among cut games."""
    few = peak_quantiles(drawn(30), shares=[0.1, 0.99])
    assert few["high"].isna().tolist() == [False, True]
    assert few["peak"].notna().all()
    alive = peak_quantiles(made([Made(range(5), None, ["1", "2", "3", "4", str(top)]) for top in range(5, 10)]))
    assert alive[["peak", "high"]].iloc[-1].isna().all()


def test_interval_of_a_rate_at_its_bounds() -> None:
    """No event has a lower end of 0, no trial no interval, and ends lie about the rate."""
    low, high = rate_interval([0, 3, 0], [100, 100, 0])
    assert low[0] == 0
    assert 0 < high[0] < 0.05
    assert low[1] < 0.03 < high[1]
    assert math.isnan(low[2])


def test_few_games_have_no_interval_of_a_mean() -> None:
    """Below five games no interval of a mean is made up; equal results have one of no width."""
    some = np.array([[1.0], [2.0], [4.0], [9.0]])
    assert np.isnan(mean_by_game(some, np.ones_like(some))).all()
    same = np.ones((9, 1))
    assert [one.tolist() for one in mean_by_game(same, same)] == [[1.0], [1.0]]
    low, high = share_by_game(same, same)
    assert (float(low[0]) < 0.8, float(high[0])) == (True, 1.0)


games = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 15), st.integers(1, 30)), min_size=2, max_size=12)


@given(games)
def test_influence_adds_up(found: list[tuple[int, int, int]]) -> None:
    """Law: influences add up to 0, and without cuts they are each game's own result less the mean, to the last bit."""
    rugs, entries, lengths = (np.array(column) for column in zip(*found, strict=True))
    source = made([whole(int(rug)) for rug in rugs])
    weights = np.random.default_rng(1).normal(size=int(rugs.max()) + 1)
    curve = kaplan_meier(Spells.of(source))
    own = np.array([weights[: int(rug)].sum() for rug in rugs])  # alive after ticks 0 to R - 1
    assert np.allclose(influence(Spells.of(source), curve, weights, len(rugs)) * len(rugs), own - own.mean(), atol=1e-9)
    part = watched(source, entries=entries, lengths=lengths)
    if part.n_games:
        spells = Spells.of(part)
        curve = kaplan_meier(spells)
        moved = influence(spells, curve, np.ones(len(curve.tick)), part.n_games)
        assert abs(moved.sum()) < 1e-9


@given(games)
def test_weights_make_up_for_what_was_cut(found: list[tuple[int, int, int]]) -> None:
    """Law: weights are at least 1, exactly 1 without a cut, and the corrections of the sums add up to 0."""
    rugs, entries, lengths = (np.array(column) for column in zip(*found, strict=True))
    source = made([whole(int(rug)) for rug in rugs])
    for known in (source, watched(source, entries=entries, lengths=lengths)):
        if not known.n_games:
            continue
        follow_up = FollowUp.of_runs(known, Runs.of(known))
        begin = known.tick.astype(np.int64)
        weights = follow_up.weight(begin, begin + 1)
        assert (weights >= 1 - 1e-12).all()
        assert known is not source or (weights == 1).all()
        seen = ~follow_up.cut
        values = np.random.default_rng(2).normal(size=len(begin))[seen]
        above, below = follow_up.sums(known.game_of_tick[seen], begin[seen], begin[seen] + 1, values)
        assert above.sum() == pytest.approx((weights[seen] * values).sum(), abs=1e-9)
        assert below.sum() == pytest.approx(weights[seen].sum())


def test_intervals_cover_as_often_as_they_say() -> None:
    """Over 200 draws of 60 games, whole and cut, 95 % intervals of pooled shares and means miss about one in twenty."""
    truth = horizon_table(drawn(100_000), holds=[20], resamples=0)["mean_result"][0]
    missed: dict[str, list[bool]] = {"share": [], "mean": []}
    for seed in range(200):
        games_of_seed = drawn(100_000).take(np.arange(seed * 60, seed * 60 + 60))
        lengths = np.random.default_rng(seed).geometric(1 / 300, 60)
        known = games_of_seed if seed % 2 else watched(games_of_seed, entries=np.zeros(60, int), lengths=lengths)
        pooled = sidebet_pooled(known, edges=[0]).iloc[0]
        missed["share"].append(not pooled["low"] <= RATE <= pooled["high"])
        row = horizon_table(known, holds=[20], resamples=200).iloc[0]
        missed["mean"].append(not row["low"] <= truth <= row["high"])
    rates = pd.DataFrame(missed).mean()
    assert ((rates > 0.01) & (rates < 0.10)).all(), rates


def cut_at(tick: int) -> Paths:
    """Return the simulated games, all of them watched for the same number of ticks."""
    return watched(drawn(GAMES), entries=np.zeros(GAMES, np.int64), lengths=np.full(GAMES, tick))


def test_what_no_record_reaches_is_not_known() -> None:
    """Where all records end at one tick, what comes later has no weight: figures are NaN, never those of what was seen.

    The bets that were settled by tick 60 won 0.29 and those from tick 50 on all; the truth is 0.18.
    """
    short = cut_at(60)
    bets = sidebet_pooled(short)
    assert bets["settled_rate"].iloc[1] == 1
    assert bets[["win_rate", "low", "high", "expected_value", "kelly"]].isna().all(axis=None)
    horizons = horizon_table(short, holds=[100], resamples=0)
    assert horizons[["survived", "survived_high", "mean_result", "median"]].isna().all(axis=None)
    assert excursion_table(short, holds=[100])[["mae_mean", "mfe_median"]].isna().all(axis=None)
    study = entry_study(short, EntryPlan(at_tick=0, target=1.0), resamples=0)
    assert study.summary[["success", "mean_result", "median_result"]].isna().all(axis=None)
    assert study.outcomes[["share", "low", "high"]].isna().all(axis=None)
    assert study.summary["cut"].iloc[0] > GAMES / 3
    touched = touch_table(short, prices=[1.1], targets=[1.0], resamples=0)
    assert touched[["target_first", "low", "mean_result"]].isna().all(axis=None)


def test_peaks_that_no_record_reaches_are_bounded() -> None:
    """What is known of peaks then is between what was reached and that with all games alive below it."""
    short = cut_at(60)
    games = drawn(GAMES)
    truth = float((np.maximum.reduceat(games.price, games.start[:-1]) >= 2).mean())
    (row,) = peak_table(short, at=[2.0]).to_dict("records")
    assert math.isnan(row["reached"])
    assert row["low"] < 0.2 < truth < row["high"]
    last = peak_quantiles(short, shares=[0.95]).iloc[0]
    assert math.isnan(last["peak"])
    assert math.isnan(last["high"])


def test_little_that_no_record_reaches_moves_little() -> None:
    """Records of 600 ticks lack a twentieth of the games' ends: what the first ticks are asked is answered."""
    bets = sidebet_pooled(cut_at(600)).iloc[0]
    assert bets["low"] < RATE < bets["high"]
