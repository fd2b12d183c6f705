"""Object stores: a real S3 server on this machine holds a store, which is read and analysed as a folder is."""

from __future__ import annotations

import importlib
import multiprocessing
import pickle
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd
import pyarrow as pa
import pytest
from pyarrow.fs import FileSystem, LocalFileSystem, S3FileSystem, copy_files

import replaylab as rl
from replaylab import errors
from replaylab.analysis import map_games, summarise
from replaylab.exports.export import export
from replaylab.exports.pages import export_pages
from replaylab.storage.objectstore import ObjectFiles, is_uri, opened
from replaylab.storage.refused import ENDING as REFUSED_ENDING
from tests.stores import quiet, simulated


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of several segments with remarks."""
    base = tmp_path_factory.mktemp("object")
    for seed in (1, 2):
        quiet(simulated(base / str(seed), games=3, seed=seed, damage="two_writers"), base / "store")
    return base / "store"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of an S3 server in a process of its own."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    log = (tmp_path_factory.mktemp("server") / "log").open("wb")
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log, subprocess.Popen(command, stdout=log, stderr=log) as process:
        address = f"127.0.0.1:{port}"
        until = time.monotonic() + 240
        while not _answers(address) and time.monotonic() < until:
            time.sleep(0.05)
        yield address
        process.kill()


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(f"http://{address}/", timeout=5).close()
    except (urllib.error.URLError, ConnectionError):
        return False
    return True


@pytest.fixture(scope="module")
def bucket(server: str, folder: Path) -> S3FileSystem:
    """A bucket that holds a copy of the store."""
    there = S3FileSystem(
        access_key="testing",
        secret_key="testing",
        region="us-east-1",
        scheme="http",
        endpoint_override=server,
        allow_bucket_creation=True,
    )
    there.create_dir("bucket")
    copy_files(str(folder), "bucket/prefix", LocalFileSystem(), there)
    return there


@pytest.fixture
def uri(bucket: S3FileSystem, server: str) -> str:
    """The URI of the store, credentials and server included."""
    return f"s3://testing:testing@bucket/prefix?region=us-east-1&scheme=http&endpoint_override={quote(server, safe='')}"


def test_everything_is_read(uri: str, folder: Path) -> None:
    """Games, rows, remarks, one game and SQL over a bucket are those of the folder that was copied to it."""
    there, here = rl.open_store(uri), rl.Store(folder)
    assert isinstance(there.files, ObjectFiles)
    assert there.games_table().equals(here.games_table())
    assert there.rows == here.rows
    assert (
        there.remarks()
        .sort_by([("source", "ascending"), ("start", "ascending")])
        .equals(here.remarks().sort_by([("source", "ascending"), ("start", "ascending")]))
    )
    for game in here:
        assert there[game.id].ticks().equals(game.ticks())
    assert there.dataset().count_rows() == here.rows
    query = "SELECT game_id, sum(price) AS s FROM ticks GROUP BY 1 ORDER BY 1"
    assert there.sql(query).equals(here.sql(query))


def test_credentials_are_not_shown(uri: str) -> None:
    """What a store shows of itself names the bucket, and no secret."""
    assert repr(opened(uri)).startswith("Store('s3://bucket/prefix', 6 games")
    assert "testing" not in repr(opened(uri))


def test_analysis_over_a_bucket(uri: str, folder: Path, tmp_path: Path) -> None:
    """`map_games` and `summarise` take the URI; by threads, by processes of their own, and from the cache."""
    expected = map_games(folder, len, workers=1).table
    assert map_games(uri, len, workers=2).table.equals(expected)
    assert map_games(uri, len, workers=1, cache=tmp_path).table.equals(expected)
    assert map_games(uri, len, cache=tmp_path).manifest.cached == 6
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor:
        assert map_games(uri, len, executor=executor).table.equals(expected)
    pd.testing.assert_frame_equal(summarise(uri), rl.Store(folder).games())


def test_a_store_travels(uri: str) -> None:
    """An object store can be pickled, as a cluster needs; what it had read is not sent along."""
    there = opened(uri)
    again = pickle.loads(pickle.dumps(there))
    assert again.games_table().equals(there.games_table())
    assert len(pickle.dumps(there.segments()[0])) < 2_000


class Counting(pa.fs.FileSystemHandler):  # type: ignore[misc]
    """A file system that counts the bytes it hands out."""

    def __init__(self, inner: FileSystem) -> None:
        self.inner = inner
        self.read: dict[str, int] = {}

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def get_type_name(self) -> str:
        """Name the kind."""
        return "counting"

    def normalize_path(self, path: str) -> str:
        """Leave a path as it is."""
        return path

    def get_file_info(self, paths: list[str]) -> object:
        """Ask the file system itself."""
        return self.inner.get_file_info(paths)

    def get_file_info_selector(self, selector: object) -> object:
        """Ask the file system itself."""
        return self.inner.get_file_info(selector)

    def open_input_file(self, path: str) -> object:
        """Open a file whose reads are counted."""
        return pa.PythonFile(CountedFile(self.inner.open_input_file(path), path, self.read), mode="r")

    open_input_stream = open_input_file

    def _refused(self, *given: object, **named: object) -> object:
        raise NotImplementedError("this file system is only read")

    create_dir = delete_dir = delete_dir_contents = delete_root_dir_contents = delete_file = _refused
    move = copy_file = open_output_stream = open_append_stream = _refused


class CountedFile:
    """A file that counts what is read of it."""

    closed = False

    def __init__(self, inner: pa.NativeFile, path: str, read: dict[str, int]) -> None:
        self.inner, self.path, self.counts = inner, path, read

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)

    def read_buffer(self, size: int = -1) -> bytes:
        """Read and count, as Parquet asks."""
        return self.read(size)

    def read(self, size: int = -1) -> bytes:
        """Read and count."""
        found: bytes = self.inner.read(None if size < 0 else size)
        self.counts[self.path] = self.counts.get(self.path, 0) + len(found)
        return found


def test_opening_reads_footers_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening costs the ends of the segments, and a game the row groups of the segments that hold it."""
    for seed in (1, 2):
        quiet(simulated(tmp_path / str(seed), games=60, seed=seed), tmp_path / "store")
    monkeypatch.setattr("replaylab.storage.objectstore._TAIL_BYTES", 1024)
    handler = Counting(LocalFileSystem())
    there = opened(str(tmp_path / "store"), filesystem=pa.fs.PyFileSystem(handler))
    data = {str(path): path.read_bytes() for path in (tmp_path / "store" / "segments").iterdir()}
    footers = {path: int.from_bytes(content[-8:-4], "little") + 8 for path, content in data.items()}
    assert handler.read == {path: 1024 + length for path, length in footers.items()}
    assert all(len(data[path]) > 4 * read for path, read in handler.read.items())
    handler.read.clear()
    game = there.game(next(iter(there.segments()[0].rows_of)))
    assert len(game) > 0
    assert set(handler.read) == {there.segments()[0].place}


