"""Vectorised strategies: the same trades as tick by tick, and those that look ahead are found out."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import replaylab as rl
from replaylab import fair
from replaylab.analysis.backtests.account import Account, Rules
from replaylab.analysis.backtests.backtest import Backtest, backtest
from replaylab.analysis.backtests.orders import Bet, Buy, Order, Sell
from replaylab.analysis.backtests.tape import Tape
from replaylab.analysis.backtests.vectorised import Vectorised, blind
from replaylab.analysis.price_paths.paths import Paths
from replaylab.errors import LookAhead, StrategyError
from tests.stores import line, quiet, simulated

RULES = Rules(balance=10, min_bet="0.001", max_bet=1, commission="0.002")


def drawn(games: int, seed: int = 1) -> Paths:
    """Simulated games."""
    return Paths.of_arrays(*fair.simulate(games, seed))


def run(source: Any, strategy: Any, **options: Any) -> Backtest:
    """Run a backtest without a bar."""
    return backtest(source, strategy, **{"rules": RULES, "progress": False, **options})


def first_of_game(paths: Paths, flags: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the first row of each game where a flag is set."""
    rows = np.flatnonzero(flags)
    _, first = np.unique(paths.game_of_tick[rows], return_index=True)
    return rows[first]


@Vectorised
def to_twice(paths: Paths) -> dict[Order, Any]:
    """Buy at tick 0, sell when the price has doubled, bet at every 50th tick."""
    return {
        Buy("0.1"): np.flatnonzero(paths.tick == 0),
        Sell(): first_of_game(paths, (paths.price >= 2) & (paths.tick > 0)),
        Bet("0.01"): np.flatnonzero(paths.tick % 50 == 0),
    }


class ToTwice:
    """The same, tick by tick."""

    def begin(self, game_id: str) -> None:
        """Forget the game before."""
        del game_id
        self.sold = False

    def decide(self, tape: Tape, account: Account) -> list[Order]:
        """Return the orders of this tick, in the same order of precedence."""
        del account
        orders: list[Order] = [Buy("0.1")] if tape.now == 0 else []
        if tape.now > 0 and tape.value >= 2 and not self.sold:
            orders.append(Sell())
            self.sold = True
        return [*orders, Bet("0.01")] if tape.now % 50 == 0 else orders


@pytest.mark.parametrize("unfinished", ["skip", "void"])
def test_same_as_tick_by_tick(tmp_path: Path, unfinished: str) -> None:
    """On damaged recordings the two ways give the same ledger, trades, refusals and balances."""
    damage = ("never_rugged", "late_start", "missing_ticks", "several_files", "double_tick")
    quiet(simulated(tmp_path / "recordings", games=12, seed=4, damage=damage), tmp_path / "store")
    store = rl.open_store(tmp_path / "store")
    one, other = (run(store, strategy, unfinished=unfinished) for strategy in (ToTwice, to_twice))
    assert len(one.entries) > 20
    assert one.entries == other.entries
    assert one.trades == other.trades
    assert one.played == other.played
    assert one.book.refused == other.book.refused
    assert one.left_out == other.left_out


@given(st.integers(1, 40), st.integers(0, 30), st.data())
def test_any_rows_conserve_money(games: int, orders: int, data: st.DataObject) -> None:
    """Any orders at any rows, allowed or not, leave a ledger that adds up, as doing the same tick by tick does."""
    found = drawn(games, seed=games)
    rows = st.lists(st.integers(0, found.n_ticks - 1), max_size=orders)
    asked: dict[Order, Any] = {
        order: np.array(data.draw(rows), np.int64) for order in (Bet("0.5"), Buy("0.9"), Sell("0.3"), Buy("7"), Sell())
    }
    done = run(found, Vectorised(lambda _paths: asked), check=False)
    assert sum((entry.amount for entry in done.entries), Decimal(0)) == done.profit
    at_row: dict[tuple[str, int], list[Order]] = {}
    for order, given_rows in asked.items():
        for row in sorted(given_rows.tolist()):
            place = found.game_ids[found.game_of_tick[row]], int(found.tick[row])
            at_row.setdefault(place, []).append(order)
    assert run(found, lambda tape, _account: at_row.get((tape.game_id, tape.now))).entries == done.entries


