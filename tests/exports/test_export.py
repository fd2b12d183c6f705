"""Export: what is written is what was stored, exactly, in every format; and JSONL converts back to the same rows."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from replaylab.conversion.convert import convert
from replaylab.errors import GameNotFound, SegmentDamaged, SettingsError, StoreNotFound, StoreUnwritable
from replaylab.exports.export import ExportReport, export
from replaylab.exports.text import csv_lines, json_lines, price_texts, recording_lines
from replaylab.parsing.scan import scan
from replaylab.segments.segment import Segment
from replaylab.simulation.simulate import simulate
from replaylab.storage.compact import compact
from replaylab.storage.store import Store
from replaylab.table import PRICE_TYPE, SCHEMA, TIME_TYPE, Names, to_table
from replaylab.tick import INT32_MAX, price_text

PLACES = ["seq", "source", "line"]  # where a row came from: a recording made by export has its own
PRICE = st.integers(-(10**38) + 1, 10**38 - 1).map(lambda units: Decimal(f"{units}E-24"))
EDGES = st.sampled_from([Decimal(1), Decimal("1.0"), Decimal(0), Decimal("1E-24"), Decimal("-0.5"), Decimal(10) ** 13])
NAME = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
TIME = st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31))


def make(folder: Path, **wishes: Any) -> Store:
    """Simulate, convert and open a store."""
    simulate(folder / "recordings", **wishes)
    convert(folder / "recordings", folder / "store", progress=False)
    return Store(folder / "store")


def all_rows(store: Store) -> pa.Table:
    """Every row of a store, names as plain text."""
    return pa.concat_tables([store.game(game).ticks() for game in store.game_ids()])


def told(table: pa.Table) -> list[str]:
    """What the rows say of their ticks, in an order that does not depend on where they came from."""
    return sorted(map(repr, table.drop_columns(PLACES).to_pylist()))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of a dozen games with every kind of damage; reading does not change it."""
    return make(tmp_path_factory.mktemp("damaged"), games=12, seed=5, damage="all")


