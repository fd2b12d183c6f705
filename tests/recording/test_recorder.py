"""Recorder: what it answers, what is on disk when it answers, and what a store gives back."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import threading
import time
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq
import pytest

import replaylab as rl
from replaylab.errors import DiskLow, RecordingFailed, SettingsError
from replaylab.parsing.json_line import Kind, parse_line
from replaylab.recording.state import Environment
from replaylab.settings import Settings
from tests.recordings import GAME, Heard, crash, journals, segments, small, stored, tick, ticks
from tests.resources import leaves_nothing_open

EXACT = ["0.12345678901234567890", "1E-7", "1E-18", "12345678901234.123456789", "1.10", "-0", "1", "1.0", "0.000"]


def test_what_is_recorded_comes_back(tmp_path: Path) -> None:
    """Every tick comes back as it was: all fields, in order, in one clean recording."""
    given = ticks(250) + ticks(30, "other")
    with rl.Recorder(tmp_path / "store", settings=small()) as recorder:
        receipts = [recorder.record(one) for one in given]
    assert all(receipts)
    assert [one.seq for one in receipts] == list(range(280))
    store = rl.Store(tmp_path / "store")
    assert stored(store) == given
    assert [one.state for one in store.recordings()] == ["clean"]
    assert store.verify().ok
    assert not journals(tmp_path / "store")


@pytest.mark.parametrize("text", EXACT)
@pytest.mark.parametrize("active", [True, False])
def test_prices_come_back_equal(tmp_path: Path, text: str, active: bool) -> None:  # noqa: FBT001 a parameter of pytest
    """A price that was recorded is never taken for one that was filled in, nor rounded, read as Arrow or as Parquet."""
    given = [tick(1, price=Decimal(text), active=active)]
    with rl.Recorder(tmp_path, settings=small()) as recorder:
        recorder.record(given[0])
        assert stored(tmp_path) == given  # from the journal
    assert stored(tmp_path) == given
    assert pq.read_table(segments(tmp_path)[0]).column("price").to_pylist() == [Decimal(text)]


def test_acknowledged_is_written(tmp_path: Path) -> None:
    """A line is in the file before its receipt is given, and the same parser as for recordings reads it."""
    with rl.Recorder(tmp_path, settings=small()) as recorder:
        for one in ticks(7):
            recorder.record(one)
            lines = journals(tmp_path)[0].read_bytes().splitlines()
            assert parse_line(lines[-1]).kind is Kind.TICK
            assert json.loads(lines[-1])["tick"] == one.tick


def test_group_syncs_after_many(tmp_path: Path) -> None:
    """After `buffer_ticks` ticks they become durable by themselves, and the receipts tell."""
    with rl.Recorder(tmp_path, settings=small(sync_seconds=3600)) as recorder:
        recorder.record_many(ticks(10))
        _wait(lambda: recorder.status().durable_seq == 9)
        _wait(lambda: recorder._state.positions.durable_seq == 9)  # receipts may tell of it a moment after the status
        receipt = recorder.record(tick(10))
        assert (receipt.seq, receipt.durable_seq, receipt.durable) == (10, 9, False)


def test_group_syncs_in_silence(tmp_path: Path) -> None:
    """A few ticks become durable after `sync_seconds` without another one coming."""
    with rl.Recorder(tmp_path, settings=small(sync_seconds=0.2)) as recorder:
        recorder.record_many(ticks(3))
        _wait(lambda: recorder.status().durable_seq == 2)
        assert recorder.status().durable_at is not None


def test_tick_durability_syncs_each(tmp_path: Path) -> None:
    """With durability "tick" every receipt is durable."""
    with rl.Recorder(tmp_path, durability="tick", settings=small()) as recorder:
        assert all(recorder.record(one).durable for one in ticks(5))
        assert recorder.record_many(ticks(5, first=5)).durable
        assert recorder.status().durability == {"mode": "tick"}
    assert len(stored(tmp_path)) == 10


def test_no_durability_syncs_at_the_end(tmp_path: Path) -> None:
    """With durability "none" nothing is synced before the end, and everything at the end."""
    with rl.Recorder(tmp_path, durability="none", settings=small(sync_seconds=0.05)) as recorder:
        recorder.record_many(ticks(500))
        time.sleep(0.2)
        assert recorder.status().durable_seq == -1
        assert recorder.flush().durable
        recorder.record(tick(500))
    report = recorder.stop()
    assert (report.ticks, report.durable, len(stored(tmp_path))) == (501, True, 501)


def test_the_bound_is_kept_with_the_recording(tmp_path: Path) -> None:
    """The bound in force is in the status, in the journal and in the sealed recording."""
    bound = {"mode": "group", "ticks": 10, "seconds": 10.0}
    with rl.Recorder(tmp_path, settings=small()) as recorder:
        recorder.record(tick())
        assert recorder.status().durability == bound
        assert [one.durability for one in rl.Store(tmp_path).recordings()] == [bound]
    assert [one.durability for one in rl.Store(tmp_path).recordings()] == [bound]


def test_flush_waits(tmp_path: Path) -> None:
    """After `flush` everything accepted is durable."""
    with rl.Recorder(tmp_path, settings=small(sync_seconds=3600)) as recorder:
        recorder.record_many(ticks(3))
        receipt = recorder.flush()
        assert (receipt.seq, receipt.durable_seq) == (2, 2)


def test_mappings_are_taken(tmp_path: Path) -> None:
    """A mapping of the fields is a tick; fields that a tick has not are dropped."""
    given = {"game_id": "g", "tick": 1, "timestamp": "2031-01-02T03:04:05", "price": "1.5", "active": True}
    with rl.Recorder(tmp_path, settings=small()) as recorder:
        assert recorder.record({**given, "rugged": False, "colour": "red"})
        refused = recorder.record(given)
        assert (refused.reason, refused.detail) == ("missing_field", "rugged=None: is missing")
        many = recorder.record_many([given, {**given, "rugged": False, "price": "x" * 3000}])
        assert many.reason == "wrong_type"
        assert many.detail.startswith("price='xxxx")
        assert len(many.detail) < 120
        assert recorder.lane("other").record({**given, "rugged": 1}).detail.startswith("rugged=1: ")
    assert [one.price for one in stored(tmp_path)] == [Decimal("1.5")]


class _Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("not to be looked at")


def _cyclic() -> list[Any]:
    found: list[Any] = []
    found.append(found)
    return found


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "surrogate": ({"game_id": "\ud800"}, "lone_surrogate"),
    "nan": ({"price": Decimal("NaN")}, "not_finite"),
    "infinity": ({"price": "Infinity"}, "not_finite"),
    "float": ({"price": 1.5}, "wrong_type"),
    "no price": ({"price": None}, "wrong_type"),
    "bytes": ({"game_id": b"g"}, "wrong_type"),
    "cyclic": ({"phase": _cyclic()}, "wrong_type"),
    "hostile": ({"price": _Hostile()}, "wrong_type"),
    "fraction": ({"tick": 5.9}, "wrong_type"),
    "text flag": ({"active": "false"}, "wrong_type"),
    "too large": ({"phase": "x" * (1 << 20)}, "tick_too_large"),
    "too large, escaped": ({"phase": "\x01" * 200_000}, "tick_too_large"),
    "too fine": ({"price": "1E-25"}, "price_too_fine"),
    "too great": ({"price": "1E+30"}, "price_too_large"),
    "no time": ({"timestamp": "yesterday"}, "bad_time"),
}
GOOD: dict[str, Any] = {
    "game_id": "g",
    "tick": 1,
    "timestamp": "2031-01-02T03:04:05",
    "price": "1",
    "active": True,
    "rugged": False,
}


@pytest.mark.parametrize("name", BAD)
def test_bad_ticks_are_refused_and_counted(tmp_path: Path, name: str) -> None:
    """A value that cannot be stored is refused with its reason, never raised, never found on disk; the rest goes on."""
    fields, reason = BAD[name]
    with rl.Recorder(tmp_path, settings=small()) as recorder:
        assert recorder.record(GOOD)
        receipt = recorder.record({**GOOD, **fields})
        assert (receipt.accepted, receipt.reason, receipt.refused) == (0, reason, 1)
        many = recorder.record_many([GOOD, {**GOOD, **fields}, GOOD])
        assert (many.accepted, many.reason, many.refused) == (2, reason, 1)
        assert recorder.status().refused == {reason: 2}
    assert len(stored(tmp_path)) == 3


def test_a_tick_without_a_price_is_refused_like_its_mapping(tmp_path: Path) -> None:
    """A `Tick` may have no price; a journal holds none such: it is refused and counted, alone and among others."""
    tick = rl.Tick(**{**GOOD, "price": None})
    with rl.Recorder(tmp_path, settings=small()) as recorder:
        assert recorder.record(tick).reason == "wrong_type"
        many = recorder.record_many([rl.Tick(**GOOD), tick, GOOD])
        assert (many.accepted, many.refused) == (2, 1)
    assert len(stored(tmp_path)) == 2


@pytest.mark.parametrize("given", [None, 7, "tick", [1], b"x", object()])
def test_what_is_no_tick_is_refused(tmp_path: Path, given: Any) -> None:
    """Anything else is refused too."""
    with rl.Recorder(tmp_path, settings=small()) as recorder:
        assert recorder.record(given).reason == "wrong_type"


@pytest.mark.parametrize("spare", [0, 1])
def test_the_largest_tick(tmp_path: Path, spare: int) -> None:
    """A tick of exactly 1 MiB is recorded and comes back; one byte more is refused."""
    frame = len(tick(1, phase="x").to_line()) - 1
    given = dict(zip(("game_id", "tick"), (GAME, 1), strict=True)) | {
        "timestamp": tick(1).timestamp,
        "price": tick(1).price,
        "phase": "x" * ((1 << 20) - frame + spare),
        "active": True,
        "rugged": False,
        "trade_count": 1,
    }
    with rl.Recorder(tmp_path, settings=small()) as recorder:
        assert bool(recorder.record(given)) is (spare == 0)
        assert recorder.record(tick(2))
        assert len(stored(tmp_path)) == 2 - spare
    assert len(stored(tmp_path)) == 2 - spare


def test_games_and_tables_can_be_recorded(tmp_path: Path) -> None:
    """A stored game, or a table of rows, is recorded like its ticks; a filled price is no price."""
    with rl.Recorder(tmp_path / "a", settings=small()) as recorder:
        recorder.record_many(ticks(300))
    game = rl.Store(tmp_path / "a").game(GAME)
    with rl.Recorder(tmp_path / "b", settings=small()) as recorder:
        assert recorder.record_many(game).accepted == 300
        assert recorder.record_many(game.ticks()).accepted == 300
    assert stored(tmp_path / "b") == ticks(300) * 2


def test_a_new_game_ends_the_one_before(tmp_path: Path) -> None:
    """The order is start(A), end(A), start(B)."""
    heard = Heard()
    with rl.Recorder(tmp_path, settings=small(), on_event=heard) as recorder:
        recorder.record_many([*ticks(3, "A"), *ticks(3, "B")])
    told = [(one.kind.value, one.details.get("game_id")) for one in heard.events if one.kind.value.startswith("game")]
    assert told == [("game_started", "A"), ("game_ended", "A"), ("game_started", "B"), ("game_ended", "B")]
    assert heard.kinds[0] == "started"
    assert heard.kinds[-1] == "stopped"


def test_callbacks_may_call_back(tmp_path: Path) -> None:
    """A callback may use the recorder, and may fail: no lock is held, and the recording goes on."""
    found: list[Any] = []

    def listener(event: Any) -> None:
        if event.kind == "game_started":
            found.append(recorder.record(tick(99)))
            found.append(recorder.flush())
            found.append(recorder.status())
            raise RuntimeError("a listener's own trouble")

    recorder = rl.Recorder(tmp_path, settings=small(), on_event=listener)
    with recorder:
        recorder.record(tick())
        _wait(lambda: recorder.status().callback_errors == 1)
    assert len(found) == 3
    assert len(stored(tmp_path)) == 2


def test_stop_in_a_callback(tmp_path: Path) -> None:
    """`stop` called by a callback ends the recording; called again it gives the report."""
    done = threading.Event()

    def listener(event: Any) -> None:
        if event.kind == "game_started":
            recorder.stop()
            done.set()

    recorder = rl.Recorder(tmp_path, settings=small(), on_event=listener)
    recorder.record(tick())
    assert done.wait(60)
    assert recorder.stop().ticks == 1
    assert recorder.record(tick(1)).reason == "closed"
    assert len(stored(tmp_path)) == 1


def test_stop_is_idempotent(tmp_path: Path) -> None:
    """The report is the same each time; a tick after it is refused; nothing of the recorder is left."""
    with leaves_nothing_open():
        recorder = rl.Recorder(tmp_path, settings=small())
        recorder.record_many(ticks(25))
        report = recorder.stop()
        assert recorder.stop() is report
        assert (report.ticks, report.segments, report.journals_left, report.durable) == (25, 1, 0, True)
        assert "25 ticks recorded" in str(report)
        assert recorder.record(tick()).reason == "closed"
        assert recorder.record_many(ticks(3)).reason == "closed"
        assert recorder.status().state == "closed"
        assert recorder.flush().durable
    assert list((tmp_path / "journals").iterdir()) == []


def test_nothing_recorded_leaves_nothing(tmp_path: Path) -> None:
    """A recorder that was given nothing leaves no segment and no journal."""
    with rl.Recorder(tmp_path, settings=small()):
        pass
    assert segments(tmp_path) == []
    assert list((tmp_path / "journals").iterdir()) == []


def test_a_dropped_recorder_is_closed(tmp_path: Path) -> None:
    """A recorder that nobody holds any more is closed in order; its handles, its thread and its ticks are accounted."""
    with leaves_nothing_open():
        recorder = rl.Recorder(tmp_path, settings=small())
        recorder.record_many(ticks(25))
        del recorder
        gc.collect()
    assert [one.state for one in rl.Store(tmp_path).recordings()] == ["clean"]
    assert len(stored(tmp_path)) == 25


def test_an_exception_closes_it(tmp_path: Path) -> None:
    """What was accepted before an exception in the block is there, and the exception is the one raised."""
    with pytest.raises(KeyError), rl.Recorder(tmp_path, settings=small()) as recorder:  # noqa: PT012
        recorder.record_many(ticks(25))
        raise KeyError("mine")
    assert len(stored(tmp_path)) == 25


def test_two_hundred_recorders_leave_nothing_open(tmp_path: Path) -> None:
    """No handle and no thread survives its recorder."""
    with leaves_nothing_open():
        for number in range(20):
            with rl.Recorder(tmp_path, settings=small()) as recorder:
                recorder.record(tick(number))
    assert len(stored(tmp_path)) == 20


def test_asyncio(tmp_path: Path) -> None:
    """In an event loop recording does not hold up the loop, nor does the end of the block."""

    async def work() -> float:
        longest = 0.0

        async def heartbeat() -> None:
            nonlocal longest
            while True:
                before = time.monotonic()
                await asyncio.sleep(0.001)
                longest = max(longest, time.monotonic() - before)

        beating = asyncio.create_task(heartbeat())
        async with rl.Recorder(tmp_path, overflow="refuse", settings=small()) as recorder:
            for one in ticks(300):
                recorder.record(one)
                await asyncio.sleep(0)
        beating.cancel()
        return longest

    asyncio.run(work())
    assert len(stored(tmp_path)) == 300


def test_start_is_refused_without_space(tmp_path: Path) -> None:
    """Below `min_free_start_bytes` a recorder is not made, and nothing is left behind."""
    with pytest.raises(DiskLow, match="99 bytes are free"):
        rl.Recorder(tmp_path, environment=Environment(free_bytes=lambda _: 99), settings=Settings())
    assert list((tmp_path / "journals").iterdir()) == []


def test_low_space_pauses_and_resumes(tmp_path: Path) -> None:
    """Below `min_free_bytes` ticks are refused; it goes on by itself when there is space, and says both."""
    heard = Heard()
    free = [1 << 30]
    environment = Environment(free_bytes=lambda _: free[0])
    with rl.Recorder(tmp_path, environment=environment, settings=Settings(), on_event=heard) as recorder:
        recorder.record(tick(0))
        free[0] = 9 << 20
        assert heard.wait_for("paused")
        receipt = recorder.record(tick(1))
        assert (receipt.accepted, receipt.reason) == (0, "disk_full")
        status = recorder.status()
        assert (status.state, status.verdict, status.free_bytes) == ("paused", "degraded", 9 << 20)
        assert "disk_full" in status.reasons[0]
        free[0] = 1 << 30
        assert heard.wait_for("resumed")
        assert recorder.record(tick(2))
    assert stored(tmp_path) == [tick(0), tick(2)]
    assert recorder.stop().refused == {"disk_full": 1}


@pytest.mark.parametrize("options", [{"durability": "sometimes"}, {"overflow": "drop"}])
def test_unknown_choices_are_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    """A durability or a policy that there is not is a `SettingsError`, before anything is made."""
    with pytest.raises(SettingsError, match="must be one of"):
        rl.Recorder(tmp_path / "store", **options)
    assert not (tmp_path / "store").exists()


def test_logging_is_one_line_a_change(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A thousand ticks of one game log as many lines as one tick: its start, its sealing and its end."""
    handlers = list(logging.getLogger().handlers)
    with caplog.at_level(logging.INFO), rl.Recorder(tmp_path, settings=small()) as recorder:
        recorder.record_many(ticks(1000))
    told = [record for record in caplog.records if record.name == "replaylab.recorder"]
    assert [vars(record)["recorder_event"] for record in told] == ["started", "sealed", "stopped"]
    assert {vars(record)["recorder_run"] for record in told} == {recorder.run}
    assert list(logging.getLogger().handlers) == handlers


