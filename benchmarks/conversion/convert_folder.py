"""Convert a folder: many small recordings, damaged ones among them, against DuckDB reading past what it cannot parse.

The claims: at least the throughput of DuckDB, and no tick lost. Without `ignore_errors` DuckDB stops at the first
damaged line; with it, whatever stands on a damaged line is gone without a word.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from decimal import Decimal
from pathlib import Path
from statistics import median

import pyarrow as pa
import pyarrow.parquet as pq

import replaylab as rl
from benchmarks import peers
from benchmarks.material import clean_lines, folder_of_recordings, price_of
from benchmarks.measure import Ratio, alternate, arguments, print_ratio, print_table, workshop

PEER = "DuckDB, price as VARCHAR, cast, errors ignored"


def outcome(action: Callable[[], object]) -> str:
    """What a way that knows no damage does with it."""
    try:
        action()
    except Exception as error:  # noqa: BLE001 which one it is depends on the peer; any means it stopped
        return f"stops: {type(error).__name__}"
    return "goes on"


def joined(files: Iterable[Path], path: Path) -> Path:
    """All files in one, for ways that read one."""
    with path.open("wb") as out:
        for file in files:
            out.write(file.read_bytes().rstrip(b"\n") + b"\n")
    return path


def surplus(prices: Iterable[Decimal], truth: Counter[Decimal]) -> int:
    """Count the prices that no clean line tells."""
    return sum((Counter(prices) - truth).values())


def stored_clean(store: Path) -> list[Decimal]:
    """Prices of the undamaged ticks of a store, a filled one as the 1 it replaces."""
    parts = [
        pq.read_table(file, columns=["price", "price_filled", "repaired"]) for file in (store / "segments").iterdir()
    ]
    table = pa.concat_tables(parts).to_pydict()
    rows = zip(table["price"], table["price_filled"], table["repaired"], strict=True)
    return [Decimal(1) if filled else price for price, filled, repaired in rows if not repaired]


def main() -> None:
    """Measure in turn, count what each lost or got wrong, and print."""
    options = arguments(__doc__)
    with workshop() as folder:
        source, origin = folder_of_recordings(folder, options.recordings, games=20)
        files = sorted(source.glob("*.jsonl"))
        if options.quick:
            files = files[:20]
        store, out = folder / "store", folder / "duckdb.parquet"
        seconds = alternate(
            {
                "replaylab": lambda: peers.replaylab(files, store),
                PEER: lambda: peers.duckdb_text(files, out, skip_damage=True),
            },
            options.rounds,
            prepare={
                "replaylab": peers.afresh(store, sync=not options.quick),
                PEER: peers.afresh(out, sync=not options.quick),
            },
        )
        truth = Counter(price_of(line) for line in clean_lines(files))
        ticks = rl.open_store(store).rows
        theirs = pq.read_table(out, columns=["price"]).column("price").drop_null().to_pylist()
        whole = joined(files, folder / "joined.jsonl")
        others = {
            "DuckDB, errors not ignored": outcome(lambda: peers.duckdb_text(whole, folder / "a.parquet")),
            "Polars": outcome(lambda: peers.polars_floats(whole, folder / "b.parquet")),
            "pandas": outcome(lambda: peers.pandas(whole, folder / "c.parquet")),
            "json + Decimal": outcome(lambda: peers.json_decimal(whole, folder / "d.parquet")),
            "pyarrow.json": outcome(lambda: peers.pyarrow_json(whole, folder / "e.parquet")),
        }
        ours = surplus(stored_clean(store), truth)
    rates = {name: ticks / median(taken) for name, taken in seconds.items()}
    rows: list[tuple[object, ...]] = [
        ("replaylab", rates["replaylab"], 0, ours, "repairs, quarantines, reports"),
        (PEER, rates[PEER], ticks - len(theirs), surplus(theirs, truth), "leaves them out"),
        *((name, None, None, None, what) for name, what in others.items()),
    ]
    columns = ["", "ticks/s", "ticks lost", "wrong prices", "at damaged lines"]
    print_table(f"{len(files)} recordings, {ticks:,} {origin}", columns, rows)
    print_ratio("convert_folder", Ratio.of(seconds[PEER], seconds["replaylab"]), "replaylab's throughput over DuckDB's")


if __name__ == "__main__":
    main()
