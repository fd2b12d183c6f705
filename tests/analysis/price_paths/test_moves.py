"""Moves: weights make up for the ticks that cut-off, late and broken records do not show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replaylab.analysis.price_paths.moves import Moves
from replaylab.analysis.price_paths.paths import Paths
from replaylab.analysis.questions.volatility import volatility_by_price
from replaylab.analysis.simulated.watching import watched
from tests.analysis.made import Made, drawn, made, some_game, whole, with_gaps

GAMES = 6_000


def aging(source: Paths) -> Paths:
    """Return games that move by their age: 0.1 % a tick before tick 100 and 1 % from there on, as prices that rise."""
    step = np.where(source.tick == 0, 0.0, np.where(source.tick < 100, np.log(1.001), np.log(1.01)))
    total = np.cumsum(step)
    price = np.exp(total - total[source.start[:-1]][source.game_of_tick])
    return Paths(source.games, source.start, source.tick, price, source.rug_tick, source.rug_price)


def cut(source: Paths, *, late: bool = False) -> Paths:
    """Return records of those games: each ends after a geometric number of ticks, some begin late."""
    rng = np.random.default_rng(5)
    entries = rng.integers(0, 150, len(source)) * (rng.random(len(source)) < 0.5) if late else np.zeros(len(source))
    return watched(source, entries=entries.astype(np.int64), lengths=rng.geometric(1 / 100, len(source)))


@pytest.mark.parametrize("kind", ["cut", "cut and late", "gaps"])
def test_the_mean_is_that_of_whole_games(kind: str) -> None:
    """Moves that grow with age: the mean of those seen leans to early ticks, the weighted one does not."""
    source = with_gaps(GAMES, share=0.9) if kind == "gaps" else drawn(GAMES)
    known = aging(source) if kind == "gaps" else cut(aging(source), late=kind == "cut and late")
    truth = float(Moves.of(aging(drawn(GAMES))).size.mean())
    (row,) = volatility_by_price(known, edges=[0], confidence=0.99, resamples=200).to_dict("records")
    assert row["low"] < truth < row["high"]
    if kind != "gaps":  # those are of one length, so that late ticks are missed as often as early ones
        assert Moves.of(known).size.mean() < row["low"]


def test_whole_games_are_not_weighted() -> None:
    """Without a cut the mean is that of the moves as they are, exactly, and so is the sum of each game."""
    found = Moves.of(drawn(300))
    assert (found.weight == 1).all()
    above, below = found.sums(np.ones(len(found.size), np.bool_))
    assert above.tolist() == np.bincount(found.game, found.size, 300).tolist()
    assert below.tolist() == np.bincount(found.game, minlength=300).tolist()


@given(st.lists(some_game(), min_size=1, max_size=6))
def test_sums_of_games_are_those_of_their_moves(games: list[Made]) -> None:
    """No weight is negative, and the sums over games are those over their moves: the ratio is the weighted mean."""
    found = Moves.of(made(games))
    here = np.arange(len(found.size)) % 2 == 0
    above, below = found.sums(here)
    assert (found.weight >= 0).all()
    assert above.sum() == pytest.approx(float(found.weight[here] @ found.size[here]), rel=1e-9, abs=1e-9)
    assert below.sum() == pytest.approx(float(found.weight[here].sum()))


def test_moves_behind_the_last_rug_are_not_known() -> None:
    """When all games that were watched from the start have rugged, what a late one does says nothing of a game."""
    moving = [repr(1 + place / 10) for place in range(4)]
    games = [whole(4, moving), Made(range(50, 54), None, [repr(9 + place / 10) for place in range(4)])]
    table = volatility_by_price(made(games), edges=[0, 5], resamples=20)
    assert table["n_ticks"].tolist() == [3, 3]
    assert table["mean"].isna().tolist() == [False, True]
    assert table["median"].isna().tolist() == [False, True]


def test_a_few_late_games_do_not_stand_for_all_that_live_so_long() -> None:
    """Of cut games, moves behind the last tick that five were watched at do not count, and `to_tick` says so."""
    games = [whole(3, [1, 2, 4], 0.1)] * 6 + [Made(range(4), None, [1, 2, 4, 8])] * 5 + [Made(range(9), None, [1] * 9)]
    (row,) = volatility_by_price(made(games), edges=[0], resamples=50).to_dict("records")
    assert (row["to_tick"], row["n_ticks"], row["n_games"]) == (3, 6 * 2 + 5 * 3 + 3, 12)
    entire = made([whole(3, [1, 2, 4], 0.1)] * 6 + [whole(9, [1] * 9)])
    assert volatility_by_price(entire, edges=[0], resamples=0)[["to_tick", "n_ticks"]].to_numpy().tolist() == [[8, 20]]
    few = made([Made(range(4), None, [1, 2, 4, 8]), Made(range(9), None, [1] * 9), whole(3, [1, 2, 4], 0.1)])
    assert volatility_by_price(few, edges=[0], resamples=0)["to_tick"].tolist() == [8]
