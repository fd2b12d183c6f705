"""Backtest: the exact result of a strategy on recorded games, without look-ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.backtests.account import Account, Rules
from replaylab.analysis.backtests.exact import ExactPrices
from replaylab.analysis.backtests.ledger import MONEY, Entry, Ledger, Refusal, Trade
from replaylab.analysis.backtests.metrics import metrics_table
from replaylab.analysis.backtests.ruin import Ruin, ruin
from replaylab.analysis.backtests.trader import Failure, Played, Trader
from replaylab.analysis.backtests.vectorised import Vectorised, check_look_ahead, placed_orders, play
from replaylab.analysis.price_paths.paths import Paths, Source, paths
from replaylab.analysis.price_paths.selection import Selection
from replaylab.errors import AnalysisError
from replaylab.progress import bar

if TYPE_CHECKING:
    import pandas as pd

_STEP = 200  # games between two looks at the progress bar


@dataclass(frozen=True, eq=False)
class Backtest:
    """Result of a strategy: every movement of money, every trade, and the balance after each game.

    Attributes
    ----------
    rules : Rules
        What was allowed, and the bankroll.
    book : Ledger
        Every movement of money, every trade, every order that was refused.
    played : Played
        The games, in the order played.
    failures : tuple of Failure
        Games in which the strategy raised.
    left_out : int
        Games that were not played as no rug of theirs was recorded.
    """

    rules: Rules
    book: Ledger
    played: Played
    failures: tuple[Failure, ...] = ()
    left_out: int = 0

    @classmethod
    def of(cls, trader: Trader, left_out: int = 0) -> Backtest:
        """Return the result of a trader so far, also of one that follows an engine."""
        account = trader.account
        return cls(account.rules, account.ledger.copy(), trader.played.copy(), tuple(trader.failures), left_out)

    @property
    def start(self) -> Decimal:
        """Money before the first game."""
        return self.book.start

    @property
    def balance(self) -> Decimal:
        """Money after the last game."""
        return self.book.balance

    @property
    def profit(self) -> Decimal:
        """Balance less start, which is the sum of the ledger's amounts, exactly."""
        return MONEY.subtract(self.balance, self.start)

    @property
    def n_games(self) -> int:
        """Games played."""
        return len(self.played.game_id)

    @property
    def n_ticks(self) -> int:
        """Live ticks of the games played."""
        return sum(self.played.ticks)

    @property
    def entries(self) -> list[Entry]:
        """Every movement of money, in order."""
        return self.book.entries

    @property
    def trades(self) -> list[Trade]:
        """Every position and side bet, in the order closed."""
        return self.book.trades

    def __repr__(self) -> str:
        return (
            f"Backtest({self.n_games} games, {self.n_ticks} ticks, {len(self.book)} trades: "
            f"{self.start:f} -> {MONEY.normalize(self.balance):f})"
        )

    @cached_property
    def ledger(self) -> pd.DataFrame:
        """Every movement of money: `game_id`, `tick`, `kind`, `amount` and `balance` (Decimals); see `Entry`."""
        return _frame(self.entries, Entry)

    @cached_property
    def trade_table(self) -> pd.DataFrame:
        """Every position and side bet: the fields of `Trade`, and its `profit` (Decimal)."""
        trades = self.trades
        profits: list[Any] = [trade.profit for trade in trades]
        return _frame(trades, Trade).assign(profit=profits)

    @cached_property
    def refused(self) -> pd.DataFrame:
        """Every order that was not carried out: `game_id`, `tick`, `order`, `reason`."""
        return _frame(self.book.refused, Refusal)

    @cached_property
    def errors(self) -> pd.DataFrame:
        """Every game in which the strategy raised: `game_id`, `tick`, `reason`."""
        return _frame(self.failures, Failure)

    @cached_property
    def _profits(self) -> list[Decimal]:
        return [MONEY.subtract(after, before) for before, after in pairwise([self.start, *self.played.balance])]

    @cached_property
    def profits(self) -> NDArray[np.float64]:
        """Profit of each game played, as doubles."""
        return np.array(list(map(float, self._profits)), np.float64)

    @cached_property
    def equity(self) -> pd.DataFrame:
        """Equity curve: one row a game, and row 0 before the first.

        `game` (from 0), `game_id`, `ticks`, `profit` and `balance` (Decimals), `rugged` (whether its rug was seen),
        `drawdown` (share below the highest balance so far, a float).
        """
        import pandas as pd

        played, balances = self.played, [self.start, *self.played.balance]
        curve = np.array(list(map(float, balances)))
        columns: dict[str, Any] = {
            "game": np.arange(len(balances)),
            "game_id": [None, *played.game_id],
            "ticks": [0, *played.ticks],
            "profit": [Decimal(0), *self._profits],
            "balance": balances,
            "rugged": [False, *played.rugged],
            "drawdown": 1 - curve / np.maximum.accumulate(curve),
        }
        return pd.DataFrame(columns)

    def metrics(self, *, level: float = 0.95, target: float = 0.0) -> pd.DataFrame:
        """Return the table of metrics; formulas: `replaylab.analysis.backtests.metrics.metrics_table`."""
        trades = np.array([float(trade.profit) for trade in self.trades])
        return metrics_table(self.profits, start=float(self.start), trades=trades, ticks=self.n_ticks, level=level,
                             target=target)  # fmt: skip

    def ruin(self, **options: Any) -> Ruin:
        """Return the chance of ruin by resampling games; see `replaylab.analysis.backtests.ruin.ruin` for the options.

        Ruin is a balance below the least bet, with which nothing more can be done.
        """
        level = options.pop("level", float(str(self.rules.min_bet)))
        return ruin(self.profits, start=float(self.start), level=level, **options)

    def _repr_html_(self) -> str:
        table = self.metrics().to_html(border=0, float_format="{:.6g}".format)
        return f"<div><b>{self!r}</b>{table}</div>"


