"""One law of recordings: what was acknowledged is there exactly once, in order, with equal prices, whatever happens.

A machine records into one store with several recorders, crashes them, damages what was never acknowledged, opens,
recovers, compacts and converts, and lets writes and syncs fail; after each step it reads the store.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import replaylab as rl
from replaylab.errors import RecordingFailed
from replaylab.journals.encoder import Encoder
from replaylab.journals.format import scan
from replaylab.journals.seq_ranges import SeqRanges
from replaylab.tick import Tick
from tests.recordings import FIELDS, crash, small
from tests.stores import line
from tests.strategies import ticks as any_tick

RUN = "20310102T030405000000Z-0123456789ab-7"
EIO = OSError(errno.EIO, os.strerror(errno.EIO))
FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Recordings(RuleBasedStateMachine):
    """Recorders of one store, and the ticks that each of them acknowledged."""

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp())
        self.store = self.root / "store"
        self.live: list[rl.Recorder] = []
        self.kept: dict[str, list[Tick]] = {}
        self.converted = 0

    def teardown(self) -> None:
        """Leave nothing behind."""
        for recorder in self.live:
            recorder.stop()
        shutil.rmtree(self.root)

    @initialize()
    def begin(self) -> None:
        """Begin with one recorder."""
        self.start("group")

    @precondition(lambda self: len(self.live) < 3)
    @rule(mode=st.sampled_from(["group", "tick", "none"]))
    def start(self, mode: Any) -> None:
        """Another recorder begins."""
        demands = small(seal_ticks=100, seal_game_ticks=20, max_failures=50)
        self.live.append(rl.Recorder(self.store, durability=mode, settings=demands))
        self.kept[self.live[-1].run] = []

    def one(self, number: int) -> rl.Recorder:
        """One of the recorders that are live."""
        return self.live[number % len(self.live)]

    def keep(self, recorder: rl.Recorder, tick: Tick) -> None:
        """Record one tick, and remember it when it was acknowledged."""
        if recorder.record(tick):
            self.kept[recorder.run].append(tick)

    @precondition(lambda self: self.live)
    @rule(number=st.integers(0, 2), given=st.lists(any_tick(), min_size=1, max_size=12))
    def record(self, number: int, given: list[Tick]) -> None:
        """Ticks one by one."""
        for tick in given:
            self.keep(self.one(number), tick)

    @precondition(lambda self: self.live)
    @rule(number=st.integers(0, 2), tick=any_tick(), times=st.integers(1, 60))
    def record_many(self, number: int, tick: Tick, times: int) -> None:
        """Many ticks at once, equal ones too."""
        recorder = self.one(number)
        receipt = recorder.record_many([tick] * times)
        assert receipt.accepted + receipt.refused == times
        self.kept[recorder.run] += [tick] * receipt.accepted

    @precondition(lambda self: self.live)
    @rule(number=st.integers(0, 2))
    def flush(self, number: int) -> None:
        """All of it becomes permanent."""
        assert self.one(number).flush().durable

    @precondition(lambda self: self.live)
    @rule(number=st.integers(0, 2), tick=any_tick(), half=st.booleans(), error=st.sampled_from([EIO, FULL]))
    def fail_to_write(self, number: int, tick: Tick, half: bool, error: OSError) -> None:  # noqa: FBT001 a rule's own
        """One write fails, after half of it or before."""
        with mock.patch.object(os, "write", _failing(os.write, error, half=half)):
            self.keep(self.one(number), tick)

    @precondition(lambda self: self.live)
    @rule(number=st.integers(0, 2), tick=any_tick(), times=st.integers(1, 3))
    def fail_to_sync(self, number: int, tick: Tick, times: int) -> None:
        """A few syncs fail."""
        recorder = self.one(number)
        with mock.patch.object(os, "fsync", _failing(os.fsync, EIO, times=times)):
            self.keep(recorder, tick)
            with suppress(RecordingFailed):
                recorder.flush()

    @precondition(lambda self: self.live)
    @rule(number=st.integers(0, 2), torn=st.binary(max_size=30))
    def kill(self, number: int, torn: bytes) -> None:
        """A recorder is killed in the middle of a line."""
        recorder = self.live.pop(number % len(self.live))
        journal = recorder.status().journal
        crash(recorder)
        if journal.exists():
            with journal.open("ab") as file:
                file.write(torn.replace(b"\n", b""))

    @precondition(lambda self: self.live)
    @rule(number=st.integers(0, 2))
    def stop(self, number: int) -> None:
        """A recorder ends."""
        report = self.live.pop(number % len(self.live)).stop()
        assert report.durable
        assert report.ticks == len(self.kept[report.run])

    @rule()
    def open(self) -> None:
        """The store is opened, as after a crash."""
        rl.open_store(self.store)

    @rule()
    def compact(self) -> None:
        """Segments become few."""
        rl.compact(self.store, progress=False)

    @rule()
    def convert(self) -> None:
        """Another recording is converted into the store."""
        self.converted += 1
        source = self.root / f"{self.converted}.jsonl"
        source.write_bytes(line("converted", self.converted))
        rl.convert(source, self.store, progress=False)

    @invariant()
    def holds(self) -> None:
        """What was acknowledged is there, once, in order, equal."""
        store = rl.Store(self.store)
        found: dict[str, list[tuple[int, Tick]]] = {run: [] for run in self.kept}
        for game in store.game_ids():
            table = store.game(game).ticks()
            places: dict[str, list[int]] = {}
            for row in table.to_pylist():
                if row["source"].endswith(".jsonl"):
                    continue
                run = row["source"].rpartition("-")[0]
                tick = Tick(phase=row["recorded_phase"], **{name: row[name] for name in FIELDS})
                found[run].append((row["seq"], tick))
                places.setdefault(run, []).append(row["seq"])
            assert all(seqs == sorted(seqs) for seqs in places.values())
        for run, kept in self.kept.items():
            assert [tick for _, tick in sorted(found[run], key=lambda one: one[0])] == kept
        assert store.verify().problems == []
        assert store.rows == sum(map(len, self.kept.values())) + self.converted


def _failing(call: Callable[..., Any], error: OSError, *, times: int = 1, half: bool = False) -> Callable[..., Any]:
    left = [times]

    def failing(descriptor: int, *given: Any) -> Any:
        if left[0] <= 0:
            return call(descriptor, *given)
        left[0] -= 1
        if half:
            call(descriptor, given[0][: len(given[0]) // 2])
        raise error

    return failing


TestRecordings = Recordings.TestCase
TestRecordings.settings = settings(max_examples=20, stateful_step_count=20)


@given(tick=any_tick(), seq=st.integers(0, 10**18 - 1))
def test_lines_are_those_of_the_tick(tick: Tick, seq: int) -> None:
    """The quick encoder gives the bytes of `Tick.to_line`, and the line reads back as that and its place."""
    found = Encoder(RUN).line(tick, seq)
    assert found.startswith(tick.to_line()[:-1] + b', "seq": ')
    read = scan(found, RUN)
    assert (read.ticks, read.seqs, read.damage) == ([tick.to_line() + b"\n"], [seq], [])


@given(first=any_tick(), second=any_tick())
def test_encoders_remember_rightly(first: Tick, second: Tick) -> None:
    """What an encoder keeps of one tick does not show in the next one."""
    encoder = Encoder(RUN)
    for tick in (first, second, first):
        assert encoder.line(tick, 1) == Encoder(RUN).line(tick, 1)


@given(numbers=st.lists(st.integers(0, 40)), more=st.lists(st.integers(0, 40)))
def test_sequences_are_sets(numbers: list[int], more: list[int]) -> None:
    """A sequence holds what a set of the same numbers holds."""
    held = SeqRanges.of(numbers) | SeqRanges.of(more)
    assert list(held) == sorted({*numbers, *more})
    assert [number in held for number in range(42)] == [number in {*numbers, *more} for number in range(42)]
