"""What playback tests share: games made of plain numbers, and a clock that only moves when somebody waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from replaylab.playback.engine import ReplayEngine
from replaylab.tick import Tick

START = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)


def tick(number: int, seconds: float | None = None, price: Any = "1.5", game: str = "g", **flags: Any) -> Tick:
    """A live tick, by default at its nominal time."""
    moment = START + timedelta(seconds=number * 0.25 if seconds is None else seconds)
    named = {"active": True, "phase": "ACTIVE_GAMEPLAY", **flags}
    return Tick(game_id=game, tick=number, timestamp=moment, price=price, **named)


def game(rows: int, *, rug: bool = False, name: str = "g") -> list[Tick]:
    """Live ticks 0 to rows - 1, the price of tick n being 1 + n / 1000; with a rug, the last one is it."""
    found = [tick(n, price=1 + Decimal(n) / 1000, game=name) for n in range(rows)]
    if rug:
        found[-1] = tick(rows - 1, price="0.01", game=name, rugged=True)
    return found


class FakeTime:
    """A clock that stands still until somebody waits or works; keeps the waits."""

    def __init__(self) -> None:
        self.at = 1000.0
        self.waits: list[float] = []

    def now(self) -> float:
        """The time."""
        return self.at

    def wait(self, changed: threading.Event, seconds: float) -> None:
        """Sleep: the clock moves on, nobody sleeps."""
        if not changed.is_set():
            self.waits.append(seconds)
            self.at += seconds

    def engine(self, source: Any = None, **options: Any) -> ReplayEngine:
        """An engine that lives in this time."""
        return ReplayEngine(source, now=self.now, wait=self.wait, **options)


class Log:
    """Everything that an engine tells, in order."""

    def __init__(self, engine: ReplayEngine, *kinds: str) -> None:
        self.told: list[tuple[str, Any]] = []
        for kind in kinds or ("tick", "seek", "game_start", "game_end", "rug", "gap", "error"):
            engine.on(kind, lambda value, kind=kind: self.told.append((kind, value)))  # type: ignore[misc]

    def of(self, kind: str) -> list[Any]:
        """What was told of a kind."""
        return [value for told, value in list(self.told) if told == kind]

    @property
    def rows(self) -> list[int]:
        """Rows shown, in order."""
        return [step.index for step in self.of("tick")]

    @property
    def kinds(self) -> list[str]:
        """Kinds told, in order."""
        return [kind for kind, _ in self.told]


def until(true: Callable[[], object], seconds: float = 60.0) -> bool:
    """Wait until something is true; whether it became so."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(0.001)
    return True


def engine_threads(before: Iterable[threading.Thread] = ()) -> list[threading.Thread]:
    """Threads of engines that are alive."""
    return [one for one in threading.enumerate() if one.name.startswith("ReplayEngine") and one not in before]
