"""Recorder and interrupts: whatever a handler calls, in the middle of whatever, nothing hangs and all adds up."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

import replaylab as rl
from tests.recordings import small, stored, tick, ticks
from tests.resources import leaves_nothing_open


def _in_the_middle(patch: pytest.MonkeyPatch, name: str, act: Any) -> list[Any]:
    """Call something in the middle of the next call of the operating system that the main thread makes."""
    real = getattr(os, name)
    answers: list[Any] = []

    def call(*given: Any) -> Any:
        if not answers and threading.current_thread() is threading.main_thread():
            answers.append(None)
            answers[0] = act()
        return real(*given)

    patch.setattr(os, name, call)
    return answers


def test_stop_in_the_middle_of_a_tick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tick in hand is recorded, none after it, and the end comes by itself: every journal sealed, nothing open."""
    with leaves_nothing_open():
        recorder = rl.Recorder(tmp_path, settings=small())
        recorder.record_many(ticks(3))
        answers = _in_the_middle(monkeypatch, "write", recorder.stop)
        assert recorder.record(tick(3))
        assert answers[0].ticks == 3
        assert recorder.record(tick(4)).reason == "closed"
        report = recorder.stop()
        assert (report.ticks, report.durable, report.journals_left) == (4, True, 0)
        assert stored(tmp_path) == ticks(4)
        assert list((tmp_path / "journals").iterdir()) == []


def test_stop_at_the_end_of_a_tick(tmp_path: Path) -> None:
    """A handler that comes when a tick has been written and the lock is still held: no tick is taken after it."""
    recorder = rl.Recorder(tmp_path, settings=small())
    recorder.record(tick(0))
    with recorder._state.lock:
        recorder.stop()
        assert recorder.record(tick(1)).reason == "closed"
    assert recorder.stop().ticks == 1
    assert stored(tmp_path) == ticks(1)


def test_stop_in_the_middle_of_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The piece in hand is recorded, none after it."""
    recorder = rl.Recorder(tmp_path, settings=small())
    _in_the_middle(monkeypatch, "write", recorder.stop)
    receipt = recorder.record_many(ticks(250))
    assert (receipt.accepted, receipt.refused, receipt.reason) == (100, 150, "closed")
    assert recorder.stop().ticks == 100
    assert stored(tmp_path) == ticks(100)


def test_stop_in_the_middle_of_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler that stops a recorder that is being stopped gets a report, and the end is not disturbed."""
    recorder = rl.Recorder(tmp_path, settings=small())
    recorder.record_many(ticks(3))
    answers = _in_the_middle(monkeypatch, "fsync", recorder.stop)
    report = recorder.stop()
    assert answers[0].ticks == report.ticks == 3
    assert report.durable
    assert stored(tmp_path) == ticks(3)


def test_record_in_the_middle_of_a_tick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler's own tick is refused while one is written, and counted; the one in hand is recorded."""
    with rl.Recorder(tmp_path, settings=small()) as recorder:
        answers = _in_the_middle(monkeypatch, "write", lambda: recorder.record(tick(9)))
        assert recorder.record(tick(0))
        assert answers[0].reason == "reentrant"
        assert recorder.status().refused == {"reentrant": 1}
    assert stored(tmp_path) == [tick(0)]


@pytest.mark.parametrize("turn", range(12))
def test_a_real_signal(tmp_path: Path, turn: int) -> None:
    """A recorder stopped by a handler at any moment holds what it acknowledged, and says how much that is."""
    recorder = rl.Recorder(tmp_path, settings=small())
    reports, accepted = [], []
    earlier = signal.signal(signal.SIGALRM, lambda *_: reports.append(recorder.stop()))
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.002 + 0.0037 * turn)
        number = 0
        while not reports:
            if recorder.record(tick(number)):
                accepted.append(tick(number))
            number += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, earlier)
    assert not recorder.record(tick(number))
    report = recorder.stop()
    assert (report.ticks, report.durable, report.journals_left) == (len(accepted), True, 0)
    assert stored(tmp_path) == accepted


def test_interrupt_of_a_second_attempt_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails is tried in the next journal; Ctrl-C in the middle of that costs no acknowledged tick."""
    real, calls = os.write, iter(range(10**6))
    recorder = rl.Recorder(tmp_path, durability="none")

    def write(descriptor: int, data: bytes) -> int:
        match next(calls) if threading.current_thread() is threading.main_thread() else -1:
            case 0:
                raise OSError(5, "input/output error")
            case 2:  # 1 is the header of the next journal
                real(descriptor, data[: len(data) // 2])
                raise KeyboardInterrupt
        return real(descriptor, data)

    assert recorder.record(tick(0)).accepted
    monkeypatch.setattr(os, "write", write)
    with pytest.raises(KeyboardInterrupt):
        recorder.record(tick(1))
    accepted = 1 + sum(recorder.record(tick(number)).accepted for number in range(2, 5))
    recorder.stop()
    store = rl.open_store(tmp_path)
    assert store.rows == accepted == 4
    assert store.quarantine().empty
