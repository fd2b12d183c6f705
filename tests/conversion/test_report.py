"""ConversionReport: what became of every byte and every tick, in numbers and in words."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from replaylab.conversion import job
from replaylab.conversion.report import ConversionReport
from replaylab.conversion.source import Block, Piece, read_pieces
from replaylab.errors import SourceDamaged, SourceUnreadable
from tests.stores import game_lines, line, quiet


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder with a whole recording, a damaged one and a link to nowhere."""
    made = tmp_path / "r"
    made.mkdir()
    (made / "a.jsonl").write_bytes(b"".join(game_lines("a", 9)))
    (made / "b.jsonl").write_bytes(line("b", 0) + b"\r\n" + line("b", 1)[:-30] + line("b", 2) + b"{]\n" + line("b", 3))
    (made / "c.jsonl").symlink_to("nowhere")
    return made


def test_every_byte_and_tick_is_accounted_for(tmp_path: Path, folder: Path) -> None:
    """Kept, repaired, quarantined, blank and known bytes make up all that was read; so do the ticks."""
    report = quiet(folder, tmp_path / "store")
    size = sum((folder / name).stat().st_size for name in ("a.jsonl", "b.jsonl"))
    kinds = (report.bytes_kept, report.bytes_repaired, report.bytes_quarantined, report.bytes_blank, report.bytes_known)
    assert report.bytes_in == size == sum(kinds)
    assert min(kinds[:4]) > 0
    assert report.ticks_seen == report.ticks_stored + report.ticks_quarantined
    assert report.ticks_stored == sum(one.ticks for one in report.sources)
    assert sum(report.reasons.values()) == report.ticks_merged + report.ticks_torn + report.pieces_quarantined
    assert report.ticks_quarantined <= report.pieces_quarantined
    assert sum(report.lines.values()) == 10 + 5
    assert report.balanced
    assert not report.ok
    assert report.unreadable == [f"{folder}/c.jsonl: No such file or directory"]


def test_each_source_has_its_own_account(tmp_path: Path, folder: Path) -> None:
    """Every source is listed once with its state, bytes and ticks, and the damage is where it was."""
    report = quiet(folder, tmp_path / "store")
    assert [(one.source, one.status) for one in report.sources] == [
        ("a.jsonl", "converted"),
        ("b.jsonl", "converted"),
        ("c.jsonl", "unreadable"),
    ]
    a, b, _ = report.sources
    assert (a.ticks, a.lines, a.repaired, a.quarantined) == (10, 10, 0, 0)
    assert b.repaired == report.ticks_merged + report.ticks_torn > 0
    assert b.quarantined == report.pieces_quarantined > 0


def test_said_in_words(tmp_path: Path, folder: Path) -> None:
    """The text names sources by state, the sums, every reason, the zone used, and what could not be read."""
    text = str(quiet(folder, tmp_path / "store", source_tz="Europe/Vienna"))
    for part in ("3 sources (2 converted, 1 unreadable)", "blank", "read as Europe/Vienna", "c.jsonl: No such file"):
        assert part in text
    again = str(quiet(folder, tmp_path / "store"))
    assert "3 sources (2 known, 1 unreadable)" in again


def test_a_recording_cut_while_it_is_read_is_not_balanced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes that were there when the conversion began and gone when it read them are missed, not forgotten."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"".join(game_lines("a", 9)))

    def read_less(pieces: list[Piece]) -> Iterator[Block]:
        path.write_bytes(path.read_bytes()[:500])
        return read_pieces(pieces)

    monkeypatch.setattr(job, "read_pieces", read_less)
    report = quiet(path, tmp_path / "store")
    assert not report.balanced
    assert not report.ok
    assert report.sources[0].status == "shrunk"
    assert f"{report.bytes_in - 500:,} bytes that were there are missing" in str(report)


