"""Vectorised strategies, which work on whole arrays, and the check for look-ahead."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from replaylab.analysis.backtests.account import Account
from replaylab.analysis.backtests.exact import ExactPrices
from replaylab.analysis.backtests.orders import Bet, Buy, Cancel, Placed, Sell, When
from replaylab.analysis.backtests.trader import Played
from replaylab.analysis.backtests.waiting import Waiting
from replaylab.analysis.price_paths.paths import Paths
from replaylab.columns import distinct
from replaylab.errors import LookAhead, StrategyError
from replaylab.storage.game_summary import SCHEMA

_KNOWN: Final = {"game_id", "start", "first_tick", "late_start"}  # of a game, as soon as it has begun
Orders = Mapping[Any, ArrayLike]  # keys are orders
Ints = NDArray[np.int64]
_ROUNDS: Final = 16  # runs on games that are cut behind an order


@dataclass(frozen=True)
class Vectorised:
    """A strategy that takes all ticks of all games as arrays and returns the rows at which each order is placed.

    The arrays hold the future, so nothing but the author keeps a row from depending on later ones; `backtest` therefore
    runs the strategy a second time on games that are cut short, and raises `LookAhead` when it then orders otherwise.

    Parameters
    ----------
    signals : callable
        Takes `Paths` whose rugs and summaries are hidden, returns a mapping of `Buy`, `Sell` or `Bet` to row numbers of
        `paths.tick`, in any order. At one row, orders are carried out in the order of the mapping.

    Examples
    --------
    >>> from replaylab.analysis.backtests.orders import Buy, Sell
    >>> @Vectorised
    ... def hold_for_20_ticks(paths):
    ...     return {Buy("0.1"): np.flatnonzero(paths.tick == 0), Sell(): np.flatnonzero(paths.tick == 20)}
    """

    signals: Callable[[Paths], Orders]


class PlacedOrders(NamedTuple):
    """Orders as arrays, sorted by row: which of `orders` is placed at each."""

    orders: tuple[Placed, ...]
    row: NDArray[np.int64]
    which: NDArray[np.int64]


def placed_orders(strategy: Vectorised, paths: Paths, hidden: Paths | None = None) -> PlacedOrders:
    """Return the orders of a vectorised strategy; `hidden` is ``blind(paths)``, where it is there already.

    Raises
    ------
    StrategyError
        When it raises, returns no mapping of orders, or rows that do not exist.
    """
    try:
        found: object = strategy.signals(blind(paths) if hidden is None else hidden)
    except Exception as error:
        raise StrategyError("", -1, f"{type(error).__name__}: {error}") from error
    if not isinstance(found, Mapping):
        raise StrategyError("", -1, f"{type(found).__name__} was returned: return a mapping of orders to rows")
    rows = [_rows(order, values, paths.n_ticks) for order, values in found.items()]
    row = np.concatenate([np.zeros(0, np.int64), *rows])
    which = np.repeat(np.arange(len(rows)), [len(one) for one in rows])
    order = np.argsort(row, kind="stable")
    return PlacedOrders(tuple(found), row[order], which[order])


def _rows(order: object, values: Any, stop: int) -> NDArray[np.int64]:
    if not isinstance(order, Buy | Sell | Bet | When | Cancel):
        raise StrategyError("", -1, f"{order!r} is no order: return Buy, Sell or Bet")
    try:
        rows = np.atleast_1d(np.asarray(values))
    except (ValueError, TypeError) as error:
        raise StrategyError("", -1, f"rows of {order!r} are no array ({error}): return whole row numbers") from error
    if rows.ndim != 1 or (len(rows) and rows.dtype.kind not in "iu"):
        raise StrategyError(
            "", -1, f"rows of {order!r} are {rows.dtype} of shape {rows.shape}: return whole row numbers"
        )
    if len(rows) and not (rows.min() >= 0 and rows.max() < stop):
        raise StrategyError("", -1, f"rows of {order!r} reach from {rows.min()} to {rows.max()}: there are {stop} rows")
    return rows.astype(np.int64)


def blind(paths: Paths) -> Paths:
    """Return the paths without what a live game does not show: its rug, and summary columns that its end decides."""
    rows = paths.games.num_rows
    columns = [
        paths.games.column(field.name) if field.name in _KNOWN else pa.nulls(rows, field.type) for field in SCHEMA
    ]
    games = pa.Table.from_arrays(columns, schema=SCHEMA)
    hidden = np.full(rows, -1, np.int64), np.full(rows, np.nan)
    seen = paths.tick[:], paths.price[:]  # views of read-only arrays cannot be made writeable
    return replace(paths, games=games, tick=seen[0], price=seen[1], rug_tick=hidden[0], rug_price=hidden[1])


def check_look_ahead(
    strategy: Vectorised, paths: Paths, orders: PlacedOrders, *, games: int = 64, seed: int = 0
) -> None:
    """Run a strategy on games that are cut, and compare what it orders up to the cut.

    One run cuts each of 64 games at a random tick. Others cut directly behind rows with orders, 64 in all, as an order
    that knows the next price is wrong there and nowhere else. It finds look-ahead where it changes an order of those
    games; a clean check is no proof.

    Raises
    ------
    LookAhead
        When an order up to the cut differs; the message names game and tick.
    """
    rng = np.random.default_rng(seed)
    chosen = np.sort(rng.permutation(len(paths))[:games])
    kept = np.ceil(paths.lengths[chosen] * rng.random(len(chosen))).astype(np.int64)
    _check_cut(strategy, paths, orders, chosen[kept > 0], kept[kept > 0])
    rows = rng.permutation(distinct(orders.row))
    of_row = np.searchsorted(paths.start, rows, side="right") - 1
    left = games
    for _ in range(_ROUNDS):
        chosen, first = np.unique(of_row, return_index=True)  # a game is cut once a run: its id stays its own
        if not len(chosen) or left <= 0:
            return
        chosen, first = chosen[:left], first[:left]
        _check_cut(strategy, paths, orders, chosen, rows[first] - paths.start[chosen] + 1)
        left -= len(chosen)
        rest = np.ones(len(rows), np.bool_)
        rest[first] = False
        rows, of_row = rows[rest], of_row[rest]


def _check_cut(strategy: Vectorised, paths: Paths, orders: PlacedOrders, chosen: Ints, kept: Ints) -> None:
    """Raise `LookAhead` when the strategy orders otherwise on the first `kept` ticks of the games `chosen`."""
    if not len(chosen):
        return
    start = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
    rows = np.arange(start[-1]) + np.repeat(paths.start[chosen] - start[:-1], kept)
    games = paths.games.take(pa.array(chosen))
    cut = Paths(games, start, paths.tick[rows], paths.price[rows], paths.rug_tick[chosen], paths.rug_price[chosen])
    again = placed_orders(strategy, cut)
    seen = np.isin(orders.row, rows)
    names = [repr(order) for order in orders.orders]  # NaN is not equal to itself, its name is
    again_names = [repr(order) for order in again.orders]
    whole = {(row, names[one]) for row, one in zip(orders.row[seen].tolist(), orders.which[seen].tolist(), strict=True)}
    short = {(row, again_names[one]) for row, one in zip(rows[again.row].tolist(), again.which.tolist(), strict=True)}
    differ = sorted(row for row, _ in whole ^ short)
    if differ:
        game = int(np.searchsorted(paths.start, differ[0], side="right")) - 1
        raise LookAhead(
            f"the strategy looks ahead: in game {paths.game_ids[game]!r} at tick {paths.tick[differ[0]]} it orders "
            "otherwise when the game is cut after that; let no row depend on a later one"
        )


def last_price(paths: Paths, exact: ExactPrices, game: int) -> Decimal | None:
    """Return the last price that the record of a game shows; None where it shows none."""
    first, stop = int(paths.start[game]), int(paths.start[game + 1])
    priced = np.flatnonzero(~np.isnan(paths.price[first:stop]))
    return exact.at(first + int(priced[-1])) if len(priced) else None


def _play_waiting(
    paths: Paths,
    game: int,
    exact: ExactPrices,
    account: Account,
    rows: Iterable[tuple[int, int]],
    placed: tuple[Placed, ...],
) -> None:
    """Play a game tick by tick, as some of its orders wait; `rows` are those of its orders, and which order each is."""
    waiting = Waiting(account)
    at: dict[int, list[Placed]] = {}
    for row, which in rows:
        at.setdefault(row, []).append(placed[which])
    first, stop = int(paths.start[game]), int(paths.start[game + 1])
    ticks, values = paths.tick[first:stop].tolist(), paths.price[first:stop].tolist()
    for row, tick, value in zip(range(first, stop), ticks, values, strict=True):
        if account.bet is not None:
            account.live(tick)
        if value != value or not (waiting or row in at):  # noqa: PLR0124  NaN test
            continue
        price = exact.at(row)
        waiting.see(tick, price)
        for order in at.get(row, ()):
            waiting.place(order, tick, price)
    waiting.end(ticks[-1])


def play(orders: PlacedOrders, paths: Paths, exact: ExactPrices, account: Account, *, mark: bool = False) -> Played:
    """Execute the orders game after game, with the same account as a strategy that is called at each tick."""
    game_ids, rugs = paths.game_ids, paths.rug_tick.tolist()
    numbers = np.searchsorted(paths.start, orders.row, side="right") - 1
    known = ~np.isnan(paths.price[orders.row])  # a live row without a price cannot be traded
    first = np.flatnonzero(np.diff(numbers, prepend=-1)).tolist()
    stop = [*first[1:], len(numbers)]
    rows, which, ticks = (one.tolist() for one in (orders.row, orders.which, paths.tick[orders.row]))
    placed, price_at, rug_at, execute = orders.orders, exact.at, exact.rug, account.execute
    balances: list[Decimal] = []
    waits = account.rules.latency > 0 or any(isinstance(order, When | Cancel) for order in placed)
    for begin, end, number in zip(first, stop, numbers[first].tolist(), strict=False):
        balances += [account.balance] * (number - len(balances))  # games without an order change nothing
        account.open(game_ids[number])
        if waits:
            _play_waiting(paths, number, exact, account, zip(rows[begin:end], which[begin:end], strict=True), placed)
        for place in range(begin, begin if waits else end):
            tick = ticks[place]
            if account.bet is not None:
                account.live(tick)
            order = placed[which[place]]
            if known[place] and not isinstance(order, When | Cancel):
                execute(order, tick, price_at(rows[place]))
        if rugs[number] >= 0:
            account.rug(rugs[number], rug_at(number))
        else:
            account.live(int(paths.tick[paths.start[number + 1] - 1]))
            account.void(last_price(paths, exact, number) if mark else None)
        balances.append(account.balance)
    balances += [account.balance] * (len(game_ids) - len(balances))
    return Played(game_ids, paths.lengths.tolist(), balances, (paths.rug_tick >= 0).tolist())
