"""Two strategies on the same games: the mean of their differences game by game, and p-values of many comparisons."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from replaylab.analysis.backtests.backtest import Backtest
from replaylab.analysis.price_paths.arguments import number, one_of
from replaylab.analysis.questions.interval import mean_by_game
from replaylab.analysis.sweeps.luck import LEAST_GAMES, best_of_many
from replaylab.errors import AnalysisError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
_METHODS = {"holm": "holm", "bh": "fdr_bh", "by": "fdr_by", "bonferroni": "bonferroni"}


def adjusted(p_values: ArrayLike, method: Literal["holm", "bh", "by", "bonferroni"] = "holm") -> Floats:
    """Return p-values made up for there being many; NaN stay NaN and do not count.

    Parameters
    ----------
    p_values : array of float
    method : {"holm", "bh", "by", "bonferroni"}
        ``holm`` holds the chance of a single false alarm among all (Holm, 1979); ``bh`` the share of false alarms among
        the alarms (Benjamini and Hochberg, 1995), ``by`` the same whatever the dependence.

    Examples
    --------
    >>> adjusted([0.01, 0.04, 0.03]).tolist(), adjusted([0.01, 0.04, 0.03], "bh").round(3).tolist()
    ([0.03, 0.06, 0.06], [0.03, 0.04, 0.04])
    """
    from statsmodels.stats.multitest import multipletests  # type: ignore[import-untyped]

    found = np.array(p_values, np.float64)
    name = _METHODS[one_of("method", method, _METHODS)]
    if ((found < 0) | (found > 1)).any():
        raise AnalysisError(f"p_values={found.tolist()}: a chance lies from 0 to 1")
    known = ~np.isnan(found)
    if known.any():
        found[known] = multipletests(found[known], method=name)[1]
    return found


def compare(
    backtests: Mapping[str, Backtest],
    *,
    method: Literal["holm", "bh", "by", "bonferroni"] = "holm",
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Compare strategies on the same games, each pair by the differences of its results game by game.

    Two strategies share the luck of the games they play; the difference in each game does not, so it separates them
    with far fewer games than two means with an interval each.

    Parameters
    ----------
    backtests : mapping
        Name and result of `backtest`, all over the same games.
    method : {"holm", "bh", "by", "bonferroni"}
        How `p_adjusted` makes up for the number of pairs; see `adjusted`.
    confidence, resamples, seed
        Of the bootstrap-t intervals.

    Returns
    -------
    DataFrame
        One row a pair: `one`, `other`, `mean_difference` (profit of a game, one less other) with `low` and `high`,
        `better` (share of the games in which one did better), `p_value` (two-sided), `p_adjusted`, `n_games`.

    Raises
    ------
    AnalysisError
        When there are fewer than two, or they are not over the same games.

    Examples
    --------
    >>> from replaylab.analysis import Buy, Paths, backtest
    >>> from replaylab.simulation.bulk import price_arrays
    >>> drawn = Paths.of_arrays(*price_arrays(100, seed=1))
    >>> first, second = (backtest(drawn, lambda tape, account, at=at: Buy("0.01") if tape.now == at else None,
    ...                           progress=False) for at in (0, 1))
    >>> compare({"at 0": first, "at 1": second})[["one", "other", "n_games"]].to_numpy().tolist()
    [['at 0', 'at 1', 100]]
    """
    import pandas as pd

    number("confidence", confidence, above=0, below=1)
    given: Any = backtests
    if not isinstance(given, Mapping) or len(given) < 2 or not all(isinstance(one, Backtest) for one in given.values()):
        raise AnalysisError("backtests: pass a mapping of at least two names to results of `backtest`")
    games = {name: one.played.game_id for name, one in backtests.items()}
    first, *others = games
    for name in others:
        if games[name] != games[first]:
            raise AnalysisError(
                f"{first!r} played {len(games[first])} games and {name!r} {len(games[name])}, not the same games: "
                "run both over the same"
            )
    options = {"confidence": confidence, "resamples": resamples, "seed": seed}
    pairs = itertools.combinations(backtests, 2)
    found = pd.DataFrame(
        [{"one": one, "other": other} | _pair(backtests[one], backtests[other], options) for one, other in pairs]
    )
    found["p_adjusted"] = adjusted(found["p_value"].to_numpy(np.float64), method)
    found.attrs = {"n_games": len(games[first]), "n_ticks": backtests[first].n_ticks, "confidence": confidence}
    return found[["one", "other", "mean_difference", "low", "high", "better", "p_value", "p_adjusted", "n_games"]]


def _pair(one: Backtest, other: Backtest, options: dict[str, Any]) -> dict[str, Any]:
    weights = one.watched.of_games() if one.watched is not None else np.ones(one.n_games)
    apart = one.profits - other.profits
    low, high = mean_by_game((apart * weights)[:, None], weights[:, None], **options)
    chance = np.nan
    if (weights > 0).sum() >= LEAST_GAMES:  # two one-sided tests, of either sign
        both = [float(best_of_many(sign * apart[:, None], weights, **options).p_value[0]) for sign in (1, -1)]
        chance = min(1.0, 2 * min(both))
    total = weights.sum()
    mean, better = ((weights @ values / total if total else np.nan) for values in (apart, apart > 0))
    ends = {"mean_difference": mean, "low": low[0], "high": high[0]}
    return ends | {"better": better, "p_value": chance, "n_games": len(apart)}
