"""Heat map of a sweep: a column of its table over two parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import numpy as np
from matplotlib.axes import Axes

from replaylab.analysis.charts.frames import Drawn, counted, shown
from replaylab.analysis.charts.heatmap import draw_cells
from replaylab.charts.style import blank, head
from replaylab.errors import AnalysisError
from replaylab.plural import count_of

if TYPE_CHECKING:
    import pandas as pd

_SIGNED: Final = ("mean_profit", "low", "high", "return_on_stake")
_VALUES: Final = (*_SIGNED, "trades", "p_value", "p_adjusted")


class Swept(Protocol):
    """What is drawn: a `Sweep`, which cannot be imported here as it offers this chart itself."""

    table: pd.DataFrame
    parameters: tuple[str, ...]

    @property
    def n_games(self) -> int:
        """Games played at each point."""

    @property
    def n_ticks(self) -> int:
        """Their live ticks."""


def sweep(
    found: Swept, x: str | None = None, y: str | None = None, value: str = "mean_profit", ax: Axes | None = None
) -> Drawn:
    """Heat map of a sweep over two parameters; where there are more, the mean over the others, said in the caption.

    White is where nothing is won or lost, blue is a gain, orange a loss. Neighbouring cells rest on the same games.

    Parameters
    ----------
    found : Sweep
        Result of `replaylab.analysis.sweep`.
    x, y : str, optional
        Parameters from left to right and from below; by default the first and the second.
    value : str
        A column of the table.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Picture or Axes

    Examples
    --------
    >>> import replaylab as rl
    >>> from replaylab.analysis import Buy, Sell, Vectorised
    >>> from replaylab.simulation.bulk import price_arrays
    >>> def hold(since, ticks):
    ...     return Vectorised(lambda paths: {Buy("0.1"): np.flatnonzero(paths.tick == since),
    ...                                      Sell(): np.flatnonzero(paths.tick == since + ticks)})
    >>> drawn = rl.analysis.Paths.of_arrays(*price_arrays(100, seed=1))
    >>> found = rl.analysis.sweep(drawn, hold, {"since": [0, 9], "ticks": [5, 10]}, workers=1, progress=False)
    >>> sweep(found)
    <Picture size 1000x480 with 2 Axes>
    """
    names = found.parameters
    if len(names) < 2:
        raise AnalysisError(
            f"the sweep has one parameter, {names[0]}: plot its table, as in .table.plot(x={names[0]!r}, y={value!r})"
        )
    x, y = x or next(one for one in names if one != y), y or next(one for one in names if one != (x or names[0]))
    for name, one, known in (("x", x, names), ("y", y, names), ("value", value, _VALUES)):
        if one not in known:
            raise AnalysisError(f"{name}={one!r}: take one of {', '.join(known)}")
    if x == y:
        raise AnalysisError(f"x={x!r}, y={y!r}: take two different parameters")
    cells = found.table.assign(**{value: found.table[value].astype(float)}).pivot_table(
        index=y, columns=x, values=value, dropna=False
    )
    others = [name for name in names if name not in {x, y}]
    drawn = blank(10, 4.8)[0] if ax is None else ax
    facts = [counted(found.n_games, found.n_ticks), count_of(len(found.table), "point")]
    facts += [f"mean over {', '.join(others)}"] if others else []
    head(drawn, f"Sweep: {value.replace('_', ' ')}", " · ".join([*facts, "neighbours share their games"]))
    values = np.asarray(cells.to_numpy(np.float64), np.float64)
    draw_cells(drawn, values, 0.0 if value in _SIGNED else None, value.replace("_", " "), digits=3)
    drawn.set(xlabel=x, ylabel=y)
    drawn.set_xticks(range(len(cells.columns)), [str(one) for one in cells.columns])
    drawn.set_yticks(range(len(cells.index)), [str(one) for one in cells.index])
    return shown(drawn, ax)
