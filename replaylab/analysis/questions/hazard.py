"""Hazard of a rug at the next ticks of a live game, by age; from all games, also those watched in part."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from replaylab.analysis.price_paths.arguments import FINE, some_games, whole, wholes
from replaylab.analysis.price_paths.live import Ints
from replaylab.analysis.price_paths.paths import Paths, Source, paths
from replaylab.analysis.price_paths.selection import Selection
from replaylab.analysis.price_paths.spells import Spells, kaplan_meier, rugs_between
from replaylab.analysis.questions.interval import rate_interval, wilson
from replaylab.columns import distinct
from replaylab.simulation.process import RUG_PROBABILITY

if TYPE_CHECKING:
    import pandas as pd

AGES: Final = (0, 50, 100, 150, 200, 300, 400, 500, 700)


def hazard(
    source: Source, *, bins: Sequence[int] = AGES, confidence: float = 0.95, where: Selection | None = None
) -> pd.DataFrame:
    """Chance that a game which is alive rugs at its next tick, by its age.

    It is the number of rugs over the number of transitions that were watched, with Cox's interval for a rate. While the
    game is alive each transition is a trial of its own, so they count as such although many belong to one game. A
    bin that stands out among many is expected: one in twenty does at 95 %.

    Parameters
    ----------
    source : Store, path, Paths, or list of Segment
        The games.
    bins : sequence of int
        Ages at which bins begin: the live tick that the transition starts from. The last bin has no end.
    confidence, where
        See `replaylab.analysis.survival`.

    Returns
    -------
    DataFrame
        One row a bin: `from_tick`, `to_tick` (exclusive; -1 for none), `n_games`, `n_ticks` (transitions), `rugs`,
        `hazard`, `low`, `high`, `theory`. NaN where nothing was watched.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> found = hazard(Paths.of_arrays(*price_arrays(2000, seed=1)), bins=[0], confidence=0.99)
    >>> bool(found["low"].iloc[0] < 0.005 < found["high"].iloc[0])
    True
    """
    import pandas as pd

    begins = wholes("bins", bins, least=0, points=FINE)
    found = some_games(paths(source, where=where))
    spells = Spells.of(found)
    ends = np.append(begins[1:], max(int(spells.exit.max(initial=0)), int(begins[-1]) + 1))
    at_risk, rugs = (_within(counts, begins, ends) for counts in (spells.at_risk(), spells.rugs()))
    share = np.divide(rugs, at_risk, out=np.full(len(rugs), np.nan), where=at_risk > 0)
    low, high = rate_interval(rugs, at_risk, confidence=confidence)
    games = [
        len(distinct(spells.game[(spells.entry < end) & (spells.exit > begin)]))
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True)
    ]
    frame = pd.DataFrame(
        {
            "from_tick": begins,
            "to_tick": np.append(begins[1:], -1),
            "n_games": games,
            "n_ticks": at_risk,
            "rugs": rugs,
            "hazard": share,
            "low": low,
            "high": high,
            "theory": RUG_PROBABILITY,
        }
    )
    frame.attrs = result_attrs(found, confidence)
    return frame


def _within(counts: Ints, begins: Ints, ends: Ints) -> Ints:
    """Sum counts at ticks begin + 1 to end."""
    total = np.cumsum(counts)
    last = len(total) - 1
    return np.asarray(total[np.minimum(ends, last)] - total[np.minimum(begins, last)], np.int64)


def p_rug_within(
    source: Source,
    window: int = 40,
    *,
    by: int | Sequence[int] = AGES,
    confidence: float = 0.95,
    where: Selection | None = None,
) -> pd.DataFrame:
    """Chance that a game which is alive at a tick rugs within a window: P(R - tick <= window | R > tick).

    It is what a side bet placed at the tick wins by. It is not the share of games over by tick + window, which grows
    with age by itself. Games lost from sight inside the window count for as long as they were seen, and those joined
    inside it from then on; leaving both out would make rugs look more likely.

    Parameters
    ----------
    source : Store, path, Paths, or list of Segment
        The games.
    window : int
        Ticks, the last one included.
    by : int or sequence of int
        The ticks at which games are alive. Results of near ticks rest on the same games.
    confidence, where
        See `replaylab.analysis.survival`.

    Returns
    -------
    DataFrame
        One row a tick: `tick`, `window`, `n_games` (seen live at the tick), `rugs` (of these, rugged within the
        window), `survived` (seen to live beyond it), `lost` (neither is known), `p` (Kaplan-Meier), `low`, `high`,
        `theory`. NaN where no game was watched.

    Examples
    --------
    >>> from replaylab.simulation.bulk import price_arrays
    >>> found = p_rug_within(Paths.of_arrays(*price_arrays(2000, seed=1)), 40, by=[0, 100], confidence=0.99)
    >>> [bool(row.low < row.theory < row.high) for row in found.itertuples()]
    [True, True]
    """
    import pandas as pd

    wide, ages = whole("window", window, least=1), wholes("by", by, least=0, points=FINE)
    found = some_games(paths(source, where=where))
    spells = Spells.of(found)
    rows = [_from_age(found, spells, int(age), wide) for age in ages]
    frame = pd.DataFrame(rows)
    low, high = wilson(frame["p"], frame.pop("trials"), confidence=confidence)
    frame = frame.assign(low=low, high=high, theory=1 - (1 - RUG_PROBABILITY) ** wide)
    frame.attrs = result_attrs(found, confidence)
    return frame


def _from_age(found: Paths, spells: Spells, age: int, window: int) -> dict[str, float]:
    """Return one row of `p_rug_within`."""
    curve = kaplan_meier(spells, age)
    dead, trials = rugs_between(curve, age, age + window)
    alive = distinct(found.game_of_tick[found.tick == age])
    left = spells.since(age)
    here = left.entry == age
    rugs = int((left.rugged[here] & (left.exit[here] <= age + window)).sum())
    survived = int(((left.exit[here] > age + window) | ((left.exit[here] == age + window) & ~left.rugged[here])).sum())
    counts = {"n_games": len(alive), "rugs": rugs, "survived": survived, "lost": len(alive) - rugs - survived}
    return {"tick": age, "window": window, **counts, "p": dead, "trials": trials}


def result_attrs(found: Paths, confidence: float) -> dict[Hashable | None, Any]:
    """Return the attributes of every result: games, ticks, confidence, unreadable segments."""
    return {
        "n_games": found.n_games,
        "n_ticks": found.n_ticks,
        "confidence": confidence,
        "left_out": dict(found.left_out),
    }