@pytest.fixture(scope="module")
def spread(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store in which several segments hold rows of the same games."""
    folder = tmp_path_factory.mktemp("spread")
    whole = simulate(folder / "whole", games=3, seed=2)
    halves = folder / "halves"
    halves.mkdir()
    for file in whole:
        lines = file.read_bytes().splitlines(keepends=True)
        for half, part in enumerate((lines[: len(lines) // 2], lines[len(lines) // 2 :])):
            (halves / f"{half}_{file.name}").write_bytes(b"".join(part))
            convert(halves / f"{half}_{file.name}", folder / "store", progress=False)
    return Store(folder / "store")


def segments_holding(store: Store, game: str) -> int:
    """In how many segments a game lies."""
    return sum(game in segment.rows_of for segment in store.segments())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_jsonl_converts_back(tmp_path: Path, seed: int) -> None:
    """Recordings with all damage, converted, exported and converted again, give the same rows."""
    first = make(tmp_path, games=12, seed=seed, damage="all")
    export(first, tmp_path / "all.jsonl")
    report = convert(tmp_path / "all.jsonl", tmp_path / "again", progress=False)
    assert report.ticks_stored == first.rows
    assert report.bytes_kept == report.bytes_in
    assert told(all_rows(Store(tmp_path / "again"))) == told(all_rows(first))


@pytest.mark.parametrize("dialect", ["sink", "game_state", "capture"])
def test_jsonl_converts_back_from_every_dialect(tmp_path: Path, dialect: str) -> None:
    """Rows without a time, a phase or a count say so in JSONL, and come back without them."""
    first = make(tmp_path, games=3, seed=4, dialect=dialect)
    export(first, tmp_path / "all.jsonl")
    convert(tmp_path / "all.jsonl", tmp_path / "again", progress=False)
    assert told(all_rows(Store(tmp_path / "again"))) == told(all_rows(first))


def test_live_jsonl_converts_back(store: Store, tmp_path: Path) -> None:
    """Live ticks exported as JSONL are a recording too, of exactly those rows."""
    export(store, tmp_path / "live.jsonl", what="live")
    convert(tmp_path / "live.jsonl", tmp_path / "again", progress=False)
    live = pa.concat_tables([game.live() for game in store])
    assert told(all_rows(Store(tmp_path / "again"))) == told(live)


ROW = st.fixed_dictionaries(
    {
        "game_id": NAME,
        "tick": st.integers(0, INT32_MAX),
        "timestamp": st.none() | TIME.map(lambda time: time.replace(tzinfo=UTC)),
        "price": st.none() | PRICE | EDGES,
        "recorded_phase": st.none() | NAME,
        "active": st.booleans(),
        "rugged": st.booleans(),
        "cooldown_timer": st.none() | st.integers(-INT32_MAX, INT32_MAX),
        "trade_count": st.none() | st.integers(0, INT32_MAX),
        "repaired": st.booleans(),
    }
)


def as_stored(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Rows in the stored schema; a row without a price is one whose price was filled in."""
    filled = {"seq": 0, "phase": "UNKNOWN", "source": "s", "line": 1}
    whole = [{**filled, **row, "price_filled": row["price"] is None} for row in rows]
    plain = pa.schema([pa.field(field.name, _plain(field.type)) for field in SCHEMA])
    return pa.Table.from_pylist(whole, plain).cast(SCHEMA)


def _plain(kind: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_dictionary(kind) else kind


@given(st.lists(ROW, min_size=1, max_size=8))
def test_any_stored_row_survives_as_a_line(rows: list[dict[str, Any]]) -> None:
    """Whatever can be stored (any name, any price, anything missing) is one clean line that reads back the same."""
    table = as_stored(rows)
    found = scan(recording_lines(table))
    assert dict(+found.account.lines) == {"tick": len(rows)}
    source = Names.of(["s"] * len(rows))
    again = to_table(found.batch, source=source, seq=found.batch.line, line=found.batch.line, zone="America/New_York")
    derived = [*PLACES, "phase"]
    assert again.drop_columns(derived).to_pylist() == table.drop_columns(derived).to_pylist()


@given(st.lists(PRICE | EDGES, min_size=1, max_size=20))
def test_price_texts_agree_with_price_text(prices: list[Decimal]) -> None:
    """Prices written in columns are written as one by one: plain, shortest, exact, never with an exponent."""
    column = pa.array([None, *prices, None], PRICE_TYPE).slice(1)
    assert price_texts(column).to_pylist() == [*map(price_text, prices), None]


@given(st.lists(st.tuples(st.none() | NAME, st.none() | PRICE, st.none() | st.booleans()), max_size=10))
def test_csv_reads_back(rows: list[tuple[str | None, Decimal | None, bool | None]]) -> None:
    """Any name comes out of the CSV as it went in, commas, quotes and line ends included; null is empty."""
    names, prices, flags = zip(*rows, strict=True) if rows else ((), (), ())
    kinds = [pa.string(), PRICE_TYPE, pa.bool_()]
    columns = [pa.array(one, kind) for one, kind in zip((names, prices, flags), kinds, strict=True)]
    text = csv_lines(pa.Table.from_arrays(columns, ["name", "price", "flag"])).decode()
    found = list(csv.reader(io.StringIO(text, newline="")))
    shown = {True: "true", False: "false", None: ""}
    assert found == [[n or "", "" if p is None else price_text(p), shown[f]] for n, p, f in rows]


@given(st.lists(st.tuples(NAME, st.none() | PRICE), max_size=10))
def test_json_objects_read_back(rows: list[tuple[str, Decimal | None]]) -> None:
    """Chosen columns become objects with the names of the columns, prices as numbers with all their digits."""
    table = pa.table({"game_id": pa.array([n for n, _ in rows], pa.string()), "price": _prices([p for _, p in rows])})
    lines = json_lines(table).decode().split("\n")[:-1]
    found = [json.loads(line, parse_float=Decimal, parse_int=Decimal) for line in lines]
    assert found == [{"game_id": name, "price": price} for name, price in rows]


def _prices(values: Sequence[Decimal | None]) -> pa.Array:
    return pa.array(values, PRICE_TYPE)


def test_parquet_is_as_stored(store: Store, tmp_path: Path) -> None:
    """A Parquet export has the stored schema and every row of the store."""
    report = export(store, tmp_path / "all.parquet")
    found = pq.read_table(tmp_path / "all.parquet")
    assert found.schema.remove_metadata() == SCHEMA
    assert told(found) == told(all_rows(store))
    assert (report.rows, report.games) == (store.rows, len(store))
    assert report.bytes == (tmp_path / "all.parquet").stat().st_size


def test_csv_is_exact(store: Store, tmp_path: Path) -> None:
    """A CSV export holds every price as it is stored, in plain decimals, and times in UTC with their zone."""
    export(store, tmp_path / "all.csv", columns=["game_id", "seq", "source", "timestamp", "price"])
    with (tmp_path / "all.csv").open(newline="", encoding="utf-8") as file:
        found = {(row["source"], int(row["seq"])): (row["price"], row["timestamp"]) for row in csv.DictReader(file)}
    stored = all_rows(store).to_pylist()
    assert len(found) == len(stored)
    for row in stored:
        price, time = found[row["source"], row["seq"]]
        assert price == ("" if row["price"] is None else price_text(row["price"]))
        assert datetime.fromisoformat(time) == row["timestamp"]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_prices_are_those_of_the_game(store: Store, tmp_path: Path, ending: str) -> None:
    """`what="prices"` gives each game's `prices()` with its id, in every format."""
    report = export(store, tmp_path / f"prices.{ending}", what="prices")
    expected = [
        (game.id, row["tick"], price_text(row["price"]))
        for game in sorted(store, key=lambda one: one.id)
        for row in game.prices().to_pylist()
    ]
    assert sorted(_read(tmp_path / f"prices.{ending}")) == sorted(expected)
    assert report.rows == len(expected)


def _read(path: Path) -> list[tuple[str, int, str]]:
    text = path.read_text(encoding="utf-8") if path.suffix != ".parquet" else ""
    if path.suffix == ".parquet":
        rows = pq.read_table(path).to_pylist()
    elif path.suffix == ".csv":
        rows = list(csv.DictReader(text.splitlines()))
    else:
        rows = [json.loads(line, parse_float=Decimal) for line in text.splitlines()]
    return [(row["game_id"], int(row["tick"]), price_text(Decimal(row["price"]))) for row in rows]


def test_only_the_games_asked_for(store: Store, tmp_path: Path) -> None:
    """Named games are exported alone, wherever they lie in their segment."""
    wanted = store.game_ids()[1::4]
    report = export(store, tmp_path / "some.parquet", games=wanted)
    found = pq.read_table(tmp_path / "some.parquet")
    assert set(found.column("game_id").to_pylist()) == set(wanted)
    assert found.num_rows == sum(len(store.game(game)) for game in wanted)
    assert report.games == len(wanted)
    assert export(store, tmp_path / "one.csv", games=wanted[0]).rows == len(store.game(wanted[0]))


def test_from_and_until(store: Store, tmp_path: Path) -> None:
    """Rows from the start on and before the end are exported; a bound splits the rows in two without loss."""
    times = [time for time in all_rows(store).column("timestamp").to_pylist() if time]
    middle = sorted(times)[len(times) // 2]
    before = export(store, tmp_path / "a.parquet", end=middle)
    after = export(store, tmp_path / "b.parquet", start=middle.isoformat())
    assert before.rows == sum(time < middle for time in times)
    assert before.rows + after.rows == len(times)
    day = f"{min(times):%Y-%m-%d}"
    assert export(store, tmp_path / "c.parquet", start=day).rows == len(times)
    assert export(store, tmp_path / "d.parquet", end=day).rows == 0
    naive = (middle + timedelta(hours=0)).replace(tzinfo=None)
    assert export(store, tmp_path / "e.parquet", start=naive).rows == after.rows


def test_columns_in_the_order_asked_for(store: Store, tmp_path: Path) -> None:
    """Columns come as asked for, in every format, with the stored types in Parquet."""
    columns = ["price", "timestamp", "game_id"]
    for ending in ("csv", "jsonl", "parquet"):
        export(store, tmp_path / f"c.{ending}", columns=columns)
    schema = pq.read_schema(tmp_path / "c.parquet")
    assert schema.names == columns
    assert [schema.field(name).type for name in columns[:2]] == [PRICE_TYPE, TIME_TYPE]
    assert (tmp_path / "c.csv").read_text(encoding="utf-8").startswith("price,timestamp,game_id\n")
    with (tmp_path / "c.jsonl").open(encoding="utf-8") as lines:
        assert list(json.loads(next(lines))) == columns


@pytest.mark.parametrize("what", ["ticks", "live", "prices"])
def test_games_in_several_segments_are_whole(spread: Store, tmp_path: Path, what: Any) -> None:
    """A game that lies in several segments comes out as one, its rows together and in order."""
    assert {segments_holding(spread, game) for game in spread.game_ids()} == {2}
    export(spread, tmp_path / "all.parquet", what=what)
    found = pq.read_table(tmp_path / "all.parquet").to_pylist()
    expected = [row for game in spread for row in getattr(game, what)().to_pylist()]
    keep = ("tick", "timestamp", "price")
    assert [[row[key] for key in keep] for row in found] == [[row[key] for key in keep] for row in expected]


def test_reading_in_small_parts_changes_nothing(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is held in memory at once does not show in the file."""
    export(store, tmp_path / "large.jsonl")
    monkeypatch.setattr("replaylab.exports.selection.ROW_GROUP_ROWS", 50)
    monkeypatch.setattr("replaylab.exports.text._CHUNK_BYTES", 5_000)
    export(store, tmp_path / "small.jsonl")
    assert (tmp_path / "small.jsonl").read_bytes() == (tmp_path / "large.jsonl").read_bytes()


def test_compaction_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments that a compaction removes during an export are read where their rows are now: none twice, none lost."""
    for seed in (1, 2, 3):
        simulate(tmp_path / str(seed), games=1, seed=seed)
        convert(tmp_path / str(seed), tmp_path / "store", progress=False)
    before = told(all_rows(Store(tmp_path / "store")))
    read, calls = Segment.read_rows, []

    def compacting(segment: Segment, first: int, rows: int, columns: Sequence[str] | None = None) -> pa.Table:
        calls.append(segment.name)
        if len(calls) == 2:
            monkeypatch.setattr(Segment, "read_rows", read)
            compact(tmp_path / "store", progress=False)
        return read(segment, first, rows, columns)

    monkeypatch.setattr(Segment, "read_rows", compacting)
    export(tmp_path / "store", tmp_path / "all.parquet")
    assert len(Store(tmp_path / "store").segments()) == 1
    assert told(pq.read_table(tmp_path / "all.parquet")) == before


def test_games_are_in_order(tmp_path: Path) -> None:
    """Compacted or not, a segment holds its games in order of their first time, and an export gives them so."""
    for seed in (1, 2, 3):
        simulate(tmp_path / str(seed), games=6, seed=seed, damage="all")
        convert(tmp_path / str(seed), tmp_path / "store", progress=False)
    compact(tmp_path / "store", progress=False)
    export(tmp_path / "store", tmp_path / "all.parquet", columns=["game_id", "timestamp"])
    table = pq.read_table(tmp_path / "all.parquet")
    first: dict[str, datetime] = {}
    for game, time in zip(table["game_id"].to_pylist(), table["timestamp"].to_pylist(), strict=True):
        first[game] = min(first.get(game, time), time)
    assert list(first.values()) == sorted(first.values())
    assert len(first) > 10


def flip(path: Path, place: int) -> None:
    """Change one byte of a file."""
    data = bytearray(path.read_bytes())
    data[place] ^= 0x40
    path.write_bytes(data)


def test_damage_leaves_the_old_file(tmp_path: Path) -> None:
    """A damaged segment is an error that names it; the file of before is still there, nothing beside it."""
    store = make(tmp_path, games=2, seed=1)
    target = tmp_path / "out" / "all.csv"
    export(store, target)
    before = target.read_bytes()
    segment = store.segments()[0]
    flip(segment.path, 1_000)
    with pytest.raises(SegmentDamaged, match=segment.name[:20]):
        export(store, target)
    assert target.read_bytes() == before
    assert [file.name for file in target.parent.iterdir()] == ["all.csv"]


def test_unreadable_segment_is_reported(tmp_path: Path) -> None:
    """A segment whose footer is gone is left out, and the report names it."""
    make(tmp_path, games=1, seed=1)
    simulate(tmp_path / "more", games=1, seed=2)
    convert(tmp_path / "more", tmp_path / "store", progress=False)
    first, second = Store(tmp_path / "store").segments()
    first.path.write_bytes(first.path.read_bytes()[:-10])
    report = export(tmp_path / "store", tmp_path / "all.csv")
    assert len(report.damaged) == 1
    assert first.name in report.damaged[0]
    assert report.rows == second.footer.rows


@pytest.mark.parametrize(
    ("wish", "error", "said"),
    [
        ({"path": "all.xlsx"}, SettingsError, r"\.csv, \.jsonl, \.parquet"),
        ({"what": "everything"}, SettingsError, "ticks, live, prices"),
        ({"columns": ["price", "cost"]}, SettingsError, "cost"),
        ({"columns": []}, SettingsError, "at least one"),
        ({"columns": ["tick", "tick"]}, SettingsError, "each once"),
        ({"columns": ["source"], "what": "prices"}, SettingsError, "source"),
        ({"start": "yesterday"}, SettingsError, "start='yesterday'"),
        ({"end": "2031-02-30"}, SettingsError, "end="),
        ({"games": ["20310102-0000000000000000"]}, GameNotFound, "20310102-0000000000000000"),
    ],
)
def test_wishes_that_cannot_be_met(
    store: Store, tmp_path: Path, wish: dict[str, Any], error: type[Exception], said: str
) -> None:
    """A wrong argument is an error that says what can be asked for, and no file appears."""
    path = tmp_path / wish.pop("path", "all.csv")
    with pytest.raises(error, match=said):
        export(store, path, **wish)
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written(store: Store, tmp_path: Path) -> None:
    """A file inside the store, below a file, or in the place of a folder is refused."""
    with pytest.raises(SettingsError, match="inside the store"):
        export(store, store.path / "segments" / "all.parquet")
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnwritable):
        export(store, tmp_path / "file" / "all.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(StoreUnwritable):
        export(store, tmp_path / "folder.csv")
    with pytest.raises(StoreNotFound):
        export(tmp_path / "nothing", tmp_path / "all.csv")


def test_store_without_games(tmp_path: Path) -> None:
    """A store without games exports as an empty file of the right form."""
    (tmp_path / "empty.jsonl").write_bytes(b'{"type": "game_start", "game_id": "g"}\n')
    convert(tmp_path / "empty.jsonl", tmp_path / "store", progress=False)
    for ending, size in (("csv", 1), ("jsonl", 0)):
        report = export(tmp_path / "store", tmp_path / f"all.{ending}")
        assert isinstance(report, ExportReport)
        assert report.rows == 0
        assert len((tmp_path / f"all.{ending}").read_bytes().splitlines()) == size
    export(tmp_path / "store", tmp_path / "all.parquet")
    assert pq.read_table(tmp_path / "all.parquet").schema.names == SCHEMA.names
