"""JournalReader: the account of a journal, byte by byte and line by line, however it is read."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st

from replaylab.encryption.keys import StoreKeys, make_keys
from replaylab.encryption.kms import FileKey
from replaylab.encryption.lines import SealedLines
from replaylab.errors import KeyMissing, StoreTooNew, Tampered
from replaylab.journals import reader as reader_module
from replaylab.journals.encoder import Encoder, closed, seed_of
from replaylab.journals.format import Control, Damage, Header, end_line, journal_name
from replaylab.journals.reader import JournalReader, Recording, read_waiting
from replaylab.journals.sealed import LEAST_SEALED_BYTES, header_lines
from replaylab.journals.seq_ranges import SeqRanges
from replaylab.parsing.kernel_layout import Known
from replaylab.segments.digest import rows_digest
from replaylab.segments.extent import Extent
from replaylab.segments.remarks import Placed
from tests.recordings import tick, ticks

RUN: Final = "20310102T030405000000Z-0123456789ab-7"
NAME: Final = journal_name(RUN, 3)
FIRST: Final = 40
GIVEN: Final = ticks(12)
LINES: Final = [Encoder(RUN).line(one, FIRST + at) for at, one in enumerate(GIVEN)]
START: Final = Header(RUN, 3, FIRST, {"mode": "tick"}, {"2": 900})
HEADER: Final = START.to_line()
OTHER: Final = closed(b'{"type": "weather", "sky": "blue"', seed_of(RUN))
NO_TICK: Final = closed(b'{"type": "tick", "price": "x", "seq": 42', seed_of(RUN))
CLOSED: Final = end_line(RUN, FIRST + 12)


def read(data: bytes, held: SeqRanges | None = None, limit: int | None = None, *, final: bool = True) -> JournalReader:
    """Return a reader that has read a journal."""
    found = JournalReader(NAME, held, limit)
    found.read(io.BytesIO(data), len(data), final=final)
    return found


def account(found: JournalReader) -> tuple[dict[str, int], dict[str, int], dict[str, int], dict[str, int]]:
    """Return bytes, lines, ticks and reasons."""
    extent = found.extent()
    return extent.bytes, extent.lines, extent.ticks, extent.reasons


def places(found: JournalReader) -> list[tuple[str, int, int, int]]:
    """Return the damage of a journal: reason, line and bytes."""
    found.table()
    return [(one.reason, one.line, one.start, one.end) for one in found.damage]


def seqs(found: JournalReader) -> list[int]:
    """Return the sequence numbers of the rows, in their order."""
    return [seq for table in found.tables() for seq in table["seq"].to_pylist()]


def test_extent_accounts_for_every_byte_and_line() -> None:
    """Of all that a journal can hold: what was read, what became of it, and what the header says."""
    torn = LINES[3][:50]
    data = HEADER + LINES[0] + LINES[0] + b"\n\n" + OTHER + LINES[1] + NO_TICK + b"hello\n" + LINES[4] + torn
    found = read(data)
    kept = [HEADER, LINES[0], LINES[0], OTHER, LINES[1], LINES[4]]
    assert found.extent() == Extent(
        source=NAME,
        start=0,
        end=len(data),
        digest=xxhash.xxh3_128(data).hexdigest(),
        first_line=0,
        first_seq=FIRST,
        zone="UTC",
        bytes={"kept": sum(map(len, kept)), "blank": 2, "quarantined": len(NO_TICK) + 6 + len(torn)},
        lines={"control": 2, "tick": 3, "duplicate": 1, "blank": 2, "damaged": 3},
        ticks={"clean": 3, "duplicate": 1},
        reasons={"not_a_tick": 1, "foreign_bytes": 1, "torn_tail": 1},
        head=xxhash.xxh3_64_hexdigest(data[:1024])[:8],
        recording={
            "run": RUN,
            "number": 3,
            "state": "quarantined",
            "seqs": [[40, 41], [44, 44]],
            "durability": {"mode": "tick"},
            "cuts": {"2": 900},
            "header_seq": FIRST,
        },
    )
    assert len(data) > 1024
    assert sum(found.extent().bytes.values()) == len(data)
    assert sum(found.extent().lines.values()) == data.count(b"\n") + 1


def test_extent_of_a_journal_without_a_header() -> None:
    """Nothing is known but its name, and nothing is made up."""
    found = read(b"")
    assert found.extent() == Extent(
        NAME,
        0,
        0,
        xxhash.xxh3_128(b"").hexdigest(),
        0,
        0,
        "UTC",
        head=xxhash.xxh3_64_hexdigest(b"")[:8],
        recording={
            "run": RUN,
            "number": 3,
            "state": "recovered",
            "seqs": [],
            "durability": {},
            "cuts": {},
            "header_seq": 0,
        },
    )
    assert (found.table().num_rows, found.remarks(), found.header) == (0, [], None)


def test_rows_have_source_number_and_line() -> None:
    """Of the journal, of the run, and counted from 1; times are in UTC; games stand together."""
    lines = [Encoder(RUN).line(tick(at, game), FIRST + at) for at, game in enumerate("abab")]
    found = read(HEADER + b"\n" + b"".join(lines))
    rows = found.table().select(["source", "seq", "line", "game_id"]).to_pylist()
    assert [tuple(row.values()) for row in rows] == [
        (NAME, 40, 3, "a"),
        (NAME, 42, 5, "a"),
        (NAME, 41, 4, "b"),
        (NAME, 43, 6, "b"),
    ]
    assert str(found.table().schema.field("timestamp").type) == "timestamp[us, tz=UTC]"
    assert seqs(found) == [40, 41, 42, 43]
    assert found.rows_digest() == rows_digest(found.table())


def test_recording_says_how_a_journal_ended() -> None:
    """Its place in the run, its ticks, first and last number, durability and damaged bytes; open while it is live."""
    extent = read(HEADER + LINES[0] + LINES[1] + LINES[5] + b"hello\n").extent()
    assert Recording.of(extent, live=False) == Recording(NAME, RUN, 3, "quarantined", 3, 40, 45, {"mode": "tick"}, 6)
    assert Recording.of(extent, live=True).state == "open"
    nothing = Recording.of(read(HEADER).extent(), live=False)
    assert (nothing.ticks, nothing.first_seq, nothing.last_seq, nothing.quarantined_bytes) == (0, -1, -1, 0)


@pytest.mark.parametrize(
    ("behind", "state"),
    [
        (b"", "recovered"),
        (CLOSED, "clean"),
        (CLOSED + LINES[2], "recovered"),
        (LINES[2][:40], "recovered"),
        (b"hello\n" + CLOSED, "quarantined"),
        (NO_TICK + CLOSED, "quarantined"),
        (bytes(40), "quarantined"),
    ],
)
def test_state_says_how_it_ended(behind: bytes, state: str) -> None:
    """Closed in order, not closed, or damaged; also when its rows have not been asked for."""
    assert read(HEADER + LINES[0] + LINES[1] + behind).state == state


def test_a_torn_end_before_the_closing_line_is_not_clean() -> None:
    """What follows a piece that never arrived whole was written by a recorder that had failed before."""
    limited = read(HEADER + LINES[0] + CLOSED + LINES[1], limit=len(HEADER + LINES[0] + CLOSED))
    assert limited.closed
    assert limited.state == "recovered"


def test_closed_stays_while_nothing_new_arrives() -> None:
    """A journal that is read again after its end is as closed as before."""
    data = HEADER + LINES[0] + CLOSED
    found = read(data, final=False)
    found.read(io.BytesIO(data), len(data), final=True)
    assert found.closed
    assert found.state == "clean"


def test_remarks_stand_in_the_order_of_the_file() -> None:
    """Damage and unknown lines, each with line, bytes, kind and reason; then where each lane is resumed."""
    body = LINES[1][: LINES[1].rindex(b', "seq"')]
    lane = closed(body + b', "lane": "a", "id": "7", "seq": 41', seed_of(RUN))
    data = HEADER + LINES[0] + OTHER + b"hello\n" + OTHER + lane
    found = read(data).remarks()
    at = len(HEADER + LINES[0])
    size = len(OTHER)
    assert found[:-1] == [
        Placed(NAME, 3, at, at + size, "control", "weather", OTHER),
        Placed(NAME, 4, at + size, at + size + 6, "quarantine", "foreign_bytes", b"hello\n"),
        Placed(NAME, 5, at + size + 6, at + 2 * size + 6, "control", "weather", OTHER),
    ]
    cursor = found[-1]
    assert cursor[:6] == (NAME, 6, len(data), len(data), "control", "cursor")
    assert b'"after": "7"' in (cursor.raw or b"")
    assert read(data).others == [
        Control("weather", 2, at, at + size, OTHER),
        Control("weather", 4, at + size + 6, at + 2 * size + 6, OTHER),
    ]


def test_lines_that_hold_no_tick_are_remarks_with_their_own_bytes() -> None:
    """Each with its line and bytes, and those around it are rows."""
    at = len(HEADER + LINES[0] + LINES[1])
    found = read(HEADER + LINES[0] + LINES[1] + NO_TICK + LINES[3])
    (remark,) = found.remarks()
    assert remark[:6] == (NAME, 4, at, at + len(NO_TICK), "quarantine", "not_a_tick")
    assert remark.raw == b'{"type": "tick", "price": "x"}\n'
    assert seqs(found) == [40, 41, 43]


def test_a_line_that_holds_no_tick_takes_no_number() -> None:
    """The number is not among those of its ticks, and a tick that has it counts, however the journal is read."""
    data = HEADER + LINES[0] + LINES[1] + NO_TICK + NO_TICK + LINES[2] + LINES[2] + NO_TICK + LINES[3]
    for ends in (range(len(data) + 1), [len(data)], [len(HEADER + LINES[0] + LINES[1] + NO_TICK), len(data)]):
        found = JournalReader(NAME)
        for end in ends:
            found.read(io.BytesIO(data), end, final=end == len(data))
        assert list(found.seqs) == [40, 41, 42, 43]
        assert seqs(found) == [40, 41, 42, 43]
        assert found.extent().reasons == {"not_a_tick": 3}
        assert found.extent().lines == {"control": 1, "tick": 4, "duplicate": 1, "damaged": 3}
        assert sum(found.extent().bytes.values()) == len(data)
    lone = read(HEADER + LINES[0] + LINES[1] + NO_TICK)
    assert (list(lone.numbers), list(lone.seqs)) == ([40, 41, 42], [40, 41])


# -- numbers that are missing, or there twice


def test_missing_numbers_are_named_where_they_were() -> None:
    """At the first line behind them, with no bytes; the first missing one of a journal is known from its header."""
    data = HEADER + LINES[1] + LINES[2] + LINES[5]
    found = read(data)
    assert places(found) == [("sequence_gap", 1, 0, 0), ("sequence_gap", 3, 0, 0)]
    assert found.extent().reasons == {"sequence_gap": 2}
    assert found.extent().lines == {"control": 1, "tick": 3}


@pytest.mark.parametrize("missing", [1, 2, 3])
def test_damaged_lines_account_for_as_many_missing_numbers(missing: int) -> None:
    """Two damaged lines are two ticks that are known to be lost; a third is a gap."""
    data = HEADER + LINES[0] + b"hello\nhello\n" + b"".join(LINES[1 + missing :])
    gaps = [one for one in read(data).damage if one.reason == "sequence_gap"]
    assert len(gaps) == (missing > 2)
    if gaps:
        where = len(HEADER + LINES[0]) + 12
        assert (gaps[0].line, gaps[0].start, gaps[0].end) == (4, where, where)


def test_numbers_that_another_journal_holds_are_not_missing() -> None:
    """Their lines are left out where they stand here too; where both ends of a hole are held, nothing is reported."""
    held = SeqRanges.of([41, 42, 43])
    found = read(HEADER + LINES[0] + LINES[4], held)
    assert (places(found), seqs(found)) == ([], [40, 44])
    for some in ([41], [43], [42]):
        assert [one[0] for one in places(read(HEADER + LINES[0] + LINES[4], SeqRanges.of(some)))] == ["sequence_gap"]
    twice = read(HEADER + b"".join(LINES[:5]), held)
    assert seqs(twice) == [40, 44]
    kept, lines, counts, reasons = account(twice)
    assert kept == {"kept": len(HEADER + b"".join(LINES[:5]))}
    assert (lines, counts, reasons) == ({"control": 1, "tick": 2, "duplicate": 3}, {"clean": 2, "duplicate": 3}, {})
    assert twice.seqs.runs == ((40, 40), (44, 44))


@pytest.mark.parametrize("ends", [[], [4], [4, 5], [4, 5, 6], [2, 5]])
def test_lines_that_were_read_before_count_once(ends: list[int]) -> None:
    """In the same stretch, in an earlier one, and where the repeated lines themselves are read in two."""
    lines = [*LINES[:4], *LINES[2:5]]
    found = pieces([HEADER, *(b"".join(lines[a:b]) for a, b in zip([0, *ends], [*ends, 7], strict=True))])
    assert seqs(found) == [40, 41, 42, 43, 44]
    assert found.extent().ticks == {"clean": 5, "duplicate": 2}
    assert found.extent().bytes == {"kept": len(HEADER + b"".join(lines))}
    assert found.damage == []


@pytest.mark.parametrize("ends", [[], [4], [4, 5], [5]])
def test_numbers_that_were_read_are_not_missing_where_some_come_again(ends: list[int]) -> None:
    """Neither between lines that are repeated, nor behind them."""
    lines = [*LINES[:4], LINES[1], LINES[3], LINES[4]]
    found = pieces([HEADER, *(b"".join(lines[a:b]) for a, b in zip([0, *ends], [*ends, 7], strict=True))])
    assert (seqs(found), found.damage) == ([40, 41, 42, 43, 44], [])


@pytest.mark.parametrize("ends", [[], [4], [5], [4, 5]])
def test_numbers_that_are_missing_behind_repeated_lines_are_named_once(ends: list[int]) -> None:
    """From the highest that was read on, however it is read."""
    lines = [*LINES[:4], LINES[1], LINES[6], LINES[7]]
    found = pieces([HEADER, *(b"".join(lines[a:b]) for a, b in zip([0, *ends], [*ends, 7], strict=True))])
    assert [(one.reason, one.line) for one in found.damage] == [("sequence_gap", 6)]
    assert seqs(found) == [40, 41, 42, 43, 46, 47]


# -- how much of it is read


def pieces(parts: Sequence[bytes], final: bytes = b"") -> JournalReader:
    """Return a reader that has read a journal as it grew."""
    found, data = JournalReader(NAME), b""
    for part in parts:
        data += part
        found.read(io.BytesIO(data), len(data), final=False)
    data += final
    found.read(io.BytesIO(data), len(data), final=True)
    return found


BEHIND: Final = [LINES[9][:60], CLOSED, CLOSED + b"\n", CLOSED + LINES[9], CLOSED + LINES[9] + CLOSED, CLOSED + OTHER]


@given(st.lists(st.integers(0, 5_000), max_size=5), st.integers(1, 900), st.integers(1, 4_000), st.sampled_from(BEHIND))
def test_any_stretches_blocks_and_waiting_give_the_same(
    cuts: list[int], block: int, waiting: int, behind: bytes
) -> None:
    """A block that is shorter than a line, lines that are read as columns one by one: the account is the same."""
    data = HEADER + b"".join(LINES[:5]) + b"hello\n" + OTHER + b"\n" + b"".join(LINES[3:9]) + behind
    ends = sorted({min(cut, len(data)) for cut in cuts})
    parts = [data[a:b] for a, b in zip([0, *ends], [*ends, len(data)], strict=True)]
    once = read(data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reader_module, "BLOCK_BYTES", block)
        patch.setattr(reader_module, "_WAITING_BYTES", waiting)
        found = pieces(parts)
    assert found.extent() == once.extent()
    assert found.table() == once.table()
    assert found.remarks() == once.remarks()
    assert found.rows_digest() == once.rows_digest()


def test_no_more_is_read_at_once_than_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a journal of a day needs no memory of its size."""
    asked: list[int] = []

    class Counting(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            asked.append(-1 if size is None else size)
            return super().read(size)

    data = HEADER + b"".join(LINES)
    monkeypatch.setattr(reader_module, "BLOCK_BYTES", 1_000)
    found = JournalReader(NAME)
    found.read(Counting(data), len(data), final=True)
    assert set(asked[:-1]) == {1_000}
    assert sum(asked) == len(data)
    assert seqs(found) == list(range(40, 52))


def test_lines_wait_until_there_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of one block are kept as they are until as many bytes are there, then read as columns at once."""
    size = sum(map(len, LINES[:4]))
    for least, waiting in ((size + 1, 1), (size, 0)):
        monkeypatch.setattr(reader_module, "_WAITING_BYTES", least)
        found = read(HEADER + b"".join(LINES[:4]), final=False)
        assert len(found.waiting) == waiting
        assert seqs(found) == [40, 41, 42, 43]
        assert found.waiting == []


def test_what_follows_the_limit_was_never_acknowledged() -> None:
    """It is set aside as one stretch, its lines are counted, and nothing of it is a row."""
    data = HEADER + b"".join(LINES[:4])
    limit = len(HEADER + LINES[0] + LINES[1])
    found = read(data, limit=limit)
    rest = data[limit:]
    assert found.damage == [Damage("never_acknowledged", 3, limit, len(data), rest)]
    kept, lines, counts, reasons = account(found)
    assert kept == {"kept": limit, "quarantined": len(rest)}
    assert lines == {"control": 1, "tick": 2, "damaged": 2}
    assert (counts, reasons) == ({"clean": 2}, {"never_acknowledged": 1})
    assert (found.end, found.state) == (len(data), "recovered")
    assert found.extent().digest == xxhash.xxh3_128(data).hexdigest()
    torn = read(data + b"half", limit=limit)
    assert torn.extent().lines["damaged"] == 3
    assert torn.remarks()[0][:4] == (NAME, 4, limit, len(data) + 4)
    assert sum(torn.extent().bytes.values()) == torn.end == len(data) + 4


def test_limit_of_a_journal_that_grows() -> None:
    """Before its end nothing of it is set aside; a limit that is beyond the end, or at it, leaves nothing out."""
    data = HEADER + b"".join(LINES[:4])
    limit = len(HEADER + LINES[0])
    found = read(data, limit=limit, final=False)
    assert (found.end, found.damage, seqs(found)) == (limit, [], [40])
    for beyond in (len(data), len(data) + 100):
        whole = read(data, limit=beyond)
        assert (whole.end, whole.damage, seqs(whole)) == (len(data), [], [40, 41, 42, 43])
    inside = read(data, limit=limit + 10)
    assert places(inside) == [
        ("torn_tail", 2, limit, limit + 10),
        ("never_acknowledged", 3, limit + 10, len(data)),
    ]


def test_what_is_written_while_it_is_read_is_left_for_later() -> None:
    """Neither lines nor what stands behind the limit are read beyond the size that was seen."""
    data = HEADER + b"".join(LINES[:4])
    limit, size = len(HEADER + LINES[0]), len(HEADER + LINES[0] + LINES[1])
    found = JournalReader(NAME, limit=limit)
    found.read(io.BytesIO(data), size, final=True)
    assert places(found) == [("never_acknowledged", 2, limit, size)]
    found = JournalReader(NAME)
    found.read(io.BytesIO(data), size, final=False)
    assert (found.end, seqs(found)) == (size, [40, 41])


def test_a_file_that_became_shorter_ends_where_it_ends() -> None:
    """A size that was seen before it was truncated: what is there is read, and the rest is not waited for."""
    data = HEADER + b"".join(LINES[:4])
    found = JournalReader(NAME)
    found.read(io.BytesIO(data), len(data) + 1_000, final=False)
    assert (found.end, seqs(found)) == (len(data), [40, 41, 42, 43])


def test_permanent_bytes_that_are_gone_are_named() -> None:
    """Fewer bytes than a later journal calls permanent: named with no bytes, at the end, with how many there were."""
    found = read(HEADER + LINES[0])
    size = len(HEADER + LINES[0])
    assert not found.lacks(size)
    assert found.lacks(size + 1)
    found.report_lacking(size)
    assert found.damage == []
    found.report_lacking(size + 1)
    assert found.damage == [Damage("truncated", 2, size, size, b"%d bytes were permanent" % (size + 1))]
    assert found.extent().reasons == {"truncated": 1}
    assert found.state == "quarantined"


# -- the first line


def test_a_header_that_is_longer_than_is_read_costs_nothing() -> None:
    """Sixty thousand bytes of it are read at most: what is longer is damage, and the name says which run it is."""
    cuts = {str(number): 10**15 for number in range(2_500)}
    longest = Header(RUN, 9, FIRST, {}, cuts).to_line()
    assert 60_000 < len(longest) <= 1 << 16
    found = read(longest + b"".join(LINES))
    assert (found.number, found.header and found.header.cuts) == (9, cuts)
    longer = Header(RUN, 9, FIRST, {}, {str(number): 10**15 for number in range(4_000)}).to_line()
    assert len(longer) > 1 << 16
    unknown = read(longer + b"".join(LINES))
    assert (unknown.run, unknown.number, unknown.header) == (RUN, 3, None)
    assert seqs(unknown) == list(range(40, 52))


def test_a_first_line_that_has_not_ended_names_nothing_yet() -> None:
    """It is read again when it is whole."""
    found = JournalReader("mine.journal")
    found.read(io.BytesIO(HEADER[:-1]), len(HEADER) - 1, final=False)
    assert (found.run, found.header, found.end) == ("mine", None, 0)
    found.read(io.BytesIO(HEADER), len(HEADER), final=False)
    assert (found.run, found.number, found.header) == (RUN, 3, START)


def test_a_newer_format_is_refused_by_name() -> None:
    """The journal, its format, the one that this release knows, and what to do."""
    newer = closed(b'{"type": "journal_start", "format": 3', 0)
    with pytest.raises(StoreTooNew) as error:
        read(newer + LINES[0])
    assert str(error.value) == (
        f"{NAME}: a journal of format 3, this release knows 1; install a newer replaylab to read it. "
        "The file is left as it is"
    )


# -- rows that are taken, and journals that are read at once


def test_rows_that_were_taken_still_count() -> None:
    """Each is returned once; the digest and the account are those of all."""
    data = HEADER + b"".join(LINES[:4])
    found = read(data, final=False)
    assert [table["seq"].to_pylist() for table in found.take_tables()] == [[40, 41, 42, 43]]
    assert found.take_tables() == []
    more = data + b"".join(LINES[4:])
    found.read(io.BytesIO(more), len(more), final=True)
    whole = read(more)
    assert found.rows_digest() == whole.rows_digest() == found.rows_digest()
    assert [table["seq"].to_pylist() for table in found.take_tables()] == [list(range(44, 52))]
    assert found.rows_digest() == whole.rows_digest()
    assert found.extent() == whole.extent()


def test_layouts_are_shared() -> None:
    """What one reader learns of its lines, others of the same store know."""
    layouts: list[Known] = []
    for _ in range(2):
        found = JournalReader(NAME, layouts=layouts)
        found.read(io.BytesIO(HEADER + b"".join(LINES)), len(HEADER + b"".join(LINES)), final=True)
        assert found.table().num_rows == 12
        assert len(layouts) == 1


@pytest.mark.parametrize("count", [1, 2, 3])
def test_journals_read_at_once_have_their_own_rows(count: int) -> None:
    """Each its source, numbers and lines; one alone is left to itself."""
    readers = []
    for number in range(count):
        one = JournalReader(journal_name(RUN, number))
        data = Header(RUN, number, FIRST + number).to_line() + LINES[number] + b"\n" + LINES[number + 1]
        one.read(io.BytesIO(data), len(data), final=True)
        readers.append(one)
    read_waiting(readers, [])
    assert [len(one.waiting) for one in readers] == ([1] if count == 1 else [0] * count)
    for number, one in enumerate(readers):
        rows = one.table().select(["source", "seq", "line"]).to_pylist()
        assert [tuple(row.values()) for row in rows] == [
            (journal_name(RUN, number), FIRST + number, 2),
            (journal_name(RUN, number), FIRST + number + 1, 4),
        ]
        assert one.extent().lines == {"control": 1, "tick": 2, "blank": 1}
        assert one.extent().ticks == {"clean": 2}


@pytest.mark.parametrize("first", [True, False])
def test_journals_with_a_line_that_is_no_tick_are_read_one_by_one(first: bool) -> None:  # noqa: FBT001 a parameter
    """Which of them holds it is not known from what is read at once: each keeps its lines, and says so itself."""
    datas = [HEADER + LINES[0] + NO_TICK, HEADER + LINES[1] + LINES[2]]
    readers = [read(data) for data in (datas if first else datas[::-1])]
    read_waiting(readers, [])
    assert [len(one.waiting) for one in readers] == [1, 1]
    assert sorted(len(one.remarks()) for one in readers) == [0, 2] or sorted(
        one.table().num_rows for one in readers
    ) == [1, 2]


# -- journals of an encrypted store


@pytest.fixture
def keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StoreKeys:
    """Return the keys of a new store."""
    monkeypatch.delenv("REPLAYLAB_KEY", raising=False)
    monkeypatch.delenv("REPLAYLAB_KEY_FILE", raising=False)
    return make_keys(tmp_path / "vault", FileKey(tmp_path / "key", create=True))


def sealed(keys: StoreKeys, lines: Sequence[bytes] = LINES) -> tuple[bytes, list[bytes]]:
    """Return the two headers of an encrypted journal, and its lines."""
    by = SealedLines(keys, "journal")
    return header_lines(START, by), [by.seal(line) for line in lines]


def unseal(data: bytes, keys: StoreKeys | None, parts: Sequence[int] = ()) -> JournalReader:
    """Return a reader that has read an encrypted journal, in stretches."""
    found = JournalReader(NAME, keys=keys)
    for part in parts:
        found.read(io.BytesIO(data[:part]), part, final=False)
    found.read(io.BytesIO(data), len(data), final=True)
    return found


def test_encrypted_journal_is_accounted_for_as_one_in_plain(keys: StoreKeys) -> None:
    """The same rows; sizes are those of the encrypted lines; it says that it was sealed."""
    header, lines = sealed(keys, [*LINES, OTHER, CLOSED])
    data = header + b"".join(lines)
    for parts in ([], [100, len(header), len(header) + 900]):
        found = unseal(data, keys, parts)
        assert seqs(found) == list(range(40, 52))
        extent = found.extent()
        assert extent.bytes == {"kept": len(data)}
        assert extent.lines == {"control": 4, "tick": 12}
        assert extent.recording == {
            "run": RUN,
            "number": 3,
            "state": "clean",
            "seqs": [[40, 51]],
            "durability": {"mode": "tick"},
            "cuts": {"2": 900},
            "header_seq": FIRST,
            "sealed": True,
        }
        assert extent.digest == xxhash.xxh3_128(data).hexdigest()


def test_encrypted_journal_without_keys_names_itself(keys: StoreKeys) -> None:
    """Which file, and what is missing."""
    header, lines = sealed(keys)
    with pytest.raises(KeyMissing, match=rf"^{NAME}: is encrypted, and the store has no keys.json"):
        unseal(header + b"".join(lines), None)


def test_encrypted_journal_without_an_authentic_header_is_refused(keys: StoreKeys) -> None:
    """Neither of its first two lines was written by the key: it is not read."""
    header, lines = sealed(keys)
    with pytest.raises(Tampered, match=NAME):
        unseal(header.replace(b'"first_seq": 40', b'"first_seq": 41') + b"".join(lines), keys)
    first, second = header.splitlines(keepends=True)
    either = unseal(first.replace(b"40", b"41") + second + b"".join(lines), keys)
    assert seqs(either) == list(range(40, 52))


def test_encrypted_line_that_is_repeated_in_a_later_stretch_is_noticed(keys: StoreKeys) -> None:
    """The counter is kept from one stretch to the next."""
    header, lines = sealed(keys)
    data = header + b"".join(lines[:4]) + lines[1]
    at = len(header + b"".join(lines[:4]))
    for parts in ([], [at]):
        found = unseal(data, keys, parts)
        assert places(found) == [("sequence_conflict", 6, at, at)]
        assert seqs(found) == [40, 41, 42, 43]


def holed(keys: StoreKeys, missing: int, zeros: int) -> JournalReader:
    """Return a journal of an encrypted store in which zeros stand in place of some ticks; they end at a sector."""
    header, lines = sealed(keys)
    front = header + b"".join(lines[:2])
    pad = -(len(front) + zeros) % 512
    blank = b"\n" * pad  # so that the zeros end where a sector does
    return unseal(front + blank + bytes(zeros) + b"".join(lines[2 + missing :]), keys)


@pytest.mark.parametrize("missing", [1, 2, 5, 7])
def test_a_hole_accounts_for_as_many_lines_as_fit_into_it(keys: StoreKeys, missing: int) -> None:
    """A power cut that took them left zeros of their size: no gap is reported; more lines than fit are one."""
    found = holed(keys, missing, missing * LEAST_SEALED_BYTES)
    assert {one.reason for one in found.damage} <= {"zero_filled"}
    assert seqs(found) == [40, 41, *range(42 + missing, 52)]


def test_a_hole_does_not_account_for_more_lines_than_fit(keys: StoreKeys) -> None:
    """Two at its ends were torn; a sector of zeros holds one more."""
    header, lines = sealed(keys)
    front = header + lines[0]
    pad = 512 - len(front) % 512

    def reasons(missing: int, zeros: int) -> list[str]:
        data = front + bytes(pad + zeros) + b"".join(lines[1 + missing :])
        return [one.reason for one in unseal(data, keys).damage]

    fit = 2 + (pad + 512) // LEAST_SEALED_BYTES
    assert reasons(fit, 512) == ["zero_filled"]
    assert reasons(fit + 1, 512) == ["zero_filled", "sequence_gap"]


def test_a_hole_elsewhere_accounts_for_nothing(keys: StoreKeys) -> None:
    """Lines that are missing behind it, or before it, are a gap."""
    header, lines = sealed(keys)
    front = header + lines[0]
    hole = bytes(512 - len(front) % 512 + 1024)
    after = unseal(front + hole + b"".join(lines[1:4]) + b"".join(lines[6:]), keys)
    assert [one.reason for one in after.damage] == ["zero_filled", "sequence_gap"]
    front = header + b"".join([lines[0], *lines[3:5]])
    hole = bytes(512 - len(front) % 512 + 1024)
    before = unseal(front + hole + b"".join(lines[5:]), keys)
    assert sorted(one.reason for one in before.damage) == ["sequence_gap", "zero_filled"]


def test_zeros_in_permanent_bytes_of_an_encrypted_journal_are_named(keys: StoreKeys) -> None:
    """Where they begin, with how much was permanent; zeros behind that, or in plain, are what crashes leave."""
    header, lines = sealed(keys)
    front = header + lines[0]
    hole = bytes(512 - len(front) % 512 + 1024)
    data = front + hole + b"".join(lines[6:])
    found = unseal(data, keys)
    at = len(front)
    assert not found.lacks(at)
    assert found.lacks(at + 1)
    assert found.lacks(len(data))
    found.report_lacking(at)
    assert [one.reason for one in found.damage] == ["zero_filled"]
    found.report_lacking(at + 1)
    text = b"%d bytes were permanent" % (at + 1)
    assert found.damage[-1] == Damage("overwritten", 3, at, at, text)
    assert found.extent().reasons == {"zero_filled": 1, "overwritten": 1}
    both = unseal(data, keys)
    both.report_lacking(len(data) + 1)
    assert [one.reason for one in both.damage] == ["zero_filled", "truncated", "overwritten"]
    foreign = unseal(front + b"hello\n" + b"".join(lines[1:]), keys)
    assert not foreign.lacks(len(front) + 50)
    plain = read(HEADER + LINES[0] + bytes(40) + b"\n" + LINES[2])
    assert not plain.lacks(len(HEADER + LINES[0]) + 40)


def test_gap_beside_zeros_in_plain_is_counted_by_lines() -> None:
    """A journal in plain says how many lines were there: zeros are one."""
    data = HEADER + LINES[0] + bytes(4096) + b"\n" + LINES[4]
    assert [one.reason for one in read(data).damage] == ["zero_filled", "sequence_gap"]
