"""SyncRequests: the kernel syncs as it is asked, and a recorder keeps its promises with it."""

from __future__ import annotations

import ctypes
import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

import replaylab as rl
from replaylab.kernel.library import MOST_SYNCS
from replaylab.recording import journal_file, sync_requests
from replaylab.recording.sync_requests import MOST_BYTES, SyncRequests
from tests.recordings import Heard, small, stored, ticks
from tests.resources import leaves_nothing_open

CALL: Final = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, use_errno=True)
MANY: Final = 4_000


@contextmanager
def syncing(requests: SyncRequests, sync: Callable[[int], int]) -> Iterator[None]:
    """Let the kernel call a function in the place of fsync; it returns an errno, or 0."""

    def called(descriptor: int) -> int:
        ctypes.set_errno(sync(descriptor))
        return -1 if ctypes.get_errno() else 0

    call = CALL(called)
    requests._sync, before = ctypes.cast(call, ctypes.c_void_p), requests._sync
    try:
        yield
    finally:
        while requests.is_served:  # it holds the function
            time.sleep(0.001)
        requests._sync = before


@contextmanager
def running(work: Callable[[], object]) -> Iterator[None]:
    """Do something on another thread meanwhile."""
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        thread.join()


@pytest.fixture
def requests(monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncRequests]:
    """Requests that the kernel can serve, and waits for as long as a test takes."""
    monkeypatch.setattr(sync_requests, "STAY_NS", 30_000_000_000)
    made = SyncRequests()
    assert made.can_serve()
    yield made
    made.close()


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[int]:
    """An open file."""
    with (tmp_path / "journal").open("wb") as file:
        yield file.fileno()


def test_each_request_is_served(requests: SyncRequests, journal: int) -> None:
    """The first sync is that of the call; then the newest request counts, and older ones are passed over."""
    requests.ask(7, 99, 990)  # older than what is synced at once
    requests.ask(7, 300, 3_000)
    requests.ask(7, 400, 4_000)
    done = requests.serve(journal, 7, 200, 2_000, 200)
    assert (done.seq, done.size, len(done.seconds), done.error) == (400, 4_000, 2, 0)


def test_another_journal_ends_it(requests: SyncRequests, journal: int) -> None:
    """A request of another journal is for the caller: nothing is called permanent that is in a file not synced."""
    requests.ask(7, 300, 3_000)
    requests.ask(8, 400, 400)
    requests.ask(7, 500, 5_000)
    done = requests.serve(journal, 7, 200, 2_000, 1_000)
    assert (done.seq, done.size, len(done.seconds)) == (200, 2_000, 1)
    requests.interrupt()
    assert requests.serve(journal, 8, 400, 400, 1_000).seq == 400


def test_it_returns_when_nothing_is_asked(
    monkeypatch: pytest.MonkeyPatch, requests: SyncRequests, journal: int
) -> None:
    """The thread has other work: the kernel waits for a moment only."""
    monkeypatch.setattr(sync_requests, "STAY_NS", 1_000_000)
    assert requests.serve(journal, 7, 200, 2_000, 1_000).seq == 200


def test_it_returns_when_enough_is_permanent(requests: SyncRequests, journal: int) -> None:
    """The lines that wait for the thread to forget them are bounded: by ticks, by bytes, and by syncs."""
    requests.ask(7, 300, 3_000)
    assert requests.serve(journal, 7, 200, 2_000, 0).seq == 200
    requests.ask(7, 400, 2_000 + MOST_BYTES)  # that of before is older than what is synced at once
    assert requests.serve(journal, 7, 300, 2_000, 1_000).seq == 400
    asked = iter(range(300, 1_000_000, 100))

    def sync(_: int) -> int:
        requests.ask(7, next(asked), 1)
        return 0

    with syncing(requests, sync):
        done = requests.serve(journal, 7, 200, 2_000, 1 << 40)
    assert 1 <= len(done.seconds) <= MOST_SYNCS
    assert done.seq == 200 + 100 * (len(done.seconds) - 1)


def test_a_sync_that_fails_is_the_last(requests: SyncRequests, journal: int) -> None:
    """What was synced before counts; the error is returned, and the file is not touched again."""
    answers = iter((0, errno.EIO, 0, 0))
    calls = []

    def sync(descriptor: int) -> int:
        calls.append(descriptor)
        requests.ask(7, 200 + 100 * len(calls), 1)
        return next(answers)

    with syncing(requests, sync):
        done = requests.serve(journal, 7, 200, 2_000, 1_000)
    assert (done.seq, done.error, len(done.seconds), len(calls)) == (200, errno.EIO, 1, 2)
    with syncing(requests, lambda _: errno.ENOSPC):
        done = requests.serve(journal, 7, 700, 7_000, 1_000)
    assert (done.seconds, done.error) == ([], errno.ENOSPC)


