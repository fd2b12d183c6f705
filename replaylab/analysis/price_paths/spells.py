"""Spells: the intervals of each game that were watched without a break, and the Kaplan-Meier curve from them. Pure.

A spell begins at a live tick and runs as long as every next tick was received; it ends in the rug, in a gap or at the
end of the record. A game that is joined late, or that has a gap, enters late: what it did unseen says nothing, neither
that it lived nor that it died. The unit is the transition, from a live tick to the one after it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.price_paths.live import Floats, Ints
from replaylab.analysis.price_paths.paths import Paths


@dataclass(frozen=True, eq=False, slots=True)
class Spells:
    """Stretches of games: from the live tick `entry` to the tick `exit`, the rug where `rugged`; `game` numbers them.

    Examples
    --------
    >>> found = Spells(np.array([0, 5]), np.array([3, 8]), np.array([False, True]), np.array([0, 0]))
    >>> found.at_risk().tolist(), found.rugs().tolist()
    ([0, 1, 1, 1, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0, 0, 1])
    """

    entry: Ints
    exit: Ints
    rugged: NDArray[np.bool_]
    game: Ints

    @classmethod
    def of(cls, paths: Paths) -> Spells:
        """Return the spells of games; a live tick that nothing is known to follow is in none."""
        tick = paths.tick.astype(np.int64)
        first = np.ones(len(tick), np.bool_)
        first[1:] = np.diff(tick) != 1
        first[paths.start[:-1][paths.lengths > 0]] = True
        begins = np.flatnonzero(first)
        game = paths.game_of_tick[begins]
        last = tick[np.append(begins[1:], len(tick)) - 1] if len(tick) else tick
        rugged = paths.rug_tick[game] == last + 1
        ends = last + rugged
        kept = ends > tick[begins]
        return cls(tick[begins][kept], ends[kept], rugged[kept], game[kept])

    def since(self, begin: int) -> Spells:
        """Return what is left of the spells from a tick on."""
        kept = self.exit > begin
        return Spells(np.maximum(self.entry, begin)[kept], self.exit[kept], self.rugged[kept], self.game[kept])

    def at_risk(self) -> Ints:
        """Number of spells that were watched into each tick: at r, those whose transition from r - 1 to r was seen."""
        size = int(self.exit.max(initial=0)) + 2
        steps = np.bincount(self.entry + 1, minlength=size) - np.bincount(self.exit + 1, minlength=size)
        return np.cumsum(steps)[:-1].astype(np.int64)

    def rugs(self) -> Ints:
        """Number of rugs seen at each tick."""
        return np.bincount(self.exit[self.rugged], minlength=int(self.exit.max(initial=0)) + 1).astype(np.int64)


class Curve(NamedTuple):
    """A Kaplan-Meier curve: at each tick, from its first, the share alive after it and Greenwood's standard error."""

    tick: Ints
    at_risk: Ints
    rugs: Ints
    survival: Floats
    standard_error: Floats
    trials: Floats


def kaplan_meier(spells: Spells, begin: int = 0) -> Curve:
    """Return the share of games alive at `begin` that are alive after each later tick: the Kaplan-Meier estimate.

    NaN from the first tick on into which no game was watched. `trials` is the number of games, all watched from the
    beginning to the end, that would give the same standard error; where that is 0 or unknown, as before the first rug
    and after the last game, it is the least number at risk so far.

    Examples
    --------
    >>> spells = Spells(np.array([0, 0, 1]), np.array([1, 2, 2]), np.array([True, True, False]), np.array([0, 1, 2]))
    >>> kaplan_meier(spells).survival.tolist()
    [1.0, 0.5, 0.25]
    """
    left = spells.since(begin)
    at_risk, rugs = left.at_risk()[begin:], left.rugs()[begin:]
    at_risk, rugs = (at_risk, rugs) if len(at_risk) else (np.zeros(1, np.int64), np.zeros(1, np.int64))
    survival, spread = product_limit(at_risk, rugs)
    error = survival * np.sqrt(spread)
    seen = np.concatenate([[True], np.cumprod(at_risk[1:] > 0).astype(np.bool_)])
    survival, error = np.where(seen, survival, np.nan), np.where(seen, error, np.nan)
    least = np.minimum.accumulate(np.concatenate([at_risk[1:2], at_risk[1:]])) if len(at_risk) > 1 else at_risk
    with np.errstate(divide="ignore", invalid="ignore"):
        trials = survival * (1 - survival) / error**2
    trials = np.where(np.isfinite(trials) & (trials > 0), trials, least)
    return Curve(begin + np.arange(len(at_risk)), at_risk, rugs, survival, error, trials)


