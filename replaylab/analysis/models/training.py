"""Training set: rows of features with what came after each, for models; a row knows nothing behind its tick."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.price_paths.arguments import one_of, some_games, whole
from replaylab.analysis.price_paths.follow_up import FollowUp, watched_to
from replaylab.analysis.price_paths.paths import Paths, Source, paths
from replaylab.analysis.price_paths.runs import Runs
from replaylab.analysis.price_paths.selection import Selection
from replaylab.analysis.questions.features import feature_arrays
from replaylab.errors import AnalysisError
from replaylab.plural import count_of

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
TARGETS: Final = ("rug", "result")


class TrainingSet(NamedTuple):
    """What a model learns from: features, the outcome, the game and the weight of each row.

    Attributes
    ----------
    X : DataFrame
        Floats: `age` (the tick), `price`, and the features of `replaylab.analysis.features`; index `game_id`, `tick`.
        NaN where a window reaches beyond what was seen.
    y : Series
        Outcome of each row.
    groups : Series
        Game of each row, for the folds.
    weight : Series
        Inverse chance that the outcome was seen: `sample_weight` of most models. All 1 where no game was cut off.

    Examples
    --------
    >>> from replaylab.fair import simulate
    >>> found = training_set(Paths.of_arrays(*simulate(400, seed=1)), every=10)
    >>> found
    TrainingSet(8,003 rows x 18 features of 400 games; y: rug within 40 ticks; 0 rows left out, their outcome not seen)
    >>> found.X.columns[:4].tolist(), len(found.y) == len(found.groups) == len(found.weight)
    (['age', 'price', 'return_1', 'momentum_5'], True)
    """

    X: pd.DataFrame
    y: pd.Series[float]
    groups: pd.Series[str]
    weight: pd.Series[float]

    def __repr__(self) -> str:
        attrs = self.X.attrs
        return (
            f"TrainingSet({count_of(len(self.X), 'row')} x {count_of(self.X.shape[1], 'feature')} of "
            f"{count_of(self.groups.nunique(), 'game')}; "
            f"y: {attrs['target']} within {count_of(attrs['within'], 'tick')}; "
            f"{count_of(attrs['cut'], 'row')} left out, their outcome not seen)"
        )


def training_set(
    source: Source, *, target: str = "rug", within: int = 40, every: int = 1, where: Selection | None = None
) -> TrainingSet:
    """Rows to fit a model on, for scikit-learn or any other: features up to a tick, and the outcome after it.

    Rows of one game are not independent: test on other games, with `GameFolds` or `GamesInTime` as `cv`. Features see
    the past alone; the outcome is in `y` and nowhere else.

    Parameters
    ----------
    source : Store, path, Paths, or list of Segment
        The games.
    target : {"rug", "result"}
        Outcome: 1.0 where the game rugs within so many ticks, else 0.0; or what a purchase that is held for them
        earns, as a share of its price, at the rug price where the rug comes first.
    within : int
        Ticks, from 1.
    every : int
        Take only ticks that are a multiple of it: neighbouring ticks say nearly the same.
    where : Selection, optional
        Which games.

    Returns
    -------
    TrainingSet
        `X`, `y`, `groups`, `weight`, in order of the start of games, then of ticks. Rows whose outcome was not seen are
        left out and counted in `X.attrs["cut"]`; `weight` makes up for them.

    Raises
    ------
    AnalysisError
        When there is no game, no row with an outcome, or an argument is out of bounds.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> found = training_set(Paths.of_arrays(*price_arrays(200, seed=1)), every=10)
    >>> bool(len(found.X) == len(found.y)), bool((found.weight == 1).all()), sorted(found.y.unique().tolist())
    (True, True, [0.0, 1.0])
    """
    import pandas as pd

    kind = one_of("target", target, TARGETS)
    ahead, step = whole("within", within, least=1), whole("every", every, least=1)
    known = some_games(paths(source, where=where))
    value, end, seen = _rugs(known, ahead) if kind == "rug" else _results(known, ahead)
    tick = known.tick.astype(np.int64)
    asked = (tick % step == 0) & ~np.isnan(known.price)
    rows = np.flatnonzero(asked & seen)
    if not len(rows):
        raise AnalysisError(
            f"within={ahead}, every={step}: no row of {known.n_games} games has an outcome that was seen"
        )
    ends = watched_to(known) if kind == "rug" else _unbroken(known)
    weights = FollowUp.of_ends(known, ends).weight(tick[rows], end[rows])
    ids = known.ids_of(known.game_of_tick[rows])
    index = pd.MultiIndex.from_arrays([ids, known.tick[rows]], names=["game_id", "tick"])
    columns = {"age": tick.astype(np.float64), "price": known.price, **feature_arrays(known)}
    frame = pd.DataFrame({name: column[rows] for name, column in columns.items()}, index=index)
    frame.attrs = {"n_games": known.n_games, "n_ticks": known.n_ticks, "target": kind, "within": ahead}
    frame.attrs["cut"] = int(asked.sum()) - len(rows)
    return TrainingSet(
        frame,
        pd.Series(value[rows], index, name=kind),
        pd.Series(np.asarray(ids), index, name="game"),
        pd.Series(weights, index, name="weight"),
    )


def _rugs(known: Paths, within: int) -> tuple[Floats, Ints, NDArray[np.bool_]]:
    """Return, one a tick, whether the game rugs within so many ticks, the tick at which it is known, and if it is."""
    tick, until = known.tick.astype(np.int64), watched_to(known)
    rugged = until == known.rug_tick[known.game_of_tick]
    won = rugged & (until - tick <= within)
    return won.astype(np.float64), np.minimum(until, tick + within), won | (until - tick >= within)


def _unbroken(known: Paths) -> Ints:
    """Return the tick to which prices are known from each tick on: the rug, or the last before one is missing."""
    runs = Runs.of(known)
    return known.tick[runs.last].astype(np.int64) + runs.rugged


def _results(known: Paths, within: int) -> tuple[Floats, Ints, NDArray[np.bool_]]:
    """Return, one a tick, what holding from there earns, the tick at which it is known, and whether it is."""
    runs, rows = Runs.of(known), np.arange(known.n_ticks)
    left = runs.last - rows
    held = left >= within
    sold = np.where(held, known.price[np.minimum(rows + within, runs.last)], runs.rug_price)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        earned = sold / known.price - 1
    end = known.tick.astype(np.int64) + np.where(held, within, left + 1)
    return earned, end, (held | runs.rugged) & np.isfinite(earned)