def test_status_never_waits(tmp_path: Path) -> None:
    """The status is given while the lock of the recorder is held by somebody else."""
    with rl.Recorder(tmp_path, settings=small()) as recorder:
        recorder.record(tick())
        found: list[Any] = []
        with recorder._state.lock:
            asking = threading.Thread(target=lambda: found.append(recorder.status()))
            asking.start()
            asking.join(60)
        assert found
        assert found[0].accepted == 1
        assert found[0].verdict == "healthy"
        assert "1 tick)" in repr(recorder)


def test_sealing_by_rows(tmp_path: Path) -> None:
    """A journal of `seal_ticks` ticks becomes a segment while the recording goes on, and no tick is seen twice."""
    heard = Heard()
    with rl.Recorder(tmp_path, settings=small(seal_ticks=100), on_event=heard) as recorder:
        recorder.record_many(ticks(150))
        assert heard.wait_for("sealed")
        assert stored(tmp_path) == ticks(150)
        recorder.record_many(ticks(150, first=150))
        assert stored(tmp_path) == ticks(300)
    assert stored(tmp_path) == ticks(300)
    assert rl.Store(tmp_path).verify().ok


def test_sealing_by_age(tmp_path: Path) -> None:
    """A journal older than `seal_seconds` becomes a segment, also in silence."""
    heard = Heard()
    with rl.Recorder(tmp_path, settings=small(seal_seconds=0.2), on_event=heard) as recorder:
        recorder.record_many(ticks(5))
        assert heard.wait_for("sealed")
    assert stored(tmp_path) == ticks(5)


