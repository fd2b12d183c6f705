"""Journal: whole lines are told from damage, each kind by its name, and damage never costs the good lines around it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import replaylab as rl
from replaylab.errors import StoreTooNew
from replaylab.journals.encoder import Encoder, closed, seed_of
from replaylab.journals.format import Header, Lines, end_line, journal_name, place_of, scan
from replaylab.journals.reader import JournalReader, read_waiting
from replaylab.parsing.fields import PADDING
from replaylab.parsing.json_line import Kind, parse_line
from replaylab.parsing.kernel_layout import Known
from replaylab.parsing.line_layout import Shape
from replaylab.parsing.scan import scan_block
from tests.recordings import small, stored, tick, ticks

RUN = "20310102T030405000000Z-0123456789ab-7"
OTHER = "20310102T030405000000Z-ba9876543210-8"
HEADER = Header(RUN, 0, 0, {"mode": "group", "ticks": 100, "seconds": 10.0}).to_line()
GIVEN = ticks(9)
LINES = [Encoder(RUN).line(one, seq) for seq, one in enumerate(GIVEN)]


def reasons(found: Lines) -> list[str]:
    """Names of the damage, in order."""
    return [one.reason for one in found.damage]


def told(found: Lines) -> int:
    """Bytes that the scan accounts for."""
    damaged = sum(one.end - one.start for one in found.damage)
    return sum(found.sizes) + found.control_bytes + found.blank_bytes + damaged


def contents(data: bytes, tmp_path: Path) -> JournalReader:
    """Read a journal file as it is sealed."""
    path = tmp_path / journal_name(RUN, 0)
    path.write_bytes(data)
    found = JournalReader(path.name)
    with path.open("rb") as file:
        found.read(file, len(data), final=True)
    return found


def test_names_tell_their_place() -> None:
    """A journal's name tells its run and number; any other name is a run of its own."""
    assert place_of(journal_name(RUN, 12)) == (RUN, 12)
    assert place_of("mine.journal") == ("mine", 0)


def test_header_and_end() -> None:
    """The first line gives back what it was made of, the last one closes the journal, and no tick is lost between."""
    found = scan(HEADER + b"".join(LINES) + end_line(RUN, 9), RUN)
    assert found.headers == [Header(RUN, 0, 0, {"mode": "group", "ticks": 100, "seconds": 10.0})]
    assert (found.seqs, found.closed, found.damage) == (list(range(9)), True, [])


def test_lines_are_exact_json() -> None:
    """Every line of a journal is a line that `convert` reads: ticks as ticks, the others as control lines."""
    assert [parse_line(line).kind for line in LINES] == [Kind.TICK] * 9
    assert parse_line(HEADER).label == "journal_start"
    assert parse_line(end_line(RUN, 9)).label == "journal_end"


def test_a_journal_converts_as_it_is(tmp_path: Path) -> None:
    """`convert` of a journal file gives the ticks that were recorded."""
    path = tmp_path / "x.journal"
    path.write_bytes(HEADER + b"".join(LINES) + end_line(RUN, 9))
    assert rl.convert(path, tmp_path / "store", progress=False).ticks_stored == 9
    assert stored(tmp_path / "store") == GIVEN


def test_a_journal_is_read_in_columns() -> None:
    """`convert` reads a journal like any recording of healthy lines: they have a shape, which reads them all."""
    shapes: list[Known] = []
    content = b"".join(LINES)
    found = scan_block(bytearray(content) + bytes(PADDING), [(len(content), False)], shapes)
    assert len(found.batch) == 9
    shape = shapes[0]
    assert isinstance(shape, Shape)
    assert [piece.key for piece in shape.pieces][-2:] == ["seq", "crc"]
    stops = np.array([[at for at, byte in enumerate(LINES[0]) if byte in b",}"]])
    read = shape.read(bytearray(LINES[0]) + bytes(PADDING), stops, np.zeros(1, np.int64), np.zeros(1, np.int64))
    assert read is not None
    assert len(read) == 1


