"""One job of a conversion: read its pieces, and publish their remarks and then their ticks as one segment."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import xxhash

from replaylab.conversion.games import Numbering
from replaylab.conversion.source import Block, Piece, Source, read_pieces
from replaylab.durable import written_aside
from replaylab.encryption.keys import StoreKeys
from replaylab.encryption.parquet import new_seal
from replaylab.errors import SourceDamaged
from replaylab.parsing.kernel_layout import Known
from replaylab.parsing.mapping import Mapping
from replaylab.parsing.scan import Account, Remark, Scan, scan_block, scan_document, too_long
from replaylab.segments.extent import HEAD_BYTES, Extent, head_digest
from replaylab.segments.order import sorted_by_game
from replaylab.segments.remarks import Placed, RemarkWriter, publish_remarks
from replaylab.segments.segment import Unpublished, write_segment
from replaylab.table import Batch, Names, doubtful_times, skipped_times, to_table

Base = tuple[int, int]
"""Lines and ticks of a source before a piece of it."""

_HELD_BYTES = 1 << 20  # quarantined bytes held while the number of their first line is not known yet

_FIRST_YEAR_US: Final = 365 * 86_400_000_000  # a time in 1970 is rather a number of another unit, or of no time


@dataclass(frozen=True, slots=True)
class Folders:
    """Where a job writes, and with which keys, when the store is encrypted."""

    segments: Path
    remarks: Path
    keys: StoreKeys | None = None


@dataclass(frozen=True, slots=True)
class How:
    """How sources are read: the zone of times that carry none, whether damage is an error, the mapping of fields."""

    zone: str = "UTC"
    strict: bool = False
    mapping: Mapping | None = None
    numbering: Numbering | None = None
    element: Mapping | None = None  # of one element, where a document was laid out as one a line

    @property
    def by_line(self) -> Mapping | None:
        """The mapping by which a line is read."""
        return self.mapping if self.element is None else self.element


@dataclass(slots=True)
class _Read:
    """What has been read of one piece; lines and ticks count from its start."""

    piece: Piece
    base: Base | None
    digest: xxhash.xxh3_128 = field(default_factory=xxhash.xxh3_128)
    head: bytes = b""
    account: Account = field(default_factory=Account)
    remarks: list[Remark] = field(default_factory=list)
    bytes: int = 0
    lines: int = 0
    ticks: int = 0
    follows: _Read | None = None  # of the same source, and read before this one


class Job:
    """Converts pieces into one segment.

    Parameters
    ----------
    pieces : list of Piece
        What to convert.
    folders : Folders
        Where to write.
    how : How
        Zone, strictness and mapping.
    ask_base : callable
        Returns the base of a piece that follows another one; waits until that one has been read.
    tell_end : callable
        Called with the base of whatever follows a piece, as soon as it is known.
    previous : Job, optional
        One done before; where it read the same source, the layouts of lines that it met are tried first.
    """

    def __init__(
        self,
        pieces: list[Piece],
        folders: Folders,
        *,
        how: How,
        ask_base: Callable[[Piece], Base],
        tell_end: Callable[[Piece, Base], None],
        previous: Job | None = None,
    ) -> None:
        self.folders = folders
        self.how = how
        self.zone = how.zone
        self.strict = how.strict
        self.ask_base = ask_base
        self.tell_end = tell_end
        self._reads = [_Read(piece, _known_base(piece)) for piece in pieces]
        for before, read in pairwise(self._reads):
            if read.piece.source is before.piece.source and read.piece.start == before.piece.end:
                read.follows = before
        self._batches: list[Batch] = []
        same = previous is not None and previous.last_source == pieces[0].source
        self.shapes: list[Known] = list(previous.shapes) if previous is not None and same else []

    @property
    def last_source(self) -> Source:
        """The source of the last piece."""
        return self._reads[-1].piece.source

    def run(self) -> Unpublished:
        """Convert; return the segment, written and not yet in the store."""
        pieces = [read.piece for read in self._reads]
        label = f"remarks-{xxhash.xxh3_64_hexdigest(repr(pieces).encode())}"
        seal = new_seal(self.folders.keys, "remarks")
        with written_aside(self.folders.remarks, label) as aside:
            with RemarkWriter(aside, seal) as writer:
                for block in read_pieces(pieces):
                    self._take(block, writer)
                for read in self._reads:
                    line, seq = self._base(read)
                    if read.piece.end < read.piece.source.size:  # else no piece follows
                        self.tell_end(read.piece, (line + read.lines, seq + read.ticks))
                    self._place(read, writer)
                    self._keep_mapping(read, writer)
            table, extents = self._table()
            remarks = (publish_remarks(aside, self.folders.remarks, writer.count, seal), writer.count)
        table = sorted_by_game(table)  # what has no name any more is free before the writer asks for memory
        folder, keys = self.folders.segments, self.folders.keys
        replaces = sorted({name for piece in pieces for name in piece.replaces})
        return write_segment(
            folder, [table], origin="convert", extents=extents, remarks=remarks, replaces=replaces, keys=keys
        )

    def _take(self, block: Block, writer: RemarkWriter) -> None:
        """Add what a block holds to the pieces that its parts belong to."""
        found = self._scan(block)
        line_shift = np.zeros(len(block.parts), np.int64)
        first_byte = first_line = 0
        lines, ticks = _counts(found, len(block.parts))
        remarks = _by_part(found, len(block.parts))
        for at, part in enumerate(block.parts):
            read = self._reads[part.number]
            size = part.end - first_byte - part.unended
            content = memoryview(block.data)[first_byte : first_byte + size]
            read.digest.update(content)
            read.head += bytes(content[: HEAD_BYTES - len(read.head)])
            line_shift[at] = read.lines - first_line
            self._remark(
                read,
                remarks[at],
                read.lines - first_line,
                read.piece.start + read.bytes - first_byte,
                found.accounts[at].labels,
            )
            read.account.add(found.accounts[at])
            read.bytes += size
            read.lines += lines[at] if block.ends_line else 0
            read.ticks += ticks[at]
            first_byte, first_line = part.end, first_line + lines[at]
            self._place(read, writer)
        shift = line_shift if len(block.parts) == 1 else np.repeat(line_shift, ticks)
        self._batches.append(found.batch.moved(shift))

    def _scan(self, block: Block) -> Scan:
        if block.too_long:
            return too_long(bytes(block.data[: block.size]), ends_line=block.ends_line, mapping=self.how.mapping)
        if block.document:
            return scan_document(bytes(block.data[: block.size]), self.how.by_line)
        parts = [(part.end, part.unended) for part in block.parts]
        return scan_block(block.data, parts, self.shapes, self.how.by_line, block.lines)

    def _remark(
        self, read: _Read, remarks: Iterable[Remark], lines: int, offset: int, read_labels: Collection[str]
    ) -> None:
        for remark in remarks:
            placed = remark._replace(line=remark.line + lines, start=remark.start + offset, end=remark.end + offset)
            if self.strict and remark.kind in {"repair", "quarantine"}:
                line = self._base(read)[0] + placed.line + 1
                raise SourceDamaged(read.piece.source.name, line, placed.start, remark.reason, remark.detail)
            if self.strict and remark.kind == "control" and remark.reason in read_labels:
                line = self._base(read)[0] + placed.line + 1
                detail = f"type={remark.reason!r}: no known recorder writes it"
                raise SourceDamaged(read.piece.source.name, line, placed.start, "unknown_type", detail)
            read.remarks.append(placed)

    def _base(self, read: _Read) -> Base:
        if read.base is None and read.follows is not None:
            line, seq = self._base(read.follows)
            read.base = line + read.follows.lines, seq + read.follows.ticks
        if read.base is None:
            read.base = self.ask_base(read.piece)
        return read.base

    def _place(self, read: _Read, writer: RemarkWriter) -> None:
        """Write remarks once the number of their first line is known, or memory asks for it."""
        if not read.remarks or (read.base is None and sum(len(one.raw or b"") for one in read.remarks) < _HELD_BYTES):
            return
        first = self._base(read)[0] + 1
        name = read.piece.source.name
        writer.write(
            Placed(name, first + one.line, one.start, one.end, one.kind, one.reason, one.raw, one.detail or None)
            for one in read.remarks
        )
        read.remarks = []

    def _keep_mapping(self, read: _Read, writer: RemarkWriter) -> None:
        """Keep the mapping of a source beside its ticks, once a source."""
        if self.how.mapping is not None and not read.piece.start:
            raw = self.how.mapping.to_json().encode()
            writer.write([Placed(read.piece.source.name, 1, 0, 0, "annotation", "mapping", raw)])

    def _table(self) -> tuple[pa.Table, list[Extent]]:
        """Return the rows in the order read, and the extents that they are accounted for in."""
        batch = Batch.join(self._batches)
        self._batches.clear()
        ticks = [read.ticks for read in self._reads]
        bases = np.array([self._base(read) for read in self._reads], np.int64)
        starts = np.cumsum([0, *ticks[:-1]])
        if self.how.numbering is not None:
            bounds = [*starts.tolist(), len(batch)]
            parts = [
                (read.piece.source.name, slice(start, end))
                for read, (start, end) in zip(self._reads, pairwise(bounds), strict=True)
            ]
            batch = self.how.numbering.apply(batch, parts)
        table = to_table(
            batch,
            source=Names(
                np.repeat(np.arange(len(ticks), dtype=np.int32), ticks),
                tuple(read.piece.source.name for read in self._reads),
            ),
            seq=np.arange(len(batch)) + np.repeat(bases[:, 1] - starts, ticks),
            line=batch.line + np.repeat(bases[:, 0] + 1, ticks),
            zone=self.zone,
        )
        ends = [*starts[1:].tolist(), len(batch)]
        extents = [
            self._extent(read, batch, slice(start, end))
            for read, start, end in zip(self._reads, starts.tolist(), ends, strict=True)
        ]
        return table, extents

    def _extent(self, read: _Read, batch: Batch, rows: slice) -> Extent:
        line, seq = self._base(read)
        wall_us, zoned = batch.wall_us[rows], batch.zoned[rows]
        read.account.ticks["at_epoch"] = int(((wall_us >= 0) & (wall_us < _FIRST_YEAR_US)).sum())
        return Extent(
            source=read.piece.source.name,
            start=read.piece.start,
            end=read.piece.start + read.bytes,
            digest=read.digest.hexdigest(),
            first_line=line,
            first_seq=seq,
            zone=self.zone,
            bytes=dict(+read.account.bytes),
            lines=dict(+read.account.lines),
            ticks=dict(+read.account.ticks),
            reasons=dict(+read.account.reasons),
            doubtful_times=doubtful_times(wall_us, zoned, self.zone),
            zoneless_times=int(len(zoned) - zoned.sum()),
            head=head_digest(read.head),
            labels=dict(read.account.labels),
            examples=read.account.examples,
            unended=read.piece.unended,
            mapping="" if self.how.mapping is None else self.how.mapping.digest,
            source_bytes=read.piece.source.size if read.bytes == read.piece.end - read.piece.start else 0,
            skipped=np.flatnonzero(skipped_times(wall_us, zoned, self.zone)).tolist(),
        )


def _known_base(piece: Piece) -> Base | None:
    known = piece.first_line is not None and piece.first_seq is not None
    return (piece.first_line or 0, piece.first_seq or 0) if known else None


def _counts(found: Scan, parts: int) -> tuple[list[int], list[int]]:
    """Return how many lines and how many ticks each part of a block has; both stand in the order of the parts."""
    if parts == 1:
        return [len(found.part_of_line)], [len(found.batch)]
    lines = np.bincount(found.part_of_line, minlength=parts)
    return lines.tolist(), np.bincount(found.part_of_line[found.batch.line], minlength=parts).tolist()


def _by_part(found: Scan, parts: int) -> list[list[Remark]]:
    remarks: list[list[Remark]] = [[] for _ in range(parts)]
    for remark in found.remarks:
        remarks[int(found.part_of_line[remark.line])].append(remark)
    return remarks
