"""`replaylab run`: a script of the user's over every game, its results in a file, its mistakes in one line."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import replaylab as rl
from replaylab.analysis import Results
from tests.stores import quiet, simulated

SCRIPT = """
from helper import doubled

def analyse(game, least=0, fails=None):
    if game.id == fails:
        raise ValueError("not this one")
    return {"rows": doubled(len(game)), "peak": game.summary["peak"], "long": len(game) >= least}

def other(game):
    return len(game)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a store of 4 games, a script, and a module that the script imports."""
    quiet(simulated(tmp_path / "recordings", games=4), tmp_path / "store")
    (tmp_path / "script.py").write_text(SCRIPT, encoding="utf-8")
    (tmp_path / "helper.py").write_text("def doubled(value):\n    return 2 * value\n", encoding="utf-8")
    return tmp_path


def run(folder: Path, *options: object, script: str = "script.py") -> subprocess.CompletedProcess[str]:
    """Run the command."""
    command = [str(Path(sys.executable).parent / "replaylab")]
    arguments = ["run", str(folder / script), str(folder / "store"), *map(str, options)]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=240, check=False)


def test_results_in_a_file(folder: Path) -> None:
    """The rows and the manifest are in the file, with the parameters; a second run from the cache computes nothing."""
    options = ("--set", "least=200", "--to", folder / "new" / "results.parquet", "--cache", folder / "cache")
    done = run(folder, *options)
    assert done.returncode == 0, done.stderr
    assert "4 computed, 0 cached, 0 failed" in done.stdout
    found = Results.load(folder / "new" / "results.parquet")
    games = rl.Store(folder / "store").games()
    assert found.table["rows"].to_pylist() == (2 * games["rows"]).to_list()
    assert found.table["long"].to_pylist() == (games["rows"] >= 200).to_list()
    assert found.manifest.parameters == {"least": 200}
    assert "0 computed, 4 cached, 0 failed" in run(folder, *options, "--workers", 2).stdout
    (folder / "helper.py").write_text("def doubled(value):\n    return 3 * value\n", encoding="utf-8")
    assert "4 computed, 0 cached, 0 failed" in run(folder, *options).stdout


def test_results_on_the_screen(folder: Path) -> None:
    """Without a file the first rows are shown, as a table or as JSON; nothing is written anywhere."""
    before = sorted(one for one in folder.rglob("*") if "__pycache__" not in one.parts)
    ids = rl.Store(folder / "store").game_ids()
    shown = run(folder, "--function", "other").stdout
    assert all(game in shown for game in ids)
    told = json.loads(run(folder, "--json").stdout)
    assert (told["games"], told["complete"], told["to"]) == (4, True, None)
    assert {row["game_id"] for row in told["table"]} == set(ids)
    assert sorted(one for one in folder.rglob("*") if "__pycache__" not in one.parts) == before


def test_a_failed_game_is_told(folder: Path) -> None:
    """A game that fails ends the command with 1, is named on standard error, and is a row of the file."""
    bad = rl.Store(folder / "store").game_ids()[1]
    done = run(folder, "--set", f"fails={bad}", "--to", folder / "results.parquet")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"replaylab: {bad}: ValueError: not this one (script.py:6 in analyse)"]
    assert Results.load(folder / "results.parquet").failed["game_id"].to_pylist() == [bad]


MISTAKES = {
    "missing": ((), "nothing.py", "no script at"),
    "no function": (("--function", "nothing"), "script.py", "has no function nothing(game)"),
    "syntax": ((), "syntax.py", "(line 2)"),
    "import": ((), "imports.py", "ModuleNotFoundError: No module named 'nowhere' (line 1)"),
    "parameter": (("--set", "least"), "script.py", "'least' is no parameter"),
    "twice": (("--set", "least=1", "--set", "least=2"), "script.py", "appears twice"),
    "ending": (("--to", "results.csv"), "script.py", "ends in .parquet"),
    "workers": (("--workers", "0"), "script.py", "--workers 0"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_one_line(folder: Path, name: str) -> None:
    """What cannot run is told in one line on standard error, with where, and ends with 2."""
    options, script, problem = MISTAKES[name]
    (folder / "syntax.py").write_text("x = 1\ndef analyse(game) return 1\n", encoding="utf-8")
    (folder / "imports.py").write_text("import nowhere\n", encoding="utf-8")
    done = run(folder, *options, script=script)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert problem in done.stderr


@pytest.mark.parametrize("options", [("--to", "store/segments/results.parquet"), ("--cache", "store")])
def test_nothing_is_written_into_the_store(folder: Path, options: tuple[str, str]) -> None:
    """Results and cache belong elsewhere: a strange file among the segments would count as damage."""
    before = sorted((folder / "store").rglob("*"))
    done = run(folder, options[0], folder / options[1])
    assert done.returncode == 2
    assert "lies inside the store" in done.stderr
    assert sorted((folder / "store").rglob("*")) == before


def test_interrupt_keeps_what_was_finished(folder: Path) -> None:
    """Ctrl-C ends with 130, and the file holds the games that were finished."""
    slow = "import time\nfrom pathlib import Path\n\ndef analyse(game, mark):\n    path = Path(mark)\n"
    slow += "    if path.exists():\n        path.with_suffix('.second').touch()\n        time.sleep(60)\n"
    slow += "    path.touch()\n    return len(game)\n"
    (folder / "slow.py").write_text(slow, encoding="utf-8")
    command = [str(Path(sys.executable).parent / "replaylab"), "run", str(folder / "slow.py"), str(folder / "store")]
    options = ["--set", f"mark={folder / 'mark'}", "--to", str(folder / "results.parquet"), "--workers", "1"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        until = time.monotonic() + 240
        while not (folder / "mark.second").exists() and time.monotonic() < until:
            time.sleep(0.02)
        child.send_signal(signal.SIGINT)
        _, problems = child.communicate(timeout=240)
    assert child.returncode == 130
    assert b"interrupted" in problems
    found = Results.load(folder / "results.parquet")
    assert (found.manifest.computed, found.manifest.complete) == (1, False)
