"""Sources: paths, folders and patterns find each recording once, and reading in blocks gives every byte once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replaylab.conversion import source as module
from replaylab.conversion.source import (
    Block,
    Piece,
    Source,
    last_line_start,
    line_end,
    read_pieces,
    search_sources,
)
from replaylab.errors import SourceEmpty, SourceNotFound
from replaylab.parsing.fields import PADDING
from replaylab.parsing.scan import Account, scan, scan_block, too_long
from tests.crash.scale import SCALE
from tests.strategies import recordings

FILES = st.lists(
    st.lists(st.binary(max_size=30).map(lambda raw: raw.replace(b"\n", b"n")), max_size=12).map(b"\n".join), max_size=5
)


@contextmanager
def limits(block: int, line: int) -> Iterator[None]:
    """Make blocks and the longest line small for a while."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BLOCK_BYTES", block)
        patch.setattr(module, "MAX_LINE_BYTES", line)
        yield


@contextmanager
def pieces_of(files: list[bytes], ending: str = ".jsonl") -> Iterator[list[Piece]]:
    """Return files as pieces, one each."""
    with tempfile.TemporaryDirectory() as folder:
        pieces = []
        for number, data in enumerate(files):
            path = Path(folder) / f"{number}{ending}"
            path.write_bytes(data)
            pieces.append(Piece(Source(path, path.name, len(data)), 0, len(data), 0, 0))
        yield pieces


def put_together(blocks: Iterable[Block], count: int) -> list[bytes]:
    """Return the bytes of every piece back, added newlines taken off."""
    found = [b""] * count
    for block in blocks:
        at = 0
        assert block.size == (block.parts[-1].end if block.parts else 0)
        assert len(block.data) >= block.size + (0 if block.too_long else PADDING)
        for part in block.parts:
            data = bytes(block.data[at : part.end])
            assert data.endswith(b"\n") or block.too_long or block.document or not data
            found[part.number] += data[:-1] if part.unended else data
            at = part.end
    return found


@settings(max_examples=60 * SCALE)
@given(FILES, st.integers(1, 80), st.integers(0, 80))
def test_every_byte_is_read_once(files: list[bytes], block: int, more: int) -> None:
    """Blocks of whole lines put together are the files, whatever their sizes and those of the blocks."""
    with pieces_of(files) as pieces, limits(block, block + more):
        assert put_together(read_pieces(pieces), len(files)) == files


@settings(max_examples=60 * SCALE)
@given(FILES, st.integers(1, 60), st.integers(0, 60))
def test_a_line_is_too_long_by_its_length_alone(files: list[bytes], block: int, more: int) -> None:
    """Where a line stands among blocks does not decide whether it is read; each long line ends once."""
    longest = block + more
    with pieces_of(files) as pieces, limits(block, longest):
        blocks = list(read_pieces(pieces))
    lines = [line for data in files for line in re.findall(rb"[^\n]*\n|[^\n]+\Z", data)]
    long = [line for line in lines if len(line) > longest]
    skipped = [block for block in blocks if block.too_long]
    assert sum(block.ends_line for block in skipped) == len(long)
    assert b"".join(bytes(block.data[: block.size]) for block in skipped) == b"".join(long)


@settings(max_examples=60)
@given(st.lists(recordings(), max_size=4), st.integers(300, 3000))
def test_files_in_blocks_give_what_they_give_alone(files: list[bytes], block: int) -> None:
    """Account and ticks of files read in blocks are those of the files scanned whole."""
    with pieces_of(files) as pieces, limits(block, 1 << 20):
        scans = [scan_block(one.data, [part[1:] for part in one.parts]) for one in read_pieces(pieces)]
    together, alone = Account(), Account()
    for one in scans:
        together.add(one.account)
    for data in files:
        alone.add(scan(data).account)
    for kind in ("bytes", "lines", "ticks", "reasons"):
        assert +getattr(together, kind) == +getattr(alone, kind)
    prices = [price for one in scans for price in one.batch.price.to_pylist()]
    assert prices == [price for data in files for price in scan(data).batch.price.to_pylist()]


@settings(max_examples=50 * SCALE)
@given(st.binary(min_size=1, max_size=200), st.data())
def test_pieces_are_cut_at_the_ends_of_lines(data: bytes, draw: st.DataObject) -> None:
    """The end of the line that holds a byte is behind the next newline, or the end of the file."""
    with pieces_of([data]) as (piece,), piece.source.path.open("rb") as file:
        position = draw.draw(st.integers(1, len(data)))
        newline = data.find(b"\n", position - 1)
        assert line_end(file, position, len(data)) == (newline + 1 if newline >= 0 else len(data))


