"""Object stores: a store below a URI such as ``s3://bucket/prefix``, for reading and analysis; never written to.

Opening one lists its segments and reads their footers, several at a time; a game costs the row groups that hold it.
The file systems are those of pyarrow (S3, GCS, HDFS, Azure), and those of fsspec where it is installed.
"""

from __future__ import annotations

import importlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import xxhash

from replaylab.encryption.document import KEYS_FILE
from replaylab.encryption.keys import StoreKeys, not_encrypted, unlocked
from replaylab.encryption.kms import Kms
from replaylab.errors import SegmentDamaged, StoreNotFound, StoreUnreachable, StoreUnwritable
from replaylab.segments.digest import ENDING
from replaylab.segments.segment import Segment
from replaylab.storage.files import REMARKS, SEGMENTS
from replaylab.storage.refused import ENDING as REFUSED_ENDING
from replaylab.storage.refused import REFUSED
from replaylab.storage.store import Store
from replaylab.urls import without_secrets

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

_CONNECTIONS: Final = 16  # footers asked for at once
_TAIL_BYTES: Final = 1 << 16  # asked for first: the footer of a few hundred games
_BLOCK_BYTES: Final = 8 << 20


def is_uri(path: object) -> bool:
    """Whether a path names an object store, and no folder.

    Examples
    --------
    >>> is_uri("s3://bucket/prefix"), is_uri("some/folder")
    (True, False)
    """
    return isinstance(path, str) and "://" in path


def refuse_uri(path: object) -> None:
    """Raise `StoreUnwritable` when a path that is to be written names an object store."""
    _refuse_database(path)
    if is_uri(path) or (isinstance(path, Store) and not path.is_local):
        place = path.place if isinstance(path, Store) else without_secrets(str(path))
        raise StoreUnwritable(
            f"{place}: object stores are read, not written; write to a folder and copy it there (segments first, as "
            "they name what they replace)"
        )


def _refuse_database(path: object) -> None:
    """Raise for the address of a database, which is not shown, as it may hold a password."""
    if isinstance(path, str) and path.startswith(("postgresql://", "postgres://")):
        raise StoreUnwritable(
            "a database is no store: `replaylab export STORE --to postgresql://...` writes to it, and "
            "`replaylab convert postgresql://... --to STORE` brings it back into one"
        )


def opened(path: str | os.PathLike[str] | Store, filesystem: Any = None, kms: Kms | None = None) -> Store:
    """Open a folder or a URI for reading, and nothing else; a `Store` comes back as it is.

    Parameters
    ----------
    path : path, URI or Store
        ``s3://KEY:SECRET@bucket/prefix?region=...&endpoint_override=...`` and its like: see `pyarrow.fs`.
    filesystem : pyarrow or fsspec file system, optional
        With one, `path` is a place in it.
    kms : Kms, optional
        The master key of an encrypted store; that of the environment unless given.

    Raises
    ------
    StoreNotFound
        When there is no store.
    KeyMissing, KeyWrong, Tampered
        When the key does not open it.
    StoreUnreachable
        When the object store does not answer.
    """
    if isinstance(path, Store):
        return path
    _refuse_database(path)
    if filesystem is not None:
        return Store.over(ObjectFiles(str(path), _arrow_filesystem(filesystem), str(path), kms))
    if not is_uri(path):
        return Store(path, kms=kms)
    found, place = _from_uri(str(path))
    from pyarrow.fs import LocalFileSystem

    if isinstance(found, LocalFileSystem):
        return Store(place, kms=kms)
    return Store.over(ObjectFiles(without_secrets(str(path)), found, place, kms))


class ObjectFiles:
    """The files of a store in an object store; what is recorded live is not there yet.

    Parameters
    ----------
    uri : str
        What it is called in messages, without credentials.
    filesystem : pyarrow.fs.FileSystem
        Where it lies.
    folder : str
        The folder in it.
    kms : Kms, optional
        The master key of an encrypted store; that of the environment unless given.

    Raises
    ------
    StoreNotFound
        When no segment is there.
    StoreUnreachable
        When it does not answer.
    """

    is_local = False

    def __init__(self, uri: str, filesystem: FileSystem, folder: str, kms: Kms | None = None) -> None:
        self.place = uri
        self.path = Path(uri)
        self.filesystem = filesystem
        self.folder = folder.rstrip("/")
        self._sizes: dict[str, int] = {}
        if not self.segment_names():
            raise StoreNotFound(f"no store at {uri}; copy one there, its folders {SEGMENTS} and {REMARKS}")
        self.keys = self._unlocked(kms)

    def _unlocked(self, kms: Kms | None) -> StoreKeys | None:
        try:
            with reaching(self.place), self.filesystem.open_input_file(f"{self.folder}/{KEYS_FILE}") as file:
                document: bytes = file.read()
        except FileNotFoundError:
            if kms is not None:
                raise not_encrypted(self.place) from None
            return None
        return unlocked(document, self.place, kms)

    def _listed(self, folder: str, ending: str = ENDING) -> list[Any]:
        from pyarrow.fs import FileSelector

        with reaching(self.place):
            found = self.filesystem.get_file_info(FileSelector(f"{self.folder}/{folder}", allow_not_found=True))
        return [info for info in found if info.base_name.endswith(ending)]

    def segment_names(self) -> list[str]:
        """List the segments."""
        self._sizes = {info.base_name: info.size for info in self._listed(SEGMENTS)}
        return sorted(self._sizes)

    def segment(self, name: str) -> Segment:
        """Return one of them."""
        return ObjectSegment(self.filesystem, f"{self.folder}/{SEGMENTS}/{name}", self._sizes.get(name, 0), self.keys)

    def prefetch(self, segments: Sequence[Segment]) -> None:
        """Fetch the footers of segments, several at a time."""
        with ThreadPoolExecutor(_CONNECTIONS) as crew:
            list(crew.map(_look, segments))

    def remarks_names(self) -> list[str]:
        """List the files of remarks."""
        return sorted(info.base_name for info in self._listed(REMARKS))

    def remarks(self, name: str) -> bytes:
        """Fetch a file of remarks."""
        return ObjectSegment(self.filesystem, f"{self.folder}/{REMARKS}/{name}", 0).content()

    def journals(self) -> None:
        """Return None: journals are not copied into an object store."""

    @contextmanager
    def refused(self) -> Iterator[Path]:
        """Fetch the refused lines into a folder of this machine, which is gone afterwards."""
        with tempfile.TemporaryDirectory(prefix="replaylab-") as folder:
            for info in self._listed(REFUSED, REFUSED_ENDING):
                target = Path(folder) / REFUSED / info.base_name
                target.parent.mkdir(exist_ok=True)
                target.write_bytes(ObjectSegment(self.filesystem, info.path, info.size).content())
            yield Path(folder)

    def size_bytes(self) -> int:
        """Return the bytes of all segments and remarks."""
        return sum(info.size for folder in (SEGMENTS, REMARKS) for info in self._listed(folder))


