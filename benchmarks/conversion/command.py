"""Whole commands, from the start of Python to its end: `replaylab convert` against a script of DuckDB.

One clean file, and a folder of many small recordings, damaged ones among them. The claim: 1.5 times
the speed of DuckDB.
What a command costs besides its work is shown by one small recording.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from benchmarks import peers
from benchmarks.material import clean_file, folder_of_recordings
from benchmarks.measure import Ratio, Run, alternate, arguments, print_ratio, print_table, workshop

DUCKDB = """
import sys
import duckdb
from pathlib import Path
source, out = Path(sys.argv[1]), sys.argv[2]
files = [str(path) for path in sorted(source.rglob("*.jsonl"))] if source.is_dir() else [str(source)]
types = {"type": "VARCHAR", "game_id": "VARCHAR", "tick": "INTEGER", "timestamp": "VARCHAR", "price": "VARCHAR",
         "phase": "VARCHAR", "active": "BOOLEAN", "rugged": "BOOLEAN", "cooldown_timer": "INTEGER",
         "trade_count": "INTEGER"}
schema = ", ".join(f"{name}: '{kind}'" for name, kind in types.items())
with duckdb.connect(config={"threads": 2}) as connection:
    connection.execute(
        "COPY (SELECT game_id, tick, TRY_CAST(timestamp AS TIMESTAMP) AS timestamp, "
        "TRY_CAST(price AS DECIMAL(38,24)) AS price, phase, active, rugged, cooldown_timer, trade_count "
        f"FROM read_json({files}, format='newline_delimited', ignore_errors=true, columns={{{schema}}}) "
        f"WHERE type = 'tick') TO '{out}' (FORMAT parquet, COMPRESSION zstd)"
    )
"""
OURS = "from replaylab.cli.starting import main; main()"


def commands(source: Path, folder: Path) -> Mapping[str, Run]:
    """The two commands on a source; what they wrote before must be gone."""

    def replaylab() -> None:
        run("-c", OURS, "convert", str(source), "--to", str(folder / "store"))

    def duckdb() -> None:
        run("-c", DUCKDB, str(source), str(folder / "ticks.parquet"))

    return {"replaylab": replaylab, "DuckDB": duckdb}


def run(*command: str) -> None:
    """Run a Python child to its end; damage found is a fine end."""
    without = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run([sys.executable, *command], check=True, capture_output=True, env=without)


def main() -> None:
    """Measure in turn, and print."""
    options = arguments(__doc__, ticks=3_000_000)
    ticks = 5_000 if options.quick else options.ticks
    rows: list[tuple[object, ...]] = []
    with workshop() as folder:
        given, _ = folder_of_recordings(folder, options.recordings, games=20)
        smallest = min(given.glob("*.jsonl"), key=lambda path: path.stat().st_size or sys.maxsize)
        sources = {"file": clean_file(folder, options.recordings, ticks).path, "folder": given, "small": smallest}
        for name, source in sources.items():
            clear = peers.afresh(folder / "store", folder / "ticks.parquet", sync=not options.quick)
            seconds = alternate(commands(source, folder), options.rounds, prepare=clear)
            size = sum(path.stat().st_size for path in (source.glob("*.jsonl") if source.is_dir() else [source]))
            rows.append((name, size / 2**20, *(median(taken) for taken in seconds.values())))
            print_ratio(
                f"command {name}", Ratio.of(seconds["DuckDB"], seconds["replaylab"]), "DuckDB's wall time over ours"
            )
    print_table("whole commands, seconds", ["", "MiB", "replaylab", "DuckDB"], rows)


if __name__ == "__main__":
    main()
