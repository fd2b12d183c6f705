"""Stores in a PostgreSQL database and back: exact, incremental, idempotent; what does not fit is not written."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import replaylab as rl
from replaylab.cli.main import app
from replaylab.errors import DatabaseMismatch, StoreTooNew
from replaylab.postgres.address import Address
from replaylab.postgres.connection import SCHEMA, Connection
from tests.postgres.server import Server
from tests.stores import RECORDINGS, game_lines, line, quiet, simulated, state

_numbers = count()


@pytest.fixture
def database(database_server: Server) -> str:
    """Give the address of an empty database."""
    return database_server.database(f"export_{next(_numbers)}")


@pytest.fixture
def asked(database: str) -> Callable[..., list[tuple[Any, ...]]]:
    """Give a function that runs one statement in a session of its own and returns the rows."""

    def ask(statement: str, *, change: bool = False) -> list[tuple[Any, ...]]:
        with Connection(Address.of(database)) as connection:
            if change:
                connection.run(statement)
                connection.commit()
                return []
            return connection.rows(statement)

    return ask


def edge_values() -> list[Decimal]:
    """Return prices at the edges of what a store holds: at each scale that fits, from the least to the greatest."""
    found = []
    with localcontext() as exact:
        exact.prec = 60
        for scale in range(25):
            unit = Decimal(1).scaleb(-scale)
            for digits in range(1, 39 - (24 - scale)):
                if digits - scale > 14:
                    continue
                for lead in ("1", "9", "5"):
                    whole = int(lead + "0" * (digits - 1))
                    found += [(whole + add) * unit for add in (0, 1, -1)] + [int(lead * digits) * unit]
    return sorted({value for value in found if value >= 0 and value < Decimal(10) ** 14})


def test_the_round_trip_of_damaged_recordings(tmp_path: Path, database: str) -> None:
    """Rows, remarks, games and account are the same after the way there and back."""
    store, back = tmp_path / "s", tmp_path / "b"
    quiet(
        simulated(tmp_path / "r", games=12, damage=("two_writers", "torn_end", "invalid_utf8", "doubled_control")),
        store,
    )
    done = rl.export(store, database)
    assert (done.rows, done.rows_known, done.format) == (rl.Store(store).rows, 0, "postgresql")
    report = rl.convert(database, back, progress=False)
    assert report.ok
    assert report.balanced
    assert state(back) == state(store)
    before, after = (rl.open_store(one).verify() for one in (store, back))
    assert before.bytes == after.bytes
    assert before.inventory is not None
    assert rl.open_store(back).verify(expect=before.inventory).ok
    again = rl.convert(database, back, progress=False)
    assert (again.ticks_stored, again.ticks_known) == (0, report.ticks_stored)


def test_every_edge_value_at_every_scale(tmp_path: Path, database: str) -> None:
    """Each price is equal in the database, by the server's own words, and after the round trip."""
    values = edge_values()
    assert len(values) > 2_000
    source = tmp_path / "edges.jsonl"
    source.write_bytes(b"".join(line(tick=at + 1, price=f"{value:f}") for at, value in enumerate(values)))
    quiet(source, tmp_path / "s")
    assert rl.Store(tmp_path / "s").rows == len(values)
    rl.export(tmp_path / "s", database)
    with Connection(Address.of(database)) as connection:
        shown = connection.rows(f"select tick, price::text from {SCHEMA}.ticks_wide")
    assert {tick: Decimal(text) for tick, text in shown} == {at + 1: value for at, value in enumerate(values)}
    rl.convert(database, tmp_path / "b", progress=False)
    assert rl.Store(tmp_path / "b").verify().rows_digest == rl.Store(tmp_path / "s").verify().rows_digest


@pytest.mark.parametrize("scale", range(38))
def test_the_driver_is_exact_at_every_scale(scale: int, database: str) -> None:
    """A driver that stores other prices than it is given, as releases before 1.12 do, is noticed."""
    import pyarrow as pa

    digits = [
        "1" + "0" * 36 + "1",
        "9" * 38,
        "5" + "0" * 37,
        "1",
        "10",
        "1" + "0" * 8,
        "1" + "0" * 19 + "1",
        "123456789",
    ]
    with localcontext() as exact:
        exact.prec = 80
        values = [Decimal(sign + text).scaleb(-scale) for text in digits for sign in ("", "-")]
    with Connection(Address.of(database)) as connection:
        connection.run(f"create schema {SCHEMA}")
        connection.run(f"create table {SCHEMA}.edges (at integer, price numeric)")
        table = pa.table({"at": range(len(values)), "price": pa.array(values, pa.decimal128(38, scale))})
        connection.put("edges", table.cast(pa.schema([("at", pa.int32()), ("price", pa.decimal128(38, scale))])))
        found = dict(connection.rows(f"select at, price::text from {SCHEMA}.edges"))
    assert [Decimal(found[at]) for at in range(len(values))] == values


