"""The trader: one strategy object, the same trades in a backtest, in a replay by the engine, and on a live stream."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import replaylab as rl
from replaylab.analysis.backtests.account import Account, Rules
from replaylab.analysis.backtests.backtest import Backtest, backtest
from replaylab.analysis.backtests.orders import Bet, Buy, Order, Sell
from replaylab.analysis.backtests.strategies import Aggressive, Conservative, SideBets
from replaylab.analysis.backtests.tape import Tape
from replaylab.analysis.backtests.trader import Trader
from replaylab.analysis.price_paths.paths import paths
from replaylab.analysis.price_paths.selection import Selection
from replaylab.clock import FASTEST
from replaylab.playback.playlist import Playlist
from replaylab.tick import Tick
from tests.stores import game_lines, line, quiet, simulated

RULES = Rules(balance=5, min_bet="0.001", max_bet=1, commission="0.001")
DAMAGE = ("never_rugged", "late_start", "missing_ticks", "double_tick", "several_files", "two_writers", "paused_clock")
GAME = "20310102-0123456789ab4cde"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> rl.Store:
    """Healthy and damaged games, in a store."""
    folder = tmp_path_factory.mktemp("trader")
    quiet(simulated(folder / "recordings", games=10, seed=11, damage=DAMAGE), folder / "store")
    return rl.open_store(folder / "store")


def ticks_of(game: rl.Game) -> list[Tick]:
    """Return the rows of a game as they came from the server; rows without a price carried none."""
    names = ("game_id", "tick", "timestamp", "price", "active", "rugged")
    rows = game.ticks().select([*names, "recorded_phase"]).to_pylist()
    return [
        Tick(**{name: row[name] for name in names}, phase=row["recorded_phase"], cooldown_timer=0, trade_count=0)
        for row in rows
        if row["price"] is not None
    ]


@pytest.mark.parametrize("strategy", [Conservative, Aggressive, SideBets])
def test_engine_trades_as_the_backtest(store: rl.Store, strategy: Any) -> None:
    """Over the same games in the same order, a replay makes the same ledger, trades, refusals and balances."""
    expected = backtest(store, strategy, rules=RULES, unfinished="void", progress=False)
    trader = Trader(strategy, RULES)
    for game_id in paths(store).game_ids:
        with rl.ReplayEngine(store.game(game_id), speed=FASTEST) as engine, trader.follow(engine):
            engine.run()
    found = Backtest.of(trader)
    assert len(expected.entries) > 20
    assert found.entries == expected.entries
    assert found.trades == expected.trades
    assert found.played == expected.played
    assert found.book.refused == expected.book.refused
    assert found.metrics().equals(expected.metrics())


def test_playlist_trades_as_the_backtest(store: rl.Store) -> None:
    """One engine with a playlist of all games gives the same, game after game."""
    game_ids = paths(store).game_ids
    expected = backtest(store, SideBets, rules=RULES, unfinished="void", progress=False)
    trader = Trader(SideBets, RULES)
    with rl.ReplayEngine(speed=FASTEST) as engine, trader.follow(engine):
        engine.load(Playlist([store.game(game_id) for game_id in game_ids]))
        while engine.run():
            pass
    assert Backtest.of(trader).entries == expected.entries


def test_live_stream_trades_as_the_backtest(store: rl.Store) -> None:
    """Ticks pushed as they would come from a live feed make the same ledger, also while somebody pauses the view."""
    wanted = Selection(rug_seen=True)
    expected = backtest(store, Aggressive, rules=RULES, where=wanted, progress=False)
    trader = Trader(Aggressive, RULES)
    with rl.ReplayEngine() as engine, trader.follow(engine):
        for number, game_id in enumerate(paths(store, where=wanted).game_ids):
            for place, tick in enumerate(ticks_of(store.game(game_id))):
                assert engine.push(tick)
                if number == 1 and place == 20:
                    engine.pause()
                    engine.seek(3)
    assert len(expected.entries) > 20
    assert Backtest.of(trader).entries == expected.entries


def played(folder: Path, lines: list[bytes], strategy: Any, **options: Any) -> tuple[Trader, rl.ReplayEngine]:
    """Return a trader that follows an engine with one stored game, and the engine."""
    (folder / "game.jsonl").write_bytes(b"".join(lines))
    quiet(folder / "game.jsonl", folder / "store")
    trader = Trader(strategy, RULES, **options)
    engine = rl.ReplayEngine(rl.open_store(folder / "store").game(GAME), speed=FASTEST)
    trader.follow(engine)
    return trader, engine


def buy_once(tape: Tape, account: Account) -> Order | None:
    """Buy at tick 2."""
    del account
    return Buy("0.1") if tape.now == 2 else None


def test_seeking_back_trades_nothing_twice(tmp_path: Path) -> None:
    """Whoever jumps back sees ticks again; a strategy does not, as nobody can trade in the past."""
    trader, engine = played(tmp_path, game_lines(GAME, 9), buy_once)
    with engine:
        for _ in range(5):
            engine.step_forward()
        engine.seek(1)
        engine.seek(4)
        engine.seek(2)
        engine.run()
    assert sum(entry.kind == "buy" for entry in trader.account.ledger.entries) <= 1
    ticks = [quote.tick for quote in trader.tape]
    assert ticks == sorted(set(ticks))


def test_reset_begins_the_game_anew(tmp_path: Path) -> None:
    """A reset ends the game as a record without a rug does, and plays it again from the start."""
    trader, engine = played(tmp_path, game_lines(GAME, 9), buy_once)
    with engine:
        engine.seek(6)
        engine.reset()
        engine.run()
    assert trader.played.game_id == [GAME, GAME]
    assert trader.played.rugged == [False, True]


def test_second_rug_broadcast_and_what_follows_are_passed_over(tmp_path: Path) -> None:
    """A rug settles once, at R and its own price, whatever comes after it."""
    after = [
        line(GAME, 6, "0.01", rugged=True, phase="RUG_EVENT_1"),
        line(GAME, 8, "0.5"),
        line(GAME, 9, "0.001", rugged=True),
    ]
    trader, engine = played(tmp_path, [*game_lines(GAME, 5), *after], buy_once)
    with engine:
        engine.run()
    entries = [(entry.kind, entry.tick) for entry in trader.account.ledger.entries]
    assert entries == [("buy", 2), ("commission", 2), ("rug", 5)]
    assert trader.played.ticks == [5]


def test_rug_of_a_row_that_is_not_active(tmp_path: Path) -> None:
    """A rug whose row is no more active is the rug of the game, in a replay as in its summary."""
    (tmp_path / "a.jsonl").write_bytes(
        b"".join([line(GAME, 0, "1.0"), line(GAME, 1, "1.5"), line(GAME, 2, "0.01", rugged=True, active=False)])
    )
    quiet(tmp_path / "a.jsonl", tmp_path / "store")
    store = rl.open_store(tmp_path / "store")

    def both(tape: Tape, _account: Account) -> list[Order] | None:
        return [Buy("0.1"), Bet("0.1")] if tape.now == 0 else None

    expected = backtest(store, both, rules=RULES, progress=False)
    trader = Trader(both, RULES)
    with rl.ReplayEngine(store.game(GAME), speed=FASTEST) as engine, trader.follow(engine):
        engine.run()
    assert [trade.ending for trade in expected.trades] == ["rug", "won"]
    assert Backtest.of(trader).entries == expected.entries
    assert trader.played == expected.played


def test_cancelled_trader_trades_no_more(tmp_path: Path) -> None:
    """After `cancel` an engine is followed no more, and cancelling again changes nothing."""
    trader, engine = played(tmp_path, game_lines(GAME, 9), buy_once)
    with engine:
        follower = Trader(buy_once, RULES)
        following = follower.follow(engine)
        following.cancel()
        following.cancel()
        engine.run()
    assert len(follower.tape) == 0
    assert len(trader.tape) == 9


def test_looking_ahead_in_a_replay_is_told(tmp_path: Path) -> None:
    """In an engine, asking for the future is an ``error`` event, and the strategy is asked no more in that game."""
    asked: list[int] = []

    def peek(tape: Tape, account: Account) -> Order | None:
        del account
        asked.append(tape.now)
        tape[len(tape)]
        return None

    trader, engine = played(tmp_path, game_lines(GAME, 9), peek)
    failures: list[Any] = []
    with engine:
        engine.on("error", failures.append)
        engine.run()
    assert asked == [0]
    assert len(failures) == 1
    assert isinstance(failures[0].error, rl.errors.LookAhead)
    assert trader.played.ticks == [9]


def test_raising_in_a_replay_is_a_row(tmp_path: Path) -> None:
    """A strategy that raises in a replay is a failure of that game, and playback goes on."""

    def fail(tape: Tape, account: Account) -> Order | None:
        del account
        if tape.now == 4:
            raise ValueError("no")
        return Bet("0.1") if tape.now == 0 else None

    trader, engine = played(tmp_path, game_lines(GAME, 9), fail)
    with engine:
        engine.run()
    assert [(one.tick, one.reason) for one in trader.failures] == [(4, "ValueError: no")]
    assert trader.account.balance == RULES.balance + Decimal("0.4")  # type: ignore[operator]


def test_beginning_twice_ends_the_first() -> None:
    """A game that is begun while another is open ends that one as a record without a rug does."""
    trader = Trader(lambda _tape, account: None if account.quantity else [Buy("0.1"), Sell("0.5")], RULES)
    trader.begin("a")
    trader.see(0, 2.0)
    trader.begin("b")
    trader.rug(1, None)
    trader.rug(2, None)
    trader.end()
    assert trader.played.game_id == ["a", "b"]
    assert trader.account.ledger.trades[0].ending == "void"
    assert trader.account.ledger.total() == trader.account.balance - trader.account.ledger.start
