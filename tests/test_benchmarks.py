"""The benchmarks run: each prints its ratio lines on tiny input. No time is asserted; figures need a quiet machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "benchmarks"
SHARED = {"analysis.coverage", "material", "measure", "peers", "widgets.ways"}
IN_A_BROWSER = {
    "dashboards.dashboard",
    "widgets.browse",
    "widgets.player",
    "widgets.player_ways",
    "widgets.reopened",
    "widgets.soak",
}  # need Chromium and minutes: tests/browser drives the same player
ALL = {".".join(path.relative_to(FOLDER).with_suffix("").parts) for path in FOLDER.rglob("*.py")}
SCRIPTS = sorted(ALL - SHARED - IN_A_BROWSER)
RATIO = re.compile(r"^ratio (.+): (\d+\.\d+) \(.+\)$", re.MULTILINE)


def printed(script: str, folder: Path) -> str:
    """What a benchmark prints on tiny simulated input."""
    command = [sys.executable, "-m", f"benchmarks.{script}", "--quick", "--recordings", str(folder)]
    path = os.pathsep.join(filter(None, [str(FOLDER.parent), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path, "TMPDIR": str(folder)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", SCRIPTS)
def test_prints_its_ratio(script: str, tmp_path: Path) -> None:
    """A benchmark runs without the real recordings, prints a positive ratio, and leaves nothing behind."""
    ratios = RATIO.findall(printed(script, tmp_path))
    assert ratios
    assert all(name.startswith(script.rpartition(".")[2]) for name, _ in ratios)
    assert all(float(value) > 0 for _, value in ratios)
    assert not list(tmp_path.iterdir())


def test_exactness_has_none_wrong(tmp_path: Path) -> None:
    """Of the prices that go through replaylab, none comes back as another number; a float column loses 38 digits."""
    rows = re.findall(r"│ (\S.*?) +│ +([\d,]+) │ +([\d,]+) │", printed("conversion.exactness", tmp_path))
    wrong = {name: (ticks, random) for name, ticks, random in rows}
    assert wrong["replaylab"] == ("0", "0")
    assert wrong["json + Decimal"] == ("0", "0")
    assert wrong["Polars, price as Float64"][1] == "2,000"


def test_make_runs_every_benchmark() -> None:
    """`make bench` names every script there is."""
    makefile = (FOLDER.parent / "Makefile").read_text(encoding="utf-8")
    named = re.search(r"^BENCHMARKS := ((?:.+\\\n)*.+)$", makefile, re.MULTILINE)
    assert named
    assert set(named[1].replace("\\\n", " ").split()) - IN_A_BROWSER == set(SCRIPTS)


def test_readme_names_every_benchmark() -> None:
    """The page about the benchmarks has a section on each script."""
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert {
        name.replace("/", ".") for name in re.findall(r"^## ([\w/]+)\.py", page, re.MULTILINE)
    } - IN_A_BROWSER == set(SCRIPTS)