def test_a_second_export_writes_nothing(tmp_path: Path, database: str, asked: Any) -> None:
    """What is there is known by its segment; nothing of it is touched."""
    quiet(simulated(tmp_path / "r"), tmp_path / "s")
    first = rl.export(tmp_path / "s", database)
    before = asked(f"select xmin::text, ctid::text from {SCHEMA}.ticks order by 1, 2")
    second = rl.export(tmp_path / "s", database)
    assert (second.rows, second.segments, second.rows_known) == (0, 0, first.rows)
    assert asked(f"select xmin::text, ctid::text from {SCHEMA}.ticks order by 1, 2") == before


def test_what_is_new_is_added(tmp_path: Path, database: str) -> None:
    """More recordings, a compaction, and more again: each row is there once."""
    store = tmp_path / "s"
    for seed in (1, 2, 3):
        quiet(simulated(tmp_path / f"r{seed}", games=2, seed=seed), store)
        before = rl.Store(store).rows
        done = rl.export(store, database)
        assert done.rows + done.rows_known == before
        assert done.rows > 0
        rl.compact(store, progress=False)
        assert rl.export(store, database).rows == 0
    rl.convert(database, tmp_path / "b", progress=False)
    assert state(tmp_path / "b") == state(store)


def test_a_compaction_of_known_and_new_rows_is_staged(tmp_path: Path, database: str) -> None:
    """A segment of which the database has a part brings only the rest."""
    store = tmp_path / "s"
    quiet(simulated(tmp_path / "r1", games=2, seed=1), store)
    known = rl.export(store, database).rows
    quiet(simulated(tmp_path / "r2", games=2, seed=2), store)
    rl.compact(store, progress=False)
    done = rl.export(store, database)
    assert (done.segments, done.rows_known, done.rows) == (1, known, rl.Store(store).rows - known)
    rl.convert(database, tmp_path / "b", progress=False)
    assert state(tmp_path / "b") == state(store)


def test_a_line_that_was_read_again(tmp_path: Path, database: str) -> None:
    """A recording that grew in the middle of a line: the torn row in the database gives way to the whole one."""
    lines = game_lines("20310102-0123456789ab4cde", 30)
    source, store = tmp_path / "r" / "g.jsonl", tmp_path / "s"
    source.parent.mkdir()
    source.write_bytes(b"".join(lines[:20]) + lines[20][:-20])
    quiet(source.parent, store)
    rl.export(store, database)
    source.write_bytes(b"".join(lines))
    quiet(source.parent, store)
    rl.export(store, database)
    rl.convert(database, tmp_path / "b", progress=False)
    assert state(tmp_path / "b") == state(store)


def test_a_store_that_is_being_recorded(tmp_path: Path, database: str) -> None:
    """What is sealed is taken in at once, what is in journals by the export after they are sealed."""
    at = datetime(2031, 1, 2, tzinfo=UTC)
    ticks = [rl.Tick("g", number, at + timedelta(seconds=number), Decimal(1)) for number in range(250)]
    with rl.Recorder(tmp_path / "s") as recorder:
        recorder.record_many(ticks)
        recorder.flush()
        done = rl.export(tmp_path / "s", database)
        assert (done.rows, done.rows_unsealed) == (0, 250)
        assert "250 wait in journals" in str(done)
    assert rl.export(tmp_path / "s", database).rows == 250
    rl.convert(database, tmp_path / "b", progress=False)
    assert state(tmp_path / "b") == state(tmp_path / "s")
    assert rl.Store(tmp_path / "b").recordings()[0].state == "clean"