DAMAGE = {
    "torn tail": (LINES[0] + LINES[1] + LINES[2][:-9], [0, 1], ["torn_tail"]),
    "torn in the middle": (LINES[0] + LINES[1][:40] + LINES[2], [0, 2], ["torn_line"]),
    "zeros at the end": (LINES[0] + LINES[1] + bytes(4096), [0, 1], ["zero_filled"]),
    "a torn line and zeros": (LINES[0] + LINES[1][:-9] + bytes(4096), [0], ["torn_tail", "zero_filled"]),
    "zeros in the middle": (LINES[0] + bytes(4096) + LINES[1], [0, 1], ["zero_filled"]),
    "a flipped bit": (LINES[0] + LINES[1].replace(b"1.0", b"1.1", 1) + LINES[2], [0, 2], ["checksum_mismatch"]),
    "a flipped newline": (LINES[0][:-1] + b"\x0b" + LINES[1] + LINES[2], [0, 1, 2], ["foreign_bytes"]),
    "foreign bytes": (LINES[0] + b"hello\n" + LINES[1], [0, 1], ["foreign_bytes"]),
    "foreign bytes before a line": (LINES[0] + b"hello" + LINES[1], [0, 1], ["foreign_bytes"]),
    "foreign bytes after a line": (LINES[0][:-1] + b"hello\n" + LINES[1], [0, 1], ["foreign_bytes"]),
    "a tick without its place": (LINES[0] + tick().to_line() + b"\n" + LINES[1], [0, 1], ["checksum_mismatch"]),
    "a line of another run": (LINES[0] + Encoder(OTHER).line(tick(), 1) + LINES[1], [0, 1], ["checksum_mismatch"]),
    "blank lines": (LINES[0] + b"\n\n" + LINES[1], [0, 1], []),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_told_apart(name: str) -> None:
    """Each kind of damage has its name, and the lines before and after it count."""
    data, seqs, names = DAMAGE[name]
    found = scan(data, RUN)
    assert (found.seqs, reasons(found)) == (seqs, names)
    assert told(found) == found.end == len(data)


def test_a_missing_middle_is_named(tmp_path: Path) -> None:
    """Lines that are missing are named where they were, once, and the recording is quarantined."""
    found = contents(HEADER + b"".join(LINES[:3] + LINES[6:]) + end_line(RUN, 9), tmp_path)
    assert [(one.reason, one.start) for one in found.damage][:1] == [("sequence_gap", found.damage[0].start)]
    assert found.state == "quarantined"
    assert found.table().num_rows == 6


def test_a_damaged_line_is_no_missing_one(tmp_path: Path) -> None:
    """A line that is there and damaged is not counted as missing too."""
    damaged = LINES[3].replace(b"tick", b"tock", 1)
    found = contents(HEADER + b"".join([*LINES[:3], damaged, *LINES[4:]]), tmp_path)
    assert [one.reason for one in found.damage] == ["checksum_mismatch"]


def test_lines_written_twice_count_once(tmp_path: Path) -> None:
    """A line that is there again is left out, and every byte is accounted for."""
    found = contents(HEADER + b"".join([*LINES, *LINES[5:]]), tmp_path)
    extent = found.extent()
    assert found.table().num_rows == 9
    assert extent.ticks["duplicate"] == 4
    assert sum(extent.bytes.values()) == extent.end


def test_a_damaged_header_costs_no_tick(tmp_path: Path) -> None:
    """Without its first line a journal is known by its name."""
    found = contents(HEADER.replace(b"group", b"grope") + b"".join(LINES), tmp_path)
    assert found.table().num_rows == 9
    assert found.state == "quarantined"


def test_a_renamed_journal_is_known_by_its_header(tmp_path: Path) -> None:
    """The first line tells the run when the name does not."""
    path = tmp_path / "renamed.journal"
    path.write_bytes(HEADER + b"".join(LINES))
    found = JournalReader(path.name)
    with path.open("rb") as file:
        found.read(file, path.stat().st_size, final=True)
    assert (found.run, found.table().num_rows) == (RUN, 9)


def test_right_checksums_are_not_believed_blindly(tmp_path: Path) -> None:
    """A line with a right checksum that is no tick is set aside; the ticks around it are read."""
    odd = closed(b'{"type": "tick", "price": "x", "seq": 9', seed_of(RUN))
    strange = closed(b'{"type": "journal_start", "run": 7', 0)
    found = contents(HEADER + b"".join(LINES) + odd + strange, tmp_path)
    assert found.table().num_rows == 9
    assert {one.reason for one in found.damage} == {"not_a_tick", "foreign_bytes"}
    assert sum(found.extent().bytes.values()) == found.end


@pytest.mark.parametrize("odd", [b"", b'{"type": "tick", "price": "x", "seq": 90'])
@pytest.mark.parametrize("lane", [b"", b', "lane": "a", "id": "7"'])
def test_journals_that_are_read_at_once_are_what_each_is_alone(odd: bytes, lane: bytes) -> None:
    """Rows, account, digest and remarks, the cursors of lanes too, and where a line turns out to be no tick."""
    seed = seed_of(RUN)
    bodies = [line[: line.rindex(b', "seq"')] + lane for line in LINES]
    lines = [closed(body + b', "seq": %d' % seq, seed) for seq, body in enumerate(bodies)]
    parts = [lines[:4], [lines[4]], [], lines[5:]]
    parts[1] += [closed(odd, seed)] if odd else []
    readers: list[list[JournalReader]] = []
    for _ in range(2):
        readers.append([])
        for number, part in enumerate(parts):
            one = JournalReader(journal_name(RUN, number))
            data = Header(RUN, number, number).to_line() + b"".join(part)
            one.read(io.BytesIO(data), len(data), final=True)
            readers[-1].append(one)
    read_waiting(readers[0], [])
    for together, alone in zip(*readers, strict=True):
        assert together.table().to_pylist() == alone.table().to_pylist()
        assert together.extent() == alone.extent()
        assert together.rows_digest() == alone.rows_digest()
        assert together.remarks() == alone.remarks()
    assert sum(one.table().num_rows for one in readers[0]) == len(LINES)
    assert bool(lane) == any(remark.reason == "cursor" for one in readers[0] for remark in one.remarks())


@given(st.data())
def test_any_damage_costs_only_what_it_touches(data: st.DataObject) -> None:
    """Bytes put in, taken out or changed anywhere: lines that they do not touch are read, no other line is made up."""
    whole = HEADER + b"".join(LINES)
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, min(len(whole), start + 300)))
    fresh = data.draw(st.binary(max_size=40))
    found = scan(whole[:start] + fresh + whole[end:], RUN)
    ends = [len(HEADER)]
    for line in LINES:
        ends.append(ends[-1] + len(line))
    untouched = {seq for seq in range(9) if ends[seq + 1] - 1 <= start or ends[seq] >= end}
    assert untouched <= set(found.seqs) <= set(range(9))
    assert [GIVEN[seq].to_line() + b"\n" for seq in found.seqs] == found.ticks
    assert told(found) == found.end == len(whole) - (end - start) + len(fresh)


