"""The gaps that a page shows of a live game are those of its replay."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from replaylab.feeds.base import Frame
from replaylab.playback.stream import Stream
from replaylab.playback.timeline import Timeline
from replaylab.widgets.live import Live
from replaylab.widgets.live_payload import LivePayload
from replaylab.widgets.payload import GAP, StoredPayload
from tests.playing import tick
from tests.sessions.virtual import ScriptedFeed
from tests.sessions.virtual import tick as tick_of
from tests.widgets.pages import FakePage
from tests.widgets.test_inbox import until


@given(st.lists(st.integers(0, 30), min_size=1, max_size=40), st.sampled_from([0.0, 0.25, 3.0]))
def test_a_page_opened_on_a_live_game_shows_the_gaps_of_its_replay(numbers: list[int], pause: float) -> None:
    """Whatever the order of the ticks, the rows marked in the page are the same live and stored."""
    ticks = [tick(number, place * pause) for place, number in enumerate(numbers)]
    stream = Stream("g", 100)
    for one in ticks:
        stream.push(one)
    _facts, buffers = LivePayload(stream, None).opening()  # type: ignore[arg-type]  # nothing is sent
    live = np.frombuffer(buffers[4], np.uint8) & GAP
    stored = StoredPayload(Timeline.of(ticks)).columns.flags & GAP
    assert live.tolist() == stored.tolist()


def test_a_page_hears_that_a_gap_was_healed() -> None:
    """Ticks that were missing and come after all change the words of their gap in an open page."""
    left: list[Any] = [Frame([tick_of(0), tick_of(4)]), 0.2, Frame([tick_of(2)]), 0.2, Frame([tick_of(1), tick_of(3)])]

    async def scene() -> list[str]:
        live = Live(ScriptedFeed(lambda _now: None, lambda _since: left.pop(0) if left else 1000.0))
        page = FakePage(live.player)
        live.start()
        await until(lambda: labels(page)[-1:] == ["skipped: healed"])
        assert live.status().missing == 0
        await until(lambda: page.last("feed")["feed"]["gaps"] == "1 gap, healed: nothing missing")
        await live.close()
        live.player.close()
        return labels(page)

    found = asyncio.run(scene())
    assert found[0] == "skipped: 3 missing"


def labels(page: FakePage) -> list[str]:
    """The words of the gap before the second row, each time that the page heard them."""
    found = [content["facts"]["gaps"] if content["kind"] == "open" else content["gaps"] for content, _ in page.heard
             if content["kind"] in {"open", "append"}]  # fmt: skip
    return [gap["label"] for gaps in found for gap in gaps if gap["row"] == 1]
