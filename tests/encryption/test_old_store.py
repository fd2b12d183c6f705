"""An encrypted store of an earlier release, journals of format 2 included, verifies and reads the same in this one."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

import replaylab as rl
from tests.storage.test_upgrade import ALL, STORES, seen_in

ENCRYPTED = [folder for folder in ALL if folder not in STORES]


@pytest.fixture(params=ENCRYPTED, ids=lambda path: path.name)
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of a store of an earlier release, with its key as its owner kept it, and what that release saw in it."""
    shutil.copytree(request.param, tmp_path / "old")
    (tmp_path / "old" / "master.key").chmod(0o600)
    return tmp_path / "old"


def test_it_reads_the_same(old: Path) -> None:
    """Every row, price digit, remark and account is what the release that wrote it saw, and none without the key."""
    expected = json.loads((old / "expected.json").read_text(encoding="utf-8"))
    assert expected["problems"] == []
    assert seen_in(old / "store", kms=rl.FileKey(old / "master.key")) == expected
    with pytest.raises(rl.errors.KeyMissing):
        rl.Store(old / "store").verify()


def test_it_recovers_and_compacts(old: Path) -> None:
    """What its recorders left is sealed, it takes new recordings and is compacted, and keeps every row of before."""
    expected = json.loads((old / "expected.json").read_text(encoding="utf-8"))
    kms = rl.FileKey(old / "master.key")
    store = rl.open_store(old / "store", kms=kms)
    assert {one.state for one in store.recordings()} == {"clean", "recovered"}
    with rl.Recorder(store.path, kms=kms) as recorder:
        at = datetime(2031, 1, 3, tzinfo=UTC)
        assert recorder.record(rl.Tick("20310103-0000000000000new", 0, at, Decimal("1.5")))
    rl.compact(store, progress=False)
    found = seen_in(store.path, kms=kms)
    before = [one for one in found["games"] if not one["game_id"].endswith("new")]
    assert (found["problems"], before, found["remarks"]) == ([], expected["games"], expected["remarks"])


def test_there_are_stores() -> None:
    """The folder is found."""
    assert ENCRYPTED
