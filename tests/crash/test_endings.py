"""Every way a program that records can end: what was accepted is readable, once, and the end never hangs."""

from __future__ import annotations

import json
import os
import queue
import random
import signal
import time
from pathlib import Path

import pytest

import replaylab as rl
from tests.crash.recordings import lawful, made, stored
from tests.crash.scale import SCALE
from tests.stores import run_child, start_child

ENDINGS = {
    "stop": "recorder.stop()",
    "stop twice": "recorder.stop(); recorder.stop()",
    "plain exit": "pass",
    "exception": "raise ValueError('a bug elsewhere')",
    "sys.exit": "sys.exit(3)",
    "dropped": "del recorder, accepted; gc.collect()",
    "os._exit": "sys.stdout.flush(); os._exit(0)",
    "abort": "sys.stdout.flush(); os.abort()",
    "SIGINT": "signal.raise_signal(signal.SIGINT)",
    "SIGTERM": "sys.stdout.flush(); signal.raise_signal(signal.SIGTERM)",
    "SIGTERM handled": "signal.signal(signal.SIGTERM, lambda *_: sys.exit(1)); signal.raise_signal(signal.SIGTERM)",
    "SIGHUP": "sys.stdout.flush(); signal.raise_signal(signal.SIGHUP)",
    "SIGKILL": "sys.stdout.flush(); signal.raise_signal(signal.SIGKILL)",
    "thread": "threading.Thread(target=time.sleep, args=(0.2,)).start()",
    "daemon records on": "threading.Thread(target=lambda: [*map(recorder.record, others)], daemon=True).start()",
    "left in a cycle": "recorder.me = [recorder] if hasattr(recorder, '__dict__') else None",
    "store in a module": "sys.modules['kept'] = recorder",
    "executable replaced": "sys.stdout.flush(); os.execv('/bin/true', ['true'])",
}
RECORD = """
import gc, os, signal, sys, threading, time
import replaylab as rl
from tests.crash.recordings import made
recorder = rl.Recorder(sys.argv[1])
others = made(9_000, "x")
accepted = sum(bool(recorder.record(tick)) for tick in made(150))
print(accepted)
"""
WITH = """
import sys
import replaylab as rl
from tests.crash.recordings import made
with rl.Recorder(sys.argv[1]) as recorder:
    print(sum(bool(recorder.record(tick)) for tick in made(150)), flush=True)
    if sys.argv[2] == "raise":
        raise ValueError("a bug elsewhere")
    if sys.argv[2] == "exit":
        sys.exit(2)
"""
FORKED = """
import os, sys
import replaylab as rl
from tests.crash.recordings import made
recorder = rl.Recorder(sys.argv[1])
accepted = sum(bool(recorder.record(tick)) for tick in made(50))
child = os.fork()
if child == 0:
    refused = [recorder.record(tick) for tick in made(20, first=900)]
    answer = {"child": sum(map(bool, refused)), "reason": refused[-1].reason, "state": recorder.status().state}
    with open(sys.argv[2], "w") as file:
        import json
        json.dump(answer, file)
    if sys.argv[3] == "exits":
        os._exit(0)
    if sys.argv[3] == "stops":
        recorder.stop()
    sys.exit(0)
os.waitpid(child, 0)
accepted += sum(bool(recorder.record(tick)) for tick in made(100, first=50))
recorder.stop()
print(accepted)
"""
ENDLESS = """
import sys, time
import replaylab as rl
from tests.crash.recordings import made
ticks = made(40_000)
accepted = offered = 0
recorder = rl.Recorder(sys.argv[1])
try:
    print("started", flush=True)
    for tick in ticks:
        offered += 1
        if recorder.record(tick):
            accepted += 1
    while True:
        time.sleep(1)
except KeyboardInterrupt:
    if sys.argv[2] == "go on":
        accepted += sum(bool(recorder.record(tick)) for tick in ticks[offered : offered + 100])
        offered = min(offered + 100, len(ticks))
finally:
    print(offered, accepted, flush=True)
if sys.argv[2] == "go on":
    recorder.stop()
"""


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_program_that_ends(tmp_path: Path, ending: str) -> None:
    """However the program ends, the ticks accepted are readable by another, once each; nothing is left to recover."""
    child = run_child(RECORD + ENDINGS[ending], tmp_path / "store", timeout=240)  # the end never hangs
    assert child.stdout, child.stderr
    accepted = int(child.stdout)
    assert accepted == 150
    found = stored(tmp_path / "store")
    lawful([tick for tick in found if tick.game_id != "x"], made(150), safe=accepted)
    assert stored(tmp_path / "store") == found
    assert rl.open_store(tmp_path / "store").verify().ok
    assert list((tmp_path / "store" / "journals").glob("*.journal")) == []


