"""Packing: the bytes of files that are packed with gzip, zstd, bzip2, xz or zip, in pieces, as far as they go."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import IO, Any, BinaryIO, Final, Protocol, cast
from zipfile import ZipFile

import pyarrow as pa

from replaylab.errors import NotARecording

PIECE_BYTES: Final = 1 << 20
FED_BYTES: Final = 1 << 16  # packed bytes that a decompressor is fed at once
ZSTD_BYTES: Final = 1 << 14  # unpacked at once
PACKED: Final = {
    "gzip": b"\x1f\x8b\x08",
    "zstd": b"\x28\xb5\x2f\xfd",
    "bzip2": b"BZh",
    "xz": b"\xfd7zXZ\x00",
    "lzma": b"\x5d\x00\x00",  # what xz was before
    "zip": b"PK\x03\x04",
}


class Readable(Protocol):
    """What is read from."""

    def read(self, size: int = -1, /) -> bytes:
        """Read at most so many bytes."""


class Counted:
    """A file whose reads are counted, so that progress and limits go by packed bytes."""

    def __init__(self, file: BinaryIO, done: Callable[[int], object] | None) -> None:
        self.file = file
        self.read_bytes = 0
        self._done = done

    closed = False

    def close(self) -> None:
        """Leave the file open: the caller that opened it closes it."""

    def read(self, size: int = -1) -> bytes:
        """Read, and count."""
        data = self.file.read(size)
        self.read_bytes += len(data)
        if self._done is not None and data:
            self._done(len(data))
        return data


def members(file: Readable, packing: str, name: str) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield the name and the pieces of every file of an archive; of what is none, all of it without a name."""
    if packing == "zip":
        yield from _zip_members(file, name)
    else:
        yield "", pieces(file, packing)


def pieces(file: Readable, packing: str) -> Iterator[bytes]:
    """Yield the unpacked bytes in pieces of at most `PIECE_BYTES`, one member behind the other."""
    if not packing:
        while data := file.read(PIECE_BYTES):
            yield data
    elif packing == "zstd":
        yield from _zstd_pieces(file)
    else:
        yield from _members_as_far(file, _DECOMPRESSORS[packing], packing)


def _zstd_pieces(file: Readable) -> Iterator[bytes]:
    """Yield the bytes of all frames; of one that is cut off or damaged, all that its whole blocks say."""
    given = 0
    try:
        with pa.CompressedInputStream(pa.PythonFile(Counted(cast("BinaryIO", file), None), mode="r"), "zstd") as stream:
            while data := stream.read(ZSTD_BYTES):
                given += len(data)
                yield data
    except OSError:
        yield _zstd_rest(file.file if isinstance(file, Counted) else file, given)
        raise


def _zstd_rest(file: Any, given: int) -> bytes:
    """Return what can be unpacked behind the first `given` bytes; the stream drops it when it meets the damage."""
    file.seek(0)
    rest = bytearray()
    try:
        with pa.CompressedInputStream(pa.PythonFile(Counted(file, None), mode="r"), "zstd") as stream:
            while given:
                given -= len(stream.read(min(given, PIECE_BYTES)))
            while byte := stream.read(1):
                rest += byte
    except OSError:  # the one that stopped the first reading
        return bytes(rest)
    return bytes(rest)


class _Gzip:
    """zlib's decompressor, with the interface of those of bz2 and lzma."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(31)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)


_DECOMPRESSORS: Final[dict[str, Callable[[], Any]]] = {
    "gzip": _Gzip,
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(memlimit=256 << 20),
    "lzma": lambda: lzma.LZMADecompressor(memlimit=256 << 20),
}


def _members_as_far(file: Readable, make: Callable[[], Any], packing: str) -> Iterator[bytes]:
    """Yield the bytes of all members; before damage, all that a decompressor says when it is fed byte by byte."""
    given = 0
    counted = Counted(cast("BinaryIO", file), None)
    try:
        for piece in _members(counted, make, packing):
            given += len(piece)
            yield piece
    except (OSError, zlib.error, lzma.LZMAError):
        inner = file.file if isinstance(file, Counted) else cast("BinaryIO", file)
        inner.seek(0)
        try:
            for piece in _members(_Slowly(inner, counted.read_bytes - FED_BYTES), make, packing):
                yield piece[given:]
                given = max(0, given - len(piece))
        except (EOFError, OSError, zlib.error, lzma.LZMAError):
            pass  # raised again below, as it was met at first
        raise


class _Slowly:
    """A file that is read byte by byte from a place on."""

    def __init__(self, file: BinaryIO, place: int) -> None:
        self._file, self._left = file, max(0, place)

    def read(self, size: int = -1) -> bytes:
        """Read, before the place up to it."""
        data = self._file.read(min(size, self._left) if self._left else 1)
        self._left -= min(len(data), self._left)
        return data


def _members(file: Readable, make: Callable[[], Any], packing: str) -> Iterator[bytes]:
    """Yield the bytes of all members that stand one behind the other; zeros behind the last one are padding."""
    member: Any = None
    data = b""
    while True:
        if member is None:
            while not data and (read := file.read(FED_BYTES)):
                data = read.lstrip(b"\0")
            if not data:
                return
            member = make()
        elif member.needs_input and not (data := file.read(FED_BYTES)):
            raise EOFError(f"{packing} data ends in the middle")
        piece = member.decompress(data, PIECE_BYTES)
        data = b""
        if piece:
            yield piece
        if member.eof:
            data = member.unused_data.lstrip(b"\0")
            member = None


def _zip_members(file: Any, name: str) -> Iterator[tuple[str, Iterator[bytes]]]:
    """Yield the names and the bytes of the files of a zip archive, in its order."""
    inner = file.file if isinstance(file, Counted) else file  # an archive is read from its end
    with ZipFile(inner) as archive:
        found = [one for one in archive.infolist() if not one.is_dir() and not one.filename.startswith("__MACOSX/")]
        if not found:
            raise NotARecording(f"{name}: a zip archive without a file in it, not a recording")
        if any(one.flag_bits & 1 for one in found):
            raise NotARecording(f"{name}: an encrypted zip archive: unpack it first")
        for one in found:
            with archive.open(one) as member:
                yield one.filename, _zip_pieces(file, inner, member, one.compress_size)


def _zip_pieces(file: Any, inner: Any, member: IO[bytes], packed: int) -> Iterator[bytes]:
    """Yield the bytes of a member; what was read of the archive is counted for the limits."""
    while data := member.read(PIECE_BYTES):
        if isinstance(file, Counted):
            file.read_bytes = max(inner.tell(), packed)
        yield data
