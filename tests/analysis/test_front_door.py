"""The front door of analysis: each name leads somewhere, says what it is, and shows an example."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

import replaylab as rl
from tests.stores import ROOT

NAMES = sorted(rl.analysis.__all__)


def test_names_are_found() -> None:
    """The walk sees the names: with none of them the other tests here would pass on nothing."""
    assert {"games", "paths", "survival"} <= set(NAMES) <= set(dir(rl.analysis))


@pytest.mark.parametrize("name", NAMES)
def test_name_is_described(name: str) -> None:
    """Every name says what it is; what it is for is shown by an example, which the doctests run."""
    found = getattr(rl.analysis, name)
    text = inspect.getdoc(found) or ""
    assert text.strip()
    if inspect.isfunction(found):
        assert ">>>" in text, f"the docstring of {name} has no example"


def test_unknown_name_is_refused() -> None:
    """A name that does not exist is an AttributeError that says which."""
    name = "no_such_name"
    with pytest.raises(AttributeError, match=name):
        getattr(rl.analysis, name)


@pytest.mark.parametrize("name", NAMES)
def test_name_survives_its_module(name: str) -> None:
    """`rl.analysis.survival` is the function whatever module of that name was imported before; so for every name."""
    before = getattr(rl.analysis, name)
    __import__(before.__module__)
    assert getattr(rl.analysis, name) is before
    assert callable(before)


def test_asking_for_the_door_loads_little() -> None:
    """`rl.analysis` itself loads neither pandas nor statsmodels: they come with the first question."""
    code = (
        "import sys, replaylab as rl; rl.analysis.paths; print({'pandas', 'scipy', 'statsmodels'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )
    assert done.stdout.strip() == "set()"
