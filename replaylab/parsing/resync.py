"""Resynchronise inside a damaged line: whole objects are taken, torn ones as far as they are intact. Pure.

The damage was measured on real recordings: two processes writing one file, each from its own offset, leave objects
merged, cut short by the next one, and scraps of braces.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any, Final, NamedTuple

from replaylab.errors import TickError
from replaylab.parsing.json_line import DECODER, PLAIN, Kind, Line, Reading, broken_label, interpret, tick_row
from replaylab.tick import MAX_TICK_BYTES, Row

_OBJECT_START: Final = re.compile(r'\{[ \t\r\n]*"(?:type|game_id|timestamp|tick|_metadata|seq|ts|event)"[ \t\r\n]*:')
_ANY_START: Final = re.compile(r'\{[ \t\r\n]*"')
# The end of an object whose beginning is gone, or a bare beginning.
_EDGE: Final = re.compile(r'\}[ \t\r\n]*\Z|\A[ \t\r\n]*\{"?[ \t\r\n]*\Z')
_KEY: Final = re.compile(r'[ \t\r\n]*"([a-z_]+)"[ \t\r\n]*:[ \t\r\n]*')
_COMMA: Final = re.compile(r"[ \t\r\n]*,")
_TEXT: Final = re.compile(r'"([^"\\\x00-\x1f]*)"')
_NUMBER: Final = re.compile(r"-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?", re.ASCII)
MAX_LOST: Final = 4096  # spans of a line that nothing was taken from; the rest of a line that has more is the last
_WINDOW: Final = 4096  # characters decoded at first; more when an object goes on
_LITERAL_ROOM: Final = 16  # characters that a literal or an escape may take
_LITERALS: Final = {"true": True, "false": False, "null": None}
_LITERAL: Final = re.compile("true|false|null")


class Span(NamedTuple):
    """Bytes `start` to `end` of a damaged line: a line taken from them, or the reason why nothing was."""

    start: int
    end: int
    line: Line | None
    reason: str
    detail: str = ""


def resynchronise(raw: bytes, reading: Reading = PLAIN) -> list[Span]:
    """Cut a damaged line into spans that cover every byte of it once.

    Examples
    --------
    >>> whole = b'{"type": "game_start", "game_id": "g"}'
    >>> [(span.start, span.end, span.reason) for span in resynchronise(b'{"' + whole)]
    [(0, 2, 'scrap'), (2, 40, 'merged_line')]
    """
    text = raw.decode("utf-8", "surrogateescape")
    begins = _ANY_START if reading.mapped else _OBJECT_START
    spans: list[Span] = []
    at_char = at_byte = lost = 0

    def take(until: int, line: Line | None, reason: str, detail: str = "") -> None:
        nonlocal at_char, at_byte, lost
        lost += line is None
        size = until - at_char if len(text) == len(raw) else len(_encoded(text[at_char:until]))
        spans.append(Span(at_byte, at_byte + size, line, reason, detail))
        at_char, at_byte = until, at_byte + size

    while at_char < len(text):
        found = begins.search(text, at_char)
        if lost >= MAX_LOST - 1:
            take(len(text), None, "too_many_pieces", f"more than {MAX_LOST:,} pieces in one line")
        elif found is None:
            take(len(text), None, "scrap" if spans or _EDGE.search(text) else "not_json")
        elif found.start() > at_char:
            take(found.start(), None, "scrap")
        else:
            take(*_object_at(text, at_char, begins, reading))
    return spans


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _object_at(text: str, start: int, begins: re.Pattern[str], reading: Reading) -> tuple[int, Line | None, str, str]:
    """Return (end, line, reason, detail) of the object that starts at `start`: whole, torn, or without data."""
    try:
        value, end = _decode(text, start)
    except RecursionError:
        return len(text), None, "too_deep", ""
    except json.JSONDecodeError as error:
        after = begins.search(text, start + 1)
        end = after.start() if after else len(text)
        row = None if reading.mapped else _torn_row(text[start:end], reading)
        if row:
            return end, Line(Kind.TICK, (row,)), "torn_object", ""
        return end, None, broken_label(error, "torn_beginning"), ""
    except (ValueError, ArithmeticError):  # a key twice, or a number longer than Python converts
        after = begins.search(text, start + 1)
        return (after.start() if after else len(text)), None, "torn_beginning", ""
    line = interpret(value, end - start, reading)
    if line.kind is Kind.DAMAGED:
        return end, None, line.label, line.detail
    rows = tuple(row._replace(repaired=True) for row in line.rows)
    return end, line._replace(rows=rows), "merged_line", ""


def _decode(text: str, start: int) -> tuple[object, int]:
    """Return (value, end) of the object that starts at `start`, from windows: an error counts all text given."""
    size = _WINDOW
    while True:
        window = text[start : start + size]
        try:
            value, end = DECODER.raw_decode(window)
        except json.JSONDecodeError as error:
            met_edge = error.pos > len(window) - _LITERAL_ROOM or error.msg.startswith("Unterminated")
            if not met_edge or start + size >= len(text):
                raise
            size *= 8
        else:
            return value, start + end


def _torn_row(text: str, reading: Reading) -> Row | None:
    """Return the row of a torn tick, when everything up to `rugged` is intact; what was cut off is None."""
    found: dict[str, Any] = {}
    at = 1
    while key := _KEY.match(text, at):
        value, at, whole = _torn_value(text, key.end())
        if not whole:
            break
        found[key[1]] = value
        comma = _COMMA.match(text, at)
        if comma is None:
            break
        at = comma.end()
    if found.get("type", "tick") != "tick" or "phase" not in found or at > MAX_TICK_BYTES:
        return None
    try:
        return tick_row(found, reading.times)._replace(repaired=True)
    except TickError:
        return None


def _torn_value(text: str, at: int) -> tuple[object, int, bool]:
    """Return (value, end, whole); a number counts as whole only when a comma or brace follows it."""
    if match := _TEXT.match(text, at):
        return match[1], match.end(), True
    if match := _LITERAL.match(text, at):
        return _LITERALS[match[0]], match.end(), True
    match = _NUMBER.match(text, at)
    if match is None:
        return None, at, False
    whole = text[match.end() : match.end() + 20].lstrip()[:1] in {",", "}"} and len(match[0]) <= 100
    if not whole:
        return None, match.end(), False
    try:
        return (Decimal(match[0]) if match[1] or match[2] else int(match[0])), match.end(), True
    except ArithmeticError:  # a longer exponent than Python converts
        return None, match.end(), False
