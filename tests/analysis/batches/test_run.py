"""Run of a batch: which game is to blame when workers die."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import pytest

import replaylab as rl
from replaylab.analysis import map_games
from replaylab.analysis.batches.parts import Part
from tests.stores import quiet, simulated


class Blames:
    """A runner that says of every part that its worker died, for as long as a bad game is among those that wait."""

    def __init__(self, task: Any, bad: str) -> None:
        self.task = task
        self.bad = bad
        self.parts: list[Part] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.parts.clear()

    @property
    def pending(self) -> bool:
        """Whether a part waits."""
        return bool(self.parts)

    def put(self, part: Part) -> None:
        """Add a part."""
        self.parts.append(part)

    def next(self) -> tuple[Part, Any, str]:
        """The first part, and its outcome if no bad game stood beside it."""
        dies = any(self.bad in part.games for part in self.parts)
        part = self.parts.pop(0)
        return (part, None, "KilledWorker") if dies else (part, self.task(part), "")


@pytest.mark.parametrize("least_rows", [1, 10**6])
def test_games_beside_one_that_kills_workers_are_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, least_rows: int
) -> None:
    """A cluster blames whatever was with a worker when it died; only the game that dies alone is a failure."""
    quiet(simulated(tmp_path / "recordings", games=6), tmp_path / "store")
    store = rl.Store(tmp_path / "store")
    bad = store.game_ids()[2]
    monkeypatch.setattr("replaylab.analysis.batches.parts.LEAST_ROWS", least_rows)
    monkeypatch.setattr(
        "replaylab.analysis.batches.run.runner_for", lambda task, *_words, **_options: Blames(task, bad)
    )
    found = map_games(store, len, progress=False)
    assert found.failed["game_id"].to_pylist() == [bad]
    assert "KilledWorker" in found.failed["error"][0].as_py()
    done = {row["game_id"] for row in found.table.to_pylist() if row["value"] is not None}
    assert done == set(store.game_ids()) - {bad}
