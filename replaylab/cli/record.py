"""Commands on recordings that are being made: record a stream, and seal what recorders have left behind."""

from __future__ import annotations

import json as jsonlib
import os
import select
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final, Self, cast

import typer

from replaylab.cli.exit_codes import INTERRUPTED, PROBLEM, complain, finish
from replaylab.cli.options import AsJson, NoProgress, StorePath
from replaylab.durable import OPENED, of_user
from replaylab.errors import SettingsError, SourceNotFound, SourceUnreadable
from replaylab.plural import count_of

if TYPE_CHECKING:
    from replaylab.cli.record_status import Monitor
    from replaylab.recording.pipe import Pipe
    from replaylab.recording.recorder import Recorder
    from replaylab.settings import Settings

_READ_BYTES: Final = 1 << 20
_LOOK_SECONDS: Final = 0.25  # in silence, between two looks at what the recorder does
_PATIENCE_SECONDS: Final = 0.5  # for a sync, before a signal is listened for and the ticks are offered again
_ACK_SECONDS: Final = 0.05  # the same, while a receipt is due for ticks that are not durable yet


def record(  # noqa: PLR0913 the options of the command
    store: Annotated[str, typer.Argument(metavar="STORE", help="Folder of the store, made when it is not there.")],
    *,
    source: Annotated[
        str | None, typer.Option("--from", metavar="FILE", help="Read this file or named pipe, not standard input.")
    ] = None,
    feed: Annotated[
        list[str] | None,
        typer.Option(metavar="URL", help="Record this live feed; may be repeated."),
    ] = None,
    trades: Annotated[bool, typer.Option("--trades", help="With --feed: keep trades, without who made them.")] = False,
    ca: Annotated[
        str | None, typer.Option(metavar="FILE", help="With --feed: certificates (PEM) to trust beside the system's.")
    ] = None,
    durability: Annotated[
        str, typer.Option(metavar="MODE", help="group, tick or none: when ticks are synced.")
    ] = "group",
    buffer: Annotated[int | None, typer.Option(metavar="N", help="Ticks between two syncs; 100 unless set.")] = None,
    seconds: Annotated[
        float | None, typer.Option(metavar="S", help="Longest time between two syncs; 10 unless set.")
    ] = None,
    overflow: Annotated[
        str,
        typer.Option(
            metavar="MODE", help="When ticks cannot be written yet: block makes the writer wait, refuse counts them."
        ),
    ] = "block",
    source_tz: Annotated[
        str | None, typer.Option(metavar="ZONE", help="Zone of times that carry none; UTC unless set.")
    ] = None,
    ack: Annotated[bool, typer.Option("--ack", help="Print a receipt as a line of JSON for each batch read.")] = False,
    alert: Annotated[
        list[str] | None,
        typer.Option(
            metavar="URL",
            help="Send each change of state there within a second, signed by REPLAYLAB_ALERT_SECRET; may be repeated.",
        ),
    ] = None,
    no_progress: NoProgress = False,
    json: AsJson = False,
) -> None:
    """Record ticks from standard input, or live feeds with --feed (token in REPLAYLAB_TOKEN).

    One tick a line, in any form that convert reads. A line that is not one is refused: it is named, counted and kept,
    and the recording goes on. Ends with the input, or at Ctrl-C or SIGTERM, with all that was acknowledged on disk.
    """
    from replaylab.cli.feeds import record_feeds, webhooks

    alerts = webhooks(alert or [])
    if feed:
        token = os.environ.get("REPLAYLAB_TOKEN") or None
        record_feeds(store, feed, show=not no_progress, token=token, trades=trades, ca=ca, alerts=alerts)
        return
    from replaylab.cli.record_status import Monitor, show_recorded
    from replaylab.cli.tables import show_json
    from replaylab.recording.recorder import Recorder
    from replaylab.settings import checked_choice

    settings = _settings(buffer, seconds, source_tz)
    checked_choice("durability", durability, ("group", "tick", "none"))
    checked_choice("overflow", overflow, ("block", "refuse"))
    live = sys.stderr.isatty() and not no_progress
    monitor = Monitor(sys.stderr, live=live)
    with _opened(source) as descriptor, _Stop() as stop:
        recorder = Recorder(
            store,
            durability=cast("Any", durability),
            overflow=cast("Any", overflow),
            overflow_seconds=_PATIENCE_SECONDS,
            on_event=monitor.happened,
            alerts=alerts,
            settings=settings,
        )
        made = _run(recorder, descriptor, stop, monitor, settings, waits=overflow == "block", ack=ack)
        made["input_problem"] = _input_problem(made, source)
    if json:
        print(jsonlib.dumps({"report": made}), flush=True) if ack else show_json(made)  # noqa: T201 with --ack, a line
    elif ack:
        complain(
            f"{count_of(made['ticks'], 'tick')} recorded in {made['path']}, {sum(made['refused'].values()):,} refused"
        )
    else:
        show_recorded(made)
    refused = sum(made["refused"].values())
    problems = [made["problem"]] if made["problem"] else []
    problems += [made["input_problem"]] if made["input_problem"] else []
    problems += [f"{count_of(refused, 'line')} refused"] if refused else []
    if made["unknown_types"] and not made["ticks"]:
        count = sum(made["unknown_types"].values())
        problems.append(f"no line was a tick: {count_of(count, 'line')} of types that no known recorder writes")
    if stop.signal:
        complain(*problems, f"interrupted by {signal.Signals(stop.signal).name}")
        raise typer.Exit(INTERRUPTED)
    finish(*problems)


