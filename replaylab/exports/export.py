"""Export: a selection of a store as one CSV, JSONL or Parquet file, whole under its name or not there at all."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from replaylab.durable import make_folders, of_user, publish, written_aside
from replaylab.encryption.kms import Kms
from replaylab.errors import SettingsError, StoreUnwritable
from replaylab.exports.selection import CompactedAwayError, Selection, What
from replaylab.exports.text import csv_lines, json_lines, recording_lines
from replaylab.keywords import options_of
from replaylab.plural import count_of
from replaylab.postgres.address import is_address
from replaylab.postgres.load import load
from replaylab.storage.objectstore import opened as opened_for_reading
from replaylab.storage.store import Store
from replaylab.table import NAME_TYPE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DATABASE: Final = "postgresql"
_log = logging.getLogger("replaylab.export")

Write = Callable[[pa.Table], Any]


class Format(Protocol):
    """Opens a file for rows of a schema; the context is the function that writes them."""

    def __call__(self, path: Path, schema: pa.Schema, *, recording: bool) -> AbstractContextManager[Write]:
        """Open the file."""


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What an export wrote.

    Attributes
    ----------
    path : str
        The file, or the address of the database without a password.
    format, what : str
        Its format, and whether it holds ticks, live ticks or prices.
    games, rows, bytes : int
        How many of each were written; bytes of a file only.
    damaged : tuple of str
        Segments of the store that could not be read and are therefore not in it, one sentence each.
    segments, segments_known, rows_known : int
        Of a database: segments taken in now, and what of the store was there before.
    rows_unsealed : int
        Of a database: rows in journals that are not sealed yet; an export after that takes them in.

    Examples
    --------
    >>> print(ExportReport("games.csv", "csv", "prices", games=2, rows=310, bytes=17_000))
    310 rows (prices) of 2 games -> games.csv, 17,000 bytes
    """

    path: str
    format: str
    what: str
    games: int
    rows: int
    bytes: int
    damaged: tuple[str, ...] = ()
    segments: int = 0
    segments_known: int = 0
    rows_known: int = 0
    rows_unsealed: int = 0

    def __str__(self) -> str:
        if self.format == DATABASE:
            later = f", {self.rows_unsealed:,} wait in journals" if self.rows_unsealed else ""
            return f"{count_of(self.rows, 'row')} written, {self.rows_known:,} were there{later} -> {self.path}"
        rows = f"{count_of(self.rows, 'row')} ({self.what})"
        return f"{rows} of {count_of(self.games, 'game')} -> {self.path}, {self.bytes:,} bytes"


@options_of("rl.export")
def export(  # noqa: PLR0913 every one but the first two has a default
    store: str | os.PathLike[str] | Store,
    path: str | os.PathLike[str],
    *,
    games: str | Iterable[str] | None = None,
    start: datetime | str | None = None,
    end: datetime | str | None = None,
    columns: Sequence[str] | None = None,
    what: What = "ticks",
    guard_formulas: bool = False,
    progress: bool = False,
    kms: Kms | None = None,
) -> ExportReport:
    """Write a selection of a store to one file, or all that is new in it to a PostgreSQL database.

    Memory is bounded by the largest game, not by the store. A database takes in whole segments, each in a transaction:
    an export that was broken off goes on where it was, and one of a store that is there already writes nothing.

    A JSONL file of all columns of ticks is a recording: converting it gives the same rows, each with the file as its
    source. Prices are exact in all formats, times are UTC.

    Parameters
    ----------
    store : path or Store
        Where to read.
    path : path or URI
        File to write, or to replace when all is written; ends in ``.csv``, ``.jsonl`` or ``.parquet``. Or
        ``postgresql://USER@HOST/DATABASE``, with no further argument: its tables are in the schema ``replaylab``.
    games : str or iterable of str, optional
        Ids of the games; by default all of them.
    start, end : datetime or str, optional
        Rows from `start` on and before `end`; a time without a zone is UTC, a date alone is its midnight. Rows
        without a time are left out when either is set.
    columns : sequence of str, optional
        Which columns in which order. JSONL of chosen columns holds plain objects, not a recording.
    what : {"ticks", "live", "prices"}
        Rows as received, or the live ticks once each in order, or the price path alone (`game_id`, `tick`,
        `timestamp`, `price`).
    guard_formulas : bool
        Put ``'`` before texts of a CSV file that begin with ``= + - @`` (ids, phases, names of sources), which a
        spreadsheet would run as formulas. Without it texts are as they are stored.
    progress : bool
        Show a progress bar, for a database.
    kms : Kms, optional
        The master key of an encrypted store that is named by its path.

    Raises
    ------
    StoreNotFound, GameNotFound, SegmentDamaged
        About what is to be read; nothing is written.
    SettingsError
        About the arguments.
    StoreFull, StoreUnwritable
        About the file; what stood under its name before is still there.
    DatabaseUnreachable, DatabaseBusy, DatabaseFull, DatabaseMismatch, MissingExtra
        About the database; what was taken in before is there.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=2, seed=1)
    >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> report = rl.export(folder + "/store", folder + "/prices.parquet", what="prices")
    >>> report.games, pq.read_table(report.path).column_names
    (2, ['game_id', 'tick', 'timestamp', 'price'])
    """
    opened = opened_for_reading(store, kms=kms)
    if is_address(path):
        if what != "ticks" or guard_formulas or any(one is not None for one in (games, start, end, columns)):
            raise SettingsError("a database takes in the whole store: leave out all arguments but store and path")
        return _loaded(opened, str(path), progress=progress)
    target = of_user(path, StoreUnwritable)
    form = _format(target)
    if guard_formulas:
        if form is not _csv:
            raise SettingsError(f"guard_formulas=True: only CSV files are guarded, not {target.name}")
        form = partial(_csv, guarded=True)
    refuse_inside(opened.path, target)
    chosen = Selection(opened, games=games, start=start, end=end, columns=columns, what=what)
    make_folders(target.parent)
    while True:
        seen = _Seen()
        try:
            with written_aside(target.parent, f".{target.name}") as aside:
                with form(aside, chosen.schema, recording=columns is None and what != "prices") as write:
                    for table in chosen.tables():
                        seen.add(table)
                        write(table.select(chosen.schema.names))
                size = aside.stat().st_size
                publish(aside, target)
        except CompactedAwayError:
            continue  # the rows are in other segments now: begin again with those
        name = target.suffix.removeprefix(".").lower()
        report = ExportReport(str(target), name, what, seen.games, seen.rows, size, tuple(opened.damaged.values()))
        log_export(report)
        return report


