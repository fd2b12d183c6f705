"""Small stores: every public name of the analysis is asked about them; it answers in finite figures or says why not."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

import replaylab as rl
from replaylab import analysis as a
from replaylab.errors import ReplayLabError
from replaylab.playback.timeline import Timeline
from replaylab.playback.view import View
from replaylab.tick import Tick
from tests.analysis.made import drawn
from tests.analysis.test_bad_input import ASK, PLAN, SOURCES, every_order, figures, hold, once, says_what_to_do
from tests.stores import game_lines, line, quiet

MATH_TEXT = ".* deprecated - use "  # an older matplotlib with a newer pyparsing


def followed(store: rl.Store) -> object:
    """Trade the games of a store as they are replayed."""
    trader = a.Trader(every_order)
    for game in store.games()["game_id"]:
        trader.begin(game)
        for tick, price in zip(*a.paths(store, where=a.Selection(ids=[game])).of(0), strict=True):
            trader.see(int(tick), float(price))
        trader.end()
    return trader.account.balance


def seen(store: rl.Store) -> list[dict[str, float]]:
    """Return the features at the first tick of each game."""
    ticks = [Tick(game_id=game, tick=0, timestamp=datetime(2031, 1, 2, tzinfo=UTC), price=Decimal(1), active=True)
             for game in store.games()["game_id"]]  # fmt: skip
    return [a.features_at(View(Timeline.of([tick]), 0)) for tick in ticks]


def peak(game: Any) -> object:
    """Return the peak of a game."""
    return game.summary["peak"]


ASK_STORE: dict[str, Callable[[rl.Store], Any]] = {
    "gap_mask": a.gap_mask,
    "trade_flow": a.trade_flow,
    "games_of": lambda store: [a.games_of(segment).to_pandas() for segment in store.segments()],
    "map_games": lambda store: a.map_games(store, peak, workers=1, progress=False),
    "summarise": lambda store: a.summarise(store, workers=1, progress=False),
    "features_at": seen,
    "Trader": followed,
}
# Names that are values: what returns them, or takes them, in the questions above.
VALUES = {
    "Backtest": "backtest", "Bet": "orders", "BetSequence": "bet_sequence", "Buy": "orders", "Cancel": "orders",
    "Drift": "drift", "EntryPlan": "entry_study", "EntryStudy": "entry_study", "LogRank": "log_rank",
    "Paths": "paths", "Results": "map_games", "Sell": "orders", "SequenceStudy": "sequence_study",
    "Survival": "survival", "Sweep": "sweep", "Tape": "orders", "TrainingSet": "training_set",
    "Vectorised": "sweep", "When": "orders", "limit": "orders", "stop": "orders", "trailing": "orders",
    "martingale": "orders",
}  # fmt: skip
ELSEWHERE = {"Interrupted"}  # raised on Ctrl-C: tests/analysis/batches


def test_every_public_name_is_asked() -> None:
    """A new public name of the analysis needs a question here, or a place among the values of one."""
    asked = ASK.keys() | ASK_STORE.keys() | ELSEWHERE
    assert set(VALUES.values()) <= asked
    assert set(a.__all__) - asked - VALUES.keys() == set()
    assert (VALUES.keys() | ELSEWHERE) <= set(a.__all__)
    assert set(a.charts.__all__) == CHARTS.keys()


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, rl.Store]:
    """Return a store of each kind, on disk."""
    folder = tmp_path_factory.mktemp("small")
    ids = [f"20310102-{number:016x}" for number in range(8)]
    alive = {game: [line(game, tick) for tick in range(9)] for game in ids}
    contents = {
        "one game": game_lines(ids[0], 5),
        "two games": game_lines(ids[0], 5) + game_lines(ids[1], 9),
        "all censored": [one for game in ids for one in alive[game]],
        "all rug at once": [one for game in ids for one in game_lines(game, 1)],
        "duplicates": game_lines(ids[0], 5) * 3,
        "prices of 1e-24": [one for game in ids for one in game_lines(game, 9, price="1e-24")],
        "prices of 1e13": [one for game in ids for one in game_lines(game, 9, price="10000000000000")],
    }
    found = {}
    for name, lines in contents.items():
        recording = folder / f"{name}.jsonl"
        recording.write_bytes(b"".join(lines))
        found[name] = rl.open_store(quiet(recording, folder / name).store)
    with rl.Recorder(folder / "no game"):
        pass
    return found | {"no game": rl.open_store(folder / "no game")}


STORES = ["no game", "one game", "two games", "all censored", "all rug at once", "duplicates", "prices of 1e-24",
          "prices of 1e13"]  # fmt: skip


def answered(ask: Callable[[], object]) -> str:
    """Ask with warnings as errors; return the refusal, or nothing for an answer that is finite and can be shown."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", MATH_TEXT)
        try:
            found = ask()
            assert repr(found)
        except ReplayLabError as error:
            return str(error)
    infinite = [name for name, value in figures(found) if math.isinf(value)]
    assert not infinite
    return ""


