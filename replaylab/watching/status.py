"""Status of a store: each run of a recorder as its file and the lock of its journal tell it, from any process."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from replaylab.durable import is_locked, of_user
from replaylab.encryption.keys import StoreKeys, keys_of
from replaylab.encryption.kms import Kms
from replaylab.errors import StoreNotFound
from replaylab.journals.format import place_of
from replaylab.journals.unsealed import journal_names
from replaylab.keywords import options_of
from replaylab.plural import count_of
from replaylab.storage.objectstore import refuse_uri
from replaylab.storage.store import JOURNALS, SEGMENTS, Store
from replaylab.watching.snapshot import Snapshot, snapshots

ENDED: Final = frozenset({"closed", "dead"})
STALLED_SECONDS: Final = 10.0  # without a new snapshot, though one is written each second
_LOOKS: Final = 3  # at a run whose journals may have changed between reading its file and looking at their locks


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """How the recorders of a store are doing.

    Attributes
    ----------
    store : str
        The folder.
    runs : tuple of Snapshot
        One a run, in the order in which they began. `state` is ``recording``, ``paused``, ``failed`` or ``closed`` as
        the recorder says, ``dead`` when its process has ended without closing it, or ``stalled`` when it lives and has
        written nothing for ten seconds.
    problems : tuple of str
        What is wrong, one sentence each. A dead run is no problem any more once another one has begun after it.

    Examples
    --------
    >>> StoreStatus("store").ok
    True
    """

    store: str
    runs: tuple[Snapshot, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def live(self) -> tuple[Snapshot, ...]:
        """The runs whose recorders live."""
        return tuple(run for run in self.runs if run.state not in ENDED)

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        known = f"{count_of(len(self.live), 'recorder')} live, {count_of(len(self.runs), 'run')} known"
        lines = [f"{known}: {'well' if self.ok else 'not well'}"]
        lines += [f"- {run.run}: {run.state}, {run.verdict}, {count_of(run.accepted, 'tick')}" for run in self.runs]
        return "\n".join([*lines, *(f"! {problem}" for problem in self.problems)])


@options_of("rl.status")
def status(
    store: str | os.PathLike[str] | Store, *, now: datetime | None = None, kms: Kms | None = None
) -> StoreStatus:
    """Return how the recorders of a store are doing, from any process; changes nothing and waits for no recorder.

    Parameters
    ----------
    store : path or Store
        A folder.
    now : datetime, optional
        The time (UTC) that ages are counted from; that of this machine unless given.
    kms : Kms, optional
        The master key of an encrypted store that is named by its path.

    Raises
    ------
    StoreNotFound
        When there is no store at the path.
    StoreTooNew
        When a newer release wrote a status in a format that this one does not know.
    StoreUnwritable
        For an object store, into which nothing is recorded.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> with rl.Recorder(folder) as recorder:
    ...     _ = recorder.record(rl.Tick("g", 1, "2031-01-02T03:04:05", "1.02"))
    >>> found = rl.status(folder)
    >>> found.ok, [(run.state, run.accepted) for run in found.runs]
    (True, [('closed', 1)])
    """
    refuse_uri(store)
    root = store.path if isinstance(store, Store) else of_user(store)
    if not (root / SEGMENTS).is_dir():
        if isinstance(store, Store):
            raise StoreNotFound(f"no store at {root} any more: it was moved or removed")
        raise StoreNotFound(f"no store at {root}; make one with `replaylab record {root}`")
    keys = store.files.keys if isinstance(store, Store) else keys_of(root, kms)
    at = now or datetime.now(UTC)
    runs = [_judged(root, snapshot, at, keys) for snapshot in snapshots(root, keys)]
    found = tuple(run for run in runs if run is not None)
    return StoreStatus(str(root), found, tuple(_problems(found)))


def _judged(store: Path, snapshot: Snapshot, now: datetime, keys: StoreKeys | None) -> Snapshot | None:
    """Return a snapshot with the state that the locks of its journals tell; None when it was removed meanwhile."""
    for _ in range(_LOOKS):
        if snapshot.state == "closed":
            return snapshot
        if _is_live(store, snapshot):
            return _aged(snapshot, now)
        later = [one for one in snapshots(store, keys) if one.run == snapshot.run]
        if not later:
            return None
        if later[0] == snapshot:
            break
        snapshot = later[0]  # written since: its journal is another one now
    return replace(snapshot, state="dead", verdict="failed", reasons=_why_dead(store, snapshot))


def _is_live(store: Path, snapshot: Snapshot) -> bool:
    folder = store / JOURNALS
    if snapshot.journal and is_locked(folder / snapshot.journal):
        return True
    return any(is_locked(folder / name) for name in _journals_of(store, snapshot.run))


def _journals_of(store: Path, run: str) -> list[str]:
    return [name for name in journal_names(store / JOURNALS) if place_of(name)[0] == run]


def _aged(snapshot: Snapshot, now: datetime) -> Snapshot:
    """Return a snapshot of a recorder that lives; one that is old is stalled."""
    age = (now - snapshot.written_at).total_seconds() if snapshot.written_at else 0.0
    if age < STALLED_SECONDS:
        return snapshot
    reason = f"it lives, and its thread has written no status for {age:.0f} s: a callback or the disk holds it up"
    verdict = "failed" if snapshot.verdict == "failed" else "degraded"
    return replace(snapshot, state="stalled", verdict=verdict, reasons=(reason, *snapshot.reasons))


def _why_dead(store: Path, snapshot: Snapshot) -> tuple[str, ...]:
    left = len(_journals_of(store, snapshot.run))
    rest = f"{left} of its journals wait for `replaylab recover`" if left else "its journals are sealed"
    return (f"its process has ended without closing it; {rest}", *snapshot.reasons)


def _problems(runs: Sequence[Snapshot]) -> Iterable[str]:
    begun = max((run.run for run in runs if run.state != "dead"), default="")  # names begin with the instant
    for run in runs:
        last = f"{run.written_at:%Y%m%dT%H%M%S%fZ}" if run.written_at else run.run
        if run.state == "dead" and begun > last:
            continue  # something records again, or has since
        if run.verdict != "healthy":
            yield f"run {run.run} ({run.state}): {'; '.join(run.reasons) or run.verdict}"
        for feed in run.feeds if run.state not in ENDED else ():
            if feed.get("verdict") not in {"ok", "closed", None}:
                why = "; ".join(feed.get("reasons", ())) or feed["verdict"]
                yield f"feed {feed.get('feed')} of run {run.run}: {why}"
