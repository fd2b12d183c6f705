"""Format of a journal: every line is found at its byte and its line, and every byte is counted once, by its kind."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

import pytest

from replaylab.journals.encoder import Encoder, checksum, closed, seed_of
from replaylab.journals.format import (
    NAME,
    Control,
    Damage,
    Header,
    Lines,
    end_line,
    is_whole,
    journal_name,
    place_of,
    run_name,
    scan,
)
from tests.recordings import ticks

RUN: Final = "20310102T030405000000Z-0123456789ab-7"
TICKS: Final = ticks(4)
LINES: Final = [Encoder(RUN).line(one, seq + 40) for seq, one in enumerate(TICKS)]
HEADER: Final = Header(RUN, 2, 40)
OTHER: Final = closed(b'{"type": "weather", "sky": "blue"', seed_of(RUN))
NO_SEQ: Final = closed(TICKS[0].to_line()[:-1], seed_of(RUN))  # a right checksum, but no number in its run
BAD_HEADER: Final = closed(b'{"type": "journal_start", "format": 1, "run": 7', 0)
START, FIRST_LINE = 1_000, 70


def read(data: bytes, *, final: bool = True) -> Lines:
    """Return a block of a journal that begins at byte 1,000, line 70."""
    return scan(data, RUN, start=START, first_line=FIRST_LINE, final=final)


def damage(reason: str, line: int, start: int, raw: bytes) -> Damage:
    """Return damage in the block, by its line and byte counted from the block's first."""
    return Damage(reason, FIRST_LINE + line, START + start, START + start + len(raw), raw)


def test_name_of_a_run_says_when_where_and_by_which_process() -> None:
    """The instant in UTC, a digest that another machine, process or chance changes, and the process; it is a name."""
    at = datetime(2031, 1, 2, 4, 4, 5, 6, tzinfo=timezone(timedelta(hours=1)))
    name = run_name(at, 7, b"chance")
    moment, digest, process = name.split("-")
    assert (moment, process) == ("20310102T030405000006Z", "7")
    assert digest not in {run_name(at, 7, b"other").split("-")[1], run_name(at, 8, b"chance").split("-")[1]}
    assert run_name(at, 7, b"chance") == name
    assert place_of(journal_name(name, 3)) == (name, 3)


