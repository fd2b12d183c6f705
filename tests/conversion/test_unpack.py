"""Unpack: whatever a recording comes in, its store is that of the plain file; what is no recording is named."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from replaylab.conversion import packing as packings
from replaylab.conversion import unpack as module
from replaylab.conversion.convert import convert
from replaylab.conversion.inspect import inspect
from replaylab.conversion.packing import pieces
from replaylab.conversion.source import Source
from replaylab.conversion.unpack import dress_of, unpack
from replaylab.encryption.kms import FileKey
from replaylab.errors import NotARecording, SourceUnreadable
from replaylab.parsing.mapping import Mapping
from replaylab.parsing.scan import scan
from replaylab.storage.open import open_store
from tests.stores import game_lines, line, names, quiet, rows, run_child, state
from tests.strategies import recordings


def zstd(data: bytes) -> bytes:
    """Pack with zstd."""
    return bytes(pa.compress(data, codec="zstd", asbytes=True))


def zipped(data: bytes) -> bytes:
    """Pack with zip, in two members of whole lines."""
    out = io.BytesIO()
    cut = data.rfind(b"\n", 0, len(data) // 2) + 1
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.jsonl", data[:cut])
        archive.writestr("b.jsonl", data[cut:])
    return out.getvalue()


PACKINGS: Final[dict[str, Callable[[bytes], bytes]]] = {
    "gzip": gzip.compress,
    "zstd": zstd,
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "lzma": lambda data: lzma.compress(data, lzma.FORMAT_ALONE),
    "zip": zipped,
}


def unpacked(path: Path) -> bytes:
    """Return the text of a file."""
    head = path.read_bytes()[: module.HEAD_BYTES]
    source = Source(path, path.name, path.stat().st_size)
    return unpack(source, dress_of(head), path.with_name("out")).source.path.read_bytes()


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_packed_recording_is_that_of_its_bytes(tmp_path: Path, packing: str) -> None:
    """By content, not by name: rows, remarks, accounts and identity are those of the unpacked bytes."""
    data = b"".join(game_lines("g", 30)) + b"## note\nbroken\n"
    (tmp_path / "plain.jsonl").write_bytes(data)
    (tmp_path / "packed.jsonl").write_bytes(PACKINGS[packing](data))
    plain, packed = (quiet(tmp_path / f"{name}.jsonl", tmp_path / name) for name in ("plain", "packed"))
    assert rows(tmp_path / "packed") == rows(tmp_path / "plain")
    same = ("bytes_in", "bytes_kept", "bytes_quarantined", "lines", "ticks_stored", "reasons", "balanced")
    assert [getattr(packed, name) for name in same] == [getattr(plain, name) for name in same]
    assert packed.read_as == {"packed.jsonl": packing}
    again = quiet([tmp_path / "packed.jsonl"], tmp_path / "plain")
    assert (again.ticks_stored, again.ticks_known, [one.status for one in again.sources]) == (0, 31, ["known"])
    assert quiet(tmp_path / "plain.jsonl", tmp_path / "packed").ticks_stored == 0


@pytest.mark.parametrize("packing", ["gzip", "zstd", "bzip2", "xz"])
def test_several_members_are_one_text(tmp_path: Path, packing: str) -> None:
    """Members that were appended one behind the other, in the middle of a line too, are read to the last one."""
    data = b"".join(game_lines("g", 30))
    pack = PACKINGS[packing]
    (tmp_path / "x.jsonl").write_bytes(pack(data[:1_000]) + pack(data[1_000:1_001]) + pack(data[1_001:]))
    assert unpacked(tmp_path / "x.jsonl") == data


@pytest.mark.parametrize("packing", ["gzip", "zstd", "bzip2", "xz"])
def test_a_packed_file_that_was_cut_off_is_said(tmp_path: Path, packing: str) -> None:
    """What comes before the cut is read; the report names the file and is not fine."""
    data = b"".join(line("g", tick, repr(tick * 0.937_123)) for tick in range(4_000))
    packed = PACKINGS[packing](data[:300_000]) + PACKINGS[packing](data[300_000:])
    (tmp_path / "x.jsonl").write_bytes(packed[: len(packed) - 5_000])
    report = quiet(tmp_path / "x.jsonl", tmp_path / "store")
    assert 0 < report.ticks_stored < 4_000
    assert not report.ok
    assert "damaged or cut off" in report.cut_off[0]
    assert "what comes before was read" in str(report)


def _known(packing: str, packed: bytes) -> bytes:
    """Return what a decompressor says of packed bytes that it is fed one by one, up to an error."""
    makes: dict[str, Callable[[], Any]] = {"bzip2": bz2.BZ2Decompressor, "xz": lzma.LZMADecompressor}
    inner = makes.get(packing, lambda: zlib.decompressobj(31))()
    found = b""
    for at in range(len(packed)):
        try:
            found += inner.decompress(packed[at : at + 1])
        except (zlib.error, OSError, EOFError, lzma.LZMAError):
            break
    return found


def _all_of(packing: str, packed: bytes) -> tuple[bytes, bool]:
    """Return what is read of packed bytes, and whether their end was met as it should be."""
    found = b""
    try:
        for piece in pieces(io.BytesIO(packed), packing):
            found += piece
    except (EOFError, OSError, zlib.error, lzma.LZMAError):
        return found, False
    return found, True


@pytest.mark.parametrize("packing", ["gzip", "bzip2", "xz"])
def test_what_a_decompressor_knows_of_a_cut_file_is_read(packing: str) -> None:
    """Cut at any byte, or with any byte changed, a file is read as far as its decompressor can; the end is named."""
    data = b"".join(game_lines("g", 12))
    packed = PACKINGS[packing](data)
    for cut in range(4, len(packed)):
        assert _all_of(packing, packed[:cut]) == (_known(packing, packed[:cut]), False)
        changed = packed[:cut] + bytes([packed[cut] ^ 0x55]) + packed[cut + 1 :]
        found, whole = _all_of(packing, changed)
        assert whole or found == _known(packing, changed)
    assert _all_of(packing, packed * 2) == (data * 2, True)


def test_the_whole_blocks_of_a_cut_zstd_file_are_read() -> None:
    """Whole frames and blocks before a cut come out, of whatever size they are."""
    frames = [b"".join(game_lines(f"g{n}", n + 1)) for n in range(6)]
    packed = [zstd(frame) for frame in frames]
    whole = b"".join(packed[:5])
    for cut in range(len(whole) + 4, len(whole) + len(packed[5])):
        assert _all_of("zstd", b"".join(packed)[:cut]) == (b"".join(frames[:5]), False)
    assert _all_of("zstd", b"".join(packed)) == (b"".join(frames), True)


def test_a_bomb_is_refused_in_bounded_memory(tmp_path: Path) -> None:
    """Ten gigabytes in ten megabytes are refused by name before they are written."""
    piece = gzip.compress(b" " * (64 << 20), 9)
    (tmp_path / "bomb.jsonl").write_bytes(piece * 160)
    code = (
        "import sys; from replaylab.conversion.convert import convert\n"
        "try: convert(sys.argv[1], sys.argv[2], progress=False)\n"
        "except Exception as error: print(type(error).__name__, error)\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    said, used = run_child(code, tmp_path / "bomb.jsonl", tmp_path / "store").stdout.splitlines()
    assert said.startswith("NotARecording bomb.jsonl: unpacks to more than 200 times its size")
    assert int(used) < 300_000


ENCODINGS: Final = {"utf-16": "utf-16", "utf-16-le": "utf-16-le", "utf-16-be": "utf-16-be", "utf-32": "utf-32"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("packed", [False, True])
def test_another_encoding_is_read(tmp_path: Path, encoding: str, packed: bool) -> None:  # noqa: FBT001
    """UTF-16, as PowerShell writes it, with and without a mark; text beyond ASCII comes through."""
    data = b"".join(game_lines("日本-\U0001f680", 30)).replace(b"\n", b"\r\n")
    other = data.decode().encode(encoding)
    (tmp_path / "x.jsonl").write_bytes(gzip.compress(other) if packed else other)
    report = quiet(tmp_path / "x.jsonl", tmp_path / "store")
    assert (report.ticks_stored, report.pieces_quarantined, report.balanced) == (31, 0, True)
    assert open_store(tmp_path / "store").game_ids() == ["日本-\U0001f680"]


@pytest.mark.parametrize("torn", [b"x", b"\n", b"\x3d\xd8", b"\x3d\xd8\x00"])
def test_half_a_character_at_the_end_is_no_text_and_is_said(tmp_path: Path, torn: bytes) -> None:
    """A UTF-16 file that was cut within a character loses no tick before it; the report is not fine and says why."""
    data = b"".join(game_lines("g", 3)).decode().encode("utf-16-le") + torn
    (tmp_path / "x.jsonl").write_bytes(data)
    report = quiet(tmp_path / "x.jsonl", tmp_path / "store")
    assert (report.ticks_stored, report.pieces_quarantined, report.balanced, report.ok) == (4, 0, True, False)
    bytes_left = f"its last {len(torn)} byte{'s' if len(torn) > 1 else ''} cannot be read"
    assert f"x.jsonl: utf-16-le text ends within a character, {bytes_left}" in str(report)


def test_what_is_no_character_ends_the_text_and_is_said(tmp_path: Path) -> None:
    """A number that is no character of UTF-32: what comes before is read, and the report names encoding and file."""
    data = b"".join(game_lines("g", 3)).decode().encode("utf-32")
    (tmp_path / "x.jsonl").write_bytes(data + b"\xff\xff\xff\xff" + data[4:])
    report = quiet(tmp_path / "x.jsonl", tmp_path / "store")
    assert "x.jsonl: utf-32-le data is damaged or cut off" in str(report)
    assert not report.ok


OBJECTS: Final = [json.loads(one) for one in game_lines("g", 12)]
LAYOUTS: Final[dict[str, str]] = {
    "one line": json.dumps(OBJECTS),
    "compact": json.dumps(OBJECTS, separators=(",", ":")),
    "indented array": json.dumps(OBJECTS, indent=2),
    "one a line": "[\n" + ",\n".join(json.dumps(one) for one in OBJECTS) + "\n]\n",
    "comma first": "[" + "\n,".join(json.dumps(one) for one in OBJECTS) + "]",
    "three a line": "[\n" + ",\n".join(json.dumps(OBJECTS[at : at + 3])[1:-1] for at in range(0, 13, 3)) + "]",
    "batches": "".join(json.dumps(OBJECTS[at : at + 3]) + "\n" for at in range(0, 13, 3)),
    "indented objects": "".join(json.dumps(one, indent=4) + "\n" for one in OBJECTS),
    "tabs and carriage returns": "".join(json.dumps(one, indent="\t") + "\n" for one in OBJECTS).replace("\n", "\r\n"),
    "trailing commas": "".join(json.dumps(one) + ",\n" for one in OBJECTS),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_json_however_laid_out_is_read(tmp_path: Path, layout: str) -> None:
    """Arrays and indented objects hold the ticks that lines would; commas and brackets are no ticks."""
    (tmp_path / "x.jsonl").write_text(LAYOUTS[layout])
    report = quiet(tmp_path / "x.jsonl", tmp_path / "store")
    assert (report.ticks_seen, report.ticks_stored, report.reasons) == (13, 13, {})
    assert report.balanced
    assert report.bytes_in == len(LAYOUTS[layout])
    assert quiet(tmp_path / "x.jsonl", tmp_path / "store").ticks_known == 13


@settings(max_examples=30, deadline=None)
@given(recordings(), st.sampled_from([*PACKINGS]), st.sampled_from(["", "utf-16"]))
def test_any_bytes_in_any_dress_have_an_exact_account(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, packing: str, encoding: str
) -> None:
    """Whatever is packed: bytes in are kept, repaired, quarantined or blank, and ticks are those of the plain text."""
    folder = tmp_path_factory.mktemp("dress")
    text = data.decode("utf-8", "ignore")
    plain = text.encode()
    (folder / "x.jsonl").write_bytes(PACKINGS[packing](text.encode(encoding) if encoding else plain))
    try:
        report = convert(folder / "x.jsonl", folder / "store", progress=False)
    except (NotARecording, SourceUnreadable):
        return
    assert report.balanced
    if report.read_as == {"x.jsonl": packing} and packing != "zip":
        assert report.ticks_stored == len(scan(plain).batch)
    assert open_store(folder / "store").verify().ok


OTHERS: Final = {
    "an HTML page": b"<!DOCTYPE html>\n<html></html>\n",
    "a Git LFS pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n",
    "a Parquet file": b"PAR1\x15\x04",
    "an Arrow file": b"ARROW1\x00\x00",
    "a table in CSV": b"ts,px,qty\n1,2,3\n",
    "an SQLite database": b"SQLite format 3\x00",
    "a 7-Zip archive": b"7z\xbc\xaf\x27\x1c\x00",
    "a tar archive": b"a.jsonl".ljust(257, b"\0") + b"ustar\x0000",
    "an XML document": b'<?xml version="1.0"?>\n',
    "a file of compress": b"\x1f\x9d\x90ab",
    "an LZ4 file": b"\x04\x22\x4d\x18ab",
    "zeros only": b"\0" * 4096,
}


@pytest.mark.parametrize("what", OTHERS)
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_no_recording_is_named(tmp_path: Path, what: str, packed: bool) -> None:  # noqa: FBT001
    """A file of another kind is said to be one, alone and among others; alone it leaves no store behind."""
    (tmp_path / "x.jsonl").write_bytes(gzip.compress(OTHERS[what]) if packed else OTHERS[what])
    with pytest.raises(NotARecording, match=f"{what}.*not a recording"):
        quiet(tmp_path / "x.jsonl", tmp_path / "store")
    assert not (tmp_path / "store").exists()
    (tmp_path / "y.jsonl").write_bytes(line("g", 0))
    report = quiet([tmp_path / "x.jsonl", tmp_path / "y.jsonl"], tmp_path / "store")
    assert (report.ticks_stored, report.ok) == (1, False)
    assert what in report.unreadable[0]


@pytest.mark.parametrize("strict", [False, True])
def test_a_refused_recording_leaves_no_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, strict: bool) -> None:
    """A bomb, damage and half a file: neither folders nor keys are left, but a store that was there stays."""
    monkeypatch.setattr(module, "FREE_BYTES", 1000)
    (tmp_path / "bomb.jsonl.gz").write_bytes(gzip.compress(bytes(1_000_000)))
    (tmp_path / "half.jsonl.gz").write_bytes(gzip.compress(b"x" * 99)[:10])
    store, key = tmp_path / "new" / "store", FileKey(tmp_path / "key", create=True)
    for name in ("bomb.jsonl.gz", "half.jsonl.gz"):
        with pytest.raises((NotARecording, SourceUnreadable)):
            convert(tmp_path / name, store, strict=strict, progress=False, kms=key)
        assert names(tmp_path) == ["bomb.jsonl.gz", "half.jsonl.gz", "key"]
    store.mkdir(parents=True)
    with pytest.raises(NotARecording):
        convert(tmp_path / "bomb.jsonl.gz", store, progress=False)
    assert store.is_dir()


def test_the_files_of_an_archive_are_each_read_for_what_they_are(tmp_path: Path) -> None:
    """Encodings may differ; what is no recording is named, and the others are read; an end without newline is one."""
    text = "".join(one.decode() for one in game_lines("g", 3))
    files = {
        "a.jsonl": text.encode("utf-16"),
        "b.jsonl.gz": gzip.compress(text.encode()),
        "c.jsonl": text.rstrip().encode(),
        "page.html": b"<html></html>",
        "d.json": json.dumps([json.loads(one) for one in text.splitlines()]).encode(),
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    (tmp_path / "x.zip").write_bytes(out.getvalue())
    report = quiet(tmp_path / "x.zip", tmp_path / "store")
    assert (report.ticks_stored, report.balanced, report.ok, report.reasons) == (12, True, False, {})
    assert "x.zip: b.jsonl.gz: packed twice, with gzip within: unpack it once, not a recording" in report.cut_off[0]
    assert "x.zip: page.html: an HTML page" in report.cut_off[0]
    assert inspect(tmp_path / "x.zip").ticks == 4


def test_packed_twice_is_named(tmp_path: Path) -> None:
    """A gzip within a zstd within nothing that is read: what it is, and what to do."""
    (tmp_path / "x.jsonl").write_bytes(zstd(gzip.compress(line("g", 0))))
    with pytest.raises(NotARecording, match="packed twice, with gzip within: unpack it once"):
        quiet(tmp_path / "x.jsonl", tmp_path / "store")
    assert "packed twice" in inspect(tmp_path / "x.jsonl").form


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("begin", ["", "\r\n ", "["])
def test_an_encoding_without_its_mark_is_read(tmp_path: Path, encoding: str, begin: str) -> None:
    """The zeros beside the first bracket say what it is, behind blanks too."""
    text = begin + b"".join(game_lines("g", 5)).decode()
    (tmp_path / "x.jsonl").write_bytes(text.encode(encoding))
    report = quiet(tmp_path / "x.jsonl", tmp_path / "store")
    assert (report.ticks_stored, report.reasons) == (6, {})


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
def test_a_mark_within_a_text_is_of_the_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    """U+FEFF is taken away at the beginning alone, wherever pieces begin."""
    text = line("g", 0, phase="a\ufeff\ufeff\ufeff\ufeffb", padding="\ufeff" * 50).decode()
    text = json.dumps(json.loads(text), ensure_ascii=False) + "\n"
    (tmp_path / "x.jsonl").write_bytes(gzip.compress(text.encode(encoding)))
    for size in (2, 4, 6, 8, 12):
        monkeypatch.setattr(packings, "PIECE_BYTES", size)
        assert unpacked(tmp_path / "x.jsonl").removeprefix(b"\xef\xbb\xbf") == text.encode()


def problems(path: Path, store: Path, mapping: Mapping | None) -> str:
    """Return what a conversion says against a file that it does not read."""
    try:
        report = convert(path, store, mapping=mapping, progress=False)
    except NotARecording as error:
        assert not store.exists()
        return str(error)
    assert not report.ticks_stored
    return str(report.problems)


def test_an_object_that_is_too_long_is_refused_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On one line or indented: without a mapping, by one that looks around the games, and by one without elements."""
    monkeypatch.setattr("replaylab.conversion.source.MAX_LINE_BYTES", 40_000)
    monkeypatch.setattr("replaylab.conversion.source.BLOCK_BYTES", 10_000)
    monkeypatch.setattr("replaylab.parsing.one_per_line._LONGEST_OBJECT", 40_000)
    found = {"kind": "games", "games": [{"gameId": f"g{n}", "startTime": 1, "prices": ["1.0"] * 900} for n in range(9)]}
    around = Mapping(path="games[]", where={"kind": "games"}, prices="prices", fields={"game_id": "gameId"})
    said = {
        "needs --map": None,
        "a mapping with `where`, or with a path that begins with /, reads a document as a whole": around,
        "has to lead to many elements": Mapping(path="games", prices="prices"),
    }
    for indent in (None, 1):
        whole = json.dumps(found, indent=indent).encode()
        for number, (text, mapping) in enumerate(said.items()):
            for name, data in (("x.json", whole), ("x.json.gz", gzip.compress(whole)), ("x.jsonl", whole)):
                (tmp_path / name).write_bytes(data)
                assert text in problems(tmp_path / name, tmp_path / f"{name}{indent}{number}", mapping), (indent, name)
        good = convert(tmp_path / "x.json", tmp_path / f"{indent}", mapping="games", progress=False)
        assert (good.ticks_stored, good.ok) == (8100, True)


