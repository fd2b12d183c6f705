"""Training sets: rows know nothing behind their tick, outcomes are those that came, cut-off games bias nothing."""

from __future__ import annotations

import numpy as np
import pytest

from replaylab.analysis.models.training import training_set
from replaylab.analysis.price_paths.paths import Paths
from replaylab.analysis.questions.horizons import horizon_table
from replaylab.analysis.questions.odds import theory_rate
from replaylab.analysis.simulated.watching import watched
from replaylab.errors import AnalysisError
from tests.analysis.made import Made, drawn, made, whole


def cut_at(source: Paths, tick: int) -> Paths:
    """Return the games as they stand just behind a tick: with no later row and no later rug."""
    kept = source.tick <= tick
    counts = np.bincount(source.game_of_tick[kept], minlength=len(source))
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    rug = np.where(source.rug_tick <= tick, source.rug_tick, -1)
    return Paths(source.games, start, source.tick[kept], source.price[kept], rug, source.rug_price.copy())


@pytest.mark.parametrize("tick", [0, 1, 37, 120])
def test_features_know_nothing_of_what_comes_after(tick: int) -> None:
    """Law: the row of a tick is the same to the last bit when nothing behind that tick exists."""
    source = drawn(300)
    all_of_it = training_set(source, within=1).X
    some = training_set(cut_at(source, tick + 1), within=1).X
    for games in (all_of_it, some):
        assert (games.dtypes == np.float64).all()
    one, other = (games.xs(tick, level="tick").sort_index() for games in (all_of_it, some))
    assert len(other) > 50
    assert np.array_equal(one.loc[other.index].to_numpy(), other.to_numpy(), equal_nan=True)


def test_outcomes_by_hand() -> None:
    """Rugs within two ticks, and what holding for two ticks earns, of a game of four ticks and one that is cut."""
    source = made([whole(4, ["1", "2", "4", "5"], "0.5"), Made(range(3), None, ["1", "3", "9"])])
    rugs = training_set(source, within=2)
    assert rugs.y.to_list() == [0.0, 0.0, 1.0, 1.0, 0.0]
    assert rugs.groups.to_list() == ["g0"] * 4 + ["g1"]
    assert rugs.X.attrs["cut"] == 2
    assert "2 rows left out" in repr(rugs)
    earned = training_set(source, target="result", within=2)
    assert earned.y.to_list() == [3.0, 1.5, 0.5 / 4 - 1, 0.5 / 5 - 1, 8.0]
    assert training_set(source, within=2, every=2).X.index.get_level_values("tick").to_list() == [0, 2, 0]


def test_weights_make_up_for_games_that_were_cut() -> None:
    """Weighted outcomes of cut-off games are those of all games, where the plain mean is not."""
    source = drawn(6_000)
    lengths = np.random.default_rng(3).geometric(1 / 100, 6_000)
    cut = watched(source, entries=np.zeros(6_000, np.int64), lengths=lengths)
    for found, exact in ((training_set(source), 1e-12), (training_set(cut), 0.01)):
        rate = np.average(found.y, weights=found.weight)
        assert rate == pytest.approx(theory_rate(40), abs=max(exact, 0.004))
        assert ((found.weight == 1).all()) == (found.y.size > 1_000_000)
    assert training_set(cut).y.mean() > theory_rate(40) + 0.02
    earned = training_set(cut, target="result", within=20)
    table = horizon_table(cut, holds=[20], resamples=0)
    assert np.average(earned.y, weights=earned.weight) == pytest.approx(table["mean_result"][0], abs=1e-9)


def test_what_has_no_outcome_is_refused() -> None:
    """No game, games that show no outcome, and arguments out of bounds are named."""
    with pytest.raises(AnalysisError, match="games=0"):
        training_set(made([]))
    with pytest.raises(AnalysisError, match="has an outcome"):
        training_set(made([Made(range(9))] * 8))
    for wrong in ({"target": "peak"}, {"within": 0}, {"every": 0}):
        with pytest.raises(AnalysisError, match="="):
            training_set(drawn(20), **wrong)
