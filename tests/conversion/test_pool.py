"""Helper processes: the second core; when one dies nobody waits for it, and a rerun finishes its work."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import count
from multiprocessing.connection import Pipe
from pathlib import Path

import pytest

from replaylab import durable
from replaylab.conversion import plan as planning
from replaylab.conversion.job import Folders, How, Job
from replaylab.conversion.pool import Bases, Pool
from replaylab.conversion.source import Piece, Source
from replaylab.durable import sole_writer
from replaylab.errors import SourceDamaged, StoreFull, WorkerFailed
from replaylab.kernel.library import load
from replaylab.segments.segment import Unpublished
from tests.stores import leftovers, names, quiet, simulated, start_child, state

LONG = """
import importlib, sys
import replaylab as rl
importlib.import_module("replaylab.conversion.convert").HELPED_BYTES = 1
importlib.import_module("replaylab.conversion.convert").load = lambda: None
importlib.import_module("replaylab.conversion.plan").JOB_BYTES = 40_000
print("started", flush=True)
rl.convert(sys.argv[1], sys.argv[2], progress=False, workers=2)
"""


@pytest.fixture(autouse=True)
def _small_jobs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make helpers worth their start on small inputs."""
    monkeypatch.setattr("replaylab.conversion.convert.HELPED_BYTES", 1)
    monkeypatch.setattr("replaylab.conversion.convert.load", lambda: None)  # processes work where there is no kernel
    monkeypatch.setattr(planning, "JOB_BYTES", 40_000)


@pytest.fixture
def big(tmp_path: Path) -> Path:
    """Return one recording of many parts."""
    folder = simulated(tmp_path / "r", games=6, damage="two_writers")
    path = tmp_path / "big.jsonl"
    path.write_bytes(b"".join(one.read_bytes() for one in sorted(folder.glob("*.jsonl"))))
    return path


def running() -> set[int]:
    """Return the child processes that this one has."""
    return {int(pid) for pid in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()}


@pytest.fixture
def before() -> set[int]:
    """The child processes that others have left running in this one, such as those of a cluster."""
    return running()


