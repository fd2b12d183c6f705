"""Trades: buying at a tick or a price and leaving at a target, a stop, after a time, or with the rug. Pure.

Every entry counts. One that is still open when the rug comes is a loss at the rug, and one whose record ends, or lacks
a tick, before its outcome is known is `cut`, never a win or a loss. A sale is at the price of the tick on which the
target or stop was seen, which is beyond it more often than at it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from replaylab.analysis.price_paths.arguments import number, one_of, whole
from replaylab.analysis.price_paths.extremes import Extremes
from replaylab.analysis.price_paths.paths import Paths
from replaylab.analysis.price_paths.runs import Runs
from replaylab.errors import AnalysisError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
OUTCOMES: Final = ("target", "stop", "hold", "rug", "cut")
TARGET, STOP, HOLD, RUG, CUT = range(5)
_CHUNK: Final = 1 << 17  # rows whose extremes are kept at once


@dataclass(frozen=True, eq=False)
class EntryPlan:
    """When to buy and when to sell; prices relative to the price of the entry.

    Parameters
    ----------
    at_tick : int, optional
        Buy at this tick of a game.
    at_price : float, optional
        Buy at ticks whose price is within a share `within` of this one.
    within : float
        Share of `at_price`.
    target : float, optional
        Sell at a gain of this share or more: 0.5 is +50 %.
    stop : float, optional
        Sell at a loss of this share or more, below 1.
    hold : int, optional
        Sell after this many ticks.
    per : {"game", "tick"}
        Only the first such tick of a game, or every one: the ticks of one game share its rug and are no repetitions.
    rug : {"recorded", "total"}
        A rug leaves what was paid at its recorded price (about 1 % of it), or nothing.

    Raises
    ------
    AnalysisError
        For bounds that mean nothing, and when neither target, stop nor hold is given.

    Examples
    --------
    >>> EntryPlan(at_price=1, target=0.5).per
    'game'
    >>> EntryPlan(at_price=25, target=-0.1)
    Traceback (most recent call last):
    ...
    replaylab.errors.AnalysisError: target=-0.1: pass a number above 0
    """

    at_tick: int | None = None
    at_price: float | None = None
    within: float = 0.05
    target: float | None = None
    stop: float | None = None
    hold: int | None = None
    per: str = "game"
    rug: str = "recorded"

    def __post_init__(self) -> None:
        if self.at_tick is not None and self.at_price is not None:
            raise AnalysisError(f"at_tick={self.at_tick}, at_price={self.at_price}: pass one of them")
        if self.at_tick is None and self.at_price is None and one_of("per", self.per, ("game", "tick")) == "game":
            raise AnalysisError(
                "at_tick=None, at_price=None: say where a game is entered, or per='tick' for every tick"
            )
        if self.target is None and self.stop is None and self.hold is None:
            raise AnalysisError("target=None, stop=None, hold=None: pass at least one way out but the rug")
        for name, least in (("at_tick", 0), ("hold", 1)):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, whole(name, getattr(self, name), least=least))
        bounds = {"at_price": np.inf, "target": np.inf, "stop": 1.0, "within": 1.0}
        for name, below in bounds.items():
            if getattr(self, name) is not None:
                object.__setattr__(self, name, number(name, getattr(self, name), above=0, below=below))
        one_of("per", self.per, ("game", "tick"))
        one_of("rug", self.rug, ("recorded", "total"))

    def entries(self, known: Paths) -> Ints:
        """Return the rows of `known` at which it buys, in order."""
        priced = known.price > 0  # nothing can be bought for nothing
        if self.at_tick is not None:
            rows = np.flatnonzero(priced & (known.tick == self.at_tick))
        elif self.at_price is not None:
            rows = np.flatnonzero(priced & (np.abs(known.price - self.at_price) <= self.within * self.at_price))
        else:
            rows = np.flatnonzero(priced)
        if self.per == "game":
            _, first = np.unique(np.searchsorted(known.start, rows, side="right"), return_index=True)
            rows = rows[first]
        return rows


@dataclass(frozen=True, eq=False)
class Trades:
    """What became of entries: one value an entry, in order of game and tick.

    Parameters
    ----------
    row : int64 array
        Row of the paths at which it bought.
    outcome : int8 array
        Place in `OUTCOMES`.
    held : int64 array
        Ticks from the entry to the exit; to the last tick followed where it was cut.
    result : float64 array
        Price of the exit / price of the entry - 1; NaN where it was cut.
    adverse, favourable : float64 arrays
        Lowest and highest result while it was held, exit included, at most and at least 0 (MAE and MFE); NaN where cut.
    """

    row: Ints
    outcome: NDArray[np.int8]
    held: Ints
    result: Floats
    adverse: Floats
    favourable: Floats


def trades(known: Paths, plan: EntryPlan, *, empty: bool = False) -> Trades:
    """Play a plan on paths, all entries at once; raises `AnalysisError` without an entry, unless that is `empty`.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> found = trades(Paths.of_arrays(*price_arrays(1_000, seed=1)), EntryPlan(at_tick=0, hold=40))
    >>> np.bincount(found.outcome, minlength=5).tolist()
    [0, 0, 817, 183, 0]
    """
    if not isinstance(plan, EntryPlan):
        raise AnalysisError(f"plan={plan!r}: pass an EntryPlan, such as EntryPlan(at_tick=0, hold=40)")
    rows, runs = plan.entries(known), Runs.of(known)
    if not len(rows) and not empty:
        asked = "at_price" if plan.at_price is not None else "at_tick"
        raise AnalysisError(f"{asked}={getattr(plan, asked)}: none of the {known.n_games} games was seen there")
    parts = [_trades(known, runs, plan, rows[here], begin, end) for here, begin, end in _chunks(known, rows)]
    parts = parts or [(np.zeros(0, np.int8), np.zeros(0, np.int64), np.zeros(0), np.zeros(0), np.zeros(0))]
    columns = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Trades(rows, *columns)


def _chunks(known: Paths, rows: Ints) -> Iterator[tuple[slice, int, int]]:
    """Return parts of the entries, and the rows of the whole games that they lie in."""
    begin = 0
    while begin < known.n_ticks:
        game = int(np.searchsorted(known.start, begin + _CHUNK, side="right")) - 1
        end = int(known.start[game]) if known.start[game] > begin else int(known.start[game + 1])
        place = np.searchsorted(rows, [begin, end])
        if place[1] > place[0]:
            yield slice(*place.tolist()), begin, end
        begin = end


def _trades(
    known: Paths, runs: Runs, plan: EntryPlan, rows: Ints, begin: int, end: int
) -> tuple[NDArray[np.int8], Ints, Floats, Floats, Floats]:
    price, paid, last = known.price[begin:end], known.price[rows], runs.last[rows]
    timely = last if plan.hold is None else np.minimum(last, rows + plan.hold)
    seen = Extremes(price, int((timely - rows).max(initial=1)))
    low = np.full(len(rows), -np.inf) if plan.stop is None else paid * (1 - plan.stop)
    high = np.full(len(rows), np.inf) if plan.target is None else paid * (1 + plan.target)
    leaving = seen.first_outside(rows + 1 - begin, timely - begin, low, high) + begin
    touched = leaving <= timely
    exit_row = np.where(touched, leaving, timely)
    left_at = known.price[exit_row]
    timed = np.zeros(len(rows), np.bool_) if plan.hold is None else rows + plan.hold <= last
    outcome = np.select(
        [touched & (left_at >= high), touched, timed, runs.rugged[rows]], [TARGET, STOP, HOLD, RUG], default=CUT
    ).astype(np.int8)
    rugged, cut = outcome == RUG, outcome == CUT
    left_at = np.where(rugged, runs.rug_price[rows] if plan.rug == "recorded" else 0.0, left_at)
    lowest = np.minimum(seen.lowest(rows + 1 - begin, exit_row - begin), np.where(rugged, left_at, np.inf))
    highest = seen.highest(rows + 1 - begin, exit_row - begin)
    result, adverse, favourable = (
        left_at / paid - 1,
        np.minimum(lowest / paid - 1, 0),
        np.maximum(highest / paid - 1, 0),
    )
    held = exit_row - rows + rugged
    return outcome, held, *(np.where(cut, np.nan, values) for values in (result, adverse, favourable))
