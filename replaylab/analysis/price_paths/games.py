"""Games: the table of games, and splits and resampling by whole games, never by tick."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import xxhash
from numpy.typing import NDArray

from replaylab.analysis.price_paths.arguments import number, one_of, some_games, whole
from replaylab.analysis.price_paths.paths import Paths, Source, paths
from replaylab.analysis.price_paths.selection import Selection, checked
from replaylab.errors import AnalysisError
from replaylab.segments.order import in_order_received
from replaylab.segments.segment import Segment
from replaylab.storage.game_summary import COLUMNS, summarise
from replaylab.storage.interchange import Damaged, Prices, pandas_frame
from replaylab.storage.open import open_store
from replaylab.storage.store import Store

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["PARTS", "Selection", "bootstrap", "games", "games_of", "split"]

PARTS: Final[Mapping[str, float]] = {"train": 0.6, "validation": 0.2, "test": 0.2}
_GROUPS: Final = 200  # of games that a jackknife leaves out at once
Floats = NDArray[np.float64]
Statistic = Callable[[Paths], float | Mapping[str, float]]


def games_of(segment: Segment) -> pa.Table:
    """The games table of one segment: what it holds of each game, whatever other segments hold.

    The same bytes give the same rows, so results may be kept by the segment's name and asked for anywhere. A game that
    several segments hold is in each of their tables; `games` puts such games together before it looks at them.

    Parameters
    ----------
    segment : Segment
        One of `Store.segments()`.

    Returns
    -------
    Table
        One row a game, in the order of the segment, with the columns of `replaylab.storage.game_summary.SCHEMA`.

    Raises
    ------
    SegmentDamaged
        When it cannot be read.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=3, seed=1)
    >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> sum(games_of(segment).num_rows for segment in rl.open_store(folder + "/store").segments())
    3
    """
    return summarise(in_order_received(segment.read([*COLUMNS, "seq"])))


def games(
    source: Source,
    *,
    where: Selection | None = None,
    prices: Prices = "float64",
    damaged: Damaged = "raise",
    **conditions: Any,
) -> pd.DataFrame:
    """One row a game, less what is no game: a cooldown alone, and games that came back after their rug.

    Parameters
    ----------
    source : Store, path, Paths, or list of Segment
        The games.
    where : Selection, optional
        Which games; what `Selection` says for its defaults.
    prices : {"float64", "decimal"}
        Prices as the nearest doubles, or as exact Decimals.
    damaged : {"raise", "skip"}
        As for `paths`.
    **conditions
        Fields of a `Selection`, in place of those in `where`: rug_seen, censored, complete, late_start, repaired,
        start, end, min_ticks, max_missing, double_rug, ids.

    Returns
    -------
    DataFrame
        The columns of `Store.games()`, in order of the start. `attrs` holds `n_games`, `n_ticks` (live ones, each tick
        of a game once), and `left_out`: the segments that cannot be read, with the reason. No row where there is none.

    Raises
    ------
    AnalysisError
        When a condition cannot be met by any game, or there is none of that name.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=3, seed=1)
    >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> found = games(folder + "/store", complete=True, min_ticks=2)
    >>> found.attrs["n_games"], bool(found.attrs["n_ticks"] == found["rug_tick"].sum())
    (3, True)
    """
    try:
        chosen = replace(checked(where) or Selection(), **conditions)
    except TypeError as error:
        raise AnalysisError(f"{error}; see Selection for the conditions there are") from None
    table, left_out = _table(source, damaged)
    kept = chosen.of(table)
    frame = pandas_frame(kept, prices)
    frame.attrs |= {"n_games": len(frame), "n_ticks": int(frame["ticks"].sum()), "left_out": left_out}
    return frame


def _table(source: Source, damaged: Damaged) -> tuple[pa.Table, dict[str, str]]:
    """Return the table of all games of a source, and what could not be read."""
    if isinstance(source, Paths):
        return source.games, dict(source.left_out)
    if isinstance(source, list | tuple):
        found = paths(source, where=Selection(min_ticks=0, double_rug=None), damaged=damaged)
        return found.games, dict(found.left_out)
    store = source if isinstance(source, Store) else open_store(source)
    table = store.games_table(damaged=damaged)
    return table, dict(store.damaged)


def split(
    source: Source,
    parts: Mapping[str, float] = PARTS,
    *,
    by: str = "game",
    seed: int = 0,
    where: Selection | None = None,
) -> dict[str, Paths]:
    """Parts of the games that have no game in common: one to look for something in, others to find out if it is there.

    Parameters
    ----------
    source : Store, path, Paths, or list of Segment
        The games.
    parts : mapping
        Name and share of each part; the shares add up to 1.
    by : {"game", "date"}
        ``game`` draws a part for each game, by its id and `seed`: a game stays in its part whatever else is recorded
        later, and the parts have about the shares asked for. ``date`` cuts in order of the start, earliest games first
        into the first part: the way to see whether something lasts, and the only one when consecutive games may depend
        on each other.
    seed : int
        Another one draws other parts.
    where : Selection, optional
        Which games.

    Returns
    -------
    dict
        Paths of each part, by name; every game is in exactly one, and no part is empty.

    Raises
    ------
    AnalysisError
        When shares are not above zero or do not add up to 1, or a part would have no game.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> found = split(Paths.of_arrays(*price_arrays(1000, seed=1)), by="date")
    >>> [(name, part.n_games) for name, part in found.items()]
    [('train', 600), ('validation', 200), ('test', 200)]
    """
    if not isinstance(parts, Mapping):
        raise AnalysisError(f"parts={parts!r}: pass a mapping of names to shares, such as {dict(PARTS)}")
    shares = [number(f"parts[{name!r}]", share, above=0) for name, share in parts.items()]
    if not shares or abs(sum(shares) - 1) > 1e-9:
        raise AnalysisError(f"parts={dict(parts)}: the shares add up to {sum(shares):g}; they must add up to 1")
    found = paths(source, where=where)
    edges = np.cumsum(shares)[:-1]
    if one_of("by", by, ("game", "date")) == "game":
        text = f"{whole('seed', seed, least=0)}:"
        drawn = [xxhash.xxh3_64_intdigest((text + game).encode()) / 2**64 for game in found.game_ids]
    else:
        drawn = [(place + 0.5) / found.n_games for place in range(found.n_games)]
    part = np.searchsorted(edges, np.array(drawn, np.float64), side="right")
    if len(parts) > max(found.n_games, len(PARTS)):
        raise AnalysisError(f"len(parts)={len(parts)}: a part would be empty; there are {found.n_games} games")
    counts = dict(zip(parts, np.bincount(part, minlength=len(parts)).tolist(), strict=True))
    if not all(counts.values()):
        raise AnalysisError(f"games={found.n_games}: a part would be empty, {counts}; pass fewer parts")
    return {name: found.select(part == place) for place, name in enumerate(parts)}


def bootstrap(
    source: Source,
    statistic: Statistic,
    *,
    resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    where: Selection | None = None,
) -> pd.DataFrame:
    """Interval of any statistic, by drawing whole games with replacement as often as there are games.

    Ticks are never drawn: those of one game share its path and its rug. The interval is BCa: percentiles, corrected for
    bias and skewness (Efron, Better Bootstrap Confidence Intervals, 1987). It is too narrow for fewer than about 30
    games, and for statistics that depend on the longest or highest few.

    Parameters
    ----------
    source : Store, path, Paths, or list of Segment
        The games.
    statistic : callable
        From `Paths` to a number, or to numbers by name.
    resamples, confidence, seed
        Of the interval; the same seed draws the same games.
    where : Selection, optional
        Which games.

    Returns
    -------
    DataFrame
        One row a number, indexed by its name (``value`` for a lone one): `estimate` (of the games themselves), `low`,
        `high`, `standard_error`, `resamples` (those that gave a number), `n_games`, `n_ticks`. Resamples where the
        statistic is NaN are left out of the interval, and counted by their absence from `resamples`.

    Raises
    ------
    AnalysisError
        When there are fewer than two games.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> drawn = Paths.of_arrays(*price_arrays(500, seed=1))
    >>> found = bootstrap(drawn, lambda paths: float(paths.rug_tick.mean()), resamples=200)
    >>> bool(found.loc["value", "low"] < 200 < found.loc["value", "high"])
    True
    """
    import pandas as pd

    number("confidence", confidence, above=0, below=1)
    count = whole("resamples", resamples, least=2)
    if not callable(statistic):
        raise AnalysisError(f"statistic={statistic!r} cannot be called; pass a function of Paths")
    found = some_games(paths(source, where=where))
    if found.n_games < 2:
        raise AnalysisError(f"games={found.n_games}: drawing games with replacement needs two of them")
    estimate = _numbers(statistic(found))
    rng = np.random.default_rng(whole("seed", seed, least=0, most=None))
    drawn = [_numbers(statistic(found.take(rng.integers(found.n_games, size=found.n_games)))) for _ in range(count)]
    values = pd.DataFrame(drawn, columns=list(estimate), dtype=np.float64)
    left = [_numbers(statistic(part)) for part in _without_each(found)]
    ends = {
        name: bca(value, values[name].to_numpy(), np.array([one[name] for one in left]), confidence)
        for name, value in estimate.items()
    }
    return pd.DataFrame(
        {
            "estimate": pd.Series(estimate, dtype=np.float64),
            "low": pd.Series({name: end[0] for name, end in ends.items()}, dtype=np.float64),
            "high": pd.Series({name: end[1] for name, end in ends.items()}, dtype=np.float64),
            "standard_error": values.std(),
            "resamples": values.count(),
            "n_games": found.n_games,
            "n_ticks": found.n_ticks,
        }
    ).loc[list(estimate)]


def _without_each(found: Paths) -> Iterator[Paths]:
    """Yield the games without each of them in turn; without each of 200 groups where there are more."""
    group = np.arange(found.n_games) * min(_GROUPS, found.n_games) // found.n_games
    for one in range(int(group[-1]) + 1):
        yield found.take(np.flatnonzero(group != one))


def bca(estimate: float, drawn: Floats, left: Floats, confidence: float) -> tuple[float, float]:
    """Return the ends of the BCa interval from resampled values and those of the jackknife; NaN are left out.

    Examples
    --------
    >>> low, high = bca(0.0, np.linspace(-1, 1, 1001), np.array([-0.1, 0.0, 0.1]), 0.9)
    >>> round(low, 2), round(high, 2)
    (-0.9, 0.9)
    """
    from scipy.special import ndtr, ndtri  # type: ignore[import-untyped]

    drawn, left = drawn[~np.isnan(drawn)], left[~np.isnan(left)]
    if not len(drawn) or np.isnan(estimate):
        return float("nan"), float("nan")
    below = ((drawn < estimate).sum() + (drawn == estimate).sum() / 2) / len(drawn)
    bias = float(ndtri(np.clip(below, 0.5 / len(drawn), 1 - 0.5 / len(drawn))))
    apart = left.mean() - left if len(left) else np.zeros(1)
    spread = float((apart**2).sum())
    skew = float((apart**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0
    z = bias + ndtri(np.array([(1 - confidence) / 2, (1 + confidence) / 2]))
    low, high = np.quantile(drawn, ndtr(bias + z / (1 - skew * z)))
    return float(low), float(high)


def _numbers(found: float | Mapping[str, float]) -> dict[str, float]:
    """Return the numbers of a statistic by name."""
    named = found if isinstance(found, Mapping) else {"value": found}
    try:
        return {str(name): float(value) for name, value in named.items()}
    except (TypeError, ValueError) as error:
        raise AnalysisError(f"the statistic returned {found!r}; it must return a number, or numbers by name") from error
