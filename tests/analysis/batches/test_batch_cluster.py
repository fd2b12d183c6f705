"""A batch on a real Dask cluster: two worker processes of their own give the identical table."""

from __future__ import annotations

import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from distributed import Client, LocalCluster

import replaylab as rl
from replaylab import errors
from replaylab.analysis import map_games, summarise
from replaylab.analysis.batches import parts
from tests.stores import quiet, simulated


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    """Two worker processes with a thread each, heard on this machine alone, at whatever ports are free."""
    with LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=2,
        threads_per_worker=1,
        processes=True,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address="127.0.0.1:0",
        silence_logs=50,
    ) as made:
        yield made


@pytest.fixture(scope="module")
def client(cluster: LocalCluster) -> Iterator[Client]:
    """A client of the cluster."""
    with Client(cluster) as made:  # type: ignore[no-untyped-call]
        yield made


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store of 8 games in two segments, cut into several parts."""
    monkeypatch.setattr(parts, "ROW_GROUP_ROWS", 500)
    for seed in (1, 2):
        quiet(simulated(tmp_path / str(seed), games=4, seed=seed, damage="two_writers"), tmp_path / "store")
    return tmp_path / "store"


def test_identical_table(store: Path, client: Client) -> None:
    """A function of this test, which the workers cannot import, gives on both of them what it gives here."""
    factor = 3

    def shape(game: rl.Game, least: int) -> dict[str, Any]:
        told = game.summary
        return {"peak": told["peak"] * factor, "long": told["ticks"] >= least, "sources": told["sources"]}

    here = map_games(store, shape, parameters={"least": 150}, workers=1, progress=False)
    there = map_games(store, shape, parameters={"least": 150}, executor=client, progress=False)
    assert there.ok
    assert there.table.equals(here.table)
    assert there.table.schema == here.table.schema


def test_identical_summary(store: Path, cluster: LocalCluster) -> None:
    """`summarise` takes the cluster itself as well, and gives the frame of `Store.games()`."""
    pd.testing.assert_frame_equal(summarise(store, executor=cluster, progress=False), rl.Store(store).games())


@pytest.mark.encryption
def test_workers_open_an_encrypted_store_with_its_kms(client: Client, tmp_path: Path) -> None:
    """Each worker asks the `Kms` that the store was opened with, and the table is that of the plain store."""
    key = rl.FileKey(tmp_path / "key", create=True)
    recordings = simulated(tmp_path / "r", games=4, seed=1, damage="two_writers")
    quiet(recordings, tmp_path / "store")
    quiet(recordings, tmp_path / "vault", kms=key)
    vault = rl.open_store(tmp_path / "vault", kms=key)
    there = summarise(vault, executor=client, progress=False)
    pd.testing.assert_frame_equal(there, rl.Store(tmp_path / "store").games())


@pytest.mark.encryption
def test_workers_without_the_key_say_so(client: Client, tmp_path: Path) -> None:
    """What a worker says that cannot have the key is `KeyMissing`, with what to do, and no error of unpickling."""
    key = rl.FileKey(tmp_path / "key", create=True)
    quiet(simulated(tmp_path / "r", games=2, seed=1), tmp_path / "vault", kms=key)
    vault = rl.open_store(tmp_path / "vault", kms=key)
    (tmp_path / "key").rename(tmp_path / "elsewhere")  # on the workers' machines it is not there
    found = map_games(vault, len, executor=client, progress=False)
    assert len(found.failed) == 2
    for said in found.failed["error"].to_pylist():
        assert re.match(r"KeyMissing: .*vault: no key file at .*key; name the one", said)
    with pytest.raises(errors.KeyMissing, match="no key file"):
        client.submit(lambda store: store.rows, vault).result()


def test_both_workers_do_their_part(store: Path, client: Client, tmp_path: Path) -> None:
    """The games are done by two processes, neither of them this one; each waits until it has seen the other."""
    seen = tmp_path / "seen"
    seen.mkdir()

    def worker(_: rl.Game) -> int:
        (seen / str(os.getpid())).touch()
        deadline = time.monotonic() + 240
        while len(list(seen.iterdir())) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        return os.getpid()

    found = map_games(store, worker, executor=client, progress=False)
    done_by = set(found.table["value"].to_pylist())
    assert len(done_by) == 2
    assert os.getpid() not in done_by


def test_failures_there_are_rows_here(store: Path, client: Client, tmp_path: Path) -> None:
    """A game that fails on a worker is a row with the reason, and a rerun from the cache tries it alone."""
    bad = rl.Store(store).game_ids()[3]

    def fails(game: rl.Game) -> int:
        if game.id == bad:
            raise ValueError("not this one")
        return len(game)

    found = map_games(store, fails, executor=client, cache=tmp_path / "cache", progress=False)
    assert found.failed["game_id"].to_pylist() == [bad]
    place = r"(test_batch_cluster\.py|<dynamic-code>):\d+ in fails"  # cloudpickle 3.1.3 keeps the name of the file back
    assert re.match(rf"ValueError: not this one \({place}", found.failed["error"][0].as_py())
    again = map_games(store, fails, executor=client, cache=tmp_path / "cache", progress=False)
    assert (again.manifest.cached, again.manifest.failed) == (7, 1)


def test_a_worker_killed_in_the_middle(store: Path, client: Client, tmp_path: Path) -> None:
    """A worker that is killed is started again by the cluster; every game is there once."""
    once = tmp_path / "once"

    def dies_once(game: rl.Game) -> int:
        try:
            once.touch(exist_ok=False)
        except FileExistsError:
            return len(game)
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    found = map_games(store, dies_once, executor=client, progress=False)
    assert found.ok
    assert found.table["value"].to_pylist() == rl.Store(store).games()["rows"].to_list()


def test_a_game_that_kills_every_worker(
    store: Path, cluster: LocalCluster, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The game that kills whoever works on it is a row with the reason; those beside it are done."""
    # three workers die instead of twelve: each is a process to start, which takes ten seconds on a loaded machine
    monkeypatch.setattr(cluster.scheduler, "allowed_failures", 0)
    bad = rl.Store(store).game_ids()[3]

    def kills(game: rl.Game) -> int:
        if game.id == bad:
            os._exit(1)
        return len(game)

    found = map_games(store, kills, executor=client, progress=False)
    assert found.failed["game_id"].to_pylist() == [bad]
    assert "KilledWorker" in found.failed["error"][0].as_py()


def test_a_client_that_was_closed(store: Path, cluster: LocalCluster) -> None:
    """A client without a cluster stops the run with an error that says so."""
    with Client(cluster) as client:  # type: ignore[no-untyped-call]
        pass
    with pytest.raises(errors.WorkerFailed, match="executor"):
        map_games(store, len, executor=client, progress=False)