def test_sealing_at_a_game_end(tmp_path: Path) -> None:
    """A long journal ends with its game, so that its segment holds whole games."""
    heard = Heard()
    with rl.Recorder(tmp_path, settings=small(seal_game_ticks=50), on_event=heard) as recorder:
        _wait(lambda: recorder._state.journals.spare is not None)
        recorder.record_many([*ticks(60, "A"), *ticks(3, "B")])
        assert heard.wait_for("sealed")
        sealed = rl.Store(tmp_path).sealed()
        assert [list(segment.rows_of) for segment in sealed] == [["A"]]
    assert len(stored(tmp_path)) == 63


@pytest.mark.parametrize("troubled", [False, True])
def test_neighbours_are_sealed_together(tmp_path: Path, troubled: bool) -> None:  # noqa: FBT001 a parameter
    """Many journals that wait become few segments, an extent each; also after errors, when segments are read."""
    with rl.Recorder(tmp_path, settings=small()) as recorder:
        state = recorder._state
        sealer = recorder._lifecycle.sealer
        wake, sealer.wake = sealer.wake, lambda: None  # type: ignore[method-assign]
        for number in range(40):
            recorder.record_many(ticks(5, first=5 * number))
            with state.lock:
                state.turn()
        if troubled:
            state.health.count_error("an error")
        recorder.flush()
        _wait(lambda: len(state.journals.sealing) == 40)  # a journal waits from when it is synced
        sealer.wake = wake  # type: ignore[method-assign]
    report = recorder.stop()
    assert report.segments < 5
    assert report.journals_left == 0
    assert len(rl.Store(tmp_path).extents()) == 40
    assert stored(tmp_path) == ticks(200)
    assert rl.Store(tmp_path).verify().ok


