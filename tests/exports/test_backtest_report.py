"""The report of a backtest: one page that needs nothing beside it, with games in the player and what it cannot show."""

from __future__ import annotations

import base64
import gzip
import json
import math
import re
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from replaylab import analysis as a
from replaylab.analysis.backtests.trader import Trader
from replaylab.errors import AnalysisError
from replaylab.exports import report_games
from replaylab.exports.backtest_report import report
from replaylab.exports.report_games import GAMES, THUMBNAILS, ReportGames
from replaylab.playback.engine import ReplayEngine
from replaylab.storage.store import Store
from tests.analysis.made import Made, Once, drawn, made, whole
from tests.stores import quiet, simulated

RULES = a.Rules(balance=10, min_bet="0.001", max_bet=1)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A store of twelve games; reading does not change it."""
    folder = tmp_path_factory.mktemp("reported")
    quiet(simulated(folder / "recordings", games=12, seed=4), folder / "store")
    return Store(folder / "store")


def backtested(source: Any) -> a.Backtest:
    """Run the strategy."""
    return a.backtest(source, Once(), rules=RULES, progress=False)


def played_in(text: str) -> list[dict[str, Any]]:
    """Return the games in the player of a page: what the player is told, and the packed rows as `rows`."""
    call = re.search(r'^player\.default\.offline\("games", (.*)\);$', text, re.MULTILINE)
    if call is None:
        return []
    opening, rows, others = json.loads(f"[{call[1]}]")
    return [{**opening, "rows": rows}, *({**own, "rows": packed} for own, packed in others)]


def prices_in(game: dict[str, Any]) -> list[Decimal]:
    """Return the exact prices of a game of one piece."""
    width, packed = game["rows"][0][0]
    turned = np.frombuffer(gzip.decompress(base64.b64decode(packed)), np.uint8).reshape(width, -1).T
    return [Decimal(int.from_bytes(one.tobytes(), "little", signed=True)).scaleb(-24) for one in turned]


def test_the_page_holds_all_and_needs_nothing_beside_it() -> None:
    """Figures, rules, parameters, digests, what was left out and trades; no address of anything outside."""
    games = drawn(30)
    found = a.backtest(games, Once(target=1.25), rules=RULES, progress=False)
    text = report(found).html
    assert not re.search(r"(?:src|href|srcset)=\"(?!data:)", text)
    assert "http" not in re.sub(r"http://www\.w3\.org/2000/svg", "", text)
    for words in ("Once", "1.25", "def decide", games.digest, "sharpe", "min bet", "Nothing was left out"):
        assert words in text
    held = played_in(text)
    assert len(held) == 30
    by_name = {one["facts"]["title"]: one for one in held}
    for name in games.game_ids:
        made_here = [one.kind for one in found.entries if one.game_id == name]
        assert [fill["side"] for fill in by_name[name]["trades"]["fills"]] == ["in", "out"][: len(made_here)]


def test_games_of_a_store_are_played_whole_and_exactly(store: Store) -> None:
    """All rows, those before the start too, with every digit; nothing is said to be missing."""
    text = report(backtested(store)).html
    held = played_in(text)
    assert sorted(one["facts"]["title"] for one in held) == sorted(store.game_ids())
    for one in held:
        game = store.game(one["facts"]["title"])
        assert one["facts"]["n"] == len(game)
        assert prices_in(one)[-1] == game.ticks()["price"].to_pylist()[-1]
    assert "live ticks that were tested" not in text


def test_games_of_paths_are_played_by_their_live_ticks_and_the_page_says_so(store: Store) -> None:
    """What is not known is named; with the store it is known again, and the profit is the same."""
    found = backtested(a.paths(store))
    text = report(found).html
    assert "live ticks that were tested, 250 ms apart" in text
    assert "report(store=...)" in text
    bare, full = played_in(text), played_in(report(found, store=store.path).html)
    assert [one["facts"]["title"] for one in bare] == [one["facts"]["title"] for one in full]
    for one, other in zip(bare, full, strict=True):
        assert one["facts"]["n"] == len(store.game(one["facts"]["title"]).path.tick) + 1
        assert one["facts"]["n"] < other["facts"]["n"]
        assert one["trades"]["profit"][-1]["cash"] == other["trades"]["profit"][-1]["cash"]


def test_rows_that_are_not_those_that_were_tested_are_not_shown_for_them(store: Store, tmp_path: Path) -> None:
    """A store with other prices of the same games: the page shows what was tested, and says why."""
    quiet(simulated(tmp_path / "recordings", games=12, seed=5), tmp_path / "store")
    other = Store(tmp_path / "store")
    games = a.paths(store)
    renamed = a.Paths(
        games.games.set_column(0, "game_id", [other.game_ids()]),
        games.start, games.tick, games.price, games.rug_tick, games.rug_price,
    )  # fmt: skip
    text = report(backtested(renamed), store=other).html
    assert "its rows in the store are not those that were tested" in text
    assert [one["facts"]["n"] for one in played_in(text)] != [len(game) for game in other]
    assert "is shown by the ticks that were tested alone" in report(backtested(games), store=other).html


def test_the_page_is_bounded_and_says_what_it_leaves_out() -> None:
    """Best, worst, median and those that are named are always there; the others as far as there is room."""
    games = made([whole(9), Made(range(9)), *[whole(5 + at % 7) for at in range(320)]])
    named = games.game_ids[77]
    found = backtested(games)
    made_page = report(found, games=[named])
    text = made_page.html
    held = [one["facts"]["title"] for one in played_in(text)]
    assert "1 game cut off" in text
    assert f"{GAMES} games of 322 can be played here" in text
    assert f"Thumbnails are of the first {THUMBNAILS}" in text
    assert text.count('class="game"') == THUMBNAILS
    assert text.count("data-game=") == len(held) == GAMES
    assert held[0] == named
    listed = played_in(text)[0]["games"]
    assert [words.split()[0] for words in listed[1:4]] == ["best", "worst", "median"]
    in_cell = played_in(made_page._repr_html_().replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">"))
    assert [one["facts"]["title"] for one in in_cell] == held[:4]


def test_a_game_that_is_too_long_is_left_out_unless_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """One game cannot make the page as large as it is long."""
    monkeypatch.setattr(report_games, "ROWS", 50)
    games = made([whole(9), whole(51), whole(8)])
    found = a.backtest(games, lambda _tape, _account: None, progress=False)
    assert len(played_in(report(found).html)) == 2
    assert len(played_in(report(found, games=[games.game_ids[1]]).html)) == 3


def test_a_game_that_was_not_played_is_refused_by_name() -> None:
    """With the id that is close to it."""
    found = backtested(drawn(3))
    with pytest.raises(AnalysisError, match="'x' was not part of this backtest; it had 3 games"):
        found.report(games=["x"])
    name = found.played.game_id[1]
    with pytest.raises(AnalysisError, match=f"did you mean '{name}'"):
        found.report(games=[f"{name}0"])


def test_odd_games_and_names_are_drawn() -> None:
    """No game, no trade, a price of 1e-24, no live tick, and a name with markup do not break a page."""
    for games in (
        made([whole(1)]),
        made([whole(9, ["0.000000000000000000000001"] * 9)]),
        made([whole(9, ["10000000000000.000000000000000000000001"] * 9)]),
    ):
        shown = ReportGames(backtested(games), ())
        assert "player.default.offline" in shown.player()
        assert len(shown.thumbnails) == 1
    nothing = report(backtested(drawn(3).select(drawn(3).lengths < 0))).html
    assert "No game was played" in nothing
    parameters = {"stake": "</script><b>"}

    def marked(tape: a.Tape, account: Any) -> None:
        del tape, account, parameters["stake"]

    text = report(a.backtest(drawn(2), marked, rules=RULES, progress=False)).html
    assert "</script><b>" not in text.replace("&lt;/script&gt;&lt;b&gt;", "")


def test_a_strategy_that_followed_an_engine_has_a_report(store: Store) -> None:
    """Its prices were not kept: the page says so, and shows them once the store is named."""
    trader = Trader(Once(), RULES)
    with ReplayEngine(speed=math.inf) as engine:
        following = trader.follow(engine)
        for name in store.game_ids()[:2]:
            engine.load(store.game(name))
            engine.run()
        following.cancel()
    found = a.Backtest.of(trader)
    text = report(found).html
    assert "were not kept" in text
    assert played_in(text) == []
    assert len(played_in(report(found, store=store).html)) == found.n_games > 0
