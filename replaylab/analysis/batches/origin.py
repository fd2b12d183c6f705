"""Origin of code: Python, an installed package, or the user's own files; and the names that it uses."""

from __future__ import annotations

import dis
import functools
import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, Final

_SITES: Final = {"site-packages", "dist-packages"}
_OURS: Final = __name__.partition(".")[0]
_GLOBALS: Final = {"LOAD_GLOBAL", "LOAD_NAME"}


def installed_version(module: str) -> str | None:
    """Return the version of the installed package that a module is of; "" for Python's own, None for the user's.

    A package counts as installed where packages are installed to. One that is worked on, in a folder of the user's, is
    identified by its code, even if it has a version: the version stays the same while the code changes.

    Examples
    --------
    >>> installed_version("json.decoder"), installed_version("__main__")
    ('', None)
    """
    package = module.partition(".")[0]
    if package == "__main__":
        return None
    if package in sys.stdlib_module_names:
        return ""
    if package != _OURS and not _is_site(package):
        return None
    version = getattr(sys.modules.get(package), "__version__", None)
    return str(version) if version is not None else _recorded_version(package)


def _is_site(package: str) -> bool:
    try:
        found = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return False
    if found is None:
        return False
    places = [found.origin] if found.origin else found.submodule_search_locations or ()
    return any(_SITES.intersection(Path(place).parts) for place in places)


@functools.cache
def _recorded_version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def global_names(code: CodeType) -> Iterator[str]:
    """Return the names that code, and the code inside it, reads from its module.

    Examples
    --------
    >>> sorted(set(global_names(compile("lambda: len(x)", "", "eval"))))
    ['len', 'x']
    """
    for step in dis.get_instructions(code):
        if step.opname in _GLOBALS:
            yield str(step.argval)
    for inner in _inner(code):
        yield from global_names(inner)


def imported(code: CodeType, package: str) -> Iterator[ModuleType]:
    """Return the user's own modules that code, and the code inside it, imports when it runs.

    They are loaded, as the code itself would do; one that cannot be is left to the code to report.

    Parameters
    ----------
    code : code
        Of a function.
    package : str
        That the function's module is in; relative imports start from there.
    """
    steps: list[Any] = []
    for step in dis.get_instructions(code):
        if step.opname == "IMPORT_NAME":
            level, names = (one.argval for one in steps[-2:])
            yield from _loaded("." * level + step.argval, names or (), package)
        steps.append(step)
    for inner in _inner(code):
        yield from imported(inner, package)


def _inner(code: CodeType) -> Iterator[CodeType]:
    return (constant for constant in code.co_consts if isinstance(constant, CodeType))


def _loaded(name: str, names: tuple[str, ...], package: str) -> Iterator[ModuleType]:
    try:
        full = importlib.util.resolve_name(name, package)
        if installed_version(full) is not None:
            return
        yield importlib.import_module(full)
    except Exception:  # noqa: BLE001 whatever the module raises, the function will raise it in its turn
        return
    for one in names:  # from package import module
        try:
            yield importlib.import_module(f"{full}.{one}")
        except Exception:  # noqa: BLE001, S112 mostly a name inside the module, which is known already
            continue
