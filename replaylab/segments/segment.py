"""One immutable Parquet file of ticks: game after game, known by its name, described by its footer.

The name ends in a digest of the footer's bytes, compared whenever a segment is opened, and one of all bytes of the
file, so a flipped byte anywhere is found by comparing the two; pages carry checksums that every reading compares. The
footer (keys ``replaylab...``, JSON) lists games with their rows, the extents of the sources they came from with an
account of every byte, a digest of the rows that does not depend on their order, and the segments that this one
replaces. In an encrypted store all of the file is encrypted, and its name has its salt instead of games and rows.
"""

from __future__ import annotations

import lzma
import re
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from functools import cached_property
from inspect import signature
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from replaylab.columns import as_numpy, detached
from replaylab.durable import publish, written_aside
from replaylab.encryption.keys import StoreKeys
from replaylab.encryption.parquet import check_end, new_seal, not_written, opening
from replaylab.errors import KeyMissing, SegmentDamaged, StoreTooNew, StoreUnreachable, Tampered
from replaylab.segments.digest import ENDING, file_digest, footer_bytes, name_digest, rows_digest, sum_digests
from replaylab.segments.extent import Extent
from replaylab.segments.footer import FOOTER_KEY, Footer, GameRange
from replaylab.segments.order import first_times
from replaylab.table import COLUMNS, NAME_TYPE, SCHEMA, widened

ROW_GROUP_ROWS: Final = 1 << 17
_THREADED_ROWS: Final = 1 << 15
_LASTING_LEVEL: Final = 9  # of zstd: slower than a conversion's and a little smaller, as compacted segments stay
_LASTING_EFFORT: Final = 6  # of xz
_FOOTER_DIGEST: Final = re.compile(r"_([0-9a-f]{16})_[0-9a-f]{32}\.parquet$")
_READ_WHEN_ASKED: Final = {"footer", "rows_of"}
_NAMES: Final = frozenset(one.name for one in COLUMNS if one.type == NAME_TYPE)
_ENCODINGS: Final = {one.name: "DELTA_BINARY_PACKED" for one in COLUMNS if one.encoding == "delta"}
_WRITING: Final[dict[str, Any]] = {
    "compression": "zstd",
    "use_dictionary": [one.name for one in COLUMNS if one.encoding == "dictionary"],
    "column_encoding": _ENCODINGS,
    "write_statistics": ["game_id", "tick", "timestamp"],
    "write_page_checksum": True,
    "store_schema": True,
    "write_batch_size": ROW_GROUP_ROWS,
}
if "max_rows_per_page" in signature(pq.ParquetWriter).parameters:
    # pages end by bytes alone, as before Arrow 22: 20,000 rows a page take an eighth longer to write, a quarter to read
    _WRITING["max_rows_per_page"] = ROW_GROUP_ROWS


def is_segment_name(name: str) -> bool:
    """Whether a file has the name of a segment, which ends in the digests of its footer and of its bytes.

    Examples
    --------
    >>> is_segment_name("foreign.parquet")
    False
    """
    return _FOOTER_DIGEST.search(name) is not None


