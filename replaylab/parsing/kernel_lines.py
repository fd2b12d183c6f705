"""The lines of a block read by the C kernel: the same interface and the same rows as `scan.NumpyLines`, faster.

The kernel reads lines of a known layout and says where the others stand; distinct texts are checked here, and a line
whose text may not be stored goes to the general parser with the others.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replaylab.columns import bits
from replaylab.kernel.library import (
    MOST_PHASES,
    ColumnsStruct,
    LayoutStruct,
    address_of,
    count_newlines,
)
from replaylab.parsing.fields import COMMA, Positions
from replaylab.parsing.json_line import PLAIN, Reading
from replaylab.parsing.kernel_layout import KINDS, Known, Layout
from replaylab.parsing.line_layout import LEAST_PIECES, Shape
from replaylab.parsing.mapping import DAY_US, NUMBERED, Mapping, day
from replaylab.table import MISSING, PRICE_TYPE, Batch, Names
from replaylab.tick import checked_text

LAYOUTS: Final = 4  # writers whose lines are recognised within a block before the general parser takes the rest
TRIALS: Final = 12  # lines tried for a layout before the general parser takes the rest of the block
LONGEST: Final = 4096  # bytes of a line that is read in columns; a longer one may be more than a tick can hold
_DTYPES: Final[dict[str, Any]] = {
    "start": np.int64,
    "end": np.int64,
    "layout_of": np.int8,
    "tick": np.int32,
    "wall_us": np.int64,
    "price_filled": np.bool_,
    "cut": np.bool_,
    "active": np.bool_,
    "rugged": np.bool_,
    "cooldown_timer": np.int64,
    "trade_count": np.int64,
    "game": np.int32,
    "phase": np.int32,
}
_KEPT: Final = ("price", *(name for name in _DTYPES if name not in {"start", "end", "cut"}))  # of a line that was read
_UNMAPPED: Final = Mapping()


class KernelLines:
    """The lines of a block, and which of them have been read.

    Attributes
    ----------
    starts, ends : int64 array
        Where each line begins, and where its newline stands.
    done : bool array
        Which lines have been read.
    cut : bool array
        Which of those had a time that was cut to microseconds.
    """

    def __init__(
        self,
        block: bytearray,
        size: int,
        library: ctypes.CDLL,
        reading: Reading = PLAIN,
        *,
        count: int | None = None,
        keeps_text: bool = False,
    ) -> None:
        self.block = block
        self.size = size
        self._reading = reading
        self._mapping = reading.mapping if isinstance(reading.mapping, Mapping) else _UNMAPPED
        self._library = library
        count = count_newlines(block, size) if count is None else count
        self._columns: dict[str, NDArray[Any]] = {name: np.empty(count, kind) for name, kind in _DTYPES.items()}
        self._columns["price"] = np.empty((count, 2), np.uint64)
        if keeps_text:
            self._columns["price_at"] = np.empty(count, np.int64)
        slots = 1 << (2 * count).bit_length()
        lengths = {"game_at": count, "game_length": count, "game_slots": slots}
        lengths |= {"phase_at": MOST_PHASES, "phase_length": MOST_PHASES}
        self._texts = {name: np.empty(length, np.int32) for name, length in lengths.items()}
        self._columns["cut"][:] = False
        for name in ("active", "rugged"):
            self._columns[name][:] = self._mapping.constants.get(name, False)
        self._counts = (0, 0)
        self.done = np.zeros(count, np.bool_)
        self.starts: Positions = self._columns["start"]
        self.ends: Positions = self._columns["end"]

    def read_shaped(self, shapes: list[Known]) -> list[Batch]:
        """Return the lines of known layouts; those of the first other ticks are added to `shapes`, up to four."""
        while True:
            layouts = [one for shape in shapes if (one := _layout(shape)) is not None]
            self.read(layouts)
            found = self._next_shape(shapes) if len(shapes) < LAYOUTS else None
            if found is None:
                return self._batches(layouts)
            shapes.append(found)

    def _next_shape(self, shapes: list[Known]) -> Known | None:
        """Return the layout of the first lines left that are a recording's tick, else of those that are any tick."""
        if self.done.all():
            return None
        left = np.flatnonzero(~self.done & (self.ends - self.starts <= LONGEST)).tolist()
        found: Known | None = None
        if not self._reading.mapped:
            likely = (raw for raw in self._raw(left) if raw.count(COMMA) + 1 >= LEAST_PIECES)
            found = _first_new(map(Shape.of, islice(likely, TRIALS)), shapes)
        if found is None:
            found = _first_new((Layout.of(raw, self._reading) for raw in islice(self._raw(left), TRIALS)), shapes)
        return found

    def _raw(self, numbers: list[int]) -> Iterator[bytes]:
        """Yield lines without their newlines."""
        return (bytes(self.block[self.starts[number] : self.ends[number]]) for number in numbers)

    def read(self, layouts: list[Layout]) -> ColumnsStruct:
        """Let the kernel read the whole block by these layouts; return the columns as it has filled them."""
        structs = (LayoutStruct * max(1, len(layouts)))(*(_struct(one) for one in layouts))
        columns = ColumnsStruct(lines=len(self.done), slots=len(self._texts["game_slots"]))
        for name, array in (self._columns | self._texts).items():
            setattr(columns, name, array.ctypes.data)
        self._library.replaylab_read_lines(
            address_of(self.block), self.size, ctypes.addressof(structs), len(layouts), ctypes.addressof(columns)
        )
        self.done = self._columns["layout_of"] >= 0
        self._counts = columns.games, columns.phases
        return columns

    def column(self, name: str) -> NDArray[Any]:
        """Return a column as the kernel has filled it, an entry a line; those of lines left mean nothing."""
        return self._columns[name]

    def leave_unstorable(self) -> tuple[str, ...]:
        """Leave lines whose texts may not be stored to the general parser; return the games by their codes."""
        games, refused_games = self._names("game", self._counts[0])
        _, refused_phases = self._names("phase", self._counts[1])
        for name, refused in (("game", refused_games), ("phase", refused_phases)):
            if refused:
                self.done &= ~np.isin(self._columns[name], refused)
        return games

    @property
    def cut(self) -> NDArray[np.bool_]:
        """Which lines that were read had a time that was cut."""
        return np.asarray(self._columns["cut"] & self.done)

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

    def _batches(self, layouts: list[Layout]) -> list[Batch]:
        columns = self._columns
        used: Callable[[NDArray[np.int32], tuple[str, ...]], Names] = _used
        games, refused_games = self._names("game", self._counts[0])
        phases, refused_phases = self._names("phase", self._counts[1])
        self._fill(layouts)
        if refused_games:
            self.done &= ~np.isin(columns["game"], refused_games)
        if refused_phases:
            self.done &= ~np.isin(columns["phase"], refused_phases)
        line = np.flatnonzero(self.done)
        if not len(line):
            return []
        one_layout = len(layouts) == 1
        if len(line) < len(self.done):
            columns = {name: columns[name].take(line, axis=0) for name in _KEPT}
        elif one_layout:  # each text is that of a line that was read
            used = Names
        filled = columns["price_filled"]
        valid = bits(~filled) if filled.any() else None
        zoned = np.array([layout.zoned for layout in layouts], np.bool_)
        batch = Batch(
            line=line,
            game=self._games(used(columns["game"], games), columns["wall_us"]),
            tick=columns["tick"],
            wall_us=columns["wall_us"],
            zoned=np.repeat(zoned, len(line)) if one_layout else zoned[columns["layout_of"]],
            price=pa.Array.from_buffers(PRICE_TYPE, len(line), [valid, pa.py_buffer(columns["price"])]),
            price_filled=filled,
            recorded_phase=self._constant("phase", used(columns["phase"], phases)),
            active=columns["active"],
            rugged=columns["rugged"],
            cooldown_timer=columns["cooldown_timer"],
            trade_count=columns["trade_count"],
            repaired=np.zeros(len(line), np.bool_),
        )
        return [batch]

    def _fill(self, layouts: list[Layout]) -> None:
        """Fill in what is null because a layout has no such piece, and what a mapping says that all ticks have."""
        for code, layout in enumerate(layouts):
            if layout.missing:
                rows = self._columns["layout_of"] == code
                for name in layout.missing:
                    self._columns["wall_us" if name == "timestamp" else name][rows] = -1 if name == "phase" else MISSING
        if self._mapping.numbered:
            self._columns["tick"][:] = NUMBERED
        for name in ("game", "phase"):
            if (name if name == "phase" else "game_id") in self._mapping.constants or (
                name == "game" and self._mapping.game
            ):
                self._columns[name][:] = -1
        for name in ("cooldown_timer", "trade_count"):
            if name in self._mapping.constants:
                constant = self._mapping.constants[name]
                self._columns[name][:] = MISSING if constant is None else constant

    def _constant(self, name: str, found: Names) -> Names:
        """Return a column of texts, or the constant that a mapping has instead."""
        constant = self._mapping.constants.get(name)
        return found if constant is None else Names(np.zeros(len(found.codes), np.int32), (constant,))

    def _games(self, found: Names, wall_us: NDArray[np.int64]) -> Names:
        """Return the games of ticks: as read, or as a mapping makes them."""
        if not self._mapping.game:
            return self._constant("game_id", found)
        if self._mapping.game != "day":
            return Names(np.zeros(len(wall_us), np.int32), (self._mapping.game,))
        days, codes = np.unique(wall_us // DAY_US, return_inverse=True)
        return Names(codes.astype(np.int32), tuple(day(one) for one in days.tolist()))


def _layout(shape: Known) -> Layout | None:
    return shape if isinstance(shape, Layout) else Layout.of_shape(shape)


def _first_new(found: Iterable[Known | None], known: list[Known]) -> Known | None:
    return next((one for one in found if one is not None and one not in known), None)


def _used(codes: NDArray[np.int32], found: tuple[str, ...]) -> Names:
    """Return a column of texts without those that no row has: texts of lines left alone must not be stored."""
    marked = np.zeros(len(found) + 1, np.bool_)
    marked[codes] = True  # the last one for null
    used = marked[:-1]
    if used.all():
        return Names(codes, found)
    renumbered = np.append(np.cumsum(used) - 1, -1).astype(np.int32)
    return Names(renumbered[codes], tuple(text for text, there in zip(found, used.tolist(), strict=True) if there))


@lru_cache(maxsize=64)
def _struct(layout: Layout) -> LayoutStruct:
    """Return a layout as the kernel takes it."""
    made = LayoutStruct(
        pieces=len(layout.pieces),
        zone_length=len(layout.zone),
        tail_length=len(layout.tail),
        truncate=layout.truncate,
        filler=layout.filler,
    )
    ctypes.memmove(made.zone, layout.zone, len(layout.zone))
    ctypes.memmove(made.tail, layout.tail, len(layout.tail))
    for struct, piece in zip(made.piece, layout.pieces, strict=False):
        struct.kind = KINDS.index(piece.kind)
        struct.frame_length = len(piece.frame)
        struct.shift = piece.shift
        ctypes.memmove(struct.frame, piece.frame, len(piece.frame))
    return made
