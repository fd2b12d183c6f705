"""Similar games: those whose path so far was most like that of one game, and what came after. Pure but for reading."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.price_paths.arguments import one_of, some_games, whole
from replaylab.analysis.price_paths.paths import Paths, Source, paths
from replaylab.analysis.price_paths.runs import Runs
from replaylab.analysis.price_paths.selection import Selection
from replaylab.errors import AnalysisError
from replaylab.storage.game import Game

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
BY: Final = ("path", "shape")
_LEAST: Final = 2


def similar_games(
    source: Source,
    game: Any,
    *,
    ticks: int | None = None,
    count: int = 10,
    by: str = "path",
    where: Selection | None = None,
) -> pd.DataFrame:
    """Games whose first ticks were most like those of one game, nearest first, and what came after in each.

    Only games that were watched over these ticks without a gap are compared, and only over these ticks: nothing that
    came later counts. Where the rug comes with the same chance at every tick, likeness foretells nothing; the rows are
    to look at, and `training_set` is to find out.

    Parameters
    ----------
    source : Store, path, Paths, or list of Segment
        Games to search.
    game : str, Game, or sequence of prices
        Id of a game of the source, a game, or prices from tick 0 on, such as those of a live game so far. The game
        itself is not among those found.
    ticks : int, optional
        Number of ticks from tick 0 to compare, from 2; by default all that the game has without a gap.
    count : int
        Games to return at most.
    by : {"path", "shape"}
        Distance: root mean square of the differences of log prices, or the same of log prices scaled to a mean of 0 and
        a deviation of 1, so that only the form counts; a path that never moves has none.
    where : Selection, optional
        Which games.

    Returns
    -------
    DataFrame
        Nearest first: `game_id`, `distance`, `rug_tick`, `ticks_left` (from the last tick compared to the rug),
        `peak_after` (highest price seen after it, over that of the last tick compared; below 1 where it only fell).
        NaN where it was not seen. `attrs` holds `ticks`, `n_compared`, `n_games`, `n_ticks`.

    Raises
    ------
    AnalysisError
        When there is no such game, it has no such ticks, or no other game was watched so far.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> known = Paths.of_arrays(*price_arrays(1_000, seed=1))
    >>> found = similar_games(known, known.game_ids[0], ticks=30, count=3)
    >>> len(found), bool(found["distance"].is_monotonic_increasing)
    (3, True)
    """
    import pandas as pd

    kind, most = one_of("by", by, BY), whole("count", count, least=1)
    known = some_games(paths(source, where=where))
    own, path = _path_of(known, game)
    size = len(path) if ticks is None else whole("ticks", ticks, least=_LEAST)
    if not _LEAST <= size <= len(path):
        raise AnalysisError(
            f"ticks={size}: the game has {len(path)} ticks from 0 on without a gap, and at least {_LEAST} are compared"
        )
    first = known.start[:-1]
    long_enough = np.flatnonzero((_begun(known) >= size) & (np.array(known.game_ids, object) != own))
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(known.price[first[long_enough][:, None] + np.arange(size)])
        apart = _scaled(logs, kind) - _scaled(np.log(path[None, :size]), kind)
        distance = np.sqrt((apart**2).mean(axis=1))
    fit = np.isfinite(distance)
    if not fit.any():
        raise AnalysisError(
            f"ticks={size}: none of the other {known.n_games} games can be compared over so many; pass fewer"
        )
    compared, distance = long_enough[fit], distance[fit]
    nearest = np.argsort(distance, kind="stable")[:most]
    chosen = compared[nearest]
    rug = np.where(known.rug_tick[chosen] >= 0, known.rug_tick[chosen], np.nan)
    columns = {
        "game_id": np.array(known.game_ids, object)[chosen],
        "distance": distance[nearest],
        "rug_tick": rug,
        "ticks_left": rug - (size - 1),
        "peak_after": [_peak_after(known, int(one), size) for one in chosen],
    }
    frame = pd.DataFrame(columns)
    frame.attrs = {"ticks": size, "n_compared": len(compared), "n_games": known.n_games, "n_ticks": known.n_ticks}
    return frame


def _begun(known: Paths) -> NDArray[np.int64]:
    """Return for each game the number of ticks from tick 0 on that have a price and no gap between them."""
    runs, first = Runs.of(known), known.start[:-1]
    from_zero = (known.tick[first] == 0) & ~np.isnan(known.price[first])
    return np.where(from_zero, runs.last[first] - first + 1, 0)


def _path_of(known: Paths, game: Any) -> tuple[str, Floats]:
    """Return the id of a game, empty for bare prices, and its prices from tick 0 on."""
    if isinstance(game, Iterable) and not isinstance(game, str | Game):
        prices = np.array([float(price) for price in game], np.float64)
        if not np.isfinite(prices).all() or (prices <= 0).any():
            raise AnalysisError("game: prices from tick 0 on must be numbers above 0")
        return "", prices
    name = game.id if isinstance(game, Game) else game
    if name not in known.game_ids:
        raise AnalysisError(f"game={game!r}: the source has no such game; pass its id, or prices from tick 0 on")
    place = known.game_ids.index(str(name))
    return str(name), known.of(place)[1][: int(_begun(known)[place])]


def _scaled(logs: Floats, kind: str) -> Floats:
    if kind == "path":
        return logs
    spread = logs.std(axis=1, keepdims=True)
    return np.asarray((logs - logs.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, np.nan))


def _peak_after(known: Paths, game: int, size: int) -> float:
    """Return the highest price seen behind the first ticks, over the last of them; NaN where none was seen."""
    price = known.of(game)[1]
    later = price[size:][~np.isnan(price[size:])]
    return float(later.max() / price[size - 1]) if len(later) else float("nan")
