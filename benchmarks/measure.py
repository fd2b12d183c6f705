"""Measure: runs in turn, the memory of a child with all its own, and tables and ratio lines of what came out."""

from __future__ import annotations

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
RECORDINGS = ROOT.parent / "shared" / "recordings"
SAMPLE_SECONDS = 0.02


def arguments(about: str | None, **more: object) -> argparse.Namespace:
    """The options that every script takes; `more` are numbers with their defaults."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--quick", action="store_true", help="tiny input and few rounds: shows that it runs, no figures"
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds in which all take their turn (default 5)")
    parser.add_argument("--recordings", type=Path, default=RECORDINGS, help="folder of real recordings")
    for name, default in more.items():
        parser.add_argument(f"--{name}", type=type(default), default=default, help=f"default {default}")
    found = parser.parse_args()
    found.rounds = 1 if found.quick else found.rounds
    return found


@contextmanager
def workshop() -> Iterator[Path]:
    """A folder for everything that a script makes; gone when it ends."""
    with tempfile.TemporaryDirectory(prefix="replaylab-bench-") as folder:
        yield Path(folder)


Run = Callable[[], object]


def alternate(
    runs: Mapping[str, Run],
    rounds: int,
    prepare: Run | Mapping[str, Run] | None = None,
    warmups: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of runs that take turns: A B C A B C; first rounds that warm up are not counted. By default wall time.

    What prepares a run is not counted: the same for all, or one by the name of the run.
    A single round, as `--quick` asks for, shows that it runs: nothing warms up for it.
    """
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    warmups = min(warmups, rounds - 1)
    for number in range(warmups + rounds):
        for name, run in runs.items():
            before = prepare.get(name) if isinstance(prepare, Mapping) else prepare
            if before is not None:
                before()
            begin = clock()
            run()
            if number >= warmups:
                seconds[name].append(clock() - begin)
    return seconds


@dataclass(frozen=True, slots=True)
class Ratio:
    """The ratios of pairs taken in the same rounds: their median, least and greatest."""

    median: float
    least: float
    greatest: float
    pairs: int

    @classmethod
    def of(cls, above: Sequence[float], below: Sequence[float]) -> Ratio:
        """Divide pair by pair.

        Examples
        --------
        >>> Ratio.of([2.0, 3.0, 8.0], [1.0, 1.0, 2.0]).median
        3.0
        """
        pairs = [a / b for a, b in zip(above, below, strict=True)]
        return cls(statistics.median(pairs), min(pairs), max(pairs), len(pairs))


def print_ratio(what: str, ratio: Ratio | float, meaning: str) -> None:
    """Print the line that a script is about."""
    if isinstance(ratio, Ratio):
        spread = f"; median of {ratio.pairs}, {ratio.least:.2f} to {ratio.greatest:.2f}"
        ratio, meaning = ratio.median, meaning + spread
    print(f"ratio {what}: {ratio:.3f} ({meaning})", flush=True)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table; the first column is text, the others stand to the right."""
    table = Table(title=title, title_justify="left")
    for number, name in enumerate(columns):
        table.add_column(name, justify="left" if number == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(shown(value) for value in row))
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def shown(value: object) -> str:
    """A value for a table: thousands apart, three digits of a fraction, a dash for what is not known."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return (
        f"{value:,.3g}"
        if isinstance(value, float) and abs(value) < 1000
        else f"{value:,.0f}"
        if isinstance(value, float)
        else str(value)
    )


@dataclass(frozen=True, slots=True)
class Child:
    """A finished child: wall seconds, and the peaks of resident memory of all its processes, summed."""

    seconds: float
    peak_bytes: int
    processes: int


def run_child(*command: str) -> Child:
    """Run a Python child; the memory is the sum of every process's own high-water mark, so it cannot be too low.

    Raises
    ------
    RuntimeError
        When it fails.
    """
    peaks: dict[int, int] = {}
    begin = time.perf_counter()
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as process:
        while process.poll() is None:
            for pid in _family(process.pid):
                peaks[pid] = max(peaks.get(pid, 0), _high_water(pid))
            time.sleep(SAMPLE_SECONDS)
        seconds = time.perf_counter() - begin
        said = process.stdout.read().decode() if process.stdout else ""
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}: {said[-2000:]}")
    return Child(seconds, sum(peaks.values()), len(peaks))


def _family(pid: int) -> list[int]:
    """A process and all that came of it."""
    found = [pid]
    for parent in found:
        for tasks in Path("/proc", str(parent), "task").glob("*/children"):
            found.extend(int(child) for child in _text(tasks).split())
    return found


def _high_water(pid: int) -> int:
    """Peak resident bytes of a process so far; 0 when it has ended."""
    for line in _text(Path("/proc", str(pid), "status")).splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):  # it has just ended
        return ""


def cpu_seconds(*command: str) -> float:
    """User and system seconds of one Python child, as the operating system accounts for it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def process_seconds(pid: int) -> float:
    """User and system seconds so far of a process that runs, to the nanosecond: psutil knows them to 10 ms only.

    Examples
    --------
    >>> import os, time
    >>> time.process_time() <= process_seconds(os.getpid()) <= time.process_time()
    True
    """
    return time.clock_gettime(~pid << 3 | 2)  # CPUCLOCK_SCHED of a process, as clock_getcpuclockid(3) makes it
