"""Backtest: the exact result of a strategy on recorded games, without look-ahead."""

from __future__ import annotations

import os
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
from replaylab.analysis.backtests.patience import never_returned, within
from replaylab.analysis.backtests.report import Origin, Report, report_target
from replaylab.analysis.backtests.ruin import Ruin, ruin
from replaylab.analysis.backtests.trader import Failure, Played, Trader
from replaylab.analysis.backtests.vectorised import (
    PlacedOrders,
    Vectorised,
    check_look_ahead,
    last_price,
    placed_orders,
    play,
)
from replaylab.analysis.backtests.watched import Watched
from replaylab.analysis.price_paths.arguments import number, one_of, whole
from replaylab.analysis.price_paths.paths import Paths, Source, paths
from replaylab.analysis.price_paths.selection import Selection
from replaylab.doors import DOORS
from replaylab.errors import AnalysisError, StrategyError
from replaylab.keywords import options_of
from replaylab.plural import count_of
from replaylab.progress import bar
from replaylab.storage.open import open_store
from replaylab.storage.store import Store

if TYPE_CHECKING:
    import pandas as pd

_AT_CUT = {"void", "mark"}  # endings of what was open when a record ended
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
    watched : Watched, optional
        How games were watched, where figures are weighted for those that were cut off.
    origin : Origin, optional
        Games and strategy that it was made from.

    Examples
    --------
    >>> from replaylab.analysis.backtests.strategies import Aggressive
    >>> from replaylab.fair import simulate
    >>> found = backtest(Paths.of_arrays(*simulate(50, seed=1)), Aggressive(), progress=False)
    >>> found.n_games, len(found.profits) <= 50
    (50, True)
    >>> found.profit == found.balance - 1 == sum(entry.amount for entry in found.entries)
    True
    """

    rules: Rules
    book: Ledger
    played: Played
    failures: tuple[Failure, ...] = ()
    left_out: int = 0
    watched: Watched | None = None
    origin: Origin | None = None

    @classmethod
    def of(
        cls, trader: Trader, left_out: int = 0, watched: Watched | None = None, origin: Origin | None = None
    ) -> Backtest:
        """Return the result of a trader so far, also of one that follows an engine."""
        account = trader.account
        return cls(
            account.rules,
            account.ledger.copy(),
            trader.played.copy(),
            tuple(trader.failures),
            left_out,
            watched,
            origin,
        )

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
            f"Backtest({count_of(self.n_games, 'game')}, {count_of(self.n_ticks, 'tick')}, "
            f"{count_of(len(self.book), 'trade')}: "
            f"{self.start:f} -> {MONEY.normalize(self.balance):f}{''.join(f'; {note}' for note in self.notes)})"
        )

    @property
    def notes(self) -> list[str]:
        """What the figures leave out or make up for, in words: cut-off games, games that could not be played."""
        found = []
        if self.left_out:
            found.append(f"{count_of(self.left_out, 'game')} without a rug left out")
        cut = self.played.rugged.count(False)
        if cut:
            still_open = sum(trade.ending in _AT_CUT for trade in self.trades)
            how = "weighted" if self.watched else "as they stood"
            found.append(f"{count_of(cut, 'game')} cut off, {count_of(still_open, 'trade')} open there, {how}")
        if not self.playable.all():
            found.append(
                f"{count_of(int((~self.playable).sum()), 'game')} not playable: the balance did not cover a stake"
            )
        if self.failures:
            found.append(f"the strategy raised in {count_of(len(self.failures), 'game')}")
        return found

    @cached_property
    def playable(self) -> NDArray[np.bool_]:
        """Whether each game could be played; not, where nothing was traded as the balance did not cover a stake.

        That is where an order was refused for it, or where the balance was below the least stake of the whole run.
        """
        stakes = [-entry.amount for entry in self.entries if entry.kind in {"buy", "bet"}]
        least = float(min(stakes, default=Decimal(0)))
        before = np.array(list(map(float, [self.start, *self.played.balance[:-1]])), np.float64)[: self.n_games]
        traded = {entry.game_id for entry in self.entries}
        short = {refusal.game_id for refusal in self.book.refused if refusal.unaffordable} - traded
        idle = np.array([game_id not in traded for game_id in self.played.game_id], np.bool_)
        refused = np.array([game_id in short for game_id in self.played.game_id], np.bool_)
        return np.asarray(idle & (refused | (before < least))) ^ True

    @cached_property
    def _needs(self) -> NDArray[np.float64]:
        """Balance that was needed to play each game: the most that was out at once."""
        number = {game_id: place for place, game_id in enumerate(self.played.game_id)}
        spent: dict[str, Decimal] = {}
        found = np.zeros(self.n_games)
        for entry in self.entries:
            spent[entry.game_id] = now = MONEY.add(spent.get(entry.game_id, Decimal(0)), entry.amount)
            place = number.get(entry.game_id)
            if place is not None:
                found[place] = max(found[place], -float(now))
        return found

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
        """Every order that was not executed: `game_id`, `tick`, `order`, `reason`, `unaffordable`."""
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

    def best(self, n: int = 1) -> list[str]:
        """Return the ids of the `n` games with a trade that won most, the best first; equal ones in the order played.

        `worst` returns those that lost most. Both are what `compare`, `browse` and `play` take after a store.
        """
        return self._ranked(n, -1)

    def worst(self, n: int = 1) -> list[str]:
        """Return the ids of the `n` games with a trade that lost most, the worst first."""
        return self._ranked(n, 1)

    def _ranked(self, n: int, sign: int) -> list[str]:
        traded = {entry.game_id for entry in self.entries}
        found = [one for one in zip(self.played.game_id, self._profits, strict=True) if one[0] in traded]
        return [game_id for game_id, _ in sorted(found, key=lambda one: sign * one[1])[: whole("n", n, least=1)]]

    def metrics(self, *, level: float = 0.95, target: float = 0.0) -> pd.DataFrame:
        """Return the table of metrics; formulas: `replaylab.analysis.backtests.metrics.metrics_table`."""
        import pandas as pd

        trades = self.trades
        profits, paid = (np.array([float(one) for one in values], np.float64) for values in (
            [trade.profit for trade in trades], [trade.paid for trade in trades]))  # fmt: skip
        weights, of_trades = self._weights
        kept = self.playable
        table = metrics_table(self.profits[kept], start=float(self.start), trades=profits, ticks=self.n_ticks,
                              level=level, target=target, weights=weights[kept], trade_weights=of_trades,
                              paid=paid)  # fmt: skip
        counts = {
            "games_left_out": self.left_out,
            "games_cut": self.played.rugged.count(False),
            "games_not_playable": int((~kept).sum()),
        }
        rows = [(name, float(count), "games", self.n_games + self.left_out) for name, count in counts.items()]
        more = pd.DataFrame(rows, columns=["metric", "value", "unit", "n"]).set_index("metric")
        return pd.concat([table, more])

    @cached_property
    def _weights(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weights of games and of trades: 1 each, or the inverse chance of having been watched to their end."""
        if self.watched is None:
            return np.ones(self.n_games), np.ones(len(self.trades))
        return self.watched.of_games(), self.watched.of_trades(self.trades)

    def ruin(self, **options: Any) -> Ruin:
        """Return the chance of ruin by resampling games; see `replaylab.analysis.backtests.ruin.ruin` for the options.

        Ruin is a balance that does not cover the stakes of the next game drawn, or lies below the least bet. Games that
        could not be played are not drawn: they are no games without a loss. With `compound` it is a balance of which
        the usual share lies below the least bet.

        Raises
        ------
        AnalysisError
            When no game could be played.
        """
        kept = self.playable
        if not kept.any():
            raise AnalysisError(f"games={self.n_games}: none could be played, so there is nothing to resample")
        least, needs = float(str(self.rules.min_bet)), self._needs[kept]
        if options.get("compound"):
            before = np.array(list(map(float, [self.start, *self.played.balance[:-1]])), np.float64)[kept]
            shares = needs[needs > 0] / before[needs > 0]
            least = min(least / float(np.median(shares)), float(self.start) / 2) if len(shares) else least
        level = options.pop("level", least)
        weights = self._weights[0][kept]
        options.setdefault("games", self.n_games)
        return ruin(self.profits[kept], start=float(self.start), level=level, needs=needs, weights=weights, **options)

    def report(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        games: Sequence[str] | None = None,
        store: Store | str | os.PathLike[str] | None = None,
    ) -> Report:
        """Return the report: a page with the equity, results by trade, trades in the player, figures, and its origin.

        Parameters
        ----------
        path : path, optional
            Where to write it as well; the page needs nothing beside it. In a cell the report shows itself, with fewer
            games in its player.
        games : list of str, optional
            Ids of games that the player must hold, beside the best, the worst, the median and as many more as the page
            has room for. The page says which were left out.
        store : Store or path, optional
            Where all rows of the games are; that which was tested unless given. Without one, as of `Paths`, the player
            shows the live ticks that were tested, and the page says what is not there.

        Raises
        ------
        AnalysisError
            When the path is a URL of an object store, or a game was not part of this backtest.
        StoreNotFound
            When there is no store at the path.
        StoreFull, StoreUnwritable
            When the file cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> from replaylab.fair import simulate
        >>> nothing = backtest(Paths.of_arrays(*simulate(5, seed=1)), lambda tape, account: None, progress=False)
        >>> folder = tempfile.mkdtemp()
        >>> nothing.report(folder + "/report.html")
        Report(... bytes)
        """
        target = None if path is None else report_target(path)  # before the work
        found: Report = DOORS.backtest_report(self, games=games, store=store)
        if target is not None:
            found.save(target)
        return found

    def _repr_html_(self) -> str:
        table = self.metrics().to_html(border=0, float_format="{:.6g}".format)
        return f"<div><b>{self!r}</b>{table}</div>"


