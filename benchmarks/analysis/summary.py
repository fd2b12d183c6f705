"""Summary: one row a game, from Parquet, on one core; against the same query in SQL and a script that reads lines.

The claims: at least 5 million ticks a second a core, at least the throughput of DuckDB over the same files, and at
least 50 times that of the plain script over the same ticks as JSON lines. All sides find the same: the games, how long
they are, when they rug and at what price, how high they go, from when to when, and which are complete. replaylab finds
more besides: gaps, games that came back, where the peak was, and the sources. Each has one thread, and its CPU time is
what counts: on a quiet machine that is the wall time, on a busy one it is still the work.
"""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any

import duckdb
import pyarrow as pa

import replaylab as rl
from benchmarks import peers
from benchmarks.measure import Ratio, alternate, arguments, print_ratio, print_table, workshop
from replaylab.simulation.bulk import tick_lines

TARGET = 5e6  # ticks a second a core
TICKS_A_GAME = 352  # of a simulated one, on average: 150 idle rows, and 200 ticks
COLUMNS = ["game_id", "rows", "ticks", "rug_tick", "rug_price", "peak", "start", "end", "complete"]
QUERY = """
SELECT game_id, count(*) AS rows, count(DISTINCT CASE WHEN active AND NOT rugged THEN tick END) AS ticks,
       min(CASE WHEN rugged AND recorded_phase <> 'RUG_EVENT_1' THEN tick END) AS rug_tick,
       arg_min(price, tick) FILTER (WHERE rugged AND recorded_phase <> 'RUG_EVENT_1') AS rug_price,
       max(price) FILTER (WHERE active AND NOT rugged) AS peak,
       min(timestamp) AS start, max(timestamp) AS "end", coalesce(ticks = rug_tick, false) AS complete
FROM read_parquet('{files}') GROUP BY game_id ORDER BY start
"""


def material(folder: Path, games: int) -> tuple[Path, Path]:
    """Recordings of so many simulated games as lines, and the compacted store of them."""
    source, store = folder / "games.jsonl", folder / "store"
    seen = 0
    with source.open("wb") as file:
        for lines in tick_lines(games * 5 * TICKS_A_GAME, seed=3):
            file.write(lines)
            seen += 1
            if seen == games:
                break
    peers.replaylab(source, store)
    rl.compact(store, progress=False)
    return source, store


def ours(store: Path) -> pa.Table:
    """The games table of a store that was just opened."""
    return rl.open_store(store).games_table()


def by_sql(store: Path) -> pa.Table:
    """The same by DuckDB on one thread."""
    with duckdb.connect(config={"threads": 1}) as connection:
        relation = connection.sql(QUERY.format(files=store / "segments" / "*.parquet"))
        assert relation is not None
        return relation.to_arrow_table()


def by_script(source: Path) -> list[dict[str, Any]]:
    """The same by reading one line after the other, as such scripts are written."""
    games: dict[str, dict[str, Any]] = {}
    with source.open() as file:
        for text in file:
            line = json.loads(text, parse_float=Decimal)
            if line.get("type") != "tick":
                continue
            game = games.setdefault(line["game_id"], {"rows": 0, "ticks": set(), "prices": [], "times": []})
            game["rows"] += 1
            game["times"].append(line["timestamp"])
            if line["active"] and not line["rugged"]:
                game["ticks"].add(line["tick"])
                game["prices"].append(line["price"])
            elif line["rugged"] and line["phase"] != "RUG_EVENT_1" and "rug_tick" not in game:
                game["rug_tick"], game["rug_price"] = line["tick"], line["price"]
    rows = [
        {
            "game_id": name,
            "rows": game["rows"],
            "ticks": len(game["ticks"]),
            "rug_tick": game.get("rug_tick"),
            "rug_price": game.get("rug_price"),
            "peak": max(game["prices"], default=None),
            "start": moment(min(game["times"])),
            "end": moment(max(game["times"])),
            "complete": len(game["ticks"]) == game.get("rug_tick"),
        }
        for name, game in games.items()
    ]
    return sorted(rows, key=lambda row: row["start"])


def moment(text: str) -> datetime:
    """A recorded time."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def main() -> None:
    """Make games, sum them up in three ways, compare, and print."""
    options = arguments(__doc__, games=10_000, script_games=2_000)
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    with workshop() as folder:
        source, store = material(folder, 30 if options.quick else options.games)
        opened = rl.open_store(store)
        few, few_store = material_of_few(folder, 10 if options.quick else options.script_games)
        assert ours(store).select(COLUMNS).to_pylist() == by_sql(store).select(COLUMNS).to_pylist()
        assert ours(few_store).select(COLUMNS).to_pylist() == by_script(few)
        source.unlink()
        runs = {
            "replaylab": lambda: ours(store),
            "DuckDB": lambda: by_sql(store),
            "replaylab, few games": lambda: ours(few_store),
            "plain script": lambda: by_script(few),
        }
        show(opened, rl.open_store(few_store), alternate(runs, options.rounds, clock=time.process_time))


def material_of_few(folder: Path, games: int) -> tuple[Path, Path]:
    """Fewer games for the script, which would take minutes for all."""
    (folder / "few").mkdir()
    return material(folder / "few", games)


def show(opened: rl.Store, few: rl.Store, seconds: dict[str, list[float]]) -> None:
    """Print what was measured."""
    rows = [
        (name, store.rows / median(taken) / 1e6, median(taken))
        for (name, taken), store in zip(seconds.items(), (opened, opened, few, few), strict=True)
    ]
    title = f"Games table of {len(opened):,} games, {opened.rows:,} ticks; CPU time of one thread each"
    print_table(title, ["", "million ticks/s", "seconds"], rows)
    a_core = [opened.rows / one / TARGET for one in seconds["replaylab"]]
    print_ratio("summary a core", Ratio.of(a_core, [1.0] * len(a_core)), "ticks a second a core over 5 million")
    print_ratio(
        "summary DuckDB", Ratio.of(seconds["DuckDB"], seconds["replaylab"]), "throughput over DuckDB's, one thread each"
    )
    script = Ratio.of(seconds["plain script"], seconds["replaylab, few games"])
    print_ratio("summary script", script, f"throughput over the script's, {len(few):,} games")


if __name__ == "__main__":
    main()
