"""The plan of a conversion: which bytes of which sources are new to the store, cut into jobs of bounded size.

What is already stored is recognised by content: the digest of every extent stands in the footer of the segment that
holds its ticks. A source that has grown is converted from where it ended; one of the same name and other content gets a
name of its own.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final, NamedTuple

import xxhash

from replaylab.conversion.source import Piece, Source, line_end, reading
from replaylab.errors import SourceUnreadable
from replaylab.segments.extent import HEAD_BYTES, Extent, head_digest

JOB_BYTES: Final = 32 << 20
LEAST_JOB_BYTES: Final = 4 << 20  # less than twice as much is not worth a second segment


class Known(NamedTuple):
    """A source, or the beginning of one, whose content is already in the store."""

    name: str
    stored_as: str
    bytes: int
    ticks: int
    zone: str


@dataclass(slots=True)
class Plan:
    """What is to be done, and what need not be or cannot be.

    Attributes
    ----------
    jobs : list
        Pieces to convert; each job becomes one segment.
    known, held : list
        What is in the store already, and the extents that hold it.
    twins : list
        Sources whose content another source of this run has.
    grown : dict
        By the name in the store, the name now of what has grown.
    unreadable : dict
        Why a source cannot be read.
    """

    jobs: list[list[Piece]] = field(default_factory=list)
    known: list[Known] = field(default_factory=list)
    held: list[Extent] = field(default_factory=list)
    twins: list[Known] = field(default_factory=list)
    grown: dict[str, str] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Bytes to convert."""
        return sum(piece.end - piece.start for job in self.jobs for piece in job)


