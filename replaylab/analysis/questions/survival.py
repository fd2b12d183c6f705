"""Survival: how long games live, from all games: also those joined late, with gaps, or cut off alive.

R is the tick of the rug. A mean over the games whose rug was seen is too small, since long games are cut more often;
the share of games that live on is therefore estimated tick by tick, among the games that were being watched into it
(Kaplan-Meier with late entry and right censoring). Unbiased as long as the cause of a cut is independent of the rug.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from replaylab.analysis.price_paths.arguments import number, numbers, some_games, whole, wholes
from replaylab.analysis.price_paths.paths import Source, paths
from replaylab.analysis.price_paths.selection import Selection
from replaylab.analysis.price_paths.spells import Spells, kaplan_meier
from replaylab.analysis.questions.interval import normal_quantile, wilson
from replaylab.plural import count_of
from replaylab.simulation.process import RUG_PROBABILITY

if TYPE_CHECKING:
    import pandas as pd

_LEAST_RUGS: Final = 5  # on either side of a band
_DRAWS: Final = 1_000
SHARES: Final = (0.1, 0.25, 0.5, 0.75, 0.9)


@dataclass(frozen=True, eq=False)
class Survival:
    """How long games live.

    Parameters
    ----------
    curve : DataFrame
        One row a tick from 0: `tick`, `at_risk` (games watched into it), `rugs` (seen at it), `survival` (share of
        games that live beyond it, P(R > tick)), `low`, `high` (interval for that tick alone), `theory` (0.995^tick).
        NaN from the first tick on into which no game was watched.
    n_games, n_ticks, n_transitions, n_rugs : int
        Games, their live ticks, the transitions from a tick to the next that were seen, and the rugs among those.
    confidence : float
        Of the intervals.
    left_out : mapping
        Segments that could not be read, with the reason.

    Examples
    --------
    >>> from replaylab.fair import simulate
    >>> from replaylab.analysis.price_paths.paths import Paths
    >>> found = survival(Paths.of_arrays(*simulate(2000, seed=1)))
    >>> found
    Survival(median 141, 2,000 games, 396,041 ticks, 2,000 rugs seen in 396,041 transitions)
    >>> found.curve.loc[40, ["low", "theory", "high"]].round(2).tolist()
    [0.8, 0.82, 0.83]
    """

    curve: pd.DataFrame
    n_games: int
    n_ticks: int
    n_transitions: int
    n_rugs: int
    confidence: float
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return (
            f"Survival(median {self.median:g}, {count_of(self.n_games, 'game')}, {count_of(self.n_ticks, 'tick')}, "
            f"{count_of(self.n_rugs, 'rug')} seen in {count_of(self.n_transitions, 'transition')})"
        )

    def _repr_html_(self) -> str:
        table: str = self.quantiles().to_html(index=False)
        return f"<p>{self!r}</p>{table}"

    @property
    def median(self) -> float:
        """Tick by which half of the games have rugged; NaN where the record does not reach so far."""
        return float(self.quantiles((0.5,))["tick"].iloc[0])

    def quantiles(self, shares: float | Sequence[float] = SHARES) -> pd.DataFrame:
        """Ticks by which given shares of the games have rugged.

        Parameters
        ----------
        shares : float or sequence of float
            Between 0 and 1.

        Returns
        -------
        DataFrame
            `share`, `tick` (the first by which at least that share has rugged), `low`, `high` (NaN where the record
            does not say), `theory`, `n_games`.
        """
        import pandas as pd

        asked = numbers("shares", shares, above=0, below=1)
        columns = [("tick", "survival"), ("low", "low"), ("high", "high")]
        found = {name: [self._first_below(column, 1 - share) for share in asked] for name, column in columns}
        theory = [math.ceil(math.log1p(-share) / math.log1p(-RUG_PROBABILITY)) for share in asked]
        return pd.DataFrame({"share": asked, **found, "theory": theory, "n_games": self.n_games})

    def bands(self, confidence: float | None = None) -> pd.DataFrame:
        """Band that holds the whole curve at once, where `low` and `high` of the curve hold at one tick each.

        Equal precision (Nair, Technometrics 26, 1984) on the scale of the arcsine of sqrt(S), which holds best for few
        games (Borgan and Liestol, Scandinavian Journal of Statistics 17, 1990); its width drawn by simulation of the
        curve's independent increments, from the fifth rug to the last tick with five games at risk; beyond, what
        follows from a curve that only falls.

        Parameters
        ----------
        confidence : float, optional
            Of the whole band; by default that of the curve.

        Returns
        -------
        DataFrame
            `tick`, `survival`, `low`, `high`, `theory`; 0 and 1 where too few games were seen for a band.
        """
        from scipy.stats import t as student_t  # type: ignore[import-untyped]

        level = self.confidence if confidence is None else number("confidence", confidence, above=0, below=1)
        curve = self.curve[self.curve["survival"].notna()]
        rugs, at_risk, alive = (curve[name].to_numpy(np.float64) for name in ("rugs", "at_risk", "survival"))
        left = at_risk * (at_risk - rugs)
        steps = np.divide(rugs, left, out=np.zeros(len(rugs)), where=left > 0)
        used = (np.cumsum(rugs) >= _LEAST_RUGS) & (at_risk >= _LEAST_RUGS) & (alive > 0) & (alive < 1)
        low, high = np.zeros(len(alive)), np.ones(len(alive))
        if used.any():
            spread = np.cumsum(steps)[used]
            moves = steps > 0  # between two rugs nothing moves
            noise = np.random.default_rng(0).standard_normal((_DRAWS, int(moves.sum()))) * np.sqrt(steps[moves])
            known = used[moves]
            sup = np.abs(np.cumsum(noise, axis=1)[:, known] / np.sqrt(np.cumsum(steps[moves])[known])).max(axis=1)
            here = alive[used]
            few = student_t.ppf((1 + level) / 2, max(self.n_rugs - 1, 1)) / normal_quantile(level)
            half = few * np.quantile(sup, level) * np.sqrt(spread * here / (1 - here)) / 2
            angle = np.arcsin(np.sqrt(here))
            low[used] = np.sin(np.maximum(angle - half, 0)) ** 2
            high[used] = np.sin(np.minimum(angle + half, np.pi / 2)) ** 2
            low[: int(used.argmax())] = low[used].max()
        low = np.where(used | (np.arange(len(low)) < used.argmax()), np.maximum.accumulate(low[::-1])[::-1], 0.0)
        return curve[["tick", "survival", "theory"]].assign(low=low, high=np.minimum.accumulate(high))

    def _first_below(self, column: str, share: float) -> float:
        """Return the first tick at which a column of the curve is at most `share`."""
        below = np.flatnonzero(self.curve[column].to_numpy() <= share + 1e-12)
        return float(below[0]) if len(below) else math.nan

    def rugged_by(self, ticks: int | Sequence[int]) -> pd.DataFrame:
        """Share of games that have rugged by given ticks, P(R <= tick).

        Returns
        -------
        DataFrame
            `tick`, `rugged`, `low`, `high`, `theory`, `at_risk`, `n_games`; NaN beyond the end of the record.
        """
        import pandas as pd

        asked = wholes("ticks", ticks, least=0)
        last = self.curve.iloc[-1]
        reach = asked if last["survival"] > 0 else np.minimum(asked, int(last["tick"]))  # no game is left to rug later
        rows = self.curve.set_index("tick").reindex(reach)
        columns = {"rugged": "survival", "low": "high", "high": "low"}
        found: dict[str, Any] = {name: 1 - rows[column].to_numpy() for name, column in columns.items()}
        at_risk = self.curve["at_risk"].reindex(asked, fill_value=0).to_numpy()
        theory = 1 - (1 - RUG_PROBABILITY) ** asked
        return pd.DataFrame({"tick": asked, **found, "theory": theory, "at_risk": at_risk, "n_games": self.n_games})

    def mean_up_to(self, tick: int) -> pd.DataFrame:
        """Mean number of ticks that games live when no more than `tick` of each are counted, E[min(R, tick)].

        The mean of all of R is not to be had while some games are cut off alive: it hangs on the longest few.

        Returns
        -------
        DataFrame
            One row: `tick`, `mean`, `low`, `high`, `theory`, `n_games`; NaN when the record ends before.
        """
        import pandas as pd
        from scipy.stats import t as student_t

        limit = whole("tick", tick, least=1)
        mean, error = _restricted_mean(self.curve, limit)
        half = student_t.ppf((1 + self.confidence) / 2, max(self.n_rugs - 1, 1)) * error
        theory = (1 - (1 - RUG_PROBABILITY) ** limit) / RUG_PROBABILITY
        values = {"tick": limit, "mean": mean, "low": mean - half, "high": mean + half}
        return pd.DataFrame([{**values, "theory": theory, "n_games": self.n_games}])


def _restricted_mean(curve: pd.DataFrame, limit: int) -> tuple[float, float]:
    """Return the area under the curve up to a tick, and its standard error by Greenwood's sum."""
    alive = curve["survival"].to_numpy()
    if len(alive) < limit and alive[-1] != 0:
        return math.nan, math.nan
    alive = alive[:limit]  # beyond the end of the curve it is 0: no game is left
    rugs, at_risk = (curve[name].to_numpy()[:limit] for name in ("rugs", "at_risk"))
    after = np.cumsum(alive[::-1])[::-1][: len(rugs)]
    spread = rugs > 0
    left = (at_risk - rugs)[spread]
    terms = np.divide(
        after[spread] ** 2 * rugs[spread], at_risk[spread] * left, out=np.zeros(len(left)), where=left > 0
    )
    return float(alive.sum()), math.sqrt(terms.sum())


