"""Interchange: other programs get every row once, with every digit, and what is missing says how to install it."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pytest
from hypothesis import given
from hypothesis import strategies as st

import replaylab as rl
from replaylab import errors
from replaylab.exports.export import export
from tests.stores import line, quiet, simulated

EXACT = ["0.000000000000000000000001", "12345678901234.123456789012345678901234", "1.10", "0.1", "99999999999999"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> rl.Store:
    """A store of several segments, a damaged recording and a game of prices that no float holds."""
    folder = tmp_path_factory.mktemp("interchange")
    exact = simulated(folder / "exact", games=1, seed=3)
    (exact / "exact.jsonl").write_bytes(b"".join(line("exact", tick, price) for tick, price in enumerate(EXACT)))
    for source in (simulated(folder / "one", games=3, seed=1, damage="two_writers"), exact):
        quiet(source, folder / "store")
    return rl.Store(folder / "store")


def prices(store: rl.Store) -> list[Decimal]:
    """All prices by this package, sorted."""
    return sorted(
        price
        for segment in store.segments()
        for price in segment.read(["price"])["price"].to_pylist()
        if price is not None
    )


def test_dataset_has_every_row_once(store: rl.Store) -> None:
    """The dataset has the rows and the columns of the store, and reads pieces of it."""
    found = store.dataset()
    assert found.count_rows() == store.rows
    assert sorted(found.to_table(["price"])["price"].drop_null().to_pylist()) == prices(store)
    some = found.to_table(filter=ds.field("game_id").cast(pa.string()) == "exact", columns=["price"])
    assert some["price"].to_pylist() == [Decimal(text) for text in EXACT]


def test_dataset_leaves_out_what_was_replaced(store: rl.Store, tmp_path: Path) -> None:
    """Beside the segment of a compaction those that it replaces may still lie: their rows are not there twice."""
    shutil.copytree(store.path, tmp_path / "copy")
    rl.compact(tmp_path / "copy", progress=False)
    for segment in store.segments():
        shutil.copy(segment.path, tmp_path / "copy" / "segments")
    both = rl.Store(tmp_path / "copy")
    assert len(list((tmp_path / "copy" / "segments").iterdir())) == 3
    assert both.dataset().count_rows() == both.sql("SELECT count(*) FROM ticks")[0][0].as_py() == store.rows


def test_empty_store(tmp_path: Path) -> None:
    """A store without rows gives tables without rows, with all columns."""
    (tmp_path / "empty.jsonl").write_bytes(b"")
    quiet(tmp_path / "empty.jsonl", tmp_path / "store")
    empty = rl.Store(tmp_path / "store")
    assert empty.dataset().count_rows() == 0
    assert empty.sql("SELECT count(*) AS n FROM ticks, games").to_pylist() == [{"n": 0}]
    assert len(empty.to_pandas()) == len(empty.to_polars()) == len(empty.to_pandas("games")) == 0


def test_sql_is_exact(store: rl.Store) -> None:
    """DuckDB gives prices as DECIMAL(38,24) and times in UTC, whatever the zone of the machine."""
    found = store.sql("SELECT price, timestamp FROM ticks WHERE price IS NOT NULL ORDER BY price")
    assert found.schema.field("price").type == pa.decimal128(38, 24)
    assert found["price"].to_pylist() == prices(store)
    shown = store.sql("SELECT min(timestamp)::VARCHAR AS t, typeof(any_value(price)) AS kind FROM ticks").to_pylist()
    assert shown[0]["t"].endswith("+00")
    assert shown[0]["kind"] == "DECIMAL(38,24)"


def test_sql_over_games(store: rl.Store) -> None:
    """The view `games` is the table of games, and joins the ticks."""
    assert (
        store.sql("SELECT * FROM games")
        .select(["game_id", "peak"])
        .equals(store.games_table().select(["game_id", "peak"]))
    )
    joined = store.sql(
        "SELECT game_id, count(*) AS n, any_value(rows) AS r FROM ticks JOIN Games USING (game_id) GROUP BY 1"
    )
    assert joined["n"].to_pylist() == joined["r"].to_pylist()


def test_sql_takes_values(store: rl.Store) -> None:
    """Values go beside the query, by place or by name, and a Decimal compares exactly."""
    smallest = Decimal(EXACT[0])
    by_place = store.sql("SELECT game_id FROM ticks WHERE price = ?", [smallest])
    by_name = store.sql("SELECT game_id FROM ticks WHERE price = $p", {"p": smallest})
    assert by_place.to_pylist() == by_name.to_pylist() == [{"game_id": "exact"}]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT nonsense FROM ticks",
        "not sql",
        "CREATE TABLE t (a INT)",
        "SELECT * FROM query",
        "SELECT 1; SELECT 2",
        "",
    ],
)
def test_sql_that_cannot_be_answered(store: rl.Store, query: str) -> None:
    """What DuckDB refuses is one kind of error with its words; a variable of the caller is no table."""
    with pytest.raises(errors.AnalysisError):
        store.sql(query)


def test_sql_changes_nothing(store: rl.Store) -> None:
    """The views can be read alone."""
    with pytest.raises(errors.AnalysisError):
        store.sql("DELETE FROM ticks")
    assert store.verify().ok


@pytest.mark.parametrize(("package", "name"), [("duckdb", "sql"), ("polars", "polars")])
def test_missing_extra(store: rl.Store, monkeypatch: pytest.MonkeyPatch, package: str, name: str) -> None:
    """Without the package the error has the command that installs it."""
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(errors.MissingExtra, match=re.escape(f"pip install 'replaylab[{name}]'")) as caught:
        store.sql("SELECT 1") if package == "duckdb" else store.to_polars()
    assert isinstance(caught.value, ImportError)


def test_rows_come_in_the_order_received(store: rl.Store) -> None:
    """`to_arrow` gives each game as `Game.ticks` does, games one after another; columns and games can be chosen."""
    table = store.to_arrow()
    assert table.num_rows == store.rows
    for game in store:
        rows = table.filter(pc.equal(table["game_id"].cast(pa.string()), game.id))
        assert rows.to_pylist() == game.ticks().to_pylist()
    chosen = store.to_arrow(["tick", "price"], games="exact")
    assert chosen.column_names == ["tick", "price"]
    assert chosen["price"].to_pylist() == [Decimal(text) for text in EXACT]
    with pytest.raises(errors.AnalysisError, match="nothing"):
        store.to_arrow(["nothing"])


def test_pandas_frames_are_exact(store: rl.Store) -> None:
    """Prices are Decimals, whole numbers that may be missing are nullable, for rows, games, and one game."""
    frame = store.to_pandas(games="exact", columns=["price", "trade_count"], prices="decimal")
    assert frame["price"].to_list() == [Decimal(text) for text in EXACT]
    assert str(frame["trade_count"].dtype) == "Int32"
    assert store.to_pandas("games").equals(store.games())
    assert store.game("exact").to_pandas(prices="decimal")["price"].to_list() == [Decimal(text) for text in EXACT]
    highest = store.to_pandas("games", games="exact", columns=["peak"], prices="decimal")
    assert highest["peak"].to_list() == [Decimal(EXACT[4])]
    assert highest.attrs["prices"] == "decimal"
    with pytest.raises(errors.AnalysisError, match="take 'ticks', 'live', 'prices' or 'games'"):
        store.to_pandas("rows")  # type: ignore[arg-type]


def test_frames_reckon_as_a_pandas_user_types(store: rl.Store) -> None:
    """By default frames hold the nearest doubles: quantiles, histograms and plots work, and the frame says so."""
    nearest = [float(text) for text in EXACT]
    for frame in (store.to_pandas(games="exact"), store.game("exact").to_pandas()):
        assert frame["price"].tolist() == nearest
        assert frame["price"].dtype == np.float64
        assert frame.attrs["prices"] == "float64"
    games = store.games()
    assert games["peak"].quantile(0.9) <= games["peak"].max()
    assert np.histogram(store.to_pandas()["price"].dropna(), bins=3)[0].sum() == len(prices(store))
    game = store.game("exact")
    for doubles, exact in (
        (store.to_arrow(["price"], games="exact", prices="float64"), store.to_arrow(["price"], games="exact")),
        (game.live(prices="float64"), game.live()),
        (game.prices(prices="float64"), game.prices()),
        (store.sql("SELECT price FROM ticks", prices="float64"), store.sql("SELECT price FROM ticks")),
    ):
        assert doubles.schema.field("price").type == pa.float64()
        expected = [None if one is None else float(one) for one in exact["price"].to_pylist()]
        assert doubles["price"].to_pylist() == expected
    assert store.to_polars(prices="float64").schema["price"] == pl.Float64
    assert game.to_polars(prices="float64").schema["price"] == pl.Float64
    with pytest.raises(errors.AnalysisError, match="prices='exact' is not known"):
        store.to_pandas(prices="exact")  # type: ignore[arg-type]


def test_what_is_not_there_is_told_for_games_too(store: rl.Store) -> None:
    """A column that is not there, an id that is no text and a query that is none are the package's own errors."""
    for what in ("ticks", "games"):
        with pytest.raises(errors.AnalysisError, match=rf"columns=\['nothing'\]: not there; {what} have the columns"):
            store.to_pandas(what, columns=["nothing"])
        for games in (5, [5]):
            with pytest.raises(errors.AnalysisError, match=r"games=.*5 is no id"):
                store.to_pandas(what, games=games)  # type: ignore[arg-type]
    assert store.to_pandas("games", columns="peak").columns.tolist() == ["peak"]
    assert store.to_arrow("price").column_names == ["price"]
    with pytest.raises(errors.AnalysisError, match="give SQL as text"):
        store.sql(None)  # type: ignore[arg-type]


