"""Estimators: against theory, on simulated games that are watched whole, and watched as recorders do.

The claims: every estimator's own 99 % interval holds what the process gives, also when half of the games are joined
late, half are cut off alive and some have gaps. The peers are the usual ways: the mean of the rugs that were seen, that
of the complete games, the share of complete games that rug by a tick, and the share of them that reach a height. One
interval in a hundred may miss by chance.

Then the coverages: how many of the 95 % intervals of every public estimator hold the truth, over many draws of few and
of many games, whole, and each watched for a geometric number of ticks of mean 300 (`--draws` of 30 and 100 games, fewer
of more).
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from benchmarks.analysis import coverage as covering
from benchmarks.analysis.coverage import Count, coverage, truth
from benchmarks.measure import arguments, print_ratio, print_table
from replaylab.analysis.price_paths.paths import Paths
from replaylab.analysis.questions.durations import duration_hist
from replaylab.analysis.questions.hazard import hazard, p_rug_within
from replaylab.analysis.questions.peaks import peak_table
from replaylab.analysis.questions.survival import survival
from replaylab.analysis.simulated.watching import watched
from replaylab.columns import as_numpy
from replaylab.simulation.bulk import price_arrays

CONFIDENCE = 0.99
SIZES = (30, 100, 300, 800, 2_000)
RESAMPLES = 400
FEW = 100  # games, up to which all draws are made
LIMIT = 600  # ticks, beyond which a life is not counted: the record of badly watched games reaches as far


def intervals(paths: Paths, beside: Paths) -> pd.DataFrame:
    """Everything that is estimated, with its interval and the truth."""
    lives = survival(paths, confidence=CONFIDENCE)
    peaks = peak_table(paths, at=(1.5, 2, 3, 5, 10, 20), confidence=CONFIDENCE, beside=beside)
    parts = {
        "survival: rugged by a tick": lives.rugged_by([50, 100, 200, 300, 500]),
        "survival: ticks by share": lives.quantiles(),
        "survival: mean up to 600": lives.mean_up_to(LIMIT),
        "hazard by age": hazard(paths, confidence=CONFIDENCE),
        "rug within 40 ticks, by age": p_rug_within(paths, 40, confidence=CONFIDENCE),
        "durations by stretch": duration_hist(paths, confidence=CONFIDENCE),
        "peaks": peaks.assign(theory=peaks["beside"]),
    }
    frames = [frame.assign(estimator=name)[["estimator", "low", "high", "theory"]] for name, frame in parts.items()]
    return pd.concat(frames, ignore_index=True)


def held(paths: Paths, beside: Paths, title: str) -> float:
    """Print how many intervals hold the truth; give their share."""
    found = intervals(paths, beside)
    found["held"] = (found["low"] <= found["theory"]) & (found["theory"] <= found["high"])
    counts = found.groupby("estimator", sort=False)["held"].agg(["sum", "size"])
    rows = [(str(name), int(row["sum"]), int(row["size"])) for name, row in counts.iterrows()]
    rows.append(("all", int(found["held"].sum()), len(found)))
    print_table(f"{title}: {paths!r}, intervals of 99 %", ["", "hold the truth", "of"], rows)
    return float(found["held"].mean())


def against_the_usual(cut: Paths, whole: Paths) -> dict[str, tuple[float, float, float]]:
    """The truth, the usual estimate and ours, of what everybody asks."""
    complete = cut.select(as_numpy(cut.games.column("complete")))
    seen = cut.rug_tick[cut.rug_tick >= 0]
    lives = survival(cut)
    mean = lives.mean_up_to(LIMIT).iloc[0]
    by_100, by_300 = lives.rugged_by([100, 300]).itertuples()
    peak = peak_table(cut, at=[10], beside=whole).iloc[0]
    return {
        "mean life up to 600, of complete games": (
            mean["theory"],
            float(np.minimum(complete.rug_tick, LIMIT).mean()),
            mean["mean"],
        ),
        "mean life up to 600, of rugs seen": (mean["theory"], float(np.minimum(seen, LIMIT).mean()), mean["mean"]),
        "rugged by 100": (by_100.theory, float((complete.rug_tick <= 100).mean()), by_100.rugged),
        "rugged by 300": (by_300.theory, float((complete.rug_tick <= 300).mean()), by_300.rugged),
        "peak of 10x": (peak["beside"], peak["complete_reached"] / peak["complete_games"], peak["reached"]),
    }


def coverages(draws: int, big: int, sizes: tuple[int, ...], resamples: int) -> None:
    """Print the coverages of all estimators, and the share of them that lie between 93 and 97 %."""
    truths = truth(big)
    counts: dict[str, dict[str, Count]] = {}
    for games in sizes:
        for cut in (False, True):
            label = f"{games} {'cut' if cut else 'whole'}"
            many = draws if games <= FEW else max(10, draws // 4)
            counts[label] = coverage(games, range(many), truths[cut], cut=cut, draws=resamples)
    rows = [(name, *(one[name].text() for one in counts.values())) for name in truths[True]]
    print_table("Coverage of 95 % intervals (not given)", ["estimator", *counts], rows)
    found = [one.held / one.given for column in counts.values() for one in column.values() if one.given]
    good = sum(0.93 <= value <= 0.97 for value in found)
    about = f"mean coverage over 0.95; {good} of {len(found)} cells cover 93 to 97 %"
    print_ratio("estimators coverage", float(np.mean(found)) / 0.95, about)


def main() -> None:
    """Draw games, watch them badly, estimate, and print."""
    options = arguments(__doc__, games=100_000, seed=1, draws=400)
    games = 3_000 if options.quick else options.games
    whole = Paths.of_arrays(*price_arrays(games, options.seed))
    other = Paths.of_arrays(*price_arrays(2 * games, options.seed + 1))  # their peaks stand for the process
    cut = watched(whole, seed=options.seed)
    shares = [held(whole, other, "Watched whole"), held(cut, other, "Joined late, cut off, with gaps")]
    found = against_the_usual(cut, other)
    rows = [(name, *values) for name, values in found.items()]
    print_table("Joined late, cut off, with gaps", ["", "truth", "the usual way", "replaylab"], rows)
    print_ratio("estimators intervals", min(shares) / CONFIDENCE, "share of 99 % intervals that hold, over 0.99")
    for name, (true, usual, ours) in found.items():
        ratio = abs(usual - true) / max(abs(ours - true), 1e-12)
        print_ratio(f"estimators {name}", ratio, "error of the usual way over that of replaylab")
    # the truth from 400,000 games: the error of 40,000 shows beside intervals from 2,000
    if options.quick:
        covering.CHUNK, covering.CHUNKS = 2_000, 1
    draws, big, sizes = (3, 2_000, (30,)) if options.quick else (options.draws, 400_000, SIZES)
    coverages(draws, big, sizes, 20 if options.quick else RESAMPLES)


if __name__ == "__main__":
    main()
