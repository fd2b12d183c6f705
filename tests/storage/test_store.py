"""Store: opening is recovery; what is damaged is named, and everything else stays readable."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import replaylab as rl
from replaylab import errors
from replaylab.encryption.parquet import identity
from replaylab.segments.footer import FOOTER_KEY
from replaylab.storage import listing
from replaylab.storage.store import Store
from tests.stores import game_lines, line, names, quiet, simulated


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Give a store of two segments with a game each, one of them recorded by two writers."""
    quiet(simulated(tmp_path / "one", games=1, seed=1, damage="two_writers"), tmp_path / "store")
    quiet(simulated(tmp_path / "two", games=1, seed=2), tmp_path / "store")
    return tmp_path / "store"


def segments(store: Path) -> list[Path]:
    """Give the segment files of a store."""
    return sorted((store / "segments").glob("*.parquet"))


def flip(path: Path, position: int) -> None:
    """Change one byte of a file."""
    data = bytearray(path.read_bytes())
    data[position] ^= 0xFF
    path.write_bytes(data)


@pytest.mark.parametrize("place", ["nothing", "file", "folder"])
def test_no_store_there(tmp_path: Path, place: str) -> None:
    """A path without a store says so, and how to make one; it is a FileNotFoundError."""
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(errors.StoreNotFound, match="replaylab convert") as caught:
        rl.open_store(tmp_path / place)
    assert isinstance(caught.value, FileNotFoundError)


def test_games_one_row_each(store: Path) -> None:
    """The table of games has the columns promised, one row a game, in order of start."""
    games = rl.open_store(store).games()
    promised = (
        "game_id rows ticks rug_tick rug_price peak peak_tick start end complete late_start censored gaps double_rug"
    )
    assert set(promised.split()) | {"sources"} <= set(games.columns)
    assert games["game_id"].is_unique
    assert games["start"].is_monotonic_increasing
    assert str(games["start"].dtype) == "datetime64[us, UTC]"
    assert games["rows"].sum() == rl.open_store(store).rows
    assert str(games["rug_tick"].dtype) == "Int64"


def test_looks_like_a_mapping_of_games(store: Path) -> None:
    """Ids complete, indexing and iterating give games, and an id that is not there suggests those that are close."""
    opened = rl.open_store(store)
    ids = opened.game_ids()
    assert opened._ipython_key_completions_() == ids == sorted(ids) == [game.id for game in opened]
    assert len(opened) == 2
    assert ids[0] in opened
    assert "nothing" not in opened
    assert len(opened[ids[0]]) + len(opened.game(ids[1])) == opened.rows
    with pytest.raises(errors.GameNotFound, match=ids[0]) as caught:
        opened.game(ids[0][:-1] + "x")
    assert isinstance(caught.value, KeyError)
    assert not str(caught.value).startswith("'")


def test_a_reader_sees_what_another_adds(store: Path, tmp_path: Path) -> None:
    """A store that is open sees the games that a conversion adds, at its next call."""
    opened = rl.open_store(store)
    before = len(opened.games())
    quiet(simulated(tmp_path / "three", games=1, seed=3), store)
    assert len(opened.games()) == before + 1


