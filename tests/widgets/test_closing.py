"""What a player leaves behind: no widget, no comm, no task, no thread, no open file, no object, however it ends."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import ipywidgets
import pytest

from replaylab.playback.engine import ReplayEngine
from replaylab.widgets.player import ReplayPlayer
from tests.playing import tick
from tests.resources import Held
from tests.widgets.pages import FakePage, game
from tests.widgets.test_inbox import until


def held() -> set[object]:
    """Return tasks of this loop and the names of registered widgets, layouts among them."""
    return {*asyncio.all_tasks(), *ipywidgets.widgets.widget._instances}


def close(player: ReplayPlayer, _page: FakePage) -> None:
    """Close it as it stands."""
    player.close()


def close_while_the_page_plays(player: ReplayPlayer, page: FakePage) -> None:
    """Close it while a page plays and a long range is on its way to callbacks."""
    player.play()
    page.state(playing=True)
    page.shows(1, 1_900)
    player.close()


def close_while_the_engine_plays(player: ReplayPlayer, _page: FakePage) -> None:
    """Close it while the engine keeps the time itself."""
    player.engine.play()
    player.close()


def close_in_a_callback(player: ReplayPlayer, page: FakePage) -> None:
    """Let a callback close it in the middle of a range."""
    ref = weakref.proxy(player)
    player.on_tick(lambda step: step.index == 5 and ref.close())
    page.shows(1, 1_900)


def close_twice_and_speak_on(player: ReplayPlayer, page: FakePage) -> None:
    """Close it again, and let its page speak to what is no more."""
    player.observe(print, "index")
    player.close()
    player.close()
    page.say("ready")
    page.shows(1, 9)


WAYS = [
    close,
    close_while_the_page_plays,
    close_while_the_engine_plays,
    close_in_a_callback,
    close_twice_and_speak_on,
]


@pytest.mark.parametrize("end", WAYS, ids=lambda end: end.__name__)
def test_twenty_players_leave_nothing(end: Callable[[ReplayPlayer, FakePage], None]) -> None:
    """Opened, used and closed twenty times: what is held is what was held before, and no player is left."""
    rows = game(2_000)

    async def watch() -> None:
        before: Any = None
        gone = []
        open_before = Held.now()
        for turn in range(21):
            player = ReplayPlayer(rows)
            page = FakePage(player)
            end(player, page)
            await until(lambda player=player: player._sync is None)
            gone.append(weakref.ref(player))
            del player, page
            if turn == 0:  # what is imported late is imported now
                gc.collect()
                before, open_before = held(), Held.now()
        await until(lambda: gc.collect() >= 0 and not [ref for ref in gone if ref() is not None])
        await until(lambda: held() <= before)
        await until(lambda: open_before.new() == [])

    asyncio.run(watch())


def test_players_of_a_live_engine_leave_it_as_it_was() -> None:
    """Twenty players over one live engine leave no callback on it, and it goes on."""

    async def watch() -> None:
        engine = ReplayEngine(ring_ticks=500)
        engine.push(tick(0))
        listeners = {kind: len(one) for kind, one in engine._listeners.of.items()}
        for number in range(1, 21):
            player = ReplayPlayer(engine)
            page = FakePage(player)
            await until(lambda page=page: "open" in page.kinds())
            engine.push(tick(number))
            await until(lambda page=page: "append" in page.kinds())
            assert page.last("append")["n"] == 1
            engine.push(tick(number))  # on its way to the page when it closes
            player.close()
        assert {kind: len(one) for kind, one in engine._listeners.of.items()} == listeners
        assert engine.push(tick(99))
        engine.close()

    asyncio.run(watch())
