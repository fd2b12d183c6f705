"""The state that the threads of a recorder share: each field is written by the class that it belongs to."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Final

import pytest

import replaylab.recording.recorder

ROOM: Final = Path(replaylab.recording.recorder.__file__).parent
STREAMS: Final = {"pipe", "refusals"}  # of one thread: they share nothing
CHANGES: Final = {"append", "extend", "insert", "remove", "pop", "clear", "sort", "update", "setdefault", "discard"}
MODULES: Final = sorted(path.stem for path in ROOM.glob("*.py") if path.stem not in STREAMS)


def written_elsewhere(tree: ast.AST) -> list[str]:
    """Return the assignments to, and changes of, fields of any object but `self`."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            targets: list[ast.expr] = node.targets
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            targets = [node.target]
        elif isinstance(node, ast.Delete):
            targets = node.targets
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
            targets = [node.func.value]
        else:
            continue
        found += [ast.unparse(target) for target in _flat(targets) if _is_field_of_another(target)]
    return found


def _flat(targets: list[ast.expr]) -> list[ast.expr]:
    return [one for target in targets for one in (target.elts if isinstance(target, ast.Tuple) else [target])]


def _is_field_of_another(target: ast.expr) -> bool:
    while isinstance(target, ast.Subscript | ast.Starred):
        target = target.value
    return isinstance(target, ast.Attribute) and not (isinstance(target.value, ast.Name) and target.value.id == "self")


@pytest.mark.parametrize("module", MODULES)
def test_no_class_writes_a_field_of_another(module: str) -> None:
    """A field that several threads read has one writer, so that its order of changes can be reasoned about."""
    tree = ast.parse((ROOM / f"{module}.py").read_text(encoding="utf-8"))
    assert written_elsewhere(tree) == []


def test_the_rule_sees_what_it_forbids() -> None:
    """Each spelling of a write is noticed, and a write to a field of one's own is not."""
    tree = ast.parse("""
self.size = 1
self.retired.append(file)
local.append(file)
state.size, other = 1, 2
state.count += 1
del state.lines[:3]
state.lines[:] = []
state.journals.retired.append(file)
""")
    assert written_elsewhere(tree) == [
        "state.size",
        "state.count",
        "state.lines[:3]",
        "state.lines[:]",
        "state.journals.retired",
    ]
