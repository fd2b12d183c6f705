"""Peers: other ways to turn lines of ticks into zstd Parquet, and how far their prices are from what was written."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as pj
import pyarrow.parquet as pq

import replaylab as rl
from benchmarks.material import PRICE

NAMES = ["game_id", "tick", "timestamp", "price", "phase", "active", "rugged", "cooldown_timer", "trade_count"]
Sources = Path | Sequence[Path]
_CHUNK = 100_000
_SQL_TYPES = dict.fromkeys(["tick", "cooldown_timer", "trade_count"], "INTEGER") | dict.fromkeys(
    ["active", "rugged"], "BOOLEAN"
)
_ARROW = pa.schema(
    [
        ("game_id", pa.string()),
        ("tick", pa.int32()),
        ("timestamp", pa.timestamp("us")),
        ("price", PRICE),
        ("phase", pa.string()),
        ("active", pa.bool_()),
        ("rugged", pa.bool_()),
        ("cooldown_timer", pa.int32()),
        ("trade_count", pa.int32()),
    ]
)


def afresh(*outputs: Path, sync: bool = True) -> Callable[[], None]:
    """Return what removes the outputs of the round before and waits for the disk, which is no part of converting."""

    def clear() -> None:
        for path in outputs:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        if sync:
            os.sync()

    return clear


def replaylab(sources: Sources, out: Path, *, threads: int | None = None) -> rl.ConversionReport:
    """Convert into a store at `out`, which is removed first."""
    shutil.rmtree(out, ignore_errors=True)
    return rl.convert(sources, out, progress=False, workers=threads)


def duckdb_text(sources: Sources, out: Path, *, skip_damage: bool = False, threads: int = 2) -> None:
    """DuckDB: prices read as text and cast to DECIMAL(38,24), times to TIMESTAMP."""
    _duckdb(sources, out, "VARCHAR", skip_damage=skip_damage, threads=threads)


def duckdb_decimal(sources: Sources, out: Path) -> None:
    """DuckDB, two threads, with DECIMAL(38,24) in the schema that it reads by."""
    _duckdb(sources, out, "DECIMAL(38,24)", skip_damage=False)


def _duckdb(sources: Sources, out: Path, price: str, *, skip_damage: bool, threads: int = 2) -> None:
    types = {"type": "VARCHAR", **{name: _SQL_TYPES.get(name, "VARCHAR") for name in NAMES}, "price": price}
    schema = ", ".join(f"{name}: '{kind}'" for name, kind in types.items())
    casts = {"timestamp": "TIMESTAMP", "price": "DECIMAL(38,24)"}
    cast = "TRY_CAST" if skip_damage else "CAST"
    selected = ", ".join(f"{cast}({name} AS {casts[name]}) AS {name}" if name in casts else name for name in NAMES)
    files = [str(source) for source in ([sources] if isinstance(sources, Path) else sources)]
    reading = f"read_json({files}, format='newline_delimited', ignore_errors={skip_damage}, columns={{{schema}}})"
    with duckdb.connect(config={"threads": threads}) as connection:
        connection.execute(
            f"COPY (SELECT {selected} FROM {reading} WHERE type = 'tick') "  # noqa: S608 paths are our own
            f"TO '{out}' (FORMAT parquet, COMPRESSION zstd)"
        )


def polars_floats(path: Path, out: Path) -> None:
    """Polars, streaming: prices as floats, which is what it reads numbers as."""
    _polars(path, out, pl.Float64())


def polars_text(path: Path, out: Path) -> None:
    """Polars, streaming: prices asked for as text and cast to Decimal(38, 24)."""
    _polars(path, out, pl.String())


def _polars(path: Path, out: Path, price: pl.DataType) -> None:
    schema: dict[str, pl.DataType] = {name: pl.String() for name in NAMES}
    schema |= {name: pl.Int32() for name in ("tick", "cooldown_timer", "trade_count")}
    schema |= {"active": pl.Boolean(), "rugged": pl.Boolean(), "price": price}
    frame = pl.scan_ndjson(path, schema=schema).with_columns(
        pl.col("timestamp").str.to_datetime("%Y-%m-%dT%H:%M:%S%.f")
    )
    if isinstance(price, pl.String):
        frame = frame.with_columns(pl.col("price").cast(pl.Decimal(38, 24)))
    frame.sink_parquet(out, compression="zstd")


def pandas(path: Path, out: Path) -> None:
    """pandas, in chunks: prices as floats."""
    writer = None
    for frame in pd.read_json(path, lines=True, chunksize=_CHUNK, convert_dates=["timestamp"]):
        table = pa.Table.from_pandas(frame[NAMES], preserve_index=False)
        table = table.cast(_ARROW.set(3, pa.field("price", pa.float64())))
        writer = writer or pq.ParquetWriter(out, table.schema, compression="zstd")
        writer.write_table(table)
    if writer:
        writer.close()


def json_decimal(path: Path, out: Path) -> None:
    """The plain loop: `json.loads` with `parse_float=Decimal`, in chunks."""
    with path.open("rb") as file, pq.ParquetWriter(out, _ARROW, compression="zstd") as writer:
        rows: list[dict[str, object]] = []
        for line in file:
            row = json.loads(line, parse_float=Decimal)
            row["timestamp"] = datetime.fromisoformat(row["timestamp"])
            rows.append(row)
            if len(rows) == _CHUNK:
                writer.write_table(pa.Table.from_pylist(rows, _ARROW))
                rows = []
        writer.write_table(pa.Table.from_pylist(rows, _ARROW))


def pyarrow_json(path: Path, out: Path) -> None:
    """`pyarrow.json` with a decimal in the schema that it reads by."""
    options = pj.ParseOptions(explicit_schema=_ARROW, unexpected_field_behavior="ignore")
    pq.write_table(pj.read_json(path, parse_options=options), out, compression="zstd")


def stored_prices(store: Path) -> pa.Array:
    """Prices of a store of one source in its order, by pyarrow alone; a filled price counts as the 1 it replaces."""
    parts = [pq.read_table(file, columns=["seq", "price", "price_filled"]) for file in (store / "segments").iterdir()]
    table = pa.concat_tables(parts).sort_by("seq")
    one = pa.scalar(Decimal(1), PRICE)
    return pc.if_else(table.column("price_filled"), one, table.column("price")).combine_chunks()


def wrong_prices(found: pa.Array | pa.ChunkedArray, truth: pa.Array) -> int:
    """Count the prices that are another number than what was written.

    A float is judged kindly: by the shortest text that gives the same float.
    """
    column = found.combine_chunks() if isinstance(found, pa.ChunkedArray) else found
    if len(column) != len(truth):
        raise ValueError(f"{len(column)} prices found, {len(truth)} written")
    if pa.types.is_floating(column.type):
        written = [None if value is None else Decimal(repr(value)) for value in column.to_pylist()]
        pairs = zip(written, truth.to_pylist(), strict=True)
        return sum(one != other for one, other in pairs)
    same = pc.fill_null(pc.equal(column.cast(PRICE), truth), False)
    return len(truth) - int(pc.sum(same).as_py() or 0)


def wrong_in_file(out: Path, truth: pa.Array) -> int:
    """Count the wrong prices of a Parquet file, read by pyarrow alone."""
    return wrong_prices(pq.read_table(out, columns=["price"]).column("price"), truth)
