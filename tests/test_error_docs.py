"""The page on errors: every public error is on it, under its name, with when it comes and what to do."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from replaylab import errors

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "errors.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^### (\w+)\n(.*?)(?=^#|\Z)", PAGE, re.DOTALL | re.MULTILINE))
CLASSES = {name: found for name, found in inspect.getmembers(errors, inspect.isclass) if not name.startswith("_")}


def test_errors_are_found() -> None:
    """The walk sees the tree: a wrong path would make every other test here pass on nothing."""
    assert {"ReplayLabError", "TickError", "StoreBusy"} <= CLASSES.keys()


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_error_is_documented(name: str) -> None:
    """Each error has a section that says when it is raised and what to do about it."""
    assert name in SECTIONS, f"docs/errors.md has no section on {name}"
    assert re.search(r"^When: \w", SECTIONS[name], re.MULTILINE)
    assert re.search(r"^What to do: \w", SECTIONS[name], re.MULTILINE)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_builtin_is_named(name: str) -> None:
    """The section names the builtin that the error is also a child of."""
    builtins = [
        base.__name__ for base in CLASSES[name].__bases__ if base.__module__ == "builtins" and base is not Exception
    ]
    assert all(f"`{builtin}`" in SECTIONS[name] for builtin in builtins)


def test_no_error_is_made_up() -> None:
    """The page tells of no error that does not exist."""
    assert SECTIONS.keys() <= CLASSES.keys()
