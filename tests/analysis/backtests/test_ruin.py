"""Ruin: the resampled chance is the true one where that is known, and whole games are what is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from replaylab.analysis.backtests.ruin import ruin
from replaylab.errors import AnalysisError


def true_chance(start: int, games: int) -> float:
    """Chance that a fair walk of steps of 1 comes to 0 within so many steps, by summing over all walks."""
    mass = np.zeros(start + games + 2)
    mass[start] = 1
    gone = 0.0
    for _ in range(games):
        moved = np.zeros_like(mass)
        moved[2:] += mass[1:-1] / 2
        moved[:-1] += mass[1:] / 2
        gone += moved[0]
        moved[0] = 0
        mass = moved
    return gone


@pytest.mark.parametrize(("start", "games"), [(3, 30), (5, 60)])
def test_fair_walk(start: int, games: int) -> None:
    """For a fair walk the chance lies within four standard errors of the exact one."""
    found = ruin(np.array([1.0, -1.0]), start=start, games=games, resamples=20_000, seed=3)
    chance = true_chance(start, games)
    assert abs(found.probability - chance) < 4 * np.sqrt(chance * (1 - chance) / 20_000)
    assert found.low < found.probability < found.high


def test_ruined_bankroll_stays() -> None:
    """What fell below the level stays where it fell."""
    found = ruin(np.array([-0.4]), start=1, level=0.5, games=5, resamples=3)
    assert found.probability == 1
    assert found.fan["p50"].tolist() == pytest.approx([1, 0.6, 0.2, 0.2, 0.2, 0.2])
    assert found.finals.tolist() == pytest.approx([0.2] * 3)


def test_returns_compound() -> None:
    """With `compound` the returns of games are drawn, so that stakes grow and shrink with the bankroll."""
    found = ruin(np.array([1.0, 2.0]), start=1, games=3, resamples=4, compound=True)
    assert found.finals.tolist() == pytest.approx([8.0] * 4)
    assert ruin(np.array([1.0, 1.0]), start=1, games=3, resamples=4).finals.tolist() == pytest.approx([4.0] * 4)


def test_seed_repeats() -> None:
    """The same seed draws the same games, another one others; the bands are in order."""
    profits = np.random.default_rng(1).normal(0, 0.1, 40)
    one, same, other = (ruin(profits, start=1, resamples=200, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(one.finals, same.finals)
    assert not np.array_equal(one.finals, other.finals)
    bands = one.fan[["p05", "p25", "p50", "p75", "p95"]].to_numpy()
    assert (np.diff(bands, axis=1) >= 0).all()
    assert len(one.fan) == 41


@pytest.mark.parametrize(
    ("profits", "options"),
    [
        ([], {}),
        ([float("nan")], {}),
        ([1.0], {"start": 0}),
        ([1.0], {"level": 2}),
        ([1.0], {"games": 0}),
        ([1.0], {"resamples": 0}),
        ([-1.0, 1.0], {"compound": True}),
    ],
)
def test_bounds_are_checked(profits: list[float], options: dict[str, Any]) -> None:
    """No game to draw from, or a number out of bounds, is an error that says which."""
    with pytest.raises(AnalysisError):
        ruin(np.array(profits), **{"start": 1.0, **options})


@pytest.mark.parametrize(("start", "level", "expected"), [(0.3, 0.1, 0.0), (0.2, 0.0, 1.0), (0.3, 0.2, 1.0)])
def test_border_is_not_moved_by_rounding(start: float, level: float, expected: float) -> None:
    """A balance that is the level is not below it, and one that is 0 is ruined, whatever sums of doubles say."""
    assert ruin(np.array([-0.1, -0.1]), start=start, level=level, games=2).probability == expected
    assert ruin(np.array([-0.2]), start=0.3, level=0.1, games=1).probability == 0
    assert ruin(np.array([-0.1]), start=0.3, level=0, games=3).probability == 1
