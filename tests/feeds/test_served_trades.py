"""Trades of a served recording: a client takes them as marks, and none for a damaged tick."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

from replaylab.feeds.websocket import Lines
from replaylab.mark import Mark, MarkKind


def test_a_trade_of_a_served_recording_is_a_mark() -> None:
    """A trade has a game, a tick and a price, as ticks have; it comes as it was recorded, and nothing is refused."""
    at = datetime(2031, 1, 2, tzinfo=UTC)
    detail = {"side": "buy", "quantity": Decimal("0.5"), "price": Decimal("1.25"), "tick": 2}
    trade = Mark(MarkKind.TRADE, at, "game-1", detail=detail)
    refused: list[str] = []
    frame = Lines(refused.append).read([trade.to_line()], at)
    assert frame.messages == [trade]
    assert not refused
