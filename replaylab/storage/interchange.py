"""Interchange: the rows of segments for other programs: Arrow tables, SQL, pandas and Polars frames; all exact."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal

import pyarrow as pa

from replaylab.columns import with_doubles
from replaylab.compute import pc
from replaylab.errors import AnalysisError, MissingExtra, SegmentDamaged
from replaylab.segments.order import in_order_received, sorted_by_game
from replaylab.segments.segment import Segment
from replaylab.storage.views import create_views
from replaylab.table import NAME_TYPE, SCHEMA

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

What = Literal["ticks", "live", "prices", "games"]
_OF_PRICES: Final = ["game_id", "tick", "timestamp", "price"]
Damaged = Literal["raise", "skip"]
Prices = Literal["decimal", "float64"]
LEFT_OUT: Final = b"replaylab.left_out"
"""Key of the metadata of a table that lacks something: what was left out and why, as JSON by the name of its file."""
_GONE: Final = "[errno 2]"  # what DuckDB says of a file that Arrow did not find
_ORDER: Final = ["game_id", "seq", "timestamp", "source"]
_NO_SURPRISES: Final = {
    "python_enable_replacements": False,  # a name in a query is a view, never a variable of a caller
    "autoinstall_known_extensions": False,  # nothing is fetched from the network
}


def checked_damaged(damaged: str) -> Damaged:
    """Return `damaged` when it is ``raise`` or ``skip``, or raise `AnalysisError`."""
    if damaged not in {"raise", "skip"}:
        raise AnalysisError(f"damaged={damaged!r} is not known; take 'raise' or 'skip'")
    return "skip" if damaged == "skip" else "raise"


def priced(table: pa.Table, prices: str) -> pa.Table:
    """Return a table with its prices as they are (``decimal``) or as the nearest doubles (``float64``).

    Raises
    ------
    AnalysisError
        When `prices` is neither.
    """
    if prices not in {"decimal", "float64"}:
        raise AnalysisError(f"prices={prices!r} is not known; take 'decimal' or 'float64'")
    return table if prices == "decimal" else with_doubles(table)


def read_rows(
    segments: Sequence[Segment], columns: Sequence[str], games: pa.Array | None, left_out: dict[str, str] | None
) -> pa.Table:
    """Return the rows of segments, game after game in order of their start, each in the order received.

    Parameters
    ----------
    segments, columns : list of Segment, list of str
        Which to read, and what of them.
    games : string array, optional
        Ids; all unless set.
    left_out : dict, optional
        What cannot be read is left out and added to it; without one it raises `SegmentDamaged`.
    """
    from replaylab.storage.dataset import damage_in, dataset_of

    only = None
    if games is not None:
        wanted = set(games.to_pylist())
        segments = [segment for segment in segments if not wanted.isdisjoint(segment.rows_of)]
        only = pc.field("game_id").cast(pa.string()).isin(games)
    names = [*dict.fromkeys([*columns, *_ORDER])]
    try:
        table = _validated(dataset_of(segments).to_table(names, filter=only), segments)
    except SegmentDamaged:
        if left_out is None:
            raise
        left_out.update(damage_in(segments, names))
        good = [segment for segment in segments if segment.name not in left_out]
        if len(good) == len(segments):
            raise
        table = dataset_of(good).to_table(names, filter=only)
    return in_order_received(sorted_by_game(table)).select(columns)


def _validated(table: pa.Table, segments: Sequence[Segment]) -> pa.Table:
    """Return a table whose dictionary codes all lead to a text: the headers of pages have no checksum."""
    from replaylab.storage.dataset import raise_named

    try:
        for column in table.columns:
            if column.type == NAME_TYPE:
                column.validate(full=True)
    except pa.ArrowInvalid as error:
        raise_named(segments, error)
    return table


def marked(table: pa.Table, left_out: Mapping[str, str]) -> pa.Table:
    """Return a table that says in its metadata what it lacks; as it is when it lacks nothing."""
    if not left_out:
        return table
    return table.replace_schema_metadata({**(table.schema.metadata or {}), LEFT_OUT: json.dumps(dict(left_out))})


def answered(
    query: str,
    params: Sequence[Any] | Mapping[str, Any] | None,
    segments: Sequence[Segment],
    games_table: Callable[[], pa.Table],
    left_out: dict[str, str] | None,
) -> pa.Table:
    """Return the answer of DuckDB to a query over the views of a store; see `Store.sql`."""
    from replaylab.storage.dataset import errors_in

    duckdb = extra("duckdb", "sql")
    if not isinstance(query, str):
        raise AnalysisError(f"query={query!r}: give SQL as text")
    try:
        return _asked(duckdb, query, params, segments, games_table)
    except duckdb.Error as error:
        if _GONE in str(error):
            raise FileNotFoundError(str(error)) from error
        scanning = isinstance(error, duckdb.InvalidInputException | duckdb.IOException)  # or the query is at fault
        lost = errors_in(segments) if scanning else {}
        if not lost:
            raise AnalysisError(f"DuckDB cannot answer: {error}") from error
        if left_out is None:
            raise next(iter(lost.values())) from error
        left_out.update({name: str(one) for name, one in lost.items()})
    return answered(query, params, [one for one in segments if one.name not in left_out], games_table, None)


def _asked(
    duckdb: Any,
    query: str,
    params: Sequence[Any] | Mapping[str, Any] | None,
    segments: Sequence[Segment],
    games_table: Callable[[], pa.Table],
) -> pa.Table:
    from replaylab.storage.dataset import dataset_of

    with duckdb.connect(config=_NO_SURPRISES) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.register("ticks", dataset_of(segments))
        create_views(connection, query, games_table)
        kinds = [statement.type for statement in connection.extract_statements(query)]
        if kinds != [duckdb.StatementType.SELECT]:
            raise AnalysisError(f"{query!r} is not one SELECT; the views of a store are read, one query a call")
        found: pa.Table = connection.sql(query, params=params).to_arrow_table()
        return found


def live_query(what: What, columns: Sequence[str] | None, games: str | Iterable[str] | None) -> tuple[str, list[str]]:
    """Return the query, with its parameters, for live ticks or their prices, by game and tick."""
    names = _columns(what, columns, SCHEMA.names if what == "live" else _OF_PRICES)
    ids = [] if games is None else asked_ids(games).to_pylist()
    only = "" if games is None else f"WHERE l.game_id IN ({', '.join('?' * len(ids)) or 'NULL'})"
    chosen = ", ".join(f'l."{name}"' for name in names)
    rows = f"FROM live l JOIN games g ON g.game_id = l.game_id {only} ORDER BY g.start NULLS LAST, l.game_id, l.tick"
    return f"SELECT {chosen} {rows}", ids


def asked_columns(what: What, asked: Sequence[str] | None) -> list[str]:
    """Return the columns of ticks that were asked for; raises `AnalysisError` for one that is not there."""
    return _columns(what, asked, SCHEMA.names)


def chosen_games(table: pa.Table, columns: Sequence[str] | None, games: str | Iterable[str] | None) -> pa.Table:
    """Return the rows and columns of a table of games that were asked for."""
    wanted = _columns("games", columns, table.column_names)
    if games is not None:
        table = table.filter(pc.is_in(table.column("game_id"), asked_ids(games)))
    return table.select(wanted)


def _columns(what: str, asked: Sequence[str] | None, known: list[str]) -> list[str]:
    """Return the names of columns that were asked for; raises `AnalysisError` for one that is not there."""
    if asked is None:
        return known
    wanted = [asked] if isinstance(asked, str) else list(asked)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        rows = "live ticks" if what == "live" else what
        raise AnalysisError(f"columns={unknown}: not there; {rows} have the columns {', '.join(known)}")
    return wanted


def asked_ids(games: str | Iterable[str]) -> pa.Array:
    """Return the ids that were asked for; raises `AnalysisError` for one that is no text."""
    given: object = games
    found = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    for one in found:
        if not isinstance(one, str):
            raise AnalysisError(f"games={games!r}: {one!r} is no id; give texts")
    return pa.array(dict.fromkeys(found), pa.string())


def pandas_frame(table: pa.Table, prices: str = "float64") -> pd.DataFrame:
    """Return a table as a pandas frame: whole numbers nullable, names as categories; ``attrs["prices"]`` says which."""
    import pandas as pd

    whole = {pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype()}
    plain = priced(table, prices).replace_schema_metadata(None)
    found: pd.DataFrame = plain.to_pandas(types_mapper=whole.get)
    found.attrs["prices"] = prices
    left_out = (table.schema.metadata or {}).get(LEFT_OUT)
    if left_out:
        found.attrs["left_out"] = json.loads(left_out)
    return found


def polars_frame(table: pa.Table, prices: str = "decimal") -> pl.DataFrame:
    """Return a table as a Polars frame; raises `MissingExtra` when Polars is not installed."""
    polars = extra("polars", "polars")
    table = priced(table, prices)
    plain = [table.column(name) for name in table.column_names]
    texts = [one.cast(pa.string()) if one.type == NAME_TYPE else one for one in plain]
    found: pl.DataFrame = polars.from_arrow(pa.table(texts, names=table.column_names))
    return found


def extra(package: str, name: str) -> Any:
    """Return a package of an extra.

    Raises
    ------
    MissingExtra
        When it is not installed; the message has the command.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"{package} is not installed; install it with: pip install 'replaylab[{name}]'") from error
