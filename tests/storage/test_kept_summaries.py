"""The games table that is kept beside a store: what a fresh open reads, and what it never trusts."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from unittest import mock

import pyarrow as pa
import pytest

import replaylab as rl
from replaylab.durable import publish
from replaylab.encryption.kms import FileKey
from replaylab.errors import StoreUnwritable
from replaylab.segments.segment import Segment
from replaylab.storage import kept_summaries
from replaylab.storage.kept_summaries import FILE
from tests.stores import quiet, simulated


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the summaries of small stores, too."""
    monkeypatch.setattr("replaylab.storage.summary_cache.LEAST_SEGMENTS", 1)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with recordings and a store of three segments."""
    folder = tmp_path_factory.mktemp("made")
    for seed in (1, 2, 3):
        recordings = simulated(folder / f"r{seed}", games=2, seed=seed)
        quiet(recordings, folder / "plain")
    return folder


@pytest.fixture
def store(made: Path, tmp_path: Path) -> Path:
    """Return a copy of the store in plain that may be changed."""
    return Path(shutil.copytree(made / "plain", tmp_path / "plain"))


def reads_of(store: Path, kms: FileKey | None = None) -> tuple[pa.Table, int]:
    """Return the games table of a store that is opened anew, and how many segments it has read for it."""
    opened, real, count = rl.Store(store, kms=kms), Segment.read, [0]

    def read(self: Segment, columns: list[str] | None = None) -> pa.Table:
        count[0] += 1
        return real(self, columns)

    with mock.patch.object(Segment, "read", read):
        return opened.games_table(), count[0]


def test_a_fresh_open_reads_no_rows(store: Path) -> None:
    """The second one to ask reads the file, and has the same table."""
    first, reads = reads_of(store)
    assert reads == 3
    assert reads_of(store) == (first, 0)
    assert first.schema == reads_of(store)[0].schema
    assert not list(store.glob("*.aside"))
    assert rl.Store(store).verify().ok


def test_only_what_is_new_is_read(store: Path, tmp_path: Path) -> None:
    """A segment more, and a game that goes on in another one, are read; the others are not."""
    reads_of(store)
    quiet(simulated(tmp_path / "more", games=1, seed=4), store)
    table, reads = reads_of(store)
    assert (reads, table.num_rows) == (1, 7)
    assert reads_of(store) == (table, 0)


@pytest.mark.encryption
def test_in_an_encrypted_store_it_is_encrypted(made: Path, tmp_path: Path) -> None:
    """It names no game, opens with the key alone, and one that was put in from outside is not read."""
    key, vault = FileKey(tmp_path / "key", create=True), tmp_path / "vault"
    for seed in (1, 2, 3):
        quiet(made / f"r{seed}", vault, kms=key)
    table, reads = reads_of(vault, key)
    content = (vault / FILE).read_bytes()
    assert reads == 3
    assert not any(name.encode() in content for name in table["game_id"].to_pylist())
    assert (vault / FILE).stat().st_mode & 0o777 == 0o600
    assert reads_of(vault, key) == (table, 0)
    rl.Store(shutil.copytree(made / "plain", tmp_path / "other")).games()
    shutil.copy(tmp_path / "other" / FILE, vault / FILE)
    assert reads_of(vault, key) == (table, 3)
    rl.rotate(vault, key, new_store_key=True)
    assert reads_of(vault, key) == (table, 0)
    rl.compact(vault, progress=False, kms=key)
    assert not (vault / FILE).exists()
    assert reads_of(vault, key)[0].num_rows == table.num_rows


@pytest.mark.encryption
def test_encrypting_leaves_none_in_plain(store: Path, tmp_path: Path) -> None:
    """Neither the file that was there, nor one of a reader that opened the store before."""
    reader, key = rl.Store(store), FileKey(tmp_path / "key", create=True)
    reads_of(store)
    rl.encrypt(store, key, progress=False)
    assert not (store / FILE).exists()
    with mock.patch.object(rl.Store, "segments", return_value=rl.Store(store, kms=key).sealed()):
        reader.games_table()
    assert not (store / FILE).exists()


def flipped(path: Path) -> None:
    """Change a byte in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE: dict[str, Callable[[Path], int | None]] = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-9]),
    "flipped": flipped,
    "foreign": lambda path: path.write_bytes(b"no summaries at all" * 9),
    "a folder": lambda path: path.rename(path.with_name("away")).with_name(FILE).mkdir(),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_made_anew(store: Path, damage: str) -> None:
    """Nothing raises, and nothing of it is believed."""
    table, _ = reads_of(store)
    DAMAGE[damage](store / FILE)
    assert reads_of(store) == (table, 3)
    if damage != "a folder":
        assert reads_of(store) == (table, 0)