def backtest(
    source: Source,
    strategy: Any,
    *,
    rules: Rules | None = None,
    where: Selection | None = None,
    unfinished: Literal["skip", "void"] = "skip",
    strict: bool = False,
    check: bool = True,
    progress: bool = True,
) -> Backtest:
    """Run a strategy over recorded games, one after another in order of their start, with one bankroll.

    A strategy sees a live tick and orders at its price. What it holds at the rug goes at the recorded rug price; a side
    bet at tick s wins if and only if R - s is at most the window. Orders that are not allowed are refused, never
    clipped. In a game in which a strategy raises it is asked no more, and what is open runs to the end.

    Parameters
    ----------
    source : Store, path, Paths, or list of Segment
        The games. Of `Paths`, which hold doubles, prices count as the shortest decimals of their doubles.
    strategy : function, class or Vectorised
        See `replaylab.analysis.backtests.strategy` and `vectorised` beside it. A class is called without arguments.
    rules : Rules, optional
        Bankroll, limits, commission, side bets.
    where : Selection, optional
        Which games; by default all with a live tick that did not come back after their rug.
    unfinished : {"skip", "void"}
        What to do with games whose rug was not recorded: leave them out, and count them in `left_out`; or play them
        and give back at cost what is open when the record ends. Either way the games that are left are shorter than
        all, as long ones are cut more often.
    strict : bool
        Raise where a strategy raises or an order is refused, instead of noting it.
    check : bool
        Run a vectorised strategy again on games cut short, to see whether it looks ahead.
    progress : bool
        Show a bar.

    Returns
    -------
    Backtest
        Of no game at all where nothing was found.

    Raises
    ------
    LookAhead
        When the strategy asks for what was not known yet, whether or not `strict`.
    StrategyError, OrderRefused
        When `strict`, or when a vectorised strategy raises.
    AnalysisError
        When an argument is wrong.

    Examples
    --------
    >>> from replaylab.analysis.backtests.orders import Buy, Sell
    >>> from replaylab.fair import simulate
    >>> def flip(tape, account):
    ...     if not account.quantity:
    ...         return Buy("0.01") if tape.now == 0 else None
    ...     return Sell() if tape.price >= account.entry_price * 2 else None
    >>> found = backtest(Paths.of_arrays(*simulate(200, seed=1)), flip, progress=False)
    >>> found.n_games, found.profit == sum(entry.amount for entry in found.entries)
    (200, True)
    """
    if unfinished not in {"skip", "void"}:
        raise AnalysisError(f"unfinished={unfinished!r}: take one of skip, void")
    found = paths(source, where=where)
    asked = len(found)
    if unfinished == "skip":
        found = found.select(found.rug_tick >= 0)
    left_out = asked - len(found)
    rules = Rules() if rules is None else rules
    if isinstance(strategy, Vectorised):
        orders = placed_orders(strategy, found)
        if check:
            check_look_ahead(strategy, found, orders)
        account = Account(rules, strict=strict)
        played = play(orders, found, ExactPrices.of(source, found), account)
        return Backtest(rules, account.ledger, played, left_out=left_out)
    trader = Trader(strategy, rules, strict=strict)
    _run(trader, found, ExactPrices.of(source, found), progress=progress)
    return Backtest.of(trader, left_out)


def _run(trader: Trader, found: Paths, exact: ExactPrices, *, progress: bool) -> None:
    """Run a trader over games; it holds no later tick."""
    starts, rugs = found.start.tolist(), found.rug_tick.tolist()
    see = trader.see
    with bar(len(found), "backtest", "game", show=progress) as shown:
        for game, game_id in enumerate(found.game_ids):
            trader.begin(game_id)
            first, stop = starts[game], starts[game + 1]
            ticks, values = found.tick[first:stop].tolist(), found.price[first:stop].tolist()
            for tick, value, word in zip(ticks, values, exact.tokens(first, stop), strict=True):
                see(tick, value, word)
            if rugs[game] >= 0:
                trader.rug(rugs[game], exact.rug(game))
            else:
                trader.end()
            if game % _STEP == _STEP - 1:
                shown.update(_STEP)


def _frame(rows: Sequence[Any], kind: Any) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(list(rows), columns=list(kind._fields))
