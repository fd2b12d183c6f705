"""Rezone: a zone given afterwards leads to what converting with it leads to; what the clock showed never changes."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import replaylab as rl
from replaylab import errors
from replaylab.segments.footer import Footer
from replaylab.storage.rezone import RezoneReport
from replaylab.storage.zones import COMMON, utc_of, zone_fit
from replaylab.table import skipped_times, to_utc, to_wall
from tests.crash.scale import SCALE
from tests.stores import RECORDINGS, leftovers, line, quiet, rows, simulated, start_child, state

NEW_YORK = "America/New_York"
ZONES = ("UTC", NEW_YORK, "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia")
HOUR_US = 3_600_000_000


def rezone(store: Path, zone: str) -> RezoneReport:
    """Rezone without a bar."""
    return rl.rezone(store, zone, progress=False)


def night(tmp_path: Path) -> Path:
    """Make recordings of the nights in which the clock of New York was put back and forward."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    for number, day in enumerate(("2025-11-02", "2025-03-09")):
        walls = [f"{day}T{hour:02}:{minute:02}:00" for hour in range(4) for minute in range(0, 60, 7)]
        lines = [line(f"{day.replace('-', '')}-{number}", n, timestamp=wall) for n, wall in enumerate(walls)]
        (folder / f"{day}.jsonl").write_bytes(b"".join(lines))
    return folder


@given(
    st.lists(st.integers(0, 60 * 365 * 24), min_size=1, max_size=60),
    st.sampled_from(ZONES),
    st.integers(0, HOUR_US - 1),
)
@settings(max_examples=30 * SCALE, deadline=None)
def test_what_the_clock_showed_comes_back(hours: list[int], zone: str, more: int) -> None:
    """To UTC and back is the same for every moment of every zone, also those that its clock showed twice or never."""
    walls = np.array(hours, np.int64) * HOUR_US + more
    naive = np.zeros(len(walls), np.bool_)
    skipped = skipped_times(walls, naive, zone)
    assert to_wall(to_utc(walls, naive, zone), zone, skipped).to_pylist() == walls.tolist()


@pytest.mark.parametrize("compacted", [False, True])
@pytest.mark.parametrize("zone", [NEW_YORK, "Asia/Tokyo", "Europe/Berlin"])
def test_the_same_as_converting_with_the_zone(tmp_path: Path, zone: str, *, compacted: bool) -> None:
    """Rows, games, accounts and remarks are those of a conversion with the zone, whatever zones came between."""
    folder = night(tmp_path)
    simulated(folder, games=3, damage="all")
    quiet(folder, tmp_path / "asked", source_tz=zone)
    quiet(folder, tmp_path / "store")
    if compacted:
        rl.compact(tmp_path / "store", progress=False)
    remarks = rl.open_store(tmp_path / "store").remarks()
    for way in ("Pacific/Apia", NEW_YORK, zone):
        assert rezone(tmp_path / "store", way).ok
    assert state(tmp_path / "store") == state(tmp_path / "asked")
    assert rows(tmp_path / "store") == rows(tmp_path / "asked")
    assert rl.open_store(tmp_path / "store").remarks().equals(remarks)
    assert not leftovers(tmp_path / "store")
    accounts = [
        sorted(
            (one.source, one.start, one.zone, one.doubtful_times, one.skipped) for one in rl.open_store(path).extents()
        )
        for path in (tmp_path / "store", tmp_path / "asked")
    ]
    assert accounts[0] == accounts[1]


def test_again_changes_nothing(tmp_path: Path) -> None:
    """A second run writes no file, and says that the times were read so already; folds are named by both."""
    quiet(night(tmp_path), tmp_path / "store")
    first = rezone(tmp_path / "store", NEW_YORK)
    files = {path.name for path in (tmp_path / "store" / "segments").iterdir()}
    again = rezone(tmp_path / "store", NEW_YORK)
    assert {path.name for path in (tmp_path / "store" / "segments").iterdir()} == files
    assert (first.times, first.known, first.before) == (72, 0, ("UTC",))
    assert (again.times, again.known, again.before) == (0, 72, ())
    assert first.doubtful == again.doubtful == 18
    assert "18 shown twice by that clock (the first is taken) or never (moved on by the gap)" in str(first)


