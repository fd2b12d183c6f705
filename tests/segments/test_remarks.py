"""Remarks: kept as they came, with their place, in one file that any Parquet reader reads."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from replaylab.segments.remarks import SCHEMA, Placed, RemarkWriter, to_table
from tests.stores import names


def placed(number: int, raw: bytes | None) -> Placed:
    """Make a remark."""
    return Placed("a.jsonl", number, 10 * number, 10 * number + len(raw or b""), "quarantine", "not_json", raw)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    """Every byte value, no bytes and bytes that are not told come back as they were, in order."""
    written = [placed(1, bytes(range(256))), placed(2, b""), placed(3, None)]
    path = tmp_path / "remarks.parquet"
    with RemarkWriter(path) as writer:
        writer.write(written)
    table = pq.read_table(path)
    assert table.schema == SCHEMA
    assert [Placed(**row) for row in table.to_pylist()] == written
    assert writer.count == 3


def test_no_remarks_no_file(tmp_path: Path) -> None:
    """Where there is nothing to remark nothing is written."""
    with RemarkWriter(tmp_path / "remarks.parquet") as writer:
        writer.write([])
    assert (writer.count, names(tmp_path)) == (0, [])


def test_large_remarks_are_written_as_they_come(tmp_path: Path) -> None:
    """More bytes than are held are written before the end, and all are there at the end."""
    path = tmp_path / "remarks.parquet"
    with RemarkWriter(path) as writer:
        for number in range(5):
            writer.write([placed(number, bytes([number]) * (1 << 20))])
        assert path.exists()
    assert [row["raw"][:1] for row in pq.read_table(path).to_pylist()] == [bytes([number]) for number in range(5)]


def test_an_error_writes_no_more(tmp_path: Path) -> None:
    """A writer that is left by an error leaves what it held unwritten, and the error unchanged."""

    def break_off() -> None:
        with RemarkWriter(tmp_path / "remarks.parquet") as writer:
            writer.write([placed(1, b"x")])
            raise ValueError("broken off")

    with pytest.raises(ValueError, match="broken off"):
        break_off()
    assert names(tmp_path) == []


def test_an_empty_table_has_the_schema() -> None:
    """No remarks make a table without rows and with every column."""
    assert to_table([]) == pa.table([pa.array([], field.type) for field in SCHEMA], schema=SCHEMA)
