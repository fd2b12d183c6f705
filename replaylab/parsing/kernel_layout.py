"""The byte layout of lines that the C kernel reads: what stands before each value, and what each value is. Pure.

A layout is learned from a good line: its scalar values are found with their paths, the ones that a tick is made of are
named by the mapping (or by the known form of the line), values that say what the line is are held fast byte for byte,
and the others may be anything plain. So a line of the same layout is read by the general parser as the good one was,
and only the values differ.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Final

from replaylab.kernel.library import LONGEST_FRAME, MOST_PIECES
from replaylab.parsing.field_path import steps
from replaylab.parsing.json_line import CAPTURED_TICK, DECODER, FURTHER_FIELDS, SHIFTS, Kind, Reading, parse_line
from replaylab.parsing.line_layout import ZONES, Shape
from replaylab.parsing.mapping import Mapping

KINDS: Final = (  # in the order of `enum piece_kind` in kernel.h
    "type",
    "time",
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
    "stamp",
    "epoch",
    "skip",
)
_FIXED: Final = ("game_id", "phase", "active", "rugged", "cooldown_timer", "trade_count")  # may be constants
_TEXTS: Final = frozenset({"game_id", "phase"})
_CAPTURED: Final = {  # by our name, the path of a field in a captured event
    "game_id": ("data", "gameId"),
    "tick": ("data", "tickCount"),
    "price": ("data", "price"),
    "active": ("data", "active"),
    "rugged": ("data", "rugged"),
    "cooldown_timer": ("data", "cooldownTimer"),
    "trade_count": ("data", "tradeCount"),
}
_UNPLAIN: Final = frozenset({"price_filled", "repaired"})  # a line that states these is left to the general parser
_BLANK: Final = re.compile(rb"[ \t\r]*")
_VALUE: Final = re.compile(rb'"[^"\\]*"|-?[0-9][0-9.eE+-]*|true|false|null')
_BEFORE: Final = re.compile(rb"[\[, \t]*(?=\{)")
_BEHIND: Final = re.compile(rb"[\], \t]*\r?\Z")
_STAMP: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:]{8}(?:\.[0-9]{1,9})?(Z|\+00:00|)", re.ASCII)

Place = tuple[str | int, ...]
"""Where a value stands in an object: names, and numbers in arrays."""


@dataclass(frozen=True, slots=True)
class Piece:
    """The bytes before a value, what the value is, and for epoch times the decimals from its unit to microseconds."""

    kind: str
    frame: bytes
    shift: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """The pieces of a line in order and its tail; `missing` columns have no piece, and are null."""

    pieces: tuple[Piece, ...]
    tail: bytes
    zone: bytes
    zoned: bool
    missing: frozenset[str] = frozenset()
    truncate: bool = False
    filler: bool = True

    @classmethod
    def of_shape(cls, shape: Shape) -> Layout | None:
        """Return the layout of a recording's shape; None when it has a piece that the kernel does not know."""
        if any(piece.key not in KINDS and piece.key != "timestamp" for piece in shape.pieces):
            return None
        pieces, before = [], b""
        for piece in shape.pieces:
            pieces.append(Piece("time" if piece.key == "timestamp" else piece.key, before + piece.before))
            before = piece.after + b","
        zone = ZONES[shape.time_length]
        return _checked(cls(tuple(pieces), before[:-1] + b"}", zone, bool(zone)))

    @classmethod
    def of(cls, line: bytes, reading: Reading) -> Layout | None:
        """Return the layout of a line that is one tick; None for any other, or one that the kernel does not read.

        Examples
        --------
        >>> from replaylab.parsing.mapping import READY
        >>> trades = READY["trades"]
        >>> found = Layout.of(b'{"ts":1925089445250,"px":"1.25","id":7}', Reading(trades, trades.times()))
        >>> found.pieces[1], found.tail
        (Piece(kind='price', frame=b',"px":"', shift=0), b'}')
        """
        raw = line.rstrip(b"\r\n")
        front = _BEFORE.match(raw)
        if front is None or b"\\" in raw or not _is_one_tick(raw, reading):
            return None
        try:
            found = DECODER.decode(raw[front.end() : raw.rindex(b"}") + 1].decode())
            places = dict(_places(raw, front.end()))
        except (ValueError, ArithmeticError, RecursionError):
            return None
        named = _mapped(reading.mapping) if isinstance(reading.mapping, Mapping) and reading.mapped else _known(found)
        return None if named is None else _assembled(raw, places, named, reading)


@dataclass(frozen=True, slots=True)
class _Named:
    """Where each field of a tick stands, which values are held fast, and whether a price may have been filled in."""

    fields: dict[str, Place]
    fast: frozenset[Place]
    filler: bool = True


Known = Shape | Layout
"""A layout that was learned: of a recording, or of any other line."""


def _is_one_tick(raw: bytes, reading: Reading) -> bool:
    """Whether a line is one tick; `reading` keeps its count of times that were cut."""
    cut = reading.times.cut
    line = parse_line(raw, reading)
    reading.times.cut = cut
    return line.kind is Kind.TICK and len(line.rows) == 1


