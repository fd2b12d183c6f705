"""Convert a file: clean tick lines to zstd Parquet, against DuckDB, Polars, pandas, pyarrow.json and a plain loop.

The claim: at least the throughput of DuckDB reading the price as VARCHAR cast to DECIMAL(38,24), on two cores.
replaylab does more than the others in that time: line, place and digest of every byte kept, everything synced to disk.
"""

from __future__ import annotations

from pathlib import Path
from statistics import median

from benchmarks import peers
from benchmarks.material import Clean, clean_file
from benchmarks.measure import Ratio, Run, alternate, arguments, print_ratio, print_table, workshop

SLOW_SHARE = 10  # the slow ways get a tenth of the ticks, and their speed counts


def fast_ways(given: Clean, folder: Path) -> dict[str, Run]:
    """The ways that take their turn in every round, writing into a folder."""
    return {
        "replaylab": lambda: peers.replaylab(given.path, folder / "store"),
        "DuckDB, price as VARCHAR, cast": lambda: peers.duckdb_text(given.path, folder / "duckdb.parquet"),
        "Polars, price as Float64": lambda: peers.polars_floats(given.path, folder / "floats.parquet"),
        "Polars, price as String, cast": lambda: peers.polars_text(given.path, folder / "polars.parquet"),
        "pyarrow.json, decimal schema": lambda: peers.pyarrow_json(given.path, folder / "json.parquet"),
    }


def ways_of_one_thread(given: Clean, folder: Path) -> dict[str, Run]:
    """The two that use as many threads as there are, each with one."""
    return {
        "replaylab": lambda: peers.replaylab(given.path, folder / "one", threads=1),
        "DuckDB": lambda: peers.duckdb_text(given.path, folder / "one.parquet", threads=1),
    }


def slow_ways(given: Clean, folder: Path) -> dict[str, Run]:
    """The ways that are measured once, on a slice."""
    return {
        "pandas": lambda: peers.pandas(given.path, folder / "pandas.parquet"),
        "json + Decimal": lambda: peers.json_decimal(given.path, folder / "loop.parquet"),
    }


OUTPUTS = {
    "DuckDB, price as VARCHAR, cast": "duckdb",
    "Polars, price as Float64": "floats",
    "Polars, price as String, cast": "polars",
    "pyarrow.json, decimal schema": "json",
    "pandas": "pandas",
    "json + Decimal": "loop",
}


def main() -> None:
    """Measure in turn, count what each got wrong, and print."""
    options = arguments(__doc__, ticks=3_000_000)
    ticks = 5_000 if options.quick else options.ticks
    with workshop() as folder:
        given = clean_file(folder, options.recordings, ticks)
        outputs = {"replaylab": "store"} | {name: f"{file}.parquet" for name, file in OUTPUTS.items()}
        clear = {name: peers.afresh(folder / out, sync=not options.quick) for name, out in outputs.items()}
        seconds = alternate(fast_ways(given, folder), options.rounds, prepare=clear)
        one = {"replaylab": folder / "one", "DuckDB": folder / "one.parquet"}
        clear = {name: peers.afresh(path, sync=not options.quick) for name, path in one.items()}
        single = alternate(ways_of_one_thread(given, folder), options.rounds, prepare=clear)
        (folder / "slice").mkdir()
        small = clean_file(folder / "slice", options.recordings, max(ticks // SLOW_SHARE, 1))
        slow = alternate(slow_ways(small, folder), 1, warmups=0)
        wrong = {"replaylab": peers.wrong_prices(peers.stored_prices(folder / "store"), given.prices)}
        for name, file in OUTPUTS.items():
            truth = (small if name in slow else given).prices
            wrong[name] = peers.wrong_in_file(folder / f"{file}.parquet", truth)
    rates = {name: given.ticks / median(taken) for name, taken in seconds.items()}
    rates |= {name: small.ticks / median(taken) for name, taken in slow.items()}
    rows = [(name, rates[name], rates["replaylab"] / rates[name], wrong[name]) for name in rates]
    print_table(
        f"One file of {ticks:,} {given.origin}", ["", "ticks/s", "replaylab is x as fast", "wrong prices"], rows
    )
    ratio = Ratio.of(seconds["DuckDB, price as VARCHAR, cast"], seconds["replaylab"])
    print_ratio("convert_file", ratio, "replaylab's throughput over DuckDB's, price as VARCHAR, cast")
    ratio = Ratio.of(single["DuckDB"], single["replaylab"])
    print_ratio("convert_file of one thread", ratio, "the same, each with one thread")


if __name__ == "__main__":
    main()
