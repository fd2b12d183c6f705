"""Support: which one-tick returns, first prices and rug prices the published process can make at all. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from replaylab.columns import as_numpy
from replaylab.simulation.process import (
    BIG_MOVE,
    DRIFT,
    GOD_CANDLE_FACTOR,
    GOD_CANDLE_LIMIT,
    RUG_CEILING,
    VOLATILITY,
    VOLATILITY_CAP,
)

if TYPE_CHECKING:
    from replaylab.storage.game import Game

_ROUNDING: Final = 1e-12  # relative; doubles and their shortest texts differ by far less


class Alarm(NamedTuple):
    """A price that the process cannot have made: the recording is damaged there, or the game has other rules.

    Parameters
    ----------
    game_id : str
        The game.
    tick : int
        Where the price stands.
    before : float
        Price one tick earlier; NaN at tick 0.
    price : float
        The price in question.
    reason : str
        ``return``: no move of one tick leads there; ``start``: tick 0 is not 1; ``rug``: the rug price is above 2 % of
        the price before it (or of 1), which the algorithm does not rule, but no recorded game exceeds.

    Examples
    --------
    >>> Alarm("g", 12, before=1.5, price=40.0, reason="return").tick
    12
    """

    game_id: str
    tick: int
    before: float
    price: float
    reason: str

    def __str__(self) -> str:
        step = f"{self.before:.6g} to {self.price:.6g}"
        return f"{self.game_id}, tick {self.tick}: {step} cannot come from the published process ({self.reason})"


def possible(before: NDArray[np.float64], after: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which prices can follow which within one tick that does not rug, by version 3 of the rules.

    A tick either drifts (-2 % to +3 %, widened by noise of up to 0.5 % times the root of the price, the root at most
    10), or jumps by 15 % to 25 % up or down, or multiplies by ten from 100 or below. Version 2 is within it.

    Parameters
    ----------
    before, after : float64 arrays of one shape

    Returns
    -------
    ndarray of bool
        False also where either is no positive finite number.

    Examples
    --------
    >>> possible(np.array([1.0, 1.0, 1.0, 200.0]), np.array([1.2, 1.1, 10.0, 2000.0])).tolist()
    [True, False, True, False]
    """
    with np.errstate(all="ignore"):
        change = after / before - 1
        noise = VOLATILITY * np.minimum(VOLATILITY_CAP, np.sqrt(before)) + _ROUNDING
        calm = (change >= DRIFT[0] - noise) & (change <= DRIFT[1] + noise)
        big = (np.abs(change) >= BIG_MOVE[0] - _ROUNDING) & (np.abs(change) <= BIG_MOVE[1] + _ROUNDING)
        god = (before <= GOD_CANDLE_LIMIT) & (np.abs(after / before - GOD_CANDLE_FACTOR) <= _ROUNDING)
        found: NDArray[np.bool_] = (calm | big | god) & (before > 0) & (after > 0) & np.isfinite(after)
        return found


def outside_support(game: Game) -> list[Alarm]:
    """Prices of a game that the process cannot make, in order of their tick; of a sound recording there are none.

    Only neighbouring ticks are compared: across a gap nearly every return is possible.

    Examples
    --------
    >>> import replaylab as rl, tempfile
    >>> folder = tempfile.mkdtemp()
    >>> _ = rl.simulate(folder + "/recordings", games=1, seed=7)
    >>> _ = rl.convert(folder + "/recordings", folder + "/store", progress=False)
    >>> [outside_support(game) for game in rl.open_store(folder + "/store")]
    [[]]
    """
    path = game.prices()
    known = path.filter(path.column("price").is_valid())
    tick = as_numpy(known.column("tick")).astype(np.int64)
    price = np.array([float(one) for one in known.column("price").to_pylist()])
    return _alarms(game.id, tick, price, game.summary["rug_tick"])


def _alarms(game_id: str, tick: NDArray[np.int64], price: NDArray[np.float64], rug_tick: int | None) -> list[Alarm]:
    before = np.append(np.nan, price[:-1])
    beside = np.append(False, np.diff(tick) == 1)
    rug = np.zeros(len(tick), np.bool_) if rug_tick is None else tick == rug_tick
    ceiling = RUG_CEILING * np.where(beside, np.fmin(1.0, before), 1.0) * (1 + _ROUNDING)
    wrong = {
        "start": (tick == 0) & ~rug & (price != 1),
        "return": beside & ~rug & ~possible(before, price),
        "rug": rug & ~((price >= 0) & (price <= ceiling)),
    }
    found = [
        Alarm(game_id, int(tick[row]), float(before[row]) if beside[row] else float("nan"), float(price[row]), reason)
        for reason, rows in wrong.items()
        for row in np.flatnonzero(rows)
    ]
    return sorted(found, key=lambda alarm: alarm.tick)
