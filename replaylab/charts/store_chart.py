"""The chart of a store: when its games end, how high they go, and what is there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator

from replaylab.charts.style import BLUE, GREEN, PAPER, PURPLE, VERMILION, Floats, Whole, blank, floats, head, ink, say
from replaylab.plural import count_of

HAZARD: Final = 0.005  # chance that a game ends at its next tick, as published


def draw_store(games: pa.Table, axes: Axes | Iterable[Axes] | None = None) -> list[Axes]:
    """Draw a store: when its complete games end, how high they go, and what the other games lack.

    Parameters
    ----------
    games : Table
        What `Store.games_table` gives.
    axes : one or several Axes, optional
        Where to draw, a panel each, in the order above; those of a new `Picture` unless given.

    Examples
    --------
    >>> from replaylab.storage import game_summary as summary
    >>> draw_store(summary.SCHEMA.empty_table())[0].figure
    <Picture size 1100x380 with 3 Axes>
    """
    if axes is None:
        axes = blank(11, 3.8, (1.2, 1, 0.9))
    panels = [axes] if isinstance(axes, Axes) else list(axes)
    drawings: list[Callable[[Axes, pa.Table], None]] = [_draw_ends, _draw_peaks, _draw_states]
    for ax, draw in zip(panels, drawings, strict=False):  # fewer axes, fewer panels
        draw(ax, games)
    return panels


def _complete(ax: Axes, games: pa.Table, title: str) -> pa.Table:
    """Head a panel about the complete games and give them."""
    found = games.filter(games.column("complete"))
    head(ax, title, f"{found.num_rows:,} complete of {count_of(games.num_rows, 'game')}")
    return found


def _draw_ends(ax: Axes, games: pa.Table) -> None:
    """Draw how many games ended at which tick, beside what a constant hazard gives."""
    ends = _complete(ax, games, "When games end").column("rug_tick").to_numpy().astype(np.int64)
    if not len(ends):
        say(ax, "No complete game")
        return
    ax.set(xlabel="rug tick (log)", ylabel="games")
    edges = rug_bins(ends)
    ax.hist(
        ends, edges.tolist(), color=BLUE, edgecolor=PAPER, linewidth=0.8, label=f"seen, median {np.median(ends):,.0f}"
    )
    curve = f"hazard {HAZARD} a tick, median {np.ceil(np.log(0.5) / np.log(1 - HAZARD)):.0f}"
    ax.stairs(len(ends) * geometric(edges), edges, color=VERMILION, linewidth=1.8, label=curve)
    _log_axis(ax, edges)


def rug_bins(ends: Whole) -> Floats:
    """Return edges of bins for rug ticks: about even on a log axis, between whole ticks, so that no tick is on an edge.

    Examples
    --------
    >>> rug_bins(np.array([1, 3, 40, 100])).tolist()
    [0.5, 2.5, 5.5, 15.5, 39.5, 100.5]
    """
    edges = np.geomspace(1, int(ends.max()) + 1, _bins(len(ends)) + 1).round()
    return np.asarray(np.unique(edges) - 0.5, np.float64)


def geometric(edges: Floats) -> Floats:
    """Return the chance that a game of constant hazard ends within each bin.

    Examples
    --------
    >>> geometric(np.array([0.5, 1.5, 2.5])).round(6).tolist()
    [0.005, 0.004975]
    """
    return np.asarray(-np.diff((1 - HAZARD) ** (edges - 0.5)), np.float64)


def _draw_peaks(ax: Axes, games: pa.Table) -> None:
    """Draw how many games peaked at which price."""
    peaks = floats(_complete(ax, games, "How high they go").column("peak"))
    peaks = peaks[peaks > 0]
    if not len(peaks):
        say(ax, "No complete game")
        return
    ax.set(xlabel="peak price (multiple of tick 0, log)", ylabel="games")
    least = float(peaks.min())
    edges = np.geomspace(least, max(float(peaks.max()), least * 1.1) * (1 + 1e-9), _bins(len(peaks)) + 1)
    edges[0] = least  # geomspace may round it up
    ax.hist(
        peaks, edges.tolist(), color=GREEN, edgecolor=PAPER, linewidth=0.8, label=f"seen, median {np.median(peaks):.3g}"
    )
    _log_axis(ax, edges)


def _bins(count: int) -> int:
    """Return the number of bins for a number of games."""
    return int(np.clip(round(2 * count**0.4), 5, 24))


def _log_axis(ax: Axes, edges: Floats) -> None:
    """Show a log axis in plain numbers, and the legend above the bars."""
    ax.set_xscale("log")
    ax.set_xlim(edges[0], edges[-1])
    marks = [step * 10.0**power for power in range(-3, 8) for step in (1, 2, 5)]
    shown = [mark for mark in marks if max(edges[0], 1 - 1e-9) <= mark <= edges[-1]]
    if len(shown) > 8:  # a wide axis keeps the powers of ten
        shown = [mark for mark in shown if f"{mark:e}".startswith("1")]
    ax.set_xticks(shown, [f"{mark:,g}" for mark in shown])
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    ax.set_ylim(0, ax.get_ylim()[1] * 1.35)
    ax.legend(loc="upper left", frameon=False, fontsize=8.5, labelcolor=ink(ax), borderaxespad=0.2)


def _draw_states(ax: Axes, games: pa.Table) -> None:
    """Draw how many games are complete and what the others lack."""
    head(ax, "What there is", f"all {count_of(games.num_rows, 'game')}; one may lack several things")
    if not games.num_rows:
        say(ax, "No game")
        return
    flags = {
        "complete": games.column("complete"),
        "ticks missing": pc.greater(games.column("gaps"), 0),
        "late start": games.column("late_start"),
        "end not seen": games.column("censored"),
        "double rug": games.column("double_rug"),
        "never live": pc.equal(games.column("ticks"), 0),
    }
    counts = [int(pc.sum(flag).as_py()) for flag in flags.values()]
    bars = ax.barh(list(flags), counts, color=[BLUE] + [PURPLE] * (len(flags) - 1), height=0.68)
    ax.bar_label(bars, [f"{count:,}" for count in counts], padding=4, fontsize=9, color=ink(ax))
    ax.invert_yaxis()
    ax.grid(visible=False)
    ax.set_xlabel("games")
    ax.set_xlim(0, max(*counts, 1) * 1.18)
    ax.xaxis.set_major_locator(MaxNLocator(4, integer=True))
