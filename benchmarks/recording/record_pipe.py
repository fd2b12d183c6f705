"""Record from a pipe: `replaylab record` against a filter that reads and syncs the usual way, and against a plain copy.

The claim: at least 50,000 ticks a second through a pipe, beside whatever else runs. The filter only reads each line
exactly, writes it and syncs every 100; the recorder also checks every field, numbers the ticks and makes Parquet of
them. The copy reads and syncs nothing: it shows what the pipe could carry.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median

import replaylab as rl
from benchmarks.measure import Ratio, alternate, arguments, print_ratio, print_table, workshop
from benchmarks.recording.record import ticks

FILTER = """
import json, os, sys
from decimal import Decimal

with open(sys.argv[1], "wb") as out:
    for number, line in enumerate(sys.stdin.buffer, 1):
        tick = json.loads(line, parse_float=Decimal)
        assert tick["price"] >= 0 and tick["game_id"]
        out.write(line)
        if number % 100 == 0:
            out.flush()
            os.fsync(out.fileno())
    out.flush()
    os.fsync(out.fileno())
"""


def piped(source: Path, *command: str | Path) -> None:
    """Run a command whose standard input is a pipe from `cat`, as in a shell."""
    with subprocess.Popen(["/bin/cat", source], stdout=subprocess.PIPE) as cat:
        subprocess.run(command, stdin=cat.stdout, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)


def main() -> None:
    """Run it."""
    options = arguments(__doc__, ticks=1_000_000)
    many = 2_000 if options.quick else options.ticks
    with workshop() as folder:
        source, store = folder / "ticks.jsonl", folder / "store"
        with source.open("wb") as file:
            file.writelines(tick.to_line() + b"\n" for tick in ticks(many))
        replaylab = Path(sys.executable).with_name("replaylab")
        ways = {
            "replaylab record": lambda: piped(source, replaylab, "record", store, "--no-progress"),
            "filter in Python, fsync every 100": lambda: piped(source, sys.executable, "-c", FILTER, folder / "copy"),
            "copy, no sync": lambda: piped(source, "dd", f"of={folder / 'copy'}", "bs=64K"),
        }
        seconds = alternate(ways, options.rounds, prepare=lambda: shutil.rmtree(store, ignore_errors=True), warmups=0)
        shutil.rmtree(store, ignore_errors=True)
        piped(source, replaylab, "record", store, "--no-progress")
        lost = many - rl.Store(store).rows
    rates = {name: many / median(taken) for name, taken in seconds.items()}
    rows = [(name, rate, rates["replaylab record"] / rate) for name, rate in rates.items()]
    print_table(f"{many:,} ticks through a pipe, {lost:,} lost", ["", "ticks/s", "replaylab is x as fast"], rows)
    peer, own = seconds["filter in Python, fsync every 100"], seconds["replaylab record"]
    print_ratio("record_pipe", Ratio.of(peer, own), "replaylab's throughput over the filter's")


if __name__ == "__main__":
    main()
