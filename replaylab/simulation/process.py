"""The process that makes games: price, rug and cadence, as published and as measured; every draw is from a seed."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from replaylab.errors import SimulationError

START: Final = "2031-01-02T03:04:05"
RUG_PROBABILITY: Final = 0.005
BIG_MOVE_PROBABILITY: Final = 0.125
BIG_MOVE: Final = (0.15, 0.25)
DRIFT: Final = (-0.02, 0.03)
VOLATILITY: Final = 0.005
VOLATILITY_CAP: Final = 10.0
GOD_CANDLE_PROBABILITY: Final = 1e-5
GOD_CANDLE_LIMIT: Final = 100.0
GOD_CANDLE_FACTOR: Final = 10.0
RUG_CEILING: Final = 1 - 0.98  # the double that the server sends, a trifle above 0.02
MAX_TICKS: Final = 5000
TICK_US: Final = 250_350  # nominal 250 ms; the recordings have a median of 250.4 ms over a game

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_AT_CEILING: Final = 0.18
_SECOND_STEPS: Final = (0.01, 0.54, 0.42, 0.03)
_SECOND_US: Final = (270_000, 560_000, 700_000, 1_200_000)
_SNAPSHOT_PLACE: Final = (0.34, 0.40, 0.16, 0.10)


class Row(NamedTuple):
    """One tick row as a recorder writes it; `price` is the JSON text of the number, `at` microseconds since 1970 UTC.

    Examples
    --------
    >>> row = Row("20310102-0123456789ab4cde", 0, 0, "1.0", "PRESALE", False, False, 9900, 0)
    >>> row.filled, row.live
    (True, False)
    """

    game_id: str
    tick: int
    at: int
    price: str
    phase: str
    active: bool
    rugged: bool
    cooldown_timer: int
    trade_count: int

    @property
    def live(self) -> bool:
        """True in play, before the rug."""
        return self.active and not self.rugged

    @property
    def filled(self) -> bool:
        """True when the recorder filled in the price, as the server had sent none."""
        return self.price == "1.0" and not self.active


def time_text(at: int) -> str:
    """Microseconds since 1970 as ISO text without a zone, always with six decimals.

    Examples
    --------
    >>> time_text(1_000)
    '1970-01-01T00:00:00.001000'
    """
    return (_EPOCH + timedelta(microseconds=at)).replace(tzinfo=None).isoformat(timespec="microseconds")


def row_text(row: Row) -> str:
    """One tick row as the line of a recording, without the newline.

    Examples
    --------
    >>> row_text(Row("g", 0, 0, "1.0", "PRESALE", False, False, 9900, 0))[:58]
    '{"type": "tick", "timestamp": "1970-01-01T00:00:00.000000"'
    """
    return (
        f'{{"type": "tick", "timestamp": "{time_text(row.at)}", "game_id": "{row.game_id}", "tick": {row.tick}, '
        f'"price": {row.price}, "phase": "{row.phase}", "active": {json.dumps(row.active)}, '
        f'"rugged": {json.dumps(row.rugged)}, "cooldown_timer": {row.cooldown_timer}, '
        f'"trade_count": {row.trade_count}}}'
    )


def drift(price: float, draw: Callable[[], float], *, god_candle: bool = True, cap: float = VOLATILITY_CAP) -> float:
    """The next price after one surviving tick, by the published rule (version 3); `draw` gives uniforms in [0, 1).

    Version 2 draws no `god_candle`; version 1 has besides no `cap` on the root of the price that scales the noise.

    Examples
    --------
    >>> drift(1.0, lambda: 0.5)  # no big move; drift +0.5 %, no noise
    1.005
    >>> drift(2.0, lambda: 0.0)  # the god candle
    20.0
    """
    if god_candle and draw() < GOD_CANDLE_PROBABILITY and price <= GOD_CANDLE_LIMIT:
        return price * GOD_CANDLE_FACTOR
    if draw() < BIG_MOVE_PROBABILITY:
        move = BIG_MOVE[0] + draw() * (BIG_MOVE[1] - BIG_MOVE[0])
        change = move if draw() > 0.5 else -move
    else:
        slope = DRIFT[0] + draw() * (DRIFT[1] - DRIFT[0])
        change = slope + VOLATILITY * min(cap, math.sqrt(price)) * (2 * draw() - 1)
    return max(0.0, price * (1 + change))


def price_path(rng: np.random.Generator, rug_tick: int | None = None) -> list[float]:
    """Prices of one game, ticks 0 to R: the first is 1, the last is the rug price.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where every draw comes from.
    rug_tick : int, optional
        Fix R, from 1 to 5,000 ticks, instead of drawing it with probability 0.005 a tick.

    Raises
    ------
    SimulationError
        When `rug_tick` is out of range.

    Examples
    --------
    >>> prices = price_path(np.random.default_rng(1), rug_tick=3)
    >>> len(prices), prices[0], prices[-1] <= RUG_CEILING
    (4, 1.0, True)
    """
    if rug_tick is not None and not 1 <= rug_tick <= MAX_TICKS:
        raise SimulationError(f"rug_tick={rug_tick}: a game rugs at a tick from 1 to {MAX_TICKS}")
    end = min(int(rng.geometric(RUG_PROBABILITY)), MAX_TICKS) if rug_tick is None else rug_tick
    prices = [1.0]
    for _ in range(end - 1):
        prices.append(drift(prices[-1], rng.random))
    prices.append(float(rug_prices(np.array(prices[-1:]), rng)[0]))
    return prices


def rug_prices(last: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    """Rug prices after the last prices given: at most 2 % of min(1, last), quite often exactly that.

    Examples
    --------
    >>> bool((rug_prices(np.array([0.5, 3.0]), np.random.default_rng(1)) <= [0.5 * RUG_CEILING, RUG_CEILING]).all())
    True
    """
    share = rng.random((3, len(last))).max(axis=0)  # a power would differ in the last bit from machine to machine
    share[rng.random(len(last)) < _AT_CEILING] = 1.0
    result: NDArray[np.float64] = RUG_CEILING * np.minimum(1.0, last) * share
    return result


def cadence(rng: np.random.Generator, ticks: int) -> NDArray[np.int64]:
    """Receive times of that many ticks, microseconds after the first: 250 ms nominal, with the receiver's jitter.

    The server keeps its beat, so a stall is followed by a burst and nothing drifts.

    Examples
    --------
    >>> gaps = np.diff(cadence(np.random.default_rng(1), 1000)) / 1000
    >>> bool(249 < gaps.mean() < 253 and gaps.min() > 0)
    True
    """
    late = rng.exponential(8_000, ticks)
    late += (rng.random(ticks) < 0.12) * rng.exponential(110_000, ticks)
    late += (rng.random(ticks) < 0.0006) * rng.exponential(2_000_000, ticks)
    late -= late[0]
    return _in_order(np.arange(ticks) * TICK_US + late, 3_000)


def _in_order(due: NDArray[np.float64], apart: int) -> NDArray[np.int64]:
    """Times as they arrive on one connection: in order and at least `apart` microseconds apart."""
    floor = apart * np.arange(len(due))
    arrived: NDArray[np.int64] = (np.maximum.accumulate(due - floor) + floor).astype(np.int64)
    return arrived


def game_rows(rng: np.random.Generator, game_id: str, start: int, prices: list[float]) -> list[Row]:
    """All rows of one game as recorded: cooldown, presale, activation, play, and the rug broadcast twice.

    Parameters
    ----------
    rng : numpy.random.Generator
        Where the clock's jitter and the trade counts come from.
    game_id : str
        Goes into every row.
    start : int
        Receive time of the first row, microseconds since 1970 UTC.
    prices : list of float
        From `price_path`.

    Examples
    --------
    >>> rows = game_rows(np.random.default_rng(1), "g", 0, [1.0, 1.02, 0.01])
    >>> [(row.phase, row.tick, row.price) for row in rows[-4:-1]]
    [('GAME_ACTIVATION', 0, '1'), ('ACTIVE_GAMEPLAY', 1, '1.02'), ('ACTIVE_GAMEPLAY', 2, '0.01')]
    """
    idle = list(_idle_rows(rng, game_id, start))
    begin = idle[-1].at + 100_000 + int(rng.exponential(8_000))
    end = len(prices) - 1
    times = begin + cadence(rng, end + 1)
    trades = np.cumsum(rng.geometric(0.55, end + 1) - 1 + (rng.random(end + 1) < 0.02) * rng.integers(0, 30, end + 1))
    trades += int(rng.integers(20, 60)) - trades[min(1, end)]
    rows = [Row(game_id, 0, int(times[0]), "1", "GAME_ACTIVATION", True, False, 0, 0)]
    rows += [
        Row(game_id, tick, int(times[tick]), repr(prices[tick]), "ACTIVE_GAMEPLAY", True, False, 0, int(trades[tick]))
        for tick in range(1, end)
    ]
    late = int(times[end]) + int(rng.exponential(40_000))
    text = repr(prices[end])
    phase = "ACTIVE_GAMEPLAY" if end > 1 else "GAME_ACTIVATION"
    rows.append(Row(game_id, end, late, text, phase, True, True, 0, int(trades[end])))
    step = int(rng.choice(4, p=_SECOND_STEPS))
    second = late + _SECOND_US[step] + int(rng.exponential(100_000))
    rows.append(Row(game_id, end + step, second, text, "RUG_EVENT_1", True, True, 0, 0))
    return idle + rows


def _idle_rows(rng: np.random.Generator, game_id: str, start: int) -> Iterator[Row]:
    """Rows before the game: about 50 in cooldown and 101 in presale; the server sends a price in two of them."""
    clock = [(timer, "1.0") for timer in range(14_900, 10_000, -100)]
    if rng.random() < 0.2:
        del clock[int(rng.integers(5, len(clock)))]
    if rng.random() < 0.1:
        twice = int(rng.integers(5, len(clock)))
        clock[twice] = (clock[twice - 1][0], "1.0")
    clock.insert(int(rng.choice(4, p=_SNAPSHOT_PLACE)), (15_000, "1"))
    clock.append((10_000, "1"))
    clock += [(timer, "1.0") for timer in range(10_000, 0, -100)]
    due = np.array([max(0, 14_900 - timer) * 1000.0 for timer, _ in clock]) + rng.exponential(8_000, len(clock))
    times = start + _in_order(due - due[0], 150)
    for place, (timer, price) in enumerate(clock):
        presale = place > 0 and timer <= 10_000
        trades = int(rng.integers(100, 900)) if presale and price == "1" else 0
        phase = "PRESALE" if presale else "UNKNOWN"
        yield Row(game_id, 0, int(times[place]), price, phase, False, False, timer, trades)


def generator(seed: int) -> np.random.Generator:
    """The generator of a seed; the same seed gives the same numbers. Raises `SimulationError` when it is negative."""
    if seed < 0:
        raise SimulationError(f"seed={seed}: a seed is a whole number from 0")
    return np.random.default_rng(seed)


def microseconds(start: datetime | str) -> int:
    """A time as microseconds since 1970 UTC; without a zone it is UTC. Raises `SimulationError` for what is no time.

    Examples
    --------
    >>> microseconds("1970-01-01T00:00:01")
    1000000
    """
    try:
        moment = datetime.fromisoformat(start) if isinstance(start, str) else start
    except ValueError:
        raise SimulationError(f"start={start!r}: not a time in ISO 8601, such as {START}") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return round(moment.timestamp() * 1_000_000)


def new_id(rng: np.random.Generator, at: int) -> str:
    """A game id as the server makes them: the UTC date, and the first half of a random UUID of version 4.

    Examples
    --------
    >>> new_id(np.random.default_rng(1), 0)[:9], len(new_id(np.random.default_rng(1), 0))
    ('19700101-', 25)
    """
    return f"{time_text(at)[:10].replace('-', '')}-{rng.bytes(6).hex()}4{rng.bytes(2).hex()[:3]}"
