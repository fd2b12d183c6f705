"""Where the files of a store lie: the contract that a folder and an object store keep, and the folder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from replaylab.encryption.keys import StoreKeys, keys_of
from replaylab.encryption.kms import Kms
from replaylab.errors import StoreBusy, StoreNotFound
from replaylab.journals.unsealed import UnsealedJournals
from replaylab.segments.digest import ENDING
from replaylab.segments.segment import Segment

SEGMENTS: Final = "segments"
REMARKS: Final = "remarks"
JOURNALS: Final = "journals"
COMPACTIONS: Final = 10  # that may remove a file between listing and reading it before a reader gives up
Result = TypeVar("Result")


def reread(read: Callable[[], Result]) -> Result:
    """Return the result of `read`, called again when a compaction removed a file between listing and reading it.

    Raises
    ------
    StoreNotFound
        When the store itself is gone.
    StoreBusy
        When files went away `COMPACTIONS` times.

    Examples
    --------
    >>> answers = iter([FileNotFoundError("gone"), 3])
    >>> def read():
    ...     answer = next(answers)
    ...     if isinstance(answer, Exception):
    ...         raise answer
    ...     return answer
    >>> reread(read)
    3
    """
    for _ in range(COMPACTIONS):
        try:
            return read()
        except StoreNotFound:
            raise
        except FileNotFoundError as error:
            gone = error
    name = Path(str(gone.filename)).name if gone.filename else str(gone)
    raise StoreBusy(
        f"{name}: files were removed {COMPACTIONS} times while they were read; read again when the compaction has ended"
    ) from gone


class StoreFiles(Protocol):
    """Where the files of a store lie. `Store` reads through this alone; tests/storage/test_files.py is the contract.

    Attributes
    ----------
    is_local : bool
        Whether it is a folder of this machine: others are read and never written to.
    place : str
        What messages call it, without credentials.
    path : Path
        The folder; of an object store its name alone, which leads nowhere here.
    keys : StoreKeys, optional
        Of the store, when it is encrypted.
    """

    is_local: bool
    place: str
    path: Path
    keys: StoreKeys | None

    def segment_names(self) -> list[str]:
        """Return the names of the files of segments, sorted; raises `StoreNotFound` when the store is gone."""
        ...

    def segment(self, name: str) -> Segment:
        """Return one of them, to be read when it is asked."""
        ...

    def prefetch(self, segments: Sequence[Segment]) -> None:
        """Read the footers of segments where several at once are faster; what is wrong with one is met again later."""
        ...

    def remarks_names(self) -> list[str]:
        """Return the names of the files of remarks, sorted."""
        ...

    def remarks(self, name: str) -> bytes:
        """Return the bytes of a file of remarks; raises `FileNotFoundError` when it is gone."""
        ...

    def journals(self) -> UnsealedJournals | None:
        """Return the reader of journals that are not sealed; None where there are none."""
        ...

    def refused(self) -> AbstractContextManager[Path]:
        """Return a folder of this machine, as long as it is held, that has the folder of refused lines in it."""
        ...

    def size_bytes(self) -> int:
        """Return the bytes of all segments and remarks."""
        ...


class FolderFiles:
    """The files of a store in a folder of this machine.

    Parameters
    ----------
    path : Path
        The folder.
    kms : Kms, optional
        The master key of an encrypted store; that of the environment unless given.

    Raises
    ------
    StoreNotFound
        When there is no store.
    KeyMissing, KeyWrong, Tampered
        When the store is encrypted and the key does not open it, or is not and `kms` is given.
    """

    is_local = True

    def __init__(self, path: Path, kms: Kms | None = None) -> None:
        self.path = path
        self.place = str(path)
        self.keys = keys_of(path, kms)
        self._seen: tuple[list[str], list[str]] = ([], [])  # what the folder of segments held, and the names of these
        if not (path / SEGMENTS).is_dir():
            raise StoreNotFound(f"no store at {path}; make one with `replaylab convert SOURCE --to ...`")

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_seen": ([], [])}

    def segment_names(self) -> list[str]:
        """List the files twice alike, so that a compaction in between cannot hide both old and new."""
        before, names = self._seen
        while (there := self._there(SEGMENTS)) != before:
            before, names = there, []
        names = names or _of_parquet(there)
        self._seen = before, names
        return names

    def _there(self, folder: str) -> list[str]:
        try:
            return os.listdir(self.path / folder)  # noqa: PTH208 a Path for each takes ten times as long
        except FileNotFoundError:
            if folder == SEGMENTS:
                raise StoreNotFound(f"no store at {self.path} any more: it was moved or removed") from None
            return []

    def segment(self, name: str) -> Segment:
        """Return one of them."""
        return Segment(self.path / SEGMENTS / name, self.keys)

    def prefetch(self, segments: Sequence[Segment]) -> None:
        """Do nothing: a disk of this machine is quick enough one by one."""

    def remarks_names(self) -> list[str]:
        """List the files of remarks."""
        return _of_parquet(self._there(REMARKS))

    def remarks(self, name: str) -> bytes:
        """Read a file of remarks."""
        return (self.path / REMARKS / name).read_bytes()

    def journals(self) -> UnsealedJournals | None:
        """Return the reader of its journals."""
        return UnsealedJournals(self.path / JOURNALS, self.keys)

    @contextmanager
    def refused(self) -> Iterator[Path]:
        """Return the folder itself."""
        yield self.path

    def size_bytes(self) -> int:
        """Return the bytes of all segments and remarks; what a compaction removes meanwhile counts nothing."""
        total = 0
        for folder in (SEGMENTS, REMARKS):
            for name in _of_parquet(self._there(folder)):
                path = self.path / folder / name
                total += path.stat().st_size if path.is_file() else 0
        return total


def _of_parquet(names: Iterable[str]) -> list[str]:
    return sorted(name for name in names if name.endswith(ENDING))
