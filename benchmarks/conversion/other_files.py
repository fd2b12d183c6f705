"""Other people's files: what a packed recording and a mapped one cost beside a plain one, and what a bomb does.

Claims: reading gzip costs at most 1.3 times unpacking it with `gzip -dc` and converting the plain file (the first ratio
is that sum over ours: above 0.77 is within it). A bomb that unpacks a thousandfold is refused in bounded time. A mapped
form converts at least at half the speed of native ticks: the other ratios are ticks a second of each ready mapping, and
of an envelope with its own names, over native ticks a second. CPU time of one process.
"""

from __future__ import annotations

import gzip
import resource
import shutil
import subprocess
import time
from functools import partial
from pathlib import Path

import replaylab as rl
from benchmarks.material import clean_file
from benchmarks.measure import Ratio, alternate, arguments, print_ratio, print_table, workshop


def cpu() -> float:
    """CPU seconds of this process and its children."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def convert(path: Path, store: Path, mapping: rl.Mapping | str | None = None) -> None:
    """Convert into a new store, in one process."""
    shutil.rmtree(store, ignore_errors=True)
    rl.convert(path, store, mapping=mapping, workers=1, progress=False)


def mapped_files(folder: Path, ticks: int) -> dict[str, tuple[Path, rl.Mapping | str]]:
    """Write as many ticks in the form of each mapping; return where, and the mapping."""
    envelope = rl.Mapping(
        path="data",
        fields={"game_id": "g", "tick": "n", "price": "p", "timestamp": "t", "active": "on"},
        time_unit="ns",
    )
    off = '"rugged": false'
    flags = '"active": true, ' + off
    forms: dict[str, tuple[str, rl.Mapping | str]] = {
        "trades": ('{{"ts": {ms}, "px": "1.{n}", "qty": 1}}', "trades"),
        "pandas": ('{{"game_id": "g{g}", "tick": {n}, "timestamp": {ms}, "price": 1.{n}, ' + flags + "}}", "pandas"),
        "vectra": (
            '{{"event": "gameStateUpdate", "ts": {ms}, "data": {{"gameId": "g{g}", "tickCount": {n}, "price": 1.{n}, '
            + flags
            + "}}}}",
            "vectra",
        ),
        "envelope": (
            '{{"topic": "t", "data": {{"g": "g{g}", "n": {n}, "p": 1.{n}, "t": {ms}000000, "on": true, ' + off + "}}}}",
            envelope,
        ),
    }
    found = {}
    for name, (text, mapping) in forms.items():
        path = folder / f"{name}.jsonl"
        with path.open("w") as file:
            file.writelines(text.format(ms=1925089445000 + n, n=n, g=n // 500) + "\n" for n in range(ticks))
        found[name] = path, mapping
    games = [
        f'{{"gameId": "g{g}", "startTime": {1925089445000 + g}, "prices": [{", ".join(f"1.{n}" for n in range(500))}]}}'
        for g in range(max(1, ticks // 500))
    ]
    document = folder / "games.json"
    document.write_text(f'{{"games": [{", ".join(games)}]}}')
    return found | {"games": (document, "games")}


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
        packed, store = folder / "ticks.jsonl.gz", folder / "store"
        packed.write_bytes(gzip.compress(given.path.read_bytes(), 6))
        mapped = mapped_files(folder, ticks)
        seconds = alternate(
            {
                "plain": lambda: convert(given.path, store),
                "gzip -dc": lambda: gunzip(packed, folder / "out"),
                "gzip": lambda: convert(packed, store),
            }
            | {name: partial(convert, path, store, mapping) for name, (path, mapping) in mapped.items()},
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
    rows = [(name, min(taken)) for name, taken in seconds.items()]
    print_table(f"{ticks:,} {given.origin}", ["", "CPU seconds"], [*rows, (f"bomb refused:{said}", refused)])
    print_ratio("other_files gzip", Ratio.of(both, seconds["gzip"]), "gzip -dc and the plain file over ours")
    for name in mapped:
        meaning = f"ticks a second of {name} over native ones"
        print_ratio(f"other_files {name}", Ratio.of(seconds["plain"], seconds[name]), meaning)


if __name__ == "__main__":
    main()
