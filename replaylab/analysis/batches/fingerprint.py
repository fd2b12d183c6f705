"""Fingerprint: a digest of what a function does and of what it is given, the same in every process.

A function is identified by its code, defaults, closure, attributes, and the globals that it reads, those of its own
helpers included; a module of the user's, imported by the file or inside the function, by all that is in it; what
belongs to an installed package by the package's version. Comments and places in files do not count, except in such
modules. What a function reads while it runs (files, the clock, the network, a name looked up by text) is not seen.
"""

from __future__ import annotations

import functools
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any, Final

import numpy as np
import xxhash

from replaylab.analysis.batches.origin import global_names, imported, installed_version
from replaylab.errors import AnalysisError

_PLAIN: Final = (type(None), bool, int, float, complex, str, bytes, Decimal, date, time, timedelta, range, type(...))
_HEAP_TYPE: Final = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class that was made by a class statement
_CODE: Final = (FunctionType, type, ModuleType)  # what refers to other code, and that to more
_CONTENT: Final = (*_PLAIN, Enum, list, tuple, dict, set, frozenset, np.ndarray)
_IGNORED: Final = {"__dict__", "__weakref__", "__doc__", "__module__", "__firstlineno__", "__static_attributes__"}


def fingerprint(*values: object) -> tuple[str, dict[str, str]]:
    """Return a digest of values, functions among them, and the versions of the packages that they name.

    Raises
    ------
    AnalysisError
        For a value without content that can be digested, such as an open file.

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
    walk.finish()
    return walk.digest.hexdigest(), dict(sorted(walk.packages.items()))


class _Walk:
    """Goes through a value and everything that it refers to, each thing once."""

    def __init__(self) -> None:
        self.digest = xxhash.xxh3_128()
        self.packages: dict[str, str] = {}
        self._met: dict[int, tuple[int, object]] = {}  # the objects too, so that no id is used again
        self._later: deque[tuple[object, bool]] = deque()  # code, and whether something in it may have no digest
        self._lenient = False

    def feed(self, value: object) -> None:
        """Add a value; functions, classes and modules wait for `finish`, as one may lead to thousands of others."""
        if isinstance(value, _PLAIN) and not isinstance(value, Enum):
            self._add(type(value).__name__, repr(value))
        elif id(value) in self._met:
            self._add("again", self._met[id(value)][0])
        else:
            self._met[id(value)] = len(self._met), value
            if isinstance(value, _CODE):
                self._add("later", len(self._later))
                self._later.append((value, self._lenient))
            else:
                self._feed_new(value)

    def finish(self) -> None:
        """Add what waits, and what that leads to."""
        while self._later:
            value, self._lenient = self._later.popleft()
            self._feed_new(value)

    def _feed_new(self, value: object) -> None:  # noqa: C901 one case for each kind
        match value:
            case Enum():
                self._sequence("enum", [type(value), value.name, value.value])
            case list() | tuple():
                self._sequence(type(value).__name__, value)
            case dict() | MappingProxyType():
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
        walk._lenient = self._lenient
        walk.feed(value)
        walk.finish()
        return walk.digest.hexdigest()

    def _code(self, code: CodeType) -> None:
        counts = (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags)
        self._add("code", code.co_name, code.co_varnames, code.co_names, *counts)
        self.digest.update(code.co_code)
        self.digest.update(code.co_exceptiontable)
        self._sequence("constants", code.co_consts)

    def _module(self, module: ModuleType) -> None:
        if self._versioned(module.__name__):
            return
        path = getattr(module, "__file__", None)
        self._add("module", module.__name__)
        if path is not None and Path(path).is_file():
            self.digest.update(Path(path).read_bytes())
        for name, value in sorted(vars(module).items()):  # as loaded, which the file may be ahead of
            if not name.startswith("__") and isinstance(value, _CODE + _CONTENT):
                self._add(name)
                self._feed_leniently(value)

    def _feed_leniently(self, value: object) -> None:
        """Add a value that may hold parts without a digest: those count by their type alone."""
        before, self._lenient = self._lenient, True
        try:
            self.feed(value)
        finally:
            self._lenient = before

    def _named(self, value: Any) -> None:
        name = f"{value.__module__}.{value.__qualname__}"
        module = value.__module__ or "builtins"
        own = module == "builtins" and _is_python(value)  # made by exec: Python's own builtins are not written in it
        if not own and (self._versioned(module, value.__qualname__) or isinstance(value, BuiltinFunctionType)):
            self._add("name", name)
            if isinstance(value, FunctionType):
                for cell in _cells(value):  # a wrapper made by a package holds functions of the user's
                    self._feed_leniently(cell)
        elif isinstance(value, FunctionType):
            self._function(value)
        else:
            members = {key: each for key, each in vars(value).items() if key not in _IGNORED}
            self._add("class", value.__qualname__)
            self._sequence("bases", value.__bases__)
            self._sequence("members", [part for key in sorted(members) for part in (key, members[key])])

    def _function(self, value: FunctionType) -> None:
        self._add("function")
        self._sequence("given", [value.__code__, value.__defaults__, value.__kwdefaults__])
        self._sequence("closure", _cells(value))
        for name, one in sorted(vars(value).items()):
            self._add(name)
            self._feed_leniently(one)
        known = [one for one in sorted(set(global_names(value.__code__))) if one in value.__globals__]
        self._sequence("globals", [part for one in known for part in (one, value.__globals__[one])])
        self._sequence("imports", imported(value.__code__, value.__globals__.get("__package__") or ""))

    def _versioned(self, module: str, name: str = "") -> bool:
        """Add a name of an installed package, with its version; False for a module of the user's own."""
        version = installed_version(module)
        if version is None:
            return False
        if version:
            self.packages[module.partition(".")[0]] = version
        self._add("installed", module, name, version)
        return True

    def _object(self, value: object) -> None:
        if isinstance(value, property):
            self._sequence("property", [value.fget, value.fset, value.fdel])
            return
        if isinstance(value, classmethod | staticmethod):
            self._sequence(type(value).__name__, [value.__func__])
            return
        if isinstance(value, functools.cached_property):
            self._sequence("cached_property", [value.func])
            return
        if hasattr(value, "__wrapped__"):  # such as a function with an lru_cache, which pickles as its name alone
            self._sequence(type(value).__name__, [value.__wrapped__])
            return
        try:
            made = value.__reduce_ex__(4)
        except Exception as error:
            if self._lenient:
                self._add("untold", type(value).__qualname__)
                return
            raise AnalysisError(
                f"a {type(value).__qualname__} has no digest ({error}); hand it over in parameters as text or numbers, "
                "open it inside the function, or leave cache= out"
            ) from error
        if isinstance(made, str):
            if not self._versioned(getattr(value, "__module__", None) or type(value).__module__, made):
                self._add("object", type(value).__qualname__, made)
            return
        self._sequence("object", [one if not isinstance(one, Iterator) else list(one) for one in made])


def _is_python(value: object) -> bool:
    return isinstance(value, FunctionType) or (isinstance(value, type) and bool(value.__flags__ & _HEAP_TYPE))


def _cells(function: FunctionType) -> list[object]:
    """Return the values of a function's closure; a variable without a value yet is None."""
    found = []
    for cell in function.__closure__ or ():
        try:
            found.append(cell.cell_contents)
        except ValueError:  # the one way to ask
            found.append(None)
    return found


def source_of(fn: object) -> str:
    """Return the source text of a function, where there is one to be found."""
    import inspect
    import tokenize

    while isinstance(fn, functools.partial):
        fn = fn.func
    target: Any = fn if isinstance(fn, FunctionType | MethodType | type) else type(fn)
    try:
        return inspect.getsource(target)
    except (OSError, TypeError, SyntaxError, tokenize.TokenError):  # the last two: its file was edited since
        return ""


def versions(packages: Mapping[str, str]) -> dict[str, str]:
    """Return the versions that a result depends on."""
    from importlib.metadata import version

    own = {"python": ".".join(map(str, sys.version_info[:3])), "replaylab": version("replaylab")}
    return {**own, "numpy": np.__version__, "pyarrow": version("pyarrow"), **packages}