def test_few_files(tmp_path: Path) -> None:
    """A hundred thousand ticks of four hundred games leave at most five files."""
    given = [one for number in range(50) for one in ticks(250, f"game-{number:03}")]
    with rl.Recorder(tmp_path, settings=small(buffer_ticks=100)) as recorder:
        for _ in range(8):
            recorder.record_many(given)
    assert recorder.stop().ticks == 100_000
    assert len([path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".lock"]) <= 5
    assert rl.Store(tmp_path).rows == 100_000


def test_overflow_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With overflow "refuse" the tick beyond `max_unsynced_ticks` is refused while the disk does not answer."""
    release = threading.Event()
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (release.wait(120), real(fd))[1])
    release.set()
    with rl.Recorder(tmp_path, overflow="refuse", settings=small(max_unsynced_ticks=20)) as recorder:
        release.clear()
        receipts = [recorder.record(one) for one in ticks(25)]
        release.set()
        assert [one.reason for one in receipts[20:]] == ["overflow"] * 5
        recorder.flush()
        assert recorder.record(tick(99))
    assert stored(tmp_path) == [*ticks(20), tick(99)]


def test_overflow_blocks_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With overflow "block" it waits for the disk; when that takes too long the tick is refused."""
    release = threading.Event()
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (release.wait(120), real(fd))[1])
    release.set()
    settings = small(max_unsynced_ticks=20)
    with rl.Recorder(tmp_path, overflow_seconds=0.2, settings=settings) as recorder:
        release.clear()
        recorder.record_many(ticks(20))
        assert recorder.record(tick(20)).reason == "overflow"
        recorder._writer.overflow_seconds = 60  # for it waits now until the disk answers
        threading.Timer(0.05, release.set).start()
        assert recorder.record(tick(21))
    assert stored(tmp_path) == [*ticks(20), tick(21)]


