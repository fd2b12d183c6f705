"""What tests of the closed loop compare: the rows of a store and of its copy."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import replaylab as rl
from replaylab.sessions.clock import Clock

REPOSITORY = Path(__file__).resolve().parents[2]
QUICK = Clock(uniform=lambda _low, high: min(0.05, high))


def wait_for(condition: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something is so; fail when it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.01)


def rows_of(store: Any) -> dict[str, list[tuple[Any, ...]]]:
    """Every priced row of every game, as received."""
    return {
        game.id: [
            (row["tick"], row["timestamp"], row["price"], row["active"], row["rugged"])
            for row in game.ticks().to_pylist()
            if row["price"] is not None
        ]
        for game in store
    }


def is_beginning(found: dict[str, list[Any]], source: dict[str, list[Any]]) -> bool:
    """Whether rows are those with which a source begins: whole games in order, and the beginning of the next one."""
    last = max(found)
    return found == {game: rows for game, rows in source.items() if game < last} | {
        last: source[last][: len(found[last])]
    }


def untimed_rows_of(store: Any) -> dict[str, list[tuple[Any, ...]]]:
    """The live ticks and the rug of every game, without their times: what Socket.IO carries."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    for game_id, rows in rows_of(store).items():
        kept = [(tick, price, active, rugged) for tick, _, price, active, rugged in rows if active or rugged]
        rug = next((n for n, row in enumerate(kept) if row[3]), len(kept))
        found[game_id] = kept[: rug + 1]
    return found


def lacking(store: Any) -> dict[str, int]:
    """How many ticks each game lacks."""
    frame = store.gaps()
    return {game: int(missing) for game, missing in frame.groupby("game_id")["missing"].sum().items() if missing}


def whole_games(folder: Path, games: int, length: int = 60, *, digits: int = 16) -> rl.Store:
    """A store of games without damage, each of live ticks and a rug, whose prices differ in every digit."""
    start = datetime(2031, 1, 2, tzinfo=UTC)
    with rl.Recorder(folder) as recorder:
        for game in range(games):
            recorder.record_many(
                rl.Tick(
                    f"20310102-{game:016x}",
                    n,
                    start + timedelta(seconds=20 * game, milliseconds=250 * n),
                    Decimal(10**digits + (game * length + n) * 7919).scaleb(-digits),
                    phase="RUG_EVENT" if n == length - 1 else "ACTIVE_GAMEPLAY",
                    active=True,
                    rugged=n == length - 1,
                    trade_count=n,
                )
                for n in range(length)
            )
    found = rl.open_store(folder)
    assert isinstance(found, rl.Store)
    return found
