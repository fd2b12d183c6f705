"""A full disk while recording: nothing accepted is lost, what is refused is said, and it goes on when there is room."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest

import replaylab as rl
from replaylab.errors import DiskLow, RecorderError, StoreError
from replaylab.recording.state import Environment
from tests.crash.recordings import Recorded, lawful, made, stored, until
from tests.stores import run_child

MEGABYTE: Final = 1 << 20
LOOKING_AWAY: Final = Environment(free_bytes=lambda _: 1 << 40)  # it learns of a full disk when a write fails
LIMITED = """
import json, resource, signal, sys
import replaylab as rl
from tests.crash.recordings import made, small
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
recorder = rl.Recorder(sys.argv[1], settings=small())
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), -1))
receipts = [recorder.record(tick) for tick in made(300)]
resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
recorder.stop()
print(json.dumps([number for number, receipt in enumerate(receipts) if receipt]))
"""


class _NoMount(UserWarning):
    """Said in the summary of the run, where every warning is."""


pytestmark = pytest.mark.filterwarnings("default::UserWarning")


class Disk:
    """A small disk of 130 MB, and a file on it that takes its room."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ballast = folder / "ballast"

    def free(self) -> int:
        """Give how much room there is."""
        stat = os.statvfs(self.folder)
        return stat.f_bavail * stat.f_frsize

    def leave(self, room: int) -> None:
        """Take all room but so much; a status file may be written meanwhile, and then it is measured again."""
        while True:
            self.ballast.unlink(missing_ok=True)
            size = self.free() - room
            with suppress(OSError), self.ballast.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, size)
                return


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk | None]:
    """Give a disk of 130 MB; None, said aloud, where no disk can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made_one = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=130m", "tmpfs", folder], capture_output=True, check=False
    )
    if made_one.returncode:
        warnings.warn_explicit(_NoMount(f"no small disk can be mounted here: {made_one.stderr!r}"), None, "", 0)
        yield None
        return
    yield Disk(folder)
    gc.collect()  # what an error still holds, its traceback in pytest's hands
    subprocess.run(["umount", folder], check=True)


def test_it_does_not_start_without_room(disk: Disk | None) -> None:
    """Below 100 MB a recorder refuses to start, with an error that names place and room; nothing is left behind."""
    if disk is None:
        return
    disk.leave(90 * MEGABYTE)
    with pytest.raises(DiskLow, match="store"):
        rl.Recorder(disk.folder / "store")
    assert not list(disk.folder.rglob("*.journal"))
    disk.leave(120 * MEGABYTE)
    rl.Recorder(disk.folder / "store").stop()


def test_it_pauses_and_resumes(disk: Disk | None) -> None:
    """Below 10 MB it goes no further and says so; with room again it goes on by itself; accepted is readable."""
    if disk is None:
        return
    recorded = Recorded(disk.folder / "store")
    recorded.record(made(150))
    disk.leave(5 * MEGABYTE)
    first = [150]

    def refused() -> bool:
        recorded.record(made(20, first=first[0]))
        first[0] += 20
        return bool(recorded.refused)

    until(refused)
    assert set(recorded.refused) == {"disk_full"}
    status = recorded.recorder.status()
    assert status.state == "paused"
    assert status.verdict != "healthy"
    assert status.reasons
    lawful(stored(rl.Store(recorded.store)), recorded.accepted, safe=len(recorded.accepted))
    disk.leave(60 * MEGABYTE)
    until(lambda: recorded.recorder.status().state == "recording")
    count = len(recorded.refused)
    recorded.record(made(100, first=first[0]), flush_each=50)
    assert len(recorded.refused) == count
    recorded.recorder.stop()
    recorded.check()
    kinds = [event.kind for event in recorded.events]
    assert kinds.count("paused") == kinds.count("resumed") == 1


@pytest.mark.parametrize("room", [0, 8_192, 65_536])
def test_a_disk_without_any_room(disk: Disk | None, room: int) -> None:
    """Filled to the last page while it records: it closes cleanly on the room it kept, and all accepted is readable."""
    if disk is None:
        return
    recorded = Recorded(disk.folder / "store", environment=LOOKING_AWAY)
    recorded.record(made(50))
    disk.leave(room)
    recorded.record(made(2_000, first=50))
    recorded.record(made(10, first=5_000), flush_each=5)
    with suppress(RecorderError, StoreError):
        recorded.recorder.stop()
    lawful(stored(rl.Store(recorded.store)), recorded.accepted, safe=len(recorded.accepted))
    lawful(stored(recorded.store), recorded.accepted, safe=len(recorded.accepted))  # an opening on a full disk
    disk.leave(100 * MEGABYTE)
    recorded.check()
    assert list((recorded.store / "journals").glob("*.journal")) == []


def test_room_that_comes_and_goes(disk: Disk | None) -> None:
    """Full and free, full and free: ticks accepted in between are there, once each, those refused are not."""
    if disk is None:
        return
    recorded = Recorded(disk.folder / "store", environment=LOOKING_AWAY)
    first = 0
    for _ in range(4):
        disk.leave(0)
        recorded.record(made(400, first=first))
        disk.leave(50 * MEGABYTE)
        until(lambda: recorded.recorder.status().state == "recording")
        recorded.record(made(100, first=first + 400), flush_each=50)
        first += 500
    assert len(recorded.accepted) >= 400
    recorded.recorder.stop()
    recorded.check()


@pytest.mark.parametrize("limit", [4_000, 10_000, 30_000])
def test_a_limit_on_the_size_of_files(tmp_path: Path, limit: int) -> None:
    """Where a file may not grow on, ticks are refused or go to another file; those accepted are there."""
    child = run_child(LIMITED, tmp_path / "store", limit)
    assert child.returncode == 0, child.stderr
    accepted = json.loads(child.stdout)
    given = made(300)
    lawful(stored(tmp_path / "store"), [given[number] for number in accepted], safe=len(accepted))
    assert rl.open_store(tmp_path / "store").verify().ok
