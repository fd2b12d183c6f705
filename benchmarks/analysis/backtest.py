"""Backtest: ticks a second of a strategy asked at each tick, and of one on whole arrays; both settle money in Decimal.

The claims: at least 200,000 ticks a second for a Python callback, at least 20 million for a vectorised strategy. The
strategy buys at tick 0 and sells at twice the price. The peers: a plain loop over ticks with Decimal, as such scripts
are written by hand, and pandas, which does the same in doubles.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd

from benchmarks.measure import Ratio, alternate, arguments, print_ratio, print_table, workshop
from replaylab import fair
from replaylab.analysis.backtests.account import Account, Rules
from replaylab.analysis.backtests.backtest import Backtest, backtest
from replaylab.analysis.backtests.orders import Buy, Order, Sell
from replaylab.analysis.backtests.strategies import Conservative
from replaylab.analysis.backtests.tape import Tape
from replaylab.analysis.backtests.vectorised import Vectorised
from replaylab.analysis.price_paths.paths import Paths, Source
from replaylab.conversion.convert import convert
from replaylab.simulation.simulate import simulate

RULES = Rules(balance=10_000, min_bet="0.001", max_bet=1)
STAKE = Decimal("0.01")


def to_twice(tape: Tape, account: Account) -> Order | None:
    """Buy at tick 0, sell at twice the price."""
    if account.quantity:
        return Sell() if tape.value >= 2 else None
    return Buy(STAKE) if tape.now == 0 else None


@Vectorised
def to_twice_at_once(paths: Paths) -> dict[Order, np.ndarray]:
    """The same on whole arrays."""
    high = np.flatnonzero(paths.price >= 2)
    game = np.searchsorted(paths.start, high, side="right")
    return {Buy(STAKE): np.flatnonzero(paths.tick == 0), Sell(): high[np.diff(game, prepend=-1) > 0]}


def run(source: Source, strategy: object) -> Backtest:
    """A backtest without a bar."""
    return backtest(source, strategy, rules=RULES, progress=False)


def by_hand(paths: Paths) -> Decimal:
    """The balance after a plain loop over all ticks, prices as Decimals."""
    balance = Decimal(10_000)
    for game, (ticks, prices) in enumerate(paths):
        held = Decimal(0)
        for tick, value in zip(ticks, prices, strict=True):
            price = Decimal(str(value))
            if tick == 0:
                balance -= STAKE
                held = STAKE / price
            elif held and price >= 2:
                balance += held * price
                held = Decimal(0)
        balance += held * Decimal(str(paths.rug_price[game]))
    return balance


def in_pandas(paths: Paths) -> float:
    """The balance by pandas, in doubles."""
    frame = pd.DataFrame({"game": paths.game_of_tick, "tick": paths.tick, "price": paths.price})
    entry = frame[frame["tick"] == 0].set_index("game")["price"]
    sold = frame[frame["price"] >= 2].groupby("game")["price"].first()
    ending = sold.reindex(entry.index).fillna(pd.Series(paths.rug_price))
    return 10_000 + float((0.01 * (ending / entry - 1)).sum())


def stored(folder: Path, games: int) -> Path:
    """A store of simulated games."""
    simulate(folder / "recordings", games=games, seed=1)
    convert(folder / "recordings", folder / "store", progress=False)
    return folder / "store"


def measured(folder: Path, rounds: int, games: int) -> None:
    """Ticks a second of each way, and what it came to."""
    many = Paths.of_arrays(*fair.simulate(games, seed=1))
    few = many.take(np.arange(max(10, games // 20)))
    store = stored(folder, max(5, games // 100))
    kept = run(store, to_twice)
    balance = float(run(many, to_twice_at_once).balance)
    assert abs(balance - in_pandas(many)) < 1e-6
    assert abs(run(few, to_twice).balance - by_hand(few)) < Decimal("1e-9")
    assert run(few, to_twice).entries == run(few, to_twice_at_once).entries
    found = alternate(
        {
            "callback": lambda: run(few, to_twice),
            "callback, from a store": lambda: run(store, to_twice),
            "callback, Conservative": lambda: run(few, Conservative),
            "plain loop": lambda: by_hand(few),
            "vectorised": lambda: run(many, to_twice_at_once),
            "vectorised, with metrics": lambda: run(many, to_twice_at_once).metrics(),
            "pandas": lambda: in_pandas(many),
        },
        rounds,
    )
    ticks = dict.fromkeys(found, many.n_ticks) | dict.fromkeys(
        ["callback", "callback, Conservative", "plain loop"], few.n_ticks
    )
    ticks["callback, from a store"] = kept.n_ticks
    rows = [(name, ticks[name], ticks[name] / median(seconds)) for name, seconds in found.items()]
    print_table("backtests", ["way", "ticks", "ticks a second"], rows)
    plain = Ratio.of(found["plain loop"], found["callback"])
    print_ratio("backtest: callback", plain, "throughput over a plain loop with Decimal")
    print_ratio(
        "backtest: vectorised", Ratio.of(found["pandas"], found["vectorised"]), "throughput over pandas in doubles"
    )


if __name__ == "__main__":
    given = arguments(__doc__, games=20_000)
    with workshop() as bench:
        measured(bench, given.rounds, 100 if given.quick else given.games)