def test_name_of_a_run_differs_by_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two machines that share a folder never make the same run."""
    at = datetime(2031, 1, 2, tzinfo=UTC)
    monkeypatch.setattr(platform, "node", lambda: "one")
    first = run_name(at, 7, b"chance")
    monkeypatch.setattr(platform, "node", lambda: "two")
    assert first != run_name(at, 7, b"chance")


@pytest.mark.parametrize(
    "name", [f"{RUN}-000002", f"{RUN}-000002.journal", f"{RUN}-1000000.journal", f"{RUN[:-1]}12345-000002.journal"]
)
def test_names_of_journals_are_known(name: str) -> None:
    """With and without the ending, of a process of any number, and after a million journals."""
    run, number = name.removesuffix(".journal").rsplit("-", 1)
    assert place_of(name) == (run, int(number))


@pytest.mark.parametrize(
    "name", [f"{RUN}-00002.journal", f"{RUN}-000002.journal.tmp", f"x{RUN}-000002.journal", f"{RUN}-٠٠٠٠٠٢.journal"]
)
def test_other_names_are_no_journals_of_a_run(name: str) -> None:
    """A short number, another ending, something before it, digits of another script."""
    assert NAME.match(name) is None
    assert place_of(name) == (name.removesuffix(".journal"), 0)


def test_header_is_one_json_object_of_known_members() -> None:
    """The members in their order, and `durable` only where something is known to be permanent."""
    line = json.loads(Header(RUN, 2, 40, {"mode": "none"}, {"1": 9}).to_line())
    crc = line.pop("crc")
    assert list(line.items()) == [
        ("type", "journal_start"),
        ("format", 1),
        ("run", RUN),
        ("number", 2),
        ("first_seq", 40),
        ("durability", {"mode": "none"}),
        ("cuts", {"1": 9}),
    ]
    body = Header(RUN, 2, 40, {"mode": "none"}, {"1": 9}).to_line()[:-21]
    assert crc == f"{checksum(0, body):08x}"
    assert json.loads(Header(RUN, 2, 40, durable={"0": 5}).to_line())["durable"] == {"0": 5}


def test_header_of_an_encrypted_journal_carries_key_salt_and_seal() -> None:
    """Its format is 2; the seal is made of all that stands before it."""
    header = Header(RUN, 2, 40)
    sealed: list[bytes] = []

    def tag(body: bytes) -> str:
        sealed.append(body)
        return "5ea1"

    raw = header.to_line("k1", "ab12", tag)
    line = json.loads(raw)
    assert (line["format"], line["key"], line["salt"], line["seal"]) == (2, "k1", "ab12", "5ea1")
    assert sealed == [raw[: raw.index(b', "seal"')]]
    found = scan(raw, RUN)
    assert found.headers == [Header(RUN, 2, 40, salt="ab12", key="k1")]
    assert (found.newer_format, found.damage) == (None, [])


@pytest.mark.parametrize("first_seq", [-1, 0, (1 << 63) - 1])
def test_header_takes_every_number_that_a_run_can_have(first_seq: int) -> None:
    """Up to the last that fits 64 bits; -1 is that of a run without a tick."""
    assert scan(Header(RUN, 0, first_seq).to_line()).headers == [Header(RUN, 0, first_seq)]


@pytest.mark.parametrize("first_seq", [-2, 1 << 63])
def test_header_refuses_a_number_that_no_run_has(first_seq: int) -> None:
    """It is damage, with its bytes."""
    raw = Header(RUN, 0, first_seq).to_line()
    found = scan(raw)
    assert found.headers == []
    assert found.damage == [Damage("foreign_bytes", 0, 0, len(raw), raw)]


def test_sizes_in_a_header_are_whole_numbers() -> None:
    """As JSON of another writer may hold them: text is read as the number that it shows."""
    body = b'{"type": "journal_start", "format": 1, "run": "%s", "number": 2, "first_seq": 40' % RUN.encode()
    raw = closed(body + b', "durability": {}, "cuts": {"1": "9"}, "durable": {"0": "5"}', 0)
    assert scan(raw).headers == [Header(RUN, 2, 40, {}, {"1": 9}, {"0": 5})]


def test_end_names_the_run_and_the_next_number() -> None:
    """The last line of a journal that was closed in order."""
    line = json.loads(end_line(RUN, 9))
    assert (line["type"], line["run"], line["next_seq"]) == ("journal_end", RUN, 9)


def test_every_line_is_found_where_it_stands() -> None:
    """Ticks by their text, number, line, first byte and size; the others are counted in bytes and lines."""
    data = HEADER.to_line() + LINES[0] + b"\n\n" + OTHER + b"".join(LINES[1:3]) + end_line(RUN, 43)
    found = read(data)
    ticks_at = [data.index(line) + START for line in LINES[:3]]
    assert found.ticks == [one.to_line() + b"\n" for one in TICKS[:3]]
    assert found.seqs == [40, 41, 42]
    assert found.lines == [71, 75, 76]
    assert found.starts == ticks_at
    assert found.sizes == [len(line) for line in LINES[:3]]
    assert found.headers == [HEADER]
    at = data.index(OTHER) + START
    assert found.others == [Control("weather", 74, at, at + len(OTHER), OTHER)]
    assert found.control_bytes == len(HEADER.to_line()) + len(OTHER) + len(end_line(RUN, 43))
    assert (found.control_lines, found.blank_bytes, found.blank_lines) == (3, 2, 2)
    assert (found.damage, found.closed, found.newer_format) == ([], True, None)
    assert (found.line_count, found.end) == (8, START + len(data))
    assert (found.duplicate_bytes, found.duplicate_lines, found.counter) == (0, 0, -1)


def test_only_a_last_line_closes_a_journal() -> None:
    """What comes after the end is not closed; what comes after an unknown line neither; ticks alone are not."""
    assert not read(b"".join(LINES)).closed
    assert read(LINES[0] + end_line(RUN, 41)).closed
    assert not read(end_line(RUN, 41) + OTHER).closed
    assert not read(end_line(RUN, 41) + HEADER.to_line()).closed
    assert not read(b"x" + end_line(RUN, 41) + OTHER).closed
    assert read(b"x" + end_line(RUN, 41)).closed


def test_a_line_that_has_not_ended_is_left_for_later() -> None:
    """Unless the journal ends there: then it is torn, at its line, to its last byte."""
    data = LINES[0] + LINES[1][:50]
    growing, ended = read(data, final=False), read(data)
    assert (growing.end, growing.line_count, growing.damage) == (START + len(LINES[0]), 1, [])
    assert (ended.end, ended.line_count) == (START + len(data), 2)
    assert ended.damage == [damage("torn_tail", 1, len(LINES[0]), LINES[1][:50])]


def test_a_line_that_lacks_only_its_newline_counts() -> None:
    """A power cut took the newline and no more: the tick is there, one byte shorter."""
    found = read(LINES[0] + LINES[1][:-1])
    assert (found.seqs, found.damage) == ([40, 41], [])
    assert found.sizes == [len(LINES[0]), len(LINES[1]) - 1]
    assert found.end == START + len(LINES[0]) + len(LINES[1]) - 1


@pytest.mark.parametrize(
    ("name", "stretch", "reason"),
    [
        ("no start of a line", b"hello", "foreign_bytes"),
        ("letters that are no zeros", b"XXX", "foreign_bytes"),
        ("a start and no end", LINES[1][:40], "torn_line"),
        ("half a start", LINES[1][:4], "torn_line"),
        ("one byte of a start", LINES[1][:1], "torn_line"),
        ("half a start, and more", LINES[1][:4] + b" ", "foreign_bytes"),
        ("a start and a brace", LINES[1][:40] + b"}  ", "checksum_mismatch"),
        ("a whole line that was changed", LINES[1][:-1].replace(b"1.0", b"1.1", 1), "checksum_mismatch"),
        ("a changed line, and more", LINES[1][:-1].replace(b"1.0", b"1.1", 1) + b" hello", "checksum_mismatch"),
        ("zeros", bytes(9), "zero_filled"),
    ],
)
def test_damage_in_the_middle_has_its_name_place_and_bytes(name: str, stretch: bytes, reason: str) -> None:
    """By itself on a line: with its newline; in front of a good line: without one, and the line counts."""
    first = len(LINES[0])
    alone = read(LINES[0] + stretch + b"\n" + LINES[2])
    assert alone.damage == [damage(reason, 1, first, stretch + b"\n")], name
    assert (alone.seqs, alone.lines) == ([40, 42], [70, 72])
    front = read(LINES[0] + stretch + LINES[2])
    assert front.damage == [damage(reason, 1, first, stretch)], name
    assert (front.seqs, front.lines) == ([40, 42], [70, 71])
    assert front.starts == [START, START + first + len(stretch)]
    assert front.sizes == [first, len(LINES[2])]


def test_a_changed_line_at_the_end_is_changed_and_not_torn() -> None:
    """It has its checksum, which is wrong: no crash leaves that."""
    changed = LINES[1][:-1].replace(b"1.0", b"1.1", 1)
    assert read(LINES[0] + changed).damage == [damage("checksum_mismatch", 1, len(LINES[0]), changed)]


@pytest.mark.parametrize("newline", [b"\n", b""])
def test_zeros_are_told_from_what_stands_beside_them(newline: bytes) -> None:
    """Before, behind and around a torn piece: each stretch at its own bytes."""
    torn = LINES[1][:40]
    first = len(LINES[0])
    reason = "torn_line" if newline else "torn_tail"
    around = read(LINES[0] + bytes(5) + torn + bytes(7) + newline)
    expected = [damage("zero_filled", 1, first, bytes(5))]
    if newline:  # the newline ends the line, so that the zeros before it are inside the piece
        expected += [damage(reason, 1, first + 5, torn + bytes(7) + newline)]
    else:
        expected += [damage(reason, 1, first + 5, torn), damage("zero_filled", 1, first + 45, bytes(7))]
    assert around.damage == expected
    assert around.end == START + first + 52 + len(newline)


def test_good_lines_inside_a_damaged_one_are_read() -> None:
    """Foreign bytes between lines whose newlines are gone: each stretch and each line once, in their order."""
    data = b"ab" + LINES[0][:-1] + b"cde" + OTHER[:-1] + LINES[1][:-1] + LINES[2][:-1] + b"f\n" + LINES[3]
    found = read(data)
    size = [len(line) - 1 for line in LINES]
    other = len(OTHER) - 1
    at = [2, 5 + size[0] + other, 5 + size[0] + other + size[1]]
    assert found.seqs == [40, 41, 42, 43]
    assert found.ticks == [one.to_line() + b"\n" for one in TICKS]
    assert found.lines == [70, 70, 70, 71]
    assert found.starts == [START + one for one in [*at, at[2] + size[2] + 2]]
    assert found.sizes == [*size[:3], size[3] + 1]
    start = START + 5 + size[0]
    assert found.others == [Control("weather", 70, start, start + other, OTHER[:-1])]
    assert (found.control_bytes, found.control_lines) == (other, 1)
    assert found.damage == [
        damage("foreign_bytes", 0, 0, b"ab"),
        damage("foreign_bytes", 0, 2 + size[0], b"cde"),
        damage("foreign_bytes", 0, at[2] + size[2], b"f\n"),
    ]
    assert (found.line_count, found.end) == (2, START + len(data))


def test_a_good_line_at_the_end_of_a_damaged_one_has_the_newline() -> None:
    """The newline belongs to the line that it ends, also of an unknown one and a header."""
    data = b"x" + OTHER + b"y" + HEADER.to_line()
    found = read(data)
    assert found.others == [Control("weather", 70, START + 1, START + 1 + len(OTHER), OTHER)]
    assert found.headers == [HEADER]
    assert found.control_bytes == len(OTHER) + len(HEADER.to_line())
    assert found.control_lines == 2
    assert found.damage == [damage("foreign_bytes", 0, 0, b"x"), damage("foreign_bytes", 1, len(OTHER) + 1, b"y")]


@pytest.mark.parametrize("odd", [NO_SEQ, BAD_HEADER])
def test_a_right_checksum_on_what_is_no_line_of_a_journal(odd: bytes) -> None:
    """A tick without its number, a header without members: set aside, whole, wherever it stands."""
    first = len(LINES[0])
    assert read(LINES[0] + odd + LINES[1]).damage == [damage("foreign_bytes", 1, first, odd)]
    ends = read(LINES[0] + b"x" + odd + LINES[1])
    assert ends.damage == [damage("foreign_bytes", 1, first, b"x"), damage("foreign_bytes", 1, first + 1, odd)]
    inside = read(LINES[0] + b"x" + odd[:-1] + LINES[1])
    assert inside.damage == [damage("foreign_bytes", 1, first, b"x"), damage("foreign_bytes", 1, first + 1, odd[:-1])]
    assert ends.seqs == inside.seqs == [40, 41]
    assert sum(one.end - one.start for one in inside.damage) + sum(inside.sizes) == inside.end - START
    assert (inside.control_bytes, inside.control_lines) == (0, 0)


@pytest.mark.parametrize("seq", [0, 9, 10**18 - 1])
def test_number_of_a_tick_has_up_to_18_digits(seq: int) -> None:
    """The first and the longest that fits."""
    assert read(Encoder(RUN).line(TICKS[0], seq)).seqs == [seq]


def test_number_of_a_tick_that_is_too_long_is_no_number() -> None:
    """One of more digits does not fit 64 bits."""
    found = read(Encoder(RUN).line(TICKS[0], 10**18))
    assert (found.seqs, [one.reason for one in found.damage]) == ([], ["foreign_bytes"])


@pytest.mark.parametrize("version", ["3", '"2"', "true", "null"])
def test_newer_format_is_named_also_inside_a_damaged_line(version: str) -> None:
    """As the header shows it; a later header does not take its place."""
    header = closed(b'{"type": "journal_start", "format": ' + version.encode(), 0)
    shown = repr(json.loads(version))
    for before in (b"", b"x"):
        assert read(before + header).newer_format == shown
        assert read(before + header + HEADER.to_line()).newer_format == shown
        assert read(before + header + b"y" + HEADER.to_line()).newer_format == shown


def test_checksum_of_a_header_does_not_depend_on_the_run() -> None:
    """That of any other line does: a line of another run is never taken for one of this."""
    assert is_whole(HEADER.to_line()[:-1], seed_of(RUN))
    assert is_whole(HEADER.to_line()[:-1], seed_of("other"))
    assert is_whole(LINES[0][:-1], seed_of(RUN))
    assert not is_whole(LINES[0][:-1], seed_of("other"))
    assert not is_whole(LINES[0], seed_of(RUN))


@pytest.mark.parametrize("change", [lambda raw: raw[:-1], lambda raw: raw[1:], lambda raw: raw.replace(b"crc", b"CRC")])
def test_checksum_stands_at_the_end_in_one_form(change: Callable[[bytes], bytes]) -> None:
    """A line that is cut at either end or spells it otherwise is not whole."""
    assert not is_whole(change(LINES[0][:-1]), seed_of(RUN))


def test_a_scan_begins_at_the_first_byte_of_a_journal_without_a_run() -> None:
    """Unless it is said otherwise, as for the first line, which names the run."""
    found = scan(HEADER.to_line() + closed(b'{"type": "weather"', 0))
    assert found.headers == [HEADER]
    assert [(one.line, one.start) for one in found.others] == [(1, len(HEADER.to_line()))]
    assert found.line_count == 2


MEMBERS: Final = b'"run": "r", "number": 0, "first_seq": 0, "durability": {}, "cuts": {}'


@pytest.mark.parametrize(
    "body",
    [
        b'{"type": "weather", "n": [1',
        b'{"type": "weather", "n": ' + b"[" * 200_000,
        b'{"type": "journal_start", "format": 1',
        b'{"type": "journal_start", "format": 1, "durable": 7, ' + MEMBERS,
        b'{"type": "journal_start", "format": 1, "durable": {"0": "x"}, ' + MEMBERS,
        b'{"type": "journal_start", "format": 1, "durable": {"0": 1e999}, ' + MEMBERS,
    ],
)
def test_members_that_cannot_be_read_are_damage(body: bytes) -> None:
    """Whatever the checksum says; the line behind it counts."""
    raw = closed(body, 0 if b"journal" in body else seed_of(RUN))
    found = read(raw + LINES[0])
    assert found.damage == [damage("foreign_bytes", 0, 0, raw)]
    assert found.seqs == [40]


@pytest.mark.parametrize("size", [1, 4, 9])
def test_a_piece_of_the_start_of_a_line_is_torn(size: int) -> None:
    """However little of it arrived: before the next line, and at the end."""
    piece = LINES[1][:size]
    assert read(piece + LINES[0]).damage == [damage("torn_line", 0, 0, piece)]
    assert read(LINES[0] + piece).damage == [damage("torn_tail", 1, len(LINES[0]), piece)]
