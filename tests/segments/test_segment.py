"""Segment: one Parquet file that any reader reads, that tells what it holds; no flipped byte goes unseen."""

from __future__ import annotations

import base64
import lzma
import random
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from replaylab.errors import SegmentDamaged, StoreTooNew
from replaylab.segments.digest import file_digest, name_digest, rows_digest, sum_digests
from replaylab.segments.footer import FOOTER_KEY, GAMES_KEY, MOST_FOOTER_BYTES
from replaylab.segments.segment import Segment, write_segment
from replaylab.storage.open import open_store
from replaylab.table import SCHEMA
from tests.crash.scale import SCALE
from tests.stores import game_lines, line, names, quiet, simulated


@pytest.fixture
def segment(tmp_path: Path) -> Segment:
    """Give a segment of three games."""
    quiet(simulated(tmp_path / "recordings", damage="two_writers"), tmp_path / "store")
    (found,) = open_store(tmp_path / "store").segments()
    return found


def flipped(segment: Segment, position: int, mask: int = 0xFF) -> Segment:
    """Give a segment, opened anew, in which a byte is not what was written."""
    data = bytearray(segment.path.read_bytes())
    data[position] ^= mask
    segment.path.write_bytes(data)
    return Segment(segment.path)


def test_name_and_footer_tell_what_is_in_it(segment: Segment) -> None:
    """The name tells games, rows and digest; the footer tells every game's rows and places, and every source."""
    footer = segment.footer
    table = segment.read()
    assert f"_{footer.rows}rows_" in segment.name
    assert name_digest(segment.name) == file_digest(segment.path)
    assert [one.game for one in footer.games] == pc.unique(table.column("game_id")).to_pylist()
    assert [one.start_us for one in footer.games] == sorted(one.start_us for one in footer.games)
    for one in footer.games:
        rows = table.slice(one.first_row, one.rows)
        assert pc.unique(rows.column("game_id")).to_pylist() == [one.game]
        assert pc.min_max(rows.column("seq")).as_py() == {"min": one.least_seq, "max": one.greatest_seq}
        assert segment.read_game(one.game).equals(rows)
    assert sum(one.rows for one in footer.games) == table.num_rows == footer.rows
    assert [extent.source for extent in footer.extents] == sorted(pc.unique(table.column("source")).to_pylist())
    assert all(extent.start == 0 and extent.end > 0 and sum(extent.lines.values()) > 0 for extent in footer.extents)


def test_a_game_holds_no_more_than_its_rows(tmp_path: Path) -> None:
    """A game that is kept does not keep the thousands of rows beside it which had to be read for it."""
    ticks = b"".join(line(f"g{number // 10}", number % 10) for number in range(20_000))
    (tmp_path / "x.jsonl").write_bytes(ticks)
    quiet(tmp_path / "x.jsonl", tmp_path / "store")
    (segment,) = open_store(tmp_path / "store").segments()
    whole, game = segment.read(["price", "seq"]), segment.read_game("g77", ["price", "seq"])
    assert game.equals(whole.slice(segment.rows_of["g77"][0], 10))
    assert game.get_total_buffer_size() < 2_000 < whole.get_total_buffer_size() // 100


def test_plain_readers_need_no_help(segment: Segment) -> None:
    """Arrow alone, DuckDB and Polars read the same rows, prices as exact decimals, times in UTC."""
    table = pq.read_table(segment.path)
    assert table.schema.equals(SCHEMA)
    prices = [value for value in table.column("price").to_pylist() if value is not None]
    times = table.column("timestamp").to_pylist()
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.execute(f"SELECT price, epoch_us(timestamp) FROM '{segment.path}'").fetchall()
    assert [price for price, _ in found if price is not None] == prices
    assert [us for _, us in found] == table.column("timestamp").cast(pa.int64()).to_pylist()
    frame = pl.read_parquet(segment.path)
    assert frame["price"].drop_nulls().to_list() == prices
    assert frame["timestamp"].to_list() == times
    assert frame["game_id"].cast(pl.String).to_list() == table.column("game_id").to_pylist()
    assert frame.schema["price"] == pl.Decimal(38, 24)


