"""Remarks: the bytes of a recording that are no clean tick, kept beside the segment that holds its ticks.

Control lines and annotations are metadata; repairs tell where ticks were taken from damaged bytes; quarantined bytes
are kept whole, with their place and the reason. One remarks file (Parquet) belongs to one segment.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

from replaylab.columns import column, texts
from replaylab.durable import publish
from replaylab.encryption.keys import StoreKeys
from replaylab.encryption.parquet import FileSeal, check_end, footer_of, is_sealed_name, not_written, opening
from replaylab.errors import KeyMissing, ReplayLabError, SegmentDamaged, StoreTooNew, Tampered
from replaylab.segments.digest import ENDING, file_digest, footer_bytes, name_digest

VERSION: Final = 1
_VERSION_KEY: Final = b"replaylab.remarks"
_NAME: Final = re.compile(r"remarks_\d+_[0-9a-f]{32}\.parquet\Z", re.ASCII)
SCHEMA: Final = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("line", pa.int64(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),
        pa.field("end", pa.int64(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("raw", pa.binary()),
        pa.field("detail", pa.string()),
    ]
)
_HELD_BYTES: Final = 4 << 20  # raw bytes held before they are written


_WRITING: Final[dict[str, Any]] = {
    "compression": "zstd",
    "use_dictionary": ["source", "kind", "reason"],
    "column_encoding": {
        **dict.fromkeys(("line", "start", "end"), "DELTA_BINARY_PACKED"),
        "raw": "DELTA_LENGTH_BYTE_ARRAY",
    },
    "write_page_checksum": True,
    "write_statistics": False,
}


@contextmanager
def opened_writer(path: Path, compression_level: int = 1, seal: FileSeal | None = None) -> Iterator[pq.ParquetWriter]:
    """Yield an open writer of a remarks file; the file is closed whatever the disk says to the last bytes."""
    options = _WRITING | {"compression_level": compression_level} | (seal.options if seal else {})
    with pa.OSFile(str(path), "wb") as file, pq.ParquetWriter(file, SCHEMA, **options) as writer:
        writer.add_key_value_metadata({_VERSION_KEY: str(VERSION).encode()})
        yield writer


class Placed(NamedTuple):
    """A remark with its place in the source: `line` from 1, `start` and `end` in bytes of the source."""

    source: str
    line: int
    start: int
    end: int
    kind: str
    reason: str
    raw: bytes | None
    detail: str | None = None


def in_schema(remarks: pa.Table) -> pa.Table:
    """Return remarks as a table of `SCHEMA`; those of an earlier release have no details."""
    for field in SCHEMA:
        if field.name not in remarks.schema.names:
            remarks = remarks.append_column(field, pa.nulls(remarks.num_rows, field.type))
    return remarks


class RemarkWriter:
    """Writes remarks to a file as they come, encrypted with a seal; nothing is made when there are none."""

    def __init__(self, path: Path, seal: FileSeal | None = None) -> None:
        self.path = path
        self._seal = seal
        self.count = 0
        self._held: list[Placed] = []
        self._held_bytes = 0
        self._opened = ExitStack()
        self._writer: pq.ParquetWriter | None = None

    def write(self, remarks: Iterable[Placed]) -> None:
        """Add remarks."""
        for remark in remarks:
            self._held.append(remark)
            self._held_bytes += 100 + len(remark.raw or b"")
            self.count += 1
            if self._held_bytes > _HELD_BYTES:
                self._flush()

    def _flush(self) -> None:
        if self._writer is None:
            self._writer = self._opened.enter_context(opened_writer(self.path, seal=self._seal))
        self._writer.write_table(to_table(self._held))
        self._held = []
        self._held_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._opened:
            if self._held and error is None:
                self._flush()


def publish_remarks(aside: Path, folder: Path, count: int, seal: FileSeal | None = None) -> str | None:
    """Make remarks that were written aside permanent and return their name; None, and no file, when there are none."""
    if not count:
        return None
    digest = file_digest(aside)
    final = folder / (seal.name(digest) if seal else f"remarks_{count}_{digest}{ENDING}")
    publish(aside, final, private=seal is not None)
    return final.name


def is_remarks_name(name: str) -> bool:
    """Whether a file has the name of remarks.

    Examples
    --------
    >>> is_remarks_name("remarks_3_" + 32 * "0" + ".parquet"), is_remarks_name("notes.parquet")
    (True, False)
    """
    return _NAME.match(name) is not None or is_sealed_name(name)


def read_remarks(name: str, content: bytes, keys: StoreKeys | None = None) -> pa.Table:
    """Return the remarks in the bytes of a file.

    Raises
    ------
    SegmentDamaged
        When the bytes are not those that were written, or have other columns; `Tampered` when the key of the store
        did not write them.
    StoreTooNew
        When a newer release wrote them in a format that this one does not know.
    """
    if xxhash.xxh3_128_hexdigest(content) != name_digest(name):
        raise SegmentDamaged(f"{name}: remarks cannot be read (its bytes are not those that were written)")
    decryption = opening(keys, name, "remarks")
    if decryption is not None:
        check_end(name, footer_of(content))
    try:
        with pq.ParquetFile(pa.BufferReader(content), decryption_properties=decryption) as file:
            check_version(name, file.metadata.metadata)
            table = file.read(use_threads=False)  # a thread that still has Python's bytes aborts a process that ends
        return in_schema(table.replace_schema_metadata(None)).cast(SCHEMA)
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, StoreTooNew | Tampered | KeyMissing):
            raise
        if decryption is not None:
            raise not_written(name, error) from error
        raise SegmentDamaged(f"{name}: remarks cannot be read ({error})") from error


def remarks_in(path: Path, keys: StoreKeys | None, rows: int) -> Iterator[pa.Table]:
    """Yield the remarks of a file, `rows` at a time; its bytes are those that its name says.

    Raises
    ------
    Tampered, StoreTooNew
        As `read_remarks`.
    """
    decryption = opening(keys, path.name, "remarks")
    if decryption is not None:
        check_end(path.name, footer_bytes(path))
    try:
        with pq.ParquetFile(path, decryption_properties=decryption) as file:
            check_version(path.name, file.metadata.metadata)
            for batch in file.iter_batches(rows):
                yield in_schema(pa.Table.from_batches([batch]))
    except (pa.ArrowException, OSError) as error:
        if decryption is None or isinstance(error, ReplayLabError):
            raise
        raise not_written(path.name, error) from error


def check_version(name: str, metadata: Mapping[bytes, bytes] | None) -> None:
    """Raise `StoreTooNew` for remarks of a newer format; those without a version are of the first."""
    version = (metadata or {}).get(_VERSION_KEY, b"1")
    if not version.isdigit() or int(version) > VERSION:
        shown = version.decode(errors="replace")
        raise StoreTooNew(
            f"{name}: remarks of format {shown}; this release reads up to {VERSION}: upgrade replaylab to read them"
        )


def to_table(remarks: list[Placed]) -> pa.Table:
    """Return remarks as a table."""
    found: list[tuple[Any, ...]] = list(zip(*remarks, strict=True)) if remarks else [()] * len(SCHEMA)
    made = [
        column(np.array(values, np.int64)) if field.type == pa.int64() else texts(values, field.type)
        for values, field in zip(found, SCHEMA, strict=True)
    ]
    return pa.Table.from_arrays(made, schema=SCHEMA)
