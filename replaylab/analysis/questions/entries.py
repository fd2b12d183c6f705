"""Entries: outcomes of buying at a tick or a price and selling at a target, a stop, after a time, or at the rug.

The rug counts: an entry that is still open when it comes is a loss. An outcome that was not recorded is `cut`.
Shares and means weigh the known outcomes so that cut-off games do not bias them (see `follow_up`), and are NaN where
too many outcomes come later than any record goes; intervals are by whole games, as ticks of a game are no repetitions
of each other. See `trades` for the rules of a sale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.price_paths.arguments import PASSES, numbers, some_games
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
from replaylab.analysis.questions.interval import mean_by_game, share_by_game
from replaylab.analysis.questions.trades import CUT, OUTCOMES, TARGET, EntryPlan, Trades, trades
from replaylab.columns import distinct
from replaylab.errors import AnalysisError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]


def entry_trades(source: Source, plan: EntryPlan, *, where: Selection | None = None) -> pd.DataFrame:
    """Every entry of a plan with its outcome, one row each.

    Rows of one game are no repetitions of each other: count games, or ask `entry_study`, before a mean is believed.

    Parameters
    ----------
    source : Store, path, Paths, or sequence of Segment
    plan : EntryPlan
        When to buy and when to sell.
    where : Selection, optional
        Which games.

    Returns
    -------
    DataFrame
        `game_id` (categorical), `tick`, `price` (paid), `outcome` (target, stop, hold, rug or cut), `exit_tick`,
        `held` (ticks), `result` (price of the exit / price paid - 1), `mae`, `mfe` (lowest and highest result while
        held, exit and rug included, at most and at least 0). The last three are NaN where the outcome is not known.

    Raises
    ------
    AnalysisError
        When there is no game, or none has a tick at which the plan buys.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> drawn = Paths.of_arrays(*price_arrays(100, seed=1))
    >>> entry_trades(drawn, EntryPlan(at_price=1, target=0.5, stop=0.2)).columns.tolist()
    ['game_id', 'tick', 'price', 'outcome', 'exit_tick', 'held', 'result', 'mae', 'mfe']
    """
    import pandas as pd

    known = some_games(paths(source, where=where))
    found = trades(known, plan)
    game = known.game_of_tick[found.row]
    tick = known.tick[found.row].astype(np.int64)
    frame = pd.DataFrame(
        {
            "game_id": known.ids_of(game),
            "tick": tick,
            "price": known.price[found.row],
            "outcome": pd.Categorical.from_codes(found.outcome, categories=pd.Index(OUTCOMES)),
            "exit_tick": tick + found.held,
            "held": found.held,
            "result": found.result,
            "mae": found.adverse,
            "mfe": found.favourable,
        }
    )
    frame.attrs = {"n_games": len(distinct(game)), "n_ticks": len(frame)}
    return frame


@dataclass(frozen=True, eq=False)
class EntryStudy:
    """Results of a plan: all of it in one row, and a row for each way out.

    Parameters
    ----------
    summary : DataFrame
        One row: `n_games` and `n_ticks` (entries whose outcome is known, and the games that they are from), `cut`
        (entries not known), `success` (share that reached the target; NaN without one) with `success_low`,
        `success_high`, `mean_result` with `mean_low`, `mean_high` (by whole games), `median_result`,
        `mean_held` (ticks), `mean_mae`, `mean_mfe`. All but the counts are NaN where too many outcomes come later than
        any record goes (see `replaylab.analysis.price_paths.follow_up.too_late`).
    outcomes : DataFrame
        One row a way out (target, stop, hold, rug): `outcome`, `n_games`, `n_ticks`, `share` of the entries with
        `low`, `high`, `mean_result`, `mean_held`, `median_held`. The time that winners took is no optimum to hold:
        it leaves out those that did not win.
    plan : EntryPlan

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> drawn = Paths.of_arrays(*price_arrays(100, seed=1))
    >>> study = entry_study(drawn, EntryPlan(at_tick=0, hold=40), resamples=0)
    >>> study.outcomes["outcome"].tolist(), float(study.outcomes["share"].sum())
    (['hold', 'rug'], 1.0)
    """

    summary: pd.DataFrame
    outcomes: pd.DataFrame
    plan: EntryPlan


def entry_study(
    source: Source,
    plan: EntryPlan,
    *,
    where: Selection | None = None,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> EntryStudy:
    """Outcomes of a plan over games, with the rug counted and the number of games behind the number of entries.

    Results are at recorded prices, without fees, delay, or the effect of the purchase itself. Many plans tried on the
    same games make the best of them look better than it is.

    Parameters
    ----------
    source : Store, path, Paths, or sequence of Segment
    plan : EntryPlan
        When to buy and when to sell.
    where, confidence, resamples, seed
        Which games, and how the intervals are made; 0 resamples give none.

    Raises
    ------
    AnalysisError
        When there is no game, none has a tick at which the plan buys, or no outcome is known.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> drawn = Paths.of_arrays(*price_arrays(2_000, seed=1))
    >>> found = entry_study(drawn, EntryPlan(at_price=1, target=0.5), resamples=200)
    >>> found.outcomes["outcome"].tolist(), bool(0.55 < found.summary["success"][0] < 0.65)
    (['target', 'rug'], True)
    """
    import pandas as pd

    known = some_games(paths(source, where=where))
    drawing: dict[str, Any] = {"confidence": confidence, "resamples": resamples, "seed": seed}
    tally = _Tally(known, trades(known, plan), plan)
    ways = [place for place in range(CUT) if tally.count(place) or (place == TARGET and plan.target)]
    rows = [{"outcome": OUTCOMES[place]} | tally.way(place, confidence) for place in ways]
    aimed = {"share": np.nan, "low": np.nan, "high": np.nan} if plan.target is None else rows[0]
    low, high = tally.mean_interval(drawing)
    summary = {
        "n_games": tally.n_games,
        "n_ticks": int(tally.decided.sum()),
        "cut": int((~tally.decided).sum()),
        "success": aimed["share"],
        "success_low": aimed["low"],
        "success_high": aimed["high"],
        "mean_result": tally.mean(tally.result),
        "mean_low": low,
        "mean_high": high,
        "median_result": tally.median(tally.result),
        "mean_held": tally.mean(tally.held),
        "mean_mae": tally.mean(tally.adverse),
        "mean_mfe": tally.mean(tally.favourable),
    }
    summary = without_figures(summary) if tally.too_late else summary
    return EntryStudy(pd.DataFrame([summary]), pd.DataFrame(rows), plan)


def touch_table(
    source: Source,
    *,
    prices: float | Sequence[float] = (1, 2, 5, 10, 25, 50),
    targets: float | Sequence[float] = (0.25, 0.5, 1.0),
    plan: EntryPlan | None = None,
    where: Selection | None = None,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """What is touched first from each price of entry: the target, the stop, the end of the holding time, or the rug.

    Parameters
    ----------
    source : Store, path, Paths, or sequence of Segment
    prices, targets : float or sequences of float
        Prices of entry, and gains aimed at.
    plan : EntryPlan, optional
        Stop, holding time and the like of every cell; its `at_price` and `target` are replaced.
    where, confidence, resamples, seed
        As for `entry_study`.

    Returns
    -------
    DataFrame
        One row a price and target: `at_price`, `target`, `n_games`, `n_ticks` (known entries), `cut`, the shares
        `target_first`, `stop_first`, `hold_first`, `rug_first`, `low`, `high` (of `target_first`), `mean_result` with
        `mean_low`, `mean_high`. NaN where no game reached the price, or too many outcomes come later than any record
        goes; the last two where fewer than five games did.

    Raises
    ------
    AnalysisError
        When there is no game, no price or no target, or a bound means nothing.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> drawn = Paths.of_arrays(*price_arrays(2_000, seed=1))
    >>> found = touch_table(drawn, prices=[1, 2], targets=[0.5], resamples=100)
    >>> found[["at_price", "n_games"]].to_numpy().tolist()
    [[1.0, 2000.0], [2.0, 870.0]]
    """
    import pandas as pd

    known = some_games(paths(source, where=where))
    base = plan or EntryPlan(at_price=1.0, target=1.0)
    cells = list(product(numbers("prices", prices, above=0), numbers("targets", targets, above=0)))
    if len(cells) > PASSES:
        raise AnalysisError(f"cells={len(cells)}: pass fewer prices or targets, at most {PASSES:,} pairs of them")
    drawing: dict[str, Any] = {"confidence": confidence, "resamples": resamples, "seed": seed}
    rows = []
    for price, target in cells:
        here = replace(base, at_tick=None, at_price=price, target=target)
        rows.append({"at_price": price, "target": target} | _touched(known, here, drawing))
    frame = pd.DataFrame(rows)
    frame.attrs = {"n_games": known.n_games, "n_ticks": known.n_ticks, "confidence": confidence}
    return frame


def _touched(known: Paths, plan: EntryPlan, drawing: dict[str, Any]) -> dict[str, Any]:
    tally = _Tally(known, trades(known, plan, empty=True), plan)
    ways = {OUTCOMES[place]: tally.way(place, drawing["confidence"]) for place in range(CUT)}
    low, high = tally.mean_interval(drawing)
    found = {
        "n_games": tally.n_games,
        "n_ticks": int(tally.decided.sum()),
        "cut": int((~tally.decided).sum()),
        **{f"{name}_first": way["share"] for name, way in ways.items()},
        "low": ways["target"]["low"],
        "high": ways["target"]["high"],
        "mean_result": tally.mean(tally.result),
        "mean_low": low,
        "mean_high": high,
    }
    return without_figures(found) if tally.too_late else found


class _Tally:
    """Entries whose outcome is known, with the weights that make up for those that were cut."""

    def __init__(self, known: Paths, found: Trades, plan: EntryPlan) -> None:
        self.decided = found.outcome != CUT
        if len(self.decided) and not self.decided.any():
            raise AnalysisError(
                f"{plan}: each of {len(self.decided)} records ends before its outcome; nothing is known"
            )
        seen = self.decided
        self._game = known.game_of_tick[found.row[seen]]
        self._outcome = found.outcome[seen]
        self._begin = known.tick[found.row[seen]].astype(np.int64)
        self._end = self._begin + found.held[seen]
        self._follow_up = FollowUp.of_runs(known, Runs.of(known))
        self._weights = self._follow_up.weight(self._begin, self._end)
        games = len(distinct(known.game_of_tick[found.row]))
        self.too_late = too_late(float(self._weights.sum()), len(found.row), games)
        self.n_games = len(distinct(self._game))
        self.result, self.adverse, self.favourable = found.result[seen], found.adverse[seen], found.favourable[seen]
        self.held = found.held[seen].astype(np.float64)

    def count(self, place: int) -> int:
        """Return how many entries had that outcome."""
        return int((self._outcome == place).sum())

    def mean(self, values: Floats) -> float:
        """Return the mean over the entries, those cut made up for."""
        return weighted_mean(values, self._weights)

    def median(self, values: Floats) -> float:
        """Return the median over the entries, those cut made up for."""
        return weighted_quantiles(values, self._weights, (0.5,))[0]

    def way(self, place: int, confidence: float) -> dict[str, Any]:
        """Return what is known of one outcome: entries, share with its interval, mean result, holding times."""
        here = self._outcome == place
        above, below = self._sums(here.astype(np.float64))
        low, high = share_by_game(above, below, confidence=confidence)
        weights = self._weights[here]
        found = {
            "n_games": len(distinct(self._game[here])),
            "n_ticks": int(here.sum()),
            "share": self.mean(here.astype(np.float64)),
            "low": float(low[0]),
            "high": float(high[0]),
            "mean_result": weighted_mean(self.result[here], weights),
            "mean_held": weighted_mean(self.held[here], weights),
            "median_held": weighted_quantiles(self.held[here], weights, (0.5,))[0],
        }
        return without_figures(found) if self.too_late else found

    def mean_interval(self, drawing: dict[str, Any]) -> tuple[float, float]:
        """Return the interval of the mean result; NaN for fewer than two games."""
        above, below = self._sums(self.result)
        here = ((above != 0) | (below != 0)).ravel()
        if here.sum() < 2:
            return float("nan"), float("nan")
        low, high = mean_by_game(above[here], below[here], **drawing)
        return float(low[0]), float(high[0])

    def _sums(self, values: Floats) -> tuple[Floats, Floats]:
        above, below = self._follow_up.sums(self._game, self._begin, self._end, values)
        return above[:, None], below[:, None]
