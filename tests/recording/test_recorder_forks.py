"""Processes that are forked off one that records, at the moment that suits them least."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.stores import run_child

FORKED = """
import os, signal, sys, threading, time
from pathlib import Path
import replaylab as rl
from tests.recordings import small, stored, ticks

loading = threading.Event()

class Slow:
    # pandas is found a while after it is looked for
    def find_spec(self, name, path=None, target=None):
        if name == "pandas":
            loading.set()
            time.sleep(0.5)

sys.meta_path.insert(0, Slow())
folder = Path(sys.argv[1])
with rl.Recorder(folder / "parent", settings=small(seal_ticks=100, prune_keep_games=9)) as recorder:
    recorder.record_many(ticks(150))  # old games are looked for on a thread, which imports pandas
    assert loading.wait(60)
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # a child that hangs is killed
        with rl.Recorder(folder / "child", settings=small()) as fresh:
            fresh.record_many(ticks(20))
        assert recorder.record(ticks(1)[0]).reason == "forked"
        os._exit(0 if fresh.stop().segments == 1 else 1)
    ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert ended == 0, ended
assert stored(folder / "parent") == ticks(150)
assert stored(folder / "child") == ticks(20)
"""


def test_a_fork_while_libraries_load(tmp_path: Path) -> None:
    """A child that is forked while libraries load records and stops as any other process."""
    child = run_child(FORKED, tmp_path)
    assert child.returncode == 0, child.stderr


SEALED = """
import sys
from pathlib import Path
import replaylab as rl
from tests.recordings import small, ticks

key = rl.FileKey(sys.argv[2], create=True) if sys.argv[2:] else None
recorder = rl.Recorder(sys.argv[1], settings=small(seal_ticks=100), kms=key)
before = set(sys.modules)
recorder.record_many(ticks(150))
recorder.flush()
for path in Path(sys.argv[1], "journals").glob("*.journal"):
    if key is None:
        with path.open("ab") as file:
            file.write(b'{"type": "tick", "timest\\n')  # what is damaged is sealed with a remark
assert recorder.stop().segments
print(sorted(set(sys.modules) - before), "pandas" in sys.modules)
"""


def test_sealing_loads_nothing(tmp_path: Path) -> None:
    """A recorder has loaded all that it needs when it begins: no pandas, nothing that a fork could meet half-way."""
    child = run_child(SEALED, tmp_path)
    assert child.stdout == "[] False\n", child.stdout + child.stderr


@pytest.mark.encryption
def test_sealing_in_an_encrypted_store_loads_nothing(tmp_path: Path) -> None:
    """What encrypts is loaded when the recorder begins, too."""
    child = run_child(SEALED, tmp_path / "store", tmp_path / "key")
    assert child.stdout == "[] False\n", child.stdout + child.stderr
