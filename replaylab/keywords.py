"""Names of options: one that a function does not have is answered by the one that was meant."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Callable, Collection
from typing import Any, Final, TypeVar, cast

_Function = TypeVar("_Function", bound=Callable[..., Any])
_MEANT: Final = {  # what people type for a thing that has another name here
    "backtest": ("trades",), "strategy": ("trades",), "results": ("trades",), "ids": ("games",),
    "indicators": ("panels",), "annotations": ("marks",), "to": ("path", "store"), "folder": ("path", "store"),
}  # fmt: skip


def meant(name: str, known: Collection[str]) -> str | None:
    """Return the one of the known names that was meant; None when none is near.

    Examples
    --------
    >>> meant("hieght", ["height", "log"]), meant("backtest", ["trades"]), meant("colour", ["trades"])
    ('height', 'trades', None)
    """
    told = [one for one in _MEANT.get(name, ()) if one in known]
    return next(iter([*told, *difflib.get_close_matches(name, known, 1)]), None)


def hint(name: str, known: Collection[str]) -> str:
    """Return the end of a message about an unknown name: the one that was meant, or all there are.

    Examples
    --------
    >>> hint("hieght", ["height", "log"]), hint("colour", ["height", "log"])
    ("; did you mean 'height'?", '; it has height, log')
    """
    near = meant(name, known)
    return f"; did you mean {near!r}?" if near else f"; it has {', '.join(known)}"


def options_of(shown: str) -> Callable[[_Function], _Function]:
    """Return a decorator: of an option that the function does not have it says which was meant, as a `TypeError`.

    Parameters
    ----------
    shown : str
        The function as users write it, such as ``rl.play``.

    Examples
    --------
    >>> @options_of("rl.play")
    ... def play(game, *, height=300, trades=None):
    ...     return height
    >>> play("g", height=200)
    200
    >>> play("g", backtest="b")
    Traceback (most recent call last):
    ...
    TypeError: rl.play has no option 'backtest'; did you mean 'trades'?
    """

    def decorate(function: _Function) -> _Function:
        code = function.__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        taken = frozenset(names)
        known = tuple(name for name in names if name not in {"self", "cls"})

        @functools.wraps(function)
        def call(*given: Any, **options: Any) -> Any:
            if not taken.issuperset(options):
                name = next(name for name in options if name not in taken)
                raise TypeError(f"{shown} has no option {name!r}{hint(name, known)}")
            return function(*given, **options)

        return cast("_Function", call)

    return decorate
