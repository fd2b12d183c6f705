"""Peaks: charts of how high games go before they rug."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullLocator

from replaylab.analysis.charts.elements import estimates, label_below, legend, percent, room_above, theory
from replaylab.analysis.charts.frames import Drawn, behind, checked, column, intervals
from replaylab.charts.style import BLUE, VERMILION, Floats, blank, head, say
from replaylab.errors import AnalysisError

if TYPE_CHECKING:
    import pandas as pd

_BESIDE = "the games beside them"


def peak_table(frame: pd.DataFrame, ax: Iterable[Axes] | None = None) -> Drawn:
    """Chart of peaks: a histogram between the multiples asked for, and the share of games that reach each of them.

    Where the table was made with `beside=` (simulated games, say), those are drawn beside. Shares of the right panel
    depend on each other: a game that reaches 10x has reached 5x.

    Parameters
    ----------
    frame : DataFrame
        Result of `replaylab.analysis.peak_table`.
    ax : two Axes, optional
        Where to draw the two panels.

    Returns
    -------
    Picture or list of Axes

    Examples
    --------
    >>> import replaylab as rl
    >>> from replaylab.simulation.bulk import price_arrays
    >>> peak_table(rl.analysis.peak_table(rl.analysis.Paths.of_arrays(*price_arrays(500, seed=1))))
    <Picture size 1150x430 with 2 Axes>
    """
    checked("peak_table", frame, ("at", "reached", "low", "high", "games", "n_games"))
    pair = blank(11.5, 4.3, (1, 1)) if ax is None else list(ax)
    if len(pair) != 2:
        raise AnalysisError(f"peaks are two charts: pass two Axes, not {len(pair)}")
    watched = int(frame["n_games"].max()) if len(frame) else 0
    for one, title in zip(pair, ("How high games go", "Share of games that reach a multiple"), strict=True):
        head(one, title, behind(frame, f"{watched:,} watched from tick 0"))
        if not np.isfinite(column(frame, "reached")).any():
            say(one, "No game was watched from tick 0")
    if np.isfinite(column(frame, "reached")).any():
        _draw_histogram(pair[0], frame)
        _draw_reached(pair[1], frame)
    return pair[0].figure if ax is None else pair


def _between(reached: Floats) -> Floats:
    """Return the share of games whose peak lies below the first multiple, between two, and from the last one on."""
    return np.abs(np.diff(np.concatenate([[1.0], reached, [0.0]])))


def _draw_histogram(ax: Axes, frame: pd.DataFrame) -> None:
    edges = [f"{at:g}" for at in frame["at"]]
    names = [f"<{edges[0]}", *(f"{one}-{other}" for one, other in pairwise(edges)), f"{edges[-1]}+"]
    share, places = _between(column(frame, "reached")), np.arange(len(frame) + 1, dtype=np.float64)
    ax.bar(places, share, width=0.84, color=BLUE, alpha=0.6, label="these games")
    if "beside" in frame:
        theory(ax, places, _between(column(frame, "beside")), _BESIDE)
    ax.set(xlim=(-0.6, len(frame) + 0.6), xlabel="peak (multiple of tick 0), and its share of games")
    ax.set_ylabel("share of games")
    percent(ax)
    room_above(ax, 0.1)
    label_below(ax, places, names, [f"{one * 100:.1f} %" for one in share])
    legend(ax, loc="upper right")


def _draw_reached(ax: Axes, frame: pd.DataFrame) -> None:
    at, reached = column(frame, "at"), column(frame, "reached")
    low, high = column(frame, "low"), column(frame, "high")
    is_log = bool((reached > 0).any())  # such an axis has no zero
    seen = reached > 0 if is_log else np.isfinite(reached)
    ax.set(xscale="log", yscale="log" if is_log else "linear", xlim=(at.min() / 1.25, at.max() * 1.25))
    if "beside" in frame:
        ax.plot(at, column(frame, "beside"), "--", color=VERMILION, linewidth=1.6, label=_BESIDE)
    estimates(ax, at[seen], reached[seen], low[seen], high[seen], label="reached before the rug",
              interval=intervals(frame))  # fmt: skip
    ax.set_ylim(bottom=None if is_log else 0, top=1.3 if is_log else 1.1)
    named = "share of games (log)" if is_log else "share of games"
    ax.set(xlabel="multiple of tick 0 (log), and the games seen there", ylabel=named)
    ax.set_xticks(at, [f"{one:g}\n{games:,}" for one, games in zip(at, frame["games"], strict=True)])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:g} %"))
    ax.yaxis.set_minor_locator(NullLocator())
    legend(ax, loc="upper right")
