"""Sweep: one strategy at every point of a grid on the same games, and an honest word about the best of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.backtests.account import Rules
from replaylab.analysis.backtests.backtest import Backtest, backtest
from replaylab.analysis.backtests.exact import ExactPrices
from replaylab.analysis.backtests.patience import never_returned, within
from replaylab.analysis.backtests.vectorised import Vectorised, blind
from replaylab.analysis.backtests.watched import Watched
from replaylab.analysis.batches.executors import runner_for
from replaylab.analysis.price_paths.arguments import number, one_of, some_games, whole
from replaylab.analysis.price_paths.paths import Paths, Source, paths
from replaylab.analysis.price_paths.selection import Selection
from replaylab.analysis.questions.interval import mean_by_game
from replaylab.analysis.sweeps.grid import Grid, Point, maker, points
from replaylab.analysis.sweeps.kept import Kept
from replaylab.analysis.sweeps.luck import LEAST_GAMES, Luck, best_of_many
from replaylab.analysis.sweeps.per_game import PerGame, Progress, per_game
from replaylab.durable import usable_cores
from replaylab.errors import AnalysisError, LookAhead, StrategyError, WorkerFailed
from replaylab.plural import count_of
from replaylab.progress import bar
from replaylab.storage.open import open_store
from replaylab.storage.store import Store

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
CELLS: Final = 50_000_000  # points x games: 400 MB of results
_UNKNOWN: Final = "no mean profit is known: too few games were watched to their end"
_PARTS: Final = 4  # for each worker, so that none waits long for another


@dataclass(eq=False)
class Sweep:
    """What a strategy came to at every point of a grid, game by game.

    Attributes
    ----------
    table : DataFrame
        One row a point, in the order of the grid: its parameters; `trades`; `mean_profit` of a game with `low` and
        `high`; `return_on_stake`; `p_value` (chance of such a mean without an edge, of this point alone), `p_adjusted`
        (chance that the best of all points looks as good without an edge); `n_games`; `failures` (games in which the
        strategy raised) and `error` (why a point could not be run).
    profits : float64 array, points x games
        Profit of each game, games in order of their start.
    weights : float64 array, one a game
        1, or what makes up for games whose end was not seen (0 for those).
    parameters : tuple of str
        Names of the parameters.
    source, make, rules, unfinished
        What was run, so that `backtest` can run a point again, exactly.

    Examples
    --------
    >>> from replaylab.analysis import Buy, Sell, Vectorised
    >>> from replaylab.fair import simulate
    >>> def hold(ticks):
    ...     return Vectorised(lambda paths: {Buy("0.1"): np.flatnonzero(paths.tick == 0),
    ...                                      Sell(): np.flatnonzero(paths.tick == ticks)})
    >>> found = sweep(Paths.of_arrays(*simulate(300, seed=1)), hold, {"ticks": [5, 10, 20]}, workers=1, progress=False)
    >>> len(found), found.parameters, found.profits.shape
    (3, ('ticks',), (3, 300))
    >>> found.backtest(0).n_games
    300
    """

    table: pd.DataFrame
    profits: Floats
    weights: Floats
    parameters: tuple[str, ...]
    source: Paths
    make: Callable[[Point], Any]
    rules: Rules
    unfinished: str
    grid: list[Point]
    luck: Luck
    confidence: float = 0.95
    cached: int = 0

    def __len__(self) -> int:
        return len(self.table)

    @property
    def n_games(self) -> int:
        """Games played at each point."""
        return len(self.weights)

    @property
    def n_ticks(self) -> int:
        """Live ticks of the games."""
        return self.source.n_ticks

    def __repr__(self) -> str:
        return f"Sweep({count_of(len(self), 'point')}, {count_of(self.n_games, 'game')}: {self.verdict})"

    def _repr_html_(self) -> str:
        best = self.table.sort_values("mean_profit", ascending=False).head(10)
        return f"<p>{self!r}</p>{best.to_html(border=0, float_format='{:.4g}'.format)}"

    @property
    def best(self) -> pd.Series[Any]:
        """The row of the table with the greatest mean profit; see `verdict` for what that is worth."""
        return self.table.iloc[self._best]

    @property
    def _best(self) -> int:
        means = self.table["mean_profit"].to_numpy(np.float64)
        if np.isnan(means).all():
            raise AnalysisError(f"games={self.n_games}: {_UNKNOWN}")
        return int(np.nanargmax(means))

    @property
    def verdict(self) -> str:
        """What the best point is worth after so many tries, in words."""
        if self.table["mean_profit"].isna().all():
            return _UNKNOWN
        best = self.best
        at = ", ".join(f"{name}={best[name]!s}" for name in self.parameters)
        chance = float(best["p_adjusted"])
        start = f"best mean profit {best['mean_profit']:.4g} a game at {at}"
        if np.isnan(chance):
            return f"{start}; too few games with a result to judge it"
        if best["mean_profit"] <= 0:
            return f"{start}; no point made a profit"
        tries = f"the best of {len(self):,} looks as good without an edge with a chance of {chance:.2g}"
        return f"{start}; {tries}" + ("" if chance < 1 - self.confidence else ": nothing shows an edge")

    def backtest(self, row: int | None = None, **options: Any) -> Backtest:
        """Return the exact backtest of a row of the table, by default of the best, with one bankroll for all games."""
        place = self._best if row is None else whole("row", row, least=0, most=len(self) - 1)
        given: dict[str, Any] = {"rules": self.rules, "unfinished": self.unfinished, "progress": False, **options}
        return backtest(self.source, self.make(self.grid[place]), **given)

    def out_of_sample(self, share: float = 0.3) -> pd.DataFrame:
        """Choose the best point on the earliest games and look at it on the latest: one row, as of `walk_forward`.

        Parameters
        ----------
        share : float
            Of the games, the latest, that are kept for looking.
        """
        cut = round(self.n_games * (1 - number("share", share, above=0, below=1)))
        return self._forward([(0, cut, self.n_games)])

    def walk_forward(self, folds: int = 5) -> pd.DataFrame:
        """Choose the best point on all games so far, look at it on the next stretch of games, and go on.

        Parameters
        ----------
        folds : int
            Stretches that are looked at; the first stretch of all is only chosen on.

        Returns
        -------
        DataFrame
            One row a stretch and a last one, ``all``: the parameters chosen, `train_games`, `test_games`, `train_mean`
            (profit of a game where it was chosen), `test_mean` with `low` and `high`.

        Raises
        ------
        AnalysisError
            When a stretch would have fewer than two games that were seen to their end.
        """
        count = whole("folds", folds, least=1)
        edges = np.linspace(0, self.n_games, count + 2).round().astype(int).tolist()
        return self._forward([(0, begin, end) for begin, end in pairwise(edges[1:])])

    def _forward(self, stretches: Sequence[tuple[int, int, int]]) -> pd.DataFrame:
        import pandas as pd

        rows: list[dict[str, Any]] = []
        results, weights = [], []
        for first, cut, stop in stretches:
            train, test = slice(first, cut), slice(cut, stop)
            if min((self.weights[one] > 0).sum() for one in (train, test)) < 2:
                raise AnalysisError(
                    f"games={self.n_games}: a stretch would have fewer than two games: pass fewer folds"
                )
            means = _average(self.profits[:, train], self.weights[train])
            chosen = int(np.nanargmax(means))
            results.append(self.profits[chosen, test])
            weights.append(self.weights[test])
            counts = {"train_games": cut - first, "test_games": stop - cut, "train_mean": means[chosen]}
            rows.append(self._point(chosen) | counts | self._outcome(results[-1], weights[-1]))
        if len(rows) > 1:
            counts = {"train_games": None, "test_games": sum(map(len, results)), "train_mean": None}
            rows.append(
                dict.fromkeys(self.parameters)
                | counts
                | self._outcome(np.concatenate(results), np.concatenate(weights))
            )
        names = [*map(str, range(1, len(stretches) + 1)), "all"][: len(rows)]
        found = pd.DataFrame(rows, index=pd.Index(names, name="stretch"))
        found["train_games"] = found["train_games"].astype("Int64")
        found["train_mean"] = found["train_mean"].astype(float)
        found.attrs = {"n_games": self.n_games, "n_ticks": self.source.n_ticks, "confidence": self.confidence}
        return found

    def _point(self, row: int) -> Point:
        return {name: self.grid[row][name] for name in self.parameters}

    def _outcome(self, results: Floats, weights: Floats) -> dict[str, float]:
        low, high = mean_by_game((results * weights)[:, None], weights[:, None], confidence=self.confidence)
        return {"test_mean": float(_average(results[None], weights)[0]), "low": float(low[0]), "high": float(high[0])}

    def heatmap(self, x: str | None = None, y: str | None = None, value: str = "mean_profit", ax: Any = None) -> Any:
        """Return the heat map of a column of the table over two parameters; see `charts.sweep`."""
        from replaylab.analysis.charts import sweeps  # matplotlib loads late

        return sweeps.sweep(self, x=x, y=y, value=value, ax=ax)


class _Endless(StrategyError):
    """The strategy did not return at a point."""

    @property
    def problem(self) -> str:
        """What happened, without the game."""
        return self._given[2]


@dataclass(frozen=True)
class _AtPoints:
    """Runs the strategy at points, by their numbers; what a worker does."""

    make: Callable[[Point], Any]
    grid: list[Point]
    source: Paths
    exact: ExactPrices
    rules: Rules
    mark: bool
    check: bool
    hidden: Paths
    max_seconds: float | None

    def __call__(self, part: Any) -> list[PerGame | Exception]:
        """Return the results at each point, or the error that it raised."""
        return [self.one(place) for place in part]

    def one(self, place: int) -> PerGame | Exception:
        """Return the results at one point."""
        seen = Progress()
        found: list[PerGame] = []

        def run() -> None:
            strategy = self.make(self.grid[place])
            options: Any = {"mark": self.mark, "check": self.check, "hidden": self.hidden, "seen": seen}
            found.append(per_game(strategy, self.source, self.exact, self.rules, **options))

        try:
            if within(self.max_seconds, run, seen.so_far):
                return found[0]
            return _Endless(*seen.so_far(), never_returned(self.max_seconds))
        except Exception as error:  # noqa: BLE001  user code may raise anything; the sweep names the point
            return error


def sweep(  # noqa: PLR0913 each is a choice of the caller
    source: Source,
    strategy: Any,
    grid: Grid,
    *,
    rules: Rules | None = None,
    where: Selection | None = None,
    unfinished: Literal["weight", "mark", "void", "skip"] = "weight",
    check: bool = True,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    max_seconds: float | None = 60.0,
    executor: Any = None,
    workers: int | None = None,
    cache: str | os.PathLike[str] | None = None,
    progress: bool = True,
) -> Sweep:
    """Run a strategy at every point of a grid over the same games, and say what the best of them is worth.

    Every game begins with the whole bankroll of the rules, so that games are alike and none depends on those before it;
    the results are doubles. `Sweep.backtest` runs a point as `backtest` does: one bankroll, exact money.

    Parameters
    ----------
    source : Store, path, Paths, or list of Segment
        The games.
    strategy : class or function
        A class, or a function that returns a strategy (also a `Vectorised` one, which is by far the quickest), called
        with the parameters of a point by name; or a function of tape, account and the parameters.
    grid : mapping, or list of mappings
        Values of each parameter, every combination of which is a point; or the points themselves. At most 10,000.
    rules, where, unfinished, check
        As for `backtest`.
    confidence, resamples, seed
        Of intervals and tests, which draw whole games.
    max_seconds : float, optional
        As for `backtest`, at each point.
    executor, workers
        As for `map_games`.
    cache : path, optional
        Folder that keeps the results of each point under digests of the games, the strategy, the rules and the point.
    progress : bool
        Show a bar.

    Raises
    ------
    AnalysisError
        When the grid has no point or more than 10,000, the strategy does not take its names, or there is no game.
    LookAhead
        When the strategy looks ahead at a point.
    StrategyError
        When it raised at every point; a point that raised alone has its reason in the column `error`. When it does
        not return within `max_seconds` at one.

    Examples
    --------
    >>> from replaylab.analysis import Buy, Sell, Vectorised
    >>> from replaylab.simulation.bulk import price_arrays
    >>> def hold(ticks):
    ...     return Vectorised(lambda paths: {Buy("0.1"): np.flatnonzero(paths.tick == 0),
    ...                                      Sell(): np.flatnonzero(paths.tick == ticks)})
    >>> drawn = Paths.of_arrays(*price_arrays(300, seed=1))
    >>> found = sweep(drawn, hold, {"ticks": [5, 10, 20]}, workers=1, progress=False)
    >>> found.table["ticks"].tolist(), found.n_games
    ([5, 10, 20], 300)
    """
    one_of("unfinished", unfinished, ("weight", "mark", "void", "skip"))
    tried = points(grid)
    make = maker(strategy, tried[0])
    number("confidence", confidence, above=0, below=1)
    limit = None if max_seconds is None else number("max_seconds", max_seconds, above=0)
    source = open_store(source) if isinstance(source, str | os.PathLike) else source
    if cache is not None and isinstance(source, Store) and source.files.keys is not None:
        raise AnalysisError(f"cache={str(cache)!r}: the store is encrypted, what a sweep keeps is not; leave it out")
    found = some_games(paths(source, where=where))
    if unfinished == "skip":
        found = some_games(found.select(found.rug_tick >= 0))
    if len(tried) * len(found) > CELLS:
        raise AnalysisError(
            f"grid has {len(tried):,} points on {len(found):,} games; at most {CELLS // len(found):,} points fit: take "
            "fewer, or fewer games by `where`"
        )
    rules = Rules() if rules is None else rules
    kept = None if cache is None else Kept(cache, strategy, rules, found, f"{unfinished} {check}")
    done: dict[int, PerGame] = {} if kept is None else kept.find(tried)
    left = [place for place in range(len(tried)) if place not in done]
    cached = len(done)
    errors: dict[int, str] = {}
    if left:
        exact = ExactPrices(found) if _vectorised(make, tried[left[0]], limit) else ExactPrices.of(source, found)
        task = _AtPoints(make, tried, found, exact, rules, unfinished == "mark", check, blind(found), limit)
        for place, outcome in _run(task, left, executor, workers, progress=progress):
            if isinstance(outcome, PerGame):
                done[place] = outcome
                if kept is not None:
                    kept.keep(tried[place], outcome)
            else:
                errors[place] = _reason(outcome, tried[place])
    if not done:
        raise StrategyError("", -1, f"{errors[min(errors)]} (at {tried[min(errors)]}, and at every other point)")
    results = _Results(
        tried, done, errors, Watched.of(found).of_games() if unfinished == "weight" else np.ones(len(found))
    )
    luck = results.luck(confidence, resamples, seed)
    return Sweep(
        results.table(luck), results.profits, results.weights, tuple(tried[0]), found, make, rules, unfinished, tried,
        luck, confidence, cached,
    )  # fmt: skip


def _reason(error: Exception, point: Point) -> str:
    """Return why a point has no result; raise where the strategy looked ahead or did not return."""
    if isinstance(error, LookAhead):
        raise LookAhead(f"{error} (at {point})") from error
    if isinstance(error, _Endless):
        raise StrategyError(error.game_id, error.tick, f"{error.problem} (at {point})")
    return f"{type(error).__name__}: {error}"


def _vectorised(make: Callable[[Point], Any], point: Point, limit: float | None) -> bool:
    made: list[Any] = []
    try:
        returned = within(limit, lambda: made.append(make(point)), lambda: len(made))
    except Exception:  # noqa: BLE001  user code may raise anything; running the point will say what
        return False
    if not returned:
        raise StrategyError("", -1, f"{never_returned(limit)} (at {point})")
    return isinstance(made[0], Vectorised)


def _run(
    task: _AtPoints, left: Sequence[int], executor: Any, workers: int | None, *, progress: bool
) -> Iterator[tuple[int, PerGame | Exception]]:
    """Yield the outcome of each point, as workers finish them."""
    from replaylab.settings import current  # pydantic loads late, as importing the package must stay cheap

    many = current().workers if workers is None else current().changed(workers=workers).workers
    size = max(1, -(-len(left) // (_PARTS * (many or usable_cores()))))
    parts = [tuple(left[first : first + size]) for first in range(0, len(left), size)]
    runner = cast("Any", runner_for(cast("Any", task), len(parts), executor, many, local=True))
    with bar(len(left), "sweep", "point", show=progress) as shown, runner:
        for part in parts:
            runner.put(part)
        while runner.pending:
            part, outcomes, how = runner.next()
            if outcomes is None:
                raise WorkerFailed(
                    f"a worker died ({how}) at one of the points {[task.grid[place] for place in part[:3]]}"
                )
            yield from zip(part, outcomes, strict=True)
            shown.update(len(part))


@dataclass(frozen=True)
class _Results:
    """The results at all points, put together."""

    grid: list[Point]
    done: Mapping[int, PerGame]
    errors: Mapping[int, str]
    weights: Floats

    @property
    def profits(self) -> Floats:
        nothing = np.full(len(self.weights), np.nan)
        return np.array([self.done[place].profit if place in self.done else nothing for place in range(len(self.grid))])

    def luck(self, confidence: float, resamples: int, seed: int) -> Luck:
        """Return means and tests; no test with few games."""
        profits, ran = self.profits, np.array(sorted(self.done))
        if (self.weights > 0).sum() >= LEAST_GAMES:
            found = best_of_many(profits[ran].T, self.weights, confidence=confidence, resamples=resamples, seed=seed)
            columns = [getattr(found, one.name) for one in fields(Luck)]
        else:
            columns = [_average(profits[ran], self.weights), *(np.full(len(ran), np.nan) for _ in fields(Luck)[1:])]
        spread = np.full((len(columns), len(self.grid)), np.nan)
        spread[:, ran] = columns
        return Luck(*spread)

    def table(self, luck: Luck) -> pd.DataFrame:
        """Return one row a point."""
        import pandas as pd

        found = pd.DataFrame(self.grid)
        known = [self.done.get(place) for place in range(len(found))]
        paid = np.array([np.nan if one is None else self.weights @ one.paid for one in known])
        gains = np.array([np.nan if one is None else self.weights @ one.profit for one in known])
        found["trades"] = pd.array([None if one is None else int(one.trades.sum()) for one in known], "Int64")
        found["mean_profit"], found["low"], found["high"] = luck.mean, luck.low, luck.high
        found["return_on_stake"] = np.divide(gains, paid, out=np.full(len(found), np.nan), where=paid > 0)
        found["p_value"], found["p_adjusted"] = luck.p_value, luck.p_adjusted
        found["n_games"] = len(self.weights)
        found["failures"] = pd.array([None if one is None else one.failures for one in known], "Int64")
        found["error"] = [self.errors.get(place) for place in range(len(found))]
        return found


def _average(profits: Floats, weights: Floats) -> Floats:
    total = weights.sum()
    return np.asarray(profits @ weights / total) if total > 0 else np.full(len(profits), np.nan)
