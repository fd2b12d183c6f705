"""The plan of a conversion: which bytes of which sources are new to the store, cut into jobs of bounded size.

What is already there is told by content: the digest of every extent stands in the footer of the segment that holds
its ticks. A source that has grown is converted from where it ended; one of the same name and other content gets a
name of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import BinaryIO, Final

import xxhash

from replaylab.errors import SourceUnreadable
from replaylab.segment import Extent
from replaylab.source import BLOCK_BYTES, Piece, Source, line_end

JOB_BYTES: Final = 32 << 20


@dataclass(frozen=True, slots=True)
class Known:
    """A source, or the beginning of one, whose content is already in the store."""

    name: str
    stored_as: str
    bytes: int
    ticks: int
    zone: str


@dataclass(slots=True)
class Plan:
    """What is to be done: jobs (each becomes one segment), what is known already, and what could not be read."""

    jobs: list[list[Piece]] = field(default_factory=list)
    known: list[Known] = field(default_factory=list)
    grown: list[str] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Bytes to convert."""
        return sum(piece.end - piece.start for job in self.jobs for piece in job)


def plan(sources: Iterable[Source], extents: Iterable[Extent], *, strict: bool = False) -> Plan:
    """Plan the conversion of sources into a store that holds extents."""
    made = Plan()
    stored = _Stored(extents)
    small: list[Piece] = []
    held = 0
    for source in sources:
        try:
            pieces = list(_pieces(source, stored, made))
        except OSError as error:
            problem = f"{source.path}: {error.strerror or error}"
            if strict:
                raise SourceUnreadable(error.errno, problem) from error
            made.unreadable[source.name] = problem
            continue
        if len(pieces) > 1 or (pieces and pieces[0].end - pieces[0].start > JOB_BYTES // 2):
            made.jobs.extend([piece] for piece in pieces)
            continue
        for piece in pieces:
            if held + piece.end - piece.start > JOB_BYTES:
                made.jobs.append(small)
                small, held = [], 0
            small.append(piece)
            held += piece.end - piece.start
    if small:
        made.jobs.append(small)
    return made


class _Stored:
    """The extents of a store, by source."""

    def __init__(self, extents: Iterable[Extent]) -> None:
        chains: defaultdict[str, list[Extent]] = defaultdict(list)
        for extent in sorted(extents, key=lambda one: one.start):
            chain = chains[extent.source]
            if extent.start == (chain[-1].end if chain else 0):  # up to the first part that is not there yet
                chain.append(extent)
        self.chains = {name: chain for name, chain in chains.items() if chain}
        self.by_size: defaultdict[int, list[str]] = defaultdict(list)
        for name, chain in self.chains.items():
            self.by_size[chain[-1].end].append(name)

    def holding(self, source: Source, file: BinaryIO) -> list[Extent]:
        """Give the chain of extents that a source begins with, longest first tried; empty when it is new."""
        own = self.chains.get(source.name, [])
        if own and own[-1].end <= source.size and _same(file, own):
            return own
        for name in self.by_size.get(source.size, []):
            if name != source.name and _same(file, self.chains[name]):
                return self.chains[name]
        return []


def _same(file: BinaryIO, chain: list[Extent]) -> bool:
    return all(digest_between(file, extent.start, extent.end) == extent.digest for extent in chain)


def digest_between(file: BinaryIO, start: int, end: int) -> str:
    """Give the XXH3 128-bit digest of bytes `start` to `end`, as hex."""
    digest = xxhash.xxh3_128()
    file.seek(start)
    while start < end and (block := file.read(min(1 << 20, end - start))):
        digest.update(block)
        start += len(block)
    return digest.hexdigest()


def _pieces(source: Source, stored: _Stored, made: Plan) -> Iterator[Piece]:
    if source.size <= BLOCK_BYTES and source.name not in stored.chains and source.size not in stored.by_size:
        yield Piece(source, 0, source.size, 0, 0)  # certainly new, and whole: no need to look into it yet
        return
    with source.path.open("rb") as file:
        chain = stored.holding(source, file)
        start = first_line = first_seq = 0
        if chain:
            last = chain[-1]
            start = last.end
            first_line, first_seq = last.first_line + last.line_count, last.first_seq + last.tick_count
            ticks = sum(extent.tick_count for extent in chain)
            made.known.append(Known(source.name, last.source, start, ticks, last.zone))
            if start < source.size:
                made.grown.append(source.name)
        elif source.name in stored.chains:
            head = digest_between(file, 0, source.size)
            source = source._replace(name=f"{source.name}@{head[:8]}")
        if source.is_document or source.size == start:
            cuts = [start, source.size] if source.size > start or not chain else [start]
        else:
            cuts = _cuts(file, start, source.size)
        for number, (begin, end) in enumerate(pairwise(cuts)):
            known = number == 0
            yield Piece(source, begin, end, first_line if known else None, first_seq if known else None)


def _cuts(file: BinaryIO, start: int, size: int) -> list[int]:
    """Cut at the first line end behind every multiple of `JOB_BYTES`."""
    cuts = [start]
    while cuts[-1] < size:
        wanted = (cuts[-1] // JOB_BYTES + 1) * JOB_BYTES
        cuts.append(size if wanted >= size else line_end(file, wanted, size))
    return cuts
