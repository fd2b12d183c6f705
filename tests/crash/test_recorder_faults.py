"""Calls that fail while recording: transient ones are healed exactly once, lasting ones stop it, and it says so."""

from __future__ import annotations

import errno
import itertools
import os
import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

import replaylab as rl
from replaylab.errors import RecorderError, RecordingFailed, StoreError
from tests.crash.faults import CUTS, FOR_EVER, OPENS, REMOVALS, RENAMES, SYNCS, WRITES, Fault
from tests.crash.recordings import Recorded, lawful, made, small, stored, until
from tests.resources import leaves_nothing_open
from tests.stores import run_child

TICKS: Final = 120


@pytest.fixture
def recorded(tmp_path: Path) -> Iterator[Recorded]:
    """Give a recording that has begun well."""
    one = Recorded(tmp_path / "store")
    one.record(made(25))
    one.recorder.flush()
    yield one
    with suppress(RecorderError, StoreError):
        one.recorder.stop()


@pytest.mark.parametrize("times", [1, 4])
@pytest.mark.parametrize("calls", [SYNCS, WRITES], ids=["sync", "write"])
@pytest.mark.parametrize("part", [0, 0.5, 1], ids=["", "half", "whole"])
def test_a_passing_failure(recorded: Recorded, calls: tuple[str, ...], times: int, part: float) -> None:
    """A sync or write that fails once, or four times in a row, is made good: each tick once, the recording goes on."""
    with Fault(recorded.store, calls, times=times, part=part).in_force() as fault:
        recorded.record(made(TICKS, first=25), flush_each=10)
        until(lambda: fault.met == times)
    recorded.record(made(30, first=25 + TICKS), flush_each=10)
    recorded.recorder.flush()
    status = recorded.recorder.status()
    assert status.state == "recording"
    assert recorded.refused == [] or calls is WRITES
    assert recorded.events
    report = recorded.recorder.stop()
    assert report.ticks == len(recorded.accepted)
    assert report.errors >= 1
    recorded.check()


@pytest.mark.parametrize("times", [5, FOR_EVER], ids=["five", "ever"])
@pytest.mark.parametrize("calls", [SYNCS, WRITES], ids=["sync", "write"])
def test_a_lasting_failure(recorded: Recorded, calls: tuple[str, ...], times: int) -> None:
    """After five failures in a row it stops and says so, in status, event, receipt and exception; none is lost."""
    if calls is WRITES and times == 5:
        times *= 2  # each time it is tried in another journal as well
    with Fault(recorded.store, calls, times=times).in_force():
        recorded.record(made(TICKS, first=25))
        for _ in range(5):
            with suppress(RecordingFailed):
                recorded.recorder.flush()
        with pytest.raises(RecordingFailed):
            recorded.recorder.flush()
        status = recorded.recorder.status()
        assert status.state == "failed"
        assert status.verdict == "failed"
        assert status.reasons
        receipt = recorded.recorder.record(made(1, first=9_000)[0])
        assert not receipt
        assert receipt.reason == "stopped"
        journals = list((recorded.store / "journals").glob("*"))
        assert len(journals) < 15
    assert any(event.kind == "failed" for event in recorded.events)
    with suppress(RecordingFailed):
        recorded.recorder.stop()
    recorded.check()


def test_a_sync_that_lies(recorded: Recorded) -> None:
    """A sync that only pretends does no harm as long as nobody cuts the power."""
    with Fault(recorded.store, SYNCS, 0).in_force() as fault:
        recorded.record(made(TICKS, first=25), flush_each=20)
        recorded.recorder.stop()
    assert fault.met
    recorded.check()


@pytest.mark.parametrize(
    ("calls", "code"),
    [
        (RENAMES, errno.EIO),
        (RENAMES, errno.EROFS),
        (RENAMES, errno.EACCES),
        (OPENS, errno.EMFILE),
        (OPENS, errno.EACCES),
        (OPENS, errno.EROFS),
        (OPENS, errno.ENFILE),
        (REMOVALS, errno.EIO),
        (REMOVALS, errno.EACCES),
    ],
    ids=lambda value: errno.errorcode[value] if isinstance(value, int) else value[0],
)
@pytest.mark.parametrize("times", [1, FOR_EVER], ids=["once", "ever"])
def test_a_stop_that_cannot_seal(recorded: Recorded, calls: tuple[str, ...], code: int, times: int) -> None:
    """When a file cannot be made, renamed or removed at the end, the ticks stay readable and are sealed later."""
    recorded.record(made(TICKS, first=25))
    with Fault(recorded.store, calls, code, times=times).in_force():
        with suppress(RecorderError, StoreError):
            recorded.recorder.stop()
        lawful(stored(rl.Store(recorded.store)), recorded.accepted, safe=len(recorded.accepted))
    with suppress(RecorderError, StoreError):
        recorded.recorder.stop()
    recorded.check()
    assert list((recorded.store / "journals").glob("*.journal")) == []


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EACCES, errno.EROFS])
def test_a_recorder_that_cannot_start(tmp_path: Path, code: int) -> None:
    """A recorder that can make no file is an error that names the place and leaves no file open; later it can."""
    store = tmp_path / "store"
    rl.Recorder(store).stop()
    with leaves_nothing_open():
        with Fault(store, OPENS, code).in_force(), pytest.raises(OSError, match=str(store)) as caught:
            rl.Recorder(store, settings=small())
        assert isinstance(caught.value, RecorderError | StoreError)
    del caught
    again = Recorded(store)
    again.record(made(10))
    again.recorder.stop()
    again.check()