def test_the_file_that_was_meant_is_synced(requests: SyncRequests, tmp_path: Path) -> None:
    """Its number may be closed and used again meanwhile: the kernel holds the file itself."""
    synced: list[int] = []
    first, other = (os.open(tmp_path / name, os.O_CREAT | os.O_WRONLY) for name in "ab")
    inode = os.fstat(first).st_ino

    def sync(descriptor: int) -> int:
        os.dup2(other, first)
        synced.append(os.fstat(descriptor).st_ino)
        return 0

    with syncing(requests, sync):
        requests.serve(first, 7, 200, 2_000, 0)
    assert synced == [inode]
    for descriptor in (first, other):
        os.close(descriptor)


def test_no_kernel_where_fsync_was_replaced(monkeypatch: pytest.MonkeyPatch, requests: SyncRequests) -> None:
    """Who replaces os.fsync is called for each sync."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    assert not requests.can_serve()


def test_slow_disks_are_synced_by_the_thread(requests: SyncRequests, journal: int) -> None:
    """After a slow sync the next is not the kernel's, which would keep the thread from all else for as long."""

    def sync(_: int) -> int:
        time.sleep(0.002)
        return 0

    with syncing(requests, sync):
        requests.serve(journal, 7, 200, 2_000, 0)
    assert not requests.can_serve()
    assert requests.can_serve()


def test_a_pipe_that_is_full_takes_nothing_more(requests: SyncRequests, journal: int) -> None:
    """A writer is never held up by it; the newest request that it has taken is served."""
    taken = 0
    while requests.ask(7, taken, 1):
        taken += 1
    assert taken > MOST_SYNCS
    assert requests.serve(journal, 7, -1, 0, 100).seq >= 99
    requests.close()
    assert not requests.ask(7, 1, 1)


class Disk:
    """A disk that knows how many ticks survive a power cut: those of the bytes that were there before a sync ended."""

    def __init__(self, delay_seconds: float = 0) -> None:
        self.permanent: dict[int, int] = {}  # by inode: bytes
        self.by_kernel = 0  # syncs
        self.errors: list[int] = []
        self.failed: set[int] = set()
        self.again = 0
        self._held: list[int] = []
        self._delay_seconds = delay_seconds

    def sync(self, descriptor: int) -> int:
        """Sync, or return the next error."""
        seen = os.fstat(descriptor)
        self.again += seen.st_ino in self.failed
        time.sleep(self._delay_seconds)
        if self.errors:
            self.failed.add(seen.st_ino)
            self._held.append(os.dup(descriptor))  # as long as it is open no other file gets its number
            return self.errors.pop(0)
        self.permanent[seen.st_ino] = seen.st_size
        return 0

    def close(self) -> None:
        """Let the files go whose sync has failed."""
        while self._held:
            os.close(self._held.pop())

    def sync_of_kernel(self, descriptor: int) -> int:
        """Sync in the place of the kernel's fsync."""
        self.by_kernel += 1
        return self.sync(descriptor)

    def last_seq(self, path: Path) -> int:
        """The last tick of a journal that is permanent, or -1."""
        content = path.read_bytes()[: self.permanent.get(path.stat().st_ino, 0)]
        numbers = [line.rsplit(b'"seq": ', 1)[1].split(b",")[0] for line in content.splitlines() if b'"seq": ' in line]
        return int(numbers[-1]) if numbers else -1


@pytest.mark.parametrize("delay_seconds", [0, 0.0005])
def test_what_a_receipt_calls_durable_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, delay_seconds: float
) -> None:
    """No receipt claims more than a power cut would leave, whoever synced, and no more ticks wait than are allowed."""
    disk, given = Disk(delay_seconds), ticks(MANY)
    monkeypatch.setattr(journal_file, "sync", disk.sync)  # the syncs of the thread
    settings = small(buffer_ticks=100, max_unsynced_ticks=1_000, sync_seconds=3_600, seal_ticks=1_000_000)
    with rl.Recorder(tmp_path, settings=settings) as recorder, syncing(recorder._state.requests, disk.sync_of_kernel):
        path = recorder.status().journal
        for tick in given:
            receipt = recorder.record(tick)
            assert receipt.accepted
            if receipt.seq % 50 == 0:
                assert receipt.durable_seq <= disk.last_seq(path)
                assert receipt.seq - disk.last_seq(path) <= 1_000
    assert disk.by_kernel
    assert stored(tmp_path) == given


