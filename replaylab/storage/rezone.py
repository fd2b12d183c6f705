"""Rezone: read the times of a store that carry no zone in another one, after they were converted.

One segment after the other is written anew with other times and replaces the one before, so a run that is killed
leaves each as it was or as it is to be, and running again does the rest. What the recorder's clock showed is worked
out from the time that is stored and the zone it was read in, exactly; it never changes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replaylab.columns import as_numpy, column
from replaylab.durable import sole_writer
from replaylab.encryption.kms import Kms
from replaylab.errors import SegmentDamaged
from replaylab.keywords import options_of
from replaylab.plural import count_of
from replaylab.progress import bar
from replaylab.segments.extent import Extent
from replaylab.segments.segment import ROW_GROUP_ROWS, Segment, is_segment_name, write_segment
from replaylab.settings import current
from replaylab.storage.compact import remove_leftovers
from replaylab.storage.objectstore import refuse_uri
from replaylab.storage.store import SEGMENTS, Store
from replaylab.storage.zones import ZoneFit, rows_of_extents, stored_fit
from replaylab.table import SCHEMA, TIME_TYPE, doubtful_times, skipped_times, to_utc, to_wall

_log = logging.getLogger("replaylab.rezoning")
_LISTED: Final = 5  # sources that are named; the others are counted


@dataclass(frozen=True, slots=True)
class RezoneReport:
    """What a rezoning did.

    Attributes
    ----------
    store, zone : str
        The store, and the zone in which its times without one are read now.
    before : tuple of str
        The zones in which they were read.
    times, sources : int
        Times that were changed, and recordings that they are from.
    known : int
        Times that were read in this zone already.
    doubtful : int
        Times that the clock of the zone showed twice (the first is taken) or never (they move on by the gap).
    left_alone : dict
        By recording, why its times were not changed.
    fit : ZoneFit
        What the ids of the games say of the zone.

    Examples
    --------
    >>> print(RezoneReport("store", "Asia/Tokyo", before=("UTC",), times=9, sources=1))
    times: 9 of 1 source are read as Asia/Tokyo, UTC before
    """

    store: str
    zone: str
    before: tuple[str, ...] = ()
    times: int = 0
    sources: int = 0
    known: int = 0
    doubtful: int = 0
    left_alone: dict[str, str] = field(default_factory=dict)
    fit: ZoneFit = field(default_factory=lambda: ZoneFit(""))

    @property
    def ok(self) -> bool:
        """Whether every time without a zone is read in the zone asked for."""
        return not self.left_alone

    def described(self) -> dict[str, str]:
        """Return the report in words, by name."""
        before = f", {', '.join(self.before)} before" if self.before else ""
        doubtful = f"{self.doubtful:,} shown twice by that clock (the first is taken) or never (moved on by the gap)"
        words = {
            "times": f"{self.times:,} of {count_of(self.sources, 'source')} are read as {self.zone}{before}",
            "as they were": f"{self.known:,} were read as {self.zone} already" if self.known else "",
            "doubtful": doubtful if self.doubtful else "",
            "zone": str(self.fit),
        }
        return {name: text for name, text in words.items() if text}

    def __str__(self) -> str:
        lines = [f"{name}: {text}" for name, text in self.described().items()]
        lines += [f"left alone: {name}: {why}" for name, why in list(self.left_alone.items())[:_LISTED]]
        more = len(self.left_alone) - _LISTED
        return "\n".join([*lines, *([f"left alone: {more:,} more sources"] if more > 0 else [])])


@options_of("rl.rezone")
def rezone(
    store: str | os.PathLike[str] | Store, zone: str, *, progress: bool = True, kms: Kms | None = None
) -> RezoneReport:
    """Read the times of a store that carry no zone in `zone`, whatever they were read in before.

    Times that carry a zone stay as they are, and so does what the recorder's clock showed. Running it again changes
    nothing; a run that was killed is finished by the next one.

    Parameters
    ----------
    store : path or Store
        The store.
    zone : str
        Name of a zone, such as ``America/New_York``.
    progress : bool
        Show a progress bar.
    kms : Kms, optional
        The master key of an encrypted store that is named by its path.

    Raises
    ------
    SettingsError
        For a zone that is not known; nothing is changed.
    StoreNotFound, StoreBusy, StoreFull, StoreUnwritable
        Nothing is lost in any of these cases.
    SegmentDamaged
        When a segment does not hold what was written; it stays as it is.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=1, seed=1)
    >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> report = rl.rezone(folder + "/store", "Asia/Tokyo", progress=False)
    >>> report.before, report.times == rl.open_store(folder + "/store").rows
    (('UTC',), True)
    """
    refuse_uri(store)
    zone = current().changed(source_tz=zone).source_tz
    opened = store if isinstance(store, Store) else _found(store, kms)
    done = _Done(zone)
    with sole_writer(opened.path):
        remove_leftovers(opened)
        segments = opened.sealed()
        if damaged := [reason for name, reason in opened.damaged.items() if is_segment_name(name)]:
            raise SegmentDamaged(f"{damaged[0]}; restore it from a backup or remove it, then run rezone again")
        with bar(len(segments), "rezone", "segment", show=progress) as shown:
            for segment in segments:
                _rewrite(opened, segment, done)
                shown.update(1)
        remove_leftovers(opened)
    report = RezoneReport(
        store=str(opened.path),
        zone=zone,
        before=tuple(sorted(done.before)),
        times=done.times,
        sources=len(done.sources),
        known=done.known,
        doubtful=done.doubtful,
        left_alone=done.left_alone,
        fit=stored_fit(opened.sealed()),
    )
    fields = {"event": "rezoned", "zone": zone, "times": report.times, "left_alone": len(report.left_alone)}
    _log.log(logging.INFO if report.ok else logging.WARNING, "rezoned: %s", report, extra=fields)
    return report


def _found(path: str | os.PathLike[str], kms: Kms | None) -> Store:
    from replaylab.storage.open import open_store

    return open_store(path, kms=kms)


class _Done:
    """What has been done so far."""

    def __init__(self, zone: str) -> None:
        self.zone = zone
        self.before: set[str] = set()
        self.sources: set[str] = set()
        self.left_alone: dict[str, str] = {}
        self.times = self.known = self.doubtful = 0

    def refuse(self, extent: Extent, why: str) -> None:
        """Name a source whose times cannot be read otherwise."""
        self.left_alone[extent.source] = f"{why}; convert it into a new store with source_tz={self.zone!r}"


def _rewrite(store: Store, segment: Segment, done: _Done) -> None:
    """Write one segment anew, when times of it are to be read in another zone."""
    extents = list(segment.footer.extents)
    for one in extents:
        if one.zoneless_times and one.zone == done.zone:
            done.known += one.zoneless_times
            done.doubtful += one.doubtful_times
    if all(not one.zoneless_times or one.zone == done.zone for one in extents):
        return
    times, changed = _read_anew(segment, extents, done)
    if not changed:
        return
    write_segment(
        store.path / SEGMENTS,
        _with_times(segment, times),
        origin=segment.footer.origin,
        extents=extents,
        remarks=(segment.footer.remarks, segment.footer.remark_count),
        replaces=sorted({*segment.footer.replaces, segment.name}),
        lasting=segment.footer.origin == "compact",
        keys=store.files.keys,
    ).publish()
    remove_leftovers(store)
    for before, after in changed:
        done.before.add(before.zone)
        done.sources.add(after.source)
        done.times += after.zoneless_times
        done.doubtful += after.doubtful_times


def _read_anew(segment: Segment, extents: list[Extent], done: _Done) -> tuple[pa.Array, list[tuple[Extent, Extent]]]:
    """Return the times of all rows as they are to be, and each changed extent before and after, put into `extents`."""
    table = segment.read(["source", "seq", "timestamp"])
    seq = as_numpy(table.column("seq"))
    stored = table.column("timestamp").combine_chunks()
    known = as_numpy(stored.is_valid())
    times = as_numpy(stored).copy()
    owner = rows_of_extents(table, extents)
    order = np.argsort(owner, kind="stable")
    bounds = np.searchsorted(owner[order], np.arange(len(extents) + 1))
    changed = []
    for number, one in enumerate(extents):
        if not one.zoneless_times or one.zone == done.zone:
            continue
        rows = order[bounds[number] : bounds[number + 1]]
        if int(known[rows].sum()) != one.zoneless_times:
            done.refuse(one, "some of its times carry a zone, and which ones is not stored")
            continue
        walls = _walls(times[rows], known[rows], seq[rows] - one.first_seq, one)
        zoned = ~known[rows]
        if doubtful_times(walls, zoned, one.zone) != one.doubtful_times:
            done.refuse(one, f"an earlier release did not note which of its times the clock of {one.zone} never showed")
            continue
        times[rows] = as_numpy(to_utc(walls, zoned, done.zone))
        skipped = seq[rows][skipped_times(walls, zoned, done.zone)] - one.first_seq
        extents[number] = replace(
            one,
            zone=done.zone,
            doubtful_times=doubtful_times(walls, zoned, done.zone),
            skipped=np.sort(skipped).tolist(),
        )
        changed.append((one, extents[number]))
    return column(times, ~known).view(TIME_TYPE), changed


def _walls(times: NDArray[np.int64], known: NDArray[np.bool_], place: NDArray[np.int64], one: Extent) -> Any:
    """Return what the recorder's clock showed; the least number where no time is known."""
    walls = as_numpy(to_wall(pa.array(times), one.zone, np.isin(place, one.skipped)))
    return np.where(known, walls, np.iinfo(np.int64).min)


def _with_times(segment: Segment, times: pa.Array) -> Iterator[pa.Table]:
    """Yield the rows of a segment with other times, a row group at a time."""
    place = SCHEMA.get_field_index("timestamp")
    for first in range(0, segment.row_count, ROW_GROUP_ROWS):
        table = segment.read_rows(first, min(ROW_GROUP_ROWS, segment.row_count - first))
        yield table.set_column(place, SCHEMA.field(place), times.slice(first, table.num_rows))
