"""`replaylab record` on a disk that fails: the exit code, what is said, and that what was called durable is there."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from replaylab.errors import StoreNotFound
from tests.crash.faults import FOR_EVER
from tests.recordings import stored, ticks
from tests.stores import ROOT

GIVEN: Final = ticks(6_000)  # more than are read at once
CHILD: Final = """
import sys
from pathlib import Path
from replaylab.cli.main import main
from tests.crash.faults import CUTS, OPENS, REMOVALS, RENAMES, SYNCS, WRITES, Fault
calls = {"sync": SYNCS, "write": WRITES, "open": OPENS, "rename": RENAMES, "cut": CUTS + REMOVALS, "read": ("read",)}
folder, what, code, skip, times, *arguments = sys.argv[1:]
sys.argv = ["replaylab", *arguments]
with Fault(Path(folder), calls[what], int(code), skip=int(skip), times=int(times)).in_force():
    main()
"""


class Ended(NamedTuple):
    """How a command ended: its exit code, its report where there is one, and what it said on standard error."""

    code: int
    report: dict[str, Any]
    said: str


def record(folder: Path, what: str, code: int = errno.EIO, *, skip: int = 0, times: int = FOR_EVER) -> Ended:
    """Run `replaylab record` over a file of ticks while calls on the store (or of reading, on all) fail."""
    (folder / "in.jsonl").write_bytes(b"".join(one.to_line() + b"\n" for one in GIVEN))
    store = folder / "store"
    arguments = ["record", store, "--from", folder / "in.jsonl", "--buffer", "50", "--no-progress", "--json"]
    failing = folder / "in.jsonl" if what == "read" else store
    found = subprocess.run(
        [sys.executable, "-c", CHILD, *map(str, [failing, what, code, skip, times, *arguments])],
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "REPLAYLAB_MAX_FAILURE_SECONDS": "0.2",
            "REPLAYLAB_MAX_UNSYNCED_TICKS": "100",
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    return Ended(found.returncode, json.loads(found.stdout) if found.stdout else {}, found.stderr)


def rows_of(folder: Path) -> list[Any]:
    """Return the ticks that are stored, in a store that may not be there."""
    try:
        return stored(folder / "store")
    except StoreNotFound:
        return []


@pytest.mark.parametrize("what", ["sync", "write", "open"])
def test_a_store_that_cannot_be_begun(tmp_path: Path, what: str) -> None:
    """Nothing is recorded: exit code 2, and one line that names the place and the reason."""
    ended = record(tmp_path, what)
    assert (ended.code, ended.report) == (2, {})
    assert ended.said.splitlines()[-1].startswith(f"replaylab: cannot write in {tmp_path / 'store'}")
    assert "Input/output error" in ended.said
    assert "Traceback" not in ended.said
    assert rows_of(tmp_path) == []


@pytest.mark.parametrize(("what", "skip"), [("sync", 20), ("write", 10)])
def test_a_disk_that_fails_for_good(tmp_path: Path, what: str, skip: int) -> None:
    """Exit code 1; the report counts what was refused, and says the reason and whether everything is durable."""
    ended = record(tmp_path, what, skip=skip)
    assert ended.code == 1
    assert ended.report["problem"].startswith("given up after 5 failures in a row, the last one: ")
    assert "Input/output error" in ended.report["problem"]
    assert ended.report["problem"] in ended.said
    assert ended.report["accepted"] + sum(ended.report["refused"].values()) == ended.report["lines"] <= len(GIVEN)
    assert set(ended.report["refused"]) <= {"stopped", "write_failed"}
    assert "Traceback" not in ended.said
    found = rows_of(tmp_path)
    assert found == GIVEN[: len(found)]
    assert len(found) == ended.report["accepted"]


@pytest.mark.parametrize(("what", "skip", "times"), [("write", 20, 3), ("rename", 0, FOR_EVER), ("cut", 0, FOR_EVER)])
def test_a_failure_that_costs_nothing(tmp_path: Path, what: str, skip: int, times: int) -> None:
    """Writes that fail a few times, segments that cannot be made, journals that cannot be removed: exit code 0."""
    ended = record(tmp_path, what, skip=skip, times=times)
    assert ended.code == 0, ended.said
    assert (ended.report["accepted"], ended.report["durable"], ended.report["problem"]) == (len(GIVEN), True, None)
    assert rows_of(tmp_path) == GIVEN


def test_an_input_that_cannot_be_read_to_its_end(tmp_path: Path) -> None:
    """The file read lies on a failing disk: what came before is recorded, exit code 1, and the place is named."""
    ended = record(tmp_path, "read", skip=1)
    read = (tmp_path / "in.jsonl").read_bytes()[: ended.report["bytes"]].count(b"\n")
    assert ended.code == 1
    assert 0 < read < len(GIVEN)
    problem = f"{tmp_path / 'in.jsonl'} cannot be read beyond byte {ended.report['bytes']:,} (Input/output error)"
    assert ended.report["input_problem"].startswith(problem)
    assert problem in ended.said
    assert ended.report["durable"]
    assert rows_of(tmp_path) == GIVEN[:read]
