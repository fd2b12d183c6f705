"""The account: money is conserved to the last digit, side bets follow the rule to the tick, and no order is clipped."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from replaylab.analysis.backtests.account import Account, Rules
from replaylab.analysis.backtests.ledger import QUANTUM
from replaylab.analysis.backtests.orders import Bet, Buy, Order, Sell
from replaylab.errors import AnalysisError, OrderRefused

LIMITS: dict[str, Any] = {"min_bet": "0.001", "max_bet": "1"}
ONE = Decimal(1)


def account(**rules: Any) -> Account:
    """Return an account that has begun a game."""
    made = Account(Rules(**{**LIMITS, "balance": 1, **rules}))
    made.open("g")
    return made


def orders() -> st.SearchStrategy[Order]:
    """Orders of any kind: most of them allowed, some too large, too small or no number."""
    amounts = st.one_of(
        st.decimals(Decimal("0.001"), Decimal("0.3"), places=6),
        st.floats(0, 2, allow_nan=False),
        st.sampled_from(["0.1", "NaN", "inf", "-1", "0", "x", True]),
    )
    shares = st.one_of(
        st.just(1), st.decimals(Decimal("0.01"), ONE, places=3), st.sampled_from([0, 2, "NaN", "0.3333"])
    )
    return st.one_of(amounts.map(Buy), shares.map(Sell), amounts.map(Bet))  # type: ignore[arg-type]


def games() -> st.SearchStrategy[list[tuple[list[tuple[Decimal, list[Order]]], Decimal | None]]]:
    """Games: at each tick a price and some orders; at the end a rug price, or None where the record ends."""
    price = st.decimals(Decimal("1E-6"), Decimal(900), places=20)
    ticks = st.lists(st.tuples(price, st.lists(orders(), max_size=3)), min_size=1, max_size=12)
    rug = st.one_of(st.none(), st.decimals(Decimal(0), Decimal("0.02"), places=24))
    return st.lists(st.tuples(ticks, rug), min_size=1, max_size=4)


def play(played: Account, ticks: list[tuple[Decimal, list[Order]]], rug: Decimal | None, number: int) -> None:
    """Play one game: five ticks from one order to the next."""
    played.open(f"g{number}")
    tick = 0
    for place, (price, asked) in enumerate(ticks):
        tick = 5 * place
        played.live(tick)
        for order in asked:
            played.execute(order, tick, price)
    if rug is None:
        played.void()
    else:
        played.rug(tick + 5, rug)


@given(games(), st.sampled_from(["0", "0.01", "0.3333"]), st.integers(0, 6))
def test_money_is_conserved(many: list[Any], commission: str, cooldown: int) -> None:
    """The ledger's amounts and the profits of all trades each sum to balance less start, exactly; nothing is owed."""
    played = Account(Rules(**LIMITS, balance="2.5", commission=commission, window=10, cooldown=cooldown))
    for number, (ticks, rug) in enumerate(many):
        play(played, ticks, rug, number)
    book = played.ledger
    change = Fraction(book.balance) - Fraction(book.start)
    assert sum((Fraction(entry.amount) for entry in book.entries), Fraction(0)) == change
    assert sum((Fraction(trade.profit) for trade in book.trades), Fraction(0)) == change
    assert Fraction(book.total()) == change
    running = Fraction(book.start)
    for entry in book.entries:
        running += Fraction(entry.amount)
        assert Fraction(entry.balance) == running
        assert running >= 0


@given(games(), st.sampled_from([Fraction(0), Fraction(1, 100), Fraction(1, 8)]))
def test_agrees_with_fractions(many: list[Any], commission: Fraction) -> None:
    """Every balance is that of the same game in exact fractions, but for one rounding to the quantum an entry."""
    played = Account(Rules(**LIMITS, balance="2.5", commission=str(float(commission)), window=10))
    exact = Slow(Fraction(5, 2), commission, window=10)
    for number, (ticks, rug) in enumerate(many):
        play(played, ticks, rug, number)
        exact.play(ticks, rug)
        assert abs(Fraction(played.balance) - exact.balance) <= len(played.ledger.entries) * Fraction(QUANTUM)


