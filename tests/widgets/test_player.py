"""The player without a browser: messages in, messages out, callbacks, traits, and what a notebook keeps of it."""

from __future__ import annotations

import asyncio
import gc
import logging
import math
import threading
import time
import weakref
from typing import Any

import ipywidgets
import pytest

from replaylab.errors import SpeedError, TickError, Unplayable
from replaylab.playback.engine import ReplayEngine
from replaylab.widgets.player import ReplayPlayer, play
from tests.widgets.pages import FakePage, Make, game


def listen(player: ReplayPlayer) -> list[int]:
    """Collect the rows that callbacks get."""
    seen: list[int] = []
    player.on_tick(lambda step: seen.append(step.index))
    return seen


def test_python_drives_without_a_browser() -> None:
    """`step`, `seek` and `run` deliver every tick, and say how many; nothing needs a page."""
    player = play(game(10))
    seen = listen(player)
    assert [player.step(2), player.step(-1), player.seek(5), player.seek(10), player.run()] == [2, 1, True, False, 4]
    assert seen == [0, 1, 2, 1, 5, 6, 7, 8, 9]
    assert [player.index, player.playing, player.run()] == [9, False, 0]
    player.close()


def test_a_player_that_is_opened_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """One line with the game and its rows, of the logger that docs/logging.md names."""
    with caplog.at_level(logging.INFO, logger="replaylab.player"):
        play(game(7)).engine.close()
    (record,) = [one for one in caplog.records if one.name == "replaylab.player"]
    assert (record.__dict__["event"], record.__dict__["game_id"], record.__dict__["rows"]) == ("opened", "g", 7)


def test_a_player_over_an_engine_shows_what_one_over_the_game_shows() -> None:
    """The same message opens its page, the same is kept of it in a notebook, and it seeks as the other does."""
    with ReplayEngine(game(50)) as engine:
        players = [play(engine), play(game(50))]
        assert [player.seek(20) for player in players] == [True, True]
        assert [player.index for player in players] == [20, 20]
        assert engine.index == 20
        (first, rows), (other, others) = (player._active.opening() or ({}, []) for player in players)
        assert {**first, "games": []} == {**other, "games": []}  # of one game there is nothing to pick
        assert [bytes(one) for one in rows] == [bytes(one) for one in others]
        assert players[0]._stand_in("") == players[1]._stand_in("")
        for player in players:
            player.close()


def test_ranges_become_single_ticks_in_order(make: Make) -> None:
    """Every row of a range is told once; one told twice by a page is not, one left out is."""
    player, page = make(game(100))
    seen = listen(player)
    page.state(playing=True)
    page.shows(1, 7)
    page.shows(5, 9)
    page.shows(12, 13)
    assert seen == list(range(14))
    assert [player.index, player.playing] == [13, True]
    assert page.kinds().count("ack") == 3


def test_passes_of_a_loop_are_all_told(make: Make) -> None:
    """Passes that a page counted while the kernel was busy are delivered that many times."""
    player, page = make(game(20))
    player.seek(4)
    seen = listen(player)
    page.number += 1
    items = [
        {"gen": page.gen + 1, "lo": 5, "hi": 6, "reason": "play", "times": 1},
        {"gen": page.gen + 2, "lo": 4, "hi": 4, "reason": "loop", "times": 1},
        {"gen": page.gen + 2, "lo": 5, "hi": 6, "reason": "play", "times": 1},
    ]
    page.say("pos", number=page.number, items=items)
    assert seen == [5, 6, 4, 5, 6]


def test_what_was_played_before_a_seek_of_python_is_late(make: Make) -> None:
    """After `seek` the page's older reports change nothing; its echo of the seek is not told again."""
    player, page = make(game(100))
    seen = listen(player)
    before = page.gen
    player.seek(50)
    page.shows(1, 9, gen=before)
    page.shows(50, 50, "told")
    page.shows(51, 52)
    assert seen == [50, 51, 52]


def test_a_page_that_stands_elsewhere_is_believed(make: Make) -> None:
    """When user and kernel seek at once, the row that the page says it ended at is where callbacks are."""
    player, page = make(game(100))
    player.seek(50)
    page.shows(7, 7, "seek")
    page.shows(50, 50, "told")
    assert player.index == 50


