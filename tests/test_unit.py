"""`make check`: tests of every room, none of which starts a process or a server."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.stores import quiet, run_child
from tests.unit import starts_something

ROOT = Path(__file__).resolve().parent.parent
NOT_ROOMS = {"browser", "crash", "fuzz", "laws", "stores"}  # ways of testing, over several rooms


def test_every_room_is_in_make_check() -> None:
    """Each folder of tests that mirrors a room has a file there, and each file named there exists."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = re.search(r"^UNIT := ((?:.+\\\n)*.+)$", makefile, re.MULTILINE)
    assert named
    text = re.sub(
        r"\$\(addprefix (\S+?),([^)]*)\)",
        lambda found: " ".join(found[1] + name for name in found[2].split()),
        named[1].replace("\\\n", " "),
    )
    paths = [word for word in text.split() if word.startswith("tests/")]
    rooms = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and path.name[0] not in "._"} - NOT_ROOMS
    assert rooms == {path.split("/")[1] for path in paths if "/test_[" not in path}
    assert [path for path in paths if "[" not in path and not (ROOT / path).exists()] == []


def _by_itself() -> None:
    subprocess.run([sys.executable], check=True)


def _by_another() -> None:
    run_child("")


def _inside() -> None:
    assert [run_child("") for _ in range(1)]


def _nothing() -> None:
    quiet(Path(), Path())


@pytest.mark.parametrize(
    ("function", "starts"), [(_by_itself, True), (_by_another, True), (_inside, True), (_nothing, False)]
)
def test_what_starts_a_process_is_found(function: Callable[[], None], starts: bool) -> None:  # noqa: FBT001 a parameter
    """Directly, by a function of the tests that it calls, and in a piece of code inside it."""
    item: Any = SimpleNamespace(function=function, _fixtureinfo=SimpleNamespace(name2fixturedefs={}))
    assert starts_something(item) is starts
