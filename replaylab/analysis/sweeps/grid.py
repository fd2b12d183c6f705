"""Grid: the points at which a strategy is tried, and the strategy made at each. Pure."""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

from replaylab.analysis.backtests.vectorised import Vectorised
from replaylab.errors import AnalysisError

MOST: Final = 10_000  # points of a grid: every game's result is kept for each
Point = dict[str, Any]
Grid = Mapping[str, Any] | Iterable[Mapping[str, Any]]


def points(grid: Grid) -> list[Point]:
    """Return the points of a grid: every combination of the values of a mapping, or the mappings of a list as they are.

    Raises
    ------
    AnalysisError
        When there is no point, or more than 10,000.

    Examples
    --------
    >>> points({"target": [1.5, 2], "stop": 0.9})
    [{'target': 1.5, 'stop': 0.9}, {'target': 2, 'stop': 0.9}]
    """
    if isinstance(grid, Mapping):
        values = {str(name): _values(some) for name, some in grid.items()}
        empty = [name for name, some in values.items() if not some]
        if empty or not values:
            raise AnalysisError(
                f"grid={dict(grid)!r} has no point: pass at least one value of {', '.join(empty) or 'a parameter'}"
            )
        _check_count(math.prod(map(len, values.values())))
        return [dict(zip(values, one, strict=True)) for one in itertools.product(*values.values())]
    given: object = grid
    if not isinstance(given, Iterable) or isinstance(given, str | bytes):
        raise AnalysisError(f"grid={grid!r}: pass a mapping of parameters to values, or a list of mappings")
    found: list[Any] = list(itertools.islice(given, MOST + 1))
    if not found:
        raise AnalysisError("grid=[] has no point: pass at least one mapping of parameters to values")
    _check_count(len(found), "at least ")
    for one in found:
        if not isinstance(one, Mapping) or set(one) != set(found[0]):
            raise AnalysisError(
                f"grid: {one!r} is no mapping of {', '.join(map(str, found[0]))}; every point needs the same names"
            )
    return [{str(name): value for name, value in one.items()} for one in found]


def _check_count(count: int, least: str = "") -> None:
    if count > MOST:
        raise AnalysisError(
            f"grid has {least}{count:,} points; at most {MOST:,} are tried: take fewer values, or draw some points at "
            "random and pass them as a list of mappings"
        )


def _values(some: Any) -> list[Any]:
    return list(some) if isinstance(some, Iterable) and not isinstance(some, str | bytes) else [some]


def maker(strategy: Any, names: Iterable[str]) -> Callable[[Point], Any]:
    """Return what makes the strategy of a point: a class or factory called with it, or a function of tape and account.

    Raises
    ------
    AnalysisError
        When the strategy does not take the parameters.

    Examples
    --------
    >>> from replaylab.analysis.backtests.strategies import Aggressive
    >>> maker(Aggressive, ["buy_below"])({"buy_below": 2.5}).buy_below
    2.5
    """
    asked = dict.fromkeys(names)
    if isinstance(strategy, Vectorised) or not callable(strategy):
        raise AnalysisError(
            f"strategy={strategy!r} takes no parameters: pass a class, or a function that takes {', '.join(asked)} and "
            "returns a strategy"
        )
    try:
        signature = inspect.signature(strategy)
    except ValueError:  # a builtin: calling it will say what it takes
        return lambda point: strategy(**point)
    try:
        signature.bind(**asked)
    except TypeError as reason:
        try:
            signature.bind(None, None, **asked)
        except TypeError:
            name = getattr(strategy, "__name__", repr(strategy))
            raise AnalysisError(f"strategy {name}{signature} does not take {', '.join(asked)}: {reason}") from None
        return lambda point: partial(strategy, **point)
    return lambda point: strategy(**point)
