"""What a store of 50 million ticks costs to open, list, read, verify and compact, and how much memory that takes.

Stores of 3 million ticks and of `--ticks`, converted from clean files of 3 million ticks each; each step runs in a
process of its own, on a store that nothing has asked before. The claim: nothing grows faster than the number of ticks.
There is no peer: the larger store is compared with the smaller one.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import replaylab as rl
from benchmarks.material import clean_lines, recordings, renamed
from benchmarks.measure import arguments, print_ratio, print_table, workshop
from benchmarks.storage.growth import STEPS, cost
from replaylab.simulation.bulk import tick_lines

SEED = 20310102
FILE_TICKS = 3_000_000
STEPS_OF_TICKS = STEPS | {"one game": "store = rl.open_store(path); store.game(store.game_ids()[7]).to_pandas()"}


def fill(folder: Path, lines: list[bytes], ticks: int, file_ticks: int) -> None:
    """Convert files of the same ticks under ever other game ids, until there are so many."""
    helping = 0
    for begin in range(0, ticks, file_ticks):
        path = folder.parent / f"{begin}.jsonl"
        left = min(file_ticks, ticks - begin)
        with path.open("wb") as file:
            while left:
                wanted = lines[:left]
                file.write(renamed(b"\n".join(wanted) + b"\n", helping))
                helping, left = helping + 1, left - len(wanted)
        rl.convert(path, folder, progress=False)
        path.unlink()


def main() -> None:
    """Run it."""
    options = arguments(__doc__, ticks=50_000_000)
    files = recordings(options.recordings)
    lines = list(clean_lines(files)) if files else b"".join(tick_lines(20_000, SEED)).splitlines()
    file_ticks = 20_000 if options.quick else FILE_TICKS
    sizes = [file_ticks, 2 * file_ticks if options.quick else options.ticks]
    took: dict[str, dict[int, tuple[float, float, float]]] = {name: {} for name in STEPS_OF_TICKS}
    for size in sizes:
        with workshop() as folder:
            store = folder / "store"
            fill(store, lines, size, file_ticks)
            for name, step in STEPS_OF_TICKS.items():
                took[name][size] = cost(step, store)
            shutil.rmtree(store)
    rows = [(name, size, wall, cpu, peak) for name, found in took.items() for size, (wall, cpu, peak) in found.items()]
    print_table("a store of many ticks", ["", "ticks", "s", "CPU s", "peak MB"], rows)
    small, large = sizes
    for name, found in took.items():
        ratio = (found[small][1] / small) / (found[large][1] / large)
        print_ratio(f"many_ticks {name}", ratio, "CPU a tick of the smaller over that of the larger; 1 is linear")


if __name__ == "__main__":
    main()
