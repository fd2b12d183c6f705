"""Unit tests: all but those that start a process or a server, or are marked `slow` by hand. `make check` runs them.

What a test starts is read off its code: the names that it, its fixtures and the functions of `tests` it calls use.
So a new test is on the right side without a list that somebody keeps.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from types import CodeType, FunctionType
from typing import Any, Final

import pytest

STARTS: Final = frozenset(
    {
        "Client",
        "LocalCluster",
        "Popen",
        "ProcessPoolExecutor",
        "Process",
        "fork",
        "get_context",
        "multiprocessing",
        "run_child",
        "serve",
        "serve_dashboard",
        "spawn",
        "start_server",
        "subprocess",
        "sync_playwright",
        "unix_serve",
    }
)


def starts_something(item: pytest.Item) -> bool:
    """Return whether a test, by its code, starts a process or a server."""
    function = getattr(item, "function", None)
    if function is None:
        return False
    fixtures = getattr(item, "_fixtureinfo").name2fixturedefs.values()  # noqa: B009 pytest has no public way to them
    return any(_starts(_plain(one)) for one in (function, *(found[-1].func for found in fixtures)))


@cache
def _starts(function: FunctionType) -> bool:
    seen = {function}
    left = [function]
    while left:
        one = left.pop()
        names = set(_names(one.__code__))
        if names & STARTS:
            return True
        found = [each for name in names for each in _functions(one.__globals__.get(name))]
        new = [each for each in found if each.__module__.startswith("tests.")]
        left += [each for each in new if each not in seen]
        seen.update(new)
    return False


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _functions(value: object) -> list[FunctionType]:
    inside = vars(value).values() if isinstance(value, type) else [value]
    return [found for found in map(_plain, inside) if isinstance(found, FunctionType)]


def _plain(function: Any) -> Any:
    """Return the function that decorators were put around."""
    while True:
        inner: Callable[..., object] | None = getattr(function, "__wrapped__", None)
        inner = inner or getattr(getattr(function, "hypothesis", None), "inner_test", None)
        if inner is None or inner is function:
            return getattr(function, "__func__", function)
        function = inner