def _places(raw: bytes, at: int) -> Generator[tuple[Place, tuple[int, int]], None, None]:
    """Yield the place and the bytes of every scalar of the object at `at`, in order; ValueError for what is unusual."""
    at = yield from _places_in(raw, at, ())
    if _BEHIND.match(raw, at) is None:
        raise ValueError


def _places_in(raw: bytes, at: int, place: Place) -> Generator[tuple[Place, tuple[int, int]], None, int]:
    opening = raw[at : at + 1]
    if opening not in {b"{", b"["}:
        value = _VALUE.match(raw, at)
        if value is None:
            raise ValueError
        yield place, value.span()
        return value.end()
    closing = b"}" if opening == b"{" else b"]"
    at, number = _blanks(raw, at + 1), 0
    while raw[at : at + 1] != closing:
        name: str | int = number
        if opening == b"{":
            key = _VALUE.match(raw, at)
            if key is None:
                raise ValueError
            name, at = key[0][1:-1].decode(), _blanks(raw, key.end()) + 1
        at = yield from _places_in(raw, _blanks(raw, at), (*place, name))
        at, number = _blanks(raw, at), number + 1
        if raw[at : at + 1] == b",":
            at = _blanks(raw, at + 1)
    return at + 1


def _blanks(raw: bytes, at: int) -> int:
    found = _BLANK.match(raw, at)
    return at if found is None else found.end()


def _mapped(mapping: Mapping) -> _Named | None:
    """Return where a mapping reads the fields of a tick; None when it may be more than one, or no plain value."""
    if mapping.several or {"tick", "price", "timestamp"} & mapping.constants.keys():
        return None
    fields = {}
    for name in ("game_id", "tick", "timestamp", "price", *_FIXED):
        if name in mapping.constants or (name == "game_id" and mapping.game) or (name == "tick" and mapping.numbered):
            continue
        where = str(mapping.fields.get(name, name))
        inner = steps(where.removeprefix("/"))
        place = inner if where.startswith("/") else (*steps(str(mapping.path)), *inner)
        fields[name] = _place(place)
    held = [steps(where) for where in mapping.where]
    return _Named(fields, frozenset(_place(one[:size]) for one in held for size in range(1, len(one) + 1)))


def _place(path: tuple[str | int | None, ...]) -> Place:
    return tuple(step for step in path if step is not None)


def _known(found: dict[str, Any]) -> _Named | None:
    """Return where the fields of a tick stand in an object of a known recorder; None for a form that is not plain."""
    further = {one.recorded for one in FURTHER_FIELDS.values()} | {one.captured for one in FURTHER_FIELDS.values()}
    name = found.get("event", found.get("event_type"))
    held: frozenset[Place] = frozenset({("event",), ("event_type",), ("type",)})
    if isinstance(name, str) and "data" in found:
        data = found["data"]
        if name != CAPTURED_TICK or "price" not in data or further & data.keys():
            return None
        time = "timestamp" if "timestamp" in found else "ts"
        return _Named({**_CAPTURED, "timestamp": (time,)}, held, filler=False)
    if not {"tick", "price", "game_id"} <= found.keys() or (_UNPLAIN | further) & found.keys():
        return None
    return _Named({one: (one,) for one in ("tick", "timestamp", "price", *_FIXED)}, held)


def _assembled(raw: bytes, places: dict[Place, tuple[int, int]], named: _Named, reading: Reading) -> Layout | None:
    """Return the layout of a line whose values stand at `places`."""
    by_place = {place: name for name, place in named.fields.items()}
    if len(by_place) != len(named.fields):
        return None  # two fields from one value
    if any(place[:size] in places for place in by_place for size in range(1, len(place))):
        return None  # a text on the way, which may hold JSON
    pieces: list[Piece] = []
    missing = set(named.fields) if reading.mapped else {*named.fields, "phase"}
    zone, zoned, last = b"", True, 0
    for place, (start, end) in places.items():
        text = raw[start:end]
        field = by_place.get(place, "")
        if place in named.fast or (field and text == b"null"):
            continue  # part of the frame
        quoted = text.startswith(b'"')
        kind, shift = field or "skip", 0
        if field == "timestamp":
            stamp = _STAMP.fullmatch(text[1:-1].decode()) if quoted else None
            if stamp is not None:
                kind, zone, zoned = "stamp", stamp[1].encode(), bool(stamp[1])
            elif reading.times.unit:
                kind, shift = "epoch", SHIFTS[reading.times.unit]
            else:
                return None
        if field and quoted != (field in _TEXTS) and not (quoted and field in {"timestamp", "price"}):
            return None
        missing.discard(field)
        inner = quoted and bool(field)
        pieces.append(Piece(kind, raw[last : start + inner], shift))
        last = end - inner
    if missing & {"game_id", "tick", "price", "active", "rugged"}:
        return None
    cut, filler = reading.times.truncate, named.filler
    layout = Layout(tuple(pieces), raw[last:], zone, zoned, frozenset(missing), truncate=cut, filler=filler)
    return _checked(layout)


def _checked(layout: Layout) -> Layout | None:
    """Return a layout that fits the kernel's bounds; None for any other."""
    frames = [piece.frame for piece in layout.pieces]
    fits = len(frames) <= MOST_PIECES and max(map(len, [*frames, layout.tail])) <= LONGEST_FRAME
    return layout if fits and frames else None
