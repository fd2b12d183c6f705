"""The game process: its published numbers, its measured rhythm, and that a seed says it all."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from replaylab.errors import SimulationError
from replaylab.simulation.bulk import price_arrays, simulate_table, tick_lines
from replaylab.simulation.process import (
    RUG_CEILING,
    cadence,
    drift,
    game_rows,
    microseconds,
    new_id,
    price_path,
    time_text,
)

GAMES = 20_000
Arrays = tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]


@pytest.fixture(scope="module")
def bulk() -> Arrays:
    """Return many games, once."""
    return price_arrays(GAMES, seed=11)


def live_returns(bulk: Arrays) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Prices and the one-tick returns that follow them, without the rug."""
    prices, starts, rug_ticks = bulk
    last = np.zeros(len(prices), bool)
    last[starts + rug_ticks] = True
    last[starts + rug_ticks - 1] = True
    before = prices[:-1][~last[:-1]]
    return before, prices[1:][~last[:-1]] / before - 1


def test_hazard_is_flat_and_half_a_percent(bulk: Arrays) -> None:
    """The rug comes with probability 0.005 a tick, at every age."""
    rug_ticks = bulk[2]
    for low, high in [(1, 50), (50, 200), (200, 600)]:
        at_risk = np.clip(rug_ticks - low + 1, 0, high - low).sum()
        events = ((rug_ticks >= low) & (rug_ticks < high)).sum()
        assert abs(events / at_risk - 0.005) < 0.0003
    assert abs(np.median(rug_ticks) - 139) < 6


def test_returns_stay_in_the_support(bulk: Arrays) -> None:
    """Every return is a big move, a calm move within its bounds, or a tenfold candle."""
    price, change = live_returns(bulk)
    noise = 0.005 * np.minimum(10, np.sqrt(price))
    calm = (change >= -0.02 - noise - 1e-12) & (change <= 0.03 + noise + 1e-12)
    big = (np.abs(change) >= 0.15 - 1e-12) & (np.abs(change) <= 0.25 + 1e-12)
    tenfold = np.abs(change - 9) < 1e-12
    assert (calm | big | tenfold).all()
    assert 10 < tenfold.sum() < 80


def test_one_move_in_eight_is_big(bulk: Arrays) -> None:
    """12.5 % of moves are big, as many up as down; the mean of all moves is about +0.44 %."""
    _, change = live_returns(bulk)
    big = np.abs(change[change < 1]) >= 0.15
    assert abs(big.mean() - 0.125) < 0.001
    assert abs((change[change < 1][big] > 0).mean() - 0.5) < 0.005
    assert abs(change[change < 1].mean() - 0.00437) < 0.0005


def test_peaks_are_those_of_the_game(bulk: Arrays) -> None:
    """43.8 % of games reach twice and 7.7 % ten times the first price."""
    prices, starts, _ = bulk
    peaks = np.maximum.reduceat(prices, starts)
    assert abs((peaks >= 2).mean() - 0.438) < 0.012
    assert abs((peaks >= 10).mean() - 0.077) < 0.008


def test_rug_price_is_at_most_two_percent(bulk: Arrays) -> None:
    """The rug price never exceeds 2 % of min(1, last price), and is quite often exactly the server's 1 - 0.98."""
    prices, starts, rug_ticks = bulk
    rug, last = prices[starts + rug_ticks], prices[starts + rug_ticks - 1]
    assert (rug > 0).all()
    assert (rug <= RUG_CEILING * np.minimum(1, last)).all()
    assert 0.08 < (rug == 0.020000000000000018).mean() < 0.20


def test_one_path_and_many_agree() -> None:
    """A single path follows the same law as the vectorised one: survival and the mean logarithm of the price."""
    rng = np.random.default_rng(3)
    single = [price_path(rng) for _ in range(1500)]
    prices, starts, rug_ticks = price_arrays(1500, seed=4)
    lengths = np.array([len(path) - 1 for path in single])
    assert abs(lengths.mean() - rug_ticks.mean()) < 25
    ours = [math.log(path[20]) for path in single if len(path) > 21]
    theirs = np.log(prices[starts[rug_ticks > 20] + 20])
    assert abs(np.mean(ours) - theirs.mean()) < 0.08
    assert abs(np.std(ours) - theirs.std()) < 0.08


def test_drift_follows_the_published_order() -> None:
    """The draws are used as published: god candle, big move, size, side."""
    draws = iter([0.5, 0.1, 0.5, 0.9])
    assert drift(2.0, lambda: next(draws)) == 2.0 * 1.2
    draws = iter([0.5, 0.1, 0.5, 0.5])
    assert drift(2.0, lambda: next(draws)) == 2.0 * 0.8
    draws = iter([0.5, 0.125, 1.0, 1.0])
    assert drift(10_000.0, lambda: next(draws)) == pytest.approx(10_000 * 1.08)
    draws = iter([0.0, 0.125, 0.4, 0.5])
    assert drift(100.5, lambda: next(draws)) == 100.5  # no candle above 100


