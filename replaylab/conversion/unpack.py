"""Unpack: recordings in another dress (packed, in another encoding, laid out as an array) as lines of UTF-8 text.

What a file is is decided by its first bytes, never by its name. A source that has to be unpacked is written to a
temporary file, piece by piece, and removed once it is converted; its identity and its account are those of the text.
"""

from __future__ import annotations

import bz2
import codecs
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, NamedTuple, Protocol, cast
from zipfile import BadZipFile, ZipFile

import pyarrow as pa

from replaylab.conversion.source import PACKED_ENDINGS, Source, reading
from replaylab.errors import NotARecording, ReplayLabError, SourceUnreadable
from replaylab.parsing.elements import HEADER_BYTES, Elements, elements_begin, is_lines, split
from replaylab.parsing.mapping import Mapping
from replaylab.parsing.one_per_line import OnePerLine, is_laid_out_otherwise

HEAD_BYTES: Final = 1 << 12
PIECE_BYTES: Final = 1 << 20
FED_BYTES: Final = 1 << 16  # packed bytes that a decompressor is fed at once
ZSTD_BYTES: Final = 1 << 14  # unpacked at once
MAX_EXPANSION: Final = 200  # unpacked bytes for one packed: real recordings have 8 to 40
FREE_BYTES: Final = 64 << 20  # unpacked bytes of a file that are never refused
_BOM: Final = b"\xef\xbb\xbf"
_PACKED: Final = {
    "gzip": b"\x1f\x8b\x08",
    "zstd": b"\x28\xb5\x2f\xfd",
    "bzip2": b"BZh",
    "xz": b"\xfd7zXZ\x00",
    "zip": b"PK\x03\x04",
}
_ENCODINGS: Final = (
    ("utf-32-le", b"\xff\xfe\x00\x00"),
    ("utf-32-be", b"\x00\x00\xfe\xff"),
    ("utf-16-le", b"\xff\xfe"),
    ("utf-16-be", b"\xfe\xff"),
    ("utf-16-le", b"{\x00"),
    ("utf-16-le", b"[\x00"),
    ("utf-16-be", b"\x00{"),
    ("utf-16-be", b"\x00["),
)
_OTHERS: Final = (  # first bytes of what is no recording, and what it is
    (rb"PAR1", "a Parquet file; this release reads JSON recordings only"),
    (rb"ARROW1", "an Arrow file; this release reads JSON recordings only"),
    (rb"version https://git-lfs\.github\.com/", "a Git LFS pointer: fetch the file itself with `git lfs pull`"),
    (rb"(?i)\s*(?:<!doctype html|<html)", "an HTML page, as a failed download leaves it"),
    (rb"(?i)\s*<\?xml|\s*<svg", "an XML document"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it first"),
    (rb"Rar!\x1a\x07", "a RAR archive: unpack it first"),
    (rb"(?s).{257}ustar", "a tar archive: unpack it first"),
    (rb"\x04\x22\x4d\x18", "an LZ4 file: unpack it first"),
    (rb"\xff\x06\x00\x00sNaPpY", "a Snappy file: unpack it first"),
    (rb"SQLite format 3\x00", "an SQLite database"),
    (rb"%PDF-", "a PDF document"),
    (rb"\x89PNG|\xff\xd8\xff|GIF8", "a picture"),
    (rb"\x80[\x02-\x05]", "a Python pickle"),
    (rb"\x7fELF|MZ", "a program"),
    (rb"\x00{64}", "zeros only at its beginning, as a disk leaves them after a power cut"),
)
_TABLE: Final = re.compile(rb'[A-Za-z_"][A-Za-z0-9_" ]*(?:[,;\t][A-Za-z0-9_" ]+){2,}\r?\n')


class Dress(NamedTuple):
    """What a file is, beside lines of UTF-8 text: how it is packed, its encoding, how its objects are laid out.

    Examples
    --------
    >>> dress_of(b'{"type": "game_start"}').plain
    True
    """

    packing: str = ""
    encoding: str = ""
    layout: str = ""
    other: str = ""  # what it is when it is no recording
    elements: str = ""  # the path to what is laid out as one a line

    @property
    def text(self) -> str:
        """The same in words."""
        layouts = {"array": "JSON array", "indented": "indented JSON", "document": f"JSON document of {self.elements}"}
        return ", ".join(filter(None, [self.packing, self.encoding, layouts.get(self.layout, "")]))

    @property
    def plain(self) -> bool:
        """Whether the bytes can be read as they are."""
        return not (self.packing or self.encoding or self.layout)


def dress_of(head: bytes, *, document: bool = False, mapping: Mapping | None = None) -> Dress:
    """Return what the first bytes of a file say that it is; those of a packed one say no more than that."""
    for packing, magic in _PACKED.items():
        if head.startswith(magic):
            return Dress(packing)
    return text_dress(head, document=document, mapping=mapping)


def text_dress(head: bytes, *, document: bool = False, mapping: Mapping | None = None) -> Dress:
    """Return what the first bytes of a text say that it is; a document that is one object stays as it is.

    With a mapping whose path leads to many elements of a document, these are laid out as one a line.
    """
    for pattern, what in _OTHERS:
        if re.match(pattern, head):
            return Dress(other=what)
    encoding = next((name for name, mark in _ENCODINGS if head.startswith(mark)), "")
    text = head.decode(encoding, "ignore").encode() if encoding else head
    if (elements := _elements(text, mapping)) is not None:
        return Dress("", encoding, "document", elements=elements[0])
    if not encoding and _TABLE.match(text.removeprefix(_BOM)):
        return Dress(other="a table in CSV; this release reads JSON recordings only")
    otherwise = is_laid_out_otherwise(text) and (not document or text.removeprefix(_BOM).lstrip().startswith(b"["))
    layout = ("array" if text.removeprefix(_BOM).lstrip().startswith(b"[") else "indented") if otherwise else ""
    return Dress("", encoding, layout)


def _elements(text: bytes, mapping: Mapping | None) -> tuple[str, Elements] | None:
    """Return the path to the elements of a document, and what lays them out; None when it is no such document."""
    for where, _ in mapping.elements if mapping is not None else ():
        names, kind, _ = split(where) or ((), "", "")
        begin = elements_begin(text, names, kind)
        if begin is not None and not is_lines(text) and not (kind == "[]" and not names):
            return where, Elements(*begin, keyed=kind == "{}")
    return None


class Unpacked(NamedTuple):
    """What came of unpacking a source: its text, what it was, and what ended it too early."""

    source: Source
    dress: Dress
    problem: str = ""


def unpack(
    source: Source,
    dress: Dress,
    target: Path,
    done: Callable[[int], object] | None = None,
    mapping: Mapping | None = None,
) -> Unpacked:
    """Write the text of a source to `target`, in bounded memory; `done` is called with packed bytes as they are read.

    Raises
    ------
    NotARecording
        When what is packed is no recording, or unpacks to more than `MAX_EXPANSION` times its size.
    SourceUnreadable
        When it cannot be read at all.
    """
    text = Text(source.name, document=_is_document(source.name), mapping=mapping)
    problem = ""
    with reading(source.path) as file, target.open("wb") as out:
        counted = _Counted(file, done)
        try:
            for piece in pieces(counted, dress.packing, source.name):
                text.feed(piece, out)
                if text.taken > max(FREE_BYTES, MAX_EXPANSION * counted.read_bytes):
                    expansion = f"{text.taken:,} bytes out of {counted.read_bytes:,}"
                    raise NotARecording(
                        f"{source.name}: unpacks to more than {MAX_EXPANSION} times its size, as a bomb does "
                        f"({expansion}); nothing of it was stored"
                    )
        except (EOFError, OSError, zlib.error, lzma.LZMAError, BadZipFile, ValueError, RuntimeError) as error:
            if isinstance(error, ReplayLabError):
                raise
            what = dress.packing or text.dress.encoding
            problem = f"{what} data is damaged or cut off after {counted.read_bytes:,} packed bytes ({error})"
            if not text.taken:
                raise SourceUnreadable(5, f"{source.path}: {problem}; nothing could be unpacked") from error
            problem += "; what comes before was read"
        torn = text.finish(out)
        if torn and not problem:
            left = f"its last {torn} byte{'s' if torn > 1 else ''} cannot be read"
            problem = f"{text.dress.encoding} text ends within a character, {left}; what comes before was read"
    problem = problem or text.problem
    if _is_document(source.name) and not text.dress.layout:
        target = target.rename(target.with_suffix(".json"))
    return Unpacked(
        Source(target, source.name, target.stat().st_size),
        text.dress._replace(packing=dress.packing),
        problem,
    )


def _is_document(name: str) -> bool:
    """Whether a source is one JSON document by its name, packed or not."""
    lower = name.lower()
    packed = next((ending for ending in PACKED_ENDINGS if lower.endswith(ending)), "")
    return lower.removesuffix(packed).endswith(".json")


class Text:
    """Text as it is unpacked: decoded to UTF-8, and laid out as one object a line where it is not."""

    def __init__(self, name: str, *, document: bool, mapping: Mapping | None = None) -> None:
        self.taken = 0
        self.dress = Dress()
        self.problem = ""
        self._mapping = mapping if mapping is not None and mapping.elements else None
        self._name = name
        self._document = document
        self._head: bytes | None = b""
        self._decoder: codecs.IncrementalDecoder | None = None
        self._layout: OnePerLine | Elements | None = None

    def feed(self, data: bytes, out: IO[bytes]) -> None:
        """Write what can be written of the text by now."""
        self.taken += len(data)
        if self._head is not None:
            self._head += data
            if len(self._head) < self._head_bytes:
                return
            data = self._look()
        self._write(data, out)

    @property
    def _head_bytes(self) -> int:
        """How many bytes it takes to see what a text is."""
        if self._mapping is None:
            return HEAD_BYTES
        return HEADER_BYTES * (4 if b"\0" in (self._head or b"") else 1)  # of UTF-32, four for one

    def finish(self, out: IO[bytes]) -> int:
        """Write the rest; return how many bytes of a character that is not whole are left, which are no text."""
        if self._head is not None:
            self._write(self._look(), out)
        if self._layout is not None:
            out.write(self._layout.finish())
        if isinstance(self._layout, Elements) and not self._layout.whole:
            self.problem = (
                f"the document ends within its {self.dress.elements}, as one that is cut off; what is there was read"
            )
        return len(self._decoder.getstate()[0]) if self._decoder is not None else 0

    def _look(self) -> bytes:
        """Decide from the first bytes what the text is; return them."""
        head, self._head = self._head or b"", None
        self.dress = text_dress(head, document=self._document, mapping=self._mapping)
        if self.dress.other:
            raise NotARecording(f"{self._name}: {self.dress.other}, not a recording; nothing of it was stored")
        if self.dress.encoding:
            self._decoder = codecs.getincrementaldecoder(self.dress.encoding)("surrogatepass")
        if self.dress.layout == "document":
            encoding = self.dress.encoding
            text = head.decode(encoding, "ignore").removeprefix("\ufeff").encode() if encoding else head
            found = _elements(text, self._mapping)
            self._layout = None if found is None else found[1]
        elif self.dress.layout:
            self._layout = OnePerLine()
        return head

    def _write(self, data: bytes, out: IO[bytes]) -> None:
        if self._decoder is not None:
            data = self._decoder.decode(data).removeprefix("\ufeff").encode("utf-8", "surrogatepass")
        self._lay_out(data, out)

    def _lay_out(self, data: bytes, out: IO[bytes]) -> None:
        out.write(self._layout.feed(data) if self._layout is not None else data)


class Readable(Protocol):
    """What is read from."""

    def read(self, size: int = -1, /) -> bytes:
        """Read at most so many bytes."""


class _Counted:
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


def pieces(file: Readable, packing: str, name: str) -> Iterator[bytes]:
    """Yield the unpacked bytes in pieces of at most `PIECE_BYTES`, one member behind the other."""
    if not packing:
        while data := file.read(PIECE_BYTES):
            yield data
    elif packing == "zip":
        yield from _zip_pieces(file, name)
    elif packing == "zstd":
        yield from _zstd_pieces(file)
    else:
        yield from _members_as_far(file, _DECOMPRESSORS[packing], packing)


def _zstd_pieces(file: Readable) -> Iterator[bytes]:
    """Yield the bytes of all frames; of one that is cut off or damaged, all that its whole blocks say."""
    given = 0
    try:
        with pa.CompressedInputStream(
            pa.PythonFile(_Counted(cast("BinaryIO", file), None), mode="r"), "zstd"
        ) as stream:
            while data := stream.read(ZSTD_BYTES):
                given += len(data)
                yield data
    except OSError:
        yield _zstd_rest(file.file if isinstance(file, _Counted) else file, given)
        raise


def _zstd_rest(file: Any, given: int) -> bytes:
    """Return what can be unpacked behind the first `given` bytes; the stream drops it when it meets the damage."""
    file.seek(0)
    rest = bytearray()
    try:
        with pa.CompressedInputStream(pa.PythonFile(_Counted(file, None), mode="r"), "zstd") as stream:
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
}


