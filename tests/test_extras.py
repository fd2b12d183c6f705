"""Extras: each package of each extra, missing alone, is named in one line with the command that brings it."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Final

from tests.stores import quiet, simulated

ROOT = Path(__file__).resolve().parent.parent
TOOLS: Final = {"bench", "docs", "quality", "release", "test"}  # of those who work on the package
BROUGHT: Final = {
    "cluster",
    "lab",
    "research",
}  # used by the caller, or beside the package, which imports none of theirs
MODULES: Final = {"adbc-driver-postgresql": "adbc_driver_postgresql", "PyJWT": "jwt", "python-socketio": "socketio"}
SCRIPT = """
import os, sys
import replaylab as rl
from replaylab.dashboards.server import serve_dashboard

STORE, SECRET = sys.argv[1], "0123456789abcdef0123456789abcdef"
USES = {
    "crypto": lambda: rl.FileKey(STORE + ".key", create=True).wrap(bytes(32)),
    "sql": lambda: rl.open_store(STORE).sql("SELECT 1"),
    "polars": lambda: rl.open_store(STORE).to_polars(),
    "postgresql": lambda: rl.export(STORE, "postgresql:///nowhere"),
    "live": lambda: rl.open_feed("ws://127.0.0.1:9/feed"),
    "serve": lambda: (rl.serve(STORE, secret=SECRET).stop(), serve_dashboard(STORE).stop()),
}

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=BLOCKED)

import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name == BLOCKED else found(name, *more)
sys.meta_path.insert(0, Absent())
for pair in sys.argv[2:]:
    extra, BLOCKED = pair.split(":")
    sys.stdout.flush()
    if os.fork() == 0:
        try:
            USES[extra]()
            print(pair, "was not missed")
        except rl.errors.MissingExtra as error:
            print(pair, "says", repr(str(error)))
        except BaseException as error:
            print(pair, "raises", repr(error))
        sys.stdout.flush()
        os._exit(0)
    os.wait()
"""


def test_every_missing_package_is_named_with_its_extra(tmp_path: Path) -> None:
    """Read off pyproject.toml, so an extra that is added has to say how it is missed, too."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    always = {_name(one) for one in project["dependencies"]}
    extras = {
        extra: sorted({_name(one) for one in wanted} - always)
        for extra, wanted in project["optional-dependencies"].items()
        if extra not in TOOLS | BROUGHT
    }
    pairs = [f"{extra}:{MODULES.get(name, name)}" for extra, names in extras.items() for name in names]
    quiet(simulated(tmp_path / "recordings"), tmp_path / "store")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "store"), *pairs],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    said = dict(line.split(" says ") for line in done.stdout.splitlines() if " says " in line)
    assert set(said) == set(pairs), done.stdout
    for pair, line in said.items():
        assert f"pip install 'replaylab[{pair.partition(':')[0]}]'" in line.replace("\\'", "'"), line
        assert "\\n" not in line


def test_the_package_imports_nothing_that_its_caller_brings() -> None:
    """Dask, scikit-learn and JupyterLab are handed over, or run beside it; no module of the package needs them."""
    brought = re.compile(r"^\s*(?:import|from) (?:dask|distributed|sklearn|jupyterlab)\b", re.MULTILINE)
    package = ROOT / "replaylab"
    assert [str(path) for path in package.rglob("*.py") if brought.search(_code(path))] == []


def _name(requirement: str) -> str:
    return re.split(r"[\[<>=; ]", requirement, maxsplit=1)[0]


def _code(path: Path) -> str:
    return "\n".join(
        line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith(">>>")
    )
