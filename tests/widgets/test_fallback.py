"""What leaves the kernel: the bytes of a game, whole and in pieces, and what a notebook or a page keeps of a player."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import time
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from replaylab.playback.engine import ReplayEngine
from replaylab.playback.timeline import Timeline
from replaylab.tick import Tick
from replaylab.widgets import fallback as still
from replaylab.widgets import payload as reel_module
from replaylab.widgets.payload import StoredPayload
from replaylab.widgets.player import ReplayPlayer
from tests.widgets.pages import ZERO, FakePage, Make, game


def test_buffers_hold_every_digit() -> None:
    """The bytes that a page gets are the exact prices, times and numbers; null and gaps are flagged."""
    prices = [Decimal("0.000000000000000000000001"), Decimal(99999999999999), None, Decimal("-1.5")]
    table = pa.table(
        {
            "tick": pa.array([0, 1, 2, 5], pa.int32()),
            "timestamp": pa.array([5, 1, None, 9], pa.int64()).cast(pa.timestamp("us", "UTC")),
            "price": pa.array([None, *prices], pa.decimal128(38, 24)).slice(1),
        }
    )
    words, times, due, ticks, flags, _counts = StoredPayload(Timeline.of(table)).opening()[1]
    whole = [int.from_bytes(words[16 * row : 16 * row + 16], "little", signed=True) for row in range(4)]
    assert [Decimal(whole[row]).scaleb(-24) for row in (0, 1, 3)] == [prices[0], prices[1], prices[3]]
    assert np.frombuffer(times, np.int64).tolist() == [5, 1, np.iinfo(np.int64).min, 9]
    assert np.frombuffer(due, np.float64).tolist() == [0, 0, 0, 0.004]
    assert np.frombuffer(ticks, np.int32).tolist() == [0, 1, 2, 5]
    marks = np.frombuffer(flags, np.uint8)
    assert [bool(mark & reel_module.NO_PRICE) for mark in marks] == [False, False, True, False]
    assert [bool(mark & reel_module.GAP) for mark in marks] == [False, False, False, True]


def test_long_games_come_in_pieces(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long game is an overview first, small whatever its length; its chunks, joined, are the whole of it."""
    monkeypatch.setattr(reel_module, "CHUNK", 100)
    monkeypatch.setattr(reel_module, "BUCKETS", 16)
    player, page = make(game(1_050))
    opening, overview = page.heard[-1]
    assert opening["facts"]["overview"] is True
    low, high = (np.frombuffer(column, np.float64) for column in overview[:2])
    assert len(low) == 16
    assert [low[0], high[-1]] == [1.0, float("1.000001049")]
    name = opening["facts"]["id"]
    for number in range(11):
        page.say("want", id=name, number=number)
    chunks = [buffers for content, buffers in page.heard if content["kind"] == "chunk"]
    assert isinstance(player._sync and player._sync.payload, StoredPayload)
    whole = StoredPayload(Timeline.of(game(1_050))).columns.buffers(0, 1_050)
    assert [b"".join(chunk[column] for chunk in chunks) for column in range(6)] == [bytes(column) for column in whole]
    page.say("want", id="another", number=0)
    assert len([content for content, _ in page.heard if content["kind"] == "chunk"]) == 11


def test_live_rows_come_in_batches_and_stay_bounded() -> None:
    """A page that watches a live game gets the ring, then what is new, at most twenty messages a second."""

    async def scene() -> tuple[list[dict[str, Any]], int, float]:
        begun = time.monotonic()
        engine = ReplayEngine(ring_ticks=200)
        for tick in game(300):
            engine.push(tick)
        player = ReplayPlayer(engine)
        page = FakePage(player)
        await asyncio.sleep(0.01)
        for tick in game(5_000, first=300):
            engine.push(tick)
            if tick.tick % 100 == 0:
                await asyncio.sleep(0.005)
        async with asyncio.timeout(60):
            while page.heard[-1][0]["at"] + page.heard[-1][0]["n"] < 5_300:  # noqa: ASYNC110  a message is no event
                await asyncio.sleep(0.01)
        messages = [content for content, _ in page.heard]
        size = max(sum(map(len, buffers)) for _, buffers in page.heard)
        player.close()
        engine.close()
        return messages, size, time.monotonic() - begun

    messages, size, seconds = asyncio.run(scene())
    opening = messages[0]
    assert [opening["facts"]["mode"], opening["facts"]["n"], opening["facts"]["base"]] == ["live", 200, 100]
    appended = [content for content in messages if content["kind"] == "append"]
    assert 3 <= len(appended) <= 20 * seconds + 2
    assert appended[-1]["at"] + appended[-1]["n"] == 5_300
    assert size <= 200 * 41


def test_a_notebook_keeps_little() -> None:
    """Rows are never widget state; twenty players with all that a notebook keeps of them stay below 2 MB."""
    rng = np.random.default_rng(7)
    ticks = [
        Tick(
            game_id=f"game-{rng.integers(10**9)}",
            tick=number,
            timestamp=ZERO + timedelta(microseconds=250_000 * number + int(rng.integers(20_000))),
            price=Decimal(repr(float(price))),
            active=True,
        )
        for number, price in enumerate(np.exp(np.cumsum(rng.normal(0, 0.02, 1_400))))
    ]
    player = ReplayPlayer(ticks)
    data, _ = player._repr_mimebundle_()
    state = json.dumps(player.get_state(), default=str)
    player.close()
    assert not {"index", "playing", "game_id", "speed"} & set(player.keys)
    assert 20 * (len(json.dumps(data)) + len(state)) < 2_000_000


def test_where_no_widget_can_show() -> None:
    """The cell also holds a picture, a line of words, and a page that asks for nothing; all the same every time."""
    first, second = (ReplayPlayer(game(30, "g&<b>")) for _ in range(2))
    data, again = (player._repr_mimebundle_()[0] for player in (first, second))
    assert data["text/plain"] == "ReplayPlayer('g&<b>', 30 rows)"
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert "application/vnd.jupyter.widget-view+json" in data
    assert data["text/html"] == again["text/html"]
    assert 'alt="Price chart of g&amp;&lt;b&gt;: 30 rows' in data["text/html"]
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", data["text/html"])
    for player in (first, second):
        player.close()
    assert repr(first) == "ReplayPlayer(closed)"


def test_a_long_game_leaves_the_picture_only() -> None:
    """Above a few thousand rows the cell keeps no rows: the picture stands for them."""
    reel = StoredPayload(Timeline.of(game(still.INLINE_ROWS + 1)))
    assert "<script" not in still.cell(reel)["text/html"]
    assert "<script" in still.page(reel.timeline)


def test_a_page_cannot_be_broken_out_of() -> None:
    """An id that looks like markup stays text in the page."""
    text = still.page(game(3, "</script><script>alert(1)</script>"))
    assert text.count("</script>") == 1
    assert "alert(1)</script>" not in text