def test_fsspec_serves_other_schemes(folder: Path) -> None:
    """A scheme that pyarrow does not know is served by fsspec, by URI or as a file system of its own."""
    fsspec: Any = importlib.import_module("fsspec")
    memory: Any = fsspec.filesystem("memory")
    memory.put(str(folder), "/held", recursive=True)
    expected = rl.Store(folder).games_table()
    assert opened("memory://held").games_table().equals(expected)
    assert rl.open_store("/held", filesystem=memory).games_table().equals(expected)


def test_a_file_uri_is_a_folder(folder: Path) -> None:
    """`file://` leads to the folder itself; a store comes back as it is."""
    assert type(opened(folder.as_uri())) is rl.Store
    store = rl.Store(folder)
    assert opened(store) is store


def test_nothing_there(uri: str) -> None:
    """A prefix without a store, and a scheme that nobody serves, are told as such."""
    with pytest.raises(errors.StoreNotFound, match="no store at s3://bucket/nothing"):
        opened(uri.replace("prefix", "nothing"))
    with pytest.raises(errors.StoreNotFound, match="no file system"):
        opened("nosuchscheme://bucket/prefix")
    with pytest.raises(errors.StoreNotFound, match="'nonsense'"):
        opened("s3://key:secret@bucket/prefix?nonsense=1")


def test_nobody_answers() -> None:
    """A server that is not there is no damaged store: the error says so, and nothing is left out."""
    nobody = "s3://key:secret@bucket/prefix?region=us-east-1&scheme=http&endpoint_override=127.0.0.1%3A9"
    with pytest.raises(errors.StoreUnreachable, match="s3://bucket/prefix cannot be reached") as caught:
        opened(nobody)
    assert isinstance(caught.value, ConnectionError)
    assert "secret" not in str(caught.value)


class Falling(Counting):
    """A file system whose server goes away."""

    gone = False

    def open_input_file(self, path: str) -> object:
        """Open a file while the server is there."""
        if self.gone:
            raise OSError("curlCode: 7, Could not connect to server")
        return super().open_input_file(path)


def test_a_server_that_goes_away_is_no_damage(folder: Path) -> None:
    """Games that cannot be fetched any more are rows with that reason, not damaged segments; asking for one raises."""
    handler = Falling(LocalFileSystem())
    there = opened(str(folder), filesystem=pa.fs.PyFileSystem(handler))
    handler.gone = True
    for workers in (1, 2):
        found = map_games(there, len, workers=workers)
        assert found.manifest.failed == found.n_games == 6
        assert all(reason.startswith("StoreUnreachable: ") for reason in found.failed["error"].to_pylist())
    assert there.damaged == {}
    with pytest.raises(errors.StoreUnreachable):
        there.game(there.game_ids()[0]).ticks()


