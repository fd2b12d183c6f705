"""Sources: which recordings a list of paths, folders and patterns means, and reading one in blocks of whole lines."""

from __future__ import annotations

import errno
import glob
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedReader
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

import numpy as np

from replaylab.durable import of_user
from replaylab.errors import ReplayLabError, SourceEmpty, SourceNotFound, SourceUnreadable
from replaylab.kernel.library import count_newlines
from replaylab.parsing.fields import NEWLINE, PADDING

ENDINGS: Final = (".jsonl", ".ndjson", ".game.json")  # in any case
PACKED_ENDINGS: Final = (".gz", ".zst", ".zstd", ".bz2", ".xz", ".zip")
_HIDDEN: Final = "hidden"
_STORE: Final = "a store, and no source"
BLOCK_BYTES: Final = 8 << 20  # of 2 MiB each costs a twentieth more: what is done once a block, two threads wait for
MAX_LINE_BYTES: Final = 16 << 20
MAX_BLOCK_LINES: Final = 1 << 16  # junk of short lines would fill the memory with remarks
Paths = str | os.PathLike[str]


class Source(NamedTuple):
    """A recording: where it is, what it is called in the store, its size in bytes when it was found."""

    path: Path
    name: str
    size: int

    @property
    def is_document(self) -> bool:
        """Whether the file is one JSON document rather than lines."""
        return os.path.splitext(self.path)[1].lower() == ".json"  # a third of the time of `suffix`


class Piece(NamedTuple):
    """Bytes `start` to `end` of a source; its first line and tick are known, or follow on from the piece before it."""

    source: Source
    start: int
    end: int
    first_line: int | None
    first_seq: int | None
    unended: bool = False  # a last line without its newline
    again: bool = False  # a line that is in the store as far as it went when it was read
    replaces: tuple[str, ...] = ()  # segments that hold what this is the new reading of


class Part(NamedTuple):
    """What a block holds of one piece: up to byte `end` of the block; `unended` when a newline had to be added."""

    number: int
    end: int
    unended: bool = False


class Block(NamedTuple):
    """Whole lines of one or more pieces (`size` bytes, padding behind), or a piece of a line that is too long.

    `lines` says how many there are, where they have been counted.
    """

    data: bytearray
    size: int
    parts: list[Part]
    too_long: bool = False
    ends_line: bool = True
    document: bool = False
    lines: int | None = None


class Search(NamedTuple):
    """The recordings that were found, and what of the folders was left alone and why."""

    sources: list[Source]
    left_alone: dict[str, str]


def search_sources(given: Paths | Iterable[Paths], *, store: Path | None = None, documents: bool = False) -> Search:
    """Find the recordings that paths, folders (searched in depth) and patterns mean, each once, sorted by name.

    A recording is named by its path below the folder or pattern's folder; recordings that would share a name are named
    by as many parent folders as it takes. A folder that is a store, such as `store`, is none of recordings. Files of
    folders that end in ``.json`` are recordings only when `documents` says that they are.

    Raises
    ------
    SourceNotFound
        For a path that is not there, or a pattern that nothing matches.
    SourceEmpty
        When all of it holds no recording.
    """
    arguments = [given] if isinstance(given, (str, os.PathLike)) else list(given)
    found: dict[str, str] = {}
    left: dict[str, str] = {}
    target = None if store is None else os.path.realpath(store)
    for argument in arguments:
        for path, name in _matches(os.fspath(of_user(argument)), target, left, documents=documents):
            found.setdefault(path, name)
    if not found:
        shown = ", ".join(os.fspath(argument) for argument in arguments) or "nothing"
        kinds = " or ".join("*" + ending for ending in ENDINGS)
        alone = "; ".join(f"{name}: {why}" for name, why in list(left.items())[:5])
        raise SourceEmpty(f"no recordings ({kinds}) in {shown}" + (f"; left alone: {alone}" if left else ""))
    names = {path: _as_text(name) for path, name in _distinct_names(found).items()}
    sources = sorted((Source(Path(path), names[path], _size(path)) for path in found), key=lambda one: one.name)
    return Search(sources, left)


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:  # the plan lists what cannot be read, and why
        return 0