@options_of("rl.analysis.backtest")
def backtest(  # noqa: PLR0913 each is a choice of the caller
    source: Source,
    strategy: Any,
    *,
    rules: Rules | None = None,
    where: Selection | None = None,
    unfinished: Literal["weight", "mark", "void", "skip"] = "weight",
    strict: bool = False,
    check: bool = True,
    max_seconds: float | None = 60.0,
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
    unfinished : {"weight", "mark", "void", "skip"}
        What to do with games whose rug was not recorded. ``weight`` plays them, gives back at cost what is open when
        the record ends, and makes up for it: trades and games that were seen to their end count by the inverse chance
        of that in the mean figures of `metrics` and in `ruin`, those that were not count nothing. It alone is unbiased;
        ledger and equity are those of the orders that were seen. ``mark`` values what is held at the last price,
        ``void`` gives it back at cost: both leave out the risk of what was not seen. ``skip`` leaves such games out,
        which favours short games and so makes most strategies look worse than they are.
    strict : bool
        Raise where a strategy raises or an order is refused, instead of noting it.
    check : bool
        Run a vectorised strategy again on games cut short, to see whether it looks ahead.
    max_seconds : float, optional
        Time that a strategy may take for a tick, or a vectorised one for all games; None waits for ever.
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
        When `strict`, when a vectorised strategy raises, or when one does not return within `max_seconds`.
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
    one_of("unfinished", unfinished, ("weight", "mark", "void", "skip"))
    if isinstance(source, str | os.PathLike):
        source = open_store(source)
    found = paths(source, where=where)
    asked = len(found)
    if unfinished == "skip":
        found = found.select(found.rug_tick >= 0)
    left_out = asked - len(found)
    rules = Rules() if rules is None else rules
    watched = Watched.of(found) if unfinished == "weight" and (found.rug_tick < 0).any() else None
    mark = unfinished == "mark"
    origin = Origin.of(found, strategy, unfinished, source if isinstance(source, Store) else None)
    limit = None if max_seconds is None else number("max_seconds", max_seconds, above=0)
    if isinstance(strategy, Vectorised):
        orders = _in_time(strategy, found, limit, check=check)
        account = Account(rules, strict=strict)
        played = play(orders, found, ExactPrices.of(source, found), account, mark=mark)
        return Backtest(rules, account.ledger, played, left_out=left_out, watched=watched, origin=origin)
    trader = Trader(strategy, rules, strict=strict)
    prices = ExactPrices.of(source, found)
    if not within(limit, lambda: _run(trader, found, prices, progress=progress, mark=mark), trader.so_far):
        raise StrategyError(trader.tape.game_id, trader.so_far()[1], never_returned(limit))
    return Backtest.of(trader, left_out, watched, origin)


def _in_time(strategy: Vectorised, found: Paths, limit: float | None, *, check: bool) -> PlacedOrders:
    """Return the orders of a vectorised strategy, called within the time; raise `StrategyError` where it is not."""
    called: list[PlacedOrders] = []

    def run() -> None:
        called.append(placed_orders(strategy, found))
        if check:
            check_look_ahead(strategy, found, called[0])

    if not within(limit, run, lambda: len(called)):
        raise StrategyError("", -1, never_returned(limit))
    return called[0]


def _run(trader: Trader, found: Paths, exact: ExactPrices, *, progress: bool, mark: bool) -> None:
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
                trader.end(last_price(found, exact, game) if mark else None)
            if game % _STEP == _STEP - 1:
                shown.update(_STEP)


def _frame(rows: Sequence[Any], kind: Any) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(list(rows), columns=list(kind._fields))
