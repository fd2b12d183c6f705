"""What is missing from a store, as far as the files that are left tell: parts of sources and runs, lost remarks. Pure.

A run counts its ticks from 0, the parts of a source follow each other from byte 0 to its size, and remarks belong to a
segment. What leaves no such trace, a whole run or a whole source, is found by an `Inventory` alone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import pyarrow as pa

from replaylab.journals.reader import EXPECTED
from replaylab.journals.seq_ranges import SeqRanges
from replaylab.segments.extent import Extent

LEAST_LINE_BYTES: Final = 190  # of a journal's line: so many damaged bytes can stand for one tick
_NO_BYTES: Final = frozenset({"sequence_gap", "overwritten"})  # damage that leaves no byte of the lines it stands for


def missing_in_runs(extents: Iterable[Extent]) -> list[str]:
    """Return, for each run of a recorder, the ticks that no journal and no segment holds.

    Places whose lines are there as damaged bytes are not missing: those are set aside as remarks.
    """
    runs: dict[str, list[Extent]] = defaultdict(list)
    for extent in extents:
        if extent.recording:
            runs[extent.recording["run"]].append(extent)
    found = []
    for run, parts in sorted(runs.items()):
        parts.sort(key=lambda one: one.recording["number"])
        held = SeqRanges.of_ranges(pair for one in parts for pair in one.recording["seqs"])
        ends = [held.runs[-1][1] + 1] if held else []
        ends += [one.recording.get("header_seq", 0) for one in parts]  # a journal says where it goes on
        for first, last in _holes(held, max(ends, default=0)):
            lost = last - first + 1 - _damaged_lines(parts, first, last)
            if lost > 0:
                ticks = f"tick {first}" if first == last else f"ticks {first} to {last}"
                found.append(
                    f"run {run}: {ticks} of the sequence are in no segment and no journal "
                    f"({_around(parts, first, last)}); restore the missing file from a backup"
                )
    return found


def _holes(held: SeqRanges, end: int) -> list[tuple[int, int]]:
    """Return the ranges of numbers below `end` that are not held."""
    found, at = [], 0
    for first, last in held.runs:
        if first > at:
            found.append((at, first - 1))
        at = last + 1
    return [*found, (at, end - 1)] if at < end else found


def _damaged_lines(parts: Sequence[Extent], first: int, last: int) -> int:
    """Return how many lines the damaged bytes around a hole may have been, at most."""
    before = [at for at, one in enumerate(parts) if one.recording["seqs"] and one.recording["seqs"][0][0] < first]
    after = [at for at, one in enumerate(parts) if one.recording["seqs"] and one.recording["seqs"][-1][1] > last]
    near = parts[max(before, default=0) : min(after, default=len(parts) - 1) + 1]
    lines = 0
    for one in near:
        pieces = sum(count for reason, count in one.reasons.items() if reason not in {*EXPECTED, *_NO_BYTES})
        if pieces:
            lines += pieces + one.bytes.get("quarantined", 0) // (
                LEAST_LINE_BYTES * (1 + bool(one.recording.get("sealed")))
            )
    return lines


def _around(parts: Sequence[Extent], first: int, last: int) -> str:
    """Name the journals between which ticks are missing."""
    before = [one.source for one in parts if one.recording["seqs"] and one.recording["seqs"][0][0] < first]
    after = [one.source for one in parts if one.recording["seqs"] and one.recording["seqs"][-1][1] > last]
    if before and after and before[-1] == after[0]:
        return f"in {before[-1]}"
    neighbours = [f"after {before[-1]}"] if before else []
    neighbours += [f"before {after[0]}"] if after else []
    return ", ".join(neighbours) or "nothing else is there"


def missing_in_sources(extents: Iterable[Extent]) -> list[str]:
    """Return, for each source that was converted, the bytes that no segment accounts for."""
    chains: dict[str, list[Extent]] = defaultdict(list)
    for extent in extents:
        if not extent.recording:
            chains[extent.source].append(extent)
    found = []
    for source, parts in sorted(chains.items()):
        at = 0
        for one in sorted(parts, key=lambda one: (one.start, one.end)):
            if one.start > at:
                found.append(_missing_bytes(source, at, one.start))
            at = max(at, one.end)
        size = max(one.source_bytes for one in parts)
        if at < size:
            found.append(_missing_bytes(source, at, size))
    return found


def _missing_bytes(source: str, start: int, end: int) -> str:
    return (
        f"{source}: its bytes {start} to {end} are in no segment; one is missing, or a conversion was broken off: "
        "convert it again, or restore the segment from a backup"
    )


def lost_remarks(unnamed: Mapping[str, pa.Table], extents: Iterable[Extent]) -> list[str]:
    """Return the remarks whose segment is missing: they tell of bytes that no segment accounts for.

    Parameters
    ----------
    unnamed : mapping of str to Table
        Remarks that no segment names, by the name of their file. Those that a compaction or conversion that was
        killed has left behind tell of nothing that is not in the store, and are not missed.
    extents : iterable of Extent
        Of all segments and journals.
    """
    covered: dict[str, list[tuple[int, int]]] = defaultdict(list)
    journals = set()
    for extent in extents:
        covered[extent.source].append((extent.start, extent.end))
        if extent.recording:
            journals.add(extent.source)
    found = []
    for name, remarks in sorted(unnamed.items()):
        lost: dict[str, int] = {}
        for source, start, end in zip(
            *(remarks.column(key).to_pylist() for key in ("source", "start", "end")), strict=True
        ):
            there = source in journals or any(first <= start and end <= last for first, last in covered[source])
            if not there:
                lost[source] = lost.get(source, 0) + 1
        if lost:
            shown = ", ".join(f"{count} of {source}" for source, count in sorted(lost.items())[:3])
            more = f" and {len(lost) - 3} more sources" if len(lost) > 3 else ""
            found.append(
                f"{name}: no segment names these remarks ({shown}{more}); theirs is missing, or a conversion was "
                "broken off: convert the sources again, or restore the segment from a backup"
            )
    return found
