"""The direction of the package: who may import whom, who may touch the disk, and what `import replaylab` may load."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "replaylab"

# A module imports only from rows above its own, or from its own folder. A folder is one entry.
LAYERS: list[list[str]] = [
    ["doors", "errors", "keywords", "log_file", "nesting", "plural", "progress", "urls"],
    ["clock", "columns", "compute", "continuity", "durable", "kernel", "tick"],
    ["mark"],
    ["worker"],
    ["encryption", "settings", "simulation", "table"],
    ["charts"],
    ["parsing"],
    ["segments"],
    ["journals"],
    ["storage"],
    ["postgres", "retention", "watching"],
    ["conversion", "fair", "playback"],
    ["feeds", "recording"],
    ["sessions", "testing"],
    ["analysis", "service", "widgets"],
    ["dashboards", "exports"],
    ["logs"],
    ["cli"],
    ["__main__"],
]
ROW = {name: row for row, names in enumerate(LAYERS) for name in names}

# Faces of the package: each may use what lies above, none may use another.
FACES = {"analysis", "service", "widgets"}

PURE = {"errors", "nesting", "plural", "tick", "clock", "parsing.json_line"}
IMPURE = {"os", "io", "pathlib", "threading", "time", "asyncio", "subprocess", "socket"}
DISK_VERBS = {"fsync", "fdatasync", "rename", "renames", "replace", "link"}

# Heavy or serving packages that a user of the front door has not asked for yet.
NOT_AT_IMPORT = {
    "anywidget",
    "cryptography",
    "duckdb",
    "ipywidgets",
    "matplotlib",
    "pandas",
    "pydantic",
    "rich",
    "tqdm",
    "typer",
}
NOT_AT_IMPORT |= {"IPython", "aiohttp", "fastapi", "http.server", "socketserver", "starlette", "tornado", "uvicorn"}


def dotted(path: Path) -> str:
    """Name of the module in a file, without the package: `tick`, `feeds.base`; the root is the empty string."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = {dotted(path): path for path in sorted(PACKAGE.rglob("*.py"))}
MODULES = sorted(set(PATHS) - {""})


def tree_of(module: str) -> ast.Module:
    """Read a module."""
    return ast.parse(PATHS[module].read_text(encoding="utf-8"))


