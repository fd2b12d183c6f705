"""Features of the path of a game up to a tick; never of the rug row, never of later ticks.

Each value at tick t is a function of live prices up to t, computed by the same arithmetic in the same order for one
game as for many, so that a model trained on a store and asked in a replay, or on a live feed, sees equal numbers to the
last bit. A value whose window reaches beyond the first tick seen, or over a missing tick, is NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from replaylab.analysis.price_paths.arguments import some_games
from replaylab.analysis.price_paths.paths import Paths, Source, paths
from replaylab.analysis.price_paths.rolling import deviation, lagged, mean, running_peak
from replaylab.analysis.price_paths.runs import Runs
from replaylab.analysis.price_paths.selection import Selection
from replaylab.columns import nearest_doubles
from replaylab.errors import AnalysisError
from replaylab.playback.view import View

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
FEATURES: Final = (
    "return_1",
    "momentum_5",
    "momentum_10",
    "momentum_20",
    "momentum_50",
    "mean_10",
    "deviation_10",
    "volatility_5",
    "volatility_10",
    "volatility_20",
    "volatility_50",
    "volatility_ratio",
    "volatility_of_volatility",
    "distance_from_peak",
    "ticks_since_peak",
    "up_share_20",
)
_CHUNK: Final = 1 << 15  # rows worked on at once: they stay in the cache through all windows


def features(source: Source, *, where: Selection | None = None) -> pd.DataFrame:
    """Sixteen features of the path at every live tick of every game.

    They describe; they do not predict. The rug comes with the same chance at every tick, so a model that seems to
    foresee it has most likely seen the rug row, or was tested on ticks of games that it was trained on: split by game.

    Parameters
    ----------
    source : Store, path, Paths, or sequence of Segment
    where : Selection, optional
        Which games.

    Returns
    -------
    DataFrame
        One row a live tick: `game_id` (categorical), `tick`, `price`, and the features. Windows are in ticks and end
        with the tick of the row; returns are relative to the price before, p(t) / p(t-1) - 1.

        - `return_1`: the last return. `momentum_5`, `_10`, `_20`, `_50`: p(t) / p(t-n) - 1.
        - `mean_10`: mean of the last 10 prices; `deviation_10`: price / that mean - 1.
        - `volatility_5`, `_10`, `_20`, `_50`: standard deviation of the last n returns (divided by n).
        - `volatility_ratio`: volatility_10 / volatility_50; NaN where the latter is 0.
        - `volatility_of_volatility`: standard deviation of the last 20 values of volatility_10.
        - `distance_from_peak`: price / highest price seen so far - 1, at most 0; `ticks_since_peak`: ticks since that
          price was first seen. Both are of what was seen: a peak on a missing tick is not known.
        - `up_share_20`: share of the last 20 returns above 0.

    Raises
    ------
    AnalysisError
        When there is no game.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> found = features(Paths.of_arrays(*price_arrays(100, seed=1)))
    >>> found.shape[1], bool((found["distance_from_peak"] <= 0).all())
    (19, True)
    """
    import pandas as pd

    known = some_games(paths(source, where=where))
    found = feature_arrays(known)
    columns = {"game_id": known.ids_of(known.game_of_tick), "tick": known.tick}
    frame = pd.DataFrame({**columns, "price": known.price, **found})
    frame.attrs = {"n_games": known.n_games, "n_ticks": known.n_ticks}
    return frame


def feature_arrays(known: Paths) -> dict[str, Floats]:
    """Features as arrays, one value a live tick of the paths, by name; see `features`.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> tuple(feature_arrays(Paths.of_arrays(*price_arrays(10, seed=1)))) == FEATURES
    True
    """
    found = {name: np.empty(known.n_ticks) for name in FEATURES}
    runs = Runs.of(known)
    age = np.arange(known.n_ticks) - runs.first
    game = 0
    while game < known.n_games:
        end = max(game + 1, int(np.searchsorted(known.start, known.start[game] + _CHUNK, side="right")) - 1)
        rows = slice(int(known.start[game]), int(known.start[end]))
        bounds = known.start[game : end + 1] - known.start[game]
        for name, values in _of_rows(known.tick[rows], known.price[rows], age[rows], bounds).items():
            found[name][rows] = values
        game = end
    return found


def features_at(view: View) -> dict[str, float]:
    """Features of the last live tick that a view shows, by name: what a strategy may know at that moment.

    They equal the row of `features` for that game and tick to the last bit, where ticks were received in order. After
    the rug they are those of the last live tick before it. The whole game so far is read anew at each call.

    Parameters
    ----------
    view : View
        The game up to the cursor, as an engine hands it to a strategy; only its rows so far are read.

    Raises
    ------
    AnalysisError
        When it shows no live tick yet.

    Examples
    --------
    >>> from replaylab.playback.timeline import Timeline
    >>> from replaylab.tick import Tick
    >>> ticks = [Tick(game_id="g", tick=n, timestamp="2031-01-02T03:04:05", price=1 + n, active=True) for n in range(3)]
    >>> features_at(View(Timeline.of(ticks), 2))["return_1"]
    1.0
    """
    tick, price = _seen(view.to_table())
    if not len(tick):
        raise AnalysisError(f"view={view!r}: it shows no live tick yet; ask from tick 0 on")
    broken = (np.diff(tick) != 1) | np.isnan(price[1:]) | np.isnan(price[:-1])
    first = np.flatnonzero(np.concatenate([[True], broken]))
    age = np.arange(len(tick)) - np.repeat(first, np.diff(first, append=len(tick)))
    found = _of_rows(tick, price, age, np.array([0, len(tick)]))
    return {name: float(values[-1]) for name, values in found.items()}


def _seen(table: pa.Table) -> tuple[NDArray[np.int64], Floats]:
    """Live ticks before the rug, each once, in order, with their prices; as `Paths` has them."""
    names = table.column_names
    absent = {"active": True, "rugged": False, "recorded_phase": ""}
    flag = {name: table.column(name) if name in names else pa.repeat(pa.scalar(value), table.num_rows)
            for name, value in absent.items()}  # fmt: skip
    rugged = pc.fill_null(flag["rugged"], False)
    again = pc.fill_null(pc.equal(flag["recorded_phase"].cast(pa.string()), "RUG_EVENT_1"), False)
    rug = table.column("tick").filter(pc.and_(rugged, pc.invert(again)))
    live = pc.and_(pc.fill_null(flag["active"], False), pc.invert(rugged))
    if len(rug):
        live = pc.and_(live, pc.less(table.column("tick"), pc.min(rug)))
    rows = table.select(["tick", "price"]).filter(live)
    tick, first = np.unique(rows.column("tick").to_numpy().astype(np.int64), return_index=True)
    return tick, nearest_doubles(rows.column("price").take(pa.array(first)))


def _of_rows(
    tick: NDArray[np.integer], price: Floats, age: NDArray[np.int64], bounds: NDArray[np.int64]
) -> dict[str, Floats]:
    """Features of whole games, one after another; `age` is the number of rows before that belong to the same run."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        back = lagged(price, 1, age)
        step = price / back - 1
        found = {"return_1": step}
        for window in (5, 10, 20, 50):
            found[f"momentum_{window}"] = price / lagged(price, window, age) - 1
            found[f"volatility_{window}"] = deviation(step, window, age - 1)
        found["mean_10"] = mean(price, 10, age)
        found["deviation_10"] = price / found["mean_10"] - 1
        found["volatility_ratio"] = np.where(
            found["volatility_50"] > 0, found["volatility_10"] / found["volatility_50"], np.nan
        )
        found["volatility_of_volatility"] = deviation(found["volatility_10"], 20, age - 10)
        peak, row = running_peak(price, bounds)
        found["distance_from_peak"] = price / peak - 1
        found["ticks_since_peak"] = np.where(np.isnan(price), np.nan, (tick - tick[row]).astype(np.float64))
        found["up_share_20"] = mean(np.where(step > 0, 1.0, 0.0), 20, age - 1)
    return {name: found[name] for name in FEATURES}
