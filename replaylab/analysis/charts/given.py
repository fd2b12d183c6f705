"""Given: what a chart was handed, checked, and the words about it that stand on the chart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from replaylab.charts.style import Floats
from replaylab.errors import AnalysisError

if TYPE_CHECKING:
    import pandas as pd

Drawn = Any  # a Picture where no axes were given, the axes where they were


def checked(name: str, frame: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """Give a frame that has the columns of the function's result; raises `AnalysisError` where it has not."""
    missing = [column for column in columns if column not in getattr(frame, "columns", ())]
    if missing:
        raise AnalysisError(
            f"charts.{name} draws what analysis.{name} gives; {type(frame).__name__} without {', '.join(missing)}"
        )
    return frame


def behind(frame: pd.DataFrame, *more: str) -> str:
    """Say how many games and ticks stand behind a frame; pandas loses that on some of its own ways."""
    about = frame.attrs
    if "n_games" not in about or "n_ticks" not in about:
        return " · ".join(["games and ticks behind it are not told", *more])
    return " · ".join([counted(about["n_games"], about["n_ticks"]), *more])


def counted(games: int, ticks: int) -> str:
    """Say numbers of games and ticks.

    Examples
    --------
    >>> counted(1, 139)
    '1 game, 139 ticks'
    """
    return f"{games:,} {'game' if games == 1 else 'games'}, {ticks:,} {'tick' if ticks == 1 else 'ticks'}"


def intervals(frame: pd.DataFrame) -> str:
    """Name the bars in a legend."""
    sure = frame.attrs.get("confidence")
    return "interval" if sure is None else f"{sure * 100:g} % interval"


def column(frame: pd.DataFrame, name: str) -> Floats:
    """Give a column as floats, NaN where it says nothing."""
    return np.asarray(frame[name].to_numpy(np.float64, na_value=np.nan), np.float64)


def shown(ax: Axes, own: object) -> Drawn:
    """Give the picture, or the axes when they were somebody's own."""
    return ax.figure if own is None else ax