def imports_of(tree: ast.AST) -> set[str]:
    """Every name that a module imports, also inside a function; a bare `import a.b` is marked, because it binds `a`."""
    names: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                names |= {a.name + ":bare" if "." in a.name and not a.asname else a.name for a in node.names}
            case ast.ImportFrom(level=0, module="replaylab"):
                names.add("replaylab")
            case ast.ImportFrom(level=0, module=str(module)):
                names |= {f"{module}.{alias.name}" for alias in node.names}
            case ast.ImportFrom():
                names.add("relative")
            case ast.Call(
                func=ast.Attribute(attr="import_module") | ast.Name(id="import_module" | "__import__"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                names.add(name)
    return names


@cache
def imports(module: str) -> frozenset[str]:
    """Every name that a module of the package imports."""
    return frozenset(imports_of(tree_of(module)))


def siblings(names: set[str] | frozenset[str]) -> set[str]:
    """Modules of this package among imported names, as `dotted` names them; the root is the empty string."""
    found: set[str] = set()
    for name in names:
        parts = name.removesuffix(":bare").split(".")
        if parts[0] != "replaylab":
            continue
        inner = ".".join(parts[1:])
        while inner and inner not in PATHS:
            inner = inner.rpartition(".")[0]
        found.add(inner)
    return found


@cache
def graph() -> dict[str, set[str]]:
    """Return which modules each imports."""
    return {module: siblings(imports(module)) for module in MODULES}


def circle_from(start: str) -> list[str]:
    """Return the shortest way along imports from a module back to itself; empty when there is none."""
    ways = [[start]]
    seen: set[str] = set()
    for way in ways:
        for target in sorted(graph().get(way[-1], ())):
            if target == start:
                return [*way, target]
            if target not in seen:
                seen.add(target)
                ways.append([*way, target])
    return []


def loaded_by(statement: str) -> set[str]:
    """Names of all modules that a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport json, sys\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(json.loads(done.stdout))


def test_package_is_found() -> None:
    """The walk sees the package: a wrong path would make every other test here pass on nothing."""
    assert "errors" in MODULES


def test_table_is_sound() -> None:
    """No name stands in two rows, every name exists, and every name of a rule stands in the table."""
    names = [name for row in LAYERS for name in row]
    assert len(names) == len(set(names))
    assert set(names) == {module.partition(".")[0] for module in MODULES}
    assert set(names) >= FACES | {name.partition(".")[0] for name in PURE}


@pytest.mark.parametrize("module", MODULES)
def test_module_is_in_the_table(module: str) -> None:
    """Every module has a place in the sentence; a new one is added to the table on purpose."""
    assert module.partition(".")[0] in ROW, f"replaylab.{module} stands in no row of LAYERS"


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_left(module: str) -> None:
    """A module imports only from rows above its own, or from its own folder."""
    room = module.partition(".")[0]
    reach = ROW.get(room, -1)
    others = {target.partition(".")[0] for target in graph()[module]} - {room, ""}
    wrong = sorted(other for other in others if ROW.get(other, reach) >= reach)
    assert not wrong, f"replaylab.{module} imports from {wrong}, which do not stand in a row above its own"


@pytest.mark.parametrize("module", MODULES)
def test_no_circles(module: str) -> None:
    """No chain of imports leads back to where it started, not even through imports inside functions."""
    circle = circle_from(module)
    assert not circle, " -> ".join(circle)


@pytest.mark.parametrize("module", MODULES)
def test_root_is_not_imported(module: str) -> None:
    """Nothing imports the package root, in any spelling: re-exporting folders breed circles."""
    names = imports(module)
    bare = sorted(name for name in names if name.startswith("replaylab.") and name.endswith(":bare"))
    assert "" not in graph()[module], (
        f"replaylab.{module} imports from the root, not from the module that defines the name"
    )
    assert not bare, f"replaylab.{module} binds the root by {bare}; write `from replaylab.x import y`"
    assert "relative" not in names, f"replaylab.{module} has a relative import"


@pytest.mark.parametrize("module", MODULES)
def test_faces_do_not_know_each_other(module: str) -> None:
    """The folders `analysis` and `widgets` use the package but never each other."""
    own = module.partition(".")[0]
    others = FACES - {own} if own in FACES else set()
    assert not {target.partition(".")[0] for target in graph()[module]} & others


def disk_verbs_in(tree: ast.AST) -> set[str]:
    """Every mention of os.fsync, os.rename, os.replace, os.link and their kin, under whatever name os goes."""
    called_os = {"os", "posix"}
    found: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Import():
                called_os |= {alias.asname for alias in node.names if alias.name == "os" and alias.asname}
            case ast.ImportFrom(module="os" | "posix"):
                found |= {alias.name for alias in node.names if alias.name in DISK_VERBS}
            case ast.Attribute(value=ast.Name(id=owner), attr=attr) if attr in DISK_VERBS and owner in called_os:
                found.add(attr)
            case ast.Attribute(attr="fsync" | "fdatasync" | "hardlink_to" as attr):
                found.add(attr)
    return found


@pytest.mark.parametrize("module", [module for module in PATHS if module != "durable"])
def test_only_durable_syncs_and_renames(module: str) -> None:
    """What reaches the disk whole, and when, is decided in `durable` and nowhere else."""
    assert not disk_verbs_in(tree_of(module))


@pytest.mark.parametrize("module", [module for module in MODULES if module in PURE])
def test_pure_modules_touch_nothing(module: str) -> None:
    """The pure modules know no file, thread, process, socket or clock."""
    roots = {name.partition(".")[0].partition(":")[0] for name in imports(module)}
    assert not roots & IMPURE
    for node in ast.walk(tree_of(module)):
        match node:
            case ast.Call(func=ast.Name(id="open" | "input" | "print" as name)):
                pytest.fail(f"replaylab.{module} calls {name}()")
            case ast.Attribute(value=ast.Name(id="datetime" | "date"), attr="now" | "utcnow" | "today" as name):
                pytest.fail(f"replaylab.{module} asks a clock: {name}")


def test_import_is_light() -> None:
    """`import replaylab` loads no drawing, widget, data-frame or command-line library, and no server."""
    heavy = loaded_by("import replaylab") & NOT_AT_IMPORT
    assert not heavy


def test_rules_see_what_they_forbid() -> None:
    """The readers above notice each forbidden spelling, so that a clean result means something."""
    tree = ast.parse("""
import os as o
from os import link
from . import tick

def later():
    import replaylab.errors
    from replaylab.tick import Tick
    import_module("replaylab.errors")
    o.replace("a", "b")
    handle.fsync(3)
""")
    assert disk_verbs_in(tree) == {"replace", "link", "fsync"}
    assert imports_of(tree) >= {"replaylab.tick.Tick", "replaylab.errors:bare", "replaylab.errors", "relative"}
    assert siblings(imports_of(tree)) == {"errors", "tick"}
    assert siblings(imports_of(ast.parse("from replaylab import tick"))) == {""}
    assert siblings(imports_of(ast.parse("import replaylab as rl"))) == {""}
