"""Marks of a store: what was known beside the ticks when they came, from remarks and from journals not yet sealed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

import pyarrow as pa

from replaylab.compute import pc
from replaylab.errors import TickError
from replaylab.journals.cursor import Cursor
from replaylab.mark import KINDS, Mark, MarkKind


class HasRemarks(Protocol):
    """What has remarks: a store."""

    def remarks(self, kind: str | None = None) -> pa.Table:
        """Return remarks, of one kind or of all."""


def marks_of(store: HasRemarks, kinds: Iterable[str] | None = None, game_id: str | None = None) -> list[Mark]:
    """Return the marks of a store in the order of their time, each once.

    Parameters
    ----------
    store : Store
        Where they are kept.
    kinds : iterable of str, optional
        Only these; see `replaylab.mark.MarkKind`.
    game_id : str, optional
        Only those of one game.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> from replaylab.mark import Mark
    >>> folder = tempfile.mkdtemp()
    >>> with rl.Recorder(folder) as recorder:
    ...     _ = recorder.mark(Mark("phase", "2031-01-02T03:04:05", "g", detail={"phase": "presale"}))
    >>> [mark.detail["phase"] for mark in marks_of(rl.open_store(folder))]
    ['presale']
    """
    wanted = sorted(KINDS if kinds is None else KINDS & set(kinds))
    table = store.remarks()
    names = pa.array(wanted, pa.string())
    kind, reason = table["kind"].cast(pa.string()), table["reason"].cast(pa.string())
    converted = pc.and_(pc.equal(kind, "control"), pc.is_in(reason, names))  # of a recording that `convert` has read
    raws: list[Any] = table.filter(pc.or_(pc.is_in(kind, names), converted))["raw"].to_pylist()
    found: list[Mark] = []
    for raw in dict.fromkeys(raws):  # lines that were written again are in two journals
        try:
            mark = Mark.of_line(raw or b"")
        except TickError:
            continue  # a control line of another writer that only bears the name
        if game_id is None or mark.game_id == game_id:
            found.append(mark)
    return sorted(found, key=lambda mark: mark.timestamp)


def cursors_of(store: HasRemarks) -> dict[str, Cursor]:
    """Return the newest cursor of each lane that was recorded into a store.

    The newest is that of the newest journal: times of ticks may go back, as when a clock is set.
    """
    table = store.remarks()
    rows = table.filter(pc.equal(table["reason"].cast(pa.string()), str(MarkKind.CURSOR)))
    found: dict[str, Cursor] = {}
    for row in rows.sort_by([("source", "ascending"), ("line", "ascending")]).to_pylist():
        try:
            mark = Mark.of_line(row["raw"] or b"")
        except TickError:
            continue
        cursor = Cursor.of_mark(mark) if mark.kind is MarkKind.CURSOR else None
        if cursor is not None and mark.lane is not None:
            found[mark.lane] = cursor
    return found
