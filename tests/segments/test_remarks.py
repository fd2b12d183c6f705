"""Remarks: kept as they came, with their place, in one file that any Parquet reader reads."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xxhash

import replaylab as rl
from replaylab import errors
from replaylab.segments.digest import file_digest
from replaylab.segments.remarks import SCHEMA, Placed, RemarkWriter, read_remarks, to_table
from replaylab.segments.segment import write_segment
from tests.stores import line, names, quiet


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


def test_remarks_are_read_by_the_calling_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread of Arrow that lets go of Python's bytes while the process ends would abort it (exit code 134)."""
    asked: list[object] = []
    read = pq.ParquetFile.read

    def spied(self: pq.ParquetFile, *args: object, **options: object) -> pa.Table:
        asked.append(options.get("use_threads"))
        return read(self, *args, **options)

    with RemarkWriter(tmp_path / "remarks.parquet") as writer:
        writer.write([placed(1, b"x")])
    content = (tmp_path / "remarks.parquet").read_bytes()
    monkeypatch.setattr(pq.ParquetFile, "read", spied)
    assert read_remarks(f"remarks_1_{xxhash.xxh3_128_hexdigest(content)}.parquet", content).num_rows == 1
    assert asked == [False]


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


def test_remarks_of_a_newer_format_are_refused_and_left(tmp_path: Path) -> None:
    """Remarks of a format that this release does not know raise `StoreTooNew`; nothing changes or removes them."""
    for number in range(2):
        (tmp_path / f"{number}.jsonl").write_bytes(line(f"g{number}", 1) + b"broken\n")
        quiet(tmp_path / f"{number}.jsonl", tmp_path / "store")
    store = rl.Store(tmp_path / "store")
    segment = store.segments()[0]
    path = store.path / "remarks" / str(segment.footer.remarks)
    table = pq.read_table(path)
    newer = {b"replaylab.remarks": b"2"}
    assert pq.read_metadata(path).metadata[b"replaylab.remarks"] == b"1"
    pq.write_table(table.replace_schema_metadata(newer), tmp_path / "new.parquet")
    content = (tmp_path / "new.parquet").read_bytes()
    path.unlink()
    name = f"remarks_1_{file_digest(tmp_path / 'new.parquet')}.parquet"
    (tmp_path / "new.parquet").rename(path.with_name(name))
    footer = dataclasses.replace(segment.footer, remarks=name)
    rows = segment.read()
    segment.path.unlink()
    write_segment(
        segment.path.parent, [rows], origin="convert", extents=footer.extents, remarks=(name, footer.remark_count)
    ).publish()
    opened = rl.open_store(tmp_path / "store")
    asked: list[Callable[[], object]] = [opened.remarks, opened.quarantine, opened.verify]
    asked.append(lambda: rl.compact(tmp_path / "store", progress=False))
    for ask in asked:
        with pytest.raises(errors.StoreTooNew, match=rf"{name}.*upgrade replaylab"):
            ask()
    assert path.with_name(name).read_bytes() == content
    assert opened.rows == 2
    with pytest.raises(errors.StoreTooNew):
        read_remarks(name, content)
