"""Growth: what a store of many segments costs to open, list, verify and compact, and how much memory that takes.

Stores of one game a segment in 10, 100, 1,000 and (with `--segments 10000`) 10,000 segments, as a service that seals
often leaves them; each step runs in a process of its own, once fresh. The claims: nothing grows faster than their
number, and `games()` of a store that was just opened takes at most 0.1 ms a segment beside the opening, once another
process has asked before. There is no peer: the larger store is compared with the smaller one.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import replaylab as rl
from benchmarks.measure import arguments, print_ratio, print_table, workshop
from replaylab.journals.encoder import Encoder
from replaylab.journals.format import Header, end_line, journal_name
from replaylab.storage.recovery import recover
from replaylab.storage.store import JOURNALS

TICKS = 50  # of a segment: one game
SIZES = (10, 100, 1_000, 10_000)
STEPS = {
    "open": "store = rl.open_store(path); store.rows",
    "games()": "store = rl.open_store(path); len(store.games())",
    "games() again, opened anew": "store = rl.open_store(path); len(store.games())",
    "one game": "store = rl.open_store(path); store.game('game-4').to_pandas()",
    "every game, one by one": "assert sum(game.ticks().num_rows for game in rl.open_store(path))",
    "verify": "assert rl.open_store(path).verify().ok",
    "compact": "rl.compact(path, progress=False)",
    "games() when compacted": "store = rl.open_store(path); len(store.games())",
}
_CHILD = """
import json, resource, sys, time
import replaylab as rl
import replaylab.storage.store, replaylab.storage.compact, replaylab.storage.verify, pandas
path = sys.argv[1]
wall, cpu = time.perf_counter(), time.process_time()
{step}
wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
print(json.dumps([wall, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024]))
"""


def fill(folder: Path, segments: int) -> None:
    """Make a store of one game a segment, as recorders leave journals that are sealed one by one."""
    start = datetime(2031, 1, 2, tzinfo=UTC)
    rl.Recorder(folder).stop()
    for number in range(segments):
        run = f"20310102T030405{number:06d}Z-0123456789ab-7"
        encoder, at = Encoder(run), start + timedelta(minutes=number)
        lines = [Header(run, 0, 0).to_line()]
        for tick in range(TICKS):
            price = Decimal(10**16 + tick * 7919 + number).scaleb(-16)
            lines.append(encoder.line(rl.Tick(f"game-{number}", tick, at + timedelta(seconds=tick), price, "X"), tick))
        (folder / JOURNALS / journal_name(run, 0)).write_bytes(b"".join([*lines, end_line(run, TICKS)]))
    report = recover(folder, progress=False)
    if not report.ok:
        raise SystemExit(str(report))


def cost(step: str, store: Path) -> tuple[float, float, float]:
    """Seconds of wall time and of the processor, and the peak in MB, of a step in a process of its own."""
    child = [sys.executable, "-c", _CHILD.format(step=step), str(store)]
    done = subprocess.run(child, capture_output=True, text=True, check=True)
    wall, cpu, peak = json.loads(done.stdout.splitlines()[-1])
    return wall, cpu, peak


def main() -> None:
    """Run it."""
    options = arguments(__doc__, segments=1_000)
    sizes = [5, 10] if options.quick else [size for size in SIZES if size <= options.segments]
    took: dict[str, dict[int, tuple[float, float, float]]] = {name: {} for name in STEPS}
    with workshop() as folder:
        for size in sizes:
            store = folder / str(size)
            fill(store, size)
            for name, step in STEPS.items():
                took[name][size] = cost(step, store)
            shutil.rmtree(store)
    rows = [
        (name, size, wall, cpu, cpu * 1e3 / size, peak)
        for name, found in took.items()
        for size, (wall, cpu, peak) in found.items()
    ]
    print_table(
        "a store that grows, 50 ticks a segment",
        ["", "segments", "s", "CPU s", "CPU ms a segment", "peak MB"],
        rows,
    )
    small, large = sizes[-2], sizes[-1]
    for name, found in took.items():
        ratio = (found[small][1] / small) / (found[large][1] / large)
        print_ratio(f"growth {name}", ratio, "CPU a segment of the smaller over that of the larger; 1 is linear")
    beside = (took["games() again, opened anew"][large][1] - took["open"][large][1]) / large
    print_ratio("growth games", max(0.0, beside * 1e3), "ms a segment beside the opening; at most 0.1")


if __name__ == "__main__":
    main()
