"""Quantiles from the table of games: the plain ones of whole games, and true where long games were cut off."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from replaylab.analysis.price_paths.paths import Paths
from replaylab.analysis.questions.from_games import peak_quantiles_of, rug_tick_quantiles
from replaylab.analysis.questions.peaks import peak_quantiles
from replaylab.analysis.questions.survival import survival
from replaylab.columns import column
from tests.analysis.made import Made, drawn, made, whole

SHARES = (0.25, 0.5, 0.75)


def cut_table(known: Paths, seed: int) -> pa.Table:
    """Return the table of games that were each watched from tick 0 for a geometric number of ticks."""
    watched = np.random.default_rng(seed).geometric(1 / 300, known.n_games)
    seen = known.rug_tick <= watched - 1
    last = np.where(seen, known.rug_tick - 1, np.minimum(watched, known.rug_tick) - 1)
    columns = {
        "rug_tick": column(known.rug_tick, ~seen),
        "last_tick": column(last),
        "complete": column(seen),
        "censored": column(~seen),
    }
    table = known.games
    for name, values in columns.items():
        table = table.set_column(table.column_names.index(name), table.schema.field(name), values)
    return table


def test_whole_games_have_the_plain_quantiles() -> None:
    """Without a cut game each quantile is the least value seen that so large a share of the games does not exceed."""
    known = drawn(1_000)
    ordered = np.sort(known.rug_tick)
    assert rug_tick_quantiles(known.games, SHARES) == {share: ordered[int(1_000 * share) - 1] for share in SHARES}
    peaks = sorted(known.games.column("peak").to_pylist())
    assert peak_quantiles_of(known.games, SHARES) == {share: peaks[int(1_000 * share) - 1] for share in SHARES}


def test_cut_games_are_made_up_for() -> None:
    """With cut games the quantiles stay near the true ones, of which those of the complete games are far too low."""
    known = drawn(20_000)
    table = cut_table(known, 5)
    truth = dict(zip(SHARES, survival(known).quantiles(SHARES)["tick"], strict=True))
    found, naive = rug_tick_quantiles(table, SHARES), rug_tick_quantiles(table.filter(table.column("complete")), SHARES)
    heights = dict(zip(SHARES, peak_quantiles(known, shares=SHARES)["peak"], strict=True))
    peaks, low = peak_quantiles_of(table, SHARES), peak_quantiles_of(table.filter(table.column("complete")), SHARES)
    for share in SHARES:
        assert abs(found[share] / truth[share] - 1) < 0.05
        assert naive[share] < 0.8 * truth[share]
        assert abs(float(peaks[share]) / heights[share] - 1) < 0.05
        assert float(low[share]) < 0.95 * heights[share]


def test_what_is_not_known_is_not_there() -> None:
    """Games that are all cut off have no quantile, and none at all neither."""
    alive = made([Made(range(9)), Made(range(5))]).games
    assert (rug_tick_quantiles(alive, SHARES), peak_quantiles_of(alive, SHARES)) == ({}, {})
    assert rug_tick_quantiles(alive.slice(0, 0), SHARES) == peak_quantiles_of(alive.slice(0, 0), SHARES) == {}
    half = made([whole(3), Made(range(9)), Made(range(9))]).games
    assert rug_tick_quantiles(half, (0.25, 0.9)) == {0.25: 3}
