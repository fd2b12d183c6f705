"""Bulk: very many games at once, as arrays, as an Arrow table, or as lines; by the same process, without the detail."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from replaylab.errors import SimulationError
from replaylab.simulation.process import (
    BIG_MOVE,
    BIG_MOVE_PROBABILITY,
    DRIFT,
    GOD_CANDLE_FACTOR,
    GOD_CANDLE_LIMIT,
    GOD_CANDLE_PROBABILITY,
    MAX_TICKS,
    RUG_PROBABILITY,
    START,
    VOLATILITY,
    VOLATILITY_CAP,
    generator,
    microseconds,
    new_id,
    rug_prices,
)

_IDLE: Final = [("UNKNOWN" if timer > 10_000 else "PRESALE", timer) for timer in range(15_000, 0, -100)]
_BATCH: Final = 100  # games


def price_arrays(games: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Prices of many games at once: the prices end to end, where each game starts, and its rug tick R.

    Game `i` has ticks 0 to R: `prices[starts[i] : starts[i] + rug_ticks[i] + 1]`, the last being the rug price.

    Examples
    --------
    >>> prices, starts, rug_ticks = price_arrays(1000, seed=1)
    >>> bool((prices[starts] == 1).all() and (prices[starts + rug_ticks] < 0.021).all())
    True
    """
    rng = generator(seed)
    if games < 1:
        raise SimulationError(f"games={games}: at least one game is needed")
    rug_ticks = np.minimum(rng.geometric(RUG_PROBABILITY, games), MAX_TICKS).astype(np.int64)
    starts = np.concatenate([[0], np.cumsum(rug_ticks + 1)[:-1]])
    prices = np.empty(int((rug_ticks + 1).sum()))
    order = np.argsort(-rug_ticks, kind="stable")
    cursor = starts[order]
    lengths = np.sort(rug_ticks)
    price = np.ones(games)
    prices[cursor] = price
    for tick in range(1, int(lengths[-1])):
        alive = games - int(np.searchsorted(lengths, tick, side="right"))
        price = _drift_all(price[:alive], rng)
        prices[cursor[:alive] + tick] = price
    prices[starts + rug_ticks] = rug_prices(prices[starts + rug_ticks - 1], rng)
    return prices, starts, rug_ticks


def _drift_all(price: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """`drift` for many games at once."""
    god, big, size, side = rng.random((4, len(price)))
    noise = np.minimum(VOLATILITY_CAP, np.sqrt(price)) * VOLATILITY * (2 * side - 1)
    move = np.copysign(BIG_MOVE[0] + size * (BIG_MOVE[1] - BIG_MOVE[0]), side - 0.5)
    calm = DRIFT[0] + size * (DRIFT[1] - DRIFT[0]) + noise
    factor = 1 + np.where(big < BIG_MOVE_PROBABILITY, move, calm)
    factor[(god < GOD_CANDLE_PROBABILITY) & (price <= GOD_CANDLE_LIMIT)] = GOD_CANDLE_FACTOR
    result: NDArray[np.float64] = np.maximum(0.0, price * factor)
    return result


def simulate_table(games: int, seed: int = 1) -> pa.Table:
    """Prices of many games as one Arrow table, by the same process and far faster: for Monte Carlo studies.

    Parameters
    ----------
    games : int
        How many games.
    seed : int
        The same seed gives the same table. The games are not those of `simulate` with that seed.

    Returns
    -------
    pyarrow.Table
        Columns `game` (int32, from 0), `tick` (int32, 0 to R), `price` (float64; at R the rug price) and `rug_tick`
        (int32, R), sorted by game and tick.

    Examples
    --------
    >>> table = simulate_table(games=1000, seed=1)
    >>> table.column_names
    ['game', 'tick', 'price', 'rug_tick']
    """
    prices, starts, rug_ticks = price_arrays(games, seed)
    lengths = rug_ticks + 1
    tick = np.arange(len(prices), dtype=np.int32) - np.repeat(starts.astype(np.int32), lengths)
    columns: dict[str, Any] = {
        "game": np.repeat(np.arange(games, dtype=np.int32), lengths),
        "tick": tick,
        "price": prices,
        "rug_tick": np.repeat(rug_ticks.astype(np.int32), lengths),
    }
    return pa.table(columns)


def tick_lines(ticks: int, seed: int = 1) -> Iterator[bytes]:
    r"""Tick lines of a recording, made quickly, in pieces of one game: food for benchmarks.

    Parameters
    ----------
    ticks : int
        How many lines in all; the last game is cut there.
    seed : int
        The same seed gives the same bytes.

    Examples
    --------
    >>> pieces = list(tick_lines(1000, seed=1))
    >>> sum(piece.count(b"\n") for piece in pieces)
    1000
    """
    rng = generator(seed)
    at = microseconds(START)
    left = ticks
    while left > 0:
        prices, starts, rug_ticks = price_arrays(_BATCH, int(rng.integers(2**63)))
        for start, rug_tick in zip(starts.tolist(), rug_ticks.tolist(), strict=True):
            lines = _quick_lines(prices[start : start + rug_tick + 1], at, rng)[:left]
            left -= len(lines)
            at += 16_000_000 + 250_000 * rug_tick
            if lines:
                yield b"".join(lines)


def _quick_lines(prices: NDArray[np.float64], at: int, rng: np.random.Generator) -> list[bytes]:
    """Lines of one game, with an even clock in place of the jitter."""
    game_id = new_id(rng, at)
    rug_tick = len(prices) - 1
    play = 15_000_000 + 250_000 * np.arange(rug_tick + 2)
    times = np.concatenate([100_000 * np.arange(len(_IDLE)), play]) + rng.integers(0, 90_000, len(_IDLE) + rug_tick + 2)
    stamps = np.datetime_as_string((at + times).astype("M8[us]")).tolist()
    trades = np.cumsum(rng.integers(0, 4, rug_tick + 1)).tolist()
    texts = ["1", *map(repr, prices[1:].tolist())]
    rows = [(0, "1.0", phase, "false", "false", timer, 0) for phase, timer in _IDLE]
    rows.append((0, "1", "GAME_ACTIVATION", "true", "false", 0, 0))
    rows += [(k, texts[k], "ACTIVE_GAMEPLAY", "true", "false", 0, trades[k]) for k in range(1, rug_tick)]
    rows.append((rug_tick, texts[-1], "ACTIVE_GAMEPLAY", "true", "true", 0, trades[-1]))
    rows.append((rug_tick + 1, texts[-1], "RUG_EVENT_1", "true", "true", 0, 0))
    text = [
        f'{{"type": "tick", "timestamp": "{stamp}", "game_id": "{game_id}", "tick": {tick}, "price": {price}, '
        f'"phase": "{phase}", "active": {active}, "rugged": {rugged}, '
        f'"cooldown_timer": {timer}, "trade_count": {trade}}}\n'
        for stamp, (tick, price, phase, active, rugged, timer, trade) in zip(stamps, rows, strict=True)
    ]
    return [line.encode() for line in text]
