"""The lines of a block read by the C kernel: the same interface and the same rows as `scan.NumpyLines`, faster.

The kernel reads lines of a known layout and says where the others stand; distinct texts are checked here, and a line
whose text may not be stored goes to the general parser with the others.
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replaylab.columns import bits
from replaylab.kernel.library import (
    GAME_SLOTS,
    MOST_GAMES,
    MOST_PHASES,
    MOST_PIECES,
    ColumnsStruct,
    LayoutStruct,
    address_of,
    count_newlines,
)
from replaylab.parsing.fields import COMMA, Positions
from replaylab.parsing.line_layout import LEAST_PIECES, ZONES, Shape
from replaylab.table import PRICE_TYPE, Batch, Names
from replaylab.tick import checked_text

LAYOUTS: Final = 4  # writers whose lines are told apart within a block before the general parser takes the rest
TRIALS: Final = 12  # lines tried for a layout before the general parser takes the rest of the block
LONGEST: Final = 4096  # bytes of a line that is read in columns; a longer one may be more than a tick can hold
_KEYS: Final = (  # in the order of `enum piece_kind` in kernel.h
    "type",
    "timestamp",
    "game_id",
    "tick",
    "price",
    "phase",
    "active",
    "rugged",
    "cooldown_timer",
    "trade_count",
    "seq",
    "crc",
)
_DTYPES: Final[dict[str, Any]] = {
    "start": np.int64,
    "end": np.int64,
    "layout_of": np.int8,
    "tick": np.int32,
    "wall_us": np.int64,
    "price_filled": np.bool_,
    "active": np.bool_,
    "rugged": np.bool_,
    "cooldown_timer": np.int64,
    "trade_count": np.int64,
    "game": np.int32,
    "phase": np.int32,
}
_TEXTS: Final = {
    "game_at": MOST_GAMES,
    "game_length": MOST_GAMES,
    "game_slots": GAME_SLOTS,
    "phase_at": MOST_PHASES,
    "phase_length": MOST_PHASES,
}


class KernelLines:
    """The lines of a block, and which of them have been read.

    Attributes
    ----------
    starts, ends : int64 array
        Where each line begins, and where its newline stands.
    done : bool array
        Which lines have been read.
    """

    def __init__(self, block: bytearray, size: int, library: ctypes.CDLL) -> None:
        self.block = block
        self.size = size
        self._library = library
        count = count_newlines(block, size)
        self._columns: dict[str, NDArray[Any]] = {name: np.empty(count, kind) for name, kind in _DTYPES.items()}
        self._columns["price"] = np.empty((count, 2), np.uint64)
        self._texts = {name: np.empty(length, np.int32) for name, length in _TEXTS.items()}
        self._counts = (0, 0)
        self.done = np.zeros(count, np.bool_)
        self.starts: Positions = self._columns["start"]
        self.ends: Positions = self._columns["end"]

    def read_shaped(self, shapes: list[Shape]) -> list[Batch]:
        """Return the lines of known layouts; the layouts of the first other ticks are added to `shapes`, up to four."""
        while True:
            self._read([shape for shape in shapes if _is_known(shape)])
            found = self._next_shape(shapes) if len(shapes) < LAYOUTS else None
            if found is None:
                return self._batches([shape for shape in shapes if _is_known(shape)])
            shapes.append(found)

    def _next_shape(self, shapes: list[Shape]) -> Shape | None:
        """Return the layout of the first lines left that have pieces enough to be a tick."""
        tried = 0
        for number in np.flatnonzero(~self.done & (self.ends - self.starts <= LONGEST)).tolist():
            raw = bytes(self.block[self.starts[number] : self.ends[number]])
            if raw.count(COMMA) + 1 < LEAST_PIECES:
                continue
            tried += 1
            shape = Shape.of(raw)
            if shape is not None and shape not in shapes:
                return shape
            if tried == TRIALS:
                break
        return None

    def _read(self, shapes: list[Shape]) -> None:
        """Let the kernel read the whole block by these layouts."""
        layouts = (LayoutStruct * max(1, len(shapes)))(*(_struct(shape) for shape in shapes))
        columns = ColumnsStruct(lines=len(self.done))
        for name, array in (self._columns | self._texts).items():
            setattr(columns, name, array.ctypes.data)
        self._library.replaylab_read_lines(
            address_of(self.block), self.size, ctypes.addressof(layouts), len(shapes), ctypes.addressof(columns)
        )
        self.done = self._columns["layout_of"] >= 0
        self._counts = columns.games, columns.phases

    def _names(self, kind: str, count: int) -> tuple[tuple[str, ...], list[int]]:
        """Return the distinct texts of a column, and the codes of those that may not be stored."""
        found: list[str] = []
        refused: list[int] = []
        for at, length in zip(
            self._texts[f"{kind}_at"][:count].tolist(), self._texts[f"{kind}_length"][:count].tolist(), strict=True
        ):
            try:
                text = self.block[at : at + length].decode()
                checked_text(kind, text)
            except ValueError:  # UnicodeDecodeError and TickError are both
                text = ""
                refused.append(len(found))
            found.append(text)
        return tuple(found), refused

    def _batches(self, shapes: list[Shape]) -> list[Batch]:
        columns = self._columns
        games, refused_games = self._names("game", self._counts[0])
        phases, refused_phases = self._names("phase", self._counts[1])
        if refused_games:
            self.done &= ~np.isin(columns["game"], refused_games)
        if refused_phases:
            self.done &= ~np.isin(columns["phase"], refused_phases)
        line = np.flatnonzero(self.done)
        if not len(line):
            return []
        if len(line) < len(self.done):
            columns = {name: values[line] for name, values in columns.items()}
        filled = columns["price_filled"]
        valid = bits(~filled) if filled.any() else None
        zoned = np.array([shape.zoned for shape in shapes], np.bool_)[columns["layout_of"]]
        batch = Batch(
            line=line,
            game=_used(columns["game"], games),
            tick=columns["tick"],
            wall_us=columns["wall_us"],
            zoned=zoned,
            price=pa.Array.from_buffers(PRICE_TYPE, len(line), [valid, pa.py_buffer(columns["price"])]),
            price_filled=filled,
            recorded_phase=_used(columns["phase"], phases),
            active=columns["active"],
            rugged=columns["rugged"],
            cooldown_timer=columns["cooldown_timer"],
            trade_count=columns["trade_count"],
            repaired=np.zeros(len(line), np.bool_),
        )
        return [batch]


def _used(codes: NDArray[np.int32], found: tuple[str, ...]) -> Names:
    """Return a column of texts without those that no row has: texts of lines left alone must not be stored."""
    used = np.bincount(codes, minlength=len(found)) > 0
    if used.all():
        return Names(codes, found)
    renumbered = (np.cumsum(used) - 1).astype(np.int32)
    return Names(renumbered[codes], tuple(text for text, there in zip(found, used.tolist(), strict=True) if there))


def _is_known(shape: Shape) -> bool:
    """Whether the kernel knows every piece of a layout; a field of `table.FURTHER` is left to the general parser."""
    return len(shape.pieces) <= MOST_PIECES and all(piece.key in _KEYS for piece in shape.pieces)


def _struct(shape: Shape) -> LayoutStruct:
    """Return a layout as the kernel takes it."""
    zone = ZONES[shape.time_length]
    made = LayoutStruct(pieces=len(shape.pieces), zone_length=len(zone))
    ctypes.memmove(made.zone, zone, len(zone))
    for struct, piece in zip(made.piece, shape.pieces, strict=False):
        struct.kind = _KEYS.index(piece.key)
        struct.frame_length = len(piece.before)
        struct.quoted = bool(piece.after)
        ctypes.memmove(struct.frame, piece.before, len(piece.before))
    return made
