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

from replaylab.analysis.price_paths.arguments import number, one_of, some_games, wholes
from replaylab.analysis.price_paths.paths import Paths, Source, paths
from replaylab.analysis.price_paths.runs import Runs
from replaylab.analysis.price_paths.selection import Selection
from replaylab.analysis.questions.interval import normal_quantile, ratio_by_game
from replaylab.analysis.questions.trades import CUT, EntryPlan, trades
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
        Of the intervals by bootstrap over games; 0 resamples give none.

    Returns
    -------
    DataFrame
        One row a hold: `hold`, `n_games`, `n_ticks` (windows whose end is known), `cut` (windows that the record, or a
        missing tick, ends; left out, and as a rug settles a window sooner, survival is too low by at most
        cut / n_ticks), `survived` (share not ended by the rug) with `survived_low`, `survived_high`,
        `mean_result` with `low`, `high`, and the quantiles `q05`, `q25`, `median`, `q75`, `q95` of the result.

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
    at_rug = np.where(runs.rugged[rows], runs.rug_price[rows] if rug == "recorded" else 0.0, np.nan)

    def held(hold: int) -> dict[str, Any]:
        later = rows + hold
        alive = later <= runs.last[rows]
        left_at = np.where(alive, known.price[np.minimum(later, known.n_ticks - 1)], at_rug)
        result = left_at / paid - 1
        decided = ~np.isnan(result)
        weights = (alive[decided].astype(np.float64), result[decided])
        sums = [np.bincount(game[decided], one, known.n_games).astype(np.float64) for one in weights]
        count = np.bincount(game[decided], minlength=known.n_games).astype(np.float64)
        low, high = _drawn(sums, count, confidence, resamples, seed)
        total = max(1.0, float(count.sum()))
        return {
            "hold": hold,
            "n_games": int((count > 0).sum()),
            "n_ticks": int(count.sum()),
            "cut": int((~decided).sum()),
            "survived": sums[0].sum() / total,
            "survived_low": low[0],
            "survived_high": high[0],
            "mean_result": sums[1].sum() / total,
            "low": low[1],
            "high": high[1],
            **_quantiles("", result[decided]),
        }

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

    def held(hold: int) -> dict[str, Any]:
        found = trades(known, replace(base, hold=hold))
        decided = found.outcome != CUT
        return {
            "hold": hold,
            "n_games": len(np.unique(known.game_of_tick[found.row[decided]])),
            "n_ticks": int(decided.sum()),
            "cut": int((~decided).sum()),
            **_quantiles("mae_", found.adverse[decided], mean=True),
            **_quantiles("mfe_", found.favourable[decided], mean=True),
        }

    return _frame(known, held, holds, None)


def _frame(
    known: Paths, row: Callable[[int], dict[str, Any]], holds: Iterable[int], confidence: float | None
) -> pd.DataFrame:
    import pandas as pd

    if confidence is not None:
        normal_quantile(confidence)
    frame = pd.DataFrame([row(hold) for hold in wholes("holds", holds, least=1).tolist()])
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


def _drawn(sums: list[Floats], count: Floats, confidence: float, resamples: int, seed: int) -> tuple[Floats, Floats]:
    here = count > 0
    if not here.any():
        return np.full(len(sums), np.nan), np.full(len(sums), np.nan)
    above = np.stack([one[here] for one in sums], axis=1)
    below = np.repeat(count[here][:, None], len(sums), axis=1)
    return ratio_by_game(above, below, confidence=confidence, resamples=resamples, seed=seed)


def _quantiles(prefix: str, values: Floats, *, mean: bool = False) -> dict[str, float]:
    names = [f"{prefix}median" if share == 0.5 else f"{prefix}q{round(share * 100):02}" for share in QUANTILES]
    found = np.quantile(values, QUANTILES) if len(values) else np.full(len(QUANTILES), np.nan)
    first = {f"{prefix}mean": float(values.mean()) if len(values) else float("nan")} if mean else {}
    return first | dict(zip(names, found.tolist(), strict=True))