def test_a_question_looks_at_no_segment_that_is_known(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as the files are the same, what a game costs does not grow with their number; what is new is seen."""
    for seed in range(5, 8):
        quiet(simulated(tmp_path / f"{seed}", games=2, seed=seed), store)
    opened = rl.open_store(store)
    first = opened[opened.game_ids()[0]].ticks()
    looked: list[str] = []

    def looking(name: str) -> str:
        looked.append(name)
        return identity(name)

    monkeypatch.setattr(listing, "identity", looking)
    assert next(iter(opened)).ticks().equals(first)
    assert sum(game.ticks().num_rows for game in opened) == opened.rows
    assert not looked
    (path := next((store / "segments").iterdir())).rename(tmp_path / path.name)
    assert len(opened.segments()) == len(names(store / "segments"))
    assert looked
    (tmp_path / path.name).rename(path)
    assert opened.rows == rl.open_store(store).rows


def test_one_game_in_several_segments(tmp_path: Path) -> None:
    """A game whose parts came at different times is one row and one path, as if it had come at once."""
    lines = game_lines("g", 20)
    (tmp_path / "x.jsonl").write_bytes(b"".join(lines))
    quiet(tmp_path / "x.jsonl", tmp_path / "whole")
    for number, part in enumerate([lines[12:], lines[:7], lines[7:12]]):
        (tmp_path / f"{number}.jsonl").write_bytes(b"".join(part) + line("other", number))
        quiet(tmp_path / f"{number}.jsonl", tmp_path / "parts")
    whole, parts = rl.open_store(tmp_path / "whole"), rl.open_store(tmp_path / "parts")
    assert parts["g"].prices().equals(whole["g"].prices())
    expected = whole.games_table().drop_columns(["sources"]).to_pylist()[0]
    assert expected in parts.games_table().drop_columns(["sources"]).to_pylist()
    assert parts["g"].summary["sources"] == ["1.jsonl", "2.jsonl", "0.jsonl"]
    assert len(parts.games()) == 2


@pytest.mark.parametrize("where", ["page", "footer", "first", "last", "cut", "nothing left"])
def test_a_damaged_segment_is_named_and_the_rest_stays(
    store: Path, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever happened to one segment: the store opens, names it in log and check, and reads all other games."""
    good, bad = segments(store)
    (kept,) = [one for one in rl.open_store(store).segments() if one.name == good.name]
    game = kept.footer.games[0].game
    expected = rl.open_store(store)[game].ticks()
    if where in {"cut", "nothing left"}:
        bad.write_bytes(bad.read_bytes()[: 500 if where == "cut" else 0])
    else:
        flip(bad, {"page": bad.stat().st_size // 3, "footer": -700, "first": 0, "last": -1}[where])
    with caplog.at_level(logging.WARNING, "replaylab"):
        opened = rl.open_store(store)
        assert game in opened.games()["game_id"].tolist()
    assert opened[game].ticks().equals(expected)
    check = opened.verify()
    assert not check
    assert bad.name in str(check)
    assert good.name not in str(check)
    if where not in {"first", "last"}:  # a magic byte that readers do not need
        assert bad.name in caplog.text or where == "page"


def test_a_damaged_game_is_an_error_that_names_the_segment(store: Path) -> None:
    """Asking for a game whose bytes are damaged is never answered with other values."""
    path = segments(store)[0]
    opened = rl.open_store(store)
    (segment,) = [one for one in opened.segments() if one.name == path.name]
    flip(path, segment.metadata.row_group(0).column(4).data_page_offset + 60)
    with pytest.raises(errors.SegmentDamaged, match=path.name):
        rl.open_store(store)[segment.footer.games[0].game].ticks()
    assert len(rl.open_store(store).games()) == 1


def test_files_that_are_no_segments(store: Path, tmp_path: Path) -> None:
    """A foreign Parquet file, a folder, a link to nowhere and other files in the way are named or left alone."""
    before = rl.open_store(store).games_table()
    pq.write_table(pa.table({"a": [1]}), store / "segments" / "foreign.parquet")
    (store / "segments" / "folder.parquet").mkdir()
    (store / "segments" / "link.parquet").symlink_to("nowhere")
    (store / "segments" / "notes.txt").write_bytes(b"x")
    opened = rl.open_store(store)
    assert opened.games_table().equals(before)
    assert set(opened.damaged) == {"foreign.parquet", "folder.parquet", "link.parquet"}
    assert len(opened.verify().problems) == 3
    quiet(simulated(tmp_path / "three", games=1, seed=3), store)
    rl.compact(store, progress=False)
    assert {"foreign.parquet", "folder.parquet", "link.parquet", "notes.txt"} <= set(names(store / "segments"))
    assert len(rl.open_store(store).games()) == 3


def test_a_newer_store_is_refused_whole(store: Path, tmp_path: Path) -> None:
    """A store with a segment of a later schema is not half read, converted into or compacted."""
    opened = rl.open_store(store)
    path = segments(store)[0]
    table = pq.read_table(path)
    metadata = {**pq.read_metadata(path).metadata}
    metadata[FOOTER_KEY] = metadata[FOOTER_KEY].replace(b'"schema_version": 1', b'"schema_version": 2')
    pq.write_table(table.replace_schema_metadata(metadata), store / "segments" / "newer.parquet")
    more = simulated(tmp_path / "more", seed=5)
    for do in (opened.games, lambda: rl.open_store(store), lambda: quiet(more, store), lambda: rl.compact(store)):
        with pytest.raises(errors.StoreTooNew, match=r"newer\.parquet.*upgrade replaylab"):
            do()
    assert len(names(store / "segments")) == 3


@pytest.mark.parametrize("how", ["gone", "flipped", "cut", "other"])
def test_damaged_remarks(store: Path, how: str) -> None:
    """Remarks that are gone or damaged are named by the check; games and the other remarks stay readable."""
    path = min((store / "remarks").glob("*.parquet"))
    before = rl.open_store(store)
    games, count = before.games_table(), before.remarks().num_rows
    quiet(simulated(store.parent / "three", games=1, seed=3, damage="two_writers"), store)
    if how == "gone":
        path.unlink()
    elif how == "flipped":
        flip(path, path.stat().st_size // 2)
    elif how == "cut":
        path.write_bytes(path.read_bytes()[:100])
    else:
        pq.write_table(pa.table({"a": [1]}), path)
    opened = rl.open_store(store)
    assert path.name in str(opened.verify())
    assert opened.games_table().num_rows == games.num_rows + 1
    assert opened.remarks().num_rows > 0
    assert count > 0
    assert not opened.quarantine().empty
    assert path.name in str(opened.damaged)


def test_quarantine_keeps_the_bytes(tmp_path: Path) -> None:
    """Bytes that became no tick are given back exactly, with the place they came from and the reason."""
    data = line("g", 0) + b"\xff\xfe rubbish\r\n" + line("g", 1) + b'{"type": "tick", "price": 3'
    (tmp_path / "x.jsonl").write_bytes(data)
    quiet(tmp_path / "x.jsonl", tmp_path / "store")
    found = rl.open_store(tmp_path / "store").quarantine()
    assert list(found.columns) == ["source", "line", "start", "end", "reason", "raw", "detail"]
    assert found["line"].tolist() == [2, 4]
    for row in found.to_dict("records"):
        assert data[row["start"] : row["end"]] == row["raw"]
        assert row["source"] == "x.jsonl"
        assert row["reason"]


def test_a_moved_store_is_the_same_store(store: Path, tmp_path: Path) -> None:
    """A store is a folder: copied or moved it is whole."""
    before = rl.open_store(store).games_table()
    shutil.move(store, tmp_path / "moved")
    assert rl.open_store(tmp_path / "moved").games_table().equals(before)
    assert rl.open_store(str(tmp_path / "moved")).verify().ok


def test_a_store_is_read_without_a_change(store: Path) -> None:
    """Reading and checking write nothing."""
    before = stamps(store)
    opened = Store(store)
    opened.games()
    opened.remarks()
    opened.verify()
    assert stamps(store) == before


def stamps(folder: Path) -> dict[Path, tuple[int, int, int]]:
    """Give what changes when a file is written; reading may touch the time of the last reading."""
    found = {path: path.stat() for path in folder.rglob("*")}
    return {path: (stat.st_ino, stat.st_size, stat.st_mtime_ns) for path, stat in found.items()}
