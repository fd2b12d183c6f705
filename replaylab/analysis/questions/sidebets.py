"""Side bets: how often a bet on an early rug wins, and what it is worth.

A bet made at tick `start` of a live game wins if and only if R - start <= window, R being the tick of the rug. It pays
a total return, 5 for a stake of 1, so it breaks even when 20 % win; see `odds`. Bets of the presale start at tick 0.

What is not known is not a loss: a record that ends alive before `start + window` says nothing about such a bet. These
bets are counted as `cut`, and the rate is the Kaplan-Meier estimate from `start` on, which uses every tick that was
followed. Counting only those that were settled favours wins, as a win settles a bet earlier than a loss.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.price_paths.arguments import PASSES, POINTS, one_of, some_games, whole, wholes
from replaylab.analysis.price_paths.follow_up import FollowUp, too_late, watched_to
from replaylab.analysis.price_paths.paths import Source, paths
from replaylab.analysis.price_paths.selection import Selection
from replaylab.analysis.questions.followed import Followed, ticks_left
from replaylab.analysis.questions.interval import share_by_game
from replaylab.analysis.questions.odds import expected_value, kelly, payout
from replaylab.errors import AnalysisError

if TYPE_CHECKING:
    import pandas as pd

WINDOW: Final = 40
PAYS: Final = 5
TICKS: Final = (0, 50, 100, 150, 200, 250, 300, 400, 500)
VALUES: Final = ("expected_value", "win_rate", "low", "high", "kelly", "settled_rate", "n_games", "wins", "cut")
Ints = NDArray[np.int64]


def sidebet_table(
    source: Source,
    *,
    ticks: Iterable[int] = TICKS,
    window: int | Sequence[int] = WINDOW,
    pays: object = PAYS,
    where: Selection | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Win rate and worth of a side bet made at a tick, one bet a game that was seen live at that tick.

    It does not say which tick is best: over many ticks some rate is the highest by chance alone, and the intervals are
    each for one tick chosen beforehand. Where the rug comes with the same chance at every tick, all rates are the same.

    Parameters
    ----------
    source : Store, path, Paths, or sequence of Segment
    ticks : iterable of int
        Ticks at which bets are made, from 0.
    window : int or sequence of int
        Ticks within which the rug must come; several windows give a row each.
    pays : int, str, Decimal or float
        Total return for a stake of 1, above 1.
    where : Selection, optional
        Which games. Taking only complete ones, or those whose rug was seen, lowers the age that games reach, as long
        ones are cut more often; by default every game counts that was seen live at the tick.
    confidence : float
        Of `low` and `high`.

    Returns
    -------
    DataFrame
        One row a tick and window: `tick`, `window`, `n_games` (seen live at the tick, which must itself be in the
        record), `wins`, `losses`, `cut` (not known), `win_rate` (Kaplan-Meier from the tick on: wins / n_games where
        nothing was cut), `low`, `high` (Wilson score interval, at the effective sample size where bets were cut),
        `settled_rate` (wins / (wins + losses), too high where bets were cut), `expected_value` (mean profit a bet, in
        stakes), `kelly` (0 for a losing bet). NaN where no game was seen, or none followed for the window. `attrs`
        holds `n_games`, `n_ticks` (of all games asked), `pays`, `break_even`, `confidence`.

    Raises
    ------
    AnalysisError
        When there is no game, a tick is negative, a window is below 1, or the payout is not above 1.

    Examples
    --------
    >>> from replaylab.analysis import Paths
    >>> from replaylab.simulation.bulk import price_arrays
    >>> found = sidebet_table(Paths.of_arrays(*price_arrays(10_000, seed=1)), ticks=[0, 100])
    >>> found[["tick", "n_games", "wins", "cut"]].to_numpy().tolist()
    [[0, 10000, 1833, 0], [100, 6070, 1064, 0]]
    >>> bool(((found["low"] < 0.1817) & (0.1817 < found["high"])).all())
    True
    """
    import pandas as pd

    paying, known = payout(pays), some_games(paths(source, where=where))
    at, windows = wholes("ticks", ticks, least=0), wholes("window", window, least=1, points=PASSES)
    if len(at) * len(windows) > POINTS:
        raise AnalysisError(
            f"len(ticks)={len(at)}, len(window)={len(windows)}: pass fewer, at most {POINTS:,} ticks times windows"
        )
    counts = Followed(known, at, int(windows[-1]))
    columns = counts.columns(windows, confidence)
    columns["expected_value"] = expected_value(columns["win_rate"], paying)
    columns["kelly"] = kelly(columns["win_rate"], paying)
    frame = pd.DataFrame(columns)
    frame.attrs = {"n_games": known.n_games, "n_ticks": known.n_ticks, "pays": paying}
    frame.attrs |= {"break_even": float(1 / paying), "confidence": confidence}
    return frame