class Slow:
    """The same rules in fractions, sharing no code: an order that is not allowed does nothing."""

    def __init__(self, balance: Fraction, commission: Fraction, window: int) -> None:
        self.balance, self.commission, self.window = balance, commission, window

    def play(self, ticks: list[tuple[Decimal, list[Order]]], rug: Decimal | None) -> None:
        """Play one game, five ticks from one order to the next."""
        self.held = self.cost = self.staked = Fraction(0)
        self.since = 0
        for place, (price, asked) in enumerate(ticks):
            if 5 * place >= self.since + self.window:
                self.staked = Fraction(0)
            for order in asked:
                self.trade(order, Fraction(price), 5 * place)
        if rug is None:
            self.balance += self.cost + self.staked
        else:
            self.balance += self.held * Fraction(rug)
            self.balance += 5 * self.staked * (5 * len(ticks) - self.since <= self.window)

    def trade(self, order: Order, price: Fraction, tick: int) -> None:
        """Carry out an order, or leave it."""
        asked = number(order.share if isinstance(order, Sell) else order.amount)
        if asked is None or asked <= 0 or asked > 1:
            return
        if isinstance(order, Sell):
            self.balance += self.held * asked * price * (1 - self.commission)
            self.held, self.cost = self.held * (1 - asked), self.cost * (1 - asked)
        elif asked < Fraction(1, 1000):
            return
        elif isinstance(order, Buy) and asked * (1 + self.commission) <= self.balance:
            self.balance -= asked * (1 + self.commission)
            self.held, self.cost = self.held + asked / price, self.cost + asked
        elif isinstance(order, Bet) and not self.staked and asked <= self.balance:
            self.balance -= asked
            self.staked, self.since = asked, tick


def number(value: Any) -> Fraction | None:
    """Read an amount; a float by its shortest text."""
    try:
        return None if isinstance(value, bool) else Fraction(str(value))
    except ValueError:
        return None


@pytest.mark.parametrize("start", [0, 3, 160])
@pytest.mark.parametrize(("distance", "wins"), [(1, True), (39, True), (40, True), (41, False), (300, False)])
def test_bet_wins_within_the_window(start: int, distance: int, *, wins: bool) -> None:
    """A bet wins if and only if R - start is at most 40, and then returns five times the stake."""
    played = account()
    assert played.execute(Bet("0.1"), start, ONE) is None
    for tick in range(start + 1, start + distance):
        played.live(tick)
    played.rug(start + distance, Decimal("0.01"))
    assert played.balance == (Decimal("1.4") if wins else Decimal("0.9"))
    (trade,) = played.ledger.trades
    assert (trade.ending, trade.opened, trade.closed) == (
        ("won", start, start + distance) if wins else ("lost", start, start + 40)
    )


def test_bet_across_a_gap_has_lost() -> None:
    """When the ticks of a window are missing, R still decides."""
    played = account()
    played.execute(Bet("0.1"), 5, ONE)
    played.rug(46, None)
    assert played.ledger.trades[0].ending == "lost"


@pytest.mark.parametrize("cooldown", [0, 5])
def test_next_bet_waits(cooldown: int) -> None:
    """The next bet may be placed 40 ticks after the one before, as the server does, and a cooldown later else."""
    played = account(cooldown=cooldown)
    assert played.execute(Bet("0.01"), 10, ONE) is None
    for tick in range(11, 51 + cooldown):
        played.live(tick)
        reason = played.execute(Bet("0.01"), tick, ONE) if not played.may_bet(tick) else "may"
        assert (reason == "may") == (tick >= 50 + cooldown)
    assert played.execute(Bet("0.01"), 50 + cooldown, ONE) is None


