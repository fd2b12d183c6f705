"""Compact: few segments with the same rows; killed anywhere, or read meanwhile, nothing is lost or doubled."""

from __future__ import annotations

from collections import Counter
from itertools import groupby
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import replaylab as rl
from replaylab import errors
from replaylab.durable import sole_writer
from replaylab.storage.compact import merged_rows
from tests.stores import game_lines, leftovers, names, quiet, rows, simulated, start_child, state

READER = """
import sys, time
import replaylab as rl
store = rl.open_store(sys.argv[1])
expected = None
print("reading", flush=True)
until = time.monotonic() + 280
while time.monotonic() < until:
    check = store.verify()
    assert check.ok, str(check)
    games = store.games_table()
    path = [(game.id, len(game.prices())) for game in store]
    found = (check.rows_digest, store.rows, games.to_pylist(), path, store.remarks().num_rows)
    assert expected in (None, found), (expected, found)
    expected = found
    print("read", flush=True)
"""


def many(tmp_path: Path, count: int = 6) -> Path:
    """Make a store of many small segments, some games in several of them, with remarks."""
    store = tmp_path / "store"
    for number in range(count):
        damage = ("two_writers",) if number % 2 else ()
        quiet(simulated(tmp_path / f"r{number}", games=2, seed=number, damage=damage), store)
        (tmp_path / f"{number}.jsonl").write_bytes(b"".join(game_lines("g", 30)[number * 5 : number * 5 + 7]))
        quiet(tmp_path / f"{number}.jsonl", store)
    return store


def test_few_segments_with_the_same_rows(tmp_path: Path) -> None:
    """After compaction there is one segment, and rows, games, remarks, paths and accounts are what they were."""
    store = many(tmp_path)
    before, contents = state(store), rows(store)
    ticks = {game.id: game.ticks() for game in rl.open_store(store)}
    accounts = rl.open_store(store).verify().bytes
    report = rl.compact(store, progress=False)
    assert (report.segments_before, report.segments_after) == (12, 1)
    assert report.rows == rl.open_store(store).rows == sum(contents.values())
    assert report.bytes_after < report.bytes_before
    assert "12 segments -> 1" in str(report)
    assert state(store) == before
    assert rows(store) == contents
    assert all(rl.open_store(store)[game].ticks().equals(table) for game, table in ticks.items())
    assert rl.open_store(store).verify().bytes == accounts
    assert (len(names(store / "segments")), len(names(store / "remarks"))) == (1, 1)


def test_compacting_again_changes_nothing(tmp_path: Path) -> None:
    """A compacted store is left alone, file by file."""
    store = many(tmp_path, 2)
    rl.compact(store, progress=False)
    before = {path: path.stat() for path in store.rglob("*.parquet")}
    report = rl.compact(store, progress=False)
    assert report.segments_before == report.segments_after == 1
    assert {path: path.stat() for path in store.rglob("*.parquet")} == before


def test_each_game_in_one_piece(tmp_path: Path) -> None:
    """A compacted segment holds every game in one piece, games in order of time, so that one game is one range."""
    store = many(tmp_path)
    rl.compact(store, progress=False)
    (path,) = (store / "segments").glob("*.parquet")
    table = pq.read_table(path, columns=["game_id", "timestamp"])
    ids = [game for game, _ in groupby(table.column("game_id").to_pylist())]
    assert len(ids) == len(set(ids)) > 1
    starts = dict(zip(reversed(table["game_id"].to_pylist()), reversed(table["timestamp"].to_pylist()), strict=True))
    assert [starts[game] for game in ids] == sorted(starts.values())


def test_known_recordings_stay_known(tmp_path: Path) -> None:
    """What was converted before a compaction is not converted again after it, also when it has grown."""
    store = many(tmp_path, 2)
    before = rl.open_store(store).rows
    rl.compact(store, progress=False)
    assert quiet([tmp_path / "r0", tmp_path / "r1"], store).ticks_stored == 0
    with (tmp_path / "0.jsonl").open("ab") as file:
        file.write(game_lines("g", 30)[29])
    assert quiet(tmp_path / "0.jsonl", store).ticks_stored == 1
    rl.compact(store, progress=False)
    assert rl.open_store(store).rows == before + 1
    assert rl.open_store(store).verify().ok


