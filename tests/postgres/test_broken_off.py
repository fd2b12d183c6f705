"""Exports that are broken off, by the server, a kill, a full disk, another one: run again, all is there once."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import threading
import traceback
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

import replaylab as rl
from replaylab.errors import DatabaseBusy, DatabaseError, DatabaseFull, DatabaseUnreachable
from replaylab.postgres import load as loading
from replaylab.postgres.address import Address
from replaylab.postgres.connection import SCHEMA, Connection
from tests.crash.scale import SCALE
from tests.postgres.server import Server, server
from tests.stores import quiet, run_child, simulated, start_child, state

_numbers = count()
STATEMENTS = ("run", "table", "put", "commit")


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """Give a server that tests may kill."""
    with server() as made:
        yield made


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a store of several segments, with remarks."""
    folder = tmp_path_factory.mktemp("broken")
    for seed in range(4):
        quiet(simulated(folder / f"r{seed}", games=2, seed=seed, damage="two_writers"), folder / "s")
    assert len(rl.Store(folder / "s").sealed()) >= 4
    return folder / "s"


class Point:
    """Does something before the n-th statement of an export."""

    def __init__(self, number: int, do: Callable[[], object]) -> None:
        self.left = number
        self.do = do
        self.seen = 0

    def watch(self, patch: pytest.MonkeyPatch) -> None:
        """Count statements from now on."""
        for name in STATEMENTS:
            patch.setattr(Connection, name, self._counted(getattr(Connection, name)))

    def _counted(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*arguments: Any, **options: Any) -> Any:
            self.seen += 1
            self.left -= 1
            if self.left == 0:
                self.do()
            return call(*arguments, **options)

        return counted


def statements(store: Path, address: str) -> int:
    """Count the statements of a whole export."""
    point = Point(0, lambda: None)
    with pytest.MonkeyPatch.context() as patch:
        point.watch(patch)
        rl.export(store, address)
    return point.seen


def is_whole(store: Path, address: str, folder: Path) -> None:
    """Check that a database holds what a store does."""
    assert rl.export(store, address).rows == 0
    rl.convert(address, folder, progress=False)
    assert state(folder) == state(store)