def _members_as_far(file: Readable, make: Callable[[], Any], packing: str) -> Iterator[bytes]:
    """Yield the bytes of all members; before damage, all that a decompressor says when it is fed byte by byte."""
    given = 0
    counted = _Counted(cast("BinaryIO", file), None)
    try:
        for piece in _members(counted, make, packing):
            given += len(piece)
            yield piece
    except (OSError, zlib.error, lzma.LZMAError):
        inner = file.file if isinstance(file, _Counted) else cast("BinaryIO", file)
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


def _zip_pieces(file: Any, name: str) -> Iterator[bytes]:
    """Yield the bytes of the recordings of a zip archive, in its order; a line never goes on in the next one."""
    inner = file.file if isinstance(file, _Counted) else file  # an archive is read from its end
    with ZipFile(inner) as archive:
        members = [one for one in archive.infolist() if not one.is_dir() and not one.filename.startswith("__MACOSX/")]
        if not members:
            raise NotARecording(f"{name}: a zip archive without a file in it, not a recording")
        if any(one.flag_bits & 1 for one in members):
            raise NotARecording(f"{name}: an encrypted zip archive: unpack it first")
        for one in members:
            last = b"\n"
            with archive.open(one) as member:
                while data := member.read(PIECE_BYTES):
                    if isinstance(file, _Counted):
                        file.read_bytes = max(inner.tell(), one.compress_size)
                    last = data[-1:]
                    yield data
            if last != b"\n" and one is not members[-1]:
                yield b"\n"
