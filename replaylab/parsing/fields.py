"""Cut: the lines of a block, cut into pieces at their commas; one piece of all lines is looked at at once. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replaylab.columns import column
from replaylab.parsing.digits import read_whole
from replaylab.parsing.json_line import FILLED_TEXT
from replaylab.tick import PRICE_WHOLE_DIGITS

PADDING: Final = 128  # bytes behind a block that may be loaded, never used: a frame, a time and a word
LONGEST_FRAME: Final = 64  # bytes between a comma and a value, so that a load ends in the padding
COMMA: Final = 44
NEWLINE: Final = 10
_POINTS: Final = np.uint64(0x2E2E2E2E2E2E2E2E)
_ONES: Final = np.uint64(0x0101010101010101)
_TOP_BITS: Final = np.uint64(0x8080808080808080)

Positions = NDArray[np.int64]


class Cut:
    """Lines of one block, cut at the commas."""

    def __init__(self, block: bytearray, stops: Positions, starts: Positions, lines: Positions) -> None:
        self.block = block
        self.stops = stops
        self.starts = starts
        self.lines = lines
        self.good = np.ones(len(lines), np.bool_)
        self.bytes = np.frombuffer(block, np.uint8)
        self.words = np.ndarray((len(block) - 7,), "<u8", block, 0, (1,))

    def kept(self) -> Cut:
        """Return the good lines alone."""
        if self.good.all():
            return self
        rows = np.flatnonzero(self.good)
        return Cut(self.block, self.stops[rows], self.starts[rows], self.lines[rows])

    def begins(self, number: int) -> Positions:
        """Where piece `number` begins."""
        return self.starts if number == 0 else self.stops[:, number - 1] + 1

    def byte_before(self, number: int) -> NDArray[np.uint8]:
        """The last byte of piece `number`."""
        return self.bytes[self.stops[:, number] - 1]

    def equal(self, begin: Positions, text: bytes) -> NDArray[np.bool_]:
        """Which lines hold `text` at `begin`: compared eight bytes at a time."""
        size = len(text)
        if size < 8:
            mask = np.uint64((1 << (8 * size)) - 1)
            result: NDArray[np.bool_] = (self.words[begin] & mask) == np.uint64(int.from_bytes(text, "little"))
            return result
        result = self.words[begin] == np.uint64(int.from_bytes(text[:8], "little"))
        for at in [*range(8, size - 8, 8), size - 8] if size > 8 else []:
            result &= self.words[begin + at] == np.uint64(int.from_bytes(text[at : at + 8], "little"))
        return result

    def whole(self, begin: Positions, end: Positions) -> tuple[Positions, NDArray[np.bool_]]:
        """Read the whole numbers between two positions of every line; which of them are plain."""
        return read_whole(self.words[begin], end - begin)

    def checksum(self, begin: Positions, end: Positions) -> NDArray[np.bool_]:
        """Which texts are eight hexadecimal digits, in lower case."""
        digits = self.bytes[begin[:, None] + np.arange(8)]
        decimal = (digits >= ord("0")) & (digits <= ord("9"))
        plain = (decimal | ((digits >= ord("a")) & (digits <= ord("f")))).all(axis=1)
        return np.asarray(plain & (end - begin == 8))

    def filled(self, begin: Positions, end: Positions) -> NDArray[np.bool_]:
        """Which texts are the price that a recorder puts where the server sent none."""
        sized: NDArray[np.bool_] = end - begin == len(FILLED_TEXT)
        return self.equal(begin, FILLED_TEXT.encode()) & sized

    def short_whole(self, begin: Positions, end: Positions) -> bool:
        """Whether all texts have their point, or their end, after at most 14 digits."""
        late = begin[(end - begin > PRICE_WHOLE_DIGITS) & ~_with_point(self.words[begin])]
        return bool(_with_point(self.words[late + PRICE_WHOLE_DIGITS - 7]).all())

    def texts(self, begin: Positions, end: Positions) -> pa.Array:
        """The texts between two positions of every line, as one Arrow column."""
        offsets = np.empty(2 * len(begin) + 1, np.int32)
        offsets[0:-1:2] = begin
        offsets[1::2] = end
        offsets[-1] = end[-1]
        pieces = pa.Array.from_buffers(
            pa.binary(), 2 * len(begin), [None, pa.py_buffer(offsets), pa.py_buffer(self.block)]
        )
        return pieces.take(column(np.arange(0, 2 * len(begin), 2)))


def _with_point(words: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which words hold a point among their eight bytes."""
    words = words ^ _POINTS
    return np.asarray(((words - _ONES) & ~words & _TOP_BITS) != 0)
