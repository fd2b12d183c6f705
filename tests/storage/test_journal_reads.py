"""Reading a store while it is recorded: no hole, whatever the order of events, and what cannot be read is named."""

from __future__ import annotations

import cProfile
import os
from collections.abc import Callable
from pathlib import Path

import pytest

import replaylab as rl
from replaylab import errors
from replaylab.encryption.keys import StoreKeys
from replaylab.journals import unsealed
from replaylab.journals.encoder import Encoder
from replaylab.journals.format import Header, end_line, journal_name
from replaylab.journals.reader import JournalReader
from replaylab.storage.store import Store
from tests.recordings import tick
from tests.stores import as_nobody, opened_to_all, run_child

RUN = "20310102T030405000000Z-0123456789ab-7"


class Writer:
    """Writes the journals of a run by hand, one step at a time."""

    def __init__(self, store: Path, run: str = RUN) -> None:
        self.folder = store / "journals"
        self.folder.mkdir(parents=True, exist_ok=True)
        (store / "segments").mkdir(exist_ok=True)
        self.run, self.number, self.seq = run, -1, 0
        self.turn()

    def turn(self) -> None:
        """Go on in the next journal."""
        self.number += 1
        self.path.write_bytes(Header(self.run, self.number, self.seq).to_line())

    @property
    def path(self) -> Path:
        """The journal that is written now."""
        return self.folder / journal_name(self.run, self.number)

    def write(self, count: int) -> None:
        """Write ticks."""
        with self.path.open("ab") as file:
            for _ in range(count):
                file.write(Encoder(self.run).line(tick(self.seq), self.seq))
                self.seq += 1


def seqs(store: Store) -> list[int]:
    """Give the places in the run of all ticks that are read, in order."""
    return sorted(place for one in store.segments() for place in one.read(["seq"])["seq"].to_pylist())


