"""A count with its noun, in every text that a user reads."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from replaylab.plural import count_of

PACKAGE = Path(__file__).parent.parent / "replaylab"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 games"), (1, "1 game"), (2, "2 games"), (1_000, "1,000 games"), (10**6, "1,000,000 games")],
)
def test_only_one_is_singular(count: int, text: str) -> None:
    """The noun has an s unless the count is one, and thousands are separated."""
    assert count_of(count, "game") == text


def test_no_plural_is_made_by_hand() -> None:
    """No other module makes the s itself: no text of the package holds an expression whose value is an s or nothing."""
    found = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.name != "plural.py"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FormattedValue)
        and any(isinstance(part, ast.Constant) and part.value == "s" for part in ast.walk(node.value))
    ]
    assert not found, f"count_of(count, noun) makes a plural: {found}"