@pytest.mark.parametrize("code", [errno.EMFILE, errno.EROFS, errno.EACCES])
def test_a_sync_that_fails_when_no_file_can_be_made(recorded: Recorded, code: int) -> None:
    """A failed sync needs a new file: while none can be made, nothing is lost and nothing is said to be durable."""
    syncs, opens = Fault(recorded.store, SYNCS, times=1), Fault(recorded.store, OPENS, code, times=2)
    with syncs.in_force(), opens.in_force():
        recorded.record(made(TICKS, first=25))
        until(lambda: syncs.met == 1 and opens.met == 2)
        until(lambda: recorded.recorder.status().state == "recording")
        recorded.recorder.flush()
    recorded.recorder.stop()
    recorded.check()


def test_short_writes(recorded: Recorded) -> None:
    """A write that only does a third of its work leaves no tick twice and none in pieces."""
    original, calls = os.write, itertools.count()

    def short(descriptor: int, data: bytes) -> int:
        return original(descriptor, bytes(data)[: max(1, len(data) // 3)] if next(calls) % 8 == 0 else data)

    os.write = short  # type: ignore[assignment]
    try:
        recorded.record(made(TICKS, first=25), flush_each=50)
    finally:
        os.write = original
    recorded.recorder.stop()
    recorded.check()


@pytest.mark.parametrize("part", [0.5, 1], ids=["half", "whole"])
@pytest.mark.parametrize("skip", range(3))
def test_a_refused_tick_that_cannot_be_taken_back(recorded: Recorded, part: float, skip: int) -> None:
    """Writes that fail after their work, and cannot be undone: a refused tick is never found, no other is twice."""
    writes = Fault(recorded.store, WRITES, times=4, skip=skip, part=part)
    cuts = Fault(recorded.store, (*CUTS, *REMOVALS))
    with writes.in_force(), cuts.in_force():
        recorded.record(made(TICKS, first=25), flush_each=30)
        lawful(stored(rl.Store(recorded.store)), recorded.accepted, safe=len(recorded.accepted))
    assert recorded.refused
    assert cuts.met
    recorded.recorder.stop()
    recorded.check()


HANDLES = """
import resource, sys
import replaylab as rl
from replaylab.errors import ReplayLabError
from tests.crash.recordings import made
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
opened, accepted, said = [], 0, ""
while not said:
    try:
        opened.append(rl.Recorder(sys.argv[1]))
    except (ReplayLabError, OSError) as error:
        said = f"{type(error).__name__}: {error}"
for number, recorder in enumerate(opened):
    accepted += sum(bool(recorder.record(tick)) for tick in made(20, f"game{number}"))
for recorder in opened:
    try:
        recorder.stop()
    except ReplayLabError:
        pass
with rl.Recorder(sys.argv[1]) as recorder:
    accepted += sum(bool(recorder.record(tick)) for tick in made(20, "last"))
print(len(opened), accepted, said)
"""


def test_no_file_left_to_open(tmp_path: Path) -> None:
    """With 64 files at most, recorders open until one is refused with an error that says why; no other suffers."""
    child = run_child(HANDLES, tmp_path / "store")
    assert child.returncode == 0, child.stderr
    opened, accepted, said = child.stdout.strip().split(" ", 2)
    assert int(opened) >= 10
    assert int(accepted) == 20 * (int(opened) + 1)
    assert "Too many open files" in said or "files" in said
    found = stored(tmp_path / "store")
    for number in range(int(opened)):
        lawful([tick for tick in found if tick.game_id == f"game{number}"], made(20, f"game{number}"), safe=20)
    lawful([tick for tick in found if tick.game_id == "last"], made(20, "last"), safe=20)
    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 64


@pytest.mark.parametrize("skip", [0, 2])
@pytest.mark.parametrize("times", [1, 3, FOR_EVER])
def test_journals_sealed_together_that_cannot_be_removed(tmp_path: Path, skip: int, times: int) -> None:
    """The segment of several journals is there and a journal cannot be removed: none is sealed a second time."""
    one = Recorded(tmp_path / "store")
    state, sealer = one.recorder._state, one.recorder._lifecycle.sealer
    sealer.wake = lambda: None  # type: ignore[method-assign]
    for number in range(5):
        one.record(made(10, first=10 * number))
        with state.lock:
            state.turn()
    one.recorder.flush()
    until(lambda: len(state.journals.sealing) == 5)
    with Fault(tmp_path, REMOVALS, times=times, skip=skip, only=".journal").in_force():
        one.recorder.stop()
    assert Counter(extent.source for extent in rl.Store(one.store).extents()).most_common(1)[0][1] == 1
    one.check()
