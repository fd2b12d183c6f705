"""Chance of ruin by Monte Carlo: whole games drawn with replacement. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.price_paths.arguments import number, whole
from replaylab.analysis.questions.interval import wilson
from replaylab.errors import AnalysisError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
_ROUNDING: Final = 1e-12  # relative to the start
_CELLS: Final = 2_000_000  # balances held at once
QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True, eq=False)
class Ruin:
    """What resampled bankrolls came to.

    Attributes
    ----------
    probability, low, high : float
        Share of the bankrolls that were ruined, and its Wilson interval; it is the
        error of the resampling, not of how well the recorded games stand for games to come.
    fan : DataFrame
        One row a game played, from 0: `game`, and quantiles of the balance `p05`, `p25`, `p50`, `p75`, `p95`.
    finals : float64 array, one a bankroll
        Balance at the end.
    resamples, n_games : int
        Bankrolls, and recorded games that were drawn from.
    level : float
        Balance below which a bankroll is ruined.
    """

    probability: float
    low: float
    high: float
    fan: pd.DataFrame
    finals: Floats
    resamples: int
    n_games: int
    level: float

    def __repr__(self) -> str:
        return f"Ruin({self.probability:.2%}, {self.low:.2%} to {self.high:.2%}, {self.resamples} resamples)"


def ruin(  # noqa: PLR0913 each is a choice of the caller
    profits: Floats,
    *,
    start: float,
    level: float = 0.0,
    games: int | None = None,
    compound: bool = False,
    needs: Floats | None = None,
    weights: Floats | None = None,
    resamples: int = 2_000,
    seed: int = 0,
) -> Ruin:
    """Chance that a bankroll cannot go on at some time, from whole games drawn with replacement.

    The unit is the game: its trades share one path and one rug, so they are drawn together or not at all. A bankroll is
    ruined when it falls below a level, or when it does not cover what the next game drawn asks for; it stays there.

    Parameters
    ----------
    profits : float64 array, one a game
        What each game added to the balance.
    start : float
        Bankroll.
    level : float
        Ruin is a balance below it; at 0, a balance of 0 or less.
    games : int, optional
        Games that each bankroll plays; by default as many as were recorded.
    compound : bool
        Draw returns (profit over the balance before the game) instead of profits: right where stakes are a share of
        the balance. Without it profits are drawn as they are: right for stakes that do not depend on it.
    needs : float64 array, one a game, optional
        Balance that is needed to play each game as it was played; not used with `compound`, where stakes shrink.
    weights : float64 array, one a game, optional
        Games are drawn in proportion to them; each alike unless passed.
    resamples : int
        Bankrolls.
    seed : int
        The same seed draws the same games.

    Raises
    ------
    AnalysisError
        When there is no game to draw from, or an argument is out of bounds.

    Examples
    --------
    >>> found = ruin(np.array([0.3, -0.2, -0.2]), start=1, level=0.1, games=50)
    >>> bool(0.3 < found.probability < 0.9), list(found.fan.columns)
    (True, ['game', 'p05', 'p25', 'p50', 'p75', 'p95'])
    """
    import pandas as pd

    number("start", start, above=0)
    number("level", level, above=-np.inf, below=start)
    whole("resamples", resamples, least=1)
    length = len(profits) if games is None else whole("games", games, least=1)
    if not len(profits) or not np.isfinite(profits).all():
        raise AnalysisError(f"games={len(profits)}: ruin needs at least one game, each with a finite profit")
    drawn_from = _returns(profits, start) if compound else profits
    chance = _chances(weights)
    rng = np.random.default_rng(whole("seed", seed, least=0, most=None))
    curves = np.empty((resamples, length + 1), np.float32)
    finals, ruined = np.empty(resamples), np.zeros(resamples, np.bool_)
    step = max(1, _CELLS // (length + 1))
    for first in range(0, resamples, step):
        rows = slice(first, min(first + step, resamples))
        size = (rows.stop - rows.start, length)
        drawn = rng.integers(len(profits), size=size) if chance is None else rng.choice(len(profits), size, p=chance)
        asked = None if needs is None or compound else needs[drawn]
        curve, ruined[rows] = _curves(drawn_from[drawn], asked, start, level, compound=compound)
        curves[rows], finals[rows] = curve, curve[:, -1]
    share = float(ruined.mean())
    low, high = wilson(share, resamples)
    bands = np.quantile(curves, QUANTILES, axis=0)
    fan = pd.DataFrame(
        {"game": np.arange(length + 1)} | {f"p{q * 100:02.0f}": band for q, band in zip(QUANTILES, bands, strict=True)}
    )
    return Ruin(share, float(low), float(high), fan, finals, resamples, len(profits), level)


def _chances(weights: Floats | None) -> Floats | None:
    if weights is None or (weights == 1).all():
        return None
    if not weights.any():
        raise AnalysisError("weights=0: none or too few of the games were watched to their end, so none can be drawn")
    return np.asarray(weights / weights.sum())


def _curves(
    drawn: Floats, needs: Floats | None, start: float, level: float, *, compound: bool
) -> tuple[Floats, NDArray[np.bool_]]:
    """Return bankrolls from start to end, each held where it was ruined, and which were."""
    before = np.full((len(drawn), 1), start)
    curve = np.concatenate(
        [before, start * np.cumprod(1 + drawn, axis=1) if compound else start + np.cumsum(drawn, axis=1)], axis=1
    )
    border = _ROUNDING * start  # a sum of doubles that means the level is not below it
    fell = (curve < level - border) | (curve <= border)
    if needs is not None:
        fell[:, :-1] |= curve[:, :-1] < needs - border
    ruined = fell.any(axis=1)
    at = np.where(ruined, fell.argmax(axis=1), curve.shape[1] - 1)
    held = np.take_along_axis(curve, at[:, None], axis=1)
    return np.where(np.arange(curve.shape[1]) > at[:, None], held, curve), np.asarray(ruined, np.bool_)


def _returns(profits: Floats, start: float) -> Floats:
    balances = start + np.concatenate([[0.0], np.cumsum(profits)[:-1]])
    if (balances <= 0).any():
        raise AnalysisError("compound=True: a balance of 0 or less has no return; draw profits instead")
    found: Floats = profits / balances
    return found
