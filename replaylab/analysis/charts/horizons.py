"""Chart of the mean result of holding for some ticks, the rug counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from replaylab.analysis.charts.elements import estimates, label_below, legend, percent
from replaylab.analysis.charts.frames import Drawn, behind, checked, column, intervals, shown
from replaylab.charts.style import FAINT, blank, head, say

if TYPE_CHECKING:
    import pandas as pd


def horizon_table(frame: pd.DataFrame, ax: Axes | None = None) -> Drawn:
    """Chart of the mean result of holding for some ticks from every live tick, with the rug counted.

    Under each hold stands the share of the windows that the rug did not end. Holds rest on the same games.

    Parameters
    ----------
    frame : DataFrame
        Result of `replaylab.analysis.horizon_table`.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Picture or Axes

    Examples
    --------
    >>> import replaylab as rl
    >>> from replaylab.simulation.bulk import price_arrays
    >>> drawn = rl.analysis.Paths.of_arrays(*price_arrays(500, seed=1))
    >>> horizon_table(rl.analysis.horizon_table(drawn, resamples=50))
    <Picture size 900x430 with 1 Axes>
    """
    checked("horizon_table", frame, ("hold", "survived", "mean_result", "low", "high"))
    drawn = blank(9, 4.3)[0] if ax is None else ax
    head(drawn, "Mean result of holding, the rug counted", behind(frame, "from every live tick, drawn by whole games"))
    result, places = column(frame, "mean_result"), np.arange(len(frame), dtype=np.float64)
    if not np.isfinite(result).any():
        say(drawn, "No window was seen to its end")
        return shown(drawn, ax)
    drawn.axhline(0, color=FAINT, linewidth=1.2, label="nothing won or lost")
    low, high = column(frame, "low"), column(frame, "high")
    estimates(drawn, places, result, low, high, label="mean result", interval=intervals(frame))
    drawn.set(xlim=(-0.6, len(frame) - 0.4), ylabel="mean result (% of what was paid)")
    drawn.set_xlabel("ticks held (one is 250 ms), and the share of windows without a rug")
    percent(drawn)
    lived = [f"{share * 100:.0f} %" for share in column(frame, "survived")]
    label_below(drawn, places, [f"{hold:,}" for hold in frame["hold"]], lived)
    legend(drawn, loc="lower left")
    return shown(drawn, ax)