def recover(store: StorePath, *, no_progress: NoProgress = False, json: AsJson = False) -> None:
    """Seal the journals that dead recorders have left.

    Those that a recorder is writing stay as they are. May be run at any time, and again; opening a store does the same.
    """
    from replaylab.cli.record_status import show_recovery
    from replaylab.cli.tables import show_json
    from replaylab.storage.recovery import recover as library_recover

    report = library_recover(store, progress=not no_progress and sys.stderr.isatty())
    show_json(report, ok=report.ok, ticks=report.ticks) if json else show_recovery(report)
    if not report.ok:
        complain("some journals could not be sealed, though no recorder is writing them; the reasons are above")
        raise typer.Exit(PROBLEM)


def _settings(buffer: int | None, seconds: float | None, source_tz: str | None) -> Settings:
    from replaylab.settings import current

    given = {"buffer_ticks": buffer, "sync_seconds": seconds, "source_tz": source_tz}
    asked: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if buffer is not None and buffer > current().max_unsynced_ticks:
        raise SettingsError(
            f"1 setting is out of bounds\n- --buffer {buffer}: above max_unsynced_ticks={current().max_unsynced_ticks}"
        )
    return current().changed(**asked) if asked else current()


@contextmanager
def _opened(source: str | None) -> Iterator[int]:
    """Yield the descriptor to read from; a file is opened before a store is made."""
    if source is None:
        if sys.stdin is None:
            raise SourceNotFound("standard input is closed; pipe ticks into it, or name a file with --from")
        yield sys.stdin.fileno()
        return
    file = of_user(source)
    try:
        descriptor = os.open(file, os.O_RDONLY | OPENED)
    except FileNotFoundError:
        raise SourceNotFound(f"{source}: no such file; leave out --from to read standard input") from None
    except PermissionError:
        raise SourceUnreadable(f"{source}: no permission to read it") from None
    try:
        if os.path.isdir(source):  # noqa: PTH112 the name as it was given
            raise SourceUnreadable(f"{source}: a folder; record reads one file, `replaylab convert` reads folders")
        yield descriptor
    finally:
        os.close(descriptor)


class _Stop:
    """Catches the first SIGINT or SIGTERM; a second one ends the process in the usual way."""

    def __init__(self) -> None:
        self.signal = 0
        self._before: dict[int, Any] = {}
        self.awake, self._alarm = os.pipe()

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()
        os.close(self.awake)
        os.close(self._alarm)

    def _hear(self, number: int, _frame: object) -> None:
        self.signal = number
        os.write(self._alarm, b"!")
        self._restore()

    def _restore(self) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)

    def wait(self, seconds: float) -> bool:
        """Wait; return False when a signal has come."""
        return not select.select([self.awake], [], [], seconds)[0]