def test_every_flip_is_noticed(store: Path) -> None:
    """Whichever byte is changed, the table is that of the rows."""
    table, _ = reads_of(store)
    content = (store / FILE).read_bytes()
    for at in range(0, len(content), max(1, len(content) // 40)):
        (store / FILE).write_bytes(content[:at] + bytes([content[at] ^ 4]) + content[at + 1 :])
        assert reads_of(store) == (table, 3)


def test_a_segment_that_changed_is_read_again(store: Path) -> None:
    """Size and time of change are those of the segment, and its footer lists the same games and rows."""
    table, _ = reads_of(store)
    segment = min((store / "segments").glob("*.parquet"))
    os.utime(segment, ns=(1, 1))
    assert reads_of(store) == (table, 1)
    content = bytearray(segment.read_bytes())
    content[40] ^= 255
    segment.write_bytes(content)
    opened = rl.Store(store)
    assert len(opened.games()) < table.num_rows
    assert segment.name in opened.damaged


def test_a_release_that_computes_otherwise_reads_again(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A column that is computed otherwise raises the version."""
    table, _ = reads_of(store)
    monkeypatch.setattr(kept_summaries, "_VERSION", 2)
    assert reads_of(store) == (table, 3)


@pytest.mark.parametrize("change", ["compact", "prune", "rezone"])
def test_what_changes_a_store_forgets_it(store: Path, change: str) -> None:
    """What was removed or is read otherwise is not found in the file any more."""
    table, _ = reads_of(store)
    if change == "compact":
        rl.compact(store, progress=False)
    elif change == "prune":
        rl.prune(store, keep_games=1, yes=True)
    else:
        rl.rezone(store, "America/New_York", progress=False)
    gone = set(table["game_id"].to_pylist()) - set(rl.Store(store).game_ids())
    content = (store / FILE).read_bytes() if (store / FILE).exists() else b""
    assert not any(game.encode() in content for game in gone)
    fresh = reads_of(store)[0]
    assert reads_of(store) == (fresh, 0)
    assert fresh.num_rows == (1 if change == "prune" else table.num_rows)


def test_without_a_place_to_write(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that may only be read is answered from its rows."""

    def refused(aside: Path, final: Path, *, private: bool = False) -> None:
        if final.name == FILE:
            raise StoreUnwritable(f"{final}: read-only file system")
        publish(aside, final, private=private)

    monkeypatch.setattr(kept_summaries, "publish", refused)
    table, _ = reads_of(store)
    assert reads_of(store) == (table, 3)
    assert not (store / FILE).exists()
    assert not list(store.glob("*.aside"))


def test_a_small_store_has_none(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few rows are read faster than a file beside them is worth."""
    monkeypatch.undo()
    rl.Store(store).games()
    assert not (store / FILE).exists()


def games_of(store: str) -> int:
    """Return the number of games, asked in another process."""
    with mock.patch("replaylab.storage.summary_cache.LEAST_SEGMENTS", 1):
        return sum(len(rl.Store(store).games()) for _ in range(3))


def test_several_processes_at_once(store: Path) -> None:
    """Each has the whole table, whoever writes the file."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        assert list(pool.map(games_of, [str(store)] * 4, timeout=90)) == [18] * 4
    assert reads_of(store)[1] == 0
