"""Task: the work on one part, and its outcome."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import pyarrow as pa

from replaylab.analysis.backtests.patience import within
from replaylab.analysis.batches.parts import Part
from replaylab.analysis.batches.rows import alike, rows_of
from replaylab.analysis.price_paths.live import Ticks, live_ticks
from replaylab.columns import as_numpy
from replaylab.errors import SegmentDamaged, StoreUnreachable
from replaylab.storage.game import Game, TickPath
from replaylab.storage.game_summary import COLUMNS
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
        """Read the games and call the function."""
        return _read(part, self, self._work)

    def _work(self, part: Part, table: pa.Table) -> Outcome:
        starts = [0, *accumulate(part.counts)]
        outcomes: list[Outcome] = []
        shared = _Shared(table)

        def go_on() -> None:
            for number in range(len(outcomes), len(part.games)):
                rows = table.slice(starts[number], part.counts[number])
                outcomes.append(self._game(shared.game(number, part.games[number], rows)))

        endless = 0
        try:
            while not within(self.max_seconds, go_on, lambda: len(outcomes)):
                reason = f"{ENDLESS} within {self.max_seconds:g} s; max_seconds= gives it more, or None for no limit"
                outcomes.append(Outcome(failures={part.games[len(outcomes)]: reason}))
                endless += 1
                if endless == MOST_ENDLESS:  # the run ends by name
                    break
        except KeyboardInterrupt:
            raise Stopped(part, Outcome.of(outcomes)) from None
        return Outcome.of(outcomes)

    def _game(self, game: Game) -> Outcome:
        try:
            return Outcome((game.id,), (rows_of(game.id, self.fn(game, **self.parameters)),))
        except (Exception, SystemExit) as error:  # noqa: BLE001 whatever a user's function raises is a row of its game
            return Outcome(failures={game.id: reason_of(error)})


class _Shared:
    """Summaries and price paths of the games of a part, made from its columns at once."""

    def __init__(self, table: pa.Table) -> None:
        self._table = table

    @cached_property
    def _summaries(self) -> pa.Table:
        return summarise_rows(self._table)

    @cached_property
    def _ticks(self) -> Ticks:
        rug_tick = np.array(as_numpy(self._summaries.column("rug_tick"), null=-1), np.int64)
        start, tick, price = live_ticks(self._table, rug_tick)
        tick.flags.writeable = price.flags.writeable = False
        return start, tick, price

    @cached_property
    def _rows(self) -> list[tuple[Any, ...]]:
        return list(zip(*(column.to_pylist() for column in self._summaries.columns), strict=True))  # a table is slower

    def _summary(self, number: int) -> dict[str, Any]:
        found = dict(zip(self._summaries.column_names, self._rows[number], strict=True))
        return found | {name: list(value) for name, value in found.items() if isinstance(value, list)}

    def _path(self, number: int) -> TickPath:
        start, tick, price = self._ticks
        here = slice(int(start[number]), int(start[number + 1]))
        return TickPath(tick[here], price[here])

    def game(self, number: int, game_id: str, rows: pa.Table) -> Game:
        """Return a game of the part, by its number from 0."""
        return Game(game_id, lambda: rows, summary=partial(self._summary, number), path=partial(self._path, number))


@dataclass(frozen=True)
class Summary:
    """Sums up each game, as `Store.games_table` does."""

    def __call__(self, part: Part) -> Outcome:
        """Read the columns that it takes and sum up."""
        return _read(part, self, lambda _, table: Outcome(part.games, (summarise_rows(table),)), [*COLUMNS, "seq"])


def _read(
    part: Part, task: Task, work: Callable[[Part, pa.Table], Outcome], columns: list[str] | None = None
) -> Outcome:
    """Read a part and work on it; where a page is damaged, each game alone, so that only those in the page fail."""
    try:
        table = part.read(columns)
    except FileNotFoundError:
        return Outcome(gone=True)
    except SegmentDamaged as error:
        if len(part.games) > 1:
            return Outcome.of(task(one) for one in part.singles())
        return Outcome.failed(part, reason_of(error))
    except StoreUnreachable as error:
        return Outcome.failed(part, reason_of(error))
    return work(part, table)


def reason_of(error: BaseException) -> str:
    """Return what was raised, and where in the user's own code, as one line without folders."""
    said = " ".join(str(error).split())
    text = f"{type(error).__name__}: {said}" if said else type(error).__name__
    package = str(Path(__file__).parents[2])
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(package)]
    return f"{text} ({Path(own[-1].filename).name}:{own[-1].lineno} in {own[-1].name})" if own else text
