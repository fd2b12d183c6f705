"""Recorder and failing syncs: what is not permanent moves on; no second sync of a file is believed."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

import pytest

import replaylab as rl
from replaylab.errors import RecordingFailed
from replaylab.recording import background
from tests.crash.recordings import until
from tests.recordings import Heard, crash, small, stored, ticks

_START: Final = b'{"type": "journal_start"'


class Disk:
    """A disk on which syncs of journals fail, and then writes for a while; it remembers on which files."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.syncs = self.headers = self.lines = 0  # how many of each are to fail
        self.failed: set[str] = set()
        self.again: list[str] = []
        self.error = errno.EIO
        self._fsync, self._write = os.fsync, os.write
        patch.setattr(os, "fsync", self.fsync)
        patch.setattr(os, "write", self.write)

    def fsync(self, descriptor: int) -> None:
        """Sync, or fail; a failed file that is synced again is remembered."""
        path = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        if path in self.failed:
            self.again.append(path)
        if self.syncs and path.endswith(".journal"):
            self.syncs -= 1
            self.failed.add(path)
            raise OSError(self.error, os.strerror(self.error))
        self._fsync(descriptor)

    def write(self, descriptor: int, data: bytes) -> int:
        """Write, or fail."""
        if self.failed and data.startswith(_START) and self.headers:
            self.headers -= 1
            raise OSError(self.error, os.strerror(self.error))
        if self.failed and not data.startswith(_START) and self.lines:
            self.lines -= 1
            raise OSError(self.error, os.strerror(self.error))
        return self._write(descriptor, data)


@pytest.mark.parametrize("mode", ["group", "tick", "none"])
@pytest.mark.parametrize(("headers", "lines"), [(0, 0), (1, 0), (0, 1), (2, 1), (3, 0)])
def test_a_failed_file_is_never_synced_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: Literal["group", "tick", "none"], headers: int, lines: int
) -> None:
    """After a failed sync its file is given up, also when the next journal cannot be made or written at once."""
    disk = Disk(monkeypatch)
    accepted = []
    with rl.Recorder(tmp_path, durability=mode, settings=small(max_failures=50)) as recorder:
        accepted += [one for one in ticks(5) if recorder.record(one)]
        recorder.flush()
        accepted += [one for one in ticks(3, first=5) if recorder.record(one)]
        disk.headers, disk.lines, disk.syncs = headers, lines, 1
        accepted += [one for one in ticks(4, first=8) if recorder.record(one)]
        with suppress(RecordingFailed):
            recorder.flush(timeout_seconds=60)
        accepted += [one for one in ticks(4, first=12) if recorder.record(one)]
        assert recorder.flush().durable
    assert disk.failed
    assert not disk.again
    assert stored(tmp_path) == accepted
    assert rl.Store(tmp_path).verify().ok


def test_a_journal_given_up_keeps_what_was_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a failed sync the bytes in doubt are removed from the old journal once they are permanent in another."""
    disk, heard = Disk(monkeypatch), Heard()
    with rl.Recorder(tmp_path, settings=small(), on_event=heard) as recorder:
        monkeypatch.setattr(recorder._lifecycle.sealer, "wake", lambda: None)  # so that the files can be looked at
        recorder.record_many(ticks(5))
        assert recorder.flush().durable
        journal = recorder.status().journal
        synced = journal.stat().st_size
        recorder.record_many(ticks(3, first=5))
        disk.syncs = 1
        recorder.flush()
        assert recorder.status().journal != journal
        assert journal.stat().st_size == synced
    kept = {extent.source: extent.ticks for extent in rl.Store(tmp_path).extents()}
    assert kept[journal.name] == {"clean": 5}
    assert stored(tmp_path) == ticks(8)


def test_ticks_that_do_not_fit_ask_for_a_sync(tmp_path: Path) -> None:
    """When ticks wait for room, the next sync begins at once, however far its bounds are."""
    settings = small(buffer_ticks=1_000, max_unsynced_ticks=1_000, sync_seconds=3_600)
    with rl.Recorder(tmp_path, overflow_seconds=120, settings=settings) as recorder:
        assert recorder.record_many(ticks(950))
        assert recorder.record_many(ticks(100, first=950)).reason is None
        assert recorder.status().durable_seq >= 949
    assert stored(tmp_path) == ticks(1_050)


def test_a_full_disk_at_a_sync_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sync that finds the disk full pauses the recording; it goes on by itself, and nothing acknowledged is lost."""
    disk, heard = Disk(monkeypatch), Heard()
    disk.error = errno.ENOSPC
    with rl.Recorder(tmp_path, settings=small(), on_event=heard) as recorder:
        accepted = [one for one in ticks(5) if recorder.record(one)]
        disk.syncs, disk.headers = 1, 2
        with suppress(RecordingFailed):
            recorder.flush(timeout_seconds=0.5)
        assert heard.wait_for("resumed")
        assert recorder.flush().durable
        accepted += [one for one in ticks(5, first=5) if recorder.record(one)]
        assert recorder.status().verdict == "healthy"
    assert heard.kinds.count("paused") >= 1
    assert not disk.again
    assert stored(tmp_path) == accepted


