"""The tables in the schema `replaylab` of a database: their statements, their version, and what is wrong with others'.

`ticks` holds the rows with references into `games`, `sources` and `names`; the view `ticks_wide` shows them as a store
does. `extents` and `remarks` are the account of each source, and `loaded` the segments that were taken in.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pyarrow as pa

from replaylab.errors import DatabaseMismatch, StoreTooNew
from replaylab.postgres.connection import SCHEMA, Connection
from replaylab.table import COLUMNS, NAME_TYPE, PRICE_TYPE, TIME_TYPE, Column

VERSION: Final = 1
TICKS: Final = f"{SCHEMA}.ticks"
KEY: Final = "ticks_pkey"
_TYPES: Final[dict[pa.DataType, str]] = {
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.bool_(): "boolean",
    TIME_TYPE: "timestamp with time zone",
    PRICE_TYPE: "numeric",
    NAME_TYPE: "integer",
}
DIMENSIONS: Final = {"game_id": "games", "source": "sources"}  # others are in `names`
_COMMENTS: Final = {
    "ticks": "one row a stored tick; partitioned by the month in which its game began (UTC)",
    "games": "ids of games, and the month in which each began",
    "sources": "names of recordings and journals",
    "names": "names of phases",
    "extents": "parts of sources that were taken in, each with the account of its bytes, as JSON",
    "remarks": "what is no clean tick: control lines, repairs, quarantined bytes, with their places",
    "loaded": "segments that were taken in, with the digest of their rows",
    "meta": "version of these tables",
    "ticks_wide": "ticks as a store has them",
}
_COLUMN_COMMENTS: Final = {
    "seq": "place among the ticks of its source",
    "price": "exact; numeric without precision, as one with a scale rounds",
    "timestamp": "UTC",
    "month": "first day of the month in which its game began",
    "line": "line of its source, from 1",
}


def reference(one: Column) -> str:
    """Return the name that a column has in `ticks`: names are references."""
    return f"{one.name}_ref" if one.type == NAME_TYPE else one.name


def tick_columns() -> dict[str, str]:
    """Return the columns of `ticks` and their types."""
    return {reference(one): _TYPES[one.type] for one in COLUMNS} | {"month": "date"}


def tables() -> dict[str, dict[str, str]]:
    """Return the columns of every table, and their types as the information schema calls them."""
    return {
        "meta": {"version": "integer"},
        "games": {"id": "integer", "game_id": "text", "month": "date"},
        "sources": {"id": "integer", "name": "text"},
        "names": {"id": "integer", "name": "text"},
        "ticks": tick_columns(),
        "extents": {"source": "text", "start": "bigint", "end": "bigint", "entry": "text"},
        "remarks": {
            "source": "text",
            "line": "bigint",
            "start": "bigint",
            "end": "bigint",
            "kind": "text",
            "reason": "text",
            "raw": "bytea",
            "detail": "text",
        },
        "loaded": {"segment": "text", "rows": "bigint", "rows_digest": "text"},
    }


_NULLABLE: Final = {reference(one) for one in COLUMNS if one.nullable} | {"raw", "detail"}
_KEYS: Final = {
    "games": 'primary key (id), unique ("game_id")',
    "sources": 'primary key (id), unique ("name")',
    "names": 'primary key (id), unique ("name")',
    "extents": 'primary key ("source", "start")',
    "loaded": 'primary key ("segment")',
}


def _create() -> list[str]:
    found = [f"create schema if not exists {SCHEMA}"]
    for name, columns in tables().items():
        lines = [f'"{column}" {kind}{"" if column in _NULLABLE else " not null"}' for column, kind in columns.items()]
        lines += [_KEYS[name]] if name in _KEYS else []
        parted = ' partition by range ("month")' if name == "ticks" else ""
        found.append(f"create table {SCHEMA}.{name} ({', '.join(lines)}){parted}")
    found.append(f"create table {SCHEMA}.ticks_default partition of {TICKS} default")
    found.append(f"create index on {SCHEMA}.remarks (source)")
    found.append(f"create view {SCHEMA}.ticks_wide as {wide()}")
    found.append(f"insert into {SCHEMA}.meta values ({VERSION})")
    for name, text in _COMMENTS.items():
        kind = "view" if name == "ticks_wide" else "table"
        found.append(f"comment on {kind} {SCHEMA}.{name} is '{text}'")
    for name, text in _COLUMN_COMMENTS.items():
        found.append(f"comment on column {TICKS}.\"{name}\" is '{text}'")
    return found


def wide() -> str:
    """Return the query of the view: every column of a store, in its order."""
    shown, joins = [], []
    for one in COLUMNS:
        if one.type != NAME_TYPE:
            shown.append(f't."{one.name}"')
            continue
        table, alias = DIMENSIONS.get(one.name, "names"), f"d_{one.name}"
        text = "game_id" if table == "games" else "name"
        shown.append(f'{alias}."{text}" as "{one.name}"')
        kind = "left join" if one.nullable else "join"
        joins.append(f'{kind} {SCHEMA}.{table} {alias} on {alias}.id = t."{reference(one)}"')
    return f"select {', '.join(shown)} from {TICKS} t {' '.join(joins)}"


def prepare(connection: Connection) -> None:
    """Make the tables where there are none; else compare them with what they have to be.

    Raises
    ------
    StoreTooNew
        When a newer release made them.
    DatabaseMismatch
        When one is of another shape: the driver would round prices, or fail in the middle.
    """
    found = _columns(connection)
    if not found:
        for statement in _create():
            connection.run(statement)
        connection.commit()
        return
    compare(connection, found)


def compare(connection: Connection, found: Mapping[str, Mapping[str, str]] | None = None) -> None:
    """Compare the tables of a database with what they have to be, column by column."""
    found = _columns(connection) if found is None else found
    place = connection.address
    if not found:
        raise DatabaseMismatch(f"{place}: no tables of replaylab; `replaylab export STORE --to ...` makes them")
    if "version" in found.get("meta", {}):
        versions = [row[0] for row in connection.rows(f"select version from {SCHEMA}.meta")]
        if max(versions, default=0) > VERSION:
            raise StoreTooNew(f"{place}: tables of version {max(versions)}; upgrade replaylab to use them")
    for table, columns in tables().items():
        there = found.get(table, {})
        for column, wanted in columns.items():
            if there.get(column) != wanted:
                is_there = f"is {there[column]}" if column in there else "is missing"
                raise DatabaseMismatch(
                    f'{place}: the column "{column}" of {SCHEMA}.{table} {is_there}, {wanted} is wanted; nothing was '
                    f"written. Rename the schema {SCHEMA} of that database, or use another database"
                )
    connection.roll_back()


def _columns(connection: Connection) -> dict[str, dict[str, str]]:
    """Return the types of the columns of each table; that of a number with a scale says so, as it would round."""
    found: dict[str, dict[str, str]] = {}
    query = (
        "select table_name::text, column_name::text, data_type::text, numeric_precision::integer, "
        "numeric_scale::integer from information_schema.columns where table_schema = $1"
    )
    for table, column, kind, precision, scale in connection.rows(query, (SCHEMA,)):
        shown = f"numeric({precision},{scale})" if kind == "numeric" and precision is not None else kind
        found.setdefault(table, {})[column] = shown
    return found


def is_keyed(connection: Connection) -> bool:
    """Whether `ticks` has its key: it is made when the first load has ended, which is quicker."""
    query = "select 1 from pg_constraint where conname = $1 and conrelid = $2::regclass"
    return bool(connection.rows(query, (KEY, TICKS)))


def add_key(connection: Connection) -> None:
    """Give `ticks` its key. Statistics are left to autovacuum: gathering them here would take a third of a load."""
    connection.run(f"alter table {TICKS} add constraint {KEY} primary key (source_ref, seq, month)")
    connection.commit()
