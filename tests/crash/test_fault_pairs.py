"""Any two faults in any order within one recording: no tick that was called durable is lost, none is stored twice."""

from __future__ import annotations

import errno
import mmap
import os
import random
import shutil
import signal
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final
from unittest import mock

import pytest

import replaylab as rl
from replaylab.errors import RecorderError
from replaylab.recording import background
from replaylab.settings import Settings
from replaylab.tick import Tick
from tests.crash.faults import CUTS, FOR_EVER, OPENS, REMOVALS, RENAMES, SYNCS, WRITES, Fault
from tests.crash.recordings import BOUND, lawful, made, stored
from tests.crash.scale import SCALE

RENAME: Final = os.rename  # of the test itself, whatever fails
TICKS: Final = 90
OFFERED, ACCEPTED, REFUSED = 1, 2, 3
CALLS: Final[dict[str, tuple[tuple[str, ...], int]]] = {
    "sync_error": (SYNCS, errno.EIO),
    "sync_full": (SYNCS, errno.ENOSPC),
    "write_error": (WRITES, errno.EIO),
    "short_write": (WRITES, errno.EIO),
    "full_disk": (WRITES, errno.ENOSPC),
    "no_handles": (OPENS, errno.EMFILE),
    "no_cuts": ((*CUTS, *REMOVALS), errno.EIO),
    "no_renames": (RENAMES, errno.EROFS),
}
MOVES: Final = ("moved", "removed", "journals_renamed")
KINDS: Final = (*CALLS, *MOVES, "kill")


def fault_of(kind: str, store: Path, chance: random.Random) -> Fault:
    """Return a fault of a kind that strikes a few times, or for ever."""
    calls, code = CALLS[kind]
    part = chance.random() if kind == "short_write" else 0.0
    times = chance.choice([1, 2, 3, 7, FOR_EVER])
    return Fault(store.parent, calls, code, times=times, skip=chance.randrange(4), part=part)


def move(kind: str, store: Path) -> None:
    """Take the store, or its journals, away while the recorder may be making them again."""
    for number in count():
        aside = store.with_name(f"{store.name}-{kind}-{number}")
        if aside.exists():
            continue
        with suppress(FileNotFoundError):
            RENAME(store / "journals" if kind == "journals_renamed" else store, aside)
        break
    if kind == "removed" and not list(aside.glob("segments/*.parquet")):  # what was sealed, whoever removes it has lost
        shutil.rmtree(aside, ignore_errors=True)
    elif kind == "removed":
        RENAME(aside, aside.with_name(f"{store.name}-moved-{time.monotonic_ns()}"))


