"""Threats: each row of the table in docs/security.md names tests that exist, or says that the threat is not stopped."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).resolve().parent.parent
PAGE = TESTS.parent / "docs" / "security.md"


def rows() -> list[list[str]]:
    """Return the cells of the table: threat, what stops it, its tests."""
    table = PAGE.read_text(encoding="utf-8").partition("| threat |")[2]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:] if line[:1] == "|"]


def is_there(name: str, file: str) -> bool:
    """Whether a test, or a file of tests, exists; `::name` is in the file named before it."""
    path, _, function = name.partition("::")
    found = TESTS / (path or file)
    return found.is_file() and (not function or f"def {function}(" in found.read_text(encoding="utf-8"))


def test_each_threat_names_its_test_or_is_not_stopped() -> None:
    """A row without a test says `not stopped`; a test that is named is there."""
    assert len(rows()) >= 15
    for threat, stopped, tests in rows():
        names = re.findall(r"`([\w/.:]+)`", tests)
        assert bool(names) != stopped.startswith("not stopped"), threat
        file = ""
        for name in names:
            assert is_there(name, file), (threat, name)
            file = name.partition("::")[0] or file


def test_a_name_that_is_not_there_is_noticed() -> None:
    """The check sees what it looks for."""
    assert is_there("encryption/test_threats.py::test_a_name_that_is_not_there_is_noticed", "")
    assert is_there("::rows", "encryption/test_threats.py")
    assert not is_there("encryption/test_threats.py::test_nothing", "")
    assert not is_there("encryption/test_nothing.py", "")
