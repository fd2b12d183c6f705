"""The byte layout that the lines of one writer share, and reading a whole block of them at once.

The first good line of a block gives the shape: which keys in which order, with which spacing. Commas then cut every
line of the same shape into the same pieces; pieces that take few values (ids, phases, flags, timers) are read once
per distinct text by the general parser, the others in columns by Arrow. A line that differs in any byte of the frame,
or holds a value that needs thought, is left to the general parser, so this road never decides what damage means.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replaylab.columns import as_numpy
from replaylab.errors import TickError
from replaylab.parsing.digits import read_times
from replaylab.parsing.fields import LONGEST_FRAME, Cut, Positions
from replaylab.parsing.json_line import DECODER, FURTHER_FIELDS, Kind, parse_line
from replaylab.table import FURTHER, PRICE_TYPE, Batch, Names, whole_column
from replaylab.tick import INT32_MAX, checked_bool, checked_int, checked_text

LEAST_PIECES: Final = 9  # a tick without `type`
_LEAST_SHARE: Final = 4  # more distinct texts than one in four lines: not a column of few values
_PAIR: Final = re.compile(rb'\s*"([a-z_]+)"\s*:\s*("?)')
_PLAIN_PRICE: Final = re.compile(rb"(0|[1-9][0-9]{0,13})(\.[0-9]{1,24})?")  # what Arrow can read into PRICE_TYPE
_NAIVE_LENGTH: Final = 26  # of a time with microseconds and without a zone
ZONES: Final = {26: b"", 27: b"Z", 32: b"+00:00"}  # length of a time -> how it ends
_ENUMERATED: Final = ("game_id", "phase", "active", "rugged", "cooldown_timer")
_KNOWN: Final = frozenset({"type", "timestamp", "tick", "price", "trade_count", *_ENUMERATED})
_CARRIED: Final = frozenset({"seq", "crc"})  # what a journal adds to a tick, for a reader of its own
_WHOLE_FURTHER: Final = {FURTHER_FIELDS[one.name].recorded: one for one in FURTHER if pa.types.is_integer(one.type)}


@dataclass(frozen=True, slots=True)
class Piece:
    """What stands between two commas: the key, the bytes before its value, and the bytes after it."""

    key: str
    before: bytes
    after: bytes


@dataclass(frozen=True, slots=True)
class Shape:
    """The pieces of a line, in order, and the length of its time."""

    pieces: tuple[Piece, ...]
    time_length: int

    @property
    def zoned(self) -> bool:
        """Whether the times carry a zone, which is then UTC."""
        return bool(ZONES[self.time_length])

    @classmethod
    def of(cls, line: bytes) -> Shape | None:
        """Return the shape of a line, or None when the line is no plain tick.

        Examples
        --------
        >>> line = (b'{"type": "tick", "timestamp": "2031-01-02T03:04:20.250000", "game_id": "g", "tick": 1,'
        ...         b' "price": 1.01, "phase": "ACTIVE_GAMEPLAY", "active": true, "rugged": false,'
        ...         b' "cooldown_timer": 0, "trade_count": 12}')
        >>> Shape.of(line).pieces[3]
        Piece(key='tick', before=b' "tick": ', after=b'')
        """
        stripped = line.rstrip(b"\r\n")
        if parse_line(stripped).kind is not Kind.TICK or not stripped.endswith(b"}") or b"\\" in stripped:
            return None
        pieces = []
        for number, text in enumerate(stripped[:-1].split(b",")):
            opening = b"{" if number == 0 else b""
            pair = _PAIR.match(text, len(opening))
            if pair is None or not text.startswith(opening):
                return None
            if pair[1] == b"type":  # its value says what the line is: all of it is frame
                pieces.append(Piece("type", text, b""))
                continue
            pieces.append(Piece(pair[1].decode(), text[: pair.end()], b'"' if pair[2] else b""))
        keys = [piece.key for piece in pieces]
        time = DECODER.decode(stripped.decode()).get("timestamp")
        plain = _KNOWN - {"type"} <= set(keys) <= _KNOWN | _CARRIED | _WHOLE_FURTHER.keys() and isinstance(time, str)
        quoted = {piece.key for piece in pieces if piece.after}
        if (
            not plain
            or len(time) not in ZONES
            or not time.endswith(ZONES[len(time)].decode())
            or quoted & {"tick", "trade_count", "seq", *_WHOLE_FURTHER}
            or "crc" in set(keys) - quoted
            or max(len(piece.before) for piece in pieces) > LONGEST_FRAME
        ):
            return None
        return cls(tuple(pieces), len(time))

    def read(self, block: bytearray, stops: Positions, starts: Positions, lines: Positions) -> Batch | None:
        """Read the lines of a block that have this shape; the batch names them in `line`.

        Parameters
        ----------
        block : bytearray
            The bytes, with `PADDING` behind them.
        stops : int64 array, lines x pieces
            Where each piece ends: its comma, or for the last the brace.
        starts, lines : int64 array
            Where each line starts, and its number.
        """
        found = Cut(block, stops, starts, lines)
        found.good &= (stops[:, -1] > stops[:, 0]) & (found.bytes[starts] == ord("{"))  # from brace to brace
        for number, piece in enumerate(self.pieces):
            if piece.key in _ENUMERATED:
                continue  # read whole, key and all, by the general parser
            begin = found.begins(number)
            good = found.equal(begin, piece.before)
            if piece.after:
                good &= found.byte_before(number) == piece.after[0]
            if piece.key == "timestamp":
                good &= stops[:, number] - begin == len(piece.before) + self.time_length + 1
                if self.zoned:
                    good &= found.equal(begin + len(piece.before) + _NAIVE_LENGTH, ZONES[self.time_length])
            if piece.key in _CARRIED:
                span = begin + len(piece.before), stops[:, number] - len(piece.after)
                good &= found.whole(*span)[1] if piece.key == "seq" else found.checksum(*span)
            size = stops[:, number] - begin
            frame = len(piece.before) + len(piece.after)
            found.good &= good & (size == frame if piece.key == "type" else size > frame)
        found = found.kept()
        return _columns(self, found) if len(found.lines) else None


def _columns(shape: Shape, found: Cut) -> Batch | None:
    """Return the batch of lines whose frame fits, dropping those with a value that needs thought."""
    numbers = {piece.key: number for number, piece in enumerate(shape.pieces)}

    def span(key: str) -> tuple[Positions, Positions]:
        piece = shape.pieces[numbers[key]]
        begin = found.begins(numbers[key]) + len(piece.before)
        return begin, found.stops[:, numbers[key]] - len(piece.after)

    few = _read_few(shape, found, numbers)
    if few is None:
        return None
    tick, tick_good = found.whole(*span("tick"))
    trades, trades_good = found.whole(*span("trade_count"))
    times, times_good = read_times(found.words, span("timestamp")[0])
    filled = found.filled(*span("price")) & ~few.active
    price, price_good = _prices(found, *span("price"), filled)
    found.good &= few.good & tick_good & trades_good & times_good & price_good
    further: dict[str, pa.Array] = {}
    for key in _WHOLE_FURTHER.keys() & numbers.keys():
        values, good = found.whole(*span(key))
        found.good &= good & _in_range(key, values, good)
        further[_WHOLE_FURTHER[key].name] = whole_column(values, _WHOLE_FURTHER[key].type)
    if not found.good.all():
        return _columns(shape, found.kept()) if found.good.any() else None
    return Batch(
        line=found.lines,
        game=few.game,
        tick=tick.astype(np.int32),
        wall_us=times,
        zoned=np.full(len(found.lines), shape.zoned),
        price=price,
        price_filled=filled,
        recorded_phase=few.phase,
        active=few.active,
        rugged=few.rugged,
        cooldown_timer=few.timer,
        trade_count=trades,
        repaired=np.zeros(len(found.lines), np.bool_),
        further=further,
    )


def _in_range(key: str, values: Positions, good: NDArray[np.bool_]) -> bool:
    """Whether the least and the greatest value of a further field pass its check, which is one of range."""
    if not good.any():
        return True
    field = FURTHER_FIELDS[_WHOLE_FURTHER[key].name]
    try:
        for edge in (values[good].min(), values[good].max()):
            field.check(key, int(edge))
    except TickError:
        return False
    return True


def _prices(
    found: Cut, begin: Positions, end: Positions, filled: NDArray[np.bool_]
) -> tuple[pa.Array, NDArray[np.bool_]]:
    """Read the prices that are not filled; which rows are good, and the column when all of them are."""
    rows = np.flatnonzero(~filled)
    good = np.ones(len(begin), np.bool_)
    if not len(rows):
        return pa.nulls(len(begin), PRICE_TYPE), good
    texts = found.texts(begin[rows], end[rows])
    fits = found.short_whole(begin[rows], end[rows])  # Arrow does not notice every overflow
    amounts = _cast(texts) if fits and _all_plain(texts) else None
    if amounts is None:
        good[rows] = [_PLAIN_PRICE.fullmatch(text) is not None for text in texts.to_pylist()]
        return None, good
    words = np.zeros((len(begin), 2), np.uint64)
    words[rows] = np.frombuffer(amounts.buffers()[1], np.uint64).reshape(-1, 2)[: len(rows)]
    valid = pa.py_buffer(np.packbits(~filled, bitorder="little"))
    return pa.Array.from_buffers(PRICE_TYPE, len(begin), [valid, pa.py_buffer(words)]), good


@dataclass(frozen=True, slots=True)
class _Few:
    """The columns of few distinct values, and which lines hold values that can be stored."""

    good: NDArray[np.bool_]
    game: Names
    phase: Names
    active: NDArray[np.bool_]
    rugged: NDArray[np.bool_]
    timer: NDArray[np.int64]


def _read_few(shape: Shape, found: Cut, numbers: dict[str, int]) -> _Few | None:
    """Read the enumerated pieces, neighbours together, each distinct text once by the general parser."""
    columns: dict[str, tuple[Sequence[Any], NDArray[np.int32]]] = {}
    good = np.ones(len(found.lines), np.bool_)
    for run in _runs(sorted(numbers[key] for key in _ENUMERATED)):
        begin = found.begins(run[0]) + (1 if run[0] == 0 else 0)
        coded = found.texts(begin, found.stops[:, run[-1]]).dictionary_encode()
        if len(coded.dictionary) > max(1000, len(found.lines) // _LEAST_SHARE):
            return None
        keys = tuple(shape.pieces[number].key for number in run)
        read = [_read_pairs(text, keys) for text in coded.dictionary.to_pylist()]
        codes = as_numpy(coded.indices)
        if None in read:
            good &= np.array([one is not None for one in read])[codes]
        values = list(zip(*(one or tuple(_BLANKS[key] for key in keys) for one in read), strict=True))
        columns.update((key, (value, codes)) for key, value in zip(keys, values, strict=True))
    return _Few(
        good=good,
        game=_names(*columns["game_id"]),
        phase=_names(*columns["phase"]),
        active=_spread(*columns["active"], np.bool_),
        rugged=_spread(*columns["rugged"], np.bool_),
        timer=_spread(*columns["cooldown_timer"], np.int64),
    )


_BLANKS: Final[dict[str, Any]] = {"game_id": "", "phase": "", "active": False, "rugged": False, "cooldown_timer": 0}


def _spread(values: Sequence[Any], codes: NDArray[np.int32], kind: type) -> NDArray[Any]:
    return np.array(values, kind)[codes]


@lru_cache(maxsize=8192)
def _read_pairs(text: bytes, keys: tuple[str, ...]) -> tuple[Any, ...] | None:
    """Return the checked values of a few pairs, or None when the general parser has to look at the line."""
    try:
        found = DECODER.decode(f"{{{text.decode()}}}")
        for key, value in found.items():
            if key in {"active", "rugged"}:
                checked_bool(key, value)
            elif key == "cooldown_timer":
                checked_int(key, value, -INT32_MAX)
            else:
                checked_text(key, value)
    except (ValueError, ArithmeticError, RecursionError):  # TickError is a ValueError
        return None
    return tuple(found.values()) if tuple(found) == keys else None


def _runs(numbers: list[int]) -> list[list[int]]:
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


def _names(values: Sequence[str], codes: NDArray[np.int32]) -> Names:
    known: dict[str, int] = {}
    renumbered = np.array([known.setdefault(value, len(known)) for value in values], np.int32)
    return Names(renumbered[codes], tuple(known))


def _content(texts: pa.Array) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """The offsets and the bytes of a column that `take` has just made contiguous."""
    _, offsets, content = texts.buffers()
    return np.frombuffer(offsets, np.int32)[: len(texts) + 1], np.frombuffer(content, np.uint8)


def _all_plain(texts: pa.Array) -> bool:
    """Whether every text is a plain decimal number, judged from all bytes at once: digits and points."""
    offsets, content = _content(texts)
    content = content[offsets[0] : offsets[-1]]
    first = content[offsets[:-1]]
    second = content[np.minimum(offsets[:-1] + 1, len(content) - 1)]
    if ((first == ord("0")) & (np.diff(offsets) > 1) & (second >= ord("0"))).any():
        return False
    last = content[offsets[1:] - 1]
    in_range = content.min() >= ord(".") and content.max() <= ord("9") and not (content == ord("/")).any()
    return bool(in_range and first.min() >= ord("0") and last.min() >= ord("0"))


def _cast(texts: pa.Array) -> pa.Array | None:
    try:
        return texts.cast(pa.string()).cast(PRICE_TYPE)
    except pa.ArrowInvalid:
        return None
