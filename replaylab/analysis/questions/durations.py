"""Durations: how many games rug in which stretch of ticks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from replaylab.analysis.price_paths.arguments import FINE, some_games, wholes
from replaylab.analysis.price_paths.paths import Source, paths
from replaylab.analysis.price_paths.selection import Selection
from replaylab.analysis.price_paths.spells import Spells, kaplan_meier, rugs_between
from replaylab.analysis.questions.hazard import result_attrs
from replaylab.analysis.questions.interval import wilson
from replaylab.simulation.process import RUG_PROBABILITY

if TYPE_CHECKING:
    import pandas as pd

BINS: Final = (1, 50, 100, 150, 200, 300, 400, 500, 700)


def duration_hist(
    source: Source, *, bins: Sequence[int] = BINS, confidence: float = 0.95, where: Selection | None = None
) -> pd.DataFrame:
    """Share of games that rug in each stretch of ticks: the distribution of R, ready to be drawn as a histogram.

    R is the tick of the rug, which is also the number of live ticks of a game: neither the number of lines of its
    recording, two thirds more, nor the length of a list of prices that ends in the rug, one more. `games` are rugs that
    were seen and lean to short lives; `share` makes up for games that were cut off or joined late.

    Parameters
    ----------
    source : Store, path, Paths, or list of Segment
        The games.
    bins : sequence of int
        Ticks from 1 at which stretches begin. The last one has no end.
    confidence, where
        See `replaylab.analysis.survival`.

    Returns
    -------
    DataFrame
        One row a stretch: `from_tick`, `to_tick` (exclusive; -1 for none), `games` (seen to rug there), `n_games` (of
        all asked), `share` (Kaplan-Meier), `low`, `high`, `theory`. NaN where the record ends before.

    Examples
    --------
    >>> from replaylab.analysis.price_paths.paths import Paths
    >>> from replaylab.simulation.bulk import price_arrays
    >>> found = duration_hist(Paths.of_arrays(*price_arrays(2000, seed=1)), bins=[1, 139])
    >>> int(found["games"].sum()), round(float(found["share"].sum()), 9)
    (2000, 1.0)
    """
    import pandas as pd

    begins = wholes("bins", bins, least=1, points=FINE)
    found = some_games(paths(source, where=where))
    spells = Spells.of(found)
    curve = kaplan_meier(spells)
    ends = np.append(begins[1:], max(int(curve.tick[-1]), int(begins[-1])) + 1)
    stretches = list(zip((begins - 1).tolist(), (ends - 1).tolist(), strict=True))
    known = [rugs_between(curve, begin, end) for begin, end in stretches[:-1]]
    known.append(rugs_between(curve, stretches[-1][0]))
    share, trials = (np.array(values) for values in zip(*known, strict=True))
    low, high = wilson(share, trials, confidence=confidence)
    rugs = spells.exit[spells.rugged]
    alive = (1 - RUG_PROBABILITY) ** (begins - 1.0)
    frame = pd.DataFrame(
        {
            "from_tick": begins,
            "to_tick": np.append(begins[1:], -1),
            "games": [int(((rugs > begin) & (rugs <= end)).sum()) for begin, end in stretches],
            "n_games": found.n_games,
            "share": share,
            "low": low,
            "high": high,
            "theory": alive - np.append(alive[1:], 0.0),
        }
    )
    frame.attrs = result_attrs(found, confidence)
    return frame