def _matches(argument: str, store: str | None, left: dict[str, str], *, documents: bool) -> Iterator[tuple[str, str]]:
    """Yield (real path, name) of every recording that an argument means; `left` is added to."""
    if os.path.isdir(argument):
        root = os.path.realpath(argument)
        if _is_store(root, store):
            left[_as_text(argument)] = _STORE
            return
        closed: list[str] = []
        for folder, inner, files in os.walk(root, onerror=lambda error: closed.append(str(error.filename))):
            inner[:] = [one for one in sorted(inner) if _is_entered(os.path.join(folder, one), root, store, left)]
            for file in sorted(files):
                path = os.path.join(folder, file)
                name = os.path.relpath(path, root) if folder != root else file
                why = _why_not(file, documents=documents)
                if not why:
                    yield path, name
                elif why != _HIDDEN:
                    left[_as_text(name)] = why
        yield from ((folder, os.path.relpath(folder, root)) for folder in closed)  # named as unreadable by the plan
    elif os.path.exists(argument):
        yield os.path.realpath(argument), os.path.basename(argument)
    else:
        matched = sorted(glob.glob(argument, recursive=True)) if glob.has_magic(argument) else []
        if not matched:
            raise SourceNotFound(f"no recording, folder or match at {argument}")
        for one in matched:
            yield from _matches(one, store, left, documents=documents)


def _is_store(folder: str, store: str | None) -> bool:
    inside = [os.path.isdir(os.path.join(folder, name)) for name in ("segments", "remarks", "journals")]
    return folder == store or (inside[0] and any(inside[1:]))


def _is_entered(folder: str, root: str, store: str | None, left: dict[str, str]) -> bool:
    """Whether a folder is searched; what is not, but for hidden ones, is named."""
    if os.path.basename(folder).startswith("."):
        return False
    why = ""
    if os.path.islink(folder):
        why = "a link to a folder; give it by its name"
    elif _is_store(folder, store):
        why = _STORE
    if why:
        left[_as_text(os.path.relpath(folder, root))] = why
    return not why


def _why_not(file: str, *, documents: bool) -> str:
    """Return why a file of a folder is no recording by its name; empty when it is one."""
    lower = file.lower()
    if file.startswith("."):
        return "hidden; give it by its name" if is_recording_name(lower, documents=documents) else _HIDDEN
    if is_recording_name(lower, documents=documents):
        return ""
    return "not a recording by its name; give it by its name to read it"


def _distinct_names(found: dict[str, str]) -> dict[str, str]:
    """Return every path a name of its own: as many parent folders in front as it takes."""
    names = dict(found)
    while doubled := {name for name, count in Counter(names.values()).items() if count > 1}:
        for path, name in names.items():
            if name in doubled:  # one more folder; two paths differ at the latest with all of them
                names[path] = "/".join(Path(path).parts[-len(Path(name).parts) - 1 :])
    return names


@contextmanager
def reading(path: Path) -> Iterator[BufferedReader]:
    """Return a recording, open; whatever the system says against reading it becomes `SourceUnreadable`."""
    try:
        _check_regular(path)
        with path.open("rb") as file:
            yield file
    except OSError as error:
        if isinstance(error, ReplayLabError):
            raise
        raise SourceUnreadable(error.errno, f"{path}: {error.strerror or error}") from error


def _check_regular(path: Path) -> None:
    """Refuse a pipe or a device, which could be waited for without end, and say why a folder could not be searched."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        os.scandir(path).close()
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "not a regular file")


def is_recording_name(file: str, *, documents: bool = False) -> bool:
    """Whether a file of a folder is a recording by its name, packed or not; `documents` are such by ``.json``."""
    lower = file.lower()
    packed = next((ending for ending in PACKED_ENDINGS if lower.endswith(ending)), "")
    return lower.removesuffix(packed).endswith((*ENDINGS, ".json") if documents else ENDINGS)


def _as_text(name: str) -> str:
    """Return a file name as valid text; bytes that are none are written as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def line_end(file: BinaryIO, position: int, size: int) -> int:
    """Return where the line that holds byte `position - 1` ends, at most `size`."""
    file.seek(position - 1)
    while position < size:
        piece = file.read(min(1 << 16, size - position + 1))
        if not piece:  # the file has become shorter
            break
        at = piece.find(b"\n")
        if at >= 0:
            return min(position + at, size)
        position += len(piece)
        file.seek(position - 1)
    return size


def last_line_start(file: BinaryIO, begin: int, end: int) -> int:
    """Return where, behind byte `begin`, a last line without a newline starts; `end` when there is none."""
    at = end
    while at > begin:
        start = max(begin, at - (1 << 16))
        file.seek(start)
        found = file.read(at - start).rfind(b"\n")
        if found >= 0:
            return start + found + 1
        at = start
    return begin