def test_a_status_tells_of_one_moment(tmp_path: Path) -> None:
    """While the kernel syncs, a place that is called durable has a time of its own, and neither goes back."""
    disk, begun, seen = Disk(0.0005), datetime.now(UTC), []
    settings = small(buffer_ticks=100, max_unsynced_ticks=1_000, sync_seconds=3_600, seal_ticks=1_000_000)
    with rl.Recorder(tmp_path, settings=settings) as recorder, syncing(recorder._state.requests, disk.sync_of_kernel):
        over = threading.Event()

        def look() -> None:
            while not over.is_set():
                seen.append(recorder._state.durable)

        with running(look):
            try:
                for tick in ticks(MANY):
                    assert recorder.record(tick)
            finally:
                over.set()
        recorder.flush()
        seen.append((recorder.status().durable_seq, recorder.status().durable_at))
    assert disk.by_kernel
    assert [at for seq, at in seen if seq >= 0 and (at is None or not begun <= at <= datetime.now(UTC))] == []
    assert [seq for seq, _ in seen] == sorted(seq for seq, _ in seen)
    assert seen[-1][0] == MANY - 1


def test_a_sync_that_hangs_makes_no_older_one_look_new(requests: SyncRequests, journal: int) -> None:
    """What the kernel has synced has the time of that sync, however long the next one takes."""
    hangs, goes_on = threading.Event(), threading.Event()

    def sync(_: int) -> int:
        if calls:
            hangs.set()
            goes_on.wait(60)
        calls.append(datetime.now(UTC))
        return 0

    calls: list[datetime] = []
    assert requests.synced_seq == -1
    requests.ask(7, 300, 3_000)
    with syncing(requests, sync), running(lambda: requests.serve(journal, 7, 200, 2_000, 100)):
        assert hangs.wait(60)
        seq, at = requests.synced
        goes_on.set()
    assert seq == 200
    assert at is not None
    assert calls[0] <= at < calls[1]
    requests.forget()
    assert requests.synced == (-1, None)


@pytest.mark.parametrize("error", [errno.EIO, errno.ENOSPC])
def test_ticks_of_a_failed_sync_are_written_again(tmp_path: Path, error: int) -> None:
    """A failed sync of the kernel is as one of the thread: its file is given up, and each tick is there once."""
    given, heard = ticks(MANY), Heard()
    settings = small(buffer_ticks=100, max_unsynced_ticks=1_000, sync_seconds=3_600, max_failures=50)
    with closing(Disk()) as disk, rl.Recorder(tmp_path, settings=settings, on_event=heard) as recorder:
        requests = recorder._state.requests
        with syncing(requests, disk.sync):
            accepted = []
            for number, tick in enumerate(given):
                if number in (1_000, 2_000, 3_000):
                    disk.errors = [error]
                accepted += [tick] if recorder.record(tick) else []
        failures = len(disk.failed)
        recorder.flush()
    assert failures
    assert not disk.again
    assert stored(tmp_path) == accepted
    assert rl.Store(tmp_path).verify().ok


def test_journals_that_turn_meanwhile(tmp_path: Path) -> None:
    """Journals that end every few ticks, games that end, and writers of several threads: each tick is there once."""
    settings = small(buffer_ticks=50, max_unsynced_ticks=1_000, seal_ticks=300, seal_game_ticks=100)
    given = [ticks(1_000, game=f"game-{number}") for number in range(4)]
    with leaves_nothing_open(), rl.Recorder(tmp_path, settings=settings) as recorder:
        writers = [threading.Thread(target=_record, args=(recorder, some)) for some in given]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert recorder.flush().durable
    found = stored(tmp_path)
    assert [[one for one in found if one.game_id == some[0].game_id] for some in given] == given


def _record(recorder: rl.Recorder, some: list[rl.Tick]) -> None:
    for tick in some:
        recorder.record(tick)


def test_without_a_kernel_the_thread_syncs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same ticks are permanent, sync by sync of the thread."""
    monkeypatch.setattr(sync_requests, "load", lambda: None)
    with rl.Recorder(tmp_path, settings=small(buffer_ticks=100, sync_seconds=3_600)) as recorder:
        for tick in ticks(500):
            recorder.record(tick)
        assert recorder.flush().durable
        assert recorder.status().sync_us.count
    assert stored(tmp_path) == ticks(500)
