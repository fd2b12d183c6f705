"""Corruption: single bytes, values and lines that no recorder should write, put into a recording from a seed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final

import numpy as np

from replaylab.errors import SimulationError
from replaylab.simulation.recording import Line, Part, Recording

Corruption = Callable[[Recording, np.random.Generator], tuple[Recording, ...]]

LONG: Final = (1 << 20) + 1000  # bytes: more than one tick may take
DEEP: Final = 2_000  # brackets


def _chosen(recording: Recording, rng: np.random.Generator) -> int:
    """Place of an undamaged row: one in play when there is any."""
    rows = [(place, line.row) for place, line in enumerate(recording.lines) if line.row]
    places = [place for place, row in rows if row.live and row.tick > 0] or [place for place, _ in rows]
    if not places:
        raise SimulationError(f"{recording.name} holds no undamaged row to corrupt; ask for fewer kinds of damage")
    return places[int(rng.integers(len(places)))]


def _value(field: str, change: bytes, *, stored: bool = False) -> Corruption:
    """Corruption of one field of one row: the regular expression's group `was` is what stood there.

    With `stored`, the row is as good as before; otherwise a reader has to refuse the whole line.
    """
    pattern = re.compile(rb'"%s": (?P<was>"[^"]*"|[^,}]+)' % field.encode())

    def corrupt(recording: Recording, rng: np.random.Generator) -> tuple[Recording, ...]:
        place = _chosen(recording, rng)
        line = recording.lines[place]
        text = pattern.sub(rb'"%s": %s' % (field.encode(), change), line.text, count=1)
        parts = line.parts if stored else (Part("quarantined"),)
        return _with(recording, place, 1, Line(text, parts))

    corrupt.__doc__ = f"One row has an odd {field}."
    return corrupt


def _line(text: bytes, what: str) -> Corruption:
    """Corruption by one line more, which a reader has to refuse."""

    def corrupt(recording: Recording, rng: np.random.Generator) -> tuple[Recording, ...]:
        return _with(recording, _chosen(recording, rng), 0, Line(text + b"\n", (Part("quarantined"),)))

    corrupt.__doc__ = f"There is a line that is {what}."
    return corrupt


def _with(recording: Recording, place: int, instead: int, line: Line) -> tuple[Recording, ...]:
    """The recording with a line at a place, instead of that many lines there."""
    lines = recording.lines
    return (replace(recording, lines=(*lines[:place], line, *lines[place + instead :])),)


def _missing_field(recording: Recording, rng: np.random.Generator) -> tuple[Recording, ...]:
    """One row has no tick number."""
    place = _chosen(recording, rng)
    text = re.sub(rb'"tick": \d+, ', b"", recording.lines[place].text)
    return _with(recording, place, 1, Line(text, (Part("quarantined"),)))


def _duplicate_key(recording: Recording, rng: np.random.Generator) -> tuple[Recording, ...]:
    """One row names its price twice, with two values."""
    place = _chosen(recording, rng)
    text = recording.lines[place].text.replace(b'"phase"', b'"price": 1.5, "phase"')
    return _with(recording, place, 1, Line(text, (Part("quarantined"),)))


def _long_line(recording: Recording, rng: np.random.Generator) -> tuple[Recording, ...]:
    """There is a row of more than 1 MiB."""
    place = _chosen(recording, rng)
    note = b'"note": "' + b"x" * LONG + b'", "phase"'
    text = recording.lines[place].text.replace(b'"phase"', note)
    return _with(recording, place, 0, Line(text, (Part("quarantined"),)))


def _crlf(recording: Recording, rng: np.random.Generator) -> tuple[Recording, ...]:
    """The lines end as on Windows."""
    del rng  # all of them
    lines = tuple(replace(line, text=line.text.replace(b"\n", b"\r\n")) for line in recording.lines)
    return (replace(recording, lines=lines),)


def _byte_order_mark(recording: Recording, rng: np.random.Generator) -> tuple[Recording, ...]:
    """The file begins with a byte order mark."""
    del rng  # there is one place for it
    first = replace(recording.lines[0], text=b"\xef\xbb\xbf" + recording.lines[0].text)
    return (replace(recording, lines=(first, *recording.lines[1:])),)


CORRUPTIONS: Final[dict[str, Corruption]] = {
    "upper_case_exponent": _value("price", rb"\g<was>E0", stored=True),
    "nan_price": _value("price", b"NaN"),
    "infinite_price": _value("price", b"Infinity"),
    "long_price": _value("price", b"1.012345678901234567890123456789"),
    "fractional_tick": _value("tick", b"5.9"),
    "null_tick": _value("tick", b"null"),
    "text_flag": _value("rugged", b'"false"'),
    "lone_surrogate": _value("phase", rb'"\\ud800"'),
    "invalid_utf8": _value("phase", rb'"PLAY' + b"\xff" + rb'"'),
    "missing_field": _missing_field,
    "duplicate_key": _duplicate_key,
    "array_line": _line(b'["tick", 1, 1.02]', "an array"),
    "number_line": _line(b"42", "a number"),
    "deep_nesting": _line(b"[" * DEEP + b"]" * DEEP, "nested deeper than a reader can go"),
    "long_line": _long_line,
    "crlf": _crlf,
    "byte_order_mark": _byte_order_mark,
}
"""Every kind by name."""
