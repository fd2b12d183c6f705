"""A disk that stalls: feeds are read and recorded while a sync or a seal is stuck, and their event loop turns."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

import replaylab as rl
from replaylab.feeds.base import Frame
from replaylab.sessions.loop import FEEDS
from replaylab.sessions.session import LiveSession
from replaylab.settings import Settings
from tests.live.copies import wait_for
from tests.sessions.virtual import ScriptedFeed, tick

SECONDS = 60.0
TICKS = 1_000  # that come while the disk is stuck


class StuckDisk:
    """A disk whose next sync of a kind of file, once it is asked to, does not come back until it is released."""

    def __init__(self, patch: pytest.MonkeyPatch, suffix: str) -> None:
        self.stuck, self.released = threading.Event(), threading.Event()
        self.wanted = False
        self._suffix, self._fsync = suffix, os.fsync
        patch.setattr(os, "fsync", self.fsync)

    def fsync(self, descriptor: int) -> None:
        """Sync, at once or when released."""
        if self.wanted and self._suffix in Path(f"/proc/self/fd/{descriptor}").readlink().name:
            self.stuck.set()
            assert self.released.wait(SECONDS)
        self._fsync(descriptor)


async def _turn() -> None:
    """Do nothing, on the loop of the feeds."""


@pytest.mark.parametrize("suffix", [".journal", ".aside"])
def test_the_loop_turns_and_frames_are_recorded_while_the_disk_is_stuck(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    """While one sync of a journal, or of a segment that is sealed, is stuck, a thousand frames come and are accepted.

    A flush that waits for the disk holds up its own thread alone. Released, everything is permanent.
    """
    disk = StuckDisk(monkeypatch, suffix)
    number = 0
    seals = {} if suffix == ".journal" else {"seal_ticks": 100, "seal_game_ticks": 100}

    def brings(_since: float) -> Frame | float:
        nonlocal number
        if number >= 200 and not disk.stuck.is_set():
            disk.wanted = True
        elif (number >= 200 + TICKS and not disk.released.is_set()) or number >= 400 + TICKS:
            return 0.01
        number += 1
        return Frame([tick(number - 1)], [f"g-{number - 1}"], f"g-{number - 1}")

    settings = Settings(min_free_start_bytes=0, min_free_bytes=0, sync_seconds=0.05, **seals)
    recorder = rl.Recorder(tmp_path, overflow="refuse", settings=settings)
    with recorder, LiveSession(ScriptedFeed(lambda _now: None, brings), to=recorder) as session:
        assert disk.stuck.wait(SECONDS)
        before = session.status().recorded
        flushing = threading.Thread(target=recorder.flush, daemon=True)
        flushing.start()
        wait_for(lambda: session.status().recorded >= before + TICKS // 2, SECONDS)
        for _ in range(50):
            FEEDS.submit(_turn()).result(SECONDS)
        assert not disk.released.is_set()
        assert session.status().state == "live"
        disk.released.set()
        wait_for(lambda: session.status().recorded >= 400 + TICKS, SECONDS)
        flushing.join(SECONDS)
        assert not flushing.is_alive()
    assert session.status().gaps == 0
    rows = rl.open_store(tmp_path).game("g").ticks().column("tick").to_pylist()
    assert rows == list(range(number))
