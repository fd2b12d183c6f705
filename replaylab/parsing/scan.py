"""Scan a block of whole lines: ticks in columns, everything else as remarks, and an account of every byte. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from replaylab.kernel.library import load
from replaylab.parsing import price_arrays
from replaylab.parsing.fields import COMMA, NEWLINE, PADDING, Positions
from replaylab.parsing.json_line import PLAIN, Kind, Line, Reading, parse_line
from replaylab.parsing.kernel_layout import Known
from replaylab.parsing.kernel_lines import LAYOUTS, LONGEST, TRIALS, KernelLines
from replaylab.parsing.line_layout import LEAST_PIECES, Shape
from replaylab.parsing.mapping import Mapping
from replaylab.parsing.resync import Span, resynchronise
from replaylab.table import Batch, Whole
from replaylab.tick import Row

BYTE_KINDS: Final = ("kept", "repaired", "quarantined", "blank")
BOM: Final = b"\xef\xbb\xbf"
MAX_LABELS: Final = 100  # of unknown types that are counted by name
_LABEL_LENGTH: Final = 60
_DETAIL_LENGTH: Final = 200
TOO_LONG: Final = "more than 16 MiB in one line or object: no tick is that long; "
_NOT_LONG: Final = "a document of many games or ticks needs --map"
_WHOLE: Final = (
    "a mapping with `where`, or with a path that begins with /, reads a document as a whole: leave those out, "
    "give constants instead, or cut the document into a line a game (jq -c '.games[]')"
)
_ONE: Final = "`path` of the mapping has to lead to many elements (games[]) for a document to be read one by one"
_SEEN_TICK: Final = re.compile(rb'"(?:tick|tickCount)"[ \t\r\n]*:|"type"[ \t\r\n]*:[ \t\r\n]*"tick"')


class Remark(NamedTuple):
    """Bytes that are no clean tick: control, annotation, repair or quarantine; `line` from 0, bytes in the block.

    `raw` is None for bytes that became a tick and for private ones, which are never written; `detail` names field and
    value of damage.
    """

    kind: str
    reason: str
    line: int
    start: int
    end: int
    raw: bytes | None
    detail: str = ""


@dataclass(slots=True)
class Account:
    """What became of every byte and every line, and how many ticks were seen.

    bytes = kept + repaired + quarantined + blank; lines = tick + control + annotation + blank + damaged. Of `ticks`,
    those `lost` are quarantined bytes that had been one. `labels` counts control lines of types that no known recorder
    writes; `examples` has field and value of the first damage of each reason that has them.
    """

    bytes: Counter[str] = field(default_factory=Counter)
    lines: Counter[str] = field(default_factory=Counter)
    ticks: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, other: Account) -> None:
        """Add another account to this one."""
        for name in ("bytes", "lines", "ticks", "reasons"):
            getattr(self, name).update(getattr(other, name))
        for label, count in other.labels.items():
            count_label(self.labels, label, count)
        self.examples = {**other.examples, **self.examples}


def count_label(labels: Counter[str], label: str, count: int = 1) -> None:
    """Count a line by its type; beyond `MAX_LABELS` types the others are counted together."""
    label = label if len(label) <= _LABEL_LENGTH else label[: _LABEL_LENGTH - 3] + "..."
    labels[label if label in labels or len(labels) < MAX_LABELS else "other types"] += count


def seen_tick(piece: bytes) -> bool:
    """Whether bytes that were not read had been a tick, or the part of one that names it."""
    return _SEEN_TICK.search(piece) is not None


class Scan(NamedTuple):
    """A block scanned: ticks and remarks in line order, an account for each part, and the part of every line."""

    batch: Batch
    remarks: list[Remark]
    accounts: list[Account]
    part_of_line: Whole

    @property
    def account(self) -> Account:
        """The account of all parts together."""
        total = Account()
        for account in self.accounts:
            total.add(account)
        return total


def scan(data: bytes, mapping: Mapping | None = None) -> Scan:
    r"""Scan whole lines; a last line without a newline counts as a line.

    Examples
    --------
    >>> found = scan(b'{"type": "game_start", "game_id": "g"}\n\n[1]\n')
    >>> sorted(found.account.bytes.items())
    [('blank', 1), ('kept', 39), ('quarantined', 4)]
    """
    unended = bool(data) and not data.endswith(b"\n")
    block = bytearray(data) + (b"\n" if unended else b"")
    return scan_block(block + bytes(PADDING), [(len(block), unended)], mapping=mapping)


def scan_block(
    block: bytearray,
    parts: Sequence[tuple[int, bool]],
    shapes: list[Known] | None = None,
    mapping: Mapping | None = None,
    count: int | None = None,
) -> Scan:
    """Scan the whole lines of a block that has `PADDING` behind them.

    Parameters
    ----------
    block : bytearray
        The bytes; every line ends in a newline.
    parts : sequence of (int, bool)
        Where each part of the block ends, and whether its last newline was added and is not to be counted.
    shapes : list of Shape or Layout, optional
        Layouts of earlier blocks, tried first; new ones are added.
    mapping : Mapping, optional
        How objects are read that name their fields otherwise.
    count : int, optional
        How many lines the block has, where that is known.
    """
    part_ends = np.array([end for end, _ in parts], np.int64)
    library = load()
    size = int(part_ends[-1])
    reading = PLAIN if mapping is None else Reading(mapping, mapping.times())
    shapes = [] if shapes is None else shapes
    lines: NumpyLines | KernelLines
    if library is None:
        lines = NumpyLines(block, size)
        batches = [] if reading.mapped else lines.read_shaped(shapes)
    else:
        lines = KernelLines(block, size, library, reading, count=count)
        batches = lines.read_shaped(shapes)
    if reading.mapped and mapping is not None and price_arrays.can_read(mapping):
        batches += price_arrays.read(block, lines.starts, lines.ends, lines.done, reading)
    one_part = len(parts) == 1
    part_of_line = np.zeros(len(lines.starts), np.int64) if one_part else part_ends.searchsorted(lines.starts, "right")
    accounts = [Account() for _ in parts]
    reader = _SlowReader(accounts, reading)
    added = {end: part for part, (end, unended) in enumerate(parts) if unended}
    for number in np.flatnonzero(~lines.done).tolist():
        start, end = int(lines.starts[number]), int(lines.ends[number]) + 1
        reader.read(
            number, start, bytes(block[start:end]), int(part_of_line[number]), added=added.pop(end, None) is not None
        )
    if reader.rows:
        batches.append(Batch.of(reader.rows, reader.row_lines))
    batch = Batch.join(batches).in_line_order()
    _account_shaped(accounts, lines, part_of_line, batch)
    for part in added.values():
        accounts[part].bytes["kept"] -= 1
    return Scan(batch, reader.remarks, accounts, part_of_line)


def _account_shaped(
    accounts: list[Account], lines: NumpyLines | KernelLines, part_of_line: Whole, batch: Batch
) -> None:
    """Account for the lines that were read as a block: each is one clean tick or more, and all its bytes are kept."""
    size = len(accounts)
    if size == 1:
        account = accounts[0]
        account.bytes["kept"] += int((lines.ends - lines.starts + 1)[lines.done].sum())
        account.lines["tick"] += int(np.count_nonzero(lines.done))
        account.ticks["clean"] += int(np.count_nonzero(lines.done[batch.line]))
        account.ticks["filled"] += int(np.count_nonzero(batch.price_filled))
        account.ticks["truncated"] += int(np.count_nonzero(lines.cut))
        return
    done = part_of_line[lines.done]
    of_line = np.bincount(done, minlength=size)
    ticks = np.bincount(part_of_line[batch.line[lines.done[batch.line]]], minlength=size)
    kept = np.bincount(done, (lines.ends - lines.starts + 1)[lines.done], minlength=size)
    filled = np.bincount(part_of_line[batch.line], batch.price_filled, minlength=size)
    cut = np.bincount(part_of_line, lines.cut, minlength=size)
    for part, account in enumerate(accounts):
        account.bytes["kept"] += int(kept[part])
        account.lines["tick"] += int(of_line[part])
        account.ticks["clean"] += int(ticks[part])
        account.ticks["filled"] += int(filled[part])
        account.ticks["truncated"] += int(cut[part])


def scan_document(data: bytes, mapping: Mapping | None = None) -> Scan:
    """Scan one JSON document, such as a game state file; what is none is scanned as lines."""
    reading = PLAIN if mapping is None else Reading(mapping, mapping.times())
    if parse_line(data.removeprefix(BOM), reading).kind not in {Kind.TICK, Kind.CONTROL}:
        return scan(data, mapping)
    account = Account()
    reader = _SlowReader([account], reading)
    reader.read(0, 0, data, 0, added=False)
    return Scan(Batch.of(reader.rows, reader.row_lines), reader.remarks, [account], np.zeros(1, np.int64))


def advice_of_length(mapping: Mapping | None) -> str:
    """Return what to do about an object that is too long to be read as one, given the mapping that was asked for."""
    return _NOT_LONG if mapping is None else _WHOLE if mapping.looks_around else _ONE


def too_long(data: bytes, *, ends_line: bool, mapping: Mapping | None = None) -> Scan:
    """Return the scan of a piece of a line that is too long: all of it quarantined, the line counted at its end.

    What is said depends on the mapping that was given.
    """
    problem = TOO_LONG + advice_of_length(mapping)
    lines = Counter({"damaged": int(ends_line)})
    account = Account(bytes=Counter(quarantined=len(data)), lines=lines, reasons=Counter(line_too_long=1))
    account.ticks["lost"] = int(seen_tick(data))
    account.examples["line_too_long"] = problem
    remark = Remark("quarantine", "line_too_long", 0, 0, len(data), data, problem)
    return Scan(Batch.of((), ()), [remark], [account], np.zeros(1, np.int64))


class NumpyLines:
    """The lines of a block, and which of them have been read."""

    def __init__(self, block: bytearray, size: int) -> None:
        self.block = block
        content = np.frombuffer(block, np.uint8)[:size]
        self.separators: Positions = np.flatnonzero((content == NEWLINE) | (content == COMMA))
        self.line_stops: Positions = np.flatnonzero(content[self.separators] == NEWLINE)
        self.ends: Positions = self.separators[self.line_stops]
        self.starts: Positions = np.concatenate([[0], self.ends[:-1] + 1]) if len(self.ends) else self.ends
        self.done = np.zeros(len(self.ends), np.bool_)
        self.cut = np.zeros_like(self.done)  # such times are left to the general parser

    def read_shaped(self, shapes: list[Known]) -> list[Batch]:
        """Read the lines that have a known shape, then that of the first lines left, a few times over."""
        counts = np.where(self.ends - self.starts > LONGEST, 0, np.diff(self.line_stops, prepend=-1))
        known = [shape for shape in shapes if isinstance(shape, Shape)]
        batches = [batch for shape in known if (batch := self._read(shape, counts)) is not None]
        while len(shapes) < LAYOUTS and (shape := self._next_shape(counts)) is not None:
            batch = self._read(shape, counts)
            if batch is None:
                break
            shapes.append(shape)
            batches.append(batch)
        return batches

    def _read(self, shape: Shape, counts: Whole) -> Batch | None:
        """Read the lines left that have a shape."""
        width = len(shape.pieces)
        rows = np.flatnonzero(~self.done & (counts == width))
        if not len(rows):
            return None
        if len(rows) * width == len(self.separators):
            stops = self.separators.reshape(-1, width).copy()
        else:
            stops = self.separators[self.line_stops[rows][:, None] + np.arange(1 - width, 1)]
        batch = shape.read(self.block, self._at_brace(stops), self.starts[rows], rows)
        if batch is not None:
            self.done[batch.line] = True
        return batch

    def _at_brace(self, stops: Positions) -> Positions:
        """Move the last stop of every line from its newline back to its brace, over a carriage return."""
        content = np.frombuffer(self.block, np.uint8)
        last = stops[:, -1] - 1
        last -= content[last] == 13
        stops[:, -1] = np.where(content[last] == ord("}"), last, stops[:, 0])  # no brace: an empty piece, never read
        return stops

    def _next_shape(self, counts: Whole) -> Shape | None:
        """Return the shape of the first lines left that have pieces enough to be a tick."""
        for number in np.flatnonzero(~self.done & (counts >= LEAST_PIECES))[:TRIALS].tolist():
            shape = Shape.of(bytes(self.block[self.starts[number] : self.ends[number]]))
            if shape is not None:
                return shape
        return None


class _SlowReader:
    """Lines read one by one: the general parser first, resynchronising only where it finds damage."""

    def __init__(self, accounts: list[Account], reading: Reading) -> None:
        self.reading = reading
        self.accounts = accounts
        self.account = accounts[0]
        self.rows: list[Row] = []
        self.row_lines: list[int] = []
        self.remarks: list[Remark] = []

    def read(self, number: int, start: int, raw: bytes, part: int, *, added: bool) -> None:
        """Read one line of a part with its newline, which was `added` when the source has none there."""
        self.account = self.accounts[part]
        raw = raw[:-1] if added else raw
        mark = len(BOM) if raw.startswith(BOM) else 0
        self.account.bytes["blank"] += mark
        raw, start = raw[mark:], start + mark
        cut = self.reading.times.cut
        line = parse_line(raw, self.reading)
        if line.kind is Kind.TICK and self.reading.times.cut > cut:
            self.account.ticks["truncated"] += self.reading.times.cut - cut
        self.account.lines[line.kind.value] += 1
        if line.kind is Kind.DAMAGED:
            self._repair(number, start, raw, line)
            return
        self.account.bytes["blank" if line.kind is Kind.BLANK else "kept"] += len(raw)
        self._keep(number, start, raw, line, "clean")

    def _keep(self, number: int, start: int, raw: bytes, line: Line, taken: str) -> None:
        if line.kind is Kind.TICK:
            self.rows.extend(line.rows)
            self.row_lines.extend([number] * len(line.rows))
            self.account.ticks[taken] += len(line.rows)
        elif line.kind is not Kind.BLANK:
            if line.unknown:
                count_label(self.account.labels, line.label)
            kept = None if line.private else raw
            self.remarks.append(Remark(line.kind.value, line.label, number, start, start + len(raw), kept))

    def _repair(self, number: int, start: int, raw: bytes, line: Line) -> None:
        spans = resynchronise(raw.rstrip(b"\r\n"), self.reading) if line.broken else []
        if not any(span.line for span in spans) and (len(spans) < 2 or line.label == "not_utf8"):
            edge = spans[0].reason if spans and line.label == "not_json" else line.label
            spans = [Span(0, len(raw), None, edge, line.detail or (spans[0].detail if spans else ""))]
        for span in spans:
            where, end = start + span.start, len(raw) if span is spans[-1] else span.end
            piece = raw[span.start : end]
            self.account.reasons[span.reason] += 1
            if span.line is None:
                self.account.bytes["quarantined"] += len(piece)
                self.account.ticks["lost"] += seen_tick(piece)
                detail = span.detail[:_DETAIL_LENGTH]
                if detail:
                    self.account.examples.setdefault(span.reason, detail)
                remark = Remark("quarantine", span.reason, number, where, where + len(piece), piece, detail)
                self.remarks.append(remark)
                continue
            self.account.bytes["repaired"] += len(piece)
            self.remarks.append(Remark("repair", span.reason, number, where, where + len(piece), None))
            self._keep(number, where, piece, span.line, "merged" if span.reason == "merged_line" else "torn")
