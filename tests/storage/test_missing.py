"""What is missing from a store is noticed: each kind of file is removed in turn, and verify says what is gone."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import replaylab as rl
from replaylab import errors
from replaylab.conversion import plan
from replaylab.durable import sole_writer
from replaylab.segments.extent import Extent
from replaylab.storage import refused
from replaylab.storage.inventory import Inventory
from replaylab.storage.missing import missing_in_runs
from tests.recordings import small, ticks
from tests.stores import game_lines, line, quiet, run_child, simulated

COMMAND = "from replaylab.cli.main import main; main()"


def recorded(store: Path, games: int = 4, turns: int = 4) -> Path:
    """Record games of 100 ticks one after the other, the first `turns` each in a journal and segment of its own."""
    with rl.Recorder(store, settings=small(seal_ticks=100)) as recorder:
        for game in range(games):
            journal, until = recorder.status().journal, time.monotonic() + 120
            recorder.record_many(ticks(100, first=100 * game))
            while game < turns and recorder.status().journal == journal and time.monotonic() < until:
                time.sleep(0.01)  # it is turned by a thread of the recorder
    return store


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with one run in four segments."""
    return recorded(tmp_path_factory.mktemp("run") / "store")


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of one recording in three segments, each with remarks."""
    folder = tmp_path_factory.mktemp("converted")
    source = folder / "a.jsonl"
    content = b""
    for number in range(3):
        content += b"".join(game_lines(f"g{number}", 20)) + b"# a note\n" + b"broken\n"
        source.write_bytes(content)
        quiet(source, folder / "store")
    assert len(list((folder / "store" / "remarks").iterdir())) == 3
    return folder / "store"


def copied(store: Path, tmp_path: Path) -> Path:
    """Give a copy of a store that a test may harm."""
    return Path(shutil.copytree(store, tmp_path / "copy"))


def by_place(store: Path) -> list[Path]:
    """Give the segments of a store in the order of what they hold of their source or run."""
    found = rl.Store(store).segments()
    return [
        one.path
        for one in sorted(found, key=lambda one: (one.footer.extents[0].start, one.footer.extents[0].first_seq))
    ]


def seqs_of(store: Path, at: int) -> tuple[int, int]:
    """Give the first and the last tick of the run in the segment at a place."""
    (name,) = [one for one in rl.Store(store).segments() if one.path == by_place(store)[at]]
    seqs = name.footer.extents[0].recording["seqs"]
    return seqs[0][0], seqs[-1][1]


@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_segment_of_a_run(run: Path, tmp_path: Path, at: int) -> None:
    """A segment of a run that was removed is a hole in its sequence: the first, or any before the last."""
    store = copied(run, tmp_path)
    paths = by_place(store)
    assert len(paths) >= 4
    hole = seqs_of(store, at)
    paths[at].unlink()
    found = rl.Store(store).verify()
    assert not found.ok
    assert found.problems == []
    (problem,) = found.missing
    first, last = hole
    assert f"ticks {first} to {last} of the sequence" in problem
    assert "restore" in problem


def test_the_last_segment_of_a_run_needs_an_inventory(run: Path, tmp_path: Path) -> None:
    """What comes last leaves no trace: nothing in the store tells of it, an inventory does; so for a whole run."""
    store = copied(run, tmp_path)
    saved = tmp_path / "held.json"
    inventory = rl.Store(store).verify().inventory
    assert inventory is not None
    inventory.save(saved)
    first, last = seqs_of(store, -1)
    by_place(store)[-1].unlink()
    assert rl.Store(store).verify().ok
    (problem,) = rl.Store(store).verify(expect=saved).missing
    assert f"ticks {first} to {last} were there and are missing" in problem
    for path in by_place(store):
        path.unlink()
    (problem,) = rl.Store(store).verify(expect=inventory).missing
    assert "ticks 0 to 399 were there" in problem


@pytest.mark.parametrize("at", [0, 1])
def test_a_segment_of_a_conversion(converted: Path, tmp_path: Path, at: int) -> None:
    """A segment that was removed leaves bytes of its source in no segment, and remarks that none names."""
    store = copied(converted, tmp_path)
    path = by_place(store)[at]
    (extent,) = rl.Store(store).segments()[[one.path for one in rl.Store(store).segments()].index(path)].footer.extents
    path.unlink()
    found = rl.Store(store).verify()
    assert found.problems == []
    source, remarks = found.missing
    assert f"a.jsonl: its bytes {extent.start} to {extent.end} are in no segment" in source
    assert "no segment names these remarks (2 of a.jsonl)" in remarks
    assert "convert" in source


def test_the_last_part_of_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A source that was converted in several parts is missed at its end, too: its size then is known."""
    monkeypatch.setattr(plan, "JOB_BYTES", 4_000)
    (tmp_path / "a.jsonl").write_bytes(b"".join(game_lines("g", 60)))
    quiet(tmp_path / "a.jsonl", tmp_path / "store", workers=1)
    last = by_place(tmp_path / "store")[-1]
    assert rl.Store(tmp_path / "store").verify().ok
    last.unlink()
    (problem,) = rl.Store(tmp_path / "store").verify().missing
    assert f"to {(tmp_path / 'a.jsonl').stat().st_size} are in no segment" in problem
    quiet(tmp_path / "a.jsonl", tmp_path / "store", workers=1)
    assert rl.Store(tmp_path / "store").verify().ok