def test_a_long_line_is_looked_through() -> None:
    """The end of a line far away is found, and a file that became shorter does not hold the search up."""
    data = b"x" * 300_000 + b"\n" + b"y" * 10
    with pieces_of([data]) as (piece,), piece.source.path.open("rb") as file:
        assert line_end(file, 5, len(data)) == 300_001
        assert line_end(file, 300_002, len(data)) == len(data)
        assert line_end(file, 300_002, len(data) + 10) == len(data) + 10


def test_a_file_that_became_shorter_is_read_as_far_as_it_goes() -> None:
    """Bytes that are no longer there are not made up, and nothing waits for them."""
    for size in (0, 5, 30):
        with pieces_of([b"a\n" * 15, b"b\n"]) as pieces, limits(12, 24):
            pieces[0].source.path.write_bytes((b"a\n" * 15)[:size])
            assert put_together(read_pieces(pieces), 2) == [(b"a\n" * 15)[:size], b"b\n"]
            small = [piece._replace(end=6) for piece in pieces]
            assert put_together(read_pieces(small), 2)[0] == (b"a\n" * 15)[: min(size, 6)]


def test_lines_after_a_line_that_is_too_long_are_read() -> None:
    """Short lines between two long ones are lines of their own."""
    data = b"x" * 100 + b"\na\nb\n" + b"y" * 100 + b"\nc\n" + b"z" * 100
    with pieces_of([data]) as pieces, limits(16, 32):
        blocks = [block._replace(data=bytearray(block.data)) for block in read_pieces(pieces)]
    read = b"".join(bytes(block.data[: block.size]) for block in blocks if not block.too_long)
    long = [too_long(bytes(block.data), ends_line=block.ends_line).account for block in blocks if block.too_long]
    assert read == b"a\nb\nc\n"
    assert sum(account.lines["damaged"] for account in long) == 3
    assert sum(account.bytes["quarantined"] for account in long) == len(data) - len(read)


def test_a_document_comes_whole() -> None:
    """A .json file is one block of its own; one that is too long comes as lines."""
    with pieces_of([b'{\n"a": 1}', b"{}"], ".game.json") as pieces, limits(4, 16):
        blocks = list(read_pieces(pieces))
        assert [(block.size, block.document) for block in blocks] == [(9, True), (2, True)]
    with pieces_of([b'{\n"a":\n "' + b"x" * 30], ".game.json") as pieces, limits(4, 16):
        assert not any(block.document for block in read_pieces(pieces))


def test_memory_stays_bounded_without_newlines(tmp_path: Path) -> None:
    """A hundred megabytes without a newline are read in a small part of that memory."""
    path = tmp_path / "long.jsonl"
    with path.open("wb") as file:
        for _ in range(100):
            file.write(b"x" * 1_000_000)
    program = (
        "import resource, sys; from pathlib import Path; from replaylab.conversion.source import *\n"
        "from replaylab.parsing.scan import too_long\n"
        "piece = Piece(Source(Path(sys.argv[1]), 'x', 10**8), 0, 10**8, 0, 0)\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "lines = size = 0\n"
        "for block in read_pieces([piece]):\n"
        "    account = too_long(bytes(block.data), ends_line=block.ends_line).account\n"
        "    lines += account.lines['damaged']; size += account.bytes['quarantined']\n"
        "print(lines, size, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    root = str(Path(module.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        capture_output=True,
        check=True,
        env={**os.environ, "PYTHONPATH": root},
    )
    lines, size, kilobytes = map(int, done.stdout.split())
    assert (lines, size) == (1, 10**8)
    assert kilobytes < 90_000


