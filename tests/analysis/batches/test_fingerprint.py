"""What a function does is told by all the code that it reaches, however it reaches it."""

from __future__ import annotations

import functools
import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from replaylab.analysis.batches.fingerprint import fingerprint


def digest(*values: object) -> str:
    """The digest alone."""
    return fingerprint(*values)[0]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., ModuleType]]:
    """Write modules of a user's, by name and text, and load the first of them anew."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    names: set[str] = set()

    def write(**texts: str) -> ModuleType:
        for name, text in texts.items():
            path = tmp_path / (name.replace("__", "/") + ".py")
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        names.update(name.replace("__", ".").removesuffix(".init") for name in texts)
        forget()
        importlib.invalidate_caches()
        first = next(iter(texts)).replace("__", ".")
        return importlib.import_module(first)

    def forget() -> None:
        for name in list(sys.modules):
            if name.partition(".")[0] in {one.partition(".")[0] for one in names}:
                del sys.modules[name]

    yield write
    forget()


ASKS = "import helper_of_mine\ndef fn(game):\n    return helper_of_mine.value()\n"
INSIDE = "def fn(game):\n    import helper_of_mine\n    return helper_of_mine.value()\n"
FROM = "def fn(game):\n    from helper_of_mine import value\n    return value()\n"
ONE, TWO = "def value():\n    return 1\n", "def value():\n    return 2\n"


@pytest.mark.parametrize("text", [ASKS, INSIDE, FROM])
def test_a_module_of_the_users_counts(written: Callable[..., ModuleType], text: str) -> None:
    """A change in a module counts, whether the file imports it, or the function when it runs."""
    before = digest(written(asking=text, helper_of_mine=ONE).fn)
    assert digest(written(asking=text, helper_of_mine=ONE).fn) == before
    assert digest(written(asking=text, helper_of_mine=TWO).fn) != before


def test_a_module_of_a_module_counts(written: Callable[..., ModuleType]) -> None:
    """A change counts through any number of modules."""
    between = "import deep_of_mine\ndef value():\n    return deep_of_mine.value()\n"
    before = digest(written(asking=ASKS, helper_of_mine=between, deep_of_mine=ONE).fn)
    assert digest(written(asking=ASKS, helper_of_mine=between, deep_of_mine=TWO).fn) != before


def test_a_package_that_is_worked_on_counts_by_its_code(written: Callable[..., ModuleType]) -> None:
    """A package outside the place of installed ones may have a version, which says nothing of a change in its code."""
    fn = "from . import numbers_of_mine\ndef fn(game):\n    return numbers_of_mine.value()\n"
    inside = "def fn(game):\n    from . import numbers_of_mine\n    return numbers_of_mine.value()\n"
    for text in (fn, inside):
        package = {"lab_of_mine__stats": text, "lab_of_mine____init__": '__version__ = "0.1"\n'}
        before = digest(written(**package, lab_of_mine__numbers_of_mine=ONE).fn)
        assert digest(written(**package, lab_of_mine__numbers_of_mine=ONE).fn) == before
        assert digest(written(**package, lab_of_mine__numbers_of_mine=TWO).fn) != before


def test_what_is_loaded_counts_and_not_the_file_alone(written: Callable[..., ModuleType]) -> None:
    """A file that was changed and not loaded again is not what ran; nor is it the same as what the file says now."""
    asking = written(asking=ASKS, helper_of_mine=ONE)
    before = digest(asking.fn)
    Path(str(asking.helper_of_mine.__file__)).write_text(TWO, encoding="utf-8")
    edited = digest(asking.fn)
    loaded = digest(written(asking=ASKS, helper_of_mine=TWO).fn)
    assert len({before, edited, loaded}) == 3


def test_what_was_set_in_a_module_counts(written: Callable[..., ModuleType]) -> None:
    """A setting in a module that was changed while the program runs is a change."""
    asking = written(
        asking="import helper_of_mine\ndef fn(game):\n    return helper_of_mine.K\n", helper_of_mine="K = 1\n"
    )
    before = digest(asking.fn)
    asking.helper_of_mine.K = 2
    assert digest(asking.fn) != before


def test_a_module_may_hold_what_has_no_digest(written: Callable[..., ModuleType]) -> None:
    """A lock or an open file beside the helper does not keep the function from having a digest."""
    held = "import threading\nLOCK = threading.Lock()\nHELD = {'lock': LOCK}\ndef other():\n    return LOCK\n"
    before = digest(written(asking=ASKS, helper_of_mine=held + ONE).fn)
    assert digest(written(asking=ASKS, helper_of_mine=held + TWO).fn) != before


def test_a_module_that_cannot_be_loaded_is_left_to_the_function(written: Callable[..., ModuleType]) -> None:
    """An import that fails is the function's own failure, game by game."""
    assert digest(written(asking="def fn(game):\n    import nowhere_to_be_found\n").fn)
    assert digest(written(asking=INSIDE, helper_of_mine="raise RuntimeError\n").fn)


