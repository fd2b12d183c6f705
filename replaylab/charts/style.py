"""The one style of all charts, and the figure that shows itself in a notebook."""

from __future__ import annotations

from contextlib import nullcontext
from io import BytesIO
from typing import Final

import numpy as np
import pyarrow as pa
from matplotlib.axes import Axes
from matplotlib.backend_bases import RendererBase
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

from replaylab.charts.theme import is_dark, recoloured
from replaylab.tick import Phase, short_id

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

# Strong colours that stay apart for colour-blind eyes and on grey paper; each also differs in place or shape.
BLUE: Final = "#0072B2"
VERMILION: Final = "#D55E00"
GREEN: Final = "#009E73"
PURPLE: Final = "#CC79A7"
INK: Final = "#222222"
FAINT: Final = "#5f5f5f"
GRID: Final = "#e4e4e4"
PAPER: Final = "#ffffff"  # never transparent: labels would be lost in a dark notebook; `theme` knows its dark colour
TINTS: Final = {
    Phase.UNKNOWN: ("idle", "#f6f6f6"),
    Phase.COOLDOWN: ("cooldown", "#e0e0e0"),
    Phase.PRESALE: ("presale", "#cfe4f2"),
    Phase.GAME_ACTIVATION: ("live", "#cdebe0"),
    Phase.ACTIVE_GAMEPLAY: ("live", "#cdebe0"),
    Phase.RUGGED: ("rugged", "#f7d9c6"),
}
_SHARPNESS: Final = 1.5  # pixels stored for each pixel shown


class Picture(Figure):
    """A matplotlib figure that shows itself in a notebook cell; `savefig` and `axes` are those of any figure.

    Examples
    --------
    >>> Picture(figsize=(9, 4))
    <Picture size 900x400 with 0 Axes>
    """

    _shown = False  # while it is drawn for a cell

    def draw(self, renderer: RendererBase) -> None:
        """Draw it in the theme that is chosen; `replaylab.style` says which."""
        with recoloured(self) if is_dark(shown=self._shown) else nullcontext():
            super().draw(renderer)

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        data = BytesIO()
        self._shown = True
        try:
            self.savefig(data, format="png", dpi=self.dpi * _SHARPNESS, metadata={"Software": None})
        finally:
            self._shown = False
        width, height = (round(inches * self.dpi) for inches in self.get_size_inches())
        return data.getvalue(), {"width": width, "height": height}


def blank(width: float, height: float, widths: tuple[float, ...] = (1,), rows: int = 1) -> list[Axes]:
    """Return styled axes side by side on a new picture, row after row; sizes in inches, `widths` in proportion."""
    picture = Picture(figsize=(width, height), layout="constrained", facecolor=PAPER)
    axes: list[Axes] = list(picture.subplots(rows, len(widths), width_ratios=widths, squeeze=False).flat)
    for ax in axes:
        ax.set_facecolor(PAPER)
        ax.spines[["top", "right"]].set_visible(False)
        ax.spines[["left", "bottom"]].set_color(FAINT)
        ax.tick_params(which="both", colors=INK, labelsize=9)
        ax.grid(axis="y", color=GRID, linewidth=0.8)
        ax.set_axisbelow(True)
        for label in (ax.xaxis.label, ax.yaxis.label):
            label.set(color=INK, fontsize=9.5)
    return axes


def ink(ax: Axes) -> str:
    """Return the colour for text: that of the axis labels, so that axes in a dark style stay readable."""
    return str(ax.xaxis.label.get_color())


def head(ax: Axes, title: str, facts: str, *, lift: float = 0) -> None:
    """Write a title and a line of facts above the axes, `lift` points up."""
    ax.set_title(short_id(title), loc="left", color=ink(ax), fontsize=11, fontweight="bold", pad=lift + 22)
    ax.annotate(
        facts, (0, 1), (0, lift + 7), xycoords="axes fraction", textcoords="offset points",
        fontsize=9, color=ink(ax), alpha=0.85,
    )  # fmt: skip


def say(ax: Axes, sentence: str) -> None:
    """Write why there is nothing to see, and take the marks off the empty axes."""
    ax.text(0.5, 0.5, sentence, transform=ax.transAxes, ha="center", va="center", color=ink(ax), fontsize=10.5)
    ax.set(xlabel="", ylabel="")
    ax.spines[:].set_visible(False)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(NullLocator())
        axis.set_minor_locator(NullLocator())


def on_paper(text: Text, ax: Axes) -> None:
    """Lay a patch of the background under a text, so that no line crosses it."""
    text.set_bbox({"facecolor": ax.get_facecolor(), "edgecolor": "none", "alpha": 0.8, "pad": 1.2})


def floats(column: pa.ChunkedArray) -> Floats:
    """Return prices as floats, to be drawn and for nothing else; NaN where there is none."""
    return np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)
