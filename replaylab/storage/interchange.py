"""Interchange: the rows of a store for other programs: Arrow datasets, SQL, pandas and Polars frames; all exact."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from replaylab.errors import AnalysisError, MissingExtra
from replaylab.segments.digest import ENDING
from replaylab.segments.order import in_order_received, sorted_by_game
from replaylab.table import NAME_TYPE, SCHEMA

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow.dataset as ds

    from replaylab.segments.segment import Segment

What = Literal["ticks", "games"]
Answer = TypeVar("Answer")
_GONE: Final = "[errno 2]"  # what DuckDB says of a file that Arrow did not find
_COMPACTIONS: Final = 10  # that may get in the way of one reading
_ORDER: Final = ["game_id", "seq", "timestamp", "source"]
_NO_SURPRISES: Final = {
    "python_enable_replacements": False,  # a name in a query is a view, never a variable of a caller
    "autoinstall_known_extensions": False,  # nothing is fetched from the network
}


class Interchange:
    """What a store gives to other programs, whatever it lies in."""

    def segments(self) -> list[Segment]:
        """Give the segments that count."""
        raise NotImplementedError

    def games_table(self) -> pa.Table:
        """Give one row a game."""
        raise NotImplementedError

    def dataset(self) -> ds.Dataset:
        """Give the rows as a pyarrow dataset, to be read in pieces, filtered, or handed to another engine.

        Returns
        -------
        pyarrow.dataset.Dataset
            The stored columns of every row, once: segments that a compaction has replaced are not in it, what a
            recorder has not sealed yet is, as of now. Pages are compared with their checksums as they are read.

        Examples
        --------
        >>> import replaylab as rl, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> _ = rl.simulate(folder + "/recordings", games=2, seed=1)
        >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
        >>> store = rl.open_store(folder + "/store")
        >>> store.dataset().count_rows() == store.rows
        True
        """
        return self._steadily(lambda: dataset_of(self.segments()))

    def _steadily(self, ask: Callable[[], Answer]) -> Answer:
        """Ask again when a compaction has removed a segment between listing it and reading it."""
        for _ in range(_COMPACTIONS):
            try:
                return ask()
            except FileNotFoundError:
                continue
        return ask()

    def sql(self, query: str, params: Sequence[Any] | Mapping[str, Any] | None = None) -> pa.Table:
        """Answer a query by DuckDB, over the views `ticks` (every stored row) and `games` (one row a game).

        Parameters
        ----------
        query : str
            SQL as DuckDB speaks it; prices are DECIMAL(38,24), times TIMESTAMP WITH TIME ZONE in UTC.
        params : sequence or mapping, optional
            Values for ``?`` or ``$name`` in the query.

        Returns
        -------
        Table
            Arrow, in which Decimals stay Decimals; DuckDB's own frames would make floats of them.

        Raises
        ------
        MissingExtra
            When DuckDB is not installed.
        AnalysisError
            When DuckDB cannot answer; the message is its own.

        Examples
        --------
        >>> import replaylab as rl, tempfile
        >>> folder = tempfile.mkdtemp()
        >>> _ = rl.simulate(folder + "/recordings", games=2, seed=1)
        >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
        >>> found = rl.open_store(folder + "/store").sql("SELECT max(price) AS peak, count(*) AS n FROM ticks")
        >>> found.schema.field("peak").type
        Decimal128Type(decimal128(38, 24))
        """
        duckdb = extra("duckdb", "sql")
        if not isinstance(query, str):
            raise AnalysisError(f"query={query!r}: give SQL as text")
        return self._steadily(lambda: self._answer(duckdb, query, params))

    def _answer(self, duckdb: Any, query: str, params: Sequence[Any] | Mapping[str, Any] | None) -> pa.Table:
        with duckdb.connect(config=_NO_SURPRISES) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.register("ticks", self.dataset())
            if re.search(r"\b(games|show)\b", query, re.IGNORECASE):
                connection.register("games", self.games_table())
            try:
                kinds = [statement.type for statement in connection.extract_statements(query)]
                if kinds != [duckdb.StatementType.SELECT]:
                    raise AnalysisError(f"{query!r} is not one SELECT; the views of a store are read, one query a call")
                found: pa.Table = connection.sql(query, params=params).to_arrow_table()
            except duckdb.Error as error:
                if _GONE in str(error):
                    raise FileNotFoundError(str(error)) from error
                raise AnalysisError(f"DuckDB cannot answer: {error}") from error
            return found

    def to_arrow(self, columns: Sequence[str] | None = None, games: str | Iterable[str] | None = None) -> pa.Table:
        """Give every row as stored, game after game in order of their start, each in the order received.

        Parameters
        ----------
        columns : sequence of str, optional
            Which, in which order; all unless given.
        games : str or iterable of str, optional
            Ids; all unless given.
        """
        wanted = _columns("ticks", columns, SCHEMA.names)
        only = None if games is None else pc.field("game_id").cast(pa.string()).isin(_ids(games))
        names = [*dict.fromkeys([*wanted, *_ORDER])]
        table = self._steadily(lambda: self.dataset().to_table(names, filter=only))
        return in_order_received(sorted_by_game(table)).select(wanted)

    def to_pandas(
        self,
        what: What = "ticks",
        *,
        columns: Sequence[str] | None = None,
        games: str | Iterable[str] | None = None,
    ) -> pd.DataFrame:
        """Give every row, or one row a game (``what="games"``), as a pandas frame.

        Prices are Decimals (`object`), whole numbers that may be missing are nullable, names are categories. A
        Decimal takes a hundred bytes: for more than some million rows use `dataset` or `to_polars`.
        """
        return pandas_frame(self._asked(what, columns, games))

    def to_polars(
        self,
        what: What = "ticks",
        *,
        columns: Sequence[str] | None = None,
        games: str | Iterable[str] | None = None,
    ) -> pl.DataFrame:
        """Give every row, or one row a game (``what="games"``), as a Polars frame; prices are Decimal(38, 24).

        Raises
        ------
        MissingExtra
            When Polars is not installed.
        """
        return polars_frame(self._asked(what, columns, games))

    def _asked(self, what: str, columns: Sequence[str] | None, games: str | Iterable[str] | None) -> pa.Table:
        if what == "ticks":
            return self.to_arrow(columns, games)
        if what != "games":
            raise AnalysisError(f"what={what!r} is not known; take 'ticks' or 'games'")
        table = self.games_table()
        wanted = _columns("games", columns, table.column_names)
        if games is not None:
            table = table.filter(pc.is_in(table.column("game_id"), _ids(games)))
        return table.select(wanted)


def _columns(what: str, asked: Sequence[str] | None, known: list[str]) -> list[str]:
    """Give the names of columns that were asked for; raises `AnalysisError` for one that is not there."""
    if asked is None:
        return known
    wanted = [asked] if isinstance(asked, str) else list(asked)
    unknown = [name for name in wanted if name not in known]
    if unknown:
        raise AnalysisError(f"columns={unknown}: not there; {what} have the columns {', '.join(known)}")
    return wanted


def _ids(games: str | Iterable[str]) -> pa.Array:
    """Give the ids that were asked for; raises `AnalysisError` for one that is no text."""
    given: object = games
    found = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    for one in found:
        if not isinstance(one, str):
            raise AnalysisError(f"games={games!r}: {one!r} is no id; give texts")
    return pa.array(dict.fromkeys(found), pa.string())


def dataset_of(segments: Sequence[Segment]) -> ds.Dataset:
    """Give the rows of segments as a dataset; those of a journal, which is no Parquet, from memory."""
    import pyarrow.dataset as ds  # loads pandas, so it loads late

    files = [segment for segment in segments if segment.name.endswith(ENDING)]
    held = [segment.read() for segment in segments if not segment.name.endswith(ENDING)]
    form = ds.ParquetFileFormat(
        default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    )
    parts = []
    if files:
        places = [segment.place for segment in files]
        parts.append(ds.dataset(places, schema=SCHEMA, format=form, filesystem=files[0].filesystem))
    if held or not files:
        parts.append(ds.dataset(pa.concat_tables([SCHEMA.empty_table(), *held]).cast(SCHEMA)))
    return parts[0] if len(parts) == 1 else ds.dataset(parts)


def pandas_frame(table: pa.Table) -> pd.DataFrame:
    """Give a table as a pandas frame: Decimals exact, whole numbers nullable, names as categories."""
    import pandas as pd

    whole = {pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype()}
    found: pd.DataFrame = table.to_pandas(types_mapper=whole.get)
    return found


def polars_frame(table: pa.Table) -> pl.DataFrame:
    """Give a table as a Polars frame; raises `MissingExtra` when Polars is not installed."""
    polars = extra("polars", "polars")
    plain = [table.column(name) for name in table.column_names]
    texts = [one.cast(pa.string()) if one.type == NAME_TYPE else one for one in plain]
    found: pl.DataFrame = polars.from_arrow(pa.table(texts, names=table.column_names))
    return found


def extra(package: str, name: str) -> Any:
    """Give a package of an extra.

    Raises
    ------
    MissingExtra
        When it is not installed; the message has the command.
    """
    try:
        return importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise MissingExtra(f"{package} is not installed; install it with: pip install 'replaylab[{name}]'") from error
