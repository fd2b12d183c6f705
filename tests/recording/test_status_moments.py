"""The status of a recorder tells of one moment, and `flush` of no place that is gone, whoever looks meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import replaylab as rl
from replaylab.errors import RecordingFailed
from replaylab.recording.health import Health, Phase
from replaylab.recording.status import RecorderStatus
from tests.recordings import crash, small, ticks


class Watched(Health):
    """Health that is looked at before and after each of its fields changes, as another thread may do."""

    look: Callable[[], object] = staticmethod(lambda: None)

    def __setattr__(self, name: str, value: Any) -> None:
        self.look()
        super().__setattr__(name, value)
        self.look()


def test_phase_verdict_and_reasons_agree(tmp_path: Path) -> None:
    """A recorder that is said to be paused or failed has a reason for it, and is not said to be healthy."""
    seen: list[RecorderStatus] = []
    recorder = rl.Recorder(tmp_path, settings=small(sync_seconds=3_600))
    state = recorder._state
    state.health = Watched(5, 0)
    state.health.look = lambda: seen.append(recorder.status())
    for reason in ("disk_full", "store_gone"):
        state.health.pause(reason, 0)
        state.health.resume()
    state.health.pause("disk_full", 0)
    state.health.give_up("given up")
    assert {one.state for one in seen} == {"recording", "paused", "failed"}
    for one in seen:
        assert one.verdict == {"recording": "healthy", "paused": "degraded", "failed": "failed"}[one.state]
        assert bool(one.reasons) is (one.state != "recording")
        assert "None" not in str(one.reasons)
        assert one.state != "failed" or one.reasons[0] == "given up"
    crash(recorder)


def test_a_pause_that_ends_while_it_is_told(tmp_path: Path) -> None:
    """A status begun in a pause tells of the pause with its reason, also when the pause is over meanwhile."""
    health = Health(5, 0)
    health.pause("disk_full", 0)
    phase, problem = health.now
    health.resume()
    assert phase is Phase.PAUSED
    assert health.reasons(phase, problem) == ["refusing ticks: disk_full, 0 bytes free"]


def test_flush_is_not_done_in_a_file_whose_name_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the thread has not yet seen that the store is gone, `flush` raises all the same."""
    recorder = rl.Recorder(tmp_path / "store", settings=small())
    recorder.record_many(ticks(20))
    assert recorder.flush().durable
    monkeypatch.setattr(recorder._lifecycle.background, "_tend", lambda: None)
    (tmp_path / "store").rename(tmp_path / "gone")
    with pytest.raises(RecordingFailed, match=r"20 ticks .* not yet permanent"):
        recorder.flush(timeout_seconds=0.01)
    crash(recorder)
