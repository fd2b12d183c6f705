"""Heat map of side bets, tick of the bet by window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, Normalize, TwoSlopeNorm
from matplotlib.ticker import FuncFormatter, NullLocator

from replaylab.analysis.charts.frames import Drawn, behind, shown
from replaylab.charts.style import BLUE, INK, PAPER, VERMILION, Floats, blank, head, ink, say
from replaylab.errors import AnalysisError

if TYPE_CHECKING:
    import pandas as pd

# value: its name, and what in it is neither good nor bad (None: nothing; "even": the rate that breaks even)
_VALUES: Final[dict[str, tuple[str, float | str | None]]] = {
    "expected_value": ("expected profit (% of the stake)", 0.0),
    "win_rate": ("share of bets won (%)", "even"),
    "low": ("lower end of the interval of the win rate (%)", "even"),
    "high": ("upper end of the interval of the win rate (%)", "even"),
    "settled_rate": ("share of settled bets won (%)", "even"),
    "kelly": ("Kelly stake (% of the bankroll)", None),
    "n_games": ("games seen live", None),
    "wins": ("bets won", None),
    "cut": ("bets whose end is not known", None),
}
_COUNTS: Final = {"n_games", "wins", "cut"}
_WRITTEN: Final = 26  # more columns than that leave no room for numbers


def sidebet_heatmap(frame: pd.DataFrame, ax: Axes | None = None) -> Drawn:
    """Heat map of a value of side bets: tick of the bet from left to right, window from below.

    White is where nothing is won or lost, blue is a gain, orange a loss. Cells of one tick rest on the same games: a
    warm patch is one observation, not many.

    Parameters
    ----------
    frame : DataFrame
        Result of `replaylab.analysis.sidebet_heatmap`.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Picture or Axes

    Examples
    --------
    >>> import replaylab as rl
    >>> from replaylab.simulation.bulk import price_arrays
    >>> sidebet_heatmap(rl.analysis.sidebet_heatmap(rl.analysis.Paths.of_arrays(*price_arrays(500, seed=1))))
    <Picture size 1150x480 with 2 Axes>
    """
    attrs = getattr(frame, "attrs", {})
    if attrs.get("value") not in _VALUES:
        raise AnalysisError("charts.sidebet_heatmap draws the result of analysis.sidebet_heatmap, attrs included")
    drawn = blank(11.5, 4.8)[0] if ax is None else ax
    value, even = attrs["value"], attrs["break_even"]
    name, middle = _VALUES[value]
    facts = [] if value in _COUNTS else [f"break-even {even * 100:.4g} %"]
    sold = set(attrs.get("sold", frame.columns))
    facts += [] if sold.issuperset(frame.columns) else ["* window is not sold"]
    title = f"Side bets by tick and window: {name.partition(' (')[0]}"
    head(drawn, title, behind(frame, *facts, "cells of a tick share their games"))
    cells = np.asarray(frame.to_numpy(np.float64), np.float64).T
    if not np.isfinite(cells).any():
        say(drawn, "No game was seen live at these ticks")
        return shown(drawn, ax)
    scale = 1 if value in _COUNTS else 100
    centre = even * scale if middle == "even" else middle
    draw_cells(drawn, cells * scale, centre if isinstance(centre, float) else None, name)
    drawn.set(xlabel="tick of the bet (one is 250 ms)", ylabel="window (ticks)")
    drawn.set_xticks(*_thinned(frame.index.tolist()))
    places, names = _thinned(frame.columns.tolist())
    drawn.set_yticks(
        places, [name + "*" * (frame.columns[place] not in sold) for place, name in zip(places, names, strict=True)]
    )
    return shown(drawn, ax)


def _thinned(names: Sequence[Any]) -> tuple[list[int], list[str]]:
    """Return at most about a quarter of a hundred places and their labels."""
    places = list(range(0, len(names), -(-len(names) // _WRITTEN)))
    return places, [f"{names[place]:,}" for place in places]


def _norm(cells: Floats, centre: float | None) -> Normalize:
    low, high = float(np.nanmin(cells)), float(np.nanmax(cells))
    if centre is None:
        return Normalize(0, max(high, 1e-9))
    reach = max(centre - low, high - centre, 1e-9)  # as strong above as below, or weak gains would look like large ones
    return TwoSlopeNorm(centre, centre - reach, centre + reach)


def _number(value: float, digits: int | None) -> str:
    return f"{value:z.0f}" if digits is None else f"{value:z.{digits}g}"  # a small loss is 0, and no -0


def draw_cells(ax: Axes, cells: Floats, centre: float | None, name: str, *, digits: int | None = None) -> None:
    """Draw cells, rows from below, with a scale that is white at `centre`; numbers whole, or to some digits."""
    colors = [PAPER, BLUE] if centre is None else [VERMILION, PAPER, BLUE]
    warmth, norm = LinearSegmentedColormap.from_list("warmth", colors), _norm(cells, centre)
    ax.grid(visible=False)
    ax.set_facecolor("#dddddd")  # a cell without a game is no zero
    rows, places = (np.arange(size + 1) - 0.5 for size in cells.shape)
    known = np.ma.masked_invalid(cells)
    mesh = ax.pcolormesh(places, rows, known, cmap=warmth, norm=norm, edgecolors=PAPER, linewidth=0.6)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_minor_locator(NullLocator())
    bar = ax.figure.colorbar(mesh, ax=ax, pad=0.015, aspect=30)
    bar.set_label(name, color=ink(ax), fontsize=9.5)
    bar.ax.tick_params(colors=ink(ax), labelsize=9)
    bar.ax.set_ylim(float(known.min()), max(float(known.max()), float(known.min()) + 1e-9))
    bar.outline.set_visible(False)
    if centre is not None:
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _number(value, digits)))
    if cells.shape[1] > _WRITTEN or cells.shape[0] > _WRITTEN:
        return
    for (row, place), value in np.ndenumerate(cells):
        if np.isfinite(value):
            dark = sum(warmth(norm(value))[:3]) < 1.7
            ax.text(
                place, row, _number(value, digits), ha="center", va="center", fontsize=7.5, color=PAPER if dark else INK
            )
