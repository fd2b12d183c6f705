"""Markers: what must not be seen is in no file and no name, whenever a process that writes is killed."""

from __future__ import annotations

import base64
import os
import random
import shutil
import signal
import time
from collections.abc import Callable, Collection
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

import replaylab as rl
from replaylab.encryption.kms import FileKey
from replaylab.recording.refusals import Refusals
from replaylab.tick import parse_time
from tests.crash.scale import SCALE
from tests.playing import until

KILLS = 4 * SCALE
GAME, SOURCE, PRICE, LINE = "20310102-feedfacecafebeef", "markedsource", "1.0700123456789", "marked by hand, no tick"


def forms(mark: str) -> list[bytes]:
    """Return what a mark may look like: UTF-8, UTF-16, hex, and base64 at each of its three offsets."""
    raw = mark.encode()
    found = [raw, mark.encode("utf-16-le"), mark.encode("utf-16-be"), raw.hex().encode(), raw.hex().upper().encode()]
    for shift in range(3):
        text = base64.b64encode(bytes(shift) + raw)
        found.append(text[(shift * 4 + 2) // 3 + (shift > 0) : len(text) // 4 * 4 - 4])
    return found


MARKS = [form for mark in (GAME, SOURCE, PRICE, LINE) for form in forms(mark)]


def seen_in(folder: Path) -> list[str]:
    """Return the files that hold a mark, or are named by one."""
    found = []
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        named = os.fsencode(path.relative_to(folder))
        found += [f"{path}: {mark!r}" for mark in MARKS if mark in content or mark in named]
    return found


def segments(store: Path, known: Collection[Path] = ()) -> set[Path]:
    """Return the segments of a store that are not known."""
    return set((store / "segments").glob("*.parquet")) - set(known)


def test_a_mark_is_found_in_every_form(tmp_path: Path) -> None:
    """The scan sees what it looks for: a clean result means something."""
    for number, form in enumerate(MARKS):
        (tmp_path / str(number)).write_bytes(b"before " + form + b" behind")
    assert len({line.partition(":")[0] for line in seen_in(tmp_path)}) == len(MARKS)
    for shift in range(3):
        (tmp_path / "all").write_bytes(base64.b64encode(bytes(shift) + GAME.encode() + b"behind"))
        assert any(line.startswith(str(tmp_path / "all")) for line in seen_in(tmp_path)), shift
    (tmp_path / GAME).touch()
    assert any(GAME in line.partition(":")[0] for line in seen_in(tmp_path))


def record(store: Path, key: FileKey, recordings: Path) -> None:
    """Record for ever, in short journals that are sealed, refused lines and marks between."""
    del recordings
    at = parse_time("2031-01-02T03:04:05")
    settings = rl.Settings(buffer_ticks=10, seal_ticks=100, seal_game_ticks=50)
    with rl.Recorder(store, kms=key, settings=settings) as recorder:
        refusals = Refusals(store, recorder.run, recorder.keys)
        for number in range(10**9):
            recorder.lane(SOURCE).record(rl.Tick(GAME, number, at, Decimal(PRICE)), f"{SOURCE}-{number}")
            if number % 50 == 0:
                refusals.keep(number, number, "not_json", LINE.encode())


def convert(store: Path, key: FileKey, recordings: Path) -> None:
    """Convert the same recording under new names, with damage, and compact, for ever."""
    content = (recordings / f"{SOURCE}.jsonl").read_bytes()
    for number in range(10**9):
        path = recordings / f"{SOURCE}-{os.getpid()}-{number}.jsonl"
        path.write_bytes(content + b"%s %d\n" % (LINE.encode(), number))
        rl.convert(path, store, kms=key, progress=False)
        path.unlink()
        if number % 2:
            rl.compact(store, kms=key, progress=False)


@pytest.mark.parametrize("work", [record, convert])
def test_no_mark_is_seen_after_a_kill(tmp_path: Path, work: Callable[[Path, FileKey, Path], None]) -> None:
    """Recorded, sealed, converted and compacted under SIGKILL: none in contents, names, asides and remains."""
    key, store, chance = FileKey(tmp_path / "key", create=True), tmp_path / "vault", random.Random(1)
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    lines = [
        f'{{"type": "tick", "timestamp": "2031-01-02T03:04:05", "game_id": "{GAME}", "tick": {tick}, "price": {PRICE}, '
        '"phase": "ACTIVE_GAMEPLAY", "active": true, "rugged": false, "cooldown_timer": 0, "trade_count": 0}\n'
        for tick in range(300)
    ]
    (recordings / f"{SOURCE}.jsonl").write_text("".join(lines))
    for number in range(KILLS):
        before = segments(store)
        child = os.fork()
        if child == 0:
            try:
                work(store, key, recordings)
            finally:
                os._exit(1)
        assert until(partial(segments, store, before), 60), "it stores ticks"
        time.sleep(chance.random() * 0.2)  # a moment by chance: nothing below depends on it
        os.kill(child, signal.SIGKILL)
        assert os.waitpid(child, 0)[1] == signal.SIGKILL
        assert seen_in(store) == []
        if number % 20 == 19:
            rl.recover(store, kms=key)
            assert seen_in(store) == []
            shutil.rmtree(store)
    assert not (store.exists() and rl.open_store(store, kms=key).verify().problems)
