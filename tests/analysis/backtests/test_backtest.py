"""The backtest: exact over whatever a store holds, blind to the future, and honest about what it left out."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
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
from replaylab.analysis.backtests.strategies import Aggressive, Conservative, SideBets
from replaylab.analysis.backtests.tape import Tape
from replaylab.analysis.backtests.vectorised import Vectorised
from replaylab.analysis.price_paths.paths import Paths
from replaylab.analysis.price_paths.selection import Selection
from replaylab.errors import AnalysisError, LookAhead, OrderRefused, SegmentDamaged, StrategyError
from tests.analysis.made import Made, made, whole
from tests.stores import line, quiet, simulated
from tests.strategies import prices

GAME = "20310102-0123456789ab4cde"
OTHER = "20310102-1123456789ab4cde"
RULES = Rules(balance=10, min_bet="0.001", max_bet=1)
IDLE: dict[str, Any] = {"active": False, "cooldown_timer": 9900, "phase": "PRESALE"}


def stored(folder: Path, *files: Iterable[bytes]) -> rl.Store:
    """Convert some files of lines, one after another, into a store."""
    for number, lines in enumerate(files):
        (folder / f"{number}.jsonl").write_bytes(b"".join(lines))
        quiet(folder / f"{number}.jsonl", folder / "store")
    return rl.open_store(folder / "store")


def game(recorded: list[str], rug: str | None = "0.01", game_id: str = GAME, first: int = 0) -> list[bytes]:
    """Write the lines of a game with these prices."""
    lines = [line(game_id, first + place, price) for place, price in enumerate(recorded)]
    return lines if rug is None else [*lines, line(game_id, first + len(recorded), rug, rugged=True)]


def run(source: Any, strategy: Any, **options: Any) -> Backtest:
    """Run a backtest without a bar."""
    return backtest(source, strategy, **{"rules": RULES, "progress": False, **options})


def drawn(games: int, seed: int = 1) -> Paths:
    """Simulated games."""
    return Paths.of_arrays(*fair.simulate(games, seed))


def buy_and_hold(tape: Tape, account: Account) -> Order | None:
    """Buy at the first tick, and wait for the rug."""
    return None if account.quantity or len(tape) > 1 else Buy("0.1")


def at(orders: dict[int, Any]) -> Any:
    """Return the strategy that has these orders at these ticks."""
    return lambda tape, _account: orders.get(tape.now)


def test_rug_is_counted(tmp_path: Path) -> None:
    """What is held at the rug goes at the recorded rug price, and nowhere else."""
    found = run(stored(tmp_path, game(["1", "1.25", "4"], rug="0.0125")), buy_and_hold)
    assert [(entry.tick, entry.kind, entry.amount) for entry in found.entries] == [
        (0, "buy", Decimal("-0.1")),
        (3, "rug", Decimal("0.00125")),
    ]
    assert found.balance == Decimal("9.90125")
    assert (found.n_games, found.n_ticks) == (1, 3)


@given(st.lists(prices(), min_size=2, max_size=6))
def test_prices_are_exact(tmp_path_factory: pytest.TempPathFactory, recorded: list[Decimal]) -> None:
    """Profit and loss follow from the decimals as recorded, all 38 digits of them, not from doubles."""
    seen: list[Decimal] = []

    def watch(tape: Tape, account: Account) -> Any:
        seen.append(tape.price)
        return [Sell(), Buy("0.01")] if account.quantity else Buy("0.01")

    folder = tmp_path_factory.mktemp("exact")
    found = run(
        stored(folder, game([format(price, "f") for price in recorded], rug="0.001234567890123456789012")), watch
    )
    assert seen == recorded
    balance, held = Fraction(10), Fraction(0)
    for price in map(Fraction, recorded):
        balance += held * price
        held = Fraction(0)
        if price and balance >= Fraction(1, 100):
            balance, held = balance - Fraction(1, 100), Fraction(1, 100) / price
    balance += held * Fraction("0.001234567890123456789012")
    assert abs(Fraction(found.balance) - balance) <= len(found.entries) * Fraction(1, 10**18)


def test_game_of_several_files_and_swapped_rows(tmp_path: Path) -> None:
    """A game that lies in two segments, doubled and out of order, is seen once, in order, with its own prices."""
    lines = game([f"1.{number:022}1" for number in range(9)])
    store = stored(tmp_path, [lines[1], lines[0], *lines[2:6]], [*lines[4:], *game(["1", "2"], game_id=OTHER)])
    seen: list[tuple[str, int, Decimal]] = []
    run(store, lambda tape, _account: seen.append((tape.game_id, tape.now, tape.price)))
    expected = [(GAME, number, Decimal(f"1.{number:022}1")) for number in range(9)]
    assert sorted(seen) == sorted([*expected, (OTHER, 0, Decimal(1)), (OTHER, 1, Decimal(2))])
    assert len(store.segments()) == 2


def test_no_row_but_live_ones_is_seen(tmp_path: Path) -> None:
    """Idle rows, the rug row, its second broadcast, ticks after it and rows without a price are never shown."""
    lines = [
        line(GAME, 0, "1.0", **IDLE),
        *game(["1", "null", "1.5"]),
        line(GAME, 5, "0.01", rugged=True, phase="RUG_EVENT_1"),
    ]
    seen: list[int] = []
    found = run(stored(tmp_path, lines), lambda tape, _account: seen.append(tape.now))
    assert seen == [0, 2]
    assert found.n_ticks == 2


@pytest.mark.parametrize("rug_tick", [1, 2])
def test_instant_rug(tmp_path: Path, rug_tick: int) -> None:
    """A game that rugs at once takes what was bought at tick 0, and pays the side bet of tick 0."""
    found = run(stored(tmp_path, game(["1"] * rug_tick)), at({0: [Buy("0.1"), Bet("0.1")]}))
    assert [trade.ending for trade in found.trades] == ["rug", "won"]
    assert found.profit == Decimal("-0.099") + Decimal("0.4")


def test_empty_store_gives_nothing(tmp_path: Path) -> None:
    """A store without a game, and a selection that leaves none, give an empty result whose metrics are NaN, not 0."""
    for source, where in (
        (stored(tmp_path, [line(GAME, 0, "1.0", **IDLE)]), None),
        (drawn(3), Selection(min_ticks=10**6)),
    ):
        found = run(source, buy_and_hold, where=where)
        assert [found.n_games, found.n_ticks, found.profit, len(found.equity)] == [0, 0, 0, 1]
        assert found.metrics()["value"].isna()["sharpe"]
        assert found.metrics().loc["games", "value"] == 0
        assert [len(frame) for frame in (found.ledger, found.trade_table, found.refused, found.errors)] == [0, 0, 0, 0]
        with pytest.raises(AnalysisError, match="none could be played"):
            found.ruin()


def test_game_without_a_rug(tmp_path: Path) -> None:
    """A record that ends alive is left out and counted with `skip`; else what is open then comes back at cost."""
    store = stored(tmp_path, [*game(["1", "3"], rug=None), *game(["1", "2"], game_id=OTHER)])
    left = run(store, buy_and_hold, unfinished="skip")
    assert (left.n_games, left.left_out) == (1, 1)
    both = run(store, buy_and_hold, unfinished="void")
    assert (both.n_games, both.left_out) == (2, 0)
    assert sorted(trade.ending for trade in both.trades) == ["rug", "void"]
    assert both.profit == left.profit == Decimal("-0.099")
    assert sorted(both.equity["rugged"].tolist()[1:]) == [False, True]


def test_double_rug_is_left_out(tmp_path: Path) -> None:
    """A game that came back after its rug counts only when asked for, and then ends with the first rug."""
    again = [line(GAME, tick, "0.5") for tick in (5, 6)] + [line(GAME, 7, "0.001", rugged=True)]
    store = stored(tmp_path, [*game(["1", "2"]), *again])
    assert run(store, buy_and_hold).n_games == 0
    asked = run(store, buy_and_hold, where=Selection(double_rug=None))
    assert (asked.n_games, asked.n_ticks, asked.profit) == (1, 2, Decimal("-0.099"))


def test_gap_inside_a_window(tmp_path: Path) -> None:
    """Ticks missing from the window of a bet decide nothing: R does."""
    for rug_tick, ending in ((40, "won"), (41, "lost")):
        folder = tmp_path / ending
        folder.mkdir()
        lines = [line(GAME, 0, "1"), line(GAME, 3, "1.1"), line(GAME, rug_tick, "0.01", rugged=True)]
        (trade,) = run(stored(folder, lines), at({0: Bet("0.1")})).trades
        assert trade.ending == ending


@pytest.mark.parametrize(
    "peek",
    [
        lambda tape: tape[len(tape)],
        lambda tape: tape[tape.now + 1],
        lambda tape: tape[: len(tape) + 1],
        lambda tape: tape[500:501],
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_asking_for_the_future_ends_the_run(peek: Any, *, strict: bool) -> None:
    """A strategy that reads past the newest tick has no result at all."""
    with pytest.raises(LookAhead):
        run(drawn(3), lambda tape, _account: peek(tape), strict=strict)


def test_future_cannot_be_reached() -> None:
    """Whatever hangs on the tape or the account, however deep, holds no price that is still to come."""
    found = drawn(1, seed=4)
    future = {one: place for place, one in reversed(list(enumerate(found.price.tolist())))}

    def search(tape: Tape, account: Account) -> None:
        stack: list[Any] = [tape, account]
        seen: set[int] = set()
        while stack:
            one = stack.pop()
            if id(one) in seen:
                continue
            seen.add(id(one))
            if isinstance(one, np.ndarray):
                later = [value for value in one.tolist() if future.get(value, 0) >= len(tape)]
                assert not later
                stack += [] if one.base is None else [one.base]
            elif isinstance(one, memoryview):
                stack.append(one.obj)
            elif isinstance(one, list | tuple | dict):
                stack += one.values() if isinstance(one, dict) else one
            elif type(one).__module__.startswith("replaylab"):
                slots = [name for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ())]
                stack += [getattr(one, name) for name in slots if hasattr(one, name)]
                stack += vars(one).values() if hasattr(one, "__dict__") else ()

    assert run(found, search).failures == ()


def test_strategy_that_raises_is_a_row() -> None:
    """In a game in which a strategy raises it is asked no more, what it holds runs to the rug, and the others go on."""
    found = drawn(5)
    third = found.game_ids[2]

    def fail(tape: Tape, account: Account) -> Order | None:
        if tape.game_id == third and tape.now == 0:
            return Buy("0.1")
        if tape.game_id == third:
            raise ZeroDivisionError("by zero")
        return buy_and_hold(tape, account)

    done = run(found, fail)
    assert done.errors.to_dict("records") == [{"game_id": third, "tick": 1, "reason": "ZeroDivisionError: by zero"}]
    assert [trade.ending for trade in done.trades] == ["rug"] * 5
    with pytest.raises(StrategyError, match=f"{third}.*tick 1.*by zero") as raised:
        run(found, fail, strict=True)
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    assert (raised.value.game_id, raised.value.tick) == (third, 1)


def test_strategy_that_raises_before_a_game() -> None:
    """A `begin` that raises is a row as well."""

    class Fails:
        def begin(self, game_id: str) -> None:
            raise KeyError(game_id)

        def decide(self, tape: Tape, account: Account) -> Order | None:
            return buy_and_hold(tape, account)

    done = run(drawn(2), Fails)
    assert len(done.errors) == 2
    assert not done.trades


@pytest.mark.parametrize("answer", ["buy", 5, [5], object(), [Buy("0.1"), "sell"], 0, False])
def test_answer_that_is_no_order(answer: Any) -> None:
    """A strategy that answers with what is no order has failed in that game."""
    done = run(drawn(2), at({0: answer}))
    assert len(done.errors) == 2
    assert done.errors["reason"].str.startswith("TypeError").all()


@pytest.mark.parametrize("amount", [float("nan"), "NaN", float("inf"), 11, "0.0001", -1, None])
def test_bad_stakes_are_refused(amount: Any) -> None:
    """A stake that is NaN, too large, too small or missing is refused with its reason; the balance is untouched."""
    done = run(drawn(2), at({0: [Buy(amount), Bet(amount)]}))
    assert len(done.refused) == 4
    assert done.profit == 0
    assert not done.entries
    with pytest.raises(OrderRefused):
        run(drawn(2), at({0: Bet(amount)}), strict=True)


def test_order_larger_than_the_balance() -> None:
    """When the bankroll is spent, further orders are refused and the run goes on."""
    done = run(drawn(30), lambda _tape, _account: Buy(1), rules=Rules(balance="2.5", min_bet="0.001", max_bet=1))
    assert done.refused["reason"].str.contains("more than the balance").any()
    assert 0 <= done.balance < Decimal("2.5")
    assert done.n_games == 30


@pytest.mark.parametrize("strategy", [None, 5, "hold"])
def test_no_strategy_is_refused(strategy: Any) -> None:
    """What cannot decide is an error before anything is played."""
    with pytest.raises(AnalysisError, match="no strategy"):
        run(drawn(1), strategy)


def test_unknown_option_is_refused() -> None:
    """An unknown way to deal with unfinished games is an error."""
    with pytest.raises(AnalysisError, match="unfinished"):
        run(drawn(1), buy_and_hold, unfinished="last")


def test_class_keeps_its_state() -> None:
    """A class is made once; `begin` tells it of each game before the first tick."""

    class Counts:
        def __init__(self) -> None:
            self.games: list[str] = []

        def begin(self, game_id: str) -> None:
            self.games.append(game_id)

        def decide(self, tape: Tape, account: Account) -> None:
            assert self.games[-1] == tape.game_id
            assert account.quantity == 0

    counts = Counts()
    found = drawn(4)
    assert run(found, counts).failures == ()
    assert counts.games == found.game_ids
    assert run(found, Counts).n_games == 4


@pytest.mark.parametrize("strategy", [Conservative, Aggressive, SideBets])
def test_examples_play(strategy: Any, tmp_path: Path) -> None:
    """The example strategies trade and bet on stored games, are refused nothing, and their ledger adds up."""
    recordings = simulated(tmp_path / "recordings", games=6, seed=3)
    quiet(recordings, tmp_path / "store")
    done = run(tmp_path / "store", strategy)
    assert {trade.kind for trade in done.trades} == {"position", "bet"}
    assert done.refused.empty
    assert done.errors.empty
    assert sum(entry.amount for entry in done.entries) == done.profit


def test_examples_do_what_they_say() -> None:
    """Each example buys, sells and bets at the prices and ticks of its description."""
    games = drawn(40, seed=2)
    place = {game_id: number for number, game_id in enumerate(games.game_ids)}
    for strategy, below, gain, loss, first_bet in (
        (Conservative(), 1.5, 0.2, -0.15, 101),
        (Aggressive(), 3.0, 0.5, -0.3, 0),
        (SideBets(), 2.0, 0.3, -9.0, 0),
    ):
        done = run(games, strategy)
        for trade in done.trades:
            tick, price = games.of(place[trade.game_id])
            entry = price[np.searchsorted(tick, trade.opened)]
            if trade.kind == "bet":
                assert trade.opened >= first_bet
                continue
            assert entry < below
            inside = price[(tick > trade.opened) & (tick < trade.closed)] / entry - 1
            assert ((inside <= gain) & (inside >= loss)).all() or strategy.__class__ is SideBets
            if trade.ending == "sold":
                end = price[np.searchsorted(tick, trade.closed)] / entry - 1
                assert end > gain or end < loss or price[np.searchsorted(tick, trade.closed)] > 10


def test_side_bets_meet_theory() -> None:
    """Over 4,000 simulated games a bet at tick 0 wins as often as 1 - 0.995^40 says, and loses 9.2 % of its stake."""
    done = run(drawn(4_000, seed=8), at({0: Bet("0.001")}), rules=Rules(balance=100, min_bet="0.001", max_bet=1))
    won = np.array([trade.ending == "won" for trade in done.trades])
    chance = 1 - 0.995**40
    assert abs(won.mean() - chance) < 2.6 * math.sqrt(chance * (1 - chance) / 4_000)
    assert done.profit == Decimal("0.001") * (5 * int(won.sum()) - 4_000)


def test_frames_say_the_same() -> None:
    """The frames hold what the ledger holds, in exact Decimals; the equity curve goes from the start to the end."""
    done = run(drawn(20), Aggressive)
    assert done.ledger["amount"].tolist() == [entry.amount for entry in done.entries]
    assert done.trade_table["profit"].sum() == done.profit
    assert done.equity["balance"].iloc[[0, -1]].tolist() == [done.start, done.balance]
    assert done.equity["profit"].sum() == done.profit
    assert done.metrics().loc["max_drawdown", "value"] == pytest.approx(done.equity["drawdown"].max())
    assert done.metrics().loc["trades", "value"] == len(done.trades)
    assert done.ruin(resamples=50).n_games == 20
    assert "Backtest(20 games" in done._repr_html_()


def test_sources_agree(tmp_path: Path) -> None:
    """A store, its path, its segments and its paths give the same result, as their prices are shortest doubles."""
    quiet(simulated(tmp_path / "recordings", games=5, seed=6), tmp_path / "store")
    store = rl.open_store(tmp_path / "store")
    sources: list[Any] = [
        store,
        tmp_path / "store",
        str(tmp_path / "store"),
        store.segments(),
        rl.analysis.paths(store),
    ]
    results = [run(source, Aggressive).entries for source in sources]
    assert len(results[0]) > 5
    assert all(one == results[0] for one in results)


@pytest.mark.parametrize(
    "touch",
    [
        lambda tape: tape.push(1, 1000.0),
        lambda tape: tape.floats.base.fill(1000.0),
        lambda tape: setattr(tape, "value", 1000.0),
    ],
)
def test_changed_tape_changes_no_fill(touch: Any) -> None:
    """Whatever a strategy writes on its tape: orders are filled at the recorded price, and ticks count once."""
    source = made([whole(3, ["1", "2", "3"])])

    def touching(tape: Tape, account: Account) -> Order:
        if not account.quantity:
            return Buy("0.1")
        touch(tape)
        return Sell()

    found = run(source, touching)
    assert [entry.amount for entry in found.entries][1] == Decimal("0.2")
    assert found.n_ticks == found.played.ticks[0] == 3


@pytest.mark.parametrize("answer", ["", b"", {}, {Buy("0.1"): 1}])
def test_empty_text_or_mapping_is_no_answer(answer: Any) -> None:
    """A text or a mapping is no list of orders, even where it is empty: it is noted, not passed over."""
    found = run(made([whole(3)]), lambda _tape, _account: answer)
    assert [(failure.tick, "is no order" in failure.reason) for failure in found.failures] == [(0, True)]
    assert not found.entries


def test_class_that_needs_arguments_is_refused() -> None:
    """A class that cannot be called without arguments is told by an error of this package."""

    class Needs:
        def __init__(self, stake: str) -> None:
            self.stake = stake

        def decide(self, _tape: Tape, _account: Account) -> Order:
            return Buy(self.stake)

    with pytest.raises(AnalysisError, match="without arguments"):
        run(made([whole(3)]), Needs)
    assert run(made([whole(3)]), Needs("0.1")).entries


def test_live_tick_without_a_price_lets_time_go_on() -> None:
    """A live tick without a price shows nothing and trades nothing, but a side bet whose window ends there is lost."""
    complete = made([Made(range(3))])
    source = replace(complete, price=np.array([1.25, 1.25, np.nan]))
    rules = Rules(balance=10, min_bet="0.001", max_bet=1, window=2)
    by_tick = run(source, at({0: Bet("0.1")}), rules=rules, unfinished="void")
    at_once = run(source, Vectorised(lambda _: {Bet("0.1"): [0]}), rules=rules, unfinished="void")
    assert [(trade.ending, trade.closed) for trade in by_tick.trades] == [("lost", 2)]
    assert (by_tick.trades, by_tick.entries, by_tick.played) == (at_once.trades, at_once.entries, at_once.played)


def test_damaged_segment_raises(tmp_path: Path) -> None:
    """Where one of two files of a game cannot be read, it is not played; the games of chosen segments are."""
    whole_game = game(["1", "2", "3", "4"])
    stored(tmp_path, [*whole_game[:2], *game(["1", "3"], game_id=OTHER)], whole_game[2:])
    for file in (tmp_path / "store" / "segments").iterdir():
        if OTHER not in file.name:
            content = bytearray(file.read_bytes())
            content[30] ^= 255  # in the first page; the footer stays whole
            file.write_bytes(content)
    store = rl.open_store(tmp_path / "store")
    with pytest.raises(SegmentDamaged):
        run(store, at({0: Buy("0.1"), 1: Sell()}), unfinished="void")
    good = [segment for segment in store.segments() if OTHER in segment.name]
    found = run(good, at({0: Buy("0.1"), 1: Sell()}), unfinished="void")
    assert (OTHER, Decimal("0.3")) in [(trade.game_id, trade.returned) for trade in found.trades]


def test_the_best_and_the_worst_games_are_named() -> None:
    """By their exact profit, equal ones in the order played; games without a trade are neither."""

    def once(tape: Tape, account: Account) -> Order | None:
        if tape.game_id == "g2" or tape.now > 1:
            return None
        return Sell() if account.quantity else Buy("0.1")

    found = run(made([whole(9, ["1", up, *["1"] * 7]) for up in ("1.5", "0.5", "9", "2", "1.5")]), once)
    assert found.best(2) == ["g3", "g0"]
    assert found.best(9) == ["g3", "g0", "g4", "g1"]
    assert found.worst() == ["g1"]
    with pytest.raises(AnalysisError, match="n"):
        found.best(0)
