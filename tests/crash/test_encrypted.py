"""Encrypted stores under SIGKILL: what the kit holds in plain is held with a key, at some of the points."""

from __future__ import annotations

import base64
import os
import shutil
from pathlib import Path

import pytest

import replaylab as rl
from replaylab.encryption.parquet import key_named
from tests.crash.recordings import Said, made, small, stored
from tests.crash.scale import SCALE
from tests.crash.works import TICKS, WORKS, Killer, abandon

pytestmark = pytest.mark.encryption

STEP = max(1, 9 // SCALE)  # between two points at which the process is killed


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set a key for all stores of a test."""
    monkeypatch.setenv("REPLAYLAB_KEY", base64.b64encode(bytes(range(32))).decode())


def killed_at(point: int, work: str, store: Path) -> tuple[int, tuple[int, int, int]]:
    """Do the work in a child that is killed at a point; return how it ended and what it had said."""
    said = Said()
    child = os.fork()
    if child == 0:
        try:
            with Killer(point).watching():
                WORKS[work](store, said)
        except BaseException:  # noqa: BLE001 a child must not go on as its parent does
            os._exit(1)
        os._exit(0)
    return os.waitpid(child, 0)[1], said.get()


@pytest.mark.parametrize("work", ["record", "record_many"])
def test_no_acknowledged_tick_is_lost(tmp_path: Path, work: str) -> None:
    """Wherever the recorder is killed, opening the store finds all that it had acknowledged, and no damage."""
    point, status = 1, 1
    while status:
        store = tmp_path / str(point)
        status, (offered, accepted, _) = killed_at(point, work, store)
        assert status in {0, 9}, point
        found = len(stored(store)) if (store / "segments").is_dir() else 0
        assert accepted <= found <= offered, point
        if found:
            assert rl.open_store(store).encrypted
            assert rl.open_store(store).verify().problems == [], point
        with rl.Recorder(store, settings=small()):  # what was left is no hindrance
            pass
        point += STEP
    assert found == TICKS


@pytest.mark.parametrize("work", ["recover", "compact"])
def test_no_stored_tick_is_lost(tmp_path: Path, work: str) -> None:
    """Wherever a recovery or a compaction is killed, all rows are there, each once."""
    abandon(tmp_path / "abandoned")
    expected = sorted(map(repr, stored(shutil.copytree(tmp_path / "abandoned", tmp_path / "first"))))
    assert len(expected) == TICKS
    point, status = 1, 1
    while status:
        store = shutil.copytree(tmp_path / "abandoned", tmp_path / str(point))
        status, _ = killed_at(point, work, store)
        assert status in {0, 9}, point
        assert sorted(map(repr, stored(store))) == expected, point
        point += STEP


def test_a_renewal_that_is_killed_again_and_again(tmp_path: Path) -> None:
    """The compactions of one store go on where the one before was killed; 300 segments with CRASH_SCALE=20."""
    for number in range(15 * SCALE):
        with rl.Recorder(tmp_path / "s", settings=small()) as recorder:
            recorder.record_many(made(4, f"2031{number:04}-0123456789ab4cde"))
    store = rl.open_store(tmp_path / "s")
    segments, digest = len(store.sealed()), store.verify().rows_digest
    assert segments == 15 * SCALE
    rl.rotate(tmp_path / "s", rl.EnvironmentKey(), new_store_key=True)
    turns, status = 0, 1
    while status:
        status, _ = killed_at(1 + turns * STEP, "compact", tmp_path / "s")
        assert status in {0, 9}, turns
        verified = rl.Store(tmp_path / "s").verify()
        assert (verified.rows, verified.rows_digest, verified.problems) == (segments * 4, digest, []), turns
        turns += 1
    assert turns > 5
    assert rl.open_store(tmp_path / "s").key_ids() == ["k2"]
    assert all(key_named(path.name) == "k2" for path in tmp_path.glob("s/*/*.parquet"))


def test_a_renewal_of_the_key_loses_nothing(tmp_path: Path) -> None:
    """Wherever it is killed, each file is opened by a key that `keys.json` holds, and doing it again ends with one."""
    abandon(tmp_path / "sealed")
    expected = sorted(map(repr, stored(tmp_path / "sealed")))
    digest = rl.open_store(tmp_path / "sealed").verify().rows_digest
    point, status = 1, 1
    while status:
        store = shutil.copytree(tmp_path / "sealed", tmp_path / str(point))
        status, _ = killed_at(point, "renew", store)
        assert status in {0, 9}, point
        assert sorted(map(repr, stored(store))) == expected, point
        verified = rl.open_store(store).verify()
        assert (verified.problems, verified.rows_digest) == ([], digest), point
        report = rl.compact(store, progress=False)
        assert len(report.keys) == 1, point
        assert sorted(map(repr, stored(store))) == expected, point
        point += STEP
