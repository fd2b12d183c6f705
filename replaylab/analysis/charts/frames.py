"""Checks of the frames that charts take, and the captions made from them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes

from replaylab.charts.style import Floats
from replaylab.errors import AnalysisError
from replaylab.plural import count_of

if TYPE_CHECKING:
    import pandas as pd

Drawn = Any  # a Picture where no axes were given, the axes where they were


def checked(name: str, frame: pd.DataFrame, columns: Iterable[str]) -> pd.DataFrame:
    """Return the frame if it has the columns of the function's result; raises `AnalysisError` otherwise."""
    missing = [column for column in columns if column not in getattr(frame, "columns", ())]
    if missing:
        raise AnalysisError(
            f"charts.{name} draws the result of analysis.{name}; {type(frame).__name__} without {', '.join(missing)}"
        )
    return frame


def behind(frame: pd.DataFrame, *more: str) -> str:
    """Return the caption with the number of games and ticks of a frame; some pandas operations drop them."""
    about = frame.attrs
    if "n_games" not in about or "n_ticks" not in about:
        return " · ".join(["number of games and ticks not known", *more])
    return " · ".join([counted(about["n_games"], about["n_ticks"]), *more])


def counted(games: int, ticks: int) -> str:
    """Return the numbers of games and ticks as text.

    Examples
    --------
    >>> counted(1, 139)
    '1 game, 139 ticks'
    """
    return f"{count_of(games, 'game')}, {count_of(ticks, 'tick')}"


def intervals(frame: pd.DataFrame) -> str:
    """Return the legend label of the bars."""
    sure = frame.attrs.get("confidence")
    return "interval" if sure is None else f"{sure * 100:g} % interval"


def column(frame: pd.DataFrame, name: str) -> Floats:
    """Return a column as floats, NaN where it is null."""
    return np.asarray(frame[name].to_numpy(np.float64, na_value=np.nan), np.float64)


def shown(ax: Axes, own: object) -> Drawn:
    """Return the figure, or the axes when the caller passed them."""
    return ax.figure if own is None else ax
