"""Proof: what a comparison of a recorded game with its seed finds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from replaylab.errors import SeedError
from replaylab.fair.seed import NEWEST, Seed, commitment, field, prices
from replaylab.storage.game import Game


@dataclass(frozen=True, slots=True)
class Proof:
    """What a comparison of a game with its seed found; `ok` when all that was recorded follows from the seed.

    Attributes
    ----------
    game_id, version : str
        What was replayed.
    commitment : str
        SHA-256 of the seed.
    committed : bool, optional
        Whether that is the hash published before the game; None where no hash is known.
    compared : int
        Recorded live prices that were compared, bit by bit.
    first_difference : int, optional
        First tick that differs: by its price, by being live from R on, or by a rug that came earlier.
    expected, recorded : float, Decimal, optional
        The prices there; None where there should be, or is, no live one.
    rug_tick : int
        R by the seed.
    recorded_rug_tick : int, optional
        R as recorded; None where no rug was.
    peak : float
        Largest price by the seed.

    Examples
    --------
    >>> seed, game_id = "0" * 64, "20310102-0123456789ab4cde"
    >>> proof = verify({"id": game_id, "prices": [*prices(seed, game_id), 0.0125]}, seed)
    >>> proof.ok, proof.compared, proof.first_difference
    (True, 191, None)
    """

    game_id: str
    version: str
    commitment: str
    committed: bool | None
    compared: int
    first_difference: int | None
    expected: float | None
    recorded: Decimal | None
    rug_tick: int
    recorded_rug_tick: int | None
    peak: float

    @property
    def ok(self) -> bool:
        """Whether something was compared, all of it agrees, and the hash, where known, is that of the seed."""
        return self.first_difference is None and self.committed is not False and self.compared > 0

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        parts = [f"{self.game_id}: {self.compared} prices compared", *(["fair"] if self.ok else [])]
        if self.first_difference is not None:
            parts.append(f"tick {self.first_difference} differs: {self.recorded} recorded, {self.expected} by the seed")
        if self.committed is False:
            parts.append("the seed is not the one that was committed to")
        return "; ".join(parts)


def verify(
    game: Game | Mapping[str, Any],
    server_seed: str | Seed,
    *,
    version: str | None = None,
    server_seed_hash: str | None = None,
) -> Proof:
    """Compare a recorded game with what its seed makes, price by price and to the last bit.

    Parameters
    ----------
    game : Game or mapping
        A game of a store, or an entry of `gameHistory`: its `id` (or `game_id`), and `prices` from tick 0 to R, the
        last being the rug price; None where one is missing.
    server_seed : str or Seed
        The seed of that very game.
    version : str, optional
        Version of the rules; by default that of the seed or the entry, else "v3".
    server_seed_hash : str, optional
        The hash published before the game; by default those of seed and entry, which both must be the seed's.

    Raises
    ------
    SeedError
        When the seed is malformed or belongs to another game, a hash is not text, or the argument is not a game.

    Examples
    --------
    >>> seed, game_id = "0" * 64, "20310102-0123456789ab4cde"
    >>> recorded = [*prices(seed, game_id), 0.0125]
    >>> print(verify({"id": game_id, "prices": recorded}, seed))
    20310102-0123456789ab4cde: 191 prices compared; fair
    >>> recorded[40] += 1e-12
    >>> verify({"id": game_id, "prices": recorded}, seed).first_difference
    40
    """
    track = _track(game)
    seed = server_seed if isinstance(server_seed, Seed) else Seed(track.game_id, server_seed, track.hash, track.version)
    if seed.game_id != track.game_id:
        raise SeedError(f"the seed of game {seed.game_id!r} cannot prove game {track.game_id!r}: join them by id")
    chosen = seed.version if version is None else version
    made = prices(seed.server_seed, track.game_id, chosen)
    found = commitment(seed.server_seed)
    published = (seed.server_seed_hash, track.hash) if server_seed_hash is None else (server_seed_hash,)
    differs = _first_difference(track, made)
    return Proof(
        game_id=track.game_id,
        version=chosen,
        commitment=found,
        committed=_committed(found, published),
        compared=len(track.tick),
        first_difference=differs,
        expected=float(made[differs]) if differs is not None and differs < len(made) else None,
        recorded=None if differs is None else dict(zip(track.tick, track.price, strict=True)).get(differs),
        rug_tick=len(made),
        recorded_rug_tick=track.rug_tick,
        peak=float(made.max()),
    )


def _committed(found: str, published: Iterable[object]) -> bool | None:
    """Return whether a hash equals every published one; None where none was published."""
    known = [one for one in published if one is not None]
    for one in known:
        if not isinstance(one, str):
            raise SeedError(
                f"server_seed_hash={one!r} is not text; pass the 64 hexadecimal characters that were published"
            )
    return all(isinstance(one, str) and one.lower() == found for one in known) if known else None


class _Track(NamedTuple):
    """What was recorded of a game: its live prices, each tick once, and the first tick that was no more live."""

    game_id: str
    tick: list[int]
    price: list[Decimal]
    rug_tick: int | None
    hash: str | None = None
    version: str = NEWEST


def _track(game: Game | Mapping[str, Any]) -> _Track:
    if isinstance(game, Game):
        live = game.live()
        known = live.filter(live.column("price").is_valid())
        ticks = known.column("tick").to_pylist()
        return _Track(game.id, ticks, known.column("price").to_pylist(), game.summary["rug_tick"])
    found: object = game
    if not isinstance(found, Mapping):
        raise SeedError(f"{type(found).__name__} is not a game; pass a Game, or a mapping with `id` and `prices`")
    game_id, listed = field(found, "game_id"), found.get("prices")
    if game_id is None or not isinstance(listed, Sequence | np.ndarray) or isinstance(listed, str) or not len(listed):
        raise SeedError(f"an entry with {sorted(found)} is no game: it needs `id` and `prices`, ticks 0 to R")
    end = len(listed) - 1
    known_at = [tick for tick in range(end) if listed[tick] is not None]
    try:
        path = [_exact(listed[tick]) for tick in known_at]
    except (InvalidOperation, TypeError, ValueError) as error:
        raise SeedError(f"game {game_id!r} has a price that is no number ({error})") from error
    published, version = field(found, "server_seed_hash"), field(found, "version") or NEWEST
    return _Track(str(game_id), known_at, path, end, published, version)


def _exact(price: Any) -> Decimal:
    """Return a price as the exact Decimal; a double by its shortest text, which leads back to the same double."""
    return Decimal(repr(float(price))) if isinstance(price, float) else Decimal(price)


def _first_difference(track: _Track, made: NDArray[np.float64]) -> int | None:
    """First tick where a price differs, where one is live that should not be, or where the rug came too early."""
    end = len(made)
    differs = (
        tick for tick, price in zip(track.tick, track.price, strict=True) if tick >= end or float(price) != made[tick]
    )
    first = next(differs, None)
    if track.rug_tick is None or track.rug_tick == end:
        return first
    at = min(track.rug_tick, end)
    return at if first is None else min(first, at)