def test_flush_tells_when_it_takes_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`flush` raises when the disk does not answer in time; what was accepted stays accepted."""
    release = threading.Event()
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (release.wait(120), real(fd))[1])
    release.set()
    with rl.Recorder(tmp_path, settings=small()) as recorder:
        release.clear()
        recorder.record(tick())
        with pytest.raises(RecordingFailed, match="not yet permanent"):
            recorder.flush(timeout_seconds=0.1)
        release.set()
    assert stored(tmp_path) == [tick()]


@pytest.mark.parametrize("mode", ["group", "tick", "none"])
def test_histograms_count(tmp_path: Path, mode: Literal["group", "tick", "none"]) -> None:
    """Every sync is in the histogram, with its length, on whatever thread it happens."""
    with rl.Recorder(tmp_path, durability=mode, settings=small()) as recorder:
        for one in ticks(3):
            recorder.record(one)
            recorder.flush()
        status = recorder.status()
    assert status.sync_us.count >= 3
    assert status.flush_us.count >= 3 or mode == "tick"  # where nothing waits for a flush
    assert status.sync_us.max_us <= status.sync_us.sum_us


def test_readers_see_a_live_recording_grow(tmp_path: Path) -> None:
    """One opened store shows what is recorded meanwhile: rows, games, summaries, extents, remarks and verification."""
    with rl.Recorder(tmp_path, settings=small()) as recorder:
        store = rl.Store(tmp_path)
        for count in (1, 7, 40):
            recorder.record_many(ticks(count, f"game-{count}"))
            assert store.rows == recorder.status().accepted
            assert len(store.games()) == len(store.game_ids())
            assert store.verify().ok
            assert store.remarks().num_rows == 0
            assert sum(one.tick_count for one in store.extents()) == store.rows
            assert [one.state for one in store.recordings()] == ["open"]
    assert store.rows == 48
    assert [one.state for one in store.recordings()] == ["clean"]


def test_a_poll_without_news_reads_nothing(tmp_path: Path) -> None:
    """Asking again gives the very same tail while a journal has not grown."""
    with rl.Recorder(tmp_path, settings=small()) as recorder:
        recorder.record_many(ticks(50))
        store = rl.Store(tmp_path)
        assert store.segments()[-1] is store.segments()[-1]
        recorder.record(tick(50))
        assert store.rows == 51


def test_a_crash_is_recovered(tmp_path: Path) -> None:
    """What a killed recorder had acknowledged can be read before and after recovery, once."""
    recorder = rl.Recorder(tmp_path, settings=small())
    recorder.record_many(ticks(33))
    crash(recorder)
    assert stored(tmp_path) == ticks(33)
    store = rl.open_store(tmp_path)
    assert stored(store) == ticks(33)
    assert [one.state for one in store.recordings()] == ["recovered"]
    assert list((tmp_path / "journals").iterdir()) == []


def _wait(true: Any, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def test_close_is_stop(tmp_path: Path) -> None:
    """What files and sockets call it ends a recorder, too, with the same report; `contextlib.closing` works."""
    with contextlib.closing(rl.Recorder(tmp_path)) as recorder:
        assert recorder.record(tick(1)).accepted
    assert recorder.status().state == "closed"
    assert recorder.close() == recorder.stop()