def test_groups_stay_below_their_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments are merged up to a size and large ones are left alone, so that nothing is written over and over."""
    store = many(tmp_path)
    before = state(store)
    monkeypatch.setattr("replaylab.storage.compact.TARGET_ROWS", 900)
    rl.compact(store, progress=False)
    sizes = [segment.footer.rows for segment in rl.open_store(store).segments()]
    assert 1 < len(sizes) < 12
    assert max(sizes) <= 1_200
    assert state(store) == before
    assert leftovers(store) == []


def test_no_segment_is_asked_for_the_games_of_others(tmp_path: Path) -> None:
    """What a compaction costs grows with the games, not with games times segments."""
    asked: Counter[str] = Counter()

    class Asked(dict[str, tuple[int, int]]):
        def __contains__(self, game: object) -> bool:
            asked[str(game)] += 1
            return super().__contains__(game)

    store = rl.open_store(many(tmp_path))
    segments = store.segments()
    for segment in segments:
        segment.rows_of = Asked(segment.rows_of)
    assert sum(table.num_rows for table in merged_rows(segments)) == store.rows
    assert all(count <= len(segments) / 2 for count in asked.values())


def test_an_empty_store(tmp_path: Path) -> None:
    """A store without rows can be compacted."""
    for number in range(2):
        (tmp_path / f"{number}.jsonl").write_bytes(b"" if number else b"\n\n")
        quiet(tmp_path / f"{number}.jsonl", tmp_path / "store")
    report = rl.compact(tmp_path / "store", progress=False)
    assert (report.rows, report.segments_after) == (0, 1)
    assert rl.open_store(tmp_path / "store").verify().ok


def test_a_damaged_segment_is_not_merged_away(tmp_path: Path) -> None:
    """Damage met while compacting is an error that names the segment, and every file stays."""
    store = many(tmp_path, 3)
    path = sorted((store / "segments").glob("*.parquet"))[2]
    data = bytearray(path.read_bytes())
    data[80] ^= 0xFF
    path.write_bytes(data)
    before = {one: one.read_bytes() for one in store.rglob("*.parquet")}
    with pytest.raises(errors.SegmentDamaged, match=path.name):
        rl.compact(store, progress=False)
    assert {one: one.read_bytes() for one in store.rglob("*.parquet")} == before
    assert not list(store.rglob("*.aside"))


def test_a_damaged_footer_stops_a_compaction(tmp_path: Path) -> None:
    """A segment that cannot be opened is an error by its name, every time; nothing is merged beside it."""
    store = many(tmp_path, 3)
    path = sorted((store / "segments").glob("*.parquet"))[1]
    good = path.read_bytes()
    data = bytearray(good)
    data[-20] ^= 0xFF
    path.write_bytes(data)
    before = {one: one.read_bytes() for one in store.rglob("*.parquet")}
    for _ in range(2):
        with pytest.raises(errors.SegmentDamaged, match=rf"{path.name}.*nothing was merged"):
            rl.compact(store, progress=False)
        assert {one: one.read_bytes() for one in store.rglob("*.parquet")} == before
    path.write_bytes(good)
    assert rl.compact(store, progress=False).segments_after == 1
    assert rl.Store(store).verify().ok


def test_what_is_replaced_is_removed_beside_a_damaged_segment(tmp_path: Path) -> None:
    """Segments that another replaces do not stay because a third one is damaged: other readers would see rows twice."""
    store = many(tmp_path, 2)
    old = {one.name: one.read_bytes() for one in (store / "segments").iterdir()}
    rl.compact(store, progress=False)
    quiet(simulated(tmp_path / "more", games=1, seed=77), store)
    (new,) = (one for one in (store / "segments").glob("*.parquet") if "compact" not in one.name)
    data = bytearray(new.read_bytes())
    data[-20] ^= 0xFF
    new.write_bytes(data)
    for name, content in old.items():
        (store / "segments" / name).write_bytes(content)
    with pytest.raises(errors.SegmentDamaged, match=new.name):
        rl.compact(store, progress=False)
    assert not old.keys() & {one.name for one in (store / "segments").iterdir()}


def test_damaged_remarks_are_not_merged_away(tmp_path: Path) -> None:
    """Remarks that cannot be read stop a compaction with their name; quarantined bytes are never lost by it."""
    store = many(tmp_path, 3)
    path = min((store / "remarks").glob("*.parquet"))
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0xFF
    path.write_bytes(data)
    before = {one: one.read_bytes() for one in store.rglob("*.parquet")}
    with pytest.raises(errors.SegmentDamaged, match=path.name):
        rl.compact(store, progress=False)
    assert {one: one.read_bytes() for one in store.rglob("*.parquet")} == before


def test_busy(tmp_path: Path) -> None:
    """A store that is being written is not compacted, and the other way round."""
    store = many(tmp_path, 1)
    with sole_writer(store), pytest.raises(errors.StoreBusy):
        rl.compact(store, progress=False)
    assert len(names(store / "segments")) == 2


def test_no_store(tmp_path: Path) -> None:
    """A path without a store is refused, and nothing is made there."""
    with pytest.raises(errors.StoreNotFound):
        rl.compact(tmp_path / "nothing", progress=False)
    assert names(tmp_path) == []


def test_a_reader_meanwhile_sees_every_row_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the store is compacted step by step, another process that keeps reading sees the same all the time."""
    store = many(tmp_path)
    reader = start_child(READER, store)
    with reader:
        assert reader.stdout is not None
        assert [reader.stdout.readline() for _ in range(2)] == ["reading\n", "read\n"]
        for target in (500, 1_000, 1_500, 2_500, 4_000, 20_000):
            monkeypatch.setattr("replaylab.storage.compact.TARGET_ROWS", target)
            rl.compact(store, progress=False)
            assert reader.stdout.readline() == "read\n", reader.stderr and reader.stderr.read()
        assert len(names(store / "segments")) == 1
        assert reader.stdout.readline() == "read\n", reader.stderr and reader.stderr.read()
        reader.kill()


def test_a_game_held_over_a_compaction(tmp_path: Path) -> None:
    """A game that was asked for before a compaction and read after it has all its rows."""
    store = many(tmp_path, 3)
    expected = rl.open_store(store)["g"].ticks()
    opened = rl.open_store(store)
    opened.games()
    game, extents = opened["g"], opened.extents()
    rl.compact(store, progress=False)
    assert game.ticks().equals(expected)
    assert sorted(extents, key=repr) == sorted(opened.extents(), key=repr)
    assert opened.verify().ok
