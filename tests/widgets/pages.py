"""A game, and what a browser would be, for tests of the player without one."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from replaylab.tick import Tick
from replaylab.widgets.player import ReplayPlayer

ZERO: Final = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)


def game(rows: int, name: str = "g", first: int = 0) -> list[Tick]:
    """Ticks of a game, 50 ms apart, each with a price of its own."""
    return [
        Tick(
            game_id=name,
            tick=number,
            timestamp=ZERO + timedelta(milliseconds=50 * number),
            price=Decimal(f"1.{number:09}"),
            active=True,
        )
        for number in range(first, first + rows)
    ]


class FakePage:
    """What a browser would be: hears what the player sends and reports what it showed."""

    def __init__(self, player: ReplayPlayer, client: str = "a") -> None:
        self.player = player
        self.client = client
        self.heard: list[tuple[dict[str, Any], list[memoryview]]] = []
        self.gen = 0
        self.number = 0
        assert player._sync is not None
        player._sync.channel._send = self._hear
        self.say("ready")

    def _hear(self, content: dict[str, Any], buffers: Sequence[memoryview] = ()) -> None:
        json.dumps(content, allow_nan=False)
        self.heard.append((content, list(buffers)))
        if content["kind"] == "seek":
            self.gen = content["gen"]
        if content["kind"] == "open":
            self.gen = content["state"]["gen"]

    def kinds(self) -> list[str]:
        """The kinds of all messages heard."""
        return [content["kind"] for content, _ in self.heard]

    def last(self, kind: str) -> dict[str, Any]:
        """The last message of a kind."""
        return next(content for content, _ in reversed(self.heard) if content["kind"] == kind)

    def say(self, kind: str, **content: Any) -> None:
        """Say something to the kernel."""
        self.player._handle_custom_msg({"kind": kind, "client": self.client, **content}, [])

    def shows(self, low: int, high: int, reason: str = "play", gen: int | None = None, times: int = 1) -> None:
        """Report rows that were shown."""
        self.number += 1
        item = {"gen": self.gen if gen is None else gen, "lo": low, "hi": high, "reason": reason, "times": times}
        self.say("pos", number=self.number, items=[item])

    def state(self, **changes: Any) -> None:
        """Report a state."""
        usual = {"playing": False, "row": 0, "speed": 1, "pacing": "recorded", "loop": [None, None], "following": False}
        self.say("state", **{**usual, "gen": self.gen, **changes})


Make = Callable[..., tuple[ReplayPlayer, FakePage]]
