"""Listing: the segments of a store that count now, and the names of the files that cannot be read."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Final, NamedTuple

import pyarrow as pa

from replaylab.encryption.parquet import identity
from replaylab.errors import SegmentDamaged, Tampered
from replaylab.journals.reader import Recording
from replaylab.journals.unsealed import UnsealedJournal
from replaylab.segments.order import in_order_received
from replaylab.segments.remarks import SCHEMA as REMARKS_SCHEMA
from replaylab.segments.remarks import read_remarks
from replaylab.segments.segment import Segment, is_segment_name
from replaylab.storage.files import COMPACTIONS, StoreFiles

_log: Final = logging.getLogger("replaylab.store")


class _Sealed:
    """The segments that count among files of these names."""

    def __init__(self, names: list[str], segments: list[Segment]) -> None:
        self.names = names
        self.segments = segments

    @cached_property
    def holders_of(self) -> dict[str, list[Segment]]:
        """The segments that hold a game, by its id: of thousands of games each is found at once."""
        found: dict[str, list[Segment]] = {}
        for segment in self.segments:
            for game in dict.fromkeys(one.game for one in segment.footer.games):
                found.setdefault(game, []).append(segment)
        return found


class _Current(NamedTuple):
    """What counts at a moment."""

    sealed: _Sealed
    journals: list[UnsealedJournal]

    @property
    def segments(self) -> list[Segment]:
        return [*self.sealed.segments, *self.journals]

    def holders(self, game_id: str) -> list[Segment]:
        """Return the segments that hold a game."""
        recording = [one for one in self.journals if game_id in one.rows_of]
        return [*self.sealed.holders_of.get(game_id, ()), *recording]


class Listing:
    """The segments of a store as they are now; what was opened at the last call is not opened again.

    `damaged` names the files that could not be read at the last call, with the reason. A method raises
    `FileNotFoundError` when a compaction removed a file meanwhile: call it through `reread`.
    """

    def __init__(self, files: StoreFiles) -> None:
        self.files = files
        self.damaged: dict[str, str] = {}
        self._waiting: list[Segment] = []
        self._logged: set[str] = set()  # of what is damaged
        self._tampered: set[str] = set()  # of what is damaged, what its key did not write
        self._opened: dict[str, Segment] = {}
        self._sealed: _Sealed | None = None  # as long as the files are the same; not where one is damaged
        self._held: _Current | None = None
        self._journals = files.journals()

    def segments(self) -> list[Segment]:
        """Return the segments that count: readable ones, less those another replaces, and journals not yet sealed."""
        return self._current().segments

    def holders(self, game_id: str) -> list[Segment]:
        """Return the segments among them that hold a game."""
        return self._current().holders(game_id)

    def _current(self) -> _Current:
        if self._held is not None:
            return self._held
        if self._journals is None:
            return _Current(self._read_sealed(), [])
        for _ in range(COMPACTIONS):
            # Opened first: one that is sealed meanwhile stays readable, or is seen as its segment.
            with self._journals.opened() as opened:
                sealed = self._read_sealed()
                extents = (
                    [extent for one in sealed.segments for extent in one.footer.extents] if opened.journals else []
                )
                found = _Current(sealed, self._journals.read(opened, extents))
            self.leave_out(opened.problems)
            if set(self._journals.names()) <= opened.journals.keys() | opened.problems.keys():
                break  # else lines may have been written again to a journal that was not there yet
        return found

    def held(self) -> Listing:
        """Return a listing that keeps to the segments that count now."""
        held, found = self._current(), copy.copy(self)
        vars(found).update(_held=held, damaged=dict(self.damaged))
        return found

    def sealed(self) -> list[Segment]:
        """Return the segments that are files of their own: `segments` without the journals."""
        return list(self._read_sealed().segments)

    def _read_sealed(self) -> _Sealed:
        names = self.files.segment_names()
        if self._sealed is not None and self._sealed.names == names:
            self.damaged = {}
            return self._sealed
        damaged: dict[str, str] = {}
        opened: dict[str, Segment] = {}
        listed = [self._opened.get(name) or self.files.segment(name) for name in names]
        salts: set[str] = set()
        self.files.prefetch([segment for segment in listed if segment.name not in self._opened])
        for segment in listed:
            try:
                segment.footer  # noqa: B018 read now, so that damage is found here
            except SegmentDamaged as error:
                damaged[segment.name] = str(error)
                self._tampered.update([segment.name] if isinstance(error, Tampered) else [])
            except FileNotFoundError:
                if segment.name not in self.files.segment_names():
                    raise  # compacted away since the listing
                damaged[segment.name] = f"{segment.name}: a link that leads nowhere"
            else:
                if identity(segment.name) in salts:
                    damaged[segment.name] = (
                        f"{segment.name}: a copy of another segment under a name of its own; remove it"
                    )
                    continue
                salts.add(identity(segment.name))
                opened[segment.name] = segment
        self._opened, self.damaged = opened, {}
        self.leave_out(damaged)
        replaced = {identity(name) for segment in opened.values() for name in segment.footer.replaces}
        there = {name: segment for name, segment in opened.items() if identity(name) not in replaced}
        known = {identity(name) for name in there}
        self._waiting = [
            segment for segment in there.values() if not known.isdisjoint(map(identity, segment.footer.stands_in_for))
        ]
        counting = [segment for segment in there.values() if segment not in self._waiting]
        made = _Sealed(names, counting)
        self._sealed = None if damaged else made
        return made

    def segment(self, name: str) -> Segment:
        """Return a segment by name, as it was opened before."""
        return self._opened.setdefault(name, self.files.segment(name))

    def take_up(self, written: Iterable[Segment]) -> None:
        """Take segments as opened that were just written."""
        self._opened |= {segment.name: segment for segment in written}

    def read_game(self, game_id: str) -> pa.Table:
        """Return the rows of one game from all segments, in the order received."""
        return in_order_received(pa.concat_tables([one.read_game(game_id) for one in self.holders(game_id)]))

    def readable(self, skip: bool) -> tuple[list[Segment], dict[str, str]]:  # noqa: FBT001 handed on
        """Return the segments to read many rows from, and what is lost; raises `SegmentDamaged` unless `skip`."""
        segments = self.segments()
        if not skip:
            self.refuse_lost()
        return segments, self.rows_lost()

    def waiting(self) -> list[Segment]:
        """Return the segments that stand in for others which still count."""
        self.sealed()
        return list(self._waiting)

    def leave_out(self, problems: Mapping[str, str]) -> Mapping[str, str]:
        """Add files that cannot be read to `damaged`, log those that are new, and return all of `problems`."""
        for name in problems.keys() - self._logged:
            _log.warning("left out: %s", problems[name])
        self._logged |= problems.keys()
        self.damaged |= problems
        return problems

    def leave_out_segment(self, segment: Segment, error: SegmentDamaged) -> None:
        """Add a segment to `damaged` whose rows or remarks cannot be read."""
        self.leave_out({segment.name: str(error)})

    def rows_lost(self) -> dict[str, str]:
        """Return the damaged files that hold rows: segments and journals, but no foreign files."""
        return {name: why for name, why in self.damaged.items() if is_segment_name(name) or name.endswith(".journal")}

    def refuse_lost(self) -> None:
        """Raise `SegmentDamaged` when any rows are lost, `Tampered` when its key did not write some of them."""
        lost = self.rows_lost()
        if lost:
            kind = SegmentDamaged if self._tampered.isdisjoint(lost) else Tampered
            more = f" (and {len(lost) - 1} more)" if len(lost) > 1 else ""
            raise kind(
                f"{next(iter(lost.values()))}{more}; restore it from a backup or convert its sources again, or read "
                'the rest with damaged="skip"'
            )

    def recordings(self) -> list[Recording]:
        """Return the journals that were recorded into the store, sealed or not, in order of their names."""
        found = [
            Recording.of(extent, live=isinstance(segment, UnsealedJournal))
            for segment in self.segments()
            for extent in segment.footer.extents
            if extent.recording
        ]
        return sorted(found, key=lambda one: one.journal)

    def remarks(self) -> pa.Table:
        """Return the remarks beside all segments; a segment whose remarks cannot be read is left out."""
        parts = [REMARKS_SCHEMA.empty_table()]
        for segment in self.segments():
            if isinstance(segment, UnsealedJournal):
                parts.append(segment.remarks_table())
            elif segment.footer.remarks:
                name = segment.footer.remarks
                try:
                    parts.append(read_remarks(name, self.files.remarks(name), self.files.keys))
                except SegmentDamaged as error:
                    self.leave_out_segment(segment, error)
                except OSError as error:
                    if isinstance(error, FileNotFoundError) and segment.name not in self.files.segment_names():
                        raise  # compacted away, both of them
                    self.leave_out_segment(segment, SegmentDamaged(f"{name}: remarks cannot be read ({error})"))
        return pa.concat_tables(parts)
