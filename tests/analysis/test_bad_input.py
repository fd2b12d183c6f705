"""Bad and odd input: every public question answers, or raises an error of the package that names what is wrong."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

from replaylab import analysis as a
from replaylab.errors import AnalysisError, ReplayLabError, StrategyError
from tests.analysis.made import Made, drawn, made, whole


def once(tape: Any, account: Any) -> a.Buy | None:
    """Buy at tick 0."""
    del account
    return a.Buy("0.1") if tape.now == 0 else None


def hold(ticks: int) -> a.Vectorised:
    """Buy at tick 0 and sell after so many ticks."""
    return a.Vectorised(
        lambda paths: {
            a.Buy("0.1"): np.flatnonzero(paths.tick == 0),
            a.Sell(): np.flatnonzero(paths.tick == ticks),
        }
    )


def compared(source: a.Paths) -> pd.DataFrame:
    """Compare two strategies on the same games."""
    runs = {str(ticks): a.backtest(source, hold(ticks), check=False, progress=False) for ticks in (1, 2)}
    return a.compare(runs)


def folded(source: a.Paths, folds: Any) -> pd.DataFrame:
    """Return the rows of each side of folds."""
    found = a.training_set(source, within=2)
    sides = list(folds.split(found.X, groups=found.groups))
    return pd.DataFrame([{"train": len(train), "test": len(test)} for train, test in sides])


def earned(source: a.Paths) -> Any:
    """Return what two strategies earn, games x strategies."""
    return a.sweep(source, hold, {"ticks": [1, 2]}, check=False, progress=False).profits


def every_order(tape: Any, account: Any) -> Any:
    """Place an order of each kind."""
    del account
    waiting = (a.limit(a.Buy("0.1"), "0.9"), a.stop(a.Sell(), "0.5"), a.trailing("0.1"))
    return (a.Buy("0.1"), a.Bet(a.martingale("0.01", bets=2)[0]), *waiting) if tape.now == 0 else a.Cancel()


PLAN = a.EntryPlan(at_tick=0, hold=2)
ASK: dict[str, Callable[[a.Paths], Any]] = {
    "survival": a.survival,
    "hazard": a.hazard,
    "p_rug_within": a.p_rug_within,
    "duration_hist": a.duration_hist,
    "peak_table": a.peak_table,
    "peak_quantiles": a.peak_quantiles,
    "sequence_study": a.sequence_study,
    "sidebet_table": a.sidebet_table,
    "sidebet_heatmap": a.sidebet_heatmap,
    "sidebet_pooled": a.sidebet_pooled,
    "bet_sequence": lambda source: a.bet_sequence(source, stakes=["0.1", "0.2"], resamples=20),
    "entry_study": lambda source: a.entry_study(source, PLAN, resamples=20),
    "entry_trades": lambda source: a.entry_trades(source, PLAN),
    "touch_table": lambda source: a.touch_table(source, prices=[1], targets=[1], resamples=20),
    "horizon_table": lambda source: a.horizon_table(source, holds=[1, 5], resamples=20),
    "excursion_table": lambda source: a.excursion_table(source, holds=[1, 5]),
    "features": a.features,
    "volatility_by_price": lambda source: a.volatility_by_price(source, resamples=20),
    "spike_table": a.spike_table,
    "bootstrap": lambda source: a.bootstrap(source, lambda some: float(some.lengths.mean()), resamples=20),
    "split": a.split,
    "games": a.games,
    "backtest": lambda source: a.backtest(source, once, progress=False),
    "backtest of arrays": lambda source: a.backtest(source, hold(1), progress=False).metrics(),
    "ruin": lambda source: a.backtest(source, once, progress=False).ruin(resamples=20),
    "report": lambda source: a.backtest(source, once, progress=False).report(),
    "sweep": lambda source: a.sweep(source, hold, {"ticks": [1, 2]}, progress=False).table,
    "walk_forward": lambda source: a.sweep(source, hold, {"ticks": [1, 2]}, progress=False).walk_forward(2),
    "compare": compared,
    "log_rank": lambda source: a.log_rank(source, by=lambda games: games["ticks"] % 2),
    "drift": lambda source: a.drift(source, "h", permutations=9),
    "bands": lambda source: a.survival(source).bands(0.95),
    "games_needed": lambda source: a.games_needed(a.backtest(source, once, progress=False), edge=0.1),
    "training_set": a.training_set,
    "training_set of results": lambda source: a.training_set(source, target="result", within=2).y.to_frame(),
    "GamesInTime": lambda source: folded(source, a.GamesInTime(2)),
    "similar_games": lambda source: a.similar_games(source, next(iter(source.game_ids), "g0")),
    "paths": lambda source: a.paths(source).to_pandas(),
    "adjusted": lambda source: a.adjusted(a.survival(source).curve["survival"].to_numpy()),
    "best_of_many": lambda source: a.best_of_many(earned(source), resamples=20),
    "Luck": lambda source: a.best_of_many(np.stack([earned(source)[:, 0]] * 2, axis=1), resamples=20),
    "ruin of profits": lambda source: a.ruin(earned(source)[:, 0], start=1.0, resamples=20),
    "smallest_edge": lambda source: a.smallest_edge(a.backtest(source, once, progress=False), 100),
    "orders": lambda source: a.backtest(source, every_order, progress=False, unfinished="mark").metrics(),
    "Rules": lambda source: a.backtest(source, once, rules=a.Rules(slippage="0.1", latency_ticks=1), progress=False),
    "Selection": lambda source: a.games(source, where=a.Selection(complete=True)),
    "GameFolds": lambda source: folded(source, a.GameFolds(2)),
}
SOURCES = {
    "no game": made([]),
    "one game": made([whole(5)]),
    "two games": made([whole(5), whole(9)]),
    "one game of one tick": made([whole(1)]),
    "all censored": made([Made(range(9))] * 8),
    "all rug at once": made([whole(1)] * 8),
    "the same game eight times": drawn(8).take(np.zeros(8, np.int64)),
    "prices of 1e-24": made([whole(9, ["0.000000000000000000000001"] * 9)] * 8),
    "prices of 1e13": made([whole(9, ["10000000000000"] * 9)] * 8),
}
SHARES = ("win_rate", "share", "p", "reached", "success", "hazard", "target_first", "rugged")


def frames(found: Any) -> list[pd.DataFrame]:
    """Return the frames of an answer."""
    held = [found, *(vars(found).values() if hasattr(found, "__dict__") else ())]
    return [one for one in held if isinstance(one, pd.DataFrame)]


def parts_of(found: object, name: str) -> Iterable[tuple[str, Any]]:
    """Return what an answer is made of; games that were handed in, plans and rules are no answer."""
    if isinstance(found, pd.DataFrame):
        return [(f"{name}.{column}", found[column]) for column in found.columns if column != "to_price"]
    if isinstance(found, Mapping):
        return [(f"{name}.{key}", value) for key, value in found.items()]
    if isinstance(found, list | tuple):
        return [(f"{name}.{place}", value) for place, value in enumerate(found)]
    if is_dataclass(found) and not isinstance(found, a.Paths | a.EntryPlan | a.Rules):
        return [(f"{name}.{field.name}", getattr(found, field.name)) for field in fields(found)]
    return []


def figures(found: object, name: str = "", depth: int = 0) -> Iterator[tuple[str, float]]:
    """Yield every float of an answer with its place; `to_price` is infinite by its documentation: the last has none."""
    if isinstance(found, float | np.floating):
        yield name, float(found)
    elif isinstance(found, pd.Series | np.ndarray):
        if found.dtype.kind == "f":
            yield from ((name, float(value)) for value in np.ravel(found))
    elif depth < 4:
        for place, part in parts_of(found, name):
            yield from figures(part, place, depth + 1)


def says_what_to_do(text: str) -> bool:
    """Return whether a refusal names what is wrong (a field and its value) and says why in words."""
    return "=" in text and ": " in text and len(text.split()) > 4


def answer_or_refusal(ask: Callable[[a.Paths], Any], source: a.Paths) -> tuple[Any, str]:
    """Return the answer to a question, or the text of the package's own error."""
    try:
        return ask(source), ""
    except ReplayLabError as error:
        return None, str(error)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", ASK)
