"""SealTime: sealing waits while ticks come fast, and never for long."""

from __future__ import annotations

from pathlib import Path

import pytest

import replaylab as rl
from replaylab.recording import seal_time
from replaylab.recording.seal_time import FAST, LONGEST_SECONDS, SealTime
from tests.recordings import Heard, small, stored, ticks


def test_a_slow_feed_is_sealed_at_once() -> None:
    """Where few ticks come no journal waits."""
    time = SealTime()
    assert not time.has_come(100.0, 0, waits=False)
    assert time.has_come(100.01, 4, waits=True)


def test_a_burst_is_over() -> None:
    """A journal waits while ticks come fast, and is sealed when they do no more."""
    time, seq = SealTime(), 0
    time.has_come(100.0, seq, waits=False)
    for step in range(1, 50):
        seq += FAST // 50
        assert not time.has_come(100.0 + step / 100, seq, waits=True)
    assert time.has_come(100.51, seq + 1, waits=True)


def test_a_burst_that_does_not_end() -> None:
    """The first journal waits no longer than it may, however fast ticks come; then the next ones wait anew."""
    time = SealTime()
    time.has_come(100.0, 0, waits=False)
    assert not time.has_come(100.0 + LONGEST_SECONDS / 2, 10**6, waits=True)
    assert time.has_come(100.0 + LONGEST_SECONDS, 2 * 10**6, waits=True)
    assert time.has_come(100.01 + LONGEST_SECONDS, 3 * 10**6, waits=True)
    assert not time.has_come(100.02 + LONGEST_SECONDS, 4 * 10**6, waits=False)
    assert not time.has_come(100.03 + LONGEST_SECONDS, 5 * 10**6, waits=True)


@pytest.mark.parametrize("fast", [0, 10**9])
def test_journals_become_segments_however_fast_ticks_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fast: int
) -> None:
    """While a recorder goes on, be its ticks called fast or slow, its complete journals are sealed, each tick once."""
    monkeypatch.setattr(seal_time, "FAST", fast - 1)
    heard, given = Heard(), ticks(600)
    with rl.Recorder(tmp_path, settings=small(seal_ticks=100), on_event=heard) as recorder:
        for tick in given[:300]:
            assert recorder.record(tick)
        assert heard.wait_for("sealed")
        for tick in given[300:]:
            assert recorder.record(tick)
    assert stored(tmp_path) == given
