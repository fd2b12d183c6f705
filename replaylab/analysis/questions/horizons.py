"""Horizons: mean result of holding for some ticks from any live tick, and the excursions meanwhile.

This is the honest base line of every plan: each window counts, also one that the rug ends, and windows of one game are
no repetitions of each other, so intervals draw whole games. Leaving out windows that hit the rug turns a small loss
into a gain, the larger the longer the window.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.price_paths.arguments import PASSES, number, one_of, some_games, wholes
from replaylab.analysis.price_paths.follow_up import (
    FollowUp,
    too_late,
    weighted_mean,
    weighted_quantiles,
    without_figures,
)
from replaylab.analysis.price_paths.paths import Paths, Source, paths
from replaylab.analysis.price_paths.runs import Runs
from replaylab.analysis.price_paths.selection import Selection
from replaylab.analysis.questions.interval import mean_by_game, normal_quantile, share_by_game
from replaylab.analysis.questions.trades import CUT, EntryPlan, trades
from replaylab.columns import distinct
from replaylab.errors import AnalysisError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
HOLDS: Final = (1, 5, 10, 20, 40, 60)
QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)


def horizon_table(
    source: Source,
    *,
    holds: Iterable[int] = HOLDS,
    between: tuple[float, float] | None = None,
    rug: str = "recorded",
    where: Selection | None = None,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Mean result of holding for some ticks from every live tick, the rug counted.

    Parameters
    ----------
    source : Store, path, Paths, or sequence of Segment
    holds : iterable of int
        Ticks to hold, from 1.
    between : (float, float), optional
        Only ticks whose price is from the first up to, and not including, the second.
    rug : {"recorded", "total"}
        A rug leaves what was paid at its recorded price (about 1 % of it), or nothing.
    where : Selection, optional
        Which games. Complete ones are shorter than all games, which makes every hold look worse.
    confidence, resamples, seed
        Of the intervals by whole games; 0 resamples give none for the mean.

    Returns
    -------
    DataFrame
        One row a hold: `hold`, `n_games`, `n_ticks` (windows whose end is known), `cut` (windows that the record, or a
        missing tick, ends), `survived` (share not ended by the rug) with `survived_low`, `survived_high`,
        `mean_result` with `low`, `high`, and the quantiles `q05`, `q25`, `median`, `q75`, `q95` of the result. A rug
        settles a window sooner than its end does, so known windows are weighted for those that were cut; see
        `replaylab.analysis.price_paths.follow_up`. Only the counts are known, and the rest is NaN, where too many
        windows end later than any record goes.

    Raises
    ------
    AnalysisError
        When there is no game, no live tick between the prices, or an argument means nothing.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> found = horizon_table(Paths.of_arrays(*price_arrays(2_000, seed=1)), holds=[1, 40], resamples=100)
    >>> found["survived"].round(2).tolist(), bool((found["mean_result"] < 0).all())
    ([0.99, 0.82], True)
    """
    one_of("rug", rug, ("recorded", "total"))
    known = some_games(paths(source, where=where))
    runs, rows = Runs.of(known), _entered(known, between)
    game, paid = known.game_of_tick[rows], known.price[rows]
    games = len(distinct(game))
    follow_up, begin = FollowUp.of_runs(known, runs), known.tick[rows].astype(np.int64)
    rug_tick = known.tick[runs.last[rows]].astype(np.int64) + 1
    at_rug = np.where(runs.rugged[rows], runs.rug_price[rows] if rug == "recorded" else 0.0, np.nan)

    def held(hold: int) -> dict[str, Any]:
        later = rows + hold
        alive = later <= runs.last[rows]
        left_at = np.where(alive, known.price[np.minimum(later, known.n_ticks - 1)], at_rug)
        result = left_at / paid - 1
        decided = ~np.isnan(result)
        end = np.where(alive, begin + hold, rug_tick)[decided]
        of, since, weights = game[decided], begin[decided], follow_up.weight(begin[decided], end)
        lived, below = follow_up.sums(of, since, end, alive[decided].astype(np.float64))
        gained, _ = follow_up.sums(of, since, end, result[decided])
        lived_low, lived_high = share_by_game(lived[:, None], below[:, None], confidence=confidence)
        low, high = _mean_interval(gained, below, confidence, resamples, seed)
        found = {
            "hold": hold,
            "n_games": int((below > 0).sum()),
            "n_ticks": int(decided.sum()),
            "cut": int((~decided).sum()),
            "survived": weighted_mean(alive[decided].astype(np.float64), weights),
            "survived_low": float(lived_low[0]),
            "survived_high": float(lived_high[0]),
            "mean_result": weighted_mean(result[decided], weights),
            "low": low,
            "high": high,
            **_quantiles("", result[decided], weights),
        }
        return without_figures(found) if too_late(float(weights.sum()), len(rows), games) else found

    return _frame(known, held, holds, confidence)


