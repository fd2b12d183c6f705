"""Volatility: how far prices move in a tick, by price, and whether they move more before a rug.

The fall to the rug never counts: it is tens of times an ordinary move, and one rug row inside a window makes every rug
look foretold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.price_paths.arguments import number, numbers, some_games, whole
from replaylab.analysis.price_paths.follow_up import weighted_mean, weighted_quantiles
from replaylab.analysis.price_paths.moves import Moves
from replaylab.analysis.price_paths.paths import Paths, Source, paths
from replaylab.analysis.price_paths.runs import Runs
from replaylab.analysis.price_paths.selection import Selection
from replaylab.analysis.questions.interval import mean_by_game, wilson
from replaylab.columns import distinct
from replaylab.errors import AnalysisError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def volatility_by_price(
    source: Source,
    *,
    edges: Sequence[float] = (0, 1, 10, 50, 200),
    where: Selection | None = None,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Size of one-tick moves by the price before the move.

    Parameters
    ----------
    source : Store, path, Paths, or sequence of Segment
    edges : sequence of float
        Prices at which a zone begins; each ends where the next begins, the last never.
    where, confidence, resamples, seed
        Which games, and how the interval by whole games is made; 0 resamples give none.

    Returns
    -------
    DataFrame
        One row a zone: `from_price`, `to_price` (inf for none), `n_games`, `n_ticks` (moves between two live ticks that
        follow each other), `mean` size of a move, relative to the price before, with `low` and `high`, its `median`,
        and `to_tick`. The median is that of an ordinary move; the mean is more than twice that, from the one move in
        eight that is big. Cut-off games show early ticks more often than late ones: mean and median weigh each move by
        the inverse chance that its tick was watched, see `replaylab.analysis.price_paths.moves`. Then only the moves up
        to `to_tick` count, the last tick that five games were watched at; of whole games all count. NaN where no move
        was seen, or only moves behind the rugs of all games that were watched up to there.

    Raises
    ------
    AnalysisError
        When there is no game, or the edges do not rise.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> found = volatility_by_price(Paths.of_arrays(*price_arrays(500, seed=1)), edges=[1, 10], resamples=50)
    >>> found["mean"].round(2).tolist()
    [0.04, 0.04]
    """
    import pandas as pd

    known = some_games(paths(source, where=where))
    begins = np.array(numbers("edges", edges, above=-1))
    if (np.diff(begins) <= 0).any():
        raise AnalysisError(f"edges={edges!r}: pass prices, each above the one before")
    moves = Moves.of(known)
    zone = np.searchsorted(begins, moves.before, side="right") - 1
    found = []
    for place, begin in enumerate(begins.tolist()):
        here = zone == place
        above, below = (one[:, None] for one in moves.sums(here))
        low, high = mean_by_game(above, below, confidence=confidence, resamples=resamples, seed=seed)
        size, weight = moves.size[here], moves.weight[here]
        found.append(
            {
                "from_price": begin,
                "to_price": float(begins[place + 1]) if place + 1 < len(begins) else float("inf"),
                "n_games": len(distinct(moves.game[here])),
                "n_ticks": int(here.sum()),
                "mean": weighted_mean(size, weight),
                "low": float(low[0]),
                "high": float(high[0]),
                "median": weighted_quantiles(size, weight, (0.5,))[0] if weight.any() else float("nan"),
                "to_tick": moves.to_tick,
            }
        )
    frame = pd.DataFrame(found)
    frame.attrs = {"n_games": known.n_games, "n_ticks": known.n_ticks, "confidence": confidence}
    return frame


def spike_table(
    source: Source,
    *,
    last: int = 10,
    first: int = 40,
    threshold: float = 2.0,
    where: Selection | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """Size of the last moves before the rug relative to the first moves of a game, beside windows drawn at random.

    The second row is what makes the first one mean something: as many games spike in a window that ends anywhere.
    Games must be long enough for both windows, so neither row is about short games.

    Parameters
    ----------
    source : Store, path, Paths, or sequence of Segment
    last, first : int
        Moves (returns of one tick) before the rug, and at the start of the game.
    threshold : float
        Ratio from which on it is called a spike.
    where, confidence
        Which games, and of which intervals.
    seed : int
        Of the windows drawn: one a game, ending at any tick after the first window but the last.

    Returns
    -------
    DataFrame
        Two rows: `window` ("before the rug", "anywhere"), `n_games`, `n_ticks` (moves in the last windows), `mean`,
        `median` of the ratio, `spikes` (games at the threshold or above), `share` with `low`, `high` (Wilson).
        `attrs` holds `left_out`, the games too short, with a gap, begun late, never moved, or without a rug.

    Raises
    ------
    AnalysisError
        When there is no game, or none that holds both windows.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> found = spike_table(Paths.of_arrays(*price_arrays(2_000, seed=1)))
    >>> bool((found["share"] < 0.15).all())
    True
    """
    import pandas as pd

    known = some_games(paths(source, where=where))
    width, base = whole("last", last, least=1), whole("first", first, least=1)
    limit = number("threshold", threshold, above=0)
    total = _summed_moves(known)
    games = _usable(known, width + base)
    games = games[total[known.start[games] + base] > total[known.start[games]]]
    if not len(games):
        raise AnalysisError(f"last={width}, first={base}: no game moved {width + base} times from tick 0 to its rug")
    begin, end = known.start[:-1][games], known.start[1:][games] - 1
    early = (total[begin + base] - total[begin]) / base
    rng = np.random.default_rng(whole("seed", seed, least=0, most=None))
    anywhere = rng.integers(begin + base + width, np.maximum(end, begin + base + width + 1))
    rows = []
    for name, until in (("before the rug", end), ("anywhere", anywhere)):
        rows.append({"window": name} | _ratios((total[until] - total[until - width]) / width / early, width, limit))
    frame = pd.DataFrame(rows)
    low, high = wilson(frame["share"], frame["n_games"], confidence=confidence)
    frame["low"], frame["high"] = low, high
    frame.attrs = {"n_games": known.n_games, "n_ticks": known.n_ticks, "left_out": known.n_games - len(games)}
    return frame


def _usable(known: Paths, moves: int) -> Ints:
    """Games that were followed without a gap from tick 0 to the rug, over so many moves."""
    runs = Runs.of(known)
    begin, end = known.start[:-1], known.start[1:] - 1
    whole_game = (runs.first[end] == begin) & (known.tick[begin] == 0) & runs.rugged[end] & (known.price[begin] > 0)
    return np.flatnonzero(whole_game & (end - begin >= moves))


def _summed_moves(known: Paths) -> Floats:
    """Sum of the sizes of all moves up to each row; differences inside a game are what it is for."""
    size = np.zeros(known.n_ticks)
    with np.errstate(divide="ignore", invalid="ignore"):
        size[1:] = np.abs(known.price[1:] / known.price[:-1] - 1)
    return np.cumsum(np.where(np.isfinite(size), size, 0.0))


def _ratios(ratio: Floats, width: int, limit: float) -> dict[str, Any]:
    spikes = int((ratio >= limit).sum())
    return {
        "n_games": len(ratio),
        "n_ticks": len(ratio) * width,
        "mean": float(ratio.mean()),
        "median": float(np.median(ratio)),
        "spikes": spikes,
        "share": spikes / len(ratio),
    }
