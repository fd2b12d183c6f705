"""What waits between a feed and the screen: in order, bounded, and handed over on the loop that it was made on."""

from __future__ import annotations

import asyncio
import collections
import threading
from typing import Any

from replaylab.widgets.inbox import Inbox


async def until(condition: Any, seconds: float = 60.0) -> None:
    """Let the loop run until something holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  a condition is no event
            await asyncio.sleep(0.005)


def test_what_threads_put_in_comes_in_order_on_the_loop() -> None:
    """Messages of another thread arrive once, in order, on the thread of the loop, many at a time."""

    async def scene() -> tuple[list[int], list[str], int]:
        seen: list[int] = []
        threads: list[str] = []
        calls: list[int] = []

        def take(messages: list[int]) -> None:
            seen.extend(messages)
            threads.append(threading.current_thread().name)
            calls.append(len(messages))

        inbox = Inbox(take, 10_000)
        writer = threading.Thread(target=lambda: collections.deque(map(inbox.put, range(2_000)), maxlen=0))
        writer.start()
        await until(lambda: len(seen) == 2_000)
        writer.join()
        return seen, threads, len(calls)

    seen, threads, calls = asyncio.run(scene())
    assert seen == list(range(2_000))
    assert set(threads) == {threading.main_thread().name}
    assert calls < 200


def test_a_busy_loop_fills_no_memory() -> None:
    """While the loop is busy only the newest wait; the others are counted."""

    async def scene() -> tuple[list[int], int]:
        seen: list[int] = []
        inbox = Inbox(seen.extend, 100)
        for number in range(1_000):  # the loop gets no turn meanwhile
            inbox.put(number)
        await until(lambda: seen)
        return seen, inbox.left_out

    seen, left_out = asyncio.run(scene())
    assert seen == list(range(900, 1_000))
    assert left_out == 900


def test_a_closed_loop_is_no_error() -> None:
    """A feed that outlives the notebook's loop goes on."""

    async def scene() -> Inbox:
        return Inbox(print, 100)

    inbox = asyncio.run(scene())
    inbox.put(1)
    inbox.put(2)
