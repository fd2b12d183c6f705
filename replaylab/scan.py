"""Scan a block of whole lines: ticks in columns, everything else as remarks, and an account of every byte. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from replaylab.jsonl import Kind, Line, Row, parse_line
from replaylab.repair import resynchronise
from replaylab.shape import COMMA, NEWLINE, PADDING, Positions, Shape
from replaylab.table import Batch

BYTE_KINDS: Final = ("kept", "repaired", "quarantined", "blank")
_SHAPES: Final = 4  # writers whose lines are told apart within a block before the general parser takes the rest


class Remark(NamedTuple):
    """Bytes that are no clean tick: `kind` control, annotation, repair or quarantine; `line` from 0, bytes in the block.

    `raw` is None for bytes that became a tick and for private ones, which are never written.
    """

    kind: str
    reason: str
    line: int
    start: int
    end: int
    raw: bytes | None


@dataclass(slots=True)
class Account:
    """What became of every byte and every line, and how many ticks were seen.

    bytes = kept + repaired + quarantined + blank; lines = tick + control + annotation + blank + damaged.
    """

    bytes: Counter[str] = field(default_factory=Counter)
    lines: Counter[str] = field(default_factory=Counter)
    ticks: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, other: Account) -> None:
        """Add another account to this one."""
        for name in ("bytes", "lines", "ticks", "reasons"):
            getattr(self, name).update(getattr(other, name))


class Scan(NamedTuple):
    """A block scanned: its ticks in line order, its remarks in line order, its account."""

    batch: Batch
    remarks: list[Remark]
    account: Account


def scan(data: bytes) -> Scan:
    r"""Scan whole lines; a last line without a newline counts as a line.

    Examples
    --------
    >>> found = scan(b'{"type": "game_start", "game_id": "g"}\n\n[1]\n')
    >>> sorted(found.account.bytes.items())
    [('blank', 1), ('kept', 39), ('quarantined', 4)]
    """
    block = bytearray(data)
    block.extend(bytes(PADDING))
    return scan_block(block, len(data))


def scan_block(block: bytearray, size: int) -> Scan:
    """Scan the first `size` bytes of a block that has `PADDING` behind them; the block may be changed."""
    added = 0
    if size and block[size - 1] != NEWLINE:
        block[size] = NEWLINE  # in the padding, so that every line ends the same way
        added = 1
        block.extend(bytes(1))
    lines = _Lines(block, size + added)
    account = Account()
    batches = lines.read_shaped()
    slow = np.flatnonzero(~lines.done)
    shaped = sum(len(batch) for batch in batches)
    slow_bytes = int((lines.ends[slow] + 1 - lines.starts[slow]).sum())
    account.bytes["kept"] += size + added - slow_bytes
    account.lines["tick"] += shaped
    account.ticks["clean"] += shaped
    reader = _SlowReader(account)
    for number in slow.tolist():
        start, end = int(lines.starts[number]), int(lines.ends[number]) + 1
        reader.read(number, start, bytes(block[start:end]))
    if added:
        reader.forget_newline(size)
    if reader.rows:
        batches.append(Batch.of(reader.rows, reader.row_lines))
    batch = Batch.join(batches).in_line_order()
    account.ticks["filled"] += int(batch.price_filled.sum())
    return Scan(batch, reader.remarks, account)


class _Lines:
    """The lines of a block, and which of them have been read."""

    def __init__(self, block: bytearray, size: int) -> None:
        self.block = block
        content = np.frombuffer(block, np.uint8)[:size]
        self.separators: Positions = np.flatnonzero((content == NEWLINE) | (content == COMMA))
        self.line_stops: Positions = np.flatnonzero(content[self.separators] == NEWLINE)
        self.ends: Positions = self.separators[self.line_stops]
        self.starts: Positions = np.concatenate([[0], self.ends[:-1] + 1]) if len(self.ends) else self.ends
        self.done = np.zeros(len(self.ends), np.bool_)

    def read_shaped(self) -> list[Batch]:
        """Read the lines that share the shape of the first good line not yet read, a few times over."""
        batches: list[Batch] = []
        counts = np.diff(self.line_stops, prepend=-1)
        for _ in range(_SHAPES):
            shape = self._next_shape()
            if shape is None:
                break
            width = len(shape.pieces)
            rows = np.flatnonzero(~self.done & (counts == width))
            if len(rows) * width == len(self.separators):
                stops = self.separators.reshape(-1, width).copy()
            else:
                stops = self.separators[self.line_stops[rows][:, None] + np.arange(1 - width, 1)]
            batch = shape.read(self.block, self._at_brace(stops), self.starts[rows], rows)
            if batch is None:
                break
            self.done[batch.line] = True
            batches.append(batch)
        return batches

    def _at_brace(self, stops: Positions) -> Positions:
        """Move the last stop of every line from its newline back to its brace, over a carriage return."""
        content = np.frombuffer(self.block, np.uint8)
        last = stops[:, -1] - 1
        last -= content[last] == 13
        stops[:, -1] = np.where(content[last] == ord("}"), last, stops[:, 0])  # no brace: an empty piece, never read
        return stops

    def _next_shape(self) -> Shape | None:
        for number in np.flatnonzero(~self.done)[:50].tolist():
            shape = Shape.of(bytes(self.block[self.starts[number] : self.ends[number]]))
            if shape is not None:
                return shape
        return None


class _SlowReader:
    """Lines read one by one: the general parser first, resynchronising only where it finds damage."""

    def __init__(self, account: Account) -> None:
        self.account = account
        self.rows: list[Row] = []
        self.row_lines: list[int] = []
        self.remarks: list[Remark] = []
        self._last_bytes = "blank"

    def read(self, number: int, start: int, raw: bytes) -> None:
        """Read one line with its newline."""
        begins = 3 if raw.startswith(b"\xef\xbb\xbf") else 0
        self._count_bytes("blank", begins)
        raw, start = raw[begins:], start + begins
        line = parse_line(raw)
        self.account.lines[line.kind] += 1
        if line.kind is Kind.DAMAGED:
            self._repair(number, start, raw, line)
            return
        self._count_bytes("blank" if line.kind is Kind.BLANK else "kept", len(raw))
        self._keep(number, start, raw, line)

    def forget_newline(self, size: int) -> None:
        """Take back the newline that a torn last line was given."""
        self.account.bytes[self._last_bytes] -= 1
        if self.remarks and self.remarks[-1].end > size:
            last = self.remarks[-1]
            self.remarks[-1] = last._replace(end=size, raw=None if last.raw is None else last.raw[: size - last.start])

    def _keep(self, number: int, start: int, raw: bytes, line: Line) -> None:
        if line.kind is Kind.TICK:
            self._take(number, line, "clean")
        elif line.kind in {Kind.CONTROL, Kind.ANNOTATION}:
            kept = None if line.private else raw
            self.remarks.append(Remark(line.kind, line.label, number, start, start + len(raw), kept))

    def _repair(self, number: int, start: int, raw: bytes, line: Line) -> None:
        content = raw.rstrip(b"\r\n")
        spans = resynchronise(content) if line.broken else []
        if not any(span.line for span in spans):
            reason = "scrap" if spans and all(span.reason == "scrap" for span in spans) else line.label
            if spans and any(span.reason not in {"scrap", "torn_beginning"} for span in spans):
                reason = next(span.reason for span in spans if span.reason not in {"scrap", "torn_beginning"})
            elif spans and any(span.reason == "torn_beginning" for span in spans) and reason == "not_json":
                reason = "torn_beginning"
            self._quarantine(number, start, raw, reason)
            return
        for span in spans:
            last = span is spans[-1]
            piece = raw[span.start :] if last else raw[span.start : span.end]
            if span.line is None:
                self._quarantine(number, start + span.start, piece, span.reason)
                continue
            self._count_bytes("repaired", len(piece))
            where = start + span.start
            self.account.reasons[span.reason] += 1
            self.remarks.append(Remark("repair", span.reason, number, where, where + len(piece), None))
            if span.line.kind is Kind.TICK:
                self._take(number, span.line, "merged" if span.reason == "merged_line" else "torn")
            else:
                self._keep(number, where, piece, span.line)

    def _take(self, number: int, line: Line, kind: str) -> None:
        self.rows.extend(line.rows)
        self.row_lines.extend([number] * len(line.rows))
        self.account.ticks[kind] += len(line.rows)

    def _quarantine(self, number: int, start: int, raw: bytes, reason: str) -> None:
        self._count_bytes("quarantined", len(raw))
        self.account.reasons[reason] += 1
        self.remarks.append(Remark("quarantine", reason, number, start, start + len(raw), raw))

    def _count_bytes(self, kind: str, count: int) -> None:
        if count:
            self.account.bytes[kind] += count
            self._last_bytes = kind
