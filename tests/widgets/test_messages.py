"""Messages of a page are input: what is malformed is counted and dropped, and the player stays usable."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from replaylab.playback.engine import ReplayEngine
from replaylab.widgets.player import ReplayPlayer
from tests.crash.scale import SCALE
from tests.widgets.pages import FakePage, Make, game

WRONG = {
    "no mapping": "pos",
    "nothing": None,
    "an unknown kind": {"kind": "destroy"},
    "a kind that is no text": {"kind": ["pos"]},
    "a generation beyond all": {"kind": "state", "gen": 10**30},
    "the greatest generation that is a number": {"kind": "state", "gen": 2**52},
    "a generation that is no number": {"kind": "state", "gen": "7"},
    "a pacing that does not exist": {"kind": "state", "pacing": 1},
    "a loop that is no pair": {"kind": "state", "loop": {}},
    "a loop of three": {"kind": "state", "loop": [1, 2, 3]},
    "a loop beyond the game": {"kind": "state", "loop": [0, 100]},
    "a speed out of bounds": {"kind": "state", "speed": 101},
    "a speed that is true": {"kind": "state", "speed": True},
    "a speed of zero": {"kind": "state", "speed": 0},
    "playing that is no flag": {"kind": "state", "playing": 1},
    "following a stored game": {"kind": "state", "following": True},
    "no client": {"kind": "state", "client": None},
    "a long client": {"kind": "ready", "client": "a" * 1_000},
    "a game that does not exist": {"kind": "pick", "number": 1},
    "a negative game": {"kind": "pick", "number": -1},
    "a negative chunk": {"kind": "want", "id": "x", "number": -1},
    "repeats without end": {"kind": "pos", "items": [{"times": 10**12}]},
    "more rows than a report may hold": {"kind": "pos", "items": [{"times": 9_999_999, "lo": 1, "hi": 2}]},
    "rows beyond the game": {"kind": "pos", "items": [{"lo": 1, "hi": 10**15}]},
    "rows backwards": {"kind": "pos", "items": [{"lo": 9, "hi": 1}]},
    "a reason that does not exist": {"kind": "pos", "items": [{"reason": "because"}]},
    "items that are none": {"kind": "pos", "items": 7},
    "a report of a generation beyond all": {"kind": "pos", "items": [{"gen": 10**30}]},
    "a report of the greatest generation": {"kind": "pos", "items": [{"gen": 2**52}]},
}
USUAL: dict[str, dict[str, Any]] = {
    "state": {
        "gen": 1, "playing": False, "row": 0, "speed": 1, "pacing": "recorded", "loop": [None, None],
        "following": False,
    },
    "pos": {"number": 1},
}  # fmt: skip
ITEM = {"gen": 1, "lo": 1, "hi": 1, "reason": "play", "times": 1}


def whole(content: Any, gen: int) -> Any:
    """Complete a message, so that only one thing in it is wrong."""
    if not isinstance(content, dict) or not isinstance(content["kind"], str):
        return content
    found = {"client": "a", **USUAL.get(content["kind"], {}), **content}
    if "gen" in found and found["gen"] == 1:
        found["gen"] = gen
    if isinstance(found.get("items"), list):
        found["items"] = [{**ITEM, "gen": gen, **item} for item in found["items"]]
    return found


def usable(player: ReplayPlayer, page: FakePage) -> None:
    """Whatever came before, page and Python can do all that they could: seek, play, change the speed."""
    seen: list[int] = []
    page.state(playing=True, speed=2)
    with player.on_tick(lambda step: seen.append(step.index)):
        assert player.seek(3)
        page.shows(3, 3, "told")
        page.shows(4, 9)
        page.shows(20, 20, "seek", gen=page.gen + 1)
        page.shows(21, 22, gen=page.gen + 1)
        assert player.seek(7)
        page.shows(8, 9)
    assert seen == [3, 4, 5, 6, 7, 8, 9, 20, 21, 22, 7, 8, 9]
    assert [player.index, player.speed, player.playing] == [9, 2, True]
    page.state()
    assert player.playing is False


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_message_is_counted_and_changes_nothing(make: Make, name: str) -> None:
    """Index, speed, pacing, loop and game stay; the message is counted; the player is as usable as before."""
    player, page = make(game(100))
    sync = player._sync
    assert sync is not None
    before = [player.index, player.speed, player.game_id, sync.options.pacing, sync.options.loop]
    seen: list[int] = []
    with player.on_tick(lambda step: seen.append(step.index)):
        player._handle_custom_msg(whole(WRONG[name], page.gen), [])
    assert [player.index, player.speed, player.game_id, sync.options.pacing, sync.options.loop] == before
    assert seen == []
    assert sync.channel.dropped == 1
    usable(player, page)


def test_drops_are_logged_at_powers_of_ten(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    """The log names the field of the first dropped message, the tenth, the hundredth; not of each."""
    player, _page = make(game(10))
    with caplog.at_level(logging.WARNING, logger="replaylab.widgets"):
        for _ in range(150):
            player._handle_custom_msg({"kind": "pick", "client": "a", "number": True}, [])
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3
    assert said[0] == "a message of a page was dropped (1 so far): pick.number: Input should be a valid integer"


def test_a_report_that_is_out_of_bounds_is_acknowledged(make: Make) -> None:
    """A page that counts wrong goes on to report: its batch is taken, and left out."""
    _player, page = make(game(10))
    page.shows(5, 50)
    assert page.last("ack")["number"] == page.number


def test_a_report_that_is_late_does_not_undo_a_seek_back(make: Make) -> None:
    """Python seeks back while a report of the page is on its way: index and callbacks stay where Python put them."""
    player, page = make(game(100))
    page.state(playing=True)
    page.shows(1, 60)
    before = page.gen
    seen: list[int] = []
    with player.on_tick(lambda step: seen.append(step.index)):
        assert player.seek(10)
        page.shows(61, 66, gen=before)
        assert [player.index, seen] == [10, [10]]
        page.shows(10, 10, "told")
        page.shows(11, 12)
    assert [player.index, seen] == [12, [10, 11, 12]]


def test_a_state_that_is_late_does_not_undo_a_seek_back(make: Make) -> None:
    """The state that a page sent before a seek of Python is late, too."""
    player, page = make(game(100))
    before = page.gen
    player.seek(10)
    page.state(playing=True, speed=50, gen=before)
    assert [player.playing, player.speed, player.index] == [False, 1, 10]


numbers = st.one_of(
    st.integers(-3, 120), st.integers(), st.floats(), st.booleans(), st.none(), st.text(max_size=5),
    st.sampled_from([10**12, 10**30, 2**52, 2**53, -(2**63)]),
)  # fmt: skip
leaves = st.recursive(numbers, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner))
reasons = st.sampled_from(["play", "step", "seek", "stop", "loop", "told", "?"])
items = st.fixed_dictionaries(
    {"gen": numbers, "lo": numbers, "hi": numbers, "reason": reasons}, optional={"times": numbers | leaves}
)
contents = st.one_of(
    leaves,
    st.fixed_dictionaries(
        {"kind": st.sampled_from(["state", "pos", "want", "pick", "ready", "?"]), "client": st.just("a") | numbers},
        optional={
            "gen": numbers, "row": numbers, "number": numbers, "items": st.lists(items, max_size=4) | leaves,
            "playing": st.booleans() | numbers, "speed": st.sampled_from([1, None, 50]) | numbers,
            "pacing": st.sampled_from(["recorded", "nominal"]) | numbers, "id": st.text(max_size=5) | numbers,
            "loop": st.just([None, None]) | st.lists(numbers, max_size=3), "following": st.booleans() | numbers,
        },
    ),
)  # fmt: skip


@settings(max_examples=100 * SCALE, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(sent=st.lists(contents, max_size=6))
def test_whatever_a_page_sends_the_player_stays_usable(sent: list[Any]) -> None:
    """After any messages, well-formed or not, page and Python can do all that they could."""
    player = ReplayPlayer(game(100))
    page = FakePage(player)
    for content in sent:
        player._handle_custom_msg(content, [])
    usable(player, page)
    player.close()


@settings(max_examples=50 * SCALE, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(sent=st.lists(contents, max_size=6))
def test_whatever_a_page_sends_a_live_player_follows(sent: list[Any]) -> None:
    """After any messages a page can return to the newest tick of a live game, which went on being recorded."""
    engine = ReplayEngine(ring_ticks=200)
    for tick in game(50):
        engine.push(tick)
    player = ReplayPlayer(engine)
    page = FakePage(player)
    for content in sent:
        player._handle_custom_msg(content, [])
    page.state(playing=True, following=True)
    for tick in game(10, first=50):
        engine.push(tick)
    assert [engine.index, engine.status.following] == [59, True]
    player.close()
    engine.close()
