"""Other people's files: what a packed recording and a mapped one cost beside a plain one, and what a bomb does.

Claims: reading gzip costs at most 1.3 times unpacking it with `gzip -dc` and converting the plain file (the first ratio
is that sum over ours: above 0.77 is within it). A bomb that unpacks a thousandfold is refused in bounded time. The
second ratio is the speed of mapped trades over that of native ticks. CPU time of one process.
"""

from __future__ import annotations

import gzip
import resource
import shutil
import subprocess
import time
from pathlib import Path

import replaylab as rl
from benchmarks.material import clean_file
from benchmarks.measure import Ratio, alternate, arguments, print_ratio, print_table, workshop


def cpu() -> float:
    """CPU seconds of this process and its children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def convert(path: Path, store: Path, mapping: str | None = None) -> None:
    """Convert into a new store, in one process."""
    shutil.rmtree(store, ignore_errors=True)
    rl.convert(path, store, mapping=mapping, workers=1, progress=False)


def gunzip(packed: Path, plain: Path) -> None:
    """Unpack as the shell does."""
    with plain.open("wb") as out:
        subprocess.run(["gzip", "-dc", str(packed)], stdout=out, check=True)  # noqa: S607 the gzip of this machine


def main() -> None:
    """Measure in turn, and print."""
    options = arguments(__doc__, ticks=500_000)
    ticks = 5_000 if options.quick else options.ticks
    with workshop() as folder:
        given = clean_file(folder, options.recordings, ticks)
        packed, trades, store = folder / "ticks.jsonl.gz", folder / "trades.jsonl", folder / "store"
        packed.write_bytes(gzip.compress(given.path.read_bytes(), 6))
        trades.write_text(
            "".join(f'{{"ts": {1925089445000 + n}, "px": "1.{n}", "qty": 1}}\n' for n in range(ticks // 10))
        )
        seconds = alternate(
            {
                "plain": lambda: convert(given.path, store),
                "gzip -dc": lambda: gunzip(packed, folder / "out"),
                "gzip": lambda: convert(packed, store),
                "mapped": lambda: convert(trades, store, "trades"),
            },
            options.rounds,
            clock=cpu,
        )
        bomb = folder / "bomb.jsonl"
        bomb.write_bytes(gzip.compress(bytes([32]) * (64 << 20), 9) * (2 if options.quick else 160))
        begin = time.perf_counter()
        try:
            convert(bomb, store)
        except rl.errors.NotARecording as error:
            said, refused = str(error).partition(":")[2], time.perf_counter() - begin
    both = [plain + unpack for plain, unpack in zip(seconds["plain"], seconds["gzip -dc"], strict=True)]
    rate = [ticks / one for one in seconds["plain"]]
    mapped = [ticks // 10 / one for one in seconds["mapped"]]
    rows = [(name, min(taken)) for name, taken in seconds.items()]
    print_table(f"{ticks:,} {given.origin}", ["", "CPU seconds"], [*rows, (f"bomb refused:{said}", refused)])
    print_ratio("other_files gzip", Ratio.of(both, seconds["gzip"]), "gzip -dc and the plain file over ours")
    print_ratio("other_files mapped", Ratio.of(mapped, rate), "mapped trades a second over native ticks a second")


if __name__ == "__main__":
    main()
