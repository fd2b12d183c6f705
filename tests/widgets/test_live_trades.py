"""Trades of a live game: a panel opens with the first, and bars stand at the rows of their ticks."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np

from replaylab.feeds.base import Frame
from replaylab.mark import Mark
from replaylab.playback.engine import ReplayEngine
from replaylab.widgets.live import Live
from replaylab.widgets.player import ReplayPlayer
from tests.sessions.virtual import ScriptedFeed, tick
from tests.widgets.pages import FakePage
from tests.widgets.test_inbox import until


def trade(number: int, side: str, quantity: str, game: str = "g") -> Mark:
    """A trade at a tick."""
    at = datetime(2031, 1, 2, tzinfo=UTC)
    return Mark("trade", at, game, detail={"tick": number, "side": side, "quantity": Decimal(quantity)})  # type: ignore[arg-type] # its name will do


def short(number: int, side: str, amount: str, price: str) -> Mark:
    """A short as the game's server says it: quantity 0, and how much money."""
    at = datetime(2031, 1, 2, tzinfo=UTC)
    sizes = {"quantity": Decimal(0), "amount": Decimal(amount), "price": Decimal(price)}
    return Mark("trade", at, "g", detail={"tick": number, "side": side, **sizes})  # type: ignore[arg-type] # its name will do


def drawn(page: FakePage) -> dict[int, float]:
    """What a page draws in its panel of trades, by row."""
    values: list[float] = []
    for content, buffers in page.heard:
        if content["kind"] == "open":
            shown = content["facts"].get("panels") == [{"name": "trades", "kind": "bars"}]
            values = np.frombuffer(buffers[6], np.float64).tolist() if shown else []
        elif content["kind"] == "append" and len(buffers) > 6:
            values += np.frombuffer(buffers[6], np.float64).tolist()
        for row, number, value in content.get("values") or ():
            assert number == 0
            values[row] = value
    return {row: value for row, value in enumerate(values) if not np.isnan(value)}


def test_trades_are_drawn_at_their_ticks() -> None:
    """Bought above zero and sold below, added up; also those that come after the rows, and in a page opened later."""
    script: list[Any] = [
        Frame([tick(0), tick(1)]), 0.2, Frame([trade(1, "buy", "2")]), 0.2, Frame([tick(2), trade(1, "sell", "0.5")]),
        0.2, Frame([tick(3), trade(3, "short_open", "4"), trade(9, "buy", "1")]),
    ]  # fmt: skip
    left = list(script)

    async def scene() -> tuple[dict[int, float], dict[int, float]]:
        live = Live(ScriptedFeed(lambda _now: None, lambda _since: left.pop(0) if left else 1000.0))
        page = FakePage(live.player)
        live.start()
        await until(lambda: drawn(page) == {1: 1.5, 3: -4.0})
        other = FakePage(live.player, "b")
        await until(lambda: "open" in other.kinds())
        found = drawn(page), drawn(other)
        await live.close()
        live.player.close()
        return found

    first, later = asyncio.run(scene())
    assert first == later == {1: 1.5, 3: -4.0}


def test_shorts_without_a_quantity_are_drawn() -> None:
    """A short of quantity 0 is as much as its amount buys at its price, sold when opened and bought when closed."""
    trades = [short(0, "short_open", "0.5", "2"), short(1, "short_close", "1.5", "2"), short(1, "short_open", "1", "0")]
    left: list[Any] = [Frame([tick(0), tick(1)]), 0.2, Frame(trades)]

    async def scene() -> dict[int, float]:
        live = Live(ScriptedFeed(lambda _now: None, lambda _since: left.pop(0) if left else 1000.0))
        page = FakePage(live.player)
        live.start()
        await until(lambda: len(drawn(page)) == 2)
        found = drawn(page)
        await live.close()
        live.player.close()
        return found

    assert asyncio.run(scene()) == {0: -0.25, 1: 0.75}


def test_rows_that_were_planned_are_not_sent_again_when_panels_open() -> None:
    """A page that a new panel opens anew has every row; those on their way before come once, or it would lose some."""

    async def scene() -> list[tuple[str, int, int]]:
        engine = ReplayEngine()
        player = ReplayPlayer(engine)
        engine.push(tick(0))
        page = FakePage(player)
        await until(lambda: "open" in page.kinds())
        for number in range(1, 5):
            engine.push(tick(number))
        player.panels = ["trades"]
        engine.push(tick(5))
        await until(lambda: any(content["kind"] == "append" and content["at"] >= 5 for content, _ in page.heard))
        player.close()
        return [
            (content["kind"], content.get("at", 0), content["facts"]["n"] if "facts" in content else content["n"])
            for content, _ in page.heard
            if content["kind"] in {"open", "append"}
        ]

    found = asyncio.run(scene())
    last = max(place for place, (kind, _at, _rows) in enumerate(found) if kind == "open")
    position = found[last][2]
    for _kind, at, rows in found[last + 1 :]:
        assert at == position
        position += rows
    assert position == 6


def test_panels_of_ones_own_stay() -> None:
    """Where panels were chosen, the first trade changes none; the chosen name `trades` draws them."""
    left: list[Any] = [Frame([tick(0)]), 0.2, Frame([trade(0, "buy", "1")]), 0.1, Frame([tick(1)])]

    async def scene() -> object:
        live = Live(ScriptedFeed(lambda _now: None, lambda _since: left.pop(0) if left else 1000.0))
        live.player.panels = ["trade_count"]
        live.start()
        await until(lambda: live.engine.total == 2)
        found = live.player.panels
        await live.close()
        live.player.close()
        return found

    assert repr(asyncio.run(scene())) == "Panels(trade_count)"