def test_a_source_converted_again_is_known(tmp_path: Path) -> None:
    """The bytes are in the store, whatever zone they are read in."""
    folder = night(tmp_path)
    quiet(folder, tmp_path / "store")
    rezone(tmp_path / "store", NEW_YORK)
    report = quiet(folder, tmp_path / "store")
    assert (report.ticks_stored, report.ticks_known) == (0, 72)


def test_times_that_carry_a_zone_stay(tmp_path: Path) -> None:
    """Only times without one move; a source that has both is named and left as it is."""
    (tmp_path / "utc.jsonl").write_bytes(line("a", 1, timestamp="2031-01-02T03:00:00+00:00"))
    (tmp_path / "both.jsonl").write_bytes(
        line("b", 1, timestamp="2031-01-02T03:00:00") + line("b", 2, timestamp="2031-01-02T03:00:00Z")
    )
    (tmp_path / "none.jsonl").write_bytes(line("c", 1, timestamp="2031-01-02T03:00:00") + line("c", 2, timestamp=None))
    store = tmp_path / "store"
    quiet([tmp_path / f"{name}.jsonl" for name in ("utc", "both", "none")], store)
    before = {game.id: game.ticks() for game in rl.open_store(store)}
    report = rezone(store, NEW_YORK)
    after = {game.id: game.ticks() for game in rl.open_store(store)}
    assert (report.ok, report.times, list(report.left_alone)) == (False, 1, ["both.jsonl"])
    assert "left alone: both.jsonl: some of its times carry a zone" in str(report)
    assert before["a"].equals(after["a"])
    assert before["b"].equals(after["b"])
    assert [str(time) for time in after["c"].column("timestamp").to_pylist()] == ["2031-01-02 08:00:00+00:00", "None"]
    assert rl.open_store(store).verify().ok


def test_an_unknown_zone_changes_nothing(tmp_path: Path) -> None:
    """It is refused by name."""
    quiet(night(tmp_path), tmp_path / "store")
    before = state(tmp_path / "store")
    with pytest.raises(errors.SettingsError, match="'Mars/Olympus' is not a known time zone"):
        rezone(tmp_path / "store", "Mars/Olympus")
    assert state(tmp_path / "store") == before


def test_killed_and_run_again(tmp_path: Path) -> None:
    """Killed between any two segments, the store is whole, and the next run does what is left."""
    store = tmp_path / "store"
    for number in range(3):
        folder = simulated(tmp_path / f"{number}", games=1, seed=number)
        quiet(folder, store)
        quiet(folder, tmp_path / "asked", source_tz=NEW_YORK)
    code = (
        "import os, sys\nimport replaylab as rl\nfrom replaylab.storage import rezone as room\n"
        "write, seen = room.write_segment, []\n"
        "def dies(*words, **named):\n"
        "    if seen: os.kill(os.getpid(), 9)\n"
        "    seen.append(write(*words, **named))\n"
        "    return seen[0]\n"
        "room.write_segment = dies\n"
        "rl.rezone(sys.argv[1], 'America/New_York', progress=False)\n"
    )
    with start_child(code, store) as child:
        assert child.wait(timeout=120) == -9
    assert rl.open_store(store).verify().ok
    left = rezone(store, NEW_YORK)
    assert left.known > 0 < left.times
    assert state(store) == state(tmp_path / "asked")


