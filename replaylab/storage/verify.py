"""Verification of a store: digests, accounts, and what each segment leans on. Reads only."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import pyarrow as pa

from replaylab.durable import is_being_written
from replaylab.errors import SegmentDamaged
from replaylab.journals.sealed import SUSPICIOUS
from replaylab.parsing.scan import BYTE_KINDS
from replaylab.plural import count_of
from replaylab.progress import bar
from replaylab.segments.digest import sum_digests
from replaylab.segments.extent import Extent
from replaylab.segments.remarks import is_remarks_name, read_remarks
from replaylab.segments.segment import Segment, is_segment_name
from replaylab.storage.files import StoreFiles
from replaylab.storage.inventory import Inventory
from replaylab.storage.missing import lost_remarks, missing_in_runs, missing_in_sources
from replaylab.storage.refused import refused_files, refused_problems
from replaylab.storage.zones import stored_fit

_log = logging.getLogger("replaylab.verification")


@dataclass(frozen=True, slots=True)
class Verification:
    """What a check of a store found; `ok` when there is no problem.

    Attributes
    ----------
    segments, rows : int
        Segments and rows that were checked.
    bytes : dict
        Bytes of the sources by what became of them: kept, repaired, quarantined, blank.
    rows_digest : str
        Digest of all rows, whatever their order; equal before and after compaction.
    problems : list of str
        What is not as it was written: one sentence each, naming the file.
    pruned_rows : int
        Rows that were removed on purpose; the account of their sources is still there.
    missing : list of str
        What is not there: ticks of a run, bytes of a source, remarks or their segment; one sentence each.
    inventory : Inventory, optional
        What the store holds, to be saved and expected another time.
    doubts : list of str
        What looks wrong and need not be: ids that contradict the zone in which times were read.

    Examples
    --------
    >>> Verification(segments=0, rows=0, rows_digest="0" * 16).ok
    True
    """

    segments: int
    rows: int
    rows_digest: str
    bytes: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    inventory: Inventory | None = field(default=None, repr=False)
    pruned_rows: int = 0
    doubts: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether everything is there and as it was written."""
        return not self.problems and not self.missing

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        found = [*self.problems, *self.missing]
        verdict = "everything is as it was written" if self.ok else count_of(len(found), "problem")
        pruned = f", {self.pruned_rows:,} removed on purpose" if self.pruned_rows else ""
        lines = [
            f"{count_of(self.segments, 'segment')}, {count_of(self.rows, 'row')}{pruned}: {verdict}",
            *(f"- {one}" for one in found[:20]),
        ]
        more = len(found) - 20
        return "\n".join([*lines, *([f"- and {more} more"] if more > 0 else []), *self.doubts])


def check(
    files: StoreFiles,
    segments: Callable[[], Sequence[Segment]],
    damaged: Mapping[str, str],
    *,
    progress: bool = False,
    expected: Inventory | None = None,
) -> Verification:
    """Check segments, their remarks, the accounts in their footers, and what is missing.

    Parameters
    ----------
    files : StoreFiles
        Where they lie.
    segments : callable
        Returns the segments that count now, and fills `damaged` anew.
    damaged : mapping
        Files that cannot be read, with the reason.
    expected : Inventory, optional
        What the store held at an earlier moment.
    """
    there = segments()
    problems = list(damaged.values())
    found = Counter[str]()
    with bar(len(there), "verify", "segment", show=progress) as shown:
        for segment in there:
            problem = segment.problem()
            if problem:
                problems.append(problem)
            problems.extend(_account_problems(segment))
            problems.extend(_remarks_problem(files, segment))
            for extent in segment.footer.extents:
                found.update(extent.bytes)
            shown.update()
    extents = _extents(there)
    problems.extend(_overlaps(extents))
    problems.extend(_suspicious(extents))
    with files.refused() as folder:
        problems.extend(refused_problems(folder, files.keys))
        refused = refused_files(folder)
    unnamed, unreadable = _unnamed_remarks(files, there)
    problems.extend(unreadable)
    rows, digest = _rows(there)
    inventory = Inventory.of(rows, digest, extents, refused)
    missing = _missing(files, segments, damaged, there, unnamed)
    if expected is not None:
        missing.extend(one for one in inventory.missing(expected) if one not in missing)
    verified = Verification(
        segments=len(there),
        rows=rows,
        rows_digest=digest,
        bytes={kind: found[kind] for kind in BYTE_KINDS},
        problems=problems,
        missing=missing,
        inventory=inventory,
        pruned_rows=inventory.pruned_rows,
        doubts=_doubts(files, there),
    )
    count = len(problems) + len(missing)
    fields = {"event": "verified", "segments": len(there), "rows": rows, "problems": count}
    _log.log(
        logging.WARNING if count else logging.INFO,
        "%s: %s, %s",
        files.place,
        count_of(rows, "row"),
        count_of(count, "problem"),
        extra=fields,
    )
    return verified