def test_cadence_is_as_measured() -> None:
    """Gaps have the measured middle, spread and bursts, and a game as a whole keeps 250 ms a tick."""
    rng = np.random.default_rng(5)
    games = [cadence(rng, 400) / 1000 for _ in range(300)]
    gaps = np.concatenate([np.diff(game) for game in games])
    assert (gaps >= 3).all()
    assert abs(np.median(gaps) - 250.3) < 1
    assert 240 < np.percentile(gaps, 25) < 246
    assert 255 < np.percentile(gaps, 75) < 261
    assert 0.01 < (gaps < 50).mean() < 0.04
    assert 0.0001 < (gaps > 1000).mean() < 0.001
    assert abs(np.median([game[-1] / 399 for game in games]) - 250.4) < 0.5


def test_rows_run_through_the_phases() -> None:
    """A game is recorded as cooldown, presale, activation, play and two rug rows, with the measured clock."""
    rng = np.random.default_rng(6)
    prices = price_path(rng, rug_tick=50)
    rows = game_rows(rng, new_id(rng, 0), 1_000_000, prices)
    phases = [row.phase for row in rows]
    order = ["UNKNOWN", "PRESALE", "GAME_ACTIVATION", "ACTIVE_GAMEPLAY", "RUG_EVENT_1"]
    assert list(dict.fromkeys(phases)) == order
    assert 47 <= phases.count("UNKNOWN") <= 51
    assert phases.count("PRESALE") == 101
    assert [row.tick for row in rows if row.live] == list(range(50))
    rug, second = rows[-2:]
    assert (rug.tick, rug.active, rug.rugged, rug.phase) == (50, True, True, "ACTIVE_GAMEPLAY")
    assert second.price == rug.price
    assert 0 <= second.tick - rug.tick <= 3
    assert [row.price for row in rows if row.price == "1"] == ["1", "1", "1"]
    assert all(row.price == "1.0" for row in rows if row.filled)
    assert [row.at for row in rows] == sorted(row.at for row in rows)


def test_a_game_of_one_tick() -> None:
    """A game that rugs at tick 1 has one live row, and its rug row is still called activation, as recorded."""
    rows = game_rows(np.random.default_rng(1), "g", 0, price_path(np.random.default_rng(1), rug_tick=1))
    assert [(row.tick, row.phase) for row in rows if row.active][:2] == [(0, "GAME_ACTIVATION"), (1, "GAME_ACTIVATION")]


@pytest.mark.parametrize("rug_tick", [0, -3, 5001])
def test_rug_tick_out_of_range_is_refused(rug_tick: int) -> None:
    """A rug tick that no game can have is an error that names it."""
    with pytest.raises(SimulationError, match=f"rug_tick={rug_tick}"):
        price_path(np.random.default_rng(1), rug_tick)


def test_times_are_read_and_written_in_utc() -> None:
    """A start with a zone is turned into UTC, one without is UTC, and nonsense is an error."""
    assert microseconds("1970-01-01T01:00:00+01:00") == 0
    assert time_text(microseconds("2031-01-02T03:04:05.000007")) == "2031-01-02T03:04:05.000007"
    with pytest.raises(SimulationError, match="ISO 8601"):
        microseconds("yesterday")


def test_table_is_whole_games_in_order() -> None:
    """The table holds ticks 0 to R of every game, in order, and the same seed gives it again."""
    table = simulate_table(500, seed=2)
    game, tick, rug_tick = (table[name].to_numpy() for name in ("game", "tick", "rug_tick"))
    assert np.array_equal(np.unique(game), np.arange(500))
    first = np.flatnonzero(tick == 0)
    assert np.array_equal(np.diff(np.append(first, len(tick))), rug_tick[first] + 1)
    assert table.equals(simulate_table(500, seed=2))
    assert not table.equals(simulate_table(500, seed=3))


@pytest.mark.parametrize("ticks", [0, 1, 5000])
def test_lines_are_exactly_as_many(ticks: int) -> None:
    """As many lines come as were asked for, the same for the same seed."""
    data = b"".join(tick_lines(ticks, seed=9))
    assert data.count(b"\n") == ticks
    assert data == b"".join(tick_lines(ticks, seed=9))


@pytest.mark.parametrize(("games", "seed"), [(0, 1), (-1, 1), (1, -1)])
def test_bad_arguments_are_refused(games: int, seed: int) -> None:
    """No games or a negative seed is an error, not an empty table."""
    with pytest.raises(SimulationError):
        simulate_table(games, seed)
