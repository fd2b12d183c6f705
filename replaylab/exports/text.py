"""Ticks as lines of text, whole columns at once: recordings (exact JSON), JSON objects and CSV. Pure.

A line of a recording holds every field of a stored row, so `jsonl.parse_line` gives the row back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from replaylab.parsing.json_line import FILLED_TEXT, FURTHER_FIELDS
from replaylab.table import FURTHER, PRICE_TYPE
from replaylab.tick import PRICE_PRECISION, PRICE_SCALE

_DIGITS: Final = pa.decimal128(PRICE_PRECISION, 0)  # the same 128 bits without the point
_SPECIAL: Final = re.compile(r'[",\r\n]|^\s|\s$')
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")  # as spreadsheets begin one
_CHUNK_BYTES: Final = 64 << 20  # text held at once
_LINE_BYTES: Final = 400  # about twice the length of a line whose names are short

Texts = Callable[[pa.Array], pa.Array]
Fragment: TypeAlias = str | pa.Array


def recording_lines(table: pa.Table) -> bytes:
    r"""Return rows of the stored schema as lines of a recording, which convert back to the same rows.

    Source, line and place in it are left out: a recording has its own.

    Examples
    --------
    >>> from replaylab.parsing.scan import scan
    >>> from replaylab.table import SCHEMA
    >>> recording_lines(SCHEMA.empty_table())
    b''
    """
    return _in_chunks(table, _recording_fragments)


def json_lines(table: pa.Table) -> bytes:
    r"""Return rows as one JSON object a line, keys named as the columns; prices are numbers with all their digits.

    Examples
    --------
    >>> json_lines(pa.table({"tick": [1, None], "name": ["a\nb", "c"]}))
    b'{"tick": 1, "name": "a\\nb"}\n{"tick": null, "name": "c"}\n'
    """

    def fragments(chunk: pa.Table) -> list[Fragment]:
        found: list[Fragment] = []
        for name in chunk.column_names:
            found += [f"{', ' if found else '{'}{json.dumps(name)}: ", json_texts(_whole(chunk, name))]
        return [*found, "}\n"]

    return _in_chunks(table, fragments)


def csv_lines(table: pa.Table, *, guarded: bool = False) -> bytes:
    r"""Return rows as CSV without a heading: prices in plain decimals, times in ISO 8601, null as nothing.

    `guarded` texts that a spreadsheet would take for a formula, as they begin with ``= + - @``, begin with ``'``.

    Examples
    --------
    >>> csv_lines(pa.table({"tick": [1, None], "name": ["a,b", "c"], "active": [True, False]}))
    b'1,"a,b",true\n,c,false\n'
    >>> csv_lines(pa.table({"name": ["=1+1", "a"], "tick": [-1, 2]}), guarded=True)
    b"'=1+1,-1\na,2\n"
    """

    def fragments(chunk: pa.Table) -> list[Fragment]:
        found: list[Fragment] = []
        for name in chunk.column_names:
            found += [*([","] if found else []), csv_texts(_whole(chunk, name), guarded=guarded)]
        return [*found, "\n"]

    return _in_chunks(table, fragments)


def json_texts(values: pa.Array) -> pa.Array:
    """Return each value as JSON text; null as ``null``."""
    if pa.types.is_timestamp(values.type):
        quoted = pc.binary_join_element_wise('"', time_texts(values), '"', "")
        return pc.fill_null(quoted, "null")
    return pc.fill_null(_texts(values, lambda text: json.dumps(text, ensure_ascii=False)), "null")


def csv_texts(values: pa.Array, *, guarded: bool = False) -> pa.Array:
    """Return each value as it stands in a CSV file; null as nothing."""
    return pc.fill_null(_texts(values, _guarded_text if guarded else _csv_text), "")


def price_texts(prices: pa.Array) -> pa.Array:
    """Return prices as the shortest plain decimal texts, as `tick.price_text` does one by one; null stays null.

    Examples
    --------
    >>> from decimal import Decimal
    >>> price_texts(pa.array([Decimal("1.10"), Decimal("-6.2E-5"), Decimal(100), None], PRICE_TYPE)).to_pylist()
    ['1.1', '-0.000062', '100', None]
    """
    bits = pa.Array.from_buffers(_DIGITS, len(prices), prices.buffers(), offset=prices.offset)
    digits = bits.cast(pa.string())
    below_zero = pc.starts_with(digits, "-")
    digits = pc.ascii_lpad(pc.ascii_ltrim(digits, "-"), PRICE_SCALE + 1, "0")
    whole = pc.utf8_slice_codeunits(digits, 0, -PRICE_SCALE)
    decimals = pc.utf8_slice_codeunits(digits, -PRICE_SCALE)
    plain = pc.ascii_rtrim(pc.ascii_rtrim(pc.binary_join_element_wise(whole, decimals, "."), "0"), ".")
    if not pc.any(below_zero).as_py():
        return plain
    return pc.binary_join_element_wise(pc.if_else(below_zero, "-", ""), plain, "")


def time_texts(times: pa.Array) -> pa.Array:
    """Return UTC times in ISO 8601 with microseconds and zone, such as ``2031-01-02T03:04:20.250000+00:00``."""
    texts = times.cast(pa.timestamp("us")).cast(pa.string())
    date = pc.utf8_slice_codeunits(texts, 0, -16)
    clock = pc.utf8_slice_codeunits(texts, -15)
    return pc.binary_join_element_wise(date, "T", clock, "+00:00", "")


def _recording_fragments(chunk: pa.Table) -> list[Fragment]:
    def value(name: str) -> pa.Array:
        return json_texts(_whole(chunk, name))

    active, phase = _whole(chunk, "active"), _whole(chunk, "recorded_phase")
    named = pc.binary_join_element_wise(', "phase": ', json_texts(phase), "")
    return [
        '{"type": "tick", "timestamp": ',
        value("timestamp"),
        ', "game_id": ',
        value("game_id"),
        ', "tick": ',
        value("tick"),
        ', "price": ',
        _recorded_prices(_whole(chunk, "price"), _whole(chunk, "price_filled"), active),
        pc.if_else(pc.is_valid(phase), named, ""),
        ', "active": ',
        value("active"),
        ', "rugged": ',
        value("rugged"),
        ', "cooldown_timer": ',
        value("cooldown_timer"),
        ', "trade_count": ',
        value("trade_count"),
        *(_stated(chunk, one.name) for one in FURTHER),
        pc.if_else(_whole(chunk, "repaired"), ', "repaired": true}\n', "}\n"),
    ]


def _stated(chunk: pa.Table, name: str) -> pa.Array:
    """Return a column of `table.FURTHER` as recordings name it; nothing where a row states nothing of it."""
    values = _whole(chunk, name)
    named = pc.binary_join_element_wise(f", {json.dumps(FURTHER_FIELDS[name].recorded)}: ", json_texts(values), "")
    return pc.if_else(pc.is_valid(values), named, "")


def _recorded_prices(prices: pa.Array, filled: pa.Array, active: pa.Array) -> pa.Array:
    """Return prices as a recorder writes them: "filled in" by the text that means it, or in so many words."""
    marked = pc.if_else(active, 'null, "price_filled": true', FILLED_TEXT)
    return pc.if_else(filled, marked, json_texts(prices))


def _texts(values: pa.Array, text_of: Callable[[str], str]) -> pa.Array:
    """Return values as texts; names are each written once, by `text_of`."""
    kind = values.type
    if pa.types.is_string(kind):
        values = values.dictionary_encode()
        kind = values.type
    if pa.types.is_dictionary(kind):
        written = pa.array([text_of(text) for text in values.dictionary.to_pylist()], pa.string())
        return written.take(values.indices)
    if kind == PRICE_TYPE:
        return price_texts(values)
    if pa.types.is_timestamp(kind):
        return time_texts(values)
    if pa.types.is_boolean(kind):
        return pc.if_else(values, "true", "false")
    return values.cast(pa.string())


def _guarded_text(text: str) -> str:
    """Return a text as it stands in a CSV file that a spreadsheet opens: what it would take for a formula is quoted."""
    return _csv_text(f"'{text}" if text.startswith(_FORMULA) else text)


def _csv_text(text: str) -> str:
    quoted = '"' + text.replace('"', '""') + '"'
    return quoted if _SPECIAL.search(text) else text


def _whole(table: pa.Table, name: str) -> pa.Array:
    """Return a column as one array."""
    column = table.column(name)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _in_chunks(table: pa.Table, fragments: Callable[[pa.Table], list[Fragment]]) -> bytes:
    """Join the fragments of each row into its line, so many rows at once as memory allows whatever their names."""
    table = table.unify_dictionaries().combine_chunks()
    rows = max(1, _CHUNK_BYTES // (_LINE_BYTES + _longest_names(table)))
    lines: list[Any] = []
    for start in range(0, table.num_rows, rows):
        parts = fragments(table.slice(start, rows))
        joined = pc.binary_join_element_wise(*parts, "")
        lines.append(_joined_bytes(joined))
    return b"".join(lines)


def _longest_names(table: pa.Table) -> int:
    """Return how many bytes the names of a row take at most, escapes included."""
    total = 0
    for field in table.schema:
        if pa.types.is_dictionary(field.type) and table.num_rows:
            lengths = pc.binary_length(_whole(table, field.name).dictionary)
            total += 6 * (pc.max(lengths).as_py() or 0)
    return total


def _joined_bytes(lines: pa.Array) -> memoryview:
    """Return the bytes of all texts of an array, end to end."""
    offsets = memoryview(lines.buffers()[1]).cast("i")
    return memoryview(lines.buffers()[2])[offsets[lines.offset] : offsets[lines.offset + len(lines)]]
