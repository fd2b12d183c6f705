"""Trade flow: sums over the trades of the ticks before, by hand and against a plain loop; nothing of later is seen."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest

import replaylab as rl
from replaylab.analysis import features, trade_flow
from replaylab.mark import Mark

START = datetime(2031, 1, 2, tzinfo=UTC)
Trade = tuple[int, str, str, int]


def recorded(folder: Path, ticks: list[int], trades: list[Trade], more: list[str] | None = None) -> Path:
    """A store of one game with trades, and of games without."""
    with rl.Recorder(folder) as recorder:
        for number, game in enumerate(["g", *(more or [])]):
            at = START + timedelta(hours=number)
            recorder.record_many(
                rl.Tick(game, n, at + timedelta(seconds=n), Decimal(1) + Decimal(n) / 100, active=True) for n in ticks
            )
        for number, (tick, side, quantity, leverage) in enumerate(trades):
            detail = {"tick": tick, "side": side, "quantity": Decimal(quantity), "leverage": leverage}
            recorder.mark(Mark("trade", START + timedelta(milliseconds=number), "g", detail=detail))  # type: ignore[arg-type]
    return folder


def test_by_hand(tmp_path: Path) -> None:
    """Bought and sold, shorts on their side, the greatest leverage; a missing tick hides what it saw."""
    trades: list[Trade] = [(1, "buy", "1.5", 2), (1, "short_close", "0.5", 1), (2, "sell", "3", 5), (6, "buy", "9", 1)]
    found = trade_flow(recorded(tmp_path, [0, 1, 2, 3, 5, 6, 7], trades, ["h"]), windows=(1, 2))
    mine = found[found["game_id"] == "g"]
    np.testing.assert_array_equal(mine["bought_1"], [np.nan, 0, 2.0, 0, np.nan, 0, 9])
    np.testing.assert_array_equal(mine["sold_1"], [np.nan, 0, 0, 3, np.nan, 0, 0])
    np.testing.assert_array_equal(mine["trades_2"], [np.nan, np.nan, 2, 3, np.nan, np.nan, 1])
    np.testing.assert_array_equal(mine["leverage_2"], [np.nan, np.nan, 2, 5, np.nan, np.nan, 1])
    others = found[found["game_id"] == "h"]
    assert others.drop(columns=["game_id", "tick"]).isna().all(axis=None)
    assert found.attrs["n_traded"] == 1
    table = features(tmp_path)
    assert found["tick"].tolist() == table["tick"].tolist()


def test_a_short_without_a_quantity_counts_what_its_amount_buys(tmp_path: Path) -> None:
    """The game's server says quantity 0 of every short, and how much money."""
    store = recorded(tmp_path, [0, 1, 2], [])
    with rl.Recorder(store) as recorder:
        sizes = {"quantity": Decimal(0), "amount": Decimal("0.5"), "price": Decimal(2)}
        recorder.mark(Mark("trade", START, "g", detail={"tick": 1, "side": "short_open", **sizes}))  # type: ignore[arg-type]
    assert trade_flow(store, windows=(1,))["sold_1"].tolist()[2] == 0.25


def test_against_a_loop(tmp_path: Path) -> None:
    """Random trades over random ticks: each window is what a plain loop adds up, and is cut off at the row."""
    chance = random.Random(9)
    ticks = sorted(chance.sample(range(60), 50))
    trades: list[Trade] = [
        (chance.randrange(60), chance.choice(["buy", "sell"]), str(chance.randrange(1, 9)), 1) for _ in range(80)
    ]
    found = trade_flow(recorded(tmp_path, ticks, trades), windows=[1, 3, 7])
    for row, tick in enumerate(ticks):
        for size in (1, 3, 7):
            window = range(tick - size, tick)
            whole = all(one in ticks for one in window)
            bought = sum(int(q) for at, side, q, _ in trades if at in window and side == "buy")
            got = found[f"bought_{size}"].iloc[row]
            assert got == bought if whole else np.isnan(got)


@pytest.mark.parametrize("windows", [(), (0,), (1.5,), (True,), (-3,)])
def test_windows_are_checked(windows: tuple[int, ...], tmp_path: Path) -> None:
    """A window is a whole number from 1 on."""
    with pytest.raises(rl.errors.AnalysisError, match="windows="):
        trade_flow(recorded(tmp_path, [0, 1], []), windows=windows)


def test_what_has_no_trades_is_refused(tmp_path: Path) -> None:
    """Paths have no trades; a store without any has no number, rather than nothing traded."""
    store = rl.open_store(recorded(tmp_path, [0, 1, 2], []))
    with pytest.raises(rl.errors.AnalysisError, match="has no recorded trades"):
        trade_flow(rl.analysis.paths(store))  # type: ignore[arg-type]
    assert trade_flow(tmp_path)["trades_1"].isna().all()
