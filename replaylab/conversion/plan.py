"""The plan of a conversion: which bytes of which sources are new to the store, cut into jobs of bounded size.

What is already stored is recognised by content: the digest of every extent stands in the footer of the segment that
holds its ticks. A source that has grown is converted from where it ended; a last line that had no newline then is read
again. A source of a known name and other content gets a name of its own. A reading that brought no tick gives way to
one by another mapping.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, Final, NamedTuple

import xxhash

from replaylab.conversion.source import Piece, Source, last_line_start, line_end, reading
from replaylab.errors import SourceUnreadable
from replaylab.segments.extent import HEAD_BYTES, Extent, head_digest

JOB_BYTES: Final = 32 << 20
JOB_PIECES: Final = 4_096  # what is known of each is held until its job ends: some kilobytes
LEAST_JOB_BYTES: Final = 4 << 20  # less than twice as much is not worth a second segment
_UNKNOWN_BYTES: Final = 5  # as long as a file has no more, its packing and encoding cannot be known


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
    changed : dict
        By the new name in the store, the name of a source that is in the store with other content.
    otherwise : set
        Those of `changed` that are in the store as another mapping or other settings read them.
    mended : list
        Lines of sources that have grown, to convert whole: as far as they went they are in the store.
    retaken : list
        Extents that give way to `mended`, or to nothing where the source has become shorter.
    emptied : list
        Extents to take out when all is converted: readings without a tick of what is now read by another mapping.
    unreadable : dict
        Why a source cannot be read; `refused` counts those that are no recordings.
    problems, dresses : dict
        What ended a packed source too early, and how a source was packed, encoded or laid out.
    """

    jobs: list[list[Piece]] = field(default_factory=list)
    known: list[Known] = field(default_factory=list)
    held: list[Extent] = field(default_factory=list)
    twins: list[Known] = field(default_factory=list)
    grown: dict[str, str] = field(default_factory=dict)
    changed: dict[str, str] = field(default_factory=dict)
    otherwise: set[str] = field(default_factory=set)
    mended: list[Piece] = field(default_factory=list)
    retaken: list[Extent] = field(default_factory=list)
    emptied: list[Extent] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    refused: int = 0
    problems: dict[str, str] = field(default_factory=dict)
    dresses: dict[str, str] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """Bytes to convert."""
        return sum(piece.end - piece.start for job in [*self.jobs, self.mended] for piece in job)

    def add(self, other: Plan) -> None:
        """Add another plan to this one."""
        for name in ("jobs", "known", "held", "twins", "mended", "retaken", "emptied"):
            getattr(self, name).extend(getattr(other, name))
        for name in ("grown", "changed", "otherwise", "unreadable", "problems", "dresses"):
            getattr(self, name).update(getattr(other, name))
        self.refused += other.refused