def _suspicious(extents: Sequence[Extent]) -> list[str]:
    """Return what no crash leaves in an encrypted journal; it stays a problem when it is set aside."""
    found = []
    for one in extents:
        if one.recording.get("sealed"):
            reasons = {reason: count for reason, count in sorted(one.reasons.items()) if reason in SUSPICIOUS}
            if reasons:
                shown = ", ".join(f"{count} x {reason}" for reason, count in reasons.items())
                found.append(f"{one.source}: encrypted lines were altered, moved, repeated or taken out ({shown})")
    return found


def _doubts(files: StoreFiles, segments: Sequence[Segment]) -> list[str]:
    """Return what looks wrong and need not be, and what to do about it."""
    sealed = [segment for segment in segments if is_segment_name(segment.name)]
    fit = stored_fit(sealed)
    return [f"{fit}: replaylab rezone {files.place} {fit.fitting[0]}"] if fit else []


def _rows(segments: Sequence[Segment]) -> tuple[int, str]:
    """Return how many rows segments hold, and their digest."""
    footers = [segment.footer for segment in segments]
    return sum(one.rows for one in footers), sum_digests([one.rows_digest for one in footers])


def _extents(segments: Sequence[Segment]) -> list[Extent]:
    return [extent for segment in segments for extent in segment.footer.extents]


def _missing(
    files: StoreFiles,
    segments: Callable[[], Sequence[Segment]],
    damaged: Mapping[str, str],
    there: Sequence[Segment],
    unnamed: Mapping[str, pa.Table],
) -> list[str]:
    """Return what is missing; parts of sources only where no conversion is at work, which stores them one by one."""
    if any(is_segment_name(name) for name in damaged):
        return []  # rows of a damaged segment look like missing ones; the damage itself is reported already
    runs = missing_in_runs(_extents(there))
    if not missing_in_sources(_extents(there)) and not lost_remarks(unnamed, _extents(there)):
        return runs
    if files.is_local and is_being_written(files.path):
        return runs
    now = _extents(segments())  # a conversion may have ended since
    return [*runs, *missing_in_sources(now), *lost_remarks(unnamed, now)]


def _unnamed_remarks(files: StoreFiles, segments: Sequence[Segment]) -> tuple[dict[str, pa.Table], list[str]]:
    """Return the remarks that no segment names, and what is wrong with those that cannot be read."""
    named = {segment.footer.remarks for segment in segments}
    found: dict[str, pa.Table] = {}
    problems = []
    for name in files.remarks_names():
        if name in named or not is_remarks_name(name):
            continue
        try:
            found[name] = read_remarks(name, files.remarks(name), files.keys)
        except SegmentDamaged as error:
            problems.append(str(error))
        except FileNotFoundError:
            continue  # removed by a conversion or compaction since
        except OSError as error:
            problems.append(f"{name}: remarks cannot be read ({error.strerror or error})")
    return found, problems


def _account_problems(segment: Segment) -> list[str]:
    """Check: bytes in = kept + repaired + quarantined + blank, and ticks taken = rows stored."""
    problems = []
    footer = segment.footer
    for extent in footer.extents:
        counted = sum(extent.bytes.get(kind, 0) for kind in BYTE_KINDS)
        if counted != extent.end - extent.start:
            problems.append(
                f"{segment.name}: {counted} of {extent.end - extent.start} bytes of {extent.source} are accounted for"
            )
    taken = sum(extent.row_count for extent in footer.extents)
    if footer.extents and taken != footer.rows:
        problems.append(f"{segment.name}: {taken} ticks were taken from its sources, {footer.rows} rows are stored")
    if segment.row_count != footer.rows:
        problems.append(f"{segment.name}: {segment.row_count} rows are there, its footer says {footer.rows}")
    return problems


def _remarks_problem(files: StoreFiles, segment: Segment) -> list[str]:
    name = segment.footer.remarks
    if name is None:
        return []
    try:
        remarks = read_remarks(name, files.remarks(name), files.keys)
    except SegmentDamaged as error:
        return [str(error)]
    except FileNotFoundError:
        if segment.name not in files.segment_names():
            raise  # a compaction has removed both, and the check begins anew
        return [f"{name}: the remarks of {segment.name} are gone; restore the file from a backup"]
    except OSError as error:
        return [f"{name}: remarks cannot be read ({error.strerror or error})"]
    if remarks.num_rows != segment.footer.remark_count:
        return [f"{name}: {remarks.num_rows} remarks are there, {segment.name} says {segment.footer.remark_count}"]
    return []


def _overlaps(extents: list[Extent]) -> list[str]:
    """Check that no byte of a source was converted twice.

    A reading without ticks stands beside one by another mapping where a conversion was killed before it took it out.
    """
    problems = []
    ordered = sorted(extents, key=lambda extent: (extent.source, extent.start, extent.end))
    for before, after in pairwise(ordered):
        otherwise = before.mapping != after.mapping and not (before.tick_count and after.tick_count)
        if before.source == after.source and after.start < before.end and not otherwise:
            problems.append(f"{after.source}: bytes {after.start} to {before.end} were converted twice")
    return problems
