"""Convert: exact and complete, sources untouched, the same result however it is done, and every refusal explained."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import threading
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

import replaylab as rl
from replaylab import errors
from replaylab.conversion import plan as planning
from replaylab.segments.segment import Segment, Unpublished
from replaylab.settings import Settings
from replaylab.simulation.simulate import tick_lines
from tests.resources import leaves_nothing_open
from tests.stores import (
    as_nobody,
    game_lines,
    leftovers,
    line,
    opened_to_all,
    quiet,
    rows,
    run_child,
    simulated,
    state,
)

# Peak memory of a process and its helper, in KiB; the input is large enough for both.
MEMORY = """
import resource, sys
import replaylab as rl
rl.convert(sys.argv[1], sys.argv[2], progress=False, workers=2)
own = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(own.split()[1]) + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
SAMPLES = Path(__file__).resolve().parents[2] / "data" / "samples"


def test_sources_are_never_touched(tmp_path: Path) -> None:
    """Converting leaves bytes, times and rights of every recording as they were, and makes nothing beside it."""
    folder = simulated(tmp_path / "r", damage=("two_writers", "torn_end"))
    paths = sorted(folder.iterdir())
    before = [(path, path.read_bytes(), path.stat()) for path in paths]
    for path in paths:
        path.chmod(0o444)
    folder.chmod(0o555)
    quiet(folder, tmp_path / "store")
    quiet(folder, tmp_path / "store")
    folder.chmod(0o755)
    assert sorted(folder.iterdir()) == paths
    for path, data, stat in before:
        now = path.stat()
        assert path.read_bytes() == data
        assert (now.st_mtime_ns, now.st_ino, now.st_size) == (stat.st_mtime_ns, stat.st_ino, stat.st_size)


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    """Converting again writes no file at all and reports everything as known."""
    folder = simulated(tmp_path / "r", damage="two_writers")
    first = quiet(folder, tmp_path / "store")
    before = {path: path.stat() for path in (tmp_path / "store").rglob("*.parquet")}
    again = quiet(folder, tmp_path / "store")
    assert {path: path.stat() for path in (tmp_path / "store").rglob("*.parquet")} == before
    assert (again.ticks_stored, again.ticks_known, again.segments) == (0, first.ticks_stored, 0)
    assert again.bytes_in == again.bytes_known == first.bytes_in
    assert again.ok


def test_the_samples_give_what_they_promise(tmp_path: Path) -> None:
    """The samples, all dialects and damages, are accounted for to the last byte and pass the check."""
    report = quiet(SAMPLES, tmp_path / "store")
    assert report.ok
    assert report.bytes_in == sum(path.stat().st_size for path in SAMPLES.glob("*.jsonl")) + sum(
        path.stat().st_size for path in SAMPLES.glob("*.game.json")
    )
    check = rl.open_store(tmp_path / "store").verify()
    assert check.ok
    assert sum(check.bytes.values()) == report.bytes_in


@pytest.mark.parametrize(
    ("zone", "wall", "utc", "doubtful"),
    [
        ("UTC", "2025-11-02T01:30:00", "2025-11-02T01:30:00", 0),
        ("America/New_York", "2025-11-02T00:59:59.999999", "2025-11-02T04:59:59.999999", 0),
        ("America/New_York", "2025-11-02T01:30:00", "2025-11-02T05:30:00", 1),
        ("America/New_York", "2025-11-02T02:00:00", "2025-11-02T07:00:00", 0),
        ("America/New_York", "2025-03-09T02:30:00", "2025-03-09T07:30:00", 1),
        ("America/New_York", "2025-03-09T03:00:00", "2025-03-09T07:00:00", 0),
        ("America/New_York", "2025-11-02T01:30:00+00:00", "2025-11-02T01:30:00", 0),
        ("Asia/Kolkata", "2025-11-02T01:30:00", "2025-11-01T20:00:00", 0),
    ],
)
def test_times_without_a_zone(tmp_path: Path, zone: str, wall: str, utc: str, doubtful: int) -> None:
    """A time is read in the zone given and stored in UTC; the hour shown twice is its first, and is counted."""
    (tmp_path / "x.jsonl").write_bytes(line(timestamp=wall))
    report = quiet(tmp_path / "x.jsonl", tmp_path / "store", source_tz=zone)
    (game,) = rl.open_store(tmp_path / "store")
    (found,) = game.ticks().column("timestamp").to_pylist()
    assert found.isoformat() == f"{utc}+00:00"
    assert (report.doubtful_times, report.zoneless_times) == (doubtful, 0 if "+" in wall else 1)
    assert (f"read as {zone}" in str(report)) == ("+" not in wall)


