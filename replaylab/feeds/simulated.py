"""Made-up games as a source of live ticks: the same seed brings the same games."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final

from replaylab.feeds.base import Message
from replaylab.feeds.paced import PacedFeed
from replaylab.feeds.programme import Listed, Pacing, Programme
from replaylab.simulation.process import START
from replaylab.simulation.simulate import SimulatedGame, simulate_game
from replaylab.tick import Tick, parse_time

_PAUSE: Final = timedelta(milliseconds=250)
_EPOCH: Final = parse_time("1970-01-01T00:00:00")
_US: Final = timedelta(microseconds=1)


class SimulatedGames:
    """Made-up games as the source of a programme: live ticks and the rug, without the countdown before them."""

    def __init__(self, games: int = 10, seed: int = 1, *, start: datetime | str = START) -> None:
        self._made: list[SimulatedGame] = []
        at = parse_time(start) if isinstance(start, str) else start
        for number in range(games):
            game = simulate_game(seed * 1_000_003 + number, idle=0, start=at)
            self._made.append(game)
            at = _EPOCH + game.rows[-1].at * _US + _PAUSE
        self.games = [
            Listed(game.game_id, game.rows[0].at, game.rows[-1].at, str(len(game.rows))) for game in self._made
        ]
        self.read = lru_cache(16)(self._read)

    def _read(self, number: int) -> Sequence[Message]:
        return [
            Tick(
                row.game_id,
                row.tick,
                _EPOCH + row.at * _US,
                Decimal(row.price),
                row.phase,
                row.active,
                row.rugged,
                row.cooldown_timer,
                row.trade_count,
            )
            for row in self._made[number].rows
        ]


def simulated_feed(
    games: int = 10, seed: int = 1, *, speed: float = 1.0, pacing: Pacing = "recorded", loop: bool = False
) -> PacedFeed:
    """Return made-up games as a feed of this process; raises `SimulationError` and `SpeedError`.

    Examples
    --------
    >>> import asyncio
    >>> async def ticks():
    ...     async with simulated_feed(games=1, seed=4, pacing="none") as feed:
    ...         return [message.tick async for message in feed]
    >>> asyncio.run(ticks())[:3]
    [0, 1, 2]
    """
    programme = Programme(SimulatedGames(games, seed), pacing, loop=loop)
    return PacedFeed(programme, f"simulated:{seed}", speed)
