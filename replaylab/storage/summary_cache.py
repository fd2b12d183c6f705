"""Summaries: one row a game over many segments, kept as long as the segments that a game lies in stay the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import pyarrow as pa

from replaylab.errors import SegmentDamaged
from replaylab.segments.order import in_order_received
from replaylab.segments.segment import Segment
from replaylab.storage.game_summary import COLUMNS, SCHEMA, summarise

LeaveOut: TypeAlias = Callable[[Segment, SegmentDamaged], None]
_Key: TypeAlias = tuple[str, ...]


class Summaries:
    """The games table of a store, of which only what is new is computed again.

    A segment is summed up without the games that lie elsewhere too; those are summed up one by one.
    """

    def __init__(self) -> None:
        self._kept: dict[_Key, pa.Table] = {}

    def table(self, segments: Sequence[Segment], leave_out: LeaveOut) -> pa.Table:
        """Return one row a game in order of their start; `leave_out` is called with each segment that fails."""
        earlier, self._kept = self._kept, {}
        holders = Counter(game for segment in segments for game in segment.rows_of)
        spread = {game for game, count in holders.items() if count > 1}
        for segment in segments:
            elsewhere = sorted(spread & segment.rows_of.keys())
            self._keep((segment.name, *elsewhere), [segment], earlier, leave_out)
        for game in sorted(spread):
            parts = [segment for segment in segments if game in segment.rows_of]
            self._keep((game, *(segment.name for segment in parts)), parts, earlier, leave_out)
        found = pa.concat_tables([*self._kept.values(), SCHEMA.empty_table()])
        return found.sort_by([("start", "ascending"), ("game_id", "ascending")])

    def _keep(self, key: _Key, parts: list[Segment], earlier: dict[_Key, pa.Table], leave_out: LeaveOut) -> None:
        """Keep the summary of one segment without a few games, or of one game in several segments."""
        if key in earlier:
            self._kept[key] = earlier[key]
            return
        columns = [*COLUMNS, "seq"]
        tables = []
        for segment in parts:
            try:
                if segment.name == key[0]:
                    tables.append(_without(segment.read(columns), segment, key[1:]))
                else:
                    tables.append(segment.read_game(key[0], columns))
            except SegmentDamaged as error:
                leave_out(segment, error)
        if tables:
            self._kept[key] = summarise(in_order_received(pa.concat_tables(tables)))


def _without(table: pa.Table, segment: Segment, games: Sequence[str]) -> pa.Table:
    """Return the rows of a segment without those of a few games."""
    if not games:
        return table
    keep = np.ones(table.num_rows, np.bool_)
    for game in games:
        first, rows = segment.rows_of[game]
        keep[first : first + rows] = False
    return table.filter(pa.array(keep))
