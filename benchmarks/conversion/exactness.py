"""Exactness: prices that come back as another number than was written, of real ticks and of random 38-digit prices.

Every way writes Parquet; `pyarrow.parquet` alone reads it back and compares with what `json` with `Decimal` reads from
the same lines. The claim: replaylab has none wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pyarrow as pa

from benchmarks import peers
from benchmarks.material import clean_file, clean_lines, decimals, lines_of_prices, random_prices, recordings
from benchmarks.measure import arguments, print_ratio, print_table, workshop

WAYS: dict[str, Callable[[Path, Path], object]] = {
    "DuckDB, price as VARCHAR, cast": peers.duckdb_text,
    "DuckDB, price as DECIMAL": peers.duckdb_decimal,
    "Polars, price as Float64": peers.polars_floats,
    "Polars, price as String, cast": peers.polars_text,
    "pandas": peers.pandas,
    "json + Decimal": peers.json_decimal,
    "pyarrow.json, decimal schema": peers.pyarrow_json,
}


def wrong_by_way(path: Path, truth: pa.Array) -> dict[str, int]:
    """Count the wrong prices of replaylab and of each other way."""
    store, out = path.with_suffix(".store"), path.with_suffix(".parquet")
    peers.replaylab(path, store)
    wrong = {"replaylab": peers.wrong_prices(peers.stored_prices(store), truth)}
    for name, write in WAYS.items():
        out.unlink(missing_ok=True)
        write(path, out)
        wrong[name] = peers.wrong_in_file(out, truth)
    return wrong


def main() -> None:
    """Count on both kinds of prices, and print."""
    options = arguments(__doc__, prices=1_000_000)
    with workshop() as folder:
        files = recordings(options.recordings)
        ticks = 2_000 if options.quick else sum(1 for _ in clean_lines(files)) or 200_000
        given = clean_file(folder, options.recordings, ticks)
        ours = wrong_by_way(given.path, given.prices)
        texts = random_prices(2_000 if options.quick else options.prices)
        path = folder / "random.jsonl"
        with path.open("wb") as file:
            file.writelines(lines_of_prices(texts))
        random = wrong_by_way(path, decimals([Decimal(text) for text in texts]))
    columns = ["wrong prices", f"of {ticks:,} {given.origin}", f"of {len(texts):,} random ones of 38 digits"]
    print_table("Exactness", columns, [(name, ours[name], random[name]) for name in ours])
    right = (ticks + len(texts) - ours["replaylab"] - random["replaylab"]) / (ticks + len(texts))
    peer = "DuckDB, price as VARCHAR, cast"
    theirs = (ticks + len(texts) - ours[peer] - random[peer]) / (ticks + len(texts))
    wrong = ours["replaylab"] + random["replaylab"]
    meaning = f"share of right prices, replaylab {right:.4f} over {peer} {theirs:.4f}; replaylab has {wrong} wrong"
    print_ratio("exactness", right / theirs, meaning)


if __name__ == "__main__":
    main()
