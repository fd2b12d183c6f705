"""Fetching: the rows of a database become a store again, with the account of every source, and equal digests."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import xxhash

from replaylab.columns import as_numpy
from replaylab.compute import pc
from replaylab.durable import make_folders, sole_writer, written_aside
from replaylab.encryption.keys import keys_for_writing
from replaylab.encryption.kms import Kms
from replaylab.encryption.parquet import new_seal
from replaylab.errors import DatabaseMismatch, StoreError
from replaylab.postgres.address import Address
from replaylab.postgres.connection import SCHEMA, Connection
from replaylab.postgres.load import remarks_of
from replaylab.postgres.schema import DIMENSIONS, TICKS, compare, reference
from replaylab.progress import bar
from replaylab.segments.extent import Extent
from replaylab.segments.order import in_order_received, sorted_by_game
from replaylab.segments.remarks import SCHEMA as REMARKS
from replaylab.segments.remarks import opened_writer, publish_remarks
from replaylab.segments.segment import write_segment
from replaylab.storage.compact import remove_leftovers
from replaylab.storage.new_store import made_for_something
from replaylab.storage.store import REMARKS as REMARKS_FOLDER
from replaylab.storage.store import SEGMENTS, Store
from replaylab.table import COLUMNS, NAME_TYPE, PRICE_TYPE, TIME_TYPE
from replaylab.table import SCHEMA as ROWS

ROWS_AT_ONCE: Final = 1 << 20  # of one segment, unless one source has more
_NUMBERLESS: Final = ("NaN", "Infinity", "-Infinity")
_log = logging.getLogger("replaylab.postgresql")


@dataclass(frozen=True, slots=True)
class Fetched:
    """What was brought back: the address without a password, the extents that are new, those known, the segments."""

    database: str
    extents: list[Extent] = field(default_factory=list)
    known: list[Extent] = field(default_factory=list)
    segments: int = 0


def fetch(uri: str, root: Path, *, kms: Kms | None = None, progress: bool = False) -> Fetched:
    """Bring what a database holds into a store, which is made when it is not there; what is in it is skipped.

    Raises
    ------
    DatabaseMismatch
        For tables of another shape, rows that are missing, and values that no store holds: NaN, infinite times.
    """
    address = Address.of(uri)
    with made_for_something(root, Exception), Connection(address) as connection:
        compare(connection)
        connection.run("set transaction isolation level repeatable read")
        keys = keys_for_writing(root, kms, SEGMENTS)
        make_folders(root, root / SEGMENTS, root / REMARKS_FOLDER, private=keys is not None)
        with sole_writer(root):
            store = Store(root, kms=None if keys is None else keys.kms)
            remove_leftovers(store)
            held = {(one.source, one.start): one for one in store.extents()}
            new, known = _compared(connection, held)
            segments = _fill(store, connection, new, known, progress=progress)
    return Fetched(address.shown, new, known, segments)


def _fill(store: Store, connection: Connection, new: list[Extent], known: list[Extent], *, progress: bool) -> int:
    """Write the rows and remarks of new extents; return how many segments that made."""
    segments = 0
    with bar(sum(one.tick_count for one in new), "fetch", "row", show=progress) as shown:
        try:
            reading = _Reading(connection)
            for group in _groups(new):
                table = reading.rows(group)
                _write(store, group, table, reading.remarks(group, [*new, *known]))
                segments += 1
                shown.update(table.num_rows)
        except BaseException:
            with suppress(StoreError):  # remarks whose segment was refused
                remove_leftovers(store)
            raise
    return segments


def _compared(connection: Connection, held: dict[tuple[str, int], Extent]) -> tuple[list[Extent], list[Extent]]:
    """Return the extents that are new to a store, and those that it has."""
    new, known = [], []
    for (entry,) in connection.rows(f'select entry from {SCHEMA}."extents" order by source, start'):
        one = Extent(**json.loads(entry))
        there = held.get((one.source, one.start))
        if there is None:
            new.append(one)
        elif (there.end, there.digest) == (one.end, one.digest):
            known.append(one)
        else:
            raise DatabaseMismatch(
                f"{connection.address}: bytes {one.start} to {one.end} of {one.source} are in the store with other "
                "content; bring the database into a store of its own"
            )
    return new, known


def _groups(extents: Sequence[Extent]) -> Iterator[list[Extent]]:
    """Yield extents that make one segment, those of a source together where they fit."""
    group: list[Extent] = []
    rows = 0
    for one in extents:
        if group and rows + one.tick_count > ROWS_AT_ONCE:
            yield group
            group, rows = [], 0
        group.append(one)
        rows += one.tick_count
    if group:
        yield group


class _Reading:
    """Reads rows and remarks of extents over one connection."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.sources = {name: number for number, name in connection.rows(f"select id, name from {SCHEMA}.sources")}
        self.texts: dict[str, tuple[pa.Array, pa.Array]] = {}

    def rows(self, extents: Sequence[Extent]) -> pa.Table:
        """Return the rows of extents."""
        asked = ", ".join(f't."{reference(one)}"' for one in COLUMNS)
        asked += "".join(f', isfinite(t."{one.name}") as "{one.name}_is"' for one in COLUMNS if one.type == TIME_TYPE)
        clauses = []
        parts_of: dict[str, list[Extent]] = {}
        for one in extents:
            if one.tick_count:
                parts_of.setdefault(one.source, []).append(one)
        for source, parts in parts_of.items():
            if source in self.sources:
                seqs = [_seqs(one) for one in parts]
                clauses.append((self.sources[source], min(seqs)[0], max(last for _, last in seqs)))
        found = self._asked(asked, clauses)
        table = pa.Table.from_arrays(
            [self._column(found.column(reference(one)), one.name, one.type, found) for one in COLUMNS], schema=ROWS
        )
        self._check(extents, table)
        return in_order_received(sorted_by_game(table))

    def _asked(self, asked: str, clauses: Sequence[tuple[int, int, int]]) -> pa.Table:
        """Return the rows of sources within ranges of their numbers."""
        wanted = ", ".join(f"({ref}, {first}::bigint, {last}::bigint)" for ref, first, last in clauses)
        source = f"(values {wanted or '(-1, 0::bigint, -1::bigint)'}) w(ref, first, last)"
        return self.connection.table(
            f"select {asked} from {source} join {TICKS} t on t.source_ref = w.ref and t.seq between w.first and w.last"
        )

    def _column(self, column: pa.ChunkedArray, name: str, kind: pa.DataType, rows: pa.Table) -> pa.ChunkedArray:
        if kind == NAME_TYPE:
            return self._named(column, DIMENSIONS.get(name, "names"))
        if kind == PRICE_TYPE:
            return self._priced(column, name, rows)
        if kind == TIME_TYPE:
            bad = pc.index(rows.column(f"{name}_is"), value=False).as_py()
            if bad >= 0:
                raise DatabaseMismatch(f"{self._place(rows, bad)}: {name} is infinite, and no store holds such a time")
            return column.cast(TIME_TYPE)
        return column.cast(kind)

    def _named(self, column: pa.ChunkedArray, table: str) -> pa.ChunkedArray:
        """Return references as the texts that they refer to."""
        if table not in self.texts:
            name = "game_id" if table == "games" else "name"
            found = self.connection.table(f'select id, "{name}" from {SCHEMA}.{table} order by id')
            ids, texts = (found.column(at).combine_chunks() for at in (0, 1))
            self.texts[table] = ids.cast(pa.int32()), texts.cast(pa.string())
        ids, texts = self.texts[table]
        codes = pc.index_in(column.combine_chunks(), value_set=ids).cast(pa.int32())
        distinct = pc.unique(codes).drop_null()
        places = pc.index_in(codes, value_set=distinct).cast(pa.int32())
        return pa.chunked_array([pa.DictionaryArray.from_arrays(places, texts.take(distinct))])

    def _priced(self, column: pa.ChunkedArray, name: str, rows: pa.Table) -> pa.ChunkedArray:
        """Return prices, which come as text, exactly; raises for those that no store holds."""
        shown = column.cast(pa.string())
        bad = pc.index(pc.is_in(shown, pa.array(_NUMBERLESS)), value=True).as_py()
        if bad < 0:
            try:
                return shown.cast(PRICE_TYPE)
            except pa.ArrowInvalid:
                bad = next((at for at, text in enumerate(shown.to_pylist()) if not _fits(text)), 0)
        raise DatabaseMismatch(
            f"{self._place(rows, bad)}: {name} {shown[bad].as_py()} is no price that a store holds (a finite number of "
            "at most 14 digits before the point and 24 behind it)"
        )

    def _place(self, rows: pa.Table, at: int) -> str:
        """Return the name of a row for a message."""
        ref, seq = rows.column("source_ref")[at].as_py(), rows.column("seq")[at].as_py()
        source = next((name for name, number in self.sources.items() if number == ref), f"source {ref}")
        return f"{self.connection.address}: row {seq} of {source}"

    def _check(self, extents: Sequence[Extent], table: pa.Table) -> None:
        """Raise when the rows of an extent are not all there, or more are."""
        names = table.column("source").unify_dictionaries().combine_chunks()
        known = names.dictionary.to_pylist() if table.num_rows else []
        codes = as_numpy(names.indices) if table.num_rows else np.zeros(0, np.int32)
        counts = dict(zip(known, np.bincount(codes, minlength=len(known)).tolist(), strict=True))
        wanted_of = Counter[str]()
        for one in extents:
            wanted_of[one.source] += one.row_count
        for source, wanted in wanted_of.items():
            if counts.get(source, 0) != wanted:
                raise DatabaseMismatch(
                    f"{self.connection.address}: {counts.get(source, 0):,} rows of {source} are there, its account "
                    f"says {wanted:,}; restore the database, or export the store again to another one"
                )

    def remarks(self, extents: Sequence[Extent], everything: Sequence[Extent]) -> pa.Table:
        """Return the remarks about some of the extents of a database."""
        columns = ", ".join(f'r."{name}"' for name in REMARKS.names)
        sources = {one.source for one in extents}
        refs = ",".join(str(self.sources[source]) for source in sorted(sources))
        found = self.connection.table(
            f"select {columns} from {SCHEMA}.remarks r join {SCHEMA}.sources s on s.name = r.source "
            f"where s.id = any('{{{refs}}}'::integer[]) order by s.id, r.line, r.start"
        )
        of_them = [one for one in everything if one.source in sources]
        return remarks_of(found.replace_schema_metadata(None).cast(REMARKS), of_them, extents)