def test_price_of_entry_is_weighted() -> None:
    """What is held is amount over price, so the entry price of several buys is what was paid over what is held."""
    played = account()
    played.execute(Buy("0.1"), 0, Decimal(1))
    played.execute(Buy("0.1"), 1, Decimal(2))
    assert played.quantity == Decimal("0.15")
    assert played.entry_price is not None
    assert abs(played.entry_price - Decimal(4) / 3) < Decimal("1E-25")
    played.execute(Sell("0.5"), 2, Decimal(2))
    assert (played.cost, played.quantity, played.balance) == (Decimal("0.1"), Decimal("0.075"), Decimal("0.95"))
    played.execute(Sell(), 3, Decimal(4))
    assert [played.quantity, played.cost, played.entry_price] == [0, 0, None]
    assert played.balance == Decimal("1.25")
    (trade,) = played.ledger.trades
    assert (trade.profit, trade.paid, trade.ending) == (Decimal("0.25"), Decimal("0.2"), "sold")


def test_commission_is_paid_both_ways() -> None:
    """A buy costs a share of the amount, a sale a share of the proceeds; a bet and the rug cost nothing."""
    played = account(commission="0.01")
    played.execute(Buy("0.1"), 0, Decimal(1))
    played.execute(Sell("0.5"), 1, Decimal(2))
    played.execute(Bet("0.1"), 1, Decimal(2))
    played.rug(2, Decimal("0.02"))
    kinds = [(entry.kind, entry.amount.normalize()) for entry in played.ledger.entries]
    assert kinds == [
        ("buy", Decimal("-0.1")),
        ("commission", Decimal("-0.001")),
        ("sell", Decimal("0.1")),
        ("commission", Decimal("-0.001")),
        ("bet", Decimal("-0.1")),
        ("rug", Decimal("0.001")),
        ("won", Decimal("0.5")),
    ]


def test_unfinished_game_returns_the_cost() -> None:
    """A record that ends alive says nothing about a position or a bet: both come back at cost, commission does not."""
    played = account(commission="0.01")
    played.execute(Buy("0.1"), 0, Decimal(1))
    played.execute(Bet("0.2"), 0, Decimal(1))
    played.void()
    assert played.balance == Decimal("0.999")
    assert [trade.ending for trade in played.ledger.trades] == ["void", "void"]


def test_rug_without_a_price_takes_all() -> None:
    """Where no rug price was recorded, what is held is gone."""
    played = account()
    played.execute(Buy("0.1"), 0, Decimal(1))
    played.rug(9, None)
    assert played.balance == Decimal("0.9")


NOT_ALLOWED = [
    (Buy("NaN"), "no finite number"),
    (Buy(float("nan")), "no finite number"),
    (Buy(float("inf")), "no finite number"),
    (Buy(True), "no finite number"),
    (Buy("much"), "no finite number"),
    (Buy(None), "no finite number"),  # type: ignore[arg-type]
    (Buy(0), "outside the limits"),
    (Buy(-1), "outside the limits"),
    (Buy("0.0009"), "outside the limits"),
    (Buy("1.0001"), "outside the limits"),
    (Buy("0.6"), "more than the balance"),
    (Bet("0.6"), "more than the balance"),
    (Bet(float("nan")), "no finite number"),
    (Bet("2"), "outside the limits"),
    (Sell(), "nothing is held"),
    (Sell(0), "more than 0"),
    (Sell("1.5"), "more than 0"),
    (Sell(float("nan")), "no finite number"),
]


@pytest.mark.parametrize(("order", "reason"), NOT_ALLOWED)
def test_order_is_refused_whole(order: Order, reason: str) -> None:
    """An order that is not allowed is noted with its reason and changes nothing; it is never made smaller."""
    played = account(balance="0.5")
    given_reason = played.execute(order, 3, ONE)
    assert given_reason is not None
    assert reason in given_reason
    assert [played.balance, played.quantity] == [Decimal("0.5"), 0]
    assert played.bet is None
    assert not played.ledger.entries
    (refusal,) = played.ledger.refused
    assert (refusal.game_id, refusal.tick, refusal.order) == ("g", 3, repr(order))


