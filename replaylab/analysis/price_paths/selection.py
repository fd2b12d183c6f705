"""Selection of games by their summaries; whole games only, never single ticks. Pure."""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from replaylab.columns import as_numpy, column
from replaylab.errors import AnalysisError, TickError
from replaylab.tick import parse_time

_FLAGS: Final = ("rug_seen", "censored", "complete", "late_start", "repaired", "double_rug")
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True, slots=True)
class Selection:
    """The games that a question is about; what is None does not matter, the defaults are those of every analysis.

    Parameters
    ----------
    rug_seen : bool, optional
        Only games with (or without) a recorded rug.
    censored : bool, optional
        Only games whose record ends (or does not end) alive.
    complete : bool, optional
        Only games with (or without) every live tick from 0 to the rug. Complete games are shorter than all games, as
        long ones are cut more often: for durations use `survival`, which takes the others into account.
    late_start : bool, optional
        Only games whose record begins (or does not begin) after tick 0.
    repaired : bool, optional
        Only games with (or without) rows taken from damaged lines.
    start, end : datetime or str, optional
        Only games whose first row was received from `start` on, and before `end`; UTC where they carry no zone.
    min_ticks : int
        Least number of distinct live ticks. The default of 1 leaves out records of a cooldown, which are no games.
    max_missing : int, optional
        Greatest number of live ticks missing inside the record.
    double_rug : bool, optional
        Whether to take games that came back after their rug: False (default) none, True only those, None all.
    ids : iterable of str, optional
        Only these games.

    Raises
    ------
    AnalysisError
        When a bound is no time, the end is not after the start, a flag is none, a number is below zero, or an id is no
        text.

    Examples
    --------
    >>> from replaylab.storage.game_summary import SCHEMA
    >>> Selection(complete=True, start="2031-01-02").mask(SCHEMA.empty_table()).tolist()
    []
    """

    rug_seen: bool | None = None
    censored: bool | None = None
    complete: bool | None = None
    late_start: bool | None = None
    repaired: bool | None = None
    start: datetime | str | None = None
    end: datetime | str | None = None
    min_ticks: int = 1
    max_missing: int | None = None
    double_rug: bool | None = False
    ids: Iterable[str] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", _moment("start", self.start))
        object.__setattr__(self, "end", _moment("end", self.end))
        if self.start is not None and self.end is not None and self.start >= self.end:  # type: ignore[operator]
            raise AnalysisError(f"start={self.start}, end={self.end}: no game is between; pass an end after the start")
        object.__setattr__(self, "ids", _names(self.ids))
        for name in _FLAGS:
            if getattr(self, name) not in (None, True, False):
                raise AnalysisError(f"{name}={getattr(self, name)!r}: take True, False, or None for either")
        for name in ("min_ticks", "max_missing"):
            object.__setattr__(self, name, _count(name, getattr(self, name)))

    def mask(self, games: pa.Table) -> NDArray[np.bool_]:
        """Return which games are in it, one flag a game.

        Parameters
        ----------
        games : Table
            One row a game, as returned by `Store.games_table`.

        Returns
        -------
        ndarray of bool, one a game
        """
        rugged = np.asarray(games.column("rug_tick").is_valid().to_numpy(), np.bool_)
        kept = _flags(rugged, self.rug_seen)
        kept &= _flags(as_numpy(games.column("repaired")) > 0, self.repaired)
        for name in ("censored", "complete", "late_start", "double_rug"):
            kept &= _flags(as_numpy(games.column(name)), getattr(self, name))
        kept &= as_numpy(games.column("ticks")) >= self.min_ticks
        if self.max_missing is not None:
            kept &= as_numpy(games.column("missing_ticks")) <= self.max_missing
        times = games.column("start")
        for bound, compare in ((self.start, pc.greater_equal), (self.end, pc.less)):
            if bound is not None:
                within = pc.fill_null(compare(times, pa.scalar(bound, times.type)), False)
                kept &= np.asarray(within.to_numpy(), np.bool_)
        if self.ids is not None:
            asked = pc.is_in(games.column("game_id"), pa.array(sorted(self.ids), pa.string()))
            kept &= np.asarray(asked.to_numpy(), np.bool_)
        return kept

    def of(self, games: pa.Table) -> pa.Table:
        """Return the rows of the games that are in it."""
        return games.filter(column(self.mask(games)))


def checked(where: object) -> Selection | None:
    """Return `where` if it is a `Selection` or None; raises `AnalysisError` otherwise.

    Examples
    --------
    >>> checked({"complete": True})
    Traceback (most recent call last):
    ...
    replaylab.errors.AnalysisError: where={'complete': True}: pass a Selection, such as Selection(complete=True)
    """
    if where is None or isinstance(where, Selection):
        return where
    raise AnalysisError(f"where={where!r}: pass a Selection, such as Selection(complete=True)")


def _names(ids: object) -> frozenset[str] | None:
    if ids is None:
        return None
    found: list[Any] = [ids] if isinstance(ids, str) or not isinstance(ids, Iterable) else list(ids)
    for one in found:
        if not isinstance(one, str):
            raise AnalysisError(f"ids={ids!r}: {one!r} is no id; pass texts")
    return frozenset(found)


def _count(name: str, value: object) -> int | None:
    if value is None and name == "max_missing":
        return None
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = -1
    if number < 0 or isinstance(value, bool):
        raise AnalysisError(f"{name}={value!r}: a number of ticks is a whole number, 0 or more")
    return number


def _flags(found: NDArray[np.bool_], wanted: bool | None) -> NDArray[np.bool_]:  # noqa: FBT001 three-valued
    return np.ones(len(found), np.bool_) if wanted is None else found == wanted


def _moment(name: str, value: datetime | str | None) -> datetime | None:
    """Return a bound as a time in UTC; a date alone is its midnight."""
    if value is None:
        return None
    try:
        return parse_time(f"{value}T00:00" if isinstance(value, str) and _DATE.fullmatch(value) else value, name)
    except TickError as error:
        raise AnalysisError(f"{error}; pass a date or a time such as 2031-01-02T03:04:05") from None
