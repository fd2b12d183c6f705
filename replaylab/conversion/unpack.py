"""Unpack: recordings in another dress (packed, in another encoding, laid out as an array) as lines of UTF-8 text.

What a file is is decided by its first bytes, never by its name. A source that has to be unpacked is written to a
temporary file, piece by piece, and removed once it is converted; its identity and its account are those of the text.
"""

from __future__ import annotations

import codecs
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from os import SEEK_END
from pathlib import Path
from typing import IO, BinaryIO, Final, NamedTuple
from zipfile import BadZipFile

from replaylab.conversion import source as sources
from replaylab.conversion.packing import PACKED, Counted, members
from replaylab.conversion.source import PACKED_ENDINGS, Source, reading
from replaylab.errors import NotARecording, ReplayLabError, SourceUnreadable
from replaylab.parsing.elements import HEADER_BYTES, Elements, elements_begin, is_lines, split
from replaylab.parsing.mapping import Mapping
from replaylab.parsing.one_per_line import OnePerLine, is_laid_out_otherwise
from replaylab.parsing.scan import TOO_LONG, advice_of_length
from replaylab.plural import count_of

HEAD_BYTES: Final = 1 << 12
MAX_EXPANSION: Final = 200  # unpacked bytes for one packed: real recordings have 8 to 40
FREE_BYTES: Final = 64 << 20  # unpacked bytes of a file that are never refused
_BOM: Final = b"\xef\xbb\xbf"
_OBJECT: Final = b'{"'  # as nearly every recording begins, and nothing else does
_ENCODINGS: Final = (  # by their mark; without one by the zeros beside the first bracket, behind blanks
    ("utf-32-le", rb"\xff\xfe\x00\x00"),
    ("utf-32-be", rb"\x00\x00\xfe\xff"),
    ("utf-16-le", rb"\xff\xfe"),
    ("utf-16-be", rb"\xfe\xff"),
    ("utf-32-le", rb"(?:[ \t\r\n]\x00{3})*[{\[]\x00{3}"),
    ("utf-32-be", rb"(?:\x00{3}[ \t\r\n])*\x00{3}[{\[]"),
    ("utf-16-le", rb"(?:[ \t\r\n]\x00)*[{\[]\x00"),
    ("utf-16-be", rb"(?:\x00[ \t\r\n])*\x00[{\[]"),
)
_OTHERS: Final = (  # first bytes of what is no recording, and what it is
    (rb"PAR1", "a Parquet file; this release reads JSON recordings only"),
    (rb"ARROW1", "an Arrow file; this release reads JSON recordings only"),
    (rb"version https://git-lfs\.github\.com/", "a Git LFS pointer: fetch the file itself with `git lfs pull`"),
    (rb"(?i)\s*(?:<!doctype html|<html)", "an HTML page, as a failed download leaves it"),
    (rb"(?i)\s*<\?xml|\s*<svg", "an XML document"),
    (rb"7z\xbc\xaf\x27\x1c", "a 7-Zip archive: unpack it first"),
    (rb"Rar!\x1a\x07", "a RAR archive: unpack it first"),
    (rb"(?s)(?=.{0,256}\x00).{257}ustar", "a tar archive: unpack it first"),
    (rb"\x04\x22\x4d\x18", "an LZ4 file: unpack it first"),
    (rb"\xff\x06\x00\x00sNaPpY", "a Snappy file: unpack it first"),
    (rb"\x1f\x9d", "a file of compress (.Z): unpack it first"),
    (rb"PK\x05\x06", "a zip archive without a file in it"),
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
    for packing, magic in PACKED.items():
        if head.startswith(magic):
            return Dress(packing)
    return text_dress(head, document=document, mapping=mapping)


def text_dress(head: bytes, *, document: bool = False, mapping: Mapping | None = None) -> Dress:
    """Return what the first bytes of a text say that it is; a document that is one object stays as it is.

    With a mapping whose path leads to many elements of a document, these are laid out as one a line.
    """
    encoding = ""
    if not head.startswith(_OBJECT):
        for pattern, what in _OTHERS:
            if re.match(pattern, head):
                return Dress(other=what)
        encoding = next((name for name, mark in _ENCODINGS if re.match(mark, head)), "")
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


def too_long_document(source: Source, head: bytes, mapping: Mapping | None) -> str:
    """Return why a document that is one indented object cannot be read, and what to do; empty when it can."""
    if source.is_document and source.size > sources.MAX_LINE_BYTES and is_laid_out_otherwise(head):
        return TOO_LONG + advice_of_length(mapping)
    return ""


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
    with reading(source.path) as file, target.open("w+b") as out:
        unpacking = _Unpacking(source, dress.packing, mapping, Counted(file, done), out)
        unpacking.run()
    if _is_document(source.name) and not unpacking.dress.layout:
        target = target.rename(target.with_suffix(".json"))
    return Unpacked(
        Source(target, source.name, target.stat().st_size),
        unpacking.dress._replace(packing=dress.packing),
        "; ".join(unpacking.problems),
    )


class _Unpacking:
    """Unpacks one source; `problems` are what ended it too early, and members of an archive that are no recordings."""

    def __init__(self, source: Source, packing: str, mapping: Mapping | None, counted: Counted, out: BinaryIO) -> None:
        self.dress = Dress()
        self.problems: list[str] = []
        self._source, self._packing, self._mapping, self._counted, self._out = source, packing, mapping, counted, out
        self._taken = 0
        self._read = 0  # members that hold something
        self._text: Text | None = None

    def run(self) -> None:
        """Write the text of every member; whatever the packing says against it, as far as it goes."""
        name, counted = self._source.name, self._counted
        try:
            for member, stream in members(counted, self._packing, name):
                self._take(member, stream)
        except (EOFError, OSError, zlib.error, lzma.LZMAError, BadZipFile, ValueError, RuntimeError) as error:
            if isinstance(error, ReplayLabError):
                raise
            what = self._packing or (self._text.dress.encoding if self._text is not None else "")
            problem = f"{what} data is damaged or cut off after {counted.read_bytes:,} packed bytes ({error})"
            if not self._taken:
                raise SourceUnreadable(5, f"{self._source.path}: {problem}; nothing could be unpacked") from error
            self.problems.append(problem + "; what comes before was read")
            self._finish(damaged=True)
        if self.problems and not self._read:
            raise NotARecording("; ".join(self.problems))

    def _take(self, member: str, stream: Iterator[bytes]) -> None:
        """Write the text of a member of an archive, or of a file that is none."""
        name = f"{self._source.name}: {member}" if member else self._source.name
        document = _is_document(member or self._source.name)
        self._text = Text(
            name, document=document, mapping=self._mapping, elements=self.dress.elements if self._read else None
        )
        if self._out.seek(0, SEEK_END) and self._out.seek(-1, SEEK_END) and self._out.read(1) != b"\n":
            self._out.write(b"\n")  # a line never goes on in the next member
        try:
            for piece in stream:
                self._taken += len(piece)
                self._text.feed(piece, self._out)
                self._refuse_bomb()
            self._finish()
        except NotARecording as error:
            if not (member and self._text.dress.other):
                raise
            self.problems.append(str(error))  # the others of the archive may be recordings

    def _finish(self, *, damaged: bool = False) -> None:
        """Write the rest of a member."""
        text = self._text
        if text is None:
            return
        torn = text.finish(self._out)
        if torn and not damaged:
            left = f"its last {count_of(torn, 'byte')} cannot be read"
            self.problems.append(
                f"{text.dress.encoding} text ends within a character, {left}; what comes before was read"
            )
        self.problems += [text.problem] if text.problem and not damaged else []
        if text.taken and not self._read:
            self.dress = text.dress
        self._read += bool(text.taken)

    def _refuse_bomb(self) -> None:
        counted = self._counted
        if self._taken > max(FREE_BYTES, MAX_EXPANSION * counted.read_bytes):
            expansion = f"{self._taken:,} bytes out of {counted.read_bytes:,}"
            raise NotARecording(
                f"{self._source.name}: unpacks to more than {MAX_EXPANSION} times its size, as a bomb does "
                f"({expansion}); nothing of it was stored"
            )


def _is_document(name: str) -> bool:
    """Whether a source is one JSON document by its name, packed or not."""
    lower = name.lower()
    packed = next((ending for ending in PACKED_ENDINGS if lower.endswith(ending)), "")
    return lower.removesuffix(packed).endswith(".json")


class Text:
    """Text as it is unpacked: decoded to UTF-8, and laid out as one object a line where it is not."""

    def __init__(
        self, name: str, *, document: bool, mapping: Mapping | None = None, elements: str | None = None
    ) -> None:
        self.taken = 0
        self.dress = Dress()
        self.problem = ""
        self._given = mapping
        self._mapping = mapping if mapping is not None and mapping.elements else None
        self._name = name
        self._document = document
        self._head: bytes | None = b""
        self._decoder: codecs.IncrementalDecoder | None = None
        self._layout: OnePerLine | Elements | None = None
        self._elements = elements  # the path of those of the members before it
        self._indented = False  # one indented object, which is read as a whole
        self._marked = False  # whether the mark of its encoding is behind

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
        too_long = isinstance(self._layout, OnePerLine) and self._layout.too_long
        if too_long or (self._indented and self.taken > sources.MAX_LINE_BYTES):
            self.problem = TOO_LONG + advice_of_length(self._given)
        if isinstance(self._layout, Elements) and not self._layout.whole:
            self.problem = (
                f"the document ends within its {self.dress.elements}, as one that is cut off; what is there was read"
            )
        return len(self._decoder.getstate()[0]) if self._decoder is not None else 0

    def _look(self) -> bytes:
        """Decide from the first bytes what the text is; return them."""
        head, self._head = self._head or b"", None
        self.dress = text_dress(head, document=self._document, mapping=self._mapping)
        self._indented = self._document and not self.dress.layout and is_laid_out_otherwise(head)
        inner = next((packing for packing, magic in PACKED.items() if head.startswith(magic)), "")
        if inner:
            self.dress = Dress(other=f"packed twice, with {inner} within: unpack it once")
        elif head and self._elements not in {None, self.dress.elements}:
            self.dress = Dress(other="laid out otherwise than what stands before it in the archive: unpack it")
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
            text = self._decoder.decode(data)
            text, self._marked = text if self._marked else text.removeprefix("\ufeff"), self._marked or bool(text)
            data = text.encode("utf-8", "surrogatepass")
        self._lay_out(data, out)

    def _lay_out(self, data: bytes, out: IO[bytes]) -> None:
        out.write(self._layout.feed(data) if self._layout is not None else data)
