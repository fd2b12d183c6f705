"""Folds of whole games for scikit-learn's cross-validation; they need no scikit-learn. Pure.

Ticks of one game share its path and its rug: a model that was fitted on some of them knows the others. So a game stands
on one side only, by its id. Both splitters have the interface of scikit-learn's own: `split(X, y, groups)` yields
positions of rows, and `cross_val_score(model, X, y, groups=groups, cv=GamesInTime(5))` takes them as they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.price_paths.arguments import whole
from replaylab.errors import AnalysisError

Ints = NDArray[np.int64]
LEVEL = "game_id"


@dataclass(frozen=True)
class GameFolds:
    """Folds of whole games drawn at random, each of them once the test: for games that do not depend on each other.

    Parameters
    ----------
    n_splits : int
        Number of folds, from 2. Each has the same number of games, give or take one.
    seed : int
        Another one draws other folds.

    Examples
    --------
    >>> games = np.array(["a", "a", "b", "c", "c", "c"])
    >>> for train, test in GameFolds(3).split(games, groups=games):
    ...     print(*sorted(set(games[train])), "|", *sorted(set(games[test])))
    a c | b
    a b | c
    b c | a
    """

    n_splits: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        whole("n_splits", self.n_splits, least=2)
        whole("seed", self.seed, least=0, most=None)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: N803 scikit-learn's name
        """Return the number of folds."""
        del X, y, groups
        return self.n_splits

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Ints, Ints]]:  # noqa: N803
        """Yield the rows to fit on and the rows to test on.

        Parameters
        ----------
        X : table or array
            Rows; with an index level or a column `game_id`, `groups` may be left out.
        y : ignored
        groups : array, one a row
            The game of each row.

        Raises
        ------
        AnalysisError
            When games are not named, there are fewer than folds, or they are named for another number of rows.
        """
        del y
        game, count = _games(X, groups, least=self.n_splits)
        drawn = np.random.default_rng(self.seed).permutation(count) % self.n_splits
        fold = drawn[game]
        for one in range(self.n_splits):
            yield np.flatnonzero(fold != one), np.flatnonzero(fold == one)


@dataclass(frozen=True)
class GamesInTime:
    """Folds of whole games in order of time: a model is fitted on games before, and tested on the next ones.

    It is what using a model is like, and the only fair way where games may depend on those before. Rows must stand in
    order of time, those of a game together, as `replaylab.analysis.training_set` has them.

    Parameters
    ----------
    n_splits : int
        Number of tests, from 1. The games are cut into one stretch more; the first is never tested.
    gap : int
        Games left out between those to fit on and those to test on.
    most : int, optional
        Fit on at most so many games, the latest ones.

    Examples
    --------
    >>> games = np.repeat(["a", "b", "c", "d"], 2)
    >>> for train, test in GamesInTime(3).split(games, groups=games):
    ...     print(*sorted(set(games[train])), "|", *sorted(set(games[test])))
    a | b
    a b | c
    a b c | d
    """

    n_splits: int = 5
    gap: int = 0
    most: int | None = None

    def __post_init__(self) -> None:
        whole("n_splits", self.n_splits, least=1)
        whole("gap", self.gap, least=0)
        if self.most is not None:
            whole("most", self.most, least=1)

    def get_n_splits(self, X: Any = None, y: Any = None, groups: Any = None) -> int:  # noqa: N803 scikit-learn's name
        """Return the number of tests."""
        del X, y, groups
        return self.n_splits

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[tuple[Ints, Ints]]:  # noqa: N803
        """Yield the rows to fit on and the rows to test on; see `GameFolds.split`.

        Raises
        ------
        AnalysisError
            As `GameFolds.split`, and when the rows of a game do not stand together, or none is left to fit on.
        """
        del y
        game, count = _games(X, groups, least=self.n_splits + 1)
        if (np.diff(game) < 0).any():
            raise AnalysisError(
                "groups: the rows of a game do not stand together, so their order is not that of time; "
                "sort rows by the start of their game, or use GameFolds, which takes any order"
            )
        edges = np.linspace(0, count, self.n_splits + 2).astype(np.int64)
        for begin, end in pairwise(edges.tolist()[1:]):
            last = begin - self.gap
            first = 0 if self.most is None else max(0, last - self.most)
            if last <= first:
                raise AnalysisError(
                    f"gap={self.gap}: no game is left to fit on before game {begin}; pass a smaller gap"
                )
            yield np.flatnonzero((game >= first) & (game < last)), np.flatnonzero((game >= begin) & (game < end))


def _games(rows: Any, groups: Any, *, least: int) -> tuple[Ints, int]:
    """Return the number of the game of each row, in order of their first rows, and how many there are."""
    import pandas as pd

    if groups is None:
        groups = _named(rows)
    values = np.asarray(groups)
    if values.ndim != 1 or len(values) != len(rows):
        raise AnalysisError(f"groups: {values.shape} ids for {len(rows)} rows; pass the game of each row")
    codes, names = pd.factorize(values)
    if (codes < 0).any():
        raise AnalysisError(f"groups: row {int((codes < 0).argmax())} names no game; pass the game of each row")
    if len(names) < least:
        raise AnalysisError(f"games={len(names)}: these folds need at least {least}; pass fewer, or more games")
    return codes.astype(np.int64), len(names)


def _named(rows: Any) -> Any:
    """Return the games that a frame names itself, in an index level or in a column."""
    index, columns = getattr(rows, "index", None), getattr(rows, "columns", ())
    if index is not None and LEVEL in getattr(index, "names", ()):
        return index.get_level_values(LEVEL)
    if LEVEL in columns:
        return rows[LEVEL]
    raise AnalysisError(
        "groups=None: the rows name no game; pass groups=, the game of each row, as training_set has it"
    )