def test_lines_that_are_no_tick_of_a_known_form_are_counted_by_type(tmp_path: Path) -> None:
    """A file of trades is not simply kept: its lines are counted by type, and a run without a tick is not fine."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"type": "match", "price": "64000.0"}\n' * 6 + b'{"type": "game_start", "game_id": "g"}\n')
    report = quiet(path, tmp_path / "store")
    assert (report.unknown_types, report.ticks_seen, report.ok) == ({"match": 6}, 0, False)
    assert "6 of 7 lines are no tick of a known form (by type: match 6)" in report.problems[0]
    with path.open("ab") as file:
        file.write(line("a", 0))
    grown = quiet(path, tmp_path / "store")
    assert grown.ok
    with pytest.raises(SourceDamaged, match=r"x\.jsonl, line 1, byte 0: unknown_type \(type='match'"):
        quiet(path, tmp_path / "strict", strict=True)


def test_only_what_had_been_a_tick_counts_as_one(tmp_path: Path) -> None:
    """Quarantined scraps are pieces of bytes; ticks are counted once each, whether they could be read or not."""
    path = tmp_path / "x.jsonl"
    path.write_bytes(b"{]\nnot here\n" + line("a", 0) + line("a", 1).replace(b"1.25", b"true") + b"}\n")
    report = quiet(path, tmp_path / "store")
    assert (report.ticks_seen, report.ticks_stored, report.ticks_quarantined) == (2, 1, 1)
    assert report.pieces_quarantined == 4
    assert report.examples["wrong_type"].startswith("in x.jsonl: price=True")
    assert "price=True" in str(report)


def test_balance_is_a_sum() -> None:
    """A report is balanced when its parts make up the whole, and not otherwise."""
    assert ConversionReport(store="s", source_tz="UTC", bytes_in=6, bytes_kept=3, bytes_blank=1, bytes_known=2).balanced
    assert not ConversionReport(store="s", source_tz="UTC", bytes_in=7, bytes_kept=6).balanced


def test_json_and_back(tmp_path: Path, folder: Path) -> None:
    """A report survives being written as JSON."""
    report = quiet(folder, tmp_path / "store")
    assert report.reasons
    assert ConversionReport.from_json(report.to_json()) == report
    plain = json.loads(report.to_json())
    assert plain == report.to_dict()
    assert (plain["ticks_seen"], plain["balanced"]) == (report.ticks_seen, True)
    assert plain["sources"][0]["status"] == report.sources[0].status


def test_the_names_that_pydantic_had_work_on() -> None:
    """`model_dump` and `model_dump_json` return what they did, and say what to write instead."""
    report = ConversionReport(store="s", source_tz="UTC", bytes_in=1, bytes_kept=1)
    with pytest.warns(DeprecationWarning, match=r"write report\.to_dict\(\)"):
        assert report.model_dump(mode="json", exclude={"store"}) == report.to_dict(without={"store"})
    with pytest.warns(DeprecationWarning, match=r"write report\.to_json\(\)"):
        assert json.loads(report.model_dump_json(exclude={"store"}, indent=1)) == report.to_dict(without={"store"})


def test_a_conversion_needs_no_pydantic(folder: Path, tmp_path: Path) -> None:
    """Neither converting nor its report waits for pydantic, pandas or pyarrow.compute to load."""
    code = (
        "import sys, replaylab as rl\n"
        f"print(len(str(rl.convert({str(folder)!r}, {str(tmp_path / 'store')!r}, progress=False))) > 0)\n"
        "print(sorted(sys.modules.keys() & {'pydantic', 'pandas', 'pyarrow.compute'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.split("\n")[:2] == ["True", "[]"]


def test_frozen() -> None:
    """A report cannot be changed after the fact."""
    report = ConversionReport(store="s", source_tz="UTC")
    with pytest.raises(AttributeError, match="cannot assign"):
        report.bytes_in = 1  # type: ignore[misc]
    assert issubclass(SourceUnreadable, PermissionError)


@pytest.mark.parametrize(
    ("extra", "said"), [(["a.txt"], "1 file or folder (a.txt"), (["a.txt", "b.txt"], "2 files or folders (a.txt")]
)
def test_what_was_left_alone_is_counted(tmp_path: Path, extra: list[str], said: str) -> None:
    """One is in the singular, and two are in the plural."""
    (tmp_path / "in").mkdir()
    for name in extra:
        (tmp_path / "in" / name).touch()
    (tmp_path / "in" / "a.jsonl").write_bytes(line())
    assert f"left alone: {said}" in str(quiet(tmp_path / "in", tmp_path / "store"))
