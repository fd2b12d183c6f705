"""Recoveries at the same time, cut short, and in odd orders: each tick of a run is stored once, no refused one ever."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from unittest import mock

import pytest

import replaylab as rl
from replaylab.durable import sole_writer
from replaylab.journals.encoder import Encoder
from replaylab.journals.format import Header, journal_name, run_name
from replaylab.storage import recovery
from tests.crash.recordings import lawful, made, stored
from tests.crash.scale import SCALE
from tests.stores import run_child, start_child

RUN: Final = run_name(datetime(2031, 1, 2, tzinfo=UTC), 7, b"chance")
GIVEN: Final = made(16)
LINES: Final = [Encoder(RUN).line(tick, seq) for seq, tick in enumerate(GIVEN)]
ABANDON = """
import sys
from pathlib import Path
from tests.crash.works import abandon
abandon(Path(sys.argv[1]))
"""
OPEN = """
import sys, time
from pathlib import Path
import pyarrow.parquet
import replaylab as rl
rl.open_store, rl.recover
print("ready", flush=True)
while not Path(sys.argv[2]).exists():
    time.sleep(0.001)
print(rl.open_store(sys.argv[1]).rows)
"""


def store_of(folder: Path, *journals: bytes) -> Path:
    """Make a store with the journals of one run."""
    for name in ("segments", "remarks", "journals"):
        (folder / name).mkdir(parents=True)
    for number, content in enumerate(journals):
        (folder / "journals" / journal_name(RUN, number)).write_bytes(content)
    return folder


def rewritten() -> tuple[bytes, bytes]:
    """Give two journals of a run: after a failed sync the second holds again what the first had not made permanent."""
    return (
        Header(RUN, 0, 0).to_line() + b"".join(LINES[:11]),
        Header(RUN, 1, 7).to_line() + b"".join(LINES[7:]),
    )


def test_a_stretch_written_twice_is_read_once(tmp_path: Path) -> None:
    """Lines that two journals of a run hold are read once, before and after sealing."""
    store = store_of(tmp_path / "store", *rewritten())
    lawful(stored(rl.Store(store)), GIVEN, safe=16)
    lawful(stored(store), GIVEN, safe=16)
    assert rl.open_store(store).verify().ok


@pytest.mark.parametrize("again", [1, 2])
def test_a_recovery_in_the_middle_of_another(tmp_path: Path, again: int) -> None:
    """Whatever one recovery has read when another one runs, a stretch that two journals hold is stored once."""
    store = store_of(tmp_path / "store", *rewritten())
    calls: list[int] = []
    write: Callable[..., object] = vars(recovery)["write_segment"]

    def interrupted(*arguments: Any, **options: Any) -> object:
        calls.append(1)
        if len(calls) == again:
            recovery.recover(store)
        return write(*arguments, **options)

    with mock.patch.object(recovery, "write_segment", interrupted):
        recovery.recover(store)
    assert calls
    lawful(stored(rl.Store(store)), GIVEN, safe=16)
    recovery.recover(store)
    lawful(stored(store), GIVEN, safe=16)


@pytest.mark.parametrize("later", [[], LINES[5:6], LINES[5:]], ids=["nothing", "one", "many"])
def test_a_cut_is_never_forgotten(tmp_path: Path, later: list[bytes]) -> None:
    """Ticks that were refused stay refused, also when their journal is sealed after the one that cuts it."""
    kept = Header(RUN, 0, 0).to_line() + b"".join(LINES[:5])
    refused = Encoder(RUN).line(made(1, first=900)[0], 5)
    header = Header(RUN, 1, 5, cuts={"0": len(kept)}).to_line()
    store = store_of(tmp_path / "store", kept + refused, header + b"".join(later))
    count = 5 + len(later)
    lawful(stored(rl.Store(store)), GIVEN, safe=count, offered=count)
    with sole_writer(store):  # what is quarantined needs the store for itself: the first journal has to wait
        recovery.recover(store)
        lawful(stored(rl.Store(store)), GIVEN, safe=count, offered=count)
    recovery.recover(store)
    lawful(stored(store), GIVEN, safe=count, offered=count)
    assert list((store / "journals").iterdir()) == []


def test_many_open_one_store_at_once(tmp_path: Path) -> None:
    """Processes that open an abandoned store at the same moment see every tick, and store it once between them."""
    for turn in range(SCALE):
        store = tmp_path / f"store{turn}"
        assert run_child(ABANDON, store).returncode == 0
        children = [start_child(OPEN, store, tmp_path / f"go{turn}") for _ in range(4)]
        for child in children:
            assert child.stdout is not None
            child.stdout.readline()
        (tmp_path / f"go{turn}").touch()
        answers = [child.communicate(timeout=240) for child in children]
        assert [int(output) for output, _ in answers] == [36] * 4, answers
        lawful(stored(store), made(36), safe=36)
        assert rl.open_store(store).verify().ok
        assert list((store / "journals").iterdir()) == []