def sidebet_heatmap(
    source: Source,
    *,
    ticks: Iterable[int] = range(0, 501, 25),
    windows: Sequence[int] = tuple(range(10, 101, 10)),
    value: str = "expected_value",
    pays: object = PAYS,
    min_games: int = 1,
    where: Selection | None = None,
) -> pd.DataFrame:
    """One value of `sidebet_table` for every tick (rows) and window (columns), as a heat map shows it.

    Cells of a row rest on the same games, and neighbours in a column on nearly the same: a warm patch is one
    observation, not many. `value="low"` beside `"win_rate"` shows what is left of it.

    Parameters
    ----------
    source, pays, where
        As for `sidebet_table`.
    ticks, windows
        Ticks at which bets are made, and ticks within which the rug must come.
    value : str
        A column of `sidebet_table`: expected_value, win_rate, low, high, kelly, settled_rate, n_games, wins or cut.
    min_games : int
        Cells with fewer games are NaN.

    Returns
    -------
    DataFrame
        Index `tick`, columns `window`; `attrs` as for `sidebet_table`, `value`, and `sold`: the windows that the game
        sells. The other columns are what a bet would be worth if it were sold at that window.

    Raises
    ------
    AnalysisError
        As for `sidebet_table`, and when there is no such value.

    Examples
    --------
    >>> from replaylab.analysis import Paths
    >>> from replaylab.simulation.bulk import price_arrays
    >>> found = sidebet_heatmap(Paths.of_arrays(*price_arrays(10_000, seed=1)), ticks=[0, 50], windows=[20, 40, 80])
    >>> found.shape, bool((found[20] < found[80]).all())
    ((2, 3), True)
    """
    import pandas as pd

    one_of("value", value, VALUES)
    least = whole("min_games", min_games, least=1)
    sold = wholes("windows", windows, least=1, points=PASSES).tolist()
    table = sidebet_table(source, ticks=ticks, window=sold, pays=pays, where=where)
    wide = table.pivot(index="tick", columns="window")  # noqa: PD010 every cell is one row: nothing to aggregate
    found = pd.DataFrame(wide[value]).where(wide["n_games"] >= least)
    found.attrs = {**table.attrs, "value": value, "sold": [WINDOW]}
    return found


def sidebet_pooled(
    source: Source,
    *,
    edges: Sequence[int] = (0, 50, 100, 200, 300, 500),
    window: int = WINDOW,
    pays: object = PAYS,
    where: Selection | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Win rate of bets made at every live tick of an age, all ticks of a game pooled.

    Pooled bets are not independent: those of one game win or lose together, up to `window` of them by one rug. The
    interval is therefore by whole games. Long games weigh more here than in `sidebet_table`.

    Parameters
    ----------
    source, window, pays, where
        As for `sidebet_table`.
    edges : sequence of int
        Ages in ticks at which a group begins; each ends where the next begins, the last never.
    confidence : float
        Of the interval.

    Returns
    -------
    DataFrame
        One row a group: `from_tick`, `to_tick` (exclusive; -1 for none), `n_games`, `n_ticks` (bets that were settled),
        `wins`, `cut` (bets not settled), `win_rate`, `low`, `high`, `settled_rate`, `expected_value`, `kelly`. A bet
        that wins is settled sooner than one that loses: `win_rate` weighs the settled bets so that those of cut-off
        games do not bias it (see `replaylab.analysis.price_paths.follow_up`); `settled_rate` is wins / n_ticks.
        NaN, but for that, where too many bets are settled later than any record goes.

    Raises
    ------
    AnalysisError
        As for `sidebet_table`.

    Examples
    --------
    >>> from replaylab.analysis import Paths
    >>> from replaylab.simulation.bulk import price_arrays
    >>> found = sidebet_pooled(Paths.of_arrays(*price_arrays(2_000, seed=1)), edges=[0, 200])
    >>> bool(((found["low"] < 0.1817) & (0.1817 < found["high"])).all())
    True
    """
    import pandas as pd

    paying, known = payout(pays), some_games(paths(source, where=where))
    begins, within = wholes("edges", edges, least=0, points=PASSES), whole("window", window, least=1)
    left, rugged = ticks_left(known)
    begin = known.tick.astype(np.int64)
    group = np.searchsorted(begins, begin, side="right") - 1
    won, lost = rugged & (left <= within), np.where(rugged, left > within, left >= within)
    settled, end, until = won | lost, begin + np.minimum(left, within), watched_to(known)
    follow_up, game, followed = FollowUp.of_ends(known, until), known.game_of_tick, settled & (end <= until)

    def grouped(place: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        here = followed & (group == place)
        return follow_up.sums(game[here], begin[here], end[here], won[here].astype(np.float64))

    above, below = (np.stack(one, axis=1) for one in zip(*map(grouped, range(len(begins))), strict=True))
    size = len(begins)
    bets, wins, cut = (np.bincount(group[which & (group >= 0)], minlength=size) for which in (settled, won, ~settled))
    weight = below.sum(axis=0)
    begun = [np.unique(game[group == place], return_counts=True)[1] for place in range(size)]
    late = [too_late(float(one), int(counts.sum()), len(counts)) for one, counts in zip(weight, begun, strict=True)]
    rate = np.divide(above.sum(axis=0), weight, out=np.full(size, np.nan), where=weight > 0)
    low, high = share_by_game(above, below, confidence=confidence)
    rate, low, high = (np.where(late, np.nan, one) for one in (rate, low, high))
    frame = pd.DataFrame(
        {
            "from_tick": begins,
            "to_tick": np.append(begins[1:], -1),
            "n_games": (below > 0).sum(axis=0),
            "n_ticks": bets,
            "wins": wins,
            "cut": cut,
            "win_rate": rate,
            "low": low,
            "high": high,
            "settled_rate": np.divide(wins, bets, out=np.full(size, np.nan), where=bets > 0),
            "expected_value": expected_value(rate, paying),
            "kelly": kelly(rate, paying),
        }
    )
    frame.attrs = {"n_games": known.n_games, "n_ticks": known.n_ticks, "pays": paying, "confidence": confidence}
    return frame