@given(st.lists(st.integers(0, 9 * 400), max_size=6))
def test_reading_in_stretches_is_reading_at_once(cuts: list[int]) -> None:
    """A journal read as it grows gives what it gives when read whole."""
    import io

    whole = HEADER + b"".join(LINES) + end_line(RUN, 9)
    growing, once = JournalReader(journal_name(RUN, 0)), JournalReader(journal_name(RUN, 0))
    for cut in sorted({*cuts, len(whole)}):
        growing.read(io.BytesIO(whole[:cut]), min(cut, len(whole)), final=False)
    once.read(io.BytesIO(whole), len(whole), final=True)
    assert growing.extent() == once.extent()
    assert growing.table() == once.table()


NEWER: Final = closed(b'{"type": "journal_start", "format": 3, "made_of": "other members"', 0)


def left_behind(store: Path, *contents: bytes) -> Path:
    """Return a journal of a store, whose recorder has died."""
    with rl.Recorder(store, settings=small()):
        pass
    path = store / "journals" / journal_name(RUN, 0)
    path.write_bytes(b"".join(contents))
    return path


@pytest.mark.parametrize("work", ["open", "read", "recover", "verify", "convert"])
def test_a_journal_of_a_newer_format_is_left_as_it_is(tmp_path: Path, work: str) -> None:
    """Whatever is asked of the store, `StoreTooNew` names the journal and both formats, and the file is untouched."""
    content = NEWER + b"{'type': 'any'}\n" + b"".join(LINES)
    path = left_behind(tmp_path, content)
    works: dict[str, Callable[[], object]] = {
        "open": lambda: rl.open_store(tmp_path),
        "read": lambda: rl.Store(tmp_path).rows,
        "recover": lambda: rl.recover(tmp_path),
        "verify": lambda: rl.Store(tmp_path).verify(),
        "convert": lambda: rl.Store(tmp_path).games(),
    }
    with pytest.raises(StoreTooNew, match=rf"{path.name}.*format 3.*knows 1"):
        works[work]()
    assert path.read_bytes() == content
    assert list((tmp_path / "segments").iterdir()) == []


