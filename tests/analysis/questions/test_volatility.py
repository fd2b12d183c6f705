"""Volatility: moves between live ticks only, and no spike before a rug that is not everywhere else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from replaylab.analysis.price_paths.selection import Selection
from replaylab.analysis.questions.volatility import spike_table, volatility_by_price
from replaylab.errors import AnalysisError
from tests.analysis.made import Made, drawn, made, recorded, whole

pytestmark = pytest.mark.filterwarnings("default::UserWarning")


def test_moves_are_counted_by_the_price_before() -> None:
    """A move belongs to the zone it began in; the fall to the rug and the step over a gap are no moves."""
    games = [whole(4, [1, 2, 12, 6], 0.01), Made([0, 1, 3, 4], 5, [1, 1.5, 3, 6])]
    table = volatility_by_price(made(games), edges=[0, 2, 10], resamples=20)
    assert table["n_ticks"].tolist() == [2, 2, 1]
    assert table["n_games"].tolist() == [2, 2, 1]
    assert table["mean"].to_numpy() == pytest.approx([(1 + 0.5) / 2, (5 + 1 / 2) / (1 + 1 / 2), 0.5])
    assert table["median"].to_numpy() == pytest.approx([0.5, 5, 0.5])


def test_the_process_moves_as_theory_says() -> None:
    """The mean move from about 1x and 100x is that of the published rule at either end of the zone; 99 % intervals."""
    draw = np.random.default_rng(7).random((3, 2_000_000))

    def mean_move(price: float) -> float:
        noise = 0.005 * min(10.0, price**0.5) * (2 * draw[2] - 1)
        moves = np.where(draw[0] < 0.125, 0.15 + draw[1] * 0.1, np.abs(-0.02 + draw[1] * 0.05 + noise))
        return float(moves.mean()) + (9e-5 if price <= 100 else 0)  # one in 100,000 is a god candle

    table = volatility_by_price(drawn(), edges=[0, 1, 1.05, 101, 106], confidence=0.99, resamples=100, seed=1)
    for place, price in ((1, 1.0), (3, 101.0)):
        low, high = table["low"][place], table["high"][place]
        assert low < mean_move(price * 1.05)
        assert mean_move(price) < high


def test_a_spike_before_the_rug_is_found_where_there_is_one() -> None:
    """Games whose last ten moves are ten times their first are all spikes; the rug row itself makes none."""
    quiet = np.cumprod([1.0, *[1.01, 1 / 1.01] * 40])
    wild = np.concatenate([quiet[:60], quiet[59] * np.cumprod([1.1, 1 / 1.1] * 5)])
    games = [whole(len(prices), [repr(float(one)) for one in np.round(prices, 12)]) for prices in (wild, wild, quiet)]
    table = spike_table(made([*games, whole(20), Made(range(90))]))
    assert (table["window"][0], table["n_games"][0], table["spikes"][0]) == ("before the rug", 3, 2)
    assert table.attrs["left_out"] == 2
    assert spike_table(made([games[2]]))["mean"][0] == pytest.approx(1, abs=0.01)


def test_the_process_does_not_announce_its_rug() -> None:
    """Of simulated games spikes before the rug are as common as anywhere: 99 % intervals overlap, far from 99.3 %."""
    table = spike_table(drawn(), confidence=0.99)
    assert table["low"][0] < table["high"][1]
    assert table["low"][1] < table["high"][0]
    assert (table["share"] < 0.15).all()


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"last": 0}, "last=0"),
        ({"first": -1}, "first=-1"),
        ({"threshold": 0}, "threshold=0"),
        ({"threshold": float("nan")}, "threshold=nan"),
        ({"last": 500}, "last=500"),
        ({"seed": -1}, "seed=-1"),
    ],
)
def test_bad_windows_are_refused(arguments: dict[str, Any], field: str) -> None:
    """Windows that mean nothing, or that no game holds, are errors that name them."""
    moving = [1 + 0.01 * (place % 2) for place in range(100)]
    with pytest.raises(AnalysisError, match=field):
        spike_table(made([whole(100, moving)]), **arguments)


def test_games_that_never_moved_have_no_ratio() -> None:
    """A game whose price stood still is left out and counted; when that is every game, it is an error."""
    flat, moving = whole(100), whole(100, [1 + 0.01 * (place % 2) for place in range(100)])
    assert spike_table(made([flat, moving])).attrs["left_out"] == 1
    with pytest.raises(AnalysisError, match="no game moved"):
        spike_table(made([flat, flat]))


@pytest.mark.parametrize("edges", [[], [1, 1], [2, 1], [float("nan")]])
def test_bad_zones_are_refused(edges: list[float]) -> None:
    """Zones that are none are errors that name the edges; so is a selection without games."""
    with pytest.raises(AnalysisError, match="edges"):
        volatility_by_price(made([whole(5)]), edges=edges)
    with pytest.raises(AnalysisError, match="games=0"):
        volatility_by_price(made([whole(5)]), where=Selection(min_ticks=50))


def test_the_real_recordings(tmp_path_factory: pytest.TempPathFactory) -> None:
    """On the real games the clean values come out in tendency: 3.65 % mean and 1.44 % median, 10.4 % spikes.

    Those are of 845 complete games, of which 546 are here, so the mean must lie in the interval.
    """
    known = recorded(tmp_path_factory.getbasetemp(), "volatility")
    if known is None:
        return
    complete = Selection(complete=True)
    zone = volatility_by_price(known, where=complete, edges=[1, 10], resamples=400).iloc[0]
    assert zone["low"] < 0.0365 < zone["high"]
    assert zone["median"] == pytest.approx(0.0144, abs=0.0002)
    table = spike_table(known, where=complete)
    assert (table["low"][0] < 69 / 664 < table["high"][0], table["low"][1] < 0.099 < table["high"][1]) == (True, True)
