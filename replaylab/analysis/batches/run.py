"""Run: a task over the games of a store, each exactly once, despite dead workers, damage and compaction."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

from replaylab.analysis.batches.cache import Cache
from replaylab.analysis.batches.executors import runner_for
from replaylab.analysis.batches.parts import LEAST_ROWS, Part, parts_of
from replaylab.analysis.batches.task import ENDLESS, MOST_ENDLESS, WORKER_FAILED, EachGame, Outcome, Stopped, Task
from replaylab.errors import WorkerFailed
from replaylab.progress import bar
from replaylab.segments.segment import Segment
from replaylab.storage.files import COMPACTIONS
from replaylab.storage.store import Store

_log = logging.getLogger("replaylab.batch")


@dataclass
class Run:
    """A task over games, and how far it has gone.

    Parameters
    ----------
    store : Store
        Where the games lie.
    task : Task
        What to do with them.
    wanted : set of str, optional
        Only these games.
    executor, workers
        Who does it; see `executors.runner_for`.
    cache : Cache, optional
        Where finished games are looked for and kept.
    progress : bool
        Show a progress bar.
    least_rows : int
        Rows below which a part is not ended.
    """

    store: Store
    task: Task
    wanted: AbstractSet[str] | None = None
    executor: Any = None
    workers: int | None = None
    cache: Cache | None = None
    progress: bool = False
    least_rows: int = LEAST_ROWS

    order: list[str] = field(default_factory=list)
    rows: int = 0
    segments: tuple[str, ...] = ()
    outcomes: list[Outcome] = field(default_factory=list)
    failures: dict[str, str] = field(default_factory=dict)
    cached: int = 0
    computed: int = 0

    def go(self) -> None:
        """Do the task; raises `WorkerFailed` when the executor ended, `KeyboardInterrupt` on Ctrl-C."""
        segments = self.store.segments()
        parts = parts_of(segments, self.wanted, self.least_rows)
        self.segments = tuple(segment.name for segment in segments)
        self.order = _by_start(segments, parts)
        self.rows = sum(part.rows for part in parts)
        lost: set[str] = set()
        for _ in range(COMPACTIONS):
            lost = self._work(parts)
            if not lost:
                return
            _log.debug("%d games were compacted away while they were read: reading again", len(lost))
            parts = parts_of(self.store.segments(), lost, self.least_rows)
            removed = lost.difference(game for part in parts for game in part.games)
            self.failures |= dict.fromkeys(removed, "GameNotFound: it was removed from the store while this ran")
        self.failures |= dict.fromkeys(lost, f"it was compacted away {COMPACTIONS} times while it was read; run again")

    def _work(self, parts: Sequence[Part]) -> set[str]:
        """Run the task on parts; return the games whose segments were gone."""
        left = self._summed([part for part in map(self._less_known, parts) if part.games])
        lost: set[str] = set()
        runner = runner_for(self.task, len(left), self.executor, self.workers, local=self.store.is_local)
        total = sum(len(part.games) for part in left)
        with bar(total, "map", "game", show=self.progress) as shown, runner:
            for part in left:
                runner.put(part)
            suspects: list[Part] = []  # single games that were with a worker when it died, as others may have been
            alone = None
            while runner.pending or suspects:
                if not runner.pending:
                    alone = suspects.pop()
                    runner.put(alone)
                part, outcome, death = self._next(runner)
                if outcome is None and len(part.games) > 1:
                    for one in part.singles():
                        runner.put(one)
                    continue
                if outcome is None and part is not alone:
                    suspects.append(part)  # only a game that kills its worker with nothing beside it is a failure
                    continue
                if outcome is None:
                    outcome = Outcome.failed(part, f"WorkerFailed: the process that worked on it died ({death})")
                self._take(part, outcome)
                known = {*outcome.games, *outcome.failures}
                lost.update(set(part.games) - known)
                shown.update(len(known))
        return lost

    def _summed(self, parts: list[Part]) -> list[Part]:
        """Return parts with the summaries that the store has kept: a function that asks for no more reads no rows."""
        if not isinstance(self.task, EachGame):
            return parts
        known = self.store.kept_summaries()
        place = {game: row for row, game in enumerate(known.column("game_id").to_pylist())}
        return [part.summed(known, place) for part in parts] if place else parts

    def _next(self, runner: Any) -> tuple[Part, Outcome | None, str]:
        try:
            found: tuple[Part, Outcome | None, str] = runner.next()
        except Stopped as stop:
            self._take(stop.part, stop.outcome)
            raise
        return found

    def _less_known(self, part: Part) -> Part:
        """Take the cached results of a part; return the rest of the part."""
        if self.cache is None:
            return part
        known = self.cache.find(part)
        if not known.games:
            return part
        self.cached += len(known.games)
        self.outcomes.append(known)
        return part.only(set(part.games).difference(known.games))

    def _take(self, part: Part, outcome: Outcome) -> None:
        if self.cache is not None:
            self.cache.keep(part, outcome)  # first: what counts as finished is kept, wherever an interrupt comes
        self.outcomes.append(outcome)
        self.computed += len(outcome.games)
        self.failures |= outcome.failures
        endless = {game: reason for game, reason in self.failures.items() if reason.startswith(ENDLESS)}
        if len(endless) >= MOST_ENDLESS:
            games = ", ".join(list(endless)[:MOST_ENDLESS])
            raise WorkerFailed(f"{next(iter(endless.values())).removeprefix(WORKER_FAILED)} (games {games}, ...)")


def _by_start(segments: Sequence[Segment], parts: Sequence[Part]) -> list[str]:
    """Return the ids of all games of parts, in order of their first known time, then of their id."""
    start: dict[str, int] = {}
    for segment in segments:
        for one in segment.footer.games:
            start[one.game] = min(one.start_us, start.get(one.game, one.start_us))
    return sorted((game for part in parts for game in part.games), key=lambda game: (start[game], game))
