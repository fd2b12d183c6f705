"""Charts of answers: each is called as the function whose result it draws, and takes that result as it is.

`charts.survival(rl.analysis.survival(store))`, and so on. Without axes a chart gives a picture that shows itself in a
notebook cell; with axes of yours it draws on them and gives them back. Games and ticks behind a chart stand on it, what
is unknown is left out and said, and intervals are drawn wherever the result has some. This folder loads matplotlib, so
it is loaded itself only when a chart is asked for.
"""

from replaylab.analysis.charts.equity import backtest
from replaylab.analysis.charts.heatmap import sidebet_heatmap
from replaylab.analysis.charts.horizons import horizon_table
from replaylab.analysis.charts.lives import duration_hist, hazard, survival
from replaylab.analysis.charts.multiples import paths
from replaylab.analysis.charts.peaks import peak_table
from replaylab.analysis.charts.rates import p_rug_within, sidebet_pooled, sidebet_table

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
]