def _seqs(one: Extent) -> tuple[int, int]:
    """Return the first and the last number of the rows of an extent."""
    if one.recording and one.recording.get("seqs"):
        return int(one.recording["seqs"][0][0]), int(one.recording["seqs"][-1][1])
    return one.first_seq, one.first_seq + one.tick_count - 1


def _fits(text: str | None) -> bool:
    try:
        pa.scalar(None if text is None else Decimal(text), PRICE_TYPE)
    except (pa.ArrowInvalid, InvalidOperation):
        return False
    return True


def _write(store: Store, extents: Sequence[Extent], table: pa.Table, remarks: pa.Table) -> None:
    """Write remarks and rows as one segment."""
    folder, keys = store.path / REMARKS_FOLDER, store.files.keys
    named: tuple[str | None, int] = (None, 0)
    if remarks.num_rows:
        seal = new_seal(keys, "remarks")
        label = f"remarks-{xxhash.xxh3_64_hexdigest(repr(extents[0]).encode())}"
        with written_aside(folder, label) as aside:
            with opened_writer(aside, seal=seal) as writer:
                writer.write_table(remarks)
            named = publish_remarks(aside, folder, remarks.num_rows, seal), remarks.num_rows
    write_segment(
        store.path / SEGMENTS, [table], origin="database", extents=extents, remarks=named, keys=keys
    ).publish()
