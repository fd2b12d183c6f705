"""Charts of the chance of a rug within a window, by tick, beside the break-even of a side bet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from replaylab.analysis.charts.elements import estimates, label_below, legend, percent, room_above, stretches
from replaylab.analysis.charts.frames import Drawn, behind, checked, column, intervals, shown
from replaylab.analysis.questions.odds import break_even, theory_rate
from replaylab.charts.style import FAINT, VERMILION, Floats, blank, head, say
from replaylab.errors import AnalysisError

if TYPE_CHECKING:
    import pandas as pd


def sidebet_table(frame: pd.DataFrame, ax: Axes | None = None) -> Drawn:
    """Chart of the win rate of side bets by the tick of the bet, with the line at which they break even.

    The numbers under the ticks are the games that were seen live there. Points rest on nearly the same games as their
    neighbours do; an interval above the line at one tick among many is no discovery.

    Parameters
    ----------
    frame : DataFrame
        Result of `replaylab.analysis.sidebet_table` for one window.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Picture or Axes

    Raises
    ------
    AnalysisError
        When the frame holds several windows; `sidebet_heatmap` shows those.

    Examples
    --------
    >>> import replaylab as rl
    >>> from replaylab.simulation.bulk import price_arrays
    >>> sidebet_table(rl.analysis.sidebet_table(rl.analysis.Paths.of_arrays(*price_arrays(500, seed=1)), ticks=[0, 99]))
    <Picture size 900x430 with 1 Axes>
    """
    checked("sidebet_table", frame, ("tick", "window", "n_games", "win_rate", "low", "high"))
    window = _window("sidebet_table", frame)
    drawn = blank(9, 4.3)[0] if ax is None else ax
    head(drawn, _titled("Side bets won, by the tick of the bet", window), behind(frame, "one bet a game"))
    if _draw(drawn, frame, "win_rate", column(frame, "tick"), "win rate", theory_rate(window) if window else None):
        _draw_break_even(drawn, frame)
        _finish(drawn, "tick of the bet, and the games seen live there", "share of bets won")
        _label_ticks(drawn, frame)
    return shown(drawn, ax)


def sidebet_pooled(frame: pd.DataFrame, window: int = 40, ax: Axes | None = None) -> Drawn:
    """Chart of the win rate of side bets at every tick of an age, with the line at which they break even.

    Parameters
    ----------
    frame : DataFrame
        Result of `replaylab.analysis.sidebet_pooled`.
    window : int
        The one it was asked for.
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
    >>> sidebet_pooled(rl.analysis.sidebet_pooled(drawn))
    <Picture size 900x430 with 1 Axes>
    """
    checked("sidebet_pooled", frame, ("from_tick", "to_tick", "n_games", "win_rate", "low", "high"))
    drawn = blank(9, 4.3)[0] if ax is None else ax
    head(drawn, _titled("Side bets won, all ticks of an age", window), behind(frame, "drawn by whole games"))
    places = np.arange(len(frame), dtype=np.float64)
    if _draw(drawn, frame, "win_rate", places, "win rate", theory_rate(window)):
        _draw_break_even(drawn, frame)
        _finish(drawn, "age in ticks, and the games behind it", "share of bets won")
        games = [f"{games:,}" for games in frame["n_games"]]
        label_below(drawn, places, stretches(frame["from_tick"].to_numpy(), frame["to_tick"].to_numpy()), games)
    return shown(drawn, ax)


def p_rug_within(frame: pd.DataFrame, ax: Axes | None = None) -> Drawn:
    """Chart of the chance that a live game rugs within a window, by its age, beside the published process.

    Parameters
    ----------
    frame : DataFrame
        Result of `replaylab.analysis.p_rug_within`.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Picture or Axes

    Examples
    --------
    >>> import replaylab as rl
    >>> from replaylab.simulation.bulk import price_arrays
    >>> p_rug_within(rl.analysis.p_rug_within(rl.analysis.Paths.of_arrays(*price_arrays(500, seed=1)), by=[0, 100]))
    <Picture size 900x430 with 1 Axes>
    """
    checked("p_rug_within", frame, ("tick", "window", "n_games", "p", "low", "high", "theory"))
    window = _window("p_rug_within", frame)
    drawn = blank(9, 4.3)[0] if ax is None else ax
    head(drawn, f"Chance to rug within {window:,} ticks, by age", behind(frame))
    known = float(frame["theory"].iloc[0]) if len(frame) else None
    if _draw(drawn, frame, "p", column(frame, "tick"), "Kaplan-Meier", known):
        _finish(drawn, "age in ticks, and the games seen live there", f"chance to rug within {window:,} ticks")
        _label_ticks(drawn, frame)
    return shown(drawn, ax)


def _window(name: str, frame: pd.DataFrame) -> int:
    found = sorted({int(window) for window in frame["window"]})
    if len(found) > 1:
        raise AnalysisError(f"window={found}: charts.{name} shows one window; sidebet_heatmap shows several")
    return found[0] if found else 0


def _titled(title: str, window: int) -> str:
    return f"{title} (rug within {window:,} ticks)" if window else title


def _draw(ax: Axes, frame: pd.DataFrame, name: str, x: Floats, label: str, known: float | None) -> bool:
    """Draw rates with intervals and the published rate; returns False, and says so, where there is none."""
    rate = column(frame, name)
    if not np.isfinite(rate).any():
        say(ax, "No game was seen live at these ticks")
        return False
    width = float(x.max() - x.min()) or 1.0
    ax.set_xlim(x.min() - 0.06 * width, x.max() + 0.06 * width)
    estimates(ax, x, rate, column(frame, "low"), column(frame, "high"), label=label, interval=intervals(frame))
    if known is not None:
        text = f"published process, {known * 100:.2f} % at any tick"
        ax.axhline(known, color=VERMILION, linewidth=1.6, linestyle="--", label=text)
    return True


def _draw_break_even(ax: Axes, frame: pd.DataFrame) -> None:
    pays = frame.attrs.get("pays")
    if pays is None:
        return  # an edited frame has forgotten what a bet pays
    even = break_even(pays)
    text = f"break-even {even * 100:.4g} %, as a win returns {pays} times the stake"
    ax.axhline(even, color=FAINT, linewidth=1.6, label=text)


def _finish(ax: Axes, xlabel: str, ylabel: str) -> None:
    ax.set(xlabel=xlabel, ylabel=ylabel)
    percent(ax)
    room_above(ax, 0.35)
    legend(ax, loc="upper left", ncols=2)


def _label_ticks(ax: Axes, frame: pd.DataFrame) -> None:
    names, games = [f"{tick:,}" for tick in frame["tick"]], [f"{games:,}" for games in frame["n_games"]]
    label_below(ax, column(frame, "tick"), names, games)
