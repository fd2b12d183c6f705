"""Exchange: parts of sources that are read again change places with their old reading, all at once.

A segment that holds more than what is read again is written anew without it; that copy stands in for it, and counts
once the segment itself is replaced. The new reading names what it replaces, so the rename that makes it permanent is
the moment of the exchange: killed before it, a store holds the old reading, and after it the new one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from replaylab.durable import remove
from replaylab.segments.extent import Extent
from replaylab.segments.segment import Segment, write_segment
from replaylab.storage.compact import merged_remarks, merged_rows, outside, remove_leftovers
from replaylab.storage.store import SEGMENTS, Store


class Held(NamedTuple):
    """A segment that holds extents to be read again, and those extents."""

    segment: Segment
    extents: list[Extent]

    @property
    def replaced(self) -> list[str]:
        """The names that the new reading has to replace."""
        return sorted({*self.segment.footer.replaces, self.segment.name})


def holders(store: Store, extents: Collection[Extent]) -> list[Held]:
    """Return the segments that hold extents, each with those that it holds."""
    wanted = set(map(_key, extents))
    found = []
    for segment in store.sealed() if wanted else []:
        held = [one for one in segment.footer.extents if _key(one) in wanted]
        if held:
            found.append(Held(segment, held))
    return found


def stand_in(store: Store, held: Held) -> None:
    """Write what a segment holds beside some extents as a segment that counts once that one is replaced."""
    if len(held.extents) < len(held.segment.footer.extents):
        _rewrite(store, held, stands_in_for=[held.segment.name])


def take_out(store: Store, extents: Collection[Extent]) -> None:
    """Remove extents, with their rows and remarks, from the segments that hold them; the others of a segment stay."""
    for held in holders(store, extents):
        if len(held.extents) == len(held.segment.footer.extents):
            remove([held.segment.path])
        else:
            _rewrite(store, held, replaces=held.replaced)
    remove_leftovers(store)


def _key(one: Extent) -> tuple[str, int, int, str, str]:
    return one.source, one.start, one.end, one.digest, one.mapping


def _rewrite(store: Store, held: Held, *, replaces: Sequence[str] = (), stands_in_for: Sequence[str] = ()) -> None:
    """Write a segment without some of its extents."""
    gone = set(map(_key, held.extents))
    left = [one for one in held.segment.footer.extents if _key(one) not in gone]
    beside = {one.source for one in left}
    read_again = [one for one in held.extents if one.source not in beside or not _read_twice(one, left)]
    rows = [(one.source, one.first_seq, one.first_seq + one.tick_count) for one in held.extents if one.tick_count]
    write_segment(
        store.path / SEGMENTS,
        (outside(table, "seq", rows) for table in merged_rows([held.segment])),
        origin=held.segment.footer.origin,
        extents=left,
        remarks=merged_remarks(store, [held.segment], read_again),
        replaces=replaces,
        stands_in_for=stands_in_for,
        keys=store.files.keys,
    ).publish()


def _read_twice(one: Extent, others: Sequence[Extent]) -> bool:
    """Whether another extent, by another mapping, accounts for the same bytes: remarks cannot be told apart."""
    return any(other.source == one.source and other.start < one.end and one.start < other.end for other in others)