def test_many_prices_of_38_digits(tmp_path: Path) -> None:
    """Random prices, as numbers and as text, plain and with exponents, come back: a million with CRASH_SCALE=20."""
    count, per_game = 50_000 * SCALE, 10_000
    rng = random.Random(38)
    digits = [str(rng.randrange(10**37, 10**38)) for _ in range(count)]
    texts = [f"{text[:14]}.{text[14:]}" for text in digits]
    texts[1::10] = [f"{text[0]}.{text[1:]}e13" for text in digits[1::10]]
    texts[2::10] = [f"{text}E-24" for text in digits[2::10]]
    texts[3::10] = [f"-{text}" for text in texts[3::10]]
    start, middle = line("g", 0, "@").split(b"@")[0].decode(), line("g", 0, "@").split(b"@")[1].decode()
    with (tmp_path / "big.jsonl").open("w") as file:
        for first in range(0, count, per_game):
            head = start.replace('"g"', f'"g{first:07}"')
            file.writelines(f"{head}{text}{middle}" for text in texts[first : first + per_game])
    report = quiet(tmp_path / "big.jsonl", tmp_path / "store")
    assert report.ticks_stored == count
    found = pq.read_table(tmp_path / "store" / "segments", columns=["line", "price"]).sort_by("line").column("price")
    wrong = sum(value != Decimal(text) for value, text in zip(found.to_pylist(), texts, strict=True))
    assert wrong == 0


def test_no_flipped_byte_goes_unseen(segment: Segment) -> None:
    """Whichever byte is flipped: the check names the segment, and reading it gives the rows written or an error."""
    data, rows = segment.path.read_bytes(), segment.read()
    positions = [*range(0, len(data), 97), *range(len(data) - 600, len(data), 7), *range(len(data) - 8, len(data))]
    for position in positions:
        broken = flipped(segment, position, 1 << position % 8)
        problem = broken.problem()
        assert problem is not None, position
        assert segment.name in problem
        with suppress(SegmentDamaged):
            assert broken.read().equals(rows), position  # a byte that says nothing of the rows
        segment.path.write_bytes(data)
    assert segment.problem() is None


def test_a_flipped_byte_in_a_page_is_met_by_every_reading(segment: Segment) -> None:
    """Values are never read wrong because a byte of theirs was flipped: the checksum of their page is compared."""
    chunk = segment.metadata.row_group(0).column(4)
    for position in range(chunk.data_page_offset + 60, chunk.data_page_offset + chunk.total_compressed_size - 60, 11):
        broken = flipped(segment, position)
        with pytest.raises(SegmentDamaged, match="convert its sources again"):
            broken.read(["price"])
        assert broken.read(["tick"]).num_rows == segment.footer.rows  # other columns stay readable
        flipped(segment, position)


@pytest.mark.parametrize("text", ['schema_version": 1', '"rows": ', '"rows_digest": "', '"replaces"', "convert"])
def test_a_flipped_byte_in_the_footer_is_met_on_opening(segment: Segment, text: str) -> None:
    """What a segment says of itself is believed only when it is what was written: a flipped version is no newer one."""
    position = segment.path.read_bytes().rfind(text.encode())
    assert position > 0
    with pytest.raises(SegmentDamaged, match=segment.name):
        _ = flipped(segment, position + len(text) - 1, 8).footer


@pytest.mark.parametrize("left", [0, 3, 8, 100, -1, -9])
def test_a_truncated_segment_is_damaged(segment: Segment, left: int) -> None:
    """A file cut anywhere is reported as a damaged segment, by its name."""
    segment.path.write_bytes(segment.path.read_bytes()[:left])
    with pytest.raises(SegmentDamaged, match=segment.name):
        _ = Segment(segment.path).footer


def test_a_newer_schema_is_refused_by_name(segment: Segment, tmp_path: Path) -> None:
    """A segment of a later release is `StoreTooNew`, and the message says what to do."""
    found = {**segment.metadata.metadata, FOOTER_KEY: segment.metadata.metadata[FOOTER_KEY].replace(b'n": 1', b'n": 2')}
    pq.write_table(segment.read().replace_schema_metadata(found), tmp_path / "new.parquet")
    with pytest.raises(StoreTooNew, match=r"new\.parquet: schema version 2.*upgrade"):
        _ = Segment(tmp_path / "new.parquet").footer


