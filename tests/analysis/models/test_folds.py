"""Folds: no game on both sides, tests behind what was fitted on, and scikit-learn takes them as its own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.dummy import DummyClassifier  # type: ignore[import-untyped]
from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
from sklearn.model_selection import GridSearchCV, GroupKFold, TimeSeriesSplit, cross_val_score  # type: ignore[import-untyped]
from sklearn.pipeline import make_pipeline  # type: ignore[import-untyped]
from sklearn.preprocessing import StandardScaler  # type: ignore[import-untyped]
from sklearn.tree import DecisionTreeClassifier  # type: ignore[import-untyped]

from replaylab.analysis.models.folds import GameFolds, GamesInTime
from replaylab.analysis.models.training import training_set
from replaylab.errors import AnalysisError
from tests.analysis.made import drawn

lengths = st.lists(st.integers(1, 9), min_size=7, max_size=30)


@given(lengths, st.integers(2, 7), st.integers(0, 5))
def test_a_game_is_on_one_side_only(sizes: list[int], splits: int, seed: int) -> None:
    """Law: each row is tested exactly once, no game stands on both sides, and folds differ by one game at most."""
    games = np.repeat(np.arange(len(sizes)), sizes)
    games = np.random.default_rng(seed).permutation(games)
    tested: list[int] = []
    sizes_of: list[int] = []
    for train, test in GameFolds(splits, seed).split(games, groups=games):
        assert not set(games[train]) & set(games[test])
        assert sorted([*train, *test]) == list(range(len(games)))
        tested.extend(test)
        sizes_of.append(len(set(games[test])))
    assert sorted(tested) == list(range(len(games)))
    assert max(sizes_of) - min(sizes_of) <= 1


@given(lengths, st.integers(1, 5), st.integers(0, 1), st.sampled_from([None, 2]))
def test_tests_come_after_what_was_fitted_on(sizes: list[int], splits: int, gap: int, most: int | None) -> None:
    """Law: every game fitted on stands before every game tested, with the gap between; no game is tested twice."""
    games = np.repeat(np.arange(len(sizes)), sizes)
    tested: list[int] = []
    for train, test in GamesInTime(splits, gap=min(gap, len(sizes) // (splits + 1) - 1), most=most).split(
        games, groups=games
    ):
        assert games[train].max() < games[test].min()
        assert len(train)
        assert most is None or len(set(games[train])) <= most
        tested.extend(test)
    assert len(tested) == len(set(tested))
    assert tested[-1] == len(games) - 1


def test_folds_of_one_row_a_game_are_those_of_scikit_learn() -> None:
    """With one row a game, tests in time are those of `TimeSeriesSplit`, and folds have the sizes of `GroupKFold`'s."""
    games = np.arange(24)
    ours = [(train.tolist(), test.tolist()) for train, test in GamesInTime(5).split(games, groups=games)]
    theirs = [(train.tolist(), test.tolist()) for train, test in TimeSeriesSplit(5).split(games)]
    assert ours == theirs
    sizes = [len(test) for _, test in GameFolds(5).split(games, groups=games)]
    assert sorted(sizes) == sorted(len(test) for _, test in GroupKFold(5).split(games, groups=games))


@pytest.mark.parametrize("folds", [GameFolds(3), GamesInTime(3)])
def test_scikit_learn_takes_them(folds: Any) -> None:
    """`cross_val_score` and `GridSearchCV` take them as `cv`, with groups, or with a frame that names its games."""
    found = training_set(drawn(300), every=10)
    rows = found.X.fillna(0.0)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    one = cross_val_score(model, rows, found.y, groups=found.groups, cv=folds)
    other = cross_val_score(model, rows, found.y, cv=folds)
    assert one.tolist() == other.tolist()
    assert len(one) == folds.get_n_splits()
    search = GridSearchCV(DecisionTreeClassifier(), {"max_depth": [1, 2]}, cv=folds).fit(
        rows, found.y, groups=found.groups
    )
    assert search.best_params_


def test_a_model_that_knows_its_games_is_found_out() -> None:
    """A tree that learns games by heart looks clever on ticks drawn at random, and like a guess on other games."""
    found = training_set(drawn(200), every=2)
    rows = found.X[["age", "price", "mean_10", "ticks_since_peak"]].fillna(0.0)
    mixed = np.random.default_rng(1).permutation(len(rows))
    tree = DecisionTreeClassifier(random_state=0)
    guess = cross_val_score(DummyClassifier(), rows, found.y, cv=GameFolds(3)).mean()
    honest = cross_val_score(tree, rows, found.y, cv=GameFolds(3)).mean()
    by_rows = cross_val_score(tree, rows.iloc[mixed], found.y.iloc[mixed], cv=3).mean()
    assert by_rows > guess > honest


@pytest.mark.parametrize("folds", [GameFolds(3), GamesInTime(2)])
def test_folds_that_cannot_be_are_named(folds: Any) -> None:
    """Too few games, rows without a game, and ids for another number of rows are refused by name."""
    rows = np.zeros((4, 1))
    wrong: list[tuple[Any, str]] = [
        (["a", "a", "b", "b"], "games=2"),
        (["a", "b"], "2,.* for 4 rows"),
        (["a", None, "b", "c"], "row 1"),
        (None, "groups=None"),
    ]
    for groups, text in wrong:
        with pytest.raises(AnalysisError, match=text):
            list(folds.split(rows, groups=groups))
    frame = pd.DataFrame({"game_id": ["a", "a", "b", "c"], "age": [0, 1, 0, 0]})
    assert len(list(folds.split(frame))) == folds.n_splits


def test_rows_out_of_order_are_no_order_of_time() -> None:
    """Rows that were shuffled have lost their time: they are refused, not cut into stretches that mean nothing."""
    games = np.array(["a", "b", "a", "c"])
    with pytest.raises(AnalysisError, match="do not stand together"):
        list(GamesInTime(2).split(games, groups=games))
    with pytest.raises(AnalysisError, match="gap=9"):
        list(GamesInTime(2, gap=9).split(np.arange(9), groups=np.arange(9)))
    for wrong in ({"n_splits": 1}, {"n_splits": "5"}, {"seed": -1}):
        with pytest.raises(AnalysisError, match="="):
            GameFolds(**wrong)
    with pytest.raises(AnalysisError, match="most=0"):
        GamesInTime(most=0)