def test_remarks_without_their_segment_and_the_reverse(converted: Path, tmp_path: Path) -> None:
    """Remarks that were removed are a problem of their segment; the last segment is missed by its remarks."""
    store = copied(converted, tmp_path)
    by_place(store)[-1].unlink()
    (problem,) = rl.Store(store).verify().missing
    assert "theirs is missing, or a conversion was broken off" in problem
    store = Path(shutil.copytree(converted, tmp_path / "other"))
    gone = min((store / "remarks").iterdir())
    gone.unlink()
    (problem,) = rl.Store(store).verify().problems
    assert gone.name in problem
    assert "are gone" in problem


def test_everything_of_a_source_needs_an_inventory(converted: Path, tmp_path: Path) -> None:
    """A whole source leaves no trace when its remarks are gone as well; an inventory tells of it."""
    store = copied(converted, tmp_path)
    inventory = rl.Store(store).verify().inventory
    for path in [*by_place(store), *(store / "remarks").iterdir()]:
        path.unlink()
    assert rl.Store(store).verify().ok
    (problem,) = rl.Store(store).verify(expect=inventory).missing
    assert problem == "a.jsonl: was in the store with 63 ticks and is not"


def test_a_conversion_that_runs_is_not_missed(converted: Path, tmp_path: Path) -> None:
    """While a conversion holds the store, parts of sources come one by one: they are missing only when it has ended."""
    store = copied(converted, tmp_path)
    by_place(store)[1].unlink()
    with sole_writer(store):
        assert rl.Store(store).verify().ok
    assert not rl.Store(store).verify().ok


def test_what_a_compaction_leaves_is_not_missed(converted: Path, tmp_path: Path) -> None:
    """Old segments and remarks beside those that replace them are left over, and nothing is missing."""
    store = copied(converted, tmp_path)
    rl.compact(store, progress=False)
    for folder in ("segments", "remarks"):
        for path in (converted / folder).iterdir():
            shutil.copy(path, store / folder)
    assert rl.Store(store).verify().ok
    inventory = rl.Store(converted).verify().inventory
    assert rl.Store(store).verify(expect=inventory).ok


def test_an_inventory_is_met_by_more(run: Path, tmp_path: Path) -> None:
    """A store that has grown, was compacted or sealed since still holds what it held."""
    store = copied(run, tmp_path)
    (tmp_path / "a.jsonl").write_bytes(b"".join(game_lines("x", 5)))
    quiet(tmp_path / "a.jsonl", store)
    inventory = rl.Store(store).verify().inventory
    (tmp_path / "a.jsonl").write_bytes(b"".join(game_lines("x", 9)))
    quiet(tmp_path / "a.jsonl", store)
    recorded(store, games=1)
    rl.compact(store, progress=False)
    assert rl.Store(store).verify(expect=inventory).ok