def _run(
    recorder: Recorder, descriptor: int, stop: _Stop, monitor: Monitor, settings: Settings, *, waits: bool, ack: bool
) -> dict[str, Any]:
    """Record until the stream or the recorder ends, or a signal comes; return the report."""
    from replaylab.parsing.line_reader import LineReader
    from replaylab.recording.pipe import Pipe
    from replaylab.recording.refusals import Refusals
    from replaylab.recording.tick_block import tick_blocks

    reader, refusals = LineReader(settings.source_tz), Refusals(recorder.path, recorder.run, recorder.keys)

    def wait(seconds: float) -> bool:
        monitor.show(recorder.status(), pipe.counts)
        return waits and stop.wait(seconds)

    most, blocks = settings.max_unsynced_ticks, tick_blocks(settings.source_tz)
    pipe = Pipe(recorder, reader, refusals, monitor.refused, wait, most, blocks)
    receipts = _Receipts(recorder, pipe, monitor) if ack else None
    try:
        if descriptor == 0 and os.isatty(0):
            monitor.say("reading ticks from the terminal, one a line; Ctrl-D ends")
        input_error = _read(recorder, descriptor, stop, monitor, pipe, receipts)
        pipe.finish()
    finally:
        report = recorder.stop()
        refusals.close()
        monitor.close()
    if receipts is not None:
        receipts.print_new()
    if refusals.last_error:
        monitor.say(f"refused lines could not all be kept: {refusals.last_error}")
    made = asdict(report) | asdict(pipe.counts)
    bytes_in = made.pop("bytes")
    return made | {
        "path": str(report.path),
        "refused": dict(pipe.counts.refused),
        "unknown_types": dict(pipe.counts.unknown_types),
        "journal_bytes": report.bytes,
        "bytes": bytes_in,
        "refused_path": str(refusals.path) if refusals.kept else None,
        "refused_kept": refusals.kept,
        "zoneless_times": reader.zoneless_times,
        "source_tz": settings.source_tz,
        "durability": recorder.status().durability,
        "interrupted": bool(stop.signal),
        "input_problem": input_error,
    }


def _input_problem(made: dict[str, Any], source: str | None) -> str | None:
    """Return that the input could not be read to its end, in a sentence; None when it could."""
    if made["input_problem"] is None:
        return None
    place = "standard input" if source is None else source
    return (
        f"{place} cannot be read beyond byte {made['bytes']:,} ({made['input_problem']}); what comes before is recorded"
    )


def _read(
    recorder: Recorder, descriptor: int, stop: _Stop, monitor: Monitor, pipe: Pipe, receipts: _Receipts | None
) -> str | None:
    """Hand over what comes as it comes: a slow writer is answered at once, a fast one in large pieces.

    Return why the input could not be read to its end; None when it was.
    """
    while not stop.signal and not pipe.over:
        quiet = _ACK_SECONDS if receipts is not None and receipts.waiting else _LOOK_SECONDS
        ready = select.select([descriptor, stop.awake], [], [], quiet)[0]
        if descriptor in ready:
            try:
                data = os.read(descriptor, _READ_BYTES)
            except BlockingIOError:  # a writer that has left its end of a terminal so
                time.sleep(_ACK_SECONDS)
                continue
            except OSError as error:  # a failing disk, or a terminal that hung up
                return error.strerror or str(error)
            if not data:
                return None
            pipe.feed(data)
        if receipts is not None:
            receipts.print_new()
        monitor.show(recorder.status(), pipe.counts)
    return None


class _Receipts:
    """Prints receipts: how many ticks are accepted and how many durable, a line for each change."""

    def __init__(self, recorder: Recorder, pipe: Pipe, monitor: Monitor) -> None:
        self._recorder, self._pipe, self._monitor = recorder, pipe, monitor
        self._last: tuple[int, int, int] | None = None
        self._heard = True

    @property
    def waiting(self) -> bool:
        """Whether the last receipt named ticks that were accepted and not yet durable."""
        return self._heard and self._last is not None and self._last[1] > self._last[2]

    def print_new(self) -> None:
        """Print a receipt when a count has changed since the last one."""
        status, counts = self._recorder.status(), self._pipe.counts
        new = counts.lines, status.seq, status.durable_seq
        if not self._heard or new == self._last:
            return
        self._last = new
        receipt = {"lines": new[0], "accepted": counts.accepted, "refused": sum(counts.refused.values())}
        try:
            print(jsonlib.dumps(receipt | {"seq": new[1], "durable_seq": new[2]}), flush=True)  # noqa: T201 the answer
        except OSError as error:  # the reader is gone; what comes is recorded all the same
            self._heard = False
            self._monitor.say(f"receipts are no longer read ({error.strerror})")
