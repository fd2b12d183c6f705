"""The contract of `StoreFiles`: a store reads the same from a folder of this machine and from an object store."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow.fs import LocalFileSystem

import replaylab as rl
from replaylab import errors
from replaylab.segments.remarks import read_remarks
from replaylab.storage.files import COMPACTIONS, REMARKS, SEGMENTS, FolderFiles, StoreFiles, reread
from replaylab.storage.objectstore import ObjectFiles
from replaylab.storage.store import Store
from tests.stores import quiet, simulated

Place = Callable[[Path], StoreFiles]


def in_a_folder(path: Path) -> StoreFiles:
    """Return the files of a store as a folder has them."""
    return FolderFiles(path)


def in_an_object_store(path: Path) -> StoreFiles:
    """Return the files of a store as an object store has them: through a file system of pyarrow."""
    return ObjectFiles(f"kept://{path}", LocalFileSystem(), str(path))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two segments, both with remarks."""
    base = tmp_path_factory.mktemp("files")
    for seed in (1, 2):
        quiet(simulated(base / str(seed), games=2, seed=seed, damage="two_writers"), base / "store")
    return base / "store"


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may harm."""
    return Path(shutil.copytree(made, tmp_path / "store"))


places = pytest.mark.parametrize("place", [in_a_folder, in_an_object_store])


@places
def test_names_are_those_of_the_files(folder: Path, place: Place) -> None:
    """Segments and remarks are listed sorted, by the names of their files, and other files are not."""
    (folder / SEGMENTS / "notes.txt").write_bytes(b"x")
    files = place(folder)
    for found, where in ((files.segment_names(), SEGMENTS), (files.remarks_names(), REMARKS)):
        assert found == sorted(path.name for path in (folder / where).glob("*.parquet"))
        assert len(found) == 2
    assert [files.segment(name).name for name in files.segment_names()] == files.segment_names()
    assert files.size_bytes() == sum(path.stat().st_size for path in folder.rglob("*.parquet"))


@places
def test_remarks_are_their_bytes(folder: Path, place: Place) -> None:
    """The bytes of remarks are those of the file; one that is gone is a FileNotFoundError."""
    files = place(folder)
    for name in files.remarks_names():
        assert files.remarks(name) == (folder / REMARKS / name).read_bytes()
        assert read_remarks(name, files.remarks(name)).num_rows > 0
    with pytest.raises(FileNotFoundError):
        files.remarks("remarks_1_" + 32 * "0" + ".parquet")


@places
def test_a_store_over_them_answers_alike(folder: Path, place: Place) -> None:
    """Games, rows, remarks and bulk readings are the same wherever the files lie, also after a journey by pickle."""
    here, there = rl.Store(folder), Store.over(place(folder))
    for store in (there, pickle.loads(pickle.dumps(there))):
        assert store.games_table().equals(here.games_table())
        assert store.to_arrow().equals(here.to_arrow())
        assert store.remarks().equals(here.remarks())
        assert store.extents() == here.extents()
        assert store[here.game_ids()[0]].ticks().equals(here[here.game_ids()[0]].ticks())
        assert store.size_bytes == here.size_bytes


@places
def test_what_is_not_there(tmp_path: Path, place: Place) -> None:
    """A place without a store is `StoreNotFound`, which says how to make one."""
    with pytest.raises(errors.StoreNotFound, match="no store at"):
        place(tmp_path / "nothing")


@places
def test_a_damaged_footer_is_named(folder: Path, place: Place) -> None:
    """A segment whose footer is not what was written is named, and left out of what is read game by game."""
    path = min((folder / SEGMENTS).iterdir())
    data = bytearray(path.read_bytes())
    data[-20] ^= 0xFF
    path.write_bytes(data)
    store = Store.over(place(folder))
    assert list(store.damaged) == [path.name]
    assert len(store.games()) == 2
    with pytest.raises(errors.SegmentDamaged, match=path.name):
        store.to_arrow()


@places
def test_a_store_sees_what_comes_and_what_is_replaced(folder: Path, place: Place, tmp_path: Path) -> None:
    """What another process adds or compacts is seen at the next call, each row once."""
    store = Store.over(place(folder))
    rows = store.rows
    more = quiet(simulated(tmp_path / "more", games=1, seed=5), folder)
    assert store.rows == rows + more.ticks_stored
    rl.compact(folder, progress=False)
    assert len(store.segments()) == 1
    assert store.to_arrow().num_rows == rows + more.ticks_stored


def test_a_folder_alone_has_journals(folder: Path) -> None:
    """Journals are read from a folder; an object store holds none."""
    assert in_a_folder(folder).journals() is not None
    assert in_an_object_store(folder).journals() is None


def test_reading_again_ends_by_name() -> None:
    """Files that go away at every reading end in `StoreBusy`, which names the last; a store that is gone is told so."""
    calls = []

    def gone() -> None:
        calls.append(1)
        raise FileNotFoundError(2, "No such file", "store/segments/x.parquet")

    with pytest.raises(errors.StoreBusy, match=r"x\.parquet: files were removed 10 times"):
        reread(gone)
    assert len(calls) == COMPACTIONS


def test_a_store_that_is_removed_is_named(folder: Path) -> None:
    """Reading a store whose folder was removed raises `StoreNotFound`, from whatever is asked."""
    store = rl.Store(folder)
    shutil.rmtree(folder)
    asked: list[Callable[[], object]] = [store.games, store.to_arrow, store.remarks, store.dataset, store.verify]
    for ask in asked:
        with pytest.raises(errors.StoreNotFound, match="moved or removed"):
            ask()


def test_schema_is_that_of_the_contract(folder: Path) -> None:
    """A table that lacks nothing says nothing of it: its schema is the stored one."""
    assert pa.schema(rl.Store(folder).to_arrow().schema).metadata is None