def test_journals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A journal that was removed, or cut, is missed when a later one of its run is there."""
    monkeypatch.setattr("replaylab.recording.sealer.Sealer.wake", lambda *_: None)
    monkeypatch.setattr("replaylab.recording.sealer.Sealer.finish", lambda *_, **__: None)
    store = recorded(tmp_path / "store", turns=2)  # of journals that are not sealed two wait, and no more
    journals = sorted((store / "journals").glob("*.journal"))
    assert len(journals) >= 3
    assert rl.Store(store).verify().ok
    content = journals[1].read_bytes()
    first, last = rl.Store(store).recordings()[1].first_seq, rl.Store(store).recordings()[1].last_seq
    journals[1].unlink()
    (problem,) = rl.Store(store).verify().missing
    assert f"ticks {first} to {last} of the sequence" in problem
    journals[1].write_bytes(b"".join(content.splitlines(keepends=True)[:11]))
    (problem,) = rl.Store(store).verify().missing
    assert f"ticks {first + 10} to {last} of the sequence" in problem


def test_damage_that_was_set_aside_is_not_missing() -> None:
    """Places whose lines are there as damaged bytes are not missed; more than those bytes can hold are."""

    def extent(number: int, seqs: list[list[int]], lines: int = 0) -> Extent:
        told = {"run": "r", "number": number, "seqs": seqs, "state": "clean", "durability": {}, "cuts": {}}
        reasons = {"checksum_mismatch": lines} if lines else {}
        size = {"quarantined": 250 * lines} if lines else {}
        return Extent(f"r-{number}", 0, 9, "", 0, 0, "UTC", bytes=size, reasons=reasons, recording=told)

    assert missing_in_runs([extent(0, [[0, 4], [6, 9]], 1)]) == []
    assert missing_in_runs([extent(0, [[0, 4]], 1), extent(1, [[6, 9]])]) == []
    assert missing_in_runs([extent(0, [[0, 4]]), extent(1, [], 5), extent(2, [[10, 12]])]) == []
    assert len(missing_in_runs([extent(0, [[0, 4]], 1), extent(1, [[100, 109]])])) == 1
    assert "ticks 0 to 3" in missing_in_runs([extent(1, [[4, 5]])])[0]


@pytest.fixture
def refusing(tmp_path: Path) -> Path:
    """A store whose recorder refused three lines."""
    source = tmp_path / "in.jsonl"
    source.write_bytes(line("g", 0) + b"{oops\n" + b"\xff\xfe\n" + line("g", 1) + b'{"type": "tick"}\n')
    done = run_child(COMMAND, "record", tmp_path / "store", "--from", source)
    assert done.returncode == 1, done.stderr
    return tmp_path / "store"


def test_refused_lines(refusing: Path) -> None:
    """A flipped byte in what was refused, and a line cut off, are found; a file that is gone, by an inventory."""
    (path,) = (refusing / "refused").iterdir()
    good = path.read_bytes()
    assert [set(json.loads(one)) >= {"line", "reason", "crc"} for one in good.splitlines()] == [True] * 3
    inventory = rl.Store(refusing).verify().inventory
    assert rl.Store(refusing).verify().ok
    for at in range(0, len(good), 7):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        (problem,) = rl.Store(refusing).verify().problems
        assert f"refused/{path.name}, line " in problem
    path.write_bytes(good[:-5])
    (problem,) = rl.Store(refusing).verify().problems
    assert "the line is cut off" in problem
    path.write_bytes(b'{"line": 7, "start": 120, "reason": "not_json", "raw": "{oops"}\n')
    assert rl.Store(refusing).verify().ok, "lines of an earlier release have no checksum"
    path.unlink()
    assert rl.Store(refusing).verify().ok
    (problem,) = rl.Store(refusing).verify(expect=inventory).missing
    assert f"refused/{path.name}: had" in problem


def test_refused_lines_beside_the_recorder_that_writes_them(refusing: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A last line without its end is damage only when it stays so: each time it is looked at, it is another one."""
    (path,) = (refusing / "refused").iterdir()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(path.read_bytes() + lines[0][:20])
    written = 0

    def write_on(_seconds: float) -> None:
        nonlocal written
        written += 1
        rest = lines[0][20:] + (lines[0][:20] if written < 8 else b"")
        path.write_bytes(path.read_bytes() + rest)

    monkeypatch.setattr(refused, "time", SimpleNamespace(sleep=write_on))
    assert rl.open_store(refusing).verify().ok
    assert written == 8
    monkeypatch.setattr(refused, "time", SimpleNamespace(sleep=lambda _seconds: None))
    data = path.read_bytes()
    path.write_bytes(data[:-1])
    assert "the line is cut off" in str(rl.open_store(refusing).verify())

    def append(_seconds: float) -> None:
        path.write_bytes(path.read_bytes() + lines[0])

    monkeypatch.setattr(refused, "time", SimpleNamespace(sleep=append))
    path.write_bytes(b"X" + data)
    assert "line 1, byte 0: its bytes are not those that were written" in str(rl.open_store(refusing).verify())


