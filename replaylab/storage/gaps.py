"""Gaps: what is missing of games, from the numbers of their ticks and from the marks that say why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa

from replaylab.continuity import NO_END, Runs, missing_runs
from replaylab.mark import Mark
from replaylab.tick import parse_time

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN: Final = "unknown"
COLUMNS: Final = ("game_id", "after", "before", "missing", "start", "end", "cause", "healed")
_WHOLE: Final = ("after", "before", "missing")


def game_gaps(game_id: str, live: pa.Table, rug_tick: int | None, marks: Sequence[Mark]) -> list[dict[str, Any]]:
    """Return the gaps of a game: those that marks tell, with what is still missing of them, and those of the numbers.

    Parameters
    ----------
    game_id : str
        The game.
    live : Table
        Its live ticks in order, each once, with `tick` and `timestamp`.
    rug_tick : int, optional
        Its R.
    marks : sequence of Mark
        Marks of gaps of that game.
    """
    numbers = live["tick"].to_numpy().astype(np.int64)
    end = np.array([NO_END if rug_tick is None else rug_tick], np.int64)
    runs = missing_runs(numbers[numbers < end[0]], end=end)
    found = [_told(game_id, mark, runs) for mark in marks]
    explained = [(one["after"], one["before"]) for one in found if one["after"] is not None]
    at = dict(zip(numbers.tolist(), live["timestamp"].to_pylist(), strict=True))
    for first, last in zip(runs.first.tolist(), runs.last.tolist(), strict=True):
        if any(after < first and (before is None or last < before) for after, before in explained):
            continue
        row = {"game_id": game_id, "after": first - 1, "before": last + 1, "missing": last - first + 1}
        found.append({**row, "start": at.get(first - 1), "end": at.get(last + 1), "cause": UNKNOWN, "healed": False})
    return sorted(found, key=lambda row: (row["after"] is None, row["after"] or 0))


def _told(game_id: str, mark: Mark, runs: Runs) -> dict[str, Any]:
    """Return the row of a mark; what is missing is what the numbers say now, not what it was then."""
    detail = mark.detail
    after, before, missing = (_whole(detail.get(name)) for name in _WHOLE)
    healed = detail.get("healed") is True
    if after is not None:
        inside = (runs.first > after) & (runs.last < (NO_END if before is None else before))
        lacking = int(runs.missing[inside].sum())
        missing = lacking if before is not None or lacking else missing
        healed = not lacking and (before is not None or healed)
    cause = detail.get("cause")
    row = {"game_id": game_id, "after": after, "before": before, "missing": missing}
    times = {"start": _time(detail.get("start")), "end": _time(detail.get("end"))}
    return {**row, **times, "cause": cause if isinstance(cause, str) else UNKNOWN, "healed": healed}


def gaps_frame(gaps: Iterable[Mark | dict[str, Any]]) -> pd.DataFrame:
    """Return gaps as a frame: numbers as nullable integers, times as UTC.

    Examples
    --------
    >>> gaps_frame([]).columns.tolist()
    ['game_id', 'after', 'before', 'missing', 'start', 'end', 'cause', 'healed']
    """
    import pandas as pd

    rows = [gap if isinstance(gap, dict) else _row(gap) for gap in gaps]
    frame = pd.DataFrame(rows, columns=list(COLUMNS))
    for name in _WHOLE:
        frame[name] = frame[name].astype("Int64")
    for name in ("start", "end"):
        frame[name] = pd.to_datetime(frame[name], utc=True).dt.as_unit("us")
    for name in ("game_id", "cause"):
        frame[name] = frame[name].astype("str")
    frame["healed"] = frame["healed"].astype(bool)
    return frame


def _row(mark: Mark) -> dict[str, Any]:
    detail = mark.detail
    found: dict[str, Any] = {"game_id": mark.game_id, **{name: detail.get(name) for name in COLUMNS[1:]}}
    return found | {name: _time(detail.get(name)) for name in ("start", "end")}


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _time(value: object) -> Any:
    return None if value is None else parse_time(value)
