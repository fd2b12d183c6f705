"""Digits in columns: every number and time is read as Python reads it, and whatever is none is said to be none."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replaylab.errors import TickError
from replaylab.parsing.digits import read_times, read_whole
from replaylab.tick import microseconds, parse_wall_time


def load(texts: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """Give the words at every byte of texts put end to end, and where each text begins."""
    block = b"".join(texts) + bytes(64)
    begin = np.cumsum([0, *map(len, texts[:-1])]) if texts else np.zeros(0, np.int64)
    return np.ndarray((len(block) - 7,), "<u8", block, 0, (1,)), begin.astype(np.int64)


def check_whole(texts: list[bytes]) -> None:
    """Hold the columns against a regular expression and `int`."""
    words, begin = load(texts)
    values, good = read_whole(words[begin], np.array([len(text) for text in texts], np.int64))
    expected = [re.fullmatch(rb"0|[1-9][0-9]{0,7}", text) is not None for text in texts]
    assert good.tolist() == expected
    assert [value for value, one in zip(values.tolist(), good, strict=True) if one] == [
        int(text) for text, one in zip(texts, expected, strict=True) if one
    ]


def check_times(texts: list[bytes]) -> None:
    """Hold the columns against the general parser; it alone takes times in other notations."""
    words, begin = load(texts)
    values, good = read_times(words, begin)
    for text, value, one in zip(texts, values.tolist(), good.tolist(), strict=True):
        plain = re.fullmatch(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}", text)
        try:
            expected = microseconds(parse_wall_time(text.decode())) if plain else None
        except TickError:
            expected = None
        assert (value if one else None) == expected


@given(st.lists(st.integers(0, 10**10).map(lambda number: str(number).encode()), min_size=1, max_size=20))
def test_whole_numbers_are_read(texts: list[bytes]) -> None:
    """Numbers of one to eight digits come back, longer ones are left to the parser."""
    check_whole(texts)


@given(st.lists(st.one_of(st.binary(max_size=9), st.from_regex(rb"[0-9/:.\-]{0,9}", fullmatch=True)), min_size=1))
def test_whatever_is_no_number_is_told(texts: list[bytes]) -> None:
    """Signs, leading zeros, points, blanks, other bytes and nothing at all are not good."""
    check_whole(texts)


@pytest.mark.parametrize("place", range(8))
def test_every_byte_at_every_place(place: int) -> None:
    """Of the 256 bytes only digits are good, wherever they stand."""
    check_whole([b"11111111"[:place] + bytes([byte]) + b"11111111"[place + 1 :] for byte in range(256)])


@given(st.lists(st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31)), min_size=1, max_size=20))
def test_times_are_read(moments: list[object]) -> None:
    """Times of all years come back to the microsecond, whatever stands beside them."""
    check_times([f"{moment:%Y-%m-%dT%H:%M:%S.%f}".rjust(26, "0").encode() for moment in moments])


@pytest.mark.parametrize("place", range(26))
def test_times_with_any_byte_at_any_place(place: int) -> None:
    """A time with one byte changed is read as the parser reads it, or not at all."""
    time = b"2031-02-28T23:59:59.999999"
    texts = [time[:place] + bytes([byte]) + time[place + 1 :] for byte in range(128)]
    check_times([time, *texts, time])


def test_impossible_times_are_told() -> None:
    """Days and hours that no calendar has are not good, also among good ones."""
    impossible = [
        "2031-13-01T03:04:20.25",
        "2031-02-29T03:04:20.25",
        "2031-01-02T24:00:00.00",
        "2031-01-02T03:60:00.00",
    ]
    texts = [f"{text}0000".encode() for text in [*impossible, "2031-01-02T03:04:60.00", "2031-01-02T03:04:59.00"]]
    words, begin = load(texts)
    assert read_times(words, begin)[1].tolist() == [False] * 5 + [True]