def plan(
    sources: Sequence[Source],
    extents: Iterable[Extent],
    *,
    zone: str = "UTC",
    strict: bool = False,
    mapping: str = "",
) -> Plan:
    """Plan the conversion of sources, read by a mapping of that digest, into a store that holds extents."""
    made = Plan()
    planner = _Planner(made, extents, Counter(source.size for source in sources), zone, mapping)
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
        made.mended += [piece for piece in pieces if piece.again]
        pieces = [piece for piece in pieces if not piece.again]
        last = [pieces.pop()] if len(pieces) > 1 and pieces[-1].unended else []  # stays with what it follows
        if len(pieces) > 1 or (pieces and pieces[0].end - pieces[0].start > JOB_BYTES // 2):
            made.jobs.extend([piece] for piece in pieces)
            made.jobs[-1].extend(last)
            continue
        for piece in [*pieces, *last]:
            full = held + piece.end - piece.start > job_bytes or len(small) >= JOB_PIECES
            if small and full and piece not in last:
                made.jobs.append(small)
                small, held = [], 0
            small.append(piece)
            held += piece.end - piece.start
    if small:
        made.jobs.append(small)
    return made


Firsts = dict[int, dict[str, list[str]]]
"""Names of sources by the end of their first extent and its digest."""


class _Stored:
    """The extents of a store, by source; not all of a source need be there, and a source is matched once."""

    def __init__(self, extents: Iterable[Extent]) -> None:
        self.chains: dict[str, list[Extent]] = {}
        for extent in sorted(extents, key=lambda one: (one.start, one.end)):
            chain = self.chains.setdefault(extent.source, [])
            if extent.start >= (chain[-1].end if chain else 0):
                chain.append(extent)
        self._named: defaultdict[str, list[str]] = defaultdict(list)
        self._sized: defaultdict[int | str, Firsts] = defaultdict(dict)
        for name, chain in self.chains.items():
            self._named[_own_name(name)].append(name)
            first = chain[0]
            if first.start == 0:
                keys: list[int | str] = [chain[-1].end]
                if first.end >= HEAD_BYTES:
                    keys.append(first.head)
                for key in keys:
                    self._sized[key].setdefault(first.end, {}).setdefault(first.digest, []).append(name)

    def take(self, source: Source, file: BinaryIO) -> tuple[list[Extent], list[Extent]]:
        """Return the extents of which a source is made as far as they go, and those to take out and read again.

        Looked for under its name first, then by size and digest, then by its first bytes and digest.
        """
        for name in self._candidates(source, file):
            found = _match(self.chains[name], file, source) if name in self.chains else None
            if found is not None:
                del self.chains[name]
                return found
        return [], []

    def _candidates(self, source: Source, file: BinaryIO) -> Iterator[str]:
        yield from sorted(self._known(self._named[_own_name(source.name)]), key=lambda name: -self.chains[name][-1].end)
        if not source.size or not self._sized:
            return
        file.seek(0)
        head = head_digest(file.read(HEAD_BYTES))
        digests: dict[int, str] = {}
        for firsts in (self._sized.get(source.size, {}), self._sized.get(head, {})):
            for end, names in sorted(firsts.items(), reverse=True):
                if end <= source.size:
                    digest = digests.get(end) or digests.setdefault(end, digest_between(file, 0, end))
                    yield from self._known(names.get(digest, []))

    def _known(self, names: list[str]) -> list[str]:
        """Return the names that were not matched yet; the others are forgotten."""
        names[:] = [name for name in names if name in self.chains]
        return list(names)


def _match(chain: list[Extent], file: BinaryIO, source: Source) -> tuple[list[Extent], list[Extent]] | None:
    """Return the extents that a source begins with and those to read again; None for another source."""
    size = source.size
    ended, last = (chain[:-1], chain[-1:]) if chain[-1].unended else (chain, [])
    found = [extent for extent in ended if extent.end <= size]
    cut_short = len(found) < len(ended) and (not found or found[-1].end != size)
    if cut_short or not (found or last) or not all(_holds(file, extent) for extent in found):
        return None
    if not last or len(found) < len(ended) or (found and found[-1].end == size):
        return found, []
    if last[0].end <= size and _holds(file, last[0]):
        return (chain, []) if last[0].end == size else (found, last)
    if not found and not (_own_name(last[0].source) == source.name and _is_less_than_a_line(last[0])):
        return None
    return found, last  # read otherwise now, or its writer has written the last line anew


def _is_less_than_a_line(extent: Extent) -> bool:
    """Whether unended bytes end within the mark of a packing or encoding, or behind the bracket of an array.

    What has grown from them is read otherwise, so that they need not be in its text; and no tick is among them.
    """
    only_blank = not +Counter(extent.bytes) - Counter(blank=extent.end)
    return not extent.tick_count and (extent.end <= _UNKNOWN_BYTES or only_blank)


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

    def __init__(self, made: Plan, extents: Iterable[Extent], sizes: Counter[int], zone: str, mapping: str) -> None:
        self.made = made
        held = list(extents)
        otherwise = [extent for extent in held if extent.mapping != mapping]
        self.others = {extent.source for extent in otherwise}  # names of what was read by another mapping
        with_ticks = {(one.source, one.mapping) for one in otherwise if one.tick_count or one.recording}
        self.stored = _Stored(extent for extent in held if extent.mapping == mapping)
        self.empty = _Stored(one for one in otherwise if (one.source, one.mapping) not in with_ticks)
        self.names = set(self.stored.chains) | self.others
        self.mapping = mapping
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
            chain, again = self.stored.take(source, file)
            self._replace_empty(source, file)
            name = chain[-1].source if chain else again[0].source if again else source.name
            if not chain and not again and name in self.names:
                content = whole or digest_between(file, 0, source.size)
                by_mapping = xxhash.xxh3_64_hexdigest((content + self.mapping).encode())
                name = f"{name}@{(by_mapping if self.mapping else content)[:8]}"
                self.made.changed[name] = source.name
                if source.name in self.others and source.name not in self.stored.chains:
                    self.made.otherwise.add(name)
            pieces = list(_missing(file, source._replace(name=name), chain, again))
        if whole:
            self.met[whole] = name
        self.made.retaken.extend(again)
        if chain:
            size, ticks = sum(one.end - one.start for one in chain), sum(one.tick_count for one in chain)
            self.made.known.append(Known(source.name, name, size, ticks, chain[-1].zone))
            self.made.held.extend(chain)
        if pieces and (chain or again):
            self.made.grown[name] = source.name
        return pieces

    def _replace_empty(self, source: Source, file: BinaryIO) -> None:
        """Take out what readings of a source by another mapping, which brought no tick, account for."""
        while any(found := self.empty.take(source, file)):
            extents = [*found[0], *found[1]]
            self.made.emptied.extend(extents)
            gone = {one.source for one in extents}
            self.others -= gone
            self.names -= gone - set(self.stored.chains)


def _missing(file: BinaryIO, source: Source, chain: list[Extent], again: list[Extent]) -> Iterator[Piece]:
    """Yield pieces of a source between and behind the extents that are there, cut to size.

    The line that is read `again` is a piece of its own, as it changes places with its old reading.
    """
    begin = 0
    known: tuple[int, int] | None = (0, 0)
    for extent in chain:
        yield from _cut(file, source, (begin, extent.start), known)
        begin, known = extent.end, (extent.first_line + extent.line_count, extent.first_seq + extent.tick_count)
        if extent.end > extent.start and not _ends_line(file, extent.end):
            known = known[0] - 1, known[1]  # what follows belongs to the same line
    for extent in again:
        start = min(extent.start, source.size)
        yield from _cut(file, source, (begin, start), known)
        begin, known = start, (extent.first_line, extent.first_seq)
        if start < source.size:
            begin = source.size if source.is_document else line_end(file, start + 1, source.size)
            unended = not source.is_document and not _ends_line(file, begin)
            yield Piece(source, start, begin, *known, unended=unended, again=True)
            known = None
    last = last_line_start(file, begin, source.size) if not source.is_document else source.size
    yield from _cut(file, source, (begin, last), known)
    if last < source.size:
        line, seq = known if last == begin and known is not None else (None, None)
        yield Piece(source, last, source.size, line, seq, unended=True)
    if not source.size and not chain:
        yield Piece(source, 0, 0, 0, 0)  # that it is there and empty is known from now on


def _ends_line(file: BinaryIO, position: int) -> bool:
    file.seek(position - 1)
    return file.read(1) == b"\n"


def _cut(file: BinaryIO, source: Source, part: tuple[int, int], base: tuple[int, int] | None) -> Iterator[Piece]:
    """Cut at line ends into pieces of about one size, at most `JOB_BYTES`; only the first piece knows its base.

    Their number is even, and divides by four where there are many: no worker waits at the end for the piece of another.
    """
    begin, end = part
    size = end - begin
    count = -(-size // JOB_BYTES)
    count += 0 if count < 2 else -count % (4 if count > 4 else 2)
    known: tuple[int, int] | tuple[None, None] = base or (None, None)
    for wanted in [begin + size * number // count for number in range(1, count + 1)]:
        if wanted > begin:  # else a line that is longer than a piece has been read beyond it
            stop = end if source.is_document or wanted >= end else line_end(file, wanted, end)
            yield Piece(source, begin, stop, *known)
            begin, known = stop, (None, None)
