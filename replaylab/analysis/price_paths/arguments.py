"""Checks of arguments; an error names the argument, its value and the bound. Pure."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.price_paths.paths import Paths
from replaylab.errors import AnalysisError
from replaylab.tick import INT32_MAX

POINTS: Final = 1_000_000  # of a grid that is looked up in what one pass over the games has counted
FINE: Final = 10_000  # of a grid of which each point has an interval
PASSES: Final = 1_000  # of a grid of which each point is a pass over the games, or a column beside every game


def whole(name: str, value: object, *, least: int, most: int | None = INT32_MAX) -> int:
    """Return a whole number within its bounds, which end with the greatest tick there can be; raises `AnalysisError`.

    Examples
    --------
    >>> whole("window", 40, least=1)
    40
    >>> whole("window", 0, least=1)
    Traceback (most recent call last):
    ...
    replaylab.errors.AnalysisError: window=0: pass a whole number from 1
    """
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = None
    if number is None or isinstance(value, bool) or number < least or (most is not None and number > most):
        above = most is not None and number is not None and number > most
        bound = f"from {least} to {most}" if above or most not in {None, INT32_MAX} else f"from {least}"
        raise AnalysisError(f"{name}={value!r}: pass a whole number {bound}")
    return number


def wholes(name: str, values: object, *, least: int, points: int = POINTS) -> NDArray[np.int64]:
    """Return whole numbers, sorted, each once; raises `AnalysisError` for none, for too many, and for one too small.

    Examples
    --------
    >>> wholes("ticks", [50, 0, 50], least=0).tolist()
    [0, 50]
    """
    found = sorted({whole(name, value, least=least) for value in _listed(name, values, points)})
    if not found:
        raise AnalysisError(f"{name}={values!r}: pass at least one")
    return np.array(found, np.int64)


def number(name: str, value: object, *, above: float, below: float = math.inf) -> float:
    """Return a finite number strictly between its bounds; raises `AnalysisError`.

    Examples
    --------
    >>> number("target", "0.5", above=0)
    0.5
    >>> number("target", float("nan"), above=0)
    Traceback (most recent call last):
    ...
    replaylab.errors.AnalysisError: target=nan: pass a number above 0
    """
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        found = math.nan
    if isinstance(value, bool) or not math.isfinite(found) or not above < found < below:
        bound = f"above {above:g}" if below == math.inf else f"between {above:g} and {below:g}"
        raise AnalysisError(f"{name}={value!r}: pass a number {bound}")
    return found


def numbers(name: str, values: object, *, above: float, below: float = math.inf, points: int = PASSES) -> list[float]:
    """Return numbers as `number` does, in the order given; a lone one counts as a list; raises for none or too many.

    Examples
    --------
    >>> numbers("at", 2, above=0), numbers("at", [3, 1.5], above=0)
    ([2.0], [3.0, 1.5])
    """
    found = [number(name, value, above=above, below=below) for value in _listed(name, values, points)]
    if not found:
        raise AnalysisError(f"{name}={values!r}: pass at least one")
    return found


def _listed(name: str, values: object, points: int) -> list[object]:
    """Return the points of a grid, which may be endless; a lone one counts as a list."""
    given = values if isinstance(values, Iterable) and not isinstance(values, str) else [values]
    found = list(islice(given, points + 1))
    if len(found) > points:
        raise AnalysisError(f"len({name})>{points}: pass at most {points:,} points")
    return found


def money(name: str, value: object, *, above: int = 0) -> Decimal:
    """Return an exact amount above a bound; a float is taken as the shortest text that it prints as.

    Examples
    --------
    >>> money("stake", 0.1), money("stake", "0.001")
    (Decimal('0.1'), Decimal('0.001'))
    >>> money("stake", float("nan"))
    Traceback (most recent call last):
    ...
    replaylab.errors.AnalysisError: stake=nan: pass an amount above 0, as text or Decimal
    """
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        found = Decimal("NaN")
    if isinstance(value, bool) or not found.is_finite() or found <= above:
        raise AnalysisError(f"{name}={value!r}: pass an amount above {above}, as text or Decimal")
    return found


def one_of(name: str, value: Any, choices: Iterable[str]) -> str:
    """Return a name that is among those known; raises `AnalysisError`.

    Examples
    --------
    >>> one_of("per", "game", ("game", "tick"))
    'game'
    """
    known = list(choices)
    if value not in known:
        raise AnalysisError(f"{name}={value!r}: take one of {', '.join(known)}")
    return str(value)


def some_games(paths: Paths) -> Paths:
    """Return the games of paths that have a live tick; raises `AnalysisError` when there is none.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> some_games(Paths.of_arrays(*price_arrays(2, seed=1))).n_games
    2
    """
    if not paths.n_ticks:
        raise AnalysisError("games=0: the source, or what `where` leaves of it, holds no game with a live tick")
    return paths.select(paths.lengths > 0)