def made(text: str) -> Any:
    """A function `fn` made of text."""
    space: dict[str, Any] = {}
    exec(text, space)
    return space["fn"]


WRAPPED = {
    "lru_cache": "import functools\n@functools.lru_cache\ndef h():\n    return 1\ndef fn(game):\n    return h()\n",
    "wraps": "import functools\ndef h():\n    return 1\nfn = functools.wraps(h)(lambda game: h())\n",
    "cached_property": (
        "import functools\nclass C:\n    @functools.cached_property\n    def h(self):\n        return 1\n"
        "def fn(game):\n    return C().h\n"
    ),
    "dispatch": (
        "import functools\n@functools.singledispatch\ndef h(game):\n    return 0\n"
        "@h.register\ndef _(game: object):\n    return 1\ndef fn(game):\n    return h(game)\n"
    ),
    "attribute": "def fn(game):\n    return fn.k\nfn.k = 1\n",
    "handler": "def fn(game):\n    try:\n        return len(game)\n    except ValueError:\n        return 1\n",
}


@pytest.mark.parametrize("name", WRAPPED)
def test_what_is_wrapped_counts(name: str) -> None:
    """A helper counts behind a cache, a decorator, or a dispatcher of Python's own, and so do attributes."""
    text = WRAPPED[name]
    assert digest(made(text)) == digest(made(text))
    assert digest(made(text)) != digest(made(text.replace("1", "2")))


def test_the_value_of_a_choice_counts() -> None:
    """A member of an enumeration whose value was changed is another."""

    def level(value: int) -> Enum:
        class Level(Enum):
            HIGH = value

        return Level.HIGH

    assert digest(level(1)) != digest(level(2))
    assert digest(level(1)) == digest(level(1))


def test_long_chains_of_helpers_have_a_digest() -> None:
    """A thousand functions, each calling the next, are no deeper than one."""
    text = "".join(f"def f{n}(game):\n    return f{n + 1}(game)\n" for n in range(1000))
    end = "def f1000(game):\n    return {}\ndef fn(game):\n    return f0(game)\n"
    assert digest(made(text + end.format(1))) != digest(made(text + end.format(2)))


def test_a_variable_without_a_value_is_no_obstacle() -> None:
    """A function may name a variable of the one around it that is set later."""

    def fn(game: object) -> object:
        return later if game else None

    assert digest(fn)
    later = functools.partial(int)
    assert digest(fn) != digest(functools.partial(fn))


def test_what_a_function_itself_holds_must_have_a_digest() -> None:
    """Only what merely stands in a module beside the code may have none."""
    from replaylab.errors import AnalysisError

    lock = threading.Lock()
    with pytest.raises(AnalysisError, match="has no digest"):
        digest(lambda game: (game, lock))
    with pytest.raises(AnalysisError, match="has no digest"):
        digest(SimpleNamespace(lock=lock))


def test_installed_packages_are_not_walked() -> None:
    """A function that names numpy is told by numpy's version, not by its thousands of functions."""
    _, packages = fingerprint(lambda game: np.linalg.norm(np.asarray(game)))
    assert packages == {"numpy": np.__version__}
