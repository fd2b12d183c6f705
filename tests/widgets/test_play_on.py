"""At the end of a game the next one follows, when that is switched on."""

from __future__ import annotations

import asyncio

from replaylab.clock import FASTEST
from replaylab.widgets.player import ReplayPlayer
from tests.widgets.pages import FakePage, Make, game
from tests.widgets.test_inbox import until


def test_the_page_asks_for_the_next_game_and_it_plays(make: Make) -> None:
    """Broken games are passed over; at the last game nothing follows."""
    player, page = make([game(5, "a"), "no game", game(5, "b")], play_on=True)
    assert page.last("open")["state"]["play_on"] is True
    page.say("pick", number=1, play=True)
    assert [player.game_id, player.playing, page.kinds()[-1]] == ["b", True, "play"]
    page.say("pick", number=2)
    assert [player.game_id, player.playing] == ["b", False]


def test_the_switch_goes_both_ways(make: Make) -> None:
    """Set in Python it reaches the page; pressed in the page it reaches the trait."""
    player, page = make([game(5, "a"), game(5, "b")])
    player.play_on = True
    assert page.last("options")["play_on"] is True
    page.state(play_on=False)
    assert player.play_on is False


def test_blind_games_follow_each_other() -> None:
    """With the future hidden the kernel plays on, and the page gets each game at its time."""

    async def scene() -> tuple[list[tuple[str, int]], ReplayPlayer]:
        player = ReplayPlayer([game(20, "a"), game(20, "b")], blind=True, play_on=True, speed=FASTEST)
        seen: list[tuple[str, int]] = []
        player.on_tick(lambda step: seen.append((step.game_id, step.index)))
        FakePage(player)
        player.play()
        await until(lambda: len(seen) == 40, 60)
        await asyncio.sleep(0.1)
        player.close()
        return seen, player

    seen, _ = asyncio.run(scene())
    assert seen == [(name, row) for name in "ab" for row in range(20)]
