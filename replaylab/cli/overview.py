"""Overview: a store in a few numbers, and the statistics of its games."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from replaylab.analysis.batches.batch import summary_table
from replaylab.analysis.questions.from_games import peak_quantiles_of, rug_tick_quantiles
from replaylab.journals.unsealed import journal_names
from replaylab.parsing.scan import BYTE_KINDS
from replaylab.storage.files import JOURNALS
from replaylab.storage.objectstore import opened as opened_for_reading
from replaylab.storage.store import Store

QUANTILES: Final = (Decimal("0.05"), Decimal("0.25"), Decimal("0.5"), Decimal("0.75"), Decimal("0.95"))


@dataclass(frozen=True, slots=True)
class Overview:
    """What a store holds.

    Attributes
    ----------
    path : str
        Folder of the store.
    segments, games, rows, sources : int
        How many of each.
    bytes : int
        Size on disk, with quarantine and other remarks, and with journals that are not yet segments.
    start, end : datetime, optional
        First and last known time of a tick, UTC.
    complete : int
        Games of which every tick up to the rug is there.
    live_ticks : int
        Distinct live ticks of all games; the other rows are of countdowns and rugs, or were received twice.
    damaged : tuple of str
        Segments that could not be read, one sentence each; what they hold is not counted.

    Examples
    --------
    >>> one = Overview("store", segments=1, games=2, rows=400, sources=2, bytes=4_800, start=None, end=None, complete=2)
    >>> one.bytes_a_tick
    12.0
    """

    path: str
    segments: int
    games: int
    rows: int
    sources: int
    bytes: int
    start: datetime | None
    end: datetime | None
    complete: int
    live_ticks: int = 0
    damaged: tuple[str, ...] = ()

    @property
    def bytes_a_tick(self) -> float | None:
        """Bytes on disk for each stored row; None for a store without rows."""
        return round(self.bytes / self.rows, 2) if self.rows else None


@dataclass(frozen=True, slots=True)
class Statistics:
    """Counts over all games, and quantiles that make up for games that were cut off.

    Attributes
    ----------
    games, rows, live_ticks : int
        Over all games: how many, the rows stored, the distinct live ticks.
    complete, censored, late_start, double_rug, never_live : int
        Games of each kind.
    complete_ticks : int
        Live ticks of the complete games.
    rug_tick, peak : dict
        Quantile to value: the least observed one that so large a share of games does not exceed, by Kaplan-Meier from
        all games (`rug_tick`), and from the complete ones with weights (`peak`). One that is not known is not there.
    bytes : dict
        Bytes of the sources by what became of them.
    reasons : dict
        Repairs and quarantines by reason.
    damaged : tuple of str
        Segments that could not be read, one sentence each; what they hold is not counted.
    """

    games: int
    rows: int
    live_ticks: int
    complete: int
    censored: int
    late_start: int
    double_rug: int
    never_live: int
    complete_ticks: int
    rug_tick: dict[str, int] = field(default_factory=dict)
    peak: dict[str, Decimal] = field(default_factory=dict)
    bytes: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    damaged: tuple[str, ...] = ()


def overview(store: str | os.PathLike[str] | Store) -> Overview:
    """Return the overview of a store.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=2, seed=1)
    >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> found = overview(folder + "/store")
    >>> found.games, found.sources
    (2, 2)
    """
    opened = opened_for_reading(store)
    sources = {extent.source for extent in opened.extents()}
    size = opened.size_bytes + (_journal_bytes(opened.path) if opened.is_local else 0)
    segments, rows = len(opened.segments()), opened.rows
    table = opened.games_table()  # last, as it may find more damage
    return Overview(
        path=opened.place,
        segments=segments,
        games=table.num_rows,
        rows=rows,
        sources=len(sources),
        bytes=size,
        start=pc.min(table.column("start")).as_py(),
        end=pc.max(table.column("end")).as_py(),
        complete=_count(table, "complete"),
        live_ticks=_sum(table, "ticks"),
        damaged=tuple(opened.damaged.values()),
    )


def statistics(
    store: str | os.PathLike[str] | Store, *, workers: int | None = None, progress: bool | None = False
) -> Statistics:
    """Return the statistics of a store, computed by `workers` processes, by default one a core.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=5, seed=1)
    >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> found = statistics(folder + "/store")
    >>> found.games, found.complete, sorted(found.rug_tick)
    (5, 5, ['0.05', '0.25', '0.5', '0.75', '0.95'])
    """
    opened = opened_for_reading(store)
    size, reasons = Counter[str](), Counter[str]()
    for extent in opened.extents():
        size.update(extent.bytes)
        reasons.update(extent.reasons)
    table, left_out = summary_table(opened, workers=workers, progress=progress)
    complete, shares = table.filter(table.column("complete")), [float(share) for share in QUANTILES]
    return Statistics(
        games=table.num_rows,
        rows=_sum(table, "rows"),
        live_ticks=_sum(table, "ticks"),
        complete=complete.num_rows,
        censored=_count(table, "censored"),
        late_start=_count(table, "late_start"),
        double_rug=_count(table, "double_rug"),
        never_live=pc.sum(pc.equal(table.column("ticks"), 0)).as_py() or 0,
        complete_ticks=_sum(complete, "ticks"),
        rug_tick={str(share): tick for share, tick in rug_tick_quantiles(table, shares).items()},
        peak={str(share): peak for share, peak in peak_quantiles_of(table, shares).items()},
        bytes={kind: size[kind] for kind in BYTE_KINDS},
        reasons=dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        damaged=tuple(dict.fromkeys(left_out.values())),
    )


def _journal_bytes(root: Path) -> int:
    """Return the size of the journals of a store."""
    size = 0
    for name in journal_names(root / JOURNALS):
        with suppress(FileNotFoundError):  # sealed since it was listed
            size += (root / JOURNALS / name).stat().st_size
    return size


def _sum(table: pa.Table, name: str) -> int:
    return int(pc.sum(table.column(name)).as_py() or 0)


def _count(table: pa.Table, name: str) -> int:
    """Return how many rows are true; null counts as not."""
    return _sum(table, name)