@pytest.mark.parametrize(("order", "reason"), NOT_ALLOWED)
def test_strict_account_raises(order: Order, reason: str) -> None:
    """A strict account raises instead, and says in which game and at which tick."""
    played = Account(Rules(**LIMITS, balance="0.5"), strict=True)
    played.open("g")
    with pytest.raises(OrderRefused, match=f"(?s)game 'g', tick 3: .*{reason}"):
        played.execute(order, 3, ONE)


def test_commission_counts_against_the_balance() -> None:
    """All of the balance cannot be spent when a commission comes on top."""
    assert account(commission="0.01").execute(Buy(1), 0, ONE) is not None
    assert account(commission="0").execute(Buy(1), 0, ONE) is None


def test_nothing_is_bought_for_nothing() -> None:
    """At a price of 0 a quantity would be endless: refused."""
    assert account().execute(Buy("0.1"), 0, Decimal(0)) is not None


def test_second_bet_is_refused() -> None:
    """Only one side bet is open at a time."""
    played = account()
    played.execute(Bet("0.1"), 0, ONE)
    assert "still open" in str(played.execute(Bet("0.1"), 1, ONE))


def test_no_order_is_a_type_error() -> None:
    """What is no order is not guessed at."""
    with pytest.raises(TypeError, match="no order"):
        account().execute("buy", 0, ONE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "wrong",
    [
        {"balance": 0},
        {"balance": "NaN"},
        {"balance": -1},
        {"min_bet": 0},
        {"min_bet": "2"},
        {"commission": 1},
        {"commission": "-0.1"},
        {"commission": float("nan")},
        {"window": 0},
        {"window": 1.5},
        {"pays": 0},
        {"cooldown": -1},
    ],
)
def test_rules_out_of_bounds_are_refused(wrong: dict[str, Any]) -> None:
    """Rules that make no sense are an error before anything is played."""
    with pytest.raises(AnalysisError):
        Rules(**{**LIMITS, **wrong})


