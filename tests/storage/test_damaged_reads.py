"""Reading many rows of a damaged store raises by name, or leaves out what is damaged and says so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import replaylab as rl
from replaylab import errors
from replaylab.storage.interchange import LEFT_OUT
from tests.stores import quiet, simulated


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two segments."""
    base = tmp_path_factory.mktemp("damaged")
    for seed in (1, 2):
        quiet(simulated(base / str(seed), games=3, seed=seed), base / "store")
    return base / "store"


@pytest.fixture(params=["footer", "page", "cut", "link", "columns"])
def harmed(whole: Path, tmp_path: Path, request: pytest.FixtureRequest) -> tuple[Path, str, int]:
    """A copy of it in which one segment is damaged; its name, and the rows of the other."""
    store = Path(shutil.copytree(whole, tmp_path / "store"))
    good, bad = rl.Store(store).segments()
    data = bytearray(bad.path.read_bytes())
    if request.param == "footer":
        data[-20] ^= 0xFF
    elif request.param == "page":
        data[bad.metadata.row_group(0).column(4).data_page_offset + 60] ^= 0xFF
    elif request.param == "cut":
        del data[len(data) // 2 :]
    bad.path.write_bytes(data)
    if request.param == "link":
        bad.path.unlink()
        bad.path.symlink_to("nowhere")
    if request.param == "columns":
        return store, _other_columns(store, bad.name), good.footer.rows
    return store, bad.name, good.footer.rows


def _other_columns(store: Path, name: str) -> str:
    """Write a segment anew without a column, all digests right; give its name."""
    import pyarrow.parquet as pq
    import xxhash

    from replaylab.segments.digest import file_digest, footer_bytes

    path = store / "segments" / name
    metadata = pq.read_metadata(path).metadata
    table = pq.read_table(path).drop_columns(["price"]).replace_schema_metadata(metadata)
    path.unlink()
    pq.write_table(table, path)
    stem = name.rsplit("_", 2)[0]
    return path.rename(
        path.with_name(f"{stem}_{xxhash.xxh3_64_hexdigest(footer_bytes(path))}_{file_digest(path)}.parquet")
    ).name


WAYS: dict[str, Callable[..., Any]] = {
    "to_arrow": lambda store, **how: store.to_arrow(**how).num_rows,
    "one column": lambda store, **how: store.to_arrow(["price"], **how).num_rows,
    "to_pandas": lambda store, **how: len(store.to_pandas(**how)),
    "to_polars": lambda store, **how: len(store.to_polars(**how)),
    "sql": lambda store, **how: store.sql("SELECT count(price), count(*) FROM ticks", **how)[1][0].as_py(),
}


@pytest.mark.parametrize("way", list(WAYS))
def test_many_rows_raise_by_name(harmed: tuple[Path, str, int], way: str) -> None:
    """Every way to read many rows raises `SegmentDamaged`, which names the segment; none answers over the rest."""
    store, name, _ = harmed
    with pytest.raises(errors.SegmentDamaged, match=name):
        WAYS[way](rl.Store(store))


@pytest.mark.parametrize("way", list(WAYS))
def test_what_is_damaged_is_left_out_when_asked(harmed: tuple[Path, str, int], way: str) -> None:
    """With ``damaged="skip"`` the other segments answer, and the store names what is left out."""
    folder, name, rows = harmed
    store = rl.Store(folder)
    assert WAYS[way](store, damaged="skip") == rows
    assert list(store.damaged) == [name]


def test_the_answer_says_what_it_lacks(harmed: tuple[Path, str, int]) -> None:
    """A table names what it lacks in its metadata, a frame in its attributes."""
    folder, name, _ = harmed
    store = rl.Store(folder)
    for table in (store.to_arrow(damaged="skip"), store.sql("SELECT price FROM ticks", damaged="skip")):
        assert name in json.loads(table.schema.metadata[LEFT_OUT])
    assert name in store.to_pandas(damaged="skip").attrs["left_out"]
    assert name in store.to_pandas("games", damaged="skip").attrs["left_out"]


def test_a_dataset_raises_by_name(harmed: tuple[Path, str, int]) -> None:
    """A dataset raises when it is made or when the damaged page is read, whatever is asked of it."""
    folder, name, _ = harmed
    ways: list[Callable[[Any], object]] = [
        lambda found: found.to_table(),
        lambda found: list(found.to_batches()),
        lambda found: found.head(10**9),
        lambda found: found.take([found.count_rows() - 1]),
        lambda found: found.filter(_positive()).to_table(),
    ]
    for read in ways:
        with pytest.raises(errors.SegmentDamaged, match=name):
            read(rl.Store(folder).dataset())


def _positive() -> Any:
    import pyarrow.dataset as ds

    return ds.field("price") > -1


def test_games_raise_by_name(harmed: tuple[Path, str, int]) -> None:
    """A frame of all games raises as well; `games()` is the list of what can be read, and says what it lacks."""
    folder, name, _ = harmed
    with pytest.raises(errors.SegmentDamaged, match=name):
        rl.Store(folder).to_pandas("games")
    with pytest.raises(errors.SegmentDamaged, match=name):
        rl.Store(folder).sql("SELECT * FROM games, ticks")
    found = rl.Store(folder).games()
    assert len(found) == 3
    assert list(found.attrs["left_out"]) == [name]


def test_only_games_that_are_asked_for_matter(harmed: tuple[Path, str, int]) -> None:
    """Games of a good segment are read, when the damaged one is known not to hold them."""
    folder, name, _ = harmed
    store = rl.Store(folder)
    good = next(segment for segment in store.segments() if segment.name != name)
    games = list(good.rows_of)
    if name in store.damaged:
        with pytest.raises(errors.SegmentDamaged, match=name):
            store.to_arrow(games=games)
    else:
        assert store.to_arrow(games=games).num_rows == good.footer.rows


def test_another_word_is_refused(whole: Path) -> None:
    """`damaged` is one of two words."""
    for way in WAYS.values():
        with pytest.raises(errors.AnalysisError, match="take 'raise' or 'skip'"):
            way(rl.Store(whole), damaged="ignore")


def test_files_that_are_no_segments_are_no_damage(whole: Path, tmp_path: Path) -> None:
    """A foreign file beside the segments is named, and keeps nobody from reading the rows."""
    store = Path(shutil.copytree(whole, tmp_path / "store"))
    (store / "segments" / "notes.parquet").write_bytes(b"x")
    found = rl.Store(store)
    assert found.to_arrow().equals(rl.Store(whole).to_arrow())
    assert list(found.damaged) == ["notes.parquet"]
