"""Delivery: what one client of a served feed gets, batch by batch, as its clock goes."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, NamedTuple, TypeAlias

from replaylab.feeds.programme import Item, Place
from replaylab.service.readers import Reader

PROTOCOL: Final = "replaylab.v1"
HEARTBEAT_SECONDS: Final = 5.0
LEAST_WAIT_SECONDS: Final = 0.002
_BATCH_BYTES: Final = 1 << 16
_BATCH_ITEMS: Final = 1_000
Follow: TypeAlias = Callable[[Reader], Awaitable[bool]]


class Batch(NamedTuple):
    """Lines that go out together, without the last newline, and the id of the last of them."""

    lines: list[bytes]
    ids: list[str]


async def deliver(
    reader: Reader, sleep: Callable[[float], Awaitable[object]], follow: Follow | None = None
) -> AsyncIterator[Batch]:
    """Yield what a client gets: a greeting, the items as they are due, heartbeats in silence, and the end.

    `follow` serves a client that has all that is due together with others, and returns False when it cannot; after it a
    batch of no lines is yielded, so that the caller looks whether the client is to be closed.
    """
    programme, _, until, pace, position, _ = reader.asked
    speed = pace.speed if math.isfinite(pace.speed) else None
    hello: dict[str, object] = {
        "type": "hello",
        "protocol": PROTOCOL,
        "epoch": programme.epoch,
        "first": programme.id_of(Place(0, 0)),
    }
    hello |= {"next": position, "heartbeat_seconds": HEARTBEAT_SECONDS, "speed": speed}
    yield Batch([json.dumps(hello).encode()], [position])
    quiet, moved, held = 0.0, False, -1
    while True:
        items, place = programme.next_items(reader.place, pace.position_us(), _BATCH_ITEMS, _BATCH_BYTES, until)
        over = until is not None and place >= until
        if over:
            reader.holds = ()
        elif place.game != held:
            reader.holds, held = programme.items(place.game), place.game
        if items:
            quiet, moved = 0.0, True
            reader.place, reader.position = place, items[-1].id
            yield _batch(items)
        due = None if over else programme.due_us(place)
        left = 0.0 if due is None else pace.seconds_until(due)
        if items and left <= 0:
            await asyncio.sleep(0)  # a connection that takes all at once, or is gone, must not keep the loop
            continue
        if due is None:
            yield Batch([b'{"type": "end", "reason": "finished"}'], [reader.position])
            return
        reader.joined = True
        reader.place = place
        if moved and follow is not None and await follow(reader):
            quiet, held = 0.0, -1
            yield Batch([], [])
            continue
        wait = max(min(left, HEARTBEAT_SECONDS - quiet), LEAST_WAIT_SECONDS)
        await sleep(wait)
        quiet += wait
        if quiet >= HEARTBEAT_SECONDS - LEAST_WAIT_SECONDS:
            quiet = 0.0
            yield Batch([json.dumps({"type": "heartbeat", "id": reader.position}).encode()], [reader.position])


def _batch(items: list[Item]) -> Batch:
    return Batch([one.line for one in items], [one.id for one in items])