def test_odd_games_are_answered_or_named(name: str, source: str) -> None:
    """No question warns, raises an error of its libraries, or gives a share outside 0 and 1 or an end out of order."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".* deprecated - use ")  # an older matplotlib with a newer pyparsing
        found, refusal = answer_or_refusal(ASK[name], SOURCES[source])
        assert repr(found)
    assert not refusal or says_what_to_do(refusal), "the error does not name what is wrong"
    assert not [place for place, value in figures(found) if math.isinf(value)]
    for frame in frames(found):
        for column in SHARES:
            if column in frame:
                values = pd.to_numeric(frame[column]).dropna()
                assert ((values > -1e-9) & (values < 1 + 1e-9)).all(), column
        if {"low", "high"} <= set(frame.columns):
            ends = frame[["low", "high"]].astype(float).dropna()
            assert (ends["low"] <= ends["high"] + 1e-12).all()
        numbers = frame.select_dtypes("number").drop(columns=["to_price"], errors="ignore")
        assert not np.isinf(numbers.to_numpy(np.float64, na_value=np.nan)).any()


@pytest.mark.parametrize("name", ["sidebet_table", "hazard", "horizon_table", "peak_table", "survival"])
def test_grids_of_nothing_and_of_a_million(name: str) -> None:
    """A grid without a point is refused by its name; one of 100,000 points is answered, far ticks as not known."""
    games = drawn(200)
    ask: dict[str, Callable[[Any], Any]] = {
        "sidebet_table": lambda grid: a.sidebet_table(games, ticks=grid, window=[10, 10**9 // 2]),
        "hazard": lambda grid: a.hazard(games, bins=grid),
        "horizon_table": lambda grid: a.horizon_table(games, holds=list(grid)[-3:], resamples=0),
        "peak_table": lambda grid: a.peak_table(games, at=[1 + one for one in list(grid)[:50]]),
        "survival": lambda grid: a.survival(games).rugged_by(grid),
    }
    with pytest.raises(AnalysisError, match="at least one"):
        ask[name]([])
    big = range(1, 100_001) if name in {"sidebet_table", "survival"} else range(1, 2_001)
    assert len(ask[name](big)) >= 3


@pytest.mark.parametrize("answer", [5, "buy", object(), {"buy": 1}, [1], b"", {}, [None], float("nan")])
def test_a_strategy_that_returns_rubbish_is_named(answer: object) -> None:
    """What is no order ends the strategy's game with a reason; with `strict` it raises, naming game and tick."""
    found = a.backtest(made([whole(5)] * 3), lambda _tape, _account: answer, progress=False)
    assert found.errors["reason"].str.contains("is no order").all()
    assert len(found.errors) == 3
    assert not found.profit
    assert "the strategy raised in 3 games" in repr(found)
    with pytest.raises(StrategyError, match=r"g0.*0"):
        a.backtest(made([whole(5)]), lambda _tape, _account: answer, strict=True, progress=False)


def test_a_strategy_that_raises_in_every_game_has_no_figures() -> None:
    """A strategy that raises at once trades nothing: its means are those of games without a stake, and it is said."""

    def fails(tape: Any, account: Any) -> None:
        raise ZeroDivisionError(len(tape), account)

    found = a.backtest(made([whole(5)] * 3), fails, progress=False)
    metrics = found.metrics()["value"]
    assert metrics[["trades", "profit"]].tolist() == [0, 0]
    assert metrics[["win_rate", "mean_trade", "sharpe", "return_on_stake"]].isna().all()
    assert len(found.errors) == 3
