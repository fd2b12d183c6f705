"""Games made by hand for tests: which ticks were seen, at which prices, and where the rug came."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from hypothesis import strategies as st

from replaylab import analysis as a
from replaylab.analysis.price_paths.paths import Paths, paths
from replaylab.simulation.bulk import price_arrays
from replaylab.table import PRICE_TYPE, TIME_TYPE
from tests.stores import RECORDINGS, quiet

TRUTH = RECORDINGS.parent / "recordings.truth.json"


class Made(NamedTuple):
    """One game: ticks seen alive, the tick of its rug (None: the record ends alive), prices, the price at the rug."""

    ticks: Sequence[int]
    rug: int | None = None
    prices: Sequence[float | str] = ()
    rug_price: float | str = "0.01"


def whole(rug: int, prices: Sequence[float | str] = (), rug_price: float | str = "0.01") -> Made:
    """Return a complete game."""
    return Made(range(rug), rug, prices, rug_price)


def rows_of(name: str, game: Made) -> list[dict[str, Any]]:
    """Return the rows of a game as a store keeps them."""
    priced = list(game.prices) or ["1.25"] * len(game.ticks)
    seen = [(tick, price, False) for tick, price in zip(game.ticks, priced, strict=True)]
    if game.rug is not None:
        seen.append((game.rug, game.rug_price, True))
    common = {"game_id": name, "recorded_phase": "ACTIVE_GAMEPLAY", "active": True, "source": "made", "repaired": False}
    return [
        common | {"tick": tick, "timestamp": tick * 250_000, "price": Decimal(str(price)), "rugged": rugged}
        for tick, price, rugged in seen
    ]


def table_of(rows: list[dict[str, Any]]) -> pa.Table:
    """Return rows as a table with the types of a store."""
    texts = pa.dictionary(pa.int32(), pa.string())
    kinds = {"game_id": texts, "recorded_phase": texts, "source": texts, "tick": pa.int32(), "timestamp": pa.int64()}
    kinds |= {"price": PRICE_TYPE, "active": pa.bool_(), "rugged": pa.bool_(), "repaired": pa.bool_()}
    columns = {name: pa.array([row[name] for row in rows], kind) for name, kind in kinds.items()}
    columns["timestamp"] = columns["timestamp"].cast(TIME_TYPE)
    return pa.table(columns)


def made(games: Iterable[Made]) -> Paths:
    """Return the paths of games, called g0, g1, ..."""
    return Paths.of_table(table_of([row for place, game in enumerate(games) for row in rows_of(f"g{place}", game)]))


@cache
def drawn(games: int = 100_000, seed: int = 1) -> Paths:
    """Return simulated games, the same for all tests of a run."""
    return Paths.of_arrays(*price_arrays(games, seed=seed))


@st.composite
def some_game(draw: st.DrawFn) -> Made:
    """Draw a game of up to 90 ticks, some of them missing."""
    ticks = list(range(draw(st.integers(1, 90))))
    for missing in draw(st.sets(st.integers(0, 89), max_size=3)):
        if missing in ticks and len(ticks) > 1:
            ticks.remove(missing)
    seed = draw(st.integers(0, 1000))
    steps = np.random.default_rng(seed).normal(0, draw(st.sampled_from([0.0, 0.02, 0.4])), len(ticks))
    prices = [repr(float(price)) for price in np.round(np.exp(np.cumsum(steps)), 12)]
    return Made(ticks, draw(st.sampled_from([None, ticks[-1] + 1])), prices, "0.013")


def equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether features are the same to the last bit."""
    return list(one) == list(other) and all(np.array_equal(one[name], other[name], equal_nan=True) for name in one)


class _Absent(UserWarning):
    """Said in the summary of the run, where every warning is."""


def recorded(folder: Path, test: str) -> Paths | None:
    """Return the paths of the real recordings, converted once a run; None, said aloud, where there are none."""
    if not TRUTH.is_file():
        warnings.warn_explicit(_Absent(f"no real recordings beside the repository: {test}"), None, "", 0)
        return None
    if not (folder / "real").exists():
        quiet(RECORDINGS, folder / "real")
    return paths(folder / "real")


@cache
def with_gaps(games: int = 6_000, ticks: int = 40, share: float = 1) -> Paths:
    """Return simulated games, a share of them with a gap somewhere before tick 200, in which the rug may hide."""
    source = drawn(games)
    rng = np.random.default_rng(8)
    begin = np.where(rng.random(games) < share, rng.integers(1, 200, games), 1_000_000)
    kept = (source.tick < begin[source.game_of_tick]) | (source.tick >= (begin + ticks)[source.game_of_tick])
    hidden = (source.rug_tick >= begin) & (source.rug_tick < begin + ticks)
    start = np.concatenate([[0], np.cumsum(np.bincount(source.game_of_tick[kept], minlength=games))]).astype(np.int64)
    rug = np.where(hidden, -1, source.rug_tick)
    price = np.where(hidden, np.nan, source.rug_price)
    return Paths(source.games, start, source.tick[kept], source.price[kept], rug, price)


@dataclass
class Once:
    """Buy at tick 0, sell at a multiple."""

    target: float = 1.5

    def decide(self, tape: a.Tape, account: Any) -> Any:
        """Return the order of this tick."""
        if tape.now == 0:
            return a.Buy("0.1")
        return a.Sell() if account.quantity and tape.value >= self.target else None
