"""Playlist: games to choose from, or to play one after the other; broken ones are skipped and named."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Self

from replaylab.errors import ReplayLabError, Unplayable
from replaylab.playback.timeline import Pacing, Timeline
from replaylab.storage.game import Game
from replaylab.storage.store import Store
from replaylab.tick import Tick


class Playlist:
    """A row of games, each opened when its turn comes.

    Parameters
    ----------
    games : Store, or iterable of games
        The games of a store are in the order of their start. A game is whatever `Timeline.of` takes.
    ids : list of str, optional
        Only these games of the store, in this order.
    shuffle : bool
        Play in random order.
    seed : int, optional
        The same seed gives the same order.

    Attributes
    ----------
    names : tuple of str
        The games in the order in which they were given: their ids where these are known, else ``game 1`` and so on.
    order : list of int
        Places in `names`, in the order of play.
    skipped : dict of int to str
        Why a game could not be opened, by its place in `names`.
    errors : list of ReplayLabError
        The same as exceptions, those that `next` met.

    Examples
    --------
    >>> from replaylab.tick import Tick
    >>> game = [Tick(game_id="g", tick=0, timestamp="2031-01-02T03:04:05", price=1)]
    >>> games = Playlist([game, "no game", game])
    >>> [games.next().game_id, games.next().game_id, games.next()], games.skipped
    (['g', 'g', None], {1: 'str is no game; a Game, a table of ticks or a list of Tick can be played'})
    >>> games.names, games.open(2)
    (('game 1', 'game 2', 'game 3'), Timeline('g', 1 row))
    """

    def __init__(
        self,
        games: Store | Iterable[Any],
        *,
        ids: Sequence[str] | None = None,
        shuffle: bool = False,
        seed: int | None = None,
    ) -> None:
        self._openers: list[Callable[[], Any]]
        if isinstance(games, Store):
            store = games
            self.names = tuple(store.game_ids() if ids is None else ids)
            self._openers = [lambda game_id=game_id: store.game(game_id) for game_id in self.names]  # type: ignore[misc]
        else:
            given = list(games)
            self.names = tuple(_name(game, number) for number, game in enumerate(given, 1))
            self._openers = [lambda game=game: game for game in given]  # type: ignore[misc]
        self.order = list(range(len(self._openers)))
        if shuffle:
            random.Random(seed).shuffle(self.order)  # noqa: S311  an order of play, no secret
        self.skipped: dict[int, str] = {}
        self.errors: list[ReplayLabError] = []
        self._next = 0
        self._turns = threading.Lock()  # two callers of `next` get two games

    @classmethod
    def of(cls, source: object) -> Self:
        """Return a playlist of a store, of a list of games, or of one game; a list of `Tick` is one game.

        Examples
        --------
        >>> len(Playlist.of([Tick(game_id="g", tick=0, timestamp="2031-01-02T03:04:05", price=1)]))
        1
        """
        if isinstance(source, cls):
            return source
        if isinstance(source, Store):
            return cls(source)
        if isinstance(source, (list, tuple)) and source and not all(isinstance(one, Tick) for one in source):
            return cls(source)
        return cls([source])

    def __len__(self) -> int:
        return len(self.order)

    @property
    def has_next(self) -> bool:
        """Whether there is another game to try."""
        return self._next < len(self.order)

    @property
    def progress(self) -> float:
        """Share of the games that had their turn; 1.0 when there are none."""
        return self._next / len(self.order) if self.order else 1.0

    def peek(self) -> int | None:
        """Return the place in `names` of the next game; None when there is none."""
        turn = self._next
        return self.order[turn] if turn < len(self.order) else None

    def next(self, *, pacing: Pacing = "recorded", skip_gaps: bool = False) -> Timeline | None:
        """Return the next game that can be played, or None; those that cannot are skipped and kept in `skipped`.

        From any thread: each game is returned once.
        """
        while (number := self._take_turn()) is not None:
            try:
                return self._opened(number, pacing=pacing, skip_gaps=skip_gaps)
            except ReplayLabError as error:
                self.errors.append(error)
        return None

    def open(self, number: int) -> Timeline:
        """Return a game by its place in `names`; the turn of the others does not change.

        Raises
        ------
        Unplayable
            When there is no such place, or the game cannot be played; the message names the game.
        """
        if not 0 <= number < len(self):
            raise Unplayable(f"game {number}: there are {len(self)}, counted from 0")
        try:
            return self._opened(number)
        except ReplayLabError as error:
            raise Unplayable(f"{self.names[number]}: {error}") from error

    def first(self) -> tuple[int, Timeline]:
        """Return the first game that can be played, after its place in `names`; those before it are in `skipped`.

        Raises
        ------
        Unplayable
            When no game can be played.
        """
        last = ""
        for number in range(len(self)):
            try:
                return number, self.open(number)
            except Unplayable as error:
                if len(self) == 1:
                    raise
                last = f"; the last: {error}"
        raise Unplayable(f"none of {len(self)} games can be played{last}")

    def back(self, games: int = 2) -> None:
        """Go back so that `next` returns an earlier one again: by default the one before the one that plays."""
        with self._turns:
            self._next = max(0, self._next - games)

    def reset(self) -> None:
        """Start again from the first, in the same order."""
        with self._turns:
            self._next = 0

    def _take_turn(self) -> int | None:
        """Return the place of the game whose turn it is, and go on to the next one."""
        with self._turns:
            number = self.peek()
            if number is not None:
                self._next += 1
            return number

    def _opened(self, number: int, *, pacing: Pacing = "recorded", skip_gaps: bool = False) -> Timeline:
        try:
            return Timeline.of(self._openers[number](), pacing=pacing, skip_gaps=skip_gaps)
        except ReplayLabError as error:
            self.skipped[number] = str(error)
            raise
        except OSError as error:
            reason = f"game {number} cannot be read ({error}); is its store still there?"
            self.skipped[number] = reason
            raise Unplayable(reason) from error


def _name(game: Any, number: int) -> str:
    if isinstance(game, Game):
        return game.id
    return game.game_id or f"game {number}" if isinstance(game, Timeline) else f"game {number}"
