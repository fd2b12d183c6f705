"""Entries: outcomes of buying at a tick or a price and selling at a target, a stop, after a time, or at the rug.

The rug counts: an entry that is still open when it comes is a loss. An outcome that was not recorded is `cut`.
Shares and means are of the entries whose outcome is known, so a share may be off by at most cut / n_ticks; intervals
draw whole games, as ticks of a game are no repetitions of each other. See `trades` for the rules of a sale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.price_paths.arguments import numbers, some_games
from replaylab.analysis.price_paths.paths import Paths, Source, paths
from replaylab.analysis.price_paths.selection import Selection
from replaylab.analysis.questions.interval import ratio_by_game
from replaylab.analysis.questions.trades import CUT, OUTCOMES, TARGET, EntryPlan, Trades, trades
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
            "game_id": pd.Categorical.from_codes(game, categories=pd.Index(known.game_ids)),
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
    frame.attrs = {"n_games": len(np.unique(game)), "n_ticks": len(frame)}
    return frame


@dataclass(frozen=True, eq=False)
class EntryStudy:
    """Results of a plan: all of it in one row, and a row for each way out.

    Parameters
    ----------
    summary : DataFrame
        One row: `n_games` and `n_ticks` (entries whose outcome is known, and the games that they are from), `cut`
        (entries not known, left out), `success` (share that reached the target; NaN without one) with `success_low`,
        `success_high`, `mean_result` with `mean_low`, `mean_high` (bootstrap over games), `median_result`,
        `mean_held` (ticks), `mean_mae`, `mean_mfe`.
    outcomes : DataFrame
        One row a way out (target, stop, hold, rug): `outcome`, `n_games`, `n_ticks`, `share` of the known entries with
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
    found = trades(known, plan)
    tally = _Tally(known, found, plan)
    ways = [place for place in range(CUT) if (found.outcome == place).any() or (place == TARGET and plan.target)]
    counts = np.stack([tally.per_game(found.outcome == place) for place in ways], axis=1)
    total = tally.per_game(tally.decided)[:, None]
    drawing: dict[str, Any] = {"confidence": confidence, "resamples": resamples, "seed": seed}
    sums = np.column_stack([counts, tally.per_game(tally.decided, found.result)])
    low, high = ratio_by_game(sums, np.repeat(total, len(ways) + 1, axis=1), **drawing)
    share = counts.sum(axis=0) / total.sum()
    rows = [
        {"outcome": OUTCOMES[place], "n_games": int((counts[:, at] > 0).sum()), "n_ticks": int(counts[:, at].sum())}
        | {"share": share[at], "low": low[at], "high": high[at]}
        | {
            "mean_result": _mean(found.result[found.outcome == place]),
            "mean_held": _mean(found.held[found.outcome == place]),
            "median_held": _median(found.held[found.outcome == place]),
        }
        for at, place in enumerate(ways)
    ]
    aimed = plan.target is not None
    summary = {
        "n_games": int((total > 0).sum()),
        "n_ticks": int(total.sum()),
        "cut": int((~tally.decided).sum()),
        "success": share[0] if aimed else np.nan,
        "success_low": low[0] if aimed else np.nan,
        "success_high": high[0] if aimed else np.nan,
        "mean_result": _mean(found.result[tally.decided]),
        "mean_low": low[-1],
        "mean_high": high[-1],
        "median_result": _median(found.result[tally.decided]),
        "mean_held": _mean(found.held[tally.decided]),
        "mean_mae": _mean(found.adverse[tally.decided]),
        "mean_mfe": _mean(found.favourable[tally.decided]),
    }
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
        `target_first`, `stop_first`, `hold_first`, `rug_first`, `low`, `high` (of `target_first`, bootstrap over
        games), `mean_result`. NaN where no game reached the price, or fewer than two did (`low`, `high`).

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
    drawing: dict[str, Any] = {"confidence": confidence, "resamples": resamples, "seed": seed}
    rows = []
    for price, target in cells:
        here = replace(base, at_tick=None, at_price=price, target=target)
        rows.append({"at_price": price, "target": target} | _touched(known, here, drawing))
    frame = pd.DataFrame(rows)
    frame.attrs = {"n_games": known.n_games, "n_ticks": known.n_ticks, "confidence": confidence}
    return frame


def _touched(known: Paths, plan: EntryPlan, drawing: dict[str, Any]) -> dict[str, Any]:
    found = trades(known, plan, empty=True)
    tally = _Tally(known, found, plan)
    wins, total = tally.per_game(found.outcome == TARGET)[:, None], tally.per_game(tally.decided)[:, None]
    games, ticks = int((total > 0).sum()), int(total.sum())
    low, high = ratio_by_game(wins, total, **drawing) if games > 1 else (np.full(1, np.nan), np.full(1, np.nan))
    shares = {
        f"{name}_first": (found.outcome == place).sum() / ticks if ticks else np.nan
        for place, name in enumerate(OUTCOMES[:CUT])
    }
    return {
        "n_games": games,
        "n_ticks": ticks,
        "cut": int((~tally.decided).sum()),
        **shares,
        "low": float(low[0]),
        "high": float(high[0]),
        "mean_result": _mean(found.result[tally.decided]),
    }


class _Tally:
    """Sums over the entries of each game."""

    def __init__(self, known: Paths, found: Trades, plan: EntryPlan) -> None:
        self.decided = found.outcome != CUT
        if len(self.decided) and not self.decided.any():
            raise AnalysisError(
                f"{plan}: each of {len(self.decided)} records ends before its outcome; nothing is known"
            )
        self._game = known.game_of_tick[found.row]
        self._games = known.n_games

    def per_game(self, which: NDArray[np.bool_], values: Floats | None = None) -> Floats:
        """Count entries a game, or add up their values."""
        weights = None if values is None else values[which]
        return np.bincount(self._game[which], weights, minlength=self._games).astype(np.float64)


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _median(values: NDArray[Any]) -> float:
    return float(np.median(values)) if len(values) else float("nan")