def test_a_damaged_segment_is_named(bucket: S3FileSystem, folder: Path, uri: str) -> None:
    """A footer that is not what was written leaves its segment out, by name; a page fails the games on it."""
    copy_files(str(folder), "bucket/harmed", LocalFileSystem(), bucket)
    first, second = sorted(info.path for info in bucket.get_file_info(pa.fs.FileSelector("bucket/harmed/segments")))
    for path, position in ((first, lambda size: size - 20), (second, lambda size: size // 8)):
        data = bytearray(bucket.open_input_file(path).read())
        data[position(len(data))] ^= 0xFF  # type: ignore[no-untyped-call]
        with bucket.open_output_stream(path) as file:
            file.write(bytes(data))
    there = opened(uri.replace("prefix", "harmed"))
    assert list(there.damaged) == [Path(first).name]
    found = map_games(there, len, workers=1)
    assert found.manifest.failed == found.n_games == 3
    assert found.failed["error"][0].as_py().startswith("SegmentDamaged")


def test_games_are_exported(uri: str, folder: Path, tmp_path: Path) -> None:
    """An object store is exported as its folder is: the same rows, the same pages."""
    for source, name in (uri, "there"), (str(folder), "here"):
        export(source, tmp_path / f"{name}.jsonl")
        export_pages(source, tmp_path / name)
    assert (tmp_path / "there.jsonl").read_bytes() == (tmp_path / "here.jsonl").read_bytes()
    pages = [{page.name: page.read_bytes() for page in (tmp_path / name).iterdir()} for name in ("there", "here")]
    assert pages[0] == pages[1]


def test_writing_is_refused(uri: str, tmp_path: Path) -> None:
    """Converting or recording into a bucket, compacting or recovering one is refused; nothing is made."""
    recordings = simulated(tmp_path / "recordings", games=1)
    before = sorted(Path().iterdir())
    for write in (
        lambda: rl.convert(recordings, uri, progress=False),
        lambda: rl.compact(uri, progress=False),
        lambda: rl.compact(opened(uri), progress=False),
        lambda: rl.Recorder(uri),
        lambda: rl.recover(uri),
    ):
        with pytest.raises(errors.StoreUnwritable, match="copy it"):
            write()
    assert sorted(Path().iterdir()) == before


def test_a_bucket_is_verified_as_a_folder_is(uri: str, bucket: S3FileSystem, folder: Path, tmp_path: Path) -> None:
    """Every byte, row, account and refused line is checked; a whole copy is well, an altered one is named."""
    here, there = rl.open_store(folder).verify(), opened(uri).verify()
    assert there.ok
    assert (there.rows, there.rows_digest, there.bytes) == (here.rows, here.rows_digest, here.bytes)
    assert here.inventory is not None
    assert not opened(uri).verify(expect=here.inventory).missing
    copy = tmp_path / "altered"
    shutil.copytree(folder, copy)
    first, second = sorted((copy / "segments").iterdir())[:2]
    raw = bytearray(first.read_bytes())
    raw[len(raw) // 2] ^= 1
    first.write_bytes(raw)
    lost = rl.open_store(folder).segments()[-1].footer.remarks
    assert lost is not None
    (copy / "remarks" / lost).unlink()
    (copy / "refused").mkdir(exist_ok=True)
    (copy / "refused" / f"run{REFUSED_ENDING}").write_bytes(b"no line\n")
    copy_files(str(copy), "bucket/altered", LocalFileSystem(), bucket)
    found = opened(uri.replace("prefix", "altered")).verify()
    text = str(found)
    assert not found.ok
    assert first.name in text
    assert f"remarks of {second.name} are gone" in text or lost in text
    assert "refused/" in text
    assert found.problems == rl.open_store(copy).verify().problems


def test_what_is_a_uri() -> None:
    """A URI has a scheme; a path never does, also when it looks odd."""
    assert is_uri("s3://b/p")
    assert not any(is_uri(path) for path in ("a/b", "s3:/b", "C:\\x", Path("s3://b")))


@pytest.mark.parametrize("place", ["a b", "\u00fc", "[x"])
def test_a_uri_that_cannot_be_read_keeps_its_secret(place: str) -> None:
    """A message about a malformed URI says how to write it, and has neither its key nor its secret."""
    with pytest.raises(errors.StoreNotFound, match="quote") as refused:
        rl.open_store(f"s3://KEY:SECRET@bucket/{place}?region=us-east-1")
    assert "SECRET" not in str(refused.value)
    assert "KEY" not in str(refused.value)
