"""Encryption: what an encrypted store costs against the same one in plain, taking turns: CPU, bytes, and rotation.

The claims: conversion at most 1.10 times the CPU, reading every row at most 1.20 times, segments at most 1.02 times the
size, `record` at most 1.5 times and `record_many` at most 1.9 times the CPU of the caller, `replaylab record` behind a
pipe at most 1.5 times the CPU of its process, from its start to the segment; the master key of a store of
1,000 segments is rotated in a second, and no segment changes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import replaylab as rl
from benchmarks.conversion.size import disk_bytes
from benchmarks.material import folder_of_recordings
from benchmarks.measure import Ratio, alternate, arguments, print_ratio, print_table, workshop
from benchmarks.recording.record import settings, ticks
from replaylab.encryption.kms import FileKey
from replaylab.tick import Tick

BATCH = 100
TIMES = 20  # that all is read in a round: once takes milliseconds


def converted(files: list[Path], store: Path, key: FileKey | None) -> None:
    """Convert into a new store."""
    shutil.rmtree(store, ignore_errors=True)
    rl.convert(files, store, kms=key, progress=False, workers=1)


def recorded(store: Path, given: list[Tick], key: FileKey | None, size: int) -> float:
    """Record ticks one by one, or a hundred at a time; return the CPU seconds of the thread that records."""
    shutil.rmtree(store, ignore_errors=True)
    with rl.Recorder(store, kms=key, settings=settings()) as recorder:
        begin = time.thread_time()
        if size == 1:
            for tick in given:
                recorder.record(tick)
        else:
            for first in range(0, len(given), size):
                recorder.record_many(given[first : first + size])
        return time.thread_time() - begin


def recording_ratio(folder: Path, given: list[Tick], key: FileKey, size: int, rounds: int) -> Ratio:
    """Return the CPU of recording encrypted over that in plain."""
    plain, vault = [], []
    for number in range(rounds + 1):
        seconds = [recorded(folder / "recorded", given, one, size) for one in (None, key)]
        if number:
            plain.append(seconds[0])
            vault.append(seconds[1])
    return Ratio.of(vault, plain)


def piped(source: Path, store: Path, key: FileKey | None) -> float:
    """Record lines from a pipe by the command; return the CPU seconds of its process."""
    shutil.rmtree(store, ignore_errors=True)
    command = [Path(sys.executable).with_name("replaylab"), "record", store, "--no-progress"]
    command += ["--key-file", key.path] if key else []
    with subprocess.Popen(["/bin/cat", source], stdout=subprocess.PIPE) as cat:
        child = subprocess.Popen(command, stdin=cat.stdout, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"replaylab record ended with {child.returncode}")
    return used.ru_utime + used.ru_stime


def piping_ratio(folder: Path, ticks_given: list[Tick], times: int, key: FileKey, rounds: int) -> Ratio:
    """Return the CPU of recording from a pipe encrypted over that in plain."""
    source = folder / "ticks.jsonl"
    with source.open("wb") as file:
        for _ in range(times):
            file.writelines(tick.to_line() + b"\n" for tick in ticks_given)
    seconds = [[piped(source, folder / "piped", one) for one in (None, key)] for _ in range(rounds)]
    return Ratio.of([one[1] for one in seconds], [one[0] for one in seconds])


def rotation(folder: Path, key: FileKey, segments: int) -> tuple[float, bool]:
    """Rotate the key of a store of many segments; return the seconds, and whether every segment stayed as it was."""
    store = folder / "many"
    rl.simulate(folder / "one", games=1, seed=1)
    rl.convert(folder / "one", store, kms=key, progress=False)
    (first,) = (store / "segments").iterdir()
    for number in range(segments - 1):
        shutil.copy(first, store / "segments" / f"sealed_{number:032x}_{first.name.split('_', 2)[2]}")
    before = digests(store)
    begin = time.perf_counter()
    rl.rotate(store, key, FileKey(folder / "next.key", create=True))
    seconds = time.perf_counter() - begin
    return seconds, digests(store) == before


def digests(store: Path) -> dict[str, str]:
    """Return the SHA-256 of every segment."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (store / "segments").iterdir()}


def main() -> None:
    """Convert, read, record, rotate, and print."""
    options = arguments(__doc__)
    with workshop() as folder:
        source, origin = folder_of_recordings(folder, options.recordings, games=100)
        files = sorted(source.glob("*.jsonl"))[: 10 if options.quick else 300]
        key = FileKey(folder / "master.key", create=True)
        stores = {"plain": (folder / "plain", None), "encrypted": (folder / "vault", key)}
        converting: dict[str, Callable[[], object]] = {
            name: lambda store=store, one=one: converted(files, store, one) for name, (store, one) in stores.items()
        }
        seconds = alternate(converting, options.rounds * 3, clock=time.process_time)
        opened = {name: rl.open_store(store, kms=one) for name, (store, one) in stores.items()}
        reading: dict[str, Callable[[], object]] = {
            name: lambda store=store: [segment.read() for _ in range(TIMES) for segment in store.segments()]
            for name, store in opened.items()
        }
        read = alternate(reading, options.rounds * 3, clock=time.process_time)
        sizes = {name: disk_bytes(store / "segments") for name, (store, _) in stores.items()}
        given = ticks(1_000 if options.quick else 100_000)
        single = recording_ratio(folder, given, key, 1, options.rounds)
        many = recording_ratio(folder, given, key, BATCH, options.rounds)
        pipe = piping_ratio(folder, given, 1 if options.quick else 5, key, options.rounds)
        rotated, same = rotation(folder, key, 20 if options.quick else 1_000)
    rows = [(name, median(seconds[name]), median(read[name]) / TIMES, sizes[name]) for name in stores]
    print_table(f"{len(files)} recordings, {origin}", ["", "convert, s", "read all, s", "bytes of segments"], rows)
    print_ratio(
        "encryption: convert",
        Ratio.of(seconds["encrypted"], seconds["plain"]),
        "CPU over plain; at most 1.10",
    )
    print_ratio("encryption: read", Ratio.of(read["encrypted"], read["plain"]), "CPU over plain; at most 1.20")
    print_ratio("encryption: size", sizes["encrypted"] / sizes["plain"], "bytes over plain; at most 1.02")
    print_ratio("encryption: record", single, "CPU of the caller, encrypted over plain; at most 1.5")
    print_ratio("encryption: record_many", many, "CPU of the caller, encrypted over plain; at most 1.9")
    print_ratio("encryption: pipe", pipe, "CPU of `replaylab record`, encrypted over plain; at most 1.5")
    print_ratio("encryption: rotate", rotated, f"seconds, at most 1; segments {'unchanged' if same else 'CHANGED'}")


if __name__ == "__main__":
    main()
