"""What the commands show of recordings: the live line of `record`, its events, runs, and journals left unsealed."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TextIO

from replaylab.cli.live_line import LiveLine
from replaylab.cli.tables import plain, show_pairs
from replaylab.plural import count_of
from replaylab.recording.event import RecorderEvent, RecorderEventKind

if TYPE_CHECKING:
    from replaylab.journals.reader import Recording
    from replaylab.recording.pipe import Counts
    from replaylab.recording.status import RecorderStatus
    from replaylab.storage.recovery import RecoveryReport

PRINTED_REFUSALS: Final = 100  # of each reason; the others are counted, and kept
_EVERY_SECONDS: Final = 0.25  # between two pictures of the live line
_NOT_PRINTED: Final = frozenset({RecorderEventKind.GAME_STARTED, RecorderEventKind.GAME_ENDED})
_LISTED: Final = 20


class Monitor:
    r"""Prints how a recording goes: a line for each change of state, and on a terminal a live line below them.

    An error of the stream is ignored: the recording goes on.

    Parameters
    ----------
    out : text stream
        Standard error.
    live : bool
        Whether to redraw a line four times a second, which needs a terminal.

    Examples
    --------
    >>> import io
    >>> out = io.StringIO()
    >>> Monitor(out).refused(17, 17, 1234, "not_json")
    >>> out.getvalue()
    'replaylab: line 17 (byte 1234): refused, not_json\n'
    """

    def __init__(self, out: TextIO, *, live: bool = False) -> None:
        self._out = out
        self._line = LiveLine(out) if live else None
        self._lock = threading.Lock()  # events come on the thread of the recorder
        self._shown_at = self._counted_at = time.monotonic()
        self._counted = 0
        self._rate = 0.0
        self._refusals: dict[str, int] = {}

    def say(self, text: str) -> None:
        """Print a line, above the live one."""
        shown = f"replaylab: {plain(text)}"
        with self._lock:
            if self._line is not None:
                self._line.say(shown)
                return
            with suppress(OSError, ValueError):  # the stream is closed
                self._out.write(f"{shown}\n")
                self._out.flush()

    def happened(self, event: RecorderEvent) -> None:
        """Print a change of state of the recorder; games are in the live line and in `status`."""
        if event.kind not in _NOT_PRINTED:
            details = ", ".join(f"{name} {_in_words(value)}" for name, value in event.details.items())
            self.say(f"{event.at:%H:%M:%S} {event.kind.value}" + (f": {details}" if details else ""))

    def refused(self, first: int, last: int, start: int, reason: str, detail: str = "") -> None:
        """Print where lines were refused and why; after 100 of one reason, once that there are more."""
        count = self._refusals[reason] = self._refusals.get(reason, 0) + 1
        if count <= PRINTED_REFUSALS:
            lines = f"line {first}" if first == last else f"lines {first} to {last}"
            self.say(f"{lines} (byte {start}): refused, {reason}" + (f": {detail[:200]}" if detail else ""))
        elif count == PRINTED_REFUSALS + 1:
            self.say(f"more lines are refused, {reason}; they are counted, and the end says how many")

    def show(self, status: RecorderStatus, counts: Counts) -> None:
        """Draw the live line, four times a second at most."""
        now = time.monotonic()
        if self._line is None or now - self._shown_at < _EVERY_SECONDS:
            return
        self._shown_at = now
        if now - self._counted_at >= 1:
            self._rate = (counts.accepted - self._counted) / (now - self._counted_at)
            self._counted, self._counted_at = counts.accepted, now
        with self._lock:
            self._line.show(live_line(status, counts, self._rate))

    def close(self) -> None:
        """Leave the live line as it stands."""
        with self._lock:
            if self._line is not None:
                self._line.close()
            self._line = None


def _in_words(value: object) -> str:
    """Return a detail of an event as text; of a durability its mode, and in brackets when it syncs."""
    if not isinstance(value, dict):
        return str(value)
    bounds = ", ".join(f"{number:g} {unit}" for unit, number in value.items() if unit != "mode")
    return f"{value.get('mode', '')} ({bounds})" if bounds else str(value.get("mode", ""))


def live_line(status: RecorderStatus, counts: Counts, rate: float) -> str:
    """Return the live line of a recording: its state, what is safe, how fast, and how much room there is."""
    parts = [
        f"{status.state}{'' if status.verdict == 'healthy' else f' ({status.verdict})'}",
        f"{counts.accepted:,} accepted",
        f"{status.durable_seq + 1:,} durable",
        f"{sum(counts.refused.values()):,} refused",
        f"{rate:,.0f} ticks/s",
        "disk gone" if status.free_bytes < 0 else f"{status.free_bytes / 1e9:,.1f} GB free",
        plain(status.game_id or ""),
    ]
    return " | ".join(part for part in parts if part)


def show_recorded(made: dict[str, Any]) -> None:
    """Print what a recording from a stream came to."""
    refused = ", ".join(f"{count:,} {reason}" for reason, count in sorted(made["refused"].items()))
    other = made["control"] + made["annotation"] + made["blank"]
    show_pairs(
        {
            "recorded": f"{count_of(made['ticks'], 'tick')} -> {made['path']}",
            "lines": f"{made['lines']:,} = {made['accepted']:,} ticks + {sum(made['refused'].values()):,} refused + "
            f"{other:,} control, comment or blank",
            "refused": refused,
            "no ticks": _types(made["unknown_types"]),
            "kept": f"the refused lines are in {made['refused_path']}" if made["refused_path"] else "",
            "times": f"{made['zoneless_times']:,} without a zone, read as {made['source_tz']}"
            if made["zoneless_times"]
            else "",
            "run": made["run"],
            "segments": f"{made['segments']:,} made, {count_of(made['journals_left'], 'journal')} left to seal",
            "durable": _durable(made),
        }
    )


def _durable(made: dict[str, Any]) -> str:
    """Say whether a power cut can still cost ticks; after a failure the last ones may be on no disk at all."""
    if made["durable"]:
        return "everything"
    if made["problem"]:
        return "not everything: the recording failed, and its last ticks may be on no disk that can be reached"
    return "not everything: a power cut now may lose the last ticks"


def _types(types: dict[str, int]) -> str:
    """Say how many control lines have a type that no known recorder writes."""
    listed = ", ".join(f"{name} {count:,}" for name, count in sorted(types.items(), key=lambda item: -item[1])[:5])
    return f"{count_of(sum(types.values()), 'line')} of unknown types: {listed}" if types else ""


def show_recovery(report: RecoveryReport) -> None:
    """Print what a recovery did with each journal."""
    done = [one for one in report.journals if one.problem is None]
    pairs = {"store": report.store, "sealed": f"{count_of(len(done), 'journal')}, {count_of(report.ticks, 'tick')}"}
    for one in report.journals:
        aside = f", {one.quarantined_bytes:,} bytes set aside" if one.quarantined_bytes else ""
        pairs[one.journal] = f"{one.state}, " + (one.problem or f"{count_of(one.ticks, 'tick')}{aside}")
    show_pairs(pairs)


def show_recordings(recordings: Sequence[Recording]) -> None:
    """Print the runs that were recorded into a store: how they ended, what they hold, and what a power cut may cost."""
    if not recordings:
        return
    found = runs_of(recordings)
    pairs = {"recordings": f"{count_of(len(found), 'run')}, {count_of(sum(one['ticks'] for one in found), 'tick')}"}
    for one in found[-_LISTED:]:
        left = f", {count_of(one['open'], 'journal')} not yet sealed" if one["open"] else ""
        pairs[f"  {one['run']}"] = f"{one['state']}, {count_of(one['ticks'], 'tick')}{left}; {bound(one['durability'])}"
    if len(found) > _LISTED:
        pairs["  earlier runs"] = f"{len(found) - _LISTED:,} more; --json lists all"
    show_pairs(pairs)


def show_unsealed(left: Sequence[dict[str, Any]]) -> None:
    """Print which journals are not yet sealed: being written, or left behind."""
    ticks = sum(one["ticks"] for one in left)
    if left:
        show_pairs(
            {
                "unsealed": f"{count_of(len(left), 'journal')}, {count_of(ticks, 'tick')}; a recorder seals its own, "
                "`replaylab recover` the others",
                **{f"  {one['journal']}": f"{count_of(one['ticks'], 'tick')}" for one in left[-_LISTED:]},
            }
        )


def unsealed(recordings: Sequence[Recording]) -> list[dict[str, Any]]:
    """Return the journals that are not yet sealed: `journal`, `ticks` and `quarantined_bytes` of each."""
    return [
        {"journal": one.journal, "ticks": one.ticks, "quarantined_bytes": one.quarantined_bytes}
        for one in recordings
        if one.state == "open"
    ]


def runs_of(recordings: Sequence[Recording]) -> list[dict[str, Any]]:
    """Return one entry for each run: the worst state of its journals, its ticks, and how many are not yet sealed.

    Examples
    --------
    >>> from replaylab.journals.reader import Recording
    >>> one = Recording("r-000000.journal", "r", 0, "clean", 7, 0, 6, {"mode": "tick"}, 0)
    >>> two = Recording("r-000001.journal", "r", 1, "open", 2, 7, 8, {"mode": "tick"}, 0)
    >>> found = runs_of([one, two])[0]
    >>> found["state"], found["ticks"], found["open"]
    ('open', 9, 1)
    """
    worst = ("clean", "recovered", "quarantined", "open")
    runs: dict[str, list[Recording]] = {}
    for one in recordings:
        runs.setdefault(one.run, []).append(one)
    return [
        {
            "run": run,
            "state": max((part.state for part in parts), key=worst.index),
            "ticks": sum(part.ticks for part in parts),
            "journals": len(parts),
            "open": sum(part.state == "open" for part in parts),
            "durability": parts[-1].durability,
            "quarantined_bytes": sum(part.quarantined_bytes for part in parts),
        }
        for run, parts in sorted(runs.items())
    ]


def bound(durability: dict[str, Any]) -> str:
    """Say what a power cut may cost; a process that is killed loses no acknowledged tick in any case.

    Examples
    --------
    >>> bound({"mode": "tick"})
    'synced before each tick is acknowledged: a power cut costs none'
    """
    match durability.get("mode"):
        case "tick":
            return "synced before each tick is acknowledged: a power cut costs none"
        case "group":
            return (
                f"synced after {count_of(durability['ticks'], 'tick')} or {durability['seconds']:g} s: a power cut "
                "costs what came since, a killed process nothing"
            )
        case "none":
            return "synced when a journal ends: a power cut may cost what was not sealed"
    return "it does not say when it was synced"
