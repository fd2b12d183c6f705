"""The trades of a strategy in a player: rows, exact profits, spans, and what may not be known yet."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import replaylab as rl
from replaylab import analysis
from replaylab.analysis.backtests.orders import Bet, Buy, Sell
from replaylab.errors import Unplayable
from replaylab.playback.timeline import Timeline
from replaylab.widgets.trades import Trades
from tests.widgets.pages import Make, game


def deal(**changes: Any) -> dict[str, Any]:
    """A position from tick 3 to tick 9."""
    usual = {"game_id": "g", "kind": "position", "opened": 3, "closed": 9, "paid": "0.1", "returned": "0.25"}
    return usual | changes


@pytest.fixture
def store(tmp_path: Path) -> rl.Store:
    """A few games."""
    rl.simulate(tmp_path / "recordings", games=6, seed=3)
    rl.convert(tmp_path / "recordings", tmp_path / "store", progress=False)
    found = rl.open_store(tmp_path / "store")
    assert isinstance(found, rl.Store)
    return found


def strategy(tape: Any, account: Any) -> Any:
    """Buy twice, sell half, then all; and bet."""
    tick = tape[-1].tick
    orders: list[Any] = []
    if tick in {2, 4}:
        orders.append(Buy("0.02"))
    if tick in {6, 9} and account.quantity:
        orders.append(Sell("0.5" if tick == 6 else 1))
    if tick == 5 and account.may_bet(tick):
        orders.append(Bet("0.01"))
    return orders


def test_the_profit_at_the_end_is_that_of_the_backtest(store: rl.Store) -> None:
    """In every game the last step is the exact sum of what the backtest moved there, and nothing is held."""
    found = analysis.backtest(store, strategy, progress=False)
    trades = Trades(found)
    assert len(trades) == len(found.trades) > 0
    for one in store:
        moved = sum((entry.amount for entry in found.entries if entry.game_id == one.id), Decimal(0))
        seen = trades.of_game(Timeline.of(one))
        if not seen["profit"]:
            assert not moved
            continue
        assert Decimal(seen["profit"][-1]["cash"]) == moved
        assert seen["profit"][-1]["held"] == 0
        assert [fill["side"] for fill in seen["fills"]][:2] == ["in", "in"][: len(seen["fills"])]


def test_fills_stand_at_their_ticks_and_bets_are_spans(store: rl.Store) -> None:
    """An entry is the row of its tick, and a bet reaches from where it was placed to where it ended."""
    found = analysis.backtest(store, strategy, progress=False)
    trades = Trades(found)
    spans = 0
    for one in store:
        line = Timeline.of(one)
        seen = trades.of_game(line)
        ticks = [int(line.tick[fill["row"]]) for fill in seen["fills"] if fill["side"] == "in"]
        assert ticks == [entry.tick for entry in found.entries if entry.game_id == one.id and entry.kind == "buy"]
        bets = [trade for trade in found.trades if trade.game_id == one.id and trade.kind == "bet"]
        drawn = [span for span in seen["trades"] if span["kind"] == "bet"]
        assert [int(line.tick[span["open"]]) for span in drawn] == [bet.opened for bet in bets]
        assert [Decimal(span["profit"]) for span in drawn] == [bet.profit for bet in bets]
        spans += len(drawn)
    assert spans


@given(st.integers(0, 12), st.integers(0, 12), st.integers(0, 13))
def test_nothing_of_later_is_known_before(opened: int, length: int, stop: int) -> None:
    """What a page gets up to a row is the same whatever happens after it."""
    line = Timeline.of(game(30))
    closed = opened + length
    early = Trades([deal(opened=opened, closed=closed, returned="0.25")]).of_game(line, stop)
    other = Trades(
        [deal(opened=opened, closed=closed if closed < stop else 29, returned="0.25" if closed < stop else "9")]
    )
    assert early == other.of_game(line, stop)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (3, "these are no trades"),
        ("trades.csv", "these are no trades"),
        ([{"game_id": "g"}], "trades[0]: no kind, opened, closed, paid, returned"),
        ([deal(paid="much")], "must be numbers"),
        ([deal(paid="NaN")], "kind='position', paid=NaN"),
        ([deal(), deal(kind="option")], "trades[1]: kind='option'"),
    ],
)
def test_what_is_no_trade_is_refused_by_name(source: object, words: str) -> None:
    """The message says which trade, which field, and what to pass."""
    with pytest.raises(Unplayable) as caught:
        rl.play(game(20), trades=source)
    assert words in str(caught.value)
    assert "pass a Backtest" in str(caught.value)


def test_a_table_of_trades_will_do(store: rl.Store) -> None:
    """The trade table of a backtest, or a part of it, tells the same spans; one that lacks a column says so."""
    found = analysis.backtest(store, strategy, progress=False)
    one = next(one for one in store if one.id == found.trades[0].game_id)
    line = Timeline.of(one)
    assert Trades(found.trade_table).of_game(line)["trades"] == Trades(found).of_game(line)["trades"]
    with pytest.raises(Unplayable, match="no column paid"):
        Trades(found.trade_table.drop(columns="paid"))


def test_a_tick_that_is_missing_is_the_one_before() -> None:
    """A bet whose window ends where no tick was received ends at the last row before it; elsewhere is nowhere."""
    ticks = [tick for tick in game(30) if not 8 <= tick.tick < 12]
    line = Timeline.of(ticks)
    seen = Trades([deal(closed=10), deal(opened=25, closed=99, kind="bet")]).of_game(line)
    assert [(span["open"], span["close"]) for span in seen["trades"]] == [(3, 7), (21, 25)]
    nothing: dict[str, Any] = {"trades": [], "fills": [], "profit": []}
    assert Trades([deal(game_id="other")]).of_game(line) == nothing | {"note": "no trade in this game"}
    assert Trades([deal(game_id="other")]).of_game(line, stop=9) == nothing


def test_a_trade_outside_its_game_is_said_and_not_drawn_elsewhere() -> None:
    """Ticks that the game never had are not taken for its last one; a game whose future is hidden tells nothing."""
    line = Timeline.of(game(30))
    seen = Trades([deal(opened=999, closed=1_200), deal(), deal(opened=3, closed=99)]).of_game(line)
    assert [fill["row"] for fill in seen["fills"]] == [3, 9]
    assert seen["note"] == "2 trades outside this game"
    assert "note" not in Trades([deal()]).of_game(line)
    assert "note" not in Trades([deal(opened=999, closed=1_200)]).of_game(line, stop=5)


def test_trades_come_with_the_game_and_can_be_set(make: Make) -> None:
    """A page gets them with the game, gets others when they are set, and none when they are removed."""
    player, page = make(game(30), trades=[deal()])
    assert [fill["row"] for fill in page.last("open")["trades"]["fills"]] == [3, 9]
    player.trades = [deal(opened=5)]
    assert page.last("trades")["trades"]["fills"][0]["row"] == 5
    player.trades = None
    assert page.last("trades")["trades"] is None
    player.trades = [deal(opened=5)]
    assert '"fills"' in player._repr_mimebundle_()[0]["text/html"]


def test_a_page_that_may_not_know_gets_trades_as_they_happen(make: Make) -> None:
    """With the future hidden an entry comes when it is reached, and its exit not before that, too."""
    player, page = make(game(30), trades=[deal()], blind=True)
    assert page.last("open")["trades"] == {"trades": [], "fills": [], "profit": []}
    player.step(4)
    assert [(span["open"], span["close"]) for span in page.last("trades")["trades"]["trades"]] == [(3, None)]
    player.step(10)
    assert [(span["open"], span["close"]) for span in page.last("trades")["trades"]["trades"]] == [(3, 9)]
    assert page.last("trades")["trades"]["profit"][-1] == {"row": 9, "cash": "0.15", "held": 0.0}
