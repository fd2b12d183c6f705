"""The natural call works: a store with an id, with ids, with a part of its table, a path; errors say what to type."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import replaylab as rl
from replaylab.errors import GameNotFound, StoreNotFound, Unplayable
from replaylab.storage.store import Store
from replaylab.widgets.player import ReplayPlayer
from tests.stores import line, quiet, simulated
from tests.widgets.pages import Make, game


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of five games; reading does not change it."""
    folder = tmp_path_factory.mktemp("played")
    quiet(simulated(folder / "recordings", games=5, seed=4), folder / "store")
    return Store(folder / "store")


def shown(player: ReplayPlayer) -> tuple[str, list[str]]:
    """The game that is shown, and the names of those that can be picked."""
    assert player._sync is not None
    names = list(player._sync.playlist.names) if player._sync.playlist is not None else []
    player.close()
    return player.game_id, names


CALLS: dict[str, Callable[[Store, list[str]], ReplayPlayer]] = {
    "an id": lambda store, ids: rl.play(store, ids[3]),
    "a path and an id": lambda store, ids: rl.play(str(store.path), ids[3]),
    "a Path and a list": lambda store, ids: rl.play(Path(store.path), [ids[3]]),
    "a game of the store": lambda store, ids: rl.play(store, store.game(ids[3])),
    "a part of its table": lambda store, ids: rl.play(
        store.games().query("game_id == @chosen", local_dict={"chosen": ids[3]})
    ),
    "a store and a part of its table": lambda store, ids: rl.play(
        store, store.games().query("game_id == @chosen", local_dict={"chosen": ids[3]})
    ),
    "a row of its table": lambda store, _: rl.play(store.games().iloc[3]),
    "a store and a row of its table": lambda store, _: rl.play(store, store.games().iloc[3]),
    "a store and a tuple of its table": lambda store, _: rl.play(store, list(store.games().itertuples())[3]),
    "a column alone": lambda store, _: rl.play(store.games()["game_id"].tail(2).head(1)),
    "a column of its table": lambda store, ids: rl.play(
        store, store.games().query("game_id == @chosen", local_dict={"chosen": ids[3]})["game_id"]
    ),
}


@pytest.mark.parametrize("name", CALLS)
def test_each_natural_call_shows_the_game(store: Store, name: str) -> None:
    """The game that was asked for is shown, and nothing else can be picked."""
    ids = store.game_ids()
    assert shown(CALLS[name](store, ids)) == (ids[3], [ids[3]])


def test_several_games_keep_the_order_asked_for(store: Store) -> None:
    """Ids, a sorted table, a path alone: the games can be picked in the order in which they were given."""
    ids = store.game_ids()
    assert shown(rl.play(store, [ids[4], ids[0]])) == (ids[4], [ids[4], ids[0]])
    table = store.games().sort_values("game_id", ascending=False)
    assert shown(rl.play(table)) == (max(ids), sorted(ids, reverse=True))
    assert shown(rl.play(store.path)) == (ids[0], ids)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda store: rl.play(store, "20310102-none"), GameNotFound, "no game '20310102-none' in"),
        (lambda store: rl.play(store, ["a", "b", *store.game_ids()]), GameNotFound, "and 1 more of 7"),
        (lambda store: rl.play(store, []), Unplayable, "the list of ids is empty; type rl.play"),
        (lambda store: rl.play(store, 7), Unplayable, "games=7 names no game; type rl.play"),
        (lambda store: rl.play(store, [7]), Unplayable, "names no game; type rl.play"),
        (lambda store: rl.play(store, "x" * 3_000), GameNotFound, "no game"),
        (lambda _: rl.play(game(3), "id"), Unplayable, "ids need a store before them, not a list; type rl.play"),
        (lambda _: rl.play(pd.DataFrame({"game_id": ["a"]})), Unplayable, "does not say which store"),
        (lambda store: rl.play(store, pd.DataFrame({"id": ["a"]})), Unplayable, "has no column game_id"),
        (lambda _: rl.play("nowhere"), StoreNotFound, "nowhere"),
        (lambda _: rl.play("game.jsonl"), Unplayable, "type rl.convert"),
        (lambda _: rl.play(7), Unplayable, "int is no game"),
        (lambda _: rl.play([]), Unplayable, "no game was asked for: .* holds none; type rl.play"),
        (lambda _: rl.play(None), Unplayable, "no game was asked for: None holds none; type rl.play"),
        (lambda store: rl.play(store.game_ids()), Unplayable, "ids need their store before them; type rl.play"),
        (lambda store: rl.play(store.game_ids()[0]), StoreNotFound, "is the id of a game: type rl.play"),
        (lambda _: rl.play(pd.Series(["a"])), Unplayable, "put the store before it; type rl.play"),
        (lambda store: rl.play(next(store.games().itertuples())), Unplayable, "put the store before it"),
        (lambda store: store[:3], GameNotFound, "by slice.*type store"),
    ],
)
def test_errors_say_what_to_type(store: Store, call: Callable[[Store], Any], error: type[Exception], said: str) -> None:
    """What cannot be played is named, with the call that would work."""
    with pytest.raises(error, match=said):
        call(store)


