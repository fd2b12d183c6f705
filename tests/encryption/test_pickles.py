"""Encrypted stores that travel: a worker without the key raises `KeyMissing` where it reads, not where it unpickles."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import pytest

import replaylab as rl
from replaylab.errors import KeyMissing, SegmentDamaged
from tests.stores import quiet, simulated


def by_joblib(one: object) -> Any:
    """Return a copy as a worker of joblib gets it."""
    path = Path("copy.joblib")
    joblib.dump(one, path)
    return joblib.load(path)


COPIES: dict[str, Callable[[Any], Any]] = {
    "pickle": lambda one: pickle.loads(pickle.dumps(one)),
    "cloudpickle": lambda one: cloudpickle.loads(cloudpickle.dumps(one)),
    "joblib": by_joblib,
}


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> rl.Store:
    """Return an encrypted store."""
    monkeypatch.chdir(tmp_path)
    quiet(simulated(tmp_path / "recordings", games=2, seed=1), tmp_path / "vault", kms=rl.FileKey("key", create=True))
    return rl.open_store(tmp_path / "vault", kms=rl.FileKey("key"))


@pytest.mark.parametrize("way", COPIES)
def test_a_copy_reads_with_the_key_and_names_it_without(vault: rl.Store, way: str) -> None:
    """Unpickling asks nothing; the first question does, each time, and is answered once the key is there."""
    segment = vault.segments()[0]
    copy, part = COPIES[way](vault), COPIES[way](segment)
    assert copy.games().equals(vault.games())
    assert part.read().num_rows == vault.rows
    Path("key").rename("away")
    copy, part = COPIES[way](vault), COPIES[way](segment)
    for ask in (lambda: copy.rows, copy.games, lambda: part.footer, part.read, copy.key_ids):
        with pytest.raises(KeyMissing, match=r"vault: no key file at .*key; name the one"):
            ask()
    Path("away").rename("key")
    assert copy.games().equals(vault.games())
    assert part.read().num_rows == vault.rows


def rows_of(store: rl.Store) -> int:
    """Return the number of rows, read in another process."""
    return store.rows


def test_a_spawned_process_says_what_is_missing(vault: rl.Store) -> None:
    """As `multiprocessing` and its pools pass it on: the error is the worker's own, and no broken pool."""
    Path("key").rename("away")
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        with pytest.raises(KeyMissing, match="no key file"):
            pool.submit(rows_of, vault).result(timeout=90)
        Path("away").rename("key")
        assert pool.submit(rows_of, vault).result(timeout=90) == vault.rows


def test_a_missing_key_is_not_called_damage(vault: rl.Store) -> None:
    """What cannot be opened for want of a key is not listed as damaged."""
    Path("key").rename("away")
    copy = COPIES["pickle"](vault)
    with pytest.raises(KeyMissing) as caught:
        copy.verify()
    assert not isinstance(caught.value, SegmentDamaged)
    assert copy.damaged == {}
