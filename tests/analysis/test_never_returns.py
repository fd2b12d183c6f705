"""Code of a user that never returns is named within its time, whoever runs it; nothing hangs."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from replaylab import analysis as a
from replaylab.errors import StrategyError, WorkerFailed
from tests.analysis.made import drawn
from tests.stores import quiet, simulated

LIMIT = 0.3


def spins(*_given: object, **_named: object) -> None:
    """Count for ever."""
    for _ in count():
        pass


def sleeps(*_given: object, **_named: object) -> None:
    """Sleep, which is a call into C."""
    time.sleep(3_600)


ENDLESS = pytest.mark.parametrize("never", [spins, sleeps])


@ENDLESS
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("kind", ["called", "vectorised", "while it is made"])
def test_a_sweep_names_the_point(never: Callable[..., Any], kind: str, workers: int) -> None:
    """The strategy of one point never returns: the sweep raises, and says where."""

    def made(ticks: int) -> Any:
        if kind == "while it is made" and ticks:
            never()
        if kind == "vectorised":
            return a.Vectorised(never if ticks else lambda _paths: {})
        return never if ticks else lambda _tape, _account: None

    with pytest.raises(StrategyError, match=r"did not return within 0\.3 s; max_seconds= .*\{'ticks': 1\}"):
        a.sweep(drawn(30), made, {"ticks": [0, 1]}, max_seconds=LIMIT, workers=workers, progress=False)


@ENDLESS
def test_a_vectorised_backtest_is_named(never: Callable[..., Any]) -> None:
    """A strategy on whole arrays has the same limit as one that is called at each tick."""
    with pytest.raises(StrategyError, match=r"did not return within 0\.3 s"):
        a.backtest(drawn(5), a.Vectorised(never), max_seconds=LIMIT, progress=False)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four games in two segments."""
    folder = tmp_path_factory.mktemp("endless")
    for seed in (1, 2):
        quiet(simulated(folder / str(seed), games=2, seed=seed), folder / "store")
    return folder / "store"


@ENDLESS
@pytest.mark.parametrize("workers", [1, 2])
def test_a_game_that_takes_for_ever_is_a_row_of_its_own(never: Callable[..., Any], workers: int, store: Path) -> None:
    """Its row says why, and the other games are answered."""
    first = a.games(store)["game_id"][0]
    found = a.map_games(store, lambda game: never() if game.id == first else 1, max_seconds=LIMIT, workers=workers)
    table = found.to_pandas().set_index("game_id")
    assert table.loc[first, "error"].startswith("WorkerFailed: the function did not return within 0.3 s; max_seconds= ")
    assert table["value"].sum() == 3


@pytest.mark.parametrize("workers", [1, 2])
def test_a_function_that_never_returns_ends_the_run(workers: int, store: Path) -> None:
    """The third game ends it by name, however many are left."""
    with pytest.raises(WorkerFailed, match=r"^the function did not return within 0\.3 s; .*\(games "):
        a.map_games(store, sleeps, max_seconds=LIMIT, workers=workers)


def test_in_threads_too(store: Path) -> None:
    """Threads of an executor are ended where Python code runs."""
    with ThreadPoolExecutor(2) as threads, pytest.raises(WorkerFailed, match="did not return"):
        a.map_games(store, spins, max_seconds=LIMIT, executor=threads)