def test_a_time_that_was_skipped_moves_on_by_the_gap(tmp_path: Path) -> None:
    """Every moment of the hour that the clock skipped comes after the hour before, in order."""
    walls = [f"2025-03-09T{hour:02}:{minute:02}:00" for hour in (1, 2, 3) for minute in (0, 20, 40)]
    (tmp_path / "x.jsonl").write_bytes(b"".join(line(tick=n, timestamp=wall) for n, wall in enumerate(walls)))
    report = quiet(tmp_path / "x.jsonl", tmp_path / "store", source_tz="America/New_York")
    (game,) = rl.open_store(tmp_path / "store")
    found = [time.strftime("%H:%M") for time in game.ticks().column("timestamp").to_pylist()]
    assert found[:3] == ["06:00", "06:20", "06:40"]
    assert found[6:] == ["07:00", "07:20", "07:40"]
    assert all("07:00" <= time <= "07:40" for time in found[3:6])
    assert report.doubtful_times == 3


def test_a_zone_that_does_not_exist(tmp_path: Path) -> None:
    """An unknown zone is refused before anything is made."""
    (tmp_path / "x.jsonl").write_bytes(line())
    with pytest.raises(errors.SettingsError, match="Mars/Olympus"):
        quiet(tmp_path / "x.jsonl", tmp_path / "store", source_tz="Mars/Olympus")
    assert not (tmp_path / "store").exists()


def test_strict_stops_at_the_first_damage(tmp_path: Path) -> None:
    """Strict names file, line, byte and reason of the first damage, stores nothing of it, and takes what is whole."""
    folder = tmp_path / "r"
    folder.mkdir()
    good = game_lines("g", 5)
    (folder / "a.jsonl").write_bytes(b"".join(good))
    (folder / "b.jsonl").write_bytes(good[0] + b"[1]\n" + good[1] + b"broken\n")
    with pytest.raises(errors.SourceDamaged) as caught:
        quiet(folder, tmp_path / "store", strict=True)
    assert (caught.value.source, caught.value.line, caught.value.start) == ("b.jsonl", 2, len(good[0]))
    assert caught.value.reason in str(caught.value)
    assert not (tmp_path / "store").exists()
    assert quiet(folder / "a.jsonl", tmp_path / "store", strict=True).ticks_stored == 6
    assert quiet(folder, tmp_path / "store").ticks_stored == 2


def test_globs_lists_and_repeats(tmp_path: Path) -> None:
    """Patterns, lists, and one file named in three ways mean each recording once."""
    folder = simulated(tmp_path / "r", games=3)
    one = next(folder.glob("*.jsonl"))
    report = quiet([f"{folder}/*.jsonl", folder, one, str(one)], tmp_path / "store")
    assert len(report.sources) == 3
    assert quiet([f"{tmp_path}/**/*.jsonl"], tmp_path / "store").ticks_stored == 0


@pytest.mark.parametrize("given", ["missing", "missing.jsonl", "r/*.json5", "**/nothing*"])
def test_a_path_that_leads_nowhere(tmp_path: Path, given: str) -> None:
    """A path or pattern that leads nowhere is named, and no store is made."""
    simulated(tmp_path / "r", games=1)
    with pytest.raises(errors.SourceNotFound) as caught:
        quiet(tmp_path / given, tmp_path / "store")
    assert str(tmp_path / given) in str(caught.value)
    assert isinstance(caught.value, FileNotFoundError)
    assert not (tmp_path / "store").exists()


def test_an_empty_folder_and_nothing_at_all(tmp_path: Path) -> None:
    """A folder without recordings, and an empty list, are named as such."""
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "notes.txt").write_bytes(b"x")
    nothing: Path | list[str]
    for nothing in (tmp_path / "r", []):
        with pytest.raises(errors.SourceEmpty, match="no recordings"):
            quiet(nothing, tmp_path / "store")


def test_an_empty_file(tmp_path: Path) -> None:
    """A file without a byte is converted, known afterwards, and its store has no games."""
    (tmp_path / "x.jsonl").write_bytes(b"")
    report = quiet(tmp_path / "x.jsonl", tmp_path / "store")
    assert (report.ok, report.bytes_in, report.ticks_stored) == (True, 0, 0)
    assert rl.open_store(tmp_path / "store").games().empty
    assert rl.open_store(tmp_path / "store").verify().ok


