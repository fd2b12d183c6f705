"""One immutable Parquet file of ticks: sorted by game, told apart by its name, described by its footer.

The name ends in a digest of the footer's bytes, compared whenever a segment is opened, and one of all bytes of the
file, so a flipped byte anywhere is found by comparing the two; pages carry checksums that every reading compares. The
footer (keys ``replaylab...``, JSON) lists games with their rows, the extents of the sources they came from with an
account of every byte, a digest of the rows that does not depend on their order, and the segments that this one
replaces.
"""

from __future__ import annotations

import base64
import json
import lzma
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import xxhash
from numpy.typing import NDArray

from replaylab.durable import publish, written_aside
from replaylab.errors import SegmentDamaged, StoreTooNew
from replaylab.table import PRICE_TYPE, SCHEMA, SCHEMA_VERSION

FOOTER_KEY: Final = b"replaylab"
GAMES_KEY: Final = b"replaylab.games"
EXTENTS_KEY: Final = b"replaylab.extents"
ENDING: Final = ".parquet"
ROW_GROUP_ROWS: Final = 1 << 17
HEAD_BYTES: Final = 1 << 10
_FOOTER_DIGEST: Final = re.compile(r"_([0-9a-f]{16})_[0-9a-f]{32}\.parquet$")
_DELTA: Final = ("seq", "tick", "timestamp", "trade_count", "line")
_NAMES: Final = ["game_id", "phase", "recorded_phase", "source"]
_ENCODINGS: Final = dict.fromkeys(_DELTA, "DELTA_BINARY_PACKED")  # prices plain: DuckDB and Polars read no other
_WRITING: Final[dict[str, Any]] = {
    "compression": "zstd",
    "use_dictionary": [*_NAMES, "cooldown_timer"],
    "column_encoding": _ENCODINGS,
    "write_statistics": ["game_id", "tick", "timestamp"],
    "write_page_checksum": True,
    "store_schema": True,
}
_MIX: Final = [np.uint64(0x9E3779B97F4A7C15 * (2 * number + 1) & (2**64 - 1)) for number in range(32)]


class GameRange(NamedTuple):
    """Where a segment holds a game: `rows` rows from `first_row` on, and between which places in its sources."""

    game: str
    first_row: int
    rows: int
    least_seq: int
    greatest_seq: int


@dataclass(frozen=True, slots=True)
class Extent:
    """Bytes `start` to `end` of a source, what they were and what became of them; see `scan.Account` for the counts.

    `digest` is that of all of them, `head` that of the first `HEAD_BYTES`: where to look for a source that was renamed.
    """

    source: str
    start: int
    end: int
    digest: str
    first_line: int
    first_seq: int
    zone: str
    bytes: dict[str, int] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)
    ticks: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    doubtful_times: int = 0
    zoneless_times: int = 0
    head: str = ""

    @property
    def line_count(self) -> int:
        """Lines in these bytes."""
        return sum(self.lines.values())

    @property
    def tick_count(self) -> int:
        """Ticks taken from these bytes."""
        return sum(self.ticks.get(kind, 0) for kind in ("clean", "merged", "torn"))


