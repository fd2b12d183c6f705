"""Mending: which job reads the lines again within which sources have grown; each is there once at every moment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

from replaylab.conversion.job import Base
from replaylab.conversion.plan import JOB_BYTES, JOB_PIECES, LEAST_JOB_BYTES, Plan
from replaylab.conversion.source import Piece
from replaylab.segments.extent import Extent
from replaylab.storage.exchange import Held

Place = tuple[str, int]
"""A source, and the byte at which a line of it begins."""


class Mending(NamedTuple):
    """The segments that are replaced, and the jobs that do so: they have to end before the others begin."""

    exchanged: list[Held]
    jobs: list[list[Piece]]


def mending(made: Plan, holders: Sequence[Held]) -> Mending:
    """Return the jobs that read lines again which segments hold in part, taking those lines out of the plan.

    All lines of which a segment holds the old reading are in one job: its segment replaces that one, all at once. What
    is left of a small run joins it, so that a file which is followed as it grows gets one segment a run.
    """
    mended = {(piece.source.name, piece.start): piece for piece in made.mended}
    exchanged = [held for held in holders if any(_place(one) in mended for one in held.extents)]
    jobs: list[list[Piece]] = []
    for held in exchanged:
        found = [mended.pop(_place(one)) for one in held.extents if _place(one) in mended]
        pieces = [found[0]._replace(replaces=tuple(held.replaced)), *found[1:]]
        if not jobs or _is_full([*jobs[-1], *pieces], JOB_BYTES):
            jobs.append([])
        jobs[-1].extend(pieces)
    if mended:  # what no segment holds any more
        made.jobs.insert(0, list(mended.values()))
    made.mended = []
    rest = [piece for job in made.jobs for piece in job]
    if len(jobs) == 1 and not _is_full([*jobs[0], *rest], LEAST_JOB_BYTES):
        order = {id(piece.source): number for number, piece in enumerate([*jobs[0], *rest])}
        jobs = [sorted([*jobs[0], *rest], key=lambda piece: (order[id(piece.source)], piece.start))]
        made.jobs = []
    return Mending(exchanged, jobs)


def carried_on(
    jobs: Iterable[Iterable[Piece]], done: Iterable[Iterable[Piece]], extents: Iterable[Extent]
) -> list[list[Piece]]:
    """Return jobs of which the pieces know their first line and tick that follow one which is `done`."""
    bases = {
        (piece.source.name, piece.end): (one.first_line + one.line_count, one.first_seq + one.tick_count)
        for piece, one in zip(chain.from_iterable(done), extents, strict=True)
    }
    return [[_at(piece, bases.get((piece.source.name, piece.start))) for piece in job] for job in jobs]


def _at(piece: Piece, base: Base | None) -> Piece:
    return piece if base is None else piece._replace(first_line=base[0], first_seq=base[1])


def _place(extent: Extent) -> Place:
    return extent.source, extent.start


def _is_full(pieces: Iterable[Piece], most_bytes: int) -> bool:
    held = list(pieces)
    return len(held) > JOB_PIECES or sum(piece.end - piece.start for piece in held) > most_bytes