@pytest.mark.parametrize("kind", ["folder", "dangling link"])
def test_refused_lines_in_no_file(refusing: Path, kind: str) -> None:
    """A folder, or a link that leads nowhere, in the place of refused lines is named."""
    (path,) = (refusing / "refused").iterdir()
    path.unlink()
    path.mkdir() if kind == "folder" else path.symlink_to(refusing / "nowhere")
    (problem,) = rl.Store(refusing).verify().problems
    assert problem.startswith(f"refused/{path.name}: is a folder or leads to no file")


@pytest.mark.parametrize("content", [b"", b"{}", b"[1]", b"\xff", b'{"type": "replaylab_inventory", "format": 1}'])
def test_a_file_that_is_no_inventory(run: Path, tmp_path: Path, content: bytes) -> None:
    """A file that holds no inventory, or one of a newer format, is refused by its name; so is one that is not there."""
    path = tmp_path / "held.json"
    with pytest.raises(errors.StoreNotFound, match="no inventory at"):
        rl.Store(run).verify(expect=path)
    path.write_bytes(content)
    with pytest.raises(errors.StoreError, match=r"held\.json"):
        rl.Store(run).verify(expect=path)
    Inventory(0, "").save(path)
    path.write_text(path.read_text(encoding="utf-8").replace('"format": 1', '"format": 2'), encoding="utf-8")
    with pytest.raises(errors.StoreTooNew, match="upgrade"):
        rl.Store(run).verify(expect=path)


def test_the_command_saves_and_expects(run: Path, tmp_path: Path) -> None:
    """`verify --save` writes what is there when all is well; `--expect` ends with 1 and says what is gone."""
    store, saved = copied(run, tmp_path), tmp_path / "held.json"
    code = COMMAND
    assert run_child(code, "verify", store, "--save", saved).returncode == 0
    assert run_child(code, "verify", store, "--expect", saved).returncode == 0
    by_place(store)[-1].unlink()
    assert run_child(code, "verify", store).returncode == 0
    done = run_child(code, "verify", store, "--expect", saved, "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["missing"]
    by_place(store)[0].unlink()
    other = tmp_path / "other.json"
    done = run_child(code, "verify", store, "--save", other)
    assert done.returncode == 1
    assert "ticks 0 to" in done.stderr
    assert "was not written" in done.stderr
    assert not other.exists()
    assert run_child(code, "verify", store, "--expect", tmp_path / "nothing.json").returncode == 2


def test_simulated_stores_lack_nothing(tmp_path: Path) -> None:
    """Recordings with every damage, converted twice and compacted, lack nothing."""
    source = simulated(tmp_path / "r", games=6, seed=5, damage="all")
    quiet(source, tmp_path / "store")
    quiet(source, tmp_path / "store")
    assert rl.Store(tmp_path / "store").verify().ok
    rl.compact(tmp_path / "store", progress=False)
    assert rl.Store(tmp_path / "store").verify().ok
