"""User script: a Python file with a function of one game, and its parameters."""

from __future__ import annotations

import ast
import os
import sys
import traceback
from collections.abc import Callable, Iterable
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any, Final

from replaylab.durable import of_user
from replaylab.errors import AnalysisError

FUNCTION: Final = "analyse"


def function_in(path: str | os.PathLike[str], name: str = FUNCTION) -> Callable[..., Any]:
    r"""Return the function of a game in a script; files beside the script can be imported by it.

    Raises
    ------
    AnalysisError
        When the file is not there, cannot be loaded, or has no such function.

    Examples
    --------
    >>> import tempfile
    >>> script = Path(tempfile.mkdtemp(), "lengths.py")
    >>> _ = script.write_text("def analyse(game):\n    return len(game)\n")
    >>> function_in(script)([1, 2, 3])
    3
    """
    file = of_user(path)
    if not file.is_file():
        raise AnalysisError(f"no script at {file}; pass a Python file with a function {name}(game)")
    loader = SourceFileLoader(file.stem, str(file))
    spec = spec_from_loader(loader.name, loader)
    if spec is None:
        raise AnalysisError(f"{file} cannot be loaded; pass a Python file with a function {name}(game)")
    module = module_from_spec(spec)
    beside = str(file.resolve().parent)
    sys.path.insert(0, beside)
    try:
        loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise AnalysisError(f"{file} cannot be loaded: {_error_text(error, file)}") from error
    found = getattr(module, name, None)
    if not callable(found):
        raise AnalysisError(f"{file} has no function {name}(game); write one, or name another with --function")
    return found  # type: ignore[no-any-return]


def _error_text(error: BaseException, file: Path) -> str:
    """Return the error of a script and its line."""
    lines = [one.lineno for one in traceback.extract_tb(error.__traceback__) if one.filename == str(file)]
    line = error.lineno if isinstance(error, SyntaxError) else lines[-1] if lines else None
    said = error.msg if isinstance(error, SyntaxError) else error
    return f"{type(error).__name__}: {said}" + (f" (line {line})" if line else "")


def parameters_of(given: Iterable[str]) -> dict[str, Any]:
    """Return parameters written as ``name=value``; a value that is no Python literal is a text.

    Examples
    --------
    >>> parameters_of(["window=40", "odds=2.5", "kind=late", "ids=['a', 'b']"])
    {'window': 40, 'odds': 2.5, 'kind': 'late', 'ids': ['a', 'b']}
    """
    found: dict[str, Any] = {}
    for one in given:
        name, mark, text = one.partition("=")
        if not mark or not name.isidentifier():
            raise AnalysisError(f"{one!r} is no parameter; write name=value")
        if name in found:
            raise AnalysisError(f"the parameter {name} appears twice")
        found[name] = _value(text)
    return found


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text
