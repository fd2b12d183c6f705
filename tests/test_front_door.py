"""The front door: the names that users may rely on, each with a description and an example."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import subprocess
import sys

import pytest

import replaylab

NAMES = [
    "ConversionReport",
    "EnvironmentKey",
    "FileKey",
    "Game",
    "Kms",
    "Mapping",
    "Phase",
    "Recorder",
    "ReplayEngine",
    "Settings",
    "Store",
    "Tick",
    "Webhook",
    "__version__",
    "analysis",
    "browse",
    "compact",
    "compare",
    "convert",
    "dashboard",
    "encrypt",
    "errors",
    "export",
    "fair",
    "live",
    "open_feed",
    "open_store",
    "play",
    "prune",
    "recover",
    "rezone",
    "rotate",
    "serve",
    "simulate",
    "status",
    "style",
]
DESCRIBED = [name for name in NAMES if name != "__version__"]


def test_names_are_counted() -> None:
    """The public names are exactly these; adding or removing one is a decision, made here."""
    assert sorted(replaylab.__all__) == NAMES
    assert set(NAMES) <= set(dir(replaylab))


@pytest.mark.parametrize("name", NAMES)
def test_name_resolves(name: str) -> None:
    """Every public name leads to something."""
    assert getattr(replaylab, name) is not None


@pytest.mark.parametrize("name", DESCRIBED)
def test_name_is_described(name: str) -> None:
    """Every public name says what it is and shows an example, which the doctests run."""
    text = inspect.getdoc(getattr(replaylab, name)) or ""
    assert text.strip()
    assert ">>>" in text, f"the docstring of {name} has no example"


@pytest.mark.parametrize("package", ["replaylab.analysis", "replaylab.fair", "replaylab.testing"])
def test_what_a_package_gives_is_described(package: str) -> None:
    """Every function and class of the packages behind the front door shows an example too, errors apart."""
    door = importlib.import_module(package)
    given = {name: getattr(door, name) for name in door.__all__}
    made = {name: one for name, one in given.items() if inspect.isroutine(one) or inspect.isclass(one)}
    assert made
    shown = {name for name, one in made.items() if ">>>" in (inspect.getdoc(one) or "")}
    errors = {name for name, one in made.items() if inspect.isclass(one) and issubclass(one, BaseException)}
    assert set(made) - shown == errors


def test_unknown_name_is_refused() -> None:
    """A name that does not exist is an AttributeError that says which, as for any module."""
    name = "no_such_name"
    with pytest.raises(AttributeError, match=name):
        getattr(replaylab, name)


@pytest.mark.parametrize("package", ["replaylab", "replaylab.analysis"])
def test_no_module_is_hidden(package: str) -> None:
    """No module bears the name of a public function or class, so importing it cannot replace that name."""
    door = importlib.import_module(package)
    modules = {module.name for module in pkgutil.iter_modules(door.__path__)}
    both = modules & set(door.__all__)
    assert all(inspect.ismodule(getattr(door, name)) for name in both), sorted(both)


@pytest.mark.parametrize("name", ["convert", "compact", "recover", "simulate"])
def test_a_function_and_its_module(name: str) -> None:
    """`import replaylab.conversion.convert` gives a module, and `rl.convert` is the function whichever came first."""
    home = getattr(replaylab, name).__module__
    code = (
        f"import types, {home} as module\nimport replaylab as rl\n"
        f"assert isinstance(module, types.ModuleType)\nassert callable(rl.{name}) and rl.{name} is module.{name}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr


def test_version_is_the_installed_one() -> None:
    """`replaylab.__version__` and the installed package agree."""
    from importlib.metadata import version

    assert replaylab.__version__ == version("replaylab")
