"""Loading a store into a database: a transaction a segment, incremental, and the same however often it is interrupted.

What is in the database is known by its extents, the parts of sources that were taken in. A segment of which none is
there is copied; one of which some are, after a compaction or from another copy of the store, is staged and compared
row by row; one of which all are is only noted.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa

from replaylab.columns import as_numpy
from replaylab.compute import pc
from replaylab.errors import DatabaseBusy, DatabaseMismatch, DatabaseUnreachable
from replaylab.postgres.address import Address
from replaylab.postgres.connection import SCHEMA, Connection
from replaylab.postgres.dimensions import Dimension
from replaylab.postgres.schema import TICKS, add_key, is_keyed, prepare, reference, tick_columns
from replaylab.progress import bar
from replaylab.segments.extent import Extent
from replaylab.segments.remarks import SCHEMA as REMARKS
from replaylab.segments.remarks import read_remarks
from replaylab.segments.segment import ROW_GROUP_ROWS, Segment
from replaylab.storage.store import Store
from replaylab.table import COLUMNS, NAME_TYPE

LOCK: Final = 7_250_161_616_014_001  # of the advisory lock: one export at a time
LOCK_SECONDS: Final = 10.0  # that a killed one may take to be gone
RETRY_SECONDS: Final = (0.2, 0.5, 1.0, 2.0, 4.0)  # between attempts to reach a server that went away
_FIRST_YEAR, _LAST_YEAR = 1990, 2200
_MOST_PARTITIONS: Final = 60  # made by one segment; what is odd enough to need more stays in the default one
_EPOCH: Final = date(1970, 1, 1)
_log = logging.getLogger("replaylab.postgresql")


@dataclass(slots=True)
class Loaded:
    """What has been done so far, over all attempts.

    Attributes
    ----------
    database : str
        Its address, without a password.
    segments_known, rows_known : int
        Segments and rows that were there.
    rows_unsealed : int
        Rows in journals that are not sealed yet.
    written : dict
        By the names of the segments taken in, the rows that were new. A server that was killed may have lost one that
        it had committed, and takes it in again.
    games : set of str
        The games in them.
    """

    database: str
    segments_known: int = 0
    rows_known: int = 0
    rows_unsealed: int = 0
    written: dict[str, int] = field(default_factory=dict)
    games: set[str] = field(default_factory=set)

    @property
    def segments(self) -> int:
        """Segments taken in."""
        return len(self.written)

    @property
    def rows(self) -> int:
        """Rows written."""
        return sum(self.written.values())


def load(store: Store, uri: str, *, progress: bool = False) -> Loaded:
    """Write the segments of a store that a database has not; see `replaylab.export` for the errors.

    A server that goes away in the middle is waited for and asked again for some seconds after each segment.
    """
    address = Address.of(uri)
    done = Loaded(address.shown)
    sealed = store.sealed()
    done.rows_unsealed = max(0, store.rows - sum(segment.footer.rows for segment in sealed))
    waits = iter(RETRY_SECONDS)
    reached = False
    with bar(sum(one.footer.rows for one in sealed), "export", "row", show=progress) as shown:
        while True:
            before = len(done.written)
            try:
                with Connection(address) as connection:
                    reached = True
                    _Loading(connection, store, done, shown.update).run(sealed)
                break
            except DatabaseUnreachable as error:
                waits = iter(RETRY_SECONDS) if len(done.written) > before else waits
                wait = next(waits, None)
                if wait is None or not reached:  # one that never answered is not asked again
                    raise
                _log.warning("%s; trying again in %s s", error, wait, extra={"event": "retried"})
                time.sleep(wait)
    done.rows_known = sum(one.footer.rows for one in sealed) - done.rows
    return done


class _Loading:
    """One attempt to load segments over one connection."""

    def __init__(self, connection: Connection, store: Store, done: Loaded, step: Callable[[float], object]) -> None:
        self.connection = connection
        self.store = store
        self.done = done
        self.step = step

    def run(self, segments: Sequence[Segment]) -> None:
        """Load what is not there, segment by segment."""
        connection = self.connection
        self._lock()
        prepare(connection)
        loaded = {row[0] for row in connection.rows(f"select segment from {SCHEMA}.loaded")}
        connection.roll_back()
        known = [segment for segment in segments if segment.name in loaded - self.done.written.keys()]
        self.done.segments_known = len(known)
        self.step(sum(segment.footer.rows for segment in known))
        missing = [segment for segment in segments if segment.name not in loaded]
        if missing:
            self._load(missing)
        if not is_keyed(connection):
            add_key(connection)
        connection.roll_back()

    def _lock(self) -> None:
        """Take the lock of exports, which ends with the connection."""
        give_up_at = time.monotonic() + LOCK_SECONDS
        while not self.connection.rows("select pg_try_advisory_lock($1)", (LOCK,))[0][0]:
            self.connection.roll_back()
            if time.monotonic() > give_up_at:
                raise DatabaseBusy(
                    f"{self.connection.address}: another export is writing there; run this one again when it has ended"
                )
            time.sleep(0.1)
        self.connection.roll_back()

    def _load(self, segments: Sequence[Segment]) -> None:
        connection = self.connection
        self.games = Dimension.read(connection, "games", "game_id", with_month=True)
        self.sources = Dimension.read(connection, "sources", "name")
        self.names = Dimension.read(connection, "names", "name")
        self.keyed = is_keyed(connection)
        self.partitions = {
            row[0]
            for row in connection.rows(
                "select inhrelid::regclass::text from pg_inherits where inhparent = $1::regclass", (TICKS,)
            )
        }
        self.odd_months = {row[0] for row in connection.rows(f"select distinct month from {SCHEMA}.ticks_default")}
        self.extents = {
            (source, start): Extent(**json.loads(entry))
            for source, start, entry in connection.rows(f'select source, start, entry from {SCHEMA}."extents"')
        }
        connection.roll_back()
        for segment in segments:
            written = self._segment(segment)
            connection.commit()
            self.done.written[segment.name] = written
            self.done.games |= {one.game for one in segment.footer.games}
            self.step(segment.footer.rows)

    def _segment(self, segment: Segment) -> int:
        """Write one segment in the transaction that is open; return how many rows were new."""
        remarks = self._remarks(segment)
        self._refuse_null_characters(segment, remarks)
        retaken, known = self._compared(segment)
        for one in retaken:
            self._take_back(one)
        footer = segment.footer
        if len(known) < len(footer.extents) or not footer.extents:
            if known and not self.keyed:
                add_key(self.connection)
                self.keyed = True
            rows = self._staged(segment) if known or not footer.extents else self._copied(segment)
        else:
            rows = 0
        self._note(segment, known, remarks)
        return rows

    def _compared(self, segment: Segment) -> tuple[list[Extent], list[Extent]]:
        """Return the extents of the database that were read again since, and those of a segment that are there."""
        retaken, known = [], []
        for one in segment.footer.extents:
            there = self.extents.get((one.source, one.start))
            if there is None:
                continue
            same = (there.end, there.digest, there.tick_count) == (one.end, one.digest, one.tick_count)
            if same and there.zone == one.zone:
                if there.row_count >= one.row_count:
                    known.append(one)
            elif same or there.unended:
                retaken.append(there)
            else:
                raise DatabaseMismatch(
                    f"{self.connection.address}: bytes {one.start} to {there.end} of {one.source} are there with other "
                    "content, from another store; export this one to another database"
                )
        return retaken, known

    def _take_back(self, one: Extent) -> None:
        """Remove what was read again since: a last line without its end, or times of another zone."""
        ref = self.sources.ids[one.source]
        last = one.first_seq + one.tick_count - 1
        self.connection.run(
            f"delete from {TICKS} where source_ref = $1 and seq between $2 and $3", (ref, one.first_seq, last)
        )
        self.connection.run(
            f"delete from {SCHEMA}.remarks where source = $1 and start >= $2 and start < $3",
            (one.source, one.start, max(one.end, one.start + 1)),
        )
        self.connection.run(f'delete from {SCHEMA}."extents" where source = $1 and start = $2', (one.source, one.start))
        del self.extents[one.source, one.start]

    def _copied(self, segment: Segment) -> int:
        """Copy rows of which none can be there."""
        for table in self._tables(segment):
            self.connection.put("ticks", table)
        return segment.footer.rows

    def _staged(self, segment: Segment) -> int:
        """Stage rows, compare those that are there, and insert the others."""
        connection = self.connection
        connection.run(f"create temporary table staged (like {TICKS}) on commit drop")
        for table in self._tables(segment):
            connection.put("staged", table, temporary=True)
        columns = [f'"{name}"' for name in tick_columns() if name != "month"]
        ours, theirs = (", ".join(f"{alias}.{name}" for name in columns) for alias in ("s", "t"))
        differing = connection.rows(
            f"select s.source_ref, s.seq from staged s join {TICKS} t on t.source_ref = s.source_ref and t.seq = s.seq "
            f"where ({ours}) is distinct from ({theirs}) limit 1"
        )
        if differing:
            ref, seq = differing[0]
            raise DatabaseMismatch(
                f"{connection.address}: row {seq} of {self.sources.name_of(ref)} is there with other values; nothing "
                f"of {segment.name} was written"
            )
        return connection.run(f"insert into {TICKS} select * from staged on conflict do nothing")

    def _tables(self, segment: Segment) -> Iterator[pa.Table]:
        """Yield the rows as `ticks` has them."""
        self._add_games(segment)
        rows = segment.row_count
        for first in range(0, rows, ROW_GROUP_ROWS):
            table = segment.read_rows(first, min(ROW_GROUP_ROWS, rows - first))
            columns = {reference(one): self._referred(table.column(one.name), one.name) for one in COLUMNS}
            games = as_numpy(columns["game_id_ref"].combine_chunks())
            months = self.games.months_of(games)
            self._add_partitions(months)
            columns["month"] = pa.array(months)
            for dimension in (self.games, self.sources, self.names):
                dimension.write(self.connection)
            yield pa.table({name: columns[name] for name in tick_columns()})

    def _add_games(self, segment: Segment) -> None:
        for one in segment.footer.games:
            self.games.add(one.game, _month(one.start_us))

    def _referred(self, column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
        """Return a column of names as references; any other as it is."""
        if column.type != NAME_TYPE:
            return column
        dimension = {"game_id": self.games, "source": self.sources}.get(name, self.names)
        whole = column.unify_dictionaries().combine_chunks()
        ids = pa.array([dimension.add(text) for text in whole.dictionary.to_pylist()], pa.int32())
        return pa.chunked_array([ids.take(whole.indices)])

    def _add_partitions(self, months: np.ndarray[Any, Any]) -> None:
        """Make partitions of months that have none, unless rows of theirs are in the default one already."""
        made = 0
        for number in np.unique(months):
            first = number.astype("datetime64[D]").astype(date)
            name = f"ticks_{first:%Y%m}"
            if f"{SCHEMA}.{name}" in self.partitions or not _FIRST_YEAR <= first.year < _LAST_YEAR:
                continue
            if first in self.odd_months or made >= _MOST_PARTITIONS:
                self.odd_months.add(first)
                continue
            after = (first + timedelta(days=32)).replace(day=1)
            self.connection.run(
                f"create table {SCHEMA}.{name} partition of {TICKS} for values from ('{first}') to ('{after}')"
            )
            self.partitions.add(f"{SCHEMA}.{name}")
            made += 1

    def _note(self, segment: Segment, known: Sequence[Extent], remarks: pa.Table) -> None:
        """Write the account of a segment: its extents that are new, their remarks, and its name."""
        footer = segment.footer
        new = [one for one in footer.extents if one not in known]
        for one in new:
            if (one.source, one.start) in self.extents:  # it was pruned when it was taken in, and is less so here
                place = (one.source, one.start)
                self.connection.run(f'delete from {SCHEMA}."extents" where source = $1 and start = $2', place)
        fresh = [one for one in new if (one.source, one.start) not in self.extents]
        self.connection.put(
            "extents",
            pa.table(
                {
                    "source": pa.array([one.source for one in new], pa.string()),
                    "start": pa.array([one.start for one in new], pa.int64()),
                    "end": pa.array([one.end for one in new], pa.int64()),
                    "entry": pa.array([json.dumps(asdict(one)) for one in new], pa.string()),
                }
            ),
        )
        for one in footer.extents:
            self.sources.add(one.source)  # also of those without a row
        self.sources.write(self.connection)
        kept = remarks_of(remarks, segment.footer.extents, fresh)
        if kept.num_rows:
            self.connection.put("remarks", kept)
        self.extents |= {(one.source, one.start): one for one in new}
        self.connection.run(
            f"insert into {SCHEMA}.loaded values ($1, $2, $3)", (segment.name, footer.rows, footer.rows_digest)
        )

    def _remarks(self, segment: Segment) -> pa.Table:
        name, files = segment.footer.remarks, self.store.files
        return REMARKS.empty_table() if name is None else read_remarks(name, files.remarks(name), files.keys)

    def _refuse_null_characters(self, segment: Segment, remarks: pa.Table) -> None:
        """Raise for a text that the server cannot store, before anything is sent."""
        names = segment.read([one.name for one in COLUMNS if one.type == NAME_TYPE])
        columns = [(name, names.column(name)) for name in names.column_names]
        columns += [(f"remark {name}", remarks.column(name)) for name in ("source", "kind", "reason", "detail")]
        for name, column in columns:
            row = _null_character_in(column)
            if row is not None:
                raise DatabaseMismatch(
                    f"{segment.name}: row {row}: {name} {column[row].as_py()!r} holds the character U+0000, which "
                    "PostgreSQL cannot store; nothing of this segment was written"
                )


def _null_character_in(column: pa.ChunkedArray) -> int | None:
    """Return the first row of texts, or of dictionaries of texts, that holds U+0000."""
    if column.type == NAME_TYPE:
        if not any(pc.any(pc.match_substring(chunk.dictionary, "\0")).as_py() for chunk in column.chunks):
            return None  # far fewer texts than rows
        column = column.cast(pa.string())
    found = pc.index(pc.match_substring(column, "\0"), value=True).as_py()
    return None if found < 0 else found


def _month(start_us: int) -> date:
    """Return the first day of the month of a time; that of 1970 where it is not known."""
    try:
        at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=start_us)
    except OverflowError:
        return _EPOCH
    return date(at.year, at.month, 1)


def remarks_of(remarks: pa.Table, extents: Sequence[Extent], wanted: Sequence[Extent]) -> pa.Table:
    """Return the remarks that tell of some of the extents: those of its source from its start up to the next one."""
    if not remarks.num_rows or len(wanted) == len(extents):
        return remarks
    keep = {(one.source, one.start) for one in wanted}
    starts: dict[str, list[int]] = {}
    for one in extents:
        starts.setdefault(one.source, []).append(one.start)
    owner = {source: np.sort(np.array(found)) for source, found in starts.items()}
    mask = []
    for source, start in zip(remarks["source"].to_pylist(), remarks["start"].to_pylist(), strict=True):
        found = owner.get(source)
        at = -1 if found is None else int(np.searchsorted(found, start, side="right")) - 1
        mask.append(found is not None and (source, int(found[max(at, 0)])) in keep)
    return remarks.filter(pa.array(mask))
