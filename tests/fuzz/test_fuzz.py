"""Fuzzing: 200,000 inputs for the readers of bytes from outside, the same ones at every run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.targets import TARGETS, seeds

ROOT = Path(__file__).resolve().parent.parent.parent
INPUTS = int(os.environ.get("FUZZ_INPUTS", "200000"))  # for all targets together; `make fuzz` sets 10 million
CORPUS = os.environ.get("FUZZ_CORPUS")  # a folder that is kept; without it each run begins with the seeds


@pytest.mark.timeout(0 if INPUTS > 200_000 else 300)
@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_read_by_the_laws(name: str, tmp_path: Path) -> None:
    """No exception but ours, every byte and line accounted for, the fast roads find what the careful one finds."""
    inputs = INPUTS * TARGETS[name].share // 1000
    corpus = (Path(CORPUS) if CORPUS else tmp_path) / name / "corpus"
    command = [sys.executable, "-m", "tests.fuzz", name, str(inputs), "--corpus", str(corpus)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    said = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith("INFO: Instrumenting")]
    assert done.returncode == 0, "\n".join(said[-60:])
    assert any(str(inputs) in line for line in said), "\n".join(said[-60:])


def test_all_inputs_are_shared_out() -> None:
    """The shares of the targets make a whole, and each has seeds by which its reader finds something."""
    assert sum(one.share for one in TARGETS.values()) == 1000
    assert all(seeds(name) for name in TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_a_finding_ends_the_run(name: str, tmp_path: Path) -> None:
    """A law that is broken is noticed: without this the test above could pass on nothing."""
    code = (
        "import sys; from tests.fuzz import targets, __main__ as run\n"
        f"targets.TARGETS[{name!r}] = targets.Target(lambda data: 1 / 0, 1)\n"
        f"sys.argv = ['fuzz', {name!r}, '10', '--corpus', {str(tmp_path / 'corpus')!r}]\n"
        "run.main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "ZeroDivisionError" in done.stdout + done.stderr
