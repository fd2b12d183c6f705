"""Verification of a store: digests, accounts, and what each segment leans on. Reads only."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from replaylab.parsing.scan import BYTE_KINDS
from replaylab.progress import bar
from replaylab.segments.digest import file_digest, name_digest, sum_digests
from replaylab.segments.extent import Extent
from replaylab.segments.segment import Segment

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
        One sentence each, naming the file.

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

    @property
    def ok(self) -> bool:
        """Whether everything is as it was written."""
        return not self.problems

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        verdict = "everything is as it was written" if self.ok else f"{len(self.problems)} problem(s)"
        lines = [
            f"{self.segments} segments, {self.rows:,} rows: {verdict}",
            *(f"- {one}" for one in self.problems[:20]),
        ]
        more = len(self.problems) - 20
        return "\n".join([*lines, f"- and {more} more"] if more > 0 else lines)


def check(
    remarks_folder: Path, segments: Sequence[Segment], damaged: Mapping[str, str], *, progress: bool = False
) -> Verification:
    """Check segments, their remarks and the accounts in their footers."""
    problems = list(damaged.values())
    found = Counter[str]()
    with bar(len(segments), "verify", "segment", show=progress) as shown:
        for segment in segments:
            problem = segment.problem()
            if problem:
                problems.append(problem)
            problems.extend(_account_problems(segment))
            problems.extend(_remarks_problem(remarks_folder, segment))
            for extent in segment.footer.extents:
                found.update(extent.bytes)
            shown.update()
    problems.extend(_overlaps([extent for segment in segments for extent in segment.footer.extents]))
    verified = Verification(
        segments=len(segments),
        rows=sum(segment.footer.rows for segment in segments),
        rows_digest=sum_digests([segment.footer.rows_digest for segment in segments]),
        bytes={kind: found[kind] for kind in BYTE_KINDS},
        problems=problems,
    )
    fields = {"event": "verified", "segments": len(segments), "rows": verified.rows, "problems": len(problems)}
    level = logging.WARNING if problems else logging.INFO
    _log.log(level, "%s: %d rows, %d problems", remarks_folder.parent, verified.rows, len(problems), extra=fields)
    return verified


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
    taken = sum(extent.tick_count for extent in footer.extents)
    if footer.extents and taken != footer.rows:
        problems.append(f"{segment.name}: {taken} ticks were taken from its sources, {footer.rows} rows are stored")
    if segment.row_count != footer.rows:
        problems.append(f"{segment.name}: {segment.row_count} rows are there, its footer says {footer.rows}")
    return problems


def _remarks_problem(folder: Path, segment: Segment) -> list[str]:
    name = segment.footer.remarks
    if name is None:
        return []
    path = folder / name
    if not path.is_file():
        segment.path.stat()  # raises when a compaction has removed both, and the check begins anew
        return [f"{name}: the remarks of {segment.name} are gone"]
    if file_digest(path) != name_digest(name):
        return [f"{name}: its bytes are not those that were written (digest differs from the name)"]
    return []


def _overlaps(extents: list[Extent]) -> list[str]:
    """Check that no byte of a source was converted twice."""
    problems = []
    ordered = sorted(extents, key=lambda extent: (extent.source, extent.start, extent.end))
    for before, after in pairwise(ordered):
        if before.source == after.source and after.start < before.end:
            problems.append(f"{after.source}: bytes {after.start} to {before.end} were converted twice")
    return problems
