"""Seed: the text that a game follows from: its prices, its hash, and which game it belongs to. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from replaylab.errors import SeedError
from replaylab.fair.arc4 import numbers
from replaylab.simulation.process import MAX_TICKS, RUG_PROBABILITY, VOLATILITY_CAP, drift

VERSIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "v1": {"god_candle": False, "cap": float("inf")},
    "v2": {"god_candle": False, "cap": VOLATILITY_CAP},
    "v3": {"god_candle": True, "cap": VOLATILITY_CAP},
}
NEWEST: Final = "v3"
_CALLED: Final = {
    "game_id": ("game_id", "id", "gameId"),
    "server_seed": ("server_seed", "serverSeed"),
    "server_seed_hash": ("server_seed_hash", "serverSeedHash"),
    "version": ("version", "game_version", "gameVersion"),
}
_SEED: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


class Seed(NamedTuple):
    """The seed of one game, with the hash published before it and the version of the rules.

    Examples
    --------
    >>> Seed("g", "a" * 64).game_id
    'g'
    """

    game_id: str
    server_seed: str
    server_seed_hash: str | None = None
    version: str = NEWEST


def prices(server_seed: str, game_id: str, version: str = NEWEST) -> NDArray[np.float64]:
    """Prices of a game's live ticks 0 to R-1, replayed from its seed; R is their number.

    Parameters
    ----------
    server_seed : str
        64 lower-case hexadecimal characters, used as text.
    game_id : str
        The id of the game of the seed.
    version : {"v3", "v2", "v1"}
        Version of the rules. A game that outlives 5,000 steps ends there.

    Returns
    -------
    float64 array of shape (R,)
        The same doubles as the server's, to the last bit. The price at R is not ruled by the seed.

    Raises
    ------
    SeedError
        When the seed is cut or malformed, or the version is not known.

    Examples
    --------
    >>> replayed = prices("0" * 64, "20310102-0123456789ab4cde")
    >>> len(replayed), float(replayed[0]), float(replayed[1])
    (191, 1.0, 0.9881839537823957)
    """
    asked: object = version
    rules = VERSIONS.get(asked) if isinstance(asked, str) else None
    if rules is None:
        raise SeedError(f"version={version!r} is not known; take one of: {', '.join(VERSIONS)}")
    draw = numbers(f"{checked(server_seed)}-{game_id}").__next__
    price = 1.0
    path = [price]
    for _ in range(MAX_TICKS):
        if draw() < RUG_PROBABILITY:
            break
        price = drift(price, draw, **rules)
        path.append(price)
    return np.array(path)


def commitment(server_seed: str) -> str:
    """Hash by which the server commits itself to a seed: SHA-256 of its 64 characters, not of their 32 bytes.

    Examples
    --------
    >>> commitment("0" * 64)
    '60e05bd1b195af2f94112fa7197a5c88289058840ce7c6df9693756bc6250f55'
    """
    return hashlib.sha256(checked(server_seed).encode("ascii")).hexdigest()


def checked(server_seed: str) -> str:
    """Return a seed that is whole and well formed; raise `SeedError`."""
    checked: object = server_seed
    if not isinstance(checked, str) or not _SEED.fullmatch(checked):
        raise SeedError(
            f"server_seed={checked!r}: a seed is 64 lower-case hexadecimal characters; a cut one replays nothing"
        )
    return checked


def seeds(history: Iterable[Mapping[str, Any]]) -> dict[str, Seed]:
    """Seeds by the id of their game, from entries such as those of `gameHistory`; never by their place.

    Parameters
    ----------
    history : iterable of mapping
        Each with `id` (or `game_id`, `gameId`) and `serverSeed` (or `server_seed`), and if known `serverSeedHash` and
        `version` (or `gameVersion`), at the top or under `provablyFair`. The same game may come any number of times.

    Raises
    ------
    SeedError
        When an entry is no mapping, has no id or no seed, a seed or a hash is malformed, or two entries of one game
        disagree.

    Examples
    --------
    >>> entry = {"id": "20310102-0123456789ab4cde", "provablyFair": {"serverSeed": "0" * 64}, "gameVersion": "v3"}
    >>> found = seeds([entry, entry])
    >>> list(found), found["20310102-0123456789ab4cde"].version
    (['20310102-0123456789ab4cde'], 'v3')
    """
    found: dict[str, Seed] = {}
    for place, entry in enumerate(history):
        seed = _of_entry(entry, place)
        known = found.setdefault(seed.game_id, seed)
        if known != seed:
            raise SeedError(f"game {seed.game_id!r} has two seeds or hashes ({known}, {seed}); keep the published one")
    return found


def _of_entry(entry: Mapping[str, Any], place: int) -> Seed:
    one: object = entry
    if not isinstance(one, Mapping):
        raise SeedError(f"entry {place} is a {type(one).__name__}; pass mappings, each with a game id and its seed")
    game_id, server_seed = field(entry, "game_id"), field(entry, "server_seed")
    if game_id is None or server_seed is None:
        raise SeedError(f"entry {place} has no {'game id' if game_id is None else 'seed'}: {sorted(entry)}")
    return Seed(str(game_id), checked(server_seed), field(entry, "server_seed_hash"), field(entry, "version") or NEWEST)


def field(entry: Mapping[str, Any], name: str) -> Any:
    """Return the value that an entry has under one of its known names, at its top or under `provablyFair`; or None.

    Examples
    --------
    >>> field({"provablyFair": {"serverSeed": "ab"}}, "server_seed")
    'ab'
    """
    found: object = entry.get("provablyFair")
    under = found if isinstance(found, Mapping) else {}
    values = (place[key] for place in (entry, under) for key in _CALLED[name] if key in place)
    return next((value for value in values if value is not None), None)
