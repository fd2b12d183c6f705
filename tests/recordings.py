"""What the tests of recorders share: ticks, small settings, and what a store gives back."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import replaylab as rl
from replaylab.recording.event import RecorderEvent
from replaylab.settings import Settings
from replaylab.tick import Tick

START = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)
GAME = "20310102-0123456789ab4cde"
FIELDS = ("game_id", "tick", "timestamp", "price", "active", "rugged", "cooldown_timer", "trade_count")


def tick(number: int = 0, game: str = GAME, **fields: Any) -> Tick:
    """Give a tick that differs from every other in its price."""
    given: dict[str, Any] = {
        "game_id": game,
        "tick": number,
        "timestamp": START + timedelta(milliseconds=250 * number),
        "price": Decimal(f"1.{number:09d}0001"),
        "phase": "ACTIVE_GAMEPLAY",
        "active": True,
        "trade_count": number,
    }
    return Tick(**given | fields)


def ticks(count: int, game: str = GAME, first: int = 0) -> list[Tick]:
    """Give ticks one after the other."""
    return [tick(number, game) for number in range(first, first + count)]


def small(**values: Any) -> Settings:
    """Give settings with a small buffer and no demands on the disk."""
    given = {"buffer_ticks": 10, "max_failure_seconds": 1e-6, "min_free_start_bytes": 0, "min_free_bytes": 0}
    return Settings(**given | values)


def stored(store: Path | rl.Store) -> list[Tick]:
    """Give the ticks of a store as they were recorded: run after run, in order; changes nothing."""
    opened = store if isinstance(store, rl.Store) else rl.Store(store)
    rows = [row for game in opened.game_ids() for row in opened.game(game).ticks().to_pylist()]
    rows.sort(key=lambda row: (row["source"].rpartition("-")[0], row["seq"]))
    return [Tick(phase=row["recorded_phase"], **{name: row[name] for name in FIELDS}) for row in rows]


def journals(store: Path) -> list[Path]:
    """Give the journals of a store that hold something."""
    return sorted(path for path in (store / "journals").glob("*.journal") if path.stat().st_size)


def segments(store: Path) -> list[Path]:
    """Give the segment files of a store."""
    return sorted((store / "segments").glob("*.parquet"))


class Heard:
    """Listens to a recorder, and can be waited on."""

    def __init__(self) -> None:
        self.events: list[RecorderEvent] = []
        self._changed = threading.Condition()

    def __call__(self, event: RecorderEvent) -> None:
        """Remember an event."""
        with self._changed:
            self.events.append(event)
            self._changed.notify_all()

    @property
    def kinds(self) -> list[str]:
        """What was heard, in order."""
        return [event.kind.value for event in self.events]

    def wait_for(self, kind: str, seconds: float = 60.0) -> bool:
        """Wait until an event was heard."""
        with self._changed:
            return self._changed.wait_for(lambda: kind in self.kinds, seconds)


def crash(recorder: rl.Recorder) -> None:
    """End a recorder as SIGKILL would: nothing more is synced, written or sealed, and its locks are free."""
    lifecycle = recorder._lifecycle
    recorder._end.detach()
    lifecycle.background.quit()
    lifecycle.sealer.join()
    for file in recorder._state.journals.files:
        file.close()


def left_behind(store: Path, kms: rl.Kms | None = None) -> list[Path]:
    """Return the journals of a recorder that has died after a turn from one to the next."""
    recorder = rl.Recorder(store, kms=kms, settings=small())
    recorder._lifecycle.sealer.wake = lambda: None  # type: ignore[method-assign]
    recorder.record_many(ticks(30))
    recorder.flush()
    with recorder._state.lock:
        recorder._state.turn()
    recorder.record_many(ticks(5, first=30))
    recorder.flush()
    crash(recorder)
    return journals(store)
