"""Paths: the live price paths of many games, loaded once and asked many times.

A row is a live tick (active and not rugged) before the rug, each tick number once, in order: never an idle row, never
the rug row, nothing after a rug. The rug stands beside the path, in `rug_tick` and `rug_price`.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash
from numpy.typing import NDArray

from replaylab.analysis.price_paths.live import Floats, Ints, live_ticks, no_ticks
from replaylab.analysis.price_paths.selection import Selection, checked
from replaylab.columns import as_numpy, column, nearest_doubles
from replaylab.errors import AnalysisError, SegmentDamaged
from replaylab.plural import count_of
from replaylab.segments.order import in_order_received
from replaylab.segments.segment import Segment
from replaylab.storage.files import reread
from replaylab.storage.game_summary import COLUMNS, SCHEMA, summarise
from replaylab.storage.interchange import Damaged, checked_damaged, polars_frame
from replaylab.storage.open import open_store
from replaylab.storage.store import Store

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

_READ: Final = [*COLUMNS, "seq"]
_log = logging.getLogger("replaylab.paths")


@dataclass(frozen=True, eq=False)
class Paths:
    """Live price paths of games, one after another; nothing in it changes.

    Parameters
    ----------
    games : Table
        One row a game, with the columns of `replaylab.storage.game_summary.SCHEMA`, in the order of the paths.
    start : int64 array, one more than games
        Where each game's ticks begin; the last is the number of all ticks.
    tick : int32 array
        Tick numbers of all games, one after another.
    price : float64 array
        Their prices, each the double nearest to the recorded decimal; NaN where a live row has none.
    rug_tick : int64 array, one a game
        R, or -1 where no rug was recorded.
    rug_price : float64 array, one a game
        Price at R, or NaN.
    left_out : mapping
        Segments that could not be read, with the reason: their games are not here.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> found = Paths.of_arrays(*price_arrays(100, seed=1))
    >>> len(found), found.n_ticks == len(found.price)
    (100, True)
    >>> tick, price = found.of(0)
    >>> int(tick[0]), float(price[0])
    (0, 1.0)
    """

    games: pa.Table
    start: Ints
    tick: NDArray[np.int32]
    price: Floats
    rug_tick: Ints
    rug_price: Floats
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for values in (self.start, self.tick, self.price, self.rug_tick, self.rug_price):
            values.flags.writeable = False

    def __len__(self) -> int:
        return int(self.games.num_rows)

    def __repr__(self) -> str:
        return f"Paths({count_of(self.n_games, 'game')}, {count_of(self.n_ticks, 'tick')})"

    @property
    def n_games(self) -> int:
        """Number of games."""
        return len(self)

    @property
    def n_ticks(self) -> int:
        """Number of live ticks of all games."""
        return len(self.tick)

    @property
    def game_ids(self) -> list[str]:
        """Ids of the games, in the order of the paths."""
        found: list[str] = self.games.column("game_id").to_pylist()
        return found

    @property
    def lengths(self) -> Ints:
        """Number of live ticks of each game."""
        return np.diff(self.start)

    @cached_property
    def game_of_tick(self) -> Ints:
        """Number of the game, from 0, that each tick belongs to; read-only, and made once."""
        found = np.repeat(np.arange(len(self)), self.lengths)
        found.flags.writeable = False
        return found

    @property
    def digest(self) -> str:
        """Digest of the games and all their ticks and prices, as hexadecimal text; the same data has the same one."""
        walk = xxhash.xxh3_128("\n".join(self.game_ids).encode())
        for values in (self.start, self.tick, self.price, self.rug_tick, self.rug_price):
            walk.update(values.tobytes())
        return walk.hexdigest()

    def of(self, game: int) -> tuple[NDArray[np.int32], Floats]:
        """Return ticks and prices of one game, by its number from 0 (or from the end, below 0); both are views."""
        game = range(len(self))[game]
        first, last = self.start[game], self.start[game + 1]
        return self.tick[first:last], self.price[first:last]

    def __iter__(self) -> Iterator[tuple[NDArray[np.int32], Floats]]:
        return (self.of(game) for game in range(len(self)))

    def select(self, mask: NDArray[np.bool_]) -> Paths:
        """Return only the games where `mask` (one flag a game) is true."""
        if len(mask) != len(self):
            raise AnalysisError(f"{len(mask)} flags for {len(self)} games: pass one flag a game")
        return self if mask.all() else self.take(np.flatnonzero(mask))

    def take(self, games: NDArray[np.integer[Any]]) -> Paths:
        """Return games by their numbers from 0, in that order; a game may come more than once, as bootstraps need."""
        lengths = self.lengths[games]
        start = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        rows = np.arange(start[-1]) + np.repeat(self.start[:-1][games] - start[:-1], lengths)
        return Paths(
            self.games.take(column(np.asarray(games, np.int64))),
            start,
            self.tick[rows],
            self.price[rows],
            self.rug_tick[games],
            self.rug_price[games],
            self.left_out,
        )

    def to_arrow(self) -> pa.Table:
        """Return one row a tick: `game_id` (dictionary), `tick` int32, `price` float64 (null where there is none).

        Examples
        --------
        >>> from replaylab.simulation.bulk import price_arrays
        >>> Paths.of_arrays(*price_arrays(2, seed=1)).to_arrow().column_names
        ['game_id', 'tick', 'price']
        """
        names = self.games.column("game_id").combine_chunks().dictionary_encode()  # a game may be there twice
        codes = column(as_numpy(names.indices)[self.game_of_tick])
        ids = pa.DictionaryArray.from_arrays(codes, names.dictionary)
        price = column(self.price, np.isnan(self.price))
        return pa.table([ids, column(self.tick), price], names=["game_id", "tick", "price"])

    def ids_of(self, games: Ints) -> pd.Categorical:
        """Return the ids of games by their numbers, as pandas categories; a game may be there more than once."""
        import pandas as pd

        codes, names = pd.factorize(np.array(self.game_ids, object))
        return pd.Categorical.from_codes(codes[games], categories=pd.Index(names))

    def to_pandas(self) -> pd.DataFrame:
        """Return one row a tick as a pandas frame: `game_id` (categorical), `tick`, `price` (float64)."""
        found: pd.DataFrame = self.to_arrow().to_pandas()
        found.attrs = {"n_games": self.n_games, "n_ticks": self.n_ticks, "prices": "float64"}
        return found

    def to_polars(self) -> pl.DataFrame:
        """Return one row a tick as a Polars frame; raises `MissingExtra` when Polars is not installed."""
        return polars_frame(self.to_arrow())

    @classmethod
    def of_table(cls, table: pa.Table) -> Paths:
        """Return the paths of whole games out of their stored rows, in the order received; pure.

        Parameters
        ----------
        table : Table
            At least the columns `replaylab.storage.game_summary.COLUMNS`; the rows of each game stand together.
        """
        games = summarise(table)
        rug_tick = np.array(as_numpy(games.column("rug_tick"), null=-1), np.int64)
        rug_price = nearest_doubles(games.column("rug_price"))
        return cls(games, *live_ticks(table, rug_tick), rug_tick, rug_price)

    @classmethod
    def of_arrays(cls, prices: Floats, starts: Ints, rug_ticks: Ints) -> Paths:
        """Return the paths of simulated complete games, as `replaylab.simulation.bulk.price_arrays` draws them.

        Parameters
        ----------
        prices : float64 array
            Prices of ticks 0 to R of all games, one after another; the price at R is that of the rug.
        starts, rug_ticks : int64 arrays, one a game
            Where each game begins in `prices`, and its R.
        """
        from replaylab.analysis.simulated.games import games_of_arrays

        rows = np.ones(len(prices), np.bool_)
        rows[starts + rug_ticks] = False
        start = np.concatenate([[0], np.cumsum(rug_ticks)]).astype(np.int64)
        tick = (np.arange(start[-1]) - np.repeat(start[:-1], rug_ticks)).astype(np.int32)
        live = prices[rows]
        games = games_of_arrays(live, start, prices[starts + rug_ticks])
        return cls(games, start, tick, live, rug_ticks.astype(np.int64), prices[starts + rug_ticks])

    @classmethod
    def join(cls, parts: Sequence[Paths]) -> Paths:
        """Put paths one after another."""
        if len(parts) == 1:
            return parts[0]
        if not parts:
            nothing = np.zeros(0)
            return cls(SCHEMA.empty_table(), *no_ticks(), nothing.astype(np.int64), nothing)
        games = pa.concat_tables([part.games for part in parts])
        start = np.concatenate([[0], np.cumsum(np.concatenate([part.lengths for part in parts]))]).astype(np.int64)
        left_out = {name: reason for part in parts for name, reason in part.left_out.items()}
        tick = np.concatenate([part.tick for part in parts])
        price, rug_price = (np.concatenate([getattr(part, name) for part in parts]) for name in ("price", "rug_price"))
        return cls(games, start, tick, price, np.concatenate([part.rug_tick for part in parts]), rug_price, left_out)


Source = Store | str | os.PathLike[str] | Paths | list[Segment] | tuple[Segment, ...]


def paths(source: Source, *, where: Selection | None = None, damaged: Damaged = "raise") -> Paths:
    """Live price paths of the games of a store, in order of their start, loaded once for many questions.

    Parameters
    ----------
    source : Store, path, Paths, or list of Segment
        What to read. Paths come back as they are, less what `where` leaves out.
    where : Selection, optional
        Which games; by default all with a live tick, less those that came back after their rug.
    damaged : {"raise", "skip"}
        What to do with a segment that cannot be read: raise `SegmentDamaged`, or leave it out, log it and name it in
        `left_out`. Every other question raises; ask it of ``paths(store, damaged="skip")`` to have what can be read.

    Returns
    -------
    Paths
        No game at all where nothing was found.

    Raises
    ------
    StoreNotFound
        When there is no store at the path.
    SegmentDamaged
        When a segment cannot be read, by its name.
    AnalysisError
        When `source` is none of these.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=3, seed=1)
    >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> paths(folder + "/store")
    Paths(3 games, ... ticks)
    """
    where, damaged = checked(where), checked_damaged(damaged)
    if isinstance(source, Paths):
        return source if where is None else source.select(where.mask(source.games))
    where = Selection() if where is None else where
    if isinstance(source, str | os.PathLike):
        source = open_store(source)
    if isinstance(source, Store):
        return _of_store(source, where, damaged)
    listed: object = source
    if not isinstance(listed, list | tuple) or not all(isinstance(one, Segment) for one in listed):
        raise AnalysisError(f"{source!r} cannot be analysed; pass a Store, its path, Paths, or a list of its segments")
    return _of_segments(listed, where, damaged)


def _of_store(store: Store, where: Selection, damaged: Damaged) -> Paths:
    """Read a store; again when a compaction has removed a segment between listing it and reading it."""
    found = reread(lambda: _of_segments(store.readable(damaged)[0], where, damaged))
    return replace(found, left_out={**store.damaged, **found.left_out})


def _of_segments(segments: Sequence[Segment], where: Selection, damaged: Damaged) -> Paths:
    """Read segments one at a time, and the games that several of them hold at the end."""
    holders = Counter(game for segment in segments for game in segment.rows_of)
    spread = {game for game, count in holders.items() if count > 1}
    parts: list[Paths] = []
    left_out: dict[str, str] = {}
    shared: list[pa.Table] = []
    for segment in segments:
        try:
            table = segment.read(_READ)
        except SegmentDamaged as error:
            if damaged == "raise":
                raise
            _log.warning("segment left out: %s", error)
            left_out[segment.name] = str(error)
            continue
        here = spread & segment.rows_of.keys()
        if here:
            several = pc.is_in(table.column("game_id").cast(pa.string()), pa.array(sorted(here)))
            shared.append(table.filter(several))
            table = table.filter(pc.invert(several))
        parts.append(_chosen(table, where))
    if shared:
        parts.append(_chosen(_together(pa.concat_tables(shared)), where))
    return replace(_by_start(Paths.join(parts)), left_out=left_out)


def _chosen(table: pa.Table, where: Selection) -> Paths:
    found = Paths.of_table(in_order_received(table))
    return found.select(where.mask(found.games))


def _together(table: pa.Table) -> pa.Table:
    """Put the rows of each game together."""
    codes = as_numpy(table.column("game_id").unify_dictionaries().combine_chunks().indices)
    return table.take(column(np.argsort(codes, kind="stable")))


def _by_start(found: Paths) -> Paths:
    """Put games in order of their start, those of the same in order of their id, as `Store.games` does."""
    order = as_numpy(
        pc.sort_indices(found.games, sort_keys=[("start", "ascending"), ("game_id", "ascending")]).cast(pa.int64())
    )
    return found if (np.diff(order) == 1).all() else found.take(order)