class Segment:
    """An opened segment: its footer is read when asked for, its rows never kept.

    Parameters
    ----------
    path : Path
        The file.
    keys : StoreKeys, optional
        Of its store, when that is encrypted.
    """

    filesystem: Any = None  # of pyarrow, when it is not that of this machine

    def __init__(self, path: Path, keys: StoreKeys | None = None) -> None:
        self.path = path
        self.place = str(path)
        self.keys = keys

    @property
    def name(self) -> str:
        """File name, which ends in the digest of the file."""
        return self.path.name

    def part_of(self, game_id: str) -> str:
        """Return a name for the rows of a game in it: as long as it is the same, so are they."""
        del game_id
        return self.name

    def __repr__(self) -> str:
        return f"Segment({self.name})"

    def __getstate__(self) -> dict[str, Any]:
        return {name: one for name, one in vars(self).items() if name not in _READ_WHEN_ASKED}  # read anew elsewhere

    def _file_digest(self) -> str:
        return file_digest(self.path)

    def _footer_bytes(self) -> bytes:
        """Return the file's end, from the footer on."""
        return footer_bytes(self.path)

    def _rows_source(self) -> Any:
        """Where Parquet finds the rows: a path or a file."""
        return self.path

    @property
    def metadata(self) -> pq.FileMetaData:
        """The Parquet metadata, read anew each time: of thousands of segments it would take 30 KB each."""
        try:
            decryption = self.decryption
            end = self._footer_bytes()
            named = _FOOTER_DIGEST.search(self.name)
            if named and xxhash.xxh3_64_hexdigest(end) != named[1]:
                raise SegmentDamaged(f"{self.name}: the footer is not what was written (digest differs from the name)")
            if decryption is not None:
                check_end(self.name, end)
            return pq.read_metadata(pa.BufferReader(end), decryption_properties=decryption)
        except (pa.ArrowException, OSError) as error:
            if isinstance(error, FileNotFoundError | StoreUnreachable | KeyMissing):
                raise
            if self.decryption is not None:
                raise not_written(self.name, error) from error
            raise SegmentDamaged(f"{self.name}: the footer cannot be read ({error})") from error

    @property
    def decryption(self) -> Any:
        """What pyarrow needs to read it in an encrypted store; None in one that is not. Raises `Tampered`."""
        return opening(self.keys, self.name, "segment")

    @cached_property
    def footer(self) -> Footer:
        """What the segment says of itself. Raises `SegmentDamaged` or `StoreTooNew`."""
        metadata = self.metadata
        found = metadata.metadata or {}
        if FOOTER_KEY not in found:
            raise SegmentDamaged(f"{self.name}: no replaylab footer; this file is not a segment")
        try:
            footer = Footer.from_metadata(found)
        except StoreTooNew as error:
            raise StoreTooNew(f"{self.name}: {error}") from None
        except (ValueError, KeyError, TypeError, lzma.LZMAError) as error:
            raise SegmentDamaged(f"{self.name}: the footer cannot be understood ({error})") from error
        wrong = _wrong_columns(metadata, footer.schema_version)
        if wrong:
            raise SegmentDamaged(f"{self.name}: its columns are not those of a segment ({', '.join(wrong)})")
        return footer

    @property
    def row_count(self) -> int:
        """Number of rows in the file, whatever its footer says."""
        return int(self.metadata.num_rows)

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
        metadata = self.metadata
        for number in range(metadata.num_row_groups):
            size = metadata.row_group(number).num_rows
            if seen + size <= first:
                skipped = seen + size
            elif seen < first + rows:
                groups.append(number)
            seen += size
        table = self._read(groups, columns, metadata)
        part = table.slice(first - skipped, rows)
        return part if 2 * part.num_rows >= table.num_rows else detached(part)  # else it would hold all the groups

    def _read(
        self, groups: list[int] | None, columns: Sequence[str] | None, metadata: pq.FileMetaData | None = None
    ) -> pa.Table:
        metadata = self.metadata if metadata is None else metadata
        try:
            source = self._rows_source()
            with pq.ParquetFile(source, metadata=metadata, page_checksum_verification=True) as file:
                wanted = SCHEMA.names if columns is None else list(columns)
                names = set(file.schema_arrow.names)  # those that a later schema added may not be in the file
                there = [name for name in wanted if name in names]
                read = list(range(file.metadata.num_row_groups)) if groups is None else groups
                rows = sum(file.metadata.row_group(one).num_rows for one in read)
                # A file of Python no thread of Arrow may hold at the exit; few rows are read before one has started.
                table = file.read_row_groups(
                    read, there, use_threads=isinstance(source, Path) and rows >= _THREADED_ROWS
                )
                for name in _NAMES.intersection(there):
                    table.column(name).validate(full=True)  # page headers have no checksum: a code may lead nowhere
                table.validate()
                return table if there == wanted == table.column_names else widened(table, wanted)
        except (pa.ArrowException, OSError, ValueError) as error:
            if isinstance(error, FileNotFoundError | StoreUnreachable | Tampered):
                raise
            if self.decryption is not None:
                raise not_written(self.name, error) from error
            raise SegmentDamaged(
                f"{self.name}: {error}; restore it from a backup or convert its sources again"
            ) from error

    def problem(self) -> str | None:
        """Check the whole file; None when every byte and every row is what was written, else what is wrong."""
        try:
            if self._file_digest() != name_digest(self.name):
                return f"{self.name}: its bytes are not those that were written (digest differs from the name)"
            if rows_digest(self.read()) != self.footer.rows_digest:
                return f"{self.name}: its rows are not those that were written (digest differs from the footer)"
        except SegmentDamaged as error:
            return str(error)
        return None


class Unpublished:
    """A segment whose file is written aside: in the store once `publish` has been called, else gone with this."""

    def __init__(self, aside: ExitStack, path: Path, segment: Segment) -> None:
        self._aside = aside  # removes the file
        self._path = path
        self._segment = segment

    def publish(self) -> Segment:
        """Make the file permanent under its final name; return the segment, with what it says of itself at hand."""
        with self._aside:
            publish(self._path, self._segment.path, private=self._segment.keys is not None)
        return self._segment


