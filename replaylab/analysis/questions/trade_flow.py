"""Trade flow: what was bought and sold up to each live tick, from the trades that were recorded beside the ticks."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from replaylab.analysis.price_paths.arguments import PASSES, some_games, wholes
from replaylab.analysis.price_paths.paths import Paths, paths
from replaylab.analysis.price_paths.selection import Selection
from replaylab.errors import AnalysisError
from replaylab.mark import Mark, traded_quantity
from replaylab.storage.open import open_store
from replaylab.storage.store import Store

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
WINDOWS: Final = (1, 5, 20)
_NAMES: Final = ("trades", "bought", "sold", "leverage")
_BOUGHT: Final = frozenset({"buy", "short_close"})


def trade_flow(
    store: Store | str | os.PathLike[str], *, windows: Sequence[int] = WINDOWS, where: Selection | None = None
) -> pd.DataFrame:
    """Return what was traded in the ticks before each live tick of every game: features beside those of `features`.

    A trade of tick t is made after the price of t is known, so the row of t sees the trades of t - 1 and before, and
    nothing of later. The rows are those of `features`, in the same order.

    Parameters
    ----------
    store : Store or path
        Recorded with ``trades=True``.
    windows : sequence of int
        How many ticks back each feature looks.
    where : Selection, optional
        Which games.

    Returns
    -------
    DataFrame
        One row a live tick: `game_id` (categorical), `tick`, and for each window n: `trades_n`, how many; `bought_n`
        and `sold_n`, quantities (a short that is opened is sold, one that is closed is bought); `leverage_n`, the
        greatest leverage, NaN where there was none. All are NaN in games without a recorded trade, and where the window
        reaches over a missing tick or back before the first tick seen: what was not recorded is not nothing.

    Raises
    ------
    AnalysisError
        When there is no game, a window is not a whole number from 1 on, or `store` is no store of this machine.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> from replaylab.mark import Mark
    >>> folder = tempfile.mkdtemp()
    >>> with rl.Recorder(folder) as recorder:
    ...     for number in range(3):
    ...         at = f"2031-01-02T03:04:0{number}"
    ...         _ = recorder.record(rl.Tick("g", number, at, "1.02", active=True))
    ...     detail = {"tick": 1, "side": "buy", "quantity": "2.5"}
    ...     _ = recorder.mark(Mark("trade", "2031-01-02T03:04:01", "g", detail=detail))
    >>> trade_flow(folder, windows=[1])["bought_1"].tolist()
    [nan, 0.0, 2.5]
    """
    import pandas as pd

    sizes = wholes("windows", windows, least=1, points=PASSES).tolist()
    opened = open_store(store) if isinstance(store, str | os.PathLike) else store
    if not isinstance(opened, Store):
        raise AnalysisError(f"{store!r} has no recorded trades; pass a Store of this machine, or its path")
    known = some_games(paths(opened, where=where))
    found = {f"{name}_{size}": np.full(known.n_ticks, np.nan) for size in sizes for name in _NAMES}
    of_game: dict[str | None, list[Mark]] = {}
    for mark in opened.marks("trade"):
        of_game.setdefault(mark.game_id, []).append(mark)
    for game, game_id in enumerate(known.game_ids):
        if game_id in of_game:
            _fill(found, known, game, of_game[game_id], sizes)
    frame = pd.DataFrame({"game_id": known.ids_of(known.game_of_tick), "tick": known.tick, **found})
    traded = len(of_game.keys() & set(known.game_ids))
    frame.attrs = {"n_games": known.n_games, "n_ticks": known.n_ticks, "n_traded": traded}
    return frame


def _fill(found: dict[str, Floats], known: Paths, game: int, marks: Sequence[Mark], sizes: Sequence[int]) -> None:
    """Write the features of one game."""
    tick, _ = known.of(game)
    if not len(tick):
        return
    first, last = int(tick[0]), int(tick[-1])
    count, bought, sold, leverage = (np.zeros(last - first + 1) for _ in _NAMES)
    for mark in marks:
        at = mark.detail.get("tick")
        if not isinstance(at, int) or not first <= at <= last:
            continue
        quantity = traded_quantity(mark.detail) or 0.0
        count[at - first] += 1
        (bought if mark.detail.get("side") in _BOUGHT else sold)[at - first] += quantity
        leverage[at - first] = max(leverage[at - first], _number(mark.detail.get("leverage")))
    present = np.zeros(last - first + 1, np.bool_)
    place = tick.astype(np.int64) - first
    present[place] = True
    for size in sizes:
        rows_seen = np.flatnonzero(place >= size)
        if not len(rows_seen):
            continue
        begins = place[rows_seen] - size  # the ticks from t - size to t - 1
        whole = sliding_window_view(present, size).min(axis=1)[begins]
        rows_seen, begins = rows_seen[whole] + known.start[game], begins[whole]
        for name, values in (("trades", count), ("bought", bought), ("sold", sold)):
            found[f"{name}_{size}"][rows_seen] = sliding_window_view(values, size).sum(axis=1)[begins]
        most = sliding_window_view(leverage, size).max(axis=1)[begins]
        found[f"leverage_{size}"][rows_seen] = np.where(most > 0, most, np.nan)


def _number(value: object) -> float:
    """Return a number of a trade as a double; 0 where there is none."""
    try:
        return float(value)  # type: ignore[arg-type] # anything that is no number is none
    except (TypeError, ValueError):
        return 0.0
