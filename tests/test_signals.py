"""What tests start can be interrupted, also where the parent of the run ignores signals (`nohup make test &`)."""

from __future__ import annotations

import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from tests.stores import start_child

INSIDE = """
import signal, subprocess, sys

def test_inside():
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    code = "import signal; print([signal.getsignal(one) for one in (signal.SIGHUP, signal.SIGQUIT)])"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "IGN" not in shown, shown
"""


def test_signals_are_those_of_a_shell(tmp_path: Path) -> None:
    """A run whose parent ignores SIGINT, SIGQUIT and SIGHUP starts its children with the default actions."""
    conftest = Path(__file__).with_name("conftest.py").read_text(encoding="utf-8")
    (tmp_path / "conftest.py").write_text(conftest, encoding="utf-8")
    (tmp_path / "test_inside.py").write_text(INSIDE, encoding="utf-8")
    run = ["bash", "-c", 'trap "" INT QUIT HUP; exec "$@"', "bash", sys.executable, "-m", "pytest", "-q"]
    options = ["-p", "no:cacheprovider", "--rootdir", str(tmp_path), "test_inside.py"]
    done = subprocess.run([*run, *options], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout


def test_a_child_does_not_outlive_a_failed_test() -> None:
    """An error in the `with` block of a child, such as a time-out, kills it: no test waits for what never ends."""
    child = start_child("import time; time.sleep(3600)")
    with suppress(TimeoutError), child:
        raise TimeoutError
    assert child.returncode == -signal.SIGKILL