def read_pieces(pieces: Iterable[Piece]) -> Iterator[Block]:
    """Read pieces in blocks of about `BLOCK_BYTES`, several small ones together in blocks of a quarter of that.

    A line of more than `MAX_LINE_BYTES` comes in blocks marked `too_long`, and a block has at most `MAX_BLOCK_LINES`
    lines, so memory stays bounded whatever is read. The bytes of a block are valid until the next one is asked for.
    """
    held = _Held()
    for number, piece in enumerate(pieces):
        size = piece.end - piece.start
        with reading(piece.source.path) as file:
            file.seek(piece.start)
            if piece.source.is_document and size <= MAX_LINE_BYTES:
                yield from held.flush()
                data = file.read(size)
                yield Block(bytearray(data) + bytes(PADDING), len(data), [Part(number, len(data))], document=True)
            elif size > held.most_bytes:
                yield from held.flush()
                yield from _read_lines(file, number, size)
            else:
                yield from held.take(number, file.read(size))
    yield from held.flush()


class _Held:
    """Small pieces that are put together into one block."""

    def __init__(self) -> None:
        self.most_bytes = BLOCK_BYTES // 4
        self.data = bytearray()
        self.parts: list[Part] = []
        self.lines = 0

    def take(self, number: int, data: bytes) -> Iterator[Block]:
        """Add a piece; yield the block of those before it when there is no room for it."""
        unended = bool(data) and not data.endswith(b"\n")
        data += b"\n" if unended else b""
        lines = count_newlines(data)
        if len(self.data) + len(data) > self.most_bytes or self.lines + lines > MAX_BLOCK_LINES:
            yield from self.flush()
        if lines > MAX_BLOCK_LINES:
            yield from _stretches(bytearray(data) + bytes(PADDING), number, len(data), unended=unended)
            return
        self.data += data
        self.lines += lines
        self.parts.append(Part(number, len(self.data), unended))

    def flush(self) -> Iterator[Block]:
        """Return the block of all pieces held, if there are any."""
        if self.parts:
            yield Block(self.data + bytes(PADDING), len(self.data), self.parts, lines=self.lines)
        self.data, self.parts, self.lines = bytearray(), [], 0


def _stretches(data: bytearray, number: int, size: int, *, unended: bool) -> Iterator[Block]:
    """Yield whole lines of one piece as blocks of at most `MAX_BLOCK_LINES` lines."""
    lines = count_newlines(data, size)
    if lines <= MAX_BLOCK_LINES:
        yield Block(data, size, [Part(number, size, unended)], lines=lines)
        return
    newlines = np.frombuffer(data, np.uint8, size) == NEWLINE
    ends = [*(np.flatnonzero(newlines)[MAX_BLOCK_LINES - 1 : -1 : MAX_BLOCK_LINES] + 1).tolist(), size]
    for start, end in pairwise([0, *ends]):
        last = end == size
        yield Block(data[start:end] + bytes(PADDING), end - start, [Part(number, end - start, unended and last)])


def _read_lines(file: BufferedReader, number: int, left: int) -> Iterator[Block]:
    """Read `left` bytes from here on in blocks of whole lines, one after the other into the same memory."""
    carried = b""
    skipping = False
    data = bytearray()
    while left or carried:
        want = min(BLOCK_BYTES, left)
        if len(data) < (needed := len(carried) + want + 1 + PADDING):
            data = bytearray(needed + len(carried))
        data[: len(carried)] = carried
        got = file.readinto(memoryview(data)[len(carried) : len(carried) + want]) if want else 0
        size, left = len(carried) + got, (left - got if got else 0)
        first = data.find(b"\n", 0, size) + 1 if skipping or size > MAX_LINE_BYTES else 1
        if skipping or not 0 < first <= MAX_LINE_BYTES:
            end = first or size
            skipping = bool(left) and not first
            carried = bytes(data[end:size])
            yield Block(data[:end], end, [Part(number, end)], too_long=True, ends_line=not skipping)
            continue
        cut = data.rfind(b"\n", 0, size) + 1 if left else size
        carried = bytes(data[cut:size])
        if cut:
            unended = data[cut - 1] != ord("\n")
            if unended:
                data[cut] = ord("\n")
            yield from _stretches(data, number, cut + unended, unended=unended)
