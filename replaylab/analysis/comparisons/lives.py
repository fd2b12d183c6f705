"""Whether lives differ between groups of games, or over time, by more than chance; cut-off games count."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.price_paths.arguments import number, some_games, whole
from replaylab.analysis.price_paths.paths import Paths, Source, paths
from replaylab.analysis.price_paths.selection import Selection
from replaylab.analysis.price_paths.spells import Spells
from replaylab.analysis.questions.survival import survival
from replaylab.errors import AnalysisError
from replaylab.plural import count_of

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Labels = Any  # a column, labels, or a function of the frame of games
_LEAST: Final = 10  # games on either side of a change point


@dataclass(frozen=True, eq=False)
class LogRank:
    """Whether groups of games live alike.

    Attributes
    ----------
    table : DataFrame
        One row a group: `games`, `rugs` seen, `expected` (rugs if all groups lived alike), `mean` (ticks, of lives
        counted up to `up_to`) with `low` and `high`.
    statistic, p_value : float
        Of the log-rank test (Mantel, 1966), chi-squared with one degree less than groups: the chance of groups that
        differ so much when all live alike.
    up_to : int
        Tick up to which lives are counted in the means: the last that every group was watched to.

    Examples
    --------
    >>> from replaylab.fair import simulate
    >>> found = log_rank(Paths.of_arrays(*simulate(400, seed=1)), by=lambda games: games.index % 2)
    >>> found
    LogRank(2 groups, 400 games, p = 0.482)
    >>> found.table["games"].tolist(), found.up_to
    ([200, 200], 1131)
    """

    table: pd.DataFrame
    statistic: float
    p_value: float
    up_to: int

    def __repr__(self) -> str:
        games = count_of(int(self.table["games"].sum()), "game")
        return f"LogRank({count_of(len(self.table), 'group')}, {games}, p = {self.p_value:.3g})"

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{self.table.to_html(border=0, float_format='{:.4g}'.format)}"


def log_rank(source: Source, by: Labels, *, where: Selection | None = None, confidence: float = 0.95) -> LogRank:
    """Test whether groups of games live equally long: the log-rank test, over all that was seen of each game.

    Parameters
    ----------
    source : Store, path, Paths, or list of Segment
        The games.
    by : str, sequence or callable
        Group of each game: a column of `games`, one label a game, or a function of the frame of games that returns
        labels, such as ``lambda games: games["start"].dt.hour < 12``. Games without a label (NaN) are left out.
    where, confidence
        As for `survival`.

    Raises
    ------
    AnalysisError
        When there are fewer than two groups, or labels do not fit the games.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> drawn = Paths.of_arrays(*price_arrays(400, seed=1))
    >>> found = log_rank(drawn, by=lambda games: games.index % 2)
    >>> found.table.index.tolist(), bool(found.p_value > 0.01)
    ([0, 1], True)
    """
    import pandas as pd

    number("confidence", confidence, above=0, below=1)
    found = some_games(paths(source, where=where))
    codes, names = pd.factorize(np.asarray(_labels(found, by), object), sort=True)
    if len(names) < 2:
        raise AnalysisError(f"by={by!r}: games of {len(names)} group; a comparison needs two")
    statistic, p_value, rugs, expected = _log_rank(Spells.of(found), codes, len(names))
    lives = [survival(found.select(codes == place), confidence=confidence) for place in range(len(names))]
    up_to = max(1, min(int(one.curve["tick"][one.curve["survival"].notna()].max()) for one in lives))
    means = [one.mean_up_to(up_to).iloc[0] for one in lives]
    columns = {name: [float(one[name]) for one in means] for name in ("mean", "low", "high")}
    counts = np.bincount(codes[codes >= 0], minlength=len(names))
    table = pd.DataFrame(
        {"games": counts, "rugs": rugs, "expected": expected, **columns}, index=pd.Index(names, name="group")
    )
    return LogRank(table, statistic, p_value, up_to)


def _labels(found: Paths, by: Labels) -> Any:
    from replaylab.storage.interchange import pandas_frame

    if isinstance(by, str) or callable(by):
        frame = pandas_frame(found.games)
        if isinstance(by, str) and by not in frame:
            raise AnalysisError(f"by={by!r}: games have no such column; take one of {', '.join(map(str, frame))}")
        by = frame[by] if isinstance(by, str) else by(frame)
    if len(by) != len(found):
        raise AnalysisError(f"by: {len(by)} labels for {len(found)} games: pass one a game")
    return by


def _log_rank(spells: Spells, group: NDArray[Any], groups: int) -> tuple[float, float, Floats, Floats]:
    """Return statistic, p-value, and rugs seen and expected in each group."""
    from scipy.stats import chi2  # type: ignore[import-untyped]

    size = int(spells.exit.max(initial=0)) + 1
    at_risk, rugs = np.zeros((groups, size)), np.zeros((groups, size))
    of_spell = group[spells.game]
    for one in range(groups):
        kept = of_spell == one
        mine = Spells(spells.entry[kept], spells.exit[kept], spells.rugged[kept], spells.game[kept])
        seen = mine.at_risk()[:size]
        at_risk[one, : len(seen)] = seen
        rugs[one] = np.bincount(mine.exit[mine.rugged], minlength=size)
    everyone, died = at_risk.sum(axis=0), rugs.sum(axis=0)
    used = died > 0
    everyone, died, at_risk = everyone[used], died[used], at_risk[:, used]
    share = at_risk / everyone
    expected = share @ died
    spread = died * (everyone - died) / np.maximum(everyone - 1, 1)
    covariance = np.diag(share @ spread) - (share * spread) @ share.T
    seen_rugs = rugs.sum(axis=1)
    off = (seen_rugs - expected)[:-1]
    statistic = float(off @ np.linalg.pinv(covariance[:-1, :-1]) @ off)
    return statistic, float(chi2.sf(statistic, groups - 1)), seen_rugs, expected


@dataclass(frozen=True, eq=False)
class Drift:
    """Whether games have lived alike over time.

    Attributes
    ----------
    table : DataFrame
        One row a period: `games`, `rugs`, `expected`, `mean` with `low` and `high`; see `LogRank`.
    p_value : float
        Chance of periods that differ so much when nothing changes over time (log-rank test).
    changes : DataFrame
        One row a change point, in order of time: `start` (of the first game after it), `game` (its number, from 0),
        `p_value` (of that split among all splits of its stretch), `mean_before` and `mean_after` (ticks, of lives
        counted up to `up_to`). No row where lives are those of one process.
    up_to : int

    Examples
    --------
    >>> from replaylab.fair import simulate
    >>> found = drift(Paths.of_arrays(*simulate(3000, seed=1)), "h")
    >>> found
    Drift(54 periods, 3,000 games: p = 0.69, no change point)
    >>> int(found.table["games"].sum()), len(found.changes)
    (3000, 0)
    """

    table: pd.DataFrame
    p_value: float
    changes: pd.DataFrame
    up_to: int

    def __repr__(self) -> str:
        games = int(self.table["games"].sum())
        count = len(self.changes)
        what = count_of(count, "change point") if count else "no change point"
        return (
            f"Drift({count_of(len(self.table), 'period')}, {count_of(games, 'game')}: p = {self.p_value:.3g}, {what})"
        )

    def _repr_html_(self) -> str:
        return f"<p>{self!r}</p>{self.table.to_html(border=0, float_format='{:.4g}'.format)}"


def drift(
    source: Source,
    per: str = "D",
    *,
    where: Selection | None = None,
    confidence: float = 0.95,
    permutations: int = 199,
    seed: int = 0,
) -> Drift:
    """Test whether games live alike from one period to the next, and find where that changed.

    Mean lengths of days differ by chance alone, by a tenth at 200 games a day; this says whether they differ by more.
    Change points are found by binary segmentation: the split of the games, in order of their start, whose sides live
    most differently, kept when shuffled games seldom have such a split.

    Parameters
    ----------
    source : Store, path, Paths, or list of Segment
        The games.
    per : str
        Period, as pandas names it: ``"D"`` a day, ``"h"`` an hour, ``"W"`` a week. In UTC.
    where : Selection, optional
        Which games.
    confidence : float
        Of intervals; a change point is kept where its p-value is below 1 - confidence.
    permutations, seed
        Of the games, for the p-values of change points.

    Raises
    ------
    AnalysisError
        When all games lie in one period, or `per` is none.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> drift(Paths.of_arrays(*price_arrays(3000, seed=1)), "h")
    Drift(... periods, 3,000 games: p = ..., no change point)
    """
    import pandas as pd

    found = some_games(paths(source, where=where))
    times = pd.DatetimeIndex(found.games.column("start").to_pandas())
    try:
        periods = times.tz_convert(None).to_period(per) if times.tz is not None else times.to_period(per)
    except ValueError as error:
        raise AnalysisError(f"per={per!r}: {error}; pass D for days, h for hours, W for weeks") from None
    ranked = log_rank(found, by=periods.to_timestamp(), confidence=confidence)
    count = whole("permutations", permutations, least=19)
    rng = np.random.default_rng(whole("seed", seed, least=0, most=None))
    scores = residuals(found)
    splits = sorted(_splits(scores, 0, len(scores), 1 - confidence, count, rng))
    edges = [0, *(place for place, _ in splits), len(scores)]
    up_to = ranked.up_to
    stretches = [survival(found.take(np.arange(begin, end))) for begin, end in pairwise(edges)]
    means = [float(one.mean_up_to(up_to)["mean"].iloc[0]) for one in stretches]
    places, chances = [place for place, _ in splits], np.array([chance for _, chance in splits], np.float64)
    changes = pd.DataFrame(
        {"start": times[places], "game": np.array(places, np.int64), "p_value": chances,
         "mean_before": means[:-1], "mean_after": means[1:]}
    )  # fmt: skip
    return Drift(ranked.table.rename_axis("period"), ranked.p_value, changes, up_to)


def residuals(found: Paths) -> Floats:
    """Return how many rugs more than expected each game had, 1 or 0 less the hazard it lived through: of mean 0."""
    spells = Spells.of(found)
    at_risk, rugs = spells.at_risk(), spells.rugs()
    hazard = np.divide(rugs, at_risk, out=np.zeros(len(rugs)), where=at_risk > 0)
    lived = np.cumsum(hazard)
    scores = spells.rugged - (lived[spells.exit] - lived[spells.entry])
    return np.bincount(spells.game, scores, len(found)).astype(np.float64)


def _splits(
    scores: Floats, first: int, stop: int, level: float, count: int, rng: np.random.Generator
) -> list[tuple[int, float]]:
    """Return places where scores change and their p-values, by binary segmentation with permutations."""
    here = scores[first:stop]
    if len(here) < 2 * _LEAST:
        return []
    place, height = _highest(here)
    higher = sum(_highest(rng.permutation(here))[1] >= height for _ in range(count))
    chance = (1 + higher) / (1 + count)
    if chance >= level:
        return []
    middle = first + place
    return [
        (middle, chance),
        *_splits(scores, first, middle, level, count, rng),
        *_splits(scores, middle, stop, level, count, rng),
    ]


def _highest(scores: Floats) -> tuple[int, float]:
    """Return the split whose sides differ most, and by how many standard errors."""
    games = len(scores)
    before = np.arange(_LEAST, games - _LEAST + 1)
    moved = np.cumsum(scores - scores.mean())[before - 1]
    height = np.abs(moved) / np.sqrt(before * (games - before) / games) / (scores.std() or 1.0)
    best = int(height.argmax())
    return int(before[best]), float(height[best])
