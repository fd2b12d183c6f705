"""View: all that the dashboard shows of a store at one moment, as plain values for JSON."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Final

import numpy as np

from replaylab.errors import ReplayLabError, StoreBusy
from replaylab.storage.game import Game
from replaylab.storage.store import Store
from replaylab.watching.snapshot import Snapshot
from replaylab.watching.status import StoreStatus, status

GAMES: Final = 12  # the newest ones are drawn
GAPS: Final = 20
POINTS: Final = 120  # of a small chart, at most: two for each pixel column would not be seen
RUNS: Final = 50  # newest first; more are counted
FINDINGS: Final = 5  # of the last verification; more are counted
GAMES_SECONDS: Final = 2.0  # between two looks at the games of a store that changes, at least
GAMES_SHARE: Final = 0.005  # of a core that these looks may take
_MOST_GAMES_SECONDS: Final = 30.0
_Files = dict[str, tuple[int, int]]
_GAME_FIELDS: Final = ("game_id", "ticks", "peak", "start", "complete", "late_start", "gaps")
_RUN_FIELDS: Final = (
    "run",
    "machine",
    "process",
    "state",
    "verdict",
    "reasons",
    "game_id",
    "accepted",
    "unsynced",
    "ticks_a_second",
    "refused",
    "errors",
    "retried",
    "games",
    "segments",
    "journals",
    "free_bytes",
    "last_error",
    "feeds",
    "started_at",
    "written_at",
    "durable_at",
)


@dataclass(frozen=True, slots=True)
class Verified:
    """How the last verification of a store ended: when, and each finding in one sentence."""

    at: datetime
    findings: tuple[str, ...] = ()

    def problems(self, known: Collection[str]) -> list[str]:
        """Return what an operator has to see until another verification finds nothing, less what is known already."""
        when = f"verify of {self.at:%Y-%m-%d %H:%M} UTC"
        findings = [finding for finding in self.findings if finding not in known]
        more = len(findings) - FINDINGS
        found = [f"{when}: {finding}" for finding in findings[:FINDINGS]]
        return [*found, f"{when}: and {more} more; `replaylab verify` shows all"] if more > 0 else found


class View:
    """What the dashboard shows of a store. One thread at a time may ask.

    The recorders are looked at each time. The games are looked at again only when a file of the store has changed, and
    at most once in `GAMES_SECONDS`; where that takes long, less often, up to half a minute apart. A segment is written
    once: one whose size or time has changed since it was first seen is read whole and checked.

    Parameters
    ----------
    store : Store
        A store of this machine.
    clock : callable
        Seconds that only go up, for tests.
    work : callable
        Seconds of the processor that this thread has taken, for tests.
    """

    def __init__(
        self, store: Store, clock: Callable[[], float] = time.monotonic, work: Callable[[], float] = time.thread_time
    ) -> None:
        self.store = store
        self._clock = clock
        self._work = work
        self._games: list[dict[str, Any]] = []
        self._points: dict[tuple[str, ...], list[list[float]]] = {}  # of the games shown, by what they were drawn from
        self._gaps: list[dict[str, Any]] = []
        self._totals: dict[str, Any] = {}
        self._problems: list[str] = []
        self._seen: _Files | None = None
        self._altered: dict[str, str] = {}  # segments that are not what they were, with the reason
        self._look_at = -float("inf")  # when the games are looked at again

    def now(self, verified: Verified | None = None, *, look: bool = True) -> dict[str, Any]:
        """Return the state of the store now.

        Parameters
        ----------
        verified : Verified, optional
            How its last verification ended; what that found is a problem until another one finds nothing.
        look : bool
            Whether to look at the games; without, they are those of the last look, and any thread may ask.

        Returns
        -------
        dict
            `at`, `store`, `verdict` (``healthy``, ``degraded``, ``failed``; ``idle`` when nothing records), `reading`
            (the games have not been looked at yet),
            `problems`, `verified_at`, `runs`, `more_runs`, `disk`, `totals`, `gaps` and `games`; times are ISO 8601
            in UTC.
        """
        try:
            found = status(self.store)
        except (ReplayLabError, OSError) as error:
            found = StoreStatus(str(self.store.path), (), (str(error),))
        try:
            self._look_at_games() if look else None
        except (ReplayLabError, OSError) as error:
            self._problems = [str(error)]
        altered = [problem for _, problem in sorted(self._altered.items())]
        problems = list(dict.fromkeys((*found.problems, *self._problems, *altered)))
        problems += verified.problems(problems) if verified else ()
        runs = [_run(one) for one in reversed(found.runs)]
        return {
            "at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "store": str(self.store.path),
            "verdict": _verdict(found, problems),
            "reading": not look and self._seen is None,
            "problems": problems,
            "verified_at": _plain(verified.at) if verified else None,
            "runs": runs[:RUNS],
            "more_runs": max(0, len(runs) - RUNS),
            "disk": self._disk(),
            "totals": self._totals,
            "gaps": self._gaps,
            "games": self._games,
        }

    def _disk(self) -> dict[str, int] | None:
        try:
            used = shutil.disk_usage(self.store.path)
        except OSError:
            return None
        return {"free": used.free, "total": used.total}

    def _look_at_games(self) -> None:
        now = self._clock()
        if now < self._look_at:
            return
        begun, is_first = self._work(), self._seen is None  # the first look fills caches
        try:
            try:
                self._read_games()
            except StoreBusy:
                self._read_games()  # compacted in between
        finally:
            wanted = 0.0 if is_first else (self._work() - begun) / GAMES_SHARE
            self._look_at = now + min(max(wanted, GAMES_SECONDS), _MOST_GAMES_SECONDS)

    def _read_games(self) -> None:
        seen = self._what_is_there()
        if seen == self._seen:
            return
        held = self.store.held()
        self._check_altered(held, seen)
        games = held.games()
        self._totals = {
            "games": len(games),
            "ticks": int(games["rows"].sum()) if len(games) else 0,
            "complete": int(games["complete"].sum()) if len(games) else 0,
            "bytes": self.store.size_bytes,
        }
        damaged = sorted(held.damaged.items())
        self._problems = [reason if name in reason else f"{name}: {reason}" for name, reason in damaged]
        newest = games.sort_values(["start", "game_id"], na_position="first").tail(GAMES).iloc[::-1]
        self._games = self._drawn(held, _rows(newest))
        gaps = held.gaps().sort_values("start", na_position="first").tail(GAPS).iloc[::-1]
        self._gaps = [{name: _plain(value) for name, value in row.items()} for row in _rows(gaps)]
        self._seen = seen

    def _drawn(self, held: Store, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return games with their small charts; one whose rows are those of the last look is not read again."""
        segments = held.segments()
        drawn, earlier, self._points = [], self._points, {}
        for row in rows:
            game_id = row["game_id"]
            key = game_id, *(one.part_of(game_id) for one in segments if game_id in one.rows_of)
            self._points[key] = earlier.get(key) or _points(held[game_id])
            drawn.append({name: _plain(row[name]) for name in _GAME_FIELDS} | {"points": self._points[key]})
        return drawn

    def _check_altered(self, held: Store, seen: _Files) -> None:
        """Read the segments whose size or time has changed; those that are gone are no problem of this kind."""
        before = self._seen or {}
        self._altered = {name: problem for name, problem in self._altered.items() if name in seen}
        for segment in held.sealed():
            name = segment.path.name
            if name in before and name in seen and before[name] != seen[name]:
                try:
                    problem = segment.problem()
                except FileNotFoundError:  # compacted in between
                    continue
                self._altered.pop(name, None)
                self._altered |= {name: problem} if problem else {}

    def _what_is_there(self) -> _Files:
        """Return size and time of each file of the store by its name."""
        return {
            entry.name: (found.st_size, found.st_mtime_ns)
            for folder in ("segments", "journals")
            if (self.store.path / folder).is_dir()
            for entry in sorted((self.store.path / folder).iterdir())
            for found in [entry.stat()]
        }