@pytest.mark.parametrize("source", STORES)
@pytest.mark.parametrize("name", ASK_STORE)
def test_stores_are_answered_or_refused_by_name(name: str, source: str, stores: Mapping[str, rl.Store]) -> None:
    """Questions that need a store: no infinite figure, no error of a library; an answer's text can be shown."""
    refusal = answered(lambda: ASK_STORE[name](stores[source]))
    assert not refusal or says_what_to_do(refusal), refusal


CHARTS: dict[str, Callable[[a.Paths], Any]] = {
    "backtest": lambda some: a.charts.backtest(a.backtest(some, once, progress=False)),
    "duration_hist": lambda some: a.charts.duration_hist(a.duration_hist(some)),
    "hazard": lambda some: a.charts.hazard(a.hazard(some)),
    "horizon_table": lambda some: a.charts.horizon_table(a.horizon_table(some, holds=[1, 5], resamples=0)),
    "p_rug_within": lambda some: a.charts.p_rug_within(a.p_rug_within(some)),
    "paths": a.charts.paths,
    "peak_table": lambda some: a.charts.peak_table(a.peak_table(some)),
    "sidebet_heatmap": lambda some: a.charts.sidebet_heatmap(a.sidebet_heatmap(some)),
    "sidebet_pooled": lambda some: a.charts.sidebet_pooled(a.sidebet_pooled(some)),
    "sidebet_table": lambda some: a.charts.sidebet_table(a.sidebet_table(some)),
    "survival": lambda some: a.charts.survival(a.survival(some)),
    "sweep": lambda some: a.charts.sweep(a.sweep(some, hold, {"ticks": [1, 2]}, progress=False)),
}


@pytest.mark.parametrize("source", ["no game", "one game", "all censored", "prices of 1e-24", "prices of 1e13"])
@pytest.mark.parametrize("name", CHARTS)
def test_charts_are_drawn_or_refused_by_name(name: str, source: str) -> None:
    """A chart of few or odd games is drawn without a warning of matplotlib, or refused as its question is."""
    import matplotlib.pyplot as plt

    try:
        refusal = answered(lambda: CHARTS[name](SOURCES[source]))
    finally:
        plt.close("all")
    assert not refusal or says_what_to_do(refusal), refusal