@pytest.mark.parametrize("version", ['"2"', "0", "true", "1.5", "null"])
def test_a_format_that_is_no_known_one_is_left_as_it_is(tmp_path: Path, version: str) -> None:
    """Whatever a header with a right checksum names as its format, if it is not 1, the journal is not touched."""
    line = closed(f'{{"type": "journal_start", "format": {version}, "run": "{RUN}", "number": 0'.encode(), 0)
    path = left_behind(tmp_path, line)
    with pytest.raises(StoreTooNew, match=path.name):
        rl.open_store(tmp_path)
    assert path.read_bytes() == line


@pytest.mark.parametrize("torn", [0, 7])
def test_a_line_of_an_unknown_type_is_a_remark(tmp_path: Path, torn: int) -> None:
    """A line with a right checksum and another type is kept, before and after sealing, inside a damaged one as well."""
    odd = closed(b'{"type": "weather", "sky": "blue"', seed_of(RUN))
    path = left_behind(tmp_path, HEADER, LINES[0], b"x" * torn, odd, *LINES[1:])
    for opened in (rl.Store, rl.open_store):
        store = opened(tmp_path)
        (remark,) = store.remarks("control").to_pylist()
        assert (remark["source"], remark["line"], remark["reason"]) == (path.name, 3, "weather")
        assert remark["raw"] == odd
        assert remark["end"] - remark["start"] == len(odd)
        assert store.rows == 9
    assert store.verify().ok
    assert not path.exists()
    assert [one.state for one in store.recordings()] == ["quarantined" if torn else "recovered"]


def test_a_journal_of_nothing_but_an_unknown_line(tmp_path: Path) -> None:
    """The line is kept though there is no tick beside it."""
    odd = closed(b'{"type": "weather", "sky": "blue"', seed_of(RUN))
    left_behind(tmp_path, HEADER, odd)
    store = rl.open_store(tmp_path)
    assert [one["raw"] for one in store.remarks("control").to_pylist()] == [odd]


def test_two_ticks_on_one_line_beside_a_gap(tmp_path: Path) -> None:
    """A newline that is gone costs neither of the two ticks, also where a number is missing elsewhere."""
    found = contents(HEADER + LINES[0][:-1] + b"".join(LINES[1:4]) + LINES[6], tmp_path)
    assert found.table()["seq"].to_pylist() == [0, 1, 2, 3, 6]
    assert [one.reason for one in found.damage] == ["sequence_gap"]


def test_a_line_with_a_right_checksum_that_is_no_one_tick(tmp_path: Path) -> None:
    """What is no tick, or is two, or needs mending, is set aside with its own bytes; those around it are kept."""
    body = LINES[1][: LINES[1].rindex(b', "seq"')]
    two = closed(body + b'} {"type": "tick", ' + body[16:] + b', "seq": 1', seed_of(RUN))
    none = closed(body.replace(b'"price"', b'"prize"') + b', "seq": 2', seed_of(RUN))
    torn = closed(body[: body.index(b'"cooldown')] + b' x, "seq": 3', seed_of(RUN))
    content = HEADER + LINES[0] + two + none + torn + LINES[4]
    found = contents(content, tmp_path)
    assert found.table()["seq"].to_pylist() == [0, 4]
    assert {one.reason for one in found.damage} == {"not_a_tick"}
    assert [content[one.start : one.end] for one in found.damage] == [two, none, torn]
    assert sum(found.extent().bytes.values()) == len(content)
    others = [contents(HEADER + LINES[5], tmp_path), contents(HEADER + LINES[0] + two, tmp_path)]
    read_waiting(others, [])
    assert [one.table().num_rows for one in others] == [1, 1]


@pytest.mark.parametrize(
    ("member", "other"),
    [
        (b'"first_seq": 0', b'"first_seq": "0"'),
        (b'"first_seq": 0', b'"first_seq": 9223372036854775808'),
        (b'"number": 0', b'"number": null'),
        (b'"cuts": {}', b'"cuts": {"0": 1e999}'),
        (b'"cuts": {}', b'"cuts": []'),
        (b'"cuts": {}', b'"cuts": {}, "durable": {"0": 1e999}'),
    ],
)
def test_a_header_that_this_package_did_not_write(tmp_path: Path, member: bytes, other: bytes) -> None:
    """A header with a right checksum and values of other types is damage, and costs no tick."""
    body = HEADER[: HEADER.rindex(b', "crc"')]
    assert member in body
    found = contents(closed(body.replace(member, other), 0) + b"".join(LINES), tmp_path)
    assert [one.reason for one in found.damage] == ["foreign_bytes"]
    assert found.table().num_rows == len(LINES)