def test_a_recording_that_begins_with_damage_is_one() -> None:
    """Damaged first lines do not make a recording something else."""
    for head in (
        b"[1, 2]\n",
        b"{\n" + line("g", 0),
        b'{"type": "tick", "time\n',
        b"\xff\xfe\xfd\n",
        b"}\n",
        b"",
        b"a,b\n",
    ):
        dress = dress_of(head)
        assert dress.plain or dress.encoding
        assert not dress.other


def test_standard_input_is_a_source(tmp_path: Path) -> None:
    """A dash reads what is piped in, packed or not."""
    code = "import sys, replaylab as rl; print(rl.convert('-', sys.argv[1], progress=False).ticks_stored)"
    data = gzip.compress(b"".join(game_lines("g", 5)))
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "store")],
        input=data,
        capture_output=True,
        check=True,
        env=os.environ,
    )
    assert done.stdout == b"6\n"
    assert state(tmp_path / "store")[1][0]["game_id"] == "g"


@pytest.mark.parametrize("blanks", [b"", b" "])
def test_a_tick_that_has_the_word_of_an_archive_is_a_tick(tmp_path: Path, blanks: bytes) -> None:
    """A line of ticks is one, also where the mark of a tar archive stands at its place within a text."""
    known = line("g", 0).rstrip(b"}\n").replace(b"{", b"{" + blanks, 1)
    tick = known + b', "note": "'
    (tmp_path / "x.jsonl").write_bytes(tick.ljust(257, b".") + b'ustar"}\n' + line("g", 1))
    assert quiet(tmp_path / "x.jsonl", tmp_path / "store").ticks_stored == 2
