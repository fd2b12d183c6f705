"""What `rl.play` is given, made into what a player plays: stores, paths, ids, tables of games, games."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import pandas as pd

from replaylab.errors import GameNotFound, StoreNotFound, Unplayable
from replaylab.playback.playlist import Playlist
from replaylab.storage.game import Game
from replaylab.storage.open import open_store
from replaylab.storage.store import Store
from replaylab.urls import hidden_within

_HELP: Final = (
    "type rl.play(store), rl.play(store, 'id'), rl.play(store, ['id', 'id']), rl.play(store, store.games()), "
    "rl.play(game), or the path of a store in the place of the store"
)


def playable(source: object, games: object = None) -> Any:
    """Return what a player plays: the source itself, or the games of a store that were asked for.

    Parameters
    ----------
    source : Store, path of one, Game, Table, Timeline, ReplayEngine, DataFrame, Series, or a list of games or of Tick
        A DataFrame is one of `Store.games`, whole or in part, or one of its rows, which names its store.
    games : str, Game, DataFrame, or a list of ids, optional
        The games of the store, in the order to play them; all of them unless given.

    Raises
    ------
    GameNotFound
        When the store has no game of an id; it says how many others it lacks.
    Unplayable
        When what was given is nothing that can be played; it says what to type.

    Examples
    --------
    >>> playable([], "20310102-a")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    replaylab.errors.Unplayable: games='20310102-a': ids need a store before them, not a list; type rl.play(store), ...
    """
    source, ids = chosen(source, games)
    return source if ids is None or not isinstance(source, Store) else Playlist(source, ids=ids)


def chosen(source: object, games: object, usage: str = _HELP) -> tuple[object, Sequence[str] | None]:
    """Return what was named, a store where that is a path or a table, and the ids of its games that were asked for.

    `usage` says what to type instead, where what was given is of no use.
    """
    if isinstance(source, (str, os.PathLike)):
        source = _opened(source, usage)
    if isinstance(source, (pd.DataFrame, pd.Series)):
        source, games = _store_of(source, usage), source if games is None else games
    if games is None:
        _refuse_ids(source, usage)
        return source, None
    if not isinstance(source, Store):
        raise Unplayable(f"games={_short(games)}: ids need a store before them, not a {type(source).__name__}; {usage}")
    return source, _known(source, _ids(games, usage))


def _refuse_ids(source: object, usage: str) -> None:
    """Raise `Unplayable` for ids without their store, for what is empty, and for a backtest, which holds no games."""
    if source is None or (isinstance(source, (list, tuple)) and not source):
        raise Unplayable(f"no game was asked for: {source!r} holds none; {usage}")
    if isinstance(source, tuple) and hasattr(source, "game_id"):
        raise Unplayable(f"a row as a tuple does not say which store its game is in: put the store before it; {usage}")
    if isinstance(source, (list, tuple)) and all(isinstance(one, str) for one in source):
        raise Unplayable(f"{_short(source)}: ids need their store before them; {usage}")
    _refuse_backtest(source, usage)


def _refuse_backtest(given: object, usage: str) -> None:
    if hasattr(given, "trade_table"):
        raise Unplayable(f"a {type(given).__name__} holds no games: pass it as trades=...; {usage}")


def _opened(path: str | os.PathLike[str], usage: str) -> Store:
    if str(path).endswith((".jsonl", ".ndjson", ".parquet")):
        name = repr(hidden_within(os.fspath(path)))
        raise Unplayable(f"{name} is a file, not a store: type rl.convert({name}, 'store'), then rl.play('store')")
    try:
        return open_store(path)
    except StoreNotFound as error:
        if os.fspath(path) != Path(path).name:
            raise
        raise StoreNotFound(f"{error}; if {os.fspath(path)!r} is the id of a game: {usage}") from None


def _store_of(table: pd.DataFrame | pd.Series, usage: str) -> Store:
    place = table.attrs.get("store")
    if place is None:
        raise Unplayable(f"the table does not say which store its games are in: put the store before it; {usage}")
    return open_store(place)


def _ids(games: object, usage: str) -> list[str]:
    """Return the ids of the games that were asked for."""
    if isinstance(games, str):
        return [games]
    _refuse_backtest(games, usage)
    if isinstance(games, pd.Series) and "game_id" in games.index:  # a row of Store.games
        return [str(games["game_id"])]
    if isinstance(getattr(games, "game_id", None), str):  # a row that itertuples gave
        return [games.game_id]  # type: ignore[attr-defined]
    if isinstance(games, Game):
        return [games.id]
    if isinstance(games, pd.DataFrame):
        if "game_id" not in games.columns:
            raise Unplayable(f"the table has no column game_id: pass store.games(), or a part of it; {usage}")
        games = games["game_id"]
    if isinstance(games, Iterable):
        ids = [one.id if isinstance(one, Game) else one for one in games]
        if ids and all(isinstance(one, str) for one in ids):
            return ids
        if not ids:
            raise Unplayable(f"no game was asked for: the list of ids is empty; {usage}")
    raise Unplayable(f"games={_short(games)} names no game; {usage}")


def _known(store: Store, ids: Sequence[str]) -> Sequence[str]:
    """Return the ids; raise `GameNotFound` for the first that the store lacks."""
    known = set(store.game_ids())
    lacking = [one for one in ids if one not in known]
    if not lacking:
        return ids
    try:
        store.game(lacking[0])
    except GameNotFound as error:
        more = f" (and {len(lacking) - 1:,} more of {len(ids):,})" if len(lacking) > 1 else ""
        raise GameNotFound(f"{error}{more}") from None
    return ids


def _without_secrets(value: object) -> object:
    return hidden_within(value) if isinstance(value, str) else value


def _short(value: object) -> str:
    shown = [_without_secrets(one) for one in value] if isinstance(value, (list, tuple)) else _without_secrets(value)
    text = hidden_within(repr(shown))
    return text if len(text) <= 60 else f"{text[:57]}..."