@pytest.mark.parametrize("how", ["leave", "raise", "exit"])
def test_a_with_block_that_ends(tmp_path: Path, how: str) -> None:
    """Leaving a `with` block, also by an exception, stops the recorder: sealed, no journal left."""
    child = run_child(WITH, tmp_path / "store", how)
    assert child.returncode == {"leave": 0, "raise": 1, "exit": 2}[how], child.stderr
    assert list((tmp_path / "store" / "journals").glob("*")) == []
    lawful(stored(tmp_path / "store"), made(150), safe=int(child.stdout))


@pytest.mark.parametrize("how", ["exits", "stops", "ends"])
def test_a_forked_child(tmp_path: Path, how: str) -> None:
    """A forked child cannot write into its parent's recording and says so; the parent's goes on untouched."""
    child = run_child(FORKED, tmp_path / "store", tmp_path / "answer", how)
    assert child.returncode == 0, child.stderr
    answer = json.loads((tmp_path / "answer").read_text())
    assert answer == {"child": 0, "reason": "forked", "state": "forked"}
    assert int(child.stdout.split()[-1]) == 150
    lawful(stored(tmp_path / "store"), made(150), safe=150)


@pytest.mark.parametrize("then", ["leave", "go on"])
@pytest.mark.parametrize("turn", range(3 * SCALE))
def test_an_interrupt_at_any_moment(tmp_path: Path, turn: int, then: str) -> None:
    """Ctrl-C anywhere, also inside `record`: accepted ticks are readable, one more may be, and the recorder goes on."""
    child = start_child(ENDLESS, tmp_path / "store", then)
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(random.Random(turn).uniform(0.01, 0.2))
        child.send_signal(signal.SIGINT)
        output, errors = child.communicate(timeout=240)
    offered, accepted = map(int, output.split())
    found = stored(tmp_path / "store")
    assert accepted <= len(found) <= accepted + 1, errors
    lawful(found, made(offered), safe=accepted - 100 if then == "go on" else accepted, offered=offered)
    if then == "go on":
        assert accepted >= offered - 1, errors
        assert child.returncode == 0, errors


def test_a_kernel_that_restarts(tmp_path: Path) -> None:
    """A kernel of Jupyter that is restarted, kindly or at once, loses no accepted tick; the next one records on."""
    from jupyter_client.manager import start_new_kernel

    cell = (
        "import replaylab as rl\nfrom tests.crash.recordings import made\n"
        f"recorder = rl.Recorder({str(tmp_path / 'store')!r})\n"
        "print(sum(bool(recorder.record(tick)) for tick in made(150, first={first})))\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    manager, client = start_new_kernel(env={**os.environ, "PYTHONPATH": root})
    try:
        for number, at_once in enumerate([False, True]):
            said: queue.Queue[str] = queue.Queue()
            reply = client.execute_interactive(
                cell.format(first=number * 150),
                output_hook=lambda message, said=said: said.put(message["content"].get("text", "")),
                timeout=240,
            )
            assert reply["content"]["status"] == "ok", reply
            assert "150\n" in {said.get_nowait() for _ in range(said.qsize())}
            manager.restart_kernel(now=at_once)
            client.wait_for_ready(timeout=240)
            found = stored(tmp_path / "store")
            lawful(found, made(300), safe=(number + 1) * 150)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_two_interrupts(tmp_path: Path) -> None:
    """A second Ctrl-C while the recorder is closing loses nothing either."""
    child = start_child(ENDLESS, tmp_path / "store", "leave")
    with child:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(0.1)
        child.send_signal(signal.SIGINT)
        line = child.stdout.readline()
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=240)
    offered, accepted = map(int, line.split())
    found = stored(tmp_path / "store")
    lawful(found, made(offered), safe=accepted, offered=offered)
