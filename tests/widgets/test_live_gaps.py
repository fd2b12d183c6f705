"""The gaps that a page shows of a live game are those of its replay."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from replaylab.playback.stream import Stream
from replaylab.playback.timeline import Timeline
from replaylab.widgets.live_payload import LivePayload
from replaylab.widgets.payload import GAP, StoredPayload
from tests.playing import tick


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
