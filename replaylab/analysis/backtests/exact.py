"""Exact prices: the recorded decimals behind the doubles of `Paths`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from decimal import Context, Decimal
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from replaylab.analysis.backtests.tape import Word
from replaylab.analysis.price_paths.paths import Paths, Source
from replaylab.columns import as_numpy, column
from replaylab.segments.order import in_order_received
from replaylab.segments.segment import Segment
from replaylab.storage.open import open_store
from replaylab.storage.store import Store
from replaylab.tick import PRICE_SCALE, trimmed

_READ: Final = ["game_id", "tick", "timestamp", "price", "active", "rugged", "source", "seq"]
_EXACT: Final = Context(prec=60)
Words = tuple[NDArray[np.int64], NDArray[np.uint64]]


class ExactPrices:
    """Prices of the rows of some paths, exactly as recorded.

    Parameters
    ----------
    paths : Paths
        The rows.
    words : pair of 64-bit arrays, one entry a row, optional
        Signed high and unsigned low halves of the prices in 24th decimals. Without them a price is the shortest decimal
        of its double, which is what the recorders of this game wrote.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> found = Paths.of_arrays(*price_arrays(2, seed=1))
    >>> ExactPrices(found).at(0), ExactPrices(found).tokens(0, 2)
    (Decimal('1.0'), [None, None])
    """

    def __init__(self, paths: Paths, words: Words | None = None) -> None:
        self._paths = paths
        self._words = words
        self._rug = None if words is None else paths.games.column("rug_price")

    @classmethod
    def of(cls, source: Source, paths: Paths) -> ExactPrices:
        """Read the prices of some paths from where the paths came from."""
        if isinstance(source, Paths):
            return cls(paths)
        if isinstance(source, str | os.PathLike):
            source = open_store(source)
        return cls(paths, _words_of(source.segments() if isinstance(source, Store) else source, paths))

    def at(self, row: int) -> Decimal:
        """Return the price of a row."""
        if self._words is None:
            return Decimal(repr(self._paths.price[row].item()))
        high, low = self._words
        return trimmed(_EXACT.scaleb(int(high[row]) << 64 | int(low[row]), -PRICE_SCALE))

    def tokens(self, first: int, stop: int) -> list[Word]:
        """Return the prices of rows as `Tape` takes them."""
        if self._words is None:
            return [None] * (stop - first)
        high, low = (one[first:stop].tolist() for one in self._words)
        return [one << 64 | other for one, other in zip(high, low, strict=True)]

    def rug(self, game: int) -> Decimal | None:
        """Return the rug price of a game, by its number; None where none was recorded."""
        if self._rug is not None:
            price = self._rug[game].as_py()
            return None if price is None else trimmed(price)
        value = self._paths.rug_price[game].item()
        return Decimal(repr(value)) if value == value else None  # noqa: PLR0124  NaN test, faster than isnan


def _words_of(segments: Sequence[Segment], paths: Paths) -> Words:
    """Return, for each row of the paths, the price of the first live row received of that game and tick."""
    numbers = {game_id: number for number, game_id in enumerate(paths.game_ids)}
    wanted = paths.game_of_tick << 32 | paths.tick
    words = np.zeros(len(wanted), np.int64), np.zeros(len(wanted), np.uint64)
    readable = (segment for segment in segments if segment.name not in paths.left_out)
    held = [segment for segment in readable if not numbers.keys().isdisjoint(segment.rows_of)]
    holders = Counter(game_id for segment in held for game_id in segment.rows_of)
    spread = {game_id for game_id, count in holders.items() if count > 1}
    shared = []
    for segment in held:
        table = segment.read(_READ)
        here = spread & segment.rows_of.keys()
        if here:
            several = pc.is_in(table.column("game_id").cast(pa.string()), pa.array(sorted(here)))
            shared.append(table.filter(several))
            table = table.filter(pc.invert(several))
        _fill(table, numbers, wanted, words)
    if shared:
        _fill(pa.concat_tables(shared), numbers, wanted, words)
    return words


def _fill(table: pa.Table, numbers: dict[str, int], wanted: NDArray[np.int64], words: Words) -> None:
    """Put the prices of stored rows where they are wanted."""
    table = in_order_received(table)
    live = np.flatnonzero(as_numpy(table.column("active")) & ~as_numpy(table.column("rugged")))
    if not len(live):
        return
    names = table.column("game_id").combine_chunks()
    number = np.array([numbers.get(game_id, -1) for game_id in names.dictionary.to_pylist()], np.int64)
    keys = number[as_numpy(names.indices)[live]] << 32 | as_numpy(table.column("tick"))[live]
    keys, first = np.unique(keys, return_index=True)
    place = np.minimum(np.searchsorted(wanted, keys), max(len(wanted) - 1, 0))
    found = (keys >= 0) & (wanted[place] == keys) if len(wanted) else np.zeros(len(keys), np.bool_)
    prices = table.column("price").combine_chunks().take(column(live[first[found]]))
    halves = np.frombuffer(prices.buffers()[1], np.uint64, 2 * len(prices), 16 * prices.offset)
    words[0][place[found]], words[1][place[found]] = halves[1::2].view(np.int64), halves[0::2]