LOOKING: dict[str, Callable[[Paths], dict[Order, Any]]] = {
    "sells on the last tick before the rug": lambda paths: {
        Buy("0.1"): np.flatnonzero(paths.tick == 0),
        Sell(): paths.start[1:] - 1,
    },
    "buys only games that will be long": lambda paths: {Buy("0.1"): paths.start[:-1][paths.lengths > 100]},
    "buys only games that will go high": lambda paths: {
        Buy("0.1"): paths.start[:-1][np.maximum.reduceat(paths.price, paths.start[:-1]) > 1.5]
    },
    "buys the lowest price": lambda paths: {
        Buy("0.1"): np.array([one + price.argmin() for one, (_, price) in zip(paths.start, paths, strict=False)])
    },
    "bets 40 ticks before the end": lambda paths: {Bet("0.1"): np.maximum(paths.start[1:] - 40, paths.start[:-1])},
}


@pytest.mark.parametrize("how", sorted(LOOKING))
def test_looking_ahead_is_found(how: str) -> None:
    """A strategy whose orders depend on what comes later is refused, and the message names a game and a tick."""
    with pytest.raises(LookAhead, match=r"in game 'simulated-\d+' at tick \d+"):
        run(drawn(200), Vectorised(LOOKING[how]))
    assert run(drawn(200), Vectorised(LOOKING[how]), check=False).n_games == 200


@pytest.mark.parametrize("games", [0, 1, 2, 500])
def test_honest_strategy_passes(games: int) -> None:
    """One that looks back only is never accused, whatever the games."""
    found = drawn(max(games, 1)).select(np.arange(max(games, 1)) < games)
    assert run(found, to_twice).n_games == games


def test_rug_and_summary_are_hidden() -> None:
    """What a vectorised strategy is given tells no rug, no peak and no end."""
    seen: list[Paths] = []

    def keep(paths: Paths) -> dict[Order, Any]:
        seen.append(paths)
        return {}

    run(drawn(5), Vectorised(keep))
    for paths in [*seen, blind(drawn(5))]:
        assert (paths.rug_tick == -1).all()
        assert np.isnan(paths.rug_price).all()
        known = {name for name in paths.games.column_names if paths.games.column(name).null_count < len(paths)}
        assert known <= {"game_id", "start", "first_tick", "late_start"}


@pytest.mark.parametrize(
    "given_back",
    [
        None,
        5,
        [Buy("0.1")],
        {"buy": np.array([0])},
        {Buy("0.1"): np.array([0.5])},
        {Buy("0.1"): np.array([-1])},
        {Buy("0.1"): np.array([10**9])},
        {Buy("0.1"): np.array([np.nan])},
        {Buy("0.1"): [[1], [2, 3]]},
        {Buy("0.1"): np.array([[0]])},
        {Buy("0.1"): np.array([True, False])},
    ],
)
def test_what_is_no_order_is_refused(given_back: Any) -> None:
    """What is no mapping of orders to whole row numbers that there are is an error that says what to give."""
    with pytest.raises(StrategyError, match=r"return|there are"):
        run(drawn(3), Vectorised(lambda _paths: given_back))


def test_raising_is_reported() -> None:
    """A vectorised strategy that raises has no result; its own error is the cause."""

    def fail(paths: Paths) -> dict[Order, Any]:
        raise ZeroDivisionError(len(paths))

    with pytest.raises(StrategyError, match="ZeroDivisionError") as raised:
        run(drawn(3), Vectorised(fail))
    assert isinstance(raised.value.__cause__, ZeroDivisionError)


def test_bad_amounts_are_refused() -> None:
    """NaN and more than the balance are refused as they are tick by tick, and change nothing."""
    done = run(drawn(4), Vectorised(lambda paths: dict.fromkeys([Buy(float("nan")), Bet(11)], paths.start[:-1])))
    assert len(done.refused) == 8
    assert done.profit == 0


def test_rows_without_a_price_are_passed_over(tmp_path: Path) -> None:
    """Where a live row has no price, an order is not carried out, as nobody could have given it."""
    lines = [line(tick=tick, price="null" if tick == 1 else "1.5") for tick in range(3)]
    (tmp_path / "game.jsonl").write_bytes(b"".join([*lines, line(tick=3, price="0.01", rugged=True)]))
    quiet(tmp_path / "game.jsonl", tmp_path / "store")
    done = run(tmp_path / "store", Vectorised(lambda paths: {Buy("0.1"): np.arange(paths.n_ticks)}), check=False)
    assert [entry.tick for entry in done.entries if entry.kind == "buy"] == [0, 2]


def test_prices_cannot_be_written() -> None:
    """A strategy cannot write prices, not even by making its arrays writeable: the paths stay as they are."""
    source = drawn(3)
    before = source.price.copy()

    def writing(paths: Paths) -> dict[Order, Any]:
        paths.price.setflags(write=True)
        paths.price[:] = 5.0
        return {}

    with pytest.raises(StrategyError, match="WRITEABLE"):
        run(source, Vectorised(writing))
    assert np.array_equal(source.price, before)
