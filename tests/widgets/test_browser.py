"""The browser of games: what the page is sent, what it may ask, and what a saved notebook keeps."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import replaylab as rl
from replaylab.errors import GameNotFound, Unplayable
from replaylab.widgets.browser import GameBrowser, fragment
from replaylab.widgets.games_table import GamesTable
from tests.stores import game_lines, line, quiet, simulated


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> rl.Store:
    """A store of six games in two segments, one of them in both; reading does not change it."""
    folder = tmp_path_factory.mktemp("browsed")
    quiet(simulated(folder / "recordings", games=5, seed=4), folder / "store")
    rows = game_lines("spread", 60)
    for number, part in enumerate((rows[:30], rows[30:])):
        (folder / f"{number}.jsonl").write_bytes(b"".join(part))
        quiet(folder / f"{number}.jsonl", folder / "store")
    return rl.open_store(folder / "store")


@pytest.fixture
def browser(store: rl.Store) -> Iterator[tuple[GameBrowser, list[Any]]]:
    """A browser, and what it sends."""
    made = rl.browse(store)
    sent: list[Any] = []
    made.table.send = lambda content, buffers=None: sent.append((content, buffers))
    yield made, sent
    made.close()


def test_columns_say_what_games_says(store: rl.Store) -> None:
    """Ids, lengths, peaks, rugs and flags are those of `Store.games`, in its order."""
    games, table = store.games(), GamesTable(store)
    ids, ends, start, seconds, ticks, peak, rug, flags = (bytes(one) for one in table.buffers())
    bounds = [0, *np.frombuffer(ends, np.uint32).tolist()]
    assert [ids[a:b].decode() for a, b in pairwise(bounds)] == games["game_id"].tolist()
    assert np.frombuffer(ticks, np.int32).tolist() == games["ticks"].tolist()
    assert np.array_equal(np.frombuffer(peak, np.float64), games["peak"].to_numpy(np.float64), equal_nan=True)
    assert np.frombuffer(rug, np.int32).tolist() == games["rug_tick"].fillna(-1).tolist()
    assert [bool(one & 1) for one in flags] == games["rug_tick"].notna().tolist()
    assert [bool(one & 4) for one in flags] == games["censored"].fillna(value=False).tolist()
    spent = (games["end"] - games["start"]).dt.total_seconds().to_numpy(np.float64)
    assert np.allclose(np.frombuffer(seconds, np.float32), spent, rtol=1e-6)
    assert np.frombuffer(start, np.float64)[0] == games["start"].iloc[0].timestamp() * 1e3


def test_the_table_says_where_a_strategy_won_and_the_player_shows_its_trades(store: rl.Store) -> None:
    """Every trade over many games from one place: flags `won` and `lost`, and the trades of the game that plays."""
    names = store.game_ids()

    def deal(name: str, returned: str) -> dict[str, Any]:
        common = {"kind": "position", "opened": 2, "closed": 4, "paid": "0.5", "returned": returned}
        return {"game_id": name, **common}

    browser = rl.browse(store, trades=[deal(names[0], "1"), deal(names[1], "0.25"), deal(names[2], "0.5")])
    flags = bytes(browser._games.buffers()[-1])
    assert [bool(one & 64) for one in flags] == [True, False, True, *[False] * (len(names) - 3)]
    assert [bool(one & 128) for one in flags] == [False, True, *[False] * (len(names) - 2)]
    (_, kept), *_ = browser._games.packed_columns(2)[-2:]
    assert [bool(one & 192) for one in kept] == [False, False]
    shown = browser.open(names[1])._active.visible_trades()
    assert shown is not None
    assert [one["profit"] for one in shown["trades"]] == ["-0.25"]
    browser.close()
    with pytest.raises(Unplayable, match="these are no trades; pass a Backtest"):
        rl.browse(store, trades=7)


def test_thumbnails_do_not_depend_on_what_is_asked_together(store: rl.Store) -> None:
    """One by one, all at once, in any order: the same points, also of a game in several segments."""
    together = GamesTable(store).thumbnails(range(6))
    for order in (range(6), (3, 0, 5, 1, 2, 4)):
        table = GamesTable(store)
        assert all((table.thumbnails([number])[0] == together[number]).all() for number in order)
    assert together.max() == 254
    assert (together.min(axis=1) < 255).all()


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda store: rl.browse(store, "none"), GameNotFound, "no game 'none' in"),
        (lambda store: rl.browse(store, ["a", "b"]), GameNotFound, "and 1 more of 2"),
        (lambda _store: rl.browse([1, 2]), Unplayable, "list holds no games to browse; type rl.browse"),
        (lambda _store: rl.browse(pd.DataFrame({"game_id": ["a"]})), Unplayable, "does not say which store"),
        (lambda store: rl.browse(store, pd.DataFrame({"id": ["a"]})), Unplayable, "no column game_id"),
        (lambda store: rl.browse(store, [1]), Unplayable, "names no game"),
        (lambda store: rl.browse(store.game_ids()), Unplayable, "ids need their store before them; type rl.browse"),
    ],
)
def test_wrong_calls_say_what_to_type(store: rl.Store, call: Any, error: type[Exception], said: str) -> None:
    """Every mistake is an error that shows the right call."""
    with pytest.raises(error, match=re.escape(said)):
        call(store)


def test_a_part_of_a_store(store: rl.Store) -> None:
    """A query of `Store.games`, a list of ids, a path: the games asked for, in the order of their start."""
    ids = store.game_ids()
    for made, expected in (
        (rl.browse(store.games().query("ticks > 10")), store.games().query("ticks > 10")["game_id"].tolist()),
        (rl.browse(store, [ids[3], ids[1]]), [ids[1], ids[3]]),
        (rl.browse(store.path), ids),
    ):
        assert made.ids == expected
        made.close()


def test_what_a_page_asks(browser: tuple[GameBrowser, list[Any]]) -> None:
    """It gets the games, thumbnails and players; what is malformed, out of bounds or out of date does nothing worse."""
    made, sent = browser
    made._receive(None, {"kind": "ready"}, [])
    assert sent[-1][0]["kind"] == "games"
    made._receive(None, {"kind": "want", "numbers": [5, 0], "version": 1}, [])
    assert (sent[-1][0]["numbers"], len(sent[-1][1][0])) == ([5, 0], 64)
    made._receive(None, {"kind": "open", "number": 2, "version": 1}, [])
    first = made.player
    assert first is not None
    assert made.game_id == first.game_id == made.ids[2]
    count = len(sent)
    odd: list[Any] = [
        None,
        {},
        {"kind": 7},
        {"kind": "open", "number": 6, "version": 1},
        {"kind": "open", "number": True, "version": 1},
    ]
    odd += [{"kind": "want", "numbers": numbers, "version": 1} for numbers in (None, [6], [-1], ["0"], [0] * 300, 3)]
    for content in odd:
        made._receive(None, content, [])
    assert len(sent) == count
    assert made.player is first
    made._receive(None, {"kind": "open", "number": 0, "version": 0}, [])
    assert sent[-1][0]["kind"] == "games"
    assert made.player is first
    made._receive(None, {"kind": "open", "number": 3, "version": 1}, [])
    assert made.game_id == made.ids[3]
    assert repr(first) == "ReplayPlayer(closed)"


def test_a_saved_notebook_is_bounded(store: rl.Store) -> None:
    """Only the newest games are kept, and it says how many there were; ids are text, never HTML."""
    table = GamesTable(store)
    assert "newest of" not in fragment(table, "Games")
    text = fragment(table, "Games in <b>store</b>", kept=2)
    assert "the 2 newest of 6 games are kept here; run the cell for all" in text
    assert "<b>store" not in text
    assert "&lt;b&gt;store" in text


def test_odd_games(tmp_path: Path) -> None:
    """No live tick, no time, no price, an id of 3,000 characters or of HTML: each has a row."""
    lines = [
        line("<img src=x onerror=alert(1)>", 1, "2"),
        line("x" * 3_000, 1, "2", timestamp=None),
        line("never", 0, "1.0", active=False),
        line("priceless", 1, "null"),
    ]
    (tmp_path / "odd.jsonl").write_bytes(b"".join(lines))
    quiet(tmp_path / "odd.jsonl", tmp_path / "store")
    table = GamesTable(rl.open_store(tmp_path / "store"))
    assert len(table.buffers()[1]) == 4 * len(table)
    points = table.thumbnails(range(len(table)))
    by_id = {game: set(points[number].tolist()) for number, game in enumerate(table.ids)}
    assert by_id["never"] == {255}
    assert "<img" not in fragment(table, "Games")
    assert len(fragment(table, "Games")) < 60_000
