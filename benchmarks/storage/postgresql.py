"""PostgreSQL: a store loaded into a database; against psycopg's executemany and its binary COPY, in the same run.

The claim: a second export, which writes nothing, takes at most a tenth of the first's time. The peers begin with the
store, too: they read its rows, number their names, load the columns of `replaylab.ticks` into one table, and give it
its key. They compare nothing, keep no account and make no partitions. A server on a socket in a temporary folder.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg

import replaylab as rl
from benchmarks import peers
from benchmarks.measure import Ratio, arguments, print_ratio, print_table, workshop
from replaylab.simulation.bulk import tick_lines
from tests.postgres.server import Server, server

TYPES = (
    *("bigint", "integer", "timestamptz", "numeric", "boolean", "boolean", "boolean", "integer", "integer"),
    *("bigint", "boolean", "integer", "integer", "integer", "integer", "date"),
)
OIDS = ("int8", "int4", "timestamptz", "numeric", "bool", "bool", "bool", "int4", "int4", "int8", "bool")
OIDS += ("int4", "int4", "int4", "int4", "date")


def rows_of(store: Path) -> list[tuple[Any, ...]]:
    """The rows as the tables have them: names as numbers, and the month."""
    table = rl.Store(store).to_arrow()
    names = ("game_id", "source", "phase", "recorded_phase")
    plain = [name for name in table.column_names if name not in names]
    columns = [table.column(name).to_pylist() for name in plain]
    columns += [table.column(name).combine_chunks().indices.to_pylist() for name in names]
    times = table.column("timestamp").to_pylist()
    columns.append([at.date().replace(day=1) for at in times])
    return list(zip(*columns, strict=True))


def loaded(address: str, fill: Callable[[psycopg.Cursor[Any]], object]) -> float:
    """Seconds to fill a new table and give it its key."""
    shape = ", ".join(f"c{number} {kind}" for number, kind in enumerate(TYPES))
    with psycopg.connect(address) as connection, connection.cursor() as cursor:
        cursor.execute(f"create table ticks ({shape})".encode())
        began = time.perf_counter()
        fill(cursor)
        cursor.execute("alter table ticks add primary key (c12, c0, c15)")
        connection.commit()
        return time.perf_counter() - began


def one_by_one(store: Path) -> Callable[[psycopg.Cursor[Any]], object]:
    """Return what inserts the rows of a store by executemany."""
    insert = b"insert into ticks values (" + b", ".join([b"%s"] * len(TYPES)) + b")"
    return lambda cursor: cursor.executemany(insert, rows_of(store))


def copied(store: Path) -> Callable[[psycopg.Cursor[Any]], object]:
    """Return what writes the rows of a store by binary COPY."""

    def fill(cursor: psycopg.Cursor[Any]) -> None:
        with cursor.copy("copy ticks from stdin (format binary)") as copy:
            copy.set_types(OIDS)
            for row in rows_of(store):
                copy.write_row(row)

    return fill


def databases(made: Server) -> Iterator[str]:
    """Yield the addresses of new databases."""
    number = 0
    while True:
        number += 1
        yield made.database(f"bench_{number}")


def main() -> None:
    """Load a store in three ways, and once more."""
    options = arguments(__doc__, ticks=200_000)
    ticks = 2_000 if options.quick else options.ticks
    with workshop() as folder, server() as made:
        source, store = folder / "games.jsonl", folder / "store"
        with source.open("wb") as file:
            file.writelines(tick_lines(ticks, seed=1))
        peers.replaylab(source, store)
        rows = rl.Store(store).rows
        seconds: dict[str, list[float]] = {"replaylab": [], "again": [], "executemany": [], "binary COPY": []}
        new = databases(made)
        for _ in range(options.rounds):
            address = next(new)
            began = time.perf_counter()
            assert rl.export(store, address).rows == rows
            seconds["replaylab"].append(time.perf_counter() - began)
            began = time.perf_counter()
            assert rl.export(store, address).rows == 0
            seconds["again"].append(time.perf_counter() - began)
            seconds["executemany"].append(loaded(next(new), one_by_one(store)))
            seconds["binary COPY"].append(loaded(next(new), copied(store)))
        shown = [(name, rows / min(taken), min(taken)) for name, taken in seconds.items()]
        print_table(f"{rows:,} rows into PostgreSQL", ["", "rows/s", "seconds"], shown)
        ours = seconds["replaylab"]
        print_ratio("postgresql insert", Ratio.of(seconds["executemany"], ours), "executemany's time over replaylab's")
        print_ratio("postgresql copy", Ratio.of(seconds["binary COPY"], ours), "binary COPY's time over replaylab's")
        print_ratio("postgresql again", Ratio.of(seconds["again"], ours), "a second export's time over the first's")


if __name__ == "__main__":
    main()