def survival(source: Source, *, confidence: float = 0.95, where: Selection | None = None) -> Survival:
    """How long games live, with intervals, beside the published process.

    A game counts at a tick only if it was watched into it: one that was joined at tick 90 says nothing about the first
    90, and one that was cut off at 200 says that it lived to 200 and nothing else. Half of the games being over by tick
    139 does not make tick 140 more dangerous than tick 10: for that see `hazard`.

    Parameters
    ----------
    source : Store, path, Paths, or list of Segment
        The games.
    confidence : float
        Of the intervals; they hold tick by tick, not for the whole curve at once.
    where : Selection, optional
        Which games. Asking for complete games only makes lives look shorter than they are.

    Raises
    ------
    AnalysisError
        When there is no game.

    Examples
    --------
    >>> from replaylab.analysis.price_paths.paths import Paths
    >>> from replaylab.simulation.bulk import price_arrays
    >>> found = survival(Paths.of_arrays(*price_arrays(2000, seed=1)), confidence=0.99)
    >>> found.quantiles([0.5])[["low", "high", "theory"]].astype(int).to_numpy().tolist()
    [[128, 151, 139]]
    """
    import pandas as pd

    found = some_games(paths(source, where=where))
    spells = Spells.of(found)
    curve = kaplan_meier(spells)
    low, high = wilson(curve.survival, curve.trials, confidence=confidence)
    at_start = curve.tick == 0
    frame = pd.DataFrame(
        {
            "tick": curve.tick,
            "at_risk": curve.at_risk,
            "rugs": curve.rugs,
            "survival": curve.survival,
            "low": np.where(at_start, 1.0, low),  # every game is alive at tick 0
            "high": np.where(at_start, 1.0, high),
            "theory": (1 - RUG_PROBABILITY) ** curve.tick,
        }
    )
    seen = int((spells.exit - spells.entry).sum())
    counts = (found.n_games, found.n_ticks, seen, int(spells.rugged.sum()))
    return Survival(frame, *counts, confidence, dict(found.left_out))
