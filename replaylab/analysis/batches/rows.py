"""Rows: the return values of a function for each game as one Arrow table, one type a column. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import groupby, pairwise
from operator import itemgetter
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from replaylab.errors import AnalysisError

GAME: Final = "game_id"
REASON: Final = "error"
_ABSENT: Final = {"NAType", "NaTType"}  # what pandas puts where a value is missing
VALUE: Final = "value"  # column of a function that returns a plain value
_PLAIN: Final = (bool, int, float, str, bytes, Decimal, date, datetime, timedelta, np.generic)
_BATCHED: Final = {bool, int, float, str, np.float64}
_INT64: Final = 2**63
_INT64_DIGITS: Final = 19
_DECIMAL128_DIGITS: Final = 38
_DECIMAL256_DIGITS: Final = 76
_Kinds: TypeAlias = tuple[tuple[str, Any], ...]


def rows_of(game_id: str, given: object) -> pa.Table:
    """Return what a function returned for a game as a table whose first column is `game_id`.

    Parameters
    ----------
    game_id : str
        Id of the game.
    given : object
        A mapping (one row), a plain value (one row, column `value`), a sequence of mappings, an Arrow table or a
        pandas or Polars frame (its rows, without the index), a pandas Series (one row, its index names the columns), or
        None (no row).

    Raises
    ------
    AnalysisError
        When it is none of these, or a column is called `error`, or `game_id` names another game.

    Examples
    --------
    >>> rows_of("g", {"peak": 2.5}).to_pylist()
    [{'game_id': 'g', 'peak': 2.5}]
    >>> rows_of("g", 3).to_pylist(), rows_of("g", None).num_rows
    ([{'game_id': 'g', 'value': 3}], 0)
    """
    table = _table(given)
    if REASON in table.column_names:
        raise AnalysisError(f"a column {REASON!r} was returned, which holds the reasons of failures; call it otherwise")
    if len(set(table.column_names)) < table.num_columns:
        raise AnalysisError(f"columns are named twice: {', '.join(table.column_names)}; pass each a name of its own")
    if GAME in table.column_names:
        if set(table.column(GAME).to_pylist()) - {game_id, None}:
            raise AnalysisError(f"rows of another game were returned for {game_id}; leave out the column {GAME!r}")
        table = table.drop_columns([GAME])
    return table.add_column(0, GAME, pa.repeat(pa.scalar(game_id, pa.string()), table.num_rows))


def _table(given: object) -> pa.Table:  # noqa: PLR0911 one for each kind
    match given:
        case None:
            return pa.table({})
        case pa.Table():
            return given
        case pa.RecordBatch():
            return pa.Table.from_batches([given])
        case Mapping():
            return _records([given])
        case _ if isinstance(given, _PLAIN):
            return _records([{VALUE: given}])
        case _ if hasattr(given, "__arrow_c_stream__") and not _is_series(given):
            return _without_index(pa.table(given))
        case list() | tuple() if all(isinstance(one, Mapping) for one in given):
            return _records(given)
        case _ if _is_series(given):
            return _records([given.to_dict()])  # type: ignore[attr-defined]
    raise AnalysisError(
        f"{type(given).__name__} was returned; return a dict (one row), a plain value, a list of dicts, an Arrow "
        "table, a frame, a pandas Series (one row), or None for no row"
    )


def _records(rows: Sequence[Mapping[Any, Any]]) -> pa.Table:
    names = list(dict.fromkeys(name for row in rows for name in row))
    if not all(isinstance(name, str) for name in names):
        raise AnalysisError(f"columns {names} were returned; a column's name is a text")
    if not names:  # an empty mapping is a row too
        return pa.table({GAME: pa.nulls(len(rows), pa.string())})
    return pa.table({name: _column(name, [row.get(name) for row in rows]) for name in names})


def _is_series(given: object) -> bool:
    """Return whether it is a labelled row, such as the mean of a pandas frame, and not a frame."""
    return all(hasattr(given, name) for name in ("index", "to_dict", "dtype")) and not hasattr(given, "columns")


def _column(name: str, values: list[object]) -> pa.Array:
    try:
        return pa.array([None if type(one).__name__ in _ABSENT else one for one in values])
    except (pa.ArrowException, TypeError, OverflowError) as error:
        raise AnalysisError(f"column {name!r} cannot be stored: {error}") from None


def _without_index(table: pa.Table) -> pa.Table:
    """Return the table of a frame without the index that pandas hands over as columns."""
    index = [name for name in table.column_names if name.startswith("__index_level_")]
    return table.drop_columns(index).replace_schema_metadata(None)


class Done:
    """What a function returned for games, one after another; plain values of one kind become a table at once."""

    def __init__(self) -> None:
        self._rows: list[tuple[str, _Kinds | None, Any]] = []  # game, kinds, values; or None and a table or an error

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, game_id: str, given: object) -> None:
        """Add what was returned for a game; raises as `rows_of` does."""
        plain = _plain(given)
        self._rows.append((game_id, *plain) if plain else (game_id, None, rows_of(game_id, given)))

    def fail(self, game_id: str, reason: str) -> None:
        """Add a game that was not finished."""
        self._rows.append((game_id, None, reason))

    def rows(self) -> tuple[tuple[str, ...], tuple[pa.Table, ...], dict[str, str | Exception]]:
        """Return the games that were finished, their rows, and why others were not."""
        tables: list[pa.Table] = []
        errors: dict[str, str | Exception] = {}
        for kinds, run in groupby(self._rows, key=itemgetter(1)):
            if kinds is not None:
                tables += _tables(kinds, list(run), errors)
                continue
            for game_id, _, made in run:
                if isinstance(made, str):
                    errors[game_id] = made
                else:
                    tables.append(made)
        return tuple(game for game, *_ in self._rows if game not in errors), alike(tables), errors


def _plain(given: object) -> tuple[_Kinds, tuple[Any, ...]] | None:
    """Return names and kinds of the columns of a row, and its values, where many are stored as one alone would be."""
    row: dict[Any, Any] = given if type(given) is dict else {VALUE: given}
    kinds = []
    for name, value in row.items():
        kind: Any = type(value)
        if kind is Decimal:
            _, digits, exponent = value.as_tuple()
            kind = len(digits), exponent
        elif kind is int:
            if not -_INT64 <= value < _INT64:
                return None
        elif kind not in _BATCHED:
            return None
        if type(name) is not str or name in {GAME, REASON}:
            return None
        kinds.append((name, kind))
    return (tuple(kinds), tuple(row.values())) if kinds else None


def _tables(kinds: _Kinds, run: list[tuple[str, Any, tuple[Any, ...]]], errors: dict[str, Any]) -> list[pa.Table]:
    """Return the rows of games that are alike; those of a game that cannot be stored go to `errors`."""
    names = [name for name, _ in kinds]
    columns = zip(*(values for *_, values in run), strict=True)
    try:
        made = [pa.array(list(values)) for values in columns]
        return [pa.Table.from_arrays([pa.array([game for game, *_ in run], pa.string()), *made], [GAME, *names])]
    except (pa.ArrowException, TypeError, OverflowError, ValueError):
        found = []
        for game_id, _, values in run:
            try:
                found.append(rows_of(game_id, dict(zip(names, values, strict=True))))
            except (AnalysisError, ValueError) as error:
                errors[game_id] = error
        return found


def alike(tables: Iterable[pa.Table]) -> tuple[pa.Table, ...]:
    """Put neighbours of the same columns and types together, and nothing else: `joined` decides what fits."""
    found: list[list[pa.Table]] = []
    for table in tables:
        if not table.num_rows:
            continue
        if found and found[-1][0].schema.equals(table.schema):
            found[-1].append(table)
        else:
            found.append([table])
    return tuple(pa.concat_tables(run).combine_chunks() for run in found)


def joined(parts: Iterable[pa.Table], order: Sequence[str] | None = None) -> tuple[pa.Table, dict[str, str]]:
    """Put tables of rows together; a column takes the type that the values of all games have in common.

    Whole numbers widen to floats or Decimals; Decimals never become floats. A game whose values do not fit the
    columns of those before it has no rows in the result but a reason beside it.

    Parameters
    ----------
    parts : iterable of Table
        As returned by `rows_of`; those of a game stand together.
    order : sequence of str, optional
        Ids of the games in the order wanted; that of the tables unless given.

    Returns
    -------
    (Table, dict)
        The rows, and by game why it does not fit.

    Examples
    --------
    >>> table, misfits = joined([rows_of("a", 1), rows_of("b", 2.5), rows_of("c", "x")])
    >>> table["value"].to_pylist(), misfits
    ([1.0, 2.5], {'c': "column 'value' holds string here and double in the games before; return one kind of value"})
    """
    tables = _ordered([table for table in parts if table.num_rows], order)
    types, misfits = _types(tables)
    if not misfits:
        try:
            return in_order(_cast_all(tables, types), order), {}
        except pa.ArrowException:
            pass  # a value that its column cannot hold exactly: found game by game below
    tables = _ordered([one for table in tables for one in _by_game(table)], order)
    types, misfits = _types(tables)
    fitting = []
    for table in tables:
        game = table.column(GAME)[0].as_py()
        if game not in misfits:
            try:
                fitting.append(_cast(table, types))
            except pa.ArrowException as error:
                misfits[game] = " ".join(str(error).split())
    kept = [table for table in fitting if table.column(GAME)[0].as_py() not in misfits]
    return in_order(_cast_all(kept, types), order), misfits


def _ordered(tables: list[pa.Table], order: Sequence[str] | None) -> list[pa.Table]:
    """Sort tables by the first of their games; none of them is empty."""
    if order is None or not tables:
        return tables
    games = pa.chunked_array([chunk for table in tables for chunk in table.column(GAME).chunks], pa.string())
    rank = pc.index_in(games, pa.array(order, pa.string())).to_numpy()
    starts = np.cumsum([0, *(table.num_rows for table in tables[:-1])])
    return [tables[number] for number in np.argsort(np.minimum.reduceat(rank, starts), kind="stable")]


def in_order(table: pa.Table, order: Sequence[str] | None) -> pa.Table:
    """Sort rows by the place of their game in an order, those of a game as they stand."""
    if order is None:
        return table
    rank = pc.index_in(table.column(GAME), pa.array(order, pa.string())).to_numpy()
    return table if (np.diff(rank) >= 0).all() else table.take(pa.array(np.argsort(rank, kind="stable")))


def _by_game(table: pa.Table) -> list[pa.Table]:
    """Cut a table where the game changes."""
    runs = table.column(GAME).combine_chunks().dictionary_encode()
    codes = runs.indices.to_numpy()
    cuts = [0, *(np.flatnonzero(codes[1:] != codes[:-1]) + 1).tolist(), len(codes)]
    return [table.slice(first, last - first) for first, last in pairwise(cuts) if last > first]


def _types(tables: Sequence[pa.Table]) -> tuple[dict[str, pa.DataType], dict[str, str]]:
    """Return the type of every column, and why some games do not fit those before them."""
    types: dict[str, pa.DataType] = {}
    misfits: dict[str, str] = {}
    for table in tables:
        if not table.num_rows:
            continue
        changed = {}
        for field in table.schema:
            before = types.get(field.name, field.type)
            common = _common(before, field.type)
            if common is None:
                game = table.column(GAME)[0].as_py()
                misfits[game] = (
                    f"column {field.name!r} holds {field.type} here and {before} in the games before; "
                    "return one kind of value"
                )
                break
            changed[field.name] = common
        else:
            types |= changed
    return types, misfits


def _common(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """Return the type that holds the values of both exactly; None when there is none."""
    if pa.types.is_null(one) or one == other:
        return other
    if pa.types.is_null(other):
        return one
    kinds = {_kind(one), _kind(other)}
    if "decimal" in kinds:
        return _common_decimal(one, other) if kinds <= {"decimal", "integer"} else None
    if kinds == {"integer", "float"}:
        return pa.float64()
    try:
        names = pa.unify_schemas([pa.schema([("x", one)]), pa.schema([("x", other)])], promote_options="permissive")
    except pa.ArrowException:
        return None
    return names.field(0).type


def _kind(one: pa.DataType) -> str:
    if pa.types.is_decimal(one):
        return "decimal"
    if pa.types.is_integer(one):
        return "integer"
    return "float" if pa.types.is_floating(one) else "other"


def _common_decimal(*types: pa.DataType) -> pa.DataType | None:
    """Return the decimal that holds all digits before and behind the point."""
    whole = max(one.precision - one.scale if pa.types.is_decimal(one) else _INT64_DIGITS for one in types)
    scale = max(one.scale if pa.types.is_decimal(one) else 0 for one in types)
    if whole + scale > _DECIMAL256_DIGITS:
        return None
    kind = pa.decimal128 if whole + scale <= _DECIMAL128_DIGITS else pa.decimal256
    return kind(whole + scale, scale)


def _cast(table: pa.Table, types: Mapping[str, pa.DataType]) -> pa.Table:
    """Return a table all columns, in order, each in its type; null where the game has none."""
    known = set(table.column_names)
    columns = [
        _as(table.column(name), kind) if name in known else pa.nulls(table.num_rows, kind)
        for name, kind in types.items()
    ]
    return pa.table(columns, names=list(types))


def _as(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    return column if column.type == kind else column.cast(kind)


def _cast_all(tables: Sequence[pa.Table], types: Mapping[str, pa.DataType]) -> pa.Table:
    schema = pa.schema(list(({GAME: pa.string()} | dict(types)).items()))
    return pa.concat_tables([schema.empty_table(), *(_cast(table, types) for table in tables if table.num_rows)])
