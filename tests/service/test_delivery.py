"""Delivery: what one client gets, batch by batch; how many others there are, and where, changes nothing."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Sequence

from replaylab.feeds.base import Message
from replaylab.feeds.programme import Item, Place, Programme
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


class CountedProgramme(Programme):
    """A programme that counts how often it is asked what is due."""

    asked = 0

    def next_items(
        self, place: Place, until_us: int | None, most: int, most_bytes: int, end: Place | None = None
    ) -> tuple[list[Item], Place]:
        """The items that are due."""
        self.asked += 1
        return super().next_items(place, until_us, most, most_bytes, end)


def reader_of(programme: Programme, now: Callable[[], float]) -> Reader:
    """A client at the beginning, on a clock of its own."""
    return Reader(Asked(programme, Place(0, 0), None, Pace(1.0, now=now), programme.id_of(Place(0, 0))))


def test_a_client_that_goes_with_its_clock_costs_one_look_a_tick() -> None:
    """Each item comes in order, at its time, and the programme is asked once for what is due at that time."""
    programme = CountedProgramme(Games(played("a", 50), played("b", 50)), "nominal")
    clock = 0.0
    found: list[bytes] = []

    async def sleep(seconds: float) -> None:
        nonlocal clock
        clock += seconds + 1e-5

    async def run() -> None:
        async for batch in deliver(reader_of(programme, lambda: clock), sleep):
            found.extend(batch.lines)

    asyncio.run(run())
    items = [*programme.items(0), *programme.items(1)]
    assert [line for line in found if b'"id"' in line and b'"heartbeat"' not in line] == [one.line for one in items]
    times = {one.due_us for one in items}
    assert programme.asked <= len(times) + 5  # a beat in the pause between games, and what rounding wakes too early


def test_a_client_holds_its_game_again_when_it_has_been_served_with_others() -> None:
    """A broadcast holds the game for those that it serves; a client that leaves it holds its game itself again."""
    programme = Programme(Games(played("a", 50)), "nominal")
    clock = 0.0
    left: list[int] = []
    looked = 0

    async def sleep(seconds: float) -> None:
        nonlocal clock
        clock += seconds + 1e-5

    async def follow(reader: Reader) -> bool:
        if left:
            return False
        reader.holds = ()
        left.append(reader.place.item)
        return True

    async def run() -> None:
        nonlocal looked
        reader = reader_of(programme, lambda: clock)
        async for batch in deliver(reader, sleep, follow):
            if left and batch.lines and reader.place.game == 0:
                looked += 1
                assert reader.holds is programme.items(0)

    asyncio.run(run())
    assert looked > 40
