"""Simulated games as a recorder sees them: joined late, cut off, with gaps; to test estimators. Pure."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.price_paths.paths import Paths
from replaylab.columns import column


def watched(
    drawn: Paths,
    seed: int = 0,
    entries: NDArray[np.int64] | None = None,
    lengths: NDArray[np.int64] | None = None,
) -> Paths:
    """What is seen of complete games that are joined late, cut off alive and have gaps, as recorders leave them.

    By default every second game is joined at a tick up to 300, every second one watched for 300 ticks on average, and
    one in five has a gap of ten ticks; all independent of the game. An estimator with the same
    result for what is left as for the whole games is not biased by how games are recorded.

    Parameters
    ----------
    drawn : Paths
        Complete games, as returned by `Paths.of_arrays`.
    seed : int
        The same seed cuts the same.
    entries, lengths : int64 arrays, one a game, optional
        Ticks at which games are joined, and for how many ticks they are watched; without gaps then.

    Returns
    -------
    Paths
        The games of which a live tick is seen. Of their table `complete` is what is seen; its other columns are still
        those of the whole games.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> drawn = Paths.of_arrays(*price_arrays(1000, seed=1))
    >>> seen = watched(drawn, seed=1)
    >>> 600 < seen.n_games < 900, seen.n_ticks < drawn.n_ticks
    (True, True)
    """
    rng = np.random.default_rng(seed)
    count = drawn.n_games
    gap = np.where(rng.random(count) < 0.2, rng.integers(0, 400, count), -1)
    if entries is None or lengths is None:
        entries = np.where(rng.random(count) < 0.5, rng.integers(0, 300, count), 0)
        lengths = np.where(rng.random(count) < 0.5, rng.geometric(1 / 300, count), 10_000)
    else:
        gap = np.full(count, -1)
    game = drawn.game_of_tick
    tick = drawn.tick
    from_gap = tick - gap[game]
    seen = (tick >= entries[game]) & (tick < (entries + lengths)[game])
    seen &= (gap[game] < 0) | (from_gap < 0) | (from_gap >= 10)
    kept = np.bincount(game[seen], minlength=count)
    rug = np.where((entries + lengths > drawn.rug_tick) & (kept > 0), drawn.rug_tick, -1)
    in_gap = (gap >= 0) & (drawn.rug_tick >= gap) & (drawn.rug_tick < gap + 10)
    rug = np.where(in_gap, -1, rug)
    some = kept > 0
    complete = column((rug >= 0) & (kept == rug))
    games = drawn.games.set_column(drawn.games.column_names.index("complete"), "complete", complete)
    start = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
    price = np.where(rug >= 0, drawn.rug_price, np.nan)
    return Paths(games, start, tick[seen], drawn.price[seen], rug.astype(np.int64), price).take(np.flatnonzero(some))
