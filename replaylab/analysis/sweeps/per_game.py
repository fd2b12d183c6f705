"""Results of a strategy game by game, each played with the whole bankroll: doubles, by the rules of `Account`."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.backtests.account import Account, Rules
from replaylab.analysis.backtests.exact import ExactPrices
from replaylab.analysis.backtests.orders import Bet, Buy, Placed, Sell, exact
from replaylab.analysis.backtests.trader import Trader
from replaylab.analysis.backtests.vectorised import (
    PlacedOrders,
    Vectorised,
    check_look_ahead,
    last_price,
    placed_orders,
    play,
)
from replaylab.analysis.price_paths.paths import Paths
from replaylab.errors import OrderRefused

Floats = NDArray[np.float64]
_TIE: Final = 1e-9  # relative: a balance this near to a stake is compared exactly
_BUY, _SELL, _BET, _NEVER = range(4)


class PerGame(NamedTuple):
    """What a strategy came to in each game: profit, what was paid, and trades; and games in which it raised."""

    profit: Floats
    paid: Floats
    trades: Floats
    failures: int = 0


class Progress:
    """How far the games of a point are played, asked from another thread; nothing is known of a vectorised strategy.

    Examples
    --------
    >>> Progress().so_far()
    ('', -1)
    """

    def __init__(self) -> None:
        self.trader: Trader | None = None

    def so_far(self) -> tuple[str, int]:
        """Return the game that is played and its newest tick."""
        trader = self.trader
        return ("", -1) if trader is None else (trader.tape.game_id, trader.so_far()[1])


class _Tie(Exception):
    """A balance so near to a stake that doubles may decide otherwise than Decimals do."""


def per_game(
    strategy: Any,
    paths: Paths,
    exact_prices: ExactPrices,
    rules: Rules,
    *,
    mark: bool,
    check: bool,
    hidden: Paths | None = None,
    seen: Progress | None = None,
) -> PerGame:
    """Return the results of a strategy in each game, every game begun with the bankroll of the rules.

    Parameters
    ----------
    strategy : function, class or Vectorised
    paths : Paths
    exact_prices : ExactPrices
        Of the paths; only a strategy that is called at each tick needs them.
    rules : Rules
    mark : bool
        Value what is held where a record ends at the last price instead of at cost.
    check : bool
        Look for look-ahead of a vectorised strategy, as `backtest` does.
    hidden : Paths, optional
        ``blind(paths)``, made once for many strategies.
    seen : Progress, optional
        Is brought up to date as games are played.

    Raises
    ------
    LookAhead, StrategyError
        As `backtest`.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> drawn = Paths.of_arrays(*price_arrays(3, seed=1))
    >>> held = Vectorised(lambda paths: {Buy("0.1"): np.flatnonzero(paths.tick == 0)})
    >>> found = per_game(held, drawn, ExactPrices(drawn), Rules(), mark=False, check=True)
    >>> found.profit.round(2).tolist(), found.trades.tolist()
    ([-0.1, -0.1, -0.1], [1.0, 1.0, 1.0])
    """
    if isinstance(strategy, Vectorised):
        orders = placed_orders(strategy, paths, hidden)
        if check:
            check_look_ahead(strategy, paths, orders)
        return of_orders(orders, paths, rules, mark=mark)
    trader = Trader(strategy, rules)
    if seen is not None:
        seen.trader = trader
    return _of_calls(trader, paths, exact_prices, rules, mark=mark)


def _of_calls(trader: Trader, paths: Paths, exact_prices: ExactPrices, rules: Rules, *, mark: bool) -> PerGame:
    profit, paid, trades = (np.zeros(len(paths)) for _ in range(3))
    start = Decimal(str(rules.balance))
    for game, game_id in enumerate(paths.game_ids):
        trader.account = Account(rules)
        trader.begin(game_id)
        first, stop = int(paths.start[game]), int(paths.start[game + 1])
        rows = zip(
            paths.tick[first:stop].tolist(),
            paths.price[first:stop].tolist(),
            exact_prices.tokens(first, stop),
            strict=True,
        )
        for tick, value, word in rows:
            trader.see(tick, value, word)
        if paths.rug_tick[game] >= 0:
            trader.rug(int(paths.rug_tick[game]), exact_prices.rug(game))
        else:
            trader.end(last_price(paths, exact_prices, game) if mark else None)
        closed = trader.account.ledger.trades
        profit[game] = float(trader.account.balance - start)
        paid[game], trades[game] = float(sum(one.paid for one in closed)), len(closed)
    return PerGame(profit, paid, trades, len(trader.failures))


def of_orders(orders: PlacedOrders, paths: Paths, rules: Rules, *, mark: bool) -> PerGame:
    """Return the results of placed orders in each game, in doubles; a close decision is settled exactly.

    The rules are those of `replaylab.analysis.backtests.account.Account`, to the rounding of doubles; tests hold the
    two against each other.
    """
    house = _House(rules, orders.orders)
    profit, paid, trades = (np.zeros(len(paths)) for _ in range(3))
    numbers = np.searchsorted(paths.start, orders.row, side="right") - 1
    first = np.flatnonzero(np.diff(numbers, prepend=-1))
    games, price = numbers[first], paths.price[orders.row]
    rug, rug_price = paths.rug_tick[games], np.nan_to_num(paths.rug_price[games])
    settled, *results = house.round_trips(orders.which, price, first, np.where(rug >= 0, rug_price, np.nan))
    if mark:
        settled &= rug >= 0
    plain = _is_plain(orders.orders, rules)
    settled &= plain
    for found, values in zip((profit, paid, trades), results, strict=True):
        found[games[settled]] = values[settled]
    stop = np.append(first[1:], len(numbers))
    for place in np.flatnonzero(~settled).tolist():
        rows, number = slice(int(first[place]), int(stop[place])), int(games[place])
        ending = float(rug_price[place]) if rug[place] >= 0 else _last(paths, number) if mark else None
        ticks = paths.tick[orders.row[rows]].tolist()
        final = int(paths.tick[paths.start[number + 1] - 1])
        try:
            which = orders.which[rows].tolist()
            if not plain:
                raise _Tie  # noqa: TRY301  settled exactly, as a close decision is
            result = house.game(which, ticks, price[rows].tolist(), int(rug[place]), ending, final)
        except _Tie:
            result = _exactly(orders, rows, paths, number, rules, mark=mark)
        profit[number], paid[number], trades[number] = result
    return PerGame(profit, paid, trades)


def _is_plain(orders: tuple[Placed, ...], rules: Rules) -> bool:
    """Return whether doubles can settle: orders that are executed at once, one position, one bet, no slippage."""
    if (
        rules.latency
        or rules.bets > 1
        or rules.slippage
        or not all(isinstance(one, Buy | Sell | Bet) for one in orders)
    ):
        return False
    return not any(one.position for one in orders if isinstance(one, Buy | Sell))


def _last(paths: Paths, game: int) -> float | None:
    prices = paths.of(game)[1]
    known = prices[~np.isnan(prices)]
    return float(known[-1]) if len(known) else None


def _exactly(
    orders: PlacedOrders, rows: slice, paths: Paths, game: int, rules: Rules, *, mark: bool
) -> tuple[float, float, int]:
    """Return the results of one game from the exact account."""
    one = paths.take(np.array([game]))
    account = Account(rules)
    here = PlacedOrders(orders.orders, orders.row[rows] - paths.start[game], orders.which[rows])
    play(here, one, ExactPrices(one), account, mark=mark)
    closed = account.ledger.trades
    return float(account.balance - account.ledger.start), float(sum(trade.paid for trade in closed)), len(closed)


class _House:
    """The rules in doubles: which orders are within the limits is decided exactly, once."""

    def __init__(self, rules: Rules, orders: tuple[Placed, ...]) -> None:
        self.start, self.fee, self.pays = (float(str(one)) for one in (rules.balance, rules.commission, rules.pays))
        self.window, self.again = rules.window, rules.window + rules.cooldown
        self.orders = [_kind(order, rules) for order in orders]

    def round_trips(
        self, which: NDArray[np.int64], price: Floats, first: NDArray[np.int64], ending: Floats
    ) -> tuple[NDArray[np.bool_], Floats, Floats, Floats]:
        """Return which games have one buy, sold whole or held to the end, and the results of those, all at once.

        `first` are the places of the first order of each game; `ending` is the price at the end, NaN for the cost.
        """
        kinds = np.array([kind for kind, _ in self.orders], np.int64)
        amounts = np.array([amount for _, amount in self.orders], np.float64)
        kind, amount = kinds[which], amounts[which]
        counts = ~np.isnan(price) & (kind != _NEVER)
        game = np.cumsum(np.bincount(first, minlength=len(which))) - 1
        bought = np.flatnonzero(counts & (kind == _BUY))
        other = game[counts & ((kind == _BET) | ((kind == _SELL) & (amount != 1)))]
        settled = (np.bincount(game[bought], minlength=len(first)) == 1) & (
            np.bincount(other, minlength=len(first)) == 0
        )
        asked = amount + amount * self.fee
        fits = (price[bought] > 0) & (asked[bought] < self.start * (1 - _TIE) - _TIE)
        settled[game[bought[~fits]]] = False
        bought = bought[settled[game[bought]]]
        sold = np.flatnonzero(counts & (kind == _SELL))
        at = np.searchsorted(sold, bought, side="right")
        sale = np.append(sold, len(which))[at]
        stops = np.append(first[1:], len(which))[game[bought]]
        inside = sale < stops
        proceeds = (
            amount[bought] / price[bought] * np.where(inside, np.append(price, np.nan)[sale], ending[game[bought]])
        )
        held = np.isnan(proceeds)
        proceeds[held] = amount[bought][held]
        fees = np.where(inside, proceeds * self.fee, 0.0)
        results = np.zeros((3, len(first)))
        results[:, game[bought]] = proceeds - fees - asked[bought], asked[bought] + fees, np.ones(len(bought))
        return settled, *results

    def game(  # noqa: C901, PLR0912  the inner loop: one pass, plain numbers
        self, which: list[int], ticks: list[int], prices: list[float], rug: int, ending: float | None, last: int
    ) -> tuple[float, float, int]:
        """Return profit, what was paid and trades of one game; `ending` is the price that ends a position, or None."""
        orders, fee, window, start = self.orders, self.fee, self.window, self.start
        balance, paid, trades = start, 0.0, 0
        quantity = cost = stake = 0.0
        bet, free = -1, 0
        for place, tick, price in zip(which, ticks, prices, strict=True):
            if bet >= 0 and tick >= bet + window:
                bet, free = -1, bet + self.again
            kind, amount = orders[place]
            if price != price or kind == _NEVER:  # noqa: PLR0124  NaN test
                continue
            if kind == _SELL:
                if quantity:
                    sold = quantity * amount
                    proceeds = sold * price
                    balance += proceeds - proceeds * fee
                    paid += proceeds * fee
                    if amount == 1:
                        quantity = cost = 0.0
                        trades += 1
                    else:
                        quantity, cost = quantity - sold, cost - cost * amount
                continue
            asked = amount + amount * fee if kind == _BUY else amount
            if abs(asked - balance) <= _TIE * start:
                raise _Tie
            if asked > balance or (kind == _BUY and price <= 0) or (kind == _BET and (bet >= 0 or tick < free)):
                continue
            balance -= asked
            paid += asked
            if kind == _BUY:
                quantity += amount / price
                cost += amount
            else:
                bet, stake = tick, amount
                trades += 1
        if quantity:
            balance += cost if ending is None else quantity * ending
            trades += 1
        if bet >= 0 and rug >= 0:
            balance += stake * self.pays if rug - bet <= window else 0.0
        elif bet >= 0:
            balance += stake if last < bet + window else 0.0
        return balance - start, paid, trades


def _kind(order: Placed, rules: Rules) -> tuple[int, float]:
    """Return what an order does, and its amount or share; nothing where the rules refuse it whatever the balance."""
    if not isinstance(order, Buy | Sell | Bet):
        return _NEVER, 0.0
    try:
        amount = exact("amount", order.share if isinstance(order, Sell) else order.amount)
    except OrderRefused:
        return _NEVER, 0.0
    if isinstance(order, Sell):
        return (_SELL if 0 < amount <= 1 else _NEVER), float(amount)
    least, most = (exact("limit", one) for one in (rules.min_bet, rules.max_bet))
    return (_NEVER if not least <= amount <= most else _BUY if isinstance(order, Buy) else _BET), float(amount)
