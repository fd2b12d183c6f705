"""Games compared: what lies at 0, how many, and what the page is sent; `Game.plot` composes like other plots."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import same_color
from matplotlib.figure import Figure

import replaylab as rl
from replaylab.errors import Unplayable
from tests.stores import game_lines, line, quiet


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> rl.Store:
    """Nine games, one recorded late, one never live; reading does not change it."""
    folder = tmp_path_factory.mktemp("compared")
    lines = [part for number in range(7) for part in game_lines(f"game-{number}", 20 + number)]
    lines += [*game_lines("late", 30, first=10), line("never", 0, active=False)]
    (folder / "x.jsonl").write_bytes(b"".join(lines))
    quiet(folder / "x.jsonl", folder / "store")
    return rl.open_store(folder / "store")


def sent(compared: Any) -> tuple[dict[str, Any], list[bytes]]:
    """Return what a page gets that is ready."""
    found: list[Any] = []
    compared.send = lambda content, buffers=None: found.append((content, [bytes(one) for one in buffers or ()]))
    compared._receive(None, {"kind": "ready"}, [])
    compared._receive(None, "nonsense", [])
    first: tuple[dict[str, Any], list[bytes]] = found[0]
    return first


def test_the_page_gets_every_price(store: rl.Store) -> None:
    """Ticks, prices and what lies at 0 for each alignment; games without a live tick are there, too."""
    compared = rl.compare(store, ["late", "never", "game-0"], align="peak")
    content, buffers = sent(compared)
    assert [game["id"] for game in content["games"]] == ["late", "never", "game-0"]
    assert content["align"] == "peak"
    assert content["games"][0]["origins"] == {"tick": 0, "start": 10, "peak": 10}
    assert np.frombuffer(buffers[0], np.int32).tolist() == list(range(10, 31))
    assert np.frombuffer(buffers[1], np.float64)[-1] == 0.01
    assert buffers[2] == b""
    assert compared.picture()[1:4] == b"PNG"
    compared.close()


def test_trades_stand_on_the_lines(store: rl.Store) -> None:
    """Entries, exits, whether they won, and the profit of each game; of games without a trade nothing is said."""
    deal = {"game_id": "game-1", "kind": "position", "opened": 2, "closed": 4, "paid": "0.5", "returned": "0.25"}
    bet = {"game_id": "game-1", "kind": "bet", "opened": 3, "closed": 9, "paid": "0.1", "returned": "0.5"}
    compared = rl.compare(store, ["game-0", "game-1"], trades=[deal, bet])
    content, _ = sent(compared)
    assert [game["profit"] for game in content["games"]] == ["", "+0.15"]
    assert content["games"][0]["trades"] == []
    assert content["games"][1]["trades"] == [[2, 4, "position", False], [3, 9, "bet", True]]
    plain = rl.compare(store, ["game-0", "game-1"])
    assert compared.picture() != plain.picture()
    compared.close()
    plain.close()


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (rl.compare, "9 games: at most 8 can be told apart; type rl.compare"),
        (lambda _store: rl.compare([]), "no game was asked for: [] holds none; type rl.compare"),
        (lambda _store: rl.compare(["a"]), "ids need their store before them; type rl.compare"),
        (lambda store: rl.compare(store, 3), "games=3 names no game; type rl.compare"),
        (lambda _store: rl.compare(7), "int holds no games to compare"),
        (lambda _store: rl.compare(["a"], ["b"]), "ids need a store before them"),
    ],
)
def test_wrong_calls_say_what_to_type(store: rl.Store, call: Any, said: str) -> None:
    """Every mistake is an error that shows the right call."""
    with pytest.raises(Unplayable, match=re.escape(said)):
        call(store)


def test_natural_calls(store: rl.Store) -> None:
    """A list of games, a part of the table, a path with ids."""
    for compared in (
        rl.compare([store["late"], store["game-1"]]),
        rl.compare(store["late"], store["game-1"]),
        rl.compare(store.games().head(2)),
        rl.compare(store.path, ["late", "game-1"]),
    ):
        assert len(compared.games) == 2
        compared.close()


def test_plot_composes(store: rl.Store) -> None:
    """Several games on one axes: their colours and labels, no title, limits left to matplotlib, the axes returned."""
    ax = Figure().subplots()
    for game, color in (("late", "tab:red"), ("game-0", None), ("never", "k")):
        assert store[game].plot(ax=ax, color=color, label=game) is ax
    lines = {str(one.get_label()): one for one in ax.get_lines()}
    assert {"late", "game-0", "never"} <= lines.keys()
    assert lines["late"].get_color() == "tab:red"
    assert not same_color(lines["game-0"].get_color(), "tab:red")
    assert [text.get_text() for text in ax.legend().get_texts()] == ["late", "game-0", "never"]
    assert ax.get_title() == ax.get_title(loc="left") == ""
    assert isinstance(store["late"].plot(color="k"), Figure)
