"""Fingerprint: a digest of what a function does and of what it is given, the same in every process.

A function is told by its code, defaults, closure, and the globals that it reads, those of its own helpers included; a
name of an installed package by the package's version. Comments and places in files do not count. What a function reads
while it runs (files, the clock, the network) is not seen.
"""

from __future__ import annotations

import dis
import functools
import sys
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any, Final

import numpy as np
import xxhash

from replaylab.errors import AnalysisError

_PLAIN: Final = (type(None), bool, int, float, complex, str, bytes, Decimal, date, time, timedelta, range, type(...))
_GLOBALS: Final = {"LOAD_GLOBAL", "LOAD_NAME"}
_UNTOLD: Final = {"__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "__static_attributes__"}


def fingerprint(*values: object) -> tuple[str, dict[str, str]]:
    """Give a digest of values, functions among them, and the versions of the packages that they name.

    Raises
    ------
    AnalysisError
        For a value that cannot be told from another, such as an open file.

    Examples
    --------
    >>> one, _ = fingerprint(lambda game: len(game), {"window": 40})
    >>> same, _ = fingerprint(lambda game: len(game), {"window": 40})
    >>> other, _ = fingerprint(lambda game: len(game), {"window": 41})
    >>> one == same, one == other
    (True, False)
    """
    walk = _Walk()
    for value in values:
        walk.feed(value)
    return walk.digest.hexdigest(), dict(sorted(walk.packages.items()))


class _Walk:
    """Goes through a value and everything that it refers to, each thing once."""

    def __init__(self) -> None:
        self.digest = xxhash.xxh3_128()
        self.packages: dict[str, str] = {}
        self._met: dict[int, tuple[int, object]] = {}  # the objects too, so that no id is used again

    def feed(self, value: object) -> None:
        """Add a value."""
        if isinstance(value, Enum):
            self._add(type(value).__qualname__, value.name)
        elif isinstance(value, _PLAIN):
            self._add(type(value).__name__, repr(value))
        elif id(value) in self._met:
            self._add("again", self._met[id(value)][0])
        else:
            self._met[id(value)] = len(self._met), value
            self._feed_new(value)

    def _feed_new(self, value: object) -> None:
        match value:
            case list() | tuple():
                self._sequence(type(value).__name__, value)
            case dict():
                self._unordered("dict", value.items())
            case set() | frozenset():
                self._unordered("set", value)
            case np.ndarray() if value.dtype != object:
                self._add("array", value.dtype.str, value.shape)
                self.digest.update(np.ascontiguousarray(value).tobytes())
            case CodeType():
                self._code(value)
            case ModuleType():
                self._module(value)
            case FunctionType() | BuiltinFunctionType() | type():
                self._named(value)
            case MethodType():
                self._sequence("method", [value.__func__, value.__self__])
            case functools.partial():
                self._sequence("partial", [value.func, value.args, value.keywords])
            case _:
                self._object(value)

    def _add(self, *texts: object) -> None:
        text = "\x1f".join(str(one) for one in texts)
        self.digest.update(f"{len(text)}:{text}".encode("utf-8", "surrogatepass"))

    def _sequence(self, kind: str, values: Iterable[object]) -> None:
        found = list(values)
        self._add(kind, len(found))
        for value in found:
            self.feed(value)

    def _unordered(self, kind: str, values: Iterable[object]) -> None:
        self._add(kind, *sorted(self._alone(value) for value in values))

    def _alone(self, value: object) -> str:
        walk = _Walk()
        walk._met = dict(self._met)
        walk.packages = self.packages
        walk.feed(value)
        return walk.digest.hexdigest()

    def _code(self, code: CodeType) -> None:
        self._add("code", code.co_name, code.co_varnames, code.co_names, code.co_argcount, code.co_flags)
        self.digest.update(code.co_code)
        self._sequence("constants", code.co_consts)

    def _module(self, module: ModuleType) -> None:
        if self._versioned(module.__name__):
            return
        path = getattr(module, "__file__", None)
        self._add("module", module.__name__)
        if path is not None and Path(path).is_file():
            self.digest.update(Path(path).read_bytes())

    def _named(self, value: Any) -> None:
        name = f"{value.__module__}.{value.__qualname__}"
        if self._versioned(value.__module__ or "builtins", value.__qualname__) or isinstance(
            value, BuiltinFunctionType
        ):
            self._add("name", name)
        elif isinstance(value, FunctionType):
            self._add("function")
            self._sequence("given", [value.__code__, value.__defaults__, value.__kwdefaults__])
            self._sequence("closure", [cell.cell_contents for cell in value.__closure__ or ()])
            known = [one for one in sorted(set(_global_names(value.__code__))) if one in value.__globals__]
            self._sequence("globals", [part for one in known for part in (one, value.__globals__[one])])
        else:
            told = {key: each for key, each in vars(value).items() if key not in _UNTOLD}
            self._add("class", value.__qualname__)
            self._sequence("bases", value.__bases__)
            self._sequence("members", [part for key in sorted(told) for part in (key, told[key])])

    def _versioned(self, module: str, name: str = "") -> bool:
        """Add a name of an installed package, with its version; False for a module of the user's own."""
        package = module.partition(".")[0]
        if package in sys.stdlib_module_names and package != "__main__":
            self._add("installed", module, name)
            return True
        version = getattr(sys.modules.get(package), "__version__", None)
        if package == "__main__" or version is None:
            return False
        self.packages[package] = str(version)
        self._add("installed", module, name, version)
        return True

    def _object(self, value: object) -> None:
        if isinstance(value, property):
            self._sequence("property", [value.fget, value.fset, value.fdel])
            return
        if isinstance(value, classmethod | staticmethod):
            self._sequence(type(value).__name__, [value.__func__])
            return
        try:
            made = value.__reduce_ex__(4)
        except Exception as error:
            raise AnalysisError(
                f"a {type(value).__qualname__} has no digest ({error}); hand it over in parameters as text or numbers, "
                "open it inside the function, or leave cache= out"
            ) from error
        if isinstance(made, str):
            if not self._versioned(getattr(value, "__module__", None) or type(value).__module__, made):
                self._add("object", type(value).__qualname__, made)
            return
        self._sequence("object", [one if not isinstance(one, Iterator) else list(one) for one in made])


def _global_names(code: CodeType) -> Iterator[str]:
    """Give the names that code, and the code inside it, reads from its module."""
    for step in dis.get_instructions(code):
        if step.opname in _GLOBALS:
            yield str(step.argval)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _global_names(constant)


def source_of(fn: object) -> str:
    """Give the source text of a function, where there is one to be found."""
    import inspect

    while isinstance(fn, functools.partial):
        fn = fn.func
    target: Any = fn if isinstance(fn, FunctionType | MethodType | type) else type(fn)
    try:
        return inspect.getsource(target)
    except (OSError, TypeError):
        return ""


def versions(packages: Mapping[str, str]) -> dict[str, str]:
    """Give the versions that a result depends on."""
    from importlib.metadata import version

    own = {"python": ".".join(map(str, sys.version_info[:3])), "replaylab": version("replaylab")}
    return {**own, "numpy": np.__version__, "pyarrow": version("pyarrow"), **packages}