class ObjectSegment(Segment):
    """A segment in an object store.

    Parameters
    ----------
    filesystem : pyarrow.fs.FileSystem
        Where it lies.
    place : str
        Its path there.
    size : int
        Its size in bytes.
    keys : StoreKeys, optional
        Of its store, when that is encrypted.
    """

    def __init__(self, filesystem: FileSystem, place: str, size: int, keys: StoreKeys | None = None) -> None:
        super().__init__(Path(place), keys)
        self.filesystem = filesystem
        self.place = place
        self.size = size

    def __getstate__(self) -> dict[str, Any]:
        return {name: one for name, one in super().__getstate__().items() if name != "_tail"}

    def content(self) -> bytes:
        """Fetch the whole file."""
        with reaching(self.place), self.filesystem.open_input_file(self.place) as file:
            found: bytes = file.read()
        return found

    @cached_property
    def _tail(self) -> bytes:
        """The footer, its length and the magic bytes, in one request or two."""
        with reaching(self.place), self.filesystem.open_input_file(self.place) as file:
            first = min(self.size, _TAIL_BYTES)
            found: bytes = file.read_at(first, self.size - first)
            length = min(self.size, int.from_bytes(found[-8:-4], "little") + 8)
            if length > len(found):
                found = file.read_at(length, self.size - length)
        return found[len(found) - length :]

    def _footer_bytes(self) -> bytes:
        return self._tail

    def _rows_source(self) -> Any:
        with reaching(self.place):
            return self.filesystem.open_input_file(self.place)

    def _read(self, groups: list[int] | None, columns: Any, metadata: Any = None) -> pa.Table:
        try:
            return super()._read(groups, columns, metadata)
        except SegmentDamaged:
            with reaching(self.place):
                self.filesystem.get_file_info(
                    self.place
                )  # raises when the store does not answer: then nothing is damaged
            raise

    def _file_digest(self) -> str:
        digest = xxhash.xxh3_128()
        with reaching(self.place), self.filesystem.open_input_stream(self.place) as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
        return digest.hexdigest()


def _look(segment: Segment) -> None:
    """Fetch a footer; a caller that needs it meets what is wrong with it again."""
    try:
        segment.footer  # noqa: B018 kept by the segment
    except (SegmentDamaged, FileNotFoundError):
        return


@contextmanager
def reaching(place: str) -> Iterator[None]:
    """Turn errors of the network and of permissions into `StoreUnreachable`."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise StoreUnreachable(f"{without_secrets(place)} cannot be reached: {error}") from error


def _from_uri(uri: str) -> tuple[FileSystem, str]:
    from pyarrow.fs import FileSystem

    try:
        with reaching(uri):
            found: tuple[FileSystem, str] = FileSystem.from_uri(uri)
    except pa.ArrowInvalid as error:
        if "Unrecognized filesystem type" not in str(error):
            said = str(error).replace(uri, without_secrets(uri))  # which has the key and the secret
            raise StoreNotFound(
                f"{without_secrets(uri)}: {said}; write spaces and special characters as urllib.parse.quote gives "
                "them, and see pyarrow.fs for what a URI may say"
            ) from None
        return _from_fsspec(uri)
    return found


def _from_fsspec(uri: str) -> tuple[FileSystem, str]:
    scheme, _, place = uri.partition("://")
    try:
        return _arrow_filesystem(importlib.import_module("fsspec").filesystem(scheme)), place
    except (
        ImportError,
        ValueError,
    ) as error:  # fsspec itself, the package for the scheme, or a scheme it does not know
        raise StoreNotFound(
            f"{without_secrets(uri)}: no file system for it ({error}); install fsspec and its package for {scheme}://, "
            "or open the place with filesystem=..."
        ) from None


def _arrow_filesystem(filesystem: Any) -> FileSystem:
    from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem

    return filesystem if isinstance(filesystem, FileSystem) else PyFileSystem(FSSpecHandler(filesystem))
