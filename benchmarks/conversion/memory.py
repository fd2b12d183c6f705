"""Memory: peak resident bytes of a conversion, all processes together, against DuckDB reading the same file.

The claim: at most 400 MB for 7 GB of input. The file is made in the temporary folder by repeating lines under changing
game ids, and removed at the end; `--gigabytes` takes another size.
"""

from __future__ import annotations

import shutil

from benchmarks.material import clean_file
from benchmarks.measure import ROOT, arguments, print_ratio, print_table, run_child, workshop

_OURS = "import sys, replaylab as rl; rl.convert(sys.argv[1], sys.argv[2], progress=False)"
_DUCKDB = """
import duckdb, sys
sys.path.insert(0, sys.argv[3])
from benchmarks import peers
from pathlib import Path
peers.duckdb_text(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def main() -> None:
    """Make the file, convert it in children, and print their peaks."""
    options = arguments(__doc__, gigabytes=7.0)
    size = int((0.02 if options.quick else options.gigabytes) * 1e9)
    with workshop() as folder:
        if shutil.disk_usage(folder).free < 1.5 * size:
            raise SystemExit(f"{1.5 * size / 1e9:.0f} GB must be free in {folder}; take fewer --gigabytes")
        probe = clean_file(folder, options.recordings, 10_000)
        ticks = size * probe.ticks // probe.bytes
        given = clean_file(folder, options.recordings, ticks)
        nothing = run_child("-c", "import replaylab.conversion.convert")
        ours = run_child("-c", _OURS, str(given.path), str(folder / "store"))
        shutil.rmtree(folder / "store")
        here = str(ROOT)
        theirs = run_child("-c", _DUCKDB, str(given.path), str(folder / "duckdb.parquet"), here)
        read = given.bytes / 1e9
    rows = [
        (name, child.peak_bytes / 1e6, child.processes, child.seconds, read / child.seconds)
        for name, child in (("replaylab", ours), ("DuckDB, price as VARCHAR, cast", theirs))
    ]
    alone = ("import replaylab.conversion.convert alone", nothing.peak_bytes / 1e6, nothing.processes)
    rows.append((*alone, nothing.seconds, 0.0))
    columns = ["", "peak MB, all processes", "processes", "seconds", "GB/s"]
    print_table(f"{read:.2f} GB, {given.ticks:,} {given.origin}", columns, rows)
    print_ratio("memory", theirs.peak_bytes / ours.peak_bytes, "peak memory of DuckDB over that of replaylab")


if __name__ == "__main__":
    main()
