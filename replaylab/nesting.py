"""Nesting: how deeply JSON from outside may be nested, the same on every Python.

Python itself gives up at 1,000 levels in 3.11, 10,000 in 3.13, and where the stack ends in 3.14.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

MAX_DEPTH: Final = 500
_SIGNS: Final = re.compile(r'"(?:[^"\\]+|\\.)*"?|[\[{\]}]', re.DOTALL)


class BoundedDecoder(json.JSONDecoder):
    """A decoder of JSON that raises `RecursionError` at more than `MAX_DEPTH` levels.

    Examples
    --------
    >>> BoundedDecoder().decode("[" * 2 + "]" * 2)
    [[]]
    >>> BoundedDecoder().decode("[" * 501 + "]" * 501)
    Traceback (most recent call last):
        ...
    RecursionError: nested more than 500 deep
    """

    def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
        """Return the value that begins at `idx`, and where it ends."""
        try:
            found = super().raw_decode(s, idx)
        except json.JSONDecodeError as error:
            _check(s, idx, error.pos)
            raise
        except (ValueError, ArithmeticError):  # what is refused may lie before or behind what is too deep
            _check(s, idx, len(s))
            raise
        _check(s, idx, found[1])
        return found


def too_deep(text: str) -> bool:
    """Whether the value that begins the text is nested more than `MAX_DEPTH` deep; it may be cut off or broken.

    Examples
    --------
    >>> too_deep('{"a": [1, "[[["]}'), too_deep('{"a":' * 501)
    (False, True)
    """
    if len(text) <= MAX_DEPTH or text.count("[") + text.count("{") <= MAX_DEPTH:
        return False
    depth = 0
    for found in _SIGNS.finditer(text):
        sign = found[0]
        if sign in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                return True
        elif sign in "]}":
            depth -= 1
            if depth <= 0:  # the value is whole
                return False
    return False


def _check(text: str, start: int, end: int) -> None:
    if end - start > MAX_DEPTH and too_deep(text[start:end]):
        raise RecursionError(f"nested more than {MAX_DEPTH} deep")