def hired(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """Return a list that every helper process started from now on joins."""
    found: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def started(*arguments: object, **options: object) -> subprocess.Popen[bytes]:
        process: subprocess.Popen[bytes] = start(*arguments, **options)  # type: ignore[call-overload]
        found.append(process)
        return process

    monkeypatch.setattr(subprocess, "Popen", started)
    return found


def test_helpers_end_with_the_conversion(tmp_path: Path, big: Path, before: set[int]) -> None:
    """Afterwards there is no helper process and no thread of one."""
    threads = threading.enumerate()
    assert quiet(big, tmp_path / "store", workers=3).ok
    assert not [one for one in threading.enumerate() if "replaylab" in one.name and one not in threads]
    assert running() <= before


@pytest.mark.parametrize("when", ["at once", "before its first part ends"])
def test_a_helper_that_is_killed(
    tmp_path: Path, big: Path, monkeypatch: pytest.MonkeyPatch, when: str, before: set[int]
) -> None:
    """A killed helper is an error that says what to do, in bounded time; a rerun finishes what it left."""
    quiet(big, tmp_path / "whole", workers=1)
    helpers = hired(monkeypatch)
    taken = threading.Event()
    run = Job.run

    def wait_for_the_helper(job: Job) -> object:
        if when != "at once":  # let it take a part and read it, so that parts after it depend on it
            time.sleep(0.6)  # its own part depends on this one: however long this takes, it does not end before
        helpers[0].kill()
        taken.set()
        return run(job)

    monkeypatch.setattr(Job, "run", wait_for_the_helper)
    with pytest.raises(WorkerFailed, match=r"run the conversion again|not read"):
        quiet(big, tmp_path / "store", workers=2)
    assert taken.is_set()
    assert leftovers(tmp_path / "store") == []
    monkeypatch.setattr(Job, "run", run)
    quiet(big, tmp_path / "store", workers=2)
    assert state(tmp_path / "store") == state(tmp_path / "whole")
    assert running() <= before


def test_nobody_waits_for_what_will_never_come() -> None:
    """Once given up, asking for the place of a part is an error at once, whether asked before or after."""
    bases = Bases()
    source = Source(Path("x"), "x", 10)
    early: list[BaseException] = []

    def ask() -> None:
        with pytest.raises(WorkerFailed) as caught:
            bases.ask(Piece(source, 5, 10, None, None))
        early.append(caught.value)

    waiting = threading.Thread(target=ask)
    waiting.start()
    bases.give_up()
    waiting.join(60)
    assert len(early) == 1
    with pytest.raises(WorkerFailed):
        bases.ask(Piece(source, 7, 10, None, None))
    bases.tell(Piece(source, 0, 7, 0, 0), (1, 1))  # too late, and no error


def test_an_error_in_a_helper_is_raised_as_it_was(tmp_path: Path, big: Path) -> None:
    """What goes wrong in a helper arrives with its class and all that it says."""
    big.write_bytes(b"[1]\n" * 30_000)
    pieces = planning.plan([Source(big, "big", 120_000)], []).jobs
    with sole_writer(tmp_path) as lock:
        pool = Pool(pieces, Folders(tmp_path, tmp_path), how=How(strict=True), lock=lock)
        with pytest.raises(SourceDamaged) as caught:
            pool.run(1, 0, lambda _: None)
    assert caught.value.source == "big"
    assert f"line {caught.value.line}, byte {caught.value.start}" in str(caught.value)
    assert names(tmp_path) == [".lock", "big.jsonl", "r"]


def test_an_error_in_a_mate_is_raised_as_it_was(tmp_path: Path) -> None:
    """What goes wrong in a thread ends the conversion with its class, and nobody waits for what will not come."""
    jobs = []
    for name in ("good", "bad", "worse"):
        path = tmp_path / f"{name}.jsonl"
        path.write_bytes(b"[1]\n" * 30_000)
        jobs += planning.plan([Source(path, name, 120_000)], []).jobs
    threads = threading.enumerate()
    with sole_writer(tmp_path) as lock:
        pool = Pool(jobs, Folders(tmp_path, tmp_path), how=How(strict=True), lock=lock)
        with pytest.raises(SourceDamaged):
            pool.run(0, 1, lambda _: None)
    assert not [one for one in threading.enumerate() if one.name.startswith("replaylab") and one not in threads]
    assert names(tmp_path) == [".lock", "bad.jsonl", "good.jsonl", "worse.jsonl"]


def test_the_next_segment_is_made_while_one_is_synced(
    tmp_path: Path, big: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that takes its time costs a conversion none: work on the next part goes on meanwhile."""
    run, sync = Job.run, durable.sync_file
    made = threading.Semaphore(0)
    beside: list[bool] = []

    def counted(job: Job) -> Unpublished:
        written = run(job)
        made.release()
        return written

    def slow(path: Path) -> None:
        if path.name.startswith("convert-") and not beside:
            made.acquire(timeout=60)  # the one that is synced
            beside.append(made.acquire(timeout=60))  # the next
        sync(path)

    monkeypatch.setattr(Job, "run", counted)
    monkeypatch.setattr(durable, "sync_file", slow)
    quiet(big, tmp_path / "store", workers=1)
    assert beside == [True]
    quiet(big, tmp_path / "whole", workers=1)
    assert state(tmp_path / "store") == state(tmp_path / "whole")


@pytest.mark.parametrize("failing", [1, 2, 3, 4])
@pytest.mark.parametrize("workers", [1, 3])
def test_a_sync_that_fails_ends_the_conversion(
    tmp_path: Path, big: Path, monkeypatch: pytest.MonkeyPatch, failing: int, workers: int
) -> None:
    """A disk that is full when a segment is synced is the error of the conversion; running again finishes it."""
    monkeypatch.setattr("replaylab.conversion.convert.load", load)  # threads
    sync, left = durable.sync_file, count(1)

    def full(path: Path) -> None:
        if path.name.startswith("convert-") and next(left) == failing:
            raise OSError(errno.ENOSPC, "No space left on device")
        sync(path)

    with monkeypatch.context() as patched:
        patched.setattr(durable, "sync_file", full)
        with pytest.raises(StoreFull):
            quiet(big, tmp_path / "store", workers=workers)
    assert leftovers(tmp_path / "store") == []
    quiet(big, tmp_path / "store", workers=workers)
    quiet(big, tmp_path / "whole", workers=1)
    assert state(tmp_path / "store") == state(tmp_path / "whole")


def test_a_helper_without_its_parent_does_nothing(tmp_path: Path, big: Path) -> None:
    """A helper whose parent died while it started ends by itself and writes nothing."""
    ours, theirs = Pipe()
    folders = Folders(tmp_path / "segments", tmp_path / "remarks")
    (job, *_) = planning.plan([Source(big, "big", big.stat().st_size)], []).jobs
    ours.send((job, folders, "UTC", False))
    child = subprocess.run(
        [sys.executable, "-m", "replaylab.conversion.pool", str(theirs.fileno()), "1"],
        pass_fds=[theirs.fileno()],
        check=False,
        timeout=240,
    )
    assert child.returncode == 0
    assert not folders.segments.exists()


def test_interrupted(tmp_path: Path, big: Path) -> None:
    """Ctrl-C ends a conversion with its helpers, leaves no half file, and the next run finishes it."""
    child = start_child(LONG, big, tmp_path / "store")
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == "started\n"
        while not list(tmp_path.glob("store/segments/*.parquet")) and child.poll() is None:
            time.sleep(0.005)
        child.send_signal(signal.SIGINT)
        _, errors = child.communicate(timeout=240)
    at_its_end = {0, -signal.SIGINT}  # when the interpreter ends, it has no handler any more
    assert child.returncode in at_its_end or "KeyboardInterrupt" in errors
    assert leftovers(tmp_path / "store") == []
    quiet(big, tmp_path / "store", workers=2)
    quiet(big, tmp_path / "whole", workers=1)
    assert state(tmp_path / "store") == state(tmp_path / "whole")


def test_an_interrupt_in_this_process(
    tmp_path: Path, big: Path, monkeypatch: pytest.MonkeyPatch, before: set[int]
) -> None:
    """Ctrl-C in a notebook cell ends the helpers too, and is not turned into another error."""

    def interrupt(job: Job) -> object:
        raise KeyboardInterrupt

    monkeypatch.setattr(Job, "run", interrupt)
    with pytest.raises(KeyboardInterrupt):
        quiet(big, tmp_path / "store", workers=2)
    assert running() <= before
    assert leftovers(tmp_path / "store") == []


def test_working_folder_is_not_searched(big: Path, tmp_path: Path) -> None:
    """A helper takes its modules from the installation, not from whatever folder the conversion was started in."""
    for name in ("xxhash", "replaylab"):
        (tmp_path / f"{name}.py").write_text("raise SystemExit('the wrong module')\n")
    environment = {**os.environ, "PYTHONPATH": str(Path(planning.__file__).parents[2])}
    command = [sys.executable, "-P", "-c", LONG, str(big), "store"]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, timeout=240, capture_output=True)
    assert leftovers(tmp_path / "store") == []