FEW: a.Paths = drawn(20)
MILLION = range(1, 1_000_001)
# Every argument that takes a grid, by function and name.
GRIDS: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("bet_sequence", "stakes"): lambda grid: a.bet_sequence(FEW, stakes=[1 for _ in grid], resamples=20),
    ("duration_hist", "bins"): lambda grid: a.duration_hist(FEW, bins=grid),
    ("excursion_table", "holds"): lambda grid: a.excursion_table(FEW, holds=grid),
    ("hazard", "bins"): lambda grid: a.hazard(FEW, bins=grid),
    ("horizon_table", "holds"): lambda grid: a.horizon_table(FEW, holds=grid, resamples=0),
    ("p_rug_within", "by"): lambda grid: a.p_rug_within(FEW, by=grid),
    ("peak_quantiles", "shares"): lambda grid: a.peak_quantiles(FEW, shares=[one / 1_000_002 for one in grid]),
    ("peak_table", "at"): lambda grid: a.peak_table(FEW, at=grid),
    ("sequence_study", "heights"): lambda grid: a.sequence_study(FEW, heights=grid),
    ("sidebet_heatmap", "ticks"): lambda grid: a.sidebet_heatmap(FEW, ticks=grid, windows=[40]),
    ("sidebet_heatmap", "windows"): lambda grid: a.sidebet_heatmap(FEW, ticks=[0], windows=grid),
    ("sidebet_pooled", "edges"): lambda grid: a.sidebet_pooled(FEW, edges=grid),
    ("sidebet_table", "ticks"): lambda grid: a.sidebet_table(FEW, ticks=grid),
    ("sidebet_table", "window"): lambda grid: a.sidebet_table(FEW, window=grid),
    ("split", "parts"): lambda grid: a.split(FEW, {str(one): 1 / len(grid) for one in grid}),
    ("sweep", "grid"): lambda grid: a.sweep(FEW, hold, {"ticks": list(grid)}, progress=False),
    ("touch_table", "prices"): lambda grid: a.touch_table(FEW, prices=grid, targets=[1], plan=PLAN, resamples=0),
    ("touch_table", "targets"): lambda grid: a.touch_table(FEW, prices=[1], targets=grid, plan=PLAN, resamples=0),
    ("volatility_by_price", "edges"): lambda grid: a.volatility_by_price(FEW, edges=grid, resamples=0),
    ("adjusted", "p_values"): lambda grid: a.adjusted([one / 1_000_001 for one in grid]),
}
GRID_NAMES = {"ticks", "windows", "bins", "holds", "edges", "at", "by", "grid", "parts", "prices", "targets",
              "heights", "shares", "stakes", "p_values"}  # fmt: skip


ANSWERED = {("sidebet_table", "ticks"), ("sidebet_heatmap", "ticks"), ("adjusted", "p_values")}  # a million at once


def test_every_grid_is_asked() -> None:
    """A new argument that takes a sequence of points needs a case."""
    found = {
        (name, one.name)
        for name in a.__all__
        if inspect.isfunction(getattr(a, name))
        for one in inspect.signature(getattr(a, name)).parameters.values()
        if one.name in GRID_NAMES or "Sequence[" in str(one.annotation) or "Iterable[" in str(one.annotation)
    }
    words = {("log_rank", "by"), ("split", "by"), ("similar_games", "by"), ("similar_games", "ticks"),
             ("games", "prices")}  # texts and labels, no grids  # fmt: skip
    assert found - words - {("trade_flow", "windows")} == GRIDS.keys()


def outcome(case: tuple[str, str], grid: Any) -> tuple[Any, str]:
    """Return the answer over a grid, or its refusal."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return GRIDS[case](grid), ""
        except ReplayLabError as error:
            return None, str(error)


@pytest.mark.parametrize("case", GRIDS, ids="-".join)
def test_a_grid_of_nothing_is_answered_or_refused(case: tuple[str, str]) -> None:
    """A grid without a point is refused by the name of its argument, or its answer has no row."""
    found, refusal = outcome(case, [])
    if found is None:
        assert case[1] in refusal
        assert says_what_to_do(refusal)
    else:
        assert len(found) == 0


@pytest.mark.parametrize("case", GRIDS, ids="-".join)
def test_a_grid_of_a_million_points_is_answered_or_refused_at_once(case: tuple[str, str]) -> None:
    """A million points are an answer, or are refused by name before the games are asked once for each."""
    found, refusal = outcome(case, MILLION)
    if case in ANSWERED:
        assert len(found) == len(MILLION)
    else:
        assert case[1] in refusal
        assert len(refusal) < 300


@pytest.mark.parametrize("windows", [[], range(1, 1_000_001), 0])
def test_windows_of_trades_are_refused_by_name(windows: Any, stores: Mapping[str, rl.Store]) -> None:
    """No window, a million of them, or one of no tick."""
    with pytest.raises(ReplayLabError, match="windows"):
        a.trade_flow(stores["one game"], windows=windows)


def test_an_endless_grid_is_refused() -> None:
    """A grid that never ends is not read to its end."""
    with pytest.raises(ReplayLabError, match=r"len\(ticks\)>1000000: pass at most 1,000,000 points"):
        a.sidebet_table(FEW, ticks=count())