def product_limit(at_risk: Ints, rugs: Ints) -> tuple[Floats, Floats]:
    """Return survival and Greenwood's sum after each step, from the number at risk and the rugs at it; the last axis.

    Greenwood's sum is that of d / (n (n - d)); its product with the squared survival is the variance of the survival.
    A step at which all that are left rug adds nothing to it, and one without a game at risk changes neither.

    Examples
    --------
    >>> survival, spread = product_limit(np.array([4, 2]), np.array([2, 1]))
    >>> survival.tolist(), spread.tolist()
    ([0.5, 0.25], [0.25, 0.75])
    """
    died = np.divide(rugs, at_risk, out=np.zeros(at_risk.shape), where=at_risk > 0)
    left = at_risk * (at_risk - rugs)
    terms = np.divide(rugs, left, out=np.zeros(at_risk.shape), where=left > 0)
    return np.cumprod(1 - died, axis=-1), np.cumsum(terms, axis=-1)


def influence(spells: Spells, curve: Curve, weights: Floats, games: int) -> Floats:
    """Return how far each game moves a weighted sum of a Kaplan-Meier curve, to first order; one value a game.

    The values add up to 0, and the sum of their squares estimates the variance of the weighted sum, whatever games were
    cut off. Where none was, the sum over `games` of estimate / games + value is that of the games' own results.

    Parameters
    ----------
    spells : Spells
        What the curve was made of.
    curve : Curve
    weights : float64 array, one a tick of the curve
        The sum is that of weights x survival.
    games : int
        Number of games.

    Examples
    --------
    >>> spells = Spells(np.array([0, 0]), np.array([1, 2]), np.array([True, True]), np.array([0, 1]))
    >>> influence(spells, kaplan_meier(spells), np.array([0.0, 1.0, 0.0]), 2).tolist()
    [-0.25, 0.25]
    """
    begin, size = int(curve.tick[0]), len(curve.tick)
    left = spells.since(begin)
    survival = np.nan_to_num(curve.survival)
    hazard = np.divide(curve.rugs, curve.at_risk, out=np.zeros(size), where=curve.at_risk > 0)
    hazard[0] = 0.0
    ahead = np.cumsum((weights * survival)[::-1])[::-1]
    alone = np.cumsum(weights[::-1])[::-1]  # of a tick at which all that are left rug: what one more survivor would add
    onward = np.where(survival > 0, np.divide(ahead, survival, out=np.zeros(size), where=survival > 0), alone)
    before = np.concatenate([[1.0], survival[:-1]])
    pull = np.divide(before * onward, curve.at_risk, out=np.zeros(size), where=curve.at_risk > 0)
    lived = np.concatenate([[0.0], np.cumsum(pull * hazard)])
    first, last = left.entry - begin, np.minimum(left.exit - begin, size - 1)
    gained = lived[last + 1] - lived[first + 1] - pull[last] * left.rugged
    return np.bincount(left.game, gained, games).astype(np.float64)


def rugs_between(curve: Curve, begin: int, end: int | None = None) -> tuple[float, float]:
    """Return the share of games that rug after tick `begin` and up to `end` (or ever), and the trials behind it.

    NaN and 0 where the record does not reach so far.

    Examples
    --------
    >>> spells = Spells(np.array([0, 0, 0]), np.array([1, 2, 2]), np.array([True, True, False]), np.array([0, 1, 2]))
    >>> [round(rugs_between(kaplan_meier(spells), begin, end)[0], 3) for begin, end in ((0, 1), (0, 2), (0, 3))]
    [0.333, 0.667, nan]
    """
    before, error_before = _alive_after(curve, begin)
    after, error_after = (0.0, 0.0) if end is None else _alive_after(curve, end)
    share = before - after
    if math.isnan(share):
        return math.nan, 0.0
    last = len(curve.tick) - 1 if end is None else min(end - int(curve.tick[0]), len(curve.tick) - 1)
    if before == 0 or share in {0.0, 1.0}:
        return share, float(curve.trials[last])
    own = (error_before / before) ** 2  # the two factors of `after` are independent: up to `begin`, and from there on
    added = (error_after / after) ** 2 - own if after > 0 else 0.0
    variance = share**2 * own + after**2 * added
    return share, share * (1 - share) / variance if variance > 0 else float(curve.trials[last])


def _alive_after(curve: Curve, tick: int) -> tuple[float, float]:
    """Return survival and standard error after a tick, also where no game is left; NaN where none was watched."""
    place = tick - int(curve.tick[0])
    if place < len(curve.tick):
        return float(curve.survival[place]), float(curve.standard_error[place])
    return (0.0, 0.0) if curve.survival[-1] == 0 else (math.nan, math.nan)
