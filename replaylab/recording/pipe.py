"""Pipe: the lines of a byte stream, passed to a recorder; what becomes of every line is counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from replaylab.conversion.source import MAX_LINE_BYTES
from replaylab.parsing.json_line import Kind, Line
from replaylab.parsing.line_reader import LineReader
from replaylab.parsing.scan import BOM, count_label
from replaylab.recording.receipt import Receipt
from replaylab.recording.refusals import Refusals, log_refusal
from replaylab.recording.tick_block import LEAST_BYTES, TickBlock, TickBlocks, TickPiece
from replaylab.tick import Tick

WAITS: Final = frozenset({"overflow", "disk_full", "store_gone", "write_failed"})  # reasons that may pass
OVER: Final = frozenset({"stopped", "closed", "forked"})  # reasons that do not
_AT_ONCE: Final = 100  # ticks that a recorder writes in one piece: all of them, or none
_AGAIN_SECONDS: Final = 0.1


class TickSink(Protocol):
    """The part of a recorder that a pipe needs."""

    def record_many(self, ticks: Any, /) -> Receipt:
        """Record ticks in their order: a list of them, or where the pipe reads blocks a `TickPiece`."""


@dataclass(slots=True)
class Counts:
    """What became of the lines of a stream: ``lines = accepted + refused + control + annotation + blank``.

    Attributes
    ----------
    lines, bytes : int
        Lines that ended, and bytes of the stream.
    accepted : int
        Ticks that the recorder has acknowledged.
    control, annotation, blank : int
        Lines that are not ticks, and are not damage.
    refused : Counter
        Lines that were not recorded, by reason: those of `convert`, of a `TickError` or of a `Receipt`.
    unknown_types : Counter
        Of the control lines, those of types that no known recorder writes, by type.
    """

    lines: int = 0
    bytes: int = 0
    accepted: int = 0
    control: int = 0
    annotation: int = 0
    blank: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    unknown_types: Counter[str] = field(default_factory=Counter)


class Pipe:
    """Pass the ticks of a byte stream to a recorder as soon as their lines have ended.

    Parameters
    ----------
    recorder : Recorder
        Or anything that has its `record_many`.
    reader : LineReader
        Parses lines.
    refusals : Refusals
        Keeps the lines that are not ticks.
    report : callable
        Called for refused lines as they come: first line, last line, first byte, reason, field and value.
    wait : callable
        Called with a number of seconds when the recorder refuses ticks for a reason that may pass: they are offered
        again when it returns True, and are refused when it returns False.
    at_once : int
        Most ticks passed at once: no more than may wait for a sync.
    blocks : TickBlocks, optional
        Reads whole blocks of lines at once; without it, and where it does not know a line, `reader` reads them.
    """

    def __init__(
        self,
        recorder: TickSink,
        reader: LineReader,
        refusals: Refusals,
        report: Callable[[int, int, int, str, str], object],
        wait: Callable[[float], bool],
        at_once: int = _AT_ONCE,
        blocks: TickBlocks | None = None,
    ) -> None:
        self.counts = Counts()
        self.over = False  # the recorder accepts no more
        self._recorder = recorder
        self._reader = reader
        self._refusals = refusals
        self._report = report
        self._wait = wait
        self._at_once = min(at_once, _AT_ONCE)
        self._blocks = blocks
        self._tail: list[bytes] = []
        self._tail_size = 0
        self._skipping = False
        self._piece: list[Tick] = []
        self._piece_start = (0, 0)  # line and byte of its first tick
        self._piece_end = 0  # line of its last one

    def feed(self, data: bytes) -> None:
        """Read bytes, and record the ticks of all lines that end in them."""
        cut = data.rfind(b"\n") + 1
        if not cut:
            self._carry(data)
            return
        block = b"".join((*self._tail, data[:cut])) if self._tail else data[:cut]
        self._tail, self._tail_size = [], 0
        if self._blocks is None or len(block) < LEAST_BYTES or self._skipping:
            self._take(block[:-1].split(b"\n"))
        else:
            self._take_block(self._blocks.read(block))
        self._carry(data[cut:])

    def finish(self) -> None:
        """Read a last line that has no newline: it counts when it is whole, and the recording is not over."""
        last = b"".join(self._tail)
        self._tail, self._tail_size = [], 0
        if (last or self._skipping) and not self.over:
            self._take([last], newline=0)

    def _carry(self, data: bytes) -> None:
        """Keep the beginning of a line that has not ended; one that is too long is refused at once."""
        if not data:
            return
        if not self._skipping:
            self._tail.append(data)
            self._tail_size += len(data)
        else:
            self.counts.bytes += len(data)
        if self._tail_size > MAX_LINE_BYTES:
            start, number = self.counts.bytes, self.counts.lines + 1
            self._refuse(number, start, "line_too_long", b"".join(self._tail))
            self.counts.bytes += self._tail_size
            self._tail, self._tail_size, self._skipping = [], 0, True

    def _take_block(self, block: TickBlock) -> None:
        """Record the ticks of a block; lines that it does not know are read one by one."""
        counts, start, line = self.counts, self.counts.bytes, self.counts.lines + 1
        for piece in block.pieces(self._at_once):
            if isinstance(piece, range):
                self._take_lines([block.text(number) for number in piece])
                continue
            if self._piece:
                self._deliver()
            first, last = piece.first, piece.last
            counts.lines += last - first
            counts.bytes = start + int(block.ends[last - 1]) + 1
            self._offer(piece, (line + first, start + int(block.starts[first])), line + last - 1)
        self._reader.count_zoneless(int(block.zoneless.sum()))
        if self._piece:
            self._deliver()

    def _take(self, raws: list[bytes], newline: int = 1) -> None:
        counts = self.counts
        if self._skipping:  # the end of a line that was too long
            self._skipping = False
            counts.lines += 1
            counts.bytes += len(raws.pop(0)) + newline
        self._take_lines(raws, newline)
        if self._piece:
            self._deliver()

    def _take_lines(self, raws: list[bytes], newline: int = 1) -> None:
        counts, read, piece = self.counts, self._reader.read, self._piece
        for raw in raws:
            number, start = counts.lines + 1, counts.bytes
            text = raw.removeprefix(BOM) if number == 1 else raw
            found = read(text)
            counts.lines, counts.bytes = number, start + len(raw) + newline
            if type(found) is Tick:
                if piece and (len(piece) >= self._at_once or found.game_id != piece[0].game_id):
                    self._deliver()
                if not piece:
                    self._piece_start = number, start
                piece.append(found)
                self._piece_end = number
            elif isinstance(found, Line):
                self._count_other(found, number, start, raw)

    def _count_other(self, line: Line, number: int, start: int, raw: bytes) -> None:
        match line.kind:
            case Kind.CONTROL:
                self.counts.control += 1
                if line.unknown:
                    count_label(self.counts.unknown_types, line.label)
            case Kind.ANNOTATION:
                self.counts.annotation += 1
            case Kind.BLANK:
                self.counts.blank += 1
            case _:
                self._refuse(number, start, line.label, raw, line.detail)

    def _refuse(self, number: int, start: int, reason: str, raw: bytes, detail: str = "") -> None:
        """Count and keep a line that is not a tick; those before it are recorded first."""
        if self._piece:
            self._deliver()
        self.counts.refused[reason] += 1
        log_refusal(reason, self.counts.refused[reason] - 1, self.counts.refused[reason])
        self._refusals.keep(number, start, reason, raw, detail)
        self._report(number, number, start, reason, detail)

    def _deliver(self) -> None:
        """Record the ticks of one game that were read."""
        self._offer(self._piece, self._piece_start, self._piece_end)
        self._piece.clear()

    def _offer(self, piece: list[Tick] | TickPiece, start: tuple[int, int], end: int) -> None:
        """Offer ticks of one game, which the recorder accepts all together or not at all.

        `start` is the line and the byte of the first, `end` the line of the last.
        """
        receipt = self._recorder.record_many(piece)
        while not receipt.accepted and receipt.reason in WAITS and self._wait(_AGAIN_SECONDS):
            receipt = self._recorder.record_many(piece)
        self.counts.accepted += receipt.accepted
        if receipt.accepted < len(piece):
            reason = receipt.reason or "unknown"
            self.over = self.over or reason in OVER
            self.counts.refused[reason] += len(piece) - receipt.accepted
            self._report(start[0], end, start[1], reason, "")
