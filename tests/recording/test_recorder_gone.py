"""A store that is gone and cannot be made again, and disks that fail for longer than a moment."""

from __future__ import annotations

import errno
import itertools
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Literal

import pytest

import replaylab as rl
from replaylab.errors import RecordingFailed
from replaylab.settings import Settings
from replaylab.tick import Tick
from tests.crash.faults import SYNCS, WRITES, Fault
from tests.crash.recordings import until
from tests.recordings import Heard, small, stored, tick, ticks
from tests.resources import Held

Mode = Literal["group", "tick", "none"]
MODES = ["group", "tick", "none"]


def replace_by_a_file(store: Path) -> None:
    """Delete a store, and put a file in its place: it cannot be made again."""
    for number in itertools.count():  # the recorder may be making it again at this moment
        with suppress(OSError):
            store.rename(store.with_name(f"gone-{number}"))
            store.write_text("in the way")
        if store.is_file():
            break
    for folder in store.parent.glob("gone-*"):
        shutil.rmtree(folder)


def lines(given: list[Tick]) -> str:
    """Return ticks as lines of text."""
    return "".join(one.to_line().decode() + "\n" for one in given)


def patient() -> Settings:
    """Settings under which failures never end a recording by themselves."""
    return small(max_failure_seconds=3_600)


@pytest.mark.parametrize("mode", MODES)
def test_nothing_is_called_durable_without_a_store(tmp_path: Path, mode: Mode) -> None:
    """Ticks are refused, `flush` raises, and neither receipt, status nor report calls durable what no path leads to."""
    store = tmp_path / "store"
    recorder = rl.Recorder(store, durability=mode, settings=patient())
    recorder.record_many(ticks(50))
    assert recorder.flush().durable
    replace_by_a_file(store)
    with pytest.raises(RecordingFailed, match="not yet permanent"):
        recorder.flush(timeout_seconds=1)
    until(lambda: recorder.status().state == "paused")  # the thread looks at the store twice a second
    receipt = recorder.record(tick(50))
    assert (receipt.accepted, receipt.reason, receipt.durable) == (0, "store_gone", False)
    status = recorder.status()
    assert (status.state, status.verdict, status.durable_seq) == ("paused", "degraded", -1)
    assert "store_gone" in status.reasons[0]
    report = recorder.stop()
    assert not report.durable
    assert "gone" in str(report.problem)
    assert str(store) in str(report.problem)


@pytest.mark.parametrize("mode", MODES)
def test_a_store_that_can_be_made_again_later(tmp_path: Path, mode: Mode) -> None:
    """What was accepted is kept in the open files, and written again, synced, as soon as the place is free."""
    store, heard = tmp_path / "store", Heard()
    with rl.Recorder(store, durability=mode, settings=patient(), on_event=heard) as recorder:
        accepted = [one for one in ticks(50) if recorder.record(one)]
        assert recorder.flush().durable
        replace_by_a_file(store)
        accepted += [one for one in ticks(20, first=50) if recorder.record(one)]
        assert heard.wait_for("paused")
        assert recorder.record(tick(99)).reason == "store_gone"
        store.unlink()
        assert heard.wait_for("moved")
        assert heard.wait_for("resumed")
        accepted += [one for one in ticks(20, first=100) if recorder.record(one)]
        assert accepted[-1] == tick(119)
        assert recorder.flush().durable
    assert stored(store) == accepted
    assert rl.Store(store).verify().ok


def test_a_store_that_stays_gone_ends_the_recording(tmp_path: Path) -> None:
    """After failures in a row for long enough the recorder gives up; leaving `with` raises."""
    store = tmp_path / "store"
    recorder = rl.Recorder(store, settings=small())
    recorder.record_many(ticks(5))
    replace_by_a_file(store)
    until(lambda: recorder.status().state == "failed")
    assert recorder.record(tick(5)).reason == "stopped"
    with pytest.raises(RecordingFailed, match="gone and cannot be made again"), recorder:
        pass


def test_what_the_command_says_of_a_store_that_is_gone(tmp_path: Path) -> None:
    """`replaylab record` exits with 1, and names the store."""
    store = tmp_path / "store"
    command = [sys.executable, "-m", "replaylab", "record", str(store), "--ack", "--overflow", "refuse"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(lines(ticks(5)))
        child.stdin.flush()
        assert json.loads(child.stdout.readline())["accepted"] == 5
        replace_by_a_file(store)
        _, said = child.communicate(lines(ticks(5, first=5)), timeout=60)
    assert child.returncode == 1
    assert "gone" in said
    assert str(store) in said


@pytest.fixture
def syncs_fail(tmp_path: Path) -> Iterator[Fault]:
    """Syncs of journals find the disk full, or a quota reached, from the moment that `times` is set."""
    with Fault(tmp_path, SYNCS, errno.EDQUOT, times=0, only=".journal").in_force() as fault:
        yield fault


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("mode", MODES)
def test_a_full_disk_at_every_sync_takes_few_files(tmp_path: Path, syncs_fail: Fault, code: int, mode: Mode) -> None:
    """However long syncs find no room, few journals and handles are used; with room all is durable, and stored once."""
    syncs_fail.code = code
    heard = Heard()
    with rl.Recorder(tmp_path, durability=mode, settings=patient(), on_event=heard) as recorder:
        accepted = [one for one in ticks(25) if recorder.record(one)]
        recorder.flush()
        before = Held.now()
        syncs_fail.times = 1 << 30
        accepted += [one for one in ticks(15, first=25) if recorder.record(one)]
        with nullcontext() if mode == "tick" else pytest.raises(RecordingFailed):
            recorder.flush(timeout_seconds=2)
        for number in range(40, 60):
            accepted += [one for one in [tick(number)] if recorder.record(one)]
        assert syncs_fail.met < 30
        assert len(list((tmp_path / "journals").glob("*.journal"))) <= 5
        until(lambda: len(before.new()) <= 4)  # a file that is open for a moment does not stay
        syncs_fail.times = 0
        until(lambda: recorder.status().state == "recording")
        accepted += [one for one in ticks(15, first=60) if recorder.record(one)]
        assert accepted[-1] == tick(74)
        assert recorder.flush().durable
    assert stored(tmp_path) == accepted
    assert recorder.stop().problem is None
    assert rl.Store(tmp_path).verify().ok


@pytest.mark.parametrize("calls", [SYNCS, WRITES], ids=["sync", "write"])
def test_a_disk_that_fails_for_a_while_is_waited_for(tmp_path: Path, calls: tuple[str, ...]) -> None:
    """More than `max_failures` in a row do not end a recording before `max_failure_seconds` have passed."""
    with (
        Fault(tmp_path, calls, times=0).in_force() as fault,
        rl.Recorder(tmp_path, overflow="refuse", settings=small(max_failure_seconds=3_600)) as recorder,
    ):
        accepted = [one for one in ticks(25) if recorder.record(one)]
        recorder.flush()
        fault.times = 16 if calls is WRITES else 7
        number = 25
        while fault.times:
            accepted += [one for one in [tick(number)] if recorder.record(one)]
            number += 1
            recorder._lifecycle.background.thread.join(0.01)
        accepted += [one for one in ticks(5, first=number) if recorder.record(one)]
        assert recorder.flush().durable
        status = recorder.status()
        assert (status.state, status.failures, status.refused.get("stopped")) == ("recording", 0, None)
        assert sum(status.refused.values()) == number + 5 - len(accepted)
    assert stored(tmp_path) == accepted
    assert Settings().max_failure_seconds == 30
