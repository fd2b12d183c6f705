"""Recovery: what dead recorders left becomes segments, once, whoever else is at the store; states are told."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

import replaylab as rl
from replaylab.durable import sole_writer
from replaylab.errors import StoreNotFound
from replaylab.journals.encoder import Encoder, closed, seed_of
from replaylab.journals.format import Header, end_line, journal_name
from replaylab.storage import open as opening
from tests.recordings import crash, journals, segments, small, stored, tick, ticks
from tests.resources import leaves_nothing_open


def dead(store: Path, count: int = 30) -> Path:
    """Leave the journal of a recorder that was killed."""
    recorder = rl.Recorder(store, settings=small())
    recorder.record_many(ticks(count))
    crash(recorder)
    return recorder.status().journal


def test_recovery_tells_what_it_did(tmp_path: Path) -> None:
    """The report names each journal, its state and its ticks; the store holds them; a second one finds nothing."""
    name = dead(tmp_path).name
    report = rl.recover(tmp_path)
    assert [(one.journal, one.state, one.ticks) for one in report.journals] == [(name, "recovered", 30)]
    assert report.ok
    assert report.ticks == 30
    assert "30 ticks" in str(report)
    assert rl.recover(tmp_path).journals == ()
    assert stored(tmp_path) == ticks(30)
    assert list((tmp_path / "journals").iterdir()) == []


@pytest.mark.parametrize(
    ("tail", "state", "aside"),
    [
        (b"", "recovered", 0),
        (b'{"type": "ti', "recovered", 12),
        (b"junk\n", "quarantined", 5),
        (bytes(9), "quarantined", 9),
    ],
)
def test_states_are_told(tmp_path: Path, tail: bytes, state: str, aside: int) -> None:
    """A torn tail is what a crash leaves; other damage is quarantined, kept as remarks and accounted for."""
    path = dead(tmp_path)
    with path.open("ab") as file:
        file.write(tail)
    before = rl.Store(tmp_path)
    assert stored(before) == ticks(30)
    assert [one.state for one in before.recordings()] == ["open"]
    report = rl.recover(tmp_path)
    assert [(one.state, one.quarantined_bytes) for one in report.journals] == [(state, aside)]
    store = rl.Store(tmp_path)
    assert [(one.state, one.quarantined_bytes) for one in store.recordings()] == [(state, aside)]
    assert b"".join(store.remarks("quarantine").column("raw").to_pylist()) == tail
    assert store.verify().ok


def test_states_survive_compaction(tmp_path: Path) -> None:
    """Compaction keeps the state of every recording, and no second journal of that name is ever sealed."""
    path = dead(tmp_path)
    content = path.read_bytes()
    rl.recover(tmp_path)
    with rl.Recorder(tmp_path, settings=small()) as recorder:
        recorder.record(tick(99))
    rl.compact(tmp_path, progress=False)
    assert len(segments(tmp_path)) == 1
    assert sorted(one.state for one in rl.Store(tmp_path).recordings()) == ["clean", "recovered"]
    path.write_bytes(content)  # as if it had never been removed
    assert rl.Store(tmp_path).rows == 31
    assert rl.recover(tmp_path).journals == ()
    assert rl.Store(tmp_path).rows == 31
    assert not path.exists()


def test_a_live_journal_is_left_alone(tmp_path: Path) -> None:
    """A recorder that is recording is not disturbed, and its ticks are seen."""
    with rl.Recorder(tmp_path, settings=small()) as recorder:
        recorder.record_many(ticks(5))
        report = rl.recover(tmp_path)
        assert report.ok
        assert report.ticks == 0
        assert stored(rl.open_store(tmp_path)) == ticks(5)
        recorder.record_many(ticks(5, first=5))
    assert stored(tmp_path) == ticks(10)


def test_plain_readers_change_nothing(tmp_path: Path) -> None:
    """`Store` and its verification leave a dead journal byte for byte as it is."""
    path = dead(tmp_path)
    content = path.read_bytes()
    store = rl.Store(tmp_path)
    assert store.rows == 30
    assert store.verify().ok
    assert path.read_bytes() == content
    assert segments(tmp_path) == []


def test_verification_names_damage_in_a_journal(tmp_path: Path) -> None:
    """A flipped bit in a journal is a problem, named with the file; a torn tail is none."""
    path = dead(tmp_path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    problems = rl.Store(tmp_path).verify().problems
    assert len(problems) == 1
    assert path.name in problems[0]
    assert rl.open_store(tmp_path).verify().ok
    assert rl.Store(tmp_path).rows == 29


def test_damage_waits_for_a_conversion(tmp_path: Path) -> None:
    """What is to be set aside waits while a conversion holds the store; it can be read, and is sealed afterwards."""
    path = dead(tmp_path)
    with path.open("ab") as file:
        file.write(b"junk\n")
    with sole_writer(tmp_path):
        report = rl.recover(tmp_path)
        assert not report.ok
        assert report.journals[0].problem
        assert "running" in report.journals[0].problem
        assert stored(tmp_path) == ticks(30)
    assert rl.recover(tmp_path).ok
    assert stored(tmp_path) == ticks(30)


def test_whole_journals_do_not_wait(tmp_path: Path) -> None:
    """A journal without damage is sealed while a conversion holds the store."""
    dead(tmp_path)
    with sole_writer(tmp_path):
        assert rl.recover(tmp_path).ticks == 30


def test_a_store_without_journals(tmp_path: Path) -> None:
    """A store that nobody recorded into is opened as before; a path without one is an error."""
    (tmp_path / "segments").mkdir()
    assert rl.recover(tmp_path).journals == ()
    assert opening.open_store(tmp_path).rows == 0
    with pytest.raises(StoreNotFound):
        rl.recover(tmp_path / "nothing")


def test_empty_journals_are_swept(tmp_path: Path) -> None:
    """A recorder killed before its first tick leaves nothing once the store is opened; its room is given back."""
    crash(rl.Recorder(tmp_path, settings=small()))
    assert rl.open_store(tmp_path).rows == 0
    assert list((tmp_path / "journals").iterdir()) == []
    assert segments(tmp_path) == []


def test_half_written_segments_are_swept(tmp_path: Path) -> None:
    """What a recovery that was killed left half-written goes with the next one."""
    rl.Recorder(tmp_path, settings=small()).stop()
    for folder in ("segments", "remarks"):
        (tmp_path / folder / "x-000000-0123.999999999.aside").write_bytes(b"PAR1 half")
    rl.open_store(tmp_path)
    assert list(tmp_path.rglob("*.aside")) == []


def test_a_closed_journal_is_clean(tmp_path: Path) -> None:
    """A journal that was closed in order and not sealed, as on a full disk, is clean."""
    recorder = rl.Recorder(tmp_path, settings=small())
    recorder.record_many(ticks(3))
    crash(recorder)
    with recorder.status().journal.open("ab") as file:
        file.write(end_line(recorder.run, 3))
    assert [one.state for one in rl.recover(tmp_path).journals] == ["clean"]


def test_modes_follow_the_umask(tmp_path: Path) -> None:
    """Journals and segments can be read by nobody else when the umask says so."""
    before = os.umask(0o077)
    try:
        with rl.Recorder(tmp_path / "store", settings=small()) as recorder:
            recorder.record(tick())
            made = [*journals(tmp_path / "store")]
            assert [stat.S_IMODE(path.stat().st_mode) for path in made] == [0o600]
        assert [stat.S_IMODE(path.stat().st_mode) for path in segments(tmp_path / "store")] == [0o600]
    finally:
        os.umask(before)


def test_recovery_leaves_nothing_open(tmp_path: Path) -> None:
    """No handle is left by a recovery."""
    dead(tmp_path)
    with leaves_nothing_open():
        rl.recover(tmp_path)


def test_a_number_is_held_by_a_tick_alone(tmp_path: Path) -> None:
    """A line that holds no tick has its checksum and a number; the tick of that number in the next journal counts."""
    rl.Recorder(tmp_path).stop()
    run = "20310102T030405000000Z-0123456789ab-7"
    lines = [Encoder(run).line(one, at) for at, one in enumerate(ticks(3))]
    none = closed(b'{"type": "tick", "price": "x", "seq": 2', seed_of(run))
    for number, content in enumerate((lines[0] + lines[1] + none, lines[2])):
        header = Header(run, number, 2 * number, {"mode": "tick"}, {}).to_line()
        (tmp_path / "journals" / journal_name(run, number)).write_bytes(header + content)
    assert stored(rl.Store(tmp_path)) == ticks(3)
    assert rl.recover(tmp_path).ticks == 3
    store = rl.Store(tmp_path)
    assert stored(store) == ticks(3)
    assert store.verify().ok
    assert store.remarks("quarantine")["reason"].to_pylist() == ["not_a_tick"]
