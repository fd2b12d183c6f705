"""Resynchronising: whole and torn objects are taken out, every byte is in one span, and it is quick."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import given

from replaylab.parsing.json_line import Kind, parse_line
from replaylab.parsing.resync import MAX_LOST, Span, resynchronise
from replaylab.tick import MAX_TICK_BYTES, Row
from tests.strategies import CONTROL, PLAIN, TICK_KEYS, lines, tick_line

WHOLE = tick_line(TICK_KEYS).encode()
CUT = WHOLE.index(b"12}")  # the last number begins here


def reasons(line: bytes) -> list[str]:
    """Give the reasons of a line's spans."""
    return [span.reason for span in resynchronise(line)]


def rows(line: bytes) -> list[Row]:
    """Give the rows taken from a line."""
    return [row for span in resynchronise(line) if span.line for row in span.line.rows]


@given(lines())
def test_spans_cover_every_byte_once(line: bytes) -> None:
    """Spans follow on from one another, none is empty, and what they take is marked as repaired."""
    spans = resynchronise(line)
    edges = [0, *(span.end for span in spans)]
    assert [span.start for span in spans] == edges[:-1]
    assert edges[-1] == len(line)
    assert all(span.start < span.end for span in spans)
    assert all(row.repaired for row in rows(line))
    for span in spans:
        if span.reason == "merged_line":
            alone = parse_line(line[span.start : span.end])
            assert span.line is not None
            assert [row._replace(repaired=True) for row in alone.rows] == list(span.line.rows)


def test_merged_objects_are_all_taken() -> None:
    """Objects that stand in one line, with scraps between them, are each taken whole, control lines too."""
    line = b'{"' + WHOLE + WHOLE + b"}" + CONTROL[0].encode() + b"{"
    assert reasons(line) == ["scrap", "merged_line", "merged_line", "scrap", "merged_line", "scrap"]
    assert rows(line) == [parse_line(WHOLE).rows[0]._replace(repaired=True)] * 2


@pytest.mark.parametrize(
    ("end", "timer", "trades"),
    [
        (CUT + 2, 0, None),
        (CUT + 1, 0, None),
        (CUT, 0, None),
        (CUT - 3, 0, None),
        (WHOLE.index(b'"cooldown_timer": 0') + 19, None, None),
        (WHOLE.index(b'"cooldown_timer"'), None, None),
    ],
)
def test_a_torn_tick_gives_what_is_intact(end: int, timer: int | None, trades: int | None) -> None:
    """A number that is cut off is unknown, even when digits of it are left."""
    (found,) = rows(WHOLE[:end])
    assert (found.cooldown_timer, found.trade_count, found.repaired) == (timer, trades, True)
    assert found.price == parse_line(WHOLE).rows[0].price
    assert [row.trade_count for row in rows(WHOLE[:end] + WHOLE)] == [trades, 12]


@pytest.mark.parametrize("key", ["timestamp", "game_id", "tick", "price", "phase", "active", "rugged"])
def test_a_tick_torn_earlier_gives_nothing(key: str) -> None:
    """Without everything up to `rugged` there is no row, however much of a value is left."""
    start = WHOLE.index(f'"{key}": '.encode())
    for end in range(start, start + len(key) + 4 + len(PLAIN[key])):
        assert rows(WHOLE[:end] + WHOLE) == [parse_line(WHOLE).rows[0]._replace(repaired=True)]


def test_a_torn_price_is_never_shortened() -> None:
    """A price that was cut within its digits is not taken for a shorter price."""
    at = WHOLE.index(b"1.0123") + 4
    assert rows(WHOLE[:at]) == []
    assert rows(WHOLE[:at] + b" " * 30 + WHOLE[at:]) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"not json at all", ["not_json"]),
        (b"}", ["scrap"]),
        (b'{"', ["scrap"]),
        (b'{"type": "ti', ["torn_beginning"]),
        (b'{"type": "tick", "type": "tick"}', ["torn_beginning"]),
        (b'x{"type": "", "a": 1}', ["scrap", "unknown_object"]),
        (b'x{"type": 1E99999999999999999999}', ["scrap", "torn_beginning"]),
        (b'{"tick": 1E99999999999999999999, "type": ', ["torn_beginning"]),
        (b'{"tick": ' + b"1" * 5000 + b", {", ["torn_beginning"]),
        (b'x{"type": ' + b"[" * 100_000, ["scrap", "too_deep"]),
        (b"\xff" + WHOLE, ["scrap", "merged_line"]),
        ("\u20ac".encode() + WHOLE[:-1] + b"\xff}", ["scrap", "torn_object"]),
    ],
)
def test_every_scrap_has_its_reason(line: bytes, expected: list[str]) -> None:
    """What nothing can be taken from is named, and stops nothing."""
    assert reasons(line) == expected


def test_a_surrogate_is_no_name() -> None:
    """Bytes that are no text do not become part of an id."""
    broken = WHOLE.replace(b"0123456789ab4cde", b"0123456789ab4c\xffe")
    assert rows(broken + WHOLE) == [parse_line(WHOLE).rows[0]._replace(repaired=True)]


def test_an_object_may_be_long() -> None:
    """Objects and texts of any length up to a mebibyte are read whole; a longer tick is refused, torn or not."""
    for size in (4_000, 4_096, 4_100, 40_000, 500_000):
        long = tick_line(TICK_KEYS, {"game_id": '"' + "x" * size + '"'}).encode()
        assert [len(row.game_id) for row in rows(b"}" + long + long[:-1])] == [size, size]
    long = tick_line(TICK_KEYS, {"game_id": '"' + "x" * MAX_TICK_BYTES + '"'}).encode()
    assert reasons(b"}" + long + long[:-1]) == ["scrap", "tick_too_large", "torn_beginning"]


@pytest.mark.parametrize("unit", [WHOLE[:-20], b'{"type":x', b'{"type":[', b'"a":1, ', b"}", b"\xff{"])
def test_damage_takes_time_in_proportion(unit: bytes) -> None:
    """Four times the damage takes about four times as long, not sixteen."""

    def seconds(size: int) -> float:
        line = b'{"type": "tick", ' + unit * (size // len(unit))
        start = time.process_time()
        spans = resynchronise(line)
        assert spans[-1].end == len(line)
        return time.process_time() - start

    assert seconds(1 << 20) < 10 * seconds(1 << 18) + 0.5


def test_the_spans_of_a_line_without_damage() -> None:
    """A line that is whole is one span."""
    (span,) = resynchronise(WHOLE)
    assert span[:2] == (0, len(WHOLE))
    assert isinstance(span, Span)
    assert span.line is not None
    assert span.line.kind is Kind.TICK


def test_a_line_of_very_many_scraps_is_bounded_by_name() -> None:
    """Every byte is still covered once, in a bounded number of pieces; the last one says why."""
    raw = b'{"type":}' * 200_000
    spans = resynchronise(raw)
    assert len(spans) == MAX_LOST
    assert (spans[-1].reason, spans[-1].end) == ("too_many_pieces", len(raw))
    assert all(one.end == two.start for one, two in pairwise(spans))


def test_every_whole_tick_of_a_long_line_is_taken() -> None:
    """Ticks written one behind the other without a newline are all taken, however many."""
    spans = resynchronise(tick_line(TICK_KEYS).encode() * 5_000)
    assert sum(len(span.line.rows) for span in spans if span.line) == 5_000
