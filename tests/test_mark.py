"""Mark: one line of JSON beside the ticks, exact, and never taken for a tick."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from replaylab.errors import TickError
from replaylab.mark import MAX_MARK_BYTES, Mark, MarkKind
from replaylab.parsing.json_line import Kind, parse_line

AT = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)
PLAIN = st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8"), max_size=20)
NUMBERS = st.decimals(allow_nan=False, allow_infinity=False, places=24, min_value=-(10**14), max_value=10**14)
NAMES = st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=8).filter(
    lambda name: name not in {"type", "timestamp", "lane", "id", "seq", "crc", "start"}
)


@given(st.sampled_from(list(MarkKind)), st.dictionaries(NAMES, PLAIN | NUMBERS | st.lists(PLAIN | NUMBERS), max_size=5))
def test_what_is_written_is_read(kind: MarkKind, detail: dict[str, Any]) -> None:
    """The line of a mark says exactly what the mark says, Decimals in all their digits."""
    mark = Mark(kind, AT, "g", "a", detail)
    assert Mark.of_line(mark.to_line()) == mark


@given(st.sampled_from(list(MarkKind)))
def test_no_reader_takes_it_for_a_tick(kind: MarkKind) -> None:
    """Every reader of recordings takes the line of a mark for a control line of that name."""
    line = parse_line(Mark(kind, AT, detail={"tick": 3, "price": Decimal("1.02")}).to_line())
    assert (line.kind, line.label) == (Kind.CONTROL, kind)


def test_it_crosses_processes() -> None:
    """A pickled mark is the same mark."""
    mark = Mark(MarkKind.GAP, AT, "g", detail={"after": 3})
    assert pickle.loads(pickle.dumps(mark)) == mark


@pytest.mark.parametrize(
    ("given_values", "field"),
    [
        ({"kind": "tick"}, "type"),
        ({"timestamp": "yesterday"}, "timestamp"),
        ({"game_id": ""}, "game_id"),
        ({"lane": "\ud800"}, "lane"),
        ({"detail": {"type": "tick"}}, "detail"),
        ({"detail": {"price": float("nan")}}, "detail"),
        ({"detail": {"price": Decimal("NaN")}}, "detail"),
        ({"detail": {"what": object()}}, "detail"),
        ({"detail": {"text": "x" * MAX_MARK_BYTES}}, "detail"),
        ({"detail": [1]}, "detail"),
    ],
)
def test_what_cannot_be_written_is_refused(given_values: dict[str, Any], field: str) -> None:
    """A mark that exists can be written: anything else is refused by field when it is made."""
    with pytest.raises(TickError) as refused:
        Mark(**{"kind": "gap", "timestamp": AT, **given_values})
    assert refused.value.field == field


@pytest.mark.parametrize("raw", [b"", b"[1]", b"{", b"\xff", b'{"type": "tick"}', b'{"type": "gap"}', b"[" * 100_000])
def test_a_line_that_is_none_is_refused(raw: bytes) -> None:
    """A line that is no mark is a `TickError`, whatever it is."""
    with pytest.raises(TickError):
        Mark.of_line(raw)
