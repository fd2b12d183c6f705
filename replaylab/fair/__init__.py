"""Fair: the published algorithm of the game. Replays a game from its seed, verifies a recording, draws many games.

Before a game the server publishes the hash of its seed, and the seed itself afterwards. From the seed and the id of the
game follow its prices and the tick R at which it rugs; the price at the rug does not. Seeds belong to a game by its id,
never by their place in a list: in `gameHistory` they lag one game behind.

Examples
--------
>>> import replaylab as rl
>>> len(rl.fair.prices("0" * 64, "20310102-0123456789ab4cde"))
191
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replaylab.errors import SeedError
from replaylab.fair.proof import Proof, verify
from replaylab.fair.seed import Seed, commitment, prices, seeds
from replaylab.fair.support import Alarm, outside_support
from replaylab.progress import bar
from replaylab.segments.order import in_order_received
from replaylab.simulation.bulk import price_arrays
from replaylab.storage.game import Game

if TYPE_CHECKING:
    from replaylab.storage.store import Store

__all__ = [
    "Alarm",
    "Proof",
    "Seed",
    "Simulated",
    "alarms",
    "commitment",
    "outside_support",
    "prices",
    "seeds",
    "simulate",
    "verify",
    "verify_all",
]


class Simulated(NamedTuple):
    """Price paths of many simulated games, end to end; `Paths.of_arrays(*simulated)` makes them an analysis's paths.

    Parameters
    ----------
    prices : float64 array
        Ticks 0 to R of each game; at R stands the rug price.
    starts, rug_ticks : int64 arrays, one a game
        Where each game begins in `prices`, and its R.

    Examples
    --------
    >>> found = simulate(3, seed=1)
    >>> len(found.starts), len(found.prices) == int((found.rug_ticks + 1).sum())
    (3, True)
    """

    prices: NDArray[np.float64]
    starts: NDArray[np.int64]
    rug_ticks: NDArray[np.int64]

    @property
    def n_games(self) -> int:
        """Number of games."""
        return len(self.starts)

    @property
    def n_ticks(self) -> int:
        """Number of live ticks of all games; the rug is none."""
        return int(self.rug_ticks.sum())

    @property
    def rug_prices(self) -> NDArray[np.float64]:
        """Price at R of each game; drawn as measured, for the published algorithm does not rule it."""
        found: NDArray[np.float64] = self.prices[self.starts + self.rug_ticks]
        return found

    def of(self, game: int) -> NDArray[np.float64]:
        """Return the live prices of one game, ticks 0 to R-1."""
        game = range(self.n_games)[game]
        return self.prices[self.starts[game] : self.starts[game] + self.rug_ticks[game]]


def simulate(games: int, seed: int = 1) -> Simulated:
    """Many games at once by the published process (version 3), for Monte Carlo; the draws are numpy's.

    Parameters
    ----------
    games : int
        How many, from 1.
    seed : int
        From 0; the same seed gives the same games.

    Raises
    ------
    SimulationError
        When either is out of range.

    Examples
    --------
    >>> drawn = simulate(1000, seed=1)
    >>> drawn.n_games, bool((drawn.rug_ticks <= 40).mean() < 0.25), float(drawn.of(0)[0])
    (1000, True, 1.0)
    """
    return Simulated(*price_arrays(games, seed))


def verify_all(
    store: Store, known: Mapping[str, Seed] | Iterable[Mapping[str, Any]], *, progress: bool = True
) -> list[Proof]:
    """Proofs of all games of a store whose seed is known, in the order of their ids; others are left alone.

    Parameters
    ----------
    store : Store
        Where the games are.
    known : mapping of Seed by game id, or iterable of mapping
        As returned by `seeds`, or the entries that it accepts. Seeds of games that are not in the store are ignored.
    progress : bool
        Show a bar.

    Raises
    ------
    SeedError
        When a seed is malformed, or stands under another game's id.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> seed = Seed("20310102-0123456789ab4cde", "0" * 64)
    >>> folder = tempfile.mkdtemp()
    >>> with rl.Recorder(folder) as recorder:
    ...     for number, price in enumerate(prices(seed.server_seed, seed.game_id).tolist()):
    ...         at = f"2031-01-02T00:{number // 60:02}:{number % 60:02}Z"
    ...         _ = recorder.record(rl.Tick(seed.game_id, number, at, repr(price), active=True))
    >>> [str(one) for one in verify_all(rl.open_store(folder), {seed.game_id: seed}, progress=False)]
    ['20310102-0123456789ab4cde: 191 prices compared; fair']
    """
    by_id = known if isinstance(known, Mapping) else seeds(known)
    held = [game_id for game_id in store.game_ids() if game_id in by_id]
    found = []
    with bar(len(held), "verify", "game", show=progress) as shown:
        for game_id in held:
            seed = by_id[game_id]
            if not isinstance(seed, Seed):
                raise SeedError(f"known[{game_id!r}]={seed!r} is no Seed; make them with `seeds`")
            found.append(verify(store.game(game_id), seed))
            shown.update()
    return found


def alarms(store: Store, *, progress: bool = True) -> list[Alarm]:
    """Prices in a store that the process cannot make, game by game: a strong sign of damage; none in sound recordings.

    Parameters
    ----------
    store : Store
        Every game of it is looked at, those that came back after their rug up to that rug.
    progress : bool
        Show a bar.

    Raises
    ------
    SegmentDamaged
        When a file of the store cannot be read; `Store.verify` names them all.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=3, seed=1)
    >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> alarms(rl.open_store(folder + "/store"), progress=False)
    []
    """
    found: dict[str, list[Alarm]] = {}
    with bar(len(store), "alarms", "game", show=progress) as shown:
        for game in _games(store):
            found[game.id] = outside_support(game)
            shown.update()
    return [alarm for game_id in store.game_ids() for alarm in found.get(game_id, ())]


def _games(store: Store) -> Iterator[Game]:
    """Every game once; each segment is read once for the games that it holds alone."""
    segments = store.segments()
    holders: dict[str, int] = {}
    for segment in segments:
        for game_id in segment.rows_of:
            holders[game_id] = holders.get(game_id, 0) + 1
    for segment in segments:
        alone = [game_id for game_id in segment.rows_of if holders[game_id] == 1]
        if not alone:
            continue
        table = segment.read()
        for game_id in alone:
            rows = in_order_received(table.slice(*segment.rows_of[game_id]))
            yield Game(game_id, partial(_same, rows))
    for game_id in sorted(game_id for game_id, count in holders.items() if count > 1):
        yield store.game(game_id)


def _same(rows: pa.Table) -> pa.Table:
    return rows
