"""Recordings as a source of live ticks: the games of a store, in the order in which they began."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

from replaylab.errors import GameNotFound, StoreNotFound
from replaylab.feeds.base import Message
from replaylab.feeds.paced import PacedFeed
from replaylab.feeds.programme import Listed, Pacing, Programme
from replaylab.mark import Mark, MarkKind
from replaylab.storage.marks import marks_of
from replaylab.storage.store import Store
from replaylab.tick import Phase, Tick, microseconds, short_id

_log = logging.getLogger(__name__)
_COUNTED: Final = ("rows", "ticks", "rug_tick", "rug_price", "peak", "peak_tick")
_PHASES: Final = {Phase.COOLDOWN: "cooldown", Phase.PRESALE: "presale"}
_KEPT: Final = frozenset({"gap", "heal", "trade", "history"})  # marks of a recording that are sent again
_GAMES: Final = 16
_NAMED: Final = 5  # ids in a sentence


class StoredGames:
    """The games of a store as the source of a programme: every priced row as it was received.

    A row that has a price is a tick; of rows without one, such as those of a countdown, only the phases are sent, as
    marks. Games of which no row has a time cannot be sent: `left_out` names them, `untimed` counts their rows.

    Parameters
    ----------
    store : Store
        Read once for the list of games, then game by game.
    games : sequence of str, optional
        Only these, by id.

    Raises
    ------
    GameNotFound
        When one of them is not in the store.
    """

    def __init__(self, store: Store, games: Sequence[str] | None = None) -> None:
        self.store = store
        table = store.games_table()
        rows: list[dict[str, Any]] = table.to_pylist()
        if games is not None:
            unknown = sorted(set(games) - {row["game_id"] for row in rows})
            if unknown:
                raise GameNotFound(f"no game {unknown[0]!r} in {store.path}; see Store.game_ids()")
            rows = [row for row in rows if row["game_id"] in set(games)]
        timed = [row for row in rows if row["start"] is not None]
        without = [row for row in rows if row["start"] is None]
        self.left_out = tuple(row["game_id"] for row in without)
        self.untimed = sum(row["rows"] for row in without)
        if without:
            fields = {"event": "left_out", "games": len(without), "rows": self.untimed}
            _log.warning("%s: %s", store.path, left_out_text(self.left_out), extra=fields)
        self.games = sorted((_listed(row) for row in timed), key=lambda game: (game.start_us, game.game_id))
        self._marks: dict[str, list[Mark]] | None = None
        self.read = lru_cache(_GAMES)(self._read)

    def _read(self, number: int) -> Sequence[Message]:
        game_id = self.games[number].game_id
        messages = list(_messages(self.store.game(game_id).ticks().to_pylist()))
        marks = self._marks_of(game_id)
        if marks:
            messages = sorted([*messages, *marks], key=lambda one: one.timestamp) if _ordered(messages) else messages
        return messages

    def _marks_of(self, game_id: str) -> list[Mark]:
        """Return the marks that a recorder has kept beside a game."""
        if self._marks is None:
            self._marks = {}
            for mark in marks_of(self.store, _KEPT):
                if mark.game_id is not None:
                    self._marks.setdefault(mark.game_id, []).append(mark)
        return self._marks.get(game_id, [])


def left_out_text(games: Sequence[str]) -> str:
    """Return which games are not served, and why.

    Examples
    --------
    >>> left_out_text(["g"])
    '1 game is not served, as none of its rows has a time: g'
    """
    named = ", ".join(map(short_id, games[:_NAMED])) + (f" and {len(games) - _NAMED:,} more" * (len(games) > _NAMED))
    what = (
        "1 game is not served, as none of its rows has a time"
        if len(games) == 1
        else (f"{len(games):,} games are not served, as none of their rows has a time")
    )
    return f"{what}: {named}"


def stored_feed(
    store: Store | str | os.PathLike[str],
    *,
    speed: float = 1.0,
    pacing: Pacing = "recorded",
    games: Sequence[str] | None = None,
    loop: bool = False,
) -> PacedFeed:
    """Return the games of a store as a feed of this process.

    Raises
    ------
    StoreNotFound, GameNotFound, SpeedError
        When there is no such store, game or speed.

    Examples
    --------
    >>> import asyncio, tempfile
    >>> import replaylab as rl
    >>> folder = tempfile.mkdtemp()
    >>> with rl.Recorder(folder) as recorder:
    ...     _ = recorder.record(rl.Tick("g", 1, "2031-01-02T03:04:05", "1.02", active=True))
    >>> async def first():
    ...     async with stored_feed(folder) as feed:
    ...         async for message in feed:
    ...             return message.tick, float(message.price)
    >>> asyncio.run(first())
    (1, 1.02)
    """
    opened = store if isinstance(store, Store) else Store(store)
    programme = Programme(StoredGames(opened, games), pacing, loop=loop)
    if not len(programme):
        raise StoreNotFound(f"{opened.path}: no game that could be served")
    return PacedFeed(programme, f"store:{opened.path.name}", speed)


def _listed(row: dict[str, Any]) -> Listed:
    content = json.dumps([str(row[name]) for name in _COUNTED])
    return Listed(row["game_id"], microseconds(row["start"]), microseconds(row["end"] or row["start"]), content)


def _messages(rows: list[dict[str, Any]]) -> Iterator[Message]:
    phase: str | None = None
    for row in rows:
        if row["timestamp"] is None:
            continue
        cooldown, trades = row["cooldown_timer"] or 0, row["trade_count"] or 0
        derived = Phase.of(active=row["active"], rugged=row["rugged"], tick=row["tick"], cooldown_timer=cooldown)
        if row["price"] is not None:
            name = row["recorded_phase"] or derived
            yield Tick(
                row["game_id"],
                row["tick"],
                row["timestamp"],
                row["price"],
                name,
                row["active"],
                row["rugged"],
                cooldown,
                trades,
            )
        elif _PHASES.get(derived, phase) != phase:
            phase = _PHASES[derived]
            yield Mark(MarkKind.PHASE, row["timestamp"], row["game_id"], detail={"phase": phase, "tick": 0})


def _ordered(messages: Sequence[Message]) -> bool:
    """Whether times never go back, so that marks can be put between them by their time."""
    return all(one.timestamp <= two.timestamp for one, two in pairwise(messages))
