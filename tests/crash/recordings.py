"""Ticks to be recorded, what a store gives back of them, and the law between the two."""

from __future__ import annotations

import mmap
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import replaylab as rl
from replaylab.errors import RecordingFailed
from replaylab.settings import Settings
from replaylab.tick import Tick

GAME: Final = "20310102-0123456789ab4cde"
BOUND: Final = 20  # ticks accepted and not yet durable, under the settings of `small`
PATIENCE_SECONDS: Final = 120.0
_START: Final = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)
_PLAIN: Final = ("game_id", "tick", "timestamp", "price", "active", "rugged", "cooldown_timer", "trade_count")
_COLUMNS: Final = {"phase": "recorded_phase"} | {name: name for name in _PLAIN}


def made(count: int, game: str = GAME, first: int = 0) -> list[Tick]:
    """Make ticks of a game, each with a price of twenty-two digits that no other has."""
    return [
        Tick(
            game_id=game,
            tick=number,
            timestamp=_START + timedelta(milliseconds=250 * number),
            price=Decimal(f"1.{number:09}000000000123"),
            phase="ACTIVE_GAMEPLAY" if number else "GAME_ACTIVATION",
            active=True,
            trade_count=number,
        )
        for number in range(first, first + count)
    ]


def games(count: int, each: int) -> list[Tick]:
    """Make ticks of several games, one game after the other."""
    return [tick for number in range(count) for tick in made(each, f"2031{number:04}-0123456789ab4cde")]


def stored(store: Path | rl.Store, only: Iterable[str] | None = None) -> list[Tick]:
    """Give the ticks of a store, or of some of its games, games in order of their ids, each as it was received.

    A store lists games by their start, and the first ticks of one may be among those that a cut has taken.
    """
    opened = store if isinstance(store, rl.Store) else rl.open_store(store)
    games_wanted = sorted(opened.game_ids() if only is None else set(only).intersection(opened.game_ids()))
    rows = (row for game in games_wanted for row in opened.game(game)._rows.to_pylist())
    return [Tick(**{name: row[column] for name, column in _COLUMNS.items()}) for row in rows]


def lawful(found: Sequence[Tick], given: Sequence[Tick], *, safe: int, offered: int | None = None) -> None:
    """Hold the law: the first `safe` ticks are all there, no other but those offered, once each, whole and in order.

    The ticks given differ from each other, and stand game after game.
    """
    place = {tick: number for number, tick in enumerate(given)}
    strangers = [tick for tick in found if tick not in place]
    assert strangers == [], f"damaged, or never recorded: {strangers[:3]}"
    places = [place[tick] for tick in found]
    assert len(set(places)) == len(places), f"twice: {sorted(n for n in set(places) if places.count(n) > 1)[:9]}"
    assert places == sorted(places), "out of order"
    missing = sorted(set(range(safe)) - set(places))
    assert missing == [], f"{len(missing)} of {safe} safe ticks are missing, from {missing[0]} on"
    assert offered is None or not places or places[-1] < offered, "more than was offered"


class Said:
    """What a recorder has said, in memory that a killed child leaves to its parent: offered, accepted, durable."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 24)
        self.put(0, 0, 0)

    def put(self, offered: int, accepted: int, durable: int) -> None:
        """Say it."""
        self._memory[:] = struct.pack("qqq", offered, accepted, durable)

    def get(self) -> tuple[int, int, int]:
        """Hear it."""
        offered, accepted, durable = struct.unpack("qqq", self._memory[:])
        return offered, accepted, durable


def small() -> Settings:
    """Give settings under which a short recording syncs often, and seals every game when the next one begins."""
    return Settings(buffer_ticks=10, max_failure_seconds=1e-6, max_unsynced_ticks=BOUND, seal_game_ticks=10)


def until(true: Callable[[], object]) -> None:
    """Wait until something is true."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


class Recorded:
    """A recording: the recorder, what it accepted, what it refused and why, and the events it gave."""

    def __init__(self, store: Path, **options: Any) -> None:
        self.store = store
        self.events: list[Any] = []
        self.accepted: list[Tick] = []
        self.refused: list[str | None] = []
        self.recorder = rl.Recorder(store, settings=small(), on_event=self.events.append, **options)

    def record(self, ticks: list[Tick], *, flush_each: int = 0) -> None:
        """Record ticks, one by one."""
        for number, tick in enumerate(ticks, 1):
            receipt = self.recorder.record(tick)
            if receipt:
                self.accepted.append(tick)
            else:
                self.refused.append(receipt.reason)
            if flush_each and number % flush_each == 0:
                with suppress(RecordingFailed):
                    self.recorder.flush()

    def check(self, *, whole: bool = True) -> None:
        """Hold that exactly what was accepted is read, by another as well; and that a refused tick never is."""
        found = stored(self.store)
        lawful(found, self.accepted, safe=len(self.accepted))
        assert stored(self.store) == found
        if whole:
            assert rl.open_store(self.store).verify().ok
