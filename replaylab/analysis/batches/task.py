"""Task: the work on one part, and its outcome."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import pyarrow as pa

from replaylab.analysis.backtests.patience import within
from replaylab.analysis.batches.part_games import SUMMED, UNREADABLE, PartGames
from replaylab.analysis.batches.parts import Part
from replaylab.analysis.batches.rows import Done, alike
from replaylab.errors import SegmentDamaged
from replaylab.storage.game import Game
from replaylab.storage.game_summary import summarise as summarise_rows


@dataclass(frozen=True)
class Outcome:
    """Outcome of the games of a part.

    Parameters
    ----------
    games : tuple of str
        Those that were finished, in order.
    tables : tuple of Table
        Their rows, as `rows.alike` puts them together; the first column is `game_id`.
    failures : dict
        By game, why it was not finished.
    gone : bool
        Whether a compaction has removed the segments: the games lie elsewhere now.
    """

    games: tuple[str, ...] = ()
    tables: tuple[pa.Table, ...] = ()
    failures: dict[str, str] = field(default_factory=dict)
    gone: bool = False

    @classmethod
    def failed(cls, part: Part, reason: str) -> Outcome:
        """Return the outcome of a part whose games all failed."""
        return cls(failures=dict.fromkeys(part.games, reason))

    @classmethod
    def of(cls, parts: Iterable[Outcome]) -> Outcome:
        """Put outcomes together."""
        found = list(parts)
        games = tuple(game for one in found for game in one.games)
        failures = {game: reason for one in found for game, reason in one.failures.items()}
        return cls(
            games, alike(table for one in found for table in one.tables), failures, any(one.gone for one in found)
        )


class Stopped(KeyboardInterrupt):
    """An interrupt in the middle of a part; `outcome` is what was finished of `part`."""

    def __init__(self, part: Part, outcome: Outcome) -> None:
        super().__init__()
        self.part = part
        self.outcome = outcome


class Task(Protocol):
    """Does something with the games of a part."""

    def __call__(self, part: Part) -> Outcome:
        """Read the part and do it."""


WORKER_FAILED: Final = "WorkerFailed: "
ENDLESS: Final = f"{WORKER_FAILED}the function did not return"
MOST_ENDLESS: Final = 3  # games in which it did not return, before no other is tried


@dataclass(frozen=True)
class EachGame:
    """Calls a function for each game; one that raises is a failure of that game alone."""

    fn: Callable[..., object]
    parameters: Mapping[str, Any]
    max_seconds: float | None = None

    def __call__(self, part: Part) -> Outcome:
        """Call the function for each game, of which is read what it asks for."""
        if part.summaries is not None:
            return self._work(part, None)
        return _read(part, self, self._work, SUMMED)

    def _work(self, part: Part, summed: pa.Table | None) -> Outcome:
        games, done = PartGames(part, summed), Done()

        def go_on() -> None:
            for number in range(len(done), len(part.games)):
                self._call(games.game(number), games, done)
                if games.trouble is not None:
                    return

        endless = 0
        try:
            while not within(self.max_seconds, go_on, lambda: len(done)):
                reason = f"{ENDLESS} within {self.max_seconds:g} s; max_seconds= gives it more, or None for no limit"
                done.fail(part.games[len(done)], reason)
                endless += 1
                if endless == MOST_ENDLESS:  # the run ends by name
                    break
        except KeyboardInterrupt:
            raise Stopped(part, _outcome(done)) from None
        if games.trouble is None:
            return _outcome(done)
        rest = part.only(set(part.games[len(done) :]))
        return Outcome.of([_outcome(done), _unread(rest, self, games.trouble)])

    def _call(self, game: Game, games: PartGames, done: Done) -> None:
        try:
            given = self.fn(game, **self.parameters)
            if games.trouble is None:
                done.add(game.id, given)
        except (Exception, SystemExit) as error:  # noqa: BLE001 whatever a user's function raises is a row of its game
            if games.trouble is None:
                done.fail(game.id, reason_of(error))


def _outcome(done: Done) -> Outcome:
    games, tables, errors = done.rows()
    return Outcome(
        games, tables, {game: error if isinstance(error, str) else reason_of(error) for game, error in errors.items()}
    )


@dataclass(frozen=True)
class Summary:
    """Sums up each game, as `Store.games_table` does."""

    def __call__(self, part: Part) -> Outcome:
        """Read the columns that it takes and sum up."""
        return _read(part, self, lambda _, table: Outcome(part.games, (summarise_rows(table),)), SUMMED)


def _read(
    part: Part, task: Task, work: Callable[[Part, pa.Table], Outcome], columns: list[str] | None = None
) -> Outcome:
    """Read a part and work on it; where a page is damaged, each game alone, so that only those in the page fail."""
    try:
        table = part.read(columns)
    except UNREADABLE as error:
        return _unread(part, task, error)
    return work(part, table)


def _unread(part: Part, task: Task, error: Exception) -> Outcome:
    """Return the outcome of a part that could not be read; the games of a damaged one are tried each alone."""
    if isinstance(error, FileNotFoundError):
        return Outcome(gone=True)
    if isinstance(error, SegmentDamaged) and len(part.games) > 1:
        return Outcome.of(task(one) for one in part.singles())
    return Outcome.failed(part, reason_of(error))


def reason_of(error: BaseException) -> str:
    """Return what was raised, and where in the user's own code, as one line without folders."""
    said = " ".join(str(error).split())
    text = f"{type(error).__name__}: {said}" if said else type(error).__name__
    package = str(Path(__file__).parents[2])
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(package)]
    return f"{text} ({Path(own[-1].filename).name}:{own[-1].lineno} in {own[-1].name})" if own else text