@pytest.mark.parametrize("part", range(6 * SCALE))
def test_a_server_that_is_killed_and_started_again(part: int, own_server: Server, store: Path, tmp_path: Path) -> None:
    """It is waited for, the export goes on after the last segment that was taken in, and all is there once."""
    total = statements(store, own_server.database(f"whole_{next(_numbers)}"))
    address = own_server.database(f"killed_{next(_numbers)}")

    def again() -> None:
        own_server.kill()
        own_server.start()

    with pytest.MonkeyPatch.context() as patch:
        Point(max(1, total * (2 * part + 1) // (12 * SCALE)), again).watch(patch)
        done = rl.export(store, address)
    assert done.rows == rl.Store(store).rows
    is_whole(store, address, tmp_path / "b")


def test_a_server_that_stays_away(
    own_server: Server, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is an error that names the place; the next export goes on, and what is there is the same as without it."""
    monkeypatch.setattr(loading, "RETRY_SECONDS", (0.01, 0.01))
    total = statements(store, own_server.database(f"whole_{next(_numbers)}"))
    address = own_server.database(f"away_{next(_numbers)}")
    with pytest.MonkeyPatch.context() as patch:
        Point(total // 2, own_server.kill).watch(patch)
        with pytest.raises(DatabaseUnreachable, match="postgresql://replay@"):
            rl.export(store, address)
    with pytest.raises(DatabaseUnreachable):
        rl.export(store, address)
    own_server.start()
    before = len(rl.Store(store).sealed())
    done = rl.export(store, address)
    assert done.segments + done.segments_known == before
    is_whole(store, address, tmp_path / "b")


EXPORT = """
import os, signal, sys
from replaylab.postgres.connection import Connection
left = int(sys.argv[3])
def counted(call):
    def one(*arguments, **options):
        global left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*arguments, **options)
    return one
for name in ("run", "table", "put", "commit"):
    setattr(Connection, name, counted(getattr(Connection, name)))
import replaylab as rl
print(rl.export(sys.argv[1], sys.argv[2]).rows)
"""


@pytest.mark.parametrize("part", range(6 * SCALE))
def test_an_export_that_is_killed(part: int, database_server: Server, store: Path, tmp_path: Path) -> None:
    """The next one goes on; no row is there twice, and none is missing."""
    total = statements(store, database_server.database(f"all_{next(_numbers)}"))
    address = database_server.database(f"client_{next(_numbers)}")
    done = run_child(EXPORT, store, address, max(1, total * (2 * part + 1) // (12 * SCALE)))
    assert done.returncode == -signal.SIGKILL, done.stderr
    rl.export(store, address)
    is_whole(store, address, tmp_path / "b")


def test_two_exports_at_once(database_server: Server, store: Path, tmp_path: Path) -> None:
    """One waits for the other, or says that it is busy; all is there once."""
    address = database_server.database(f"two_{next(_numbers)}")
    with start_child(EXPORT, store, address, 0) as first, start_child(EXPORT, store, address, 0) as second:
        answers = [child.communicate(timeout=120) for child in (first, second)]
    assert sorted(int(out) for out, _ in answers) == [0, rl.Store(store).rows]
    is_whole(store, address, tmp_path / "b")


PASSWORD = "Tr0ub/4d?r"


def shown(call: Callable[[], object], caplog: pytest.LogCaptureFixture) -> str:
    """Return all that a call shows that fails: its error with all causes, and the log at any level."""
    with caplog.at_level(logging.DEBUG), pytest.raises(DatabaseError) as caught:
        call()
    error = traceback.TracebackException.from_exception(caught.value, capture_locals=False)
    records = [repr(vars(record)) for record in caplog.records]
    return "".join([*error.format(), repr(caught.value), repr(caught.value.args), caplog.text, *records])


def test_no_password_is_shown_wherever_a_database_refuses(
    own_server: Server,
    store: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """A wrong password at the door, a server that goes in the middle, a table of another shape: each says its place."""
    monkeypatch.setattr(loading, "RETRY_SECONDS", (0.01, 0.01))
    address = own_server.guarded(own_server.database("guarded").partition("@/")[2].partition("?")[0], PASSWORD)
    word = quote(PASSWORD, safe="")
    wrong = address.replace(word, f"{word}-not")
    said = []
    for call in (lambda: rl.export(store, wrong), lambda: rl.convert(wrong, tmp_path / "n", progress=False)):
        said.append(shown(call, caplog))
        assert "password authentication failed for user" in said[-1]
    for number in (statements(store, own_server.database("guarded_whole")) // 2, 2):
        point = Point(number, own_server.kill)
        with monkeypatch.context() as patch:
            point.watch(patch)
            said.append(shown(lambda: rl.export(store, address), caplog))
        own_server.start()
    rl.export(store, address)
    point = Point(2, own_server.kill)
    with monkeypatch.context() as patch:
        point.watch(patch)
        said.append(shown(lambda: rl.convert(address, tmp_path / "back", progress=False), caplog))
    own_server.start()
    with Connection(Address.of(address)) as connection:
        connection.run("ALTER TABLE replaylab.games RENAME COLUMN game_id TO other")
        connection.commit()
        said += [repr(connection), repr(connection.address), str(connection.address)]
    said.append(shown(lambda: rl.export(store, address), caplog))
    said += list(capfd.readouterr())
    said += [path.read_bytes().decode("latin-1") for path in tmp_path.rglob("*") if path.is_file()]
    assert not [text for text in said if PASSWORD in text or word in text]


def test_an_export_that_does_not_end(database_server: Server, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while the second one says what is in its way."""
    address = database_server.database(f"busy_{next(_numbers)}")
    monkeypatch.setattr(loading, "LOCK_SECONDS", 0.2)
    with Connection(Address.of(address)) as other:
        other.rows("select pg_advisory_lock($1)", (loading.LOCK,))
        with pytest.raises(DatabaseBusy, match="another export"):
            rl.export(store, address)
    rl.export(store, address)


def test_a_full_disk_of_the_database(store: Path, tmp_path: Path) -> None:
    """The error says so; nothing half is there; with room again the export completes."""
    with server() as small:
        address = small.database("full")
        disk = small.folder / "disk"
        disk.mkdir()
        if os.getuid() == 0:
            os.chown(disk, 65534, 65534)
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=500k,mode=777", "tmpfs", disk], capture_output=True, check=False
        )
        if mounted.returncode:
            return  # tests/crash/test_full_disk.py says so aloud
        try:
            place = disk / "space"
            place.mkdir(mode=0o700)
            os.chown(place, 65534, 65534)
            small.run_sql("full", f"create tablespace small location '{place}'")
            small.run_sql("full", 'alter database "full" set default_tablespace = small')
            with pytest.raises(DatabaseFull, match="no room in the database"):
                rl.export(store, address)
            subprocess.run(["mount", "-o", "remount,size=200m", disk], check=True)
            rl.export(store, address)
            is_whole(store, address, tmp_path / "b")
        finally:
            small.stop()
            subprocess.run(["umount", disk], check=True)


def test_a_store_that_is_recorded_and_compacted_meanwhile(database_server: Server, tmp_path: Path) -> None:
    """Exports beside a recorder and compactions end with the same rows."""
    address = database_server.database(f"live_{next(_numbers)}")
    stop = threading.Event()

    def record() -> None:
        with rl.Recorder(tmp_path / "s", settings=rl.Settings(seal_ticks=100, seal_game_ticks=50)) as recorder:
            for number, tick in enumerate(ticks()):
                recorder.record(tick)
                if stop.is_set() and number > 2_000:
                    return

    thread = threading.Thread(target=record)
    thread.start()
    try:
        for _ in range(5):
            while not (tmp_path / "s" / "segments").is_dir():
                pass
            rl.export(tmp_path / "s", address)
            rl.compact(tmp_path / "s", progress=False)
    finally:
        stop.set()
        thread.join()
    rl.export(tmp_path / "s", address)
    is_whole(tmp_path / "s", address, tmp_path / "b")


def ticks() -> Iterator[Any]:
    """Give ticks of games without end."""
    for number in count():
        yield {
            "game_id": f"game-{number // 60}",
            "tick": number % 60,
            "timestamp": "2031-01-02T03:04:05Z",
            "price": "1.25",
            "active": True,
            "rugged": False,
        }


def test_what_is_there_after_each_kill_is_whole_segments(database_server: Server, store: Path) -> None:
    """A transaction holds a segment with its account: rows without an extent, or an extent without rows, never are."""
    address = database_server.database(f"steps_{next(_numbers)}")
    total = statements(store, database_server.database(f"all_{next(_numbers)}"))
    for point in range(1, total, max(1, total // (5 * SCALE))):
        run_child(EXPORT, store, address, point)
        with Connection(Address.of(address)) as connection:
            if not connection.rows("select 1 from information_schema.tables where table_schema = $1", (SCHEMA,)):
                continue
            ((rows,),) = connection.rows(f"select count(*) from {SCHEMA}.ticks")
            ((known,),) = connection.rows(f"select coalesce(sum(rows), 0)::bigint from {SCHEMA}.loaded")
        assert rows == known
