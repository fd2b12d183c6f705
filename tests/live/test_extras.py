"""Without the packages of live feeds: importing loads none of them, and what needs them says how to install them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.live.copies import REPOSITORY, whole_games

SCRIPT = """
import sys
import replaylab as rl

LATE = ("websockets", "msgspec", "starlette", "uvicorn", "socketio", "jwt", "prometheus_client")
print([name for name in LATE if name in sys.modules])

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in LATE:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, *more: None if name in LATE else found(name, *more)
sys.meta_path.insert(0, Absent())
for act in (lambda: rl.open_feed("ws://127.0.0.1:9/feed"), lambda: rl.live("socketio+http://127.0.0.1:9"),
            lambda: rl.serve(sys.argv[1]), lambda: rl.serve(sys.argv[1], secret="x" * 32)):
    try:
        act()
    except rl.errors.MissingExtra as error:
        print(error)
from replaylab.cli.main import main
sys.argv = ["replaylab", "record", sys.argv[2], "--feed", "ws://127.0.0.1:9/feed"]
try:
    main()
except SystemExit as end:
    print(end.code)
"""


def test_nothing_is_loaded_and_the_extra_is_named(tmp_path: Path) -> None:
    """`import replaylab` loads none of them; what needs one names the command that installs it."""
    whole_games(tmp_path / "source", 1, 3)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path / "source"), str(tmp_path / "copy")]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    loaded, *told, code = done.stdout.splitlines()
    assert loaded == "[]"
    assert ["replaylab[live]" in line for line in told] == [True, True, False, False]
    assert ["replaylab[serve]" in line for line in told] == [False, False, True, True]
    assert code == "2"
    assert "pip install 'replaylab[live]'" in done.stderr
    assert "Traceback" not in done.stderr