def test_the_page_that_was_used_last_leads(make: Make) -> None:
    """Of two pages on one kernel only one moves Python; using the other one makes that lead."""
    player, first = make(game(100))
    seen = listen(player)
    first.say("ready", client="b")
    first.shows(1, 3)
    assert seen == []
    first.state(playing=True)
    first.shows(1, 3)
    assert seen == [0, 1, 2, 3]
    assert first.last("ack")["to"] == "a"


def test_a_callback_that_raises_stops_nothing(make: Make) -> None:
    """The others get every tick, and the page is told that its batch was taken."""
    player, page = make(game(10))
    player.on_tick(lambda _step: 1 / 0)
    seen = listen(player)
    page.shows(1, 9)
    assert seen == list(range(10))
    assert page.last("ack")["number"] == 1


def test_callbacks_may_seek_pause_and_close() -> None:
    """A callback may command the player, and even close it, in the middle of a range."""
    player = ReplayPlayer(game(50))
    seen = listen(player)
    player.on_tick(lambda step: player.seek(40) if step.index == 3 else None)
    player.on_tick(lambda step: player.close() if step.index == 41 else None)
    page = FakePage(player)
    page.shows(1, 9)
    page.shows(41, 49, gen=99)
    assert seen == [0, 1, 2, 3, 40, 41]


def test_callbacks_run_on_the_loop_in_slices() -> None:
    """From whatever thread a report comes, callbacks run on the main loop, and a slow one lets the loop go on."""

    async def scene() -> tuple[set[str], int, list[int]]:
        player = ReplayPlayer(game(40))
        seen, beats = listen(player), 0
        threads: set[str] = set()

        def slow(_step: object) -> None:
            threads.add(threading.current_thread().name)
            time.sleep(0.01)

        player.on_tick(slow)
        page = FakePage(player)
        reporter = threading.Thread(target=page.shows, args=(1, 39))
        reporter.start()
        while len(seen) < 40:
            beats += 1
            await asyncio.sleep(0.001)
        reporter.join()
        player.close()
        return threads, beats, seen

    threads, beats, seen = asyncio.run(scene())
    assert threads == {"MainThread"}
    assert beats >= 5
    assert seen == list(range(40))


def test_observers_hear_at_most_ten_times_a_second(make: Make) -> None:
    """`observe` works, and while rows go by it is called at most ten times a second, and with the last one."""
    player, page = make(game(5_000))
    heard: list[int] = []
    player.observe(lambda change: heard.append(change["new"]), "index")
    player.on_tick(lambda _step: time.sleep(0.0001))
    begun = time.monotonic()
    page.shows(1, 4_999)
    assert len(heard) <= (time.monotonic() - begun) / 0.1 + 2
    assert heard[-1] == 4_999


def test_observers_hear_of_the_last_of_many_quick_moves() -> None:
    """However soon after one another the engine is moved, the player ends where it ends, with and without a loop."""
    player = play(game(50))
    for row in (30, 20, 10):
        player.engine.seek(row)
        assert player.index == row
    player.close()

    async def burst() -> tuple[int, int]:
        engine = ReplayEngine(ring_ticks=100)
        live = play(engine)
        for tick in game(40):
            engine.push(tick)
            await asyncio.sleep(0.004)
        async with asyncio.timeout(60):
            while live.index < 39:  # noqa: ASYNC110  an index is no event
                await asyncio.sleep(0.01)
        found = live.index, engine.index
        live.close()
        engine.close()
        return found

    assert asyncio.run(burst()) == (39, 39)


@pytest.mark.parametrize("speed", [0, -1, math.nan, 0.05, 101, "fast", None, True, [1], 1j])
def test_bad_speeds_are_refused_at_every_door(speed: Any) -> None:
    """NaN, zero, negative, out of bounds, flags, text and nothing raise one error; the speed before still holds."""
    player = play(game(5), speed=2)
    with pytest.raises(SpeedError, match="must lie between"):
        player.speed = speed
    assert [player.speed, player.engine.speed] == [2, 2]
    if speed is not None:
        with pytest.raises(SpeedError):
            play(game(5), speed=speed)
    player.close()


def test_speed_goes_both_ways(make: Make) -> None:
    """Set in Python it reaches page and engine; chosen in the page it reaches the trait; the fastest has a name."""
    player, page = make(game(5))
    player.speed = 4
    assert [page.last("speed")["speed"], player.engine.speed] == [4, 4]
    page.state(speed=None)
    assert [player.speed, player.engine.speed] == [math.inf, math.inf]
    player.speed = math.inf
    page.say("ready")
    assert page.last("open")["state"]["speed"] is None