def test_a_foreign_file_is_no_segment(tmp_path: Path) -> None:
    """A Parquet file without our footer is told from a segment."""
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    with pytest.raises(SegmentDamaged, match="not a segment"):
        _ = Segment(tmp_path / "a.parquet").footer


def test_rows_other_than_expected_are_not_published(segment: Segment, tmp_path: Path) -> None:
    """What is about to replace other segments is written only with exactly their rows."""
    with pytest.raises(SegmentDamaged, match="nothing was changed"):
        write_segment(tmp_path, [segment.read()], origin="compact", extents=[], expected_digest="0" * 16)
    assert names(tmp_path) == ["recordings", "store"]


def test_the_digest_sees_values_and_not_order(segment: Segment) -> None:
    """Rows in another order, or split, have the same digest; another value anywhere, null included, another one."""
    table = segment.read()
    shuffled = table.take(pa.array(random.Random(1).sample(range(table.num_rows), table.num_rows)))
    assert rows_digest(shuffled) == rows_digest(table)
    assert sum_digests([rows_digest(table.slice(0, 99)), rows_digest(table.slice(99))]) == rows_digest(table)
    for number, field in enumerate(SCHEMA):
        column = table.column(number).cast(pa.string() if pa.types.is_dictionary(field.type) else field.type)
        values = column.to_pylist()
        at = next(place for place, value in enumerate(values) if value is not None)
        values[at] = {str: "?", bool: not values[at], Decimal: Decimal("0.5")}.get(type(values[at])) or (
            not values[at] if isinstance(values[at], bool) else None
        )
        if values[at] is None and not field.nullable:
            values[at] = 77
        changed = table.set_column(number, field, pa.array(values, column.type).cast(field.type))
        assert rows_digest(changed) != rows_digest(table), field.name


def test_no_rows_at_all(tmp_path: Path) -> None:
    """A recording without ticks makes a segment without rows that is checked like any other."""
    (tmp_path / "empty.jsonl").write_bytes(b"")
    quiet(tmp_path / "empty.jsonl", tmp_path / "store")
    (found,) = open_store(tmp_path / "store").segments()
    assert (found.footer.rows, found.problem(), found.read().schema) == (0, None, SCHEMA)


def test_games_with_odd_names(tmp_path: Path) -> None:
    """Ids with slashes, dots, NULs and other letters make safe file names and keep their rows apart."""
    odd = ["../../x", "a/b", "g", "g\0", "g\0a", "ö" * 40, "a_b"]
    (tmp_path / "odd.jsonl").write_bytes(b"".join(one for game in odd for one in game_lines(game, 3)))
    quiet(tmp_path / "odd.jsonl", tmp_path / "store")
    store = open_store(tmp_path / "store")
    assert store.game_ids() == sorted(odd)
    assert [len(store[game].prices()) for game in odd] == [4] * len(odd)
    assert len(names(tmp_path / "store" / "segments")) == 1


def test_a_footer_that_unpacks_to_too_much_is_damage(segment: Segment, tmp_path: Path) -> None:
    """A small footer that would unpack to more than the bound is refused by its name, and takes no memory for it."""
    bomb = base64.b64encode(lzma.compress(b'{"game": ["' + b" " * (MOST_FOOTER_BYTES + 1) + b'"]}', preset=0))
    assert len(bomb) < 1 << 20
    metadata = {**pq.read_metadata(segment.path).metadata, GAMES_KEY: bomb}
    pq.write_table(pq.read_table(segment.path).replace_schema_metadata(metadata), tmp_path / "bomb.parquet")
    with pytest.raises(SegmentDamaged, match=r"bomb\.parquet.*unpacks to more than 67,108,864 bytes"):
        Segment(tmp_path / "bomb.parquet").footer  # noqa: B018 reading is the test
    cut = base64.b64encode(lzma.compress(b"{}")[:-8])
    metadata[GAMES_KEY] = cut
    pq.write_table(pq.read_table(segment.path).replace_schema_metadata(metadata), tmp_path / "cut.parquet")
    with pytest.raises(SegmentDamaged, match=r"cut\.parquet.*cut short"):
        Segment(tmp_path / "cut.parquet").footer  # noqa: B018 reading is the test
