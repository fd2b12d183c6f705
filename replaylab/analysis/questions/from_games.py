"""Quantiles of lifetimes and peaks from the table of games alone, cut-off games made up for; no tick is read. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from replaylab.analysis.price_paths.follow_up import too_late
from replaylab.analysis.price_paths.spells import Curve, Spells, kaplan_meier
from replaylab.columns import as_numpy

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
_NEAR = 1e-12  # what sums of doubles differ by although they mean the same


def rug_tick_quantiles(games: pa.Table, shares: Sequence[float]) -> dict[float, int]:
    """Return the least tick by which each share of the games has rugged, by share: Kaplan-Meier with late entry.

    Games count from the first tick of their record to the last; those that came back after their rug do not. A share
    that no record reaches is not in the result.

    Parameters
    ----------
    games : Table
        The columns of `replaylab.storage.game_summary.SCHEMA`.
    shares : sequence of float
        Between 0 and 1.

    Examples
    --------
    >>> from replaylab.analysis.price_paths.paths import Paths
    >>> from replaylab.simulation.bulk import price_arrays
    >>> table = Paths.of_arrays(*price_arrays(2_000, seed=1)).games
    >>> list(rug_tick_quantiles(table, [0.5]))
    [0.5]
    """
    first, last, rug = _ticks(games)
    curve = _lives(first, last, rug)
    found = {}
    for share in shares:
        below = np.flatnonzero(curve.survival <= 1 - share + _NEAR)
        if len(below):
            found[share] = int(below[0])
    return found


def peak_quantiles_of(games: pa.Table, shares: Sequence[float]) -> dict[float, Decimal]:
    """Return the least peak that each share of the games does not exceed, by share, from the complete ones, weighted.

    Long games go higher and are cut off more often: each complete game counts by the inverse chance of having been
    watched to its end, the Kaplan-Meier estimate of the cuts. Nothing without a complete game, or where too many games
    live longer than any record goes.

    Examples
    --------
    >>> from replaylab.analysis.price_paths.paths import Paths
    >>> from replaylab.simulation.bulk import price_arrays
    >>> table = Paths.of_arrays(*price_arrays(2_000, seed=1)).games
    >>> bool(1.6 < peak_quantiles_of(table, [0.5])[0.5] < 1.9)
    True
    """
    first, last, rug = _ticks(games)
    seen = np.flatnonzero(as_numpy(_counted(games).column("complete")))
    alive = float(np.nanmin(_lives(first, last, rug).survival))
    if not len(seen) or too_late(len(first) * (1 - alive), len(first), len(first)):
        return {}
    watched = kaplan_meier(Spells(first, last + 1, rug < 0, np.arange(len(first)))).survival
    chance = np.nan_to_num(watched[np.minimum(rug[seen], len(watched) - 1)])
    peaks = _counted(games).column("peak").take(pa.array(seen))
    order = pc.sort_indices(peaks).to_numpy()
    weights = np.cumsum(np.divide(1, chance, out=np.zeros(len(chance)), where=chance > 0)[order])
    place = [int(np.searchsorted(weights, (share - _NEAR) * weights[-1])) for share in shares]
    return {share: peaks[int(order[at])].as_py() for share, at in zip(shares, place, strict=True)}


def _lives(first: Ints, last: Ints, rug: Ints) -> Curve:
    end = np.where(rug >= 0, rug, last)
    kept = end > first
    return kaplan_meier(Spells(first[kept], end[kept], (rug >= 0)[kept], np.arange(int(kept.sum()))))


def _counted(games: pa.Table) -> pa.Table:
    live = pc.and_(pc.greater(games.column("ticks"), 0), pc.invert(games.column("double_rug")))
    return games.filter(live)


def _ticks(games: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Return first and last live tick and the tick of the rug (-1 for none) of the games that count."""
    table = _counted(games)
    first, last, rug = (
        np.array(as_numpy(table.column(name), null=-1), np.int64) for name in ("first_tick", "last_tick", "rug_tick")
    )
    return first, last, rug
