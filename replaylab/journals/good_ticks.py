"""Good ticks of a block of a journal, as arrays: found by the C kernel where it is built, else by `format.scan`."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from replaylab.journals.encoder import seed_of
from replaylab.journals.format import Lines, read_lines, resynchronise, scan
from replaylab.kernel.library import JournalLinesStruct, load
from replaylab.table import Whole

LEAST_BYTES: Final = 4096  # of a block that is worth a call of the kernel


@dataclass(frozen=True, slots=True)
class GoodTicks:
    """The good ticks of a block, in their order.

    Attributes
    ----------
    content : bytes
        Their lines as `Tick.to_line` returns them, each with a newline.
    seqs, lines, starts, sizes : int64 array
        Sequence number, line of the file (from 0), first byte in the file and size in bytes of each of them.
    """

    content: bytes
    seqs: Whole
    lines: Whole
    starts: Whole
    sizes: Whole

    @classmethod
    def of(cls, found: Lines) -> Self:
        """Return those of a scan."""
        columns = (np.array(values, np.int64) for values in (found.seqs, found.lines, found.starts, found.sizes))
        return cls(b"".join(found.ticks), *columns)

    def __len__(self) -> int:
        return len(self.seqs)

    def texts(self) -> list[bytes]:
        """Return their lines one by one, with newlines."""
        return [text + b"\n" for text in self.content.split(b"\n")[:-1]]

    def chosen(self, which: Whole) -> GoodTicks:
        """Return some of them, by their places."""
        if len(which) == len(self):
            return self
        texts = self.texts()
        content = b"".join(texts[at] for at in which.tolist())
        return GoodTicks(content, self.seqs[which], self.lines[which], self.starts[which], self.sizes[which])


def scan_good(
    data: bytes, run: str, *, start: int = 0, first_line: int = 0, final: bool = True
) -> tuple[GoodTicks, Lines]:
    """Return the good ticks of a block as `scan` finds them, and what it finds besides; its parameters are those.

    Lines that the kernel does not take for a good tick as they stand are read as ever, one by one.
    """
    library = load() if len(data) >= LEAST_BYTES else None
    if library is not None:
        found = _scan_by_kernel(library, data, seed_of(run), start, first_line, final=final)
        if found is not None:
            return found
    lines = scan(data, run, start=start, first_line=first_line, final=final)
    return GoodTicks.of(lines), lines


def _scan_by_kernel(
    library: ctypes.CDLL, data: bytes, seed: int, start: int, first_line: int, *, final: bool
) -> tuple[GoodTicks, Lines] | None:
    """Return what the kernel finds; None when a damaged line has good ticks inside: their order counts.

    What else a line is does not depend on the good ticks around it.
    """
    content = np.frombuffer(data, np.uint8)
    count = int(library.replaylab_count_newlines(content.ctypes.data, len(data)))
    ends, seqs, texts = np.empty(count, np.int64), np.empty(count, np.int64), np.empty(len(data), np.uint8)
    lines = JournalLinesStruct(count, ends.ctypes.data, seqs.ctypes.data, texts.ctypes.data)
    library.replaylab_read_journal(content.ctypes.data, len(data), seed, ctypes.addressof(lines))
    begins = np.concatenate([np.zeros(1, np.int64), ends + 1])
    found = Lines(seed=seed)
    for number in np.flatnonzero(seqs < 0).tolist():
        begin = int(begins[number])
        read_lines(found, [data[begin : int(ends[number])]], start + begin, first_line + number)
        if found.ticks:
            return None
    end = int(begins[-1])
    found.line_count, found.end = count, start + end
    if final and end < len(data):
        resynchronise(found, data[end:], first_line + count, found.end, newline=b"")
        if found.ticks:
            return None
        found.line_count, found.end = count + 1, start + len(data)
    good = np.flatnonzero(seqs >= 0)
    begins, sizes = begins[good], (ends + 1 - begins[:-1])[good]
    return GoodTicks(texts[: lines.tick_bytes].tobytes(), seqs[good], first_line + good, start + begins, sizes), found