def test_odd_rows(tmp_path: Path, database: str, asked: Any) -> None:
    """Rows without a time or a price, years far away, names of all kinds: all come back."""
    source = tmp_path / "odd.jsonl"
    source.write_bytes(
        b"".join(
            [
                line("no time", 1, timestamp=None),
                line("year 1", 1, timestamp="0001-01-01T00:00:00"),
                line("year 9999", 1, timestamp="9999-12-31T23:59:59.999999"),
                line("quotes ' \" \\ \u2028 \U0001f600 \ufffd", 1),
                line("no price", 1, price="null"),
                line("month one", 1, timestamp="2031-01-31T23:59:59.999999"),
                line("month two", 1, timestamp="2031-02-01T00:00:00"),
                line("phase", 1, phase="a 'phase'"),
                b"garbage\x00\xff\n",
            ]
        )
    )
    quiet(source, tmp_path / "s")
    rl.export(tmp_path / "s", database)
    rl.convert(database, tmp_path / "b", progress=False)
    assert state(tmp_path / "b") == state(tmp_path / "s")
    parts = {
        name
        for (name,) in asked(
            "select inhrelid::regclass::text from pg_inherits where inhparent::regclass::text = 'replaylab.ticks'"
        )
    }
    assert {"replaylab.ticks_default", "replaylab.ticks_203101", "replaylab.ticks_203102"} <= parts


def test_the_view_is_as_wide_as_a_store(tmp_path: Path, database: str, asked: Any) -> None:
    """Every column of a store is in the view under its name; tables and view are described."""
    quiet(simulated(tmp_path / "r", games=1), tmp_path / "s")
    rl.export(tmp_path / "s", database)
    columns = "select column_name::text from information_schema.columns where table_name = 'ticks_wide'"
    names = asked(f"{columns} order by ordinal_position")
    assert [name for (name,) in names] == rl.Store(tmp_path / "s").to_arrow().column_names
    assert asked(f"select obj_description('{SCHEMA}.ticks'::regclass)")[0][0].startswith("one row a stored tick")
    assert asked(f"select version from {SCHEMA}.meta") == [(1,)]
    assert asked(
        f"select conname::text from pg_constraint where conrelid = '{SCHEMA}.ticks'::regclass and contype = 'p'"
    )


WRONG = [
    (
        "alter table replaylab.ticks alter column price type numeric(20,8)",
        '"price" of replaylab.ticks is numeric(20,8)',
    ),
    ("alter table replaylab.ticks alter column price type double precision", '"price" of replaylab.ticks is double'),
    ("alter table replaylab.ticks drop column line", '"line" of replaylab.ticks is missing'),
    ("alter table replaylab.remarks drop column raw", '"raw" of replaylab.remarks is missing'),
]


@pytest.mark.parametrize(("change", "said"), WRONG)
def test_a_table_of_another_shape(tmp_path: Path, database: str, asked: Any, change: str, said: str) -> None:
    """The driver would round prices, or fail in the middle: it is one clear line, and no row."""
    quiet(simulated(tmp_path / "r", games=1), tmp_path / "s")
    rl.export(tmp_path / "s", database)
    asked(f"drop view {SCHEMA}.ticks_wide", change=True)
    asked(f"truncate {SCHEMA}.ticks, {SCHEMA}.loaded, {SCHEMA}.extents", change=True)
    asked(change, change=True)
    with pytest.raises(DatabaseMismatch) as caught:
        rl.export(tmp_path / "s", database)
    assert said in str(caught.value)
    assert asked(f"select count(*) from {SCHEMA}.ticks") == [(0,)]
    done = CliRunner().invoke(app, ["export", str(tmp_path / "s"), "--to", database], prog_name="replaylab")
    assert (done.exit_code, done.output.count("\n")) == (2, 1)
    with pytest.raises(DatabaseMismatch):
        rl.convert(database, tmp_path / "b", progress=False)
    assert not (tmp_path / "b").exists()


def test_tables_of_a_newer_release(tmp_path: Path, database: str, asked: Any) -> None:
    """A version that is not known is refused both ways."""
    quiet(simulated(tmp_path / "r", games=1), tmp_path / "s")
    rl.export(tmp_path / "s", database)
    asked(f"update {SCHEMA}.meta set version = 2", change=True)
    for call in (lambda: rl.export(tmp_path / "s", database), lambda: rl.convert(database, tmp_path / "b")):
        with pytest.raises(StoreTooNew, match="upgrade replaylab"):
            call()


def test_a_database_without_tables(tmp_path: Path, database: str) -> None:
    """Nothing was exported there, and the message says what makes them."""
    with pytest.raises(DatabaseMismatch, match="replaylab export"):
        rl.convert(database, tmp_path / "b", progress=False)
    assert not (tmp_path / "b").exists()


