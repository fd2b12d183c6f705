"""Power cuts during a conversion and a compaction: whatever the disk then holds, nothing stored is lost or half."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from unittest import mock

import pytest

import replaylab as rl
from tests.crash.power import PowerCut, power_cut, states
from tests.crash.scale import SCALE
from tests.crash.trace import Trace
from tests.stores import Rows, leftovers, quiet, rows, simulated, state

STATES: Final = 12 * SCALE  # after each event, when there are more
NO_PROCESS: Final = 1 << 22  # above every number that Linux gives to a process

pytestmark = pytest.mark.usefixtures("no_real_sync")


def traced(folder: Path, work: Callable[[], object]) -> Trace:
    """Run some work under a trace, as a process that no longer runs when the power is back."""
    trace = Trace(folder)
    with trace.watching(), mock.patch.object(os, "getpid", return_value=NO_PROCESS):
        work()
        trace.note("done")
    return trace


def cuts(trace: Trace, folder: Path) -> Iterator[tuple[PowerCut, Path]]:
    """Give each state that the disk may be in, after each event, and a folder that holds it."""
    seen = set()
    rng = random.Random(4)
    for cut in range(trace.first, len(trace.log) + 1):
        for found in states(lambda choose, cut=cut: power_cut(trace, cut, choose), STATES, rng):  # type: ignore[misc]
            if found.key() not in seen:
                seen.add(found.key())
                yield found, found.put(folder / str(len(seen)))
                shutil.rmtree(folder / str(len(seen)))


def whole_rows(store: Path) -> Rows:
    """Give the rows of a store that is in order; none when there is no store."""
    if not (store / "segments").is_dir():
        return Rows()
    assert rl.open_store(store).verify().problems == []
    return rows(store)


def test_a_power_cut_during_a_conversion(tmp_path: Path) -> None:
    """Wherever the power goes, what is there is whole, what was converted stays, and a rerun makes it complete."""
    sources = [simulated(tmp_path / f"r{number}", games=1, seed=number, damage="two_writers") for number in range(2)]
    quiet(sources, tmp_path / "whole")
    whole, every = state(tmp_path / "whole"), rows(tmp_path / "whole")
    (tmp_path / "disk").mkdir()
    trace = traced(tmp_path / "disk", lambda: [quiet(one, tmp_path / "disk" / "store") for one in sources])
    (tmp_path / "cuts").mkdir()
    count = 0
    for cut, folder in cuts(trace, tmp_path / "cuts"):
        found = whole_rows(folder / "store")
        assert not found - every, cut.cut
        assert "done" not in cut.notes or found == every, cut.cut
        quiet(sources, folder / "store")
        assert state(folder / "store") == whole, cut.cut
        assert leftovers(folder / "store") == [], cut.cut
        count += 1
    assert count > 25


def test_a_power_cut_during_a_compaction(tmp_path: Path) -> None:
    """Wherever the power goes during a compaction, every row is there exactly once, and a rerun tidies up."""
    store = tmp_path / "disk" / "store"
    store.parent.mkdir()
    for number in range(3):
        quiet(simulated(tmp_path / f"r{number}", games=1, seed=number, damage="two_writers"), store)
    whole = state(store)
    trace = traced(tmp_path / "disk", lambda: rl.compact(store, progress=False))
    (tmp_path / "cuts").mkdir()
    count = 0
    for cut, folder in cuts(trace, tmp_path / "cuts"):
        assert state(folder / "store") == whole, cut.cut
        rl.compact(folder / "store", progress=False)
        assert state(folder / "store") == whole, cut.cut
        assert leftovers(folder / "store") == [], cut.cut
        assert len(rl.open_store(folder / "store").segments()) == 1, cut.cut
        count += 1
    assert count > 25
