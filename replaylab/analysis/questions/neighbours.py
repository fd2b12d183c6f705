"""Dependence between consecutive games; only pairs with too little time between them for another game."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from replaylab.analysis.price_paths.arguments import number, numbers, some_games, whole
from replaylab.analysis.price_paths.live import Floats, Ints
from replaylab.analysis.price_paths.paths import Paths, Source, paths
from replaylab.analysis.price_paths.selection import Selection
from replaylab.analysis.questions.interval import normal_quantile, wilson
from replaylab.columns import as_numpy, nearest_doubles
from replaylab.plural import count_of
from replaylab.simulation.process import RUG_PROBABILITY

if TYPE_CHECKING:
    import pandas as pd

SHORTEST_SECONDS: Final = 15.0  # from one rug to the next: the countdown alone, before a single tick
_UNKNOWN: Final = np.iinfo(np.int64).min


@dataclass(frozen=True, eq=False)
class SequenceStudy:
    """What a game says about the next one.

    Parameters
    ----------
    pairs : DataFrame
        One row a pair of neighbours: `game_id`, `next_game_id`, `rug_tick`, `next_rug_tick`, `peak`, `next_peak`,
        `seconds` (from the last row of the one to the first of the other).
    correlation : DataFrame
        One row a question (`rug_tick`, `peak_rank`): `correlation` (Pearson of R; of the ranks of peaks), `low`,
        `high` (Fisher's z), `n_pairs`.
    after : DataFrame
        One row a kind of game before (`any`, then those that peaked above each height): `after`, `n_pairs`, `short`
        (next game rugs at or below `short_tick`), `share`, `low`, `high`, `theory`, `next_median`.
    n_games, n_ticks : int
        Games asked, and their live ticks.
    confidence : float
        Of the intervals.
    left_out : mapping
        Segments that could not be read, with the reason.

    Examples
    --------
    >>> from replaylab.fair import simulate
    >>> found = sequence_study(Paths.of_arrays(*simulate(400, seed=1)), heights=(10,))
    >>> found.after["after"].tolist(), found.correlation["of"].tolist()
    (['any', 'peak > 10'], ['rug_tick', 'peak_rank'])
    """

    pairs: pd.DataFrame
    correlation: pd.DataFrame
    after: pd.DataFrame
    n_games: int
    n_ticks: int
    confidence: float
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        seen = f"{count_of(self.n_games, 'game')}, {count_of(self.n_ticks, 'tick')}"
        return f"SequenceStudy({count_of(len(self.pairs), 'pair')} of neighbours, {seen})"

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>" + "".join(str(frame.to_html(index=False)) for frame in (self.correlation, self.after))


def sequence_study(
    source: Source,
    *,
    short_tick: int = 10,
    heights: float | Iterable[float] = (10, 50),
    max_seconds: float = 10.0,
    confidence: float = 0.95,
    where: Selection | None = None,
) -> SequenceStudy:
    """Correlation of lifetimes and peaks of neighbouring games, and what follows a high game.

    Neighbours are a game whose rug was seen and the next one that was recorded, when too little time lies between them
    for another game: its countdown alone takes 15 s. Games next to each other in a list are not neighbours: recorders
    stop, and a pair across such a hole says nothing. Both rugs must have been seen, so the pairs lean to short games.

    Parameters
    ----------
    source : Store, path, Paths, or list of Segment
        The games.
    short_tick : int
        A next game counts as short when R is at most that.
    heights : float or iterable of float
        Peaks above which a game counts as high.
    max_seconds : float
        Longest time between neighbours, below 15 s.
    confidence, where
        See `replaylab.analysis.survival`. A condition in `where` that takes games out leaves fewer pairs, never new
        ones: neighbours are decided by time.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> found = sequence_study(Paths.of_arrays(*price_arrays(500, seed=1)), max_seconds=14.9)
    >>> found
    SequenceStudy(0 pairs of neighbours, 500 games, ... ticks)
    """
    short = whole("short_tick", short_tick, least=1)
    longest = number("max_seconds", max_seconds, above=0, below=SHORTEST_SECONDS)
    levels = sorted(set(numbers("heights", heights, above=0)))
    found = some_games(paths(source, where=where))
    first, second, seconds = _neighbours(found, longest)
    pairs = _pairs(found, first, second, seconds)
    after = _after(pairs, short, levels, confidence)
    counts = (found.n_games, found.n_ticks, confidence)
    return SequenceStudy(pairs, _correlations(pairs, confidence), after, *counts, dict(found.left_out))


def _neighbours(found: Paths, longest: float) -> tuple[Ints, Ints, Floats]:
    """Return the numbers of consecutive games, and the seconds between them."""
    start, end = (as_numpy(found.games.column(name).cast(pa.int64()), null=_UNKNOWN) for name in ("start", "end"))
    order = np.argsort(start, kind="stable")
    first, second = order[:-1], order[1:]
    known = (start[first] != _UNKNOWN) & (found.rug_tick[first] >= 0) & (found.rug_tick[second] >= 0)
    seconds = (start[second] - end[first]) / 1e6
    known &= np.abs(seconds) <= longest  # the next game's first row often comes before the last one's second rug row
    return first[known], second[known], seconds[known]


def _pairs(found: Paths, first: Ints, second: Ints, seconds: Floats) -> pd.DataFrame:
    import pandas as pd

    ids = np.array(found.game_ids, dtype=object)
    peak = nearest_doubles(found.games.column("peak"))
    columns = {"game_id": ids, "rug_tick": found.rug_tick, "peak": peak}
    values: dict[str, Any] = {}
    for name, column in columns.items():
        values[name], values[f"next_{name}"] = column[first], column[second]
    return pd.DataFrame({**values, "seconds": seconds})


def _correlations(pairs: pd.DataFrame, confidence: float) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for name, method in (("rug_tick", "pearson"), ("peak", "rank")):
        one, other = pairs[name], pairs[f"next_{name}"]
        if method == "rank":
            one, other = one.rank(), other.rank()
        enough = len(pairs) > 3 and bool(one.std() > 0 and other.std() > 0)
        value = float(np.corrcoef(one, other)[0, 1]) if enough else float("nan")
        half = normal_quantile(confidence) / np.sqrt(len(pairs) - 3) if enough else float("nan")
        middle = np.arctanh(np.clip(value, -1 + 1e-15, 1 - 1e-15))
        low, high = np.tanh(middle - half), np.tanh(middle + half)
        question = "peak_rank" if method == "rank" else name
        counts = {"low": float(low), "high": float(high), "n_pairs": len(pairs)}
        rows.append({"of": question, "correlation": value, **counts})
    return pd.DataFrame(rows)


def _after(pairs: pd.DataFrame, short: int, levels: list[float], confidence: float) -> pd.DataFrame:
    import pandas as pd

    rows = []
    for name, kept in [("any", pairs), *((f"peak > {level:g}", pairs[pairs["peak"] > level]) for level in levels)]:
        following = kept["next_rug_tick"].to_numpy(np.int64)
        counts = {"after": name, "n_pairs": len(kept), "short": int((following <= short).sum())}
        median = float(np.median(following)) if len(following) else float("nan")
        rows.append({**counts, "next_median": median})
    frame = pd.DataFrame(rows)
    share = frame["short"] / frame["n_pairs"].where(frame["n_pairs"] > 0)
    low, high = wilson(share, frame["n_pairs"], confidence=confidence)
    theory = 1 - (1 - RUG_PROBABILITY) ** short
    return frame.assign(share=share, low=low, high=high, theory=theory, short_tick=short)
