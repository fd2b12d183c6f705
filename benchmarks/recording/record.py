"""Record: durable ticks a second against JSON lines with a buffer; what one call, a day, a recovery and idling cost.

The claims: at least 150,000 durable ticks a second from one thread, at least 1.5 times the usual way with the same sync
policy (100 ticks), and twice that which writes each line at once and so loses as little to a kill; `record` at most
3 us in the middle and 30 us in 99 of 100; a day of one feed in flat memory; a million ticks of a dead recorder
recovered in 5 s; one feed of 4 ticks/s in 0.5 % of a core.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median

import replaylab as rl
from benchmarks.measure import Ratio, alternate, arguments, print_ratio, print_table, workshop
from replaylab.journals.encoder import Encoder
from replaylab.journals.format import Header, journal_name
from replaylab.settings import Settings
from replaylab.tick import Tick

RUN = "20310102T030405000000Z-0123456789ab-7"
GAME_TICKS = 250


def ticks(count: int) -> list[Tick]:
    """Ticks of games, four a second, with prices of 17 digits."""
    start = datetime(2031, 1, 2, tzinfo=UTC)
    return [
        Tick(
            game_id=f"20310102-{number // GAME_TICKS:016x}",
            tick=number % GAME_TICKS,
            timestamp=start + timedelta(milliseconds=250 * number),
            price=Decimal(10**16 + number * 7919).scaleb(-16),
            phase="ACTIVE_GAMEPLAY",
            active=True,
            trade_count=number % GAME_TICKS,
        )
        for number in range(count)
    ]


def settings() -> Settings:
    """The numbers of a recorder, whatever is free on this disk."""
    return Settings(min_free_start_bytes=0, min_free_bytes=0)


def record_one_by_one(folder: Path, given: list[Tick]) -> float:
    """Record ticks one by one; the seconds until all of them are durable."""
    with rl.Recorder(folder, settings=settings()) as recorder:
        record = recorder.record
        begin = time.perf_counter()
        for tick in given:
            record(tick)
        recorder.flush()
        return time.perf_counter() - begin


def record_in_batches(folder: Path, given: list[Tick]) -> float:
    """Record ticks a hundred at a time."""
    with rl.Recorder(folder, settings=settings()) as recorder:
        begin = time.perf_counter()
        for first in range(0, len(given), 100):
            recorder.record_many(given[first : first + 100])
        recorder.flush()
        return time.perf_counter() - begin


def usual_line(tick: Tick) -> str:
    """A tick as a line of JSON, as it is usually written."""
    row = {
        "type": "tick",
        "timestamp": tick.timestamp.isoformat(),
        "game_id": tick.game_id,
        "tick": tick.tick,
        "price": str(tick.price),
        "phase": tick.phase,
        "active": tick.active,
        "rugged": tick.rugged,
        "cooldown_timer": tick.cooldown_timer,
        "trade_count": tick.trade_count,
    }
    return json.dumps(row)


def usual_way(folder: Path, given: list[Tick]) -> float:
    """JSON lines, a buffer of a hundred, then write, flush, fsync: on the thread that records; a kill loses it."""
    folder.mkdir(parents=True, exist_ok=True)
    buffer: list[str] = []
    begin = time.perf_counter()
    with (folder / "recording.jsonl").open("w", encoding="utf-8") as file:
        for number, tick in enumerate(given):
            buffer.append(usual_line(tick))
            if len(buffer) == 100 or number == len(given) - 1:
                file.write("\n".join(buffer) + "\n")
                file.flush()
                os.fsync(file.fileno())
                buffer.clear()
    return time.perf_counter() - begin


def written_at_once(folder: Path, given: list[Tick]) -> float:
    """JSON lines, each with the operating system before the next, which a kill does not lose; fsync after a hundred."""
    folder.mkdir(parents=True, exist_ok=True)
    begin = time.perf_counter()
    with (folder / "recording.jsonl").open("w", encoding="utf-8") as file:
        for number, tick in enumerate(given):
            file.write(usual_line(tick) + "\n")
            file.flush()
            if number % 100 == 99 or number == len(given) - 1:
                os.fsync(file.fileno())
    return time.perf_counter() - begin


def rates(folder: Path, given: list[Tick], rounds: int) -> None:
    """Durable ticks a second, in turn."""
    works = {
        "one by one": record_one_by_one,
        "a hundred at a time": record_in_batches,
        "usual way": usual_way,
        "usual way, each line written": written_at_once,
    }
    took: dict[str, list[float]] = {name: [] for name in works}

    def run(name: str, work: Callable[[Path, list[Tick]], float]) -> Callable[[], None]:
        def once() -> None:
            took[name].append(work(folder / "rates", given))
            shutil.rmtree(folder / "rates")

        return once

    alternate({name: run(name, work) for name, work in works.items()}, rounds)
    ours = {name: seconds[-rounds:] for name, seconds in took.items()}  # those before warm up
    print_table(
        "durable ticks a second, a sync after 100",
        ("way", "ticks/s"),
        [(name, len(given) / median(seconds)) for name, seconds in ours.items()],
    )
    print_ratio("record one by one", Ratio.of(ours["usual way"], ours["one by one"]), "times the usual way; claim: 1.5")
    written = Ratio.of(ours["usual way, each line written"], ours["one by one"])
    print_ratio(
        "record one by one, each line written", written, "times a loop that loses as little to a kill; claim: 2"
    )
    batches = Ratio.of(ours["usual way"], ours["a hundred at a time"])
    print_ratio("record a hundred at a time", batches, "times the usual way")
    print_ratio("record rate", len(given) / median(ours["one by one"]) / 150_000, "of the 150,000 ticks/s claimed")


def bare_writes(folder: Path, given: list[Tick]) -> None:
    """How long the operating system takes for one line, with nothing else."""
    encoder = Encoder(RUN)
    lines = [encoder.line(tick, seq) for seq, tick in enumerate(given)]
    took = [0] * len(lines)
    clock, write = time.perf_counter_ns, os.write
    with (folder / "bare").open("wb") as file:
        gc.disable()
        for number, line in enumerate(lines):
            begin = clock()
            write(file.fileno(), line)
            took[number] = clock() - begin
        gc.enable()
    took.sort()
    table = [(name, took[int(len(took) * share)] / 1000) for name, share in (("p50", 0.5), ("p99", 0.99))]
    print_table("one write of a line, nothing else, us", ("", "us"), table)


def calls(folder: Path, given: list[Tick]) -> None:
    """How long one call takes at full speed."""
    took = [0] * len(given)
    clock = time.perf_counter_ns
    with rl.Recorder(folder / "calls", settings=settings()) as recorder:
        record = recorder.record
        gc.disable()
        for number, tick in enumerate(given):
            begin = clock()
            record(tick)
            took[number] = clock() - begin
        gc.enable()
    took.sort()
    shown = [
        (name, took[int(len(took) * share)] / 1000) for name, share in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))
    ]
    print_table("one call of record at full speed, us", ("", "us"), [*shown, ("longest", took[-1] / 1000)])
    print_ratio("record p50", shown[0][1] / 3, "of the 3 us claimed")
    print_ratio("record p99", shown[1][1] / 30, "of the 30 us claimed")
    shutil.rmtree(folder / "calls")


def a_day(folder: Path, count: int) -> None:
    """A day of one feed as fast as possible: resident memory, threads and handles after each quarter."""
    quarter = ticks(count // 4)
    table = []
    with rl.Recorder(folder / "day", settings=settings()) as recorder:
        for number in range(4):
            for tick in quarter:
                recorder.record(tick)
            recorder.flush()
            table.append((f"after {number + 1} of 4", resident() / 2**20, threading.active_count(), handles()))
    report = recorder.stop()
    print_table(f"a day of one feed, {report.ticks:,} ticks", ("", "resident MiB", "threads", "handles"), table)
    print_ratio("record memory of a day", table[-1][1] / table[1][1], "resident at the end to half-way; claim: flat")
    files = sum(1 for path in (folder / "day").rglob("*") if path.is_file() and path.name != ".lock")
    print_ratio("record files of a day", float(files), f"files left by {report.ticks:,} ticks")
    shutil.rmtree(folder / "day")


def recovery(folder: Path, count: int) -> None:
    """The journal of a dead recorder is sealed by opening the store."""
    encoder = Encoder(RUN)
    for name in ("segments", "remarks", "journals"):
        (folder / "dead" / name).mkdir(parents=True)
    with (folder / "dead" / "journals" / journal_name(RUN, 0)).open("wb") as file:
        file.write(Header(RUN, 0, 0).to_line())
        for seq, tick in enumerate(ticks(count)):
            file.write(encoder.line(tick, seq))
    begin = time.perf_counter()
    rows = rl.open_store(folder / "dead").rows
    seconds = time.perf_counter() - begin
    assert rows == count
    print_ratio(
        "record recovery", seconds / (5 * count / 1e6), f"of 5 s a million ticks; {rows:,} ticks in {seconds:.2f} s"
    )
    shutil.rmtree(folder / "dead")


def idling(folder: Path, seconds: float) -> None:
    """The share of a core that one feed of 4 ticks/s takes."""
    given = ticks(int(seconds * 4))
    with rl.Recorder(folder / "idle", settings=settings()) as recorder:
        begin, busy = time.monotonic(), time.process_time()
        for number, tick in enumerate(given):
            time.sleep(max(0.0, begin + number / 4 - time.monotonic()))
            recorder.record(tick)
        share = (time.process_time() - busy) / (time.monotonic() - begin)
    print_ratio("record idle", share / 0.005, f"of the 0.5 % of a core claimed; {share:.3%}")
    shutil.rmtree(folder / "idle")


def resident() -> int:
    """Resident bytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def handles() -> int:
    """Open files of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def main() -> None:
    """Run it."""
    options = arguments(__doc__, ticks=100_000, day=345_600, dead=1_000_000, idle=30.0)
    many = 1_000 if options.quick else options.ticks
    with workshop() as folder:
        given = ticks(many)
        rates(folder, given, options.rounds)
        bare_writes(folder, given)
        calls(folder, given)
        a_day(folder, 2_000 if options.quick else options.day)
        recovery(folder, 2_000 if options.quick else options.dead)
        idling(folder, 1.0 if options.quick else options.idle)


if __name__ == "__main__":
    main()
