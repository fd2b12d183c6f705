"""Delivery: what one client gets, batch by batch; how many others there are, and where, changes nothing."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Sequence

from replaylab.feeds.base import Message
from replaylab.feeds.programme import Place, Programme
from replaylab.service.asking import Asked
from replaylab.service.delivery import deliver
from replaylab.service.pace import Pace
from replaylab.service.readers import Reader
from tests.service.test_frames import Games, played

CLIENTS = 40
LENGTH = 700  # ticks: three batches and more


class CountedGames(Games):
    """Games that count how often each is read."""

    def __init__(self, *games: Sequence[Message]) -> None:
        super().__init__(*games)
        self.reads: Counter[int] = Counter()

    def read(self, number: int) -> Sequence[Message]:
        """The messages of a game."""
        self.reads[number] += 1
        return super().read(number)


def test_a_game_is_read_once_however_many_clients_are_elsewhere() -> None:
    """Forty clients, each in a game of its own and served in turn: each game is read once, and each client has it."""
    source = CountedGames(*(played(f"game-{number}", LENGTH) for number in range(CLIENTS)))
    programme = Programme(source, "none")
    found: list[list[bytes]] = [[] for _ in range(CLIENTS)]

    async def run() -> None:
        streams = [
            deliver(
                Reader(Asked(programme, Place(n, 0), Place(n + 1, 0), Pace(math.inf), programme.id_of(Place(n, 0)))),
                asyncio.sleep,
            )
            for n in range(CLIENTS)
        ]
        left = dict(enumerate(streams))
        while left:
            for number, stream in list(left.items()):
                batch = await anext(stream, None)
                if batch is None:
                    del left[number]
                else:
                    found[number] += batch.lines

    asyncio.run(run())
    assert source.reads == dict.fromkeys(range(CLIENTS), 1)
    for number, lines in enumerate(found):
        ticks = [line for line in lines if b'"type": "tick"' in line]
        assert len(ticks) == LENGTH
        assert all(b'"game-%d"' % number in line for line in ticks)
