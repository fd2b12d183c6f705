"""Alarm: those that wait wake at their time, together, never too early; one that is cancelled disturbs no other."""

from __future__ import annotations

import asyncio

from replaylab.service.pace import Alarm
from replaylab.sessions.clock import Clock
from tests.sessions.virtual import run_virtually


def test_everybody_wakes_in_order_and_never_too_early() -> None:
    """Fifty waits of different lengths end in the order of their lengths, each at its time or later."""
    found: list[tuple[int, float]] = []

    async def run(_clock: Clock) -> None:
        alarm, loop = Alarm(), asyncio.get_running_loop()
        begin = loop.time()

        async def one(number: int) -> None:
            await alarm.sleep(number * 0.006)
            found.append((number, loop.time() - begin))

        await asyncio.wait_for(asyncio.gather(*map(one, reversed(range(50)))), 30)

    run_virtually(run)
    assert [number for number, _ in found] == list(range(50))
    assert all(late >= number * 0.006 - 1e-6 for number, late in found)


def test_one_that_is_cancelled_disturbs_no_other() -> None:
    """Of two that wait for the same moment one is cancelled: the other wakes."""

    async def run() -> None:
        alarm = Alarm()
        gone, stays = asyncio.ensure_future(alarm.sleep(0.05)), asyncio.ensure_future(alarm.sleep(0.05))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait_for(stays, 30)
        assert gone.cancelled()

    asyncio.run(run())
