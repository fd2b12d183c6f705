"""Drawing elements of the charts: points with intervals, names of ranges, labels without overlap."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from replaylab.charts.style import BLUE, VERMILION, Floats, Whole, ink

_POINTS: Final = 8.5
_LETTER: Final = 0.066  # inches that a letter of that size takes, rounded up
_GAP: Final = 0.08
_BARS: Final = 40  # more points than that are a line in a band


def stretches(begins: Whole, ends: Whole) -> list[str]:
    """Return names of ranges of ticks, by their first and last.

    Examples
    --------
    >>> stretches(np.array([0, 50, 51]), np.array([50, 51, -1]))
    ['0-49', '50', '51+']
    """
    named = []
    for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
        named.append(f"{begin:,}+" if end < 0 else f"{begin:,}" if end - begin == 1 else f"{begin:,}-{end - 1:,}")
    return named


def spaced(places: Floats, room: float) -> list[int]:
    """Return which of the places, in rising order, can be labelled without overlapping labels.

    Examples
    --------
    >>> spaced(np.array([0.0, 1.0, 50.0, 99.0, 100.0]), room=7.5)
    [0, 2, 3]
    """
    found: list[int] = []
    for number, place in enumerate(places.tolist()):
        if not found or place - places[found[-1]] >= room:
            found.append(number)
    return found


def label_below(ax: Axes, places: Floats, names: Sequence[str], beneath: Sequence[str]) -> None:
    """Write under each place its name and, one line lower, what is behind it."""
    low, high = ax.get_xlim()
    if isinstance(ax.figure, Figure) and ax.figure.get_layout_engine() is not None:
        ax.figure.draw_without_rendering()  # axes are as wide as they will be only once they are laid out
    inches = ax.get_window_extent().width / ax.figure.dpi
    letters = max(map(len, [*names, *beneath]))
    chosen = spaced(places, (letters * _LETTER + _GAP) / inches * (high - low))
    ax.set_xticks([places[at] for at in chosen], [f"{names[at]}\n{beneath[at]}" for at in chosen], fontsize=_POINTS)
    ax.xaxis.set_minor_locator(NullLocator())


def estimates(ax: Axes, x: Floats, y: Floats, low: Floats, high: Floats, *, label: str, interval: str) -> None:
    """Draw estimates with their intervals: points with bars, or a line in a band when there are many."""
    if len(x) > _BARS:
        ax.fill_between(x, low, high, color=BLUE, alpha=0.2, linewidth=0, label=interval)
        ax.plot(x, y, color=BLUE, linewidth=1.5, label=label)
        return
    known = np.isfinite(y)
    sure = known & np.isfinite(low) & np.isfinite(high)
    ax.vlines(x[sure], low[sure], high[sure], color=BLUE, linewidth=2, alpha=0.55, label=interval)
    ax.plot(x[known], y[known], "o", color=BLUE, markersize=6, markeredgecolor="white", label=label, zorder=3,
            clip_on=False)  # fmt: skip


def theory(ax: Axes, x: Floats, y: Floats, label: str) -> None:
    """Draw the values of the published process as short strokes beside the estimates."""
    half = 0.3 if len(x) < 2 else 0.42 * float(np.diff(x).min())
    ax.hlines(y, x - half, x + half, color=VERMILION, linewidth=1.8, label=label, zorder=2.5)


def percent(ax: Axes) -> None:
    """Show shares on the y axis as percents."""
    ax.yaxis.set_major_locator(MaxNLocator(6))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value * 100:.6g} %"))


def legend(ax: Axes, **where: Any) -> None:
    """Write the legend in the style of all charts."""
    options = {"loc": "best", "frameon": False, "fontsize": 8.5, "labelcolor": ink(ax)} | where
    ax.legend(**options)


def room_above(ax: Axes, share: float = 0.18) -> None:
    """Leave room above for a legend; no value is below zero."""
    ax.set_ylim(0, ax.get_ylim()[1] * (1 + share))
