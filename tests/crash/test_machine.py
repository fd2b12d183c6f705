"""Any order of recording, crashing, opening, compacting and converting: durable ticks are there exactly once."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Final
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

import replaylab as rl
from replaylab.errors import StoreNotFound
from tests.crash.power import power_cut
from tests.crash.recordings import lawful, made, small, stored
from tests.crash.scale import SCALE
from tests.crash.trace import Trace
from tests.stores import game_lines, quiet

SLOTS: Final = ("a", "b")
slots = st.sampled_from(SLOTS)
NO_PROCESS: Final = 1 << 22  # above every number that Linux gives to a process


class Recordings(RuleBasedStateMachine):
    """Two recorders in one store, what else happens to it, and the ticks that it must hold."""

    def __init__(self) -> None:
        super().__init__()
        self.place = Path(tempfile.mkdtemp(prefix="machine"))
        self.crashes = 0
        self.live: dict[str, rl.Recorder] = {}
        self.game: dict[str, str] = {}
        self.given: dict[str, list[rl.Tick]] = defaultdict(list)  # of each game: accepted, less what crashes have cost
        self.numbers: dict[str, int] = defaultdict(int)  # of each game: the next tick
        self.safe: dict[str, int] = defaultdict(int)  # of each game: the first so many are durable
        self.ran: dict[str, list[rl.Tick]] = {}  # of each slot: all accepted in this run
        self.converted: set[str] = set()

    @initialize()
    def begin(self) -> None:
        """Begin on an empty disk."""
        (self.place / "0").mkdir()
        self._watch()

    def _watch(self) -> None:
        self.watching = ExitStack()
        self.watching.enter_context(mock.patch.object(os, "getpid", return_value=NO_PROCESS + self.crashes))
        self.trace = Trace(self.place / str(self.crashes))
        self.watching.enter_context(self.trace.watching())

    @property
    def store(self) -> Path:
        """The store as it is now."""
        return self.place / str(self.crashes) / "store"

    @rule(slot=slots)
    def start(self, slot: str) -> None:
        """Start a recorder where none runs."""
        if slot not in self.live:
            self.live[slot] = rl.Recorder(self.store, settings=small())
            self.ran[slot] = []
            self.new_game(slot)

    @rule(slot=slots)
    def new_game(self, slot: str) -> None:
        """Turn to a new game."""
        self.game[slot] = f"{slot}-{len(self.numbers):04}"
        self.numbers[self.game[slot]] = 0

    @rule(slot=slots, count=st.integers(1, 25), at_once=st.booleans())
    def record(self, slot: str, count: int, at_once: bool) -> None:  # noqa: FBT001 a strategy gives it by name
        """Record some ticks of the game."""
        if slot not in self.live:
            return
        game = self.game[slot]
        ticks = made(count, game, self.numbers[game])
        self.numbers[game] += count
        receipts = [self.live[slot].record_many(ticks)] if at_once else [self.live[slot].record(one) for one in ticks]
        assert sum(receipt.accepted for receipt in receipts) == count
        self.given[game] += ticks
        self.ran[slot] += ticks
        self._take(slot, receipts[-1].durable_seq)

    @rule(slot=slots)
    def flush(self, slot: str) -> None:
        """Flush: all accepted is durable."""
        if slot in self.live:
            receipt = self.live[slot].flush()
            assert receipt.durable_seq + 1 == len(self.ran[slot])
            self._take(slot, receipt.durable_seq)

    @rule(slot=slots)
    def stop(self, slot: str) -> None:
        """Stop: all accepted is sealed."""
        if slot in self.live:
            report = self.live.pop(slot).stop()
            assert report.ticks == len(self.ran[slot])
            self._take(slot, len(self.ran[slot]) - 1)

    def _take(self, slot: str, durable_seq: int) -> None:
        """Take note of what is durable of a run."""
        for tick in self.ran[slot][: durable_seq + 1]:
            place = self.given[tick.game_id].index(tick)
            self.safe[tick.game_id] = max(self.safe[tick.game_id], place + 1)

    @rule()
    def compact(self) -> None:
        """Compact beside whatever records."""
        if self.store.exists():
            rl.compact(self.store, progress=False)

    @rule(number=st.integers(0, 3))
    def convert(self, number: int) -> None:
        """Convert a small file into the store."""
        source = self.place / f"{number}.jsonl"
        source.write_bytes(b"".join(game_lines(f"20310102-{number}123456789ab4cdf", 5)))
        quiet(source, self.store)
        self.converted.add(f"20310102-{number}123456789ab4cdf")

    @rule()
    def look(self) -> None:
        """Read the store as it is, recovered and not: every accepted tick is there, once."""
        if not self.store.exists():
            return
        for opened in (rl.Store(self.store), rl.open_store(self.store)):
            for game, ticks in self.given.items():
                found = stored(opened, [game])
                lawful(found, ticks, safe=len(ticks))
            for game in self.converted:
                assert len(opened.game(game)) == 6

    @precondition(lambda self: self.live)
    @rule(seed=st.integers(0, 1 << 32), power=st.booleans())
    def crash(self, seed: int, power: bool) -> None:  # noqa: FBT001 a strategy gives it by name
        """Lose the process, or the power with it; go on with what the disk then holds.

        How much there is to choose depends on what threads have written, which is not the same twice.
        """
        self.trace.look()
        choose = random.Random(seed).randrange if power else lambda _: 0
        cut = power_cut(self.trace, len(self.trace.log), choose)
        for recorder in self.live.values():
            recorder.stop()
        self.live.clear()
        self.watching.close()
        shutil.rmtree(self.place / str(self.crashes))
        self.crashes += 1
        cut.put(self.place / str(self.crashes))
        for game, ticks in self.given.items():
            try:
                found = stored(self.store, [game])
            except StoreNotFound:
                found = []
            lawful(found, ticks, safe=self.safe[game] if power else len(ticks))
            self.given[game], self.safe[game] = found, len(found)
        self._watch()

    def teardown(self) -> None:
        """End, and look a last time."""
        if hasattr(self, "trace"):
            for recorder in self.live.values():
                recorder.stop()
            self.look()
            self.watching.close()
        shutil.rmtree(self.place)


def test_any_order(no_real_sync: None) -> None:
    """Whatever is done in whatever order, every durable tick is there exactly once, and no other but those accepted."""
    tries = settings(max_examples=40 * SCALE, stateful_step_count=25)
    run_state_machine_as_test(Recordings, settings=tries)
