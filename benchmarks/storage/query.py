"""Query: ten thousand games summed up, one of them read, all prices scanned; against DuckDB and pandas on the store.

The claims: `games()` at most 1 s warm, one game at most 20 ms, a price scan at least 20 million ticks a second. The
peers read the very segments of the store, by the same number of threads.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

import replaylab as rl
from benchmarks import peers
from benchmarks.measure import Ratio, alternate, arguments, print_ratio, print_table, workshop
from replaylab.simulation.bulk import tick_lines

TICKS_A_GAME = 352  # of a simulated one, on average: 150 idle rows, and 200 ticks
SUMMARY = """
SELECT game_id, count(*) AS rows,
       count(DISTINCT CASE WHEN active AND NOT rugged THEN tick END) AS ticks,
       min(CASE WHEN rugged AND recorded_phase <> 'RUG_EVENT_1' THEN tick END) AS rug_tick,
       arg_min(price, tick) FILTER (WHERE rugged AND recorded_phase <> 'RUG_EVENT_1') AS rug_price,
       max(price) FILTER (WHERE active AND NOT rugged) AS peak,
       min(timestamp) AS start, max(timestamp) AS "end"
FROM read_parquet('{files}') GROUP BY game_id ORDER BY start
"""


def built(folder: Path, games: int) -> Path:
    """A compacted store of so many simulated games."""
    source, store = folder / "games.jsonl", folder / "store"
    seen = 0
    with source.open("wb") as file:
        for lines in tick_lines(games * 5 * TICKS_A_GAME, seed=1):
            file.write(lines)
            seen += 1
            if seen == games:
                break
    peers.replaylab(source, store)
    source.unlink()
    rl.compact(store, progress=False)
    return store


def duckdb_table(connection: duckdb.DuckDBPyConnection, sql: str, *values: str) -> pa.Table:
    """The answer to a query, as Arrow."""
    relation = connection.sql(sql, params=list(values))
    assert relation is not None, sql
    return relation.to_arrow_table()


def duckdb_games(store: Path) -> pd.DataFrame:
    """The summary by SQL."""
    with duckdb.connect(config={"threads": 2}) as connection:
        sql = SUMMARY.format(files=store / "segments" / "*.parquet")
        found: pd.DataFrame = duckdb_table(connection, sql).to_pandas()
        return found


def pandas_games(store: Path) -> pd.DataFrame:
    """The summary by pandas, prices as floats, since it has no exact ones."""
    columns = ["game_id", "tick", "timestamp", "price", "recorded_phase", "active", "rugged"]
    frame = pd.concat([pq.read_table(file, columns=columns).to_pandas() for file in (store / "segments").iterdir()])
    frame["price"] = frame["price"].astype(float)
    live = frame[frame["active"] & ~frame["rugged"]].groupby("game_id", observed=True)
    rugs = frame[frame["rugged"] & (frame["recorded_phase"] != "RUG_EVENT_1")].groupby("game_id", observed=True)
    every = frame.groupby("game_id", observed=True)
    return pd.DataFrame(
        {
            "rows": every.size(),
            "ticks": live["tick"].nunique(),
            "rug_tick": rugs["tick"].min(),
            "rug_price": rugs["price"].first(),
            "peak": live["price"].max(),
            "start": every["timestamp"].min(),
            "end": every["timestamp"].max(),
        }
    )


def each(action: Callable[[str], object], names: list[str]) -> list[float]:
    """Seconds that an action takes with each name."""
    seconds = []
    for name in names:
        begin = time.perf_counter()
        action(name)
        seconds.append(time.perf_counter() - begin)
    return seconds


def summaries(store: Path, rounds: int) -> None:
    """Measure the table of games: cold (store opened anew), warm, and by the peers."""
    opened = rl.open_store(store)
    opened.games()
    seconds = alternate(
        {
            "replaylab, store just opened": lambda: rl.open_store(store).games(),
            "replaylab, asked again": opened.games,
            "DuckDB, eight of the columns": lambda: duckdb_games(store),
            "pandas groupby, prices as floats": lambda: pandas_games(store),
        },
        rounds,
    )
    ours, theirs = opened.games(prices="decimal").sort_values("game_id"), duckdb_games(store).sort_values("game_id")
    differing = sum(
        int((ours[name].to_numpy() != theirs[name].to_numpy()).sum()) for name in ("rows", "ticks", "rug_price", "peak")
    )
    rows = [(name, median(taken), min(taken), max(taken)) for name, taken in seconds.items()]
    print_table(f"games() of {len(ours):,} games", ["", "seconds, median", "least", "greatest"], rows)
    print(f"values that differ between replaylab and DuckDB: {differing}")
    cold = Ratio.of(seconds["DuckDB, eight of the columns"], seconds["replaylab, store just opened"])
    print_ratio("query games cold", cold, "seconds of DuckDB over those of replaylab opening the store first")
    warm = Ratio.of(seconds["DuckDB, eight of the columns"], seconds["replaylab, asked again"])
    print_ratio("query games warm", warm, "seconds of DuckDB over those of replaylab asked again")


def one_game(store: Path, count: int) -> None:
    """Measure reading one game out of all."""
    opened = rl.open_store(store)
    names = random.Random(1).sample(opened.game_ids(), count)
    files = store / "segments" / "*.parquet"
    with duckdb.connect(config={"threads": 2}) as connection:
        asked = f"SELECT * FROM read_parquet('{files}') WHERE game_id = ?"  # noqa: S608 paths are our own
        ours = each(lambda name: opened.game(name).ticks(), names)
        theirs = each(lambda name: duckdb_table(connection, asked, name), names)
        ours += each(lambda name: opened.game(name).ticks(), names)
        theirs += each(lambda name: duckdb_table(connection, asked, name), names)
    rows = [
        (name, 1000 * median(taken), 1000 * min(taken), 1000 * max(taken))
        for name, taken in (("replaylab", ours), ("DuckDB", theirs))
    ]
    print_table(f"One game out of {len(opened):,}: all its ticks", ["", "ms, median", "least", "greatest"], rows)
    print_ratio(
        "query one game", median(theirs) / median(ours), f"median of DuckDB over replaylab's, {count} games twice"
    )


def price_scan(store: Path, rounds: int) -> None:
    """Measure the greatest price of all."""
    opened = rl.open_store(store)
    files = store / "segments"
    sql = f"SELECT max(price) FROM read_parquet('{files / '*.parquet'}')"  # noqa: S608 paths are our own
    found: dict[str, object] = {}

    def ours() -> None:
        parts = [pc.max(segment.read(["price"]).column("price")) for segment in opened.segments()]
        found["replaylab"] = max(part.as_py() for part in parts)

    def arrow() -> None:
        found["pyarrow.dataset"] = pc.max(ds.dataset(files).to_table(["price"]).column("price")).as_py()

    def theirs() -> None:
        with duckdb.connect(config={"threads": 2}) as connection:
            row = connection.execute(sql).fetchone()
            found["DuckDB"] = row[0] if row else None

    seconds = alternate({"replaylab": ours, "pyarrow.dataset": arrow, "DuckDB": theirs}, rounds)
    assert len(set(found.values())) == 1, found
    rows = [(name, opened.rows / median(taken) / 1e6, median(taken)) for name, taken in seconds.items()]
    print_table(f"Greatest of {opened.rows:,} prices", ["", "million ticks/s", "seconds"], rows)
    print_ratio(
        "query scan", Ratio.of(seconds["DuckDB"], seconds["replaylab"]), "throughput of replaylab over DuckDB's"
    )


def main() -> None:
    """Build a store, ask it, and print."""
    options = arguments(__doc__, games=10_000)
    with workshop() as folder:
        store = built(folder, 30 if options.quick else options.games)
        summaries(store, options.rounds)
        one_game(store, 5 if options.quick else 50)
        price_scan(store, options.rounds)


if __name__ == "__main__":
    main()
