"""Games of a mapped source: which game a tick belongs to, and its number in it, where the source says neither."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from replaylab.parsing.mapping import Mapping
from replaylab.segments.segment import Segment
from replaylab.table import Batch, Names

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

    def take_up(self, segments: Iterable[Segment], names: Iterable[str]) -> None:
        """Go on where sources that are stored already end."""
        wanted = set(names)
        for segment in segments if wanted else ():
            if wanted.isdisjoint(extent.source for extent in segment.footer.extents):
                continue
            columns = ["game_id", "source", "timestamp", "seq"]
            table = pq.read_table(segment.path, columns=columns, partitioning=None)
            for row in table.sort_by("seq").to_pylist():
                if row["source"] in wanted:
                    found = self._sources.setdefault(row["source"], _Source())
                    found.counts[row["game_id"]] = found.counts.get(row["game_id"], 0) + 1
                    at = row["timestamp"]
                    us = 0 if at is None else (at - _EPOCH) // timedelta(microseconds=1)
                    if us >= found.last_us:
                        found.game, found.last_us = row["game_id"], us

    def apply(self, batch: Batch, parts: Iterable[tuple[str, slice]]) -> Batch:
        """Return a batch with games and numbers set; `parts` are the rows of each source, in order."""
        games: list[str] = []
        ticks = batch.tick.copy()
        names = np.array([*batch.game.texts, ""], object)[batch.game.codes]
        for source, rows in parts:
            state = self._sources.setdefault(source, _Source())
            own = self._games(source, state, names[rows].tolist(), batch.wall_us[rows].tolist())
            games += own
            if self.mapping.numbered:
                numbers = np.empty(len(own), np.int32)
                for place, game in enumerate(own):
                    numbers[place] = state.counts.get(game, 0)
                    state.counts[game] = int(numbers[place]) + 1
                ticks[rows] = numbers
        return replace(batch, game=Names.of(games), tick=ticks)

    def _games(self, source: str, state: _Source, named: list[Any], walls: list[int]) -> list[str]:
        stem = _stem(source)
        if self.mapping.game == "file":
            return [stem] * len(named)
        if not self.mapping.gap_seconds:
            return named
        gap_us = self.mapping.gap_seconds * 1_000_000
        found = []
        for us in walls:
            if not state.game or us - state.last_us > gap_us:
                state.game = f"{stem}-{(_EPOCH + timedelta(microseconds=max(us, 0))).strftime('%Y%m%dT%H%M%S.%f')}"
            state.last_us = max(us, state.last_us)
            found.append(state.game)
        return found


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
