"""The player without a browser: messages in, messages out, callbacks, traits, and what a notebook keeps of it."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import math
import re
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import ipywidgets
import numpy as np
import pyarrow as pa
import pytest

from replaylab.engine import ReplayEngine
from replaylab.errors import SpeedError, TickError, Unplayable
from replaylab.tick import Tick
from replaylab.timeline import Timeline
from replaylab.widgets import reel as reel_module
from replaylab.widgets import still
from replaylab.widgets.player import ReplayPlayer, play
from replaylab.widgets.reel import Reel

ZERO = datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC)


def game(rows: int, name: str = "g", first: int = 0) -> list[Tick]:
    """Ticks of a game, 50 ms apart, each with a price of its own."""
    return [
        Tick(
            game_id=name,
            tick=number,
            timestamp=ZERO + timedelta(milliseconds=50 * number),
            price=Decimal(f"1.{number:09}"),
            active=True,
        )
        for number in range(first, first + rows)
    ]


@pytest.fixture(autouse=True)
def _no_loop_from_outside() -> Iterator[None]:
    """Hide the event loop that a browser test in the same process leaves running."""
    running = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    yield
    asyncio._set_running_loop(running)


class FakePage:
    """What a browser would be: hears what the player sends and reports what it showed."""

    def __init__(self, player: ReplayPlayer, client: str = "a") -> None:
        self.player = player
        self.client = client
        self.heard: list[tuple[dict[str, Any], list[memoryview]]] = []
        self.gen = 0
        self.number = 0
        assert player._desk is not None
        player._desk.link._send = self._hear
        self.say("ready")

    def _hear(self, content: dict[str, Any], buffers: Sequence[memoryview] = ()) -> None:
        json.dumps(content, allow_nan=False)
        self.heard.append((content, list(buffers)))
        if content["kind"] == "seek":
            self.gen = content["gen"]
        if content["kind"] == "open":
            self.gen = content["state"]["gen"]

    def kinds(self) -> list[str]:
        """The kinds of all messages heard."""
        return [content["kind"] for content, _ in self.heard]

    def last(self, kind: str) -> dict[str, Any]:
        """The last message of a kind."""
        return next(content for content, _ in reversed(self.heard) if content["kind"] == kind)

    def say(self, kind: str, **content: Any) -> None:
        """Say something to the kernel."""
        self.player._handle_custom_msg({"kind": kind, "client": self.client, **content}, [])

    def shows(self, low: int, high: int, reason: str = "play", gen: int | None = None, times: int = 1) -> None:
        """Report rows that were shown."""
        self.number += 1
        item = {"gen": self.gen if gen is None else gen, "lo": low, "hi": high, "reason": reason, "times": times}
        self.say("pos", number=self.number, items=[item])

    def state(self, **changes: Any) -> None:
        """Report a state."""
        usual = {"playing": False, "row": 0, "speed": 1, "pacing": "recorded", "loop": [None, None], "following": False}
        self.say("state", **{**usual, "gen": self.gen, **changes})


@pytest.fixture
def make() -> Iterator[Callable[..., tuple[ReplayPlayer, FakePage]]]:
    """Make a player with a page that is open; all are closed at the end."""
    made: list[ReplayPlayer] = []

    def _make(source: object, **options: Any) -> tuple[ReplayPlayer, FakePage]:
        player = ReplayPlayer(source, **options)
        made.append(player)
        return player, FakePage(player)

    yield _make
    for player in made:
        player.close()


Make = Callable[..., tuple[ReplayPlayer, FakePage]]


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


@pytest.mark.parametrize("speed", [0, -1, math.nan, 0.05, 101, "fast"])
def test_bad_speeds_are_refused_at_every_door(speed: Any) -> None:
    """NaN, zero, negative, out of bounds and text raise; the speed before still holds."""
    player = play(game(5), speed=2)
    with pytest.raises((SpeedError, Exception), match=r"speed|float"):
        player.speed = speed
    assert [player.speed, player.engine.speed] == [2, 2]
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
        with pytest.raises(Exception, match="read-only"):
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
    assert page.last("loop")["loop"] == (3, 9)
    player.engine.load(game(7, "other"))
    assert [page.last("open")["reel"]["title"], player.game_id, len(player.engine.timeline or ())] == [
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
    assert [player.pick(3), player.game_id, page.last("open")["reel"]["game"]] == [True, "d", 3]
    with pytest.raises(Unplayable):
        play([[], "no game"])
    with pytest.raises(Unplayable):
        play([])


def test_marks_belong_to_their_game(make: Make) -> None:
    """A mark is put at a tick number, survives a change of game, and an unknown tick is refused."""
    player, page = make([game(5, "a", first=10), game(5, "b")])
    player.mark(12, "here", colour="#D55E00")
    assert page.last("notes")["notes"] == [{"row": 2, "label": "here", "colour": "#D55E00"}]
    with pytest.raises(TickError, match="no tick of that number"):
        player.mark(3)
    player.pick(1)
    assert page.last("open")["notes"] == []
    player.pick(0)
    assert len(page.last("open")["notes"]) == 1
    player.clear_marks()
    assert page.last("notes")["notes"] == []


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
    words, times, due, ticks, flags = Reel(Timeline.of(table)).opening()[1]
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
    assert opening["reel"]["overview"] is True
    low, high = (np.frombuffer(column, np.float64) for column in overview[:2])
    assert len(low) == 16
    assert [low[0], high[-1]] == [1.0, float("1.000001049")]
    name = opening["reel"]["id"]
    for number in range(11):
        page.say("want", id=name, number=number)
    chunks = [buffers for content, buffers in page.heard if content["kind"] == "chunk"]
    assert isinstance(player._desk and player._desk.film, Reel)
    whole = Reel(Timeline.of(game(1_050))).columns.buffers(0, 1_050)
    assert [b"".join(chunk[column] for chunk in chunks) for column in range(5)] == [bytes(column) for column in whole]
    page.say("want", id="another", number=0)
    assert len([content for content, _ in page.heard if content["kind"] == "chunk"]) == 11


def test_live_rows_come_in_batches_and_stay_bounded() -> None:
    """A page that watches a live game gets the ring, then what is new, at most twenty messages a second."""

    async def scene() -> tuple[list[dict[str, Any]], int, ReplayPlayer]:
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
        await asyncio.sleep(0.12)
        messages = [content for content, _ in page.heard]
        size = max(sum(map(len, buffers)) for _, buffers in page.heard)
        player.close()
        engine.close()
        return messages, size, player

    messages, size, _player = asyncio.run(scene())
    opening = messages[0]
    assert [opening["reel"]["mode"], opening["reel"]["n"], opening["reel"]["base"]] == ["live", 200, 100]
    appended = [content for content in messages if content["kind"] == "append"]
    assert 3 <= len(appended) <= 30
    assert appended[-1]["at"] + appended[-1]["n"] == 5_300
    assert size <= 200 * 37


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
    reel = Reel(Timeline.of(game(still.INLINE_ROWS + 1)))
    assert "<script" not in still.cell(reel)["text/html"]
    assert "<script" in still.page(reel.timeline)


def test_a_page_cannot_be_broken_out_of() -> None:
    """An id that looks like markup stays text in the page."""
    text = still.page(game(3, "</script><script>alert(1)</script>"))
    assert text.count("</script>") == 1
    assert "alert(1)</script>" not in text


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
    assert tasks == 0
    assert widgets <= 1  # the layout, which ipywidgets keeps


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
