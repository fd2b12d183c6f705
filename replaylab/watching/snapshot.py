"""Snapshot: what a recorder says of itself once a second, in `STORE/status/RUN.json`, for other processes to read.

A file is renamed into place, so a reader sees a whole one. It is not synced: it is about this moment, and a power cut
may cost it. Whether its recorder is alive follows from the lock of its journal, never from the file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Self, TypeAlias

from replaylab.durable import put_in_place, remove, written_aside
from replaylab.encryption.envelope import closed, opened
from replaylab.encryption.keys import StoreKeys
from replaylab.errors import ReplayLabError, StoreTooNew

Content: TypeAlias = bytes
STATUS: Final = "status"
FORMAT: Final = 1
ENDING: Final = ".json"
KEPT: Final = timedelta(days=7)  # files of runs that have ended are kept so long
_TYPE: Final = "replaylab_status"
_TIMES: Final = ("started_at", "written_at", "durable_at")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a recorder says of itself at one moment.

    Attributes
    ----------
    run, machine, process : str, str, int
        The run, and where it records.
    started_at, written_at : datetime, optional
        When the recorder began, and when it wrote this (UTC).
    state, verdict, reasons : str, str, tuple of str
        As in `Recorder.status`: what it does with ticks, the whole in a word, and why.
    durability : dict
        The bound in force.
    journal, game_id : str, optional
        The journal now written, and the game now recorded.
    accepted, unsynced, seq, durable_seq : int
        Ticks accepted, those of them not yet synced, the numbers of the last accepted and of the last synced one.
    durable_at : datetime, optional
        When something was last made permanent (UTC).
    ticks_a_second : float
        Accepted between the last two snapshots.
    refused : dict
        Ticks refused, by reason.
    errors, failures, retried, callback_errors : int
        Calls that failed, failures in a row, ticks written again, exceptions of callbacks.
    games, segments, journals, bytes : int
        Games begun, segments made, journals not yet sealed, bytes written to journals.
    free_bytes : int
        Free space of the disk; -1 when the folder is gone.
    last_error : str, optional
        The last error of the operating system.
    feeds : tuple of dict
        Each live session that records here: `feed`, `state`, `verdict`, `reasons`, `ticks`, `gaps`, `missing`.
    alerts : dict
        Alerts sent, waiting and given up.
    """

    run: str
    machine: str = ""
    process: int = 0
    started_at: datetime | None = None
    written_at: datetime | None = None
    state: str = "unknown"
    verdict: str = "failed"
    reasons: tuple[str, ...] = ()
    durability: dict[str, Any] = field(default_factory=dict)
    journal: str | None = None
    game_id: str | None = None
    accepted: int = 0
    unsynced: int = 0
    seq: int = -1
    durable_seq: int = -1
    durable_at: datetime | None = None
    ticks_a_second: float = 0.0
    refused: dict[str, int] = field(default_factory=dict)
    errors: int = 0
    failures: int = 0
    retried: int = 0
    callback_errors: int = 0
    games: int = 0
    segments: int = 0
    journals: int = 0
    bytes: int = 0
    free_bytes: int = 0
    last_error: str | None = None
    feeds: tuple[dict[str, Any], ...] = ()
    alerts: dict[str, int] = field(default_factory=dict)

    def to_json(self) -> Content:
        """Return it as JSON.

        Examples
        --------
        >>> one = Snapshot("run", state="recording", accepted=3)
        >>> Snapshot.of(one.to_json(), "run.json") == one
        True
        """
        found: dict[str, Any] = {"type": _TYPE, "format": FORMAT}
        found |= {one.name: getattr(self, one.name) for one in fields(self)}
        found |= {name: found[name] and found[name].isoformat() for name in _TIMES}
        return json.dumps(found, ensure_ascii=False).encode("utf-8", "replace") + b"\n"

    @classmethod
    def of(cls, content: Content, name: str) -> Self:
        """Return what a file says; one that a power cut has emptied says only which run it is of.

        Raises
        ------
        StoreTooNew
            When a newer release wrote it in a format that this one does not know.
        """
        run = name.removesuffix(ENDING)
        try:
            found = json.loads(content)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict) or found.get("type") != _TYPE or not isinstance(found.get("format"), int):
            return cls(run, reasons=("its status file is not whole",))
        if found["format"] > FORMAT:
            raise StoreTooNew(f"{STATUS}/{name}: status of format {found['format']}; upgrade replaylab to read it")
        known = {one.name: found[one.name] for one in fields(cls) if one.name in found}
        try:
            known |= {one: known[one] and datetime.fromisoformat(known[one]) for one in _TIMES if one in known}
        except (TypeError, ValueError):
            known = {}
        if not known or not all(_fits(name, value) for name, value in known.items()):
            return cls(run, reasons=("its status file is damaged",))
        known |= {one: tuple(known[one]) for one in ("reasons", "feeds") if one in known}
        return cls(**(known | {"run": run}))


