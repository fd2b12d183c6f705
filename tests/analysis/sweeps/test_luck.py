"""Luck: of many strategies without an edge the best is called good as often as the level says, and no more."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom  # type: ignore[import-untyped]

from replaylab.analysis.sweeps.luck import best_of_many
from replaylab.errors import AnalysisError

TRIALS, GAMES, TRIED = 400, 100, 20


def without_edge(kind: str, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return results of strategies whose mean is 0: games x strategies."""
    if kind == "alike":
        return rng.normal(size=(GAMES, 1)) + 0.3 * rng.normal(size=(GAMES, TRIED))
    if kind == "skewed":
        chance = rng.uniform(0.1, 0.6, TRIED)
        return np.where(rng.random((GAMES, TRIED)) < chance, (1 - chance) / chance, -1.0)
    won = np.where(rng.random((GAMES, TRIED)) < 0.2, 4.0, -1.0)
    return won * (rng.random((GAMES, TRIED)) < 0.7)  # some games are not played


@pytest.mark.parametrize("kind", ["alike", "skewed", "side bets"])
def test_the_best_without_an_edge_is_called_good_as_often_as_the_level(kind: str) -> None:
    """The count of false alarms at 5 % lies where a count of 400 trials does with a chance of 99.98 %."""
    alarms = alone = 0
    for trial in range(TRIALS):
        found = best_of_many(without_edge(kind, np.random.default_rng(trial)), resamples=200, seed=trial)
        alarms += float(np.nanmin(found.p_adjusted)) <= 0.05
        alone += float(np.nanmin(found.p_value)) <= 0.05
    low, high = binom.ppf([0.0001, 0.9999], TRIALS, 0.05)
    assert low <= alarms <= high
    if kind != "alike":
        assert alone > TRIALS / 2  # what is reported without counting the tries


def test_losing_strategies_do_not_hide_an_edge() -> None:
    """Hopeless tries beside a good one cost White's check its power, and this one nothing."""
    rng = np.random.default_rng(3)
    results = rng.normal(size=(400, 60))
    results[:, 1:] -= 0.6
    results[:, 0] += 0.14
    found = best_of_many(results, resamples=500)
    assert found.p_adjusted[0] < found.p_white[0]
    assert found.p_adjusted[0] < 0.03
    assert (found.p_adjusted[1:] > 0.5).all()


def test_an_edge_is_seen() -> None:
    """A mean far above its error is beyond chance, and its interval holds it."""
    results = np.random.default_rng(3).normal(size=(400, 300))
    results[:, 7] += 0.5
    found = best_of_many(results, resamples=400)
    assert int(np.argmin(found.p_adjusted)) == 7
    assert found.p_adjusted[7] < 0.01
    assert found.low[7] < 0.5 < found.high[7]


def test_weights_leave_out_games_and_count_others_more() -> None:
    """A game of weight 0 is not there; a game of weight 2 counts as two in the mean."""
    results = np.random.default_rng(3).normal(size=(60, 3))
    weights = np.repeat([0.0, 1.0, 2.0], 20)
    found = best_of_many(results, weights, resamples=50)
    assert found.mean == pytest.approx(np.average(results, axis=0, weights=weights))
    results[:20] = 1e9
    assert best_of_many(results, weights, resamples=50).mean == pytest.approx(found.mean)


def test_what_cannot_be_judged_has_no_chance() -> None:
    """A strategy that never trades, or hardly ever, is not judged; too few games are an error."""
    results = np.zeros((50, 3))
    results[:, 1] = np.random.default_rng(1).normal(size=50)
    results[:3, 2] = 5
    found = best_of_many(results, resamples=50)
    assert np.isnan(found.p_adjusted).tolist() == [True, False, True]
    assert np.isnan(found.low).tolist() == [True, False, True]
    with pytest.raises(AnalysisError, match="games=19"):
        best_of_many(np.ones((19, 2)))
