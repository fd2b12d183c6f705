"""Cursor: the last tick of a lane in a journal, and the id after which its feed is resumed. Pure."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Final, NamedTuple

from replaylab.errors import TickError
from replaylab.mark import Mark, MarkKind
from replaylab.tick import parse_time

_TEXT: Final = rb'"((?:[^"\\]|\\.)*)"'
_ORIGIN: Final = re.compile(rb', "lane": ' + _TEXT + rb', "id": ' + _TEXT + rb"\}\n")


class Cursor(NamedTuple):
    """The last tick of a lane: its game, number and time, and the id after which the feed is resumed.

    Examples
    --------
    >>> at = parse_time("2031-01-02T03:04:05")
    >>> cursor = Cursor("g", 7, at, "9f2c-7")
    >>> Cursor.of_mark(cursor.to_mark("lane")) == cursor
    True
    """

    game_id: str
    tick: int
    at: datetime
    id: str

    def to_mark(self, lane: str) -> Mark:
        """Return it as a mark, which outlives the journal."""
        return Mark(MarkKind.CURSOR, self.at, self.game_id, lane, {"tick": self.tick, "after": self.id})

    @classmethod
    def of_mark(cls, mark: Mark) -> Cursor | None:
        """Return the cursor in a mark, or None when it has none."""
        tick, name = mark.detail.get("tick"), mark.detail.get("after")
        if mark.game_id is None or not isinstance(tick, int) or not isinstance(name, str):
            return None
        return cls(mark.game_id, tick, mark.timestamp, name)


def cursors_in(content: bytes) -> dict[str, Cursor]:
    """Return the last cursor of each lane in lines of ticks, each with its newline.

    Examples
    --------
    >>> from replaylab.tick import Tick
    >>> line = Tick("g", 7, "2031-01-02T03:04:05", "1.02").to_line()[:-1] + b', "lane": "a", "id": "9f2c-7"}'
    >>> cursors_in(line + bytes([10]))["a"].id
    '9f2c-7'
    """
    if b', "lane": "' not in content:
        return {}
    last = {match[1]: match for match in _ORIGIN.finditer(content)}
    found: dict[str, Cursor] = {}
    for match in last.values():
        start = content.rfind(b"\n", 0, match.start()) + 1
        try:
            line = json.loads(content[start : match.end()], parse_float=str)
            found[line["lane"]] = Cursor(line["game_id"], line["tick"], parse_time(line["timestamp"]), line["id"])
        except (ValueError, KeyError, TypeError, TickError):  # another member that only looks like it
            continue
    return found
