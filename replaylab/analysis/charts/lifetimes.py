"""Charts of lifetimes: survival, hazard, histogram of durations."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes

from replaylab.analysis.charts.elements import estimates, label_below, legend, percent, room_above, stretches, theory
from replaylab.analysis.charts.frames import Drawn, behind, checked, column, counted, intervals, shown
from replaylab.analysis.questions.survival import Survival
from replaylab.charts.style import BLUE, FAINT, VERMILION, blank, head, ink, on_paper, say
from replaylab.errors import AnalysisError
from replaylab.plural import count_of

if TYPE_CHECKING:
    import pandas as pd

_PUBLISHED = "published process"
_LEAST_ALIVE = 0.005  # the curve is drawn until fewer live than that


def survival(found: Survival, hazard: pd.DataFrame | None = None, ax: Axes | Iterable[Axes] | None = None) -> Drawn:
    """Chart of the share of games that live beyond each tick; with a hazard, the pair of both.

    The numbers under the ticks are the games that were being watched into them: the further right, the fewer, and what
    few games say is uncertain whatever the line looks like.

    Parameters
    ----------
    found : Survival
        Result of `replaylab.analysis.survival`.
    hazard : DataFrame, optional
        Result of `replaylab.analysis.hazard`, for a second panel.
    ax : Axes, or two of them, optional
        Where to draw.

    Returns
    -------
    Picture or Axes
        A new picture; or the axes when they were given (a list of both for a pair).

    Examples
    --------
    >>> import replaylab as rl
    >>> from replaylab.simulation.bulk import price_arrays
    >>> drawn = rl.analysis.Paths.of_arrays(*price_arrays(500, seed=1))
    >>> survival(rl.analysis.survival(drawn), rl.analysis.hazard(drawn))
    <Picture size 1200x430 with 2 Axes>
    """
    if not isinstance(found, Survival):
        raise AnalysisError(f"charts.survival draws the result of analysis.survival, not {type(found).__name__}")
    if hazard is None:
        one = blank(9, 4.3)[0] if ax is None else ax
        if not isinstance(one, Axes):
            raise AnalysisError("survival without a hazard is one chart: pass one Axes")
        _draw_survival(one, found)
        return shown(one, ax)
    pair = blank(12, 4.3, (1, 1.2)) if ax is None else [ax] if isinstance(ax, Axes) else list(ax)
    if len(pair) != 2:
        raise AnalysisError(f"survival beside its hazard are two charts: pass two Axes, not {len(pair)}")
    _draw_survival(pair[0], found)
    _draw_hazard(pair[1], hazard)
    return pair[0].figure if ax is None else pair


def _draw_survival(ax: Axes, found: Survival) -> None:
    curve = found.curve
    head(ax, "Share of games still alive", f"{counted(found.n_games, found.n_ticks)} · {found.n_rugs:,} rugs seen")
    tick, alive = column(curve, "tick"), column(curve, "survival")
    known = np.isfinite(alive)
    if not known.any() or not found.n_transitions:
        say(ax, "No game was watched from one tick into the next")
        return
    low, high = column(curve, "low"), column(curve, "high")
    sure = f"{found.confidence * 100:g} % interval, tick by tick"
    ax.fill_between(tick, low, high, step="post", color=BLUE, alpha=0.2, linewidth=0, label=sure)
    ax.step(tick, alive, where="post", color=BLUE, linewidth=1.6, label="Kaplan-Meier")
    ax.plot(tick, column(curve, "theory"), color=VERMILION, linewidth=1.4, linestyle="--", label=_PUBLISHED)
    last = float(tick[known & (alive > _LEAST_ALIVE)].max(initial=1))
    ax.set(xlim=(0, last), ylim=(0, 1.02), ylabel="share of games alive beyond the tick")
    ax.set_xlabel("tick (one is 250 ms), and the games that were watched into it")
    percent(ax)
    step = next(width for width in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000) if last / width <= 10)
    places = np.arange(0, last + 1, step, dtype=np.float64)
    at_risk = column(curve, "at_risk")[places.astype(np.int64)]
    label_below(ax, places, [f"{place:,.0f}" for place in places], ["", *(f"{games:,.0f}" for games in at_risk[1:])])
    _mark_median(ax, found)
    legend(ax, loc="upper right")


def _mark_median(ax: Axes, found: Survival) -> None:
    median = found.quantiles((0.5,)).iloc[0]
    if not np.isfinite(median["tick"]):
        return
    tick, low, high = (float(median[name]) for name in ("tick", "low", "high"))
    ax.hlines(0.5, 0, tick, color=FAINT, linewidth=1, linestyle=":")
    ax.vlines(tick, 0, 0.5, color=FAINT, linewidth=1, linestyle=":")
    spread = f" ({low:,.0f} to {high:,.0f})" if np.isfinite(low + high) else ""
    text = ax.annotate(
        f"half are over by tick {tick:,.0f}{spread}", (tick, 0.5), (8, 4), textcoords="offset points",
        fontsize=9, color=ink(ax),
    )  # fmt: skip
    on_paper(text, ax)


def hazard(frame: pd.DataFrame, ax: Axes | None = None) -> Drawn:
    """Chart of the chance that a live game rugs at its next tick, by its age, beside the published 0.5 %.

    Parameters
    ----------
    frame : DataFrame
        Result of `replaylab.analysis.hazard`.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Picture or Axes

    Examples
    --------
    >>> import replaylab as rl
    >>> from replaylab.simulation.bulk import price_arrays
    >>> hazard(rl.analysis.hazard(rl.analysis.Paths.of_arrays(*price_arrays(500, seed=1))))
    <Picture size 900x430 with 1 Axes>
    """
    drawn = blank(9, 4.3)[0] if ax is None else ax
    _draw_hazard(drawn, frame)
    return shown(drawn, ax)


def _draw_hazard(ax: Axes, frame: pd.DataFrame) -> None:
    checked("hazard", frame, ("from_tick", "to_tick", "rugs", "hazard", "low", "high", "theory"))
    head(ax, "Chance to rug at the next tick", behind(frame))
    chance, places = column(frame, "hazard"), np.arange(len(frame), dtype=np.float64)
    if not np.isfinite(chance).any():
        say(ax, "No game was watched from one tick into the next")
        return
    low, high = column(frame, "low"), column(frame, "high")
    estimates(ax, places, chance, low, high, label="rugs per watched tick", interval=intervals(frame))
    theory(ax, places, column(frame, "theory"), _PUBLISHED)
    top = 2.2 * float(np.nanmax([np.nanmax(chance), column(frame, "theory").max()]))
    ax.set(xlim=(-0.6, len(frame) - 0.4), ylim=(0, min(top * 1.45, 1.45 * max(float(np.nanmax(high)), 1e-9))))
    ax.set(xlabel="age in ticks, and the rugs seen there", ylabel="chance to rug at the next tick")
    percent(ax)
    rugs = [f"{rugs:,.0f}" for rugs in column(frame, "rugs")]
    label_below(ax, places, stretches(frame["from_tick"].to_numpy(), frame["to_tick"].to_numpy()), rugs)
    legend(ax, loc="upper left")


def duration_hist(frame: pd.DataFrame, ax: Axes | None = None) -> Drawn:
    """Chart of the share of games that rug in each stretch of ticks, beside the published process.

    Stretches are as wide as they were asked for, and drawn alike: a high bar may just be a long stretch.

    Parameters
    ----------
    frame : DataFrame
        Result of `replaylab.analysis.duration_hist`.
    ax : Axes, optional
        Where to draw.

    Returns
    -------
    Picture or Axes

    Examples
    --------
    >>> import replaylab as rl
    >>> from replaylab.simulation.bulk import price_arrays
    >>> duration_hist(rl.analysis.duration_hist(rl.analysis.Paths.of_arrays(*price_arrays(500, seed=1))))
    <Picture size 900x430 with 1 Axes>
    """
    checked("duration_hist", frame, ("from_tick", "to_tick", "games", "share", "low", "high", "theory"))
    drawn = blank(9, 4.3)[0] if ax is None else ax
    head(drawn, "When games rug", behind(frame, f"{count_of(int(frame['games'].sum()), 'rug')} seen"))
    share, places = column(frame, "share"), np.arange(len(frame), dtype=np.float64)
    if not np.isfinite(share).any():
        say(drawn, "No game was watched from one tick into the next")
        return shown(drawn, ax)
    drawn.bar(places, np.nan_to_num(share), width=0.84, color=BLUE, alpha=0.45, label="share of all games")
    low, high = column(frame, "low"), column(frame, "high")
    estimates(drawn, places, share, low, high, label="_share", interval=intervals(frame))
    theory(drawn, places, column(frame, "theory"), _PUBLISHED)
    drawn.set(xlim=(-0.6, len(frame) - 0.4), ylabel="share of games that rug there")
    drawn.set_xlabel("tick of the rug, and the rugs seen there")
    percent(drawn)
    room_above(drawn, 0.12)
    rugs = [f"{games:,}" for games in frame["games"]]
    label_below(drawn, places, stretches(frame["from_tick"].to_numpy(), frame["to_tick"].to_numpy()), rugs)
    legend(drawn, loc="upper right", ncols=3)
    return shown(drawn, ax)
