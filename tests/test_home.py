"""Paths of users: `~` is the home of the user at every door that takes a path, and no folder of that name is made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import replaylab as rl
from replaylab import analysis as a
from replaylab.conversion.inspect import inspect
from replaylab.durable import of_user
from tests.analysis.made import drawn
from tests.stores import quiet, simulated


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with recordings and a store, which is not the current folder."""
    found = tmp_path / "home"
    quiet(simulated(found / "recordings", games=2), found / "store")
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.setenv("HOME", str(found))
    monkeypatch.chdir(here)
    return found


def loaded() -> None:
    """Save results and load them."""
    a.map_games("~/store", len, workers=1).save("~/out/results.parquet")
    assert len(a.Results.load("~/out/results.parquet")) == 2


DOORS: dict[str, Callable[[], object]] = {
    "convert": lambda: rl.convert("~/recordings", "~/other", progress=False),
    "inspect": lambda: inspect(f"~/recordings/{min(one.name for one in of_user('~/recordings').iterdir())}"),
    "open_store": lambda: rl.open_store("~/store"),
    "Store": lambda: rl.Store("~/store").verify(),
    "Recorder": lambda: rl.Recorder("~/recorded").close(),
    "map_games": lambda: a.map_games("~/store", len, workers=1, cache="~/cache"),
    "Results": loaded,
    "report": lambda: a.backtest(drawn(5), lambda _tape, _account: None, progress=False).report("~/report.html"),
    "export": lambda: rl.export("~/store", "~/out.jsonl"),
    "compact": lambda: rl.compact("~/store", progress=False),
    "recover": lambda: rl.recover("~/store"),
    "inventory": lambda: rl.Store("~/store").verify().inventory.save("~/held.json"),  # type: ignore[union-attr]
    "FileKey": lambda: rl.FileKey("~/master.key", create=True),
}


@pytest.mark.parametrize("door", DOORS)
def test_the_home_is_meant(home: Path, door: str) -> None:
    """What is written lies in the home; the current folder stays empty."""
    DOORS[door]()
    assert not list(Path().iterdir())
    assert home.is_dir()


def test_a_user_that_is_not_there_is_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a shell a path of no user stays as it is."""
    monkeypatch.setenv("HOME", "/home/of")
    assert of_user("~") == Path("/home/of")
    assert of_user("~no-such-user-here/x") == Path("~no-such-user-here/x")
