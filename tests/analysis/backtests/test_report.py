"""Reports: one page that holds what a backtest came to and rests on; strategies that never return are named."""

from __future__ import annotations

import json
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from replaylab import analysis as a
from replaylab.errors import StrategyError
from tests.analysis.made import Made, drawn, made, whole

RULES = a.Rules(balance=10, min_bet="0.001", max_bet=1)


@dataclass
class Once:
    """Buy at tick 0, sell at a multiple."""

    target: float = 1.5

    def decide(self, tape: a.Tape, account: Any) -> Any:
        """Return the order of this tick."""
        if tape.now == 0:
            return a.Buy("0.1")
        return a.Sell() if account.quantity and tape.value >= self.target else None


def games_in(text: str) -> list[dict[str, Any]]:
    """Return the games that a page holds."""
    found = re.search(r'<script type="application/json" id="games">(.*?)</script>', text, re.DOTALL)
    assert found
    games: list[dict[str, Any]] = json.loads(found[1])
    return games


def test_the_page_holds_all_and_needs_nothing_beside_it(tmp_path: Path) -> None:
    """Figures, rules, parameters, digests, what was left out and trades; no address of anything outside."""
    games = drawn(30)
    found = a.backtest(games, Once(target=1.25), rules=RULES, progress=False)
    report = found.report(tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert text == report.html
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    assert not re.search(r"(?:src|href)=\"(?!data:)", text)
    assert "http" not in text.replace("http-equiv", "")
    for words in ("Once", "1.25", "def decide", games.digest, "sharpe", "min bet", "Nothing was left out"):
        assert words in text
    held = games_in(text)
    assert len(held) == 30
    first = next(game for game in held if game["id"] == found.entries[0].game_id)
    assert [mark[2] for mark in first["marks"]] == [e.kind for e in found.entries if e.game_id == first["id"]]
    assert "srcdoc" in report._repr_html_()


def test_what_was_left_out_is_said() -> None:
    """Cut-off games, and games beyond what a page holds."""
    games = made([whole(9), Made(range(9)), *[whole(5)] * 320])
    found = a.backtest(games, Once(), rules=RULES, progress=False)
    text = found.report().html
    assert "1 game cut off" in text
    assert "300 of 322 games are in this page" in text
    assert len(games_in(text)) == 300


def test_odd_games_and_names_are_drawn() -> None:
    """No game, no trade, a price of 1e-24, and a name with markup do not break a page."""
    for games in (
        made([whole(1)]),
        made([whole(9, ["0.000000000000000000000001"] * 9)]),
        drawn(3).select(drawn(3).lengths < 0),
    ):
        assert "</html>" in a.backtest(games, Once(), rules=RULES, progress=False).report().html
    parameters = {"stake": "</script><b>"}

    def marked(tape: a.Tape, account: Any) -> None:
        del tape, account, parameters["stake"]

    text = a.backtest(drawn(2), marked, rules=RULES, progress=False).report().html
    assert "</script><b>" not in text.replace("&lt;/script&gt;&lt;b&gt;", "")


def endless(tape: a.Tape, account: Any) -> None:
    """Never return from tick 3."""
    del account
    while tape.now == 3:
        pass


def asleep(tape: a.Tape, account: Any) -> None:
    """Wait for ever at tick 3."""
    del account
    if tape.now == 3:
        time.sleep(10_000)


@pytest.mark.parametrize("strategy", [endless, asleep])
def test_a_strategy_that_never_returns_is_named(strategy: Any) -> None:
    """With the game, the tick and the limit; no thread is left behind."""
    with pytest.raises(StrategyError, match=r"g0.*tick 3.*did not return within 0.3 s"):
        a.backtest(made([whole(9)]), strategy, max_seconds=0.3, progress=False)
    assert "replaylab-patience" not in [thread.name for thread in threading.enumerate()]


def test_a_strategy_that_never_returns_is_named_in_a_thread() -> None:
    """Also where no signal reaches it."""
    errors: list[str] = []

    def run() -> None:
        try:
            a.backtest(made([whole(9)]), endless, max_seconds=0.3, progress=False)
        except StrategyError as error:
            errors.append(str(error))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(60)
    assert len(errors) == 1
    assert "did not return" in errors[0]


def test_a_slow_strategy_is_not_ended() -> None:
    """As long as every tick returns in time the whole may take as long as it likes."""
    ticks = 0

    def slow(tape: a.Tape, account: Any) -> None:
        nonlocal ticks
        del tape, account
        ticks += 1
        time.sleep(0.05)

    a.backtest(made([whole(40)]), slow, max_seconds=1.5, progress=False)
    assert ticks == 40