class Told:
    """What a recorder said, in memory that a killed child leaves to its parent: each tick, how many are durable."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, TICKS + 9)

    def put(self, number: int, mark: int) -> None:
        """Say what became of a tick."""
        self._memory[number] = mark

    def claim(self, durable_seq: int, *, final: bool = False) -> None:
        """Say that so many accepted ticks are durable: the most so far, unless it is the `final` word."""
        durable = durable_seq + 1 if final else max(self.durable, durable_seq + 1)
        self._memory[TICKS : TICKS + 8] = durable.to_bytes(8, "little")

    def excuse(self) -> None:
        """Say that journals have no names at the moment of a kill: what they hold cannot be kept."""
        self._memory[TICKS + 8] = 1

    @property
    def durable(self) -> int:
        """How many accepted ticks are durable."""
        return int.from_bytes(self._memory[TICKS : TICKS + 8], "little")

    @property
    def excused(self) -> bool:
        """Whether journals had no names at the moment of a kill."""
        return bool(self._memory[TICKS + 8])

    def marked(self, *marks: int) -> list[Tick]:
        """Return the ticks with one of these marks."""
        return [tick for number, tick in enumerate(made(TICKS)) if self._memory[number] in marks]


def record(store: Path, told: Told, pair: tuple[str, str], chance: random.Random) -> None:
    """Record, with two faults at two moments; be killed if one of them says so."""
    mode: Any = chance.choice(["group", "group", "tick", "none"])
    settings = Settings(
        buffer_ticks=10,
        max_unsynced_ticks=BOUND,
        max_failure_seconds=chance.choice([1e-6, 30.0]),
        min_free_bytes=0,
        min_free_start_bytes=0,
    )
    recorder = rl.Recorder(store, durability=mode, overflow="refuse", settings=settings)
    moments = sorted(chance.sample(range(TICKS), 2))
    with ExitStack() as faults:
        for number, tick in enumerate(made(TICKS)):
            for kind in [kind for kind, at in zip(pair, moments, strict=True) if at == number]:
                if kind in CALLS:
                    faults.enter_context(fault_of(kind, store, chance).in_force())
                elif kind in MOVES:
                    move(kind, store)
                else:
                    die(recorder, told, moved=bool(set(pair) & set(MOVES)))
            told.put(number, OFFERED)
            receipt = recorder.record_many([tick]) if chance.random() < 0.4 else recorder.record(tick)
            told.put(number, ACCEPTED if receipt else REFUSED)
            told.claim(receipt.durable_seq)
            if chance.random() < 0.1:
                with suppress(RecorderError):
                    told.claim(recorder.flush(timeout_seconds=chance.choice([0.01, 0.5])).durable_seq)
            if chance.random() < 0.2:
                time.sleep(chance.random() / 50)
        if chance.random() < 0.7:
            faults.close()  # the disk is well again at the end
        recorder.stop()
        told.claim(recorder.status().durable_seq, final=recorder._state.positions.lost)


def die(recorder: rl.Recorder, told: Told, *, moved: bool) -> None:
    """Be killed, once the journals that are gone have been made again."""
    if moved:
        deadline = time.monotonic() + 1
        journals, positions = recorder._state.journals, recorder._state.positions
        while positions.lost or not all(file.is_reachable for file in journals.files if file.descriptor >= 0):
            if time.monotonic() > deadline:
                told.excuse()
                break
            time.sleep(0.005)
    os.kill(os.getpid(), signal.SIGKILL)


def in_child(work: Callable[[], None]) -> int:
    """Do something in a forked child; return how it ended."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        signal.alarm(120)
        work()
    except BaseException:  # noqa: BLE001 whatever it is, it is shown, and the child ends here
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def hold(folder: Path, pair: tuple[str, str], seed: str) -> None:
    """Record with a pair of faults, and hold the law."""
    told, store = Told(), folder / "store"
    ended = in_child(lambda: record(store, told, pair, random.Random(seed)))
    assert ended == 0 or ("kill" in pair and ended == -signal.SIGKILL)
    accepted = told.marked(ACCEPTED)
    if store.is_dir() and (store / "segments").is_dir():
        found = stored(store)
        assert set(found) & set(told.marked(REFUSED)) == set()
        lawful(found, told.marked(OFFERED, ACCEPTED), safe=0)
        assert stored(store) == found
        assert rl.open_store(store).verify().ok or pair[0] in MOVES or pair[1] in MOVES
    else:
        found = []
    moved = [tick for place in folder.glob("store-moved-*") for tick in stored(place)]
    safe = 0 if told.excused else told.durable if set(pair) & set(MOVES) else len(accepted)
    assert set(accepted[:safe]) - {*found, *moved} == set(), f"lost of {safe} durable ticks"


@pytest.fixture(autouse=True)
def _looks_often() -> Iterator[None]:
    """Let recorders look at the disk often: the moments of this test are short."""
    with mock.patch.object(background, "LOOK_SECONDS", 0.02):
        yield


@pytest.mark.parametrize("number", range(24 * SCALE))
def test_two_faults(tmp_path: Path, number: int) -> None:
    """Whatever the two are, and in whatever order and at whatever moments they come."""
    chance = random.Random(f"pair {number}")
    hold(tmp_path, (chance.choice(KINDS), chance.choice(KINDS)), f"recording {number}")
