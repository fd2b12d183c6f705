"""Names of options: whatever is mistyped, the message says what to type."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import replaylab as rl
from replaylab.widgets.browser import GameBrowser
from replaylab.widgets.comparison import GameComparison
from replaylab.widgets.player import ReplayPlayer

ENTRIES: dict[str, Callable[..., Any]] = {
    f"rl.{name}": getattr(rl, name)
    for name in rl.__all__
    if name not in {"Game", "Mapping", "Settings", "Store", "Tick"}  # whose makers are not those of a notebook
    and (inspect.isfunction(getattr(rl, name)) or name in {"Recorder", "ReplayEngine"})
} | {
    "rl.analysis.backtest": rl.analysis.backtest,
    "Game.plot": rl.Game.plot,
    "ReplayPlayer": ReplayPlayer,
    "GameBrowser": GameBrowser,
    "GameComparison": GameComparison,
}


@pytest.mark.parametrize("shown", ENTRIES)
def test_an_option_that_was_mistyped_is_answered_by_the_one_that_was_meant(shown: str) -> None:
    """Every entry of the front door names itself and the nearest of its options, before it does anything."""
    entry = ENTRIES[shown]
    for name, option in inspect.signature(entry).parameters.items():
        if option.kind is option.KEYWORD_ONLY and len(name) > 3:
            with pytest.raises(TypeError, match=rf"^{shown} has no option '{name[:-1]}_'; did you mean '{name}'\?$"):
                entry(**{f"{name[:-1]}_": None})


@pytest.mark.parametrize("entry", [rl.play, rl.browse, rl.compare])
def test_a_backtest_is_given_as_trades(entry: Callable[..., Any]) -> None:
    """What people type first, `backtest=`, is answered by `trades`."""
    with pytest.raises(TypeError, match="has no option 'backtest'; did you mean 'trades'"):
        entry("store", backtest=None)


def test_an_option_that_nothing_is_like_is_answered_by_all() -> None:
    """Where no name is near, all of them are told."""
    with pytest.raises(TypeError, match=r"rl\.compare has no option 'zzz'; it has games, ids, trades, align, height"):
        rl.compare("store", zzz=1)  # type: ignore[call-arg]


def test_signatures_are_written_out() -> None:
    """No entry of a notebook hides its options behind `**options`."""
    for shown, entry in ENTRIES.items():
        kinds = {one.kind for one in inspect.signature(entry).parameters.values()}
        assert inspect.Parameter.VAR_KEYWORD not in kinds or shown in {"Game.plot", "rl.serve"}, shown


@pytest.fixture
def store(tmp_path: Path) -> rl.Store:
    """Three games."""
    rl.simulate(tmp_path / "recordings", games=3, seed=1)
    rl.convert(tmp_path / "recordings", tmp_path / "store", progress=False)
    return rl.open_store(tmp_path / "store")


def test_a_name_that_a_widget_does_not_have_cannot_be_set(store: rl.Store) -> None:
    """A mistyped name is an error, not a new attribute, of players, browsers and comparisons alike."""
    shown: list[tuple[Any, str]] = [
        (rl.play(store), "a player"),
        (rl.browse(store), "a browser of games"),
        (rl.compare(store), "a comparison"),
    ]
    for widget, name in shown:
        with pytest.raises(AttributeError, match=f"{name} has no 'hieght' to be set; did you mean 'height'"):
            widget.hieght = 400
        widget.height = 400
        assert widget.height == 400
        widget.close()


def test_what_a_player_only_tells_says_what_moves_it(store: rl.Store) -> None:
    """`index`, `playing` and `game_id` are answered by the call that changes them."""
    player = rl.play(store)
    for name, call in {"index": "seek", "playing": "play()", "game_id": "pick"}.items():
        with pytest.raises(AttributeError, match=rf"{name} cannot be set; player\.{call}".replace("()", r"\(\)")):
            setattr(player, name, 1)
    player.close()


def test_no_private_name_in_what_a_widget_says(store: rl.Store) -> None:
    """A value of the wrong kind is answered by names that users have seen."""
    entries: list[Callable[..., Any]] = [rl.play, rl.browse, rl.compare]
    for entry in entries:
        with pytest.raises(Exception, match=r"'height' trait of a [A-Z]") as said:
            entry(store, height="big")
        assert " _" not in str(said.value)
    player: Any = rl.play(store)
    with pytest.raises(TypeError, match=r"player\.mark has no option 'color'; did you mean 'colour'\?"):
        player.mark(5, color="teal")
    for call in (player.step, player.pick):
        with pytest.raises(rl.errors.TickError, match="'x': must be a whole number"):
            call("x")
    player.close()


def test_what_is_no_store_is_answered_by_how_one_is_named() -> None:
    """A number, or nothing, in the place of a store."""
    entries: list[tuple[Callable[..., Any], str]] = [(rl.open_store, "open_store"), (rl.dashboard, "dashboard")]
    for entry, name in entries:
        for wrong in (3, None):
            with pytest.raises(TypeError, match=rf"is no path of a store; type rl\.{name}\('store'\)"):
                entry(wrong)
