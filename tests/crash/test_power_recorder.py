"""Power cuts while recording, sealing and recovering: what was called durable is there, once, whole and in order."""

from __future__ import annotations

import errno
import os
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from typing import Final, Literal
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import replaylab as rl
from replaylab.errors import KeyMissing, RecorderError, StoreNotFound, Tampered
from replaylab.settings import Settings
from replaylab.watching.snapshot import STATUS
from tests.crash.faults import CUTS, WRITES, Fault
from tests.crash.power import PowerCut, power_cut, states
from tests.crash.recordings import BOUND, games, lawful, small, stored, until
from tests.crash.scale import SCALE
from tests.crash.trace import Trace

NO_PROCESS: Final = 1 << 22  # above every number that Linux gives to a process
TICKS: Final = 3 * 24
STATES: Final = 60 * SCALE
GIVEN: Final = games(3, TICKS // 3)

pytestmark = pytest.mark.usefixtures("no_real_sync")
Sync = Callable[[int], bool]
Durability = Literal["group", "tick", "none"]


def told_the_truth(_: int) -> bool:
    """Sync well, and take so long that more ticks come meanwhile, which this sync does not cover."""
    time.sleep(0.004)
    return True


def failing(*points: int) -> Sync:
    """Let the syncs of these numbers fail."""
    count = iter(range(1, 1 << 30))

    def sync(_: int) -> bool:
        if next(count) in points:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return told_the_truth(0)

    return sync


def lying(_: int) -> bool:
    """Only pretend to sync."""
    return False


def recorded(trace: Trace, durability: Durability) -> None:
    """Record, flush in between, stop; note (offered, accepted, durable) at each moment."""
    recorder = rl.Recorder(trace.folder / "store", settings=small(), durability=durability)
    accepted = durable = 0
    for offered, tick in enumerate(GIVEN, 1):
        trace.note((offered, accepted, durable))
        receipt = recorder.record(tick)
        accepted, durable = receipt.seq + 1, receipt.durable_seq + 1
        trace.note((offered, accepted, durable))
        if offered in {12, 13, 40}:
            durable = recorder.flush().durable_seq + 1
            assert durable == accepted
            trace.note((offered, accepted, durable))
    recorder.stop()
    trace.note((TICKS, accepted, accepted))


@contextmanager
def elsewhere() -> Iterator[None]:
    """Be a process that no longer runs when the power is back."""
    with mock.patch.object(os, "getpid", return_value=NO_PROCESS):
        yield


@cache
def trace_of(sync: str, durability: Durability = "group", written: float | None = None) -> Trace:
    """Give the log of one recording; with `written`, a write fails after that part of its work and cannot be undone."""
    folder = Path(tempfile.mkdtemp(prefix="power"))
    faults = [Fault(folder, WRITES, times=1, skip=25, part=written or 0), Fault(folder, CUTS)]
    syncs = {
        "well": told_the_truth,
        "once": failing(9),
        "twice": failing(8, 9),
        "thrice": failing(11, 12, 13),
        "lie": lying,
    }
    trace = Trace(folder, syncs[sync])
    with ExitStack() as stack:
        stack.enter_context(elsewhere())
        stack.enter_context(trace.watching())
        for fault in faults if written is not None else []:
            stack.enter_context(fault.in_force())
        recorded(trace, durability)
    shutil.rmtree(folder)
    return trace


def drawn(trace: Trace, data: st.DataObject, first: int = 0) -> PowerCut:
    """Draw a moment and what the disk then holds."""
    cut = data.draw(st.integers(max(first, trace.first), len(trace.log)), "cut")
    return power_cut(trace, cut, lambda count: data.draw(st.integers(0, count - 1)))


def said(cut: PowerCut) -> tuple[int, int, int]:
    """Give what the recorder had said last."""
    last = cut.notes[-1] if cut.notes else (0, 0, 0)
    assert isinstance(last, tuple)
    return last


def everything(store: Path) -> list[rl.Tick]:
    """Give the ticks of a store, none when there is no store."""
    try:
        return stored(store)
    except StoreNotFound:
        return []


def files(store: Path) -> dict[str, bytes]:
    """Give the files of a store."""
    return {str(path.relative_to(store)): path.read_bytes() for path in store.rglob("*") if path.is_file()}


def held(store: Path, safe: int, offered: int) -> list[rl.Tick]:
    """Hold the law for a store after a power cut: read, recovered, and recovered again."""
    found = everything(store)
    lawful(found, GIVEN, safe=safe, offered=offered)
    if (store / "segments").is_dir():
        before = files(store)
        assert everything(store) == found
        assert files(store) == before
        left = [path for path in store.rglob("*") if path.suffix not in {".parquet", "", ".aside"}]
        assert {path.name for path in left if path.parent.name != STATUS} <= {"keys.json"}
        assert rl.open_store(store).verify().problems == []  # ticks that were not durable may be missing
    return found


@pytest.mark.parametrize("durability", ["group", "tick", "none"])
@given(data=st.data())
@settings(max_examples=STATES)
def test_a_power_cut_while_recording(
    tmp_path_factory: pytest.TempPathFactory, durability: Durability, data: st.DataObject
) -> None:
    """Every durable tick is there; others may be missing, at most as many as the bound; none is damaged or doubled."""
    cut = drawn(trace_of("well", durability), data)
    offered, accepted, durable = said(cut)
    folder = cut.put(tmp_path_factory.mktemp("cut") / "disk")
    found = held(folder / "store", durable, offered)
    bound = {"group": BOUND, "tick": 0, "none": TICKS}[durability]
    assert accepted - len(found) <= bound
    assert accepted - durable <= bound
    shutil.rmtree(folder)


@pytest.mark.parametrize("sync", ["once", "twice", "thrice"])
@given(data=st.data())
@settings(max_examples=STATES)
def test_a_power_cut_after_a_failed_sync(
    tmp_path_factory: pytest.TempPathFactory, sync: str, data: st.DataObject
) -> None:
    """What a failed sync left unwritten was written again elsewhere before it was called durable."""
    cut = drawn(trace_of(sync), data)
    offered, _, durable = said(cut)
    folder = cut.put(tmp_path_factory.mktemp("cut") / "disk")
    held(folder / "store", durable, offered)
    shutil.rmtree(folder)


@pytest.mark.parametrize("written", [0.0, 0.5, 1.0])
@given(data=st.data())
@settings(max_examples=STATES // 2)
def test_a_power_cut_after_a_failed_write(
    tmp_path_factory: pytest.TempPathFactory, written: float, data: st.DataObject
) -> None:
    """What a failed write left behind, half or whole, is neither read as a tick nor in the way of one."""
    cut = drawn(trace_of("well", written=written), data)
    offered, _, durable = said(cut)
    folder = cut.put(tmp_path_factory.mktemp("cut") / "disk")
    held(folder / "store", durable, offered)
    shutil.rmtree(folder)


@given(data=st.data())
@settings(max_examples=STATES)
def test_a_power_cut_on_a_disk_that_lies(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """A disk that only pretends to sync may lose ticks; it never makes one that was not recorded, nor two of one."""
    cut = drawn(trace_of("lie"), data)
    folder = cut.put(tmp_path_factory.mktemp("cut") / "disk")
    found = everything_readable(folder / "store")
    lawful(found, GIVEN, safe=0, offered=said(cut)[0])
    assert everything_readable(folder / "store") == found
    shutil.rmtree(folder)


def everything_readable(store: Path) -> list[rl.Tick]:
    """Give the ticks that are readable where segments may be damaged, and the keys of an encrypted store."""
    try:
        return everything(store)
    except (KeyMissing, Tampered):
        return []


@given(data=st.data())
@settings(max_examples=STATES)
def test_a_power_cut_during_a_recovery(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """A recovery that a second power cut interrupts anywhere leaves the same ticks to the next one."""
    cut = drawn(trace_of("well"), data, first=len(trace_of("well").log) // 3)
    offered, _, durable = said(cut)
    place = tmp_path_factory.mktemp("cut")
    folder = cut.put(place / "disk")
    trace = Trace(folder)
    with elsewhere(), trace.watching():
        found = everything(folder / "store")
    lawful(found, GIVEN, safe=durable, offered=offered)
    for number in range(2):
        again = drawn(trace, data).put(place / f"disk{number}")
        assert held(again / "store", durable, offered) == found
    shutil.rmtree(place)


def test_the_bound_is_kept() -> None:
    """At every moment what is accepted and not yet durable is within the bound that the recorder states."""
    for sync in ("well", "once", "twice", "thrice"):
        log = [value for value in (getattr(event, "value", None) for event in trace_of(sync).log) if value]
        assert len(log) > TICKS
        assert all(accepted - durable <= BOUND for _, accepted, durable in log)


def test_a_lie_that_is_told_without_end_is_no_crash(tmp_path: Path) -> None:
    """After a disk has lied all along and kept nothing, the store can be recorded into again."""
    trace = trace_of("lie")
    folder = power_cut(trace, len(trace.log), lambda count: min(1, count - 1)).put(tmp_path / "disk")
    try:
        with rl.Recorder(folder / "store", settings=small()) as recorder:
            assert all(recorder.record(tick) for tick in GIVEN[:5])
    except RecorderError as error:  # pragma: no cover
        raise AssertionError("a store that lost everything cannot be recorded into") from error
    lawful(everything(folder / "store"), GIVEN, safe=5)


def test_a_power_cut_in_silence(tmp_path: Path) -> None:
    """Ticks fewer than a sync waits for are synced by the timer, with nobody calling; then every state has them."""
    folder = tmp_path / "disk"
    folder.mkdir()
    trace = Trace(folder)
    with elsewhere(), trace.watching():
        recorder = rl.Recorder(folder / "store", settings=Settings(sync_seconds=0.05))
        for tick in GIVEN[:7]:
            assert recorder.record(tick)
        until(lambda: recorder.status().durable_seq == 6)
        trace.note((7, 7, 7))
        cut = len(trace.log)
        recorder.stop()
    rng = random.Random(3)
    for number, state in enumerate(states(lambda choose: power_cut(trace, cut, choose), 20 * SCALE, rng)):
        lawful(everything(state.put(tmp_path / str(number)) / "store"), GIVEN, safe=7, offered=7)