def test_a_compaction_in_between_is_read_again(
    store: rl.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Segments that a compaction removes between listing and reading are read where their rows lie now."""
    expected = store.sql("SELECT count(price) AS n FROM ticks")
    asked: tuple[Callable[[rl.Store], Any], ...] = (
        lambda one: one.to_arrow().num_rows,
        lambda one: one.sql("SELECT count(price) AS n FROM ticks"),
    )
    for place, ask in enumerate(asked):
        shutil.copytree(store.path, tmp_path / str(place))
        copy = rl.Store(tmp_path / str(place))
        listed = copy.readable

        def readable(copy: rl.Store = copy, listed: Callable[..., Any] = listed, **how: Any) -> Any:
            found = listed(**how)
            rl.compact(copy.path, progress=False)
            return found

        monkeypatch.setattr(copy, "readable", lambda damaged, readable=readable: readable(damaged=damaged))
        assert ask(copy) == (store.rows, expected)[place]


def test_sql_shows_its_views(store: rl.Store) -> None:
    """All views are listed when it is asked what there is."""
    assert store.sql("SHOW TABLES")["name"].to_pylist() == ["games", "gaps", "live", "prices", "ticks"]


def test_polars_frames_are_exact(store: rl.Store) -> None:
    """Prices are Decimal(38, 24), names are texts, for rows, games, and one game."""
    frame = store.to_polars(games=["exact"])
    assert frame.schema["price"] == pl.Decimal(38, 24)
    assert frame["price"].to_list() == [Decimal(text) for text in EXACT]
    assert frame["game_id"].to_list() == ["exact"] * len(EXACT)
    assert sorted(store.to_polars(columns=["price"])["price"].drop_nulls().to_list()) == prices(store)
    assert store.to_polars("games")["peak"].to_list() == store.games(prices="decimal")["peak"].to_list()
    assert store.game("exact").to_polars()["price"].to_list() == [Decimal(text) for text in EXACT]


def test_a_damaged_page_is_told(store: rl.Store, tmp_path: Path) -> None:
    """A dataset compares the checksums of pages too: a flipped byte raises, and gives no wrong price."""
    shutil.copytree(store.path, tmp_path / "copy")
    path = rl.Store(tmp_path / "copy").segments()[0].path
    data = bytearray(path.read_bytes())
    data[len(data) // 8] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(errors.SegmentDamaged, match=path.name):
        rl.Store(tmp_path / "copy").dataset().to_table()


NUMERIC = re.compile(r"-?\d+(\.\d+)?")


def test_csv_is_what_postgresql_copies(store: rl.Store, tmp_path: Path) -> None:
    """The exported CSV holds prices as plain digits, as COPY reads them into NUMERIC(38,24), and null as nothing."""
    report = export(store, tmp_path / "ticks.csv", columns=["game_id", "tick", "price"])
    lines = (tmp_path / "ticks.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "game_id,tick,price"
    texts = [text.split(",")[2] for text in lines[1:]]
    assert len(texts) == report.rows == store.rows
    assert all(NUMERIC.fullmatch(text) for text in texts if text)
    assert all(len(text.partition(".")[2]) <= 24 and len(text.partition(".")[0]) <= 14 for text in texts)
    assert sorted(Decimal(text) for text in texts if text) == prices(store)


@given(price=st.decimals(min_value=0, max_value=Decimal(10**13), places=24).map(lambda one: f"{one:f}"))
def test_every_price_survives_every_way(price: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Any price comes out of SQL, Polars, pandas and CSV as the same Decimal."""
    folder = tmp_path_factory.mktemp("price")
    (folder / "one.jsonl").write_bytes(line("g", 1, price))
    quiet(folder / "one.jsonl", folder / "store")
    store = rl.Store(folder / "store")
    export(store, folder / "one.csv", columns=["price"])
    found = [
        store.sql("SELECT price FROM ticks")["price"][0].as_py(),
        store.to_polars()["price"][0],
        store.to_pandas(prices="decimal")["price"][0],
        Decimal((folder / "one.csv").read_text(encoding="utf-8").split()[1]),
    ]
    assert found == [Decimal(price)] * 4
