"""Lay out JSON text as one object a line, byte for byte in place: arrays however written, and indented objects. Pure.

Newlines within an object become blanks, and a byte between two objects of a line becomes a newline; no byte is added or
taken away, so every place in the text stays where it was.
"""

from __future__ import annotations

import re
from typing import Final

_TOKEN: Final = re.compile(rb'"(?:[^"\\\n]|\\[^\n])*"|[{}\n"]')
_SEPARATORS: Final = frozenset(b",[ \t\r")
_LONGEST_OBJECT: Final = 16 << 20  # bytes; one that goes on is no object, and its lines stay as they are


def is_laid_out_otherwise(head: bytes) -> bool:
    r"""Whether text begins with an array, or with an object that goes on over several lines.

    Examples
    --------
    >>> is_laid_out_otherwise(b'[{"tick": 1}, {"tick": 2}]'), is_laid_out_otherwise(b'{\n  "tick": 1\\n}')
    (True, True)
    >>> is_laid_out_otherwise(b'{"tick": 1}\n{"tick": 2}\n')
    False
    """
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")
    if text.startswith(b"["):
        return bool(re.match(rb"\[[ \t\r\n]*[\[{]", text))
    return bool(re.match(rb'\{[ \t\r]*\n[ \t\r\n]*(?:"|\Z)', text))


class OnePerLine:
    r"""Lays out the text that it is fed, piece by piece.

    Examples
    --------
    >>> layout = OnePerLine()
    >>> layout.feed(b'[{"tick": 1},{"tick": 2},\n {\n"tick": 3}]') + layout.finish()
    b'\n{"tick": 1}\n{"tick": 2},\n { "tick": 3}]'
    """

    def __init__(self) -> None:
        self._held = b""
        self.too_long = False  # whether an object went on for too long

    def feed(self, data: bytes) -> bytes:
        """Return what can be laid out by now; the beginning of an object is kept until its end is there."""
        return self._lay_out(self._held + data, last=False)

    def finish(self) -> bytes:
        """Return the rest."""
        return self._lay_out(self._held, last=True)

    def _lay_out(self, data: bytes, *, last: bool) -> bytes:  # noqa: C901, PLR0912 one pass over the tokens
        out = bytearray(data)
        depth = opened = settled = at = line = 0
        while found := _TOKEN.search(data, at):
            token, at = found[0][:1], found.end()
            if token == b"\n":
                if not depth:
                    line = settled = at
            elif token == b"{":
                if not depth:
                    opened = found.start()
                    before = opened - 1
                    if before >= line and data[line:opened].strip(b" \t\r") and data[before] in _SEPARATORS:
                        out[before] = 10  # not the first object of its line
                        line = opened
                depth += 1
            elif token == b"}" and depth:
                depth -= 1
                if not depth:
                    _to_blanks(out, opened, at)
                    settled = at
            elif token == b'"' and len(found[0]) == 1:  # no end on this line: torn, or more is to come
                if not last and data.find(b"\n", at) < 0:
                    break
                newline = data.find(b"\n", at)
                if newline < 0:  # the text ends within it
                    break
                at, depth = newline, 0
        if last:
            if depth and not _another_begins(data, opened):
                _to_blanks(out, opened, len(data))  # a last line that has no end yet
            self._held = b""
            return bytes(out)
        if len(data) - settled > _LONGEST_OBJECT:
            settled = len(data)
            self.too_long = True
        self._held = data[settled:]
        return bytes(out[:settled])


def _to_blanks(out: bytearray, start: int, end: int) -> None:
    """Turn the newlines of an object into blanks."""
    if out.find(b"\n", start, end) >= 0:
        out[start:end] = out[start:end].replace(b"\n", b" ").replace(b"\r", b" ")


def _another_begins(data: bytes, opened: int) -> bool:
    """Whether, behind the object that is opened there, a line of no deeper indentation begins another one."""
    line = data.rfind(b"\n", 0, opened) + 1
    indentation = opened - line if not data[line:opened].strip(b" \t") else 0
    return re.search(rb"\n[ \t]{0,%d}\{" % indentation, data[opened:]) is not None
