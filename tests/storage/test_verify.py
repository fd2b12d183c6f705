"""Verification: what is not as it was written is found and named; what is right is never doubted."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import replaylab as rl
from replaylab.segments.extent import Extent
from replaylab.segments.segment import Segment, write_segment
from replaylab.storage.files import FolderFiles
from replaylab.storage.verify import Verification, check
from tests.stores import quiet, simulated


@pytest.fixture
def segment(tmp_path: Path) -> Segment:
    """Give the segment of a store."""
    quiet(simulated(tmp_path / "r", damage="two_writers"), tmp_path / "store")
    (found,) = rl.open_store(tmp_path / "store").segments()
    return found


def rewritten(segment: Segment, folder: Path, extents: list[Extent], rows: int | None = None) -> Verification:
    """Check a segment of the same rows that says something else of its sources."""
    (folder / "segments").mkdir(parents=True)
    found = write_segment(
        folder / "segments", [segment.read().slice(0, rows)], origin="convert", extents=extents
    ).publish()
    return check(FolderFiles(folder), lambda: [found], {})


def test_all_well(segment: Segment, tmp_path: Path) -> None:
    """A store just written is as it was written, and the check counts its rows, segments and bytes."""
    found = rl.open_store(tmp_path / "store").verify()
    assert found
    assert found.ok
    assert (found.segments, found.rows, found.problems) == (1, segment.footer.rows, [])
    assert sum(found.bytes.values()) == sum(path.stat().st_size for path in (tmp_path / "r").glob("*.jsonl"))
    assert found.rows_digest == segment.footer.rows_digest
    assert "everything is as it was written" in str(found)


def test_bytes_that_are_not_accounted_for(segment: Segment, tmp_path: Path) -> None:
    """A source of which a byte became nothing is named."""
    first, *rest = segment.footer.extents
    less = dataclasses.replace(first, bytes={**first.bytes, "kept": first.bytes["kept"] - 1})
    (problem,) = rewritten(segment, tmp_path / "new", [less, *rest]).problems
    assert first.source in problem
    assert "are accounted for" in problem


def test_ticks_that_are_not_stored(segment: Segment, tmp_path: Path) -> None:
    """A row that was taken from a source and is not there, is missed."""
    found = rewritten(segment, tmp_path / "new", segment.footer.extents, segment.footer.rows - 1)
    assert not found
    assert "rows are stored" in found.problems[0]


def test_bytes_converted_twice(segment: Segment, tmp_path: Path) -> None:
    """The same bytes of a source in two extents are reported; an empty extent, and one that follows, are not."""
    first, *rest = segment.footer.extents
    empty = dataclasses.replace(first, end=0, bytes={}, ticks={}, lines={})
    assert rewritten(segment, tmp_path / "a", [first, empty, *rest]).ok
    half = dataclasses.replace(first, start=first.end - 1, end=first.end, bytes={"kept": 1}, ticks={}, lines={})
    found = rewritten(segment, tmp_path / "b", [first, half, *rest])
    assert "were converted twice" in str(found)
    assert first.source in str(found)


def test_a_renamed_segment(segment: Segment) -> None:
    """A segment under another name is told from what was written."""
    renamed = segment.path.rename(segment.path.with_name("mine.parquet"))
    assert "digest differs from the name" in str(Segment(renamed).problem())


def test_many_problems_are_counted() -> None:
    """The text shows the first problems and counts the others."""
    text = str(Verification(segments=0, rows=0, rows_digest="", problems=[f"problem {n}" for n in range(25)]))
    assert "25 problems" in text
    assert "- problem 19" in text
    assert "and 5 more" in text
    assert "problem 20" not in text