def excursion_table(
    source: Source,
    *,
    holds: Iterable[int] = HOLDS,
    plan: EntryPlan | None = None,
    where: Selection | None = None,
) -> pd.DataFrame:
    """How far a price goes against and in favour of an entry before it is left after some ticks (MAE and MFE).

    The rug is part of it: the adverse excursion of a window that it ends is nearly everything. The two quantiles of a
    row are of different entries, so they do not say that a target is reached before a stop is: `touch_table` does.

    Parameters
    ----------
    source, where
        As for `horizon_table`.
    holds : iterable of int
        Ticks to hold, from 1.
    plan : EntryPlan, optional
        Where it buys, and which target or stop ends it earlier; its `hold` is replaced. By default at every tick.

    Returns
    -------
    DataFrame
        One row a hold: `hold`, `n_games`, `n_ticks`, `cut`, and of both excursions the mean and the quantiles:
        `mae_mean`, `mae_q05`, `mae_q25`, `mae_median`, `mae_q75`, `mae_q95`, `mfe_mean`, ...; results relative to the
        price paid, the adverse ones at most 0, the favourable ones at least 0.
        NaN where too many windows end later than any record goes.

    Raises
    ------
    AnalysisError
        When there is no game, or none has a tick at which the plan buys.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> found = excursion_table(Paths.of_arrays(*price_arrays(500, seed=1)), holds=[1, 40])
    >>> bool((found["mae_mean"] < 0).all() and (found["mfe_mean"] > 0).all())
    True
    """
    from dataclasses import replace

    known = some_games(paths(source, where=where))
    base = plan or EntryPlan(per="tick", hold=1)

    follow_up = FollowUp.of_runs(known, Runs.of(known))

    def held(hold: int) -> dict[str, Any]:
        found = trades(known, replace(base, hold=hold))
        decided = found.outcome != CUT
        begin = known.tick[found.row[decided]].astype(np.int64)
        weights = follow_up.weight(begin, begin + found.held[decided])
        games = len(distinct(known.game_of_tick[found.row]))
        row = {
            "hold": hold,
            "n_games": len(distinct(known.game_of_tick[found.row[decided]])),
            "n_ticks": int(decided.sum()),
            "cut": int((~decided).sum()),
            **_quantiles("mae_", found.adverse[decided], weights, mean=True),
            **_quantiles("mfe_", found.favourable[decided], weights, mean=True),
        }
        return without_figures(row) if too_late(float(weights.sum()), len(found.row), games) else row

    return _frame(known, held, holds, None)


def _frame(
    known: Paths, row: Callable[[int], dict[str, Any]], holds: Iterable[int], confidence: float | None
) -> pd.DataFrame:
    import pandas as pd

    if confidence is not None:
        normal_quantile(confidence)
    frame = pd.DataFrame([row(hold) for hold in wholes("holds", holds, least=1, points=PASSES).tolist()])
    if not frame["n_ticks"].any():
        raise AnalysisError(f"holds={frame['hold'].tolist()}: every record ends before one of them; nothing is known")
    frame.attrs = {"n_games": known.n_games, "n_ticks": known.n_ticks}
    frame.attrs |= {} if confidence is None else {"confidence": confidence}
    return frame


def _entered(known: Paths, between: tuple[float, float] | None) -> NDArray[np.int64]:
    """Rows of the live ticks with a price in the zone."""
    if between is None:
        return np.flatnonzero(known.price > 0)
    if len(between) != 2:
        raise AnalysisError(f"between={between!r}: pass two prices, the least and the one below which they are")
    least = number("between[0]", between[0], above=-1)
    below = number("between[1]", between[1], above=max(least, 0))
    rows = np.flatnonzero((known.price >= least) & (known.price < below) & (known.price > 0))
    if not len(rows):
        raise AnalysisError(f"between={between!r}: no live tick of {known.n_games} games has such a price")
    return rows


def _mean_interval(above: Floats, below: Floats, confidence: float, resamples: int, seed: int) -> tuple[float, float]:
    if not below.any():
        return float("nan"), float("nan")
    here = (above != 0) | (below != 0)
    drawing: dict[str, Any] = {"confidence": confidence, "resamples": resamples, "seed": seed}
    low, high = mean_by_game(above[here][:, None], below[here][:, None], **drawing)
    return float(low[0]), float(high[0])


def _quantiles(prefix: str, values: Floats, weights: Floats, *, mean: bool = False) -> dict[str, float]:
    names = [f"{prefix}median" if share == 0.5 else f"{prefix}q{round(share * 100):02}" for share in QUANTILES]
    first = {f"{prefix}mean": weighted_mean(values, weights)} if mean else {}
    return first | dict(zip(names, weighted_quantiles(values, weights, QUANTILES), strict=True))
