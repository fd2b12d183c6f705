"""Gap mask: which live ticks stand beside a gap, and why; to leave them out of a question, or to ask about gaps."""

from __future__ import annotations

import os
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from replaylab.analysis.price_paths.arguments import some_games
from replaylab.analysis.price_paths.paths import Paths, paths
from replaylab.analysis.price_paths.selection import Selection
from replaylab.errors import AnalysisError
from replaylab.mark import Mark
from replaylab.storage.gaps import UNKNOWN
from replaylab.storage.open import open_store
from replaylab.storage.store import Store

if TYPE_CHECKING:
    import pandas as pd


def gap_mask(store: Store | str | os.PathLike[str], *, where: Selection | None = None) -> pd.DataFrame:
    """Return for every live tick of every game whether a gap stands before it, and the cause that was recorded.

    The rows are those of `features`, in the same order, so that ``features(store)[~gap_mask(store)["gap"]]`` leaves
    out what follows a gap or was filled in after an outage.

    Parameters
    ----------
    store : Store or path
        Its marks say why something is missing.
    where : Selection, optional
        Which games.

    Returns
    -------
    DataFrame
        One row a live tick: `game_id` (categorical); `tick`; `missing`, how many ticks are missing between it and the
        live tick before it; `healed`, whether it came in an outage and was filled in afterwards, so that its time is
        not that of its price; `gap`, either of the two; `cause` (categorical) of the gap or outage, ``unknown`` where
        nothing but the numbers tells it, null where there is none. What is missing before the first tick seen, and
        behind the last, is no gap of a tick: see `Store.gaps` and the follow-up of a game.

    Raises
    ------
    AnalysisError
        When there is no game, or `store` is no store of this machine: paths and segments have no marks.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with rl.Recorder(folder) as recorder:
    ...     for number in (0, 1, 4):
    ...         at = f"2031-01-02T03:04:0{number}"
    ...         _ = recorder.record(rl.Tick("g", number, at, "1.02", active=True))
    >>> found = gap_mask(folder)
    >>> found["missing"].tolist(), found["gap"].tolist()
    ([0, 0, 2], [False, False, True])
    """
    import pandas as pd

    opened = open_store(store) if isinstance(store, str | os.PathLike) else store
    if not isinstance(opened, Store):
        raise AnalysisError(f"{store!r} has no marks of gaps; pass a Store of this machine, or its path")
    known = some_games(paths(opened, where=where))
    before = np.roll(known.tick, 1).astype(np.int64)
    first = known.start[:-1][known.lengths > 0]
    missing = np.maximum(known.tick - before - 1, 0)
    missing[first] = 0
    healed = np.zeros(known.n_ticks, np.bool_)
    cause = np.full(known.n_ticks, None, object)
    cause[missing > 0] = UNKNOWN
    marks: defaultdict[str | None, list[Mark]] = defaultdict(list)
    for mark in opened.marks("gap"):
        marks[mark.game_id].append(mark)
    for game, game_id in enumerate(known.game_ids):
        rows = slice(int(known.start[game]), int(known.start[game + 1]))
        for mark in marks.get(game_id, ()):
            _explain(mark, known, rows, missing, healed, cause)
    frame = pd.DataFrame({"game_id": known.ids_of(known.game_of_tick), "tick": known.tick, "missing": missing})
    frame["healed"], frame["gap"] = healed, healed | (missing > 0)
    frame["cause"] = pd.Categorical(cause)
    frame.attrs = {"n_games": known.n_games, "n_ticks": known.n_ticks}
    return frame


def _explain(
    mark: Mark,
    known: Paths,
    rows: slice,
    missing: np.ndarray[tuple[int], np.dtype[np.int64]],
    healed: np.ndarray[tuple[int], np.dtype[np.bool_]],
    cause: np.ndarray[tuple[int], np.dtype[np.object_]],
) -> None:
    """Note a recorded gap at the ticks that it is about: those in it, which came after all, and the one behind it."""
    after, before = mark.detail.get("after"), mark.detail.get("before")
    if not isinstance(after, int) or not isinstance(before, int):
        return
    ticks = known.tick[rows]
    why = mark.detail.get("cause")
    inside = (ticks > after) & (ticks < before)
    behind = (ticks > after) & (ticks <= before) & (missing[rows] > 0)
    healed[rows] |= inside
    cause[rows][inside | behind] = why if isinstance(why, str) else UNKNOWN
