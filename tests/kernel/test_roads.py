"""Kernel and numpy find the same: rows, remarks, accounts and digests, in clean, odd and damaged bytes."""

from __future__ import annotations

import ctypes
import random
from decimal import Decimal
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replaylab.kernel.library import count_newlines
from replaylab.parsing.fields import PADDING
from replaylab.parsing.json_line import Reading
from replaylab.parsing.kernel_lines import KernelLines
from replaylab.segments.digest import rows_digest
from replaylab.table import SCHEMA, Names, to_table
from tests.kernel.mapped import FORMS, mapped_blocks, values
from tests.kernel.roads import JOURNAL, LAYOUTS, TYPED, assert_same, blocks, line, road, rows_of
from tests.stores import RECORDINGS
from tests.strategies import recordings

LINES = 20_000


@pytest.mark.parametrize("seed", range(4))
def test_mutated_lines(seed: int, library: ctypes.CDLL) -> None:
    """In lines of which six in ten were mutated, both roads find the same, and most blocks hold rows."""
    rows = sum(len(assert_same(block, library).batch) for block in blocks(seed, LINES // 4))
    assert rows > LINES // 4 * 0.4


@pytest.mark.parametrize("name", sorted(FORMS))
def test_mutated_lines_of_other_recorders(name: str, library: ctypes.CDLL) -> None:
    """Lines read by a mapping, or in a form that only the general parser knows, are the same by both roads."""
    rows = sum(len(assert_same(one, library, FORMS[name].mapping).batch) for one in mapped_blocks(name, 1, LINES // 8))
    assert rows > LINES // 8 * 0.2


@pytest.mark.parametrize("name", sorted(FORMS))
def test_plain_lines_of_other_recorders_are_read_by_the_kernel(name: str, library: ctypes.CDLL) -> None:
    """Lines in plain values do not go to the general parser, whatever their field names are."""
    chance = random.Random(name)
    plain = {"iso": "2031-01-02T03:04:05.25", "null": "null", "any": '"x"', "timer": "0"}
    ns, ms, s = "1925089445250000000", "1925089445250", "1925089445.25"
    plain |= {"ns": ns, "ms": ms, "s": s, "price": "1.25", "tick": "7"}
    raws = [FORMS[name].text.format(**values(chance) | plain).encode() for _ in range(50)]
    data = b"\n".join(raws) + b"\n"
    mapping = FORMS[name].mapping
    reading = Reading() if mapping is None else Reading(mapping, mapping.times())
    lines = KernelLines(bytearray(data) + bytes(PADDING), len(data), library, reading)
    lines.read_shaped([])
    assert lines.done.all()


@given(recordings())
def test_any_recording(library: ctypes.CDLL, data: bytes) -> None:
    """In recordings of every dialect and damage, both roads find the same."""
    assert_same(data, library)


def test_real_recordings(library: ctypes.CDLL) -> None:
    """In real recordings, where they are there, both roads find the same; else in as many made lines."""
    paths = sorted(RECORDINGS.glob("*.jsonl"))[::40]
    chance = random.Random(5)
    made = [b"\n".join(line(chance, TYPED) for _ in range(3000))]
    for data in [path.read_bytes() for path in paths] or made:
        assert_same(data, library)


def clean(layout: str, /, *, lines: int = 50, **values: Any) -> list[bytes]:
    """Return good lines of a layout, the first of them in plain values, so that its layout is known."""
    plain = {
        "time": "2031-01-02T03:04:05.250000",
        "game": "g",
        "tick": 1,
        "price": "1.25",
        "phase": "ACTIVE_GAMEPLAY",
        "active": "true",
        "rugged": "false",
        "timer": 0,
        "trades": 3,
        "seq": 1,
        "crc": "0123abcd",
    }
    return [layout.format(**plain).encode()] * lines + [layout.format(**plain | values).encode()]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "values",
    [
        {"tick": "00"},
        {"tick": 99999999},
        {"tick": 100000000},
        {"tick": 2147483647},
        {"tick": 2147483648},
        {"tick": -1},
        {"tick": "1.0"},
        {"price": "99999999999999.999999999999999999999999"},
        {"price": "100000000000000"},
        {"price": "0." + "0" * 23 + "1"},
        {"price": "0." + "0" * 24 + "1"},
        {"price": "1.0", "active": "false"},
        {"price": "1.0", "active": "true"},
        {"price": "1.00", "active": "false"},
        {"price": "10", "active": "false"},
        {"price": "-0"},
        {"price": "-1.5"},
        {"price": "1E-3"},
        {"price": "NaN"},
        {"price": "null"},
        {"time": "2031-02-29T00:00:00.000000"},
        {"time": "2032-02-29T23:59:59.999999"},
        {"time": "2031-01-02T03:04:60.000000"},
        {"time": "2031-01-02T24:00:00.000000"},
        {"time": "0001-01-02T03:04:05.000000"},
        {"time": "9999-01-02T03:04:05.000000"},
        {"time": "1969-12-31T23:59:59.999999"},
        {"time": "2031-01-02 03:04:05.250000"},
        {"game": ""},
        {"game": "a\\u0000b"},
        {"game": "tab\there"},
        {"game": "x" * 3000},
        {"game": "x" * 5000},
        {"game": "\x7f"},
        {"phase": ""},
        {"phase": "\u2028"},
        {"timer": "-0"},
        {"timer": "-2147483647"},
        {"timer": "null"},
        {"trades": "null"},
        {"trades": "1e3"},
        {"active": "null"},
        {"active": "True"},
        {"rugged": "falsE"},
        {"seq": -1},
        {"crc": "0123ABCD"},
        {"crc": "0123abc"},
    ],
)
def test_values_at_their_bounds(layout: str, values: dict[str, Any], library: ctypes.CDLL) -> None:
    """A value at or beyond a bound is read as numpy reads it, or left to the general parser, as the last line too."""
    lines = clean(layout, **values)
    assert_same(b"\n".join(lines) + b"\n", library)
    assert_same(b"\n".join([lines[0], lines[-1], *lines[:3]]), library)


def test_texts_that_may_not_be_stored(library: ctypes.CDLL) -> None:
    """A text of bytes that are no UTF-8 costs its own line alone, and is not left in the column's texts."""
    good = clean(TYPED, lines=3)[0]
    data = b"\n".join([good, good.replace(b'"g"', b'"\xff"'), good.replace(b'"g"', b'"other"')])
    found = assert_same(data, library)
    assert [row[1] for row in rows_of(found)] == ["g", "other"]
    assert found.batch.game.texts == ("g", "other")


def test_more_games_than_the_kernel_tells_apart(library: ctypes.CDLL) -> None:
    """Games beyond the most that the kernel counts are read by the general parser: nothing is lost."""
    lines = [clean(TYPED, lines=0, game=f"game-{number}")[0] for number in range(16_500)]
    found = assert_same(b"\n".join(lines) + b"\n", library)
    assert len(found.batch) == 16_500


def test_plain_lines_are_read_by_the_kernel(library: ctypes.CDLL) -> None:
    """Lines in their plainest form do not go to the general parser: else the kernel would be of no use."""
    for layout in LAYOUTS:
        raws = [
            clean(layout, lines=0, tick=number, price=f"{number}.{number + 1}", game=f"g{number // 9}", trades=number)[
                0
            ]
            for number in range(400)
        ]
        data = b"\n".join(raws) + b"\n"
        lines = KernelLines(bytearray(data) + bytes(PADDING), len(data), library)
        lines.read_shaped([])
        assert lines.done.all()


def test_as_many_games_as_lines_are_read_by_the_kernel(library: ctypes.CDLL) -> None:
    """Lines that are each of a game of its own, in a block of one line and of forty thousand, go the quick way too."""
    for count in (1, 2, 40_000):
        data = b"".join(clean(JOURNAL, lines=0, game=f"g{number}")[0] + b"\n" for number in range(count))
        lines = KernelLines(bytearray(data) + bytes(PADDING), len(data), library)
        (batch,) = lines.read_shaped([])
        assert lines.done.all()
        assert [batch.game.texts[code] for code in batch.game.codes] == [f"g{number}" for number in range(count)]


def test_prices_are_exact(library: ctypes.CDLL) -> None:
    """A price of up to 14 and 24 digits comes back as the same number."""
    chance = random.Random(11)
    texts = [
        f"{chance.randrange(10 ** chance.randint(1, 14))}.{chance.randrange(10**places):0{places}}"
        for places in range(1, 25)
        for _ in range(40)
    ]
    data = b"\n".join(clean(JOURNAL, lines=0, price=text)[0] for text in texts)
    found = assert_same(data, library)
    assert found.batch.price.to_pylist() == [Decimal(text) for text in texts]


@given(st.integers(0, 3000), st.integers(0, 40), st.integers(0, 2**32))
def test_digests_of_rows(library: ctypes.CDLL, rows: int, cut: int, seed: int) -> None:
    """The digest of rows is the same by both roads, for any values, nulls and slices."""
    table = _rows(rows, np.random.default_rng(seed)).slice(cut)
    with road(library):
        ours = rows_digest(table)
    with road(None):
        assert rows_digest(table) == ours


def _rows(count: int, chance: np.random.Generator) -> pa.Table:
    """Return rows of the stored schema with any values, and nulls where they may be."""
    columns = []
    for field in SCHEMA:
        mask = chance.random(count) < 0.2 if field.nullable else np.zeros(count, np.bool_)
        if pa.types.is_dictionary(field.type):
            names = Names(np.where(mask, -1, chance.integers(0, 3, count)).astype(np.int32), ("a", "é", ""))
            columns.append(names.to_arrow())
        elif pa.types.is_boolean(field.type):
            columns.append(pa.array(chance.random(count) < 0.5, mask=mask))
        elif pa.types.is_decimal(field.type):
            units = chance.integers(-(10**9), 10**9, count).tolist()
            amounts = [None if gone else Decimal(one).scaleb(-7) for one, gone in zip(units, mask, strict=True)]
            columns.append(pa.array(amounts, field.type))
        else:
            columns.append(pa.array(chance.integers(0, 2**31, count), mask=mask).cast(field.type))
    return pa.Table.from_arrays(columns, schema=SCHEMA)


def test_a_scan_becomes_the_same_table(library: ctypes.CDLL) -> None:
    """What both roads read becomes tables of the same rows."""
    data = next(blocks(3, 500))
    tables = []
    for found in (library, None):
        with road(found):
            batch = assert_same(data, library).batch
        count = len(batch)
        source = Names(np.zeros(count, np.int32), ("s",))
        tables.append(to_table(batch, source=source, seq=np.arange(count), line=batch.line, zone="UTC"))
    assert tables[0].to_pylist() == tables[1].to_pylist()


@given(st.binary(max_size=2000).map(lambda data: data.replace(b"a", b"\n")), st.integers(0, 2000))
def test_newlines_are_counted(library: ctypes.CDLL, data: bytes, size: int) -> None:
    """The kernel counts as many newlines as Python, in any bytes and up to any place."""
    with mock.patch("replaylab.kernel.library.load", return_value=library):
        assert count_newlines(bytearray(data), size) == data[:size].count(b"\n")
        assert count_newlines(bytearray(data)) == data.count(b"\n")


@pytest.mark.parametrize("size", [63, 64, 65, 255 * 64 - 1, 255 * 64, 255 * 64 + 1, 40_000])
def test_a_lane_counts_no_further_than_a_byte_does(library: ctypes.CDLL, size: int) -> None:
    """Bytes that are newlines, all of them or every second, are counted where a count of one byte would be full."""
    with mock.patch("replaylab.kernel.library.load", return_value=library):
        assert count_newlines(bytearray(b"\n") * size) == size
        assert count_newlines(bytearray(b"\n-") * size) == size