def test_limits_come_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without limits of their own, rules take those of the settings."""
    from replaylab.settings import current

    current.cache_clear()
    monkeypatch.setenv("REPLAYLAB_MAX_BET", "7.5")
    try:
        assert (Rules().min_bet, Rules().max_bet) == (Decimal("0.001"), Decimal("7.5"))
    finally:
        current.cache_clear()


@pytest.mark.parametrize("order", [Buy("0.1" + "1" * 80), Bet("0.1" + "1" * 80), Buy(Decimal("1E-41")), Bet("1E15")])
def test_amounts_of_too_many_digits_are_refused(order: Order) -> None:
    """An amount that no exact sum can hold is refused, as one is that a float could not tell."""
    house = Account(Rules(balance=1, min_bet="1E-40", max_bet="9E14"))
    assert "round it" in str(house.execute(order, 0, Decimal("1.25")))
    assert house.balance == 1


@pytest.mark.parametrize("name", ["balance", "min_bet", "max_bet", "pays", "commission"])
def test_rules_of_too_many_digits_are_refused(name: str) -> None:
    """So is a rule."""
    with pytest.raises(AnalysisError, match=name):
        Rules(**{**LIMITS, name: "0.1" + "1" * 80})


@given(
    st.lists(st.decimals("1E-40", 1, allow_nan=False), min_size=1, max_size=6),
    st.decimals("1E-10", 9, allow_nan=False, places=24),
    st.decimals("0.01", 9, allow_nan=False, places=20),
)
@example([Decimal("1.0000000000000000000000000001E-12")], Decimal("1E-10"), Decimal("0.01"))  # a minus rounds to 28
def test_sums_are_exact_whatever_the_digits(stakes: list[Decimal], price: Decimal, pays: Decimal) -> None:
    """Of all amounts that are taken: trades, movements and balance agree as fractions, with no digit lost."""
    house = Account(Rules(balance="9E14", min_bet="1E-40", max_bet=1, pays=pays, window=2))
    for stake in stakes:
        house.open("g")
        house.execute(Buy(stake), 0, price)
        house.execute(Bet(stake), 0, price)
        house.execute(Sell("0." + "9" * 40), 1, price)
        house.rug(2, Decimal("0.02"))
    profit = Fraction(house.balance) - Fraction(house.ledger.start)
    assert sum(Fraction(entry.amount) for entry in house.ledger.entries) == profit
    assert sum(Fraction(trade.profit) for trade in house.ledger.trades) == profit
    assert not house.quantity


@pytest.mark.parametrize("rules", [{"balance": 1}, 1, None])
def test_rules_of_another_type_are_refused(rules: Any) -> None:
    """What is no `Rules` is an error that says what to give."""
    with pytest.raises(AnalysisError, match="pass `Rules`"):
        Account(rules)


def plain(amount: Decimal) -> str:
    """Return an amount without the zeros at its end."""
    return str(amount.normalize())


def movements(played: Account) -> list[tuple[str, int, str, str]]:
    """Return game, tick, kind and amount of every movement."""
    return [(one.game_id, one.tick, one.kind, plain(one.amount)) for one in played.ledger.entries]


def trades(played: Account) -> list[tuple[str, int, int, str, str, str, str]]:
    """Return kind, both ticks, what was paid and returned, ending and position of every trade."""
    return [
        (one.kind, one.opened, one.closed, plain(one.paid), plain(one.returned), one.ending, one.position)
        for one in played.ledger.trades
    ]


def test_a_game_by_hand() -> None:
    """Every movement and trade of a game with commission and slippage, checked against figures worked out by hand."""
    played = account(commission="0.1", slippage="0.25", pays=4, window=3)
    assert played.execute(Buy("0.2"), 1, Decimal("1.6")) is None  # at 2, so 0.1 are held
    assert (played.quantity, played.cost, played.entry_price) == (Decimal("0.1"), Decimal("0.2"), Decimal(2))
    assert played.execute(Bet("0.1"), 2, ONE) is None
    assert played.execute(Sell("0.5"), 3, Decimal(4)) is None  # at 3, so 0.05 bring 0.15
    assert (played.quantity, played.cost, played.entry_price) == (Decimal("0.05"), Decimal("0.1"), Decimal(2))
    played.live(4)
    assert played.open_bets == [(2, Decimal("0.1"))]
    played.rug(5, Decimal("0.02"))
    assert movements(played) == [
        ("g", 1, "buy", "-0.2"),
        ("g", 1, "commission", "-0.02"),
        ("g", 2, "bet", "-0.1"),
        ("g", 3, "sell", "0.15"),
        ("g", 3, "commission", "-0.015"),
        ("g", 5, "rug", "0.001"),
        ("g", 5, "won", "0.4"),
    ]
    assert trades(played) == [
        ("position", 1, 5, "0.235", "0.151", "rug", ""),
        ("bet", 2, 5, "0.1", "0.4", "won", ""),
    ]
    assert played.balance == Decimal("1.216")
    assert (played.bet or played.entry_price) is None
    assert not played.open_bets
    assert not played.quantity


def test_positions_by_name_by_hand() -> None:
    """Each position has its own quantity, cost, ticks and end; the one without a name is not touched by the others."""
    played = account()
    for order, tick, price in (
        (Buy("0.1"), 1, "1"),
        (Buy("0.2", position="x"), 2, "2"),
        (Buy("0.3", position="y"), 3, "3"),
    ):
        assert played.execute(order, tick, Decimal(price)) is None
    assert {name: tuple(one) for name, one in played.positions.items()} == {
        "": (Decimal("0.1"), Decimal("0.1"), Decimal(1)),
        "x": (Decimal("0.1"), Decimal("0.2"), Decimal(2)),
        "y": (Decimal("0.1"), Decimal("0.3"), Decimal(3)),
    }
    assert [played.held(name) for name in ("", "x", "y", "z")] == [True, True, True, False]
    assert played.execute(Sell(position="x"), 4, Decimal(5)) is None
    assert played.execute(Sell(position="x"), 5, Decimal(5)) == "nothing is held that could be sold"
    assert (played.held("x"), sorted(played.positions), played.quantity) == (False, ["", "y"], Decimal("0.1"))
    assert played.execute(Buy("0.1", position="x"), 6, ONE) is None
    played.rug(9, Decimal("0.01"))
    assert trades(played) == [
        ("position", 2, 4, "0.2", "0.5", "sold", "x"),
        ("position", 1, 9, "0.1", "0.001", "rug", ""),
        ("position", 3, 9, "0.3", "0.001", "rug", "y"),
        ("position", 6, 9, "0.1", "0.001", "rug", "x"),
    ]
    assert (played.positions, played.held()) == ({}, False)
    played.open("h")
    played.execute(Buy("0.1"), 1, ONE)
    played.void(Decimal(2))
    assert trades(played)[-1] == ("position", 1, 1, "0.1", "0.2", "mark", "")


@pytest.mark.parametrize(("price", "ending", "returned"), [(None, "void", "0.2"), (Decimal(3), "mark", "0.3")])
def test_a_game_without_a_rug_by_hand(price: Decimal | None, ending: str, returned: str) -> None:
    """Positions come back at cost or at a price, named ones too, and bets at cost, at the last tick."""
    played = account(bets=2)
    for order in (Buy("0.2"), Buy("0.2", position="x"), Bet("0.1"), Bet("0.1")):
        assert played.execute(order, 4, Decimal(2)) is None
    played.live(7)
    played.void(price)
    assert trades(played) == [
        ("position", 4, 7, "0.2", returned, ending, ""),
        ("position", 4, 7, "0.2", returned, ending, "x"),
        ("bet", 4, 7, "0.1", "0.1", "void", ""),
        ("bet", 4, 7, "0.1", "0.1", "void", ""),
    ]
    assert (played.positions, played.open_bets, played.bet) == ({}, [], None)
    assert [one[:3] for one in movements(played)][-4:] == [("g", 7, kind) for kind in (ending, ending, "void", "void")]
    assert {trade.game_id for trade in played.ledger.trades} == {"g"}


def test_stakes_are_limited_by_the_settings_unless_said() -> None:
    """The least and the most of a bet are those of this process."""
    from replaylab.settings import current

    assert (Rules().min_bet, Rules().max_bet) == (current().min_bet, current().max_bet)
    assert Rules(max_bet=3).max_bet == 3


@pytest.mark.parametrize("name", ["window", "bets", "min_bet", "max_bet"])
def test_a_rule_that_is_none_is_named(name: str) -> None:
    """The message begins with the rule that is wrong."""
    with pytest.raises(AnalysisError, match=rf"^{name}="):
        Rules(**{name: 0})


def test_several_bets_by_hand() -> None:
    """So many may be open; each is lost at the end of its own window, and its place is free a cooldown later."""
    played = account(bets=2, window=5, cooldown=3)
    assert [played.execute(Bet("0.1"), tick, ONE) for tick in (0, 2)] == [None, None]
    assert played.execute(Bet("0.1"), 3, ONE) == "2 side bets are still open"
    assert (played.bet, played.may_bet(4)) == ((0, Decimal("0.1")), False)
    played.live(4)
    assert len(played.open_bets) == 2
    played.live(5)
    assert (played.open_bets, played.bet) == ([(2, Decimal("0.1"))], (2, Decimal("0.1")))
    assert played.execute(Bet("0.1"), 7, ONE) == "the next side bet may be placed at tick 8"
    assert (played.may_bet(7), played.may_bet(8)) == (False, True)
    played.live(8)
    assert played.execute(Bet("0.1"), 8, ONE) is None
    assert played.open_bets == [(8, Decimal("0.1"))]
    played.rug(14, None)
    assert trades(played) == [
        ("bet", 0, 5, "0.1", "0", "lost", ""),
        ("bet", 2, 7, "0.1", "0", "lost", ""),
        ("bet", 8, 13, "0.1", "0", "lost", ""),
    ]
    played.open("h")
    assert played.may_bet(0)


def test_refusals_are_noted() -> None:
    """Game, tick, order and reason of each; only what the balance does not cover is marked as that."""
    played = account(balance="0.3")
    assert played.execute(Bet("0.2"), 0, ONE) is None
    asked: list[tuple[Order, int]] = [
        (Buy("0.2"), 1),
        (Buy("2"), 2),
        (Bet("0.05"), 3),
        (Sell(), 4),
        (Sell(2), 5),
        (Sell(0), 6),
        (Buy("0.05"), 7),
    ]
    said = [played.execute(order, tick, Decimal(0)) for order, tick in asked]
    assert said == [
        "amount=0.2 is more than the balance of 0.1",
        "amount=2 lies outside the limits 0.001 to 1",
        "a side bet of tick 0 is still open",
        "nothing is held that could be sold",
        "share=2: pass more than 0, up to 1",
        "share=0: pass more than 0, up to 1",
        "nothing can be bought at a price of 0",
    ]
    played.refuse(Buy("0.05"), 8, "the game is over")
    noted = [(one.game_id, one.tick, one.order, one.reason, one.unaffordable) for one in played.ledger.refused]
    assert noted == [
        *(("g", tick, repr(order), why, tick == 1) for (order, tick), why in zip(asked, said, strict=True)),
        ("g", 8, repr(Buy("0.05")), "the game is over", False),
    ]
    assert len(played.ledger.entries) == 1


def test_limits_themselves_are_allowed() -> None:
    """The least amount, the greatest, all of the balance with its commission, and all of what is held."""
    played = account(balance="1.1", commission="0.1", min_bet="0.5", max_bet=1)
    assert played.execute(Bet("0.499"), 0, ONE) is not None
    assert played.execute(Buy("1"), 0, ONE) is None
    assert played.balance == 0
    assert played.execute(Sell(1), 1, ONE) is None
    assert played.balance == Decimal("0.9")
    said = played.execute(Buy("0.85"), 2, ONE)
    assert said == "amount=0.85 and a commission of 0.1 of it is more than the balance of 0.900000000000000000"


def test_an_amount_that_is_none_is_named_after_what_it_is() -> None:
    """The reason says whether it is an amount or a share."""
    assert str(account().execute(Buy("x"), 0, ONE)).startswith("amount='x'")
    played = account()
    played.execute(Buy("0.1"), 0, ONE)
    assert str(played.execute(Sell("x"), 0, ONE)).startswith("share='x'")


def test_bounds_of_rules() -> None:
    """The least and greatest values that are rules, those beyond them, and latency in ticks of 250 ms, rounded up."""
    rules = Rules(**LIMITS, window=1, bets=1_000, commission=0, slippage="0.999", cooldown=0)
    assert (rules.balance, rules.pays, rules.latency, Rules(**LIMITS).window) == (1, 5, 0, 40)
    assert (Rules(**LIMITS).bets, Rules(**LIMITS).cooldown, Rules(**LIMITS).slippage) == (1, 0, 0)
    assert Rules(min_bet=1, max_bet=1).min_bet == 1
    for ticks, ms, latency in ((2, 0, 2), (0, 1, 1), (0, 250, 1), (1, 251, 3)):
        assert Rules(**LIMITS, latency_ticks=ticks, latency_ms=ms).latency == latency
    beyond = {
        "bets": 1_001,
        "slippage": 1,
        "latency_ticks": -1,
        "latency_ms": -1,
        "cooldown": -1,
        "window": 0,
        "commission": 1,
    }
    for name, value in beyond.items():
        with pytest.raises(AnalysisError, match=name):
            Rules(**LIMITS, **{name: value})
    with pytest.raises(AnalysisError, match="max_bet=1 lies below min_bet=2"):
        Rules(min_bet=2, max_bet=1)


def test_a_strict_account_says_where() -> None:
    """The error names game and tick, and nothing is noted besides."""
    played = Account(Rules(**LIMITS), strict=True)
    played.open("g")
    with pytest.raises(OrderRefused, match=r"^game 'g', tick 3: nothing is held that could be sold$"):
        played.execute(Sell(), 3, ONE)
    assert played.ledger.refused == []
