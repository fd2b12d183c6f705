"""TickBlock: a block of lines whose plain ticks the C kernel has checked, and writes as lines of a journal.

The same lines by the other road are read by `LineReader` and written by `Encoder`: what ends in the journal is the same
to the byte, and a line that the kernel does not know is left to that road.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from replaylab.kernel.library import address_of, journal_writer, load
from replaylab.parsing.fields import PADDING
from replaylab.parsing.kernel_layout import Layout
from replaylab.parsing.kernel_lines import LAYOUTS, LONGEST, KernelLines
from replaylab.parsing.line_layout import LEAST_PIECES, Shape

LEAST_BYTES: Final = 4096  # of a block that is worth a call of the kernel
_LEARN_LINES: Final = 64  # lines of a stream that are looked at for a layout
_LINE_ROOM: Final = 400  # bytes of a journal's line beside its texts, at most


@dataclass(frozen=True, slots=True)
class TickPiece:
    """Plain ticks of one game that stand one after the other in a block.

    Attributes
    ----------
    game_id : str
        Their game.
    block : TickBlock
        Where they stand.
    first, last : int
        The line of the first, and the line after the last.
    """

    game_id: str
    block: TickBlock
    first: int
    last: int

    def __len__(self) -> int:
        return self.last - self.first

    def lines(self, first_seq: int, seed: int) -> list[bytes]:
        """Return them as lines of a journal with their newlines, numbered from `first_seq` on."""
        return self.block.written(self.first, self.last, first_seq, seed)


class TickBlock:
    """A block of whole lines; `pieces` are its plain ticks and the lines between them.

    Attributes
    ----------
    starts, ends : int64 array
        Where each line begins, and where its newline stands.
    zoneless : bool array
        Which lines are plain ticks whose time carries no zone.
    """

    def __init__(self, lines: KernelLines, layouts: list[Layout], write: Callable[..., int]) -> None:
        self._lines = lines
        self._write = write
        self._columns = lines.read(layouts)
        self._games = lines.leave_unstorable()
        self.starts, self.ends = lines.starts, lines.ends
        zoned = np.array([*(layout.zoned for layout in layouts), True], np.bool_)  # the last: no layout
        self.zoneless = ~zoned[lines.column("layout_of")] & lines.done

    def pieces(self, most: int) -> Iterator[TickPiece | range]:
        """Yield in their order the plain ticks, up to `most` of one game at once, and the other lines."""
        if not len(self.starts):
            return
        codes = np.where(self._lines.done, self._lines.column("game"), -1)
        edges = [0, *(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
        for first, last in pairwise(edges):
            code = int(codes[first])
            if code < 0:
                yield range(first, last)
                continue
            for begin in range(first, last, most):
                yield TickPiece(self._games[code], self, begin, min(last, begin + most))

    def text(self, number: int) -> bytes:
        """Return a line without its newline."""
        return bytes(self._lines.block[self.starts[number] : self.ends[number]])

    def written(self, first: int, last: int, first_seq: int, seed: int) -> list[bytes]:
        """Return plain ticks as lines of a journal."""
        room = int(self.ends[last - 1] - self.starts[first]) + _LINE_ROOM * (last - first)
        out = bytearray(room)
        columns, data = ctypes.addressof(self._columns), address_of(self._lines.block)
        size = self._write(data, columns, first, last, first_seq, seed, address_of(out))
        return bytes(memoryview(out)[:size]).splitlines(keepends=True)  # no text holds a carriage return


class TickBlocks:
    """Reads the blocks of one stream; the layouts of its lines are learnt from the first ticks.

    Parameters
    ----------
    library : CDLL
        The kernel.
    zone : str
        Zone of times that carry none; the kernel reads them in UTC alone.
    """

    def __init__(self, library: ctypes.CDLL, zone: str = "UTC") -> None:
        self._library = library
        self._write = journal_writer(library)
        self._utc = zone == "UTC"
        self._shapes: list[Shape] = []
        self._layouts: list[Layout] = []
        self._to_learn = _LEARN_LINES

    def read(self, block: bytes) -> TickBlock:
        """Return a block of lines, the last with its newline."""
        padded = bytearray(block) + bytes(PADDING)
        while True:
            lines = KernelLines(padded, len(block), self._library, keeps_text=True)
            found = TickBlock(lines, self._layouts, self._write)
            if not self._learn(found, lines):
                return found

    def _learn(self, found: TickBlock, lines: KernelLines) -> bool:
        """Learn the layout of the first line left that is a tick; return whether there was one."""
        if not self._to_learn or len(self._layouts) >= LAYOUTS:
            return False
        for number in np.flatnonzero(~lines.done & (found.ends - found.starts <= LONGEST)).tolist():
            raw = found.text(number)
            if raw.count(b",") + 1 < LEAST_PIECES:
                continue
            if not self._to_learn:
                break
            self._to_learn -= 1
            shape = Shape.of(raw)
            if shape is None or shape in self._shapes or not (shape.zoned or self._utc):
                continue
            layout = Layout.of_shape(shape)
            if layout is not None:
                self._shapes.append(shape)
                self._layouts.append(layout)
                return True
        return False


def tick_blocks(zone: str) -> TickBlocks | None:
    """Return a reader of blocks for a stream; None without the kernel."""
    library = load()
    return None if library is None else TickBlocks(library, zone)
