"""A game whose future is hidden: nothing that reaches a page before its time depends on what comes later."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from replaylab.tick import Tick
from replaylab.widgets.player import ReplayPlayer
from tests.widgets.pages import ZERO, FakePage, Make, game

PAST = 40


def futures() -> dict[str, list[Tick]]:
    """Games that are the same for `PAST` rows: one ends there, one goes on and on, one rises, one rugs after a gap."""
    past = game(PAST)
    later = game(400, first=PAST + 30)
    last = later[-1]
    rug = Tick(
        game_id=last.game_id,
        tick=last.tick + 1,
        timestamp=last.timestamp,
        price=Decimal("0.01"),
        active=True,
        rugged=True,
    )
    return {
        "ends": [*past, *game(1, first=PAST)],
        "goes on": [*past, *game(3_000, first=PAST)],
        "rugs after a gap": [*past, *later, rug],
        "rises": [*past, peak(PAST)],
    }


def peak(number: int) -> Tick:
    """A tick with a price above all others."""
    return Tick(
        game_id="g", tick=number, timestamp=ZERO + timedelta(milliseconds=50 * number), price=Decimal(1000), active=True
    )


def reaches(rows: list[Tick]) -> str:
    """Everything that reaches the page up to the last row of the past, however it is got there."""
    player = ReplayPlayer(rows, blind=True)
    page = FakePage(player)
    page.say("advance", rows=3)
    player.step(5)
    page.shows(2, 2, "seek", gen=page.gen + 1)
    page.say("advance", rows=1)
    player.seek(PAST - 10)
    player.step(-4)
    page.state(playing=False, gen=page.gen)
    page.say("ready")
    player.step(13)
    bundle, _ = player._repr_mimebundle_()
    bundle.pop("application/vnd.jupyter.widget-view+json")
    stands_in = player._stand_in("player")
    state = {key: value for key, value in player.get_state().items() if key not in {"layout", "player_id"}}
    player.close()
    sent = [[content, [bytes(one).hex() for one in buffers]] for content, buffers in page.heard]
    return json.dumps([sent, bundle, stands_in, state], default=str)


def test_what_reaches_the_page_does_not_depend_on_the_future() -> None:
    """Games of the same past and another future send the same bytes: messages, rows, notebook, state of the widget."""
    sent = {name: reaches(rows) for name, rows in futures().items()}
    assert len(set(sent.values())) == 1


def test_every_row_reaches_the_page_at_its_time(make: Make) -> None:
    """Row by row, the page knows as many rows as were shown, whole; the rug at its row, the peak at the end."""
    rows = futures()["rugs after a gap"]
    player, page = make(rows, blind=True)
    seen: list[int] = []
    player.on_tick(lambda step: seen.append(step.index))
    whole, _ = make(rows)
    assert whole._sync is not None
    facts = whole._sync.payload.facts  # type: ignore[union-attr]
    for number in range(1, len(rows)):
        player.step(1)
        assert sum(len(buffers[3]) // 4 for _, buffers in page.heard if buffers) == number + 1
        happened = [event for content, _ in page.heard for event in content.get("events", [])]
        if number < len(rows) - 1:
            assert happened == []
    assert [event["kind"] for event in happened] == ["rug", "peak"]
    gaps = [gap for content, _ in page.heard for gap in content.get("gaps", [])]
    assert gaps == facts["gaps"]
    columns = [b"".join(bytes(buffers[at]) for _, buffers in page.heard if buffers) for at in range(6)]
    assert columns == [bytes(one) for one in whole._sync.payload.opening()[1]]  # type: ignore[union-attr]
    assert seen == list(range(len(rows)))


def test_a_page_cannot_reach_beyond_what_was_shown(make: Make) -> None:
    """A page that asks for rows it does not know, by any message, gets none of them."""
    player, page = make(game(500), blind=True)
    page.shows(1, 400)
    page.shows(400, 400, "seek", gen=page.gen + 1)
    page.state(loop=[0, 400])
    assert player._sync is not None
    for number in range(3):
        page.say("want", id=player._sync.payload.id, number=number)  # type: ignore[union-attr]
    assert [player.index, player._sync.channel.dropped] == [0, 3]
    assert page.kinds().count("chunk") == 0
    page.say("advance", rows=4)
    assert player.index == 4


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop go on until something holds."""
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 what a page has heard is no event
            await asyncio.sleep(0.01)


def test_played_by_the_kernel_every_tick_comes_once() -> None:
    """Play, pause, back and on again: callbacks get what the page gets, in order, and the page never more."""

    async def scene() -> tuple[list[int], int, ReplayPlayer, FakePage]:
        player = ReplayPlayer(game(200), blind=True, speed=100)
        seen: list[int] = []
        player.on_tick(lambda step: seen.append(step.index))
        page = FakePage(player)

        def rows_known() -> int:
            return sum(len(buffers[3]) // 4 for _, buffers in page.heard if buffers)

        await until(lambda: "open" in page.kinds())
        page.state(playing=True, following=True, speed=20)
        await until(lambda: len(seen) >= 50)
        page.state(playing=False)
        await until(lambda: rows_known() == player.index + 1 == len(seen))
        assert player.playing is False
        page.state(playing=True, following=True, speed=None)
        await until(lambda: player.engine.index == 199 and len(seen) == 200 and rows_known() >= 200)
        await asyncio.sleep(0.1)  # nothing comes twice
        known = rows_known()
        player.close()
        return seen, known, player, page

    seen, known, _player, page = asyncio.run(scene())
    assert seen == list(range(200))
    assert known == 200
    assert page.kinds()[-1] in {"pause", "seek", "append", "play"}


def test_marks_of_the_future_wait(make: Make) -> None:
    """A mark that Python put ahead of the playhead reaches the page when its tick does."""
    player, page = make(game(50), blind=True)
    player.mark(20, "later")
    player.step(19)
    assert all(content.get("marks", []) == [] for content, _ in page.heard)
    player.step(1)
    assert page.last("marks")["marks"][0]["label"] == "later"


def test_blind_can_be_set_later_by_either_side(make: Make) -> None:
    """`player.blind` and the button of the page hide the future, and show it again; a live game has none."""
    player, page = make(game(50))
    player.seek(10)
    player.blind = True
    opening = page.last("open")["facts"]
    assert [opening["mode"], opening["n"]] == ["blind", 11]
    page.say("blind", on=False)
    assert [player.blind, page.last("open")["facts"]["n"], player.index] == [False, 50, 10]
    with pytest.raises(Exception, match="blind"):
        player.blind = "yes"  # type: ignore[assignment]