def plan(sources: Sequence[Source], extents: Iterable[Extent], *, zone: str = "UTC", strict: bool = False) -> Plan:
    """Plan the conversion of sources into a store that holds extents."""
    made = Plan()
    planner = _Planner(made, _Stored(extents), Counter(source.size for source in sources), zone)
    job_bytes = min(JOB_BYTES, max(LEAST_JOB_BYTES, sum(source.size for source in sources) // 2 + 1))
    small: list[Piece] = []
    held = 0
    for source in sources:
        try:
            pieces = planner.pieces(source)
        except SourceUnreadable as error:
            if strict:
                raise
            made.unreadable[source.name] = str(error.strerror)
            continue
        if len(pieces) > 1 or (pieces and pieces[0].end - pieces[0].start > JOB_BYTES // 2):
            made.jobs.extend([piece] for piece in pieces)
            continue
        for piece in pieces:
            if small and held + piece.end - piece.start > job_bytes:
                made.jobs.append(small)
                small, held = [], 0
            small.append(piece)
            held += piece.end - piece.start
    if small:
        made.jobs.append(small)
    return made


class _Stored:
    """The extents of a store, by source; not all of a source need be there, and a source is given out once."""

    def __init__(self, extents: Iterable[Extent]) -> None:
        self.chains: dict[str, list[Extent]] = {}
        for extent in sorted(extents, key=lambda one: (one.start, one.end)):
            chain = self.chains.setdefault(extent.source, [])
            if extent.start >= (chain[-1].end if chain else 0):
                chain.append(extent)
        self._close: defaultdict[str | int, list[str]] = defaultdict(list)
        for name, chain in self.chains.items():
            self._close[_own_name(name)].append(name)
            self._close[chain[-1].end].append(name)
            if chain[0].start == 0 and chain[0].end >= HEAD_BYTES:
                self._close[chain[0].head].append(name)

    def take(self, source: Source, file: BinaryIO) -> list[Extent]:
        """Return the extents of which a source is made as far as they go, none when it is new.

        Looked for under its name, among those of its size, and among those that begin with the same bytes.
        """
        close = [*self._close[_own_name(source.name)]]
        if source.size:
            head = head_digest(file.read(HEAD_BYTES))
            close += [*self._close[source.size], *self._close[head]]
        names = sorted({name for name in close if name in self.chains}, key=lambda name: -self.chains[name][-1].end)
        for name in names:
            chain = [extent for extent in self.chains[name] if extent.end <= source.size]
            cut_short = len(chain) < len(self.chains[name]) and (not chain or chain[-1].end != source.size)
            if chain and not cut_short and all(_holds(file, extent) for extent in chain):
                del self.chains[name]
                return chain
        return []


def _own_name(name: str) -> str:
    """Return the name of a source without the suffix that sets it apart from earlier ones of that name."""
    return re.sub(r"@[0-9a-f]{8}$", "", name)


def _holds(file: BinaryIO, extent: Extent) -> bool:
    return digest_between(file, extent.start, extent.end) == extent.digest


def digest_between(file: BinaryIO, start: int, end: int) -> str:
    """Return the XXH3 128-bit digest of bytes `start` to `end`, as hex."""
    digest = xxhash.xxh3_128()
    file.seek(start)
    while start < end and (block := file.read(min(1 << 20, end - start))):
        digest.update(block)
        start += len(block)
    return digest.hexdigest()


class _Planner:
    """Finds the pieces of one source after another that are new."""

    def __init__(self, made: Plan, stored: _Stored, sizes: Counter[int], zone: str) -> None:
        self.made = made
        self.stored = stored
        self.names = set(stored.chains)
        self.sizes = sizes
        self.zone = zone
        self.met: dict[str, str] = {}

    def pieces(self, source: Source) -> list[Piece]:
        """Return the pieces of a source that are to be converted."""
        with reading(source.path) as file:
            whole = ""
            if source.size and self.sizes[source.size] > 1:
                whole = digest_between(file, 0, source.size)
                if whole in self.met:
                    self.made.twins.append(Known(source.name, self.met[whole], source.size, 0, self.zone))
                    return []
            file.seek(0)
            chain = self.stored.take(source, file)
            name = chain[-1].source if chain else source.name
            if not chain and name in self.names:
                name = f"{name}@{(whole or digest_between(file, 0, source.size))[:8]}"
            pieces = list(_missing(file, source._replace(name=name), chain))
        if whole:
            self.met[whole] = name
        if chain:
            size, ticks = sum(one.end - one.start for one in chain), sum(one.tick_count for one in chain)
            self.made.known.append(Known(source.name, name, size, ticks, chain[-1].zone))
            self.made.held.extend(chain)
            if pieces:
                self.made.grown[name] = source.name
        return pieces


def _missing(file: BinaryIO, source: Source, chain: list[Extent]) -> Iterator[Piece]:
    """Return pieces of a source between and behind the extents that are there, cut to size."""
    begin = line = seq = 0
    for extent in chain:
        yield from _cut(file, source, (begin, extent.start), (line, seq))
        begin, line, seq = extent.end, extent.first_line + extent.line_count, extent.first_seq + extent.tick_count
        if extent.end > extent.start and not _ends_line(file, extent.end):
            line -= 1  # what follows belongs to the same line
    yield from _cut(file, source, (begin, source.size), (line, seq))
    if not source.size and not chain:
        yield Piece(source, 0, 0, 0, 0)  # that it is there and empty is known from now on


def _ends_line(file: BinaryIO, position: int) -> bool:
    file.seek(position - 1)
    return file.read(1) == b"\n"


def _cut(file: BinaryIO, source: Source, part: tuple[int, int], base: tuple[int, int]) -> Iterator[Piece]:
    """Cut at the first line end behind every multiple of `JOB_BYTES`; only the first piece knows its base."""
    begin, end = part
    known: tuple[int, int] | tuple[None, None] = base
    while begin < end:
        wanted = (begin // JOB_BYTES + 1) * JOB_BYTES
        stop = end if source.is_document or wanted >= end else line_end(file, wanted, end)
        yield Piece(source, begin, stop, *known)
        begin, known = stop, (None, None)
