"""Charts of results: each has the name of the function whose result it draws, and takes that result.

`charts.survival(rl.analysis.survival(store))`, and so on. Without axes a chart returns a figure that a notebook cell
shows; with your axes it draws on them and returns them. The number of games and ticks is written on the chart, unknown
values are left out and counted, and intervals are drawn where the result has them. This folder loads matplotlib, so it
is imported only when a chart is asked for.
"""

from replaylab.analysis.charts.equity import backtest
from replaylab.analysis.charts.heatmap import sidebet_heatmap
from replaylab.analysis.charts.horizons import horizon_table
from replaylab.analysis.charts.lifetimes import duration_hist, hazard, survival
from replaylab.analysis.charts.peaks import peak_table
from replaylab.analysis.charts.rates import p_rug_within, sidebet_pooled, sidebet_table
from replaylab.analysis.charts.small_multiples import paths
from replaylab.analysis.charts.sweeps import sweep

__all__ = [
    "backtest",
    "duration_hist",
    "hazard",
    "horizon_table",
    "p_rug_within",
    "paths",
    "peak_table",
    "sidebet_heatmap",
    "sidebet_pooled",
    "sidebet_table",
    "survival",
    "sweep",
]
