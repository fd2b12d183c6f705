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
from replaylab.errors import SegmentDamaged, StoreTooNew
from replaylab.segments.digest import ENDING, file_digest, name_digest

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
def opened_writer(path: Path, compression_level: int = 1) -> Iterator[pq.ParquetWriter]:
    """Yield an open writer of a remarks file; the file is closed whatever the disk says to the last bytes."""
    with (
        pa.OSFile(str(path), "wb") as file,
        pq.ParquetWriter(file, SCHEMA, compression_level=compression_level, **_WRITING) as writer,
    ):
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
    """Writes remarks to a file as they come; nothing is made when there are none."""

    def __init__(self, path: Path) -> None:
        self.path = path
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
            self._writer = self._opened.enter_context(opened_writer(self.path))
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


def publish_remarks(aside: Path, folder: Path, count: int) -> str | None:
    """Make remarks that were written aside permanent and return their name; None, and no file, when there are none."""
    if not count:
        return None
    final = folder / f"remarks_{count}_{file_digest(aside)}{ENDING}"
    publish(aside, final)
    return final.name


def is_remarks_name(name: str) -> bool:
    """Whether a file has the name of remarks.

    Examples
    --------
    >>> is_remarks_name("remarks_3_" + 32 * "0" + ".parquet"), is_remarks_name("notes.parquet")
    (True, False)
    """
    return _NAME.match(name) is not None


def read_remarks(name: str, content: bytes) -> pa.Table:
    """Return the remarks in the bytes of a file.

    Raises
    ------
    SegmentDamaged
        When the bytes are not those that were written, or have other columns.
    StoreTooNew
        When a newer release wrote them in a format that this one does not know.
    """
    if xxhash.xxh3_128_hexdigest(content) != name_digest(name):
        raise SegmentDamaged(f"{name}: remarks cannot be read (its bytes are not those that were written)")
    try:
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            check_version(name, file.metadata.metadata)
            table = file.read(use_threads=False)  # a thread that still has Python's bytes aborts a process that ends
        return in_schema(table.replace_schema_metadata(None)).cast(SCHEMA)
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, StoreTooNew):
            raise
        raise SegmentDamaged(f"{name}: remarks cannot be read ({error})") from error


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