def test_a_store_that_may_not_be_written(tmp_path: Path) -> None:
    """A folder without the right to write is named, and nothing in it changes."""
    folder = simulated(tmp_path / "r")
    quiet(folder, tmp_path / "store")
    opened_to_all(tmp_path)
    answer = as_nobody(lambda: quiet(simulated(Path(f"{tmp_path}/more"), seed=2), tmp_path / "store"))
    assert "StoreUnwritable" in answer
    assert str(tmp_path / "store") in answer
    assert leftovers(tmp_path / "store") == []


def test_a_store_that_may_only_be_read(tmp_path: Path) -> None:
    """Who may not write a store can read it."""
    report = quiet(simulated(tmp_path / "r"), tmp_path / "store")
    opened_to_all(tmp_path)
    read = f"3 games, {report.ticks_stored} rows"
    assert read in as_nobody(lambda: repr(rl.open_store(tmp_path / "store")))
    assert as_nobody(lambda: rl.open_store(tmp_path / "store").verify().ok) == "True"


def test_a_recording_that_vanishes_is_not_blamed_on_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recording that cannot be read any more half-way is an error about the recording; nothing half is left."""
    folder = simulated(tmp_path / "r")
    victim = sorted(folder.glob("*.jsonl"))[1]

    def plan_and_unlink(*arguments: Any, **options: Any) -> planning.Plan:
        made = planning.plan(*arguments, **options)
        victim.unlink()
        return made

    monkeypatch.setattr("replaylab.conversion.convert.plan", plan_and_unlink)
    with pytest.raises(errors.SourceUnreadable, match=victim.name):
        quiet(folder, tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_one_worker_or_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes give the same rows, games, remarks and line numbers as one."""
    folder = simulated(tmp_path / "r", games=6, damage=("two_writers", "torn_end", "comments", "crlf"))
    everything = b"".join(path.read_bytes() for path in sorted(folder.glob("*.jsonl")))
    (folder / "zz_all.jsonl").write_bytes(everything[: len(everything) // 2] + b"broken\n" + everything)
    one = quiet(folder, tmp_path / "one", workers=1)
    monkeypatch.setattr("replaylab.conversion.convert.HELPED_BYTES", 1)
    monkeypatch.setattr("replaylab.conversion.convert.load", lambda: None)  # processes work where there is no kernel
    monkeypatch.setattr(planning, "JOB_BYTES", 50_000)
    two = quiet(folder, tmp_path / "two", workers=2)
    assert two.segments > 10
    assert state(tmp_path / "two") == state(tmp_path / "one")
    keep = {"segments", "store"}
    assert two.to_dict(without=keep) == one.to_dict(without=keep)


@pytest.mark.parametrize("workers", [0, -1, 1.5])
def test_a_number_of_workers_that_makes_no_sense(tmp_path: Path, workers: float) -> None:
    """Less than one worker, or half a one, is refused by name."""
    with pytest.raises(errors.SettingsError, match="workers"):
        quiet(simulated(tmp_path / "r"), tmp_path / "store", workers=workers)


def test_prices_are_stored_to_the_last_digit(tmp_path: Path) -> None:
    """A price is the number that was written, never a neighbour; what does not fit is quarantined, never rounded."""
    texts = [
        "0.12345678901234567890",
        "1E-7",
        "1E-18",
        "1e-24",
        "99999999999999.999999999999999999999999",
        "1.10",
        "-0",
    ]
    refused = ["1E-25", "123456789012345678.123456789", "1E+30", "99999999999999999999", "NaN", "Infinity", "1_0"]
    (tmp_path / "x.jsonl").write_bytes(b"".join(line(tick=n, price=text) for n, text in enumerate(texts + refused)))
    report = quiet(tmp_path / "x.jsonl", tmp_path / "store")
    (game,) = rl.open_store(tmp_path / "store")
    assert game.ticks().column("price").to_pylist() == [Decimal(text) for text in texts]
    assert report.ticks_quarantined == len(refused)
    assert report.balanced


def test_two_threads_on_one_store(tmp_path: Path) -> None:
    """Of several threads that convert at once each succeeds or is told that the store is busy; no row is doubled."""
    folder = simulated(tmp_path / "r", games=3)
    answers: list[str] = []

    def one() -> None:
        try:
            answers.append(str(quiet(folder, tmp_path / "store").ok))
        except errors.StoreBusy:
            answers.append("busy")

    threads = [threading.Thread(target=one) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(answers) <= {"True", "busy"}
    assert "True" in answers
    quiet(folder, tmp_path / "alone")
    assert rows(tmp_path / "store") == rows(tmp_path / "alone")


def test_nothing_stays_open(tmp_path: Path) -> None:
    """Fifty rounds of converting, compacting and reading leave no file open and no thread behind."""
    folder = simulated(tmp_path / "r", games=2, damage="two_writers")
    paths = sorted(folder.glob("*.jsonl"))

    def once(number: int) -> None:
        store = tmp_path / f"store{number % 5}"
        quiet(paths[number // 5 % 2], store)
        rl.compact(store, progress=False)
        opened = rl.open_store(store)
        opened.games()
        opened.quarantine()
        assert opened.verify().ok
        assert all(len(game.prices()) for game in opened)

    once(0)
    with leaves_nothing_open():
        for number in range(50):
            once(number)


def test_memory_is_bounded(tmp_path: Path) -> None:
    """Both processes together stay below 400 MB, whatever the input; three times as much input needs no more."""
    small, large = tmp_path / "small.jsonl", tmp_path / "large.jsonl"
    with large.open("wb") as file:
        for piece in tick_lines(1_400_000):
            file.write(piece)
            if file.tell() > 105 << 20 and not small.exists():
                file.flush()
                shutil.copy(large, small)
    used = []
    for path in (small, large):
        child = run_child(MEMORY, path, tmp_path / f"store-{path.stem}")
        used.append(int(child.stdout))
        path.unlink()
    assert rl.open_store(tmp_path / "store-large").rows == 1_400_000
    assert max(used) < 400 << 10
    assert used[1] < used[0] + (60 << 10)


def test_leftovers_of_others_are_removed(tmp_path: Path) -> None:
    """The next conversion removes what killed ones left: half-written files and remarks that no segment names."""
    folder = simulated(tmp_path / "r", damage="two_writers")
    quiet(folder, tmp_path / "store")
    before = state(tmp_path / "store")
    for left in (
        "segments/convert-0.999999999.aside",
        "remarks/remarks-0.999999999.aside",
        "remarks/remarks_1_0.parquet",
    ):
        (tmp_path / "store" / left).write_bytes(b"half")
    assert len(leftovers(tmp_path / "store")) == 3
    quiet(folder, tmp_path / "store")
    assert leftovers(tmp_path / "store") == []
    assert state(tmp_path / "store") == before


def test_plain_settings_are_the_defaults() -> None:
    """A conversion without settings, which loads no pydantic, works with the defaults of `Settings`."""
    from replaylab.conversion.convert import _Plain, _settings

    plain = _settings(source_tz=None, workers=None, progress=None)
    assert isinstance(plain, _Plain)
    defaults = Settings()
    assert (plain.source_tz, plain.workers, plain.progress) == (
        defaults.source_tz,
        defaults.workers,
        defaults.progress,
    )


def test_settings_of_the_environment_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """A setting in the environment takes effect on a conversion that names none."""
    from replaylab.conversion.convert import _settings
    from replaylab.settings import current

    monkeypatch.setenv("REPLAYLAB_WORKERS", "3")
    current.cache_clear()
    assert _settings(source_tz=None, workers=None, progress=False).workers == 3
    current.cache_clear()


def test_what_is_at_hand_of_a_segment_is_what_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a conversion says of the segments that it wrote is what anyone reads from their files."""
    written: list[Segment] = []

    publish = Unpublished.publish

    def published(one: Unpublished) -> Segment:
        written.append(publish(one))
        return written[-1]

    monkeypatch.setattr(Unpublished, "publish", published)
    rl.simulate(tmp_path / "recordings", games=12, seed=3, damage="all")
    quiet([SAMPLES, tmp_path / "recordings"], tmp_path / "store")
    assert written
    assert all(one.footer == Segment(one.path).footer for one in written)


def test_what_a_conversion_loads_before_it_reads() -> None:
    """Up to its first read a conversion loads neither pydantic nor pandas, pyarrow.compute or multiprocessing."""
    code = (
        "import sys, replaylab as rl\n"
        "from replaylab.conversion import convert\n"
        "heavy = {'pydantic', 'pandas', 'pyarrow.compute', 'multiprocessing', 'subprocess', 'rich', 'tqdm'}\n"
        "def stop(*sources, **options): sys.exit(' '.join(sorted(heavy & set(sys.modules))) or 0)\n"
        "convert.plan = stop\n"
        "rl.convert(sys.argv[1], sys.argv[2], progress=False)\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            [sys.executable, "-c", code, str(SAMPLES), folder], capture_output=True, text=True, check=False, timeout=60
        )
    assert (done.returncode, done.stderr) == (0, "")