def write_segment(  # noqa: PLR0913 every one but the first four has a default
    folder: Path,
    tables: Iterable[pa.Table],
    *,
    origin: str,
    extents: Sequence[Extent],
    remarks: tuple[str | None, int] = (None, 0),
    replaces: Sequence[str] = (),
    stands_in_for: Sequence[str] = (),
    expected_digest: str | None = None,
    lasting: bool = False,
    keys: StoreKeys | None = None,
) -> Unpublished:
    """Write tables, one game after the other, as a segment: no reader sees it before it is published, whole.

    Raises `SegmentDamaged` when the rows do not have the digest expected. A `lasting` segment is compressed harder,
    one with the `keys` of its store is encrypted.
    """
    games: list[GameRange] = []
    digests: list[str] = []
    label = f"{origin}-{xxhash.xxh3_64_hexdigest(repr(extents).encode())}"
    seal = new_seal(keys, "segment")
    with ExitStack() as leaving:
        aside = leaving.enter_context(written_aside(folder, label))
        level = _LASTING_LEVEL if lasting else 1
        with (
            pa.OSFile(str(aside), "wb") as file,  # closed whatever the disk says to the writer's last bytes
            pq.ParquetWriter(
                file, SCHEMA, compression_level=level, **(_WRITING | (seal.options if seal else {}))
            ) as writer,
        ):
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
            footer = Footer(
                origin, rows, digest, games, list(extents), *remarks, list(replaces), stands_in_for=list(stands_in_for)
            )
            writer.add_key_value_metadata(footer.to_metadata(_LASTING_EFFORT if lasting else 0))
        ending = f"{xxhash.xxh3_64_hexdigest(footer_bytes(aside))}_{file_digest(aside)}"
        final = folder / (seal.name(ending) if seal else _name(origin, games, rows, ending))
        written = Segment(final, keys)
        written.footer = footer
        return Unpublished(leaving.pop_all(), aside, written)


def _add_ranges(games: list[GameRange], more: list[GameRange]) -> None:
    """Add the ranges of a table behind those before it; a game may go on from one to the next."""
    rows = games[-1].first_row + games[-1].rows if games else 0
    for one in more:
        if games and games[-1].game == one.game:
            last = games[-1]
            seqs = min(last.least_seq, one.least_seq), max(last.greatest_seq, one.greatest_seq)
            start_us = min(last.start_us, one.start_us)
            games[-1] = GameRange(one.game, last.first_row, last.rows + one.rows, *seqs, start_us)
        else:
            games.append(one._replace(first_row=one.first_row + rows))


def _name(origin: str, games: list[GameRange], rows: int, digests: str) -> str:
    first, last = (_plain(games[0].game), _plain(games[-1].game)) if games else ("none", "none")
    return f"{origin}_{first}_{last}_{rows}rows_{digests}{ENDING}"


def _wrong_columns(metadata: pq.FileMetaData, version: int) -> list[str]:
    """Return what is wrong with the columns of a file, given the version of its schema."""
    there = metadata.schema.to_arrow_schema()
    wrong = []
    for one in COLUMNS:
        places = there.get_all_field_indices(one.name)
        if not places and one.since <= version:
            wrong.append(f"no {one.name}")
        elif len(places) > 1:
            wrong.append(f"{len(places)} times {one.name}")
        elif places and there.field(places[0]).type != one.type:
            wrong.append(f"{one.name} is {there.field(places[0]).type}, not {one.type}")
    return wrong


def _plain(game_id: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", game_id)[:32]


def game_ranges(table: pa.Table) -> list[GameRange]:
    """Return the range of each game of a table in which each game's rows stand together."""
    if not table.num_rows:
        return []
    games = table.column("game_id").unify_dictionaries().combine_chunks()
    codes = as_numpy(games.indices)
    starts = np.concatenate([[0], np.flatnonzero(codes[1:] != codes[:-1]) + 1])
    counts = np.diff(starts, append=len(codes))
    seq = as_numpy(table.column("seq"))
    least, greatest = np.minimum.reduceat(seq, starts), np.maximum.reduceat(seq, starts)
    texts = games.dictionary.to_pylist()
    names = [texts[code] for code in codes[starts]]
    times = first_times(table, starts)
    columns = (names, *(one.tolist() for one in (starts, counts, least, greatest, times)))
    return [GameRange(*one) for one in zip(*columns, strict=True)]


def by_start(segments: Iterable[Segment]) -> list[str]:
    """Return the games of segments in the order of their start, then of their ids; those without a time are last."""
    starts: dict[str, int] = {}
    for segment in segments:
        for one in segment.footer.games:
            starts[one.game] = min(one.start_us, starts.get(one.game, one.start_us))
    return sorted(starts, key=lambda game: (starts[game], game))
