"""Lay out one JSON document as a line for each element of an array or object in it, byte for byte in place. Pure.

What comes before the elements and behind them becomes a comment line each: its first byte a `#`, its newlines blanks.
So documents of any size are read in bounded memory, one that is cut off up to where it was cut, and every place in the
text stays where it was.
"""

from __future__ import annotations

import re
from typing import Final

from replaylab.parsing.json_line import DECODER

HEADER_BYTES: Final = 1 << 20  # within which the elements have to begin
MAX_ELEMENT_BYTES: Final = 16 << 20  # a longer one is no element any more: its lines stay as they are
_TOKEN: Final = re.compile(rb'("(?:[^"\\]|\\.)*")([ \t\r\n]*:)?|[{}\[\]"]', re.DOTALL)
_BLANKS: Final = b" \t\r\n"
_BLANK_REST: Final = re.compile(rb"[ \t\r\n]*\Z")
_OPENING: Final = frozenset({b"{", b"["})


def split(path: str) -> tuple[tuple[str, ...], str, str] | None:
    """Return the names that lead to elements, ``[]`` or ``{}``, and the path within each; None without elements.

    Examples
    --------
    >>> split("all.games[].ticks"), split("data")
    ((('all', 'games'), '[]', 'ticks'), None)
    """
    found = re.fullmatch(r"((?:[^.\[\]{}]+\.)*[^.\[\]{}]+)?(\[\]|\{\})\.?(.*)", path)
    return None if found is None else (tuple((found[1] or "").split(".")) if found[1] else (), found[2], found[3])


def elements_begin(head: bytes, names: tuple[str, ...], kind: str) -> tuple[int, int] | None:
    """Return where the elements at a path begin, and how many brackets are open before theirs.

    Examples
    --------
    >>> elements_begin(b'{"n": 1, "games": [{"id": 1}]}', ("games",), "[]")
    (19, 1)
    """
    stack: list[str] = []
    key = ""
    for token in _TOKEN.finditer(head):
        text = token[0][:1]
        if text in _OPENING:
            if tuple(stack[1:]) + ((key,) if stack else ()) == names and text == kind[:1].encode():
                return token.end(), len(stack)
            stack.append(key if stack else "")
            key = kind if text == b"[" else ""  # no name leads into an array
        elif text in {b"}", b"]"}:
            if not stack:
                return None
            stack.pop()
        elif token[2] is not None:
            key = token[1][1:-1].decode("utf-8", "replace")
    return None


def is_lines(head: bytes) -> bool:
    """Whether the first line of a text is a whole JSON value and another line follows."""
    first, newline, rest = head.partition(b"\n")
    if not newline or not rest.strip(_BLANKS):
        return False
    try:
        DECODER.decode(first.removeprefix(b"\xef\xbb\xbf").strip(_BLANKS).decode())
    except (ValueError, ArithmeticError, RecursionError):
        return False
    return True


class Elements:
    r"""Lays out the text that it is fed, piece by piece; the first piece holds all that comes before the elements.

    Examples
    --------
    >>> layout = Elements(19, 1, keyed=False)
    >>> layout.feed(b'{"n": 1, "games": [{"id": 1}, {"id": 2}], "of": 2}') + layout.finish()
    b'#"n": 1, "games": \n{"id": 1},\n{"id": 2}\n# "of": 2}'
    """

    def __init__(self, begin: int, depth: int, *, keyed: bool) -> None:
        self._begin, self._outer, self._keyed = begin, depth, keyed
        self._held = bytearray()
        self._at = 0  # up to where tokens were looked at
        self._opened = -1  # where the element, or what is behind the elements, begins
        self._depth = 0  # of brackets within an element; behind the elements those of the document
        self._phase = "header"

    @property
    def whole(self) -> bool:
        """Whether the document has come to its end."""
        return self._phase == "after"

    def feed(self, data: bytes) -> bytes:
        """Return what can be laid out by now; the beginning of an element is kept until its end is there."""
        self._held += data
        if self._phase == "header":
            self._comment(0, self._begin)
            self._held[self._begin - 1] = 10
            self._at, self._phase = self._begin, "elements"
        settled = self._lay_out()
        if len(self._held) - settled > MAX_ELEMENT_BYTES:
            settled = self._at
            self._opened = min(self._opened, 0)
        out = bytes(self._held[:settled])
        del self._held[:settled]
        self._at -= settled
        self._opened -= settled if self._opened > 0 else 0
        return out

    def finish(self) -> bytes:
        """Return the rest; an element that has no end is one line."""
        if self._depth and self._phase == "elements" and self._opened >= 0:
            self._to_blanks(self._opened, len(self._held))
        return bytes(self._held)

    def _lay_out(self) -> int:
        """Look at further tokens; return up to where nothing changes any more."""
        settled = self._at if self._opened < 0 else self._opened
        while self._phase != "after" and (token := _TOKEN.search(self._held, self._at)):
            text = token[0][:1]
            if text == b'"' and token[2] is None and _BLANK_REST.match(self._held, token.end()):
                break  # the end of a text, or what says that it is a name, is to come
            if text == b'"' and token[1] is None:
                break
            self._at = token.end()
            if self._phase == "elements":
                self._element_token(text, token.start(), token.end(), named=token[2] is not None)
            else:
                self._depth += (text in _OPENING) - (text in {b"}", b"]"})
                if not self._depth:
                    self._comment(self._opened, self._at)
                    self._opened, self._phase = -1, "after"
            settled = self._at if self._opened < 0 else self._opened
        return len(self._held) if self._phase == "after" else settled

    def _element_token(self, text: bytes, start: int, end: int, *, named: bool) -> None:
        begins = text in _OPENING if not self._keyed else named
        if not self._depth and begins and self._opened < 0:
            self._opened = start
            if start and self._held[start - 1] in b", \t\r":
                self._held[start - 1] = 10
        if text in _OPENING:
            self._depth += 1
        elif text in {b"}", b"]"}:
            if not self._depth:  # that of the elements
                self._held[start] = 10
                self._phase, self._depth, self._opened = "behind", self._outer, end
                if not self._outer:
                    self._opened, self._phase = -1, "after"
                return
            self._depth -= 1
            if not self._depth:
                self._to_blanks(self._opened, end)
                self._opened = -1

    def _comment(self, start: int, end: int) -> None:
        self._to_blanks(start, end)
        text = self._held[start:end]
        lead = len(text) - len(text.removeprefix(b"\xef\xbb\xbf").lstrip(_BLANKS))
        if lead < len(text):
            self._held[start + lead] = ord("#")

    def _to_blanks(self, start: int, end: int) -> None:
        if self._held.find(b"\n", start, end) >= 0:
            self._held[start:end] = self._held[start:end].replace(b"\n", b" ").replace(b"\r", b" ")
