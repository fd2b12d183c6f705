"""Games of a mapped source: which game a tick belongs to, and its number in it, where the source says neither."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from replaylab.parsing.mapping import Mapping
from replaylab.segments.extent import Extent
from replaylab.segments.segment import Segment
from replaylab.table import Batch, Names, Whole

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class _Source:
    """How far a source has been read: ticks by game, and the last game and time."""

    counts: dict[str, int] = field(default_factory=dict)
    game: str = ""
    last_us: int = 0


class Numbering:
    """Numbers ticks by their place in their game and ends games at silences, source by source in order."""

    def __init__(self, mapping: Mapping) -> None:
        self.mapping = mapping
        self._sources: dict[str, _Source] = {}

    @classmethod
    def needed(cls, mapping: Mapping | None) -> Numbering | None:
        """Return a numbering for a mapping that leaves games or numbers open; None for any other."""
        return (
            cls(mapping)
            if mapping is not None and (mapping.numbered or mapping.game == "file" or mapping.gap_seconds)
            else None
        )

    def take_up(self, segments: Iterable[Segment], names: Iterable[str], again: Iterable[Extent] = ()) -> None:
        """Go on where sources that are stored already end, less the ticks of extents that are read again."""
        wanted = set(names)
        ends = {one.source: one.first_seq for one in again}
        for segment in segments if wanted else ():
            if wanted.isdisjoint(extent.source for extent in segment.footer.extents):
                continue
            columns = ["game_id", "source", "timestamp", "seq"]
            for row in segment.read(columns).sort_by("seq").to_pylist():
                if row["source"] in wanted and row["seq"] < ends.get(row["source"], row["seq"] + 1):
                    found = self._sources.setdefault(row["source"], _Source())
                    found.counts[row["game_id"]] = found.counts.get(row["game_id"], 0) + 1
                    at = row["timestamp"]
                    us = 0 if at is None else (at - _EPOCH) // timedelta(microseconds=1)
                    if us >= found.last_us:
                        found.game, found.last_us = row["game_id"], us

    def apply(self, batch: Batch, parts: Iterable[tuple[str, slice]]) -> Batch:
        """Return a batch with games and numbers set; `parts` are the rows of each source, in order."""
        games: list[Names] = []
        ticks = batch.tick.copy()
        for source, rows in parts:
            state = self._sources.setdefault(source, _Source())
            own = self._games(source, state, Names(batch.game.codes[rows], batch.game.texts), batch.wall_us[rows])
            games.append(own)
            if self.mapping.numbered:
                ticks[rows] = _numbers(own, state.counts)
        return replace(batch, game=Names.join(games) if games else batch.game, tick=ticks)

    def _games(self, source: str, state: _Source, named: Names, walls: Whole) -> Names:
        """Return the game of every tick of a source; `state` is moved on."""
        if self.mapping.game == "file":
            return Names(np.zeros(len(walls), np.int32), (_stem(source),))
        if not self.mapping.gap_seconds or not len(walls):
            return named
        latest = np.maximum.accumulate(np.append(state.last_us, np.maximum(walls, -1)))  # before each tick
        begins = np.maximum(walls, -1) - latest[:-1] > self.mapping.gap_seconds * 1_000_000
        begins[0] |= not state.game
        first = () if begins[0] else (state.game,)
        starts = np.maximum(walls[begins], 0).tolist()
        texts = (*first, *(f"{_stem(source)}-{_compact_time(us)}" for us in starts))
        codes: Whole = np.cumsum(begins) - bool(begins[0])
        state.game, state.last_us = texts[-1], int(latest[-1])
        return Names.join([Names(codes.astype(np.int32), texts)])  # a game may begin twice at one time


def _numbers(games: Names, counts: dict[str, int]) -> NDArray[np.int32]:
    """Return the place of every tick in its game, which goes on from `counts`; those are moved on."""
    order = np.argsort(games.codes, kind="stable")
    sizes = np.bincount(games.codes, minlength=len(games.texts))
    firsts = np.cumsum(sizes) - sizes
    before = np.array([counts.get(text, 0) for text in games.texts], np.int64)
    numbers = np.empty(len(order), np.int32)
    numbers[order] = np.arange(len(order)) + np.repeat(before - firsts, sizes)
    for text, size in zip(games.texts, sizes.tolist(), strict=True):
        if size:
            counts[text] = counts.get(text, 0) + size
    return numbers


def _compact_time(us: int) -> str:
    return (_EPOCH + timedelta(microseconds=us)).strftime("%Y%m%dT%H%M%S.%f")


def wall_text(us: int | None) -> str:
    """Return a time in words; what is not known is said.

    Examples
    --------
    >>> wall_text(0), wall_text(None)
    ('1970-01-01T00:00:00.000000', 'no time')
    """
    if us is None:
        return "no time"
    return (_EPOCH + timedelta(microseconds=us)).replace(tzinfo=None).isoformat(timespec="microseconds")


def _stem(source: str) -> str:
    """Return the name of a source without folders and suffixes."""
    return source.rpartition("/")[2].partition("@")[0].partition(".")[0] or source