@pytest.fixture
def then(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Have something done just before a journal is read, once."""

    def before_reading(do: Callable[[], None]) -> None:
        left = [do]
        read = JournalReader.read

        def reading(self: JournalReader, file: object, size: int, *, final: bool) -> None:
            read(self, file, size, final=final)  # type: ignore[arg-type]
            if left:
                left.pop()()

        monkeypatch.setattr(JournalReader, "read", reading)

    return before_reading


def test_a_recorder_that_turns_between_two_journals(tmp_path: Path, then: Callable[[Callable[[], None]], None]) -> None:
    """A journal is read, the recorder writes on in it and turns to the next, which is there: no hole is ever seen."""
    writer = Writer(tmp_path / "store")
    writer.write(5)
    first = writer.path
    writer.number += 1
    spare = writer.path
    spare.write_bytes(b"")  # the next one is made ahead of time
    writer.number -= 1

    def goes_on() -> None:
        writer.write(3)
        assert writer.path == first
        writer.turn()
        writer.write(4)

    then(goes_on)
    store = Store(tmp_path / "store")
    found = seqs(store)
    assert found == list(range(len(found)))
    assert len(found) >= 5
    assert seqs(store) == list(range(12))


def test_sizes_are_taken_from_the_last_journal_to_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes between the looks at two journals is a later end, and no hole: both of one run grow at each look."""
    writer = Writer(tmp_path / "store")
    writer.write(5)
    writer.turn()
    looked = os.fstat

    def looking(descriptor: int) -> os.stat_result:
        found = looked(descriptor)
        if Path(f"/proc/self/fd/{descriptor}").readlink().suffix == ".journal":
            writer.write(2)
            if writer.seq < 40:
                writer.turn()
        return found

    monkeypatch.setattr(os, "fstat", looking)
    store = Store(tmp_path / "store")
    for _ in range(4):
        found = seqs(store)
        assert found == list(range(len(found)))


def test_readers_beside_a_recovery_at_every_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often journals are sealed between listing and reading, a reader gets a beginning of every recording."""
    writer = Writer(tmp_path / "store")
    other = Writer(tmp_path / "store", RUN.replace("-7", "-8"))
    names = unsealed.journal_names
    turns = [40]

    def listing(folder: Path) -> list[str]:
        found = names(folder)
        if turns[0]:
            turns[0] -= 1
            for one in (writer, other):
                one.write(1)
                one.turn()
            rl.recover(tmp_path / "store") if turns[0] % 2 else None
        return found

    monkeypatch.setattr(unsealed, "journal_names", listing)
    store = Store(tmp_path / "store")
    for _ in range(5):
        found = {RUN: 0, other.run: 0}
        for one in store.segments():
            for extent in one.footer.extents:
                found[extent.recording["run"]] += extent.tick_count
        assert all(found.values())
        assert store.verify().missing == []


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A store with a good journal, and room for a bad one of another run."""
    Writer(tmp_path / "store").write(5)
    return tmp_path / "store"


BAD = journal_name("20320102T030405000000Z-0123456789ab-7", 0)


def a_folder(path: Path) -> None:
    """Put a folder in the place of a journal."""
    path.mkdir()


def a_dangling_link(path: Path) -> None:
    """Put a link that leads nowhere."""
    path.symlink_to("nowhere")


def a_pipe(path: Path) -> None:
    """Put a pipe that nobody writes to."""
    os.mkfifo(path)


@pytest.mark.parametrize("name", [BAD, "x.journal"])
@pytest.mark.parametrize("put", [a_folder, a_dangling_link, a_pipe])
def test_what_is_no_journal_is_named(mixed: Path, name: str, put: Callable[[Path], None]) -> None:
    """A folder, a link to nowhere or a pipe named like a journal is named; everything else is read and sealed."""
    put(mixed / "journals" / name)
    store = Store(mixed)
    assert seqs(store) == list(range(5))
    assert list(store.damaged) == [name]
    (problem,) = store.verify().problems
    assert problem.startswith(f"{name}: ")
    with pytest.raises(errors.SegmentDamaged, match=name):
        store.to_arrow()
    assert store.to_arrow(damaged="skip").num_rows == 5
    opened = rl.open_store(mixed)
    assert seqs(opened) == list(range(5))
    assert len(opened.sealed()) == 1
    done = run_child("from replaylab.cli.main import main; main()", "info", mixed)
    assert done.returncode == 1
    assert name in done.stderr
    assert "Traceback" not in done.stderr


def test_a_journal_that_may_not_be_read(mixed: Path) -> None:
    """An unreadable journal is named, and the others are read: the store does not close for it."""
    opened_to_all(mixed.parent)
    path = mixed / "journals" / BAD
    Writer(mixed, BAD.rpartition("-")[0])
    path.chmod(0)
    for folder in (mixed, mixed / "journals", mixed / "segments"):
        folder.chmod(0o755)

    def look() -> str:
        store = rl.open_store(mixed)
        return f"{store.rows} {list(store.damaged)} {store.damaged.get(BAD)}"

    found = as_nobody(look) if os.getuid() == 0 else look()
    assert found.startswith(f"5 ['{BAD}']"), found
    assert "cannot be read (Permission denied)" in found


@pytest.fixture
def crowded(tmp_path: Path) -> tuple[Path, list[int]]:
    """A store of 200 journals of one run, and how often a header was looked for."""
    writer = Writer(tmp_path / "store")
    for _ in range(200):
        writer.write(3)
        writer.turn()
    return tmp_path / "store", []


def test_headers_are_read_once(crowded: tuple[Path, list[int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading many journals reads each header once, and not once for each other journal; so does sealing them."""
    folder, looked = crowded
    header = unsealed.first_header

    def looking(path: Path, descriptor: int = -1, keys: StoreKeys | None = None) -> Header | None:
        looked.append(1)
        return header(path, descriptor, keys)

    monkeypatch.setattr(unsealed, "first_header", looking)
    store = Store(folder)
    assert seqs(store) == list(range(600))
    assert len(looked) <= 201
    seqs(store)
    assert len(looked) <= 202  # the last one has a header and no tick
    looked.clear()
    opened = rl.open_store(folder)
    assert len(looked) <= 201 + 4  # the last journal has no header, and is looked at for each segment
    assert seqs(opened) == list(range(600))
    assert len(opened.sealed()) <= 4
    assert not list((folder / "journals").glob("*.journal"))


def test_sealing_many_runs_costs_each_the_same(tmp_path: Path) -> None:
    """Sealing the journals of a hundred runs takes no more calls a run than sealing those of twenty."""
    calls: dict[int, float] = {}
    for runs in (3, 20, 100):  # the first loads what is loaded once
        store = tmp_path / str(runs)
        rl.Recorder(store).stop()
        for number in range(runs):
            run = f"20310102T0304{number:08d}Z-0123456789ab-7"
            lines = [Header(run, 0, 0).to_line(), Encoder(run).line(tick(0, f"g{number}"), 0), end_line(run, 1)]
            (store / "journals" / journal_name(run, 0)).write_bytes(b"".join(lines))
        counted = cProfile.Profile()
        report = counted.runcall(rl.recover, store)
        assert (report.ok, report.ticks) == (True, runs)
        calls[runs] = sum(one.callcount for one in counted.getstats()) / runs
    assert calls[100] < 1.2 * calls[20]


def test_a_journal_of_another_name_is_sealed_once(tmp_path: Path) -> None:
    """A journal that was renamed, and whose segment is there when it is found, leaves no tick twice."""
    writer = Writer(tmp_path / "store")
    writer.write(3)
    writer.turn()
    first = min(writer.folder.glob("*.journal"))
    renamed = first.rename(first.with_name("other.journal"))
    content = renamed.read_bytes()
    rl.recover(tmp_path / "store")
    renamed.write_bytes(content)  # as if it had been killed before it removed the file
    rl.recover(tmp_path / "store")
    assert not renamed.exists()
    assert Store(tmp_path / "store").rows == 3


def test_neighbours_are_sealed_as_one_segment(tmp_path: Path) -> None:
    """Journals of a run that are sealed together give the rows and accounts that each would give alone."""
    for name in ("together", "alone"):
        writer = Writer(tmp_path / name)
        for _ in range(5):
            writer.write(4)
            writer.turn()
        damaged = writer.folder / journal_name(RUN, 2)
        damaged.write_bytes(damaged.read_bytes().replace(b'"tick": ', b'"tick":1', 1))
    before = Store(tmp_path / "alone").verify().rows_digest
    for path in sorted((tmp_path / "alone" / "journals").glob("*")):
        hidden = [one for one in sorted(path.parent.glob("*")) if one > path]
        for one in hidden:
            one.rename(one.with_suffix(".hidden"))
        rl.recover(tmp_path / "alone")
        for one in hidden:
            one.with_suffix(".hidden").rename(one)
    report = rl.recover(tmp_path / "together")
    assert report.ok
    assert [one.ticks for one in report.journals] == [4, 4, 3, 4, 4]
    together, alone = Store(tmp_path / "together"), Store(tmp_path / "alone")
    assert (len(together.sealed()), len(alone.sealed())) == (1, 5)
    assert together.verify().rows_digest == alone.verify().rows_digest == before
    assert together.to_arrow().equals(alone.to_arrow())
    assert together.verify().ok
    assert sorted(map(repr, together.recordings())) == sorted(map(repr, alone.recordings()))
    assert together.remarks().num_rows == alone.remarks().num_rows == 1