def _verdict(found: StoreStatus, problems: list[str]) -> str:
    verdicts = {run.verdict for run in found.live}
    if problems and not found.live:
        return "failed"
    for word in ("failed", "degraded"):
        if word in verdicts:
            return word
    if problems:
        return "degraded"
    return "healthy" if found.live else "idle"


def _run(one: Snapshot) -> dict[str, Any]:
    return {name: _plain(getattr(one, name)) for name in _RUN_FIELDS}


def _points(game: Game) -> list[list[float]]:
    """Return tick and price of the points of a small chart."""
    table = game.prices(prices="float64")
    ticks = np.asarray(table["tick"].to_numpy(), dtype=np.int64)
    prices = np.asarray(table["price"].to_numpy(), dtype=np.float64)
    return [[int(ticks[at]), float(f"{prices[at]:.6g}")] for at in _thinned(prices)]


def _thinned(prices: np.ndarray[Any, np.dtype[np.float64]]) -> list[int]:
    """Return the rows of a small chart: first, last, and the least and greatest of each of its parts."""
    count = len(prices)
    if count <= POINTS:
        return list(range(count))
    edges = np.linspace(0, count, POINTS // 2 + 1).astype(int)
    parts = [(start, prices[start:end]) for start, end in pairwise(edges)]
    extremes = {int(start + at) for start, part in parts for at in (part.argmin(), part.argmax())}
    return sorted(extremes | {0, count - 1})


def _rows(frame: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in frame.to_dict("records")]


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it."""
    if value is None or type(value) in {str, int, bool}:
        return value
    if isinstance(value, datetime):
        return None if value != value else value.astimezone(UTC).isoformat(timespec="milliseconds")  # noqa: PLR0124 NaT
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    if value != value or type(value).__name__ in {"NAType", "NaTType"}:  # noqa: PLR0124 NaN
        return None
    return value
