"""Playlist: games to play one after the other; broken ones are skipped and named."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

from replaylab.errors import ReplayLabError, Unplayable
from replaylab.playback.timeline import Pacing, Timeline
from replaylab.storage.store import Store


class Playlist:
    """A queue of games, opened one by one when their turn comes.

    Parameters
    ----------
    games : Store, or iterable of games
        A store is played in the order of its games' ids. Otherwise whatever `Timeline.of` takes.
    shuffle : bool
        Play in random order.
    seed : int, optional
        The same seed gives the same order.

    Examples
    --------
    >>> from replaylab.tick import Tick
    >>> game = [Tick(game_id="g", tick=0, timestamp="2031-01-02T03:04:05", price=1)]
    >>> games = Playlist([game, "no game", game])
    >>> [games.next().game_id, games.next().game_id, games.next()], games.skipped
    (['g', 'g', None], {1: 'str is no game: give a Game, a table of ticks, or a list of Tick'})
    """

    def __init__(self, games: Store | Iterable[Any], *, shuffle: bool = False, seed: int | None = None) -> None:
        self._open: list[Callable[[], Any]] = list(_openers(games))
        self.order = list(range(len(self._open)))
        if shuffle:
            random.Random(seed).shuffle(self.order)  # noqa: S311  an order of play, no secret
        self.skipped: dict[int, str] = {}
        self.errors: list[ReplayLabError] = []
        self._next = 0

    def __len__(self) -> int:
        return len(self.order)

    @property
    def has_next(self) -> bool:
        """Whether there is another one to try."""
        return self._next < len(self.order)

    @property
    def progress(self) -> float:
        """Share of the games that had their turn; 1.0 when there are none."""
        return self._next / len(self.order) if self.order else 1.0

    def peek(self) -> int | None:
        """Which game is next, as its place in what was given; None when there is none."""
        return self.order[self._next] if self.has_next else None

    def next(self, *, pacing: Pacing = "recorded", skip_gaps: bool = False) -> Timeline | None:
        """Give the next game that can be played, or None; those that cannot are skipped and kept in `skipped`."""
        while self.has_next:
            number = self.order[self._next]
            self._next += 1
            try:
                return Timeline.of(self._open[number](), pacing=pacing, skip_gaps=skip_gaps)
            except ReplayLabError as error:
                self._skip(number, error)
            except OSError as error:
                self._skip(number, Unplayable(f"game {number} cannot be read ({error}); is its store still there?"))
        return None

    def back(self, games: int = 2) -> None:
        """Go back so that `next` gives an earlier one again: by default the one before the one that plays."""
        self._next = max(0, self._next - games)

    def reset(self) -> None:
        """Start again from the first, in the same order."""
        self._next = 0

    def _skip(self, number: int, error: ReplayLabError) -> None:
        self.skipped[number] = str(error)
        self.errors.append(error)


def _openers(games: Store | Iterable[Any]) -> Iterable[Callable[[], Any]]:
    if isinstance(games, Store):
        store = games
        return [lambda game_id=game_id: store.game(game_id) for game_id in store.game_ids()]  # type: ignore[misc]
    return [lambda game=game: game for game in games]  # type: ignore[misc]