def test_index_and_playing_cannot_be_set() -> None:
    """They say what is; `seek` and `play` change it."""
    player = play(game(5))
    for name in ("index", "playing", "game_id"):
        with pytest.raises(Exception, match="cannot be set; player"):
            setattr(player, name, getattr(player, name))
    player.close()


def test_what_the_engine_does_reaches_the_page(make: Make) -> None:
    """Who moves the engine itself moves the page: seek, speed, loop, another game."""
    player, page = make(game(50))
    player.engine.seek(30)
    assert page.last("seek")["row"] == 30
    player.engine.speed = 2
    assert [page.last("speed")["speed"], player.speed] == [2, 2]
    player.engine.set_loop(3, 9)
    assert page.last("loop")["loop"] == [3, 9]
    player.engine.load(game(7, "other"))
    assert [page.last("open")["facts"]["title"], player.game_id, len(player.engine.timeline or ())] == [
        "other",
        "other",
        7,
    ]


def test_games_to_pick_from(make: Make) -> None:
    """The first that can be played is shown; a broken one says why and leaves what is shown."""
    player, page = make([[], game(5, "b"), "no game", game(6, "d")])
    assert [player.game_id, page.last("open")["games"]] == ["b", ["game 1", "game 2", "game 3", "game 4"]]
    page.say("pick", number=2)
    assert "cannot be played" in page.last("trouble")["text"]
    assert player.game_id == "b"
    assert [player.pick(3), player.game_id, page.last("open")["facts"]["game"]] == [True, "d", 3]
    with pytest.raises(Unplayable):
        play([[], "no game"])
    with pytest.raises(Unplayable):
        play([])


def test_picked_game_is_there_at_once() -> None:
    """Who picks a game in a running loop has it on the next line: traits, picture and words are those of that game."""

    async def picked() -> tuple[str, str]:
        player = play([game(5, "one"), game(6, "two")])
        assert player.pick(1)
        data, _ = player._repr_mimebundle_()
        found = player.game_id, data["text/plain"]
        assert "Price chart of two" in data["text/html"]
        player.close()
        return found

    assert asyncio.run(picked()) == ("two", "ReplayPlayer('two', 6 rows)")


def test_marks_belong_to_their_game(make: Make) -> None:
    """A mark is put at a tick number, survives a change of game, and an unknown tick is refused."""
    player, page = make([game(5, "a", first=10), game(5, "b")])
    player.mark(12, "here", colour="#D55E00")
    assert page.last("marks")["marks"] == [{"row": 2, "label": "here", "colour": "#D55E00"}]
    with pytest.raises(TickError, match="no tick of that number"):
        player.mark(3)
    player.pick(1)
    assert page.last("open")["marks"] == []
    player.pick(0)
    assert len(page.last("open")["marks"]) == 1
    player.clear_marks()
    assert page.last("marks")["marks"] == []


def test_close_frees_everything() -> None:
    """After `close` no widget is registered, no callback and no task is left, and the player can be collected."""

    async def scene() -> tuple[weakref.ref[ReplayPlayer], int, int]:
        tasks = len(asyncio.all_tasks())
        widgets = len(ipywidgets.widgets.widget._instances)
        player = ReplayPlayer(game(5_000))
        FakePage(player).shows(1, 4_000)
        player.close()
        player.close()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        gone = weakref.ref(player)
        assert player.engine.closed
        left = len(ipywidgets.widgets.widget._instances) - widgets
        return gone, left, len(asyncio.all_tasks()) - tasks

    gone, widgets, tasks = asyncio.run(scene())
    gc.collect()
    assert gone() is None
    assert (tasks, widgets) == (0, 0)


def test_an_engine_of_ones_own_outlives_the_player() -> None:
    """Closing the player leaves an engine that was given to it as it is."""
    engine = ReplayEngine(game(5))
    player = play(engine)
    player.step(2)
    player.close()
    assert [engine.closed, engine.index, engine.seek(4)] == [False, 2, True]
    with pytest.raises(Unplayable, match="closed"):
        player.play()
    engine.close()


def test_composes_like_any_widget() -> None:
    """A player can stand in a box beside other widgets."""
    player = play(game(5))
    box = ipywidgets.VBox([player, ipywidgets.HBox([ipywidgets.Button(description="mark")])])
    assert box.children[0] is player
    player.close()