@dataclass(frozen=True, slots=True)
class Footer:
    """What a segment says of itself."""

    origin: str
    rows: int
    rows_digest: str
    games: list[GameRange]
    extents: list[Extent]
    remarks: str | None = None
    remark_count: int = 0
    replaces: list[str] = field(default_factory=list)
    schema_version: int = SCHEMA_VERSION

    def to_metadata(self) -> dict[bytes, bytes]:
        """Give the footer as Parquet key-value metadata: plain JSON, and the two long lists packed."""
        lists = {"games", "extents"}
        plain = {name: getattr(self, name) for name in self.__slots__ if name not in lists}
        extents = {name: [getattr(extent, name) for extent in self.extents] for name in Extent.__slots__}
        games = {name: [getattr(one, name) for one in self.games] for name in GameRange._fields}
        return {
            FOOTER_KEY: json.dumps(
                {**plain, "game_count": len(self.games), "extent_count": len(self.extents)}
            ).encode(),
            GAMES_KEY: _packed(games),
            EXTENTS_KEY: _packed(extents),
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
        extents = [Extent(*one) for one in zip(*_unpacked(found[EXTENTS_KEY], Extent.__slots__), strict=True)]
        games = [GameRange(*one) for one in zip(*_unpacked(found[GAMES_KEY], GameRange._fields), strict=True)]
        del plain["game_count"], plain["extent_count"]
        return cls(games=games, extents=extents, **plain)


def _packed(columns: dict[str, list[Any]]) -> bytes:
    """Give columns as JSON, xz, base64: footers must be text, and long lists would outweigh the ticks."""
    return base64.b64encode(lzma.compress(json.dumps(columns, separators=(",", ":")).encode()))


def _unpacked(text: bytes, names: Sequence[str]) -> list[list[Any]]:
    columns = json.loads(lzma.decompress(base64.b64decode(text, validate=True)))
    return [columns[name] for name in names]


class Segment:
    """An opened segment: its footer is read when asked for, its rows never kept."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """File name, which ends in the digest of the file."""
        return self.path.name

    def __repr__(self) -> str:
        return f"Segment({self.name})"

    @cached_property
    def metadata(self) -> pq.FileMetaData:
        """The Parquet metadata."""
        try:
            named = _FOOTER_DIGEST.search(self.name)
            if named and footer_digest(self.path) != named[1]:
                raise SegmentDamaged(f"{self.name}: the footer is not what was written (digest differs from the name)")
            return pq.read_metadata(self.path)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise SegmentDamaged(f"{self.name}: the footer cannot be read ({error})") from error

    @cached_property
    def footer(self) -> Footer:
        """What the segment says of itself. Raises `SegmentDamaged` or `StoreTooNew`."""
        found = self.metadata.metadata or {}
        if FOOTER_KEY not in found:
            raise SegmentDamaged(f"{self.name}: no replaylab footer; this file is not a segment")
        try:
            return Footer.from_metadata(found)
        except StoreTooNew as error:
            raise StoreTooNew(f"{self.name}: {error}") from None
        except (ValueError, KeyError, TypeError, lzma.LZMAError) as error:
            raise SegmentDamaged(f"{self.name}: the footer cannot be understood ({error})") from error

    @cached_property
    def rows_of(self) -> dict[str, tuple[int, int]]:
        """First row and number of rows of every game in it."""
        return {one.game: (one.first_row, one.rows) for one in self.footer.games}

    def read(self, columns: Sequence[str] | None = None) -> pa.Table:
        """Read all rows; raises `SegmentDamaged` when a page is not what was written."""
        return self._read(None, columns)

    def read_game(self, game_id: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Read the rows of one game, touching only the row groups that hold it."""
        return self.read_rows(*self.rows_of[game_id], columns)

    def read_rows(self, first: int, rows: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Read `rows` rows from row `first` on, touching only the row groups that hold them."""
        groups, skipped, seen = [], 0, 0
        for number in range(self.metadata.num_row_groups):
            size = self.metadata.row_group(number).num_rows
            if seen + size <= first:
                skipped = seen + size
            elif seen < first + rows:
                groups.append(number)
            seen += size
        return self._read(groups, columns).slice(first - skipped, rows)

    def _read(self, groups: list[int] | None, columns: Sequence[str] | None) -> pa.Table:
        try:
            with pq.ParquetFile(self.path, metadata=self.metadata, page_checksum_verification=True) as file:
                wanted = None if columns is None else list(columns)
                table = file.read(wanted) if groups is None else file.read_row_groups(groups, wanted)
                for name in set(_NAMES).intersection(table.column_names):
                    table.column(name).validate(full=True)  # page headers have no checksum: a code may lead nowhere
                table.validate()
                return table
        except (pa.ArrowException, OSError, ValueError) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise SegmentDamaged(
                f"{self.name}: {error}; restore it from a backup or convert its sources again"
            ) from error

    def problem(self) -> str | None:
        """Check the whole file; None when every byte and every row is what was written, else what is wrong."""
        try:
            if file_digest(self.path) != name_digest(self.name):
                return f"{self.name}: its bytes are not those that were written (digest differs from the name)"
            if rows_digest(self.read()) != self.footer.rows_digest:
                return f"{self.name}: its rows are not those that were written (digest differs from the footer)"
        except SegmentDamaged as error:
            return str(error)
        return None


def write_segment(
    folder: Path,
    tables: Iterable[pa.Table],
    *,
    origin: str,
    extents: Sequence[Extent],
    remarks: tuple[str | None, int] = (None, 0),
    replaces: Sequence[str] = (),
    expected_digest: str | None = None,
    compression_level: int = 1,
) -> Segment:
    """Write tables, together sorted by game, as a segment: whole under its final name, or not there at all.

    Raises `SegmentDamaged` when the rows do not have the digest expected; nothing is published then.
    """
    games: list[GameRange] = []
    digests: list[str] = []
    label = f"{origin}-{xxhash.xxh3_64_hexdigest(repr(extents).encode())}"
    with written_aside(folder, label) as aside:
        with pq.ParquetWriter(aside, SCHEMA, compression_level=compression_level, **_WRITING) as writer:
            for table in tables:
                writer.write_table(table, row_group_size=ROW_GROUP_ROWS)
                digests.append(rows_digest(table))
                _add_ranges(games, game_ranges(table))
            rows = sum(one.rows for one in games)
            digest = sum_digests(digests)
            if expected_digest not in {None, digest}:
                raise SegmentDamaged(
                    f"{folder}: rows read for {origin} are not those that were stored; nothing was changed"
                )
            footer = Footer(origin, rows, digest, games, list(extents), *remarks, list(replaces))
            writer.add_key_value_metadata(footer.to_metadata())
        final = folder / _name(origin, games, rows, f"{footer_digest(aside)}_{file_digest(aside)}")
        publish(aside, final)
    return Segment(final)


def _add_ranges(games: list[GameRange], more: list[GameRange]) -> None:
    """Add the ranges of a table behind those before it; a game may go on from one to the next."""
    rows = games[-1].first_row + games[-1].rows if games else 0
    for one in more:
        if games and games[-1].game == one.game:
            last = games[-1]
            seqs = min(last.least_seq, one.least_seq), max(last.greatest_seq, one.greatest_seq)
            games[-1] = GameRange(one.game, last.first_row, last.rows + one.rows, *seqs)
        else:
            games.append(one._replace(first_row=one.first_row + rows))


def _name(origin: str, games: list[GameRange], rows: int, digests: str) -> str:
    first, last = (_plain(games[0].game), _plain(games[-1].game)) if games else ("none", "none")
    return f"{origin}_{first}_{last}_{rows}rows_{digests}{ENDING}"


def _plain(game_id: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", game_id)[:32]


def name_digest(name: str) -> str:
    """Give the digest that a file's name promises."""
    return name.removesuffix(ENDING).rsplit("_", 1)[-1]


def footer_digest(path: Path) -> str:
    """Give the XXH3 64-bit digest of a Parquet file's footer, as hex: its length stands before the last four bytes."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 8))
        length = int.from_bytes(file.read(4), "little") + 8
        file.seek(max(0, size - length))
        return xxhash.xxh3_64_hexdigest(file.read())


def file_digest(path: Path) -> str:
    """Give the XXH3 128-bit digest of a file's bytes, as hex."""
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def game_ranges(table: pa.Table) -> list[GameRange]:
    """Give the range of each game of a table in which each game's rows stand together."""
    if not table.num_rows:
        return []
    games = table.column("game_id").unify_dictionaries().combine_chunks()
    codes = games.indices.to_numpy()
    starts = np.concatenate([[0], np.flatnonzero(codes[1:] != codes[:-1]) + 1])
    counts = np.diff(starts, append=len(codes))
    seq = table.column("seq").to_numpy()
    least, greatest = np.minimum.reduceat(seq, starts), np.maximum.reduceat(seq, starts)
    texts = games.dictionary.to_pylist()
    names = [texts[code] for code in codes[starts]]
    columns = (names, starts.tolist(), counts.tolist(), least.tolist(), greatest.tolist())
    return [GameRange(*one) for one in zip(*columns, strict=True)]


def rows_digest(table: pa.Table) -> str:
    """Give a digest of the rows that does not depend on their order: sums of it tell whether segments hold the same."""
    total = 0
    for batch in table.select(SCHEMA.names).to_batches(max_chunksize=1 << 16):
        mixed = np.zeros(batch.num_rows, np.uint64)
        number = 0
        for column in batch.columns:
            for part in _words(column):
                mixed += part * _MIX[number]
                number += 1
        mixed ^= mixed >> np.uint64(32)
        mixed *= _MIX[30]
        mixed ^= mixed >> np.uint64(29)
        total = (total + int((mixed * _MIX[31]).sum(dtype=np.uint64))) & (2**64 - 1)
    return f"{total:016x}"


def sum_digests(digests: Sequence[str]) -> str:
    """Give the digest of the rows of several segments together."""
    return f"{sum(int(digest, 16) for digest in digests) & (2**64 - 1):016x}"


def _words(column: pa.Array) -> list[NDArray[np.uint64]]:
    """Give the values of a column as one or two 64-bit words a row; null is a word of its own."""
    if pa.types.is_dictionary(column.type):
        hashes = [xxhash.xxh3_64_intdigest(text.encode()) for text in column.dictionary.to_pylist()]
        codes = pc.fill_null(column.indices, len(hashes)).to_numpy()
        return [np.array([*hashes, 1], np.uint64)[codes]]
    if column.type == PRICE_TYPE:
        words = np.frombuffer(column.buffers()[1], np.uint64)[2 * column.offset : 2 * (column.offset + len(column))]
        present = _present(column)
        return [np.where(present, words[0::2], np.uint64(1)), np.where(present, words[1::2], np.uint64(3))]
    if pa.types.is_boolean(column.type):
        return [np.asarray(column.to_numpy(zero_copy_only=False)).astype(np.uint64)]
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return [pc.fill_null(column.cast(pa.int64()), -(2**62)).to_numpy().view(np.uint64)]


def _present(column: pa.Array) -> NDArray[np.bool_]:
    return np.asarray(pc.is_valid(column).to_numpy(zero_copy_only=False), np.bool_)
