"""Programme: the games that a player can show, opened when their turn comes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from replaylab.errors import ReplayLabError, Unplayable
from replaylab.playback.timeline import Timeline
from replaylab.storage.game import Game
from replaylab.storage.store import Store
from replaylab.tick import Tick


class Programme:
    """The games to choose from; one that cannot be played keeps its place and says why.

    Parameters
    ----------
    source : Store, list of games, or one game
        A game is whatever `Timeline.of` takes; a list of `Tick` is one game.

    Examples
    --------
    >>> from replaylab.tick import Tick
    >>> game = [Tick(game_id="g", tick=0, timestamp="2031-01-02T03:04:05", price=1)]
    >>> programme = Programme([[], game])
    >>> programme.names, programme.first()
    (('game 1', 'game 2'), (1, Timeline('g', 1 rows)))
    >>> programme.skipped
    {0: 'list is no game: give a Game, a table of ticks, or a list of Tick'}
    """

    def __init__(self, source: object) -> None:
        self._open: list[Callable[[], Any]]
        if isinstance(source, Store):
            store = source
            self.names = tuple(store.game_ids())
            self._open = [lambda name=name: store.game(name) for name in self.names]  # type: ignore[misc]
        else:
            games = _games(source)
            self.names = tuple(_name(game, number) for number, game in enumerate(games, 1))
            self._open = [lambda game=game: game for game in games]  # type: ignore[misc]
        self.skipped: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._open)

    def open(self, number: int) -> Timeline:
        """Give a game; raises `Unplayable`, whatever is wrong with it."""
        if not 0 <= number < len(self):
            raise Unplayable(f"game {number}: there are {len(self)}, counted from 0")
        try:
            return Timeline.of(self._open[number]())
        except (ReplayLabError, OSError) as error:
            self.skipped[number] = str(error)
            raise Unplayable(f"{self.names[number]}: {error}") from error

    def first(self) -> tuple[int, Timeline]:
        """Give the first game that can be played and its number; those before it are in `skipped`."""
        for number in range(len(self)):
            try:
                return number, self.open(number)
            except Unplayable as error:
                if len(self) == 1:
                    raise
                last = error
        raise Unplayable(f"none of {len(self)} games can be played" + (f"; the last: {last}" if len(self) else ""))


def _games(source: object) -> Sequence[Any]:
    several = isinstance(source, (list, tuple)) and source and not all(isinstance(one, Tick) for one in source)
    return list(source) if several and isinstance(source, (list, tuple)) else [source]


def _name(game: Any, number: int) -> str:
    if isinstance(game, Game):
        return game.id
    return game.game_id or f"game {number}" if isinstance(game, Timeline) else f"game {number}"
