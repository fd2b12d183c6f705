"""Frames of the game for tests: made-up ones, and the real ones when they are there."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from replaylab.feeds.base import Message
from replaylab.feeds.rugs import RugsReader
from replaylab.feeds.rugs_wire import captured_of
from replaylab.mark import Mark
from replaylab.tick import Tick

FOLDERS = [parent / "shared" / "socket" for parent in Path(__file__).resolve().parents]
AT = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)
GAME = "20310102-0123456789ab4cde"


def real_frames(name: str = "gameStateUpdate.jsonl") -> list[bytes]:
    """Lines of a file of real frames; the test says that it needs them when they are not there."""
    found = next((folder / name for folder in FOLDERS if (folder / name).is_file()), None)
    if found is None:
        pytest.skip(f"the real frames ({name}) are not on this machine")
    return found.read_bytes().splitlines()


def price(number: int) -> Decimal:
    """The price of a tick of the made-up game: all digits differ from tick to tick."""
    return Decimal(1) + Decimal(number) / Decimal(1000) + Decimal("0.0000000000001234")


def tick_frame(number: int, *, last: int = 5, rugged: bool = False, game: str = GAME, **more: Any) -> bytes:
    """A tick as the server sends it, with the last prices repeated."""
    values = {str(n): price(n) for n in range(max(0, number - last + 1), number + 1)}
    return encoded(
        {
            "active": True,
            "price": price(number),
            "partialPrices": {"startTick": min(map(int, values), default=0), "endTick": number, "values": values},
            "tradeCount": number,
            "rugged": rugged,
            "tickCount": number,
            "cooldownTimer": 0,
            "gameId": game,
            **more,
        }
    )


def snapshot_frame(number: int, *, game: str = GAME, **more: Any) -> bytes:
    """The snapshot that follows a connection: all prices so far, one tick late."""
    prices = [price(n) for n in range(number + 1)]
    return encoded(
        {
            "active": True,
            "price": price(number),
            "rugged": False,
            "tickCount": number,
            "cooldownTimer": 0,
            "gameId": game,
            "prices": prices,
            **more,
        }
    )


def encoded(value: Any) -> bytes:
    """JSON with Decimals as numbers of all their digits."""
    import msgspec

    return msgspec.json.Encoder(decimal_format="number").encode(value)


def taken(reader: RugsReader, frames: list[bytes], at: datetime = AT) -> list[Message]:
    """What a reader makes of frames that come a quarter of a second apart."""
    found: list[Message] = []
    for number, frame in enumerate(frames):
        found += reader.take("gameStateUpdate", frame, at + number * timedelta(milliseconds=250))
    return found


def ticks_of(messages: list[Message]) -> list[Tick]:
    """The ticks."""
    return [one for one in messages if isinstance(one, Tick)]


def marks_of(messages: list[Message], kind: str) -> list[Mark]:
    """The marks of a kind."""
    return [one for one in messages if isinstance(one, Mark) and one.kind == kind]


def replayed(reader: RugsReader, lines: list[bytes], start: datetime | None = None) -> list[Message]:
    """What a reader makes of lines of a file of real frames, at the times that they tell."""
    found: list[Message] = []
    for line in lines:
        found += reader.take("gameStateUpdate", captured_of(line).data, time_of(line))
    return found


def time_of(line: bytes) -> datetime:
    """When a real frame was received."""
    told = json.loads(line)
    if "timestamp" in told:
        return datetime.fromisoformat(told["timestamp"]).replace(tzinfo=UTC)
    return datetime.fromtimestamp(told["received_ms"] / 1000, UTC)
