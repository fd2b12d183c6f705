"""Compact a store: many small segments become few, and no reader ever sees a row twice or misses one.

A group of segments is merged into exactly one, whose footer names those it replaces. Until they are removed, a reader
that finds both reads only the new one; a compaction killed at any moment leaves either the old ones or the new one in
force, and the next conversion or compaction removes what is left over.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import xxhash

from replaylab.durable import remove, sole_writer, sweep, written_aside
from replaylab.encryption.keys import StoreKeys
from replaylab.encryption.kms import Kms
from replaylab.encryption.parquet import key_named, new_seal
from replaylab.errors import SegmentDamaged, StoreError
from replaylab.keywords import options_of
from replaylab.plural import count_of
from replaylab.progress import bar
from replaylab.segments.digest import ENDING, file_digest, name_digest, sum_digests
from replaylab.segments.extent import Extent
from replaylab.segments.order import in_order_received, sorted_by_game
from replaylab.segments.remarks import opened_writer, publish_remarks, remarks_in
from replaylab.segments.segment import ROW_GROUP_ROWS, Segment, is_segment_name, write_segment
from replaylab.storage.kept_summaries import forget
from replaylab.storage.objectstore import refuse_uri
from replaylab.storage.renewal import drop_unused, renew_small_files
from replaylab.storage.store import REMARKS, SEGMENTS, Store

TARGET_ROWS: Final = 4 << 20
REMARKS_LEVEL: Final = 19
REMARKS_AT_ONCE: Final = 1 << 12
_log = logging.getLogger("replaylab.compaction")

_Range = tuple[int, int, int]
"""Rows of a game: the number of their segment, the first of them, and how many."""


@dataclass(frozen=True, slots=True)
class CompactionReport:
    """What a compaction did.

    `files_encrypted_anew` used a key of the store that is not the newest, `keys_dropped` are needed by none any more,
    and `keys` are those that an encrypted store has now, the newest last.

    Examples
    --------
    >>> print(CompactionReport("store", rows=10, segments_before=3, segments_after=1, bytes_before=9, bytes_after=5))
    3 segments -> 1, 10 rows, 9 bytes -> 5
    """

    store: str
    rows: int
    segments_before: int
    segments_after: int
    bytes_before: int
    bytes_after: int
    files_encrypted_anew: int = 0
    keys_dropped: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

    def __str__(self) -> str:
        text = (
            f"{count_of(self.segments_before, 'segment')} -> {self.segments_after:,}, {count_of(self.rows, 'row')}, "
            f"{self.bytes_before:,} bytes -> {self.bytes_after:,}"
        )
        return f"{text}; {self.keys_said}" if self.keys_said else text

    @property
    def keys_said(self) -> str:
        """What became of the keys of an encrypted store, in words; nothing where none was renewed."""
        said = []
        if self.files_encrypted_anew:
            said.append(f"{count_of(self.files_encrypted_anew, 'file')} encrypted by {self.keys[-1]}")
        if self.keys_dropped:
            said.append(f"{', '.join(self.keys_dropped)} dropped")
        if len(self.keys) > 1:
            older = ", ".join(self.keys[:-1])
            said.append(f"{older} kept, as a journal is there or a file needs it: compact again later")
        return "; ".join(said)


@options_of("rl.compact")
def compact(
    store: str | os.PathLike[str] | Store, *, progress: bool = True, kms: Kms | None = None
) -> CompactionReport:
    """Merge small segments into few, whole games together, and remove those that were merged.

    Needs free space for a copy of the segments that are merged; memory stays bounded whatever their size. Where the
    key of an encrypted store was renewed, files that use an older one are encrypted anew, and that key is dropped.

    `kms` is the master key of an encrypted store that is named by its path.

    Raises
    ------
    StoreNotFound, StoreBusy, StoreFull, StoreUnwritable
        Nothing is lost in any of these cases.
    SegmentDamaged
        When a segment does not hold what was written; it and the others stay as they are.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> for seed in (1, 2):
    ...     _ = rl.simulate(f"{folder}/{seed}", games=1, seed=seed)
    ...     _ = rl.convert(f"{folder}/{seed}", folder + "/store", progress=False)
    >>> report = rl.compact(folder + "/store", progress=False)
    >>> report.segments_before, report.segments_after
    (2, 1)
    """
    refuse_uri(store)
    opened = store if isinstance(store, Store) else Store(store, kms=kms)
    with sole_writer(opened.path):
        remove_leftovers(opened)
        before = opened.sealed()
        refuse_damaged(opened)
        bytes_before = disk_bytes(opened.path)
        keys = opened.files.keys
        old = _of_older_keys(before, keys)
        groups = _groups(before)
        merged = {segment.name for group in groups for segment in group}
        alone = [segment for segment in old if segment.name not in merged]
        rows = sum(segment.footer.rows for group in [*groups, alone] for segment in group)
        with bar(rows, "compact", "row", show=progress) as shown:
            try:
                for group in groups:
                    _merge(opened, group)
                    remove_leftovers(opened)
                    shown.update(sum(segment.footer.rows for segment in group))
                for segment in alone:
                    write_anew(opened, segment)
                    remove_leftovers(opened)
                    shown.update(segment.footer.rows)
            except BaseException:
                with suppress(StoreError):  # what cannot be removed now is removed by the next run
                    remove_leftovers(opened)
                raise
        renewed = len(old) + (renew_small_files(opened.path, keys) if keys else 0)
        dropped = drop_unused(opened.path, keys) if keys else []
        report = CompactionReport(
            store=str(opened.path),
            rows=opened.rows,
            segments_before=len(before),
            segments_after=len(opened.sealed()),
            bytes_before=bytes_before,
            bytes_after=disk_bytes(opened.path),
            files_encrypted_anew=renewed,
            keys_dropped=tuple(dropped),
            keys=tuple(opened.key_ids()),
        )
    _log.info("%s compacted: %s", opened.path, report, extra={"event": "compacted", **asdict(report)})
    return report


def refuse_damaged(store: Store) -> None:
    """Raise `SegmentDamaged` when a segment cannot be read: what it replaces is not known, so nothing is merged."""
    for name, reason in store.damaged.items():
        if is_segment_name(name):
            raise SegmentDamaged(
                f"{reason}; nothing was merged. Restore it from a backup, or remove it and convert its sources again"
            )


def disk_bytes(store: Path) -> int:
    """Return the bytes of all segments and remarks of a store."""
    found = (path for name in (SEGMENTS, REMARKS) for path in (store / name).glob(f"*{ENDING}"))
    return sum(path.stat().st_size for path in found if path.is_file())


def remove_leftovers(store: Store) -> None:
    """Remove half-written files, segments that others replace or that stand in for others, and unnamed remarks."""
    segments, remarks = store.path / SEGMENTS, store.path / REMARKS
    sweep(segments)
    sweep(remarks)
    remove([segment.path for segment in store.waiting()])
    live = store.sealed()
    kept = {segment.name for segment in live}
    replaced = {name for segment in live for name in segment.footer.replaces}
    gone = [path for path in segments.glob(f"*{ENDING}") if path.name in replaced - kept]
    if gone:
        forget(store.path)
    remove(gone)
    if any(is_segment_name(name) for name in store.damaged.keys() - replaced):
        return  # which remarks a damaged segment names is not known
    named = {segment.footer.remarks for segment in live}
    remove([path for path in remarks.glob(f"*{ENDING}") if path.name not in named])


def segments_when_compacted(segments: list[Segment]) -> int:
    """Return how many segments a compaction of these would leave."""
    return len(segments) - sum(len(group) - 1 for group in _groups(segments))


def _groups(segments: list[Segment]) -> list[list[Segment]]:
    """Put small segments into groups of at most `TARGET_ROWS`, neighbours by their first game together."""
    small = [segment for segment in segments if segment.footer.rows <= TARGET_ROWS // 2]
    small.sort(key=lambda segment: segment.footer.games[0].start_us if segment.footer.games else 0)
    groups: list[list[Segment]] = []
    rows = TARGET_ROWS + 1
    for segment in small:
        if rows + segment.footer.rows > TARGET_ROWS:
            groups.append([])
            rows = 0
        groups[-1].append(segment)
        rows += segment.footer.rows
    return [group for group in groups if len(group) > 1]


def _of_older_keys(segments: list[Segment], keys: StoreKeys | None) -> list[Segment]:
    """Return the segments that use, or whose remarks use, a key of the store that is not the newest."""
    if keys is None or keys.allows_plain:
        return []
    newest = keys.newest(certain=True)
    if keys.ids == [newest]:
        return []
    names = ((one, key_named(one.name), key_named(one.footer.remarks or "")) for one in segments)
    return [one for one, *used in names if not {newest, None}.issuperset(used)]


def write_anew(store: Store, segment: Segment) -> Segment:
    """Write a segment and its remarks again as they stand, by the newest key of the store."""
    return write_segment(
        store.path / SEGMENTS,
        _as_they_stand(segment),
        origin=segment.footer.origin,
        extents=segment.footer.extents,
        remarks=merged_remarks(store, [segment]),
        replaces=sorted({*segment.footer.replaces, segment.name}),
        expected_digest=segment.footer.rows_digest,
        lasting=segment.footer.origin == "compact",
        keys=store.files.keys,
    ).publish()


def _as_they_stand(segment: Segment) -> Iterator[pa.Table]:
    """Yield the rows of a segment, a row group at a time."""
    for first in range(0, segment.row_count, ROW_GROUP_ROWS):
        yield segment.read_rows(first, min(ROW_GROUP_ROWS, segment.row_count - first))


def _merge(store: Store, group: list[Segment]) -> Segment:
    names = [segment.name for segment in group]
    replaced = {name for segment in group for name in segment.footer.replaces}
    return write_segment(
        store.path / SEGMENTS,
        merged_rows(group),
        origin="compact",
        extents=[extent for segment in group for extent in segment.footer.extents],
        remarks=merged_remarks(store, group),
        replaces=sorted(replaced.union(names)),
        lasting=True,
        expected_digest=sum_digests([segment.footer.rows_digest for segment in group]),
        keys=store.files.keys,
    ).publish()


def merged_rows(group: list[Segment], without: Collection[str] = ()) -> Iterator[pa.Table]:
    """Return the rows of segments game after game, in order of time, about a row group at a time; some games less."""
    ranges_of: dict[str, list[_Range]] = {}
    start_us: dict[str, int] = {}
    for number, segment in enumerate(group):
        for one in segment.footer.games:
            if one.game in without:
                continue
            ranges_of.setdefault(one.game, []).append((number, one.first_row, one.rows))
            start_us[one.game] = min(one.start_us, start_us.get(one.game, one.start_us))
    ranges: list[_Range] = []
    rows = 0
    for game in sorted(ranges_of, key=lambda name: (start_us[name], name)):
        ranges += ranges_of[game]
        rows += sum(count for _, _, count in ranges_of[game])
        if rows >= ROW_GROUP_ROWS:
            yield _read_ranges(group, ranges)
            ranges, rows = [], 0
    if ranges:
        yield _read_ranges(group, ranges)


def _read_ranges(group: list[Segment], ranges: list[_Range]) -> pa.Table:
    """Read games that are neighbours in time: in each segment they stand together, or nearly so."""
    runs: list[_Range] = []
    for number, first, rows in sorted(ranges):
        if runs and runs[-1][0] == number and runs[-1][1] + runs[-1][2] == first:
            runs[-1] = (number, runs[-1][1], runs[-1][2] + rows)
        else:
            runs.append((number, first, rows))
    parts = [group[number].read_rows(first, rows) for number, first, rows in runs]
    return in_order_received(sorted_by_game(pa.concat_tables(parts)))


def outside(table: pa.Table, column: str, ranges: Sequence[tuple[str, int, int]]) -> pa.Table:
    """Return the rows whose `column` lies in none of the ranges (source, first, end) of their source."""
    sources = table.column("source").cast(pa.string()).combine_chunks().dictionary_encode()
    code_of = {name: code for code, name in enumerate(sources.dictionary.to_pylist())}
    codes, values = sources.indices.to_numpy(), table.column(column).to_numpy()
    within = np.zeros(len(table), np.bool_)
    left = [(code_of[source], first, end) for source, first, end in ranges if source in code_of]
    while left:  # one range of each source at a time: there is seldom a second
        firsts, ends = np.zeros((2, len(code_of)), np.int64)
        later = []
        for code, first, end in left:
            if ends[code]:
                later.append((code, first, end))
            else:
                firsts[code], ends[code] = first, end
        within |= (values >= firsts[codes]) & (values < ends[codes])
        left = later
    return table.filter(pa.array(~within))


def merged_remarks(store: Store, group: list[Segment], without: Sequence[Extent] = ()) -> tuple[str | None, int]:
    """Write the remarks of several segments as one file, less those about some extents."""
    folder, keys = store.path / REMARKS, store.files.keys
    named = [segment.footer.remarks for segment in group if segment.footer.remarks]
    if not named:
        return None, 0
    seal = new_seal(keys, "remarks")
    with written_aside(folder, f"remarks-{xxhash.xxh3_64_hexdigest(repr(named).encode())}") as aside:
        count = 0
        with opened_writer(aside, REMARKS_LEVEL, seal) as writer:
            for name in named:
                if not (folder / name).is_file() or file_digest(folder / name) != name_digest(name):
                    raise SegmentDamaged(f"{name}: these remarks are not what was written; nothing was changed")
                for batch in remarks_in(folder / name, keys, REMARKS_AT_ONCE):
                    part = outside(batch, "start", [(one.source, one.start, one.end) for one in without])
                    writer.write_table(part, row_group_size=REMARKS_AT_ONCE)
                    count += part.num_rows
        return publish_remarks(aside, folder, count, seal), count
