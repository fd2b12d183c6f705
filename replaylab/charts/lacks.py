"""What a game lacks, in the words that cards, charts and tables share. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from replaylab.plural import count_of


def lacks(summary: Mapping[str, Any]) -> list[str]:
    """Return what a game of `Store.games()` lacks, one short text each; nothing for a complete game.

    Examples
    --------
    >>> seen = {"ticks": 9, "late_start": True, "first_tick": 3, "gaps": 1, "missing_ticks": 2, "censored": True}
    >>> lacks({**seen, "double_rug": False, "complete": False})
    ['late start at tick 3', '2 ticks missing in 1 gap', 'end not seen']
    """
    if not summary["ticks"]:
        return ["never live"]
    found = []
    if summary["late_start"]:
        found.append(f"late start at tick {summary['first_tick']:,}")
    if summary["gaps"]:
        found.append(f"{count_of(summary['missing_ticks'], 'tick')} missing in {count_of(summary['gaps'], 'gap')}")
    if summary["censored"]:
        found.append("end not seen")
    if summary["double_rug"]:
        found.append("double rug")
    return found or ([] if summary["complete"] else ["not complete"])