@pytest.mark.parametrize("value", ["'NaN'", "'Infinity'", "'-Infinity'", "1e15", "0.1234567890123456789012345"])
def test_a_price_that_no_store_holds(tmp_path: Path, database: str, asked: Any, value: str) -> None:
    """What someone has written into the table is refused by the name of its row, and is not made null or rounded."""
    quiet(simulated(tmp_path / "r", games=1), tmp_path / "s")
    rl.export(tmp_path / "s", database)
    asked(f"update {SCHEMA}.ticks set price = {value}::numeric where seq = 7", change=True)
    with pytest.raises(DatabaseMismatch, match=r"row 7 of .*\.jsonl: price .* is no price"):
        rl.convert(database, tmp_path / "b", progress=False)
    assert not (tmp_path / "b").exists()  # a store that was made for it and has nothing in it is not left behind


def test_a_time_that_no_store_holds(tmp_path: Path, database: str, asked: Any) -> None:
    """An infinite time is refused by the name of its row."""
    quiet(simulated(tmp_path / "r", games=1), tmp_path / "s")
    rl.export(tmp_path / "s", database)
    asked(f"update {SCHEMA}.ticks set timestamp = 'infinity' where seq = 7", change=True)
    with pytest.raises(DatabaseMismatch, match=r"row 7 of .*infinite"):
        rl.convert(database, tmp_path / "b", progress=False)


def test_rows_that_are_gone_from_the_database(tmp_path: Path, database: str, asked: Any) -> None:
    """A store that lacks rows is not made: the account says how many there have to be."""
    quiet(simulated(tmp_path / "r", games=1), tmp_path / "s")
    rows = rl.export(tmp_path / "s", database).rows
    asked(f"delete from {SCHEMA}.ticks where seq = 7", change=True)
    with pytest.raises(DatabaseMismatch, match=f"{rows - 1:,} rows of .* its account says {rows:,}"):
        rl.convert(database, tmp_path / "b", progress=False)


def test_a_row_that_is_there_with_other_values(tmp_path: Path, database: str, asked: Any) -> None:
    """A conflict is an error, and never decided for one side in silence."""
    store = tmp_path / "s"
    quiet(simulated(tmp_path / "r1", games=1, seed=1), store)
    rl.export(store, database)
    asked(f"update {SCHEMA}.ticks set active = not active where seq = 7", change=True)
    quiet(simulated(tmp_path / "r2", games=1, seed=2), store)
    rl.compact(store, progress=False)
    with pytest.raises(DatabaseMismatch, match=r"row 7 of .* is there with other values"):
        rl.export(store, database)


def test_another_store_with_a_source_of_the_same_name(tmp_path: Path, database: str) -> None:
    """Two stores whose recordings bear the same names are not mixed."""
    for number in (1, 2):
        source = tmp_path / f"r{number}" / "g.jsonl"
        source.parent.mkdir()
        source.write_bytes(b"".join(game_lines(f"game {number}", 9, price=f"{number}.5")))
        quiet(source.parent, tmp_path / f"s{number}")
    rl.export(tmp_path / "s1", database)
    with pytest.raises(DatabaseMismatch, match="from another store"):
        rl.export(tmp_path / "s2", database)


def test_a_null_character(tmp_path: Path, database: str, asked: Any) -> None:
    """The server cannot store U+0000: it is refused by name, before anything is sent."""
    source = tmp_path / "n.jsonl"
    source.write_bytes(line("fine", 1) + line("nul \0 inside", 2))
    quiet(source, tmp_path / "s")
    with pytest.raises(DatabaseMismatch, match=r"row 1: game_id 'nul \\x00 inside' holds the character U\+0000"):
        rl.export(tmp_path / "s", database)
    assert asked(f"select count(*) from {SCHEMA}.ticks") == [(0,)]


def test_the_commands(tmp_path: Path, database: str) -> None:
    """`export --to postgresql://` and `convert postgresql://` are the same for a shell."""
    quiet(simulated(tmp_path / "r"), tmp_path / "s")
    runner = CliRunner()
    done = runner.invoke(app, ["export", str(tmp_path / "s"), "--to", database, "--json"], prog_name="replaylab")
    assert (done.exit_code, json.loads(done.output)["rows"]) == (0, rl.Store(tmp_path / "s").rows)
    done = runner.invoke(app, ["convert", database, "--to", str(tmp_path / "b")], prog_name="replaylab")
    assert done.exit_code == 0, done.output
    assert state(tmp_path / "b") == state(tmp_path / "s")


