"""Fills as they happen: latency, slippage, orders that wait, several positions and bets, by a ledger of its own."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import pytest

from replaylab import analysis as a
from replaylab.analysis.backtests.orders import Placed
from replaylab.analysis.backtests.trader import Trader
from replaylab.errors import AnalysisError, OrderRefused
from tests.analysis.made import Made, made

Schedule = dict[int, list[Placed]]
SETS = 1_000
RULES = a.Rules(min_bet="0.01", max_bet=1)


class Reference:
    """One game settled in fractions, written from the rules alone; nothing of the package but the orders' fields."""

    def __init__(self, rules: a.Rules) -> None:
        self.rules = rules
        self.balance = Fraction(str(rules.balance))
        self.fee, self.slip, self.pays = (Fraction(str(one)) for one in (rules.commission, rules.slippage, rules.pays))
        self.least, self.most = Fraction(str(rules.min_bet)), Fraction(str(rules.max_bet))
        self.held: dict[str, list[Fraction]] = {}  # quantity and cost, by name
        self.bets: list[tuple[int, Fraction]] = []
        self.free = [0] * rules.bets
        self.coming: list[tuple[int, Any]] = []
        self.resting: list[list[Any]] = []
        self.trades = self.refused = 0

    def game(self, ticks: Iterable[tuple[int, str]], rug: int | None, ending: str, schedule: Schedule) -> None:
        """Play all ticks, then the rug or the end of the record."""
        now = 0
        for now, text in ticks:
            price = Fraction(text)
            self.lose(now)
            met = []
            for one in list(self.resting):
                one[1] = max(one[1], price)
                when = one[0]
                if (
                    (when.below is not None and price <= Fraction(str(when.below)))
                    or (when.above is not None and price >= Fraction(str(when.above)))
                    or (when.falls is not None and price <= one[1] * (1 - Fraction(str(when.falls))))
                ):
                    self.resting.remove(one)
                    met.append(when.order)
            for order in met:
                self.fill(order, now, price)
            while self.coming and self.coming[0][0] <= now:
                self.arrive(self.coming.pop(0)[1], now, price)
            for order in schedule.get(now, []):
                wait = self.rules.latency_ticks + -(-self.rules.latency_ms // 250)
                if wait:
                    self.coming.append((now + wait, order))
                else:
                    self.arrive(order, now, price)
        self.refused += len(self.coming) + len(self.resting)
        if rug is not None:
            self.bets = [bet for bet in self.bets if self.alive(bet, rug)]
            self.balance += sum((cents(quantity * Fraction(ending)) for quantity, _ in self.held.values()), Fraction(0))
            self.balance += sum((stake * self.pays for _, stake in self.bets), Fraction(0))
        else:
            self.lose(now)
            self.balance += sum((cost for _, cost in self.held.values()), Fraction(0))
            self.balance += sum((stake for _, stake in self.bets), Fraction(0))
        self.trades += len(self.held) + len(self.bets)

    def alive(self, bet: tuple[int, Fraction], rug: int) -> bool:
        """Whether a bet is still open at the rug; one that is not was lost."""
        open_ = rug - bet[0] <= self.rules.window
        self.trades += not open_
        return open_

    def lose(self, now: int) -> None:
        """Drop the bets whose window is over."""
        over = [bet for bet in self.bets if now >= bet[0] + self.rules.window]
        for bet in over:
            self.bets.remove(bet)
            self.free.append(bet[0] + self.rules.window + self.rules.cooldown)
            self.trades += 1

    def arrive(self, order: Any, now: int, price: Fraction) -> None:
        """Take an order at the house."""
        if isinstance(order, a.When):
            self.resting.append([order, price])
        elif isinstance(order, a.Cancel):
            self.resting.clear()
        else:
            self.fill(order, now, price)

    def fill(self, order: Any, now: int, price: Fraction) -> None:
        """Execute an order, or refuse it."""
        done = {a.Buy: self.buy, a.Sell: self.sell, a.Bet: self.bet}[type(order)](order, now, price)
        self.refused += not done

    def buy(self, order: Any, now: int, price: Fraction) -> bool:
        """Buy at the price and its slippage."""
        del now
        amount = Fraction(str(order.amount))
        fee = cents(amount * self.fee)
        if not self.least <= amount <= self.most or amount + fee > self.balance:
            return False
        self.balance -= amount + fee
        lot = self.held.setdefault(order.position, [Fraction(0), Fraction(0)])
        lot[0] += amount / (price * (1 + self.slip))
        lot[1] += amount
        return True

    def sell(self, order: Any, now: int, price: Fraction) -> bool:
        """Sell a share; a closed position takes its waiting sales with it."""
        del now
        lot, share = self.held.get(order.position), Fraction(str(order.share))
        if lot is None or not 0 < share <= 1:
            return False
        out = cents(lot[0] * share * price * (1 - self.slip))
        self.balance += out - cents(out * self.fee)
        lot[0] -= lot[0] * share
        lot[1] -= lot[1] if share == 1 else cents(lot[1] * share)
        if share == 1:
            del self.held[order.position]
            self.trades += 1
            self.resting = [
                one for one in self.resting
                if not isinstance(one[0].order, a.Sell) or one[0].order.position != order.position
            ]  # fmt: skip
        return True

    def bet(self, order: Any, now: int, price: Fraction) -> bool:
        """Place a side bet in a free place."""
        del price
        stake = Fraction(str(order.amount))
        if not self.free or now < min(self.free) or not self.least <= stake <= self.most or stake > self.balance:
            return False
        self.free.remove(min(self.free))
        self.balance -= stake
        self.bets.append((now, stake))
        return True


def cents(amount: Fraction) -> Fraction:
    """Round to 18 decimals, half to even."""
    return Fraction(round(amount * 10**18), 10**18)


def some_order(rng: random.Random) -> Placed:
    """Return an order of any kind."""
    name = rng.choice(["", "", "b", "c"])
    plain: Any = rng.choice(
        [
            a.Buy(rng.choice(["0.1", "0.25", "0.4", "3"]), name),
            a.Sell(rng.choice(["1", "1", "0.5", "0.3"]), name),
            a.Bet(rng.choice(["0.05", "0.2"])),
        ]
    )
    level = f"{rng.uniform(0.4, 2.5):.2f}"
    falls = f"{rng.uniform(0.02, 0.5):.2f}"
    waits = [a.When(plain, below=level), a.When(plain, above=level), a.When(plain, falls=falls)]
    found: Placed = rng.choice([plain, plain, *waits, a.Cancel()])
    return found


def some_set(seed: int) -> tuple[Made, a.Rules, Schedule]:
    """Return a game, rules and orders by tick."""
    rng = random.Random(seed)
    ticks = [tick for tick in range(rng.randint(3, 60)) if rng.random() > 0.08] or [0]
    price, prices = 1.0, []
    for _ in ticks:
        prices.append(f"{price:.6f}")
        price = max(0.01, price * rng.uniform(0.8, 1.25))
    rules = a.Rules(
        balance=rng.choice(["1", "0.7", "20"]), min_bet="0.01", max_bet="2", commission=rng.choice(["0", "0.013"]),
        window=rng.choice([4, 40]), cooldown=rng.choice([0, 3]), bets=rng.choice([1, 1, 2, 4]),
        slippage=rng.choice(["0", "0.005"]), latency_ticks=rng.choice([0, 0, 1, 3]),
        latency_ms=rng.choice([0, 0, 250, 400]),
    )  # fmt: skip
    schedule: Schedule = {}
    for tick in ticks:
        if rng.random() < 0.5:
            schedule[tick] = [some_order(rng) for _ in range(rng.randint(1, 3))]
    return Made(ticks, rng.choice([None, ticks[-1] + 1]), prices, "0.02"), rules, schedule


def test_a_thousand_random_sets_settle_as_an_independent_ledger_does() -> None:
    """Balance to the last digit, trades and refused orders of each of 1,000 games, and the ledger adds up."""
    waited = 0
    for seed in range(SETS):
        game, rules, schedule = some_set(seed)
        own = Reference(rules)
        own.game(zip(game.ticks, map(str, game.prices), strict=True), game.rug, "0.02", schedule)
        trader = Trader(lambda tape, _, schedule=schedule: schedule.get(tape.now, []), rules)
        trader.begin("g")
        for tick, price in zip(game.ticks, game.prices, strict=True):
            trader.see(tick, float(price))
        if game.rug is None:
            trader.end()
        else:
            trader.rug(game.rug, Decimal("0.02"))
        ledger = trader.account.ledger
        assert not trader.failures
        assert Fraction(trader.account.balance) == own.balance, seed
        assert len(ledger) == own.trades, seed
        assert len(ledger.refused) == own.refused, seed
        assert ledger.total() == ledger.balance - ledger.start
        waited += any(isinstance(one, a.When) for orders in schedule.values() for one in orders)
    assert waited > SETS / 2


def _fixed(rows: dict[Placed, list[int]], paths: a.Paths) -> dict[Placed, list[int]]:
    del paths
    return rows


def test_orders_of_arrays_wait_like_those_of_calls() -> None:
    """The same orders on whole arrays come to the same entries and refusals, whatever waits."""
    for seed in range(60):
        game, rules, schedule = some_set(seed)
        paths = made([game, game])
        rows: dict[Placed, list[int]] = {}
        for tick, orders in schedule.items():
            for order in dict.fromkeys(orders):
                rows.setdefault(order, []).extend(np.flatnonzero(paths.tick == tick).tolist())
        ranked = list(rows)
        called = {tick: sorted(dict.fromkeys(orders), key=ranked.index) for tick, orders in schedule.items()}
        fixed = a.Vectorised(partial(_fixed, rows))
        one = a.backtest(paths, fixed, rules=rules, check=False, progress=False)
        other = a.backtest(paths, lambda tape, _, called=called: called.get(tape.now), rules=rules, progress=False)
        assert one.entries == other.entries
        assert one.book.refused == other.book.refused


def test_a_stop_is_executed_at_the_price_that_meets_it() -> None:
    """A fall through a stop sells at what the tick shows, below the stop; a limit buys at the limit or better."""
    paths = made([Made(range(5), 5, ["1", "1.5", "1.2", "0.7", "2"])])

    def bracket(tape: a.Tape, account: Any) -> Any:
        del account
        return [a.limit(a.Buy("0.3"), "1.3"), a.stop(a.Sell(), "0.9"), a.limit(a.Sell(), 3)] if tape.now == 0 else None

    found = a.backtest(paths, bracket, rules=RULES, progress=False)
    assert [(entry.kind, entry.tick) for entry in found.entries] == [("buy", 2), ("sell", 3)]
    assert float(found.balance) == pytest.approx(1 - 0.3 + 0.3 / 1.2 * 0.7)
    assert found.refused.empty  # the other sale lapsed with the position


def test_a_trailing_stop_follows_the_highest_price() -> None:
    """It sells at the first tick that lies the share below the highest since it was placed."""
    paths = made([Made(range(6), 6, ["1", "2", "1.9", "3", "2.75", "2.6"])])
    orders = {0: [a.Buy("0.5"), a.trailing("0.1")]}
    found = a.backtest(paths, lambda tape, _: orders.get(tape.now), rules=RULES, progress=False)
    assert [(entry.kind, entry.tick) for entry in found.entries] == [("buy", 0), ("sell", 5)]


def test_latency_takes_the_later_price_and_what_is_late_lapses() -> None:
    """600 ms are three ticks; an order of the last tick is never executed, and is listed."""
    paths = made([Made(range(6), 6, ["1", "2", "3", "4", "5", "6"])])
    orders = {0: a.Buy("0.4"), 4: a.Sell()}
    rules = a.Rules(min_bet="0.01", max_bet=1, latency_ms=600)
    found = a.backtest(paths, lambda tape, _: orders.get(tape.now), rules=rules, progress=False)
    assert [(entry.kind, entry.tick) for entry in found.entries] == [("buy", 3), ("rug", 6)]
    assert found.refused["reason"].tolist() == ["the game ended before it was executed"]
    assert found.trades[0].opened == 3


def test_positions_and_bets_by_name_and_number() -> None:
    """A strategy reads each of its positions and bets."""
    seen: list[Any] = []

    def two(tape: a.Tape, account: Any) -> Any:
        if tape.now == 0:
            return [a.Buy("0.1"), a.Buy("0.2", position="late"), a.Bet("0.01"), a.Bet("0.02")]
        costs = {name: str(one.cost) for name, one in account.positions.items()}
        seen.append((costs, [str(bet.amount) for bet in account.open_bets]))
        return a.Sell(position="late")

    rules = a.Rules(min_bet="0.01", max_bet=1, bets=2)
    found = a.backtest(made([Made(range(3), 3, ["1"] * 3)]), two, rules=rules, progress=False)
    assert seen == [({"": "0.1", "late": "0.2"}, ["0.01", "0.02"]), ({"": "0.1"}, ["0.01", "0.02"])]
    held = found.trade_table[found.trade_table["kind"] == "position"]
    assert held[["position", "ending"]].to_numpy().tolist() == [["late", "sold"], ["", "rug"]]


@pytest.mark.parametrize("unfinished", ["void", "mark"])
def test_a_trade_says_which_position_it_was(unfinished: str) -> None:
    """Every trade has the name of its position, also those that the rug or the end of a record closes."""
    games = made([Made(range(2), 2, ["1"] * 2), Made(range(2), None, ["1"] * 2), Made(range(2), 2, ["1"] * 2)])
    orders = [a.Buy("0.1", position="one"), a.Buy("0.1"), a.Buy("0.1", position="two"), a.Bet("0.1")]
    rules = a.Rules(balance=10, min_bet="0.01", max_bet=1)
    options: dict[str, Any] = {"rules": rules, "unfinished": unfinished, "progress": False}
    found = a.backtest(games, lambda tape, _: orders if tape.now == 0 else None, **options)
    names = [(trade.game_id, trade.position) for trade in found.trades if trade.kind == "position"]
    assert names == [(game, name) for game in ("g0", "g1", "g2") for name in ("", "one", "two")]
    assert {trade.position for trade in found.trades if trade.kind == "bet"} == {""}


BAD_RULES = [{"bets": 0}, {"slippage": 1}, {"slippage": "-0.1"}, {"latency_ms": -1}, {"latency_ticks": 0.5}]


@pytest.mark.parametrize("options", BAD_RULES)
def test_rules_that_are_none_are_named(options: dict[str, Any]) -> None:
    """Each by its name."""
    with pytest.raises(AnalysisError, match=next(iter(options))):
        a.Rules(**options)


def test_orders_that_wait_for_nothing_are_refused() -> None:
    """A wait without a price, for what is no price, or of what cannot wait."""
    nothing: Any = a.Cancel()
    bad: list[tuple[str, Callable[[], object]]] = [
        ("waits for nothing", lambda: a.When(a.Sell())),
        ("cannot wait", lambda: a.When(nothing, below=1)),
        ("falls=1.5", lambda: a.trailing(1.5)),
        ("below=-1", lambda: a.stop(a.Sell(), -1)),
    ]
    for words, build in bad:
        with pytest.raises(OrderRefused, match=words):
            build()
