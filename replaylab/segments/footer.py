"""Footer: what a segment says of itself, as Parquet key-value metadata."""

from __future__ import annotations

import base64
import json
import lzma
from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from replaylab.errors import StoreTooNew
from replaylab.segments.extent import Extent
from replaylab.table import SCHEMA_VERSION

FOOTER_KEY: Final = b"replaylab"
GAMES_KEY: Final = b"replaylab.games"
EXTENTS_KEY: Final = b"replaylab.extents"
STAND_IN_KEY: Final = b"replaylab.stands_in_for"
MOST_FOOTER_BYTES: Final = 64 << 20  # of an unpacked list: about half a million games in one segment
_MOST_UNPACKER_BYTES: Final = 128 << 20  # memory that xz may ask for
# Of an extent, written where one of a segment has it.
_OPTIONAL: Final[dict[str, Any]] = {
    "recording": {},
    "labels": {},
    "examples": {},
    "unended": False,
    "mapping": "",
    "source_bytes": 0,
    "skipped": [],
    "pruned": {},
}


class GameRange(NamedTuple):
    """Where a segment holds a game: rows, places in its sources, first known time (microseconds since 1970)."""

    game: str
    first_row: int
    rows: int
    least_seq: int
    greatest_seq: int
    start_us: int


@dataclass(frozen=True, slots=True)
class Footer:
    """What a segment says of itself.

    One that stands in for others holds a part of their rows, and counts once another segment has replaced those.
    """

    origin: str
    rows: int
    rows_digest: str
    games: list[GameRange]
    extents: list[Extent]
    remarks: str | None = None
    remark_count: int = 0
    replaces: list[str] = field(default_factory=list)
    schema_version: int = SCHEMA_VERSION
    stands_in_for: list[str] = field(default_factory=list)

    def to_metadata(self, effort: int) -> dict[bytes, bytes]:
        """Return the footer as Parquet key-value metadata: plain JSON, and two long lists packed with xz's `effort`."""
        lists = {"games", "extents", "stands_in_for"}
        plain = {name: getattr(self, name) for name in self.__slots__ if name not in lists}
        extents = {name: [getattr(extent, name) for extent in self.extents] for name in Extent.__slots__}
        extents = {name: values for name, values in extents.items() if name not in _OPTIONAL or any(values)}
        games = {name: [getattr(one, name) for one in self.games] for name in GameRange._fields}
        waits = {STAND_IN_KEY: json.dumps(self.stands_in_for).encode()} if self.stands_in_for else {}
        return waits | {
            FOOTER_KEY: json.dumps(
                {**plain, "game_count": len(self.games), "extent_count": len(self.extents)}
            ).encode(),
            GAMES_KEY: _packed(games, effort),
            EXTENTS_KEY: _packed(extents, effort),
        }

    @classmethod
    def from_metadata(cls, found: Mapping[bytes, bytes]) -> Footer:
        """Read a footer; raises `StoreTooNew` for one of a newer schema."""
        plain = json.loads(found[FOOTER_KEY])
        version = plain["schema_version"]
        if version > SCHEMA_VERSION:
            raise StoreTooNew(
                f"schema version {version}; this release reads up to {SCHEMA_VERSION}: upgrade replaylab to read it"
            )
        listed = _unpacked(found[EXTENTS_KEY])
        for name, absent in _OPTIONAL.items():
            listed.setdefault(name, [copy(absent) for _ in range(plain["extent_count"])])
        extents = [Extent(*one) for one in zip(*(listed[name] for name in Extent.__slots__), strict=True)]
        ranges = _unpacked(found[GAMES_KEY])
        games = [GameRange(*one) for one in zip(*(ranges[name] for name in GameRange._fields), strict=True)]
        del plain["game_count"], plain["extent_count"]
        waits = json.loads(found.get(STAND_IN_KEY, b"[]"))
        return cls(games=games, extents=extents, stands_in_for=waits, **plain)


def _packed(columns: dict[str, list[Any]], effort: int) -> bytes:
    """Return columns as JSON, xz, base64: footers must be text, and long lists would outweigh the ticks."""
    return base64.b64encode(lzma.compress(json.dumps(columns, separators=(",", ":")).encode(), preset=effort))


def _unpacked(text: bytes) -> dict[str, list[Any]]:
    unpacker = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=_MOST_UNPACKER_BYTES)
    found = unpacker.decompress(base64.b64decode(text, validate=True), MOST_FOOTER_BYTES)
    if not unpacker.eof:
        more = len(found) >= MOST_FOOTER_BYTES
        raise ValueError(f"it unpacks to more than {MOST_FOOTER_BYTES:,} bytes" if more else "it is cut short")
    columns: dict[str, list[Any]] = json.loads(found)
    return columns