def test_all_real_recordings(tmp_path: Path, database: str) -> None:
    """The digest of all rows is the same after the way there and back."""
    if not RECORDINGS.is_dir():
        return
    quiet(RECORDINGS, tmp_path / "s")
    done = rl.export(tmp_path / "s", database)
    assert done.rows > 100_000
    rl.convert(database, tmp_path / "b", progress=False)
    before, after = (rl.Store(tmp_path / name).verify() for name in ("s", "b"))
    assert after.ok
    assert (after.rows_digest, after.bytes) == (before.rows_digest, before.bytes)


@pytest.mark.encryption
def test_an_encrypted_store(tmp_path: Path, database: str) -> None:
    """A store that is encrypted is exported with its key, and what comes back can be encrypted with another one."""
    first, second = (rl.FileKey(tmp_path / name, create=True) for name in ("first.key", "second.key"))
    quiet(simulated(tmp_path / "r", damage="two_writers"), tmp_path / "s", kms=first)
    with pytest.raises(rl.errors.KeyMissing):
        rl.export(tmp_path / "s", database)
    rl.export(tmp_path / "s", database, kms=first)
    rl.convert(database, tmp_path / "b", progress=False, kms=second)
    before, after = rl.open_store(tmp_path / "s", kms=first), rl.open_store(tmp_path / "b", kms=second)
    assert after.verify().ok
    assert after.verify().rows_digest == before.verify().rows_digest
    assert after.remarks().num_rows == before.remarks().num_rows > 0


def test_a_pruned_store_comes_back(tmp_path: Path, database: str) -> None:
    """What retention removed from a store is in its account after the way there and back, and is no loss."""
    store, back = tmp_path / "s", tmp_path / "b"
    for seed in (1, 2):
        quiet(simulated(tmp_path / f"r{seed}", games=4, seed=seed, damage="two_writers"), store)
    held = rl.open_store(store).verify().inventory
    assert held is not None
    removed = rl.prune(store, keep_games=3, yes=True)
    assert rl.export(store, database).rows == removed.rows_left > 0
    rl.convert(database, back, progress=False)
    assert state(back) == state(store)
    before, after = (rl.open_store(one).verify(expect=held) for one in (store, back))
    assert after.ok, str(after)
    assert after.bytes == before.bytes
    assert sum(one.row_count for one in rl.open_store(back).extents()) == removed.rows_left
    assert sum(one.pruned.get("rows", 0) for one in rl.open_store(back).extents()) == removed.rows > 0


def test_what_is_pruned_stays_in_the_database(tmp_path: Path, database: str, asked: Any) -> None:
    """After a prune an export adds what is new and nothing else; what the store has no more can be brought back."""
    store, back = tmp_path / "s", tmp_path / "b"
    quiet(simulated(tmp_path / "r1", games=4, seed=1, damage="two_writers"), store)
    whole = state(store)
    first = rl.export(store, database)
    rl.prune(store, keep_games=1, yes=True)
    again = rl.export(store, database)
    assert (again.rows, again.rows_known) == (0, rl.Store(store).rows)
    rl.convert(database, back, progress=False)
    assert state(back) == whole
    quiet(simulated(tmp_path / "r2", games=2, seed=2), store)
    added = rl.export(store, database)
    assert 0 < added.rows == rl.Store(store).rows - again.rows_known
    assert asked(f"select count(*) from {SCHEMA}.ticks") == [(first.rows + added.rows,)]


@pytest.mark.encryption
def test_an_encrypted_and_pruned_store(tmp_path: Path, database: str) -> None:
    """With its key a store is pruned, exported, added to and exported again; nothing comes back in plain unasked."""
    key = rl.FileKey(tmp_path / "key", create=True)
    store = tmp_path / "s"
    quiet(simulated(tmp_path / "r1", games=4, seed=1, damage="two_writers"), store, kms=key)
    with pytest.raises(rl.errors.KeyMissing):
        rl.prune(store, keep_games=2, yes=True)
    left = rl.prune(store, keep_games=2, yes=True, kms=key)
    assert rl.export(store, database, kms=key).rows == left.rows_left
    quiet(simulated(tmp_path / "r2", games=1, seed=2), store, kms=key)
    added = rl.export(store, database, kms=key)
    assert (added.rows_known, added.rows > 0) == (left.rows_left, True)
    rl.convert(database, tmp_path / "b", progress=False, kms=key)
    before, after = (rl.open_store(tmp_path / name, kms=key) for name in ("s", "b"))
    assert after.encrypted
    assert after.verify().ok
    assert after.verify().rows_digest == before.verify().rows_digest