_EMPTY: Final = Snapshot("")


def _fits(name: str, value: Any) -> bool:
    """Whether a file may hold a value in a field of a snapshot."""
    if name in _TIMES:
        return value is None or (isinstance(value, datetime) and value.tzinfo is not None)
    if name in _LISTS:
        return isinstance(value, list) and all(_LISTS[name](one) for one in value)
    if name in {"refused", "alerts"}:
        return isinstance(value, dict) and all(type(one) is int for one in value.values())
    usual = getattr(_EMPTY, name)
    return type(value) in {type(usual), *({str} if usual is None else {int} if isinstance(usual, float) else ())}


def _is_feed(value: Any) -> bool:
    """Whether a value is what a snapshot says of a feed."""
    return (
        isinstance(value, dict)
        and all(isinstance(value.get(one), str | None) for one in ("feed", "state", "verdict"))
        and all(isinstance(value.get(one), int | None) for one in ("ticks", "gaps", "missing"))
        and isinstance(value.get("reasons", []), list)
        and all(isinstance(one, str) for one in value.get("reasons", []))
    )


_LISTS: Final[dict[str, Callable[[Any], bool]]] = {"reasons": lambda one: isinstance(one, str), "feeds": _is_feed}


def publish_snapshot(store: Path, snapshot: Snapshot, keys: StoreKeys | None = None) -> None:
    """Put the file of a run in place; raises `OSError` when that fails, and nothing of it is left then.

    The folder of the store is never made here: a store that is gone is restored with all that was recorded. In an
    encrypted store the file is encrypted.
    """
    folder, name = store / STATUS, f"{snapshot.run}{ENDING}"
    folder.mkdir(0o777 if keys is None else 0o700, exist_ok=True)
    with written_aside(folder, snapshot.run) as aside:
        aside.touch(0o666 if keys is None else 0o600)
        aside.write_bytes(closed(keys, "status", name, snapshot.to_json()))
        put_in_place(aside, folder / name)


def snapshots(store: Path, keys: StoreKeys | None = None) -> list[Snapshot]:
    """Return the snapshots of a store, in the order in which their runs began.

    Raises
    ------
    StoreTooNew
        When one of them is of a newer format.
    Tampered
        When the store is encrypted and its key has not written one of them.
    """
    found = []
    for path in sorted((store / STATUS).glob(f"*{ENDING}")):
        with suppress(FileNotFoundError):  # removed since it was listed
            found.append(Snapshot.of(opened(keys, "status", path.name, path.read_bytes()), path.name))
    return found


def sweep_snapshots(store: Path, now: datetime, unsealed: Collection[str]) -> None:
    """Remove the files of runs that wrote nothing for `KEPT` and have no journal any more."""
    old = []
    for path in (store / STATUS).glob(f"*{ENDING}"):
        with suppress(OSError):
            written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            if now - written > KEPT and path.name.removesuffix(ENDING) not in unsealed:
                old.append(path)
    with suppress(ReplayLabError, OSError):
        remove(old) if old else None