def test_a_store_that_an_earlier_release_converted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which times were skipped is not in it; where there are none it can be rezoned, else it is named."""
    folder = night(tmp_path)
    quiet(folder, tmp_path / "store", source_tz=NEW_YORK)
    unpacked = Footer.from_metadata

    def without(found: Any) -> Footer:
        footer = unpacked(found)
        return replace(footer, extents=[replace(one, skipped=[]) for one in footer.extents])

    monkeypatch.setattr(Footer, "from_metadata", staticmethod(without))
    report = rezone(tmp_path / "store", "UTC")
    assert list(report.left_alone) == ["2025-03-09.jsonl"]
    assert "an earlier release did not note which of its times" in report.left_alone["2025-03-09.jsonl"]
    assert report.times == 36


def test_ids_say_which_zone_fits() -> None:
    """Starts around midnight leave one clock; the zone that was used is never blamed where another fits no better."""
    day = 20_390 * 24 * HOUR_US  # 2025-10-29
    starts = {"20251029-a": (day + 19 * HOUR_US, "UTC"), "20251030-b": (day + 20 * HOUR_US + 1, "UTC")}
    fit = zone_fit(starts)
    assert (fit.games, fit.contradicting, fit.fitting[0], fit.left) == (2, 1, NEW_YORK, 0)
    assert str(fit).startswith("1 of 2 ids contradict UTC; source_tz='America/New_York'")
    assert not zone_fit({game: (wall, NEW_YORK) for game, (wall, _) in starts.items()})
    apart = {"20251029-a": (day + 26 * HOUR_US, "UTC"), "20251029-b": (day + 59 * HOUR_US, "UTC")}
    assert zone_fit(apart).left > 0
    assert not zone_fit({"game": (day, "UTC"), "99999999-x": (day, "UTC")})
    assert not zone_fit({})


@given(
    walls=st.lists(st.integers(-(10**16), 4 * 10**15) | st.integers(17 * 10**14, 18 * 10**14), min_size=1, max_size=60),
    zone=st.sampled_from(ZONES) | st.sampled_from(sorted(available_timezones())),
)
def test_the_clock_that_fits_is_the_clock_that_reads(walls: list[int], zone: str) -> None:
    """What a zone is judged by is what its times would be read as, to the second, also where the clock jumped."""
    given_us = np.array(walls, np.int64)
    try:
        read = to_utc(given_us, np.zeros(len(walls), np.bool_), zone)
    except pa.ArrowInvalid:
        assume(False)  # a zone that Python knows alone
    assert utc_of(given_us, zone).tolist() == read.view(pa.int64()).to_pylist()


@given(
    walls=st.lists(st.integers(20_300 * 24, 20_700 * 24), min_size=1, max_size=80, unique=True),
    zone=st.sampled_from(ZONES),
    noise=st.integers(0, 3),
)
@settings(max_examples=20 * SCALE, deadline=None)
def test_a_zone_that_is_ruled_out_early_would_not_have_won(walls: list[int], zone: str, noise: int) -> None:
    """The zones that contradict fewest ids are those that counting every id of every zone finds."""
    times = np.array(walls, np.int64) * HOUR_US
    days = utc_of(times, zone) // (24 * HOUR_US)
    days[:noise] += 1
    dates = [f"{date(1970, 1, 1) + timedelta(days=int(day)):%Y%m%d}" for day in days]
    starts = {f"{day}-{number}": (int(at), "UTC") for number, (day, at) in enumerate(zip(dates, times, strict=True))}
    left, found = len(times) + 1, dict[bytes, str]()
    for one in COMMON:
        read = utc_of(times, one)
        wrong = int((read // (24 * HOUR_US) != days).sum())
        left, found = (wrong, {}) if wrong < left else (left, found)
        if wrong == left:
            found.setdefault(read.tobytes(), one)
    fit = zone_fit(starts)
    if not left and fit.contradicting:
        assert (fit.left, fit.fitting) == (0, tuple(found.values()))
    assert fit.contradicting == int((times // (24 * HOUR_US) != days).sum())
    assert fit.left <= left if fit else fit.contradicting <= left


def test_the_hour_that_was_skipped_or_shown_twice_reads_as_it_is_read() -> None:
    """Each minute of two years of nights, in zones that jump by an hour, by half of one and over a whole day."""
    walls = np.arange(1_735_000_000, 1_798_000_000, 613, dtype=np.int64) * 1_000_000
    dateline = np.arange(1_325_100_000, 1_325_400_000, 61, dtype=np.int64) * 1_000_000  # Apia left 30 December 2011 out
    for zone in ZONES:
        for times in (walls, dateline):
            read = to_utc(times, np.zeros(len(times), np.bool_), zone)
            assert np.array_equal(utc_of(times, zone), read.view(pa.int64()).to_numpy())


def test_convert_inspect_and_verify_say_so(tmp_path: Path) -> None:
    """Each names the ids that contradict and a zone that fits; after rezoning none has anything to say."""
    names = ("20251029-a", "20251030-b", "20251103-c", "20251102-d")
    walls = ("2025-10-29T19:59:00", "2025-10-29T20:01:00", "2025-11-02T19:01:00", "2025-11-02T18:59:00")
    file, store = tmp_path / "x.jsonl", tmp_path / "store"
    file.write_bytes(b"".join(line(game, 1, timestamp=wall) for game, wall in zip(names, walls, strict=True)))
    sentence = "2 of 4 ids contradict UTC; source_tz='America/New_York' fits all"
    report = quiet(file, store)
    assert f"zone: {sentence}; rl.rezone('{store}', 'America/New_York') changes what is stored" in str(report)
    assert report.ok
    assert json.loads(report.to_json())["zone_doubt"].startswith(sentence)
    from replaylab.conversion.inspect import inspect

    assert inspect(file).zone == sentence
    found = rl.open_store(store).verify()
    assert found.ok
    assert str(found).endswith(f"{sentence}: replaylab rezone {store} America/New_York")
    assert not rezone(store, NEW_YORK).fit
    assert not rl.open_store(store).verify().doubts
    assert not quiet(file, tmp_path / "asked", source_tz=NEW_YORK).zone_doubt


def test_a_store_of_several_clocks(tmp_path: Path) -> None:
    """Games whose times carry a zone say nothing, also in a segment with others."""
    (tmp_path / "a.jsonl").write_bytes(line("20251030-a", 1, timestamp="2025-10-29T20:01:00"))
    (tmp_path / "b.jsonl").write_bytes(line("20251030-b", 1, timestamp="2025-10-29T20:01:00Z"))
    quiet([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], tmp_path / "store")
    (doubt,) = rl.open_store(tmp_path / "store").verify().doubts
    assert doubt.startswith("1 of 1 ids contradict UTC")


def test_a_damaged_segment_says_nothing(tmp_path: Path) -> None:
    """Conversion and verification go on beside a segment that cannot be read; verify names it."""
    (tmp_path / "a.jsonl").write_bytes(line("20251030-a", 1, timestamp="2025-10-29T20:01:00"))
    (tmp_path / "b.jsonl").write_bytes(line("20251030-b", 1, timestamp="2025-10-29T20:01:00Z"))
    quiet([tmp_path / "a.jsonl", tmp_path / "b.jsonl"], tmp_path / "store")
    (path,) = (tmp_path / "store" / "segments").iterdir()
    data = bytearray(path.read_bytes())
    data[40:60] = bytes(20)
    path.write_bytes(data)
    (tmp_path / "c.jsonl").write_bytes(line("20251030-c", 1, timestamp="2025-10-30T20:01:00"))
    assert not quiet(tmp_path / "c.jsonl", tmp_path / "store").zone_doubt
    found = rl.open_store(tmp_path / "store").verify()
    assert len(found.problems) == 1
    assert not found.doubts


def test_real_recordings_are_of_new_york(tmp_path: Path) -> None:
    """The recordings next to this checkout, where they are there: no other clock fits all of their ids."""
    if not RECORDINGS.is_dir():
        assert not list(RECORDINGS.parent.glob("recordings/*")), "no real recordings here; nothing to hold"
        return
    report = quiet(RECORDINGS, tmp_path / "store")
    assert "ids contradict UTC; source_tz='America/New_York' fits all; " in report.zone_doubt
    done = rezone(tmp_path / "store", NEW_YORK)
    assert (done.ok, done.times, bool(done.fit)) == (True, report.zoneless_times, False)
    assert not rl.open_store(tmp_path / "store").verify().doubts


def test_times_are_arrow_times() -> None:
    """`to_wall` takes what a segment holds, nulls included."""
    times = pa.array([0, None], pa.timestamp("us", "UTC"))
    assert to_wall(times, "Asia/Kolkata").to_pylist() == [5 * HOUR_US + HOUR_US // 2, None]