def test_the_signature_is_written_out() -> None:
    """Every option of `play` can be read off its signature, and is the player's; a wrong one is an error by name."""
    options = inspect.signature(rl.play).parameters
    assert list(options) == list(inspect.signature(ReplayPlayer.__init__).parameters)[1:]
    assert all(option.kind is not option.VAR_KEYWORD for option in options.values())
    with pytest.raises(TypeError, match="sped"):
        rl.play(game(3), sped=2)  # type: ignore[call-arg]


def test_options_can_be_set_and_take_effect(make: Make) -> None:
    """Set in Python an option reaches page and trait; what the page changes reaches the trait."""
    player, page = make(game(50))
    player.height, player.log, player.pacing = 500, True, "nominal"
    player.ahead, player.lockstep = False, True
    changes: dict[str, Any] = {}
    for content, _ in page.heard:
        if content["kind"] == "options":
            changes |= content
    del changes["kind"]
    assert changes == {"height": 500, "log": True, "pacing": "nominal", "ahead": False, "lockstep": True}
    page.say("ready")
    opening = page.last("open")
    assert opening["facts"]["height"] == 500
    assert [opening["state"][name] for name in ("log", "pacing", "ahead", "lockstep")] == [True, "nominal", False, True]
    page.state(log=False, ahead=True, pacing="recorded")
    assert [player.log, player.ahead, player.pacing] == [False, True, "recorded"]


def test_a_name_that_a_player_does_not_have_is_refused(make: Make) -> None:
    """A typo is an error that names what was meant, not a new attribute; so is a value of a wrong type."""
    player, _ = make(game(5))
    with pytest.raises(AttributeError, match="did you mean 'height'"):
        player.heigth = 500
    with pytest.raises(AttributeError, match="a player has no 'colour_of_sky'"):
        player.colour_of_sky = "blue"
    for name, value in {"height": "500", "log": "yes", "pacing": "fast", "blind": None}.items():
        with pytest.raises(Exception, match=name):
            setattr(player, name, value)


def test_thousands_of_ids(tmp_path: Path) -> None:
    """2,000 ids are a playlist of which each game is opened when its turn comes, a table, and too many to compare."""
    starts = (f"2031-01-02T{at // 3600:02}:{at // 60 % 60:02}:{at % 60:02}" for at in range(2_000))
    lines = [line(f"g{at:05}", 1, "1.5", timestamp=start) for at, start in enumerate(starts)]
    (tmp_path / "x.jsonl").write_bytes(b"".join(lines))
    quiet(tmp_path / "x.jsonl", tmp_path / "store")
    store = rl.open_store(tmp_path / "store")
    ids = store.game_ids()[::-1]
    opened: list[str] = []
    found = store.game

    def watched(game_id: str) -> rl.Game:
        opened.append(game_id)
        return found(game_id)

    store.game = watched  # type: ignore[method-assign]
    player = rl.play(store, ids)
    assert opened == ids[:1]
    assert player.pick(1_999)
    assert player.game_id == ids[-1]
    player.close()
    assert len(rl.browse(store, ids).ids) == 2_000
    with pytest.raises(Unplayable, match="2,000 games: at most 8 can be told apart"):
        rl.compare(store, ids)
    with pytest.raises(GameNotFound, match=r"no game 'nope'.* \(and 1 more of 2,002\)"):
        rl.play(store, [*ids, "nope", "neither"])