def _loaded(store: Store, address: str, *, progress: bool) -> ExportReport:
    """Write what is new in a store to a database."""
    done = load(store, address, progress=progress)
    counts = {"games": len(done.games), "rows": done.rows, "bytes": 0, "segments": done.segments}
    known = {"segments_known": done.segments_known, "rows_known": done.rows_known, "rows_unsealed": done.rows_unsealed}
    damaged = tuple(store.damaged.values())
    report = ExportReport(done.database, DATABASE, "ticks", damaged=damaged, **counts, **known)
    log_export(report)
    return report


def log_export(report: ExportReport) -> None:
    """Log what was exported; a warning when a damaged segment was left out."""
    level = logging.WARNING if report.damaged else logging.INFO
    _log.log(level, "exported: %s", report, extra={"event": "exported", **asdict(report)})


class _Seen:
    """How much has been exported; the rows of a game stand together."""

    def __init__(self) -> None:
        self.games = 0
        self.rows = 0

    def add(self, table: pa.Table) -> None:
        """Count the rows of a table of whole games."""
        self.rows += table.num_rows
        self.games += pc.count_distinct(table.column("game_id").cast(pa.string())).as_py()


@contextmanager
def _parquet(path: Path, schema: pa.Schema, *, recording: bool) -> Iterator[Write]:
    """Yield a function that writes rows as Parquet, with the stored types."""
    del recording  # the same rows either way
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
        yield lambda table: writer.write_table(_typed(table, schema))


@contextmanager
def _jsonl(path: Path, schema: pa.Schema, *, recording: bool) -> Iterator[Write]:
    """Yield a function that writes rows as lines of a recording, or as plain objects."""
    del schema  # the rows have the columns asked for
    lines_of = recording_lines if recording else json_lines
    with path.open("wb") as file:
        yield lambda table: file.write(lines_of(table))


@contextmanager
def _csv(path: Path, schema: pa.Schema, *, recording: bool, guarded: bool = False) -> Iterator[Write]:
    """Yield a function that writes rows as CSV, below a heading."""
    del recording  # the same rows either way
    with path.open("wb") as file:
        file.write((",".join(schema.names) + "\n").encode())
        yield lambda table: file.write(csv_lines(table, guarded=guarded))


_FORMATS: Final[dict[str, Format]] = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}


def _typed(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows in the stored types; names that were decoded are encoded again."""
    columns = []
    for field in schema:
        values = table.column(field.name)
        if field.type == NAME_TYPE and values.type != NAME_TYPE:
            values = values.combine_chunks().dictionary_encode()
        columns.append(values)
    return pa.Table.from_arrays(columns, schema=schema)


def _format(path: Path) -> Format:
    """Return the format that the ending of a path asks for."""
    form = _FORMATS.get(path.suffix.lower())
    if form is None:
        raise SettingsError(
            f"path={str(path)!r}: the ending says the format; take one of {', '.join(_FORMATS)}; "
            "`replaylab export --html` and `export_pages` write pages that play"
        )
    return form


def refuse_inside(store: Path, path: Path) -> None:
    """Raise when a file would be written into the folder of the store that is read."""
    target = path.resolve()
    if store.resolve() in {target, *target.parents}:
        raise SettingsError(f"path={str(path)!r}: lies inside the store {str(store)!r}; write to another folder")


_PICTURES: Final = (".png", ".svg", ".pdf")


def save_picture(figure: Figure, path: str | os.PathLike[str]) -> int:
    """Write a chart as a picture, whole under its name or not there at all; return its size in bytes.

    Raises
    ------
    SettingsError
        When the ending is not one of ``.png``, ``.svg`` and ``.pdf``.
    StoreFull, StoreUnwritable
        About the file.
    """
    target = of_user(path, StoreUnwritable)
    ending = target.suffix.lower()
    if ending not in _PICTURES:
        raise SettingsError(f"path={str(target)!r}: the ending says the format; take one of {', '.join(_PICTURES)}")
    make_folders(target.parent)
    with written_aside(target.parent, f".{target.name}") as aside:
        figure.savefig(aside, format=ending[1:], dpi=150, metadata={} if ending != ".png" else {"Software": None})
        publish(aside, target)
    return target.stat().st_size
