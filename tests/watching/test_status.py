"""Status files: what another process sees of a recorder, alive, paused, closed, killed or held up."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from typer.testing import CliRunner

import replaylab as rl
from replaylab.cli.main import app
from replaylab.durable import is_locked, try_lock
from replaylab.feeds.simulated import simulated_feed
from replaylab.recording.event import RecorderEventKind
from replaylab.recording.journal_file import JournalFile
from replaylab.recording.state import Environment
from replaylab.sessions.session import LiveSession
from replaylab.watching.snapshot import KEPT, Snapshot, publish_snapshot, snapshots
from replaylab.watching.status import StoreStatus
from tests.stores import quiet, run_child, simulated, start_child

STALLED_SECONDS = 120.0
AT = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)
RECORD = """
import sys, time
import replaylab as rl
recorder = rl.Recorder(sys.argv[1])
recorder.record(rl.Tick("marker-game", 1, "2031-01-02T03:04:05", "1.02"))
while recorder.run not in {run.run for run in rl.status(sys.argv[1]).runs}:
    time.sleep(0.01)
print("ready", flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def _no_stall_of_a_slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Call no recorder stalled that has only not run for a while."""
    monkeypatch.setattr("replaylab.watching.status.STALLED_SECONDS", STALLED_SECONDS)


def wait_for(reached: Callable[[], object], seconds: float = 60) -> None:
    """Wait until something is so."""
    give_up_at = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def tick(number: int = 1, game: str = "g") -> rl.Tick:
    """Make a tick."""
    return rl.Tick(game, number, AT, Decimal("1.02"))


def only(store: Path) -> Snapshot:
    """Give the one run of a store."""
    (run,) = rl.status(store).runs
    return run


def command(*words: object) -> tuple[int, str]:
    """Run the command; give its exit code and what it printed."""
    done = CliRunner().invoke(app, ["status", *map(str, words)], prog_name="replaylab")
    return done.exit_code, done.output


def killed(store: Path) -> None:
    """Record in another process, and kill that."""
    with start_child(RECORD, store) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        assert rl.status(store).ok
        child.send_signal(signal.SIGKILL)
        child.wait(60)


def test_a_recorder_is_seen_from_outside(tmp_path: Path) -> None:
    """Once a second the file says what was accepted, and the process that wrote it."""
    with rl.Recorder(tmp_path) as recorder:
        recorder.record_many([tick(number) for number in range(30)])
        wait_for(lambda: rl.status(tmp_path).runs and only(tmp_path).accepted == 30)
        run = only(tmp_path)
        assert (run.state, run.verdict, run.process) == ("recording", "healthy", os.getpid())
        assert (run.run, run.seq, run.games, run.game_id) == (recorder.run, 29, 1, "g")
        assert run.free_bytes > 0
        assert rl.status(tmp_path).ok
        recorder.flush()
        wait_for(lambda: only(tmp_path).durable_seq == 29)
    assert (only(tmp_path).state, only(tmp_path).segments) == ("closed", 1)
    assert command(tmp_path)[0] == 0


def test_a_killed_recorder_is_dead_at_once(tmp_path: Path) -> None:
    """The lock of its journal ends with the process, so no time has to pass."""
    killed(tmp_path)
    found = rl.status(tmp_path)
    assert [run.state for run in found.runs] == ["dead"]
    assert not found.ok
    assert "of its journals wait for `replaylab recover`" in found.problems[0]
    code, said = command(tmp_path)
    assert (code, "dead" in said) == (1, True)
    rl.recover(tmp_path)
    assert "its journals are sealed" in rl.status(tmp_path).problems[0]  # a reader does not hide that it died


def test_a_dead_run_is_no_problem_once_something_records_again(tmp_path: Path) -> None:
    """A service that was started again is well; the dead run is still listed."""
    killed(tmp_path)
    with rl.Recorder(tmp_path):
        wait_for(lambda: len(rl.status(tmp_path).runs) == 2)
        found = rl.status(tmp_path)
        assert found.ok, found.problems
        assert sorted(run.state for run in found.runs) == ["dead", "recording"]
    assert rl.status(tmp_path).ok


def test_of_two_recorders_the_dead_one_is_named(tmp_path: Path) -> None:
    """A recorder that began before another died says nothing for that one."""
    with rl.Recorder(tmp_path):
        wait_for(lambda: rl.status(tmp_path).runs)
        killed(tmp_path)
        found = rl.status(tmp_path)
        assert len(found.live) == 1
        assert [problem for problem in found.problems if "(dead)" in problem]


def test_a_pause_is_seen_without_waiting_for_the_next_second(tmp_path: Path) -> None:
    """A change of state is written when it happens, with its reason."""
    free = [1 << 40]
    machine = Environment(free_bytes=lambda _: free[0])
    with rl.Recorder(tmp_path, environment=machine):
        wait_for(lambda: rl.status(tmp_path).runs)
        free[0] = 1
        wait_for(lambda: only(tmp_path).state == "paused")
        assert "disk_full" in rl.status(tmp_path).problems[0]
        assert command(tmp_path)[0] == 1
        free[0] = 1 << 40
        wait_for(lambda: rl.status(tmp_path).ok)


def test_a_recorder_that_is_held_up_is_stalled(tmp_path: Path) -> None:
    """A thread that hangs in a callback writes no status; that is said instead of the old numbers alone."""
    held, inside = threading.Event(), threading.Event()

    def hang(event: object) -> None:
        if getattr(event, "kind", None) == RecorderEventKind.GAME_STARTED:
            inside.set()
            held.wait(120)

    with rl.Recorder(tmp_path, on_event=hang) as recorder:
        wait_for(lambda: rl.status(tmp_path).runs)
        recorder.record(tick())
        assert inside.wait(60)
        later = datetime.now(UTC) + timedelta(seconds=STALLED_SECONDS + 1)
        found = rl.status(tmp_path, now=later)
        held.set()
    assert found.runs[0].state == "stalled"
    assert "a callback or the disk holds it up" in found.problems[0]


def test_a_status_that_cannot_be_written_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that refuses the file costs the file."""
    tries = threading.Semaphore(0)

    def refuse(*_: object) -> None:
        tries.release()
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("replaylab.recording.status_file.publish_snapshot", refuse)
    with rl.Recorder(tmp_path) as recorder:
        assert tries.acquire(timeout=60)
        assert recorder.record(tick()).accepted == 1
        assert recorder.flush().durable
        assert recorder.status().verdict == "healthy"
    assert not rl.status(tmp_path).runs


def test_no_tick_writes_a_status(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files are written by the clock and not by ticks."""
    written = []
    monkeypatch.setattr("replaylab.recording.status_file.publish_snapshot", lambda *_: written.append(time.monotonic()))
    began = time.monotonic()
    settings = rl.Settings(max_unsynced_ticks=10_000)  # many that wait for a slow disk would be another state
    with rl.Recorder(tmp_path, settings=settings) as recorder:
        for number in range(3_000):
            recorder.record(tick(number))
    lasted = time.monotonic() - began
    assert len(written) <= 2 + lasted  # one a second, the first, and the last


def test_all_else_passes_over_the_folder(tmp_path: Path) -> None:
    """Verification, compaction, readers and conversions do not look at it."""
    quiet(simulated(tmp_path / "r"), tmp_path / "s")
    before = rl.open_store(tmp_path / "s").verify()
    publish_snapshot(tmp_path / "s", Snapshot("run", state="closed", verdict="healthy"))
    (tmp_path / "s" / "status" / "notes.txt").write_text("mine")
    assert rl.open_store(tmp_path / "s").verify() == before
    rl.compact(tmp_path / "s", progress=False)
    assert quiet(tmp_path / "r", tmp_path / "s").ticks_stored == 0
    assert rl.open_store(tmp_path / "s").size_bytes == rl.Store(tmp_path / "s").size_bytes


def test_a_newer_format_is_refused(tmp_path: Path) -> None:
    """A file of a later release is no guess."""
    with rl.Recorder(tmp_path):
        pass
    path = next((tmp_path / "status").glob("*.json"))
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 2}))
    with pytest.raises(rl.errors.StoreTooNew, match="upgrade replaylab"):
        rl.status(tmp_path)
    assert command(tmp_path)[0] == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("accepted", "many"),
        ("accepted", True),
        ("state", 3),
        ("state", None),
        ("game_id", 7),
        ("ticks_a_second", "9"),
        ("reasons", "abc"),
        ("reasons", [1]),
        ("refused", [3]),
        ("refused", {"overflow": "3"}),
        ("durability", []),
        ("feeds", None),
        ("feeds", [1]),
        ("feeds", [{"feed": 1}]),
        ("feeds", [{"ticks": "1"}]),
        ("feeds", [{"reasons": "abc"}]),
        ("feeds", [{"reasons": [1]}]),
        ("written_at", 5),
        ("written_at", "2031-01-02T03:04:05"),
    ],
)
def test_a_file_with_a_value_of_another_kind_is_damaged(name: str, value: object) -> None:
    """No reader of a snapshot meets a text where a count belongs; the run is named, and nothing else is believed."""
    whole = json.loads(Snapshot("run", accepted=3, refused={"overflow": 1}, feeds=({"feed": "f"},)).to_json())
    assert Snapshot.of(json.dumps(whole).encode(), "run.json").accepted == 3
    damaged = Snapshot.of(json.dumps(whole | {name: value}).encode(), "run.json")
    assert damaged == Snapshot("run", reasons=("its status file is damaged",))


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"type": "replaylab_status", "format": 1, "reasons": 5}'])
def test_a_file_that_a_power_cut_emptied_is_a_dead_run(tmp_path: Path, content: bytes) -> None:
    """Files are not synced; one that is not whole says which run it is of, and that one is not alive."""
    with rl.Recorder(tmp_path):
        pass
    (tmp_path / "status" / "20310102T030405000000Z-0123456789ab-7.json").write_bytes(content)
    dead = [run for run in rl.status(tmp_path).runs if run.state == "dead"]
    assert [run.run for run in dead] == ["20310102T030405000000Z-0123456789ab-7"]


def test_a_converted_store_has_no_recorder_and_is_well(tmp_path: Path) -> None:
    """No recorder is no problem."""
    quiet(simulated(tmp_path / "r"), tmp_path / "s")
    assert rl.status(tmp_path / "s") == StoreStatus(str(tmp_path / "s"))
    assert command(tmp_path / "s") == (0, "recorders  none has written a status here\n")
    assert command(tmp_path / "nowhere")[0] == 2


def test_old_files_are_removed(tmp_path: Path) -> None:
    """Files of runs that have ended are kept for a week."""
    with rl.Recorder(tmp_path):
        pass
    (old,) = (tmp_path / "status").glob("*.json")
    long_ago = time.time() - KEPT.total_seconds() - 60
    os.utime(old, (long_ago, long_ago))
    with rl.Recorder(tmp_path):
        wait_for(lambda: not old.exists())
    assert len(snapshots(tmp_path)) == 1


def test_live_sessions_are_in_it(tmp_path: Path) -> None:
    """A session that records says how its feed is; a recorder that is well makes no session look ill."""
    with LiveSession(simulated_feed(games=1, pacing="none"), to=tmp_path) as session:
        session.wait("closed", timeout=60)
        wait_for(lambda: rl.status(tmp_path).runs and [feed["state"] for feed in only(tmp_path).feeds] == ["closed"])
        (feed,) = only(tmp_path).feeds
        assert feed["feed"] == session.feed.name
        assert feed["ticks"] == session.status().ticks


@pytest.mark.parametrize(("gaps", "said"), [(0, "0 gaps"), (1, "1 gap"), (1200, "1,200 gaps")])
def test_gaps_of_a_feed_are_counted_in_words(tmp_path: Path, gaps: int, said: str) -> None:
    """One gap is no gaps."""
    with rl.Recorder(tmp_path):
        pass
    [path] = (tmp_path / "status").iterdir()
    run = json.loads(path.read_bytes())
    path.write_text(json.dumps(run | {"feeds": [{"feed": "f", "state": "live", "ticks": 7, "gaps": gaps}]}))
    shown = CliRunner().invoke(app, ["status", str(tmp_path)], prog_name="replaylab").stdout
    assert re.search(rf"\b{said}\s", shown), shown


def test_looking_at_a_lock_costs_nobody_a_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One who looks holds a shared lock for a moment; a recorder that meets it asks again."""
    answers = iter([False, False])
    monkeypatch.setattr(
        "replaylab.recording.journal_file.try_lock", lambda file: next(answers, True) and try_lock(file)
    )
    made = JournalFile.create(tmp_path, "20310102T030405000000Z-0123456789ab-7", 0)
    assert is_locked(made.path)
    made.close()
    assert not is_locked(made.path)


def test_a_recorder_that_did_not_run_for_a_while_asks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a process is kept from running while another looks at the lock, it gets its journal."""
    answers, seconds = iter([False, False, False]), iter(range(0, 10_000, 60))
    monkeypatch.setattr(
        "replaylab.recording.journal_file.try_lock", lambda file: next(answers, True) and try_lock(file)
    )
    with monkeypatch.context() as patch:
        patch.setattr(time, "monotonic", lambda: next(seconds))
        made = JournalFile.create(tmp_path, "20310102T030405000000Z-0123456789ab-7", 0)
    assert is_locked(made.path)
    made.close()


def test_json_for_programs(tmp_path: Path) -> None:
    """--json is one document; --watch --json one line each second."""
    with rl.Recorder(tmp_path):
        pass
    code, said = command(tmp_path, "--json")
    found = json.loads(said)
    assert (code, found["ok"], found["runs"][0]["state"]) == (0, True, "closed")
    watch = "import sys; from replaylab.cli.main import main; sys.argv = ['replaylab', 'status', *sys.argv[1:]]; main()"
    with start_child(watch, tmp_path, "--watch", "--json") as child:
        assert child.stdout is not None
        assert json.loads(child.stdout.readline())["runs"][0]["state"] == "closed"
        assert json.loads(child.stdout.readline())["ok"] is True
        child.send_signal(signal.SIGINT)
        assert child.wait(60) == 130
        child.stdout.close()


def test_two_hundred_looks_beside_a_recorder_that_turns_its_journals(tmp_path: Path) -> None:
    """A recorder that lives is never called dead, whichever journal it is at."""
    code = """
import sys, time
import replaylab as rl
with rl.Recorder(sys.argv[1], settings=rl.Settings(seal_ticks=100, seal_game_ticks=1)) as recorder:
    print("ready", flush=True)
    while True:
        recorder.record_many([rl.Tick(f"g{n}", n, "2031-01-02T03:04:05", "1.02") for n in range(200)])
        time.sleep(0.02)
"""
    with start_child(code, tmp_path) as child:
        assert child.stdout is not None
        child.stdout.readline()
        child.stdout.close()
        wait_for(lambda: rl.status(tmp_path).runs)
        for _ in range(200):
            assert only(tmp_path).state == "recording"
        child.kill()


def test_a_child_without_replaylab_can_read_it(tmp_path: Path) -> None:
    """The file is plain JSON."""
    with rl.Recorder(tmp_path):
        pass
    code = """
import json, pathlib, sys
print(json.loads(next(pathlib.Path(sys.argv[1]).glob("*.json")).read_text())["state"])
"""
    assert run_child(code, tmp_path / "status").stdout == "closed\n"
