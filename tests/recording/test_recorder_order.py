"""The journals of a run are used in the order of their numbers, whichever thread makes them."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path

import pytest

import replaylab as rl
from replaylab.durable import create
from tests.recordings import small, stored, ticks


def test_a_spare_journal_that_comes_late_is_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal made in advance while a failed write went on in a later one is given up: cuts and order stay told."""
    begun, turned = threading.Event(), threading.Event()
    write, armed = os.write, [False]

    def slow_create(path: Path) -> int:
        descriptor = create(path)
        if threading.current_thread() is not threading.main_thread() and not begun.is_set():
            begun.set()
            assert turned.wait(60)
        return descriptor

    def failing_write(descriptor: int, data: bytes) -> int:
        if armed[0] and data.startswith(b'{"type": "tick"'):
            armed[0] = False
            raise OSError(errno.EIO, "told to fail")
        return write(descriptor, data)

    monkeypatch.setattr("replaylab.recording.journal_file.create", slow_create)
    monkeypatch.setattr(os, "write", failing_write)
    given = ticks(9)
    with rl.Recorder(tmp_path, settings=small()) as recorder:
        assert begun.wait(60)
        for number, one in enumerate(given):
            armed[0] = number in {3, 6}
            assert recorder.record(one)
            if number == 3:
                turned.set()
                recorder.flush()
        assert recorder.status().retried >= 2
    places = [one.first_seq for one in rl.Store(tmp_path).recordings()]
    assert places == sorted(places)
    assert len(places) == 3
    assert stored(tmp_path) == given