def make(folder: Path, *names: str) -> None:
    """Make small recordings."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\n")


def test_folders_are_searched_in_depth(tmp_path: Path) -> None:
    """Recordings and documents below a folder are found, named by their path below it; other files are not."""
    make(tmp_path, "b.jsonl", "a/c.jsonl", "a/d.game.json", "a/e.json", "notes.txt", ".hidden.jsonl", ".git/x.jsonl")
    found = search_sources(tmp_path).sources
    assert [one.name for one in found] == ["a/c.jsonl", "a/d.game.json", "b.jsonl"]
    assert [(one.size, one.is_document) for one in found] == [(1, False), (1, True), (1, False)]


def test_each_recording_is_found_once(tmp_path: Path) -> None:
    """A file given by folder, path and pattern is one source; a file given by name may have any ending."""
    make(tmp_path, "a.jsonl", "b.log")
    found = search_sources([tmp_path, tmp_path / "a.jsonl", str(tmp_path / "*.jsonl"), tmp_path / "b.log"]).sources
    assert [one.name for one in found] == ["a.jsonl", "b.log"]


def test_equal_names_are_told_apart(tmp_path: Path) -> None:
    """Recordings that share a name are named by as many folders as it takes, and no two end up with one name."""
    make(tmp_path, "one/x.jsonl", "two/x.jsonl", "root/one/x.jsonl", "root/y.jsonl")
    given_paths = [tmp_path / "one/x.jsonl", tmp_path / "two/x.jsonl", tmp_path / "root"]
    names = [one.name for one in search_sources(given_paths).sources]
    assert len(set(names)) == len(names) == 4
    assert {"two/x.jsonl", "y.jsonl", "root/one/x.jsonl"} < set(names)
    assert {one.name for one in search_sources(reversed(given_paths)).sources} == set(names)


def test_a_path_with_pattern_characters_is_a_path_first(tmp_path: Path) -> None:
    """A file whose name looks like a pattern is found by its name."""
    make(tmp_path, "game[1].jsonl", "game1.jsonl")
    assert [one.name for one in search_sources(tmp_path / "game[1].jsonl").sources] == ["game[1].jsonl"]


def test_a_name_that_is_no_text_is_shown_with_escapes(tmp_path: Path) -> None:
    """A file name of other bytes than UTF-8 becomes text that can be stored."""
    path = os.fsencode(tmp_path) + b"/caf\xe9.jsonl"
    with open(path, "wb") as file:  # noqa: PTH123 a name of bytes is no Path
        file.write(b"\n")
    (found,) = search_sources(tmp_path).sources
    assert found.name == "caf\\xe9.jsonl"
    assert found.path.read_bytes() == b"\n"


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    """A missing path, a pattern without a match and a folder without recordings are errors that name it."""
    make(tmp_path, "notes.txt")
    for missing in (tmp_path / "no.jsonl", str(tmp_path / "*.jsonl")):
        with pytest.raises(SourceNotFound, match=r"jsonl"):
            search_sources(missing)
    for empty in (tmp_path, [tmp_path, tmp_path], []):
        with pytest.raises(SourceEmpty, match="no recordings"):
            search_sources(empty)


def test_recordings_are_found_whatever_the_case_of_their_suffix(tmp_path: Path) -> None:
    """A suffix in capitals is the same suffix, and .ndjson is one."""
    make(tmp_path, "a.jsonl", "b.JSONL", "c.ndjson", "d.NdJson", "e.Game.JSON")
    assert [one.name for one in search_sources(tmp_path).sources] == [
        "a.jsonl",
        "b.JSONL",
        "c.ndjson",
        "d.NdJson",
        "e.Game.JSON",
    ]


def test_what_was_left_alone_is_named(tmp_path: Path) -> None:
    """Files that are no recordings by name, hidden recordings, links to folders and stores are named with why."""
    make(tmp_path, "a.jsonl", "notes.txt", "in/b.csv", ".hidden.jsonl", ".git/x.jsonl", "elsewhere/c.jsonl")
    make(tmp_path, "store/refused/x.jsonl", "target/refused/y.jsonl")
    for name in ("segments", "remarks"):
        (tmp_path / "store" / name).mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    found = search_sources(tmp_path, store=tmp_path / "target")
    assert [one.name for one in found.sources] == ["a.jsonl", "elsewhere/c.jsonl"]
    assert found.left_alone.keys() == {"notes.txt", "in/b.csv", ".hidden.jsonl", "link", "store", "target"}
    assert "a store" in found.left_alone["store"]
    with pytest.raises(SourceEmpty, match="a store, and no source"):
        search_sources(tmp_path / "store")


@settings(max_examples=50 * SCALE)
@given(st.binary(max_size=60).map(lambda data: data.replace(b"x", b"\n")), st.data())
def test_the_start_of_a_last_line(data: bytes, draw: st.DataObject) -> None:
    """It stands behind the last newline, or at the beginning of what is looked at."""
    with pieces_of([data]) as (piece,), piece.source.path.open("rb") as file:
        begin = draw.draw(st.integers(0, len(data)))
        assert last_line_start(file, begin, len(data)) == max(begin, data.rfind(b"\n", begin) + 1)