def test_a_recorder_that_has_given_up_is_quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ticks that can no longer be synced do not keep its thread turning round."""
    disk = Disk(monkeypatch)
    recorder = rl.Recorder(tmp_path, settings=small(sync_seconds=0.01, max_failures=1))
    disk.syncs = 1 << 30
    recorder.record(ticks(1)[0])
    with pytest.raises(RecordingFailed):
        recorder.flush()
    rounds = _timed(monkeypatch, recorder._lifecycle.background, "_tend")
    until(lambda: len(rounds) >= 4)
    assert rounds[3] - rounds[0] > 0.5
    crash(recorder)


def test_what_nobody_foresaw_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other exception on the recorder's thread is a failure: it is told, and at last ends the recording."""
    heard, accepted = Heard(), ticks(3)
    recorder = rl.Recorder(tmp_path, settings=small(sync_seconds=0.01), on_event=heard)
    recorder.record(accepted[0])
    recorder.flush()

    def unforeseen(*_: Any) -> None:
        raise IndexError("unforeseen")

    with monkeypatch.context() as patch:
        patch.setattr(recorder._lifecycle.background, "sync", unforeseen)
        recorder.record(accepted[1])
        assert heard.wait_for("failed")
    assert recorder.status().verdict == "failed"
    assert recorder.record(accepted[2]).reason == "stopped"
    report = recorder.stop()
    assert "unforeseen" in str(report.problem)
    assert not report.durable
    assert stored(tmp_path) == accepted[:2]


def test_the_end_tries_again_however_late_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that did not run for a while at its end has not tried often enough to give up."""
    disk = Disk(monkeypatch)
    monkeypatch.setattr(background, "_ENDING_SECONDS", -1)
    recorder = rl.Recorder(tmp_path, settings=small(max_failures=50))
    accepted = [one for one in ticks(5) if recorder.record(one)]
    disk.syncs = 4
    report = recorder.stop()
    assert (report.durable, report.problem) == (True, None)
    assert not disk.again
    assert stored(tmp_path) == accepted == ticks(5)


def test_flush_is_done_when_more_than_it_asked_for_is_permanent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ticks that others record and sync while a flush waits are no failure of it."""
    with rl.Recorder(tmp_path, settings=small()) as recorder:
        state = recorder._state
        wait = state.wait

        def slowly(reached: Callable[[], object], seconds: float) -> None:
            recorder.record(ticks(2)[1])
            state.positions.ask_for_sync()
            state.events.wake()
            wait(lambda: state.positions.durable_seq == 1, seconds)
            assert reached()

        monkeypatch.setattr(state, "wait", slowly)
        recorder.record(ticks(1)[0])
        assert recorder.flush().durable
    assert stored(tmp_path) == ticks(2)


def _timed(patch: pytest.MonkeyPatch, owner: object, name: str) -> list[float]:
    """Remember when a method is called."""
    calls: list[float] = []
    real: Callable[[], None] = getattr(owner, name)

    def timed() -> None:
        calls.append(time.monotonic())
        real()

    patch.setattr(owner, name, timed)
    return calls
