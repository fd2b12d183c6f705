"""Odd games in the player without a browser: what the page is told of them, and what callbacks get."""

from __future__ import annotations

from decimal import Context, Decimal
from typing import Any

import numpy as np
import pytest

from replaylab.playback.timeline import Timeline
from replaylab.tick import Tick
from replaylab.widgets.fallback import picture
from replaylab.widgets.payload import GAP, LIVE, StoredPayload
from tests.playing import game, tick
from tests.widgets.pages import Make

LEAST, GREATEST = Decimal("1E-24"), Decimal("1E+13")
GAMES: dict[str, tuple[list[Tick], list[tuple[int, str]], list[tuple[int, str]], list[float]]] = {
    # name: rows, events drawn, gaps drawn, seconds at which rows are due
    "one tick": (game(1), [(0, "peak 1")], [], [0]),
    "only a rug": ([tick(0, price="0.01", rugged=True)], [(0, "rug 0.01")], [], [0]),
    "double rug": (
        [
            *(tick(n, price=n + 1) for n in range(3)),
            tick(3, price="0.02", rugged=True),
            tick(4, price=9),
            tick(5, price="0.01", rugged=True),
        ],
        [(2, "peak 3"), (3, "rug 0.02")],
        [],
        [0, 0.25, 0.5, 0.75, 1, 1.25],
    ),
    "no live tick": (
        [tick(0, n * 0.25, active=False, phase="COOLDOWN", cooldown_timer=12_000) for n in range(3)],
        [],
        [],
        [0, 0.25, 0.5],
    ),
    "minutes of nothing": (
        [tick(0, 0), tick(1, 0.25), tick(2, 185.25)],
        [(0, "peak 1.5")],
        [(2, "nothing for 3 min 5 s")],
        [0, 0.25, 185.25],
    ),
    "times backwards": ([tick(0, 1), tick(1, 0.2), tick(2, 1.5)], [(0, "peak 1.5")], [], [0, 0, 0.5]),
    "equal times": ([tick(n, 1) for n in range(3)], [(0, "peak 1.5")], [], [0, 0, 0]),
    "extreme prices": (
        [tick(0, price=LEAST), tick(1, price=GREATEST), tick(2, price="99999999999999.999999999999999999999999")],
        [(2, "peak 99999999999999.999999999999999999999999")],
        [],
        [0, 0.25, 0.5],
    ),
}


@pytest.mark.parametrize("name", GAMES)
def test_odd_games_reach_page_and_callbacks_whole(make: Make, name: str) -> None:
    """Every row has its exact price, its time and its flags in the page, and is told once and in order."""
    rows, events, gaps, due = GAMES[name]
    player, page = make(rows)
    seen: list[tuple[int, Any]] = []
    player.on_tick(lambda step: seen.append((step.index, step.price)))
    facts = page.last("open")["facts"]
    assert [(event["row"], event["label"]) for event in facts["events"]] == events
    assert [(gap["row"], gap["label"]) for gap in facts["gaps"]] == gaps
    words, _times, dues, ticks, flags, _trades = page.heard[-1][1]
    prices = [int.from_bytes(words[16 * row : 16 * row + 16], "little", signed=True) for row in range(len(rows))]
    assert [Decimal(price).scaleb(-24, Context(prec=60)) for price in prices] == [row.price for row in rows]
    assert np.frombuffer(dues, np.float64).tolist() == [1000 * seconds for seconds in due]
    assert np.frombuffer(ticks, np.int32).tolist() == [row.tick for row in rows]
    marks = np.frombuffer(flags, np.uint8)
    assert [bool(mark & LIVE) for mark in marks] == [row.active and not row.rugged for row in rows]
    assert np.flatnonzero(marks & GAP).tolist() == [row for row, _ in gaps]
    assert player.run() == len(rows)
    assert seen == [(number, row.price) for number, row in enumerate(rows)]


@pytest.mark.parametrize("price", ["0.01", "1", "1E-24", "1E+13", "0", "-3"])
@pytest.mark.parametrize("log", [False, True])
def test_a_still_of_one_price(price: str, log: bool) -> None:  # noqa: FBT001
    """A game whose price never changes, or has no logarithm, leaves a picture, too."""
    rows = [tick(n, price=price) for n in range(3)]
    assert picture(StoredPayload(Timeline.of(rows)), log=log).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", GAMES)
def test_odd_games_leave_a_still_in_the_notebook(make: Make, name: str) -> None:
    """The picture, the line of words and the page that plays exist for each of them, in both scales."""
    rows = GAMES[name][0]
    for log in (False, True):
        player, _ = make(rows, log=log)
        data, _metadata = player._repr_mimebundle_()
        assert {"image/png", "text/html", "text/plain"} <= set(data)
        assert player._sync is not None
        assert isinstance(player._sync.payload, StoredPayload)
        assert player._sync.payload.summary.startswith(f"g: {len(rows)} row")
